package forwardauth

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/session"
)

// Attack: Åse logs out of a shared computer. Then the service goes back to an earlier release, which can't read the note of
// it; or its key is gone and a neighbour in the domain, or a broken one, has put something beside it. Whatever is there and
// can't be read, in a browser without a session, is a logout: who sits down next is not logged in as her silently.
func TestSec_C031_D17_D18_UnreadableLogoutIsALogout(t *testing.T) {
	t.Parallel()
	e := shared(t, func(_, _ *Config) {})
	s, now := e.siteOf("login.club.example"), time.Now()
	name := s.hintJar.CookieName() + "="
	gone, err := session.NewBox(session.Keys{newKeyOf(t)}, session.Binding{Purpose: "hint", Issuer: "i", ClientID: "c", Site: "s"})
	if err != nil {
		t.Fatal(err)
	}
	loggedOut := (&hint{Logout: waitsForClick, LoggedOutAt: now}).payload()
	next := name + sealedIn(t, s.hints, append([]byte{hintVersion + 1}, loggedOut[1:]...))
	removed := name + sealedIn(t, gone, loggedOut)
	planted := name + "1" + strings.Repeat("A", 200)
	for what, cookies := range map[string][]string{
		"of a release to come":           {next},
		"its key is gone":                {removed},
		"beside a planted one":           {removed, planted},
		"behind a planted one":           {planted, removed},
		"among more than are read":       {removed, planted, planted + "AAAA", planted + "BBBB", planted + "CCCC", planted + "DDDD"},
		"cut":                            {name + "1"},
		"of no form that anybody writes": {name + "%22%22"},
	} {
		if h := e.hint(s, http.Header{"Cookie": {strings.Join(cookies, "; ")}}); h.Logout != waitsForClick {
			t.Errorf("%s: %+v", what, h)
		}
		if w := e.navigate("login.club.example", "/_vipps/login?rd=/", cookies...); w.Code != http.StatusOK || w.Header().Get("Location") != "" {
			t.Errorf("%s: a login begins without a click: %d", what, w.Code)
		}
		// Whose session is there hasn't logged out, whatever has become of the key.
		if h := e.hint(s, http.Header{"Cookie": {strings.Join(append(cookies, e.sessionOf(t, "login.club.example", "per")), "; ")}}); h.Logout != notLoggedOut {
			t.Errorf("%s, and a session: %+v", what, h)
		}
	}
	for _, nothing := range []string{"", name, name + "; " + name} { // in some browsers what is cleared is empty
		if h := e.hint(s, http.Header{"Cookie": {nothing}}); h.Logout != notLoggedOut {
			t.Errorf("nothing, %q: %+v", nothing, h)
		}
	}
	// One that can be read counts, whatever a neighbour has put beside it: nobody is kept from silent logins for a year.
	missed := name + sealedIn(t, s.hints, (&hint{MissUntil: now.Add(time.Minute)}).payload())
	if h := e.hint(s, http.Header{"Cookie": {planted + "; " + missed}}); h.Logout != notLoggedOut || h.MissUntil.IsZero() {
		t.Errorf("a miss beside a planted one: %+v", h)
	}
}

func newKeyOf(t *testing.T) session.Key {
	t.Helper()
	key, err := session.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}
