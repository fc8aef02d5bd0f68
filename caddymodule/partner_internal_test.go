package caddymodule

import (
	"testing"

	"github.com/vippsauth/vippsauth/vipps"
)

// Attack: two sites of one partner are served by one client, which is pooled, and so one merchant's customers are logged in for the other.
func TestSec_A099_MerchantsOfOnePartnerShareNoClient(t *testing.T) {
	t.Parallel()
	cfg := func(msn string, key vipps.Secret) vipps.Config {
		return vipps.Config{
			Issuer: "https://issuer.example/", ClientID: "partner", ClientSecret: "secret", ClientAuth: vipps.ClientAuthPartner, MerchantSerialNumber: msn, SubscriptionKey: key,
		}
	}
	var refs references
	defer func() {
		for _, giveBack := range refs {
			_ = giveBack()
		}
	}()
	one, err := refs.takeClient(cfg("100001", "key"))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := refs.takeClient(cfg("100001", "key")); err != nil || again != one {
		t.Errorf("the same settings make two clients: %v", err)
	}
	for _, other := range []vipps.Config{cfg("100002", "key"), cfg("100001", "another")} {
		client, err := refs.takeClient(other)
		if err != nil {
			t.Fatal(err)
		}
		if client == one {
			t.Error("two merchants, or two subscription keys, share a client")
		}
	}
}
