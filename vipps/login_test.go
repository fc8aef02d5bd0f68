package vipps_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/vipps"
)

func TestSec_A001_A002_A120_AuthorizeURL(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.metadata = func(m map[string]any) {
		m["authorization_endpoint"] = m["authorization_endpoint"].(string) + "?tenant=1"
	}
	cfg := p.config()
	cfg.Scopes, cfg.Market, cfg.ACRValues = []string{"name", "openid", "phoneNumber", "name"}, "NO", "urn:vipps:acr:app_auth"
	c := newClient(t, cfg)
	pending, to, err := c.BeginLogin(context.Background(), vipps.LoginRequest{RedirectURI: redirectURI, Silent: true, StateSuffix: "v1.abc-_~"})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	challenge := sha256.Sum256([]byte(pending.Verifier))
	want := url.Values{
		"tenant":                {"1"},
		"response_type":         {"code"},
		"client_id":             {clientID},
		"redirect_uri":          {redirectURI},
		"scope":                 {"openid name phoneNumber"},
		"state":                 {pending.State},
		"nonce":                 {pending.Nonce},
		"code_challenge":        {base64.RawURLEncoding.EncodeToString(challenge[:])},
		"code_challenge_method": {"S256"},
		"requested_flow":        {"no_dialog"},
		"market":                {"NO"},
		"acr_values":            {"urn:vipps:acr:app_auth"},
	}
	if diff := cmp.Diff(want, u.Query()); diff != "" {
		t.Error(diff)
	}
	if !strings.HasPrefix(to, p.issuer+"oauth2/auth?") {
		t.Errorf("the URL begins elsewhere: %s", to)
	}
	secret := regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
	id, suffix, _ := strings.Cut(pending.State, ".")
	if !secret.MatchString(id) || suffix != "v1.abc-_~" || !secret.MatchString(pending.Nonce) || !secret.MatchString(pending.Verifier) {
		t.Error("state, nonce or verifier is not 256 bits in base64url")
	}
	if !pending.Silent || !pending.Started.Equal(p.clock.Now()) || pending.ACRValues != cfg.ACRValues {
		t.Error("the pending login lacks something")
	}
}

func TestSec_A092_EveryLoginHasItsOwnSecrets(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	c := p.client()
	seen := map[string]bool{}
	for range 50 {
		pending, to, err := c.BeginLogin(context.Background(), vipps.LoginRequest{RedirectURI: redirectURI})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{pending.State, pending.Nonce, pending.Verifier} {
			if seen[s] {
				t.Fatal("a secret was used twice")
			}
			seen[s] = true
		}
		if strings.Contains(to, "requested_flow") || strings.Contains(to, "prompt") || strings.Contains(to, "max_age") || strings.Contains(to, pending.Verifier) {
			t.Error("the URL has a parameter that it must not have")
		}
	}
}

func TestBeginLoginRefuses(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	c := p.client()
	id := vipps.NewStateID()
	for name, r := range map[string]vipps.LoginRequest{
		"no redirect URI":  {},
		"relative":         {RedirectURI: "/callback"},
		"fragment":         {RedirectURI: redirectURI + "#"},
		"http elsewhere":   {RedirectURI: "http://app.example/callback"},
		"almost localhost": {RedirectURI: "http://notlocalhost/callback"},
		"no name before":   {RedirectURI: "http://.localhost/callback"},
		"localhost within": {RedirectURI: "http://a.localhost.example/callback"},
		"short id":         {RedirectURI: redirectURI, ID: id[:42]},
		"foreign id":       {RedirectURI: redirectURI, ID: strings.Repeat("!", 43)},
		"suffix with &":    {RedirectURI: redirectURI, StateSuffix: "a&b"},
		"suffix with line": {RedirectURI: redirectURI, StateSuffix: "a\nb"},
		"long suffix":      {RedirectURI: redirectURI, StateSuffix: strings.Repeat("a", 469)},
	} {
		_, _, err := c.BeginLogin(context.Background(), r)
		var ce *vipps.ConfigError
		if !errors.As(err, &ce) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
	if _, _, err := c.BeginLogin(context.Background(), vipps.LoginRequest{RedirectURI: "http://shop.localhost:8080/cb"}); err != nil {
		t.Errorf("a name below localhost: %v", err) // browsers take it as loopback
	}
	pending, _, err := c.BeginLogin(context.Background(), vipps.LoginRequest{RedirectURI: "http://localhost:8080/cb", ID: id, StateSuffix: strings.Repeat("a", 468)})
	if err != nil {
		t.Fatal(err)
	}
	if len(pending.State) != 512 || !strings.HasPrefix(pending.State, id+".") {
		t.Errorf("state is %q", pending.State)
	}
}

func TestSec_C040_CallbackParameters(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(url.Values)
		code   string
	}{
		{"code twice", func(q url.Values) { q.Add("code", q.Get("code")) }, vipps.CodeDuplicateParameter},
		{"state twice", func(q url.Values) { q.Add("state", q.Get("state")) }, vipps.CodeDuplicateParameter},
		{"error twice", func(q url.Values) { q["error"] = []string{"a", "b"} }, vipps.CodeDuplicateParameter},
		{"code and error", func(q url.Values) { q.Set("error", "access_denied") }, "access_denied"},
		{"neither", func(q url.Values) { q.Del("code") }, vipps.CodeMissingCode},
		{"empty code", func(q url.Values) { q.Set("code", "") }, vipps.CodeMissingCode},
		{"NUL", func(q url.Values) { q.Set("code", "\x00") }, vipps.CodeInvalidCallback},
		{"64 KiB", func(q url.Values) { q.Set("code", strings.Repeat("c", 64<<10)) }, vipps.CodeInvalidCallback},
		{"other case", func(q url.Values) { q["CODE"] = q["code"]; q.Del("code") }, vipps.CodeMissingCode},
		{"brackets", func(q url.Values) { q["code[]"] = q["code"]; q.Del("code") }, vipps.CodeMissingCode},
		{"script", func(q url.Values) { q.Set("error", "<script>") }, vipps.CodeUnknown},
		{"long error", func(q url.Values) { q.Set("error", strings.Repeat("e", 65)) }, vipps.CodeUnknown},
		{"tokens in the query", func(q url.Values) { q.Set("id_token", "eyJ"); q.Set("access_token", "x"); q.Del("code") }, vipps.CodeMissingCode},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t)
			_, err := p.login(p.client(), tt.change)
			e := refused(t, err, tt.code)
			if e.Stage != vipps.StageAuthorize {
				t.Errorf("stage is %s", e.Stage)
			}
			if n := p.calls(tokenPath); n != 0 {
				t.Errorf("the token endpoint was called %d times", n)
			}
		})
	}
}

// Vipps documents this redirect, with a second question mark before state.
func TestSec_A126_MalformedErrorRedirect(t *testing.T) {
	t.Parallel()
	q, err := url.ParseQuery("error=access_denied&error_description=user%20cancelled%20the%20login?state=abc")
	if err != nil {
		t.Fatal(err)
	}
	cb, err := vipps.ParseCallback(q)
	if !isState(err) || cb.State != "" || cb.Error != "access_denied" {
		t.Errorf("callback is %+v, error %v", cb, err)
	}
}

func TestSec_A099_PendingOfAnotherClient(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	c := p.client()
	pending, to, err := c.BeginLogin(context.Background(), vipps.LoginRequest{RedirectURI: redirectURI})
	if err != nil {
		t.Fatal(err)
	}
	q := p.authorize(to)
	for name, edit := range map[string]func(*vipps.PendingLogin){
		"issuer":   func(p *vipps.PendingLogin) { p.Issuer = "https://apitest.vipps.no/access-management-1.0/access/" },
		"client":   func(p *vipps.PendingLogin) { p.ClientID = "other" },
		"nonce":    func(p *vipps.PendingLogin) { p.Nonce = "" },
		"verifier": func(p *vipps.PendingLogin) { p.Verifier = "" },
		"state":    func(p *vipps.PendingLogin) { p.State = "" },
		"zero":     func(p *vipps.PendingLogin) { *p = vipps.PendingLogin{} },
	} {
		bent := *pending
		edit(&bent)
		if _, err := c.FinishLogin(context.Background(), &bent, q); !isState(err) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
	if _, err := c.FinishLogin(context.Background(), nil, q); !isState(err) {
		t.Errorf("nil: error is %v", err)
	}
	if n := p.calls(tokenPath); n != 0 {
		t.Errorf("the token endpoint was called %d times", n)
	}
}

func TestACR(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		asked string
		got   any
		code  string
	}{
		{"", "anything", ""},
		{"urn:vipps:acr:app_auth", "urn:vipps:acr:app_auth", ""},
		{"urn:a urn:b", "urn:b", ""},
		{"urn:a urn:b", "urn:a urn:b", vipps.CodeACR},
		{"urn:a", nil, vipps.CodeACR},
		{"urn:a", "", vipps.CodeACR},
		{"urn:a", []string{"urn:a"}, vipps.CodeMalformedToken},
	} {
		p := newProvider(t)
		p.idToken = func(c claims) {
			if tt.got != nil {
				c["acr"] = tt.got
			}
		}
		cfg := p.config()
		cfg.ACRValues = tt.asked
		l, err := p.login(newClient(t, cfg))
		if tt.code != "" {
			refused(t, err, tt.code)
		} else if err != nil || l.ACR != tt.got {
			t.Errorf("%v: %v", tt, err)
		}
	}
}

func TestWithoutUserinfo(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.metadata = func(m map[string]any) { delete(m, "userinfo_endpoint") }
	p.idToken = func(c claims) { c["name"], c["email"], c["email_verified"] = "Kari Nordmann", "kari@example.com", true }
	l := p.mustLogin(p.client())
	if l.User.Name != "Kari Nordmann" || !l.User.EmailVerified {
		t.Error("the ID token's claims are missing")
	}
	for _, name := range []string{"iss", "aud", "nonce", "exp", "iat", "auth_time"} {
		if _, ok := l.User.Claims[name]; ok {
			t.Errorf("%s is among the claims", name)
		}
	}
}

// A code is sent once, whatever the answer is.
func TestSec_A101_OneTokenCall(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]http.HandlerFunc{
		"500": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"401": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
		"429": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		"307": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
		},
		"hang up":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"not JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t)
			p.handle(tokenPath, h)
			if _, err := p.login(p.client()); err == nil {
				t.Error("no error")
			}
			if n := p.calls(tokenPath); n != 1 {
				t.Errorf("the token endpoint was called %d times", n)
			}
		})
	}
}

func TestSec_A080_CustomClientFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.handle(userinfoPath, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/stolen", http.StatusTemporaryRedirect)
	})
	cfg := p.config()
	cfg.HTTPClient = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}
	_, err := p.login(newClient(t, cfg))
	refused(t, err, vipps.CodeRedirect)
	if n := p.calls("/stolen"); n != 0 {
		t.Error("the access token was carried elsewhere")
	}
}

func TestNothingPrintsSecrets(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	c := p.client()
	pending, to, err := c.BeginLogin(context.Background(), vipps.LoginRequest{RedirectURI: redirectURI})
	if err != nil {
		t.Fatal(err)
	}
	l, err := c.FinishLogin(context.Background(), pending, p.authorize(to))
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		text := fmt.Sprintf(format+format+format+format, pending, *pending, l, l.User)
		for _, secret := range []string{pending.Verifier, pending.Nonce, pending.State, "Åse", testSub} {
			if strings.Contains(text, secret) {
				t.Errorf("%s shows %q", format, secret)
			}
		}
	}
}
