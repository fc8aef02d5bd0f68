package merchant

import (
	"container/heap"
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// workers ask the provider at the same time. With more logins than they can ask about at their pace, each waits
	// its turn: polls come later than they could, never earlier.
	workers = 16

	// pingPause is between the provider's last word and a poll that a ping asks for.
	pingPause = time.Second

	// lastWords is how long polls that are under way when they are to end may still take: an answer may be the only one.
	lastWords = 3 * time.Second

	// crowd is how many waiting logins have their polls spread over a whole interval; fewer over less of it.
	crowd = 50
)

// timetable is a heap of logins by the time at which something is to be done about each.
type timetable []*entry

func (t timetable) Len() int           { return len(t) }
func (t timetable) Less(i, j int) bool { return t[i].at.Before(t[j].at) }
func (t timetable) Swap(i, j int)      { t[i], t[j] = t[j], t[i]; t[i].index, t[j].index = i, j }

// Push is heap.Interface's.
func (t *timetable) Push(x any) {
	if e, ok := x.(*entry); ok { // nothing else is pushed
		e.index = len(*t)
		*t = append(*t, e)
	}
}

// Pop is heap.Interface's.
func (t *timetable) Pop() any {
	old := *t
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*t, e.index = old[:len(old)-1], -1
	return e
}

func (t *timetable) remove(e *entry) {
	if e.index >= 0 {
		heap.Remove(t, e.index)
	}
}

// schedule says when to look at a login next. l.mu is held.
func (l *Logins) schedule(e *entry, at time.Time) {
	e.at = at
	if e.index >= 0 {
		heap.Fix(&l.due, e.index)
	} else {
		heap.Push(&l.due, e)
	}
	if e.index == 0 {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// plan says when to look at a pending login next: when it may be asked about, a little later than it might so that not
// all are asked about at once, and when it expires at the latest. l.mu is held.
func (l *Logins) plan(e *entry, now time.Time, later time.Duration) {
	at := e.over()
	switch {
	case e.polling != nil && e.ping:
		at = e.answered.Add(pingPause)
	case e.polling != nil:
		if next, over := e.polling.Next(); !over {
			at = next.Add(later)
		}
	case e.pending == nil && !e.decline.IsZero():
		at = e.decline
	}
	if over := e.over(); at.After(over) {
		at = over
	}
	if at.Before(now) {
		at = now
	}
	l.schedule(e, at)
}

// spread is how much later than it may be a login is asked about for the first time. The more there are the more it is, up
// to a whole interval, so that those which started together don't come together. l.mu is held.
func (l *Logins) spread(e *entry, now time.Time) time.Duration {
	if e.polling == nil {
		return 0
	}
	next, _ := e.polling.Next()
	interval := max(0, next.Sub(now))
	return chance(interval * time.Duration(min(len(l.waiting), crowd)) / crowd)
}

// step does what is due about a login that was taken from the timetable, and reports whether the provider is to be asked.
// l.mu is held.
func (l *Logins) step(e *entry, now time.Time) (ask bool) {
	switch {
	case e.state == Approved:
		l.end(e, Expired, ReasonNotTaken)
	case e.state != Pending:
		l.forget(e)
	case e.landing:
		l.schedule(e, now.Add(lastWords)) // its browser is there
	case !e.decline.IsZero() && !now.Before(e.decline):
		l.end(e, Declined, "")
	case !now.Before(e.over()):
		l.expire(e)
	case e.polling == nil:
		l.plan(e, now, 0)
	default:
		// A ping is worth a poll as long as the login has not expired, also where the next one by the clock would come too late. What is put off
		// here must be put off until later than now, or collect would never end.
		next, over := e.polling.Next()
		if e.ping || !over && !now.Before(next) {
			e.asked, e.ping = true, false
			return true
		}
		l.plan(e, now, 0)
	}
	return false
}

// expire ends a login whose time is up. l.mu is held.
func (l *Logins) expire(e *entry) {
	if e.away {
		l.end(e, Failed, ReasonUnavailable)
		l.complain("merchant logins expired while the provider could not be asked", nil)
		return
	}
	l.end(e, Expired, "")
}

// Run asks the provider about the logins under way, and forgets what is over, until ctx ends. It reads the journal first.
// Polls that are under way when ctx ends, or EndPolls is called, have some seconds left. It runs once; its error says
// that it has run before.
func (l *Logins) Run(ctx context.Context) error {
	if !l.ran.CompareAndSwap(false, true) {
		return errors.New("merchant: logins run once")
	}
	defer close(l.stopped)
	asks, end := context.WithCancel(ctx)
	defer end()
	defer context.AfterFunc(l.noPolls, end)() //nolint:contextcheck // it is ended by EndPolls, and nothing else
	// Polls outlive asks a little, since what the provider says it may say once.
	polls, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	defer context.AfterFunc(asks, func() {
		timer := time.NewTimer(lastWords)
		defer timer.Stop()
		select {
		case <-timer.C:
			cut()
		case <-polls.Done():
		}
	})()

	journal, closeJournal := context.WithCancel(context.WithoutCancel(ctx))
	defer closeJournal()
	var asking, writing sync.WaitGroup
	if l.journal != nil {
		writing.Go(func() { l.journal.run(journal, l) })
	}
	for range workers {
		asking.Go(func() {
			for e := range l.work {
				l.ask(polls, e)
			}
		})
	}
	l.dispatch(asks)
	close(l.work)
	asking.Wait()
	<-ctx.Done() // logins that still begin are kept
	closeJournal()
	writing.Wait()
	return nil
}

// EndPolls has Run ask the provider no more. Logins can still be started and canceled, and are kept in the journal, until its ctx ends. A
// service calls it when it begins to stop.
func (l *Logins) EndPolls() { l.endPolls() }

// dispatch is the one goroutine that looks at the time.
func (l *Logins) dispatch(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var ready []*entry // to be asked about, in order
	for {
		var pause time.Duration
		ready, pause = l.collect(ready)
		timer.Reset(pause)
		var work chan<- *entry
		var first *entry
		if len(ready) > 0 {
			work, first = l.work, ready[0]
		}
		select {
		case work <- first:
			ready[0] = nil
			ready = ready[1:]
		case <-timer.C:
		case <-l.wake:
		case <-ctx.Done():
			return
		}
	}
}

// collect does what is due now, adds to ready what is to be asked about, and returns how long until there is more.
func (l *Logins) collect(ready []*entry) ([]*entry, time.Duration) {
	const longest = time.Minute
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	for len(l.due) > 0 && !now.Before(l.due[0].at) {
		e := l.due[0]
		l.due.remove(e)
		if l.step(e, now) {
			ready = append(ready, e)
		}
	}
	if len(l.due) == 0 {
		return ready, longest
	}
	return ready, min(l.due[0].at.Sub(now), longest)
}
