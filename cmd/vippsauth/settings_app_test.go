package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What a policy asks of a login, and what is wrong with that or with app_flow, is said of the very place.
func TestSites_LoginsThatProveMore(t *testing.T) {
	t.Parallel()
	const top = "environment: test\nclient_id: a\nclient_secret: s\ntrusted_proxies: loopback\npublic_url: https://a.example\n"
	c, problems := checked(t, top+"app_flow: app-to-app\napp_callback_uri: shop://back\nfinal_redirect_is_app: on\n"+
		"policies:\n  board: {acr_values: 'urn:vipps:acr:app_auth', allow: anyone}\n  till: {qr_ids: [oKAz7q1O, second]}\n")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if p := c.policies; len(p) != 2 || p[0].ACRValues != "urn:vipps:acr:app_auth" || p[1].ACRValues != "" || !cmp.Equal(p[1].QRs, []string{"oKAz7q1O", "second"}) {
		t.Errorf("policies: %+v", p)
	}
	for yaml, want := range map[string][]string{
		"app_flow: app-to-app\n": {"not set: app_callback_uri: is missing: app_flow app-to-app opens it in the app; " + howToSet("app_callback_uri")},
		"policies:\n  board: {app_flow: off}\n": {
			"c.yaml:7: policies: board: app_flow: is the same for all; move it to the top of the file; what may differ is allow, headers, header_encoding, without_session, acr_values, qr_ids",
		},
		"policies:\n  board: {acr_values: 'urn:x', without_session: anonymous}\n": {
			"c.yaml:6: policies: board: acr_values: can't be used with without_session anonymous: nobody would pass more easily than somebody",
		},
	} {
		if _, problems := checked(t, top+yaml); !cmp.Equal(problems, want) {
			t.Errorf("%s: %s", yaml, cmp.Diff(want, problems))
		}
	}
}
