package forwardauth_test

import (
	"net/http"
	"path/filepath"
	"testing"

	"github.com/vippsauth/vippsauth/forwardauth"
)

// Attack: somebody has copied what a browser kept while a page asked "Continue as …?", and the token of that page. The person
// goes on, and logs out. At a replica, or after a restart, where nobody knows that the page was answered, the copy makes a fresh
// session: the logout ended the one that the page had made, and not what it was made of.
func TestSec_A132_A151_ALogoutEndsWhatTheSessionWasMadeOf(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.revoked")
	l, ends := newLanding(t, func(c *forwardauth.Config) {
		c.State, _ = kept(t, forwardauth.NewRevocationFile(path), c.Logger, c.Now)
	})
	b := l.browser()
	a := b.visit(ends.put("c1", landed{login: ola(), to: "/x"}))
	thief, form := b.tab(), answering(a, "continue")
	if b.post("/_vipps/result", form); b.whoIsIn() != "Ola Nordmann" {
		t.Fatal("nobody is logged in")
	}
	if b.post("/_vipps/logout", nil); b.whoIsIn() != "" {
		t.Fatal("nobody is logged out")
	}
	late, _ := kept(t, forwardauth.NewRevocationFile(path), nil, l.clock.now)
	restarted, _ := l.judges(t, late)
	l.takeTurns(func(string) http.Handler { return restarted.Protect(http.HandlerFunc(l.app)) })
	if thief.post("/_vipps/result", form); thief.cookie("vippsauth") != "" || thief.whoIsIn() != "" {
		t.Errorf("the copy makes a session of %q", thief.whoIsIn())
	}
}
