package forwardauth

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/internal/rate"
)

const (
	lookEvery    = time.Second      // at what others have saved
	storeTimeout = 5 * time.Second  // for one call of a store
	lastTimeout  = 2 * time.Second  // for what is left to save when a keeper stops
	maxBacklog   = 1 << 20          // bytes that wait to be saved; beyond that all is saved anew
	firstRetry   = time.Second      // after the first failure; doubled at each
	maxRetry     = 30 * time.Second // between two attempts to save
	compactAt    = 1024             // lines that a store has at least before it is compacted for being mostly over

	// saveTimeout is how long the answer to a logout waits until it is known that the logout is kept. A disk takes a few
	// milliseconds; a storage whose lock another server holds may take a second.
	saveTimeout = 1500 * time.Millisecond
)

// ErrNotKept says that a session is ended in this process, and that this could not be saved yet: after a restart and at
// another replica a copy of its cookie may work again. The attempts to save it go on.
var ErrNotKept = errors.New("forwardauth: the end of a session could not be saved yet")

// RevocationStore is where revocations outlive a process, and where several processes find each other's. What it keeps is
// text, line by line; see [MergeRevocations]. A store is used by one goroutine of a [RevocationKeeper] at a time.
type RevocationStore interface {
	// Load calls line for each line that was added since the last Load, and reports whether these were all that there
	// are, which they are when it can't tell.
	Load(ctx context.Context, line func([]byte)) (all bool, err error)
	// Save adds lines, and returns when they are kept.
	Save(ctx context.Context, lines []byte) error
	// Compact drops what is over, and makes the place when there is none yet, where that is the store's to do.
	Compact(ctx context.Context, now time.Time) error
	// Place names the place, and says what to do when nothing can be saved there: both for the log.
	Place() (name, mend string)
}

// RevocationKeeper keeps what a [State] revokes in a [RevocationStore], and gives the State what others keep there. Requests
// never wait for the store, but for the answer to a logout, which waits a second and a half at most.
type RevocationKeeper struct {
	state *State
	store RevocationStore
	log   func() *zap.Logger
	now   func() time.Time
	every time.Duration

	nudge  chan struct{}
	loaded chan struct{} // closed after the first attempt to load, whatever came of it

	mu      sync.Mutex
	batch   *saving // what the next attempt saves first; nil: nothing
	backlog []byte  // what earlier attempts didn't save
	anew    bool    // the backlog is too long: all of the state is to be saved
	unsaved int     // revocations in batch and backlog
	stopped bool

	// Of Run alone.
	lines      int // that the store has
	retry      time.Time
	wait       time.Duration
	complaints rate.Lines
}

// saving is a batch of records on its way into a store.
type saving struct {
	done  chan struct{} // closed after the attempt
	err   error         // of the attempt, once done
	lines []byte
	count int
}

// NewRevocationKeeper makes the keeper of a state, which saves and looks while Run runs. A state has one at most: the last
// that was made. log gives the logger of the moment, and nil logs nothing; now is the clock, and nil is time.Now.
func NewRevocationKeeper(state *State, store RevocationStore, log func() *zap.Logger, now func() time.Time) *RevocationKeeper {
	if now == nil {
		now = time.Now
	}
	if log == nil {
		log = zap.NewNop
	}
	k := &RevocationKeeper{
		state: state, store: store, log: log, now: now, every: lookEvery,
		nudge: make(chan struct{}, 1), loaded: make(chan struct{}),
	}
	state.keeper.Store(k)
	return k
}

// Loaded is closed when Run has read what is kept, or has failed to.
func (k *RevocationKeeper) Loaded() <-chan struct{} { return k.loaded }

// Unsaved is how many revocations wait to be saved.
func (k *RevocationKeeper) Unsaved() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.unsaved
}

// save hands a record to Run.
func (k *RevocationKeeper) save(r record) *saving {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.batch == nil {
		k.batch = &saving{done: make(chan struct{})}
	}
	b := k.batch
	b.lines = r.append(b.lines)
	b.count++
	k.unsaved++
	if k.stopped { // nobody will take it
		b.err = ErrNotKept
		close(b.done)
		k.batch = nil
	}
	select {
	case k.nudge <- struct{}{}:
	default:
	}
	return b
}

// kept waits until a batch is saved, or has failed to be, or it is too late. Nil is saved.
func (b *saving) kept(until time.Time) bool {
	if b == nil {
		return true
	}
	select {
	case <-b.done: // no timer where it is known already
		return b.err == nil
	default:
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-b.done:
		return b.err == nil
	case <-timer.C:
		return false
	}
}

// Run reads what is kept, then saves and looks until ctx ends; what is left then it tries once more to save.
func (k *RevocationKeeper) Run(ctx context.Context) {
	k.look(ctx)
	close(k.loaded)
	k.within(ctx, storeTimeout, "keeping revocations in order", func(ctx context.Context) error { return k.store.Compact(ctx, k.now()) })
	ticker := time.NewTicker(k.every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			k.attempt(context.WithoutCancel(ctx), lastTimeout)
			k.stop()
			return
		case <-k.nudge:
			k.attempt(ctx, storeTimeout)
		case <-ticker.C:
			k.look(ctx)
			if !time.Now().Before(k.retry) {
				k.attempt(ctx, storeTimeout)
			}
		}
	}
}

// stop lets nobody wait for what will never be tried.
func (k *RevocationKeeper) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stopped = true
	if k.batch != nil {
		k.batch.err = ErrNotKept
		close(k.batch.done)
		k.batch = nil
	}
}

// attempt saves what there is to save.
func (k *RevocationKeeper) attempt(ctx context.Context, limit time.Duration) {
	k.mu.Lock()
	b, anew, count := k.batch, k.anew, k.unsaved
	text := k.backlog[:len(k.backlog):len(k.backlog)]
	k.batch = nil
	k.mu.Unlock()
	if b != nil {
		text = append(text, b.lines...)
	}
	if anew {
		text = formatRecords(k.state.revoked.records(k.now().Unix()))
	}
	if len(text) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := k.store.Save(ctx, text)
	k.mu.Lock()
	switch {
	case err == nil:
		k.backlog, k.anew, k.unsaved = nil, false, k.unsaved-count
	case len(text) > maxBacklog:
		k.backlog, k.anew = nil, true
	default:
		k.backlog = text
	}
	left := k.unsaved
	k.mu.Unlock()
	if b != nil {
		b.err = err
		close(b.done)
	}
	if err != nil {
		k.wait = min(max(2*k.wait, firstRetry), maxRetry)
		k.retry = time.Now().Add(k.wait)
		k.complain("logouts could not be saved: these sessions are ended here, but copies of their cookies may work after a restart and at other replicas; trying again",
			err, zap.Int("unsaved", left))
		return
	}
	if k.wait > 0 {
		k.log().Info("logouts are saved again", zap.Int("saved", count))
	}
	k.wait, k.retry = 0, time.Time{}
}

// look takes in what others have saved.
func (k *RevocationKeeper) look(ctx context.Context) {
	k.within(ctx, storeTimeout, "reading what sessions were ended", func(ctx context.Context) error {
		now := k.now().Unix()
		var total widened
		fresh, lines := false, 0
		there := newRevocations(maxRevoked, maxRevokedPersons)
		all, err := k.store.Load(ctx, func(line []byte) {
			r, kind := parseRecord(line)
			if kind != lineNothing {
				lines++
			}
			if kind != lineRecord {
				return
			}
			there.add(r, now)
			isFresh, w := k.state.revoked.add(r, now)
			fresh = fresh || isFresh
			total.add(w)
		})
		if fresh {
			k.state.revocations.Add(1)
		}
		logWidened(k.log(), total)
		if err != nil {
			return err
		}
		k.lines += lines
		if all {
			k.lines = lines
			k.mend(there, now)
		}
		if live := k.state.revoked.len(); k.lines >= compactAt && k.lines > 2*live {
			k.lines = live
			return k.store.Compact(ctx, k.now())
		}
		return nil
	})
}

// mend saves what is known here and not there, where somebody has taken it away or a write was lost.
func (k *RevocationKeeper) mend(there *revocations, now int64) {
	var missing []byte
	count := 0
	for _, r := range k.state.revoked.records(now) {
		if !there.has(r) {
			missing = r.append(missing)
			count++
		}
	}
	if count == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.unsaved == 0 { // what waits to be saved is missing for that reason
		k.backlog, k.unsaved = missing, count
	}
}

// within gives a call of the store its time, and logs its error.
func (k *RevocationKeeper) within(ctx context.Context, limit time.Duration, what string, call func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := call(ctx); err != nil && !errors.Is(err, context.Canceled) {
		k.complain(what+" failed", err)
	}
}

// complain logs trouble with the store, each kind once a minute.
func (k *RevocationKeeper) complain(what string, err error, more ...zap.Field) {
	if !k.complaints.May(what, time.Now()) {
		return
	}
	place, mend := k.store.Place()
	k.log().Error(what, append(more, zap.String("kept_in", place), zap.Error(err), zap.String("mend", mend))...)
}

func (w *widened) add(other widened) {
	w.sessions, w.persons, w.folded = w.sessions+other.sessions, w.persons+other.persons, w.folded+other.folded
	w.everybody = w.everybody || other.everybody
}

// logWidened says that more sessions were ended than people have asked for.
func logWidened(log *zap.Logger, w widened) {
	switch {
	case w.everybody:
		log.Error("too many people have logged out to remember each: all sessions of everybody that began before a certain moment are ended",
			zap.Int("ended_persons", w.folded), zap.Int("limit", maxRevokedPersons))
	case w.sessions > 0:
		log.Warn("too many sessions were logged out to remember each: for the people with the most of them, all sessions that began before a certain moment are ended",
			zap.Int("ended_sessions", w.sessions), zap.Int("ended_persons", w.persons), zap.Int("limit", maxRevoked))
	}
}

// unsavedGauge tells how many revocations of all states that report to one registry wait to be saved.
type unsavedGauge struct {
	desc *prometheus.Desc

	mu     sync.Mutex
	states map[*State]bool
}

func newUnsavedGauge() *unsavedGauge {
	return &unsavedGauge{
		desc:   prometheus.NewDesc("vippsauth_revocations_unsaved", "Ended sessions that are not yet kept for a restart and for other replicas.", nil, nil),
		states: map[*State]bool{},
	}
}

func (g *unsavedGauge) watch(s *State) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.states[s] = true
}

// Describe is a collector's.
func (g *unsavedGauge) Describe(ch chan<- *prometheus.Desc) { ch <- g.desc }

// Collect is a collector's.
func (g *unsavedGauge) Collect(ch chan<- prometheus.Metric) {
	g.mu.Lock()
	defer g.mu.Unlock()
	sum := 0
	for s := range g.states {
		sum += s.unsaved()
	}
	ch <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, float64(sum))
}
