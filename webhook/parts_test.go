package webhook_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/webhook"
)

// What was seen is remembered for its time and no longer. Where there is no room to remember more, what comes counts as seen: it could come twice.
func TestSec_A161_Seen(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := webhook.NewSeen(2, time.Minute)
	for i, step := range []struct {
		after  time.Duration
		digest byte
		forget bool
		want   bool
	}{
		{0, 1, false, true},
		{0, 1, false, false},
		{30 * time.Second, 2, false, true},
		{0, 3, false, false},                // full
		{29 * time.Second, 1, false, false}, // a second before its end
		{time.Second, 3, false, true},       // 1 has ended
		{0, 1, false, false},                // full again
		{30 * time.Second, 1, false, true},  // 2 has ended
		{10 * time.Second, 1, true, true},   // what was forgotten takes no place
		{20 * time.Second, 1, false, false}, // 3 has ended
		{31 * time.Second, 1, false, false}, // the end of the one that was forgotten isn't its own
		{29 * time.Second, 1, false, true},  // its own is
	} {
		now = now.Add(step.after)
		if step.forget {
			s.Forget(step.digest)
		}
		if got := s.Claim(step.digest, now); got != step.want {
			t.Errorf("step %d: %v", i, got)
		}
	}
}

// At the end no more is taken, what is there is done, and not for longer than its time.
func TestQueue_End(t *testing.T) {
	t.Parallel()
	q := webhook.NewQueue(10, 1, 2*time.Second)
	var done atomic.Int32
	ctx, cancel := context.WithCancel(context.Background())
	for range 3 {
		q.Offer(func(context.Context) { done.Add(1) })
	}
	q.Offer(func(ctx context.Context) { <-ctx.Done() }) // hangs until the time is over
	q.Offer(func(context.Context) { done.Add(100) })
	cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		q.Run(ctx)
	}()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Fatal("it doesn't end")
	}
	if done.Load() != 3 {
		t.Errorf("%d are done", done.Load())
	}
	if q.Offer(func(context.Context) {}) {
		t.Error("takes more after its end")
	}
	q.End()
}
