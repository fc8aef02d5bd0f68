package merchant

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	limitOff       = "off"
	maxLimitCount  = 1_000_000
	maxLimitPeriod = 24 * time.Hour

	maxBuckets = 100_000
	sweepPause = time.Second
)

// limit is a bucket of so many starts that fills up evenly within its period. The zero value limits nothing.
type limit struct {
	count  int
	period time.Duration
}

var errLimit = errors.New("must be a number of logins and a time, such as " + defaultPhoneLimit + ", or off: at most 1000000, in 1s to 24h")

func parseLimit(text string) (limit, error) {
	if text == limitOff {
		return limit{}, nil
	}
	many, within, _ := strings.Cut(text, "/")
	count, err := strconv.Atoi(many)
	if err != nil || count < 1 || count > maxLimitCount || many[0] == '+' {
		return limit{}, errLimit
	}
	period, err := time.ParseDuration(within)
	if err != nil || period < time.Second || period > maxLimitPeriod {
		return limit{}, errLimit
	}
	return limit{count: count, period: period}, nil
}

// take returns when a bucket will be full again after one more start and, where there is none left, how long until there
// is one. This is the generic cell rate algorithm of ITU-T I.371: one number a bucket.
func (l limit) take(full, now time.Duration) (after, wait time.Duration) {
	empty := now + l.period
	after = min(max(full, now), empty) + l.period/time.Duration(l.count)
	return after, max(0, after-empty)
}

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
	buckets map[digest]time.Duration // when it is full again
	swept   time.Duration
}

func newLimiter() *limiter {
	return &limiter{buckets: map[digest]time.Duration{}, swept: math.MinInt64}
}

// bucket is one that a start is taken from.
type bucket struct {
	name  string
	key   digest
	limit limit
}

// take takes one from all of the buckets or, where one of them has none left, from none.
func (l *limiter) take(now time.Duration, from ...bucket) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.buckets)+len(from) > maxBuckets && (l.swept == math.MinInt64 || now-l.swept >= sweepPause) {
		l.swept = now
		for key, full := range l.buckets {
			if full <= now {
				delete(l.buckets, key)
			}
		}
	}
	after := make([]time.Duration, len(from))
	for i, b := range from {
		if b.limit.count == 0 {
			continue
		}
		full, known := l.buckets[b.key]
		if !known {
			full = now
			if len(l.buckets) >= maxBuckets {
				return &LimitError{RetryAfter: time.Minute, Limit: limitWaiting}
			}
		}
		var wait time.Duration
		if after[i], wait = b.limit.take(full, now); wait > 0 {
			return &LimitError{RetryAfter: (wait + time.Second - 1).Truncate(time.Second), Limit: b.name}
		}
	}
	for i, b := range from {
		if b.limit.count > 0 {
			l.buckets[b.key] = after[i]
		}
	}
	return nil
}
