package emulator_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// A partner names the sales unit by its number: at authorize instead of the client id, at the token endpoint beside its own token.
func TestPartner(t *testing.T) {
	t.Parallel()
	s := startHooks(t)
	if err := s.Control().AutoApprove(aase); err != nil {
		t.Fatal(err)
	}
	b := newBrowser(t, s)
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	raw := strings.Replace(authorizeURL(s), "client_id=shop", "msn=111111", 1)
	p := b.get(raw)
	if p.status != http.StatusFound || p.back.String() != authorizeURL(s) {
		t.Fatalf("%d to\n%v, want\n%s", p.status, p.back, authorizeURL(s))
	}
	p = b.get(p.back.String())
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {p.back.Query().Get("code")}, "redirect_uri": {callback}, "code_verifier": {verifier},
	}.Encode()
	partner, _ := apiToken(t, s, "client_id", "partner", "client_secret", "partner-secret").json(t)["access_token"].(string)
	merchant, _ := apiToken(t, s).json(t)["access_token"].(string)
	ask := func(body string, set ...string) answer {
		h := http.Header{
			"Content-Type": {"application/x-www-form-urlencoded"}, "Authorization": {"Bearer " + partner}, "Merchant-Serial-Number": {"111111"},
		}
		change(h, set)
		return call(t, http.MethodPost, s.Issuer+"oauth2/token", body, h)
	}
	if a := ask(form, "Merchant-Serial-Number", "222222"); a.status != http.StatusUnauthorized { // has client_secret_post
		t.Errorf("a client of another method: %d %s", a.status, a.body)
	}
	for name, a := range map[string]answer{
		"no number":            ask(form, "Merchant-Serial-Number", "-"),
		"nobody's number":      ask(form, "Merchant-Serial-Number", "333333"),
		"the partner's number": ask(form, "Merchant-Serial-Number", "999999"),
		"a merchant's token":   ask(form, "Authorization", "Bearer "+merchant),
		"an unknown token":     ask(form, "Authorization", "Bearer x"),
		"the partner's secret": ask(form, "Authorization", basic("partner", "partner-secret"), "Merchant-Serial-Number", "111111"),
		"a secret too":         ask(form + "&client_secret=x"),
		"another client":       ask(form + "&client_id=other"),
	} {
		if a.status == http.StatusOK || !strings.Contains(a.body, "invalid_") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	a := ask(form)
	if a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	id := claims(t, a.json(t)["id_token"].(string))
	if d := cmp.Diff(map[string]any{"msn": "111111", "aud": []any{"shop"}}, map[string]any{"msn": id["msn"], "aud": id["aud"]}); d != "" {
		t.Errorf("ID token (-want +got)\n%s", d)
	}
	log := s.Control().Log()
	if got := log[len(log)-1]; got.ClientAuth != emulator.SeenPartner || got.Header.Get("Merchant-Serial-Number") != "111111" {
		t.Errorf("log %+v", got)
	}
}

func TestPartnerAuthorizeRefuses(t *testing.T) {
	t.Parallel()
	s := startHooks(t)
	if err := s.Control().AddClient(emulator.Client{ID: "twin", Secret: "x", MSN: "222222"}); err != nil {
		t.Fatal(err)
	}
	for name, set := range map[string][]string{
		"nobody's":       {"client_id", "-", "msn", "333333"},
		"the partner's":  {"client_id", "-", "msn", "999999"},
		"two clients'":   {"client_id", "-", "msn", "222222"},
		"both names":     {"msn", "111111"},
		"an empty value": {"client_id", "-", "msn", ""},
	} {
		p := newBrowser(t, s).get(authorizeURL(s, set...))
		if p.status != http.StatusBadRequest || p.back != nil {
			t.Errorf("%s: %d %v", name, p.status, p.back)
		}
	}
	if p := newBrowser(t, s).get(authorizeURL(s, "client_id", "-", "msn", "111111") + "&msn=111111"); p.status != http.StatusBadRequest {
		t.Errorf("twice: %d", p.status)
	}
}

// A merchant-initiated login works for a partner, and its approval is told to the webhooks of the sales unit.
func TestPartnerMerchantLogin(t *testing.T) {
	t.Parallel()
	s := startHooks(t)
	rc := newReceiver(t)
	register(t, s, rc.URL)
	partner, _ := apiToken(t, s, "client_id", "partner", "client_secret", "partner-secret").json(t)["access_token"].(string)
	h := http.Header{
		"Content-Type": {"application/x-www-form-urlencoded"}, "Authorization": {"Bearer " + partner}, "Merchant-Serial-Number": {"111111"},
	}
	a := call(t, http.MethodPost, s.URL+"/vipps-login-ciba/api/backchannel/authentication",
		url.Values{"login_hint": {"urn:msisdn:" + aase}, "scope": {"openid"}}.Encode(), h)
	id, _ := a.json(t)["auth_req_id"].(string)
	if a.status != http.StatusOK || id == "" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if len(s.Control().Deliveries()) != 0 {
		t.Error("told before it was approved")
	}
	if err := s.Control().MerchantApprove(id); err != nil {
		t.Fatal(err)
	}
	if got := rc.until(t, 1)[0].body; got != `{"auth_req_id":"`+id+`"}` {
		t.Errorf("told %s", got)
	}
	a = call(t, http.MethodPost, s.Issuer+"oauth2/token", url.Values{"grant_type": {"urn:openid:params:grant-type:ciba"}, "auth_req_id": {id}}.Encode(), h)
	if a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
	// Denied ones and those that end in a browser aren't told.
	for _, extra := range []url.Values{{}, {"requested_flow": {"login_to_webpage"}, "redirect_uri": {callback}}} {
		extra.Set("login_hint", "urn:msisdn:"+aase)
		extra.Set("scope", "openid")
		a = call(t, http.MethodPost, s.URL+"/vipps-login-ciba/api/backchannel/authentication", extra.Encode(), h)
		id, _ = a.json(t)["auth_req_id"].(string)
		finish := func() error { return s.Control().MerchantDeny(id, "") }
		if extra.Has("redirect_uri") {
			finish = func() error { return s.Control().MerchantApprove(id) }
		}
		if err := finish(); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.Control().Deliveries()); n != 1 {
		t.Errorf("%d deliveries", n)
	}
}

// startRevoked serves an emulator whose "shop" hears of consent that is taken back, and has Åse's.
func startRevoked(t *testing.T) (*emulator.Server, *receiver) {
	t.Helper()
	rc := newReceiver(t)
	s := start(t, func(cfg *emulator.Config) {
		cfg.RetryScale = 1000
		cfg.Clients[0].ConsentRevokedURI = rc.URL + "/consent-revoked/not-a-secret"
	})
	if err := s.Control().Consent("shop", aase); err != nil {
		t.Fatal(err)
	}
	return s, rc
}

func TestConsentRevoked(t *testing.T) {
	t.Parallel()
	s, rc := startRevoked(t)
	sub, err := s.Control().Subject("shop", aase)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Control().RevokeConsent(sub); err != nil {
		t.Fatal(err)
	}
	a := rc.until(t, 1)[0]
	head, rest, _ := strings.Cut(a.body, ".")
	if a.header.Get("Content-Type") != "text/plain" || head != "eyJhbGciOiJub25lIiwidHlwIjogIkpXVCJ9Cg" || strings.Contains(rest, ".") || a.path != "/consent-revoked/not-a-secret" {
		t.Errorf("arrived %+v", a)
	}
	payload, err := base64.RawURLEncoding.DecodeString(rest)
	if want := `{"exp":1795262700,"iat":1795262400,"nbf":1795262400,"sub":"` + sub + `","event":"CONSENT_REVOKED"}`; err != nil || string(payload) != want {
		t.Errorf("payload %s, want %s (%v)", payload, want, err)
	}
	waitFor(t, func() bool { return s.Control().Deliveries()[0].State == emulator.DeliveryDelivered })
	if d := s.Control().Deliveries()[0]; d.Kind != emulator.DeliverConsentRevoked || d.To != "shop" || d.URL != rc.URL {
		t.Errorf("delivery %+v", d)
	}
	// Nothing is left to take back.
	if err := s.Control().RevokeConsent(aase); err != nil {
		t.Fatal(err)
	}
	if n := len(s.Control().Deliveries()); n != 1 {
		t.Errorf("%d deliveries", n)
	}
	if err := s.Control().AddClient(emulator.Client{ID: "x", Secret: "x", ConsentRevokedURI: "https://example.com/"}); err == nil {
		t.Error("a receiver that isn't on loopback is taken")
	}
}

func TestConsentRevokedBreaks(t *testing.T) {
	t.Parallel()
	checks := map[string]func(body string, claims map[string]any) bool{
		emulator.BreakRevokedUnknownSub: func(_ string, c map[string]any) bool { return strings.HasPrefix(c["sub"].(string), "emulator-") },
		emulator.BreakRevokedExpired: func(_ string, c map[string]any) bool {
			return c["exp"] == float64(newClock().Now().Add(-time.Hour).Unix())
		},
		emulator.BreakRevokedOtherEvent: func(_ string, c map[string]any) bool { return c["event"] == "CONSENT_GIVEN" },
		emulator.BreakRevokedTrailing:   func(body string, _ map[string]any) bool { return strings.HasSuffix(body, ".") },
	}
	for _, b := range emulator.Breaks() {
		if b.Where != "consent-revoked" {
			continue
		}
		s, rc := startRevoked(t)
		sub, err := s.Control().Subject("shop", aase)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Control().Break(b.Kind, 1); err != nil {
			t.Fatal(err)
		}
		if err := s.Control().RevokeConsent(aase); err != nil {
			t.Fatal(err)
		}
		if b.Kind == emulator.BreakRevokedTwice {
			if got := rc.until(t, 2); got[0].body != got[1].body {
				t.Errorf("%s: two bodies", b.Kind)
			}
			continue
		}
		body := rc.until(t, 1)[0].body
		raw, err := base64.RawURLEncoding.DecodeString(strings.Split(body, ".")[1])
		if err != nil {
			t.Fatal(err)
		}
		c := answer{body: string(raw)}.json(t)
		if check := checks[b.Kind]; check == nil || !check(body, c) || (c["sub"] != sub) != (b.Kind == emulator.BreakRevokedUnknownSub) {
			t.Errorf("%s doesn't: %s", b.Kind, raw)
		}
	}
}
