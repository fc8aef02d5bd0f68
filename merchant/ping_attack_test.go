package merchant_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/vippsauth/vippsauth/merchant"
)

// Attack: somebody waits until the last seconds of a login, when no poll is left before it expires, and approves then; the provider pings.
// That made the scheduler go round for ever with the lock of all logins held, so that nobody's login went on. The ping is worth a poll, and
// one that brings nothing leaves the login to expire.
func TestSec_A149_APingInTheLastSeconds(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]merchant.State{"yes": merchant.Approved, "": merchant.Expired} {
		synctest.Test(t, func(t *testing.T) {
			op := newProvider(t)
			op.interval, op.lifetime = 60, 100
			l := newLab(t, op, nil)
			s := l.begin("till", kari)
			time.Sleep(90 * time.Second)
			if n := len(op.of(kari).polls); n != 1 {
				t.Fatalf("%d polls", n)
			}
			op.says(kari, answer)
			if !l.Ping(op.of(kari).id) {
				t.Error("it isn't ours")
			}
			got := l.until("till", s.ID)
			if took := time.Since(s.Created); got.State != want || want == merchant.Approved && took > 92*time.Second || took > 101*time.Second {
				t.Errorf("%q: %s after %v", answer, got.State, took)
			}
			if n := len(op.of(kari).polls); n != 2 {
				t.Errorf("%q: %d polls", answer, n)
			}
		})
	}
}
