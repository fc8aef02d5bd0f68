package forwardauth_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// Fixture people of the emulator.
const (
	phoneAase = "4790000001"
	phonePer  = "4790000002"
)

// lab is the whole path: the emulator, an engine in front of an app that knows nothing of login, and what the
// app and the log have seen.
type lab struct {
	t      testing.TB
	vipps  *emulator.Server
	engine *forwardauth.Engine
	site   *httptest.Server
	one    http.Handler // the engine of this lab, without the others that may take turns with it
	log    *observer.ObservedLogs
	clock  *clock

	config forwardauth.Config
	outlet http.RoundTripper // of the browsers; nil is ownTransport

	mu      sync.Mutex
	seen    []*http.Request // by the app
	balance func(path string) http.Handler
}

type clock struct {
	mu      sync.Mutex
	offset  time.Duration
	stopped time.Time // zero: it runs
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopped.IsZero() {
		return c.stopped.Add(c.offset)
	}
	return time.Now().Add(c.offset)
}

// stop lets no time pass but what advance adds.
func (c *clock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = time.Now()
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}

// labKey seals every lab's cookies, so that two labs can be replicas of one site.
var labKey = sync.OnceValue(func() session.Key {
	key, err := session.NewKey()
	if err != nil {
		panic(err)
	}
	return key
})

// newLab starts a lab; change may change the configuration first.
func newLab(t testing.TB, change func(*forwardauth.Config)) *lab {
	t.Helper()
	return newLabAt(t, func(*emulator.Client) {}, change)
}

// newLabAt is newLab for a sales unit of which Vipps knows something else.
func newLabAt(t testing.TB, unit func(*emulator.Client), change func(*forwardauth.Config)) *lab {
	t.Helper()
	l := &lab{t: t, clock: &clock{}}
	l.site = httptest.NewUnstartedServer(nil)
	origin := "http://" + l.site.Listener.Addr().String()
	shop := emulator.Client{ID: "shop", Secret: "shop secret+/=", RedirectURIs: []string{origin + "/_vipps/callback"}}
	unit(&shop)
	v, err := emulator.Start("127.0.0.1:0", emulator.Config{Spinner: -1, Now: l.clock.now, Clients: []emulator.Client{shop}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	l.vipps = v
	scopes := []string{"openid", "name", "phoneNumber", "email"}
	client, err := vipps.New(vipps.Config{Issuer: v.Issuer, ClientID: "shop", ClientSecret: "shop secret+/=", Scopes: scopes, Now: l.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	l.serve(forwardauth.Config{Client: client, PublicURLs: []string{origin}, Scopes: scopes, Emulator: true}, change)
	return l
}

// serve puts an engine in front of the app and starts the site.
func (l *lab) serve(cfg forwardauth.Config, change func(*forwardauth.Config)) {
	l.t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	l.log = logs
	cfg.Keys, cfg.Now, cfg.Logger, cfg.TrustedProxies = session.Keys{labKey()}, l.clock.now, zap.New(core), []string{"loopback"}
	if change != nil {
		change(&cfg)
	}
	l.config = cfg
	var err error
	if l.engine, err = forwardauth.New(cfg); err != nil {
		l.t.Fatal(err)
	}
	protected := l.engine.Protect(http.HandlerFunc(l.app))
	authz := l.engine.ForwardAuth()
	one := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/_vipps/authz/") {
			authz.ServeHTTP(w, r)
			return
		}
		protected.ServeHTTP(w, r)
	})
	l.one = one
	l.site.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		balance := l.balance
		l.mu.Unlock()
		if balance != nil {
			balance(r.URL.Path).ServeHTTP(w, r)
			return
		}
		one.ServeHTTP(w, r)
	})
	l.site.Start()
	l.t.Cleanup(l.site.Close)
}

// app is the protected app: it greets whoever the headers say.
func (l *lab) app(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	l.seen = append(l.seen, r.Clone(r.Context()))
	l.mu.Unlock()
	fmt.Fprintf(w, "app: %s %s auth=%s name=%s", r.Method, r.URL.RequestURI(), r.Header.Get("X-Vipps-Auth"), r.Header.Get("X-Vipps-Name"))
}

// last is the last request that the app saw.
func (l *lab) last() *http.Request {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.seen) == 0 {
		l.t.Fatal("the app was not asked")
	}
	return l.seen[len(l.seen)-1]
}

func (l *lab) hits() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.seen)
}

// as lets every dialog at the emulator be answered at once by the person with this number.
func (l *lab) as(phone string) {
	l.t.Helper()
	if err := l.vipps.Control().AutoApprove(phone); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) silent(mode string) {
	l.t.Helper()
	if err := l.vipps.Control().NoDialog(mode); err != nil {
		l.t.Fatal(err)
	}
}

// browser is a browser: it keeps cookies for as long as they say by the lab's clock, says that it navigates, and takes
// redirects one at a time.
type browser struct {
	t       testing.TB
	lab     *lab
	cookies map[string]map[string]string // by host
	ends    map[string]time.Time         // by host and name: Max-Age; none, until the browser is closed
	deny    bool                         // refuses all cookies
	trail   []string                     // of the last visit: each URL
}

func (l *lab) browser() *browser {
	return &browser{t: l.t, lab: l, cookies: map[string]map[string]string{}, ends: map[string]time.Time{}}
}

type answer struct {
	*http.Response
	text string
}

func (b *browser) url(path string) string {
	if strings.HasPrefix(path, "/") {
		return b.lab.site.URL + path
	}
	return path
}

// send sends one request and follows nothing.
func (b *browser) send(method, target string, header http.Header, body string) answer {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.url(target), strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	jar := b.jar(r.URL.Host)
	for _, name := range sortedNames(jar) {
		r.Header.Add("Cookie", name+"="+jar[name])
	}
	if lines := r.Header["Cookie"]; len(lines) > 1 {
		r.Header.Set("Cookie", strings.Join(lines, "; "))
	}
	outlet := b.lab.outlet
	if outlet == nil {
		outlet = ownTransport
	}
	w, err := outlet.RoundTrip(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer w.Body.Close()
	text, err := io.ReadAll(w.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	b.store(r.URL.Host, w.Header["Set-Cookie"])
	return answer{Response: w, text: string(text)}
}

func (b *browser) store(host string, lines []string) {
	if b.deny {
		return
	}
	jar := b.jar(host)
	for _, line := range lines {
		c, err := http.ParseSetCookie(line)
		if err != nil {
			b.t.Fatalf("Set-Cookie: %s: %v", line, err)
		}
		delete(b.ends, host+" "+c.Name)
		jar[c.Name] = c.Value
		switch {
		case c.MaxAge < 0:
			delete(jar, c.Name)
		case c.MaxAge > 0:
			b.ends[host+" "+c.Name] = b.lab.clock.now().Add(time.Duration(c.MaxAge) * time.Second)
		}
	}
}

// jar is what the browser still has of a host's cookies.
func (b *browser) jar(host string) map[string]string {
	jar := b.cookies[host]
	if jar == nil {
		jar = map[string]string{}
		b.cookies[host] = jar
	}
	for name := range jar {
		if end, ok := b.ends[host+" "+name]; ok && !b.lab.clock.now().Before(end) {
			delete(jar, name)
		}
	}
	return jar
}

func sortedNames(m map[string]string) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func navigation() http.Header {
	return http.Header{
		"Accept": {"text/html"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Site": {"none"}, "Accept-Language": {"en"},
	}
}

// visit navigates to a path or a URL and follows redirects as a browser would.
func (b *browser) visit(target string) answer {
	b.t.Helper()
	return b.follow(b.send("GET", target, navigation(), ""), target)
}

func (b *browser) follow(a answer, from string) answer {
	b.t.Helper()
	b.trail = []string{b.url(from)}
	for range 30 {
		if a.StatusCode < 300 || a.StatusCode > 399 {
			return a
		}
		location, err := a.Request.URL.Parse(a.Header.Get("Location"))
		if err != nil {
			b.t.Fatal(err)
		}
		b.trail = append(b.trail, location.String())
		a = b.send("GET", location.String(), navigation(), "")
	}
	b.t.Fatalf("more than 30 redirects:\n%s", strings.Join(b.trail, "\n"))
	return a
}

// click posts a form of our own pages and follows where it leads.
func (b *browser) click(path string, form url.Values) answer {
	b.t.Helper()
	return b.follow(b.post(path, form), path)
}

func (b *browser) post(path string, form url.Values) answer {
	b.t.Helper()
	h := navigation()
	h.Set("Sec-Fetch-Site", "same-origin")
	h.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.send("POST", path, h, form.Encode())
}

// passed reports how often the last visit came by a path.
func (b *browser) passed(path string) int {
	n := 0
	for _, step := range b.trail {
		if u, err := url.Parse(step); err == nil && strings.HasSuffix(u.Path, path) {
			n++
		}
	}
	return n
}

// asked returns the query of the nth authorization request of the last visit.
func (b *browser) asked(n int) url.Values {
	b.t.Helper()
	for _, step := range b.trail {
		if u, err := url.Parse(step); err == nil && strings.HasSuffix(u.Path, "/oauth2/auth") {
			if n--; n < 0 {
				return u.Query()
			}
		}
	}
	b.t.Fatalf("no such authorization request in\n%s", strings.Join(b.trail, "\n"))
	return nil
}

// own are the browser's cookies for the lab's site.
func (b *browser) own() map[string]string { return b.jar(b.lab.site.Listener.Addr().String()) }

func (b *browser) cookie(name string) string { return b.own()[name] }

// setCookie puts a cookie without an end into the browser, or takes one out.
func (b *browser) setCookie(name, value string) {
	delete(b.ends, b.lab.site.Listener.Addr().String()+" "+name)
	if value == "" {
		delete(b.own(), name)
		return
	}
	b.own()[name] = value
}

// loggedIn is a browser in which this person has logged in.
func (l *lab) loggedIn(phone string) *browser {
	l.t.Helper()
	l.as(phone)
	b := l.browser()
	if a := b.visit("/"); a.StatusCode != http.StatusOK || !strings.Contains(a.text, "auth=authenticated") {
		l.t.Fatalf("login of %s ended with %d: %s\n%s", phone, a.StatusCode, a.text, strings.Join(b.trail, "\n"))
	}
	return b
}

func zapString(key, value string) zap.Field { return zap.String(key, value) }

// newReplica is another engine for the lab's site, as another process would have it.
func newReplica(t testing.TB, l *lab, change func(*forwardauth.Config)) http.Handler {
	t.Helper()
	cfg := l.config
	cfg.State = forwardauth.NewState()
	change(&cfg)
	engine, err := forwardauth.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return engine.Protect(http.HandlerFunc(l.app))
}

// takeTurns puts a load balancer in front of the site.
func (l *lab) takeTurns(choose func(path string) http.Handler) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.balance = choose
}

// ownTransport is the default one, but for that httptest closes the connections of that one whenever a test ends, under
// the requests of others too.
var ownTransport = http.DefaultTransport.(*http.Transport).Clone()
