package forwardauth_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// Attack: a silent login as the person before hangs at the provider, while the person who is there now tries again in a few tabs, or
// is led to links of logins that land, until its cookie makes room for newer ones. Their own login can't tell then that
// the other is on its way, and what comes late puts the person before in their place; or logs them in again after a logout.
func TestSec_A123_A132_LateAndForgotten(t *testing.T) {
	t.Parallel()
	for _, out := range []bool{false, true} {
		l := newLab(t, func(c *forwardauth.Config) { c.ConfirmPerson = forwardauth.ConfirmNever })
		l.as(phonePer)
		l.silent(emulator.NoDialogHit)
		b := l.browser()
		begin := func() string {
			t.Helper()
			a := b.send("GET", "/_vipps/login?rd=/who", navigation(), "")
			if a.StatusCode != http.StatusFound {
				t.Fatalf("the login page: %d %s", a.StatusCode, a.text)
			}
			l.clock.advance(time.Second)
			return a.Header.Get("Location")
		}
		client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		resp, err := client.Get(begin())
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		callback := resp.Header.Get("Location")
		late := b.tab() // what it has sent along with its callback, which the provider keeps waiting
		for range 5 {
			begin()
		}
		l.as(phoneAase)
		if b.visit("/who"); b.whoIsIn() == "" {
			t.Fatal("nobody is logged in")
		}
		if out {
			b.post("/_vipps/logout", nil)
		}
		late.send("GET", callback[len(l.site.URL):], navigation(), "")
		if who := late.whoIsIn(); who != "" {
			t.Errorf("after a logout %t: what comes late logs %s in", out, who)
		}
	}
}
