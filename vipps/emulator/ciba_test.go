package emulator_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

const landing = "http://localhost:1/_vipps/callback/merchant"

// startMerchant is start with a redirect URI for logins that end in a browser.
func startMerchant(t *testing.T, change func(*emulator.Config)) *emulator.Server {
	t.Helper()
	s := start(t, change)
	if err := s.Control().AddRedirectURI("shop", landing); err != nil {
		t.Fatal(err)
	}
	return s
}

// shopPost posts a form as "shop", with changes as in authorizeURL.
func shopPost(t *testing.T, url string, form url.Values, set ...string) answer {
	t.Helper()
	for i := 0; i < len(set); i += 2 {
		if set[i+1] == "-" {
			form.Del(set[i])
		} else {
			form.Set(set[i], set[i+1])
		}
	}
	return call(t, http.MethodPost, url, form.Encode(), http.Header{
		"Content-Type":  {"application/x-www-form-urlencoded"},
		"Authorization": {basic("shop", "testdzlJbUZaM1lqODlnUUtrUHI=")},
	})
}

// backchannel sends a good start of a merchant-initiated login for aase, with changes.
func backchannel(t *testing.T, s *emulator.Server, set ...string) answer {
	t.Helper()
	return shopPost(t, s.URL+"/vipps-login-ciba/api/backchannel/authentication", url.Values{
		"login_hint": {"urn:msisdn:" + aase}, "scope": {"openid name"}, "binding_message": {"4MZ-CQ3"},
	}, set...)
}

func begin(t *testing.T, s *emulator.Server, set ...string) string {
	t.Helper()
	a := backchannel(t, s, set...)
	id, _ := a.json(t)["auth_req_id"].(string)
	if a.status != 200 || id == "" {
		t.Fatalf("start: %d %s", a.status, a.body)
	}
	return id
}

func poll(t *testing.T, s *emulator.Server, id string, set ...string) answer {
	t.Helper()
	return shopPost(t, s.Issuer+"oauth2/token", url.Values{"grant_type": {"urn:openid:params:grant-type:ciba"}, "auth_req_id": {id}}, set...)
}

// pollAfter polls when the interval is over.
func pollAfter(t *testing.T, s *emulator.Server, id string) answer {
	t.Helper()
	s.Control().Advance(30 * time.Second)
	return poll(t, s, id)
}

func wantError(t *testing.T, a answer, code string) {
	t.Helper()
	if a.status != 400 || a.json(t)["error"] != code || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %s, want %s", a.status, a.body, code)
	}
}

func TestMerchantLogin(t *testing.T) {
	t.Parallel()
	s := startMerchant(t, nil)
	a := backchannel(t, s, "nonce", nonce, "state", state)
	m := a.json(t)
	id, _ := m["auth_req_id"].(string)
	if a.status != 200 || len(m) != 3 || !regexp.MustCompile(`^[A-Za-z0-9_-]{27}$`).MatchString(id) || m["expires_in"] != 600.0 || m["interval"] != 5.0 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	a = pollAfter(t, s, id)
	const pending = `{"error":"authorization_pending","error_description":"The authorization request is still pending"}`
	if a.status != 400 || a.header.Get("Content-Type") != "application/json;charset=UTF-8" || a.body != pending {
		t.Errorf("%d %v %s", a.status, a.header, a.body)
	}
	if err := s.Control().MerchantApprove(aase); err != nil {
		t.Fatal(err)
	}
	a = poll(t, s, id) // no slow_down: it isn't pending any more
	tok := a.json(t)
	access, _ := tok["access_token"].(string)
	idToken, _ := tok["id_token"].(string)
	if a.status != 200 || len(tok) != 4 || !strings.HasPrefix(access, "ciba.") || tok["token_type"] != "Bearer" || tok["expires_in"] != 300.0 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	sub, err := s.Control().Subject("shop", aase)
	if err != nil {
		t.Fatal(err)
	}
	c := claims(t, idToken)
	want := map[string]any{"iss": s.Issuer, "aud": "shop", "msn": "123456", "sub": sub, "iat": c["iat"], "exp": c["iat"].(float64) + 600}
	if d := cmp.Diff(want, c); d != "" || !verifies(t, s, idToken) || header(t, idToken)["alg"] != "ES256" {
		t.Errorf("ID token %v (-want +got):\n%s", header(t, idToken), d)
	}
	u := userinfo(t, s, access)
	if u.status != 200 || u.json(t)["sub"] != sub || u.json(t)["name"] != "Åse Ødegård" || u.json(t)["email"] != nil {
		t.Errorf("userinfo: %d %s", u.status, u.body)
	}
	wantError(t, poll(t, s, id), "invalid_grant")
	s.Control().Advance(300 * time.Second)
	if u := userinfo(t, s, access); u.status != 401 {
		t.Errorf("userinfo after five minutes: %d", u.status)
	}
}

func TestMerchantLoginRefuses(t *testing.T) {
	t.Parallel()
	s := startMerchant(t, nil)
	const format = "login_hint.value : Invalid login_hint. login_hint must be in format: 'urn:msisdn:46|45|47|358|299{phonenumber}'."
	const nobody = "To log in with Vipps you need to have an active Vipps app on your phone and be at least 15 years old."
	for name, tc := range map[string]struct {
		set        []string
		code, text string
	}{
		"no hint":                         {[]string{"login_hint", "-"}, "invalid_request", "'login_hint' is missing"},
		"a plain number":                  {[]string{"login_hint", aase}, "invalid_request", format},
		"a plus":                          {[]string{"login_hint", "urn:msisdn:+" + aase}, "invalid_request", format},
		"a country without Vipps":         {[]string{"login_hint", "urn:msisdn:4915100000001"}, "invalid_request", format},
		"a parameter in the hint":         {[]string{"login_hint", "urn:msisdn:" + aase + "&scope=nin"}, "invalid_request", format},
		"a line in the hint":              {[]string{"login_hint", "urn:msisdn:" + aase + "\n"}, "invalid_request", format},
		"upper case":                      {[]string{"login_hint", "URN:MSISDN:" + aase}, "invalid_request", format},
		"sixteen digits":                  {[]string{"login_hint", "urn:msisdn:3589000000111111"}, "invalid_request", format},
		"the oldest form":                 {[]string{"login_hint", "urn:mobilenumber:90000001"}, "invalid_request", format},
		"nobody":                          {[]string{"login_hint", "urn:msisdn:4799999999"}, "unknown_user_id", nobody},
		"under 15":                        {[]string{"login_hint", "urn:msisdn:" + young}, "unknown_user_id", nobody},
		"an unknown customer token":       {[]string{"login_hint", "urn:customer-token:abc"}, "unknown_user_id", nobody},
		"no scope":                        {[]string{"scope", "-"}, "invalid_scope", "openid"},
		"without openid":                  {[]string{"scope", "name"}, "invalid_scope", "openid"},
		"nnin":                            {[]string{"scope", "openid nnin"}, "invalid_scope", "'nnin'"},
		"a long binding message":          {[]string{"binding_message", "ABCDEFGHI"}, "invalid_binding_message", "5,8"},
		"a short one":                     {[]string{"binding_message", "ABCD"}, "invalid_binding_message", "5,8"},
		"a lower-case one":                {[]string{"binding_message", "abcde"}, "invalid_binding_message", "5,8"},
		"an empty one":                    {[]string{"binding_message", ""}, "invalid_binding_message", "5,8"},
		"a line in one":                   {[]string{"binding_message", "ABCDE\n"}, "invalid_binding_message", "5,8"},
		"an expiry of 59":                 {[]string{"requested_expiry", "59"}, "invalid_request", "from 60 to 900"},
		"of 901":                          {[]string{"requested_expiry", "901"}, "invalid_request", "from 60 to 900"},
		"with a unit":                     {[]string{"requested_expiry", "60s"}, "invalid_request", "from 60 to 900"},
		"below zero":                      {[]string{"requested_expiry", "-60"}, "invalid_request", "from 60 to 900"},
		"another flow":                    {[]string{"requested_flow", "no_dialog"}, "invalid_request", "'no_dialog'"},
		"a redirect URI without the flow": {[]string{"redirect_uri", landing}, "invalid_request", "login_to_webpage"},
		"the flow without a redirect URI": {[]string{"requested_flow", "login_to_webpage"}, "invalid_request", "preregistered"},
		"an unregistered redirect URI":    {[]string{"requested_flow", "login_to_webpage", "redirect_uri", landing + "/"}, "invalid_request", "preregistered"},
		"acr_values":                      {[]string{"acr_values", emulator.ACRAppAuth}, "invalid_request", "'acr_values'"},
		"a user code":                     {[]string{"user_code", "1234"}, "invalid_request", "'user_code'"},
	} {
		t.Run(name, func(t *testing.T) {
			a := backchannel(t, s, tc.set...)
			wantError(t, a, tc.code)
			if text, _ := a.json(t)["error_description"].(string); !strings.Contains(text, tc.text) {
				t.Errorf("%s", a.body)
			}
		})
	}
	if n := len(s.Control().MerchantLogins()); n != 0 {
		t.Errorf("%d logins wait", n)
	}
	if a := call(t, http.MethodGet, s.URL+"/vipps-login-ciba/api/backchannel/authentication", "", nil); a.status != 405 {
		t.Errorf("GET: %d", a.status)
	}
	form := url.Values{"login_hint": {"urn:msisdn:" + aase}, "scope": {"openid"}}.Encode()
	for name, h := range map[string]http.Header{
		"no credentials":   {"Content-Type": {"application/x-www-form-urlencoded"}},
		"a wrong secret":   {"Content-Type": {"application/x-www-form-urlencoded"}, "Authorization": {basic("shop", "x")}},
		"the wrong method": {"Content-Type": {"application/x-www-form-urlencoded"}, "Authorization": {basic("other", "s:p%c+l =")}},
	} {
		for _, path := range []string{"/vipps-login-ciba/api/backchannel/authentication", "/vipps-login-ciba/api/v1/user-exists"} {
			if a := call(t, http.MethodPost, s.URL+path, form, h); a.status != 401 || a.json(t)["error"] != "invalid_client" {
				t.Errorf("%s at %s: %d %s", name, path, a.status, a.body)
			}
		}
	}
}

func TestMerchantLoginHints(t *testing.T) {
	t.Parallel()
	s := startMerchant(t, func(c *emulator.Config) { c.LegacyLoginHint = true })
	token, err := s.Control().CustomerToken("4590000010")
	if err != nil {
		t.Fatal(err)
	}
	for hint, phone := range map[string]string{
		"urn:msisdn:4690000012": "4690000012", "urn:msisdn:358900000011": "358900000011", "urn:mobilenumber:90000002": "4790000002", "urn:customer-token:" + token: "4590000010",
	} {
		id := begin(t, s, "login_hint", hint, "binding_message", "-")
		logins := s.Control().MerchantLogins()
		if last := logins[len(logins)-1]; last.AuthReqID != id || last.Phone != phone || last.Code != "" || last.State != "waiting" || last.Flow != "app" {
			t.Errorf("%s: %+v", hint, last)
		}
	}
	if _, err := s.Control().CustomerToken("4799999999"); err == nil {
		t.Error("a customer token of nobody")
	}
}

func TestUserExists(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	exists := func(hint string) answer {
		return shopPost(t, s.URL+"/vipps-login-ciba/api/v1/user-exists", url.Values{"login_hint": {hint}})
	}
	for hint, want := range map[string]string{"urn:msisdn:" + aase: `{"exists":true}`, "urn:msisdn:4799999999": `{"exists":false}`, "urn:msisdn:" + young: `{"exists":false}`} {
		if a := exists(hint); a.status != 200 || a.body != want || a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s", hint, a.status, a.body)
		}
	}
	for _, hint := range []string{"", aase, "urn:mobilenumber:90000001", "urn:customer-token:abc"} {
		wantError(t, exists(hint), "invalid_request")
	}
	if n := s.Control().Calls(); n["user-exists"] != 7 {
		t.Errorf("calls = %v", n)
	}
}

// header decodes the header of a JWT without judging it.
func header(t *testing.T, jwt string) map[string]any {
	t.Helper()
	header, _, _ := strings.Cut(jwt, ".")
	return claims(t, "."+header+".")
}
