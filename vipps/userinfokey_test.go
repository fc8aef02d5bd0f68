package vipps_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// Vipps' documents disagree whether userinfo needs the subscription key or refuses it. It is left out unless that is set, goes to userinfo
// only then, and to nowhere else of a login ever; and a refusal says what can be set.
func TestSubscriptionKeyAtUserinfo(t *testing.T) {
	t.Parallel()
	const header = "Ocp-Apim-Subscription-Key"
	p := newProvider(t)
	p.handle(userinfoPath, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(header) == "" {
			respond(401, "application/json", `{"statusCode":401,"message":"Access denied due to missing subscription key."}`)(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		p.locked(func() { p.answer(w, p.user) })
	})
	cfg := p.config()
	cfg.SubscriptionKey = subscriptionKey
	_, err := p.login(newClient(t, cfg))
	if refused(t, err, vipps.CodeHTTP); !strings.Contains(causes(err), "userinfo_subscription_key") {
		t.Errorf("causes are %q", causes(err))
	}
	cfg.UserinfoSubscriptionKey = true
	p.mustLogin(newClient(t, cfg))
	if p.last(userinfoPath).Header.Get(header) != subscriptionKey {
		t.Error("it isn't sent to userinfo")
	}
	for _, path := range []string{tokenPath, jwksPath, discoveryPath} {
		if p.last(path).Header.Get(header) != "" {
			t.Errorf("it is sent to %s", path)
		}
	}
	cfg.SubscriptionKey = ""
	if _, err := vipps.New(cfg); !slices.Contains(settings(err), "subscription_key") {
		t.Errorf("without a key: %v", err)
	}

	op, err := emulator.Start("127.0.0.1:0", emulator.Config{
		Clients: []emulator.Client{{ID: "shop", Secret: "secret", RedirectURIs: []string{"http://localhost:1/cb"}}}, RefuseSubscriptionKey: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = op.Close() })
	if err := op.Control().AutoApprove(emulator.FixturePeople()[0].Phone); err != nil {
		t.Fatal(err)
	}
	for _, on := range []bool{false, true} {
		c := newClient(t, vipps.Config{Issuer: op.Issuer, ClientID: "shop", ClientSecret: "secret", SubscriptionKey: subscriptionKey, UserinfoSubscriptionKey: on})
		pending, to, err := c.BeginLogin(t.Context(), vipps.LoginRequest{RedirectURI: "http://localhost:1/cb"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.FinishLogin(t.Context(), pending, visit(to, "http://localhost:1/cb"))
		if (err == nil) == on || on && !strings.Contains(causes(err), "refuses a subscription key") {
			t.Errorf("sent %t: %v, %s", on, err, causes(err))
		}
	}
}
