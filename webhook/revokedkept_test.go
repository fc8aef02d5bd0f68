package webhook_test

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/webhook"
)

// Attack: somebody withdraws consent, Vipps is told 200 and never sends it again, and in the same moment the process is killed. Where
// nothing was on the disk yet, the sessions lived on after the restart. The answer waits for the end of sessions.
func TestSec_A170_D30_WithdrawnIsWithdrawnWhenItIsAnswered(t *testing.T) {
	t.Parallel()
	var kept atomic.Int64
	l := newLab(t, func(it *lab, cfg *webhook.Config) {
		end := cfg.EndSessions
		cfg.EndSessions = func(sub string, before time.Time) error {
			time.Sleep(10 * time.Millisecond) // a disk
			kept.Add(1)
			return end(sub, before)
		}
	})
	l.receiver.KeepFor(time.Minute)
	for i := range int64(5) {
		l.want("withdrawn", revoked(revokedURL, fmt.Sprintf("person-%d", i), l.clock()), http.StatusOK)
		if kept.Load() != i+1 {
			t.Fatalf("%d are answered, and %d are kept", i+1, kept.Load())
		}
	}
}

// A disk that hangs makes nobody wait for long: what it can't keep at once is ended in the process, and kept later.
func TestConsentRevoked_HangingDisk(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(it *lab, _ *webhook.Config) { it.hold = make(chan struct{}) })
	answered := make(chan int)
	go func() { answered <- l.send(revoked(revokedURL, "person", l.clock())).Code }()
	select {
	case status := <-answered:
		if status != http.StatusOK {
			t.Errorf("%d", status)
		}
	case <-time.After(30 * time.Second):
		t.Error("the answer waits for ever")
	}
	l.let()
}
