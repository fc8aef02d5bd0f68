package caddymodule

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/forwardauth"
)

const (
	// storedRevocationsKey is where the ended sessions are in Caddy's storage, of all sites: what is kept of them is hashes.
	storedRevocationsKey = "vippsauth/revoked_sessions.txt"
	revocationsLock      = "vippsauth_revoked_sessions"

	storageLook     = 1500 * time.Millisecond // between two looks at the storage, which may be far away
	coarseTime      = 3 * time.Second         // what changed so lately may change again and look the same
	revocationsWait = time.Second             // for what sessions were ended before; storage that is away holds a start up no longer
	revocationsStop = 3 * time.Second
)

var errNoStorage = errors.New("no configuration in use has a storage")

// keptRevocations keeps what a state revokes in Caddy's storage. It outlives reloads, and uses the storage and the log of the
// last handler that came and has not gone: those of a configuration that is no longer in use may be closed.
type keptRevocations struct {
	keeper *forwardauth.RevocationKeeper
	stored *storedRevocations
	once   sync.Once
	cancel context.CancelFunc
	ctx    context.Context //nolint:containedctx // of the one goroutine, which start starts and stop ends
	done   chan struct{}
}

func newKeptRevocations(state *forwardauth.State) *keptRevocations {
	k := &keptRevocations{stored: &storedRevocations{}, done: make(chan struct{})}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	k.keeper = forwardauth.NewRevocationKeeper(state, k.stored, k.stored.logger, nil)
	return k
}

// use takes a handler's storage and log, and returns what gives them back.
func (k *keptRevocations) use(storage certmagic.Storage, log *zap.Logger) (release func()) {
	return k.stored.use(&storageInUse{storage, log})
}

// start starts the keeper, the first time, and waits a little until the sessions that were ended before are known.
func (k *keptRevocations) start() {
	k.once.Do(func() {
		go func() {
			defer close(k.done)
			k.keeper.Run(k.ctx)
		}()
	})
	timer := time.NewTimer(revocationsWait)
	defer timer.Stop()
	select {
	case <-k.keeper.Loaded():
	case <-timer.C:
		k.stored.logger().Error("reading what sessions were ended takes too long: starting without")
	}
}

// stop saves what is left, within its time.
func (k *keptRevocations) stop() {
	k.cancel()
	k.once.Do(func() { close(k.done) }) // it was never started
	select {
	case <-k.done:
	case <-time.After(revocationsStop):
	}
}

// storageInUse is what one handler has of Caddy.
type storageInUse struct {
	storage certmagic.Storage
	log     *zap.Logger
}

// storedRevocations keeps revocations under one key of Caddy's storage, as a forwardauth.RevocationStore. Servers that share
// the storage add to each other's under its lock.
type storedRevocations struct {
	mu    sync.Mutex
	inUse []*storageInUse
	last  *storageInUse // the last that came and has not gone

	// Of the keeper's goroutine alone.
	looked time.Time
	from   *storageInUse     // where seen is of
	seen   certmagic.KeyInfo // when it was last loaded
	at     time.Time         // when that was
	known  bool              // there was something once
}

func (s *storedRevocations) use(u *storageInUse) (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inUse = append(s.inUse, u)
	s.last = u
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.inUse = slices.DeleteFunc(s.inUse, func(other *storageInUse) bool { return other == u })
		if len(s.inUse) > 0 {
			s.last = s.inUse[len(s.inUse)-1]
		}
	}
}

// current is what to use now. Of the last handler that goes it is still that one's, so that the last logouts are saved.
func (s *storedRevocations) current() (*storageInUse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil || s.last.storage == nil {
		return nil, errNoStorage
	}
	return s.last, nil
}

func (s *storedRevocations) logger() *zap.Logger {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		return zap.NewNop()
	}
	return s.last.log
}

// Place names the place.
func (s *storedRevocations) Place() (name, mend string) {
	return storedRevocationsKey + " in Caddy's storage", "see that Caddy's storage can be reached and written to"
}

// Load reads the key, when it has changed.
func (s *storedRevocations) Load(ctx context.Context, line func([]byte)) (all bool, err error) {
	u, err := s.current()
	if err != nil {
		return false, err
	}
	now := time.Now()
	if u == s.from && now.Sub(s.looked) < storageLook {
		return false, nil
	}
	s.looked = now
	info, err := u.storage.Stat(ctx, storedRevocationsKey)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		all = s.known || u != s.from // so that it is made again
		s.seen, s.known, s.from = certmagic.KeyInfo{}, false, u
		return all, nil
	case err != nil:
		return false, fmt.Errorf("looking at Caddy's storage: %w", err)
	}
	same := u == s.from && s.known && info.Size == s.seen.Size && info.Modified.Equal(s.seen.Modified)
	if same && !info.Modified.IsZero() && info.Modified.Before(s.at.Add(-coarseTime)) {
		return false, nil
	}
	text, err := u.storage.Load(ctx, storedRevocationsKey)
	if err != nil {
		return false, fmt.Errorf("reading Caddy's storage: %w", err)
	}
	s.seen, s.at, s.known, s.from = info, now, true, u
	for l := range bytes.Lines(text) {
		line(l)
	}
	return true, nil
}

// Save adds lines to what is there, whoever wrote it.
func (s *storedRevocations) Save(ctx context.Context, lines []byte) (err error) {
	u, err := s.current()
	if err != nil {
		return err
	}
	if err := u.storage.Lock(ctx, revocationsLock); err != nil {
		return fmt.Errorf("locking Caddy's storage: %w", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockTimeout)
		defer cancel()
		if unlockErr := u.storage.Unlock(ctx, revocationsLock); unlockErr != nil && err == nil {
			u.log.Warn("unlocking Caddy's storage failed: the next logout may have to wait", zap.Error(unlockErr))
		}
	}()
	kept, err := u.storage.Load(ctx, storedRevocationsKey)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading Caddy's storage: %w", err)
	}
	merged := forwardauth.MergeRevocations(kept, lines, time.Now())
	if bytes.Equal(merged, kept) {
		return nil
	}
	if err := u.storage.Store(ctx, storedRevocationsKey, merged); err != nil {
		return fmt.Errorf("writing to Caddy's storage: %w", err)
	}
	s.known = true
	return nil
}

// Compact has nothing to do: Save leaves out what is over.
func (*storedRevocations) Compact(context.Context, time.Time) error { return nil }
