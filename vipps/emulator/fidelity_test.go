package emulator_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// parts are the header of a JWS and its payload as it was written.
func parts(t *testing.T, jws string) (header map[string]any, payload string) {
	t.Helper()
	p := strings.Split(jws, ".")
	if len(p) != 3 {
		t.Fatalf("%d parts", len(p))
	}
	for i, part := range p[:2] {
		raw, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			t.Fatal(err)
		}
		if payload = string(raw); i == 0 {
			if err := json.Unmarshal(raw, &header); err != nil {
				t.Fatal(err)
			}
		}
	}
	return header, payload
}

// The documents' samples come from two services: tokens of a login in a browser say typ, those of the other one don't, and write their
// slashes as Java programs do. A client that asks for a typ, or compares an issuer undecoded, must find out here.
func TestTokensLookLikeTheSamples(t *testing.T) {
	t.Parallel()
	s := startMerchant(t, nil)
	if err := s.Control().AutoApprove(aase); err != nil {
		t.Fatal(err)
	}
	browser := loginBroken(t, s)
	header, payload := parts(t, browser.tok["id_token"].(string))
	if header["typ"] != "JWT" || header["alg"] != "RS256" || strings.Contains(payload, `\/`) {
		t.Errorf("in a browser: %v %s", header, payload)
	}
	inApp := begin(t, s)
	if err := s.Control().MerchantApprove(inApp); err != nil {
		t.Fatal(err)
	}
	begin(t, s, "requested_flow", "login_to_webpage", "redirect_uri", landing)
	if err := s.Control().MerchantApprove(aase); err != nil {
		t.Fatal(err)
	}
	logins := s.Control().MerchantLogins()
	link, err := url.Parse(logins[len(logins)-1].Link)
	if err != nil {
		t.Fatal(err)
	}
	for name, a := range map[string]answer{
		"polled":     poll(t, s, inApp),
		"by webpage": shopPost(t, s.Issuer+"oauth2/token", url.Values{"grant_type": {"urn:vipps:params:grant-type:ciba-redirect"}, "code": {link.Query().Get("code")}}),
	} {
		header, payload := parts(t, a.json(t)["id_token"].(string))
		kid, _ := header["kid"].(string)
		if d := cmp.Diff(map[string]any{"alg": "ES256", "kid": kid}, header); d != "" || !strings.HasPrefix(kid, "public:") {
			t.Errorf("%s: header (-want +got)\n%s", name, d)
		}
		if !strings.Contains(payload, `http:\/\/127.0.0.1`) || strings.Contains(payload, "://") {
			t.Errorf("%s: payload %s", name, payload)
		}
	}
}

// "Basic" and "post" do not work with partner keys, and no sales unit has their client id: a program that is set up without client_auth
// partner must not get a login here that it wouldn't get at Vipps.
func TestPartnerKeysAreNoClient(t *testing.T) {
	t.Parallel()
	s := startHooks(t)
	if err := s.Control().AutoApprove(aase); err != nil {
		t.Fatal(err)
	}
	err := s.Control().AddClient(emulator.Client{ID: "partner2", Secret: "partner-secret", MSN: "888888", Partner: true, RedirectURIs: []string{callback}})
	if err != nil {
		t.Fatal(err)
	}
	if p := newBrowser(t, s).get(authorizeURL(s, "client_id", "partner2")); p.status != http.StatusBadRequest || p.back != nil {
		t.Errorf("authorize: %d %v", p.status, p.back)
	}
	for _, h := range []http.Header{
		{"Authorization": {basic("partner2", "partner-secret")}},
		{"Authorization": {basic("partner2", "partner-secret")}, "Merchant-Serial-Number": {"111111"}},
	} {
		h.Set("Content-Type", "application/x-www-form-urlencoded")
		body := url.Values{"login_hint": {"urn:msisdn:" + aase}, "scope": {"openid"}}.Encode()
		for _, path := range []string{"/vipps-login-ciba/api/backchannel/authentication", "/vipps-login-ciba/api/v1/user-exists"} {
			if a := call(t, http.MethodPost, s.URL+path, body, h); a.status != http.StatusUnauthorized || a.json(t)["error"] != "invalid_client" {
				t.Errorf("%s: %d %s", path, a.status, a.body)
			}
		}
	}
}

// Vipps' documents say that logins which end in a browser are told to webhooks as well, and that nothing can come of it, since the token
// endpoint can be called once. Others of its documents tell only of those that end in the app, so it has to be asked for.
func TestPingOfALoginThatEndsInABrowser(t *testing.T) {
	t.Parallel()
	s := startHooks(t)
	if err := s.Control().AddRedirectURI("shop", landing); err != nil {
		t.Fatal(err)
	}
	rc := newReceiver(t)
	register(t, s, rc.URL)
	approve := func() string {
		id := begin(t, s, "requested_flow", "login_to_webpage", "redirect_uri", landing)
		if err := s.Control().MerchantApprove(id); err != nil {
			t.Fatal(err)
		}
		return id
	}
	if approve(); len(s.Control().Deliveries()) != 0 {
		t.Error("it was told without being asked for")
	}
	if err := s.Control().Break(emulator.BreakPingInBrowser, 1); err != nil {
		t.Fatal(err)
	}
	id := approve()
	if got := rc.until(t, 1)[0].body; got != `{"auth_req_id":"`+id+`"}` {
		t.Errorf("told %s", got)
	}
	approve()
	if n := len(s.Control().Deliveries()); n != 1 {
		t.Errorf("%d deliveries", n)
	}
}

// What comes with an error on the redirect is in the words of Vipps' table, where it has some.
func TestRedirectErrorsAreInTheWordsOfTheTable(t *testing.T) {
	t.Parallel()
	s := start(t, func(cfg *emulator.Config) { cfg.Spinner = -1 })
	for code, want := range map[string]string{
		"access_denied":         "User cancelled the login",
		"server_error":          "Something went wrong, please try again",
		"login_required":        "User must log in with interaction",
		"interaction_required":  "User interaction is required",
		"outdated_app_version":  "The user's Vipps or MobilePay app version is too old and needs to be updated",
		"wrong_challenge":       "The user selected the wrong challenge",
		"unknown_reject_reason": "Something went wrong. Reject reason is unknown.",
	} {
		if err := s.Control().NoDialog("error:" + code); err != nil {
			t.Fatal(err)
		}
		p := newBrowser(t, s).get(authorizeURL(s, "requested_flow", "no_dialog"))
		if p.back == nil || p.back.Query().Get("error") != code || p.back.Query().Get("error_description") != want {
			t.Errorf("%s: back to %v", code, p.back)
		}
	}
	for uri, want := range map[string][2]string{
		"myapp://":          {"invalid_app_callback_uri", "The app callback URI is not on a valid format"},
		"myapp://elsewhere": {"app_callback_uri_not_registered", "The app callback URI is not registered as a redirect URI"},
	} {
		p := newBrowser(t, s).get(authorizeURL(s, "requested_flow", "app_to_app", "app_callback_uri", uri))
		if p.back == nil || p.back.Query().Get("error") != want[0] || p.back.Query().Get("error_description") != want[1] {
			t.Errorf("%s: back to %v", uri, p.back)
		}
	}
}
