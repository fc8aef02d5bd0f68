package forwardauth_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// faulty is the way to the provider on which the nth operation fails: a call, or one read of its answer.
type faulty struct {
	mu    sync.Mutex
	nth   int // 0: none
	count int
	calls map[string]int // by path
	call  func(*http.Response) (*http.Response, error)
	read  error
	hit   bool
}

// fails counts an operation and reports whether it is the one.
func (f *faulty) fails() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count++
	f.hit = f.hit || f.count == f.nth
	return f.count == f.nth
}

func (f *faulty) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	f.calls[r.URL.Path]++
	f.mu.Unlock()
	resp, err := http.DefaultTransport.RoundTrip(r) // it arrives, whatever the answer comes to
	if err != nil {
		return nil, err
	}
	resp.Body = &faultyBody{ReadCloser: resp.Body, f: f}
	if f.fails() {
		_, _ = io.Copy(io.Discard, resp.Body.(*faultyBody).ReadCloser)
		_ = resp.Body.Close()
		return f.call(resp)
	}
	return resp, nil
}

type faultyBody struct {
	io.ReadCloser
	f *faulty
}

func (b *faultyBody) Read(p []byte) (int, error) {
	if b.f.fails() {
		return 0, b.f.read
	}
	return b.ReadCloser.Read(p[:min(len(p), 400)]) // several reads make up an answer
}

type timeoutError struct{}

func (timeoutError) Error() string   { return "i/o timeout" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

func answerWith(status int, contentType, body string) func(*http.Response) (*http.Response, error) {
	return func(resp *http.Response) (*http.Response, error) {
		resp.StatusCode, resp.Status = status, http.StatusText(status)
		resp.Header = http.Header{"Content-Type": {contentType}}
		resp.ContentLength, resp.Body = int64(len(body)), io.NopCloser(strings.NewReader(body))
		return resp, nil
	}
}

func failWith(err error) func(*http.Response) (*http.Response, error) {
	return func(*http.Response) (*http.Response, error) { return nil, err }
}

// D-53: each call to the provider and each read of its answers fails once, in every way, through a whole login. The person
// is logged in as who they are, or gets a page with a reference that is in the log, and no session; the code is never sent
// twice; and when the provider is well again, so is the login.
func TestSec_D53_A101_B013_TheNthOperationFails(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.silent(emulator.NoDialogHit)
	l.as(phoneAase)
	kinds := map[string]struct {
		call func(*http.Response) (*http.Response, error)
		read error
	}{
		"reset":   {failWith(syscall.ECONNRESET), syscall.ECONNRESET},
		"timeout": {failWith(timeoutError{}), timeoutError{}},
		"cut":     {failWith(io.ErrUnexpectedEOF), io.ErrUnexpectedEOF},
		"ended":   {answerWith(200, "application/json", ""), io.EOF},
		"gone":    {failWith(context.DeadlineExceeded), context.DeadlineExceeded},
		"500":     {answerWith(500, "text/html", "<h1>oops</h1>"), errors.New("broken")},
		"503":     {answerWith(503, "application/json", `{"error":"temporarily_unavailable"}`), errors.New("broken")},
		"401":     {answerWith(401, "application/json", `{"error":"invalid_client"}`), errors.New("broken")},
		"302":     {answerWith(302, "text/html", ""), errors.New("broken")},
		"garbage": {answerWith(200, "application/json", "\x00\xff{{{"), errors.New("broken")},
		"object":  {answerWith(200, "application/json", "{}"), errors.New("broken")},
		"null":    {answerWith(200, "application/json", "null"), errors.New("broken")},
		"list":    {answerWith(200, "application/json", `[{"sub":"evil","id_token":"x"}]`), errors.New("broken")},
		"another": {answerWith(200, "application/json", `{"sub":"evil","access_token":"x","token_type":"Bearer","id_token":"a.b.c","keys":[]}`), errors.New("broken")},
	}
	most := 0
	for name, kind := range kinds {
		for nth := 1; ; nth++ {
			f := &faulty{nth: nth, calls: map[string]int{}, call: kind.call, read: kind.read}
			handler := newReplica(t, l, func(c *forwardauth.Config) { c.Client = faultyClient(t, l, f) })
			l.takeTurns(func(string) http.Handler { return handler })
			b := l.browser()
			a := b.visit("/wanted")
			l.check53(fmt.Sprintf("%s at %d", name, nth), b, a, f)
			if !f.hit {
				most = max(most, nth-1)
				break
			}
			l.clock.advance(time.Minute)
			if a := b.visit("/wanted"); !strings.Contains(a.text, "app: GET /wanted auth=authenticated name=Åse") {
				t.Errorf("%s at %d: when the provider is well again: %d %s\n%s", name, nth, a.StatusCode, a.text, strings.Join(b.trail, "\n"))
			}
		}
	}
	if most < 12 { // four calls, and several reads of each answer
		t.Errorf("a login is only %d operations", most)
	}
}

func faultyClient(t *testing.T, l *lab, transport http.RoundTripper) *vipps.Client {
	t.Helper()
	c, err := vipps.New(vipps.Config{
		Issuer: l.vipps.Issuer, ClientID: "shop", ClientSecret: "shop secret+/=", Scopes: l.config.Scopes, Now: l.clock.now,
		HTTPClient: &http.Client{Transport: transport},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// check53 holds the end of a login that had a fault to what may come of it.
func (l *lab) check53(what string, b *browser, a answer, f *faulty) {
	l.t.Helper()
	if n := f.calls["/access-management-1.0/access/oauth2/token"]; n > 1 {
		l.t.Errorf("%s: the code was sent %d times", what, n)
	}
	value, loggedIn := b.cookie("vippsauth"), strings.Contains(a.text, "app: GET /wanted auth=authenticated name=Åse Ødegård")
	if loggedIn {
		if a.StatusCode != http.StatusOK || value == "" {
			l.t.Errorf("%s: the app was reached with %d and session %q", what, a.StatusCode, value)
		}
		return
	}
	if a.StatusCode < 400 || value != "" || strings.Contains(a.text, "app:") {
		l.t.Errorf("%s: ends with %d, session %q, at\n%s", what, a.StatusCode, value, strings.Join(b.trail, "\n"))
	}
	logged := l.log.FilterFieldKey("reference").All()
	if len(logged) == 0 || !strings.Contains(a.text, logged[len(logged)-1].ContextMap()["reference"].(string)) {
		l.t.Errorf("%s: the page has no reference of the log's: %s", what, a.text)
	}
	if judged := b.send("GET", "/wanted", http.Header{"Sec-Fetch-Mode": {"cors"}}, ""); judged.StatusCode != http.StatusUnauthorized {
		l.t.Errorf("%s: judged with %d", what, judged.StatusCode)
	}
}

// B-068: two hundred people log in at the same time, at two replicas, with a provider whose answers come in any order. Each
// is who they are, on every page, and nobody is anybody else.
func TestSec_B068_A092_ManyPeopleAtOnce(t *testing.T) {
	t.Parallel()
	const people = 200
	l := newLab(t, nil)
	l.silent(emulator.NoDialogReal)
	second := newReplica(t, l, func(c *forwardauth.Config) { c.Client = faultyClient(t, l, slow{}) })
	first := newReplica(t, l, func(c *forwardauth.Config) { c.Client = faultyClient(t, l, slow{}) })
	var turn struct {
		sync.Mutex
		n int
	}
	l.takeTurns(func(string) http.Handler {
		turn.Lock()
		defer turn.Unlock()
		turn.n++
		return []http.Handler{first, second}[turn.n/3%2]
	})
	provider, err := url.Parse(l.vipps.URL)
	if err != nil {
		t.Fatal(err)
	}
	control := l.vipps.Control()
	var wg sync.WaitGroup
	limit := make(chan struct{}, 40)
	var mu sync.Mutex
	subs := map[string]string{}
	for i := range people {
		phone, name := fmt.Sprintf("47911%05d", i), fmt.Sprintf("Nummer%d Nordmann", i)
		p := emulator.Person{ID: fmt.Sprint("number ", i), Phone: phone, Name: name, GivenName: fmt.Sprintf("Nummer%d", i), FamilyName: "Nordmann"}
		if err := errors.Join(control.AddPerson(p), control.Consent("shop", phone)); err != nil {
			t.Fatal(err)
		}
		remembered, err := control.Remember(phone)
		if err != nil {
			t.Fatal(err)
		}
		b := l.browser()
		b.jar(provider.Host)[remembered.Name] = remembered.Value
		wg.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			for round := range 2 {
				if a := b.visit("/p"); a.StatusCode != http.StatusOK || !strings.HasSuffix(a.text, "auth=authenticated name="+name) {
					t.Errorf("%s, round %d: %d %s", name, round, a.StatusCode, a.text)
				}
			}
			a := b.send("GET", "/_vipps/me", http.Header{"Sec-Fetch-Mode": {"cors"}}, "")
			_, sub, _ := l.engine.SessionOf(b.cookie("vippsauth"))
			if !strings.Contains(a.text, phone) || sub == "" || !strings.Contains(a.text, sub) {
				t.Errorf("%s: %s", name, a.text)
			}
			mu.Lock()
			defer mu.Unlock()
			if other := subs[sub]; other != "" {
				t.Errorf("%s has the sub of %s", name, other)
			}
			subs[sub] = name
		})
	}
	wg.Wait()
	if len(subs) != people {
		t.Errorf("%d subs of %d people", len(subs), people)
	}
}

// slow lets every call take its own time, there and back.
type slow struct{}

func (slow) RoundTrip(r *http.Request) (*http.Response, error) {
	var b [2]byte
	_, _ = rand.Read(b[:])
	time.Sleep(time.Duration(b[0]) * 50 * time.Microsecond)
	resp, err := http.DefaultTransport.RoundTrip(r)
	time.Sleep(time.Duration(b[1]) * 50 * time.Microsecond)
	return resp, err
}
