package forwardauth_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/forwardauth"
)

// parameter is something by which a client could say where to go. Its request carries a line; to is where the answer may
// lead, and nil where nothing is promised but that it leads nowhere else than to the site.
type parameter struct {
	name    string
	over    []string
	request func(x *crossroads, line string) string
	to      func(want string) string
	login   func(want string) string // where a login would start, for a script
	paths   bool                     // promised of paths only that aren't our own pages, and that a server takes for one
	every   int                      // only every so manieth line, where each costs a login; 0: all of them
	long    bool                     // also those that are longer than any header: a server takes its time to refuse them
}

var (
	anywhere = []string{"protect", "service"}
	byAll    = []string{"protect", "service", "protect far", "service far"}
)

func onSite(want string) string { return crossSite + want }
func toRoot(string) string      { return crossSite + "/" }
func toOK(string) string        { return crossSite + "/ok" }
func toLogin(string) string     { return crossSite + "/_vipps/login" }
func toLogout(string) string    { return crossSite + "/_vipps/logout" }
func back(want string) string   { return crossSite + "/_vipps/login?rd=" + url.QueryEscape(want) }

// get is a navigation with a session, or without one.
func get(session bool, target func(escaped string) string) func(*crossroads, string) string {
	return func(x *crossroads, line string) string {
		cookie := ""
		if session {
			cookie = x.session
		}
		return crossRequest(http.MethodGet, target(url.QueryEscape(line)), "", "Cookie: "+cookie)
	}
}

// post is a form of our own page's, without a session.
func post(path string, form func(escaped string) string) func(*crossroads, string) string {
	return func(_ *crossroads, line string) string {
		return crossRequest(http.MethodPost, path, form(url.QueryEscape(line)))
	}
}

// rdParameters are the places in which rd is read: a login's and a logout's.
func rdParameters() []parameter {
	rd := func(before string) func(string) string { return func(v string) string { return before + v } }
	return []parameter{
		{name: "rd of login", over: anywhere, request: get(true, rd("/_vipps/login?rd=")), to: onSite, long: true},
		{name: "rd of login, by another spelling of its name", over: anywhere, request: get(true, rd("/_vipps/login?%72%64=")), to: onSite},
		{name: "rd of login, as it stands", over: anywhere, request: func(x *crossroads, line string) string {
			return crossRequest(http.MethodGet, "/_vipps/login?rd="+line, "", "Cookie: "+x.session)
		}},
		{name: "rd of login without a session", over: anywhere, request: get(false, rd("/_vipps/login?rd=")), every: 10},
		{name: "rd of login's form", over: anywhere, request: func(x *crossroads, line string) string {
			return crossRequest(http.MethodPost, "/_vipps/login", "rd="+url.QueryEscape(line), "Cookie: "+x.session)
		}, to: onSite},
		{name: "rd of logout's page", over: anywhere, request: get(true, rd("/_vipps/logout?rd="))},
		{name: "rd of logout's form", over: anywhere, request: post("/_vipps/logout", rd("rd=")), to: onSite, long: true},
		{name: "rd of logout that logs in again", over: []string{"protect"}, request: post("/_vipps/logout", rd("then=login&rd=")), every: 10},
		{name: "rd of result", over: anywhere, request: get(true, rd("/_vipps/result?rd="))},
		{name: "rd of callback", over: anywhere, request: get(true, rd("/_vipps/callback?rd=")), every: 5},
	}
}

// doubledParameters are what two readers may understand in two ways: nobody's word counts then.
func doubledParameters() []parameter {
	in := func(format string) func(string) string {
		return func(v string) string { return strings.ReplaceAll(format, "$", v) }
	}
	all := []parameter{
		{name: "rd=/ok&rd=LINE", over: anywhere, request: get(true, in("/_vipps/login?rd=/ok&rd=$")), to: toRoot},
		{name: "rd=LINE&rd=/ok", over: anywhere, request: get(true, in("/_vipps/login?rd=$&rd=/ok")), to: toRoot},
		{name: "rd=LINE&rd=LINE", over: anywhere, request: get(true, in("/_vipps/login?rd=$&rd=$")), to: toRoot},
		{name: "rd=/ok&RD=LINE", over: anywhere, request: get(true, in("/_vipps/login?rd=/ok&RD=$&Rd=$&rD=$")), to: toOK},
		{name: "rd[]=LINE", over: anywhere, request: get(true, in("/_vipps/login?rd[]=$&rd[0]=$&rd%5B%5D=$&rd.x=$&rd%00=$&%20rd=$&rd%20=$")), to: toRoot},
		{name: "rd=/ok;rd=LINE", over: anywhere, request: get(true, in("/_vipps/login?rd=/ok;rd=$")), to: toRoot},
		{name: "rd=/ok%26rd=LINE", over: anywhere, request: get(true, in("/_vipps/login?rd=/ok%26rd=$"))},
		{name: "rd=/ok%23LINE", over: anywhere, request: get(true, in("/_vipps/login?rd=/ok%23$")), to: toRoot},
		{name: "a broken query", over: anywhere, request: get(true, in("/_vipps/login?%zz&rd=$&%"))},
		{name: "logout's form: rd=/ok&rd=LINE", over: anywhere, request: post("/_vipps/logout", in("rd=/ok&rd=$")), to: toLogout},
		{name: "logout's form, and its query", over: anywhere, request: post("/_vipps/logout?rd=/evil", in("RD=$&rd[]=$")), to: toLogout},
		{name: "a form's query", over: anywhere, request: func(_ *crossroads, line string) string {
			return crossRequest(http.MethodPost, "/_vipps/logout?rd="+url.QueryEscape(line), "rd=/ok")
		}, to: toOK},
	}
	return all
}

// others are the names by which other products are told where to go. We know none of them.
var others = []string{
	"url", "next", "redirect", "redirect_uri", "redirect_url", "return", "return_to", "returnTo", "return_url", "ReturnUrl", "target", "target_link_uri", "post_logout_redirect_uri",
	"continue", "dest", "destination", "goto", "to", "uri", "u", "r", "back", "from", "state", "service", "RelayState", "wreply", "login_uri", "iss", "logout", "id_token_hint",
}

func otherParameters() []parameter {
	query := func(v string) string { return strings.Join(others, "="+v+"&") + "=" + v }
	path := func(before string) func(string) string { return func(v string) string { return before + query(v) } }
	return []parameter{
		{name: "other products' names at login", over: anywhere, request: get(true, func(v string) string { return "/_vipps/login?rd=/ok&" + query(v) }), to: toOK, every: 4},
		{name: "other products' names at logout", over: anywhere, request: post("/_vipps/logout", query), to: toLogout, every: 4},
		{name: "other products' names at logout's page", over: anywhere, request: get(false, path("/_vipps/logout?")), every: 4},
		{name: "other products' names at a page of the app", over: []string{"protect"}, request: func(_ *crossroads, line string) string {
			return crossRequest(http.MethodPost, "/_vipps/me?"+query(url.QueryEscape(line)), "")
		}, every: 4},
	}
}

// carrierParameters are what carries a place to come back to under our seal: text of anybody else's says nothing.
func carrierParameters() []parameter {
	const made = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	cookies := func(line string) string {
		value := strings.NewReplacer("%", "%25", ";", "%3B", "\r", "%0D", "\n", "%0A", "\x00", "%00").Replace(line)
		if len(value) > 2000 {
			value = value[:2000]
		}
		return "Cookie: " + crossSession + "=" + value + "; " + crossSession + "-hint=1" + value + "; " + crossSession + "-login-00000000AAAAAAAAAAAA=1" + value + "; rd=" + value + "; redirect_url=" + value + "; _oauth2_proxy=" + value
	}
	pathed := func(path string) func(*crossroads, string) string {
		return func(_ *crossroads, line string) string {
			return crossRequest(http.MethodGet, path, "", cookies(line))
		}
	}
	return []parameter{
		{name: "the callback's state", over: anywhere, request: get(false, func(v string) string { return "/_vipps/callback?code=x&state=" + v }), every: 4},
		{name: "the callback's state, with a session", over: anywhere, request: get(true, func(v string) string { return "/_vipps/callback?code=x&state=" + v }), every: 4},
		{name: "what the state carries", over: anywhere, request: get(true, func(v string) string { return "/_vipps/callback?code=x&state=" + made + "." + v }), every: 4},
		{name: "the callback's error", over: anywhere, request: get(false, func(v string) string {
			return "/_vipps/callback?state=" + made + "&error=" + v + "&error_description=" + v + "&error_uri=" + v + "&iss=" + v
		}), every: 4},
		{name: "the result's token", over: anywhere, request: get(true, func(v string) string { return "/_vipps/result?t=" + v })},
		{name: "the token of the result's form", over: anywhere, request: post("/_vipps/result", func(v string) string { return "choice=continue&token=" + v + "&rd=" + v })},
		{name: "cookies at a page of the app", over: []string{"protect"}, request: pathed("/x"), to: func(string) string { return back("/x") }},
		{name: "cookies at logout's page", over: anywhere, request: pathed("/_vipps/logout")},
		{name: "cookies at the callback", over: anywhere, request: pathed("/_vipps/callback?code=x&state=" + made), every: 4},
		{name: "cookies at login", over: anywhere, request: pathed("/_vipps/login?rd=/x"), every: 20},
	}
}

// headerParameters are what a client writes beside the address of its request. Nothing of it says where to go.
func headerParameters() []parameter {
	lines := func(line string) []string {
		value := strings.NewReplacer("\r", "", "\n", "", "\x00", "").Replace(line)
		if len(value) > 1000 {
			value = value[:1000]
		}
		var all []string
		for _, name := range []string{
			"X-Forwarded-Host", "X-Forwarded-Uri", "X-Forwarded-Prefix", "X-Forwarded-Proto", "X-Forwarded-Scheme", "X-Forwarded-Server", "X-Forwarded-Port", "X-Forwarded-Path", "X-Original-URL", "X-Original-Host",
			"X-Rewrite-URL", "X-Host", "X-HTTP-Host-Override", "Forwarded", "X-Auth-Request-Redirect", "X-Vipps-Login-Url", "X-Redirect", "Destination", "Origin-Url", "Referer",
		} {
			all = append(all, name+": "+value)
		}
		return append(all, "Forwarded: host="+value+";proto="+value)
	}
	with := func(method, target string, session bool, more ...string) func(*crossroads, string) string {
		return func(x *crossroads, line string) string {
			all := append(lines(line), more...)
			if session {
				all = append(all, "Cookie: "+x.session)
			}
			return crossRequest(method, target, "", all...)
		}
	}
	return []parameter{
		{name: "headers at a page of the app", over: []string{"protect", "protect far"}, request: with("GET", "/x?y=1", false), to: func(string) string { return back("/x?y=1") }},
		{name: "headers at login", over: byAll, request: with("GET", "/_vipps/login?rd=/ok", true), to: toOK},
		{name: "headers at logout", over: byAll, request: with("POST", "/_vipps/logout", false), to: toLogout},
		{name: "headers at a page that is missing", over: byAll, request: with("GET", "/_vipps/nothing", false), every: 5},
		{name: "headers at the callback", over: byAll, request: with("GET", "/_vipps/callback?state=x", false), every: 5},
		{name: "headers at a script's request", over: byAll, request: with("GET", "/_vipps/me", false, "Sec-Fetch-Mode: cors", "Referer: https://evil.example/")},
		{name: "headers at the app's logout", over: []string{"protect"}, request: with("GET", "/logout.php?rd=//evil.example", true), to: toLogout, every: 5},
		{name: "Referer at a script's request", over: []string{"protect", "service far"}, request: func(_ *crossroads, line string) string {
			if strings.HasPrefix(line, crossSite+"/") {
				line = "https://evil.example/" + line // or it would be the site's
			}
			return crossRequest(http.MethodGet, "/_vipps/me", "", "Sec-Fetch-Mode: cors", "Referer: "+line)
		}, login: toLogin},
		{name: "Referer of the site at a script's request", over: []string{"protect"}, request: func(_ *crossroads, line string) string {
			return crossRequest(http.MethodGet, "/api", "", "Sec-Fetch-Mode: cors", "Referer: "+crossSite+line)
		}},
		{name: "Referer of a form", over: []string{"protect"}, request: func(_ *crossroads, line string) string {
			return crossRequest(http.MethodPost, "/order", "a=b", "Referer: "+line)
		}},
		{name: "Referer of a form of the site", over: []string{"protect"}, request: func(_ *crossroads, line string) string {
			return crossRequest(http.MethodPost, "/order", "a=b", "Referer: "+crossSite+line)
		}},
	}
}

// pathParameters: the address of the request is what a login comes back to.
func pathParameters() []parameter {
	return []parameter{
		{name: "the request's own path", over: []string{"protect"}, request: func(_ *crossroads, line string) string {
			return crossRequest(http.MethodGet, line, "")
		}, to: back, paths: true},
		{name: "the request's own path, absolute", over: []string{"protect"}, request: func(_ *crossroads, line string) string {
			return crossRequest(http.MethodGet, crossSite+line, "", "Host: evil.example")
		}},
		{name: "the path of a form", over: []string{"protect"}, request: func(_ *crossroads, line string) string {
			return crossRequest(http.MethodPost, line, "a=b")
		}},
		{name: "the path of a script's request", over: []string{"protect"}, request: func(_ *crossroads, line string) string {
			return crossRequest(http.MethodGet, line, "", "Sec-Fetch-Mode: cors")
		}},
		{name: "the app's logout with something behind it", over: []string{"protect"}, request: func(_ *crossroads, line string) string {
			return crossRequest(http.MethodGet, "/logout.php?"+line, "")
		}, to: toLogout},
	}
}

// Attack: a link, a form, a header or a cookie of an attacker's makes us the redirect that a phishing mail needs: by each
// of the ways in which other products were told where to send people.
func TestSec_C001_A090_B100_EveryParameter(t *testing.T) {
	t.Parallel()
	x := newCrossroads(t, nil)
	x.logIn(t)
	lines := returnURLs(t)
	for group, parameters := range map[string][]parameter{
		"B001_B061_rd":            rdParameters(),
		"C002_B080_doubled":       doubledParameters(),
		"A090_other names":        otherParameters(),
		"B034_B070_sealed":        carrierParameters(),
		"B033_B035_B036_headers":  headerParameters(),
		"C003_B028_request paths": pathParameters(),
	} {
		t.Run(group, func(t *testing.T) {
			for _, all := range parameters {
				for i, r := range lines {
					p := all
					if (p.every == 0 || i%p.every == 0) && (len(r.line) < 32<<10 || p.long) {
						if group != "B001_B061_rd" { // the others take turns
							p.over = p.over[i%len(p.over):][:1]
						}
						x.drive(t, p, r)
					}
				}
				x.engine.ForgetOpened()
			}
		})
	}
}

// drive asks with one line in one parameter.
func (x *crossroads) drive(t *testing.T, p parameter, r returnURL) {
	t.Helper()
	request := p.request(x, r.line)
	for i, over := range p.over {
		what := p.name + " over " + over + ": " + clipped(r.line)
		a := x.ask(t, what, over, request)
		to := a.header["Location"]
		if len(to) > 1 {
			t.Errorf("%s: %d Locations", what, len(to))
		}
		x.checkKept(t, what, r, a, slices.Concat(to, a.header["X-Vipps-Login-Url"]))
		if a.status == http.StatusBadRequest || tooLong(a.status) {
			continue
		}
		for _, promise := range []struct {
			got []string
			to  func(string) string
		}{{to, p.to}, {a.header["X-Vipps-Login-Url"], p.login}} {
			if promise.to == nil || p.paths && (r.line[0] != '/' || strings.HasPrefix(r.line, "/_vipps/")) {
				continue
			}
			if want := promise.to(r.want); len(promise.got) != 1 || promise.got[0] != want {
				t.Errorf("%s: %d to %.200q, want %q", what, a.status, promise.got, want)
			}
		}
		if p.every > 0 && i > 0 {
			break
		}
	}
}

func tooLong(status int) bool {
	return status == 0 || status == http.StatusRequestHeaderFieldsTooLarge || status == http.StatusRequestEntityTooLarge || status == http.StatusRequestURITooLong
}

var hiddenRd = regexp.MustCompile(`name="rd" value="([^"]*)"`)

// checkKept: what an answer keeps to come back to later, in a form or in the address of a login, is as safe as a redirect,
// and what goes to the provider tells it nothing of that.
func (x *crossroads) checkKept(t *testing.T, what string, r returnURL, a reply, addresses []string) {
	t.Helper()
	var kept []string
	for _, address := range addresses {
		u, err := url.Parse(address)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if strings.HasPrefix(address, x.provider()) {
			if len(r.line) > 6 && !strings.HasPrefix(crossSite+"/_vipps/callback", r.line) && (strings.Contains(address, r.line) || strings.Contains(address, url.QueryEscape(r.line)) || strings.Contains(address, url.PathEscape(r.line))) {
				t.Errorf("%s: E-10: the provider is told where the person comes from", what)
			}
			continue
		}
		if u.Path == "/_vipps/login" {
			kept = append(kept, u.Query()["rd"]...)
		}
	}
	for _, m := range hiddenRd.FindAllStringSubmatch(a.body, -1) {
		kept = append(kept, html.UnescapeString(m[1]))
	}
	for _, rd := range kept {
		if !strings.HasPrefix(rd, "/") || strings.HasPrefix(strings.ToLower(rd), "/_vipps") && !strings.HasPrefix(rd, "/_vippsfoo") || forwardauth.BrowserOrigin(crossSite+"/x", rd) != crossSite {
			t.Errorf("%s: the login comes back to %.200q", what, rd)
		}
	}
}

func clipped(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
