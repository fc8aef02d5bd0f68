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
