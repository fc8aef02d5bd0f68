package vipps_test

import (
	"context"
	"testing"

	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// A partner logs the same person in for two merchants, against the emulator's own idea of partner keys: they are two subs.
func TestEmulatorPartnerKeys(t *testing.T) {
	t.Parallel()
	srv, err := emulator.Start("127.0.0.1:0", emulator.Config{Spinner: -1, Clients: []emulator.Client{
		{ID: "bakery", Secret: "the-bakery-s-own", MSN: "100001", RedirectURIs: []string{appCallback}},
		{ID: "cafe", Secret: "the-cafe-s-own", MSN: "100002", RedirectURIs: []string{appCallback}},
		{ID: "partner", Secret: "partner-secret", MSN: "999999", SubscriptionKey: "partner-key", Partner: true},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	if err := srv.Control().AutoApprove(emulator.FixturePeople()[0].Phone); err != nil {
		t.Fatal(err)
	}
	merchant := func(msn string) *vipps.Client {
		return newClient(t, vipps.Config{
			Issuer: srv.Issuer, ClientID: "partner", ClientSecret: "partner-secret", ClientAuth: vipps.ClientAuthPartner,
			MerchantSerialNumber: msn, SubscriptionKey: "partner-key", Scopes: []string{vipps.ScopeName},
		})
	}
	login := func(c *vipps.Client) (*vipps.Login, error) {
		t.Helper()
		pending, to, err := c.BeginLogin(context.Background(), vipps.LoginRequest{RedirectURI: appCallback})
		if err != nil {
			t.Fatal(err)
		}
		return c.FinishLogin(context.Background(), pending, newBrowser(t).open(t, to))
	}
	one, err := login(merchant("100001"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := login(merchant("100002"))
	if err != nil {
		t.Fatal(err)
	}
	if one.User.Name != other.User.Name || one.User.Sub == other.User.Sub {
		t.Errorf("%t, %t", one.User.Name == other.User.Name, one.User.Sub == other.User.Sub)
	}
	// What doctor asks: the emulator fills in the merchant's client_id by a redirect first, whatever the redirect URI is.
	for uri, want := range map[string]vipps.Answer{appCallback: vipps.AnswerYes, "http://127.0.0.1:9/elsewhere": vipps.AnswerNo} {
		if probe := merchant("100001").ProbeRedirectURI(context.Background(), uri); probe.Answer != want {
			t.Errorf("%s: %+v", uri, probe)
		}
	}
	for _, kind := range []string{emulator.BreakWrongMSN, emulator.BreakMissingMSN} {
		if err := srv.Control().Break(kind, 1); err != nil {
			t.Fatal(err)
		}
		_, err := login(merchant("100001"))
		refused(t, err, vipps.CodeMerchant)
	}
}
