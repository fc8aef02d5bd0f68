package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// In environment emulator nothing has to be agreed with Vipps: the emulator knows the clients with all that the settings ask for.
func TestEmulated(t *testing.T) {
	t.Parallel()
	const top = "environment: emulator\ntrusted_proxies: loopback\npublic_url: http://localhost:4180\n"
	secret := strings.Repeat("0123456789abcdef", 4)
	uris := []string{"http://localhost:4180/_vipps/callback"}
	for yaml, change := range map[string]func(*emulator.Client){
		"":                                       func(*emulator.Client) {},
		"acr_values: 'urn:vipps:acr:app_auth'\n": func(c *emulator.Client) { c.Advanced = true },
		"policies:\n  board: {acr_values: 'urn:vipps:acr:app_auth', allow: anyone}\n": func(c *emulator.Client) { c.Advanced = true },
		"app_flow: app-to-app\napp_callback_uri: shop://back\n":                       func(c *emulator.Client) { c.AppURIs = []string{"shop://back"} },
		"consent_revoked_secret: " + secret + "\n": func(c *emulator.Client) {
			c.ConsentRevokedURI = "http://localhost:4180/_vipps/consent-revoked/" + secret
		},
	} {
		c, problems := checked(t, top+yaml)
		if len(problems) > 0 {
			t.Fatalf("%s: %v", yaml, problems)
		}
		id, clientSecret := c.credentials()
		want := emulator.Client{ID: id, Secret: clientSecret.Reveal(), Name: "vippsauth", RedirectURIs: uris, AuthMethod: emulator.AuthBasic}
		change(&want)
		got := c.emulated(c.all()[0], uris)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: (-want +got)\n%s", yaml, d)
		}
		if _, err := emulator.New(emulator.Config{BaseURL: "http://127.0.0.1:1", RSABits: 1024, Clients: []emulator.Client{got}}); err != nil {
			t.Errorf("%s: %v", yaml, err)
		}
	}
}
