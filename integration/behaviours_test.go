package integration_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// differs says where a front end may differ from the others.
type differs struct {
	name         string // in the table; empty: the test's name
	fillsBodies  bool   // a refusal without a body gets one of the front end's own
	keepsCookies bool   // the app gets our cookies too: the front end can't take them out
	bare         int    // the status of its own, without a page of ours, while the service is away; 0: it has the page
	inProcess    bool   // there is no service beside the front end that could be away: the provider is what can be
	tellsScripts bool   // scripts get JSON while the service is away, and not the page

	waits    time.Duration // the longest that it waits for an answer; 0: five seconds
	believes []int         // another server's answers in the service's place that it takes for a yes: the app is asked, by nobody
	passesOn []int         // another server's answers that it gives to whoever asked
	hurried  bool          // nothing is tried that takes its time
}

// A behaviour is one thing that every front end has to do, whatever it is.
type behaviour struct {
	name string
	test func(t *testing.T, f *front)
}

// behaviours are in the order in which they run: the last ends the service.
func behaviours(d differs) []behaviour {
	return []behaviour{
		{"silent miss, then the full login; deep link with its query", firstLogin},
		{"silent hit", silentHit},
		{"scripts and APIs get 401", scriptsGet401},
		{"gRPC, prefetches, images and the like get 401", func(t *testing.T, f *front) { programsGet401(t, f, d) }},
		{"forms", forms},
		{"C010_spoofed identity headers", spoofedIdentity},
		{"B078_identity headers taken out by Connection", spoofedConnection},
		{"C062_forwarded headers of the client", spoofedForwarded},
		{"B015_the query says nothing", queryIsNotOurs},
		{"conditional and range requests", conditional},
		{"methods", methods},
		{"paths", paths},
		{"websocket", websocket},
		{"authz is closed to browsers", authzClosed},
		{"cookies for the app", func(t *testing.T, f *front) { cookiesForApp(t, f, !d.keepsCookies) }},
		{"the app's own refusal", appsOwnRefusal},
		{"vippsauth doctor finds nothing wrong", doctorIsContent},
		{"logout", logout},
		{"somebody who is not on the list is denied", refused},
		{"restart under load: nobody passes without a session, none is lost", func(t *testing.T, f *front) { restartsUnderLoad(t, f, d) }},
		{"the service slow, cut or wrong: nobody passes, people see a page", func(t *testing.T, f *front) { atItsWorst(t, f, d) }},
		{"fails closed, with a page", func(t *testing.T, f *front) { failsClosed(t, f, d) }},
	}
}

// conforms runs the list, and notes the outcome for the table that is printed at the end.
func conforms(t *testing.T, f *front, d differs) {
	t.Helper()
	if d.name == "" {
		d.name = t.Name()
	}
	if d.waits == 0 {
		d.waits = 5 * time.Second
	}
	for _, b := range behaviours(d) {
		t.Run(b.name, func(t *testing.T) {
			defer func() { outcomes.note(d.name, b.name, !t.Failed() && !t.Skipped()) }()
			b.test(t, f)
		})
	}
}

// silentHit: whom Vipps remembers in the browser is logged in without a click, on the first visit and after a session.
func silentHit(t *testing.T, f *front) {
	f.loggedIn() // Åse has consented
	b := f.browser()
	cookie, err := f.vipps.Control().Remember(phoneAase)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(f.vipps.URL)
	if err != nil {
		t.Fatal(err)
	}
	b.jar.SetCookies(u, []*http.Cookie{cookie})
	for _, path := range []string{"/first?x=1", "/again?x=1"} {
		hits := f.app.hits()
		a := b.open(f.origin + path)
		if asked := b.asked(); len(asked) != 1 || asked[0].Get("requested_flow") != "no_dialog" {
			t.Errorf("the provider was asked %d times, by %v", len(asked), b.trail)
		}
		if a.StatusCode != http.StatusOK || a.Request.URL.String() != f.origin+path || f.app.hits() != hits+1 {
			t.Errorf("%s: %d at %s", path, a.StatusCode, a.Request.URL)
		}
		if n := b.forget(f.origin, `^(__Host-)?vippsauth$`); n != 1 {
			t.Errorf("%d session cookies", n)
		}
	}
}

// failsClosed: with nobody there to judge, nothing reaches the app, session or not, and people are told.
func failsClosed(t *testing.T, f *front, d differs) {
	in, fresh := f.loggedIn(), f.browser()
	asks := []*browser{in, fresh}
	if d.inProcess { // sessions need nobody
		asks = []*browser{fresh}
		for _, endpoint := range []string{emulator.EndpointToken, emulator.EndpointDiscovery, emulator.EndpointJWKS, emulator.EndpointUserinfo} {
			if err := f.vipps.Control().FailNext(endpoint, 1000, http.StatusServiceUnavailable, ""); err != nil {
				t.Fatal(err)
			}
		}
	} else {
		f.service.end()
	}
	hits := f.app.hits()
	for _, b := range asks {
		for _, path := range []string{"/", "/_vipps/login?rd=%2F"} {
			a := b.open(f.origin + path)
			if d.inProcess {
				if a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Retry-After") == "" || !strings.Contains(a.text, "Try again") {
					t.Errorf("a page visit meanwhile: %d %v %s", a.StatusCode, a.Header, a.words())
				}
			} else if wrong := d.awayPage(a, true); wrong != "" && (path == "/" || d.bare == 0) {
				t.Errorf("%s meanwhile: %s: %d %v %s", path, wrong, a.StatusCode, a.Header, a.words())
			}
		}
		for _, h := range []http.Header{fetching(), with(fetching(), "X-Vipps-Sub", "evil")} {
			if a := b.send(http.MethodPost, f.origin+"/", h, strings.NewReader("x=1")); a.StatusCode < 400 {
				t.Errorf("a script meanwhile: %d", a.StatusCode)
			}
		}
	}
	if f.app.hits() != hits {
		t.Errorf("the app was asked %d times while nobody could judge", f.app.hits()-hits)
	}
}

// outcomes are those of every front end that has run.
var outcomes table

// A table is what is printed when all tests are done: a line a behaviour, a column a front end.
type table struct {
	mu     sync.Mutex
	fronts []string
	passed map[[2]string]bool
}

func (o *table) note(front, behaviour string, passed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !slices.Contains(o.fronts, front) {
		o.fronts = append(o.fronts, front)
	}
	if o.passed == nil {
		o.passed = map[[2]string]bool{}
	}
	o.passed[[2]string{front, behaviour}] = passed
}

// print writes the table and returns how many of its fields are no "yes".
func (o *table) print(w io.Writer) (holes int) {
	if len(o.fronts) == 0 {
		return 0
	}
	slices.Sort(o.fronts)
	fmt.Fprintln(w, "proxy x behaviour:")
	for i, front := range o.fronts {
		fmt.Fprintf(w, "  [%c] %s\n", 'A'+i, front)
	}
	for _, b := range behaviours(differs{}) {
		fmt.Fprintf(w, "  %-68s", b.name)
		for _, front := range o.fronts {
			passed, ran := o.passed[[2]string{front, b.name}]
			switch {
			case passed:
				fmt.Fprint(w, " yes")
			case ran:
				fmt.Fprint(w, " NO ")
				holes++
			default:
				fmt.Fprint(w, " -- ")
				holes++
			}
		}
		fmt.Fprintln(w)
	}
	return holes
}
