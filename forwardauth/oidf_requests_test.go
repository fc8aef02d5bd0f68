package forwardauth_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps"
)

// What the suite checks of our requests on every run is checked by the provider on every run of these tests; here
// stand the cases that one run does not have.

// Credentials with every character that a wrong encoding changes. The provider decodes them as RFC 6749 §2.3.1 says,
// and takes no method but the one that is registered. The module of the suite is one of these.
func clientSecretBasic(t *testing.T) {
	t.Parallel()
	for i, secret := range []string{
		"plain-secret", "with:colon", "100%", "%41%2B", "a+b", "two words", "a/b=c==", `q"uote\back`, "&=?#", "~-._*", ":", "%",
	} {
		for _, auth := range []string{"basic", "post"} {
			t.Run(fmt.Sprintf("%s %d", auth, i), func(t *testing.T) {
				t.Parallel()
				p := newProvider(t)
				p.auth = auth
				r := newRP(t, p, func(c *vipps.Config) {
					c.ClientID, c.ClientSecret, c.ClientAuth = "id:"+secret, vipps.Secret(secret), vipps.ClientAuth(auth)
				})
				r.accepted()
				r.want(calls{1, 1, 1, 1, 1})
			})
		}
	}
}

// A provider that knows another secret, or another method, turns us down: one call, and nobody is logged in.
func TestSec_A004_WrongCredentials(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(p *provider){
		"another secret": func(p *provider) { p.secret = "another" },
		"another method": func(p *provider) { p.auth = "post" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRP(t, newProvider(t), nil)
			change(r.op)
			r.refused("invalid_client")
			r.want(calls{1, 1, 1, 0, 0})
		})
	}
}

// A001: what the provider is asked for, whatever the browser's own request says: the redirect URI is the configured one
// and not built from a forwarded host (lua-resty-openidc and others built it so).
func TestSec_A001_A006_B118_AuthorizationRequest(t *testing.T) {
	t.Parallel()
	r := newRP(t, newProvider(t), nil)
	h := navigation()
	for name, value := range map[string]string{
		"X-Forwarded-Proto": "https", "X-Forwarded-Port": "444", "X-Forwarded-Prefix": "/evil",
		"Forwarded": "host=evil.example;proto=https", "X-Original-Host": "evil.example", "Referer": "https://evil.example/",
	} {
		h.Set(name, value)
	}
	a := r.browser().send("GET", "/_vipps/login?redirect_uri=https://evil.example/&prompt=none&max_age=0&scope=nin&response_type=token&client_id=x", h, "")
	to, err := url.Parse(a.Header.Get("Location"))
	if err != nil || !strings.HasPrefix(to.String(), r.op.url(epAuthorize)+"?") {
		t.Fatalf("sent to %q", to)
	}
	q := to.Query()
	for name, want := range map[string]string{
		"redirect_uri": r.op.redirectURI, "scope": "openid name phoneNumber email", "response_type": "code", "client_id": rpID,
		"code_challenge_method": "S256", "prompt": "", "max_age": "", "response_mode": "", "request": "", "request_uri": "", "claims": "",
	} {
		if got := q.Get(name); got != want || len(q[name]) > 1 {
			t.Errorf("%s is %q, want %q", name, q[name], want)
		}
	}
}

// X-Forwarded-Host counts only where it names a site of ours: it never reaches the redirect URI.
func TestSec_B118_RedirectURIIsNotTheClients(t *testing.T) {
	t.Parallel()
	r := newRP(t, newProvider(t), nil)
	for _, host := range []string{"evil.example", "127.0.0.1", "127.0.0.1:1", "localhost"} {
		for _, path := range []string{"/_vipps/login", "/page"} {
			h := navigation()
			h.Set("X-Forwarded-Host", host)
			a := r.browser().follow(r.browser().send("GET", path, h, ""), path)
			if strings.Contains(a.text, host+"/_vipps") || strings.Contains(a.Header.Get("Location"), "evil.example") {
				t.Errorf("%s, %s: %d %s", host, path, a.StatusCode, a.Header.Get("Location"))
			}
		}
	}
	if r.op.counted().authorize == 0 {
		t.Error("no login began, so that nothing was judged")
	}
}

// A045: no refresh token is asked for, and one that comes anyway is never used, however old the session gets. The
// modules oidcc-client-test-refresh-token and its variants have nothing to test here.
func TestSec_A045_RefreshTokensAreNotUsed(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.tokens = func(m obj) { m["refresh_token"], m["expires_in"] = "rt-secret", 1 }
	r := newRP(t, p, nil)
	b := r.accepted()
	if q := p.lastTo(epAuthorize).URL.Query(); strings.Contains(q.Get("scope"), "offline") || q.Has("access_type") {
		t.Errorf("asked for %v", q)
	}
	for range 7 {
		r.clock.advance(time.Hour)
		if a := b.visit("/"); a.StatusCode != http.StatusOK {
			t.Fatalf("the session ended: %d", a.StatusCode)
		}
	}
	r.want(calls{1, 1, 1, 1, 1})
}

// A046: a login that another party starts is a login with our provider for our own page, or nothing.
func TestSec_A046_ThirdPartyInitiatedLogin(t *testing.T) {
	t.Parallel()
	r := newRP(t, newProvider(t), nil)
	evil := trap(t)
	b := r.browser()
	a := b.visit("/_vipps/login?" + url.Values{"iss": {evil}, "target_link_uri": {evil + "/x"}, "login_hint": {"4790000001"}, "rd": {evil}}.Encode())
	if a.Request.URL.Host != r.site.Listener.Addr().String() || !strings.Contains(a.text, "app: GET / ") {
		t.Errorf("ended at %s: %d %s", a.Request.URL, a.StatusCode, a.text)
	}
	if q := r.op.lastTo(epAuthorize).URL.Query(); q.Has("login_hint") || q.Has("target_link_uri") {
		t.Errorf("the provider was asked %v", q)
	}
	for _, path := range []string{"/_vipps/initiate", "/_vipps/backchannel-logout", "/_vipps/frontchannel-logout", "/_vipps/register", "/_vipps/jwks", "/_vipps/token", "/_vipps/refresh"} {
		if a := b.send("GET", path, navigation(), ""); a.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
	}
}

// A047: nothing but the code flow with plain parameters, whatever else the provider announces and the browser brings.
func TestSec_A047_OtherFlows(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	evil := trap(t)
	p.metadata = func(m obj) {
		m["registration_endpoint"], m["pushed_authorization_request_endpoint"] = evil+"/register", evil+"/par"
		m["mtls_endpoint_aliases"] = obj{"token_endpoint": evil + "/token", "userinfo_endpoint": evil + "/userinfo"}
		m["require_pushed_authorization_requests"], m["check_session_iframe"], m["end_session_endpoint"] = true, evil, evil
		m["response_types_supported"], m["response_modes_supported"] = []string{"code", "id_token", "code id_token"}, []string{"form_post", "fragment"}
		m["request_uri_parameter_supported"], m["token_endpoint_auth_methods_supported"] = true, []string{"tls_client_auth"}
	}
	r := newRP(t, p, nil)
	b := r.browser()
	to, err := url.Parse(b.send("GET", "/_vipps/login", navigation(), "").Header.Get("Location"))
	if err != nil || to.Query().Get("response_type") != "code" || to.Query().Has("response_mode") {
		t.Fatalf("asked %s", to)
	}
	state, nonce := to.Query().Get("state"), to.Query().Get("nonce")
	token := p.keys[0].sign([]byte(`{"iss":"` + p.issuer + `","aud":"` + rpID + `","sub":"` + opSub + `","nonce":"` + nonce + `","iat":` + unix(p.now()) + `,"exp":` + unix(p.now().Add(time.Hour)) + `}`))
	front := url.Values{"state": {state}, "id_token": {token}, "access_token": {"at-x"}, "token_type": {"Bearer"}}
	if a := b.post("/_vipps/callback", front); a.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("form_post: %d", a.StatusCode)
	}
	b.visit("/_vipps/callback?" + front.Encode())
	r.nobody(b)
	r.want(calls{discovery: 1})
	r.accepted()
	r.want(calls{1, 1, 1, 1, 1})
}

// An ID token is no key to the door: bearer tokens are not accepted at all, so none can be accepted without its
// audience, issuer or expiry (B-117, GHSA-wcvh-g65p-v576).
func TestSec_B117_BearerTokensAreNotAccepted(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	var token string
	p.sign = func(payload []byte) string { token = p.keys[0].sign(payload); return token }
	r := newRP(t, p, nil)
	r.accepted()
	hits := r.hits()
	for name, value := range map[string]string{
		"Authorization": "Bearer " + token, "X-Forwarded-Access-Token": token, "X-Id-Token": token, "X-Auth-Request-Access-Token": token,
		"Cookie": "vippsauth=" + token, "X-Vipps-Sub": opSub, "Proxy-Authorization": "Bearer " + token,
	} {
		h := r.original("/page")
		h.Set(name, value)
		if a := r.browser().send("GET", "/_vipps/authz/auth-request?access_token="+token, h, ""); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("authz with %s: %d", name, a.StatusCode)
		}
		h = http.Header{"Accept": {"application/json"}, name: {value}}
		if a := r.browser().send("GET", "/page?id_token="+token, h, ""); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("the app with %s: %d", name, a.StatusCode)
		}
	}
	if r.hits() != hits {
		t.Error("the app was asked")
	}
}
