package merchant

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vippsauth/vippsauth/internal/pages"
	"github.com/vippsauth/vippsauth/vipps"
)

//go:embed web
var pageFiles embed.FS

// pageAssets are the parts of the operator page, read once and never changed.
type pageAssets struct {
	*pages.Assets
	script []byte
}

func newPageAssets() (*pageAssets, error) {
	a, err := pages.Load(pageFiles)
	if err != nil {
		return nil, fmt.Errorf("merchant: %w", err)
	}
	script, err := pageFiles.ReadFile("web/" + operatorScript)
	if err != nil {
		return nil, fmt.Errorf("merchant: %w", err)
	}
	return &pageAssets{a, script}, nil
}

// pageView is what the template shows.
type pageView struct {
	Lang, Title, Site, Theme string
	Style                    template.CSS
	Script, Prefix           string
	T                        messages
	You                      *youView
	Error                    string

	Phone    string
	Hint     string // how to write the number
	BadPhone bool
	Scopes   []scopeView
	Watch    *watchView
}

// youView says who is logged in, with the name apart.
type youView struct{ Before, Person, After string }

// scopeView is one thing that may be asked for.
type scopeView struct {
	Name, Label string
	Checked     bool
}

// formView is what the form begins with.
type formView struct {
	phone      string
	ticked     []string
	sent       bool   // ticked is what was sent
	problem    string // key of a text; "": none
	retryAfter time.Duration
}

// watchView is how a login stands, for the page and, as JSON, for its script.
type watchView struct {
	State  State     `json:"state"`
	Now    string    `json:"now"`
	More   string    `json:"more"`
	Result []rowView `json:"result,omitempty"`

	Code, Spelled, Expires          string `json:"-"`
	EventsURL, CancelURL, ResultURL string `json:"-"`
	Pending                         bool   `json:"-"`
	Waits                           bool   `json:"-"` // the result does
}

// rowView is one thing that is known of the customer.
type rowView struct {
	Label string `json:"label"`
	Value string `json:"value"`
}

// String hides what it is.
func (rowView) String() string { return "[redacted]" }

// address adds what only the page needs.
func (v *watchView) address(st Status) {
	base := PathPrefix + operatorPath + st.ID
	v.EventsURL, v.CancelURL, v.ResultURL = base+"/events", base+"/cancel", base+"/result"
	v.Code, v.Spelled = st.Code, strings.Join(strings.Split(st.Code, ""), " ")
	v.Pending, v.Waits = st.State == Pending, st.State == Approved && len(v.Result) == 0
	if !st.Expires.IsZero() {
		v.Expires = st.Expires.UTC().Format(time.RFC3339)
	}
}

// watch puts a status into words.
func (t *pageText) watch(st Status, login *vipps.Login) *watchView {
	v := &watchView{State: st.State, Now: t.say("state." + string(st.State)), More: t.messages["state."+string(st.State)+".more"]}
	v.More = t.fill(v.More)
	if login != nil {
		v.Result = t.rows(&login.User)
	}
	return v
}

// shownClaims are those with words of their own, in the order in which they are shown; sub comes last.
var shownClaims = [...]string{"name", "given_name", "family_name", "phone_number", "email", "birthdate", "address", "nin", "gender"}

// hiddenClaims say nothing of the customer that the others don't.
var hiddenClaims = [...]string{"sub", "email_verified", "phone_number_verified", "other_addresses", "msn"}

// rows are the customer's details. A name that is given whole isn't given in parts too.
func (t *pageText) rows(u *vipps.User) []rowView {
	var rows []rowView
	done := append(hiddenClaims[:len(hiddenClaims):len(hiddenClaims)], shownClaims[:]...)
	for _, claim := range shownClaims {
		value, ok := u.Claim(claim)
		switch {
		case claim == "address" && u.Address != nil:
			value = addressText(u.Address)
		case claim == "phone_number" && !strings.HasPrefix(value, "+"):
			value = "+" + value // which Vipps leaves out
		}
		if part := claim == "given_name" || claim == "family_name"; ok && !(part && u.Name != "") {
			rows = append(rows, rowView{t.say("claim." + claim), value})
		}
	}
	for i := range u.OtherAddresses {
		rows = append(rows, rowView{t.say("claim.address"), addressText(&u.OtherAddresses[i])})
	}
	if consents, ok := u.Consents(); ok {
		done = append(done, "delegatedConsents", "flowResult")
		rows = append(rows, t.answers(consents)...)
	}
	var others []string
	for claim := range u.Claims {
		if !slices.Contains(done, claim) {
			others = append(others, claim)
		}
	}
	slices.Sort(others)
	for _, claim := range others {
		if value, ok := u.Claim(claim); ok {
			rows = append(rows, rowView{claim, value})
		}
	}
	return append(rows, rowView{t.say("claim.sub"), u.Sub})
}

// answers are what the customer ticked, and what not, in the words that they were asked in.
func (t *pageText) answers(c vipps.Consents) []rowView {
	rows := make([]rowView, 0, len(c.Answers))
	for _, a := range c.Answers {
		row := rowView{a.Text, t.say("answer.no")}
		if a.Accepted {
			row.Value = t.say("answer.yes")
		}
		if row.Label == "" {
			row.Label = a.ID
		}
		rows = append(rows, row)
	}
	return rows
}

// addressText is an address as it stands on an envelope.
func addressText(a *vipps.Address) string {
	if a.StreetAddress == "" && a.Formatted != "" {
		return a.Formatted
	}
	town := strings.TrimSpace(a.PostalCode + " " + a.Region)
	if a.Region == "" {
		town = strings.TrimSpace(a.PostalCode + " " + a.Locality)
	}
	var lines []string
	for _, line := range []string{a.StreetAddress, town, a.Country} {
		if line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// form shows the page on which a login is started.
func (p *operatorPage) form(w http.ResponseWriter, r *http.Request, status int, f formView) {
	text := p.api.text(r)
	v := &pageView{Title: text.say("title"), Phone: f.phone, Hint: text.say("phone.hint"), BadPhone: f.problem == "error.phone"}
	if p.api.logins.cfg.Market != "" {
		v.Hint = text.say("phone.hint.market")
	}
	if f.problem != "" {
		v.Error = strings.ReplaceAll(text.say(f.problem), "{n}", text.duration(f.retryAfter))
	}
	for _, scope := range p.api.scopes {
		if scope == vipps.ScopeOpenID {
			continue
		}
		ticked := scope != "nin" // which is asked for only by whoever means it
		if f.sent {
			ticked = slices.Contains(f.ticked, scope)
		}
		label := text.messages["scope."+scope]
		if label == "" {
			label = scope
		}
		v.Scopes = append(v.Scopes, scopeView{scope, label, ticked})
	}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(max(1, seconds(f.retryAfter))))
	}
	p.api.page(w, r, p, status, text, v)
}

// page writes a page.
func (a *API) page(w http.ResponseWriter, r *http.Request, p *operatorPage, status int, text *pageText, v *pageView) {
	_, host, _ := strings.Cut(p.origin, "://")
	v.Lang, v.T, v.Theme, v.Style, v.Prefix = text.lang, text.filled(), strings.ToLower(text.brand), a.assets.Style, PathPrefix
	if v.Site = a.siteName; v.Site == "" {
		v.Site = host
	}
	if p.who.Name != "" {
		before, after, _ := strings.Cut(text.say("you"), "{person}")
		v.You = &youView{before, p.who.Name, after}
		if strings.HasSuffix(p.who.Name, ".") {
			v.You.After = strings.TrimPrefix(after, ".")
		}
	}
	if v.Watch != nil {
		v.Script = PathPrefix + operatorScript
	}
	var body bytes.Buffer
	if err := a.assets.Layout.ExecuteTemplate(&body, "page.html", v); err != nil {
		a.refuse(w, r, fmt.Errorf("making the operator page: %w", err))
		return
	}
	h := w.Header()
	neverCache(h)
	h.Set("Vary", "Cookie, Accept-Language")
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", text.lang)
	h.Set("Content-Security-Policy", a.policy(p.origin))
	h.Set("Referrer-Policy", "same-origin") // or browsers leave out whose form it is
	h.Set("X-Frame-Options", "DENY")
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body.Bytes()) // the client went away: nobody is left to tell
	}
}

// policy lets the page run its one script, which is named whole: whatever else this origin serves is the application's.
func (a *API) policy(origin string) string {
	return "default-src 'none'; style-src 'sha256-" + a.assets.StyleHash + "'; script-src " + origin + PathPrefix + operatorScript +
		"; connect-src " + origin + PathPrefix + operatorPath + "; form-action " + origin + PathPrefix + "; base-uri 'none'; frame-ancestors 'none'"
}

// script serves the page's script, which is the same for everybody.
func (a *API) script(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	neverCache(h)
	h.Set("Content-Type", "text/javascript; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(a.assets.script)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(a.assets.script) // the client went away: nobody is left to tell
	}
}
