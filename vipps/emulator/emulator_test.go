package emulator_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// Written by hand after the newest documents, less the endpoints that aren't modelled.
const discovery = `{
	"issuer": "BASE/access-management-1.0/access/",
	"authorization_endpoint": "BASE/access-management-1.0/access/oauth2/auth",
	"token_endpoint": "BASE/access-management-1.0/access/oauth2/token",
	"jwks_uri": "BASE/access-management-1.0/access/.well-known/jwks.json",
	"userinfo_endpoint": "BASE/vipps-userinfo-api/userinfo",
	"backchannel_authentication_endpoint": "BASE/vipps-login-ciba/api/backchannel/authentication",
	"backchannel_token_delivery_modes_supported": ["poll"],
	"grant_types_supported": ["authorization_code"],
	"response_types_supported": ["code", "code id_token", "id_token", "token id_token", "token", "token id_token code"],
	"response_modes_supported": ["query"],
	"subject_types_supported": ["public", "pairwise"],
	"claims_supported": ["sub"],
	"scopes_supported": ["openid", "name", "phoneNumber", "email", "address", "birthDate", "gender", "nin", "accountNumbers", "delegatedConsents", "customFlow"],
	"token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
	"id_token_signing_alg_values_supported": ["RS256"],
	"userinfo_signing_alg_values_supported": ["none"],
	"code_challenge_methods_supported": ["S256"],
	"request_parameter_supported": false, "request_uri_parameter_supported": false, "claims_parameter_supported": false,
	"backchannel_logout_supported": false, "backchannel_logout_session_supported": false,
	"frontchannel_logout_supported": false, "frontchannel_logout_session_supported": false
}`

func TestDiscovery(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	a := call(t, http.MethodGet, s.Issuer+".well-known/openid-configuration", "", nil)
	if a.status != 200 || a.header.Get("Cache-Control") != "max-age=3600" {
		t.Errorf("%d %v", a.status, a.header)
	}
	want := answer{body: strings.ReplaceAll(discovery, "BASE", s.URL)}
	if d := cmp.Diff(want.json(t), a.json(t)); d != "" {
		t.Errorf("discovery (-want +got):\n%s", d)
	}
	if s.Issuer != s.URL+"/access-management-1.0/access/" || s.Emulator.Issuer() != s.Issuer || s.Emulator.BaseURL() != s.URL {
		t.Errorf("issuer %q, base URL %q", s.Issuer, s.URL)
	}
}

func TestJWKS(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	keys := jwks(t, s)
	if len(keys) != 2 {
		t.Fatalf("%d keys", len(keys))
	}
	kid := regexp.MustCompile(`^public:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	for i, want := range []map[string]any{{"kty": "RSA", "alg": "RS256", "use": "sig", "e": "AQAB"}, {"kty": "EC", "alg": "ES256", "use": "sig", "crv": "P-256"}} {
		for name, v := range want {
			if keys[i][name] != v {
				t.Errorf("key %d: %s = %v, want %v", i, name, keys[i][name], v)
			}
		}
		if !kid.MatchString(keys[i]["kid"].(string)) {
			t.Errorf("kid = %v", keys[i]["kid"])
		}
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi"} {
			if _, ok := keys[i][private]; ok {
				t.Errorf("key %d publishes %s", i, private)
			}
		}
	}
	if n, err := base64.RawURLEncoding.DecodeString(keys[0]["n"].(string)); err != nil || len(n) != 256 {
		t.Errorf("modulus of %d bytes: %v", len(n), err)
	}
}

func jwks(t *testing.T, s *emulator.Server) []map[string]any {
	t.Helper()
	var keys []map[string]any
	for _, k := range call(t, http.MethodGet, s.Issuer+".well-known/jwks.json", "", nil).json(t)["keys"].([]any) {
		keys = append(keys, k.(map[string]any))
	}
	return keys
}

// A client that others wrote gets through: go-oidc and x/oauth2, which form-encode client_secret_basic.
func TestInteroperates(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	ctx := oidc.ClientContext(t.Context(), &http.Client{Transport: tr})
	provider, err := oidc.NewProvider(ctx, s.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	conf := oauth2.Config{
		ClientID: "shop", ClientSecret: "testdzlJbUZaM1lqODlnUUtrUHI=", Endpoint: provider.Endpoint(), RedirectURL: callback,
		Scopes: []string{"openid", "name"},
	}
	conf.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
	tok, err := conf.Exchange(ctx, code(t, s), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	if log := s.Control().Log(); log[len(log)-1].ClientAuth != emulator.SeenBasicEncoded {
		t.Errorf("client authentication = %+v", log[len(log)-1])
	}
	raw, _ := tok.Extra("id_token").(string)
	clk := newClock()
	idt, err := provider.Verifier(&oidc.Config{ClientID: "shop", Now: clk.Now}).Verify(ctx, raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := idt.VerifyAccessToken(tok.AccessToken); err != nil || idt.Nonce != nonce {
		t.Errorf("at_hash: %v, nonce %q", err, idt.Nonce)
	}
	ui, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(tok))
	if err != nil || ui.Subject != idt.Subject {
		t.Errorf("userinfo: %v, %v", ui, err)
	}
}

func TestSubIsPairwiseAndStable(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	sub := func(phone, client string) string {
		if err := s.Control().AutoApprove(phone); err != nil {
			t.Fatal(err)
		}
		p := newBrowser(t, s).get(authorizeURL(s, "client_id", client))
		c := p.back.Query().Get("code")
		a := token(t, s, c)
		if client == "other" {
			a = tokenPost(t, s, c, "other", "s:p%c+l =")
		}
		return claims(t, a.json(t)["id_token"].(string))["sub"].(string)
	}
	before := sub("4790000006", "shop")
	if before != sub("4790000006", "shop") || before == sub("4790000006", "other") || before == sub(aase, "shop") {
		t.Error("sub must depend on person and client, and on nothing else")
	}
	if err := s.Control().ChangePhone("4790000006", "4790000099"); err != nil {
		t.Fatal(err)
	}
	if err := s.Control().ChangePhone(aase, "4790000006"); err != nil { // recycled
		t.Fatal(err)
	}
	if sub("4790000099", "shop") != before {
		t.Error("a changed number must keep the sub")
	}
	if sub("4790000006", "shop") == before {
		t.Error("a recycled number must have another sub")
	}
}

func TestRefusesOtherPlacesThanLoopback(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"", "http://example.com", "http://0.0.0.0:4192", "http://192.168.1.2", "http://[::]:1", "ftp://127.0.0.1", "http://127.0.0.1/x", "http://u@127.0.0.1", "http://127.0.0.1?x", "127.0.0.1:4192", "http://127.0.0.1.example.com", "http://localhost.example.com"} {
		if _, err := emulator.New(emulator.Config{BaseURL: base}); err == nil {
			t.Errorf("base URL %q is taken", base)
		}
	}
	for _, base := range []string{"http://127.0.0.1:4192", "http://localhost:4192/", "http://[::1]:4192", "https://vipps.localhost", "http://127.8.9.1"} {
		e, err := emulator.New(emulator.Config{BaseURL: base})
		if err != nil || e.Issuer() != strings.TrimSuffix(base, "/")+"/access-management-1.0/access/" {
			t.Errorf("base URL %q: %v", base, err)
		}
	}
	for _, addr := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0", "example.com:0", "x", ""} {
		if s, err := emulator.Start(addr, emulator.Config{}); err == nil {
			t.Errorf("address %q is taken", addr)
			_ = s.Close()
		}
	}
	for _, uri := range []string{"https://example.com/cb", "http://192.168.1.2/cb", "myapp://callback", "/cb", "http://localhost/cb#x", "http://u:p@localhost/", "http://localhost.example.com/", "javascript:alert(1)", ""} {
		c := emulator.Client{ID: "x", Secret: "y", RedirectURIs: []string{uri}}
		if _, err := emulator.New(emulator.Config{BaseURL: "http://127.0.0.1:1", Clients: []emulator.Client{c}}); err == nil {
			t.Errorf("redirect URI %q is taken", uri)
		}
	}
}

// A name that resolves to this machine only by an attacker's DNS answer gets nothing (DNS rebinding).
func TestHostMustBeLoopback(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	port := strings.TrimPrefix(s.URL, "http://127.0.0.1")
	for host, want := range map[string]int{
		"evil.example" + port: 421, "evil.example": 421, "localhost.evil.example": 421, "127.0.0.1.evil.example": 421, "192.168.1.2": 421, ".localhost": 421,
		"localhost" + port: 200, "127.0.0.1": 200, "[::1]:80": 200, "a.localhost": 200, "LOCALHOST": 200,
	} {
		for _, path := range []string{"/access-management-1.0/access/.well-known/openid-configuration", "/_emulator/", "/_emulator/state"} {
			if a := call(t, http.MethodGet, s.URL+path, "", http.Header{"Host": {host}}); a.status != want {
				t.Errorf("Host %q, %s: %d, want %d", host, path, a.status, want)
			}
		}
	}
}

func TestNewReportsAllFaults(t *testing.T) {
	t.Parallel()
	_, err := emulator.New(emulator.Config{
		BaseURL: "http://127.0.0.1:1",
		Clients: []emulator.Client{{ID: "a"}, {ID: "b", Secret: "TOPSECRET", AuthMethod: "private_key_jwt"}, {ID: "c", Secret: "TOPSECRET", Scopes: []string{"profile"}}},
		People:  []emulator.Person{{}, {ID: "p", Phone: "123"}, {ID: "q", Phone: aase, Birthdate: "17.05.1985"}, {ID: "r", Phone: "4790000009"}, {ID: "s", Phone: "4790000009"}},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"ID and Secret are required", "client b: AuthMethod", "client c: Scopes", "person: ID", "person p: Phone", "person q: Birthdate", "person s: the phone number is r's"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "TOPSECRET") {
		t.Error("the error holds a secret")
	}
	if _, err := emulator.New(emulator.Config{BaseURL: "http://127.0.0.1:1", RSABits: 512}); err == nil {
		t.Error("RSABits 512 is taken")
	}
}

// The handler works without Start, and Start keeps a base URL that it is given.
func TestEmbedded(t *testing.T) {
	t.Parallel()
	e, err := emulator.New(emulator.Config{BaseURL: "http://vipps.localhost"})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://vipps.localhost/access-management-1.0/access/.well-known/openid-configuration", nil)
	e.ServeHTTP(w, r)
	if w.Code != 200 || !strings.Contains(w.Body.String(), `"issuer":"http://vipps.localhost/access-management-1.0/access/"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	s, err := emulator.Start("localhost:0", emulator.Config{BaseURL: "http://localhost:4192"})
	if err != nil {
		t.Fatal(err)
	}
	if s.URL != "http://localhost:4192" {
		t.Errorf("URL = %s", s.URL)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Errorf("closing twice: %v", err)
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			b := newBrowser(t, s)
			for range 5 {
				p := b.login(authorizeURL(s), aase, i%2 == 0)
				if p.back == nil {
					p = b.get(authorizeURL(s))
				}
				if a := token(t, s, p.back.Query().Get("code")); a.status != 200 {
					t.Errorf("token: %s", a.body)
				}
				s.Control().ForgetBrowsers()
				if err := s.Control().RotateKeys(true); err != nil {
					t.Error(err)
				}
				s.Control().Calls()
			}
		})
	}
	wg.Wait()
}

func TestFixturePeople(t *testing.T) {
	t.Parallel()
	people := emulator.FixturePeople()
	if len(people) != 12 {
		t.Errorf("%d people", len(people))
	}
	weights := [2][]int{{3, 7, 6, 1, 8, 9, 4, 5, 2, 1}, {5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1}}
	for _, p := range people {
		if p.Note == "" || p.NoteNO == "" || p.Name != p.GivenName+" "+p.FamilyName || (p.Email != "" && !strings.HasSuffix(p.Email, "@example.com")) {
			t.Errorf("%+v", p)
		}
		if p.NIN == "" {
			continue
		}
		month := int(p.NIN[2]-'0')*10 + int(p.NIN[3]-'0')
		born := p.Birthdate[8:] + p.NIN[2:4] + p.Birthdate[2:4]
		if month < 81 || month > 92 || !strings.HasPrefix(p.NIN, born) {
			t.Errorf("%s: the number must be synthetic (month plus 80) and of the birthdate", p.ID)
		}
		for _, w := range weights {
			sum := 0
			for i, f := range w {
				sum += f * int(p.NIN[i]-'0')
			}
			if sum%11 != 0 {
				t.Errorf("%s: check digits", p.ID)
			}
		}
	}
}

// cookieURL parses the base URL for a jar.
func cookieURL(t *testing.T, s *emulator.Server) *url.URL {
	t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
