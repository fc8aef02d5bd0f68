package vipps

import (
	"context"
	"errors"
	"net/http"
	"time"
)

const (
	// slowDown is what each slow_down adds, for good (CIBA Core §11).
	slowDown = 5 * time.Second
	// slowest is up to where polls are spaced while the provider is away, unless it asks for more itself.
	slowest = time.Minute
)

// Polling says when the next poll of a merchant-initiated login may be, by the rules of CIBA Core §7.3 and §11. It does no
// I/O and keeps no time itself: its owner polls, one at a time, and tells it what came of it. It is not safe for concurrent use.
//
// Its deadline holds even if the clock is set meanwhile, as long as the times given to it come from time.Now.
type Polling struct {
	next, deadline time.Time
	interval       time.Duration
	failures       int // in a row
	over           bool
}

// NewPolling returns the polling of a login that was acknowledged, or read from where it was kept, by now: the first poll
// is one interval later.
func NewPolling(p *PendingMerchantLogin, now time.Time) *Polling {
	s := &Polling{interval: min(p.Interval, maxInterval)}
	if s.interval <= 0 {
		s.interval = defaultInterval
	}
	s.deadline = now.Add(min(p.Expires.Sub(now), maxLifetime))
	s.next = now.Add(s.interval)
	return s
}

// Next returns when the next poll may be. When over is true there is none: the login has come to an end, or would have
// expired by then; at is then when it expires.
func (s *Polling) Next() (at time.Time, over bool) {
	if s.over || s.next.After(s.deadline) {
		return s.deadline, true
	}
	return s.next, false
}

// Answered takes what PollMerchantLogin returned at now, and says whether that was the last poll: the login succeeded, or can't
// any more. The wait for the next one begins at now, the answer, not at the question. While the provider is out of reach the polls go on, more
// and more slowly, until the login expires; a failure after the tokens were handed out is the end, since they are handed out once.
func (s *Polling) Answered(err error, now time.Time) (final bool) {
	var e *Error
	switch {
	case err == nil || !errors.As(err, &e) || !goesOn(e) && (s.failures > 0 || !e.refusesPartner()):
		s.over = true
		return true
	case e.Is(ErrPending):
		s.failures = 0
		if e.Code == codeSlowDown {
			s.interval = min(s.interval+slowDown, maxInterval)
		}
	case e.Code != CodeCanceled: // that was our own doing
		s.failures++
	}
	wait := s.interval
	for n := s.failures; n > 0 && wait < slowest; n-- {
		wait *= 2
	}
	s.next = now.Add(max(wait, e.RetryAfter))
	return false
}

// goesOn says whether the login may still succeed.
func goesOn(e *Error) bool {
	switch e.Stage {
	case StageToken:
		if e.Is(ErrDenied) || e.Is(ErrExpired) || e.Is(ErrNotEligible) { // whatever status it came with
			return false
		}
		return e.Is(ErrPending) || e.Temporary() || e.Code == CodeTLS || e.Code == CodeCanceled
	case StageDiscovery, StageAccessToken: // before the question
		return e.Is(ErrUnavailable) || e.Code == CodeCanceled
	default:
		return false
	}
}

// refusesPartner says that a partner's token has ended before its time: the next request is made with another.
func (e *Error) refusesPartner() bool {
	return e.Stage == StageToken && e.Status == http.StatusUnauthorized && e.hint.auth == ClientAuthPartner
}

// WaitMerchantLogin polls until the login succeeds or can't any more, and returns what PollMerchantLogin does then: ErrDenied,
// ErrExpired and the like. It ends with ctx too. It must run once at a time for one login.
func (c *Client) WaitMerchantLogin(ctx context.Context, p *PendingMerchantLogin) (*Login, error) {
	if err := c.checkPolled(p); err != nil {
		return nil, err
	}
	s := NewPolling(p, c.cfg.Now())
	var last error
	for {
		at, over := s.Next()
		if over {
			return nil, c.expired(last)
		}
		if err := c.sleep(ctx, at); err != nil {
			return nil, err
		}
		login, err := c.PollMerchantLogin(ctx, p)
		if s.Answered(err, c.cfg.Now()) {
			return login, err
		}
		if ctx.Err() != nil {
			return nil, c.hinted(transportError(ctx, StageToken, ctx.Err()))
		}
		last = nil
		if !errors.Is(err, ErrPending) {
			last = err
		}
	}
}

// sleep waits until the clock says at.
func (c *Client) sleep(ctx context.Context, at time.Time) error {
	timer := time.NewTimer(at.Sub(c.cfg.Now()))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return c.hinted(transportError(ctx, StageToken, ctx.Err()))
	}
}
