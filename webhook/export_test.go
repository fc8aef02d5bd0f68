package webhook

import (
	"context"
	"time"
)

// What external tests need to see of the insides.

// Seen remembers digests.
type Seen struct{ *seen }

// NewSeen returns one that remembers so many, for so long.
func NewSeen(most int, keep time.Duration) Seen { return Seen{newSeen(most, keep)} }

// Claim says whether a digest is new.
func (s Seen) Claim(digest byte, now time.Time) bool { return s.claim([32]byte{digest}, now) }

// Forget makes it new.
func (s Seen) Forget(digest byte) { s.forget([32]byte{digest}) }

// Queue holds jobs.
type Queue struct{ *queue }

// NewQueue returns one of so many, which may go on for so long at the end.
func NewQueue(size, workers int, drain time.Duration) Queue {
	q := newQueue(size, workers)
	q.drain = drain
	return Queue{q}
}

// Offer puts a job in.
func (q Queue) Offer(job func(ctx context.Context)) bool { return q.offer(job) }

// Run does them.
func (q Queue) Run(ctx context.Context) { q.run(ctx, func(string, []byte) {}) }

// End takes no more.
func (q Queue) End() { q.end() }

// Revocations is how many withdrawn consents are remembered.
func (r *Receiver) Revocations() int {
	r.seenRevocations.mu.Lock()
	defer r.seenRevocations.mu.Unlock()
	return len(r.seenRevocations.oldest)
}

// KeepFor sets how long answers wait for the end of sessions.
func (r *Receiver) KeepFor(d time.Duration) { r.keepTime = d }
