package forwardauth_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/session"
)

// Attack: Åse logs out of a shared computer, and walks away. The operator takes the cookie key away under which the browser
// remembers that. Vipps remembers her too: who sits down next is logged in as her, silently, by opening the site. (The soak
// found it.) A note that nothing opens, in a browser without a session, is a logout: the next login waits for a click, isn't
// silent, and asks who it is.
func TestSec_D18_D35_LogoutOutlivesItsKey(t *testing.T) {
	t.Parallel()
	fresh, err := session.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	l := newLab(t, nil)
	l.vipps.Control().RememberDefault(true)
	b := l.loggedIn(phoneAase)
	b.visit("/_vipps/logout")
	b.click("/_vipps/logout", nil)
	rotated := newReplica(t, l, func(c *forwardauth.Config) { c.Keys = session.Keys{fresh} })
	l.takeTurns(func(string) http.Handler { return rotated })
	if a := b.visit("/page"); strings.Contains(a.text, "app: GET") || !strings.Contains(a.text, offersLogin) || b.passed("/oauth2/auth") != 0 {
		t.Fatalf("who sits down next gets %d after\n%s\n%s", a.StatusCode, strings.Join(b.trail, "\n"), a.text)
	}
	if a := b.click("/_vipps/login", nil); !strings.Contains(a.text, asksWho) || strings.Contains(a.text, "app: GET") {
		t.Errorf("after a click: %d %s", a.StatusCode, a.text)
	}

	// A session whose key is gone is another matter: whoever's it was hasn't logged out.
	in := l.browser()
	l.takeTurns(func(string) http.Handler { return l.one })
	in.visit("/")
	l.takeTurns(func(string) http.Handler { return rotated })
	if a := in.visit("/page"); !strings.Contains(a.text, "app: GET") {
		t.Errorf("after the session's key went: %d %s", a.StatusCode, a.text)
	}
}
