package merchant

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net/http"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/vipps"
)

const (
	// A login that nobody is asked about is declined after this, and as much more by chance as the second says; and, while no
	// pings come, when a poll would have found it out.
	declineAfter  = 5 * time.Second
	declineSpread = 10 * time.Second
	standardPace  = 5 * time.Second // of polls, where no provider has said anything yet

	fullPause     = 30 * time.Second // to try again where too many wait
	providerPause = time.Minute      // and where the provider says 429 and not until when
	maxToken      = 2 << 10          // as the client takes them
	maxReturnTo   = 2048
)

// Start starts a login: the person gets a message in the app, and Status.Code is to be read to them. The error is
// a *vipps.ConfigError whose Setting names the field (phone, customer_token, scopes, expiry, return_to), a *[LimitError],
// or what package vipps says of the provider, which matches vipps.ErrUnavailable where it is away.
//
// For somebody whom the provider doesn't know, or who may not log in, Start answers as for anybody else. Whoever the person
// is, what was counted stays counted.
func (l *Logins) Start(ctx context.Context, caller string, r Request) (Status, error) {
	start, err := l.startOf(caller, r)
	if err != nil {
		return Status{}, err
	}
	if err := l.count(ctx, caller, start.who); err != nil {
		return Status{}, err
	}
	if !l.reserve(caller) {
		return Status{}, l.limited(&LimitError{RetryAfter: fullPause, Limit: limitWaiting})
	}
	e := &entry{key: newKey(), caller: caller, code: start.request.BindingMessage, returnTo: r.ReturnTo, created: l.now()}
	p, err := l.cfg.Client.StartMerchantLogin(ctx, start.request)
	if start.phone {
		e.person = l.ids.digest("latest", caller, start.who)
	}
	switch {
	case err == nil:
		e.pending, e.expires = p, e.created.Add(p.Expires.Sub(p.Started))
	case errors.Is(err, vipps.ErrNotEligible): // and nobody is told
	default:
		l.release(caller)
		return Status{}, l.refusal(err)
	}
	id, err := l.ids.seal(caller, e.key, e.created)
	if err != nil {
		l.release(caller)
		return Status{}, err
	}
	kept, err := l.begun(e, r.Expiry)
	if err != nil {
		return Status{}, err
	}
	kept.wait(ctx)
	return Status{ID: id, State: Pending, Code: e.code, Flow: e.flow(), Created: e.created, Expires: e.expires}, nil
}

// beginning is a request that was checked.
type beginning struct {
	request vipps.MerchantLoginRequest
	who     string // the phone number in one spelling, or the customer token
	phone   bool
}

func (l *Logins) startOf(caller string, r Request) (beginning, error) {
	b := beginning{request: vipps.MerchantLoginRequest{Expiry: r.Expiry, BindingMessage: vipps.NewBindingMessage()}}
	if caller == "" || len(caller) > maxCaller {
		return b, ErrUnknown
	}
	switch {
	case r.Phone != "" && r.CustomerToken != "":
		return b, fault("customer_token", "must not be given beside phone")
	case r.CustomerToken != "":
		if len(r.CustomerToken) > maxToken {
			return b, fault("customer_token", "is too long")
		}
		b.who, b.request.CustomerToken = r.CustomerToken, r.CustomerToken
	default:
		number, err := l.phone(r.Phone)
		if err != nil {
			return b, err
		}
		b.who, b.phone, b.request.Phone = number, true, "+"+number
	}
	b.request.Scopes = l.cfg.Scopes
	if len(r.Scopes) > 0 {
		b.request.Scopes = []string{vipps.ScopeOpenID}
		for _, scope := range r.Scopes {
			if !slices.Contains(l.cfg.Scopes, scope) {
				return b, fault("scopes", "holds one that isn't in merchant_scopes")
			}
			if !slices.Contains(b.request.Scopes, scope) {
				b.request.Scopes = append(b.request.Scopes, scope)
			}
		}
	}
	if r.Expiry != 0 && (r.Expiry < minExpiry || r.Expiry > maxExpiry || r.Expiry%time.Second != 0) {
		return b, fault("expiry", "must be 60 to 900 whole seconds")
	}
	if r.ReturnTo != "" {
		switch {
		case l.cfg.RedirectURI == "" || l.cfg.CheckReturnTo == nil:
			return b, fault("return_to", "is not offered here: no page for it is registered")
		case len(r.ReturnTo) > maxReturnTo:
			return b, fault("return_to", "is too long")
		}
		if err := l.cfg.CheckReturnTo(r.ReturnTo); err != nil {
			return b, fault("return_to", err.Error())
		}
		b.request.RedirectURI = l.cfg.RedirectURI
	}
	return b, nil
}

func fault(field, reason string) error { return &vipps.ConfigError{Setting: field, Reason: reason} }

// phone brings a number into the one spelling in which it is counted.
func (l *Logins) phone(number string) (string, error) {
	if number == "" {
		return "", fault("phone", "is missing: give a phone number with its country code")
	}
	msisdn, ok := vipps.NormalizePhone(number, l.cfg.Market)
	if !ok {
		return "", fault("phone", "must be a phone number with its country code, such as +47 and eight digits")
	}
	return msisdn, nil
}

// count takes a start, or a question, from what the caller and the phone number have left. What a number has left outlives a restart, where
// there is a journal: what makes us restart must not make its phone ring more often.
func (l *Logins) count(ctx context.Context, caller, who string) error {
	l.journal.settled(ctx.Done())
	number := bucket{limitPhone, l.ids.digest(limitPhone, who), l.cfg.phoneLimit, l.journal != nil}
	if number.kept {
		number.key = l.journal.digest(limitPhone, who)
	}
	err := l.limits.take(l.now().Sub(l.began), bucket{limitCaller, l.ids.digest(limitCaller, caller), l.cfg.callerLimit, false}, number)
	if err == nil && number.limit.Count > 0 {
		l.journal.count(number.key)
	}
	if e, ok := errors.AsType[*LimitError](err); ok {
		return l.limited(e)
	}
	return err
}

// limited counts a refusal.
func (l *Logins) limited(e *LimitError) error {
	l.metrics.limited.WithLabelValues(e.Limit).Inc()
	l.warn("limit "+e.Limit, "merchant logins are refused: there are too many", zap.String("limit", e.Limit), zap.String("cure", cureOf(e.Limit)))
	return e
}

// cureOf is what an operator can do about a limit.
func cureOf(limit string) string {
	switch limit {
	case limitPhone:
		return "raise merchant_limit if they are meant to be"
	case limitCaller:
		return "raise merchant_caller_limit if one caller has so many customers"
	case limitWaiting:
		return "see which caller starts so many: more wait, or were started a short time ago, than can be kept"
	case limitProvider:
		return "start fewer: Vipps takes no more"
	default:
		return "see who sends so many browsers to the page where such logins end"
	}
}

// refusal is what a caller is told of the provider's error.
func (l *Logins) refusal(err error) error {
	e, ok := errors.AsType[*vipps.Error](err)
	if !ok || e.Status != http.StatusTooManyRequests {
		return err
	}
	wait := e.RetryAfter
	if wait <= 0 {
		wait = providerPause
	}
	return l.limited(&LimitError{RetryAfter: wait, Limit: limitProvider})
}

// reserve keeps a place for a login that is being started, and release gives it back.
func (l *Logins) reserve(caller string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.room(caller) {
		return false
	}
	l.starting++
	l.callers[caller]++
	return true
}

func (l *Logins) release(caller string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unreserve(caller)
}

// unreserve is release with l.mu held.
func (l *Logins) unreserve(caller string) {
	l.starting--
	if l.callers[caller]--; l.callers[caller] <= 0 {
		delete(l.callers, caller)
	}
}

// begun gives a login the place that was kept for it.
func (l *Logins) begun(e *entry, expiry time.Duration) (*batch, error) {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unreserve(e.caller)
	switch {
	case e.pending == nil:
		l.disguise(e, expiry, now)
	case l.waiting[e.pending.AuthReqID] != nil: // or one of the two would get the other's person
		return nil, &vipps.Error{Stage: vipps.StageBackchannel, Code: vipps.CodeInvalidResponse, Err: errors.New("the provider gave the id of another login that waits")}
	default:
		l.lives[expiry] = e.expires.Sub(e.created) // of some hundred that can be asked for
		l.pace = e.pending.Interval
	}
	l.add(e, now)
	l.metrics.states.WithLabelValues(string(Pending)).Inc()
	return l.journal.add(e), nil
}

// disguise makes a login that nobody is asked about look like any other. In a browser's flow the provider tells nobody
// that a person said no, so that such a one just expires. l.mu is held.
func (l *Logins) disguise(e *entry, expiry time.Duration, now time.Time) {
	life := l.lives[expiry]
	if life == 0 {
		life = cmp.Or(expiry, standardLife)
	}
	e.expires = e.created.Add(life)
	if e.returnTo == "" {
		e.decline = l.declineAt(now, now.Sub(e.created))
	}
}

// declineAt is when somebody whom nobody is asked about says no. That anybody else did is known at a poll, unless a ping says so, and a
// provider takes so long to answer each; a no between two polls would be that of somebody without an account. l.mu is held.
func (l *Logins) declineAt(now time.Time, answers time.Duration) time.Time {
	if l.heard {
		return now.Add(declineAfter + chance(declineSpread))
	}
	pace := cmp.Or(l.pace, standardPace)
	later := func() time.Duration { return chance(pace * time.Duration(min(len(l.waiting)+1, crowd)) / crowd) }
	least := (declineAfter + pace - 1) / pace // polls
	most := max(least+1, (declineAfter+declineSpread)/pace-1)
	at := now.Add(pace + later() + answers)
	for range least + chance(most-least+1) - 1 {
		at = at.Add(pace + later()/10 + answers)
	}
	return at
}

// chance is a random time below a limit.
func chance(below time.Duration) time.Duration {
	if below <= 0 {
		return 0
	}
	var b [8]byte
	_, _ = rand.Read(b[:])                                              // never fails: the program would end
	return time.Duration(binary.BigEndian.Uint64(b[:]) % uint64(below)) //nolint:gosec // both are positive
}

// UserExists asks the provider whether a phone number has an account that can log in. It counts as a start does, in the
// same limits: whoever may ask often knows everybody's answer. Its errors are those of Start.
func (l *Logins) UserExists(ctx context.Context, caller, phone string) (bool, error) {
	if caller == "" || len(caller) > maxCaller {
		return false, ErrUnknown
	}
	number, err := l.phone(phone)
	if err != nil {
		return false, err
	}
	if err := l.count(ctx, caller, number); err != nil {
		return false, err
	}
	exists, err := l.cfg.Client.UserExists(ctx, "+"+number)
	if err != nil {
		return false, l.refusal(err)
	}
	return exists, nil
}
