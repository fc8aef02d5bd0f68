package forwardauth

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps"
)

// Attack: a person whose provider lets them name claims of their own says that they came by a QR code, or proved something.
// What a login is worth is of the ID token, and how it came here of a login that landed.
func TestSec_B010_ClaimsDontSpeakForTheLogin(t *testing.T) {
	t.Parallel()
	raw := map[string]json.RawMessage{}
	for _, name := range []string{claimACR, claimQR, claimQRDescription} {
		raw[name] = json.RawMessage(`"mine"`)
	}
	login := &vipps.Login{User: vipps.User{Sub: "s", Claims: raw}}
	e := &Engine{claims: []string{claimACR, claimQR, claimQRDescription}, cfg: Config{SessionTTL: time.Hour}}
	if d := e.newSession(login, time.Now(), false); len(d.Claims) != 0 {
		t.Errorf("a browser's login keeps %v", d.Claims)
	}
	login.ACR = "urn:proved"
	d := e.newSession(login, time.Now(), true)
	for name, want := range map[string]string{claimACR: "urn:proved", claimQR: "mine", claimQRDescription: "mine"} {
		if got, _ := d.claim(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// What a landing takes for a code is one code and nothing that could be read in two ways, whatever the address holds.
func FuzzSec_A151_LandingQuery(f *testing.F) {
	for _, raw := range []string{
		"", "code=a", "code=", "code=a&code=b", "code=a&state=", "state=s&code=a", "error=access_denied", "code=a&error=", "error=lost_state", "code=%00", "code=a;b=c", "code=a&iss=x&scope=openid+name",
		"auth_req_id=x&code=a", "%63ode=a", "code=a&Code=b", "code=a&error_description=x&error_description=y", "code=%zz", "code=a#b",
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		query, code, err := landingQuery(raw)
		if (err == nil) == (query == nil) || (err == nil) != (code == "") {
			t.Fatalf("%q: %v, %q, %v", raw, query, code, err)
		}
		if err != nil {
			if _, ours := ownCodes[code]; ours && code != codeBadCallback || len(code) > 64 {
				t.Fatalf("%q speaks for us: %q", raw, code)
			}
			return
		}
		if query.Get("code") == "" || query.Has("state") || query.Has("error") {
			t.Fatalf("%q passes as %v", raw, query)
		}
		for name, values := range query {
			if len(values) != 1 {
				t.Fatalf("%q: %s stands %d times", raw, name, len(values))
			}
		}
	})
}
