package caddymodule

import (
	"strings"
	"testing"
)

// userinfo_subscription_key reaches the client, and sites that differ in it share none.
func TestUserinfoSubscriptionKey(t *testing.T) {
	t.Parallel()
	resolved := func(word string) (settings, string) {
		h := Handler{
			Environment: "test", ClientID: "shop", ClientSecret: "secret", SubscriptionKey: "key", UserinfoSubscriptionKey: word, PublicURL: []string{"https://app.example.com"},
		}
		set, errs := h.resolve(nil)
		var text strings.Builder
		for _, err := range errs {
			text.WriteString(err.Error())
		}
		return set, text.String()
	}
	off, _ := resolved("")
	on, faults := resolved("on")
	if off.vipps.UserinfoSubscriptionKey || !on.vipps.UserinfoSubscriptionKey || strings.Contains(faults, "userinfo_subscription_key") {
		t.Errorf("off %t, on %t, %s", off.vipps.UserinfoSubscriptionKey, on.vipps.UserinfoSubscriptionKey, faults)
	}
	if keyOfClient(off.vipps) == keyOfClient(on.vipps) {
		t.Error("both share a client")
	}
	if _, faults := resolved("yes"); !strings.Contains(faults, "userinfo_subscription_key: must be one of on, off") {
		t.Errorf("faults are %s", faults)
	}
}
