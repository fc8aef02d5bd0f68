package integration_test

import (
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// Two instances with one partner's keys and one cookie key, each for a merchant. Attack: a customer of one brings their cookies to the other.
func TestSec_A099_TwoMerchantsOfOnePartner(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	const subscriptionKey = "0f14ebcab0ec4b29ae0cb90d91b4a84a"
	for _, client := range []emulator.Client{
		{ID: clientID, Secret: clientSecret, Name: "Partner", MSN: "999999", SubscriptionKey: subscriptionKey, Partner: true},
		{ID: "bakery", Secret: "the-bakery-s-own", Name: "Bakery", MSN: "100001", RedirectURIs: []string{f.origin + "/_vipps/callback"}},
		{ID: "cafe", Secret: "the-cafe-s-own", Name: "Cafe", MSN: "100002", RedirectURIs: []string{f.origin + "/_vipps/callback"}},
	} {
		if err := f.vipps.Control().AddClient(client); err != nil {
			t.Fatal(err)
		}
	}
	f.secrets.add("subscription key", subscriptionKey)
	f.env = []string{"VIPPSAUTH_SUBSCRIPTION_KEY=" + subscriptionKey}
	f.sidecar("--client-auth=partner", "--msn=100001")
	b := f.loggedIn()
	sub := f.app.last().Header.Get("X-Vipps-Sub")
	if want, err := f.vipps.Control().Subject("bakery", phoneAase); err != nil || sub != want {
		t.Fatalf("logged in as %q, want %q, %v", sub, want, err)
	}
	ask := func(want int) {
		t.Helper()
		h := http.Header{"Accept": {"application/json"}}
		if a := b.send(http.MethodGet, f.origin+"/page", h, nil); a.StatusCode != want {
			t.Errorf("the customer gets %d, want %d", a.StatusCode, want)
		}
	}
	f.restart(syscall.SIGTERM) // the same merchant's, with the same keys
	b.client.Transport = f.transport()
	ask(http.StatusOK)
	var flags []string
	for _, flag := range f.service.cmd.Args[1:] {
		flags = append(flags, strings.Replace(flag, "--msn=100001", "--msn=100002", 1))
	}
	f.restart(syscall.SIGTERM, flags...)
	b.client.Transport = f.transport()
	ask(http.StatusUnauthorized)
}
