package forwardauth

import (
	"errors"
	"hash/maphash"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/vipps"
)

const (
	// LimitOff is the value of a limit that limits nothing.
	LimitOff = "off"

	// Two hundred people in one office begin their day within a minute, each with a silent attempt and a full one: 400 at
	// once, and some who try twice.
	defaultLoginLimit = "600/10m"
	// Fifty a second go on for ever, and a whole school comes in at once.
	defaultLoginLimitTotal = "3000/1m"

	maxLimitCount  = 1_000_000
	maxLimitPeriod = 24 * time.Hour
)

// loginLimit is a bucket of so many login attempts that fills up evenly within its period. The zero value limits nothing.
type loginLimit struct {
	count  int
	period time.Duration
}

var errLimit = errors.New("must be a number of logins and a time, such as " + defaultLoginLimit + ", or off: at most 1000000, in 1s to 24h")

// parseLoginLimit reads the settings login_limit and login_limit_total.
func parseLoginLimit(text string) (loginLimit, error) {
	if text == LimitOff {
		return loginLimit{}, nil
	}
	many, within, _ := strings.Cut(text, "/")
	count, err := strconv.Atoi(many)
	if err != nil || count < 1 || count > maxLimitCount || many[0] == '+' {
		return loginLimit{}, errLimit
	}
	period, err := time.ParseDuration(within)
	if err != nil || period < time.Second || period > maxLimitPeriod {
		return loginLimit{}, errLimit
	}
	return loginLimit{count: count, period: period}, nil
}

// parseLimits reads both limits of a configuration.
func (c *Config) parseLimits() (each, all loginLimit, errs []error) {
	for _, l := range []struct {
		setting, text, standard string
		to                      *loginLimit
	}{
		{"login_limit", c.LoginLimit, defaultLoginLimit, &each},
		{"login_limit_total", c.LoginLimitTotal, defaultLoginLimitTotal, &all},
	} {
		defaultTo(&l.text, l.standard)
		var err error
		if *l.to, err = parseLoginLimit(l.text); err != nil {
			errs = append(errs, &vipps.ConfigError{Setting: l.setting, Reason: err.Error()})
		}
	}
	return each, all, errs
}

// take returns when a bucket will be full again after one more attempt and, where there is none left, how long until there
// is one. full says when it would be full without, in nanoseconds as now is. This is the generic cell rate algorithm of
// ITU-T I.371: one number a bucket, and a limit may change while it holds.
func (l loginLimit) take(full, now int64) (after int64, wait time.Duration) {
	empty := now + int64(l.period)
	full = min(max(full, now), empty) // beyond it the clock was turned back, or the period was longer
	after = full + int64(l.period)/int64(l.count)
	return after, time.Duration(max(0, after-empty))
}

const (
	limitSets = 4096
	limitWays = 8 // in a set, so that 32,768 networks are known at once

	// An IPv6 client is a /64. One customer may have a whole /48 of them, which is 65,536 clients, and so that gets no more
	// than a few, or it would use up what there is for all.
	clientBits, customerBits = 64, 48
	customerShare            = 4
)

// loginLimiter counts login attempts, by client and in total. Its memory doesn't grow: where a set of clients is full, it
// forgets the one whose bucket is the fullest, which therefore loses least by it. Nobody can choose a client's set.
type loginLimiter struct {
	unknown atomic.Bool // said that nobody knows the clients

	mu      sync.Mutex
	seed    maphash.Seed
	clients []limitBucket // limitSets sets; none before the first login
	total   int64         // when the bucket of all clients is full
}

type limitBucket struct {
	client netip.Prefix
	full   int64
}

// The values of the label "limit", and what is named in the log.
const (
	limitNone   = ""
	limitClient = "client"
	limitTotal  = "total"
)

// take counts one attempt. When there are too many it counts nothing, and returns which limit is at fault and how long
// until the next is taken. A client that isn't valid counts in total only.
func (l *loginLimiter) take(client netip.Addr, each, all loginLimit, now time.Time) (limit string, wait time.Duration) {
	t := now.UnixNano()
	l.mu.Lock()
	defer l.mu.Unlock()
	var buckets [2]*limitBucket
	var after [2]limitBucket
	for i, net := range networksOf(client) {
		if each.count == 0 || !net.IsValid() {
			continue
		}
		limit := each
		if i > 0 {
			limit.count *= customerShare
		}
		buckets[i] = l.bucket(net)
		full := buckets[i].full
		if buckets[i].client != net {
			full = 0 // another's, which is to go
		}
		after[i].client = net
		if after[i].full, wait = limit.take(full, t); wait > 0 {
			return limitClient, wait
		}
	}
	if all.count > 0 {
		var total int64
		if total, wait = all.take(l.total, t); wait > 0 {
			return limitTotal, wait
		}
		l.total = total
	}
	for i, bucket := range buckets {
		if bucket != nil {
			*bucket = after[i]
		}
	}
	return limitNone, 0
}

// networksOf are the networks that a client is counted with: its own and, over IPv6, its customer's.
func networksOf(client netip.Addr) [2]netip.Prefix {
	if !client.Is6() {
		return [2]netip.Prefix{netip.PrefixFrom(client, client.BitLen())}
	}
	own, _ := client.Prefix(clientBits) // there are as many bits, and more
	customer, _ := client.Prefix(customerBits)
	return [2]netip.Prefix{own, customer}
}

// bucket is where a network is counted: its own or, when it has none, that of its set which is to go.
func (l *loginLimiter) bucket(client netip.Prefix) *limitBucket {
	if l.clients == nil {
		l.seed, l.clients = maphash.MakeSeed(), make([]limitBucket, limitSets*limitWays)
	}
	first := int(maphash.Comparable(l.seed, client)%limitSets) * limitWays
	set := l.clients[first : first+limitWays]
	fullest := &set[0]
	for i := range set {
		if set[i].client == client {
			return &set[i]
		}
		if set[i].full < fullest.full {
			fullest = &set[i]
		}
	}
	return fullest
}

// takeLogin counts a login that is about to start, or to land. When there are too many it returns which limit is at fault
// and how long until the next is taken.
func (e *Engine) takeLogin(r *http.Request, s *site) (limit string, wait time.Duration) {
	var client netip.Addr
	if e.loginEach.count > 0 {
		client = e.clientOf(r)
		if !client.IsValid() && e.state.logins.unknown.CompareAndSwap(false, true) {
			e.log.Warn("nobody knows from which clients logins come, so that login_limit counts none of them, and only login_limit_total does",
				zap.String("cure", "let the proxy send the address of its client in X-Forwarded-For, and name the proxy in trusted_proxies"))
		}
	}
	now := e.now()
	limit, wait = e.state.logins.take(client, e.loginEach, e.loginAll, now)
	if limit == limitNone {
		return limitNone, 0
	}
	e.metrics.limited[limit].Inc()
	if e.limits.allow("logins "+limit, 1, now) {
		setting := map[string]string{limitClient: "login_limit", limitTotal: "login_limit_total"}[limit]
		e.log.Warn("logins are refused: too many were started", zap.String("limit", limit), zap.String("site", s.host),
			zap.String("cure", "raise "+setting+" if these are people"))
	}
	return limit, wait
}

// limitSeconds is a wait in whole seconds, not shortened.
func limitSeconds(wait time.Duration) int64 { return int64((wait + time.Second - 1) / time.Second) }

// mayStart counts a login that is about to start. It answers for itself, and returns false, when there are too many:
// nothing goes to the provider then, and nothing is set.
func (e *Engine) mayStart(w http.ResponseWriter, r *http.Request, s *site, st start, h hint) bool {
	limit, wait := e.takeLogin(r, s)
	if limit == limitNone {
		return true
	}
	if st.mode.readsOn(st.clicked) {
		e.notNow(w, r, s, st, h, e.now())
		return false
	}
	seconds := int(limitSeconds(wait))
	if classify(&Original{Method: r.Method, Header: r.Header}) == kindOther && !acceptsHTML(r.Header["Accept"]) {
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		writeJSON(w, r, http.StatusTooManyRequests, errorAnswer{Error: "too_many_logins"})
		return false
	}
	e.page(w, r, s, page{Kind: pageTooMany, ReturnTo: st.returnTo, RetryAfter: seconds})
	return false
}

// notNow shows a page that can be read without a login to a browser for which none can be started, and asks again in a
// while.
func (e *Engine) notNow(w http.ResponseWriter, r *http.Request, s *site, st start, h hint, now time.Time) {
	h.MissUntil = now.Add(min(e.cfg.SilentRetry, time.Minute))
	e.remember(w, r, s, h, now)
	e.readAnonymously(w, r, s, st.returnTo)
}
