package emulator_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

func TestRotateKeys(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	kids := func() []string {
		var out []string
		for _, k := range jwks(t, s) {
			out = append(out, k["kid"].(string))
		}
		return out
	}
	old := kids()
	if err := s.Control().RotateKeys(true); err != nil {
		t.Fatal(err)
	}
	if both := kids(); len(both) != 4 || both[2] != old[0] || both[3] != old[1] {
		t.Errorf("with the old ones: %v", both)
	}
	s.Control().RemoveOldKeys()
	if fresh := kids(); len(fresh) != 2 || fresh[0] == old[0] {
		t.Errorf("without the old ones: %v", fresh)
	}
	for range 20 {
		if err := s.Control().RotateKeys(true); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(kids()); n > 16 {
		t.Errorf("%d keys are published", n)
	}
	if err := s.Control().RotateKeys(false); err != nil || len(kids()) != 2 {
		t.Errorf("without keeping: %v %v", kids(), err)
	}
}

func TestFailNext(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for endpoint, url := range map[string]string{
		emulator.EndpointDiscovery: s.Issuer + ".well-known/openid-configuration", emulator.EndpointJWKS: s.Issuer + ".well-known/jwks.json",
		emulator.EndpointAuthorize: authorizeURL(s), emulator.EndpointToken: s.Issuer + "oauth2/token", emulator.EndpointUserinfo: s.URL + "/vipps-userinfo-api/userinfo",
	} {
		for _, tc := range []struct {
			status            int
			body, want, ctype string
			retry             string
		}{
			{500, "", `"error":"server_error"`, "application/json", ""},
			{502, "", "<h1>502 Bad Gateway</h1>", "text/html", ""},
			{429, "", "Rate limit is exceeded", "application/json", "5"},
			{503, "", "server_error", "application/json", "5"},
			{400, `{"error":"x"}`, `{"error":"x"}`, "application/json", ""},
			{200, "<p>hello</p>", "<p>hello</p>", "text/html", ""},
		} {
			if err := s.Control().FailNext(endpoint, 1, tc.status, tc.body); err != nil {
				t.Fatal(err)
			}
			method := map[bool]string{true: http.MethodPost, false: http.MethodGet}[endpoint == emulator.EndpointToken]
			a := call(t, method, url, "", nil)
			if a.status != tc.status || !strings.Contains(a.body, tc.want) || !strings.HasPrefix(a.header.Get("Content-Type"), tc.ctype) || a.header.Get("Retry-After") != tc.retry {
				t.Errorf("%s: %d %v %s", endpoint, a.status, a.header, a.body)
			}
			if b := call(t, http.MethodGet, s.Issuer+".well-known/openid-configuration", "", nil); b.status != 200 {
				t.Errorf("after the one call: %d", b.status)
			}
		}
	}
	if err := s.Control().FailNext(emulator.EndpointJWKS, 2, 0, ""); err != nil {
		t.Fatal(err)
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Issuer+".well-known/jwks.json", nil)
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	if resp, err := tr.RoundTrip(req); err == nil {
		_ = resp.Body.Close()
		t.Errorf("status 0 answers %d, and should drop the connection", resp.StatusCode)
	}
	if err := s.Control().FailNext(emulator.EndpointJWKS, 0, 0, ""); err != nil || call(t, http.MethodGet, s.Issuer+".well-known/jwks.json", "", nil).status != 200 {
		t.Errorf("n 0 must end it: %v", err)
	}
	if s.Control().FailNext("pages", 1, 500, "") == nil || s.Control().FailNext("token", 1, 99, "") == nil || s.Control().Delay("pages", 1) == nil || s.Control().Delay("token", time.Hour) == nil {
		t.Error("unknown endpoints, statuses and long delays must be refused")
	}
}

func TestDelay(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	if err := s.Control().Delay(emulator.EndpointJWKS, 150*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if jwks(t, s); time.Since(began) < 150*time.Millisecond {
		t.Errorf("answered after %s", time.Since(began))
	}
}

func TestCallsAndReset(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	a := call(t, http.MethodPost, s.Issuer+"oauth2/token", "", http.Header{"Vipps-System-Name": {"vippsauth"}, "Vipps-System-Version": {"1"}, "Authorization": {basic("shop", "SECRET")}})
	if a.status != 400 {
		t.Fatalf("%d", a.status)
	}
	if n := s.Control().Calls(); n["token"] != 1 || len(n) != 1 {
		t.Errorf("calls = %v", n)
	}
	log := s.Control().Log()
	if len(log) != 1 || log[0].Header.Get("Vipps-System-Name") != "vippsauth" || log[0].Header.Get("Authorization") != "" || log[0].Status != 400 {
		t.Errorf("log = %+v", log)
	}
	c := code(t, s)
	if err := s.Control().Break(emulator.BreakWrongIss, -1); err != nil {
		t.Fatal(err)
	}
	s.Control().Advance(time.Hour)
	s.Control().Reset()
	if a := token(t, s, c); a.status != 400 {
		t.Errorf("the code of before: %d", a.status)
	}
	if p := newBrowser(t, s).get(authorizeURL(s)); p.back != nil {
		t.Error("AutoApprove is still on")
	}
	a = token(t, s, code(t, s))
	if id := claims(t, a.json(t)["id_token"].(string)); id["iss"] != s.Issuer || id["iat"] != 1795262400.0 {
		t.Errorf("after Reset: %v", id)
	}
}

func TestDenyAndAutoApprove(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	b := newBrowser(t, s)
	for _, code := range []string{"access_denied", "wrong_challenge", "outdated_app_version", "unknown_reject_reason", "server_error", "temporarily_unavailable", "login_required"} {
		if err := s.Control().Deny(code); err != nil {
			t.Fatal(err)
		}
		if p := b.get(authorizeURL(s)); p.back == nil || p.back.Query().Get("error") != code || p.back.Query().Get("state") != state {
			t.Errorf("%s: %v", code, p.back)
		}
	}
	s.Control().RememberDefault(true)
	code(t, s) // ends Deny
	if p := b.get(authorizeURL(s)); p.back == nil || p.back.Query().Get("code") == "" {
		t.Fatalf("AutoApprove: %v", p.back)
	}
	if err := s.Control().AutoApprove(""); err != nil {
		t.Fatal(err)
	}
	if p := b.get(authorizeURL(s)); p.back == nil || p.back.Query().Get("code") == "" {
		t.Errorf("RememberDefault and AutoApprove: the browser must be remembered, %v", p.texts)
	}
	other := newBrowser(t, s)
	if p := other.get(authorizeURL(s)); !p.form(t, "phone").boxes["remember"] {
		t.Error("RememberDefault: the box must be ticked")
	}
	for _, err := range []error{
		s.Control().Deny("Access Denied"), s.Control().AutoApprove("4790000077"), s.Control().NoDialog("nothing"), s.Control().NoDialog("error:"),
		s.Control().Break("nothing", 1), s.Control().Consent("nobody", aase), s.Control().Consent("shop", "x"), s.Control().Consent("shop", aase, "profile"),
		s.Control().RevokeConsent("nobody"), s.Control().AddRedirectURI("nobody", callback), s.Control().AddRedirectURI("shop", "https://example.com/"),
		s.Control().ChangePhone(aase, "4790000002"), s.Control().ChangePhone("x", "4790000077"),
	} {
		if err == nil {
			t.Error("something that can't be is taken")
		} else if !strings.HasPrefix(err.Error(), "emulator: ") {
			t.Errorf("%v has no prefix", err)
		}
	}
	if _, err := s.Control().Remember("x"); err == nil {
		t.Error("Remember takes nobody's number")
	}
}

// Every verb over HTTP, with what it does looked at from outside.
func TestControlOverHTTP(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	verb := func(name, args string) answer {
		t.Helper()
		return call(t, http.MethodPost, s.URL+"/_emulator/"+name, args, http.Header{"Content-Type": {"application/json"}})
	}
	good := func(name, args string) {
		t.Helper()
		if a := verb(name, args); a.status != 200 || a.body != `{"ok":true}` {
			t.Errorf("%s %s: %d %s", name, args, a.status, a.body)
		}
	}
	good("add-client", `{"id":"new","secret":"s","name":"New","redirect_uris":[],"scopes":["name"],"auth_method":"client_secret_post","advanced":true}`)
	good("add-redirect-uri", `{"client_id":"new","uri":"`+callback+`"}`)
	good("add-person", `{"id":"new","phone":"4790000050","name":"Ny Person","given_name":"Ny","family_name":"Person","birthdate":"1990-01-01","email":"ny@example.com","email_verified":true,"nin":"","gender":"","address":{"address_type":"home","country":"NO","postal_code":"0001","region":"OSLO","street_address":"Ny 1"},"other_addresses":[{"address_type":"work"}]}`)
	good("change-phone", `{"from":"4790000050","to":"4790000051"}`)
	good("auto-approve", `{"phone":"4790000051"}`)
	p := newBrowser(t, s).get(authorizeURL(s, "client_id", "new", "scope", "openid name"))
	if a := tokenPost(t, s, p.back.Query().Get("code"), "new", "s"); a.status != 200 {
		t.Errorf("login at the new client: %s", a.body)
	}
	good("deny", `{"code":"access_denied"}`)
	good("deny", `{"code":""}`)
	good("rotate-keys", `{"keep_old":true}`)
	if n := len(jwks(t, s)); n != 4 {
		t.Errorf("%d keys", n)
	}
	good("remove-old-keys", ``)
	good("advance", `{"duration":"1h"}`)
	good("delay", `{"endpoint":"token","duration":"1ms"}`)
	good("fail-next", `{"endpoint":"jwks","status":503}`)
	if a := call(t, http.MethodGet, s.Issuer+".well-known/jwks.json", "", nil); a.status != 503 {
		t.Errorf("fail-next: %d", a.status)
	}
	good("break", `{"kind":"wrong-nonce"}`)
	good("no-dialog", `{"mode":"error:login_required"}`)
	good("remember-default", `{"on":true}`)
	good("consent", `{"client_id":"shop","phone":"4790000001"}`)
	good("revoke-consent", `{"who":"4790000001"}`)
	a := verb("remember", `{"phone":"4790000001"}`)
	if a.status != 200 || !strings.Contains(a.header.Get("Set-Cookie"), "HttpOnly; SameSite=Lax") {
		t.Errorf("remember: %d %v", a.status, a.header)
	}
	st := call(t, http.MethodGet, s.URL+"/_emulator/state", "", nil)
	m := st.json(t)
	if m["no_dialog"] != "error:login_required" || m["now"] != "2026-11-21T13:00:00Z" || m["remembered_browsers"] != 1.0 || m["breaks"].(map[string]any)["wrong-nonce"] != 1.0 {
		t.Errorf("state = %s", st.body)
	}
	if strings.Contains(st.body, "testdz") || strings.Contains(st.body, "s:p%c") {
		t.Error("the state holds a secret")
	}
	good("forget-browsers", `{}`)
	good("reset", `{}`)

	for name, tc := range map[string][2]string{
		"unknown member": {"no-dialog", `{"mod":"real"}`}, "no JSON": {"no-dialog", `mode=real`}, "two values": {"reset", `{} {}`}, "wrong type": {"advance", `{"duration":5}`},
		"bad mode": {"no-dialog", `{"mode":"x"}`}, "public redirect URI": {"add-redirect-uri", `{"client_id":"shop","uri":"https://example.com/"}`}, "array": {"reset", `[]`},
	} {
		if a := verb(tc[0], tc[1]); a.status != 400 || a.json(t)["error"] != "invalid_request" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if a := verb("nothing", `{}`); a.status != 404 {
		t.Errorf("unknown verb: %d", a.status)
	}
	if a := call(t, http.MethodGet, s.URL+"/_emulator/reset", "", nil); a.status != 405 {
		t.Errorf("GET of a verb: %d", a.status)
	}
}

// A web page that somebody looks at on this machine must not control the emulator: not by a form, not by fetch, not by DNS rebinding;
// nor may anyone from elsewhere, with a proxy on this machine or without.
func TestControlIsForThisMachine(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	js := "application/json"
	for name, h := range map[string]http.Header{
		"cross-site fetch":      {"Content-Type": {js}, "Sec-Fetch-Site": {"cross-site"}},
		"same-site fetch":       {"Content-Type": {js}, "Sec-Fetch-Site": {"same-site"}},
		"foreign origin":        {"Content-Type": {js}, "Origin": {"https://evil.example"}},
		"null origin":           {"Content-Type": {js}, "Origin": {"null"}},
		"two origins":           {"Content-Type": {js}, "Origin": {s.URL, s.URL}},
		"another port's origin": {"Content-Type": {js}, "Origin": {"http://127.0.0.1:1"}},
		"text/plain":            {"Content-Type": {"text/plain"}},
		"no type":               {},
		"form without token":    {"Content-Type": {"application/x-www-form-urlencoded"}},
		"rebound name":          {"Content-Type": {js}, "Host": {"evil.example"}},
		"through a proxy":       {"Content-Type": {js}, "X-Forwarded-For": {"192.0.2.1"}},
		"Forwarded":             {"Content-Type": {js}, "Forwarded": {"for=192.0.2.1"}},
	} {
		if a := call(t, http.MethodPost, s.URL+"/_emulator/no-dialog", `{"mode":"ignored"}`, h); a.status < 400 {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	if m := call(t, http.MethodGet, s.URL+"/_emulator/state", "", nil).json(t); m["no_dialog"] != "real" {
		t.Errorf("one of them got through: %v", m["no_dialog"])
	}
	if a := call(t, http.MethodGet, s.URL+"/_emulator/state", "", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"cors"}}); a.status != 403 {
		t.Errorf("state to another site: %d", a.status)
	}
	for _, token := range []string{"", "&csrf=", "&csrf=x"} {
		a := call(t, http.MethodPost, s.URL+"/_emulator/no-dialog", "json=%7B%22mode%22%3A%22ignored%22%7D"+token, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
		if a.status != 400 || !strings.Contains(a.body, "load the page again") {
			t.Errorf("a form with token %q: %d %s", token, a.status, a.body)
		}
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/_emulator/state", nil) // comes from 192.0.2.1
	if s.Emulator.ServeHTTP(w, r); w.Code != 403 {
		t.Errorf("a peer elsewhere: %d", w.Code)
	}
}

func TestControlPage(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	b := newBrowser(t, s)
	p := b.get("/")
	if p.url.Path != "/_emulator/" || !strings.Contains(p.texts, "This is the vippsauth emulator, not Vipps. No real login happens here.") {
		t.Fatalf("%s: %s", p.url, p.texts)
	}
	p = b.submit(p, "no-dialog", "json", `{"mode":"ignored"}`)
	if p.url.Path != "/_emulator/" || !strings.Contains(p.texts, "Done: no dialog") {
		t.Errorf("%s: %s", p.url, p.texts)
	}
	for _, action := range []string{"forget-browsers", "rotate-keys", "auto-approve", "advance", "break", "reset"} {
		f := p.form(t, action)
		json := `{"kind":"wrong-iss","times":1}`
		if len(f.buttons) > 0 && f.buttons[0].name == "json" {
			json = f.buttons[0].value
		}
		if p := b.submit(p, action, "json", json); p.status != 200 || !strings.Contains(p.texts, "Done: ") {
			t.Errorf("%s: %d %s", action, p.status, p.texts)
		}
	}
	if p := b.get("/_emulator/?done=%3Cscript%3E"); strings.Contains(p.texts, "Done: ") {
		t.Error("done must name a verb")
	}
}
