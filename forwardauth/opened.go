package forwardauth

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/vippsauth/vippsauth/session"
)

// opened is a session as requests need it: unsealed, with every header value ready. It is shared between
// requests; only what is atomic in it changes.
type opened struct {
	data  sessionData
	ref   sessionRef // by which it may have been ended
	until int64      // Unix seconds: the sooner of expiry and idle end
	views []view     // one for each policy
	phone string

	checked atomic.Uint64 // State.revocations when it was last seen not to be revoked
	renewal atomic.Int64  // Unix seconds of the last request that was sent to renew it
}

// why a request that may carry a session cookie has no session.
type noSession uint8

const (
	noCookie noSession = iota
	cookieUnopenable
	cookieConflict
	cookieExpired
	cookieRevoked
	cookieFromFuture
)

// session returns the live session of a request, or nil and why there is none.
func (e *Engine) session(s *site, h http.Header, now time.Time) (*opened, noSession) {
	value, found := s.jar.Get(h)
	switch found {
	case session.One:
		return e.open(s, value, now)
	case session.Conflict:
		return e.openOneOf(s, s.jar.Values(h), now)
	case session.Broken:
		return nil, cookieUnopenable
	default:
		return nil, noCookie
	}
}

// openOneOf settles several cookies of one name: garbage beside a session doesn't end it, but two sessions of
// different people are none.
func (e *Engine) openOneOf(s *site, values []string, now time.Time) (*opened, noSession) {
	var best *opened
	why := cookieUnopenable
	for _, value := range values {
		op, reason := e.open(s, value, now)
		switch {
		case op == nil:
			why = max(why, reason)
		case best == nil:
			best = op
		case best.data.Sub != op.data.Sub:
			return nil, cookieConflict
		case op.until > best.until:
			best = op
		}
	}
	return best, why
}

func (e *Engine) open(s *site, value string, now time.Time) (*opened, noSession) {
	if op := s.opened.get(value); op != nil {
		switch {
		case now.Unix() >= op.until:
			s.opened.remove(value)
			return nil, cookieExpired
		case e.revoked(op, now):
			s.opened.remove(value)
			return nil, cookieRevoked
		default:
			return op, noCookie
		}
	}
	op, why := e.unseal(s, value, now)
	if op != nil {
		s.opened.put(value, op)
	}
	return op, why
}

// revoked reports whether a session was ended before its time, by whichever of its cookies, in whichever engine that
// shares the state. It looks when something was revoked since it last did.
func (e *Engine) revoked(op *opened, now time.Time) bool {
	revocations := e.state.revocations.Load()
	if op.checked.Load() == revocations {
		return false
	}
	if e.state.isRevoked(op.ref, now) {
		return true
	}
	op.checked.Store(revocations)
	return false
}

// unseal opens a cookie that is not in the cache.
func (e *Engine) unseal(s *site, value string, now time.Time) (*opened, noSession) {
	payload, err := s.sessions.Open(value)
	if err != nil {
		return nil, cookieUnopenable
	}
	op := &opened{}
	op.checked.Store(e.state.revocations.Load()) // before it is looked up below
	if err := op.data.read(payload); err != nil {
		return nil, cookieUnopenable
	}
	d := &op.data
	op.ref = refOf(e.client.Issuer(), d)
	if d.IdleUntil.IsZero() && e.cfg.SessionIdle > 0 { // from before there was such a limit
		d.IdleUntil = d.Issued.Add(e.cfg.SessionIdle)
	}
	until := d.Expires
	if !d.IdleUntil.IsZero() && d.IdleUntil.Before(until) {
		until = d.IdleUntil
	}
	// A shorter session_ttl holds for the sessions that are there already.
	if limit := d.Issued.Add(e.cfg.SessionTTL); limit.Before(until) {
		until = limit
	}
	switch {
	case d.Issued.After(now.Add(clockSkew)):
		return nil, cookieFromFuture
	case !now.Before(until):
		return nil, cookieExpired
	case e.state.isRevoked(op.ref, now):
		return nil, cookieRevoked
	}
	op.until = until.Unix()
	op.phone, _ = d.claim("phone_number")
	op.views = make([]view, len(e.rules))
	for i, r := range e.rules {
		v := &op.views[i]
		v.values = headerValues(d, r.specs)
		v.weak, v.byOtherWay = !r.provedBy(d), !r.cameBy(d)
		v.empty = emptyHeaders(e.names, func(i int) string { return v.values[i][0] })
	}
	return op, noCookie
}

// headerValues makes every identity header ready: one value each, empty where the person has no such claim.
func headerValues(d *sessionData, specs []headerSpec) [][]string {
	flat := make([]string, len(specs))
	values := make([][]string, len(specs))
	for i, h := range specs {
		flat[i] = headerValue(d, h)
		values[i] = flat[i : i+1 : i+1]
	}
	return values
}

func headerValue(d *sessionData, h headerSpec) string {
	switch {
	case h.Name == headerAuth:
		return authAuthenticated
	case h.Claim == "":
		return ""
	case h.Claim == "sub":
		return encodeValue(h.Encoding, d.Sub)
	}
	value, _ := d.claim(h.Claim)
	return encodeValue(h.Encoding, value)
}
