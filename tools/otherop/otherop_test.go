package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v3"
)

const (
	testID       = "client/with:odd chars"
	testSecret   = "s3cret+with/odd:chars"
	testRedirect = "http://127.0.0.1:1/callback"
	testVerifier = "a-verifier-of-at-least-forty-three-characters-in-all"
)

// browser is one browser in front of one running provider.
type browser struct {
	t      *testing.T
	issuer string
	client *http.Client
}

func start(t *testing.T) *browser {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, []string{"-client-id", testID, "-client-secret", testSecret, "-redirect-uri", testRedirect}, w)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	jar, _ := cookiejar.New(nil)
	return &browser{t: t, issuer: strings.TrimSpace(line), client: &http.Client{
		Jar: jar, Timeout: 10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (b *browser) authorizeURL(change url.Values) string {
	sum := sha256.Sum256([]byte(testVerifier))
	q := url.Values{
		"client_id": {testID}, "redirect_uri": {testRedirect}, "response_type": {"code"}, "scope": {"openid name phoneNumber"},
		"state": {"state-of-this-login"}, "nonce": {"nonce-of-this-login"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	for k, v := range change {
		q[k] = v
	}
	return b.issuer + "/authorize?" + q.Encode()
}

// answer sends one request and returns the parameters that the redirect to the client carries; nil if there was none.
func (b *browser) answer(method, target string, form url.Values) (url.Values, *http.Response, string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, target, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	loc := resp.Header.Get("Location")
	if loc == "" {
		return nil, resp, string(body)
	}
	if !strings.HasPrefix(loc, testRedirect+"?") {
		b.t.Fatalf("redirect to %s", loc)
	}
	u, err := url.Parse(loc)
	if err != nil {
		b.t.Fatal(err)
	}
	q := u.Query()
	if q.Get("iss") != b.issuer || len(q["iss"]) != 1 {
		b.t.Errorf("iss = %q, want %q", q["iss"], b.issuer)
	}
	if q.Get("state") != "state-of-this-login" {
		b.t.Errorf("state = %q", q.Get("state"))
	}
	return q, resp, string(body)
}

func (b *browser) token(code, id, secret, verifier string) (int, map[string]any) {
	b.t.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {testRedirect}, "code_verifier": {verifier}}
	req, _ := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.issuer+"/token", strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	return b.json(req)
}

func (b *browser) json(req *http.Request) (int, map[string]any) {
	b.t.Helper()
	resp, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var m map[string]any
	_ = json.NewDecoder(resp.Body).Decode(&m)
	return resp.StatusCode, m
}

func (b *browser) get(target, bearer string) (int, map[string]any) {
	b.t.Helper()
	req, _ := http.NewRequestWithContext(b.t.Context(), http.MethodGet, target, nil)
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	return b.json(req)
}

func TestLogin(t *testing.T) {
	b := start(t)
	_, meta := b.get(b.issuer+"/.well-known/openid-configuration", "")
	if meta["issuer"] != b.issuer || meta["authorization_response_iss_parameter_supported"] != true {
		t.Fatalf("discovery: %v", meta)
	}

	// Case 1: silent, and nobody is remembered.
	silent := b.authorizeURL(url.Values{"requested_flow": {"no_dialog"}})
	if q, _, _ := b.answer(http.MethodGet, silent, nil); q.Get("error") != "login_required" {
		t.Fatalf("silent miss: %v", q)
	}

	// Case 2: the form, then Åse.
	full := b.authorizeURL(nil)
	if q, _, page := b.answer(http.MethodGet, full, nil); q != nil || !strings.Contains(page, "Åse Ødegård") {
		t.Fatalf("no form: %v %s", q, page)
	}
	q, _, _ := b.answer(http.MethodPost, full, url.Values{"person": {"ase"}})
	if q.Get("code") == "" {
		t.Fatalf("no code: %v", q)
	}
	if status, m := b.token(q.Get("code"), testID, "wrong", testVerifier); status != http.StatusUnauthorized {
		t.Errorf("wrong secret: %d %v", status, m)
	}
	status, tok := b.token(q.Get("code"), testID, testSecret, testVerifier)
	if status != http.StatusOK {
		t.Fatalf("token: %d %v", status, tok)
	}
	claims := b.verify(tok["id_token"].(string))
	if claims["iss"] != b.issuer || claims["sub"] != "2f6f5c1e-ase" || claims["nonce"] != "nonce-of-this-login" || claims["at_hash"] == nil {
		t.Errorf("ID token: %v", claims)
	}
	if status, m := b.token(q.Get("code"), testID, testSecret, testVerifier); status == http.StatusOK {
		t.Errorf("a code works twice: %v", m)
	}

	// Case 3: remembered, so silent succeeds; cancel and the wrong verifier are refused.
	q, _, _ = b.answer(http.MethodGet, silent, nil)
	if q.Get("code") == "" {
		t.Fatalf("silent hit: %v", q)
	}
	if status, m := b.token(q.Get("code"), testID, testSecret, strings.Repeat("x", 43)); status != http.StatusBadRequest {
		t.Errorf("wrong verifier: %d %v", status, m)
	}
	again := b.authorizeURL(url.Values{"prompt": {"login"}})
	if q, _, _ := b.answer(http.MethodPost, again, url.Values{"person": {"cancel"}}); q.Get("error") != "access_denied" {
		t.Errorf("cancel: %v", q)
	}
	if q, _, _ := b.answer(http.MethodPost, again, url.Values{"person": {"ola"}}); q.Get("code") == "" {
		t.Errorf("prompt=login: %v", q)
	}
}

func TestUserinfo(t *testing.T) {
	b := start(t)
	q, _, _ := b.answer(http.MethodPost, b.authorizeURL(nil), url.Values{"person": {"ase"}})
	_, tok := b.token(q.Get("code"), testID, testSecret, testVerifier)
	_, info := b.get(b.issuer+"/userinfo", tok["access_token"].(string))
	if info["sub"] != "2f6f5c1e-ase" || info["name"] != "Åse Ødegård" || info["phone_number"] != "4700000101" || info["email"] != nil {
		t.Errorf("userinfo: %v", info)
	}
	if status, _ := b.get(b.issuer+"/userinfo", "nonsense"); status != http.StatusUnauthorized {
		t.Errorf("userinfo with a wrong token: %d", status)
	}
}

func TestRefusals(t *testing.T) {
	b := start(t)
	for name, tc := range map[string]struct {
		change url.Values
		want   string // error sent to the client; empty: none of it reaches the client
	}{
		"foreign redirect": {url.Values{"redirect_uri": {"http://127.0.0.1:1/other"}}, ""},
		"unknown client":   {url.Values{"client_id": {"nobody"}}, ""},
		"unknown scope":    {url.Values{"scope": {"openid nin"}}, "invalid_scope"},
		"no challenge":     {url.Values{"code_challenge": nil, "code_challenge_method": nil}, "invalid_request"},
		"plain challenge":  {url.Values{"code_challenge_method": {"plain"}}, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			q, resp, _ := b.answer(http.MethodPost, b.authorizeURL(tc.change), url.Values{"person": {"ola"}})
			if q.Get("error") != tc.want || q.Get("code") != "" {
				t.Errorf("status %d, answer %v, want error %q", resp.StatusCode, q, tc.want)
			}
		})
	}
	if err := run(t.Context(), []string{"-addr", "0.0.0.0:0", "-client-id", "a", "-client-secret", "b", "-redirect-uri", "c"}, io.Discard); err == nil {
		t.Error("an address that isn't loopback is accepted")
	}
}

// verify checks the ID token against the published keys and returns its claims.
func (b *browser) verify(token string) map[string]any {
	b.t.Helper()
	req, _ := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.issuer+"/jwks", nil)
	resp, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(resp.Body).Decode(&set); err != nil {
		b.t.Fatal(err)
	}
	sig, err := jose.ParseSigned(token)
	if err != nil {
		b.t.Fatal(err)
	}
	kid := sig.Signatures[0].Header.KeyID
	if len(set.Key(kid)) != 1 {
		b.t.Fatalf("kid %q is not published", kid)
	}
	payload, err := sig.Verify(set.Key(kid)[0])
	if err != nil {
		b.t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		b.t.Fatal(err)
	}
	return claims
}
