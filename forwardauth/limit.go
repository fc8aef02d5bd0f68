package forwardauth

import (
	"hash/maphash"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/internal/rate"
	"github.com/vippsauth/vippsauth/vipps"
)

const (
	// LimitOff is "off", the value of a limit that limits nothing.
	LimitOff = rate.Off

	// Two hundred people in one office begin their day within a minute, each with a silent attempt and a full one: 400 at
	// once, and some who try twice.
	defaultLoginLimit = "600/10m"
	// Fifty a second go on for ever, and a whole school comes in at once.
	defaultLoginLimitTotal = "3000/1m"
)

// parseLimits reads both limits of a configuration.
func (c *Config) parseLimits() (each, all rate.Limit, errs []error) {
	for _, l := range []struct {
		setting, text, standard string
		to                      *rate.Limit
	}{
		{"login_limit", c.LoginLimit, defaultLoginLimit, &each},
		{"login_limit_total", c.LoginLimitTotal, defaultLoginLimitTotal, &all},
	} {
		defaultTo(&l.text, l.standard)
		var err error
		if *l.to, err = rate.Parse(l.text, defaultLoginLimit); err != nil {
			errs = append(errs, &vipps.ConfigError{Setting: l.setting, Reason: err.Error()})
		}
	}
	return each, all, errs
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
	full   int64 // when it is full again, in nanoseconds
}

// The values of the label "limit", and what is named in the log.
const (
	limitNone   = ""
	limitClient = "client"
	limitTotal  = "total"
)

// take counts one attempt. When there are too many it counts nothing, and returns which limit is at fault and how long
// until the next is taken. A client that isn't valid counts in total only.
func (l *loginLimiter) take(client netip.Addr, each, all rate.Limit, now time.Time) (limit string, wait time.Duration) {
	t := now.UnixNano()
	l.mu.Lock()
	defer l.mu.Unlock()
	var buckets [2]*limitBucket
	var after [2]limitBucket
	for i, net := range networksOf(client) {
		if each.Count == 0 || !net.IsValid() {
			continue
		}
		limit := each
		if i > 0 {
			limit.Count *= customerShare
		}
		buckets[i] = l.bucket(net)
		full := buckets[i].full
		if buckets[i].client != net {
			full = 0 // another's, which is to go
		}
		left, wait := limit.Take(time.Duration(full - t))
		if wait > 0 {
			return limitClient, wait
		}
		after[i] = limitBucket{net, t + int64(left)}
	}
	if all.Count > 0 {
		left, wait := all.Take(time.Duration(l.total - t))
		if wait > 0 {
			return limitTotal, wait
		}
		l.total = t + int64(left)
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
	if e.loginEach.Count > 0 {
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
