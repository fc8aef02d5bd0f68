// Package rate says how often something may happen: so many times within a period, by the generic cell rate algorithm of
// ITU-T I.371, and lines of a log, once a minute. Its clock is its caller's. How many buckets there are, and what happens when
// there are too many, differs from limit to limit, so that whoever limits keeps their own.
package rate

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Off is the text of a limit that limits nothing.
const Off = "off"

const (
	maxCount  = 1_000_000
	maxPeriod = 24 * time.Hour
)

// A Limit is that of a bucket of so many which fills up evenly within its period. The zero value limits nothing.
type Limit struct {
	Count  int
	Period time.Duration
}

// Parse reads the setting of a limit on logins. Its error names example, which is one.
func Parse(text, example string) (Limit, error) {
	if text == Off {
		return Limit{}, nil
	}
	many, within, _ := strings.Cut(text, "/")
	count, err := strconv.Atoi(many)
	if err == nil && count >= 1 && count <= maxCount && many[0] != '+' {
		if period, err := time.ParseDuration(within); err == nil && period >= time.Second && period <= maxPeriod {
			return Limit{Count: count, Period: period}, nil
		}
	}
	return Limit{}, errors.New("must be a number of logins and a time, such as " + example + ", or off: at most 1000000, in 1s to 24h")
}

// Take takes one from a bucket that is full again in so long: a time in the past is now, and one beyond the period, where the
// clock was turned back or the period was longer, is the period. It returns in how long the bucket is full after that and, where
// there was none left, how long until there is one; nothing is to be kept then. It is not for a limit that limits nothing.
func (l Limit) Take(full time.Duration) (after, wait time.Duration) {
	after = min(max(full, 0), l.Period) + l.Period/time.Duration(l.Count)
	return after, max(0, after-l.Period)
}

// A Bucket is one for all that come. The zero value is full.
type Bucket struct {
	mu   sync.Mutex
	full time.Time // when it is full again
}

// Take takes one or, where there is none left, none, and returns how long until there is one.
func (b *Bucket) Take(l Limit, now time.Time) (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	full := min(b.full.Sub(now), l.Period) // beyond it the clock was turned back
	after, wait := l.Take(full)
	if wait == 0 {
		full = after
	}
	b.full = now.Add(full)
	return wait
}

// Lines lets a line of a kind into the log once a minute, so that nobody fills it from outside. Kinds are ours, and few: none is
// forgotten. The zero value has let none through yet.
type Lines struct {
	mu   sync.Mutex
	said map[string]time.Time
}

// May reports whether a line of this kind may be written now, and counts it as written.
func (l *Lines) May(kind string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	last, known := l.said[kind]
	if age := now.Sub(last); known && age >= 0 && age < time.Minute {
		return false
	}
	if l.said == nil {
		l.said = map[string]time.Time{}
	}
	l.said[kind] = now
	return true
}
