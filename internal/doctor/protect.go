package doctor

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// What several checks say.
const (
	cureAway    = "see that vippsauth runs and where it listens, and look at the proxy's error log"
	cureRoute   = "pass every path under /_vipps/ to vippsauth, without asking it first, as the snippet for your proxy does"
	cureSnippet = "compare with the snippet for your proxy: vippsauth snippet PROXY"
)

// refusal is the body of an answer of ours in JSON.
type refusal struct {
	Error    string `json:"error"`
	LoginURL string `json:"login_url"`
}

// refusal reads the body of an answer; its fields are empty when that is none of ours. Apache calls what is said of the
// proxy itself text/html.
func (w *answer) refusal() refusal {
	var r refusal
	if json.Unmarshal([]byte(w.body), &r) != nil || !strings.HasPrefix(w.header.Get("Content-Type"), "application/json") && !r.ofProxy() {
		return refusal{}
	}
	return r
}

// ofProxy reports whether the proxy's question itself is refused, whoever is asked about.
func (r refusal) ofProxy() bool {
	return r.Error == "untrusted_peer" || r.Error == "bad_request" || r.Error == "unknown_policy"
}

// opens reports whether an answer is one of the application's.
func (w *answer) opens() bool { return w.status >= 200 && w.status < 300 }

// unanswered reports whether the proxy says that nothing answers behind it.
func (w *answer) unanswered() bool { return w.status >= 502 && w.status <= 504 && !w.ownPage() }

// protected reports whether the page asked for needs a login, as far as was seen.
func (v *visit) protected() bool { return v.nav != nil && !v.nav.opens() }

// anonymous reports whether the site lets people read on without a login: its redirect says so.
func (v *visit) anonymous() bool {
	if v.nav == nil {
		return false
	}
	to := v.nav.location()
	return to != nil && to.Query().Get("auto") != ""
}

// navigation opens the page as a browser without a session: it must be sent to the login, and nowhere else.
func (v *visit) navigation(ctx context.Context) {
	w := v.ask(ctx, "navigation", ask{path: v.path, header: navigation()})
	if w == nil {
		return
	}
	v.nav = w
	to := w.location()
	if to == nil || !strings.HasSuffix(to.Path, pathLogin) {
		v.notSent(ctx, w)
		return
	}
	before := len(v.list)
	v.sentRight(to)
	if len(w.header["Set-Cookie"]) > 0 {
		v.note("navigation", "the redirect to the login sets a cookie, which isn't vippsauth's", "see whether the proxy or CDN that adds it has to")
		before++
	}
	if len(v.list) == before {
		v.ok("navigation", "a browser without a session is sent to the login, and will come back to the page that it asked for")
	}
}

// sentRight looks at where the login is said to be.
func (v *visit) sentRight(to *url.URL) {
	switch {
	case to.Host == "":
		v.problem("navigation", "the redirect to the login is relative: "+short(to.Path), "vippsauth sends an absolute address; something rewrites it", "turn off the proxy's rewriting of Location (proxy_redirect off, ProxyPassReverse)")
		return
	case to.Scheme+"://"+to.Host != v.origin || to.Path != pathLogin:
		v.problem("navigation", "the login is said to be at "+short(to.Scheme+"://"+to.Host+to.Path)+", and not at "+v.origin+pathLogin,
			"the session would be made for another site, and the login go round",
			"set public_url to "+v.origin+", let the proxy pass on the host with its port and the scheme as the browser has them, and leave Location alone")
		return
	}
	rd := to.Query()["rd"]
	if len(rd) != 1 {
		v.problem("navigation", "the login isn't told which page was asked for", "people end on the front page", "let the proxy pass the path and query on: X-Original-URL, or X-Forwarded-Uri")
		return
	}
	if fault, cure := pathFault(rd[0], v.path); fault != "" {
		v.problem("navigation", "the page asked for arrives as "+short(rd[0])+": "+fault, "policies and return addresses are judged by it, and people come back to another page", cure)
	}
}

// pathFault says how a path and query was changed on its way.
func pathFault(got, want string) (fault, cure string) {
	path, _, _ := strings.Cut(want, "?")
	decoded := func(s string) string {
		if d, err := url.QueryUnescape(s); err == nil {
			return d
		}
		return s
	}
	switch {
	case got == want:
		return "", ""
	case strings.Contains(got, pathAuthz) || strings.Contains(got, "auth_request"):
		return "that is the proxy's own question, not the page", "pass what the browser asked for: $request_uri in nginx, not $uri"
	case got == path || strings.HasPrefix(want, got):
		return "the query, or a part of it, is lost", "pass the whole of it: $request_uri in nginx, not $uri; and nothing unescaped inside of another query"
	case decoded(got) == decoded(want):
		return "it is decoded, or encoded again", "pass it as the browser wrote it: $request_uri in nginx, not $uri"
	}
	return "that is not what was asked", cureSnippet
}

// notSent says why a browser isn't sent to the login.
func (v *visit) notSent(ctx context.Context, w *answer) {
	const nobodyGetsIn = "nobody can log in"
	switch said := w.refusal().Error; {
	case w.opens():
		v.problem("navigation", "the page is answered without a login: "+w.says(), "nothing protects it, unless it is public on purpose",
			"let the proxy ask vippsauth about it, or give --url a page that needs a login")
	case w.status == http.StatusMisdirectedRequest:
		v.problem("navigation", "vippsauth doesn't know this host (421)", nobodyGetsIn,
			"add "+v.origin+" to public_url, and let the proxy pass on the host with its port ($http_host has it, $host doesn't)")
	case said == "untrusted_peer":
		v.problem("navigation", "vippsauth doesn't trust the proxy", nobodyGetsIn, "add the proxy's address to trusted_proxies, and give both the same proxy_secret if there is one; vippsauth's log names the line to add")
	case said == "bad_request":
		v.problem("navigation", "the proxy doesn't say which request is to be judged", nobodyGetsIn,
			"let it send X-Original-URL and X-Original-Method (nginx), or X-Forwarded-Method, -Proto, -Host and -Uri (others), each once; vippsauth's log says which is missing")
	case said == "unknown_policy":
		v.problem("navigation", "the proxy asks for a policy that vippsauth doesn't have", nobodyGetsIn, "correct the end of the path that the proxy asks, or add the policy")
	case said == "login_required":
		v.problem("navigation", "a browser's visit is taken for a script's, and gets 401", nobodyGetsIn, "let the proxy pass the headers Accept and Sec-Fetch-* on to vippsauth, and the method as it was")
	case w.status == http.StatusUnauthorized || w.status == http.StatusForbidden:
		v.problem("navigation", "the proxy shows its own "+w.says(), "people see an error in place of the login",
			"send 401 and 403 to vippsauth's challenge: error_page 401 403 = @vipps in nginx; if it is a 403, look at trusted_proxies and proxy_secret too")
	case w.status >= 500:
		v.unjudged(ctx, w)
	case w.location() != nil:
		v.problem("navigation", "a browser is sent elsewhere: "+w.says(), "that is not vippsauth's login", "give --url the address that browsers end at, or see what redirects before vippsauth is asked")
	default:
		v.problem("navigation", "the page is answered with "+w.says(), "it should lead to the login", "give --url a page that needs a login")
	}
}

// unjudged says why the page is an error of the proxy's: vippsauth is away, or it answers and the proxy makes nothing of that.
func (v *visit) unjudged(ctx context.Context, w *answer) {
	const why = "nobody gets to the site"
	me, err := v.send(ctx, ask{path: pathMe, header: script()})
	if err != nil || me.refusal().Error != "login_required" {
		v.problem("navigation", "the proxy gets no answer from vippsauth that it can use: "+w.says(), why, cureAway)
		return
	}
	v.problem("navigation", "vippsauth runs, and the proxy gets no answer about this page that it can use: "+w.says(), why,
		"let the proxy ask vippsauth about every page (auth_request in nginx, for the whole server), at vippsauth's address (its fcgi_listen for Apache), and read X-Vipps-Auth of its answer; "+
			"where the page is public, see that the application runs; the proxy's error log says which it is")
}

// script asks for the page as a script of the site does: it must be told, and not be redirected.
func (v *visit) script(ctx context.Context) {
	w := v.ask(ctx, "script", ask{path: v.path, header: script("Referer: " + v.origin + v.path)})
	if w == nil {
		return
	}
	v.scripted = w
	said := w.refusal()
	switch {
	case w.opens() && v.anonymous():
		v.ok("script", "the site can be read without a login, as set")
	case w.opens():
		v.problem("script", "a script gets the page without a login: "+w.says(), "nothing protects it, unless it is public on purpose", "let the proxy ask vippsauth about every request, whatever its headers")
	case w.location() != nil:
		v.problem("script", "a script is redirected: "+w.says(), "it can't log in, and reads the login page as data", "let the proxy hand vippsauth's own answer through, 401 included, and make no redirect of it; let Accept and Sec-Fetch-* through")
	case w.status != http.StatusUnauthorized || said.Error != "login_required":
		if v.protectedByUs() {
			v.problem("script", "a script gets "+w.says()+" in place of vippsauth's 401", "it can't tell that a login is needed", "let the proxy hand vippsauth's own answer through, with its body")
		}
	default:
		v.scriptTold(w, said)
	}
}

// protectedByUs reports whether the page leads to our login.
func (v *visit) protectedByUs() bool {
	return v.nav != nil && v.nav.location() != nil && strings.HasSuffix(v.nav.location().Path, pathLogin)
}

func (v *visit) scriptTold(w *answer, said refusal) {
	want := v.origin + pathLogin + "?rd=" + url.QueryEscape(v.path)
	switch {
	case said.LoginURL == v.origin+pathLogin:
		v.note("script", "a script gets 401 with a login_url that doesn't lead back to its page: Referer doesn't reach vippsauth", "let the proxy pass Referer on")
	case said.LoginURL != want:
		v.problem("script", "login_url is "+short(said.LoginURL)+", and not "+short(want), "scripts send people to the wrong place", "set public_url to "+v.origin+", and let nothing rewrite the body")
	case w.header.Get("X-Vipps-Login-Url") != said.LoginURL:
		v.note("script", "a script gets 401 with login_url, but X-Vipps-Login-Url is missing", "let the proxy hand the headers of vippsauth's answer through")
	default:
		v.ok("script", "a script gets 401 with login_url")
	}
	if len(w.header["Set-Cookie"]) > 0 {
		v.note("script", "the 401 for scripts sets a cookie, which isn't vippsauth's", "see whether the proxy or CDN that adds it has to")
	}
}

// method asks with one that can't be redirected, as a form does: with OPTIONS, which changes nothing in any application.
func (v *visit) method(ctx context.Context) {
	if !v.protectedByUs() || v.anonymous() {
		return
	}
	w := v.ask(ctx, "method", ask{method: http.MethodOptions, path: v.path, header: navigation()})
	switch {
	case w == nil:
	case w.opens():
		v.warn("method", "OPTIONS is answered without a login: "+w.says(), "that is fine for what answers preflights, and a hole where the application does more", "let the proxy ask vippsauth about every method")
	case w.location() != nil:
		v.problem("method", "a request that is no GET is redirected as if it were one", "a form that is sent after the session's end loses what was written, with no word", "pass the method on: X-Original-Method $request_method in nginx, or X-Forwarded-Method")
	default:
		v.ok("method", "other methods than GET are told apart: "+w.says())
	}
}

// websocket shakes hands without a session.
func (v *visit) websocket(ctx context.Context) {
	if !v.protectedByUs() || v.anonymous() {
		return
	}
	w := v.ask(ctx, "websocket", ask{path: v.path, header: []string{
		"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dmlwcHNhdXRoLWRvY3Rvcg==", "Sec-WebSocket-Version: 13",
		"Origin: " + v.origin, "Sec-Fetch-Mode: websocket", "Sec-Fetch-Dest: empty", "Sec-Fetch-Site: same-origin",
	}})
	switch {
	case w == nil:
	case w.status == http.StatusSwitchingProtocols || w.opens():
		v.problem("websocket", "a websocket opens without a login: "+w.says(), "who isn't logged in talks to the application", "let the proxy ask vippsauth about handshakes too")
	case w.status == http.StatusUnauthorized:
		v.ok("websocket", "a websocket without a session gets 401")
	default:
		v.note("websocket", "a websocket without a session gets "+w.says()+", where vippsauth answers 401", "let the proxy hand the 401 through")
	}
}
