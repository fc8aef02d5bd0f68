package merchant

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/internal/rate"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// Config says with whom, and within what limits, logins are started. Client and Keys are required.
type Config struct {
	// Client talks to the provider.
	Client *vipps.Client

	// Keys seal ids and the journal: the first seals, all open.
	Keys session.Keys

	// Scopes are those that may be asked for, and those that are when a [Request] names none; openid always is. Default: openid only.
	Scopes []string

	// Market is NO, DK, FI or SE: where phone numbers without a country code are from. Default: they need one.
	Market string

	// PhoneLimit is how many logins may be started for a phone number within a time, by all callers together, such as
	// 3/10m; "off" limits nothing. Questions whether the number has an account count too. Default: 3/10m.
	PhoneLimit string

	// CallerLimit is the same for a caller, over all phone numbers. Default: 60/1m.
	CallerLimit string

	// RedirectURI is where the provider sends a browser at the end of a login with [Request.ReturnTo]. It must be
	// registered there. Default: such logins are refused.
	RedirectURI string

	// CheckReturnTo says whether a browser may be sent to an address at the end. Its error is told to the caller.
	// Default: logins with [Request.ReturnTo] are refused.
	CheckReturnTo func(address string) error

	// File is the journal, in which logins under way survive a restart, sealed, and so does what PhoneLimit has counted. One process uses it
	// at a time. Default: none.
	File string

	// Consented is given what somebody has answered to the merchant's own questions, as soon as it is known and before
	// the result is: the provider tells it once. An error is logged and counted, and the login goes on. Default: nobody is told.
	Consented func(ctx context.Context, sub string, c vipps.Consents) error

	// Logger gets a line when an operator should know; nothing of a person is in it. Default: none.
	Logger *zap.Logger

	// Metrics registers vippsauth_merchant_…. Default: nowhere.
	Metrics prometheus.Registerer

	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

const (
	defaultPhoneLimit  = "3/10m"
	defaultCallerLimit = "60/1m"
)

// settings is a Config that was checked.
type settings struct {
	Config

	phoneLimit, callerLimit rate.Limit
}

// check returns every fault at once, each a *vipps.ConfigError.
func (c Config) check() (settings, error) {
	var errs []error
	bad := func(setting, reason string) {
		errs = append(errs, &vipps.ConfigError{Setting: setting, Reason: reason})
	}
	s := settings{Config: c}
	if c.Client == nil {
		bad("client", "is missing")
	}
	if len(c.Keys) == 0 {
		bad("cookie_keys", "is missing: ids are sealed with it")
	}
	s.Scopes = []string{vipps.ScopeOpenID}
	for _, scope := range c.Scopes {
		if scope == "" || strings.ContainsFunc(scope, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			bad("merchant_scopes", "holds an entry that is not a scope: give one scope an entry, without spaces, quotes or backslashes")
			break
		}
		if scope != vipps.ScopeOpenID {
			s.Scopes = append(s.Scopes, scope)
		}
	}
	for _, l := range []struct {
		setting, text, standard string
		to                      *rate.Limit
	}{
		{"merchant_limit", c.PhoneLimit, defaultPhoneLimit, &s.phoneLimit},
		{"merchant_caller_limit", c.CallerLimit, defaultCallerLimit, &s.callerLimit},
	} {
		text := l.text
		if text == "" {
			text = l.standard
		}
		var err error
		if *l.to, err = rate.Parse(text, defaultPhoneLimit); err != nil {
			bad(l.setting, err.Error())
		}
	}
	if s.Logger == nil {
		s.Logger = zap.NewNop()
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	return s, errors.Join(errs...)
}

// New returns logins of which none is under way yet, or an error that joins a *vipps.ConfigError for each faulty
// setting. It does no I/O: the journal is read by [Logins.Run].
func New(cfg Config) (*Logins, error) {
	s, err := cfg.check()
	if err != nil {
		return nil, err
	}
	l := &Logins{
		cfg: s, log: s.Logger, now: s.Now,
		began:   s.Now(),
		limits:  newLimiter(),
		logins:  map[idKey]*entry{},
		waiting: map[string]*entry{},
		latest:  map[digest]*entry{},
		callers: map[string]int{},
		landed:  map[digest]time.Time{},
		gone:    map[idKey]bool{},
		lives:   map[time.Duration]time.Duration{},
		wake:    make(chan struct{}, 1),
		work:    make(chan *entry),
		stopped: make(chan struct{}),
	}
	l.noPolls, l.endPolls = context.WithCancel(context.Background())
	if l.ids, err = newIDs(s); err != nil {
		return nil, fmt.Errorf("merchant: %w", err)
	}
	if s.File != "" {
		if l.journal, err = newJournal(s); err != nil {
			return nil, fmt.Errorf("merchant: %w", err)
		}
	}
	l.metrics = newMetrics(l)
	return l, nil
}
