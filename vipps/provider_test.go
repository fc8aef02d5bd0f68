package vipps_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/vippsauth/vippsauth/vipps"
)

const (
	clientID     = "fb492b5e-7907-4d83-ba20-c7fb60ca35de"
	clientSecret = "c2VjcmV0+of/test:100%="
	redirectURI  = "https://app.example/_vipps/callback"
	testSub      = "c06c4afe-d9e1-4c5d-939a-177d752a0944"
)

// Making RSA keys is slow, so all tests share three.
var rsaKeys = [3]func() *rsa.PrivateKey{
	sync.OnceValue(newRSA), sync.OnceValue(newRSA), sync.OnceValue(newRSA),
}

func newRSA() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
}

func newEC(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// clock is a clock that only tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

type claims map[string]any

// signer is a private key with the name and the algorithm under which the
// provider publishes it.
type signer struct {
	kid string
	alg jose.SignatureAlgorithm
	key any // *rsa.PrivateKey or *ecdsa.PrivateKey
}

func (s signer) jwk() map[string]any {
	k := jose.JSONWebKey{Key: s.key, KeyID: s.kid, Algorithm: string(s.alg), Use: "sig"}
	data, err := k.Public().MarshalJSON()
	if err != nil {
		panic(err)
	}
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		panic(err)
	}
	return m
}

func (s signer) sign(t testing.TB, payload []byte) string {
	t.Helper()
	js, err := jose.NewSigner(jose.SigningKey{Algorithm: s.alg, Key: jose.JSONWebKey{Key: s.key, KeyID: s.kid}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := js.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// provider is a small OpenID provider. It answers the authorize request in
// memory; the other endpoints are real HTTP. Fields may be set before a login.
type provider struct {
	t      testing.TB
	clock  *clock
	srv    *httptest.Server
	issuer string

	mu       sync.Mutex
	keys     []signer
	jwks     func() any // in place of the keys
	metadata func(m map[string]any)
	idToken  func(c claims)
	payload  func(c claims) []byte // in place of marshalling the claims
	sign     func(payload []byte) string
	tokens   func(m map[string]any)
	user     claims
	userinfo func(m claims)
	handlers map[string]http.HandlerFunc // in place of an endpoint
	offset   time.Duration               // the provider's clock minus ours
	requests map[string][]*http.Request  // with parsed forms
	codes    map[string]url.Values       // authorize requests by code
}

func newProvider(t testing.TB) *provider {
	t.Helper()
	p := &provider{
		t:        t,
		clock:    newClock(),
		keys:     []signer{{"public:one", jose.RS256, rsaKeys[0]()}},
		user:     claims{"sub": testSub, "name": "Åse Ødegård"},
		handlers: map[string]http.HandlerFunc{},
		requests: map[string][]*http.Request{},
		codes:    map[string]url.Values{},
	}
	p.srv = httptest.NewServer(p)
	t.Cleanup(p.srv.Close)
	p.issuer = p.srv.URL + "/access-management-1.0/access/"
	return p
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	p.mu.Lock()
	p.requests[r.URL.Path] = append(p.requests[r.URL.Path], r)
	w.Header().Set("Date", p.clock.Now().Add(p.offset).UTC().Format(http.TimeFormat))
	h := p.handlers[r.URL.Path]
	p.mu.Unlock()
	if h != nil {
		h(w, r)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch r.URL.Path {
	case discoveryPath:
		w.Header().Set("Cache-Control", "max-age=3600")
		p.answer(w, p.discovery())
	case jwksPath:
		p.answer(w, p.keySet())
	case tokenPath:
		p.answerToken(w, r)
	case userinfoPath:
		u := claims{}
		for k, v := range p.user {
			u[k] = v
		}
		if p.userinfo != nil {
			p.userinfo(u)
		}
		w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		p.answer(w, u)
	default:
		http.NotFound(w, r)
	}
}

const (
	discoveryPath = "/access-management-1.0/access/.well-known/openid-configuration"
	jwksPath      = "/random/jwks.json"
	tokenPath     = "/access-management-1.0/access/oauth2/token"
	userinfoPath  = "/vipps-userinfo-api/userinfo"
)

func (p *provider) answer(w http.ResponseWriter, v any) {
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	if err := json.NewEncoder(w).Encode(v); err != nil {
		p.t.Error(err)
	}
}

func (p *provider) discovery() map[string]any {
	m := map[string]any{
		"issuer":                                p.issuer,
		"authorization_endpoint":                p.issuer + "oauth2/auth",
		"token_endpoint":                        p.srv.URL + tokenPath,
		"jwks_uri":                              p.srv.URL + jwksPath,
		"userinfo_endpoint":                     p.srv.URL + userinfoPath,
		"id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"},
	}
	if p.metadata != nil {
		p.metadata(m)
	}
	return m
}

func (p *provider) keySet() any {
	if p.jwks != nil {
		return p.jwks()
	}
	keys := []any{}
	for _, k := range p.keys {
		keys = append(keys, k.jwk())
	}
	return map[string]any{"keys": keys}
}

func (p *provider) answerToken(w http.ResponseWriter, r *http.Request) {
	asked, ok := p.codes[r.PostForm.Get("code")]
	delete(p.codes, r.PostForm.Get("code"))
	challenge := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	if !ok || asked.Get("redirect_uri") != r.PostForm.Get("redirect_uri") ||
		asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(challenge[:]) {
		w.WriteHeader(http.StatusBadRequest)
		p.answer(w, claims{"error": "invalid_grant"})
		return
	}
	now := p.clock.Now().Add(p.offset)
	c := claims{
		"iss": p.issuer, "aud": []string{clientID}, "sub": p.user["sub"], "nonce": asked.Get("nonce"),
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "auth_time": now.Add(-time.Minute).Unix(),
	}
	if p.idToken != nil {
		p.idToken(c)
	}
	payload, err := json.Marshal(c)
	if p.payload != nil {
		payload = p.payload(c)
	}
	if err != nil {
		p.t.Error(err)
	}
	m := map[string]any{"access_token": "at-" + r.PostForm.Get("code"), "token_type": "bearer", "expires_in": 3599, "scope": "openid"}
	if p.sign != nil {
		m["id_token"] = p.sign(payload)
	} else {
		m["id_token"] = p.keys[0].sign(p.t, payload)
	}
	if p.tokens != nil {
		p.tokens(m)
	}
	p.answer(w, m)
}

// locked changes the provider while it runs.
func (p *provider) locked(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

func (p *provider) handle(path string, h http.HandlerFunc) {
	p.locked(func() { p.handlers[path] = h })
}

func (p *provider) calls(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.requests[path])
}

func (p *provider) last(path string) *http.Request {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.requests[path]
	if len(all) == 0 {
		p.t.Fatalf("no request to %s", path)
	}
	return all[len(all)-1]
}

func (p *provider) config() vipps.Config {
	return vipps.Config{Issuer: p.issuer, ClientID: clientID, ClientSecret: clientSecret, Now: p.clock.Now}
}

func (p *provider) client() *vipps.Client {
	p.t.Helper()
	return newClient(p.t, p.config())
}

func newClient(t testing.TB, cfg vipps.Config) *vipps.Client {
	t.Helper()
	c, err := vipps.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// authorize answers an authorize URL as the provider would after a person
// has agreed: with the query of the callback.
func (p *provider) authorize(authorizeURL string) url.Values {
	p.t.Helper()
	u, err := url.Parse(authorizeURL)
	if err != nil {
		p.t.Fatal(err)
	}
	code := "code-" + rand.Text()
	p.locked(func() { p.codes[code] = u.Query() })
	return url.Values{"code": {code}, "state": {u.Query().Get("state")}, "scope": {"openid"}}
}

// login runs a whole login; change may alter the callback.
func (p *provider) login(c *vipps.Client, change ...func(url.Values)) (*vipps.Login, error) {
	p.t.Helper()
	ctx := context.Background()
	pending, to, err := c.BeginLogin(ctx, vipps.LoginRequest{RedirectURI: redirectURI})
	if err != nil {
		return nil, err
	}
	query := p.authorize(to)
	for _, f := range change {
		f(query)
	}
	return c.FinishLogin(ctx, pending, query)
}

func (p *provider) mustLogin(c *vipps.Client) *vipps.Login {
	p.t.Helper()
	l, err := p.login(c)
	if err != nil {
		p.t.Fatal(err)
	}
	return l
}

// refused asserts that a login failed with the code, and returns the error.
func refused(t testing.TB, err error, code string) *vipps.Error {
	t.Helper()
	var e *vipps.Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %v, want an *Error with code %s", err, code)
	}
	if e.Code != code {
		t.Fatalf("error is %v, want code %s", err, code)
	}
	return e
}
