package merchant

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/internal/rate"
	"github.com/vippsauth/vippsauth/vipps"
)

const (
	// keepResult is how long a result waits to be taken, keepEnd how long it is known how a login ended.
	keepResult = 5 * time.Minute
	keepEnd    = 15 * time.Minute

	minExpiry    = time.Minute
	maxExpiry    = 15 * time.Minute
	standardLife = 10 * time.Minute // what the provider gives when nothing was asked for

	lateBrowser = time.Minute

	maxLogins       = 20_000 // known at once, those that ended too
	maxCallerLogins = 15_000
)

var (
	// ErrUnknown is the answer for an id that isn't this caller's, or that is no longer known.
	ErrUnknown = errors.New("merchant: there is no such login")
	// ErrLost is the answer for a login that was started before a restart, and isn't known since.
	ErrLost = errors.New("merchant: the login was lost in a restart")
	// ErrNoResult is the answer of [Logins.Take] where there is nothing to take: not yet, no longer, or never.
	ErrNoResult = errors.New("merchant: the login has no result to take")
)

// State says how far a login is.
type State string

// The states. All but Pending and Approved are final.
const (
	Pending   State = "pending"   // the person has not answered
	Approved  State = "approved"  // the person said yes, and the result waits to be taken
	Delivered State = "delivered" // the result was taken, or the person is logged in in a browser
	Declined  State = "declined"  // the person said no, has no account or may not use it
	Expired   State = "expired"   // nobody answered in time, or nobody took the result
	Failed    State = "failed"    // the provider was away until the end, or its answer was refused
	Canceled  State = "canceled"  // by the caller
	Lost      State = "lost"      // the process was restarted without a journal
)

// Why a login ended, where its state doesn't say.
const (
	ReasonUnavailable = "provider_unavailable" // Failed: the provider could not be asked until the login was over
	ReasonRefused     = "provider_refused"     // Failed: the provider doesn't want to be asked about this login any more
	ReasonInvalid     = "invalid_answer"       // Failed: the provider's answer was not to be trusted
	ReasonNotTaken    = "not_taken"            // Expired: approved, and nobody took the result
	ReasonReplaced    = "replaced"             // Canceled: the caller started another for the same phone number
)

// Flows: where a login ends.
const (
	FlowApp     = "app"     // in the app, and the caller gets the result
	FlowBrowser = "browser" // in a browser, at Request.ReturnTo
)

// Request is a login to be started. Exactly one of Phone and CustomerToken is given.
type Request struct {
	// Phone is a phone number in any usual spelling, with its country code or of [Config.Market].
	Phone string
	// CustomerToken is what the scan of a customer's QR code gave.
	CustomerToken string
	// Scopes are some of [Config.Scopes]. Default: all of them.
	Scopes []string
	// Expiry is how long the person has: whole seconds, 1 to 15 minutes. Default: the provider's, 10 minutes.
	Expiry time.Duration
	// ReturnTo is where a browser is sent at the end, logged in. Default: the login ends in the app.
	ReturnTo string
}

// Status is a login as it is now.
type Status struct {
	// ID names the login to the caller that started it. It is no secret, and nobody else can use it.
	ID string
	// State says how far it is.
	State State
	// Code is to be read to the person, who sees the same one in the app.
	Code string
	// Flow is FlowApp or FlowBrowser.
	Flow string
	// Created and Expires are when it began, and when the person can no longer answer.
	Created, Expires time.Time
	// Reason is one of the Reason constants, or "".
	Reason string
	// Login is who it was; nil unless the state is Approved. It is shared: it must not be changed.
	Login *vipps.Login
}

// Logins are the logins under way. Make it with [New]. It is safe for concurrent use.
type Logins struct {
	cfg     settings
	log     *zap.Logger
	now     func() time.Time
	began   time.Time // for clocks that nobody can set
	ids     *ids
	limits  *limiter
	metrics *metrics
	journal *journal // nil: none
	wake    chan struct{}
	work    chan *entry
	ran     atomic.Bool
	stopped chan struct{} // closed when Run has ended

	noPolls  context.Context // ended by EndPolls
	endPolls context.CancelFunc

	said rate.Lines

	mu       sync.Mutex
	logins   map[idKey]*entry
	waiting  map[string]*entry // by auth_req_id, those that are pending
	latest   map[digest]*entry // by caller and phone number, those that are pending
	callers  map[string]int    // logins of each
	starting int               // that are being started
	pendings int               // that nobody has answered
	browsers int               // of these, that wait for a browser
	due      timetable
	ended    []*entry      // in the order in which they ended; to make room
	pace     time.Duration // of the polls of the last login that began
	heard    bool          // pings come
	landed   map[digest]time.Time
	gone     map[idKey]bool                  // canceled before the journal, which may hold them, was read
	lives    map[time.Duration]time.Duration // that the provider gave, by what was asked for
}

// entry is one login.
type entry struct {
	key              idKey
	caller           string
	code, returnTo   string
	created, expires time.Time
	state            State
	reason           string
	login            *vipps.Login

	pending  *vipps.PendingMerchantLogin // nil: there is nobody to ask about
	polling  *vipps.Polling
	decline  time.Time // of one that nobody is asked about; zero: never
	person   digest    // caller and phone number; zero: unknown
	answered time.Time // when the provider last said something
	away     bool      // the provider, when it was last asked
	asked    bool      // a poll is under way, or waits for a worker
	pinged   bool      // a ping was heard
	ping     bool      // and not yet acted on
	landing  bool      // a browser came with it
	at       time.Time // when something is to be done
	index    int       // in the timetable, -1: not in it
	changed  chan struct{}
}

func (e *entry) flow() string {
	if e.returnTo != "" {
		return FlowBrowser
	}
	return FlowApp
}

// over is when nothing more can come of a pending login: who said yes in the last moment still has to get to the browser.
func (e *entry) over() time.Time {
	if e.returnTo != "" {
		return e.expires.Add(lateBrowser)
	}
	return e.expires
}

func (e *entry) status(id string) Status {
	s := Status{ID: id, State: e.state, Code: e.code, Flow: e.flow(), Created: e.created, Expires: e.expires, Reason: e.reason}
	if e.state == Approved {
		s.Login = e.login
	}
	return s
}

// add takes in a login that has begun. l.mu is held.
func (l *Logins) add(e *entry, now time.Time) {
	l.logins[e.key] = e
	l.callers[e.caller]++
	e.state, e.index = Pending, -1
	l.pendings++
	if e.returnTo != "" {
		l.browsers++
	}
	if e.pending != nil {
		l.waiting[e.pending.AuthReqID] = e
		if e.returnTo == "" {
			e.polling = vipps.NewPolling(e.pending, now)
		}
	}
	if e.person != (digest{}) {
		if older := l.latest[e.person]; older != nil {
			l.end(older, Canceled, ReasonReplaced)
		}
		l.latest[e.person] = e
	}
	e.answered = now
	l.plan(e, now, l.spread(e, now))
}

// end brings a login to a final state, or to Approved, and returns what keeps that, for who has to wait for it. l.mu is held.
func (l *Logins) end(e *entry, to State, reason string) (kept *batch) {
	if e.state == Pending {
		l.pendings--
		if e.returnTo != "" {
			l.browsers--
		}
		if e.pending != nil {
			delete(l.waiting, e.pending.AuthReqID)
		}
		if l.latest[e.person] == e {
			delete(l.latest, e.person)
		}
		kept = l.journal.remove(e)
	}
	e.state, e.reason = to, reason
	now := l.now()
	if to == Approved {
		l.schedule(e, now.Add(keepResult))
	} else {
		e.login, e.pending, e.polling = nil, nil, nil
		e.person, e.ping = digest{}, false
		l.schedule(e, now.Add(keepEnd))
		l.ended = append(l.ended, e)
	}
	l.metrics.states.WithLabelValues(string(to)).Inc()
	if e.changed != nil {
		close(e.changed)
		e.changed = nil
	}
	return kept
}

// forget drops a login that has ended. l.mu is held.
func (l *Logins) forget(e *entry) {
	if l.logins[e.key] != e {
		return
	}
	delete(l.logins, e.key)
	l.due.remove(e)
	if l.callers[e.caller]--; l.callers[e.caller] <= 0 {
		delete(l.callers, e.caller)
	}
	for len(l.ended) > 0 && l.logins[l.ended[0].key] != l.ended[0] {
		l.ended[0] = nil
		l.ended = l.ended[1:]
	}
}

// room reports whether one more login can be known, and makes room by forgetting those that ended first. l.mu is held.
func (l *Logins) room(caller string) bool {
	for len(l.logins)+l.starting >= maxLogins && len(l.ended) > 0 {
		l.forget(l.ended[0])
	}
	return len(l.logins)+l.starting < maxLogins && l.callers[caller] < maxCallerLogins
}
