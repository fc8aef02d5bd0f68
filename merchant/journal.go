package merchant

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/internal/ondisk"
	"github.com/vippsauth/vippsauth/internal/rate"
	"github.com/vippsauth/vippsauth/session"
)

const (
	retryPause = 5 * time.Second         // between two attempts at a journal that can't be written
	settleTime = 2 * time.Second         // that an answer waits for the journal to be read, where only that can tell
	lockPause  = 100 * time.Millisecond  // between two looks at a lock that another process holds
	savePause  = 1500 * time.Millisecond // that the answer to a start waits for the disk
	compactAt  = 1024                    // lines that a journal has at least before it is written anew
)

const heldByAnother = "another process holds the journal of merchant logins: without it, those under way here are lost in a restart; trying again"

// journal keeps the logins under way for after a restart. What a login says of a person it never holds. A nil journal keeps
// nothing.
//
// One goroutine, run, touches the file. The others hand it records, in batches that are written and synced together. Where a
// batch can't be written it is dropped: all that is under way then is written anew, as soon as that works again.
type journal struct {
	path string
	box  *session.Box
	log  *zap.Logger
	now  func() time.Time

	nudge  chan struct{}
	loaded chan struct{} // closed when it was read, or it isn't known when it will be
	settle func()
	counts *counts

	mu      sync.Mutex
	running bool
	batch   *batch

	// Of run alone.
	file       *journalFile
	lines      int
	counted    int    // of these, counts
	foreign    []line // that no key of ours opens
	anew       bool
	complaints rate.Lines
}

// batch is what is written together. A nil batch is written.
type batch struct {
	done    chan struct{} // closed after the attempt
	records []record
}

// wait waits until a batch is written, or could not be, or it takes too long: without it the login goes on too.
func (b *batch) wait(ctx context.Context) {
	if b == nil {
		return
	}
	timer := time.NewTimer(savePause)
	defer timer.Stop()
	select {
	case <-b.done:
	case <-ctx.Done():
	case <-timer.C:
	}
}

func newJournal(s settings) (*journal, error) {
	box, err := newBox(s, "merchant login journal")
	if err != nil {
		return nil, err
	}
	loaded := make(chan struct{})
	return &journal{
		path: s.File, box: box, log: s.Logger, now: s.Now,
		nudge: make(chan struct{}, 1), loaded: loaded, settle: sync.OnceFunc(func() { close(loaded) }),
		counts: newCounts(),
	}, nil
}

// settled waits until the journal was read, as far as that can be waited for, and until done at most.
func (j *journal) settled(done <-chan struct{}) {
	if j == nil {
		return
	}
	timer := time.NewTimer(settleTime)
	defer timer.Stop()
	select {
	case <-j.loaded:
	case <-done:
	case <-timer.C:
	}
}

// unread says that the journal has not been read yet, so that what it holds may still come.
func (j *journal) unread() bool {
	if j == nil {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return !j.running
}

// add keeps a pending login, or what has changed about it. The lock of its Logins is held.
func (j *journal) add(e *entry) *batch {
	if j == nil {
		return nil
	}
	return j.put(recordOf(e))
}

// remove keeps that a login is over. The lock of its Logins is held.
func (j *journal) remove(e *entry) *batch {
	if j == nil {
		return nil
	}
	return j.put(record{key: e.key, until: untilOf(e.expires), over: true})
}

func (j *journal) put(r record) *batch {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.running {
		return nil // run begins with all that is under way
	}
	if j.batch == nil {
		j.batch = &batch{done: make(chan struct{})}
	}
	j.batch.records = append(j.batch.records, r)
	select {
	case j.nudge <- struct{}{}:
	default:
	}
	return j.batch
}

// take gives the batch to be written.
func (j *journal) take() *batch {
	j.mu.Lock()
	defer j.mu.Unlock()
	b := j.batch
	j.batch = nil
	return b
}

// run reads the journal into l, and writes until ctx ends, and once more then.
func (j *journal) run(ctx context.Context, l *Logins) {
	defer j.settle()
	if !j.open(ctx, l) {
		return
	}
	defer func() { j.file.close() }()
	j.mu.Lock()
	j.running = true
	j.mu.Unlock()
	j.anew = true // with what began before
	j.write(l)
	ticker := time.NewTicker(retryPause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			j.mu.Lock()
			j.running = false
			j.mu.Unlock()
			j.write(l)
			return
		case <-j.nudge:
			j.write(l)
		case <-ticker.C:
			j.write(l)
		}
	}
}

// open opens and reads the journal, and waits for another process to leave it. It returns false when ctx ends before.
func (j *journal) open(ctx context.Context, l *Logins) bool {
	since := j.now()
	for {
		file, err := openJournal(j.path)
		if err == nil && file != nil {
			if err = j.load(file, l); err == nil {
				j.file = file
				j.settle()
				return true
			}
			file.close()
		}
		pause := lockPause
		if err != nil {
			pause = retryPause
			j.settle()
			j.complain("the journal of merchant logins can't be read: after a restart those under way now are lost; trying again", err)
		} else if j.now().Sub(since) > settleTime {
			j.settle()
			j.complain(heldByAnother, nil)
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
	}
}

// load takes in what the journal holds.
func (j *journal) load(file *journalFile, l *Logins) error {
	all, err := file.read(j.now())
	if err != nil {
		return err
	}
	if j.counts.open(all.secret, j.box) {
		l.restoreCounts(all.counts)
	}
	j.foreign = nil
	restored := 0
	for _, text := range all.logins {
		r, err := text.open(j.box)
		if err != nil {
			if len(j.foreign) < maxLogins {
				j.foreign = append(j.foreign, text)
			}
			continue
		}
		if l.restore(r) {
			restored++
		}
	}
	if len(j.foreign) > 0 {
		j.log.Warn("the journal of merchant logins has lines that no key of ours opens: they are kept until they are over, and those logins are lost unless the key comes back",
			zap.Int("unread", len(j.foreign)), zap.String("kept_in", j.path))
	}
	if restored > 0 {
		j.log.Info("merchant logins go on after a restart", zap.Int("restored", restored))
	}
	return nil
}

// write writes what there is to write, or all that is under way.
func (j *journal) write(l *Logins) {
	b := j.take()
	if b != nil {
		defer close(b.done)
	}
	if j.lines > compactAt && j.lines > 2*(l.underWay()+j.counted+len(j.foreign)) {
		j.anew = true
	}
	if !ondisk.IsAt(j.file.file, j.file.path) {
		j.anew = true
		if j.taken() {
			return
		}
	}
	if j.anew {
		j.rewrite(l)
		return
	}
	if b == nil {
		return
	}
	var text []byte
	var err error
	for _, r := range b.records {
		if r.counted {
			text = l.appendCounted(text, digest(r.key))
			continue
		}
		if text, err = r.appendTo(text, j.box); err != nil {
			break
		}
	}
	if err == nil {
		err = j.file.append(text)
	}
	if err != nil {
		j.anew = true
		j.complain("merchant logins can't be kept: after a restart those under way now are lost; trying again", err)
		return
	}
	j.lines += len(b.records)
}

// taken reports whether another process has put a file of its own in the place of ours, which it keeps: two that wrote over each other's would
// both lose all.
func (j *journal) taken() bool {
	file, err := openJournal(j.path)
	if err != nil {
		return false // writing says why
	}
	if file != nil {
		file.close()
		return false
	}
	j.complain(heldByAnother, nil)
	return true
}

// rewrite writes all that is under way into a new file, which takes the old one's place. What was in a batch is in it.
func (j *journal) rewrite(l *Logins) {
	text := []byte(journalHeader)
	now := j.now().Unix()
	lines := 0
	j.foreign = slices.DeleteFunc(j.foreign, func(t line) bool { return t.until <= now })
	for _, foreign := range j.foreign {
		text = append(text, foreign.text...)
		lines++
	}
	text, err := j.counts.appendTo(text, j.box)
	counted := 0
	at := l.now()
	for key, left := range l.limits.kept(at.Sub(l.began)) {
		text = appendCount(text, key, fullAt(at, left))
		counted++
	}
	for _, r := range l.records() {
		if err != nil {
			break
		}
		if text, err = r.appendTo(text, j.box); err != nil {
			break
		}
		lines++
	}
	if err == nil {
		err = j.file.replace(text)
	}
	if err != nil {
		j.complain("merchant logins can't be kept: after a restart those under way now are lost; trying again", err)
		return
	}
	j.lines, j.counted, j.anew = lines+counted, counted, false
}

// complain logs trouble with the journal, once a minute.
func (j *journal) complain(what string, err error) {
	if !j.complaints.May("", j.now()) {
		return
	}
	j.log.Error(what, zap.String("kept_in", j.path), zap.Error(err),
		zap.String("mend", "let the user that runs vippsauth write to this file and to its directory, see that the disk is not full, and give each process a file of its own"))
}

// restore takes in a login from before a restart, and reports whether it is still under way.
func (l *Logins) restore(r record) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	e := r.entry()
	if l.gone[e.key] || l.logins[e.key] != nil || !now.Before(e.over()) || !l.room(e.caller) {
		return false
	}
	if e.pending != nil && l.waiting[e.pending.AuthReqID] != nil {
		return false
	}
	e.goesOn(now)
	// Of somebody who said no meanwhile nothing is known before the first poll.
	if !e.decline.IsZero() {
		e.decline = l.declineAt(now, 0)
	}
	l.add(e, now)
	return true
}

// goesOn has a login's end measured by a clock that nobody can set from here on. Whatever the clock said when it began, it has no more time
// than it had then.
func (e *entry) goesOn(now time.Time) {
	life := e.expires.Sub(e.created)
	if e.created.After(now) {
		e.created = now
	}
	e.expires = now.Add(min(e.expires.Sub(now), life))
	if e.pending != nil {
		e.pending.Expires = now.Add(min(e.pending.Expires.Sub(now), life))
	}
}

// records are all logins under way.
func (l *Logins) records() []record {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []record
	for _, e := range l.logins {
		if e.state == Pending {
			all = append(all, recordOf(e))
		}
	}
	return all
}

func (l *Logins) underWay() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pendings
}
