package forwardauth_test

import (
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/forwardauth"
)

// Attack: a link to the login page that names a policy is opened by a person who is logged in. The provider knows somebody else in
// this browser, such as whoever made the link: it is their session from then on, and nobody has clicked anything here. Before there
// were policies that ask for more, the login page sent everybody on who had a session.
func TestSec_B010_A131_ALinkReplacesNobodyUnasked(t *testing.T) {
	t.Parallel()
	l := newSteps(t, func(c *forwardauth.Config) { c.ConfirmPerson = forwardauth.ConfirmNever })
	b := l.loggedIn(phoneAase)
	before := b.cookie("vippsauth")
	l.as(phonePer)
	a := b.visit("/_vipps/login?policy=strong&rd=/x")
	if !strings.Contains(a.text, asksWho) || b.cookie("vippsauth") != before {
		t.Fatalf("unasked: %d %s", a.StatusCode, a.text)
	}
	if a := b.click("/_vipps/result", saying(tokenOf(a), "other")); !strings.Contains(a.text, "name=Åse") {
		t.Errorf("Åse stays: %d %s", a.StatusCode, a.text)
	}
	l.as(phoneAase)
	if a := b.visit("/strong/x"); !strings.Contains(a.text, "app: GET /strong/x auth=authenticated name=Åse") {
		t.Errorf("Åse proves more, and is asked nothing: %d %s", a.StatusCode, a.text)
	}
}
