package vipps_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// delivered is what a receiver of webhooks got.
type delivered struct {
	request *http.Request
	body    []byte
}

// webhookReceiver is a receiver that the emulator reaches, and passes on what it gets. It answers 200, or first what statuses say.
func webhookReceiver(t *testing.T, statuses ...int) (url string, got chan delivered) {
	t.Helper()
	got = make(chan delivered, 10)
	answers := make(chan int, len(statuses)+1)
	for _, s := range statuses {
		answers <- s
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		select {
		case status := <-answers:
			w.WriteHeader(status)
		default:
		}
		got <- delivered{r.Clone(context.Background()), body}
	}))
	t.Cleanup(srv.Close)
	return srv.URL + "/_vipps/webhook?at=%C3%A5", got
}

func nextDelivery(t *testing.T, got chan delivered) delivered {
	t.Helper()
	select {
	case d := <-got:
		return d
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was delivered")
		return delivered{}
	}
}

func startWebhookEmulator(t *testing.T) (*emulator.Server, *vipps.Client) {
	t.Helper()
	srv, err := emulator.Start("127.0.0.1:0", emulator.Config{RetryScale: 1000, Clients: []emulator.Client{
		{ID: clientID, Secret: clientSecret, MSN: "123456", SubscriptionKey: "the-subscription-key"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	return srv, newClient(t, vipps.Config{
		Issuer: srv.Issuer, ClientID: clientID, ClientSecret: clientSecret, MerchantSerialNumber: "123456", SubscriptionKey: "the-subscription-key",
		Scopes: []string{vipps.ScopeName},
	})
}

// The Webhooks API as the emulator knows it: registered, pinged when a merchant-initiated login is approved, listed, deleted.
func TestEmulatorWebhooks(t *testing.T) {
	t.Parallel()
	srv, c := startWebhookEmulator(t)
	ctx := context.Background()
	url, got := webhookReceiver(t, http.StatusServiceUnavailable)
	hook, err := c.RegisterWebhook(ctx, url, vipps.EventMerchantLoginPing)
	if err != nil {
		t.Fatal(err)
	}
	if list, err := c.Webhooks(ctx); err != nil || len(list) != 1 || list[0].ID != hook.ID || list[0].URL != url {
		t.Errorf("listed %v, %v", list, err)
	}
	v, err := vipps.NewWebhookVerifier(vipps.WebhookConfig{URL: url, Secrets: []vipps.Secret{hook.Secret}})
	if err != nil {
		t.Fatal(err)
	}
	pending, err := c.StartMerchantLogin(ctx, vipps.MerchantLoginRequest{Phone: emulator.FixturePeople()[0].Phone})
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Control().MerchantApprove(pending.AuthReqID); err != nil {
		t.Fatal(err)
	}
	nextDelivery(t, got) // refused with 503, and so sent again
	d := nextDelivery(t, got)
	w, err := v.Verify(d.request, d.body)
	if err != nil || !w.Fresh {
		t.Fatalf("%v, %+v", err, w)
	}
	if want := `{"auth_req_id":"` + pending.AuthReqID + `"}`; string(w.Body) != want {
		t.Error("another body than the one of the login")
	}
	if login, err := c.PollMerchantLogin(ctx, pending); err != nil || login.User.Name != emulator.FixturePeople()[0].Name {
		t.Errorf("after the ping: %v", err)
	}
	if err := c.DeleteWebhook(ctx, hook.ID); err != nil {
		t.Error(err)
	}
	if list, err := c.Webhooks(ctx); err != nil || len(list) != 0 {
		t.Errorf("left %v, %v", list, err)
	}
	var e *vipps.Error
	if err := c.DeleteWebhook(ctx, hook.ID); !errors.As(err, &e) || e.Stage != vipps.StageWebhooks {
		t.Errorf("deleted twice: %v", err)
	}
	srv.Control().RevokeAPITokens()
	if _, err := c.Webhooks(ctx); !errors.As(err, &e) || e.Status != http.StatusUnauthorized {
		t.Errorf("with a token that ended before its time: %v", err)
	}
	if _, err := c.Webhooks(ctx); err != nil {
		t.Errorf("and then: %v", err)
	}
}

// Every way in which the emulator can spoil a delivery: forged, or rightly signed and not to be acted upon.
func TestSec_A200_A202_A204_A205_A207_EmulatorsWebhooks(t *testing.T) {
	t.Parallel()
	srv, c := startWebhookEmulator(t)
	url, got := webhookReceiver(t)
	hook, err := c.RegisterWebhook(context.Background(), url, vipps.EventMerchantLoginPing)
	if err != nil {
		t.Fatal(err)
	}
	v, err := vipps.NewWebhookVerifier(vipps.WebhookConfig{URL: url, Secrets: []vipps.Secret{hook.Secret}})
	if err != nil {
		t.Fatal(err)
	}
	fresh := []string{emulator.BreakWebhookForeignID, emulator.BreakWebhookNoJSON, emulator.BreakWebhookTwice, emulator.BreakWebhookFrozen, ""}
	stale := []string{emulator.BreakWebhookOldDate, emulator.BreakWebhookFutureDate, emulator.BreakWebhookISODate}
	kinds := []string{""}
	for _, b := range emulator.Breaks() {
		if b.Where == "webhook" {
			kinds = append(kinds, b.Kind)
		}
	}
	if len(kinds) < 20 {
		t.Fatalf("only %d ways to spoil a delivery", len(kinds))
	}
	for _, kind := range kinds {
		if kind != "" {
			if err := srv.Control().Break(kind, 1); err != nil {
				t.Fatal(err)
			}
		}
		if err := srv.Control().Ping(clientID, "VYGaaAMRkI6SyAm_uIywhxsN2K0"); err != nil {
			t.Fatal(err)
		}
		d := nextDelivery(t, got)
		w, err := v.Verify(d.request, d.body)
		switch {
		case slices.Contains(fresh, kind):
			if err != nil || !w.Fresh {
				t.Errorf("%s: %v", kind, err)
			}
		case slices.Contains(stale, kind):
			if err != nil || w.Fresh {
				t.Errorf("%s: fresh, or %v", kind, err)
			}
		case err == nil:
			t.Errorf("%s: passes", kind)
		}
		if kind == emulator.BreakWebhookTwice {
			again := nextDelivery(t, got)
			if second, err := v.Verify(again.request, again.body); err != nil || second.Digest != w.Digest {
				t.Errorf("the same delivery has two digests, or %v", err)
			}
		}
	}
}

// Consent that is withdrawn at the emulator, and every way to spoil the message.
func TestEmulatorConsentRevoked(t *testing.T) {
	t.Parallel()
	url, got := webhookReceiver(t)
	srv, err := emulator.Start("127.0.0.1:0", emulator.Config{Clients: []emulator.Client{{ID: clientID, Secret: clientSecret, ConsentRevokedURI: url}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	phone := emulator.FixturePeople()[0].Phone
	sub, err := srv.Control().Subject(clientID, phone)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"", emulator.BreakRevokedTrailing, emulator.BreakRevokedExpired, emulator.BreakRevokedUnknownSub, emulator.BreakRevokedOtherEvent} {
		if kind != "" {
			if err := srv.Control().Break(kind, 1); err != nil {
				t.Fatal(err)
			}
		}
		if err := srv.Control().Consent(clientID, phone); err != nil {
			t.Fatal(err)
		}
		if err := srv.Control().RevokeConsent(phone); err != nil {
			t.Fatal(err)
		}
		d := nextDelivery(t, got)
		if ct := d.request.Header.Get("Content-Type"); !strings.HasPrefix(ct, "text/plain") {
			t.Errorf("%s: Content-Type %q", kind, ct)
		}
		revoked, err := vipps.ParseConsentRevoked(d.body)
		switch kind {
		case emulator.BreakRevokedOtherEvent:
			if !errors.Is(err, vipps.ErrOtherEvent) {
				t.Errorf("%s: %v", kind, err)
			}
		case emulator.BreakRevokedUnknownSub:
			if err != nil || revoked.Sub == sub {
				t.Errorf("%s: %v", kind, err)
			}
		default:
			if err != nil || revoked.Sub != sub || revoked.ExpiresAt.Sub(revoked.IssuedAt) != 5*time.Minute {
				t.Errorf("%s: %v", kind, err)
			}
			if past := revoked.ExpiresAt.Before(time.Now()); past != (kind == emulator.BreakRevokedExpired) {
				t.Errorf("%s: it has ended: %v", kind, past)
			}
		}
	}
}
