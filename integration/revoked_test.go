package integration_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// A person takes back at Vipps what they shared: their sessions end, nobody else's, and a message of nobody's has no effect.
func TestSec_A170_ConsentIsTakenBackAtVipps(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	secret := strings.Repeat("0123456789abcdef", 4)
	f.secrets.add("secret of consent-revoked", secret)
	f.env = append(f.env, "VIPPSAUTH_CONSENT_REVOKED_SECRET="+secret)
	f.sidecar()
	if err := f.vipps.Control().AddClient(emulator.Client{
		ID: clientID, Secret: clientSecret, Name: "Integration", RedirectURIs: []string{f.origin + "/_vipps/callback"},
		ConsentRevokedURI: f.origin + "/_vipps/consent-revoked/" + secret,
	}); err != nil {
		t.Fatal(err)
	}
	aase := f.loggedIn()
	f.as("4790000002")
	per := f.loggedIn()
	delivered := func(n int) {
		t.Helper()
		eventually(t, "the message is delivered", func() bool {
			all := f.vipps.Control().Deliveries()
			return len(all) == n && all[n-1].State == emulator.DeliveryDelivered
		})
	}
	me := func(b *browser) int { return b.open(f.origin + "/_vipps/me").StatusCode }

	if err := f.vipps.Control().Break(emulator.BreakRevokedUnknownSub, 1); err != nil {
		t.Fatal(err)
	}
	if err := f.vipps.Control().RevokeConsent("4790000002"); err != nil {
		t.Fatal(err)
	}
	delivered(1)
	if a, p := me(aase), me(per); a != http.StatusOK || p != http.StatusOK {
		t.Errorf("after a message about nobody: %d and %d", a, p)
	}
	// Attack: who doesn't know the address has Per thrown out.
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	forged := part(`{"alg":"none"}`) + "." + part(fmt.Sprintf(`{"iat":%d,"sub":%q,"event":"CONSENT_REVOKED"}`, time.Now().Unix(), f.subOf("4790000002")))
	for _, guess := range []string{"", strings.Repeat("f", 64), secret[:len(secret)-1], secret + "0"} {
		w := f.browser().send(http.MethodPost, f.origin+"/_vipps/consent-revoked/"+guess, http.Header{"Content-Type": {"text/plain"}}, strings.NewReader(forged))
		if w.StatusCode != http.StatusUnauthorized {
			t.Errorf("a guessed address of %d: %d", len(guess), w.StatusCode)
		}
	}
	if err := f.vipps.Control().RevokeConsent(phoneAase); err != nil {
		t.Fatal(err)
	}
	delivered(2)
	eventually(t, "Åse's session has ended", func() bool { return me(aase) == http.StatusUnauthorized })
	if p := me(per); p != http.StatusOK {
		t.Errorf("another person's session: %d", p)
	}
}
