package integration_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// firstLogin follows a person from a page of the app through the login and back to that page.
func firstLogin(t *testing.T, f *front) {
	b := f.browser()
	wanted := f.origin + "/b%C3%A5ter/7?havn=%C3%85lesund&a=1&a=2"
	first := b.send(http.MethodGet, wanted, navigation(), nil)
	login, err := first.Location()
	if first.StatusCode != http.StatusFound || err != nil || login.Scheme+"://"+login.Host+login.Path != f.origin+"/_vipps/login" {
		t.Fatalf("a navigation without a session: %d to %q", first.StatusCode, first.Header.Get("Location"))
	}
	if got := first.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("the first redirect has Cache-Control %q", got)
	}
	if len(first.Header["Set-Cookie"]) > 0 {
		t.Error("the first redirect sets a cookie")
	}
	a := b.follow(first)
	if a.StatusCode != http.StatusOK || a.Request.URL.String() != wanted {
		t.Fatalf("the login ended with %d at %s, wanted %s; came by %v", a.StatusCode, a.Request.URL, wanted, b.trail)
	}
	asked := b.asked()
	if len(asked) != 2 || asked[0].Get("requested_flow") != "no_dialog" || asked[1].Has("requested_flow") {
		t.Errorf("asked the provider %d times, first with requested_flow %q", len(asked), asked[0].Get("requested_flow"))
	}
	got := f.app.last()
	for name, want := range map[string]string{
		"X-Vipps-Auth": "authenticated", "X-Vipps-Name": nameAase, "X-Vipps-Given-Name": "Åse", "X-Vipps-Family-Name": "Ødegård",
		"X-Vipps-Email": "aase@example.com", "X-Vipps-Email-Verified": "true", "X-Vipps-Phone-Number": phoneAase,
	} {
		if !slices.Equal(got.Header[name], []string{want}) {
			t.Errorf("the app gets %s: %q, want %q", name, got.Header[name], want)
		}
	}
	if sub := got.Header["X-Vipps-Sub"]; len(sub) != 1 || !strings.HasPrefix(sub[0], "emulator-") {
		t.Errorf("the app gets X-Vipps-Sub: %q", sub)
	}
	if got.URI != strings.TrimPrefix(wanted, f.origin) {
		t.Errorf("the app is asked for %s", got.URI)
	}
}

func scriptsGet401(t *testing.T, f *front) {
	b, hits := f.browser(), f.app.hits()
	a := b.send(http.MethodGet, f.origin+"/api?x=1", with(fetching(), "Referer", f.origin+"/page?p=1"), nil)
	var body struct {
		Error    string `json:"error"`
		LoginURL string `json:"login_url"`
	}
	if err := json.Unmarshal([]byte(a.text), &body); err != nil || a.StatusCode != http.StatusUnauthorized || body.Error != "login_required" {
		t.Fatalf("fetch without a session: %d %s %v", a.StatusCode, a.text, err)
	}
	want := f.origin + "/_vipps/login?rd=" + url.QueryEscape("/page?p=1")
	if body.LoginURL != want || a.Header.Get("X-Vipps-Login-Url") != want {
		t.Errorf("login_url %q, X-Vipps-Login-Url %q, want %q", body.LoginURL, a.Header.Get("X-Vipps-Login-Url"), want)
	}
	if len(a.Header["Set-Cookie"]) > 0 || a.Header.Get("Www-Authenticate") != "" || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the 401 has %v", a.Header)
	}
	if f.app.hits() != hits {
		t.Error("the app was asked")
	}
}

// forms: without a session nothing is sent and the person is told so; with one the body arrives as it was.
func forms(t *testing.T, f *front) {
	b, hits := f.browser(), f.app.hits()
	a := b.post(f.origin+"/order", url.Values{"what": {"båt"}})
	if a.StatusCode != http.StatusUnauthorized || !strings.Contains(a.text, "Nothing was sent") || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
		t.Errorf("a form without a session: %d %s", a.StatusCode, a.words())
	}
	if f.app.hits() != hits {
		t.Error("the app got the form of nobody")
	}
	b = f.loggedIn()
	if a = b.post(f.origin+"/order", url.Values{"what": {strings.Repeat("båt ", 50_000)}}); a.StatusCode != http.StatusOK {
		t.Fatalf("a form with a session: %d", a.StatusCode)
	}
	got := f.app.last()
	want := url.Values{"what": {strings.Repeat("båt ", 50_000)}}.Encode()
	if got.Method != http.MethodPost || got.Length != int64(len(want)) || got.Sum != sumOf(want) {
		t.Errorf("the app got %s with %d bytes, want %d", got.Method, got.Length, len(want))
	}
}

// conditional: the decision is 200 whatever the client asks of the app with If-None-Match or Range.
func conditional(t *testing.T, f *front) {
	b := f.loggedIn()
	for _, tt := range []struct {
		name, value string
		want        int
	}{{"If-None-Match", "*", 304}, {"If-Modified-Since", "Thu, 01 Jan 2026 00:00:00 GMT", 304}, {"Range", "bytes=2-4", 206}} {
		h := with(fetching(), tt.name, tt.value)
		a := b.send(http.MethodGet, f.origin+"/ranged", h, nil)
		if a.StatusCode != tt.want || tt.want == 206 && a.text != "234" {
			t.Errorf("%s: %d %q, want %d from the app", tt.name, a.StatusCode, a.text, tt.want)
		}
		if a := f.browser().send(http.MethodGet, f.origin+"/ranged", h, nil); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s without a session: %d", tt.name, a.StatusCode)
		}
	}
}

func methods(t *testing.T, f *front) {
	b := f.loggedIn()
	for _, method := range []string{"HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"} {
		if a := b.send(method, f.origin+"/m", fetching(), nil); a.StatusCode != http.StatusOK || f.app.last().Method != method {
			t.Errorf("%s with a session: %d, the app got %s", method, a.StatusCode, f.app.last().Method)
		}
		hits := f.app.hits()
		if a := f.browser().send(method, f.origin+"/m", fetching(), nil); a.StatusCode != http.StatusUnauthorized || f.app.hits() != hits {
			t.Errorf("%s without a session: %d", method, a.StatusCode)
		}
	}
}

// paths: what a client may write is protected, and comes back as it was written.
func paths(t *testing.T, f *front) {
	b := f.loggedIn()
	for _, path := range []string{"/a%2Fb", "/a;x=1/b", "/%c3%a5", "/a%20b?c=%20d+e", "/_vippsx", "/a/?", "/x?q=%zz"} {
		hits := f.app.hits()
		if a := f.browser().send(http.MethodGet, f.origin+path, fetching(), nil); a.StatusCode < 400 || f.app.hits() != hits {
			t.Errorf("%s without a session: %d", path, a.StatusCode)
		}
		if a := b.send(http.MethodGet, f.origin+path, fetching(), nil); a.StatusCode != http.StatusOK || f.app.last().URI != path {
			t.Errorf("%s with a session: %d, the app is asked for %s", path, a.StatusCode, f.app.last().URI)
		}
	}
	for _, path := range []string{"//evil.example/x", "/./a", "/a/../b", "/%2e%2e/b", "/_vipps/../secret", "/_vipps/%2e%2e/secret", "/_vipps%2f..%2fsecret"} {
		hits := f.app.hits()
		if status := asWritten(t, f, path); status < 300 || f.app.hits() != hits {
			t.Errorf("%s without a session: %d, and the app was asked %d times", path, status, f.app.hits()-hits)
		}
	}
}

// raw sends bytes as they are and gives the status of the answer.
func raw(t *testing.T, f *front, request string) int {
	t.Helper()
	conn := f.dial(t)
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	w, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Body.Close()
	return w.StatusCode
}

// websocket: a handshake with a session goes through to the app, one without is 401.
func websocket(t *testing.T, f *front) {
	handshake := func(b *browser) (*bufio.Reader, io.ReadWriteCloser, *http.Response) {
		conn := f.dial(t)
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.origin+"/ws", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{
			"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}, "Sec-Websocket-Version": {"13"},
			"Sec-Fetch-Mode": {"websocket"}, "Sec-Fetch-Dest": {"empty"}, "Origin": {f.origin},
		}
		for _, c := range b.cookies(f.origin) {
			r.AddCookie(c)
		}
		if err := r.Write(conn); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(conn)
		w, err := http.ReadResponse(in, r)
		if err != nil {
			t.Fatal(err)
		}
		return in, conn, w
	}
	hits := f.app.hits()
	_, conn, w := handshake(f.browser())
	_ = w.Body.Close()
	_ = conn.Close()
	if w.StatusCode != http.StatusUnauthorized || f.app.hits() != hits {
		t.Errorf("a handshake without a session: %d", w.StatusCode)
	}
	in, conn, w := handshake(f.loggedIn())
	defer conn.Close()
	if w.StatusCode != http.StatusSwitchingProtocols || w.Header.Get("Sec-Websocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatalf("a handshake with a session: %d %v", w.StatusCode, w.Header)
	}
	if f.app.last().Header.Get("X-Vipps-Sub") == "" {
		t.Error("the app doesn't know who opens the websocket")
	}
	frame := "\x81\x05hello"
	if _, err := io.WriteString(conn, frame); err != nil {
		t.Fatal(err)
	}
	back := make([]byte, len(frame))
	if _, err := io.ReadFull(in, back); err != nil || string(back) != frame {
		t.Errorf("the app sent back %q: %v", back, err)
	}
}

// authzClosed: what proxies ask is no business of browsers.
func authzClosed(t *testing.T, f *front) {
	for _, b := range []*browser{f.browser(), f.loggedIn()} {
		for _, path := range []string{"forward-auth", "auth-request", "challenge", "forward-auth/default", "ext-authz/default/"} {
			hits := f.app.hits()
			h := with(fetching(), "X-Forwarded-Method", "GET", "X-Forwarded-Proto", "http", "X-Forwarded-Uri", "/", "X-Original-Method", "GET", "X-Original-Url", f.origin+"/")
			a := b.send(http.MethodGet, f.origin+"/_vipps/authz/"+path, h, nil)
			if a.StatusCode != http.StatusNotFound || f.app.hits() != hits || a.Header.Get("X-Vipps-Sub") != "" {
				t.Errorf("%s: %d", path, a.StatusCode)
			}
		}
	}
}

// cookiesForApp: the app gets its own cookies, and ours only where the front end can't take them out.
func cookiesForApp(t *testing.T, f *front, stripped bool) {
	b := f.loggedIn()
	u, err := url.Parse(f.origin)
	if err != nil {
		t.Fatal(err)
	}
	h := fetching()
	var jar []string
	for _, c := range b.jar.Cookies(u) {
		jar = append(jar, c.Name+"="+c.Value)
	}
	jar = append([]string{"PHPSESSID=theirs", "vippsauthx=theirs too"}, jar...)
	jar = append(jar, "big="+strings.Repeat("x", 4000), "vippsauth-login-abc=attempt", "__Secure-vippsauth=shared", "__Host-vippsauth.1=chunk", "last=1")
	h["Cookie"] = []string{strings.Join(jar, "; ")}
	bare := f.browser()
	if a := bare.send(http.MethodGet, f.origin+"/cookies", h, nil); a.StatusCode != http.StatusOK {
		t.Fatalf("%d", a.StatusCode)
	}
	got := f.app.last().Header.Get("Cookie")
	if !strings.Contains(got, "PHPSESSID=theirs; vippsauthx=theirs too") || !strings.HasSuffix(got, "last=1") {
		t.Errorf("the app's own cookies arrive as %.60q … %q", got, tail(got, 30))
	}
	want := "PHPSESSID=theirs; vippsauthx=theirs too; big=" + strings.Repeat("x", 4000) + "; last=1"
	if stripped && got != want {
		t.Errorf("ours are among them: %d bytes, want %d", len(got), len(want))
	}
	jar = []string{jar[0], strings.Join(jar[2:len(jar)-5], "; ")}
	h["Cookie"] = []string{strings.Join(jar, "; ")}
	bare.send(http.MethodGet, f.origin+"/cookies", h, nil)
	if got := f.app.last().Header["Cookie"]; stripped && !slices.Equal(got, []string{"PHPSESSID=theirs"}) {
		t.Errorf("with ours last the app gets %.80q", got)
	}
}

// appsOwnRefusal: a 403 of the app stays the app's.
func appsOwnRefusal(t *testing.T, f *front) {
	a := f.loggedIn().send(http.MethodGet, f.origin+"/forbidden-by-app", navigation(), nil)
	if a.StatusCode != http.StatusForbidden || !strings.Contains(a.text, "app: says no") {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}

func sumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}
