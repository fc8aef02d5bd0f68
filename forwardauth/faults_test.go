package forwardauth_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/session"
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
			begun := time.Now()
			a := b.visit("/wanted")
			l.check53(fmt.Sprintf("%s at %d", name, nth), b, a, f)
			if took := time.Since(begun); took > 3*time.Second {
				t.Errorf("%s at %d took %s", name, nth, took)
			}
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

// A-120, D-53: every secret of a login is drawn from crypto/rand. When the nth draw of a login fails, there is no login: the
// process ends, as crypto/rand has it, or the person gets an error. It runs in a process of its own, since the reader is
// everybody's.
func TestSec_A120_D53_RandomnessFails(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWithoutRandomness$", "-test.v")
	cmd.Env = append(os.Environ(), withoutRandomness+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("draws were tried")) {
		t.Errorf("%v\n%s", err, out)
	}
}

const withoutRandomness = "FORWARDAUTH_TEST_WITHOUT_RANDOMNESS"

// drawn stands for the system's randomness: it notes what it gives, and fails at the nth draw.
type drawn struct {
	system io.Reader
	paused bool // while the provider is asked, which draws too
	nth    int
	count  int
	given  []string
}

var errNoEntropy = errors.New("no entropy")

// Read fails as crypto/rand.Read does where that has called it: there the process would end, here it panics.
func (d *drawn) Read(b []byte) (int, error) {
	if d.paused {
		return d.system.Read(b)
	}
	if d.count++; d.count == d.nth {
		if calledBy("securecookie.GenerateRandomKey") {
			return 0, errNoEntropy
		}
		panic(errNoEntropy)
	}
	n, err := d.system.Read(b)
	d.given = append(d.given, base64.RawURLEncoding.EncodeToString(b[:n]))
	return n, err
}

func calledBy(name string) bool {
	var pcs [20]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(0, pcs[:])])
	for frame, more := frames.Next(); more; frame, more = frames.Next() {
		if strings.HasSuffix(frame.Function, name) {
			return true
		}
	}
	return false
}

type pausing struct {
	inProcess
	d *drawn
}

func (p pausing) RoundTrip(r *http.Request) (*http.Response, error) {
	p.d.paused = true
	defer func() { p.d.paused = false }()
	return p.inProcess.RoundTrip(r)
}

// TestWithoutRandomness is what that process does. In any other it does nothing.
func TestWithoutRandomness(t *testing.T) {
	if os.Getenv(withoutRandomness) == "" {
		return
	}
	const origin = "http://127.0.0.1:4193"
	provider, err := emulator.New(emulator.Config{
		BaseURL: "http://127.0.0.1:4192", Spinner: -1,
		Clients: []emulator.Client{{ID: "shop", Secret: "shop secret", RedirectURIs: []string{origin + "/_vipps/callback"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	d := &drawn{system: rand.Reader}
	client, err := vipps.New(vipps.Config{Issuer: provider.Issuer(), ClientID: "shop", ClientSecret: "shop secret", HTTPClient: &http.Client{Transport: pausing{inProcess{provider}, d}}})
	if err != nil {
		t.Fatal(err)
	}
	engine, err := forwardauth.New(forwardauth.Config{Client: client, Keys: session.Keys{labKey()}, PublicURLs: []string{origin}, Silent: forwardauth.SilentOff, Emulator: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(client.Discover(t.Context()), provider.Control().AutoApprove(phoneAase)); err != nil {
		t.Fatal(err)
	}
	rand.Reader = d
	handler := engine.Protect(http.NotFoundHandler())
	for d.nth = 1; ; d.nth++ {
		d.count, d.given = 0, nil
		location, value := oneLogin(t, handler, provider, d)
		if sealed := strings.Count(strings.Join(d.given, " ")+" ", " "); value != "" && sealed < 7 {
			t.Errorf("draw %d failed, and there is a session of %d draws", d.nth, sealed)
		}
		if d.count >= d.nth { // a seal of what is only remembered
			continue
		}
		// Nothing failed: each secret is one of the draws, whole.
		id, _, _ := engine.SessionOf(value)
		q := location.Query()
		state, _, _ := strings.Cut(q.Get("state"), ".")
		all := strings.Join(d.given, " ") + " "
		if !strings.Contains(all, state+" ") || !strings.Contains(all, q.Get("nonce")+" ") || !strings.Contains(" "+all, " "+id) || len(state) != 43 || len(id) != 22 {
			t.Errorf("state, nonce or the session's id is not of what was drawn")
		}
		break
	}
	t.Logf("%d draws were tried", d.nth)
	if d.nth < 8 {
		t.Error("a login draws more often than that")
	}
}

// oneLogin is a login from the click to the session; no value means that it ended on its way.
func oneLogin(t *testing.T, handler http.Handler, provider *emulator.Emulator, d *drawn) (location *url.URL, value string) {
	send := func(h http.Handler, target string, cookies []string) (w *httptest.ResponseRecorder) {
		w = httptest.NewRecorder()
		r := httptest.NewRequest("GET", target, http.NoBody)
		r.Header = navigation()
		r.Header["Cookie"] = cookies
		defer func() {
			if v := recover(); v != nil && (v != any(errNoEntropy) || len(w.Body.String()) > 0 || w.Code != 200 || w.Flushed) {
				t.Errorf("draw %d: %v after %d %s", d.nth, v, w.Code, w.Body)
			} else if v != nil {
				w = nil // the process is over
			}
		}()
		h.ServeHTTP(w, r)
		if strings.Contains(w.Body.String(), "no entropy") {
			t.Errorf("draw %d: the person reads why", d.nth)
		}
		return w
	}
	w := send(handler, "http://127.0.0.1:4193/_vipps/login?rd=/", nil)
	if w == nil || w.Code != http.StatusFound {
		return nil, ""
	}
	location, err := url.Parse(w.Header().Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	var cookies []string
	for _, line := range w.Header()["Set-Cookie"] {
		pair, _, _ := strings.Cut(line, ";")
		cookies = append(cookies, pair)
	}
	d.paused = true
	back := send(provider, location.String(), nil)
	d.paused = false
	if w = send(handler, back.Header().Get("Location"), cookies); w == nil {
		return location, ""
	}
	for _, line := range w.Header()["Set-Cookie"] {
		if pair, _, _ := strings.Cut(line, ";"); strings.HasPrefix(pair, "vippsauth=1") {
			value = strings.TrimPrefix(pair, "vippsauth=")
		}
	}
	return location, value
}
