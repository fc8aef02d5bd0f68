package webhook_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/webhook"
)

// Attack: somebody knows the address, and sends withdrawn consents without end. They are put off, and must not use up what is
// remembered: Vipps' own would be answered as if they had come before, and not be sent again.
func TestSec_A170_PutOffOnesUseUpNothing(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for i := range 1000 {
		l.send(revoked(revokedURL, fmt.Sprintf("stranger-%d", i), l.clock()))
	}
	if kept, taken := l.receiver.Revocations(), l.counted("consent_revoked", "accepted"); float64(kept) != taken {
		t.Errorf("%d are remembered, and %v were taken", kept, taken)
	}
	l.pass(time.Minute)
	l.want("a real one", revoked(revokedURL, sub, l.clock()), http.StatusOK)
	if n := l.counted("consent_revoked", "replayed"); n != 0 {
		t.Errorf("%v are taken for replays", n)
	}
}

// What is forgotten leaves no trace, however often.
func TestSeen_ForgottenLeavesNothing(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := webhook.NewSeen(4, time.Minute)
	for i := range 100 {
		if !s.Claim(byte(i), now) {
			t.Fatalf("number %d is not new", i)
		}
		s.Forget(byte(i))
	}
	for i := range 4 {
		if !s.Claim(byte(i), now) {
			t.Errorf("number %d is not new", i)
		}
	}
	s.Forget(1)
	if s.Claim(2, now) || !s.Claim(1, now) || s.Claim(5, now) {
		t.Error("another is forgotten, or there is room for one more")
	}
}
