package emulator_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

const (
	invalidGrant  = "The provided authorization grant (e.g., authorization code, resource owner credentials) or refresh token is invalid, expired, revoked, does not match the redirection URI used in the authorization request, or was issued to another client"
	invalidClient = "Client authentication failed (e.g., unknown client, no client authentication included, or unsupported authentication method)."
)

func TestTokenRefuses(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for name, tc := range map[string]struct {
		authorize, set []string
		code, text     string
	}{
		"unknown code":                      {set: []string{"code", "x"}, code: "invalid_grant", text: invalidGrant},
		"another redirect URI":              {set: []string{"redirect_uri", callback + "?a=b"}, code: "invalid_grant", text: invalidGrant},
		"redirect URI with a slash":         {set: []string{"redirect_uri", callback + "/"}, code: "invalid_grant", text: invalidGrant},
		"another verifier":                  {set: []string{"code_verifier", strings.Repeat("a", 43)}, code: "invalid_grant", text: "The PKCE code challenge did not match the code verifier."},
		"no verifier":                       {set: []string{"code_verifier", "-"}, code: "invalid_grant", text: "The PKCE code verifier must be at least 43 characters."},
		"a verifier of 42":                  {set: []string{"code_verifier", verifier[1:]}, code: "invalid_grant", text: "The PKCE code verifier must be at least 43 characters."},
		"a verifier of 129":                 {set: []string{"code_verifier", strings.Repeat("a", 129)}, code: "invalid_grant", text: "The PKCE code verifier can not be longer than 128 characters."},
		"a verifier of other characters":    {set: []string{"code_verifier", verifier + "+/"}, code: "invalid_grant", text: "must only contain"},
		"the challenge as verifier":         {set: []string{"code_verifier", challenge()}, code: "invalid_grant", text: invalidGrant},
		"a verifier without a challenge":    {authorize: []string{"code_challenge", "-", "code_challenge_method", "-"}, code: "invalid_grant", text: invalidGrant},
		"a nonce of seven characters":       {authorize: []string{"nonce", "1234567"}, code: "insufficient_entropy", text: "Parameter 'nonce' is set but does not satisfy the minimum entropy of 8 characters."},
		"no grant type":                     {set: []string{"grant_type", "-"}, code: "invalid_request", text: "'grant_type' is missing"},
		"refresh":                           {set: []string{"grant_type", "refresh_token"}, code: "unsupported_grant_type"},
		"client credentials":                {set: []string{"grant_type", "client_credentials"}, code: "unsupported_grant_type"},
		"CIBA without an auth_req_id":       {set: []string{"grant_type", "urn:openid:params:grant-type:ciba", "code", "-", "redirect_uri", "-", "code_verifier", "-"}, code: "invalid_request", text: "'auth_req_id' is missing"},
		"a browser's code for CIBA's grant": {set: []string{"grant_type", "urn:vipps:params:grant-type:ciba-redirect", "redirect_uri", "-", "code_verifier", "-"}, code: "invalid_grant", text: invalidGrant},
		"no code":                           {set: []string{"code", "-"}, code: "invalid_request", text: "'code' is missing"},
		"no redirect URI":                   {set: []string{"redirect_uri", "-"}, code: "invalid_request", text: "'redirect_uri' is missing"},
		"another client_id in the body":     {set: []string{"client_id", "other"}, code: "invalid_request"},
		"a secret in the body beside Basic": {set: []string{"client_secret", "testdzlJbUZaM1lqODlnUUtrUHI="}, code: "invalid_request"},
		"a parameter that isn't modelled":   {set: []string{"resource", "x"}, code: "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			a := token(t, s, code(t, s, tc.authorize...), tc.set...)
			m := a.json(t)
			if a.status != 400 || m["error"] != tc.code || len(m) != 2 || !strings.Contains(m["error_description"].(string), tc.text) {
				t.Errorf("%d %s", a.status, a.body)
			}
			if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Pragma") != "no-cache" {
				t.Errorf("header = %v", a.header)
			}
		})
	}
	if a := token(t, s, code(t, s, "nonce", "-")); claims(t, a.json(t)["id_token"].(string))["nonce"] != "" {
		t.Error(`without a nonce the ID token has ""`)
	}
	if a := token(t, s, code(t, s), "client_id", "shop"); a.status != 200 {
		t.Errorf("its own client_id in the body: %s", a.body)
	}
}

func TestTokenRefusesOtherShapes(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	form := url.Values{"grant_type": {"authorization_code"}, "code": {"x"}, "redirect_uri": {callback}}.Encode()
	header := func(ct string) http.Header {
		return http.Header{"Content-Type": {ct}, "Authorization": {basic("shop", "testdzlJbUZaM1lqODlnUUtrUHI=")}}
	}
	const urlencoded = "application/x-www-form-urlencoded"
	for name, tc := range map[string]struct {
		query, body, contentType string
		status                   int
	}{
		"JSON":              {"", `{"grant_type":"authorization_code"}`, "application/json", 400},
		"multipart":         {"", form, "multipart/form-data; boundary=x", 400},
		"no type":           {"", form, "", 400},
		"query":             {"?" + form, "", urlencoded, 400},
		"code twice":        {"", form + "&code=y", urlencoded, 400},
		"broken escapes":    {"", form + "&x=%zz", urlencoded, 400},
		"a body of 100 KiB": {"", form + "&x=" + strings.Repeat("x", 100<<10), urlencoded, 413},
	} {
		a := call(t, http.MethodPost, s.Issuer+"oauth2/token"+tc.query, tc.body, header(tc.contentType))
		if a.status != tc.status || a.json(t)["error"] != "invalid_request" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if a := call(t, http.MethodPost, s.Issuer+"oauth2/token", form, header(urlencoded+"; charset=utf-8")); a.json(t)["error"] != "invalid_grant" {
		t.Errorf("with a charset: %s", a.body)
	}
}

func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	const odd = "s:p%c+l ="
	s := start(t, func(c *emulator.Config) {
		c.Clients = append(c.Clients, emulator.Client{ID: "odd id", Secret: odd, RedirectURIs: []string{callback}})
	})
	id, enc := url.QueryEscape("odd id"), url.QueryEscape(odd)
	for name, tc := range map[string]struct {
		client, authorization string
		body                  []string
		seen                  string
		status                int
		text                  string
	}{
		"basic, raw":                {client: "odd id", authorization: basic("odd id", odd), seen: "basic-raw", status: 200},
		"basic, form-encoded":       {client: "odd id", authorization: basic(id, enc), seen: "basic-encoded", status: 200},
		"basic, lower-case scheme":  {client: "odd id", authorization: strings.Replace(basic(id, enc), "Basic", "basic", 1), seen: "basic-encoded", status: 200},
		"basic, wrong secret":       {client: "odd id", authorization: basic("odd id", odd+"x"), seen: "basic-raw", status: 401, text: invalidClient},
		"basic, id encoded only":    {client: "odd id", authorization: basic(id, odd), seen: "basic-raw", status: 401, text: invalidClient},
		"basic, unknown client":     {client: "odd id", authorization: basic("nobody", odd), seen: "basic-raw", status: 401, text: invalidClient},
		"basic, no base64":          {client: "odd id", authorization: "Basic !!!", status: 401, text: invalidClient},
		"basic, no colon":           {client: "odd id", authorization: "Basic b2RkIGlk", status: 401, text: invalidClient},
		"bearer":                    {client: "odd id", authorization: "Bearer x", status: 401, text: invalidClient},
		"nothing":                   {client: "odd id", seen: "none", status: 401, text: invalidClient},
		"post where basic is set":   {client: "odd id", body: []string{"client_id", "odd id", "client_secret", odd}, seen: "post", status: 401, text: "The OAuth 2.0 Client supports client authentication method 'client_secret_basic', but method 'client_secret_post' was requested. You must configure the OAuth 2.0 client's 'token_endpoint_auth_method' value to accept 'client_secret_post'."},
		"post":                      {client: "other", body: []string{"client_id", "other", "client_secret", odd}, seen: "post", status: 200},
		"post, wrong secret":        {client: "other", body: []string{"client_id", "other", "client_secret", "x"}, seen: "post", status: 401, text: invalidClient},
		"post, form-encoded twice":  {client: "other", body: []string{"client_id", "other", "client_secret", enc}, seen: "post", status: 401, text: invalidClient},
		"basic where post is set":   {client: "other", authorization: basic("other", odd), seen: "basic-raw", status: 401, text: "supports client authentication method 'client_secret_post', but method 'client_secret_basic' was requested"},
		"another client's own code": {client: "other", authorization: basic("odd id", odd), seen: "basic-raw", status: 400, text: invalidGrant},
	} {
		t.Run(name, func(t *testing.T) {
			form := url.Values{"grant_type": {"authorization_code"}, "code": {code(t, s, "client_id", tc.client)}, "redirect_uri": {callback}, "code_verifier": {verifier}}
			for i := 0; i < len(tc.body); i += 2 {
				form.Set(tc.body[i], tc.body[i+1])
			}
			h := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
			if tc.authorization != "" {
				h.Set("Authorization", tc.authorization)
			}
			a := call(t, http.MethodPost, s.Issuer+"oauth2/token", form.Encode(), h)
			if a.status != tc.status || !strings.Contains(a.body, tc.text) {
				t.Fatalf("%d %s", a.status, a.body)
			}
			if a.status == 401 && (a.json(t)["error"] != "invalid_client" || a.header.Get("WWW-Authenticate") == "") {
				t.Errorf("%v %s", a.header, a.body)
			}
			log := s.Control().Log()
			if last := log[len(log)-1]; last.Endpoint != emulator.EndpointToken || last.ClientAuth != tc.seen || last.Status != tc.status {
				t.Errorf("log = %+v", last)
			}
		})
	}
}

// Single use, and a second use takes the access token away that the first one gave (RFC 6749 §4.1.2).
func TestCodeIsUsedOnce(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	c := code(t, s)
	access := token(t, s, c).json(t)["access_token"].(string)
	if u := userinfo(t, s, access); u.status != 200 {
		t.Fatalf("userinfo: %d", u.status)
	}
	if a := token(t, s, c); a.status != 400 || a.json(t)["error"] != "invalid_grant" {
		t.Errorf("second use: %d %s", a.status, a.body)
	}
	if u := userinfo(t, s, access); u.status != 401 {
		t.Errorf("userinfo after the second use: %d", u.status)
	}
}

func TestLifetimes(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	early, late := code(t, s), code(t, s)
	s.Control().Advance(120 * time.Second)
	a := token(t, s, early)
	if a.status != 200 {
		t.Fatalf("after 120 s: %s", a.body)
	}
	s.Control().Advance(time.Second)
	if b := token(t, s, late); b.status != 400 || b.json(t)["error"] != "invalid_grant" {
		t.Errorf("after 121 s: %s", b.body)
	}
	access := a.json(t)["access_token"].(string)
	s.Control().Advance(598 * time.Second)
	if u := userinfo(t, s, access); u.status != 200 {
		t.Errorf("userinfo after 599 s: %d", u.status)
	}
	s.Control().Advance(time.Second)
	if u := userinfo(t, s, access); u.status != 401 {
		t.Errorf("userinfo after 600 s: %d", u.status)
	}
	b := newBrowser(t, s)
	if err := s.Control().AutoApprove(""); err != nil {
		t.Fatal(err)
	}
	p := b.get(authorizeURL(s))
	s.Control().Advance(31 * time.Minute)
	if p := b.submit(p, "phone", "phone", aase); p.status != http.StatusForbidden {
		t.Errorf("the pages after 31 minutes: %d", p.status)
	}
}

// The tables are bounded: the oldest code goes when there are too many.
func TestTablesAreBounded(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	first := code(t, s)
	b := newBrowser(t, s)
	for range 1000 {
		b.get(authorizeURL(s))
	}
	last := b.get(authorizeURL(s)).back.Query().Get("code")
	if a := token(t, s, first); a.status != 400 {
		t.Errorf("the oldest code is still there: %d", a.status)
	}
	if a := token(t, s, last); a.status != 200 {
		t.Errorf("the newest code: %s", a.body)
	}
	if n := len(s.Control().Log()); n > 256 {
		t.Errorf("the log has %d calls", n)
	}
}

func TestUserinfoRefuses(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *emulator.Config) { c.RefuseSubscriptionKey = true })
	access := token(t, s, code(t, s)).json(t)["access_token"].(string)
	for name, tc := range map[string]struct {
		query  string
		header http.Header
		detail string
	}{
		"no token":            {"", nil, "The access token is missing."},
		"the word is missing": {"", http.Header{"Authorization": {access}}, "The Authorization header must be the word Bearer and the access token."},
		"another word":        {"", http.Header{"Authorization": {"Token " + access}}, "The Authorization header must be the word Bearer and the access token."},
		"an unknown token":    {"", http.Header{"Authorization": {"Bearer x"}}, "The access token is unknown or expired."},
		"two headers":         {"", http.Header{"Authorization": {"Bearer " + access, "Bearer x"}}, "The access token is missing."},
		"in the query":        {"?access_token=" + access, nil, "The emulator does not model query parameters here; the access token belongs in the Authorization header."},
		"a subscription key":  {"", http.Header{"Authorization": {"Bearer " + access}, "Ocp-Apim-Subscription-Key": {"x"}}, "Ocp-Apim-Subscription-Key must not be sent to this endpoint."},
	} {
		a := call(t, http.MethodGet, s.URL+"/vipps-userinfo-api/userinfo"+tc.query, "", tc.header)
		want := answer{body: `{"type": "` + s.URL + `/problems/unauthorized", "title": "Unauthorized", "status": "401", "detail": "` + tc.detail + `", "instance": "/vipps-userinfo-api/userinfo", "extraInfo": {}}`}
		if d := cmp.Diff(want.json(t), a.json(t)); a.status != 401 || d != "" {
			t.Errorf("%s: %d (-want +got):\n%s", name, a.status, d)
		}
	}
	if u := userinfo(t, s, access); u.status != 200 {
		t.Errorf("good: %d", u.status)
	}
}
