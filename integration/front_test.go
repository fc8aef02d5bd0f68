package integration_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// People whom the emulator knows, as the tests need them.
const (
	phoneAase = "4790000001"
	phoneRolf = "4790000005" // not on the list of who may pass
	nameAase  = "Åse Ødegård"

	clientID     = "integration-shop"
	clientSecret = "integration secret+/=:"
)

// front is a whole site: the provider, the service, the app, and whatever stands in front of them.
type front struct {
	t       testing.TB
	origin  string // as browsers see it
	app     *app
	vipps   *emulator.Server // nil where the provider is another
	tap     *tap             // where it is asked
	service *process         // nil where the module does the service's work
	judge   *process         // Caddy with the module then
	ops     string           // the service's internal listener
	tls     *tls.Config      // what browsers trust
	http3   bool             // browsers speak HTTP/3 with the site
	secrets *secrets
	env     []string // more of the service's environment
	scopes  string   // what people are asked for; "": openid name phoneNumber email

	addr string // of the service
	fcgi string // where it answers Apache
}

// newFront starts the provider and the app of a site on a fresh port of localhost.
func newFront(t testing.TB) *front {
	t.Helper()
	t.Cleanup(func() { privacy.check(t) }) // first, and so when everything has ended
	f := &front{t: t, origin: fmt.Sprintf("http://localhost:%d", freePort(t)), app: startApp(t), secrets: newSecrets()}
	v, at := startVipps(t, emulator.Config{
		Spinner: -1,
		Clients: []emulator.Client{{ID: clientID, Secret: clientSecret, Name: "Integration", RedirectURIs: []string{f.origin + "/_vipps/callback"}}},
	})
	t.Cleanup(func() {
		at.close()
		_ = v.Close()
	})
	f.vipps, f.tap = v, at
	f.as(phoneAase)
	return f
}

// asksFor are the site's scopes.
func (f *front) asksFor() string {
	if f.scopes == "" {
		return "openid name phoneNumber email"
	}
	return f.scopes
}

// port is the site's own.
func (f *front) port() string {
	u, err := url.Parse(f.origin)
	if err != nil {
		f.t.Fatal(err)
	}
	return u.Port()
}

// overTLS moves the site to https on the same port.
func (f *front) overTLS() {
	f.t.Helper()
	f.origin = "https://localhost:" + f.port()
	if err := f.vipps.Control().AddRedirectURI(clientID, f.origin+"/_vipps/callback"); err != nil {
		f.t.Fatal(err)
	}
}

// as lets every dialogue at the emulator be answered by one person. It begins with Åse.
func (f *front) as(phone string) {
	f.t.Helper()
	if err := f.vipps.Control().AutoApprove(phone); err != nil {
		f.t.Fatal(err)
	}
}

// cookieKey is a fresh key, as `vippsauth keygen` prints it.
func cookieKey(t testing.TB) string {
	t.Helper()
	key, err := session.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return key.Encode()
}

// serve starts `vippsauth serve` for the site, with more flags, and waits until it is ready.
func (f *front) serve(flags ...string) {
	f.t.Helper()
	if f.addr == "" {
		f.addr, f.ops = freeAddr(f.t), freeAddr(f.t)
	}
	key := cookieKey(f.t)
	f.secrets.add("cookie key", key)
	f.secrets.add("client secret", clientSecret)
	defaults := []string{
		"--public-url=" + f.origin, "--listen=" + f.addr, "--ops-listen=" + f.ops, "--client-id=" + clientID,
		"--scopes=" + f.asksFor(), "--log-level=debug", "--site-name=Integration", "--contact=styret@example.com",
	}
	if f.vipps != nil {
		defaults = append(defaults, "--issuer="+f.vipps.Issuer, "--allow="+phoneAase+",4790000002")
	}
	f.service = start(f.t, vippsauthProgram(f.t), command{
		name: "vippsauth serve", args: append(append([]string{"serve"}, defaults...), flags...),
		env: append([]string{"VIPPSAUTH_CLIENT_SECRET=" + clientSecret, "VIPPSAUTH_COOKIE_KEYS=" + key}, f.env...),
	})
	f.checkLog(f.service)
	f.scrapes()
	f.service.answers("http://" + f.ops + "/readyz")
	eventually(f.t, "the service is ready", func() bool {
		w := f.get("http://" + f.ops + "/readyz")
		return w.StatusCode == http.StatusOK
	})
}

// unstarted is a server in this process for a port of localhost.
func unstarted(t testing.TB, port string, h http.Handler) *httptest.Server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(h)
	_ = srv.Listener.Close() // the one that it has made for itself
	srv.Listener = ln
	return srv
}

func serveOn(t testing.TB, port string, h http.Handler) {
	t.Helper()
	srv := unstarted(t, port, h)
	srv.Start()
	t.Cleanup(srv.Close)
}

// get asks without being a browser.
func (f *front) get(target string) answer {
	f.t.Helper()
	client := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: toLoopback}}
	r, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, target, http.NoBody)
	if err != nil {
		f.t.Fatal(err)
	}
	w, err := client.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer w.Body.Close()
	return answer{w, readAll(f.t, w.Body)}
}

// loggedIn is a browser in which Åse has logged in.
func (f *front) loggedIn() *browser {
	f.t.Helper()
	b := f.browser()
	a := b.open(f.origin + "/")
	if f.vipps == nil {
		a = b.press(a, nameAase)
	}
	if a.StatusCode != http.StatusOK || !strings.Contains(a.text, "auth=authenticated") {
		f.t.Fatalf("the login ended with %d at %v: %s", a.StatusCode, b.trail, a.text)
	}
	return b
}

// secrets are values that no log may hold, whatever its level.
type secrets struct {
	mu     sync.Mutex
	values map[string]string // value → what it is
}

func newSecrets() *secrets {
	s := &secrets{values: map[string]string{}}
	for _, phone := range []string{phoneAase, phoneRolf, "4790000002", "90 00 00 01", "+4790000001"} {
		s.add("phone number", phone)
	}
	s.add("name", nameAase)
	s.add("e-mail address", "aase@example.com")
	return s
}

// add remembers a value, in the form in which it travels in URLs too.
func (s *secrets) add(what, value string) {
	if len(value) < 6 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	privacy.plant(what, value)
	s.values[value] = what
	s.values[url.QueryEscape(value)] = what
}

// in names the secrets that a text holds, and never their values.
func (s *secrets) in(text string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []string
	for value, what := range s.values {
		if strings.Contains(text, value) && !slices.Contains(found, what) {
			found = append(found, what)
		}
	}
	slices.Sort(found)
	return found
}

// checkLog looks at the whole log of a process when the test is over. Kinds of values may be excepted.
func (f *front) checkLog(p *process, except ...string) {
	f.t.Cleanup(func() {
		p.end()
		text := p.out.String()
		if text == "" {
			f.t.Errorf("%s logs nothing", p.name)
		}
		found := slices.DeleteFunc(f.secrets.in(text), func(what string) bool { return slices.Contains(except, what) })
		if len(found) > 0 {
			f.t.Errorf("I5: the log of %s holds: %s", p.name, strings.Join(found, ", "))
		}
	})
}

// count says how many values of a kind are known.
func (s *secrets) count(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, w := range s.values {
		if w == what {
			n++
		}
	}
	return n
}
