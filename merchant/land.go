package merchant

import (
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/vippsauth/vippsauth/internal/rate"
	"github.com/vippsauth/vippsauth/vipps"
)

const (
	// Anybody can send us a browser with a made-up code, so that they are counted, all together.
	landingCount  = 600
	landingPeriod = time.Minute

	maxLanded = 10_000 // codes that were seen
)

// Land finishes a login with [Request.ReturnTo]: a browser has come to [Config.RedirectURI], with the query. It returns who
// it is and where the browser is to go. Nothing says that the browser is that person's, or that they want to be logged in in it:
// ask them, on a page of the site's own.
//
// The provider sends no state; what ties the browser to a login is the ID token's auth_req_id, which must be that of one that
// waits for a browser. A code is sent to the provider once, and while nobody waits for a browser none is at all: that is
// [ErrUnknown]. Other errors are a *[LimitError] and those of package vipps.
func (l *Logins) Land(ctx context.Context, query url.Values) (login *vipps.Login, returnTo string, err error) {
	code, err := l.admit(query)
	if err != nil {
		return nil, "", err
	}
	ctx = context.WithoutCancel(ctx) // a code is good once, whatever becomes of the browser
	var e *entry
	login, _, err = l.cfg.Client.FinishMerchantLogin(ctx, query, func(authReqID string) (*vipps.PendingMerchantLogin, bool) {
		l.mu.Lock()
		defer l.mu.Unlock()
		found := l.waiting[authReqID]
		if found == nil || found.returnTo == "" || found.landing || !l.now().Before(found.over()) {
			return nil, false
		}
		e, found.landing = found, true
		pending := *found.pending
		return &pending, true
	})
	if err == nil && e == nil {
		err = ErrUnknown
	}
	if err == nil {
		l.consented(ctx, login)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if e == nil {
		if failed, ok := errors.AsType[*vipps.Error](err); ok && failed.Stage == vipps.StageDiscovery {
			delete(l.landed, code) // it was not sent
		}
		return nil, "", err
	}
	e.landing = false
	switch {
	case e.state != Pending: // it was canceled meanwhile
		return nil, "", ErrUnknown
	case errors.Is(err, vipps.ErrDenied), errors.Is(err, vipps.ErrNotEligible):
		l.end(e, Declined, "")
	case err != nil:
		reason := reasonOf(err)
		if errors.Is(err, vipps.ErrUnavailable) {
			reason = ReasonUnavailable
		}
		l.end(e, Failed, reason) // the code is spent
		l.complain("a merchant login failed", err)
	default:
		l.end(e, Delivered, "")
		return login, e.returnTo, nil
	}
	return nil, "", err
}

// admit lets a code through to the provider once.
func (l *Logins) admit(query url.Values) (code digest, err error) {
	now := l.now()
	code = l.ids.digest("code", query["code"]...)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.browsers == 0 {
		return code, ErrUnknown
	}
	if seen, ok := l.landed[code]; ok && now.Sub(seen) < maxExpiry {
		return code, ErrUnknown
	}
	if len(l.landed) >= maxLanded {
		for code, seen := range l.landed {
			if now.Sub(seen) >= maxExpiry {
				delete(l.landed, code)
			}
		}
	}
	full := &LimitError{RetryAfter: time.Minute, Limit: limitLanding}
	if len(l.landed) >= maxLanded {
		return code, l.limited(full)
	}
	err = l.limits.take(now.Sub(l.began), bucket{limitLanding, l.ids.digest(limitLanding), rate.Limit{Count: landingCount, Period: landingPeriod}, false})
	if err != nil {
		return code, l.limited(full)
	}
	l.landed[code] = now
	return code, nil
}
