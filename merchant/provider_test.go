package merchant_test

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
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

	"github.com/vippsauth/vippsauth/merchant"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

const (
	issuer   = "https://op.example/access-management-1.0/access/"
	clientID = "till-client"
	callback = "https://shop.example/_vipps/callback/merchant"
)

// provider is a Vipps of our own that can misbehave and keeps count. It is spoken to without a socket, so that a test can have
// a clock of its own.
type provider struct {
	key *ecdsa.PrivateKey

	mu       sync.Mutex
	logins   map[string]*asked
	codes    map[string]string // to auth_req_id
	calls    map[string]int
	interval int
	lifetime int
	latency  time.Duration // of polls
	polls    []time.Time   // all of them
	pollsNow int
	mostNow  int // polls at the same time

	// What is answered in place of the usual; nil or false: the usual.
	begin    func(form url.Values) *httptest.ResponseRecorder
	poll     func(a *asked) *httptest.ResponseRecorder
	away     bool
	stubborn bool // gives everybody the same time
	unnamed  bool // names no interval, and so means five seconds
	loose    bool // redeems codes twice, and takes its time with userinfo
}

// asked is a login as the provider sees it.
type asked struct {
	id, phone, message, answer string // answer: "", "yes", or an error code
	polls                      []time.Time
	answered                   time.Time // when the last answer went out
	gap                        time.Duration
	slow                       int  // seconds that slow_down has added
	busy, overlap              bool // two polls at once
	early                      int  // polls before their time
	given                      bool
	begun                      time.Time
}

func newProvider(t testing.TB) *provider {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &provider{key: key, logins: map[string]*asked{}, codes: map[string]string{}, calls: map[string]int{}, interval: 5, lifetime: 600}
}

// client is one of the provider's.
func (p *provider) client(t testing.TB) *vipps.Client {
	t.Helper()
	c, err := vipps.New(vipps.Config{
		Issuer: issuer, ClientID: clientID, ClientSecret: "not-a-secret", Scopes: []string{"name"}, HTTPClient: &http.Client{Transport: p},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// RoundTrip is http.RoundTripper's.
func (p *provider) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	rec, err := p.serve(r)
	if err != nil {
		return nil, err
	}
	resp := rec.Result()
	resp.Request = r
	return resp, nil
}

func (p *provider) serve(r *http.Request) (*httptest.ResponseRecorder, error) {
	_, place, _ := strings.Cut(r.URL.Path, "/")
	place = place[strings.LastIndexByte(place, '/')+1:]
	p.mu.Lock()
	p.calls[place]++
	away, latency := p.away, p.latency
	p.mu.Unlock()
	if away {
		return nil, fmt.Errorf("nobody is there")
	}
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	switch place {
	case "openid-configuration":
		return answer(200, map[string]any{
			"issuer": issuer, "authorization_endpoint": issuer + "auth", "token_endpoint": issuer + "token", "jwks_uri": issuer + "jwks",
			"userinfo_endpoint": issuer + "userinfo", "backchannel_authentication_endpoint": issuer + "authentication",
			"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"RS256"},
		}), nil
	case "jwks":
		return answer(200, map[string]any{"keys": []any{map[string]any{
			"kty": "EC", "crv": "P-256", "kid": "k", "use": "sig", "alg": "ES256",
			"x": b64(p.key.X.FillBytes(make([]byte, 32))), "y": b64(p.key.Y.FillBytes(make([]byte, 32))),
		}}}), nil
	case "authentication":
		return p.authentication(r.Form), nil
	case "user-exists":
		return answer(200, map[string]any{"exists": !strings.HasSuffix(r.Form.Get("login_hint"), "404")}), nil
	case "userinfo":
		id := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if p.loose {
			time.Sleep(time.Second)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		a := p.logins[id]
		return answer(200, map[string]any{
			"sub": "sub-" + a.phone, "name": "Kari Nordmann " + a.phone, "phone_number": a.phone,
			"delegatedConsents": map[string]any{"language": "EN", "consents": []any{map[string]any{"id": "email", "accepted": true}}},
		}), nil
	case "token":
		if r.Form.Get("grant_type") == "urn:vipps:params:grant-type:ciba-redirect" {
			return p.redeem(r.Form.Get("code")), nil
		}
		return p.polled(r, latency)
	}
	return answer(404, map[string]any{}), nil
}

func (p *provider) authentication(form url.Values) *httptest.ResponseRecorder {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.begin != nil {
		if rec := p.begin(form); rec != nil {
			return rec
		}
	}
	lifetime := p.lifetime
	if form.Get("requested_expiry") != "" && !p.stubborn {
		_, _ = fmt.Sscan(form.Get("requested_expiry"), &lifetime)
	}
	a := &asked{id: rand.Text(), phone: strings.TrimPrefix(form.Get("login_hint"), "urn:msisdn:"), message: form.Get("binding_message"), gap: time.Hour, begun: time.Now()}
	a.answered = a.begun
	p.logins[a.id] = a
	ack := map[string]any{"auth_req_id": a.id, "expires_in": lifetime, "interval": p.interval}
	if p.unnamed {
		delete(ack, "interval")
	}
	return answer(200, ack)
}

func (p *provider) polled(r *http.Request, latency time.Duration) (*httptest.ResponseRecorder, error) {
	p.mu.Lock()
	a, now := p.logins[r.Form.Get("auth_req_id")], time.Now()
	if a == nil {
		p.mu.Unlock()
		return refuse("invalid_grant"), nil
	}
	p.polls = append(p.polls, now)
	a.polls = append(a.polls, now)
	gap := now.Sub(a.answered)
	a.gap = min(a.gap, gap)
	if gap < time.Duration(p.interval+a.slow)*time.Second {
		a.early++
	}
	a.overlap = a.overlap || a.busy
	a.busy = true
	p.pollsNow++
	p.mostNow = max(p.mostNow, p.pollsNow)
	p.mu.Unlock()

	var cut error
	if latency > 0 {
		select {
		case <-time.After(latency):
		case <-r.Context().Done():
			cut = r.Context().Err()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pollsNow--
	a.busy, a.answered = false, time.Now()
	if cut != nil {
		return nil, cut
	}
	if p.poll != nil {
		if rec := p.poll(a); rec != nil {
			return rec, nil
		}
	}
	switch a.answer {
	case "":
		return refuse("authorization_pending"), nil
	case "yes":
		if a.given {
			return refuse("invalid_grant"), nil
		}
		a.given = true
		return p.tokens(a), nil
	}
	return refuse(a.answer), nil
}

func (p *provider) redeem(code string) *httptest.ResponseRecorder {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.logins[p.codes[code]]
	if a == nil || a.given && !p.loose {
		return refuse("invalid_grant")
	}
	a.given = true
	return p.tokens(a)
}

func (p *provider) tokens(a *asked) *httptest.ResponseRecorder {
	now := time.Now().Unix()
	return answer(200, map[string]any{"access_token": a.id, "token_type": "Bearer", "expires_in": 300, "id_token": p.sign(map[string]any{
		"iss": issuer, "aud": clientID, "sub": "sub-" + a.phone, "iat": now, "exp": now + 600, "auth_req_id": a.id,
	})})
}

func (p *provider) sign(claims map[string]any) string {
	payload, _ := json.Marshal(claims)
	text := b64([]byte(`{"alg":"ES256","kid":"k"}`)) + "." + b64(payload)
	sum := sha256.Sum256([]byte(text))
	r, s, _ := ecdsa.Sign(rand.Reader, p.key, sum[:])
	return text + "." + b64(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func answer(status int, body any) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	rec.Header().Set("Content-Type", "application/json")
	rec.WriteHeader(status)
	_ = json.NewEncoder(rec).Encode(body)
	return rec
}

// tooManyNow is a 429 with a Retry-After, or without where that is "".
func tooManyNow(retryAfter string) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	if retryAfter != "" {
		rec.Header().Set("Retry-After", retryAfter)
	}
	rec.WriteHeader(http.StatusTooManyRequests)
	return rec
}

func refuse(code string) *httptest.ResponseRecorder {
	return answer(400, map[string]any{"error": code})
}

// set changes how the provider behaves.
func (p *provider) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// of is the latest login of a phone number, as it is now.
func (p *provider) of(phone string) *asked {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found *asked
	for _, a := range p.logins {
		if a.phone == phone && (found == nil || a.begun.After(found.begun)) {
			found = a
		}
	}
	if found == nil {
		return nil
	}
	now := *found
	return &now
}

// says answers for the person with a phone number, or for all with "".
func (p *provider) says(phone, what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.logins {
		if phone == "" || a.phone == phone {
			a.answer = what
		}
	}
}

// code lets the browser of a person have a code.
func (p *provider) code(phone string) url.Values {
	a := p.of(phone)
	p.mu.Lock()
	defer p.mu.Unlock()
	code := "code-of-" + a.id
	p.codes[code] = a.id
	return url.Values{"code": {code}}
}

func (p *provider) called(place string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls[place]
}

// all are the logins that were begun, in that order, as they are now.
func (p *provider) all() []asked {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []asked
	for _, a := range p.logins {
		all = append(all, *a)
	}
	slices.SortFunc(all, func(a, b asked) int { return cmp.Or(a.begun.Compare(b.begun), cmp.Compare(a.id, b.id)) })
	return all
}

// whenPolled returns when all polls came, and how many there were at most at the same time.
func (p *provider) whenPolled() (polls []time.Time, most int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.polls), p.mostNow
}

// lab is a provider, logins with it, and what runs them.
type lab struct {
	*merchant.Logins
	t      testing.TB
	op     *provider
	cfg    merchant.Config
	cancel func()
}

// newLab makes logins that run until stop, or until the test ends. change may be nil.
func newLab(t testing.TB, op *provider, change func(*merchant.Config)) *lab {
	t.Helper()
	cfg := merchant.Config{Client: op.client(t), Keys: newKeys(t), Scopes: []string{"name", "email"}, PhoneLimit: "off", CallerLimit: "off"}
	if change != nil {
		change(&cfg)
	}
	l := &lab{t: t, op: op, cfg: cfg}
	l.start()
	return l
}

func newKeys(t testing.TB) session.Keys { return session.Keys{newKey(t)} }

func newKey(t testing.TB) session.Key {
	t.Helper()
	key, err := session.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// start runs fresh logins with the same settings, as a restarted process does.
func (l *lab) start() {
	l.t.Helper()
	logins, err := merchant.New(l.cfg)
	if err != nil {
		l.t.Fatal(err)
	}
	l.Logins = logins
	l.cancel = run(l.t, logins)
}

// run runs logins until the function it returns is called, or the test ends.
func run(t testing.TB, logins *merchant.Logins) (stop func()) {
	ctx, cancel := contextOf(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := logins.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return stop
}

// begin starts a login.
func (l *lab) begin(caller, phone string) merchant.Status {
	l.t.Helper()
	return l.beginWith(caller, merchant.Request{Phone: phone})
}

func (l *lab) beginWith(caller string, r merchant.Request) merchant.Status {
	l.t.Helper()
	s, err := l.Start(l.t.Context(), caller, r)
	if err != nil {
		l.t.Fatal(err)
	}
	return s
}

// state is how far a login is now.
func (l *lab) state(caller, id string) merchant.Status {
	l.t.Helper()
	s, err := l.Wait(l.t.Context(), caller, id, "")
	if err != nil {
		l.t.Fatal(err)
	}
	return s
}

// until waits until a login is pending no more.
func (l *lab) until(caller, id string) merchant.Status {
	l.t.Helper()
	s, err := l.Wait(l.t.Context(), caller, id, merchant.Pending)
	if err != nil {
		l.t.Fatal(err)
	}
	return s
}
