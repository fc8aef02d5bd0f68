package forwardauth

import (
	"bytes"
	"embed"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/vippsauth/vippsauth/internal/pages"
)

//go:embed web/messages_*.json web/page.html
var pageFiles embed.FS

// pageKind says which page a person sees.
type pageKind string

const (
	pageLogin         pageKind = "login"          // a button to log in
	pageConfirm       pageKind = "confirm"        // is this you? before a session exists
	pageError         pageKind = "error"          // the login didn't come about; Code says why
	pageRefused       pageKind = "refused"        // logged in, but not let in
	pageForbiddenSite pageKind = "forbidden-site" // a host that isn't configured
	pageLogout        pageKind = "logout"         // asks before logging out
	pageLoggedOut     pageKind = "logged-out"     // says that it is done
	pageLoop          pageKind = "loop"           // the third round in a minute; Cause says why
	pageResend        pageKind = "resend"         // a form's POST or a frame without a session
	pageForeign       pageKind = "foreign"        // a form's POST that another site has sent
	pageKept          pageKind = "kept"           // a form's POST without a session, whose fields the page holds
	pageUnavailable   pageKind = "unavailable"    // Vipps is away
	pageAppAway       pageKind = "app-away"       // the app behind the site doesn't answer
	pageNotFound      pageKind = "not-found"
	pageTooLarge      pageKind = "too-large" // body (413) or header (431) beyond its limit
	pageTooMany       pageKind = "too-many"  // logins were started
	pageElsewhere     pageKind = "elsewhere" // the login began in another browser
	pageAlready       pageKind = "already"   // there is a session: go on
)

// pageStatus is what a page answers when its Status is zero.
var pageStatus = map[pageKind]int{
	pageLogin: http.StatusOK, pageConfirm: http.StatusOK, pageError: http.StatusBadRequest,
	pageRefused: http.StatusForbidden, pageForbiddenSite: http.StatusMisdirectedRequest,
	pageLogout: http.StatusOK, pageLoggedOut: http.StatusOK, pageLoop: http.StatusBadRequest,
	pageResend: http.StatusUnauthorized, pageForeign: http.StatusUnauthorized, pageKept: http.StatusUnauthorized, pageUnavailable: http.StatusServiceUnavailable,
	pageAppAway: http.StatusBadGateway, pageNotFound: http.StatusNotFound, pageTooLarge: http.StatusRequestEntityTooLarge,
	pageTooMany: http.StatusTooManyRequests, pageAlready: http.StatusOK, pageElsewhere: http.StatusOK,
}

// page is what one page says. Every text in it counts as hostile: it reaches the HTML through html/template's
// escaping only, and links are built from it only where that is said below.
type page struct {
	Kind   pageKind
	Status int // zero: the kind's own, see pageStatus

	SiteName string // zero: "this site", and no name in the title
	Contact  string // an e-mail address, https URL or phone number is made a link; anything else is shown as it is. Zero: no contact
	Market   string // NO, DK, FI, SE or "": which brand the buttons name, and the language of last resort

	Reference string // shown where it is set, to be read out on the phone: "K7QF-2M9P"

	// ReturnTo is where the person wanted to go: a path with its query. What isn't a path on this site ("//host",
	// "/\host", a control character anywhere) counts as "/". Forms carry it in the hidden field rd; the logout
	// form only when it is set, since without rd a logout ends on its own page.
	ReturnTo string
	// Origins are those of other sites that ReturnTo may begin with. Zero: none.
	Origins []string

	LoginAction, LogoutAction, ResultAction string // absolute paths; zero: those under /_vipps

	Code  string // pageError: a code of pageFaults; others get a general text. Never an error_description
	Cause string // pageLoop: one of pageLoopCauses; others count as "unknown"

	Person      string // already masked; zero: the texts do without
	Other       string // pageConfirm: who is logged in here now, masked as well
	Instead     string // pageConfirm: the opaque field "instead", which says whom the login would replace. Zero: nobody
	Landed      bool   // pageConfirm: the login began elsewhere
	Ours        bool   // pageRefused: from a page of ours, not from the site
	AfterLogout bool   // pageLogin, pageConfirm: say why we ask, and where to make Vipps forget the browser
	NotKept     bool   // pageLoggedOut: the end of the session isn't saved yet
	Token       string // pageConfirm: the opaque field "token" of the forms
	RetryAfter  int    // seconds, for pageUnavailable and pageTooMany; zero: no Retry-After header
	Policy      string // pageLogin: the field "policy" of the form. Zero: none
	LoginURL    string // pageResend, pageKept: opened in a new tab, a path or an http(s) URL; zero: LoginAction

	Fields []pageField // pageKept: of the form that is sent to ReturnTo again
}

// pageAsset is what all pages share, made once from the embedded files and never changed.
type pageAsset struct {
	*pages.Assets
	csp string
}

// pageAssets panics on embedded files that don't parse: a fault of the build, which every test of a page shows.
var pageAssets = sync.OnceValue(func() *pageAsset {
	a, err := pages.Load(pageFiles)
	if err != nil {
		panic("forwardauth: " + err.Error())
	}
	return &pageAsset{a, pagePolicy(a.StyleHash)}
})

// pagePolicy is the Content-Security-Policy of every page: no script, no image, no font, and no style but ours.
//
// There is no form-action on purpose. Chromium holds the redirects that follow a form's POST against it too, and
// the POST to /_vipps/login is answered with a redirect to the provider, whose login pages have origins of their
// own which we can't list. default-src doesn't cover form-action, so leaving it out is enough. The actions
// themselves are paths that we write.
func pagePolicy(styleHash string) string {
	return "default-src 'none'; style-src 'sha256-" + styleHash + "'; base-uri 'none'; frame-ancestors 'none'"
}

// write answers r with the page: language, headers, status, and the body unless it is a HEAD.
func (p *page) write(w http.ResponseWriter, r *http.Request) {
	assets := pageAssets()
	lang := pages.Language(assets.Texts, r.Header.Values("Accept-Language"), p.Market)
	view := p.view(lang, assets.Texts[lang])
	var body bytes.Buffer
	if err := assets.Layout.ExecuteTemplate(&body, "page.html", view); err != nil {
		// Nothing a client sends leads here; a page that can't be made must still not be a blank one.
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, "Internal error", http.StatusInternalServerError)
		return
	}
	status := p.status()
	pageHeaders(w.Header(), lang, view.holdsForm())
	if p.Kind == pageResend || p.Kind == pageKept {
		// A frame of the site itself may show it: it holds nothing but a link that opens a tab, and the form that the
		// frame has just sent.
		w.Header().Set("Content-Security-Policy", strings.Replace(assets.csp, "frame-ancestors 'none'", "frame-ancestors 'self'", 1))
		w.Header().Set("X-Frame-Options", "SAMEORIGIN")
	}
	if p.RetryAfter > 0 && (status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests) {
		w.Header().Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body.Bytes()) // the client went away: nobody is left to tell
	}
}

// status is the page's own status, or its kind's.
func (p *page) status() int {
	switch {
	case p.Status != 0:
		return p.Status
	case p.Kind == pageError && p.Code == pageCodeInternal:
		return http.StatusInternalServerError
	case pageStatus[p.Kind] != 0:
		return pageStatus[p.Kind]
	}
	return http.StatusInternalServerError
}

// pageVary is what the pages depend on: the person's language, and what makes a request a navigation.
const pageVary = "Cookie, Accept, Accept-Language, Sec-Fetch-Mode, Sec-Fetch-Dest, X-Requested-With"

// pageHeaders sets what every page carries.
//
// Referrer-Policy is no-referrer, but same-origin on a page that holds a form. The Fetch standard ("append a
// request Origin header") turns the Origin of a form's POST into "null" under no-referrer, and the engine refuses
// a POST whose Origin isn't its own. Under same-origin the POST to ourselves says who we are, while a request to
// another origin still gets no Referer at all: neither a followed link nor the redirect to the provider, which is
// a GET and therefore has no Origin either.
func pageHeaders(h http.Header, lang string, holdsForm bool) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", lang)
	h.Set("Content-Security-Policy", pageAssets().csp)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	if holdsForm {
		h.Set("Referrer-Policy", "same-origin")
	}
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Vary", pageVary)
}
