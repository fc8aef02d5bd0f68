package integration_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// asProvider makes a handler the site's provider. It gets what is asked, and may pass it on.
func (f *front) asProvider(h func(provider http.Handler, w http.ResponseWriter, r *http.Request)) {
	f.t.Helper()
	port := strconv.Itoa(freePort(f.t))
	e, err := emulator.New(emulator.Config{
		BaseURL: "http://127.0.0.1:" + port, Spinner: -1,
		Clients: []emulator.Client{{ID: clientID, Secret: clientSecret, Name: "Integration", RedirectURIs: []string{f.origin + "/_vipps/callback"}}},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	serveOn(f.t, port, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h(e, w, r) }))
	f.vipps = &emulator.Server{Emulator: e, URL: e.BaseURL(), Issuer: e.Issuer()}
	f.as(phoneAase)
}

// A provider that is slow in one of three ways when codes are redeemed: it says nothing, nothing after its headers, or a byte a
// second. Whoever waits gets a page within the ten seconds that a call may take, no code is redeemed twice, and nobody who is
// logged in feels anything.
func TestSec_D04_ProviderSlow(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	const ways = 3
	var redeemed, faults atomic.Int64
	f.asProvider(func(provider http.Handler, w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/oauth2/token") || faults.Load() == 0 {
			provider.ServeHTTP(w, r)
			return
		}
		way := redeemed.Add(1)
		if way > ways {
			provider.ServeHTTP(w, r)
			return
		}
		slowly(way, provider, w, r)
	})
	f.sidecar()
	in := f.loggedIn()
	faults.Store(1)
	var waiting sync.WaitGroup
	pages := make([]answer, ways)
	people := make([]*browser, ways)
	for n := range pages {
		people[n] = f.browser()
		waiting.Go(func() {
			begin := time.Now()
			pages[n] = people[n].open(fmt.Sprintf("%s/wanted/%d", f.origin, n))
			if took := time.Since(begin); took > 14*time.Second {
				t.Errorf("the page took %s", took)
			}
		})
	}
	eventually(t, "all three wait for the provider", func() bool { return redeemed.Load() == ways })
	for range 20 {
		begin := time.Now()
		if a := in.open(f.origin + "/meanwhile"); a.StatusCode != http.StatusOK || time.Since(begin) > 7*time.Second {
			t.Errorf("a session meanwhile: %d after %s", a.StatusCode, time.Since(begin))
		}
	}
	waiting.Wait()
	if n := redeemed.Load(); n != ways {
		t.Errorf("%d codes of %d logins were sent to the provider: one was redeemed again", n, ways)
	}
	for n, page := range pages {
		if page.StatusCode != http.StatusServiceUnavailable || page.Header.Get("Retry-After") == "" || page.Request.URL.Query().Has("code") {
			t.Errorf("a login at a slow provider: %d at %v: %s", page.StatusCode, people[n].trail, page.words())
			continue
		}
		if a := people[n].press(page, "^Try again$"); a.StatusCode != http.StatusOK || a.Request.URL.Path != fmt.Sprintf("/wanted/%d", n) {
			t.Errorf("\"Try again\" later: %d at %v", a.StatusCode, people[n].trail)
		}
	}
}

// slowly answers in one of the ways of a slow provider, until whoever asked goes away.
func slowly(way int64, provider http.Handler, w http.ResponseWriter, r *http.Request) {
	gone := r.Context().Done()
	if way == 1 {
		_ = r.ParseForm() // net/http sees that a client goes when the body is read
		<-gone
		return
	}
	whole := httptest.NewRecorder()
	provider.ServeHTTP(whole, r)
	for name, values := range whole.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(whole.Code)
	flush := http.NewResponseController(w).Flush
	_ = flush()
	for _, c := range whole.Body.Bytes() {
		wait := time.Second
		if way == 2 {
			wait = time.Minute
		}
		select {
		case <-gone:
			return
		case <-time.After(wait):
		}
		_, _ = w.Write([]byte{c})
		_ = flush()
	}
}

// A browser that goes away in the middle of a login, wherever that is, damages nothing: the next visit ends as this person's, no
// code is redeemed twice, and the session of another browser is as it was.
func TestSec_D20_ClientsThatGoAway(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.sidecar()
	in := f.loggedIn()
	for _, endpoint := range []string{emulator.EndpointToken, emulator.EndpointUserinfo} {
		if err := f.vipps.Control().Delay(endpoint, 25*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	points, given := 0, 0
	for step := range 8 {
		for _, after := range []time.Duration{0, time.Millisecond, 10 * time.Millisecond, 35 * time.Millisecond, 60 * time.Millisecond} {
			b := f.browser()
			target, err := url.Parse(f.origin + "/wanted")
			for range step {
				a := b.send(http.MethodGet, target.String(), navigation(), nil)
				if target, err = a.Location(); err != nil {
					break
				}
			}
			if err != nil { // the login is over by then
				continue
			}
			points++
			if !b.goesAway(target, after) {
				given++
			}
			before := f.vipps.Control().Calls()[emulator.EndpointToken]
			a := b.open(f.origin + "/wanted")
			if strings.Contains(a.text, "Try again") {
				a = b.press(a, "^Try again$")
			}
			if a.StatusCode != http.StatusOK || !strings.Contains(a.text, nameAase) {
				t.Errorf("after step %d and %s: %d at %v: %s", step, after, a.StatusCode, b.trail, a.words())
			}
			if n := f.vipps.Control().Calls()[emulator.EndpointToken] - before; n > 2 { // one of them may be the one that was left
				t.Errorf("after step %d and %s: %d codes were redeemed", step, after, n)
			}
		}
	}
	if points < 30 || given < 10 {
		t.Errorf("%d points, at %d of which the browser was gone in time", points, given)
	}
	if a := in.open(f.origin + "/"); a.StatusCode != http.StatusOK || len(in.trail) != 1 {
		t.Errorf("the other browser's session: %d at %v", a.StatusCode, in.trail)
	}
	for _, call := range f.vipps.Control().Log() {
		if call.Endpoint == emulator.EndpointToken && call.Status >= http.StatusBadRequest {
			t.Error("a code was redeemed a second time")
		}
	}
}

// goesAway asks and closes its connection a moment later. It reports whether there was an answer before that.
func (b *browser) goesAway(target *url.URL, after time.Duration) (answered bool) {
	b.t.Helper()
	conn, err := toLoopback(b.t.Context(), "tcp", target.Host)
	if err != nil {
		b.t.Fatal(err)
	}
	defer conn.Close()
	var cookies []string
	for _, c := range b.jar.Cookies(target) {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: text/html\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nCookie: %s\r\n\r\n",
		target.RequestURI(), target.Host, strings.Join(cookies, "; "))
	if after == 0 {
		return false
	}
	_ = conn.SetReadDeadline(time.Now().Add(after))
	n, _ := conn.Read(make([]byte, 1))
	return n > 0
}

// Attack: an address of a megabyte, which a session would have to hold. One beyond what is read of an answer is no login;
// one within is a login where no header wants it, and a page where one does. The service keeps nothing of it.
func TestSec_D32_LongClaims(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	street := strings.Repeat("Lang gate, ", 70_000)
	giant := emulator.Person{ID: "giant", Phone: "4790000999", Name: "Stor Person", GivenName: "Stor", FamilyName: "Person", Address: &emulator.Address{StreetAddress: street}}
	if err := f.vipps.Control().AddPerson(giant); err != nil {
		t.Fatal(err)
	}
	f.as(giant.Phone)
	f.sidecar("--scopes=openid name address", "--allow="+giant.Phone)
	a := f.browser().open(f.origin + "/")
	if a.StatusCode != http.StatusBadGateway && a.StatusCode != http.StatusServiceUnavailable { // the claim is there twice: formatted too
		t.Errorf("an answer of more than a megabyte: %d %s", a.StatusCode, a.words())
	}
	giant.Address.StreetAddress = street[:400_000]
	if err := f.vipps.Control().AddPerson(giant); err != nil {
		t.Fatal(err)
	}
	if a := f.browser().open(f.origin + "/"); a.StatusCode != http.StatusOK || !strings.Contains(a.text, "Stor Person") || f.app.last().Header.Get("X-Vipps-Address") != "" {
		t.Errorf("an address that no header wants: %d %s", a.StatusCode, a.words())
	}
	before := memory(t, f.service, "VmRSS")
	listed := newFront(t)
	if err := listed.vipps.Control().AddPerson(giant); err != nil {
		t.Fatal(err)
	}
	listed.as(giant.Phone)
	listed.sidecar("--scopes=openid name address", "--allow="+giant.Phone, "--headers=default,X-Vipps-Address=address")
	hits := listed.app.hits()
	for range 3 {
		a := listed.browser().open(listed.origin + "/")
		if a.StatusCode < 400 || listed.app.hits() != hits || strings.Contains(a.text, "Lang gate") {
			t.Fatalf("an address that a header wants: %d %.300s", a.StatusCode, a.words())
		}
	}
	if !strings.Contains(listed.service.out.String(), "cookie") {
		t.Error("the log doesn't say that the session is too big")
	}
	if grown := memory(t, listed.service, "VmRSS") - before; grown > 80<<20 {
		t.Errorf("the service is %d MiB larger than the other one", grown>>20)
	}
	listed.as(phoneAase)
	if a := listed.browser().open(listed.origin + "/"); a.StatusCode != http.StatusOK {
		t.Errorf("somebody with a common address: %d %s", a.StatusCode, a.words())
	}
}
