package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v3"
	"github.com/ory/fosite"
	"github.com/ory/fosite/compose"
	"github.com/ory/fosite/handler/openid"
	"github.com/ory/fosite/storage"
	"github.com/ory/fosite/token/jwt"
)

const (
	keyID          = "otherop-1"
	rememberCookie = "otherop_remembered"
)

type client struct {
	id, secret   string
	redirectURIs []string
}

// person is one of the made-up people; the claims are what userinfo may tell of them.
type person struct {
	key, sub, name, given, family, phone, email string
}

var people = []person{
	{"ase", "2f6f5c1e-ase", "Åse Ødegård", "Åse", "Ødegård", "4700000101", "ase@example.test"},
	{"ola", "9b1d7a40-ola", "Ola Nordmann", "Ola", "Nordmann", "4700000102", "ola@example.test"},
}

// claimsOfScope maps the standard scopes, and the spellings that Vipps uses, to the same claims.
var claimsOfScope = map[string]string{"profile": "profile", "name": "profile", "phone": "phone", "phoneNumber": "phone", "email": "email"}

func personWith(match func(person) bool) (person, bool) {
	for _, p := range people {
		if match(p) {
			return p, true
		}
	}
	return person{}, false
}

// login is a browser that was told to be remembered.
type login struct {
	person person
	at     time.Time
}

type provider struct {
	issuer string
	now    func() time.Time
	key    *jose.JSONWebKey
	oauth2 fosite.OAuth2Provider

	mu         sync.Mutex
	remembered map[string]login // :: cookie value → login
}

func newProvider(issuer string, c client, now func() time.Time) (*provider, error) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	key := &jose.JSONWebKey{Key: rsaKey, KeyID: keyID, Algorithm: string(jose.RS256), Use: "sig"}

	secret := make([]byte, 32)
	rand.Read(secret)
	config := &fosite.Config{
		GlobalSecret:  secret,
		IDTokenIssuer: issuer,
		EnforcePKCE:   true,
		HashCost:      4, // the secret lives for one test
		ScopeStrategy: fosite.ExactScopeStrategy,
		TokenURL:      issuer + "/token",
	}
	hash, err := (&fosite.BCrypt{Config: config}).Hash(context.Background(), []byte(c.secret))
	if err != nil {
		return nil, fmt.Errorf("hashing the client secret: %w", err)
	}
	store := storage.NewMemoryStore()
	store.Clients[c.id] = &fosite.DefaultOpenIDConnectClient{
		DefaultClient: &fosite.DefaultClient{
			ID: c.id, Secret: hash, RedirectURIs: c.redirectURIs,
			ResponseTypes: []string{"code"}, GrantTypes: []string{"authorization_code"},
			Scopes: scopes(),
		},
		TokenEndpointAuthMethod: "client_secret_basic",
	}
	keyGetter := func(context.Context) (any, error) { return key, nil }
	strategy := &compose.CommonStrategy{
		CoreStrategy:               compose.NewOAuth2HMACStrategy(config),
		OpenIDConnectTokenStrategy: compose.NewOpenIDConnectStrategy(keyGetter, config),
		Signer:                     &jwt.DefaultSigner{GetPrivateKey: keyGetter},
	}
	return &provider{
		issuer: issuer, now: now, key: key, remembered: map[string]login{},
		oauth2: compose.Compose(config, store, strategy,
			compose.OAuth2AuthorizeExplicitFactory,
			compose.OpenIDConnectExplicitFactory,
			compose.OAuth2PKCEFactory,
			compose.OAuth2TokenIntrospectionFactory,
		),
	}, nil
}

func scopes() []string {
	return []string{"openid", "profile", "name", "phone", "phoneNumber", "email"}
}

func (p *provider) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("GET /jwks", p.jwks)
	mux.HandleFunc("/authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	mux.HandleFunc("/userinfo", p.userinfo)
	return mux
}

func (p *provider) discovery(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, map[string]any{
		"issuer":                                         p.issuer,
		"authorization_endpoint":                         p.issuer + "/authorize",
		"token_endpoint":                                 p.issuer + "/token",
		"userinfo_endpoint":                              p.issuer + "/userinfo",
		"jwks_uri":                                       p.issuer + "/jwks",
		"scopes_supported":                               scopes(),
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query"},
		"grant_types_supported":                          []string{"authorization_code"},
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          []string{"RS256"},
		"token_endpoint_auth_methods_supported":          []string{"client_secret_basic"},
		"code_challenge_methods_supported":               []string{"S256"},
		"authorization_response_iss_parameter_supported": true,
	})
}

func (p *provider) jwks(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{p.key.Public()}})
}

// authorize answers the authorization request: at once for a remembered browser, with the form of people otherwise. A
// request that must not interact (prompt=none, or requested_flow=no_dialog) gets login_required in place of the form.
// The form posts back to the very same URL.
func (p *provider) authorize(w http.ResponseWriter, r *http.Request) {
	ctx, requested := r.Context(), p.now().UTC()
	w = &issWriter{ResponseWriter: w, issuer: p.issuer}
	ar, err := p.oauth2.NewAuthorizeRequest(ctx, r)
	if err != nil {
		p.oauth2.WriteAuthorizeError(ctx, w, ar, err)
		return
	}
	query := r.URL.Query()
	silent := query.Get("requested_flow") == "no_dialog" || query.Get("prompt") == "none"

	who, ok := p.rememberedLogin(r)
	if query.Get("prompt") == "login" {
		ok = false
	}
	if r.Method == http.MethodPost && !silent {
		switch choice := r.PostForm.Get("person"); choice {
		case "":
		case "cancel":
			p.oauth2.WriteAuthorizeError(ctx, w, ar, fosite.ErrAccessDenied)
			return
		default:
			chosen, known := personWith(func(x person) bool { return x.key == choice })
			if !known {
				http.Error(w, "nobody of that name here", http.StatusBadRequest)
				return
			}
			who, ok = p.remember(w, chosen), true
		}
	}
	switch {
	case ok:
		p.grant(ctx, w, ar, who, requested)
	case silent:
		p.oauth2.WriteAuthorizeError(ctx, w, ar, fosite.ErrLoginRequired)
	default:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		_ = loginPage.Execute(w, pageData(r.URL.RequestURI()))
	}
}

// grant answers with a code. The scopes asked for are granted as they stand: fosite has refused unknown ones.
func (p *provider) grant(ctx context.Context, w http.ResponseWriter, ar fosite.AuthorizeRequester, who login, requested time.Time) {
	for _, s := range ar.GetRequestedScopes() {
		ar.GrantScope(s)
	}
	session := &openid.DefaultSession{
		Subject: who.person.sub,
		Claims:  &jwt.IDTokenClaims{Subject: who.person.sub, AuthTime: who.at, RequestedAt: requested},
		Headers: &jwt.Headers{Extra: map[string]any{"kid": keyID}},
	}
	resp, err := p.oauth2.NewAuthorizeResponse(ctx, ar, session)
	if err != nil {
		p.oauth2.WriteAuthorizeError(ctx, w, ar, err)
		return
	}
	p.oauth2.WriteAuthorizeResponse(ctx, w, ar, resp)
}

func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	ar, err := p.oauth2.NewAccessRequest(ctx, r, openid.NewDefaultSession())
	if err != nil {
		p.oauth2.WriteAccessError(ctx, w, ar, err)
		return
	}
	resp, err := p.oauth2.NewAccessResponse(ctx, ar)
	if err != nil {
		p.oauth2.WriteAccessError(ctx, w, ar, err)
		return
	}
	p.oauth2.WriteAccessResponse(ctx, w, ar, resp)
}

func (p *provider) userinfo(w http.ResponseWriter, r *http.Request) {
	_, ar, err := p.oauth2.IntrospectToken(r.Context(), fosite.AccessTokenFromRequest(r), fosite.AccessToken, openid.NewDefaultSession(), "openid")
	if err != nil {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		http.Error(w, "invalid token", http.StatusUnauthorized)
		return
	}
	sub := ar.GetSession().GetSubject()
	who, ok := personWith(func(x person) bool { return x.sub == sub })
	if !ok {
		http.Error(w, "unknown subject", http.StatusInternalServerError)
		return
	}
	claims := map[string]any{"sub": who.sub}
	for _, scope := range ar.GetGrantedScopes() {
		switch claimsOfScope[scope] {
		case "profile":
			claims["name"], claims["given_name"], claims["family_name"] = who.name, who.given, who.family
		case "phone":
			claims["phone_number"], claims["phone_number_verified"] = who.phone, true
		case "email":
			claims["email"], claims["email_verified"] = who.email, true
		}
	}
	writeJSON(w, claims)
}

func (p *provider) remember(w http.ResponseWriter, who person) login {
	l := login{person: who, at: p.now().UTC()}
	value := rand.Text()
	p.mu.Lock()
	p.remembered[value] = l
	p.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: rememberCookie, Value: value, Path: "/", MaxAge: 3600, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	return l
}

func (p *provider) rememberedLogin(r *http.Request) (login, bool) {
	c, err := r.Cookie(rememberCookie)
	if errors.Is(err, http.ErrNoCookie) {
		return login{}, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	l, ok := p.remembered[c.Value]
	return l, ok
}

// issWriter adds RFC 9207's iss to every answer that goes to the client, errors included; fosite has no option for it.
type issWriter struct {
	http.ResponseWriter
	issuer string
}

func (w *issWriter) WriteHeader(status int) {
	if u, err := url.Parse(w.Header().Get("Location")); err == nil && u.Host != "" {
		w.Header().Set("Location", u.String()+joiner(u)+"iss="+url.QueryEscape(w.issuer))
	}
	w.ResponseWriter.WriteHeader(status)
}

func joiner(u *url.URL) string {
	if strings.Contains(u.String(), "?") {
		return "&"
	}
	return "?"
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func pageData(action string) map[string]any {
	type choice struct{ Key, Name string }
	var choices []choice
	for _, p := range people {
		choices = append(choices, choice{p.key, p.name})
	}
	return map[string]any{"Action": action, "People": choices}
}

var loginPage = template.Must(template.New("login").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Another provider: log in</title>
<h1>Another provider</h1>
<p>A test tool on this machine. Who are you?</p>
<form method="post" action="{{.Action}}">
{{range .People}}<p><button name="person" value="{{.Key}}">{{.Name}}</button></p>
{{end}}<p><button name="person" value="cancel">Cancel</button></p>
</form></html>
`))
