package forwardauth_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/forwardauth"
)

// A135: the longest life and the idle limit hold for every kind of request on which a session counts, upgrades to a
// websocket among them, and renewals don't add up to a longer life than session_ttl. The ID token's exp says how long
// that token may be used, which is once, and nothing about the session: see vipps.Login.
func TestSec_A135_SessionEndsForEveryRequest(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) { c.SessionTTL, c.SessionIdle = 8*time.Hour, time.Hour })
	b := l.loggedIn(phoneAase)
	began := l.clock.now()
	passes := func() map[string]bool {
		upgrade := http.Header{
			"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}, "Sec-Websocket-Version": {"13"},
			"Origin": {l.site.URL}, "Sec-Fetch-Mode": {"websocket"},
		}
		fetch := l.judged("/x")
		fetch.Set("Sec-Fetch-Mode", "cors")
		fetch.Set("Accept", "application/json")
		return map[string]bool{
			"page":         b.send("GET", "/x", navigation(), "").StatusCode == http.StatusOK,
			"program":      b.send("GET", "/x", http.Header{"Accept": {"application/json"}}, "").StatusCode == http.StatusOK,
			"form":         b.send("POST", "/x", http.Header{"Origin": {l.site.URL}, "Sec-Fetch-Site": {"same-origin"}}, "a=b").StatusCode == http.StatusOK,
			"websocket":    b.send("GET", "/x", upgrade, "").StatusCode == http.StatusOK,
			"forward-auth": b.send("GET", "/_vipps/authz/forward-auth", fetch, "").StatusCode == http.StatusOK,
			"auth-request": b.send("GET", "/_vipps/authz/auth-request", l.original("/x"), "").StatusCode == http.StatusOK,
			"me":           b.send("GET", "/_vipps/me", nil, "").StatusCode == http.StatusOK,
		}
	}
	for l.clock.now().Sub(began) < 8*time.Hour-45*time.Minute {
		l.clock.advance(40 * time.Minute)
		b.visit("/x") // renews the idle limit
		for kind, ok := range passes() {
			if !ok {
				t.Errorf("%v after the login: %s is refused", l.clock.now().Sub(began), kind)
			}
		}
		if t.Failed() {
			return
		}
	}
	value := b.cookie("vippsauth")
	l.clock.advance(began.Add(8*time.Hour + time.Second).Sub(l.clock.now()))
	b.setCookie("vippsauth", value) // a browser that ignores Max-Age, or an attacker with a copy
	for kind, ok := range passes() {
		if ok {
			t.Errorf("after session_ttl: %s passes", kind)
		}
	}

	b = l.loggedIn(phoneAase)
	value = b.cookie("vippsauth")
	l.clock.advance(time.Hour + time.Second)
	b.setCookie("vippsauth", value)
	for kind, ok := range passes() {
		if ok {
			t.Errorf("after session_idle: %s passes", kind)
		}
	}
}

// A136: what the provider says of a person is read at each login, and what was read before is gone with it; without a
// login it is at most session_ttl old.
func TestSec_A136_ClaimsAreReadAtEachLogin(t *testing.T) {
	t.Parallel()
	r := newRP(t, newProvider(t), nil)
	r.op.now = r.clock.now
	b := r.accepted()
	r.op.change(func() {
		r.op.userinfo = func(u obj) { u["name"] = "Åse Berg"; delete(u, "email"); delete(u, "email_verified") }
	})
	if a := b.visit("/"); !strings.Contains(a.text, "name=Åse Ødegård") {
		t.Fatalf("the session forgot its claims: %s", a.text)
	}
	r.clock.advance(8*time.Hour + time.Second)
	if a := b.visit("/"); !strings.Contains(a.text, "name=Åse Berg") {
		t.Errorf("after another login the app was told: %s", a.text)
	}
	if got := r.last().Header["X-Vipps-Email"]; len(got) != 0 {
		t.Errorf("an e-mail address that was withdrawn is still sent: %q", got)
	}
	r.want(calls{2, 2, 2, 2, 2})
}
