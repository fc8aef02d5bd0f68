package main

import "testing"

// userinfo_subscription_key reaches the client, of each site, and is off until it is set.
func TestUserinfoSubscriptionKey(t *testing.T) {
	t.Parallel()
	const top = "environment: test\npublic_url: https://app.example.com\nclient_id: shop\nclient_secret: not-a-secret\nsubscription_key: k\nlisten: 127.0.0.1:4190\n"
	for more, want := range map[string]bool{"": false, "userinfo_subscription_key: off\n": false, "userinfo_subscription_key: on\n": true} {
		c, problems := checked(t, top+more)
		if got := c.vippsConfig("https://op.example"); got.UserinfoSubscriptionKey != want || got.SubscriptionKey != "k" {
			t.Errorf("%q: sent %t; %v", more, got.UserinfoSubscriptionKey, problems)
		}
	}
}
