package forwardauth_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// A scope that nothing needs is named, and one that a header, a policy, or a site with the same session needs is not.
func TestSec_E002_UnusedScopes(t *testing.T) {
	t.Parallel()
	type scopes = []string
	config := func(change func(*forwardauth.Config), ask ...string) forwardauth.Config {
		client, err := vipps.New(vipps.Config{Issuer: "https://issuer.example/", ClientID: "c", ClientSecret: "s", Scopes: ask})
		if err != nil {
			t.Fatal(err)
		}
		key, err := session.NewKey()
		if err != nil {
			t.Fatal(err)
		}
		cfg := forwardauth.Config{Client: client, Keys: session.Keys{key}, Scopes: ask, PublicURLs: []string{"https://a.example"}, Allow: []string{"anyone"}}
		if change != nil {
			change(&cfg)
		}
		return cfg
	}
	headers := func(list ...string) func(*forwardauth.Config) {
		return func(c *forwardauth.Config) { c.Headers = list }
	}
	for _, tt := range []struct {
		name string
		cfg  forwardauth.Config
		want scopes
	}{
		{"openid", config(nil, "openid"), nil},
		{"each has its header", config(nil, "openid", "name", "email", "phoneNumber"), nil},
		{"none by default", config(nil, "openid", "birthDate", "address", "nin", "accountNumbers", "gender"), scopes{"birthDate", "address", "nin", "accountNumbers", "gender"}},
		{"listed", config(headers("X-Vipps-Nin=nin", "X-Home=other_addresses"), "openid", "nin", "nnin", "address"), nil},
		{"one of the list", config(headers("Remote-User=email_verified"), "openid", "email", "name"), scopes{"name"}},
		{"in another's words", config(headers("Remote-User=sub"), "openid", "profile", "phone"), scopes{"profile", "phone"}},
		{"a phone number that allow lists", config(func(c *forwardauth.Config) { c.Headers, c.Allow = scopes{"Remote-User=sub"}, scopes{"4790000001"} }, "openid", "phoneNumber"), nil},
		{"a policy's header", config(func(c *forwardauth.Config) {
			c.Headers, c.Policies = scopes{"Remote-User=sub"}, []forwardauth.Policy{{Name: "staff", Headers: scopes{"X-B=birthdate"}}}
		}, "openid", "birthDate"), nil},
		{"that does something else", config(nil, "openid", "delegatedConsents", "customFlow", "their-own"), nil},
		{"twice", config(nil, "openid", "nin", "nin"), scopes{"nin"}},
	} {
		e, err := forwardauth.New(tt.cfg)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		var got scopes
		for _, u := range e.UnusedScopes() {
			got = append(got, u.Scope)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
