package vipps

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	minFresh     = time.Minute
	defaultFresh = time.Hour
	maxFresh     = 24 * time.Hour

	firstBackoff = time.Second
	maxBackoff   = 30 * time.Second

	// staleWait is how long a caller waits for a refresh when there is an
	// older value to fall back on.
	staleWait = 2 * time.Second
)

// cached is a value that is fetched from the provider: by one caller for all,
// when it is missing or has expired, and no sooner after a failure than a
// back-off allows. What was fetched before stays in use when a fetch fails.
type cached[T any] struct {
	now   func() time.Time
	stage Stage
	fetch func(context.Context) (T, time.Duration, error)

	mu       sync.Mutex
	value    T
	have     bool
	serial   int // counts the successful fetches
	expires  time.Time
	failures int // in a row
	retryAt  time.Time
	err      error         // of the last fetch
	flight   chan struct{} // closed when the fetch under way ends; nil if none is
}

// lastError returns why the last fetch failed, nil if it did not.
func (c *cached[T]) lastError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// snapshot returns the value at hand and its serial, 0 when there is none.
func (c *cached[T]) snapshot() (T, int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.value, c.serial
}

// expire makes the next get fetch, if what is at hand is still that of the given serial.
func (c *cached[T]) expire(serial int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.serial == serial {
		c.expires = time.Time{}
	}
}

// get returns a fresh value if it can, an older one if it must.
func (c *cached[T]) get(ctx context.Context) (T, error) {
	c.mu.Lock()
	if c.have && c.now().Before(c.expires) {
		defer c.mu.Unlock()
		return c.value, nil
	}
	done := c.start(ctx)
	have := c.have
	c.mu.Unlock()

	wait(ctx, done, have)
	return c.result(ctx)
}

// refresh fetches although what is at hand may be fresh, and returns when that
// has ended. It joins a fetch under way, and does nothing when there has been a
// successful one since the given serial, when the back-off forbids it, or when
// allowed says no. allowed runs with c.mu held, and is asked last.
func (c *cached[T]) refresh(ctx context.Context, since int, allowed func(now time.Time) bool) {
	c.mu.Lock()
	var done chan struct{}
	switch {
	case c.serial != since:
	case c.flight != nil:
		done = c.flight
	case !c.backingOff() && allowed(c.now()):
		done = c.start(ctx)
	}
	c.mu.Unlock()
	wait(ctx, done, false)
}

// backingOff says whether the next fetch has to wait. c.mu is held.
func (c *cached[T]) backingOff() bool {
	return c.err != nil && c.now().Before(c.retryAt)
}

// start returns the channel of the fetch under way, having begun one if
// needed; nil if the back-off forbids one. c.mu is held.
//
// The fetch outlives the caller: its context has the caller's values but not
// its end. It ends by itself, since each call to the provider has a time limit.
func (c *cached[T]) start(ctx context.Context) chan struct{} {
	if c.flight != nil {
		return c.flight
	}
	if c.backingOff() {
		return nil
	}
	done := make(chan struct{})
	c.flight = done
	go func() {
		v, fresh, err := c.fetch(context.WithoutCancel(ctx))
		c.mu.Lock()
		defer c.mu.Unlock()
		defer close(done)
		c.flight = nil
		c.settle(v, fresh, err)
	}()
	return done
}

// settle takes over what a fetch brought. c.mu is held.
func (c *cached[T]) settle(v T, fresh time.Duration, err error) {
	now := c.now()
	if err == nil {
		c.value, c.have, c.err, c.failures = v, true, nil, 0
		c.serial++
		c.expires = now.Add(fresh)
		return
	}
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Stage: c.stage, Code: CodeInvalidResponse, Err: err}
	}
	e.hint.notFetched = true
	c.err = e
	c.failures++
	c.retryAt = now.Add(max(backoff(c.failures), e.RetryAfter))
}

// result returns the value at hand, or else the last error with the time that
// is left of the back-off.
func (c *cached[T]) result(ctx context.Context) (T, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.have {
		return c.value, nil
	}
	var zero T
	var last *Error
	if !errors.As(c.err, &last) {
		// Nothing has come back yet: it was the caller who stopped waiting.
		e := transportError(ctx, c.stage, context.Cause(ctx))
		e.hint.notFetched = true
		return zero, e
	}
	e := *last
	left := max(c.retryAt.Sub(c.now()), time.Second)
	e.RetryAfter = (left + time.Second - 1).Truncate(time.Second)
	return zero, &e
}

// wait waits for done, the caller's end, or, with an older value at hand,
// for staleWait.
func wait(ctx context.Context, done <-chan struct{}, have bool) {
	if done == nil {
		return
	}
	var enough <-chan time.Time
	if have {
		t := time.NewTimer(staleWait)
		defer t.Stop()
		enough = t.C
	}
	select {
	case <-done:
	case <-ctx.Done():
	case <-enough:
	}
}

// backoff returns how long to wait after the given number of failures in a
// row: doubling from a second to half a minute, give or take a quarter.
func backoff(failures int) time.Duration {
	d := maxBackoff
	if failures < 6 {
		d = min(firstBackoff<<(failures-1), maxBackoff)
	}
	jittered := d*3/4 + rand.N(d/2) //nolint:gosec // it only spreads load
	return min(jittered, maxBackoff)
}

// freshness returns how long an answer may be used by its Cache-Control and
// Age (RFC 9111), within our limits.
func freshness(h http.Header) time.Duration {
	for _, directive := range strings.Split(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "no-store", "no-cache":
			return minFresh
		case "max-age":
			n, err := strconv.Atoi(strings.Trim(strings.TrimSpace(value), `"`))
			if err != nil || n < 0 {
				continue
			}
			if age, err := strconv.Atoi(h.Get("Age")); err == nil && age > 0 {
				n -= min(n, age)
			}
			return min(max(time.Duration(min(n, 86400))*time.Second, minFresh), maxFresh)
		}
	}
	return defaultFresh
}
