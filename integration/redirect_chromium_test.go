package integration_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/chromedp/chromedp"
	whatwg "github.com/nlnwa/whatwg-url/url"

	"github.com/vippsauth/vippsauth/internal/hostile"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

const corpora = "../forwardauth/testdata/"

// returnURL is a line of the corpora: what somebody asks to come back to, and the path that comes of it.
type returnURL struct{ line, want string }

// returnURLs are all lines; where they name the site, they name this one.
func returnURLs(t *testing.T, origin string) (all []returnURL) {
	t.Helper()
	host := strings.TrimPrefix(strings.TrimPrefix(origin, "http://"), "https://")
	for _, file := range []string{"hostile/redirect.txt", "returnto/good.txt"} {
		lines, err := hostile.Lines(corpora + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			line = strings.NewReplacer("https://app.example", origin, "app.example", host).Replace(line)
			one := returnURL{line, "/"}
			if strings.HasPrefix(file, "returnto/") {
				raw, want, differs := strings.Cut(line, "=>")
				one = returnURL{raw, raw}
				if differs {
					one = returnURL{strings.TrimRight(raw, " "), strings.TrimSpace(want)}
				}
			}
			all = append(all, one)
		}
	}
	return all
}

// trip is a step of a browser's: what its page does, and the path and query at which the app is asked next.
type trip struct{ line, script, want string }

// wanderer is an app whose pages send the browser on, step by step, each with a script of its own, and that keeps where the
// browser came back to.
type wanderer struct {
	*httptest.Server
	mu      sync.Mutex
	trips   []trip
	landed  []string
	cookies []string // that every page sets
	over    chan struct{}
}

func newWanderer(t *testing.T) *wanderer {
	t.Helper()
	w := &wanderer{}
	w.Server = httptest.NewServer(w)
	t.Cleanup(w.Close)
	return w
}

func (w *wanderer) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Sec-Fetch-Dest") != "document" {
		rw.WriteHeader(http.StatusNoContent) // a browser's own wishes
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	rw.Header().Set("Content-Type", "text/html; charset=utf-8")
	rw.Header()["Set-Cookie"] = w.cookies
	if r.URL.Path != "/begin" {
		w.landed = append(w.landed, r.RequestURI)
	}
	if len(w.landed) >= len(w.trips) {
		fmt.Fprint(rw, "<title>over</title>over")
		if w.over != nil {
			close(w.over)
			w.over = nil
		}
		return
	}
	fmt.Fprintf(rw, "<title>on the way</title><script>%s</script>", w.trips[len(w.landed)].script)
}

// wander sends the browser on all trips and holds where it came back to against what was promised.
func (w *wanderer) wander(t *testing.T, c *chromium, f *front, cookies []string, trips []trip) {
	t.Helper()
	over := make(chan struct{})
	w.mu.Lock()
	w.trips, w.landed, w.cookies, w.over = trips, nil, cookies, over
	w.mu.Unlock()
	c.mu.Lock()
	c.pages = nil
	c.mu.Unlock()
	// Not by opening it, which would wait for a page that stays.
	look(c, chromedp.Evaluate[bool](`setTimeout(() => location.replace("/begin"), 1) > 0`))
	select {
	case <-over:
	case <-time.After(40 * time.Second):
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.landed) < len(trips) {
		t.Fatalf("after %q the browser doesn't come back: it is at %s: %s", trips[len(w.landed)].line, c.at(), tail(c.text("body"), 500))
	}
	for i, trip := range trips {
		if got := w.landed[i]; got != trip.want && unescaped(got) != unescaped(trip.want) {
			t.Errorf("%.100q: the browser lands at %.200s, want %s", trip.line, got, trip.want)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pages) < len(trips) {
		t.Errorf("the browser says that it opened %d pages on %d trips", len(c.pages), len(trips))
	}
	for _, page := range c.pages {
		u, err := whatwg.Parse(page)
		if err != nil || !strings.HasPrefix(page, f.vipps.Issuer) && u.Protocol()+"//"+u.Host() != f.origin {
			t.Errorf("I3: the browser was sent to %.200s", page)
		}
	}
}

// browserOrigin is where a browser at the site goes that is sent to ref; "" is nowhere.
func browserOrigin(site, ref string) string {
	u, err := whatwg.ParseRef(site+"/start/x", ref)
	if err != nil {
		return ""
	}
	return u.Protocol() + "//" + u.Host()
}

// landing is how a browser writes a path of ours in a request.
func landing(t *testing.T, origin, path string) string {
	t.Helper()
	u, err := whatwg.Parse(origin + path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Href(true), origin)
}

// unescaped is a path for comparison: Chromium escapes a few more bytes than the URL Standard asks for.
func unescaped(path string) string {
	for _, c := range "|^" {
		path = strings.ReplaceAll(path, fmt.Sprintf("%%%02X", c), string(c))
	}
	return path
}

func javascript(t *testing.T, text string) string {
	t.Helper()
	b, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The judge of redirects is a real browser: it follows a link to the login, a logout's form and an address of the site with
// every line of the corpus, and never asks anybody but the site and the provider for a page.
func TestSec_C001_C003_A090_ChromiumStaysOnTheSite(t *testing.T) {
	t.Parallel()
	f, app := newFront(t), newWanderer(t)
	f.addr, f.ops = "127.0.0.1:"+f.port(), freeAddr(t)
	f.serve("--upstream="+app.URL, "--without-session=anonymous")
	if err := f.vipps.Control().NoDialog(emulator.NoDialogHit); err != nil {
		t.Fatal(err)
	}
	c := startChromium(t)
	c.open(f.origin + "/_vipps/login?rd=/logged-in")
	if !strings.HasSuffix(c.at(), "/logged-in") {
		t.Fatalf("the login ends at %s: %s", c.at(), c.text("body"))
	}
	t.Run("C001_B001_B061_what every line leads to", func(t *testing.T) { c.readsLocations(t, f) })
	var login, logout, paths []trip
	for i, r := range returnURLs(t, f.origin) {
		// A trip costs as much as a hundred readings: all lines have been read, and the trips are to those that a
		// browser would follow away, if it got them as they are.
		away := browserOrigin(f.origin, r.line) != f.origin
		if len(r.line) > 4000 || away && i%4 != 0 || !away && i%12 != 0 {
			continue
		}
		want := landing(t, f.origin, r.want)
		login = append(login, trip{r.line, "location.replace(" + javascript(t, "/_vipps/login?rd="+url.QueryEscape(r.line)) + ")", want})
		if utf8.ValidString(r.line) && i%8 == 0 {
			logout = append(logout, trip{r.line, `const f = document.createElement("form"), i = document.createElement("textarea"); f.method = "post"; f.action = "/_vipps/logout"; i.name = "rd"; i.value = ` +
				javascript(t, r.line) + `; f.append(i); document.documentElement.append(f); f.submit()`, want})
		}
	}
	for _, line := range []string{"//evil.example/x", `/\evil.example`, "/.//evil.example", "/x/..//evil.example", "///evil.example", "/\t/evil.example", "/%09/evil.example", "/%2f%2fevil.example", "/%5cevil.example"} {
		paths = append(paths, trip{line, "location.replace(location.origin + " + javascript(t, line) + ")", "/"})
	}
	if len(login) < 80 || len(logout) < 40 {
		t.Fatalf("%d and %d trips", len(login), len(logout))
	}
	const gone = "; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"
	t.Run("C001_B001_a link to the login", func(t *testing.T) {
		app.wander(t, c, f, []string{"vippsauth-hint=" + gone}, login) // which would stop what looks like a loop
	})
	t.Run("C003_B028_the site's own addresses", func(t *testing.T) {
		app.wander(t, c, f, []string{"vippsauth-hint=" + gone, "vippsauth=" + gone}, paths)
	})
	t.Run("C001_B061_a logout's form", func(t *testing.T) { app.wander(t, c, f, nil, logout) })
}

// readsLocations lets Chromium read where the answers to all lines lead, at the login and at the logout.
func (c *chromium) readsLocations(t *testing.T, f *front) {
	b := f.browser()
	b.open(f.origin + "/_vipps/login?rd=/x")
	var session string
	for _, cookie := range b.cookies(f.origin) {
		if cookie.Name == "vippsauth" {
			session = "vippsauth=" + cookie.Value
		}
	}
	b.client.Jar = nil // the hint would stop what looks like a loop
	var got, want []string
	for _, r := range returnURLs(t, f.origin) {
		if len(r.line) > 15<<10 {
			continue
		}
		for _, a := range []answer{
			b.send(http.MethodGet, f.origin+"/_vipps/login?rd="+url.QueryEscape(r.line), with(navigation(), "Cookie", session), nil),
			b.post(f.origin+"/_vipps/logout", url.Values{"rd": {r.line}}),
		} {
			if location := a.Header["Location"]; len(location) != 1 || location[0] != f.origin+r.want {
				t.Errorf("%.100q: %d to %.200q, want %s", r.line, a.StatusCode, location, r.want)
				continue
			}
			got, want = append(got, a.Header.Get("Location")), append(want, f.origin)
		}
	}
	read := look(c, chromedp.Evaluate[[]string](javascript(t, strings.Join(got, "\n"))+`.split("\n").map(to => new URL(to, location.href).origin)`))
	if len(got) < 1400 || !slices.Equal(read, want) {
		t.Errorf("of %d redirects Chromium reads %d, and not all as the site's", len(got), len(read))
	}
}

// That the judge of forwardauth's tests reads addresses as a browser does, the browser says.
func TestSec_C001_ChromiumReadsAsTheJudgeDoes(t *testing.T) {
	t.Parallel()
	c := startChromium(t)
	const base = "https://app.example/start/x"
	var lines []string
	for _, r := range returnURLs(t, "https://app.example") {
		for _, line := range []string{r.line, r.want} {
			if utf8.ValidString(line) && len(line) < 5000 {
				lines = append(lines, line)
			}
		}
	}
	c.open("about:blank")
	got := look(c, chromedp.Evaluate[[]string](`(`+javascript(t, strings.Join(lines, "\n\n\n"))+`).split("\n\n\n").map(line => { try { return new URL(line, "`+base+`").href } catch { return "" } })`))
	if len(got) != len(lines) {
		t.Fatalf("%d answers to %d lines", len(got), len(lines))
	}
	for i, line := range lines {
		want := ""
		if u, err := whatwg.ParseRef(base, line); err == nil {
			want = u.Href(false)
		}
		// Where both say that it leads away, they may differ in how: Chromium takes blanks and stars in the name of a host.
		stays := strings.HasPrefix(want, "https://app.example/")
		if stays != strings.HasPrefix(got[i], "https://app.example/") || stays && unescaped(got[i]) != unescaped(want) {
			t.Errorf("%.100q: Chromium reads %.200q, the judge %.200q", line, got[i], want)
		}
	}
}
