package forwardauth

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxUsedStates    = 100_000
	silentGrace      = 10 * time.Second
	silentVanishedAt = 10
	silentPause      = time.Hour
)

// State is what the engines of one process remember between requests and over a reload of the configuration:
// login states that were used, sessions that were logged out, and whether silent attempts come back. It is
// bounded, and nothing of it is needed for a request to be refused: losing it never lets anybody in, except
// that a session logged out before a restart opens again until it expires, unless a [RevocationKeeper] keeps
// that.
//
// It is safe for concurrent use. A request with a warm session reads one number of it and takes no lock.
type State struct {
	used      expiringSet
	overtaken expiringSet // login attempts that were on their way when somebody logged out, or in, see [Engine.overtake]
	revoked   *revocations
	// revocations counts what was added to revoked: a cached session is looked up again when it has moved.
	revocations atomic.Uint64
	logins      loginLimiter
	keeper      atomic.Pointer[RevocationKeeper] // nil: revocations end with the process
	forms       chan struct{}                    // holds one for each form that is being kept in a page

	silent struct {
		sync.Mutex
		started  []time.Time // attempts since the last one that came back, the oldest silentVanishedAt of them
		offUntil time.Time
	}
}

// NewState returns an empty State.
func NewState() *State {
	return &State{
		used: expiringSet{max: maxUsedStates}, overtaken: expiringSet{max: maxUsedStates}, revoked: newRevocations(maxRevoked, maxRevokedPersons),
		forms: make(chan struct{}, maxKeptForms),
	}
}

// use marks a login state as used and reports whether this was its first use.
func (s *State) use(id string, now, until time.Time) bool {
	return s.used.add(id, now, until)
}

// revoke ends sessions, here and, where there is a keeper, everywhere else too. The saving says when; nil is at once.
func (s *State) revoke(r record, now time.Time) (*saving, widened) {
	fresh, w := s.revoked.add(r, now.Unix())
	if !fresh {
		return nil, w
	}
	s.revocations.Add(1)
	if k := s.keeper.Load(); k != nil {
		return k.save(r), w
	}
	return nil, w
}

func (s *State) isRevoked(ref sessionRef, now time.Time) bool {
	return s.revoked.ended(ref, now.Unix())
}

// unsaved is how many revocations wait to be saved.
func (s *State) unsaved() int {
	if k := s.keeper.Load(); k != nil {
		return k.Unsaved()
	}
	return 0
}

// silentStarted notes that a silent attempt leaves for the provider. It reports true when with this the
// attempts turn out to keep vanishing, and silent login pauses from now on.
func (s *State) silentStarted(now time.Time) (paused bool) {
	s.silent.Lock()
	defer s.silent.Unlock()
	started := s.silent.started
	if len(started) == silentVanishedAt {
		if now.Sub(started[silentVanishedAt-1]) < silentGrace {
			return false
		}
		s.silent.started = started[:0]
		s.silent.offUntil = now.Add(silentPause)
		return true
	}
	s.silent.started = append(started, now)
	return false
}

// silentReturned notes that a silent attempt came back, with whatever answer.
func (s *State) silentReturned() {
	s.silent.Lock()
	s.silent.started = s.silent.started[:0]
	s.silent.Unlock()
}

// silentOff reports whether silent login pauses.
func (s *State) silentOff(now time.Time) bool {
	s.silent.Lock()
	defer s.silent.Unlock()
	return now.Before(s.silent.offUntil)
}

// expiringSet is a bounded set of strings that forgets each at its time. When it is full, it forgets those
// that expire soonest.
type expiringSet struct {
	max int

	mu    sync.RWMutex
	until map[string]time.Time
	sweep time.Time
}

// add puts id in the set, until the later of the times named for it, and reports whether it was not there before.
func (s *expiringSet) add(id string, now, until time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.until[id]; ok && now.Before(old) {
		if until.After(old) {
			s.until[id] = until
		}
		return false
	}
	if s.until == nil {
		s.until = make(map[string]time.Time)
	}
	if len(s.until) >= s.max || now.After(s.sweep) {
		s.drop(now)
	}
	s.until[id] = until
	return true
}

func (s *expiringSet) has(id string, now time.Time) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	until, ok := s.until[id]
	return ok && now.Before(until)
}

// drop forgets what has expired and, while the set is still full, the tenth of it that expires soonest.
func (s *expiringSet) drop(now time.Time) {
	s.sweep = now.Add(time.Minute)
	var soonest time.Time
	for id, until := range s.until {
		if !now.Before(until) {
			delete(s.until, id)
		} else if soonest.IsZero() || until.Before(soonest) {
			soonest = until
		}
	}
	if len(s.until) < s.max {
		return
	}
	// The times of a flood lie close together: a step from the soonest on is found without sorting.
	for step := time.Minute; len(s.until) > s.max-s.max/10; step *= 2 {
		limit := soonest.Add(step)
		for id, until := range s.until {
			if until.Before(limit) && len(s.until) > s.max-s.max/10 {
				delete(s.until, id)
			}
		}
	}
}
