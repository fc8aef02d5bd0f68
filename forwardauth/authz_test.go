package forwardauth_test

import (
	"bufio"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// judged are the headers of a proxy that asks in the forward-auth dialect about a navigation.
func (l *lab) judged(uri string) http.Header {
	h := navigation()
	h.Set("X-Forwarded-Method", "GET")
	h.Set("X-Forwarded-Proto", "http")
	h.Set("X-Forwarded-Host", l.site.Listener.Addr().String())
	h.Set("X-Forwarded-Uri", uri)
	return h
}

func (l *lab) original(uri string) http.Header {
	h := navigation()
	h.Set("X-Original-Method", "GET")
	h.Set("X-Original-Url", l.site.URL+uri)
	return h
}

// Allow is exactly 200, empty, with every configured header, also those for which the person has no claim.
func TestForwardAuthAllows(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) { c.Headers = []string{"default", "X-Vipps-Gender=gender"} })
	b := l.loggedIn(phoneAase)
	for _, path := range []string{"/_vipps/authz/forward-auth", "/_vipps/authz/forward-auth/default", "/_vipps/authz/forward-auth?optional=1&policy=x&rd=//evil.example"} {
		h := l.judged("/a?b")
		h.Set("If-None-Match", "*")
		h.Set("Range", "bytes=0-1")
		a := b.send("GET", path, h, "")
		if a.StatusCode != 200 || a.text != "" || len(a.Header["X-Vipps-Sub"]) != 1 || a.Header.Get("X-Vipps-Sub") == "" || a.Header.Get("X-Vipps-Name") != "Åse Ødegård" {
			t.Errorf("%s: %d %q %v", path, a.StatusCode, a.text, a.Header)
		}
		if gender := a.Header["X-Vipps-Gender"]; len(gender) != 1 || gender[0] != "" {
			t.Errorf("%s: an absent claim is sent as %q", path, gender)
		}
		if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Vary") == "" || len(a.Header["Set-Cookie"]) != 0 {
			t.Errorf("%s: %v", path, a.Header)
		}
	}
	if a := b.send("GET", "/_vipps/authz/auth-request", l.original("/a?b"), ""); a.StatusCode != 200 || a.Header.Get("X-Vipps-Sub") == "" {
		t.Errorf("auth-request: %d %v", a.StatusCode, a.Header)
	}
}

// The three kinds of request without a session, in each dialect.
func TestSec_A128_KindsOfRequest(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	b := l.browser()
	a := b.send("GET", "/_vipps/authz/forward-auth", l.judged("/a?b=%26"), "")
	if want := l.site.URL + "/_vipps/login?rd=%2Fa%3Fb%3D%2526"; a.StatusCode != 302 || a.Header.Get("Location") != want || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("a navigation: %d to %q, want %q", a.StatusCode, a.Header.Get("Location"), want)
	}
	post := l.judged("/a")
	post.Set("X-Forwarded-Method", "POST")
	if a := b.send("GET", "/_vipps/authz/forward-auth", post, ""); a.StatusCode != 401 || !strings.Contains(a.Header.Get("Content-Type"), "html") {
		t.Errorf("a form's POST: %d %v", a.StatusCode, a.Header)
	}
	fetch := l.judged("/api")
	fetch.Set("Sec-Fetch-Mode", "cors")
	fetch.Set("Sec-Fetch-Dest", "empty")
	fetch.Set("Referer", l.site.URL+"/page?x#y")
	a = b.send("GET", "/_vipps/authz/forward-auth", fetch, "")
	if a.StatusCode != 401 || !strings.Contains(a.text, `"error":"login_required"`) || a.Header.Get("X-Vipps-Login-Url") != l.site.URL+"/_vipps/login?rd=%2Fpage%3Fx" || a.Header.Get("WWW-Authenticate") != "" {
		t.Errorf("fetch: %d %s %v", a.StatusCode, a.text, a.Header)
	}
	curl := l.judged("/api")
	for _, name := range []string{"Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Fetch-Site", "Accept"} {
		curl.Del(name)
	}
	if a := b.send("GET", "/_vipps/authz/forward-auth", curl, ""); a.StatusCode != 401 || a.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("curl: %d %v", a.StatusCode, a.Header)
	}
	if a := b.send("GET", "/_vipps/authz/auth-request", l.original("/a"), ""); a.StatusCode != 401 || a.text != "" || a.Header.Get("WWW-Authenticate") != "" || a.Header.Get("Location") != "" {
		t.Errorf("auth-request: %d %q %v", a.StatusCode, a.text, a.Header)
	}
	if a := b.send("GET", "/_vipps/authz/challenge", l.original("/a"), ""); a.StatusCode != 302 || a.Header.Get("Location") != l.site.URL+"/_vipps/login?rd=%2Fa" {
		t.Errorf("challenge: %d %v", a.StatusCode, a.Header)
	}
	if len(b.cookies[l.site.Listener.Addr().String()]) != 0 {
		t.Errorf("cookies were set: %v", b.cookies)
	}
}

// What a proxy doesn't say plainly is refused: never a guess, never a pass.
func TestSec_B060_ForwardedHeaders(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	b := l.loggedIn(phoneAase)
	for _, name := range []string{"X-Forwarded-Method", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Uri"} {
		for _, values := range [][]string{nil, {""}, {"a", "b"}, {"a, b"}, {"\xff\xfe"}, {"http://[::1"}, {strings.Repeat("a", 1<<15)}, {"javascript"}, {" "}, {"/a b"}, {"//"}} {
			if name == "X-Forwarded-Uri" && len(values) == 1 && values[0] == "//" {
				continue // a path like any other, for the app to answer
			}
			h := l.judged("/a")
			h[name] = values
			if values == nil {
				delete(h, name)
			}
			a := b.send("GET", "/_vipps/authz/forward-auth", h, "")
			if a.StatusCode < 400 || a.StatusCode > 499 || a.Header.Get("X-Vipps-Sub") != "" {
				t.Errorf("%s %.20q: %d", name, values, a.StatusCode)
			}
		}
	}
	other := l.judged("/a")
	other.Set("X-Forwarded-Host", "other.example")
	if a := b.send("GET", "/_vipps/authz/forward-auth", other, ""); a.StatusCode != http.StatusMisdirectedRequest || l.log.FilterField(zapString("host", "other.example")).Len() != 1 {
		t.Errorf("another host: %d", a.StatusCode)
	}
	if a := b.send("GET", "/_vipps/authz/auth-request", l.judged("/a"), ""); a.StatusCode != 401 {
		t.Errorf("auth-request reads another dialect: %d", a.StatusCode)
	}
	if a := b.send("GET", "/_vipps/authz/forward-auth/admin", l.judged("/a"), ""); a.StatusCode != 403 {
		t.Errorf("an unknown policy: %d", a.StatusCode)
	}
}

// An alias that PHP or WSGI would take for our header is refused, since nothing can be stripped here.
func TestSec_B007_AliasesInForwardAuth(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	b := l.loggedIn(phoneAase)
	for _, alias := range []string{"x_vipps_sub", "X.Vipps.Sub", "X-Vipps_Sub", "X-Vipps~Sub"} {
		for _, path := range []string{"/_vipps/authz/forward-auth", "/_vipps/authz/auth-request"} {
			h := l.judged("/a")
			for name, values := range l.original("/a") {
				h[name] = values
			}
			h[alias] = []string{"evil"}
			if a := b.send("GET", path, h, ""); a.StatusCode != 403 || a.Header.Get("X-Vipps-Sub") != "" {
				t.Errorf("%s with %s: %d", path, alias, a.StatusCode)
			}
		}
	}
}

// Only trusted peers may ask, and the log says how to trust one.
func TestSec_C060_C064_B005_UntrustedPeers(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*forwardauth.Config){
		"nobody trusted": func(c *forwardauth.Config) { c.TrustedProxies = nil },
		"another peer":   func(c *forwardauth.Config) { c.TrustedProxies = []string{"10.0.0.0/8"} },
		"no secret":      func(c *forwardauth.Config) { c.ProxySecret = "a secret of the proxy" },
	} {
		l := newLab(t, change)
		b := l.loggedIn(phoneAase)
		for _, path := range []string{"forward-auth", "auth-request", "challenge"} {
			h := l.judged("/")
			h.Set("User-Agent", "kube-probe/1.30") // B-006
			if a := b.send("GET", "/_vipps/authz/"+path, h, ""); a.StatusCode != 403 || a.Header.Get("X-Vipps-Sub") != "" {
				t.Errorf("%s: %s answers %d", name, path, a.StatusCode)
			}
		}
		if logs := l.log.FilterMessageSnippet("not trusted").All(); len(logs) != 1 || logs[0].ContextMap()["cure"] == "" {
			t.Errorf("%s: the log has %v", name, logs)
		}
	}
	l := newLab(t, func(c *forwardauth.Config) { c.ProxySecret = "a secret of the proxy" })
	h := l.judged("/")
	h.Set("X-Vipps-Proxy-Secret", "a secret of the proxy")
	if a := l.loggedIn(phoneAase).send("GET", "/_vipps/authz/forward-auth", h, ""); a.StatusCode != 200 {
		t.Errorf("with the secret: %d", a.StatusCode)
	}
}

// No spelling of an identity header that a client sends reaches the app, and no client can have ours removed.
func TestSec_C010_Spoofing(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) { c.Headers = []string{"default", "Remote-User=phone_number"} })
	b := l.loggedIn(phoneAase)
	cookie := "Cookie: vippsauth=" + b.cookie("vippsauth") + "\r\n"
	for _, lines := range []string{
		"X-Vipps-Sub: evil\r\n", "x-vipps-sub: evil\r\n", "X_Vipps_Sub: evil\r\n", "X.Vipps.Sub: evil\r\n", "x_vipps-sub: evil\r\n", "X-Vipps~Sub: evil\r\n",
		"X-Vipps!Sub: evil\r\n", "X-Vipps'Sub: evil\r\n", "X-Vipps-New-Header: evil\r\n", "X-Vipps-Assertion: evil\r\n", "X-Vipps-Sub: evil\r\nX-Vipps-Sub: evil\r\n",
		"Remote_User: evil\r\n", "REMOTE-USER: evil\r\n", "Connection: close, X-Vipps-Sub\r\n", "Connection: X-VIPPS-SUB, Remote-User\r\n",
		"connection: x-vipps-name, keep-alive\r\nConnection: x_vipps_sub\r\n", "Connection: close\r\nConnection: X-Vipps-Sub\r\n",
	} {
		conn, err := net.Dial("tcp", l.site.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := conn.Write([]byte("GET /x HTTP/1.1\r\nHost: " + l.site.Listener.Addr().String() + "\r\n" + cookie + lines + "\r\n")); err != nil {
			t.Fatal(err)
		}
		a, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = a.Body.Close()
		_ = conn.Close()
		if a.StatusCode != 200 {
			t.Errorf("%q: %d", lines, a.StatusCode)
			continue
		}
		r := l.last()
		for name, values := range r.Header {
			if strings.Contains(strings.Join(values, " "), "evil") {
				t.Errorf("%q arrives as %s: %q", lines, name, values)
			}
		}
		if len(r.Header["X-Vipps-Sub"]) != 1 || r.Header.Get("Remote-User") != phoneAase {
			t.Errorf("%q: the app gets %v", lines, r.Header)
		}
		if c := strings.ToLower(strings.Join(r.Header["Connection"], ",")); strings.Contains(c, "vipps") || strings.Contains(c, "remote") {
			t.Errorf("%q: Connection is still %q", lines, c)
		}
	}
}

// Vipps away: sessions go on, logins get a page that says so, and all mends itself.
func TestSec_D03_ProviderAway(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	b := l.loggedIn(phoneAase)
	l.silent(emulator.NoDialogHit)
	if err := l.vipps.Control().FailNext(emulator.EndpointToken, 1, 503, ""); err != nil {
		t.Fatal(err)
	}
	other := l.browser()
	a := other.visit("/x")
	if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" || other.cookie("vippsauth") != "" {
		t.Errorf("a login while Vipps is away: %d %v", a.StatusCode, a.Header)
	}
	if logs := l.log.FilterMessage("login failed").All(); len(logs) != 1 || logs[0].ContextMap()["stage"] != "token" || !strings.Contains(a.text, logs[0].ContextMap()["reference"].(string)) {
		t.Errorf("the log: %v", logs)
	}
	if a := b.visit("/"); a.StatusCode != 200 {
		t.Errorf("a session while Vipps is away: %d", a.StatusCode)
	}
	if a := other.click("/_vipps/login", map[string][]string{"rd": {"/x"}}); !strings.Contains(a.text, "app: GET /x") && !strings.Contains(a.text, "emulator") {
		t.Errorf("afterwards: %d %s", a.StatusCode, a.text)
	}
}

// A provider's refusal is told once, with stage, code, likely causes and the reference on the page.
func TestProviderRefusesOurKeys(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	if err := l.vipps.Control().AddClient(emulator.Client{ID: "shop", Secret: "another", RedirectURIs: []string{l.site.URL + "/_vipps/callback"}}); err != nil {
		t.Fatal(err)
	}
	l.silent(emulator.NoDialogHit)
	a := l.browser().visit("/x")
	if a.StatusCode != http.StatusBadGateway {
		t.Errorf("got %d", a.StatusCode)
	}
	logs := l.log.FilterMessage("login failed").All()
	if len(logs) != 1 {
		t.Fatalf("logged %d times", len(logs))
	}
	fields := logs[0].ContextMap()
	if fields["stage"] != "token" || !strings.Contains(fields["error"].(string), "invalid_client") || len(fields["likely_causes"].([]any)) == 0 || !strings.Contains(a.text, fields["reference"].(string)) {
		t.Errorf("%v", fields)
	}
	if strings.Contains(fields["error"].(string), "shop secret") {
		t.Error("the secret is in the log")
	}
}
