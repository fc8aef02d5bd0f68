package merchant

import (
	"context"
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/vipps"
)

// consentTimeout is how long Config.Consented may take.
const consentTimeout = 10 * time.Second

// ask asks the provider about a login once. Nobody else does at the same time: e.asked is set.
func (l *Logins) ask(ctx context.Context, e *entry) {
	l.mu.Lock()
	if e.state != Pending {
		e.asked = false
		l.mu.Unlock()
		return
	}
	if now := l.now(); !now.Before(e.expires) { // it has waited for a worker that long
		e.asked = false
		l.expire(e)
		l.mu.Unlock()
		return
	}
	pending := *e.pending
	e.ping = false // this is what it asked for
	l.mu.Unlock()

	l.metrics.polls.Inc()
	login, err := l.cfg.Client.PollMerchantLogin(ctx, &pending)
	if err == nil {
		l.consented(ctx, login)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	e.asked = false
	if e.state == Pending { // else it was canceled meanwhile
		l.answer(e, login, err)
	}
}

// answer acts on what the provider said about a pending login. l.mu is held.
func (l *Logins) answer(e *entry, login *vipps.Login, err error) {
	now := l.now()
	e.answered = now
	if err == nil {
		e.login = login
		l.end(e, Approved, "")
		return
	}
	if failed, ok := errors.AsType[*vipps.Error](err); ok && failed.Code == vipps.CodeCanceled {
		l.plan(e, now, 0) // Run ends, and the provider has said nothing
		return
	}
	final := e.polling.Answered(err, now)
	e.away = errors.Is(err, vipps.ErrUnavailable)
	switch {
	case errors.Is(err, vipps.ErrDenied), errors.Is(err, vipps.ErrNotEligible):
		l.end(e, Declined, "")
	case errors.Is(err, vipps.ErrExpired):
		l.expire(e)
	case errors.Is(err, vipps.ErrPending):
		l.slower(e, err, now)
		l.plan(e, now, l.wobble(e, now))
	case !final:
		l.unanswered(err)
		l.plan(e, now, l.wobble(e, now))
	case e.away:
		l.expire(e)
	default:
		l.end(e, Failed, reasonOf(err))
		l.complain("a merchant login failed", err)
	}
}

// wobble keeps apart what was spread at the start. l.mu is held.
func (l *Logins) wobble(e *entry, now time.Time) time.Duration { return l.spread(e, now) / 10 }

// slower remembers for after a restart that the provider wants to be asked less often. l.mu is held.
func (l *Logins) slower(e *entry, err error, now time.Time) {
	said, ok := errors.AsType[*vipps.Error](err)
	if !ok || said.Code != "slow_down" {
		return
	}
	if next, over := e.polling.Next(); !over {
		e.pending.Interval = next.Sub(now)
		l.journal.add(e)
	}
}

// unanswered tells the operator that the provider could not be asked.
func (l *Logins) unanswered(err error) {
	l.complain("the provider could not be asked about a merchant login; asking again until the login expires", err)
}

// reasonOf says why a poll's answer was the last.
func reasonOf(err error) string {
	e, ok := errors.AsType[*vipps.Error](err)
	if ok && e.Status >= http.StatusBadRequest {
		return ReasonRefused
	}
	return ReasonInvalid
}

// consented hands on what the person answered, before anybody gets the result.
func (l *Logins) consented(ctx context.Context, login *vipps.Login) {
	if l.cfg.Consented == nil {
		return
	}
	c, ok := login.User.Consents()
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), consentTimeout)
	defer cancel()
	if err := l.cfg.Consented(ctx, login.User.Sub, c); err != nil {
		l.metrics.consentsLost.Inc()
		l.log.Error("somebody's answers to questions about consent could not be kept: they are in the result of this login and nowhere else",
			zap.String("error", "see the line of what keeps them"))
	}
}

// complain logs trouble with the provider, each kind once a minute.
func (l *Logins) complain(what string, err error) {
	if e, ok := errors.AsType[*vipps.Error](err); ok {
		l.warn(what, what, zap.String("stage", string(e.Stage)), zap.String("code", e.Code), zap.Int("status", e.Status), zap.Strings("likely_causes", e.Causes()))
		return
	}
	l.warn(what, what)
}

// warn logs a line, one of a kind a minute. Kinds are fixed.
func (l *Logins) warn(kind, what string, fields ...zap.Field) {
	if l.said.May(kind, l.now()) {
		l.log.Warn(what, fields...)
	}
}
