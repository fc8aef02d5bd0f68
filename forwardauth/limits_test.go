package forwardauth_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// The stories of this file: what a client may bring in, hold up or fill, and what it may not.

// raw sends bytes over a connection of its own and reads one answer.
func (l *lab) raw(request string, patience time.Duration) (*http.Response, error) {
	a, _, err := l.rawBody(request, patience)
	return a, err
}

// rawBody is raw with the body of the answer.
func (l *lab) rawBody(request string, patience time.Duration) (*http.Response, string, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(l.t.Context(), "tcp", l.site.Listener.Addr().String())
	if err != nil {
		return nil, "", err
	}
	l.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, "", err
	}
	if _, err := io.WriteString(conn, request); err != nil {
		return nil, "", err
	}
	a, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(a.Body)
	return a, string(body), errors.Join(err, a.Body.Close())
}

// Attack: a thousand connections each announce a body and never send it. A request that doesn't pass is answered all the
// same within ten seconds, real time, and its connection is not kept.
func TestSec_C071_RefusedBodyThatNeverComes(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	host := "Host: " + l.site.Listener.Addr().String() + "\r\n"
	var wg sync.WaitGroup
	for name, head := range map[string]string{
		"announced": "POST /x HTTP/1.1\r\n" + host + "Content-Length: 1000\r\n\r\nhalf",
		"chunked":   "POST /x HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"as a form": "POST /x HTTP/1.1\r\n" + host + "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nContent-Length: 1000\r\n\r\n",
	} {
		wg.Go(func() {
			begun := time.Now()
			a, err := l.raw(head, 12*time.Second)
			if err != nil || a.StatusCode != http.StatusUnauthorized || time.Since(begun) > 10*time.Second {
				t.Errorf("%s: %v after %s, %v", name, a, time.Since(begun), err)
			}
		})
	}
	wg.Wait()
}

// Attack: the identity comes as a trailer, after a body that has passed, for an app or a proxy that merges trailers into
// the header. Announced or not, none of our names arrives; the app's own do.
func TestSec_C011_TrailersThroughProtect(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) { c.Headers = []string{"default", "Remote-User=sub"} })
	b := l.loggedIn(phoneAase)
	arrived := make(chan http.Header, 1)
	reads := l.engine.Protect(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		before := r.Trailer.Clone()
		_, _ = io.Copy(io.Discard, r.Body)
		for name, values := range before {
			r.Trailer["Before-"+name] = values
		}
		arrived <- r.Trailer
	}))
	l.takeTurns(func(string) http.Handler { return reads })
	for _, announced := range []string{"", "Trailer: X-Vipps-Sub, Remote-User, Checksum\r\n"} {
		if _, err := l.raw("POST /x HTTP/1.1\r\nHost: "+l.site.Listener.Addr().String()+"\r\nCookie: vippsauth="+b.cookie("vippsauth")+
			"\r\nTransfer-Encoding: chunked\r\n"+announced+"\r\n5\r\nhello\r\n0\r\nX-Vipps-Sub: evil\r\nx_vipps_nin: evil\r\nRemote-User: evil\r\nChecksum: 1\r\n\r\n",
			10*time.Second); err != nil {
			t.Fatal(err)
		}
		trailer := <-arrived
		for name := range trailer {
			if folded := strings.ToLower(name); strings.Contains(folded, "vipps") || strings.Contains(folded, "remote") {
				t.Errorf("announced %q: the app gets %v", announced, trailer)
			}
		}
		if trailer.Get("Checksum") != "1" {
			t.Errorf("announced %q: the app's own trailer is gone: %v", announced, trailer)
		}
	}
}

// An app that writes into the header slices it was given changes its own request, and nobody's next one.
func TestHeaderSlicesAreTheRequestsOwn(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	b := l.loggedIn(phoneAase)
	want := l.last().Header.Clone()
	spoils := l.engine.Protect(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for name, values := range r.Header {
			if strings.HasPrefix(name, "X-Vipps-") {
				if len(values) != 1 || values[0] != want.Get(name) {
					t.Errorf("%s is %q, want %q", name, values, want.Get(name))
				}
				r.Header[name] = append(values, "more")
				values[0] = "evil"
			}
		}
	}))
	l.takeTurns(func(string) http.Handler { return spoils })
	for range 3 {
		b.visit("/")
	}
	l.takeTurns(nil)
	for range 2 { // and the answers of forward-auth, which share theirs
		if a := b.send("GET", "/_vipps/authz/forward-auth", l.judged("/"), ""); a.Header.Get("X-Vipps-Sub") != want.Get("X-Vipps-Sub") {
			t.Errorf("forward-auth says %q", a.Header["X-Vipps-Sub"])
		}
	}
}

// Attack: a client sends the proxy's secret along, in the hope that the proxy adds its own line to it and the first, or
// any, counts.
func TestDoubledProxySecret(t *testing.T) {
	t.Parallel()
	const secret = "a secret of the proxy"
	l := newLab(t, func(c *forwardauth.Config) { c.ProxySecret = secret })
	b := l.loggedIn(phoneAase)
	for _, test := range []struct {
		lines []string
		want  int
	}{
		{[]string{secret}, 200},
		{[]string{secret, secret}, 403},
		{[]string{secret, "guess"}, 403},
		{[]string{"guess", secret}, 403},
		{[]string{secret + ", " + secret}, 403},
		{[]string{""}, 403},
	} {
		for _, path := range []string{"forward-auth", "auth-request"} {
			h := l.judged("/")
			for name, values := range l.original("/") {
				h[name] = values
			}
			h["X-Vipps-Proxy-Secret"] = test.lines
			if a := b.send("GET", "/_vipps/authz/"+path, h, ""); a.StatusCode != test.want {
				t.Errorf("%s, %q: %d, want %d", path, test.lines, a.StatusCode, test.want)
			}
		}
	}
}

// Attack: X-Vipps-Nin is no header of this site, so no proxy overwrites what a client sends under that name, and an app
// that looks for it believes the client. Nothing can be stripped here: the request is refused.
func TestSec_C010_UnconfiguredHeadersInForwardAuth(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	b := l.loggedIn(phoneAase)
	for name, want := range map[string]int{
		"X-Vipps-Nin": 403, "x-vipps-new-header": 403, "X-Vipps-Assertion": 403, "X-Vipps-Sub": 200, "x-vipps-name": 200, "X-Vipps": 200,
	} {
		h := l.judged("/")
		for header, values := range l.original("/") {
			h[header] = values
		}
		h[name] = []string{"evil"}
		for path, status := range map[string]int{"forward-auth": want, "auth-request": want} {
			a := b.send("GET", "/_vipps/authz/"+path, h, "")
			if a.StatusCode != status || (a.Header.Get("X-Vipps-Sub") != "") != (status == 200) || a.Header.Get("X-Vipps-Sub") == "evil" {
				t.Errorf("%s with %s: %d %q, want %d", path, name, a.StatusCode, a.Header["X-Vipps-Sub"], status)
			}
		}
	}
}

// A national identity number goes to the app that was set up to get it, and never to a script of a page. A script gets an
// address as an object, where the app's header has it as text.
func TestSec_B072_MeHasNoNationalIdentityNumber(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) {
		c.Headers, c.Scopes = []string{"default", "X-Vipps-Nin=nin", "X-Vipps-Address=address"}, append(c.Scopes, "nin", "address")
		client, err := vipps.New(vipps.Config{Issuer: c.Client.Issuer(), ClientID: "shop", ClientSecret: "shop secret+/=", Scopes: c.Scopes, Now: c.Now})
		if err != nil {
			t.Fatal(err)
		}
		c.Client = client
	})
	b := l.loggedIn(phoneAase)
	nin := l.last().Header.Get("X-Vipps-Nin")
	if nin == "" {
		t.Fatal("the app doesn't get it")
	}
	a := b.send("GET", "/_vipps/me", nil, "")
	var me struct {
		Claims map[string]any `json:"claims"`
	}
	if err := json.Unmarshal([]byte(a.text), &me); err != nil || len(me.Claims) == 0 || strings.Contains(a.text, nin) || me.Claims["nin"] != nil {
		t.Errorf("%d %s %v", a.StatusCode, a.text, err)
	}
	if address, _ := me.Claims["address"].(map[string]any); address["country"] != "NO" {
		t.Errorf("address: %s", a.text)
	}
}

// Attack: a page with a hundred images of our login fills the visitor's browser with attempts, and pauses silent login
// for everybody. A browser that says nothing of what it fetches is known by what it accepts.
func TestSec_D23_SubresourcesMakeNoState(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	for _, accept := range []string{"image/*", "image/avif,image/webp,*/*", "text/css,*/*;q=0.1", "application/json", "*/*;q=0.8"} {
		for _, path := range []string{"/_vipps/login?rd=/", "/_vipps/logout", "/_vipps/result?t=x", "/_vipps/callback?state=x"} {
			a := l.browser().send("GET", path, http.Header{"Accept": {accept}}, "")
			if a.StatusCode != http.StatusUnauthorized || len(a.Header["Set-Cookie"]) != 0 || a.Header.Get("Location") != "" {
				t.Errorf("%s as %s: %d %v", path, accept, a.StatusCode, a.Header)
			}
		}
	}
	// What no image is: curl that has followed a redirect, and an old browser that navigates.
	for _, accept := range []string{"*/*", "text/html,*/*;q=0.8"} {
		if a := l.browser().send("GET", "/_vipps/login?rd=/", http.Header{"Accept": {accept}}, ""); a.StatusCode != http.StatusFound {
			t.Errorf("as %s: %d", accept, a.StatusCode)
		}
	}
}

// Attack: names, peers and spellings made up by the thousand fill the operator's disk. A kind of message comes once for
// each cause, and no more than so many a minute; the next minute says it again.
func TestLogFloodIsBounded(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	flood := func() int {
		before := l.log.Len()
		for i := range 300 {
			r, err := http.NewRequestWithContext(t.Context(), "GET", l.site.URL+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = "h" + strconv.Itoa(i) + ".example"
			w, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = w.Body.Close()
			alias := l.judged("/")
			alias["X_Vipps_Sub"+strconv.Itoa(i)] = []string{"evil"}
			l.browser().send("GET", "/_vipps/authz/forward-auth", alias, "")
			l.browser().send("GET", "/_vipps/authz/forward-auth", http.Header{}, "")
			l.browser().send("POST", "/_vipps/login", http.Header{"Sec-Fetch-Site": {"cross-site"}}, "")
			l.browser().send("GET", "/_vipps/result?t=garbage"+strconv.Itoa(i), navigation(), "")
			l.browser().send("GET", "/_vipps/callback?code=x", navigation(), "")
		}
		return l.log.Len() - before
	}
	if n := flood(); n > 100 || n == 0 {
		t.Errorf("%d lines for 1500 requests", n)
	}
	l.clock.advance(61 * time.Second)
	if n := flood(); n > 100 || n == 0 {
		t.Errorf("%d lines for 1500 requests of the next minute", n)
	}
	for _, entry := range l.log.All() {
		if entry.Level > zapcore.WarnLevel {
			t.Errorf("a client's doing is logged as %s: %s", entry.Level, entry.Message)
		}
	}
}

// The reference that a person reads out on the phone is one that the log has.
func TestReferencesOnPagesAreInTheLog(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) { c.Allow = []string{"+47 900 00 001"} })
	l.as(phonePer)
	refused := l.browser()
	for name, ask := range map[string]func() answer{
		"form of another site": func() answer {
			return l.browser().send("POST", "/_vipps/login", http.Header{"Sec-Fetch-Site": {"cross-site"}}, "")
		},
		"garbage token":  func() answer { return l.browser().visit("/_vipps/result?t=garbage") },
		"garbage answer": func() answer { return l.browser().visit("/_vipps/callback?code=x") },
		"no method":      func() answer { return l.browser().send("DELETE", "/_vipps/login", nil, "") },
		"not allowed":    func() answer { return refused.visit("/") },
		"other host": func() answer {
			h := l.judged("/")
			h.Set("X-Forwarded-Host", "other.example")
			return l.browser().send("GET", "/_vipps/authz/forward-auth", h, "")
		},
	} {
		l.clock.advance(61 * time.Second) // two pages of one kind in a minute share the one line, and its reference is the first's
		a := ask()
		reference := a.Header.Get("X-Request-Id")
		if reference == "" || !strings.Contains(a.text, reference) || l.log.FilterField(zapString("reference", reference)).Len() != 1 {
			t.Errorf("%s: %d, reference %q, on the page %t, in the log %d times", name, a.StatusCode, reference,
				strings.Contains(a.text, reference), l.log.FilterField(zapString("reference", reference)).Len())
		}
		if name == "other host" { // a person who loads the page again has something to read out too
			if again := ask(); again.Header.Get("X-Request-Id") != reference || !strings.Contains(again.text, reference) {
				t.Errorf("%s, again: reference %q, want %q", name, again.Header.Get("X-Request-Id"), reference)
			}
		}
	}
	for range 20 {
		l.browser().visit("/_vipps/result?t=garbage")
	}
	if a := l.browser().visit("/_vipps/result?t=garbage"); a.Header.Get("X-Request-Id") != "" {
		t.Errorf("a page that the log doesn't have shows the reference %q", a.Header.Get("X-Request-Id"))
	}
}

// A form of ours is small. A large one is refused with 413, announced or not, and changes nothing.
func TestLargeForm(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	b := l.loggedIn(phoneAase)
	form := "rd=/&x=" + strings.Repeat("a", 17<<10)
	for _, path := range []string{"/_vipps/login", "/_vipps/logout", "/_vipps/result"} {
		if a := b.send("POST", path, ownForm(), form); a.StatusCode != http.StatusRequestEntityTooLarge || len(a.Header["Set-Cookie"]) != 0 {
			t.Errorf("%s: %d %v", path, a.StatusCode, a.Header["Set-Cookie"])
		}
		a, err := l.raw("POST "+path+" HTTP/1.1\r\nHost: "+l.site.Listener.Addr().String()+"\r\nSec-Fetch-Site: same-origin\r\nTransfer-Encoding: chunked\r\n"+
			"Content-Type: application/x-www-form-urlencoded\r\n\r\n"+strconv.FormatInt(int64(len(form)), 16)+"\r\n"+form+"\r\n0\r\n\r\n", 10*time.Second)
		if err != nil || a.StatusCode != http.StatusRequestEntityTooLarge || len(a.Header["Set-Cookie"]) != 0 {
			t.Errorf("%s, chunked: %v %v", path, a, err)
		}
	}
	if a := b.send("GET", "/_vipps/me", nil, form); a.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a body where none belongs: %d", a.StatusCode)
	}
	if a := b.visit("/"); a.StatusCode != http.StatusOK || len(b.trail) != 1 {
		t.Errorf("the session is gone: %d", a.StatusCode)
	}
}

// Silent login pauses for everybody when attempts vanish. Those that come back do not count, with a session, with a miss,
// or to a browser that refuses cookies.
func TestSilentDoesNotPauseForAttemptsThatComeBack(t *testing.T) {
	t.Parallel()
	for name, deny := range map[string]bool{"kept": false, "refused": true} {
		for _, mode := range []string{emulator.NoDialogHit, emulator.NoDialogMiss} {
			l := newLab(t, nil)
			l.silent(mode)
			for range 12 {
				b := l.browser()
				b.deny = deny
				b.visit("/")
			}
			l.clock.advance(11 * time.Second)
			l.browser().visit("/")
			b := l.browser()
			if b.visit("/"); !b.asked(0).Has("requested_flow") || l.log.FilterMessageSnippet("silent login pauses").Len() != 0 {
				t.Errorf("cookies %s, %s: silent login pauses", name, mode)
			}
		}
	}
}
