package forwardauth_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// Some of Vipps' documents call the error on the redirect error_code. A person's own no is an answer there too, and so is the miss of a silent
// login: neither is a callback that makes no sense.
func TestErrorsNamedErrorCode(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]int{"access_denied": http.StatusForbidden, "outdated_app_version": http.StatusForbidden, "interaction_required": http.StatusOK} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, nil)
			l.silent(emulator.NoDialogIgnored)
			b := l.browser()
			b.follow(b.send("GET", "/x?y", navigation(), ""), "/x?y")
			state := b.asked(0).Get("state")
			l.clock.advance(5 * time.Second) // as long as a person needs
			l.as(phoneAase)
			a := b.visit("/_vipps/callback?error_code=" + code + "&state=" + state)
			if a.StatusCode != want {
				t.Fatalf("got %d\n%s", a.StatusCode, strings.Join(b.trail, "\n"))
			}
			if miss := want == http.StatusOK; miss && !strings.Contains(a.text, "app: GET /x?y") || !miss && b.passed("/oauth2/auth") != 0 {
				t.Errorf("got %s\n%s", a.text, strings.Join(b.trail, "\n"))
			}
		})
	}
	t.Run("beside a code", func(t *testing.T) {
		t.Parallel()
		l := newLab(t, nil)
		l.silent(emulator.NoDialogIgnored)
		b := l.browser()
		b.follow(b.send("GET", "/x", navigation(), ""), "/x")
		calls := l.vipps.Control().Calls()["token"]
		if a := b.visit("/_vipps/callback?code=abc&error_code=server_error&state=" + b.asked(0).Get("state")); a.StatusCode < 400 || l.vipps.Control().Calls()["token"] != calls {
			t.Errorf("got %d", a.StatusCode)
		}
	})
}
