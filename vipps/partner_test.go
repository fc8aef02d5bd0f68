package vipps_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/vipps"
)

const (
	partnerMSN   = "123456"
	partnerToken = "eyJ.partner-token.sig"
	merchantID   = "acae94b4-7b30-4615-9806-10c3b42079a3" // the merchant's client, which a partner doesn't know
)

// partnerProvider hands out partner tokens, and ID tokens for the merchant's client.
func partnerProvider(t testing.TB) *provider {
	t.Helper()
	p := newProvider(t)
	p.handle("/accesstoken/get", respond(200, "application/json", `{"access_token":"`+partnerToken+`","token_type":"Bearer","expires_in":"86398"}`))
	p.idToken = func(c claims) { c["aud"], c["msn"] = []string{merchantID}, partnerMSN }
	return p
}

func partnerClient(p *provider, change func(*vipps.Config)) *vipps.Client {
	cfg := p.config()
	cfg.ClientAuth, cfg.MerchantSerialNumber, cfg.SubscriptionKey = vipps.ClientAuthPartner, partnerMSN, "0f14ebcab0ec4b29ae0cb90d91b4a84a"
	if change != nil {
		change(&cfg)
	}
	return newClient(p.t, cfg)
}

func TestPartnerKeys(t *testing.T) {
	t.Parallel()
	p := partnerProvider(t)
	c := partnerClient(p, nil)
	ctx := context.Background()
	pending, to, err := c.BeginLogin(ctx, vipps.LoginRequest{RedirectURI: redirectURI})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	if q := u.Query(); q.Get("msn") != partnerMSN || q.Has("client_id") || q.Get("code_challenge") == "" || q.Get("state") != pending.State || q.Get("redirect_uri") != redirectURI {
		t.Errorf("sent to %s", u.RawQuery)
	}
	if p.calls("/accesstoken/get") != 0 {
		t.Error("a token was fetched before it was needed")
	}
	login, err := c.FinishLogin(ctx, pending, p.authorize(to))
	if err != nil {
		t.Fatal(err)
	}
	if login.User.Sub != testSub {
		t.Error("another person")
	}
	r := p.last(tokenPath)
	if r.Header.Get("Authorization") != "Bearer "+partnerToken || r.Header.Get("Merchant-Serial-Number") != partnerMSN || r.PostForm.Has("client_id") || r.PostForm.Has("client_secret") {
		t.Errorf("the exchange has %v", r.PostForm)
	}
	if a := p.last(userinfoPath).Header.Get("Authorization"); a == "Bearer "+partnerToken || a == "" {
		t.Error("userinfo was asked with the partner's token")
	}
	p.mustLogin(c)
	if n := p.calls("/accesstoken/get"); n != 1 {
		t.Errorf("%d partner tokens for two logins", n)
	}
	// Merchant-initiated logins and QR logins prove themselves the same way.
	for _, err := range []error{
		func() error { _, err := c.FinishQRLogin(ctx, &vipps.QRCallback{AuthReqID: "a"}); return err }(),
		func() error { _, err := c.FinishQRRedirect(ctx, url.Values{"code": {"a"}}); return err }(),
	} {
		refused(t, err, "invalid_grant")
		if r := p.last(tokenPath); r.Header.Get("Authorization") != "Bearer "+partnerToken || r.Header.Get("Merchant-Serial-Number") != partnerMSN {
			t.Error("a QR login has no partner's token")
		}
	}
}

// Attack: a person who logged in at another merchant of the same partner, or at any merchant at all, brings what they got there.
func TestSec_A013_PartnerKeysCheckTheMerchant(t *testing.T) {
	t.Parallel()
	p := partnerProvider(t)
	c := partnerClient(p, nil)
	for name, tt := range map[string]struct {
		change claims
		code   string
	}{
		"as it should be":       {claims{}, ""},
		"aud as text":           {claims{"aud": merchantID}, ""},
		"azp as aud":            {claims{"azp": merchantID}, ""},
		"another merchant":      {claims{"msn": "654321"}, vipps.CodeMerchant},
		"no msn":                {claims{"msn": nil}, vipps.CodeMerchant},
		"no msn, our own aud":   {claims{"msn": nil, "aud": clientID}, vipps.CodeMerchant},
		"msn is a number":       {claims{"msn": 123456}, vipps.CodeMerchant},
		"several msn":           {claims{"msn": []string{partnerMSN, "654321"}}, vipps.CodeMerchant},
		"msn with more":         {claims{"msn": partnerMSN + " "}, vipps.CodeMerchant},
		"no aud":                {claims{"aud": nil}, vipps.CodeMissingClaim},
		"empty aud":             {claims{"aud": []string{}}, vipps.CodeAudience},
		"aud without a name":    {claims{"aud": ""}, vipps.CodeAudience},
		"two clients":           {claims{"aud": []string{merchantID, "another"}}, vipps.CodeAudience},
		"azp another":           {claims{"azp": clientID}, vipps.CodeAudience},
		"another issuer":        {claims{"iss": "https://apitest.vipps.no/access-management-1.0/access/"}, vipps.CodeIssuerMismatch},
		"a nonce of some other": {claims{"nonce": "another"}, vipps.CodeNonce},
	} {
		p.locked(func() {
			p.idToken = func(c claims) {
				c["aud"], c["msn"] = []string{merchantID}, partnerMSN
				for k, v := range tt.change {
					if c[k] = v; v == nil {
						delete(c, k)
					}
				}
			}
		})
		before := p.calls(userinfoPath)
		_, err := p.login(c)
		var e *vipps.Error
		switch {
		case tt.code == "":
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case !errors.As(err, &e) || e.Code != tt.code || len(e.Causes()) == 0 && tt.code != vipps.CodeMissingClaim:
			t.Errorf("%s: error is %v", name, err)
		case p.calls(userinfoPath) != before:
			t.Errorf("%s: userinfo was asked", name)
		}
	}
	// Without partner keys aud counts as ever, whatever msn says.
	p.locked(func() { p.idToken = func(c claims) { c["aud"], c["msn"] = []string{merchantID}, partnerMSN } })
	own := partnerClient(p, func(cfg *vipps.Config) { cfg.ClientAuth = vipps.ClientAuthBasic })
	_, err := p.login(own)
	refused(t, err, vipps.CodeAudience)
	if p.last(tokenPath).Header.Get("Merchant-Serial-Number") != partnerMSN {
		t.Error("msn isn't sent without partner keys")
	}
	// A QR callback names a client that nobody here knows: it must name the merchant.
	qr := newQRProvider(t)
	forMerchant := partnerClient(qr.provider, nil)
	for msn, code := range map[string]string{"": vipps.CodeMerchant, "654321": vipps.CodeMerchant, partnerMSN: ""} {
		change := claims{"aud": merchantID, "msn": msn}
		if msn == "" {
			change["msn"] = nil
		}
		_, err := forMerchant.VerifyQRCallback(t.Context(), qr.signed(qr.callback(change)))
		var e *vipps.Error
		if code == "" && err != nil || code != "" && (!errors.As(err, &e) || e.Code != code) {
			t.Errorf("QR callback with msn %q: %v", msn, err)
		}
	}
}

// Attack: two merchants of one partner have the same client_id. What one of them began is brought to the other.
func TestSec_A099_PendingLoginsOfAnotherMerchant(t *testing.T) {
	t.Parallel()
	p := partnerProvider(t)
	one := partnerClient(p, nil)
	other := partnerClient(p, func(cfg *vipps.Config) { cfg.MerchantSerialNumber = "654321" })
	plain := partnerClient(p, func(cfg *vipps.Config) { cfg.ClientAuth = vipps.ClientAuthBasic })
	if one.Party() == other.Party() || one.Party() == plain.Party() || plain.Party() != clientID || one.ClientID() != other.ClientID() {
		t.Errorf("parties are %q, %q, %q", one.Party(), other.Party(), plain.Party())
	}
	ctx := context.Background()
	pending, to, err := one.BeginLogin(ctx, vipps.LoginRequest{RedirectURI: redirectURI})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*vipps.Client{other, plain} {
		_, err := c.FinishLogin(ctx, pending, p.authorize(to))
		if e := refused(t, err, vipps.CodePendingMismatch); !isState(e) || p.calls(tokenPath) != 0 {
			t.Error("the code was redeemed")
		}
	}
}

// The partner's token is refused: it is forgotten, the code isn't sent again, and the next login has another one.
func TestPartnerTokenRefused(t *testing.T) {
	t.Parallel()
	p := partnerProvider(t)
	c := partnerClient(p, nil)
	p.handle(tokenPath, respond(401, "application/json", `{"error":"invalid_client","error_description":"no `+partnerToken+`"}`))
	_, err := p.login(c)
	e := refused(t, err, "invalid_client")
	if strings.Contains(e.Error(), partnerToken) || p.calls(tokenPath) != 1 || !strings.Contains(strings.Join(e.Causes(), " "), "msn") {
		t.Errorf("%d exchanges; %v; %v", p.calls(tokenPath), e, e.Causes())
	}
	p.locked(func() { delete(p.handlers, tokenPath) })
	p.mustLogin(c)
	if n := p.calls("/accesstoken/get"); n != 2 {
		t.Errorf("%d partner tokens", n)
	}
	// None can be had: no code is sent anywhere.
	before := p.calls(tokenPath)
	p.handle("/accesstoken/get", respond(503, "text/plain", "away"))
	p.clock.Add(48 * time.Hour)
	_, err = p.login(c)
	if !isUnavailable(err) || p.calls(tokenPath) != before {
		t.Errorf("error is %v, %d exchanges", err, p.calls(tokenPath)-before)
	}
}

func TestPartnerKeysNeed(t *testing.T) {
	t.Parallel()
	_, err := vipps.New(vipps.Config{Issuer: "https://op.example/", ClientID: "c", ClientSecret: "secret", ClientAuth: vipps.ClientAuthPartner})
	var got []string
	for _, line := range strings.Split(err.Error(), "\n") {
		setting, _, _ := strings.Cut(line, ":")
		got = append(got, setting)
	}
	if diff := cmp.Diff([]string{"msn", "subscription_key"}, got); diff != "" {
		t.Error(diff)
	}
	if auth, err := vipps.ParseClientAuth("partner"); err != nil || auth != vipps.ClientAuthPartner {
		t.Errorf("partner is read as %q, %v", auth, err)
	}
}
