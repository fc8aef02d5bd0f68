package forwardauth

import (
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"github.com/vippsauth/vippsauth/internal/pages"
)

// pageView is what the template shows, from top to bottom.
type pageView struct {
	Lang, Title, Site string
	Theme             string // class of the body: which brand's colour the login button has
	Style             template.CSS

	Heading  string
	Text     [][]pageSpan // what happened
	Steps    [][]pageSpan // what to do, in order
	Actions  []pageAction
	Hints    [][]pageSpan // below the buttons
	Remember []pageSpan   // Vipps may remember this browser; AppPath is the way to its list of browsers in the app
	AppPath  string
	Operator []pageSpan // a line for whoever runs the site

	Reference    string
	Contact      pageContact
	OperatorName string // label of Operator
	ContactName  string // label of Contact
	RefName      string // label of Reference
}

// pageAction is a button (a form of its own, which POSTs) or, without Post, a link that looks like one.
type pageAction struct {
	Label  string
	Look   string // "brand", "main" or "quiet"
	Post   bool
	NewTab bool
	Kept   bool // the fields are a person's own, as they were posted: the browser must not put others in their place
	URL    string
	Fields []pageField
}

// pageField is a hidden field.
type pageField struct{ Name, Value string }

// holdsForm reports whether the page can POST.
func (v *pageView) holdsForm() bool {
	for _, action := range v.Actions {
		if action.Post {
			return true
		}
	}
	return false
}

// pageBuilder puts a view together out of messages.
type pageBuilder struct {
	page *page
	text pageText
	view *pageView
}

// view is the page in one language.
func (p *page) view(lang string, messages pageMessages) *pageView {
	text := pageText{
		messages: messages,
		brand:    pages.Brand(p.Market, lang),
		site:     pageClean(p.SiteName),
		person:   pageClean(p.Person),
		other:    pageClean(p.Other),
	}
	v := &pageView{
		Lang: lang, Site: text.site, Style: pageAssets().Style, Theme: strings.ToLower(text.brand),
		Reference: pageClean(p.Reference),
		Contact:   parsePageContact(p.Contact, pageClean(p.Reference)),
	}
	if text.site == "" {
		text.site = text.plain("site.unnamed")
	}
	b := &pageBuilder{page: p, text: text, view: v}
	b.build()
	v.OperatorName, v.ContactName, v.RefName = b.label(v.Operator != nil, "label.operator"),
		b.label(v.Contact.Text != "", "label.contact"), b.label(v.Reference != "", "label.reference")
	v.Title = v.Heading
	if v.Site != "" {
		v.Title += " – " + v.Site
	}
	return v
}

func (b *pageBuilder) build() {
	switch b.page.Kind {
	case pageLogin:
		b.buildLogin()
	case pageConfirm:
		b.buildConfirm()
	case pageRefused:
		b.buildRefused()
	case pageForbiddenSite:
		b.heading("site.title")
		b.say("site.text")
		b.operator("site.operator")
	case pageLogout:
		b.buildLogout()
	case pageLoggedOut:
		b.heading("loggedout.title")
		b.say("loggedout.text")
		if b.page.NotKept {
			b.say("loggedout.notkept")
		}
		b.remember("remember.still")
		b.login("button.again", "quiet")
	case pageLoop:
		b.buildLoop()
	case pageResend:
		b.buildResend("resend.text", "resend.step3", "resend.keep")
	case pageForeign:
		b.heading("resend.title")
		b.say("resend.foreign")
		b.link("button.home", "main", "/")
		b.operator("resend.foreign.operator")
	case pageKept:
		b.buildResend("resend.kept", "resend.again", "resend.where")
		b.post("button.send", "main", pagePath(b.page.ReturnTo, "/"), b.page.Fields...)
		b.view.Actions[1].Kept = true
	case pageUnavailable:
		b.buildUnavailable()
	case pageAppAway:
		b.heading("away.title")
		b.say("away.text")
		b.link("button.retry", "main", b.returnTo())
	case pageNotFound:
		b.heading("notfound.title")
		b.say("notfound.text")
		b.link("button.home", "main", "/")
	case pageTooLarge:
		b.heading("toolarge.title")
		if b.page.Status == http.StatusRequestHeaderFieldsTooLarge {
			b.say("toolarge.header")
		} else {
			b.say("toolarge.body")
		}
		b.link("button.home", "main", "/")
	case pageTooMany:
		b.heading("toomany.title")
		b.say("toomany.text")
		b.sayWhen()
		b.link("button.retry", "main", b.returnTo())
	case pageElsewhere:
		b.heading("elsewhere.title")
		b.say("elsewhere.text")
		b.say("elsewhere.why")
		b.login("button.here", "brand")
		b.hint("elsewhere.cookies")
	case pageAlready:
		b.heading("already.title")
		b.sayPerson("already.text", "already.nobody")
		b.link("button.continue", "main", b.returnTo())
		b.someoneElse()
	default:
		b.buildError()
	}
}

func (b *pageBuilder) buildLogin() {
	b.heading("login.title")
	b.say("login.text")
	if b.page.AfterLogout {
		b.say("login.afterlogout")
		b.remember("remember.before")
	}
	b.login("button.login", "brand")
	b.hint("hint.phone")
}

func (b *pageBuilder) buildConfirm() {
	b.heading("confirm.title")
	if b.page.Landed {
		b.sayPerson("confirm.landed.text", "confirm.landed.nobody")
	} else {
		b.sayPerson("confirm.text", "confirm.nobody")
	}
	switch {
	case b.page.Landed:
		b.say("confirm.landed")
	case b.page.AfterLogout:
		b.say("confirm.afterlogout")
		b.remember("remember.forget")
	case b.page.Instead == "":
		b.say("confirm.always")
	}
	if b.page.Instead != "" {
		b.sayReplaces()
	}
	label := "button.continueas"
	if b.text.person == "" {
		label = "button.continue"
	}
	action := pagePath(b.page.ResultAction, "/_vipps/result")
	token := pageField{"token", b.page.Token}
	fields := []pageField{token, {"choice", "continue"}}
	if b.page.Instead != "" {
		fields = append(fields, pageField{"instead", b.page.Instead})
	}
	b.post(label, "main", action, fields...)
	b.post("button.notme", "quiet", action, token, pageField{"choice", "other"})
}

// sayReplaces says who is logged in now, and that it ends with the click.
func (b *pageBuilder) sayReplaces() {
	if b.text.other == "" {
		b.say("confirm.replaces.nobody")
		return
	}
	b.say("confirm.replaces")
}

func (b *pageBuilder) buildRefused() {
	b.heading("refused.title")
	if b.page.Ours {
		b.sayPerson("refused.ours", "refused.ours.nobody")
	} else {
		b.sayPerson("refused.text", "refused.nobody")
	}
	b.say("refused.ask")
	b.remember("remember.other")
	b.someoneElse()
}

func (b *pageBuilder) buildLogout() {
	b.heading("logout.title")
	b.say("logout.text")
	var fields []pageField
	if b.page.ReturnTo != "" {
		fields = append(fields, pageField{"rd", b.returnTo()})
	}
	b.post("button.logout", "main", pagePath(b.page.LogoutAction, "/_vipps/logout"), fields...)
	b.link("button.stay", "quiet", b.returnTo())
}

// pageLoopCauses are the causes that the loop page has words for, besides "unknown".
var pageLoopCauses = []string{"cookies-refused", "other-key", "http-not-https", "other-host", "cookie-too-big", "clock", "session-not-seen"}

func (b *pageBuilder) buildLoop() {
	cause := "unknown"
	for _, known := range pageLoopCauses {
		if b.page.Cause == known {
			cause = known
		}
	}
	b.heading("loop.title")
	if cause != "session-not-seen" { // where the provider has no part in it
		b.say("loop.text")
	}
	b.say("loop." + cause + ".text")
	b.login("button.retry", "brand")
	b.operator("loop." + cause + ".operator")
}

func (b *pageBuilder) buildResend(text, lastStep, hint string) {
	b.heading("resend.title")
	b.say(text)
	for _, step := range []string{"resend.step1", "resend.step2", lastStep} {
		b.view.Steps = append(b.view.Steps, b.text.spans(step))
	}
	login := pagePath(b.page.LoginAction, "/_vipps/login")
	b.link("button.newtab", "brand", pageWebAddress(b.page.LoginURL, login))
	b.view.Actions[0].NewTab = true
	b.hint(hint)
}

func (b *pageBuilder) buildUnavailable() {
	b.heading("unavailable.title")
	b.say("unavailable.text")
	b.sayWhen()
	b.link("button.retry", "main", b.returnTo())
}

// sayWhen says when to try again, as exactly as a person would.
func (b *pageBuilder) sayWhen() {
	seconds := b.page.RetryAfter
	switch {
	case seconds <= 0 || seconds > 7200:
		b.say("unavailable.later")
	case seconds < 10:
		b.say("unavailable.moment")
	case seconds <= 90:
		b.text.n = strconv.Itoa(seconds)
		b.say("unavailable.seconds")
	default:
		b.text.n = strconv.Itoa((seconds + 59) / 60)
		b.say("unavailable.minutes")
	}
}

// returnTo is where the person wanted to go: a path of this site, or a page of one of the other origins.
func (b *pageBuilder) returnTo() string {
	for _, origin := range b.page.Origins {
		if rest, ok := strings.CutPrefix(b.page.ReturnTo, origin); ok && pagePath(rest, "") != "" {
			return origin + rest
		}
	}
	return pagePath(b.page.ReturnTo, "/")
}

func (b *pageBuilder) heading(key string) { b.view.Heading = b.text.plain(key) }

func (b *pageBuilder) say(key string) { b.view.Text = append(b.view.Text, b.text.spans(key)) }

// sayPerson says the first text, or the second where there is no name to put into it.
func (b *pageBuilder) sayPerson(known, unknown string) {
	if b.text.person == "" {
		known = unknown
	}
	b.say(known)
}

func (b *pageBuilder) hint(key string) { b.view.Hints = append(b.view.Hints, b.text.spans(key)) }

func (b *pageBuilder) operator(key string) { b.view.Operator = b.text.spans(key) }

// remember says that Vipps may remember this browser, and where in the app to end that.
func (b *pageBuilder) remember(key string) {
	b.view.Remember = b.text.spans(key)
	b.view.AppPath = b.text.plain("remember.path")
}

func (b *pageBuilder) label(shown bool, key string) string {
	if !shown {
		return ""
	}
	return b.text.plain(key)
}

func (b *pageBuilder) post(key, look, action string, fields ...pageField) {
	b.view.Actions = append(b.view.Actions,
		pageAction{Label: b.text.plain(key), Look: look, Post: true, URL: action, Fields: fields})
}

func (b *pageBuilder) link(key, look, target string) {
	b.view.Actions = append(b.view.Actions, pageAction{Label: b.text.plain(key), Look: look, URL: target})
}

// login is the button that starts a login and comes back to ReturnTo.
func (b *pageBuilder) login(key, look string) {
	fields := []pageField{{"rd", b.returnTo()}}
	if b.page.Policy != "" {
		fields = append(fields, pageField{"policy", b.page.Policy})
	}
	b.post(key, look, pagePath(b.page.LoginAction, "/_vipps/login"), fields...)
}

// someoneElse is the button that ends this session and asks for the next login.
func (b *pageBuilder) someoneElse() {
	b.post("button.other", "quiet", pagePath(b.page.LogoutAction, "/_vipps/logout"),
		pageField{"then", "login"}, pageField{"rd", b.returnTo()})
}
