package forwardauth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const opSub = "c06c4afe-d9e1-4c5d-939a-177d752a0944"

// Making RSA keys is slow, so all providers share three.
var opRSA = [3]func() *rsa.PrivateKey{sync.OnceValue(makeRSA), sync.OnceValue(makeRSA), sync.OnceValue(makeRSA)}

func makeRSA() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
}

var opEC = sync.OnceValue(func() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
})

// opKey is a signing key with the name and the algorithm under which it is published.
type opKey struct {
	kid string
	alg jose.SignatureAlgorithm
	key any
}

func (k opKey) jwk() obj {
	jwk := jose.JSONWebKey{Key: k.key, KeyID: k.kid, Algorithm: string(k.alg), Use: "sig"}
	data, err := jwk.Public().MarshalJSON()
	if err != nil {
		panic(err)
	}
	var m obj
	if err := json.Unmarshal(data, &m); err != nil {
		panic(err)
	}
	return m
}

func (k opKey) sign(payload []byte) string {
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: k.alg, Key: jose.JSONWebKey{Key: k.key, KeyID: k.kid}}, nil)
	if err != nil {
		panic(err)
	}
	jws, err := s.Sign(payload)
	if err != nil {
		panic(err)
	}
	raw, err := jws.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return raw
}

type obj = map[string]any

// The provider's endpoints.
const (
	epDiscovery = "discovery"
	epAuthorize = "authorize"
	epToken     = "token"
	epKeys      = "keys"
	epUserinfo  = "userinfo"
)

// calls counts the requests to each endpoint.
type calls struct{ discovery, authorize, token, keys, userinfo int }

// provider is an OpenID provider that misbehaves in whatever way a test wants. In everything else it is as strict as
// the OpenID Foundation's suite, and judges on every run what the suite judges on every run. The
// paths of its endpoints differ from run to run.
type provider struct {
	t      testing.TB
	srv    *httptest.Server
	issuer string
	now    func() time.Time
	paths  map[string]string // by path: the endpoint

	clientID, secret, redirectURI, auth string

	mu       sync.Mutex
	count    calls
	strays   []string                    // requests to anything else
	asked    map[string]url.Values       // authorization requests by code
	last     map[string]*http.Request    // by endpoint, with the form parsed
	handlers map[string]http.HandlerFunc // in place of an endpoint

	keys     []opKey
	jwks     func() any
	metadata func(m obj)
	redirect func(q url.Values)
	claims   func(c obj)
	payload  func(c obj) []byte
	sign     func(payload []byte) string
	tokens   func(m obj)
	userinfo func(u obj)
}

func newProvider(t testing.TB) *provider {
	t.Helper()
	p := unstartedProvider(t)
	p.srv = httptest.NewServer(p)
	p.start()
	return p
}

func unstartedProvider(t testing.TB) *provider {
	return &provider{
		t: t, now: time.Now, auth: "basic", paths: map[string]string{}, asked: map[string]url.Values{},
		last: map[string]*http.Request{}, handlers: map[string]http.HandlerFunc{},
		keys: []opKey{{"public:one", jose.RS256, opRSA[0]()}},
	}
}

// start names the issuer and the endpoints of a provider whose server has started.
func (p *provider) start() {
	p.t.Cleanup(p.srv.Close)
	p.issuer = p.srv.URL + "/access-management-1.0/access/"
	p.paths["/access-management-1.0/access/.well-known/openid-configuration"] = epDiscovery
	for _, endpoint := range []string{epAuthorize, epToken, epKeys, epUserinfo} {
		p.paths["/"+rand.Text()+"/"+endpoint] = endpoint
	}
}

func (p *provider) url(endpoint string) string {
	for path, e := range p.paths {
		if e == endpoint {
			return p.srv.URL + path
		}
	}
	panic(endpoint)
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	endpoint := p.paths[r.URL.Path]
	p.mu.Lock()
	p.last[endpoint] = r
	switch endpoint {
	case epDiscovery:
		p.count.discovery++
	case epAuthorize:
		p.count.authorize++
	case epToken:
		p.count.token++
	case epKeys:
		p.count.keys++
	case epUserinfo:
		p.count.userinfo++
	default:
		p.strays = append(p.strays, r.Method+" "+r.URL.Path)
	}
	h := p.handlers[endpoint]
	p.mu.Unlock()
	w.Header().Set("Date", p.now().UTC().Format(http.TimeFormat))
	if h != nil {
		h(w, r)
		return
	}
	p.serve(endpoint, w, r)
}

// serve is how an endpoint answers when nothing is in its place.
func (p *provider) serve(endpoint string, w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch endpoint {
	case epDiscovery:
		p.answer(w, p.discovery())
	case epAuthorize:
		p.authorize(w, r)
	case epToken:
		p.redeem(w, r)
	case epKeys:
		p.answer(w, p.keySet())
	case epUserinfo:
		p.person(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (p *provider) answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		p.t.Error(err)
	}
}

func (p *provider) discovery() obj {
	m := obj{
		"issuer":                                p.issuer,
		"authorization_endpoint":                p.url(epAuthorize),
		"token_endpoint":                        p.url(epToken),
		"jwks_uri":                              p.url(epKeys),
		"userinfo_endpoint":                     p.url(epUserinfo),
		"id_token_signing_alg_values_supported": []string{"RS256"},
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
	set := []any{}
	for _, k := range p.keys {
		set = append(set, k.jwk())
	}
	return obj{"keys": set}
}

// wants fails the test when the relying party breaks one of the suite's standing rules.
func (p *provider) wants(ok bool, rule string) {
	if !ok {
		p.t.Error("the relying party broke " + rule)
	}
}

func (p *provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	once := true
	for _, values := range q {
		once = once && len(values) == 1
	}
	p.wants(r.Method == http.MethodGet && once, "A-001: one GET with each parameter once")
	p.wants(q.Get("response_type") == "code" && q.Get("client_id") == p.clientID && q.Get("redirect_uri") == p.redirectURI, "A-001: response_type, client_id, redirect_uri")
	p.wants(slices.Contains(strings.Fields(q.Get("scope")), "openid"), "A-001: scope has openid")
	p.wants(q.Get("code_challenge_method") == "S256" && len(q.Get("code_challenge")) == 43, "A-002: PKCE with S256")
	p.wants(q.Get("prompt") != "none" || q.Get("max_age") != "0", "A-006: prompt=none with max_age=0")
	p.wants(len(q.Get("state")) >= 43 && len(q.Get("nonce")) >= 43 && q.Get("state") != q.Get("nonce"), "A-001: state and nonce")
	code := "code-" + rand.Text()
	p.asked[code] = q
	back := url.Values{"code": {code}, "state": {q.Get("state")}, "scope": {"openid"}}
	if p.redirect != nil {
		p.redirect(back)
	}
	http.Redirect(w, r, p.redirectURI+"?"+back.Encode(), http.StatusFound)
}

func (p *provider) redeem(w http.ResponseWriter, r *http.Request) {
	form := r.PostForm
	asked, known := p.asked[form.Get("code")]
	delete(p.asked, form.Get("code"))
	sum := sha256.Sum256([]byte(form.Get("code_verifier")))
	p.wants(known && r.Method == http.MethodPost && r.URL.RawQuery == "", "A-003: one POST for each code, nothing in the query")
	p.wants(form.Get("grant_type") == "authorization_code" && form.Get("redirect_uri") == p.redirectURI, "A-003: grant_type and the identical redirect_uri")
	p.wants(!form.Has("client_id") || form.Get("client_id") == p.clientID, "A-003: client_id")
	p.wants(asked.Get("code_challenge") == base64.RawURLEncoding.EncodeToString(sum[:]), "A-002: the verifier fits")
	if !p.authenticated(r) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error":"invalid_client"}`))
		return
	}
	now := p.now()
	c := obj{
		"iss": p.issuer, "aud": []string{p.clientID}, "sub": opSub, "nonce": asked.Get("nonce"),
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "auth_time": now.Add(-time.Minute).Unix(),
	}
	if p.claims != nil {
		p.claims(c)
	}
	payload, err := json.Marshal(c)
	p.wants(err == nil, "nothing: the provider's own claims")
	if p.payload != nil {
		payload = p.payload(c)
	}
	sign := p.keys[0].sign
	if p.sign != nil {
		sign = p.sign
	}
	m := obj{"access_token": "at-" + form.Get("code"), "token_type": "Bearer", "expires_in": 3599, "scope": "openid", "id_token": sign(payload)}
	if p.tokens != nil {
		p.tokens(m)
	}
	p.answer(w, m)
}

// authenticated demands one method and no trace of the other, as RFC 6749 §2.3 does, with id and secret form-encoded
// inside Basic.
func (p *provider) authenticated(r *http.Request) bool {
	inForm := r.PostForm.Has("client_secret")
	id, secret, basic := r.BasicAuth()
	if p.auth == "post" {
		return !basic && r.PostForm.Get("client_id") == p.clientID && r.PostForm.Get("client_secret") == p.secret
	}
	id, err1 := url.QueryUnescape(id)
	secret, err2 := url.QueryUnescape(secret)
	return basic && !inForm && err1 == nil && err2 == nil && id == p.clientID && secret == p.secret
}

func (p *provider) person(w http.ResponseWriter, r *http.Request) {
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	p.wants(bearer && len(r.Header["Authorization"]) == 1 && strings.HasPrefix(token, "at-"), "A-005: userinfo with a Bearer token")
	p.wants(r.URL.RawQuery == "" && len(r.PostForm) == 0, "A-005: no token in query or body")
	u := obj{"sub": opSub, "name": "Åse Ødegård", "phone_number": "4790000001", "email": "aase@example.com", "email_verified": true}
	if p.userinfo != nil {
		p.userinfo(u)
	}
	p.answer(w, u)
}

// change alters the provider while it runs.
func (p *provider) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

func (p *provider) put(endpoint string, h http.HandlerFunc) {
	p.change(func() { p.handlers[endpoint] = h })
}

func (p *provider) counted() calls {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

// lastTo returns the last request to an endpoint.
func (p *provider) lastTo(endpoint string) *http.Request {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last[endpoint] == nil {
		p.t.Fatalf("nothing was sent to %s", endpoint)
	}
	return p.last[endpoint]
}

// edited returns a copy of an object with changes.
func edited(m obj, f func(obj)) obj {
	out := maps.Clone(m)
	f(out)
	return out
}
