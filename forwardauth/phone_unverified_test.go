package forwardauth_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// Attack: at a provider that takes the number that somebody types in, and says so, Per gives Åse's, who is listed. He must neither
// pass nor get the page with which messages are pushed to people's phones, nor does the application hear that the number is his.
func TestSec_A155_ANumberThatIsNotVerifiedIsNobodys(t *testing.T) {
	t.Parallel()
	l := newPeople(t, []string{phoneAase}, func(c *forwardauth.Config) { c.Allow = []string{phoneAase} })
	l.as(phoneAase) // whom the provider's answers are about here, but for the flag
	pages := []string{"/", "/_vipps/merchant/", "/_vipps/me"}
	statuses := func(b *browser) (out [3]int, text string) {
		for i, page := range pages {
			a := b.visit(page)
			out[i], text = a.StatusCode, text+a.text
		}
		return out, text
	}
	if got, _ := statuses(l.loggedIn(phoneAase)); got != [3]int{200, 200, 200} {
		t.Fatalf("without a word about the number: %v", got)
	}
	if err := l.vipps.Control().Break(emulator.BreakPhoneUnverified, 9); err != nil {
		t.Fatal(err)
	}
	b := l.browser()
	b.visit("/")
	if b.cookie("vippsauth") == "" {
		t.Fatal("nobody is logged in")
	}
	if got, text := statuses(b); got != [3]int{http.StatusForbidden, http.StatusForbidden, http.StatusForbidden} || strings.Contains(text, phoneAase) {
		t.Errorf("a number that isn't verified: %v", got)
	}
}
