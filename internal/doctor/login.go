package doctor

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/vippsauth/vippsauth/vipps"
)

// attemptName is the name of a login attempt's cookie: with the prefix on https, with a port where one host has several sites.
var attemptName = regexp.MustCompile(`^(__Host-)?vippsauth(-\d+)?-login-`)

// ownPage reports whether an answer is a page of vippsauth's.
func (w *answer) ownPage() bool {
	return strings.Contains(w.header.Get("Content-Security-Policy"), "style-src 'sha256-") || strings.Contains(w.body, `action="`+pathLogin+`"`)
}

// loginPage starts a login and looks at the cookie of the attempt and at where it leads.
func (v *visit) loginPage(ctx context.Context) {
	w := v.startLogin(ctx)
	if w != nil && v.sentToAuthURL(w) {
		w = v.startLogin(ctx)
	}
	if w == nil {
		return
	}
	to := w.location()
	if to == nil || to.Query().Get("redirect_uri") == "" {
		v.noLogin(w)
		return
	}
	v.login, v.authorize = w, to
	want := v.pages.String() + pathCallback
	if got := to.Query().Get("redirect_uri"); got != want {
		v.problem("login", "the login asks to come back to "+short(got)+", and not to "+want, "the login ends on another site, or is refused", "set public_url to "+v.pages.String())
	} else {
		v.ok("login", "a login starts, at "+short(to.Host)+", and will come back to "+want)
	}
	v.attemptCookie(w)
}

// sentToAuthURL reports whether logins are made at another host of the site's domain, as auth_url says, and goes there.
func (v *visit) sentToAuthURL(w *answer) bool {
	to := w.location()
	if to == nil || to.Path != pathLogin || to.Scheme+"://"+to.Host == v.origin || to.Query().Get("rd") != v.origin+v.path || !sameDomain(to.Hostname(), v.target.Hostname()) {
		return false
	}
	v.pages = &url.URL{Scheme: to.Scheme, Host: to.Host}
	v.note("login", "logins are made at "+short(v.pages.String())+", as auth_url says: that is where they are looked at", "")
	return true
}

// sameDomain reports whether two hosts may share cookies: the last two parts of their names are the same.
func sameDomain(a, b string) bool {
	last := func(host string) string {
		parts := strings.Split(strings.ToLower(host), ".")
		if len(parts) < 2 {
			return ""
		}
		return strings.Join(parts[len(parts)-2:], ".")
	}
	return last(a) != "" && last(a) == last(b)
}

// returnTo is the page asked for as the login page is given it.
func (v *visit) returnTo() string {
	if v.pages.String() != v.origin {
		return v.origin + v.path
	}
	return v.path
}

// startLogin asks for the login, and presses the button where there is one. It speaks up only when nothing comes back.
func (v *visit) startLogin(ctx context.Context) *answer {
	w := v.ask(ctx, "login", ask{at: v.pages, path: pathLogin + "?rd=" + url.QueryEscape(v.returnTo()), header: navigation()})
	if w == nil || w.status != http.StatusOK || !w.ownPage() {
		return w
	}
	return v.pressButton(ctx)
}

// pressButton asks for a login as a person's click on the button of one of vippsauth's pages does.
func (v *visit) pressButton(ctx context.Context, more ...string) *answer {
	return v.ask(ctx, "login", ask{
		at: v.pages, method: http.MethodPost, path: pathLogin, body: "rd=" + url.QueryEscape(v.returnTo()),
		header: append([]string{
			"Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: same-origin", "Sec-Fetch-User: ?1",
			"Origin: " + v.pages.String(),
		}, more...),
	})
}

// noLogin says why no login starts.
func (v *visit) noLogin(w *answer) {
	const why = "nobody can log in"
	to, cureRoute := w.location(), cureRoute
	if v.pages.String() != v.origin {
		cureRoute = "make " + v.pages.String() + " a site of the proxy's too, and " + cureRoute
	}
	switch {
	case w.status == http.StatusServiceUnavailable && w.ownPage():
		v.problem("login", "vippsauth can't reach Vipps: its login page says so", why, "run vippsauth doctor without --url where vippsauth runs, with its settings")
	case w.status == http.StatusMisdirectedRequest:
		v.problem("login", "vippsauth doesn't know this host (421)", why, "add "+v.origin+" to public_url, and pass Host on under /_vipps/ as the browser sends it")
	case w.status == http.StatusUnauthorized, to != nil && strings.HasSuffix(to.Path, pathLogin):
		v.problem("login", "the login page itself needs a login: "+w.says(), why, cureRoute)
	case w.opens() && !w.ownPage():
		v.problem("login", "the application answers at "+pathLogin+": "+w.says(), why, cureRoute)
	case w.status == http.StatusNotFound:
		v.problem("login", "there is nothing at "+pathLogin+" (404)", why, cureRoute)
	case w.unanswered():
		v.problem("login", "vippsauth doesn't answer at "+pathLogin+": "+w.says(), why, cureAway)
	default:
		v.problem("login", "no login starts: "+pathLogin+" answers "+w.says(), why, cureRoute+"; and look at vippsauth's log")
	}
}

// attemptCookie looks at the cookie that binds a login to the browser that began it.
func (v *visit) attemptCookie(w *answer) {
	for _, c := range w.cookies() {
		if attemptName.MatchString(c.Name) && c.MaxAge >= 0 {
			v.attempt = c
		}
	}
	c := v.attempt
	if c == nil {
		v.problem("cookie", "the login sets no cookie", "the callback can't know who comes back: every login fails", "let the proxy pass Set-Cookie through (no proxy_hide_header, no caching of /_vipps/)")
		return
	}
	var faults []string
	fault := func(is bool, text string) {
		if is {
			faults = append(faults, text)
		}
	}
	fault(v.secure() && !strings.HasPrefix(c.Name, "__Host-"), "its name lacks __Host-")
	fault(v.secure() && !c.Secure, "Secure is missing")
	fault(!c.HttpOnly, "HttpOnly is missing")
	fault(c.SameSite != http.SameSiteLaxMode, "SameSite is not Lax")
	fault(c.Path != "/", "Path is not /")
	fault(c.Domain != "", "it has a Domain")
	if len(faults) > 0 {
		v.problem("cookie", "the cookie of the login is changed on its way: "+strings.Join(faults, ", "), "with another path, domain or SameSite browsers drop it or don't send it back, and without HttpOnly and Secure others can read it",
			"take out what rewrites cookies (proxy_cookie_path, proxy_cookie_domain, proxy_cookie_flags); if the name lacks __Host-, public_url is not https")
		return
	}
	v.ok("cookie", "the login's cookie arrives as it was sent")
}

// loginAgain starts a second login: one that is a copy of the first comes out of a cache.
func (v *visit) loginAgain(ctx context.Context) {
	if v.authorize == nil {
		return
	}
	w := v.startLogin(ctx)
	if w == nil || w.location() == nil {
		return
	}
	if state := w.location().Query().Get("state"); state != "" && state == v.authorize.Query().Get("state") {
		v.problem("cache", "two logins are the same one: the answer comes out of a cache", "people get each other's logins", "let no cache or CDN keep anything under /_vipps/, whatever its rules say of Cache-Control")
	}
}

// callback comes back with a made-up state: it must be vippsauth that says so.
func (v *visit) callback(ctx context.Context) {
	const madeUp = "vippsauth-doctor-made-this-up-0000000000000" // as long as a real one's first part
	w := v.ask(ctx, "callback", ask{at: v.pages, path: pathCallback + "?code=vippsauth-doctor&state=" + madeUp, header: navigation()})
	if w == nil {
		return
	}
	to := w.location()
	if w.status == http.StatusSeeOther && to != nil && to.Path == pathResult {
		if to.Scheme+"://"+to.Host != v.pages.String() {
			v.problem("callback", "the callback goes on to another site: "+w.says(), "logins end there", "set public_url to "+v.origin+", and leave Location alone")
			return
		}
		v.ok("callback", "the callback is vippsauth's, and knows a made-up login from a real one")
		v.resultPage(ctx, to)
		return
	}
	const why = "Vipps sends people back there: every login ends at it"
	switch {
	case w.status == http.StatusUnauthorized, to != nil && strings.HasSuffix(to.Path, pathLogin):
		v.problem("callback", "the callback itself needs a login: "+w.says(), why, cureRoute)
	case w.opens():
		v.problem("callback", "the callback is answered by the application: "+w.says(), why, cureRoute)
	case w.status == http.StatusForbidden || w.status == http.StatusNotFound || w.status == http.StatusMethodNotAllowed:
		v.problem("callback", "the callback is unreachable: "+w.says(), why, cureRoute+"; a firewall for web applications may refuse its query: let code and state through")
	case w.status == http.StatusMisdirectedRequest:
		v.problem("callback", "vippsauth doesn't know this host (421)", why, "add "+v.origin+" to public_url, and pass Host on under /_vipps/ as the browser sends it")
	case w.unanswered():
		v.problem("callback", "vippsauth doesn't answer at "+pathCallback+": "+w.says(), why, cureAway)
	default:
		v.problem("callback", "the callback answers "+w.says(), why, cureRoute+"; and look at vippsauth's log")
	}
}

// resultPage looks at the page that such a callback leads to: whole, and as it was made.
func (v *visit) resultPage(ctx context.Context, to *url.URL) {
	w := v.ask(ctx, "pages", ask{at: v.pages, path: to.RequestURI(), header: navigation()})
	switch {
	case w == nil:
	case !strings.HasPrefix(w.header.Get("Content-Type"), "text/html") || w.status != http.StatusBadRequest:
		v.problem("pages", "the page that tells people why a login failed is not shown: "+w.says(), "they see an error of the proxy's", cureRoute+"; and let it hand vippsauth's error pages through (proxy_intercept_errors off under /_vipps/)")
	case strings.Contains(strings.ToLower(w.body), "<script"):
		v.warn("pages", "something adds a script to vippsauth's pages", "they have none, so that nothing runs where people log in", "turn that off for /_vipps/ (a CDN's optimiser, sub_filter)")
	case !strings.Contains(w.header.Get("Content-Security-Policy"), "default-src 'none'"):
		v.warn("pages", "the Content-Security-Policy of vippsauth's pages is lost or replaced", "it keeps scripts and frames out of where people log in", "let the proxy leave it alone under /_vipps/")
	case !w.noStore():
		v.warn("pages", "vippsauth's pages lose Cache-Control: no-store", "a cache may show one person's page to another", "let the proxy leave it alone under /_vipps/")
	default:
		v.ok("pages", "vippsauth's pages arrive as they were made")
	}
}

// cookiesBack cancels the login that was begun, as a person would: whether its cookie came back shows in that it is cleared.
func (v *visit) cookiesBack(ctx context.Context) {
	if v.attempt == nil || v.authorize == nil {
		return
	}
	query := url.Values{"error": {"access_denied"}, "error_description": {"User cancelled the login"}, "state": {v.authorize.Query().Get("state")}}
	w := v.ask(ctx, "cookies-back", ask{at: v.pages, path: pathCallback + "?" + query.Encode(), header: navigation("Cookie: " + v.attempt.Name + "=" + v.attempt.Value)})
	if w == nil || w.status != http.StatusSeeOther {
		return // the callback has been spoken of
	}
	for _, c := range w.cookies() {
		if c.Name == v.attempt.Name && c.MaxAge < 0 {
			v.ok("cookies-back", "the login's cookie comes back to vippsauth")
			return
		}
	}
	v.problem("cookies-back", "the login's cookie doesn't come back to vippsauth, or its answer's Set-Cookie is lost", "every login ends with \"we lost the thread\"",
		"let the proxy pass Cookie and Set-Cookie through under /_vipps/; with several instances give each the same cookie_keys")
}

// provider goes where a browser is sent to, once, and reads whether the provider knows the client and its redirect URI.
func (v *visit) provider(ctx context.Context) {
	if !v.site.AskProvider || v.authorize == nil {
		return
	}
	w, err := v.send(ctx, ask{at: &url.URL{Scheme: v.authorize.Scheme, Host: v.authorize.Host}, path: v.authorize.RequestURI(), header: navigation()})
	if err != nil {
		v.problem("provider", "the provider doesn't answer from here: "+reason(err), "people are sent there", "look at status.vippsmobilepay.com, and at this machine's network")
		return
	}
	reportRegistration(&v.findings, "provider", vipps.ReadAuthorizeAnswer(w.status, w.header, []byte(w.body)), v.authorize.Query().Get("redirect_uri"))
	v.skew("provider-clock", "the provider's clock", w)
}

// reportRegistration says whether the provider knows a redirect URI.
func reportRegistration(f *findings, check string, p vipps.Probe, uri string) {
	switch p.Answer {
	case vipps.AnswerYes:
		f.ok(check, "the provider knows the client, and "+uri)
	case vipps.AnswerNo:
		what := "the provider refuses a login that comes back to " + uri
		if p.Err != nil {
			what += strings.TrimSpace(": " + p.Err.Code + " " + p.Err.Description)
		}
		f.problem(check, what, "every login ends on the provider's error page, and vippsauth hears nothing of it", causes(p.Err, "register "+uri+" in the portal, for this sales unit and environment, byte for byte"))
	default:
		what := "cannot tell from outside whether " + uri + " is registered"
		if p.Err != nil {
			what += ": " + p.Err.Error()
		}
		f.note(check, what, "log in once in a browser; if the provider shows an error page, compare the redirect URI in the portal byte for byte")
	}
}
