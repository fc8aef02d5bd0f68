package webhook_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
	"github.com/vippsauth/vippsauth/webhook"
)

const (
	qrClient = "acae94b4-7b30-4615-9806-10c3b42079a3"
	qrSub    = "c06c4afe-d9e1-4c5d-939a-177d752a0944"
)

// qrLab is a running receiver of QR callbacks, with the logins that came of them.
type qrLab struct {
	t   testing.TB
	url string

	handler http.Handler
	stop    func() // waits for the queue

	logins chan *vipps.Login
	logs   *observer.ObservedLogs
	fail   func() error  // in place of taking a login
	hold   chan struct{} // what every login waits for before it is taken; nil: nothing
}

func newQRLab(t testing.TB, cfg vipps.Config) *qrLab {
	t.Helper()
	client, err := vipps.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	core, logs := observer.New(zapcore.DebugLevel)
	l := &qrLab{t: t, logins: make(chan *vipps.Login, 1000), logs: logs}
	q, err := webhook.NewQR(webhook.QRConfig{Client: client, Logger: zap.New(core), Now: cfg.Now, Login: func(_ context.Context, login *vipps.Login) error {
		if login == nil {
			t.Error("a login that is none")
		}
		if l.hold != nil {
			<-l.hold
		}
		if l.fail != nil {
			return l.fail()
		}
		l.logins <- login
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx) }()
	l.handler = q.Handler(http.NotFoundHandler())
	srv := httptest.NewServer(l.handler)
	l.stop = sync.OnceFunc(func() {
		srv.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(l.stop)
	l.url = srv.URL + webhook.QRPath
	return l
}

// post sends a body as Vipps would, and returns the status and the body of the answer.
func (l *qrLab) post(body string, change ...func(*http.Request)) (int, string) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url, strings.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/jose")
	for _, f := range change {
		f(r)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// next is the next login, and nil if none comes.
func (l *qrLab) next(patience time.Duration) *vipps.Login {
	select {
	case login := <-l.logins:
		return login
	case <-time.After(patience):
		return nil
	}
}

// quiet fails for a log line that holds one of these.
func (l *qrLab) quiet(secrets ...string) {
	l.t.Helper()
	for _, e := range l.logs.All() {
		line := e.Message + fmt.Sprint(e.ContextMap())
		for _, secret := range secrets {
			if strings.Contains(line, secret) {
				l.t.Errorf("the log holds %q: %s", secret, line)
			}
		}
	}
}

// The emulator's QR codes, scanned, with everything that can be wrong with the callback.
func TestSec_A160_C080_QRCallbacksOfTheEmulator(t *testing.T) {
	t.Parallel()
	srv, err := emulator.Start("127.0.0.1:0", emulator.Config{Clients: []emulator.Client{{ID: qrClient, Secret: "not-a-secret"}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	l := newQRLab(t, vipps.Config{Issuer: srv.Issuer, ClientID: qrClient, ClientSecret: "not-a-secret"})
	statuses := make(chan int, 10)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		status, _ := l.post(string(body), func(on *http.Request) { on.Header = r.Header.Clone() })
		w.WriteHeader(status)
		statuses <- status
	}))
	t.Cleanup(front.Close)
	person := emulator.FixturePeople()[0]

	good := map[string]bool{emulator.BreakQRAudArray: true, emulator.BreakQRRS256: true, emulator.BreakQRNoKID: true, emulator.BreakQRTextPlain: true, emulator.BreakQRTwice: true, "": true}
	other := map[string]int{emulator.BreakQRHuge: http.StatusRequestEntityTooLarge, emulator.BreakQRExpired: http.StatusOK, emulator.BreakQRLongLived: http.StatusOK, emulator.BreakQRForeignID: http.StatusOK}
	kinds := []string{""}
	for _, b := range emulator.Breaks() {
		if b.Where == "qr" {
			kinds = append(kinds, b.Kind)
		}
	}
	if len(kinds) < 20 {
		t.Fatalf("only %d ways to break a callback", len(kinds))
	}
	for _, kind := range kinds {
		t.Run("kind_"+kind, func(t *testing.T) {
			id := "qr" + kind
			if err := srv.Control().AddQR(emulator.QRCode{ID: id, Description: "Till " + kind, ClientID: qrClient, CallbackURI: front.URL}); err != nil {
				t.Fatal(err)
			}
			defer srv.Control().RemoveQR(id) // and what it would send again
			if kind != "" {
				if err := srv.Control().Break(kind, 1); err != nil {
					t.Fatal(err)
				}
			}
			before := srv.Control().Calls()[emulator.EndpointToken]
			if _, err := srv.Control().ScanQR(id, person.Phone, true); err != nil {
				t.Fatal(err)
			}
			want, exchanges, times := http.StatusUnauthorized, 0, 1
			if good[kind] {
				want, exchanges = http.StatusOK, 1
			}
			if status, ok := other[kind]; ok {
				want = status
			}
			if kind == emulator.BreakQRTwice {
				times = 2
			}
			if kind == emulator.BreakQRForeignID {
				exchanges = 1
			}
			for range times {
				if got := <-statuses; got != want {
					t.Errorf("answered with %d, want %d", got, want)
				}
			}
			if good[kind] {
				login := l.next(30 * time.Second)
				if login == nil {
					t.Fatal("no login")
				}
				got, _ := login.User.Claim("qr_id")
				about, _ := login.User.Claim("qr_description")
				if got != id || about != "Till "+kind || login.User.Name != person.Name {
					t.Errorf("login of %q, %q", got, about)
				}
			}
			if login := l.next(50 * time.Millisecond); login != nil {
				t.Error("a login too many")
			}
			if n := srv.Control().Calls()[emulator.EndpointToken] - before; n != exchanges {
				t.Errorf("%d exchanges, want %d", n, exchanges)
			}
		})
	}
	sub, err := srv.Control().Subject(qrClient, person.Phone)
	if err != nil {
		t.Fatal(err)
	}
	l.quiet(sub, person.Name, person.Phone, "eyJ")
}

// qrProvider is a provider of our own, which signs what a test wants.
type qrProvider struct {
	t      testing.TB
	srv    *httptest.Server
	key    *ecdsa.PrivateKey
	keys   atomic.Int32     // how often they were fetched
	away   atomic.Bool      // no keys are to be had
	tokens atomic.Int32     // exchanges
	token  http.HandlerFunc // in place of the exchange; nil: it succeeds
}

func newQRProvider(t testing.TB) *qrProvider {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &qrProvider{t: t, key: key}
	p.srv = httptest.NewServer(p)
	t.Cleanup(p.srv.Close)
	return p
}

func (p *qrProvider) config() vipps.Config {
	return vipps.Config{Issuer: p.srv.URL + "/", ClientID: qrClient, ClientSecret: "not-a-secret"}
}

func (p *qrProvider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	at := p.srv.URL
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		p.write(w, map[string]any{"issuer": at + "/", "authorization_endpoint": at + "/auth", "token_endpoint": at + "/token", "jwks_uri": at + "/keys", "userinfo_endpoint": at + "/userinfo"})
	case "/keys":
		p.keys.Add(1)
		if p.away.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		p.write(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.key.Public(), KeyID: "one", Algorithm: "ES256", Use: "sig"}}})
	case "/token":
		p.tokens.Add(1)
		if p.token != nil {
			p.token(w, r)
			return
		}
		now := time.Now()
		p.write(w, map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": p.sign(map[string]any{
			"iss": at + "/", "aud": qrClient, "sub": qrSub, "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(), "qr_id": "code", "auth_req_id": r.FormValue("auth_req_id"),
		})})
	case "/userinfo":
		p.write(w, map[string]any{"sub": qrSub})
	}
}

func (p *qrProvider) write(w io.Writer, v any) {
	if err := json.NewEncoder(w).Encode(v); err != nil {
		p.t.Error(err)
	}
}

func (p *qrProvider) sign(claims map[string]any) string {
	payload, err := json.Marshal(claims)
	if err != nil {
		p.t.Error(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: p.key, KeyID: "one"}}, nil)
	if err != nil {
		p.t.Error(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		p.t.Error(err)
	}
	raw, err := jws.CompactSerialize()
	if err != nil {
		p.t.Error(err)
	}
	return raw
}

// callback is what Vipps documents, for one login; salt makes it another text.
func (p *qrProvider) callback(authReqID, salt string) string {
	now := time.Now()
	return p.sign(map[string]any{"aud": qrClient, "auth_req_id": authReqID, "iss": p.srv.URL + "/", "exp": now.Add(5 * time.Minute).Unix(), "iat": now.Unix(), "salt": salt})
}

// Attack: a callback is sent again, a thousand times at once, and another that names the same login. One exchange comes of all of them.
func TestSec_A161_C080_ReplayedQRCallbacks(t *testing.T) {
	t.Parallel()
	p := newQRProvider(t)
	l := newQRLab(t, p.config())
	same, other := p.callback("login-1", "a"), p.callback("login-1", "b")
	if same == other {
		t.Fatal("the two are the same text")
	}
	var all sync.WaitGroup
	var bad atomic.Int32
	turns := make(chan struct{}, 50)
	for i := range 1000 {
		body := same
		if i%10 == 0 {
			body = other
		}
		all.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			if status, text := l.post(body); status != http.StatusOK || text != "" {
				bad.Add(1)
			}
		})
	}
	all.Wait()
	if n := bad.Load(); n != 0 {
		t.Errorf("%d of them were answered in another way", n)
	}
	if l.next(30*time.Second) == nil || l.next(50*time.Millisecond) != nil {
		t.Error("it wasn't one login")
	}
	if n := p.tokens.Load(); n != 1 {
		t.Errorf("%d exchanges", n)
	}
	if status, _ := l.post(p.callback("login-2", "")); status != http.StatusOK || l.next(30*time.Second) == nil {
		t.Error("another login has no effect")
	}
	l.quiet("login-1", "login-2", qrSub, "eyJ")
}

// Attack: bodies and requests that are no callback, by whoever found the address. All that could be a forgery look alike.
func TestSec_A160_C075_C080_WhatIsNoQRCallback(t *testing.T) {
	t.Parallel()
	p := newQRProvider(t)
	l := newQRLab(t, p.config())
	kind := func(kinds ...string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Del("Content-Type")
			for _, k := range kinds {
				r.Header.Add("Content-Type", k)
			}
		}
	}
	_, forged := l.post("x")
	n := 0
	fresh := func() string { n++; return p.callback(fmt.Sprint("login-", n), "") }
	for name, tt := range map[string]struct {
		body   string
		change func(*http.Request)
		status int
	}{
		"GET":                   {fresh(), func(r *http.Request) { r.Method = http.MethodGet }, 405},
		"PUT":                   {fresh(), func(r *http.Request) { r.Method = http.MethodPut }, 405},
		"HEAD":                  {"", func(r *http.Request) { r.Method = http.MethodHead }, 405},
		"a form":                {"jws=" + fresh(), kind("application/x-www-form-urlencoded"), 401},
		"JWS said to be a form": {fresh(), kind("application/x-www-form-urlencoded"), 401},
		"multipart":             {fresh(), kind("multipart/form-data; boundary=x"), 401},
		"JSON":                  {`{"jws":"` + fresh() + `"}`, kind("application/json"), 401},
		"a JSON string":         {`"` + fresh() + `"`, kind("text/plain"), 401},
		"two types":             {fresh(), kind("application/jose", "text/plain"), 401},
		"an odd type":           {fresh(), kind("application/"), 401},
		"a broken parameter":    {fresh(), kind("text/plain; a"), 401},
		"compressed":            {fresh(), func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, 401},
		"empty":                 {"", nil, 401},
		"9 KiB":                 {strings.Repeat("x", 9<<10), nil, 413},
		"8 KiB and a byte":      {strings.Repeat("x", 8<<10+1), nil, 413},
		"8 KiB":                 {strings.Repeat("x", 8<<10), nil, 401},
		"100 MB in chunks": {"", func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(io.LimitReader(zeros{}, 100<<20)), -1
		}, 413},
		"said to be 100 MB":  {"", func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(zeros{}), 100<<20 }, 413},
		"a query is ignored": {"x", func(r *http.Request) { r.URL.RawQuery = "auth_req_id=a" }, 401},
		"another path":       {fresh(), func(r *http.Request) { r.URL.Path += "/" }, 404},
		"a path like it":     {fresh(), func(r *http.Request) { r.URL.Path = "/" + r.URL.Path }, 404},
		"an escaped path":    {fresh(), func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/_vipps/qr", "/_vipps/%71r" }, 404},
	} {
		var change []func(*http.Request)
		if tt.change != nil {
			change = append(change, tt.change)
		}
		status, text := l.tryPost(tt.body, change...)
		if status != tt.status && !(status == 0 && tt.status == 413) { // the connection may be gone before the answer is read
			t.Errorf("%s: %d, want %d", name, status, tt.status)
		}
		if tt.status == 401 && text != forged {
			t.Errorf("%s: answered in another way: %q", name, text)
		}
	}
	if l.next(50*time.Millisecond) != nil || p.tokens.Load() != 0 {
		t.Error("something came of it")
	}
	for name, change := range map[string]func(*http.Request){
		"text/plain": kind("text/plain; charset=utf-8"), "application/jose": kind("application/jose"), "application/jwt": kind("Application/JWT"), "none": kind(),
	} {
		if status, _ := l.post(fresh(), change); status != http.StatusOK || l.next(30*time.Second) == nil {
			t.Errorf("%s: %d", name, status)
		}
	}
}

// tryPost is post for a request that the other side may break off: then the status is 0.
func (l *qrLab) tryPost(body string, change ...func(*http.Request)) (int, string) {
	l.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, l.url, strings.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	for _, f := range change {
		f(r)
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return 0, ""
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// Attack: ten thousand made-up callbacks from the network, each with a key of its own name. The provider hears of it once.
func TestSec_A162_C081_UnknownKeysOverHTTP(t *testing.T) {
	t.Parallel()
	p := newQRProvider(t)
	l := newQRLab(t, p.config())
	if status, _ := l.post(p.callback("first", "")); status != http.StatusOK || l.next(30*time.Second) == nil {
		t.Fatal("the first callback has no effect")
	}
	before := p.keys.Load()
	var all sync.WaitGroup
	var passed atomic.Int32
	for worker := range 8 {
		all.Go(func() {
			for i := range 1250 {
				if status, _ := l.post(forgedJWS(fmt.Sprintf("%d-%d", worker, i))); status != http.StatusUnauthorized {
					passed.Add(1)
				}
			}
		})
	}
	all.Wait()
	if n := p.keys.Load() - before; n > 1 {
		t.Errorf("the keys were fetched %d times", n)
	}
	if n := passed.Load(); n != 0 {
		t.Errorf("%d were not refused", n)
	}
	if n := p.tokens.Load(); n != 1 {
		t.Errorf("%d exchanges", n)
	}
	if n := l.logs.Len(); n > 10 {
		t.Errorf("%d lines of log", n)
	}
}

func forgedJWS(kid string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"ES256","kid":"`+kid+`"}`)) + "." + encode([]byte(`{"auth_req_id":"a"}`)) + "." + encode(make([]byte, 64))
}

// Vipps sends again what isn't answered in time: the answer doesn't wait for the exchange. There is an end to how many wait; those
// beyond are to be sent again, and count as new then.
func TestSec_A167_QRCallbacksAreAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	p := newQRProvider(t)
	l := newQRLab(t, p.config())
	l.hold = make(chan struct{})
	let := sync.OnceFunc(func() { close(l.hold) })
	t.Cleanup(let)
	const most = 256 + 4
	var accepted, later []string
	start := time.Now()
	for i := range most + 20 {
		if took := time.Since(start); took > 30*time.Second {
			t.Fatalf("%d answers took %v: they wait for the login", i, took)
		}
		body := p.callback(fmt.Sprint("login-", i), "")
		switch status, _ := l.post(body); status {
		case http.StatusOK:
			accepted = append(accepted, body)
		case http.StatusServiceUnavailable:
			later = append(later, body)
		default:
			t.Fatalf("number %d is answered with %d", i, status)
		}
	}
	if took := time.Since(start); took > 30*time.Second { // a quarter of a second as a rule; no login is done yet
		t.Errorf("%d answers took %v", most+20, took)
	}
	if len(accepted) > most || len(later) < 20 {
		t.Errorf("%d were taken, and %d put off", len(accepted), len(later))
	}
	let()
	for range accepted {
		if l.next(30*time.Second) == nil {
			t.Fatal("a login is missing")
		}
	}
	for _, body := range later {
		if status, _ := l.post(body); status != http.StatusOK || l.next(30*time.Second) == nil {
			t.Fatal("one that was put off has no effect when it is sent again")
		}
	}
	if n := int(p.tokens.Load()); n != len(accepted)+len(later) {
		t.Errorf("%d exchanges", n)
	}
}

// The provider's keys can't be had: the callback is put off, and good when it comes again.
func TestQRCallbacksWithoutKeys(t *testing.T) {
	t.Parallel()
	p := newQRProvider(t)
	p.away.Store(true)
	now := time.Now()
	var ahead atomic.Int64
	cfg := p.config()
	cfg.Now = func() time.Time { return now.Add(time.Duration(ahead.Load())) }
	l := newQRLab(t, cfg)
	body := p.callback("login", "")
	w := httptest.NewRecorder()
	l.handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, webhook.QRPath, strings.NewReader(body)))
	if wait, err := strconv.Atoi(w.Header().Get("Retry-After")); w.Code != http.StatusServiceUnavailable || err != nil || wait < 5 || wait > 60 {
		t.Errorf("answered with %d, to come again after %q", w.Code, w.Header().Get("Retry-After"))
	}
	p.away.Store(false)
	ahead.Store(int64(time.Minute))
	if status, _ := l.post(body); status != http.StatusOK || l.next(30*time.Second) == nil {
		t.Error("it has no effect when it comes again")
	}
}

// Nobody takes the login, or a fault of ours ends it: the next one is not held up, and nothing of a person is in the log.
func TestQRLoginsThatReachNobody(t *testing.T) {
	t.Parallel()
	p := newQRProvider(t)
	l := newQRLab(t, p.config())
	var n atomic.Int32
	done := make(chan struct{}, 3)
	l.fail = func() error {
		defer func() { done <- struct{}{} }()
		if n.Add(1) == 2 {
			panic(qrSub)
		}
		return errors.New("nobody's code")
	}
	for i := range 3 {
		if status, _ := l.post(p.callback(fmt.Sprint("login-", i), "")); status != http.StatusOK {
			t.Errorf("answered with %d", status)
		}
		<-done
	}
	deadline := time.Now().Add(30 * time.Second)
	for l.logs.FilterMessage("a QR login was ended by a fault of ours").Len() == 0 && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	if l.logs.FilterMessage("a QR login reached nobody").Len() != 1 || l.logs.FilterMessage("a QR login was ended by a fault of ours").Len() != 1 {
		t.Errorf("the log says %v", l.logs.All())
	}
	l.quiet(qrSub, "login-", "eyJ")
}

func TestNewQRNeeds(t *testing.T) {
	t.Parallel()
	if q, err := webhook.NewQR(webhook.QRConfig{}); err == nil || q != nil {
		t.Error("a receiver without a client")
	}
}
