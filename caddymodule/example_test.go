package caddymodule_test

import (
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// Only /members/* needs a login; the rest of the site passes without an identity.
func Example() {
	_, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(`
example.com {
	vipps_auth /members/* {
		client_id     {env.VIPPSAUTH_CLIENT_ID}
		client_secret {env.VIPPSAUTH_CLIENT_SECRET}
		environment   production
		scopes        openid name phoneNumber
		allow         @members.txt
	}
	reverse_proxy legacy:8080
}`), map[string]any{"filename": "Caddyfile"})
	fmt.Println(err)
	// Output: <nil>
}

// Errors name the setting, its line, and what would be right.
func ExampleHandler_UnmarshalCaddyfile() {
	_, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(`example.com {
	vipps_auth {
		client_id {env.VIPPSAUTH_CLIENT_ID}
		scope     openid name
	}
}`), map[string]any{"filename": "Caddyfile"})
	fmt.Println(err)
	// Output: parsing caddyfile tokens for 'vipps_auth': unknown setting 'scope': did you mean scopes?, at Caddyfile:4
}
