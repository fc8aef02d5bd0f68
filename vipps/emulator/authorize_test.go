package emulator_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// What is wrong with client or redirect URI never comes back to the client: the page shows it, and there is no Location.
func TestAuthorizeErrorPage(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for name, tc := range map[string]struct{ url, want string }{
		"no parameters at all":          {s.Issuer + "oauth2/auth", "invalid_client"},
		"unknown client":                {authorizeURL(s, "client_id", "nobody"), "invalid_client"},
		"client twice":                  {authorizeURL(s) + "&client_id=shop", "invalid_client"},
		"no redirect URI":               {authorizeURL(s, "redirect_uri", "-"), `The "redirect_uri" provided with your request does not match any of your preregistered URIs`},
		"redirect URI with a slash":     {authorizeURL(s, "redirect_uri", callback+"/"), "preregistered"},
		"redirect URI in capitals":      {authorizeURL(s, "redirect_uri", strings.ToUpper(callback)), "preregistered"},
		"redirect URI with a query":     {authorizeURL(s, "redirect_uri", callback+"?x=y"), "preregistered"},
		"redirect URI of another host":  {authorizeURL(s, "redirect_uri", "https://evil.example/"), "preregistered"},
		"redirect URI twice":            {authorizeURL(s) + "&redirect_uri=" + url.QueryEscape(callback), "preregistered"},
		"redirect URI of no such shape": {authorizeURL(s, "redirect_uri", "javascript:alert(1)"), "preregistered"},
		"a broken query":                {s.Issuer + "oauth2/auth?client_id=%zz", "invalid_request"},
		"a semicolon in the query":      {authorizeURL(s) + ";x=y", "invalid_request"},
	} {
		p := newBrowser(t, s).get(tc.url)
		if p.status != 400 || p.back != nil || !strings.Contains(p.texts, tc.want) || !strings.Contains(p.texts, "Oops, something went wrong") {
			t.Errorf("%s: %d %v %s", name, p.status, p.back, p.texts)
		}
	}
}

func TestAuthorizeErrorRedirect(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	long43, long129 := strings.Repeat("a", 43), strings.Repeat("a", 129)
	for name, tc := range map[string]struct {
		url, want, state string
	}{
		"no state":                   {authorizeURL(s, "state", "-"), "invalid_state", ""},
		"state of seven characters":  {authorizeURL(s, "state", "1234567"), "invalid_state", "1234567"},
		"state twice":                {authorizeURL(s) + "&state=12345678", "invalid_state", ""},
		"no response_type":           {authorizeURL(s, "response_type", "-"), "unsupported_response_type", state},
		"implicit":                   {authorizeURL(s, "response_type", "id_token"), "unsupported_response_type", state},
		"hybrid":                     {authorizeURL(s, "response_type", "code id_token"), "unsupported_response_type", state},
		"no scope":                   {authorizeURL(s, "scope", "-"), "invalid_scope", state},
		"scope without openid":       {authorizeURL(s, "scope", "name email"), "invalid_scope", state},
		"unknown scope":              {authorizeURL(s, "scope", "openid profile"), "invalid_scope", state},
		"scope in other case":        {authorizeURL(s, "scope", "openid birthdate"), "invalid_scope", state},
		"a scope of old dumps":       {authorizeURL(s, "scope", "openid promotions"), "invalid_scope", state},
		"plain":                      {authorizeURL(s, "code_challenge_method", "plain"), "invalid_request", state},
		"challenge without method":   {authorizeURL(s, "code_challenge_method", "-"), "invalid_request", state},
		"method without challenge":   {authorizeURL(s, "code_challenge", "-"), "invalid_request", state},
		"method in other case":       {authorizeURL(s, "code_challenge_method", "s256"), "invalid_request", state},
		"a short challenge":          {authorizeURL(s, "code_challenge", "abc"), "invalid_request", state},
		"an empty challenge":         {authorizeURL(s, "code_challenge", ""), "invalid_request", state},
		"a challenge of other stuff": {authorizeURL(s, "code_challenge", long43[1:]+"="), "invalid_request", state},
		"a long challenge":           {authorizeURL(s, "code_challenge", long129), "invalid_request", state},
		"app_to_app":                 {authorizeURL(s, "requested_flow", "app_to_app"), "invalid_request", state},
		"flow in other case":         {authorizeURL(s, "requested_flow", "No_Dialog"), "invalid_request", state},
		"prompt":                     {authorizeURL(s, "prompt", "none"), "invalid_request", state},
		"max_age":                    {authorizeURL(s, "max_age", "0"), "invalid_request", state},
		"request object":             {authorizeURL(s, "request", "x"), "invalid_request", state},
		"form_post":                  {authorizeURL(s, "response_mode", "form_post"), "invalid_request", state},
		"a parameter with a typo":    {authorizeURL(s, "code_challange", "x"), "invalid_request", state},
		"unknown market":             {authorizeURL(s, "market", "no"), "invalid_request", state},
		"nonce twice":                {authorizeURL(s) + "&nonce=12345678", "invalid_request", state},
		"unknown acr for advanced":   {authorizeURL(s, "client_id", "other", "acr_values", "2"), "invalid_request", state},
	} {
		p := newBrowser(t, s).get(tc.url)
		if p.status != http.StatusFound || p.back == nil {
			t.Errorf("%s: %d %s", name, p.status, p.texts)
			continue
		}
		q := p.back.Query()
		if q.Get("error") != tc.want || q.Get("state") != tc.state || q.Has("code") || q.Get("error_description") == "" || q.Has("scope") {
			t.Errorf("%s: %s", name, p.back)
		}
	}
}

func TestAuthorizeAccepts(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	if err := s.Control().AutoApprove(aase); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string][]string{
		"without PKCE":                   {"code_challenge", "-", "code_challenge_method", "-"},
		"without nonce":                  {"nonce", "-"},
		"openid alone":                   {"scope", "openid"},
		"spaces in the scope":            {"scope", " openid  name "},
		"response_mode query":            {"response_mode", "query"},
		"market DK":                      {"market", "DK"},
		"market FI":                      {"market", "FI"},
		"market SE":                      {"market", "SE"},
		"no market":                      {"market", "-"},
		"acr_values without the tier":    {"acr_values", "anything"},
		"state of eight characters":      {"state", "12345678"},
		"state that needs escaping":      {"state", "a&b=c d+é\"<"},
		"a long state":                   {"state", strings.Repeat("s", 512)},
		"redirect URI with its query":    {"redirect_uri", callback + "?a=b"},
		"silent while AutoApprove is on": {"requested_flow", ""},
	} {
		p := newBrowser(t, s).get(authorizeURL(s, tc...))
		if p.back == nil || p.back.Query().Get("code") == "" {
			t.Errorf("%s: %d %v %s", name, p.status, p.back, p.texts)
			continue
		}
		if i := indexOf(tc, "state"); i >= 0 && p.back.Query().Get("state") != tc[i+1] {
			t.Errorf("%s: state came back as %q", name, p.back.Query().Get("state"))
		}
		if i := indexOf(tc, "redirect_uri"); i >= 0 && !strings.HasPrefix(p.header.Get("Location"), callback+"?a=b&code=") {
			t.Errorf("%s: %s", name, p.header.Get("Location"))
		}
	}
}

func indexOf(s []string, want string) int {
	for i, v := range s {
		if v == want {
			return i
		}
	}
	return -1
}

// Vipps' gateway gives up on long parameters and URLs (the FAQ).
func TestAuthorizeTooLong(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for name, url := range map[string]string{
		"state": authorizeURL(s, "state", strings.Repeat("s", 1000)),
		"nonce": authorizeURL(s, "nonce", strings.Repeat("n", 1000)),
		"URL":   authorizeURL(s, "scope", "openid"+strings.Repeat(" name", 400)),
	} {
		if p := newBrowser(t, s).get(url); p.status != http.StatusBadGateway || !strings.HasPrefix(p.header.Get("Content-Type"), "text/html") {
			t.Errorf("%s: %d", name, p.status)
		}
	}
}

func TestAuthorizeSwitches(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *emulator.Config) {
		c.AllowPlainPKCE, c.DropUnknownScopes, c.ProfileInIDToken = true, true, true
		c.Clients[0].Scopes = []string{"name"}
	})
	if err := s.Control().AutoApprove(aase); err != nil {
		t.Fatal(err)
	}
	p := newBrowser(t, s).get(authorizeURL(s, "scope", "openid name email future", "code_challenge", verifier, "code_challenge_method", "-"))
	if p.back == nil || p.back.Query().Get("scope") != "openid name" {
		t.Fatalf("want the scopes that the client may have, got %v", p.back)
	}
	a := token(t, s, p.back.Query().Get("code")).json(t)
	if a["scope"] != "openid name" {
		t.Errorf("scope = %v", a["scope"])
	}
	if c := claims(t, a["id_token"].(string)); c["given_name"] != "Åse" || c["email"] != nil {
		t.Errorf("ID token = %v", c)
	}
}

func TestOtherMethodsAndPaths(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for _, tc := range []struct {
		method, path string
		status       int
	}{
		{"POST", "/access-management-1.0/access/oauth2/auth", 405},
		{"HEAD", "/access-management-1.0/access/oauth2/auth", 405},
		{"GET", "/access-management-1.0/access/oauth2/token", 405},
		{"POST", "/vipps-userinfo-api/userinfo", 405},
		{"POST", "/access-management-1.0/access/.well-known/jwks.json", 405},
		{"POST", "/access-management-1.0/access/oauth2/revoke", 404},
		{"GET", "/access-management-1.0/access/oauth2/sessions/logout", 404},
		{"POST", "/vipps-login-ciba/api/backchannel/nothing", 404},
		{"GET", "/access-management-1.0/access/userinfo", 404},
		{"GET", "/access-management-1.0/access//.well-known/jwks.json", 404},
		{"GET", "/access-management-1.0/access/%2ewell-known/jwks.json", 404},
		{"GET", "/x/../access-management-1.0/access/.well-known/jwks.json", 404},
		{"GET", "/vipps-login-idp/nothing", 404},
		{"GET", "/nothing", 404},
	} {
		if p := newBrowser(t, s).do(tc.method, tc.path, nil, nil); p.status != tc.status {
			t.Errorf("%s %s: %d, want %d", tc.method, tc.path, p.status, tc.status)
		}
	}
}
