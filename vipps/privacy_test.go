package vipps_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/vipps"
)

// Attack: error codes are logged as they are, so a provider, or whoever writes a callback's address, puts somebody's number or a token
// there; and userinfo quotes the client secret.
func TestSec_E024_B115_CodesAndWordsSayNothingOfPeople(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"03827110115", "4712345678", "user-4712345678", "a1b2c3d4e5f6", strings.Repeat("x", 41)} {
		p := newProvider(t)
		p.handle(userinfoPath, func(w http.ResponseWriter, r *http.Request) {
			respond(401, "application/json", `{"error":"`+code+`","error_description":"not with `+clientSecret+` and `+r.Header.Get("Authorization")+`"}`)(w, r)
		})
		_, err := p.login(p.client())
		e := refused(t, err, vipps.CodeUnknown)
		token, _ := strings.CutPrefix(p.last(userinfoPath).Header.Get("Authorization"), "Bearer ")
		for _, secret := range []string{code, clientSecret, token} {
			if secret == "" || strings.Contains(e.Error(), secret) {
				t.Errorf("%q is in %q", secret, e.Error())
			}
		}
		cb, _ := vipps.ParseCallback(url.Values{"error": {code}, "state": {"s"}})
		if cb.Error != vipps.CodeUnknown {
			t.Errorf("a callback's error is %q", cb.Error)
		}
	}
}
