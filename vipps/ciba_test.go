package vipps_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/vippsauth/vippsauth/vipps"
)

const (
	backchannelPath = "/vipps-login-ciba/api/backchannel/authentication"
	userExistsPath  = "/vipps-login-ciba/api/v1/user-exists"
	landingURI      = "https://app.example/_vipps/callback/merchant"
	// msisdn is the number that the tests call. No error and no URL may hold it.
	msisdn = "4790900123"
)

// ciba is the misbehaving provider with merchant-initiated logins. Its fields may be changed under provider.locked.
type ciba struct {
	*provider
	ack     func(m map[string]any) // changes the acknowledgement
	polls   []http.HandlerFunc     // what the next token requests get, in place of tokens
	pending map[string]bool        // auth_req_ids whose person has approved
	token   func(c claims)         // changes the ID token
	key     signer
}

func newCIBA(t testing.TB) *ciba {
	t.Helper()
	p := &ciba{provider: newProvider(t), pending: map[string]bool{}, key: signer{"public:two", jose.ES256, newEC(t)}}
	p.keys = append(p.keys, p.key)
	p.handle(backchannelPath, func(w http.ResponseWriter, _ *http.Request) { p.locked(func() { p.start(w) }) })
	p.handle(tokenPath, func(w http.ResponseWriter, r *http.Request) { p.locked(func() { p.serveToken(w, r) }) })
	return p
}

func (p *ciba) start(w http.ResponseWriter) {
	id := "VYGaaAMRkI6SyAm_uIywhxsN2K" + string(rune('0'+len(p.pending)))
	p.pending[id] = true
	m := map[string]any{"auth_req_id": id, "expires_in": 600, "interval": 5}
	if p.ack != nil {
		p.ack(m)
	}
	p.answer(w, m)
}

// script makes the next token requests end with these error codes; those after them get tokens.
func (p *ciba) script(codes ...string) {
	for _, code := range codes {
		p.polls = append(p.polls, respond(http.StatusBadRequest, "application/json;charset=UTF-8", `{"error":"`+code+`","error_description":"The authorization request is still pending"}`))
	}
}

// serveToken answers as Vipps' documents have it: ES256, aud as text, neither nonce nor scope.
func (p *ciba) serveToken(w http.ResponseWriter, r *http.Request) {
	now := p.clock.Now().Add(p.offset)
	c := claims{"iss": p.issuer, "aud": clientID, "sub": p.user["sub"], "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix()}
	id := r.PostForm.Get("auth_req_id")
	switch r.PostForm.Get("grant_type") {
	case "urn:openid:params:grant-type:ciba":
	case "urn:vipps:params:grant-type:ciba-redirect":
		id, _ = strings.CutPrefix(r.PostForm.Get("code"), "code-of-")
		c["auth_req_id"] = id
	default:
		respond(http.StatusBadRequest, "application/json", `{"error":"unsupported_grant_type"}`)(w, r)
		return
	}
	if len(p.polls) > 0 {
		next := p.polls[0]
		p.polls = p.polls[1:]
		next(w, r)
		return
	}
	if !p.pending[id] {
		respond(http.StatusBadRequest, "application/json", `{"error":"invalid_grant"}`)(w, r)
		return
	}
	p.pending[id] = false
	if p.token != nil {
		p.token(c)
	}
	payload, err := json.Marshal(c)
	if err != nil {
		p.t.Error(err)
	}
	m := map[string]any{"access_token": "ciba.W_IfBcSr-" + id, "token_type": "Bearer", "expires_in": 300}
	if p.sign != nil {
		m["id_token"] = p.sign(payload)
	} else {
		m["id_token"] = p.key.sign(p.t, payload)
	}
	if p.tokens != nil {
		p.tokens(m)
	}
	p.answer(w, m)
}

func startMerchant(t testing.TB, c *vipps.Client, r vipps.MerchantLoginRequest) *vipps.PendingMerchantLogin {
	t.Helper()
	if r.Phone == "" && r.CustomerToken == "" {
		r.Phone = msisdn
	}
	p, err := c.StartMerchantLogin(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// one is the find of somebody who waits for one login.
func one(p *vipps.PendingMerchantLogin) func(string) (*vipps.PendingMerchantLogin, bool) {
	return func(id string) (*vipps.PendingMerchantLogin, bool) { return p, id == p.AuthReqID }
}

func codeOf(p *vipps.PendingMerchantLogin) url.Values {
	return url.Values{"code": {"code-of-" + p.AuthReqID}}
}

// The module fapi-ciba-id1-client-test in Vipps' dress.
func TestSec_A140_A147_MerchantLogin(t *testing.T) {
	t.Parallel()
	p := newCIBA(t)
	p.script("authorization_pending")
	c := p.client()
	pending := startMerchant(t, c, vipps.MerchantLoginRequest{Scopes: []string{"name"}, Expiry: 10 * time.Minute, BindingMessage: "4MZ-CQ3"})
	sent := p.last(backchannelPath)
	if sent.Method != http.MethodPost || sent.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || !strings.HasPrefix(sent.Header.Get("Authorization"), "Basic ") {
		t.Errorf("%s with %v", sent.Method, sent.Header)
	}
	want := url.Values{
		"login_hint": {"urn:msisdn:" + msisdn}, "scope": {"openid name"}, "requested_expiry": {"600"}, "binding_message": {"4MZ-CQ3"},
		"nonce": {pending.Nonce}, "state": {pending.State},
	}
	if got := sent.PostForm.Encode(); got != want.Encode() {
		t.Errorf("sent %s", got)
	}
	now := p.clock.Now()
	if pending.Interval != 5*time.Second || !pending.Expires.Equal(now.Add(10*time.Minute)) || !pending.Started.Equal(now) || pending.BindingMessage != "4MZ-CQ3" {
		t.Errorf("interval %v, expires %v", pending.Interval, pending.Expires)
	}
	if _, err := c.PollMerchantLogin(t.Context(), pending); !errors.Is(err, vipps.ErrPending) || errors.Is(err, vipps.ErrDenied) || errors.Is(err, vipps.ErrExpired) {
		t.Fatalf("the first poll: %v", err)
	}
	login, err := c.PollMerchantLogin(t.Context(), pending)
	if err != nil {
		t.Fatal(err)
	}
	if login.User.Sub != testSub || login.User.Name != "Åse Ødegård" || !login.ExpiresAt.Equal(now.Add(10*time.Minute)) {
		t.Errorf("sub %q, name %q, until %v", login.User.Sub, login.User.Name, login.ExpiresAt)
	}
	if got := p.last(tokenPath).PostForm.Encode(); got != "auth_req_id="+pending.AuthReqID+"&grant_type=urn%3Aopenid%3Aparams%3Agrant-type%3Aciba" {
		t.Errorf("the poll was %s", got)
	}
	if got := p.last(userinfoPath).Header.Get("Authorization"); got != "Bearer ciba.W_IfBcSr-"+pending.AuthReqID {
		t.Error("userinfo was asked with another token")
	}
}

// The other ways to say who is meant, and with which client authentication.
func TestSec_A140_A153_Hints(t *testing.T) {
	t.Parallel()
	p := newCIBA(t)
	cfg := p.config()
	cfg.ClientAuth = vipps.ClientAuthPost
	cfg.Scopes = []string{"phoneNumber"}
	c := newClient(t, cfg)
	for _, tt := range []struct {
		r    vipps.MerchantLoginRequest
		hint string
	}{
		{vipps.MerchantLoginRequest{Phone: "+47 909 00 123"}, "urn:msisdn:4790900123"},
		{vipps.MerchantLoginRequest{Phone: "0046 (0)70 123 45 67"}, "urn:msisdn:46701234567"},
		{vipps.MerchantLoginRequest{Phone: "+45 20 12 34 56"}, "urn:msisdn:4520123456"},
		{vipps.MerchantLoginRequest{Phone: "358401234567"}, "urn:msisdn:358401234567"},
		{vipps.MerchantLoginRequest{Phone: "299212345"}, "urn:msisdn:299212345"},
		{vipps.MerchantLoginRequest{Phone: "4790900123", LegacyHint: true}, "urn:mobilenumber:90900123"},
		{vipps.MerchantLoginRequest{CustomerToken: "eyJ.a-b_c~d/e+f=="}, "urn:customer-token:eyJ.a-b_c~d/e+f=="},
	} {
		startMerchant(t, c, tt.r)
		form := p.last(backchannelPath).PostForm
		if form.Get("login_hint") != tt.hint || form.Get("scope") != "openid phoneNumber" || form.Has("requested_expiry") || form.Has("requested_flow") || form.Has("redirect_uri") {
			t.Errorf("sent %v, want the hint %s", form, tt.hint)
		}
		if form.Get("client_id") != clientID || form.Get("client_secret") != clientSecret {
			t.Error("the client was not named in the form")
		}
	}
}

// Attack: whoever may give a number, or a code to show, gives "12345678&scope=nin", line breaks for a log or a header, a
// number that bills, or somebody else's country; and the program sends it. Nothing is sent at all.
func TestSec_A152_A153_FieldsThatAreRefused(t *testing.T) {
	t.Parallel()
	p := newCIBA(t)
	c := p.client()
	ok := vipps.MerchantLoginRequest{Phone: msisdn}
	with := func(change func(r *vipps.MerchantLoginRequest)) vipps.MerchantLoginRequest {
		r := ok
		change(&r)
		return r
	}
	type cases map[string]vipps.MerchantLoginRequest
	for setting, requests := range map[string]cases{
		"phone": {
			"nobody": {}, "two people": {Phone: msisdn, CustomerToken: "abc"}, "eight digits": {Phone: "90900123"}, "another country": {Phone: "+12025550143"},
			"form injection": {Phone: "12345678&scope=nin"}, "form injection behind a number": {Phone: msisdn + "&scope=nin"}, "encoded": {Phone: msisdn + "%26scope%3Dnin"},
			"CR LF": {Phone: msisdn + "\r\n"}, "LF in front": {Phone: "\n" + msisdn}, "tab": {Phone: "4790\t900123"}, "NUL": {Phone: msisdn + "\x00"}, "a hint": {Phone: "urn:msisdn:" + msisdn},
			"too long": {Phone: strings.Repeat("47", 500)}, "two numbers": {Phone: msisdn + "," + msisdn}, "letters": {Phone: "+47 FLOWERS"}, "extension": {Phone: msisdn + ";ext=1"},
			"short": {Phone: "+47 9090012"}, "long": {Phone: "+47 909001234"}, "invalid UTF-8": {Phone: "47\xff90900123"}, "legacy and Swedish": {Phone: "46701234567", LegacyHint: true},
		},
		"customer_token": {
			"form injection": {CustomerToken: "abc&scope=nin"}, "encoded": {CustomerToken: "abc%26scope"}, "CR LF": {CustomerToken: "abc\r\n"}, "space": {CustomerToken: "a b"}, "beyond ASCII": {CustomerToken: "ß"},
			"too long": {CustomerToken: strings.Repeat("a", 2049)}, "in the old form": {CustomerToken: "abc", LegacyHint: true},
		},
		"scopes": {
			"two in one": with(func(r *vipps.MerchantLoginRequest) { r.Scopes = []string{"name nin"} }), "empty": with(func(r *vipps.MerchantLoginRequest) { r.Scopes = []string{""} }),
			"line break": with(func(r *vipps.MerchantLoginRequest) { r.Scopes = []string{"name\n"} }), "long": with(func(r *vipps.MerchantLoginRequest) { r.Scopes = []string{strings.Repeat("a", 129)} }),
		},
		"binding_message": {
			"short": with(func(r *vipps.MerchantLoginRequest) { r.BindingMessage = "4MZ3" }), "long": with(func(r *vipps.MerchantLoginRequest) { r.BindingMessage = "4MZ-CQ3-4" }),
			"lower case": with(func(r *vipps.MerchantLoginRequest) { r.BindingMessage = "4mz-cq3" }), "space": with(func(r *vipps.MerchantLoginRequest) { r.BindingMessage = "4MZ CQ3" }),
			"line break": with(func(r *vipps.MerchantLoginRequest) { r.BindingMessage = "4MZCQ3\n" }), "beyond ASCII": with(func(r *vipps.MerchantLoginRequest) { r.BindingMessage = "ÆØÅ" }),
		},
		"expiry": {
			"below a minute": with(func(r *vipps.MerchantLoginRequest) { r.Expiry = 59 * time.Second }), "above fifteen": with(func(r *vipps.MerchantLoginRequest) { r.Expiry = 901 * time.Second }),
			"negative": with(func(r *vipps.MerchantLoginRequest) { r.Expiry = -time.Minute }), "a fraction": with(func(r *vipps.MerchantLoginRequest) { r.Expiry = time.Minute + time.Millisecond }),
		},
		"redirect_uri": {
			"http": with(func(r *vipps.MerchantLoginRequest) { r.RedirectURI = "http://app.example/" }), "relative": with(func(r *vipps.MerchantLoginRequest) { r.RedirectURI = "/callback" }),
			"fragment": with(func(r *vipps.MerchantLoginRequest) { r.RedirectURI = landingURI + "#" }), "script": with(func(r *vipps.MerchantLoginRequest) { r.RedirectURI = "javascript:alert(1)" }),
		},
	} {
		for name, r := range requests {
			_, err := c.StartMerchantLogin(t.Context(), r)
			var e *vipps.ConfigError
			if !errors.As(err, &e) || e.Setting != setting {
				t.Errorf("%s, %s: %v", setting, name, err)
			} else if r.Phone != "" && strings.Contains(err.Error(), r.Phone) || r.CustomerToken != "" && strings.Contains(err.Error(), r.CustomerToken) {
				t.Errorf("%s, %s: the error repeats it", setting, name)
			}
			if setting != "phone" || r.CustomerToken != "" || r.LegacyHint {
				continue
			}
			if _, err := c.UserExists(t.Context(), r.Phone); !errors.As(err, &e) || e.Setting != "phone" {
				t.Errorf("user-exists, %s: %v", name, err)
			}
		}
	}
	if p.calls(backchannelPath)+p.calls(userExistsPath)+p.calls(discoveryPath) != 0 {
		t.Error("something was sent")
	}
}

// The codes are made from randomness, have the form that Vipps wants, and nothing in them is mistaken for anything else.
func TestSec_A152_BindingMessage(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	count := map[rune]int{}
	for range 2000 {
		code := vipps.NewBindingMessage()
		if len(code) != 7 || code[3] != '-' || strings.ContainsAny(code, "O0I1L5S8B6GUVDNPECZ") {
			t.Fatalf("the code is %q", code)
		}
		for _, r := range strings.ReplaceAll(code, "-", "") {
			if (r < 'A' || r > 'Z') && (r < '0' || r > '9') {
				t.Fatalf("the code is %q", code)
			}
			count[r]++
		}
		seen[code] = true
	}
	if len(seen) < 1990 { // of 7.5 million
		t.Errorf("%d of 2000 are different", len(seen))
	}
	for r, n := range count { // 12,000 / 14 = 857
		if n < 650 || n > 1070 {
			t.Errorf("%c stands %d times", r, n)
		}
	}
	p := newCIBA(t)
	pending := startMerchant(t, p.client(), vipps.MerchantLoginRequest{})
	if got := p.last(backchannelPath).PostForm.Get("binding_message"); got == "" || got != pending.BindingMessage {
		t.Errorf("sent %q, shown %q", got, pending.BindingMessage)
	}
}

// Attack: the provider, or somebody in its place, acknowledges with less or more than the standard says, so that a client
// polls for ever, at once, or for nothing. invalid-missing-authreqid-test and invalid-missing-expiresin-test among them.
func TestSec_A144_Acknowledgements(t *testing.T) {
	t.Parallel()
	p := newCIBA(t)
	c := p.client()
	good := `{"auth_req_id":"abc-DEF_12.3","expires_in":600,"interval":5}`
	bad := map[string]string{
		"no auth_req_id": `{"expires_in":600,"interval":5}`, "null auth_req_id": `{"auth_req_id":null,"expires_in":600}`, "numeric auth_req_id": `{"auth_req_id":12,"expires_in":600}`,
		"empty auth_req_id": `{"auth_req_id":"","expires_in":600}`, "auth_req_id twice": `{"auth_req_id":"a","auth_req_id":"b","expires_in":600}`, "list": `{"auth_req_id":["a"],"expires_in":600}`,
		"folded": `{"Auth_Req_Id":"a","expires_in":600}`, "line break": `{"auth_req_id":"a\r\nb","expires_in":600}`, "space": `{"auth_req_id":"a b","expires_in":600}`,
		"beyond ASCII": `{"auth_req_id":"å","expires_in":600}`, "long": `{"auth_req_id":"` + strings.Repeat("a", 1025) + `","expires_in":600}`,
		"no expires_in": `{"auth_req_id":"a","interval":5}`, "null expires_in": `{"auth_req_id":"a","expires_in":null}`, "zero": `{"auth_req_id":"a","expires_in":0}`, "negative": `{"auth_req_id":"a","expires_in":-1}`,
		"very negative": `{"auth_req_id":"a","expires_in":-1e300}`, "in quotes": `{"auth_req_id":"a","expires_in":"600"}`, "truth": `{"auth_req_id":"a","expires_in":true}`, "object": `{"auth_req_id":"a","expires_in":{}}`,
		"interval in quotes": `{"auth_req_id":"a","expires_in":600,"interval":"5"}`, "interval a list": `{"auth_req_id":"a","expires_in":600,"interval":[5]}`,
		"nothing": ``, "null": `null`, "HTML": `<!DOCTYPE html>`, "two": good + good, "a list of them": `[` + good + `]`, "cut": good[:20],
	}
	for name, body := range bad {
		p.handle(backchannelPath, respond(200, "application/json", body))
		pending, err := c.StartMerchantLogin(t.Context(), vipps.MerchantLoginRequest{Phone: msisdn})
		if e := refused(t, err, vipps.CodeInvalidResponse); pending != nil || e.Stage != vipps.StageBackchannel {
			t.Errorf("%s: %v, %v", name, pending, err)
		}
	}
	for body, want := range map[string][2]time.Duration{
		good:                                   {10 * time.Minute, 5 * time.Second},
		`{"auth_req_id":"a","expires_in":120}`: {2 * time.Minute, 5 * time.Second},
		`{"auth_req_id":"a","expires_in":1e300,"interval":null}`:            {time.Hour, 5 * time.Second},
		`{"auth_req_id":"a","expires_in":1e999,"interval":0}`:               {time.Hour, 5 * time.Second},
		`{"auth_req_id":"a","expires_in":9223372036854775807}`:              {time.Hour, 5 * time.Second},
		`{"auth_req_id":"a","expires_in":600.5,"interval":-7}`:              {600500 * time.Millisecond, 5 * time.Second},
		`{"auth_req_id":"a","expires_in":600,"interval":0.001}`:             {10 * time.Minute, 5 * time.Second},
		`{"auth_req_id":"a","expires_in":600,"interval":31,"unknown":true}`: {10 * time.Minute, 31 * time.Second},
		`{"auth_req_id":"a","expires_in":600,"interval":1e300}`:             {10 * time.Minute, time.Hour},
	} {
		p.handle(backchannelPath, respond(200, "application/json;charset=UTF-8", body))
		pending := startMerchant(t, c, vipps.MerchantLoginRequest{})
		if got := pending.Expires.Sub(p.clock.Now()); got != want[0] || pending.Interval != want[1] {
			t.Errorf("%s: %v, every %v", body, got, pending.Interval)
		}
	}
	if n := p.calls(tokenPath); n != 0 {
		t.Errorf("%d polls", n)
	}
}

// Where logins begin comes from the metadata; where Vipps' leave it out, from Vipps' layout; and from nowhere else.
func TestBackchannelEndpoint(t *testing.T) {
	t.Parallel()
	start := func(p *ciba) error {
		_, err := p.client().StartMerchantLogin(t.Context(), vipps.MerchantLoginRequest{Phone: msisdn})
		return err
	}
	p := newCIBA(t)
	p.metadata = func(m map[string]any) { m["backchannel_authentication_endpoint"] = p.srv.URL + "/elsewhere" }
	p.handle("/elsewhere", respond(200, "application/json", `{"auth_req_id":"a","expires_in":600}`))
	if err := start(p); err != nil || p.calls("/elsewhere") != 1 || p.calls(backchannelPath) != 0 {
		t.Errorf("the announced endpoint: %v", err)
	}
	for name, value := range map[string]any{"http": "http://op.example/bc", "relative": "/bc", "number": 7, "empty": "", "fragment": "https://op.example/bc#", "user": "https://me@op.example/bc"} {
		p := newCIBA(t)
		p.metadata = func(m map[string]any) { m["backchannel_authentication_endpoint"] = value }
		if e := refused(t, start(p), vipps.CodeInvalidMetadata); e.Stage != vipps.StageBackchannel || p.calls(backchannelPath) != 0 {
			t.Errorf("%s: %v", name, e)
		}
	}
	for _, path := range []string{"/other/", "/access-management-1.0/access", "/"} {
		p := newCIBA(t)
		p.issuer = p.srv.URL + path
		p.handle(strings.TrimSuffix(path, "/")+"/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) { p.locked(func() { p.answer(w, p.discovery()) }) })
		if e := refused(t, start(p), vipps.CodeNoEndpoint); len(e.Causes()) == 0 || p.calls(backchannelPath) != 0 {
			t.Errorf("%s: %v", path, e)
		}
		_, err := p.client().UserExists(t.Context(), msisdn)
		if e := refused(t, err, vipps.CodeNoEndpoint); e.Stage != vipps.StageUserExists || p.calls(userExistsPath) != 0 {
			t.Errorf("%s: %v", path, e)
		}
	}
	p = newCIBA(t)
	p.srv.Close()
	if err := start(p); !isUnavailable(err) {
		t.Errorf("a provider that is away: %v", err)
	}
}

func TestUserExists(t *testing.T) {
	t.Parallel()
	p := newCIBA(t)
	c := p.client()
	for _, tt := range []struct {
		status int
		body   string
		want   bool
		code   string
	}{
		{200, `{ "exists": true }`, true, ""},
		{200, `{"exists":false}`, false, ""},
		{400, `{"error":"unknown_user_id"}`, false, ""},
		{400, `{"error_code":"invalid_user"}`, false, ""},
		{200, `{"exists":"true"}`, false, vipps.CodeInvalidResponse},
		{200, `{"exists":1}`, false, vipps.CodeInvalidResponse},
		{200, `{"exists":null}`, false, vipps.CodeInvalidResponse},
		{200, `{"Exists":true}`, false, vipps.CodeInvalidResponse},
		{200, `{"exists":false,"exists":true}`, false, vipps.CodeInvalidResponse},
		{200, `{}`, false, vipps.CodeInvalidResponse},
		{200, `true`, false, vipps.CodeInvalidResponse},
		{404, `{"title":"Not found"}`, false, vipps.CodeHTTP},
		{401, `{"error":"invalid_client"}`, false, "invalid_client"},
		{302, ``, false, vipps.CodeRedirect},
		{503, ``, false, vipps.CodeHTTP},
	} {
		p.handle(userExistsPath, respond(tt.status, "application/json", tt.body))
		got, err := c.UserExists(t.Context(), "+47 909 00 123")
		if tt.code != "" {
			if e := refused(t, err, tt.code); e.Stage != vipps.StageUserExists {
				t.Errorf("%s: %v", tt.body, e)
			}
		} else if err != nil {
			t.Errorf("%s: %v", tt.body, err)
		}
		if got != tt.want {
			t.Errorf("%d %s: %t", tt.status, tt.body, got)
		}
	}
	sent := p.last(userExistsPath)
	if got := sent.PostForm.Encode(); got != "login_hint=urn%3Amsisdn%3A"+msisdn || sent.Method != http.MethodPost || sent.Header.Get("Authorization") == "" {
		t.Errorf("sent %s", got)
	}
}

// Attack: whoever reads the provider's log, a proxy's or a browser's history gets the numbers of everybody who was called,
// because they stand in an address; or the ids with which the answers to those logins can be fetched. They go in the body of the requests that
// need them.
func TestSec_A150_E11_NumbersAndIDsInBodiesOnly(t *testing.T) {
	t.Parallel()
	p := newCIBA(t)
	p.handle(userExistsPath, respond(200, "application/json", `{"exists":true}`))
	p.script("authorization_pending")
	c := p.client()
	if _, err := c.UserExists(t.Context(), msisdn); err != nil {
		t.Fatal(err)
	}
	inApp := startMerchant(t, c, vipps.MerchantLoginRequest{})
	for range 2 {
		_, _ = c.PollMerchantLogin(t.Context(), inApp)
	}
	browser := startMerchant(t, c, vipps.MerchantLoginRequest{RedirectURI: landingURI, LegacyHint: true})
	if _, _, err := c.FinishMerchantLogin(t.Context(), codeOf(browser), one(browser)); err != nil {
		t.Fatal(err)
	}
	kept, err := json.Marshal([]any{inApp, browser})
	if err != nil || strings.Contains(string(kept), msisdn[2:]) {
		t.Errorf("what is kept of the login holds the number: %s, %v", kept, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var told []string
	for path, requests := range p.requests {
		for _, r := range requests {
			if strings.Contains(r.URL.String()+httpText(r.Header), msisdn[2:]) || r.URL.RawQuery != "" {
				t.Errorf("a request to %s has it in its address or headers: %s", path, r.URL)
			}
			for _, id := range []string{inApp.AuthReqID, browser.AuthReqID} {
				if path != userinfoPath && strings.Contains(r.URL.String()+httpText(r.Header), id) { // its access token is made of the id, by this test
					t.Errorf("a request to %s has a login's id in its address or headers", path)
				}
			}
			if strings.Contains(r.PostForm.Encode(), msisdn[2:]) {
				told = append(told, path)
			}
		}
	}
	slices.Sort(told)
	if want := []string{backchannelPath, backchannelPath, userExistsPath}; !slices.Equal(told, want) {
		t.Errorf("the number went to %v", told)
	}
}

func httpText(h http.Header) string {
	w := httptest.NewRecorder()
	_ = h.Write(w)
	return w.Body.String()
}
