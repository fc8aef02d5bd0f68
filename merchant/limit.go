package merchant

import (
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/vippsauth/vippsauth/internal/rate"
)

const (
	maxBuckets = 100_000
	sweepPause = time.Second
)

// What a [LimitError] is about.
const (
	limitPhone    = "phone"
	limitCaller   = "caller"
	limitWaiting  = "waiting"
	limitProvider = "provider"
	limitLanding  = "landing"
)

// LimitError says that too many logins were started, or wait, so that this one was not.
type LimitError struct {
	// RetryAfter is how long to wait before another try.
	RetryAfter time.Duration
	// Limit is what was too much: "phone", "caller", "waiting", or "provider" where the provider said so.
	Limit string
}

// Error names the limit.
func (e *LimitError) Error() string {
	return fmt.Sprintf("merchant: too many logins (%s), try again in %v", e.Limit, e.RetryAfter)
}

// limiter counts. A bucket that is full is as good as none, and forgotten; while there are too many others nothing is
// started, so that nobody makes room for themselves by filling it. Its clock is monotonic.
type limiter struct {
	mu      sync.Mutex
	buckets map[digest]level
	swept   time.Duration
}

// level is how full a bucket is.
type level struct {
	full time.Duration // when it will be full again
	kept bool          // over a restart, where there is a journal
}

func newLimiter() *limiter {
	return &limiter{buckets: map[digest]level{}, swept: math.MinInt64}
}

// bucket is one that a start is taken from.
type bucket struct {
	name  string
	key   digest
	limit rate.Limit
	kept  bool
}

// take takes one from all of the buckets or, where one of them has none left, from none.
func (l *limiter) take(now time.Duration, from ...bucket) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.buckets)+len(from) > maxBuckets && (l.swept == math.MinInt64 || now-l.swept >= sweepPause) {
		l.swept = now
		for key, b := range l.buckets {
			if b.full <= now {
				delete(l.buckets, key)
			}
		}
	}
	after := make([]time.Duration, len(from))
	for i, b := range from {
		if b.limit.Count == 0 {
			continue
		}
		at, known := l.buckets[b.key]
		if !known {
			at.full = now
			if len(l.buckets) >= maxBuckets {
				return &LimitError{RetryAfter: time.Minute, Limit: limitWaiting}
			}
		}
		left, wait := b.limit.Take(at.full - now)
		if wait > 0 {
			return &LimitError{RetryAfter: (wait + time.Second - 1).Truncate(time.Second), Limit: b.name}
		}
		after[i] = now + left
	}
	for i, b := range from {
		if b.limit.Count > 0 {
			l.buckets[b.key] = level{full: after[i], kept: b.kept}
		}
	}
	return nil
}
