package outbox

import (
	"container/heap"
	"time"
)

// waiting is an event on the disk.
type waiting struct {
	name  string
	tries int
	due   time.Time // zero: at once
	at    int       // in the queue
}

// queue is a heap of events: what is due first stands first, and of several the oldest.
type queue []*waiting

func (q queue) Len() int { return len(q) }

func (q queue) Less(i, j int) bool {
	if !q[i].due.Equal(q[j].due) {
		return q[i].due.Before(q[j].due)
	}
	return q[i].name < q[j].name
}

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].at, q[j].at = i, j
}

// Push is for container/heap.
func (q *queue) Push(x any) {
	w, ok := x.(*waiting)
	if !ok {
		return // only enter pushes
	}
	w.at = len(*q)
	*q = append(*q, w)
}

// Pop is for container/heap.
func (q *queue) Pop() any {
	last := len(*q) - 1
	w := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return w
}

// enter takes up an event that is due at once, if it isn't known yet: a look at the disk may have been faster. The caller holds the lock.
func (o *Outbox) enter(name string) {
	if o.wait[name] != nil {
		return
	}
	w := &waiting{name: name}
	o.wait[name] = w
	heap.Push(&o.line, w)
}

// next is the event that is due first; its name is empty when none waits.
func (o *Outbox) next() (name string, due time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.line) == 0 {
		return "", time.Time{}
	}
	return o.line[0].name, o.line[0].due
}

// later puts an event off, by what delay says of its attempts so far, and returns how many there were with this one.
func (o *Outbox) later(name string, delay func(tries int) time.Duration) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	w := o.wait[name]
	if w == nil {
		return 0
	}
	w.due = o.cfg.Now().Add(delay(w.tries))
	w.tries++
	heap.Fix(&o.line, w.at)
	return w.tries
}

// drop forgets an event that is no more.
func (o *Outbox) drop(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dropLocked(name)
}

func (o *Outbox) dropLocked(name string) {
	if w := o.wait[name]; w != nil {
		delete(o.wait, name)
		_ = heap.Remove(&o.line, w.at)
	}
}
