package merchant

import (
	"context"
	"sync"
)

// streams are the answers that wait for something: long polls and event streams. So many may be open for each caller, and
// all end together when the service stops.
type streams struct {
	mu      sync.Mutex
	next    uint64
	open    map[uint64]context.CancelFunc
	callers map[string]int
	stopped bool
}

// begin opens one for a caller, and returns a context that ends with it, or false when the caller has limit of them open.
// end must be called.
func (s *streams) begin(ctx context.Context, caller string, limit int) (within context.Context, end func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.callers[caller] >= limit {
		return ctx, func() {}, false
	}
	if s.open == nil {
		s.open, s.callers = map[uint64]context.CancelFunc{}, map[string]int{}
	}
	within, cancel := context.WithCancel(ctx)
	if s.stopped {
		cancel()
	}
	s.next++
	id := s.next
	s.open[id] = cancel
	s.callers[caller]++
	return within, func() { s.end(id, caller) }, true
}

func (s *streams) end(id uint64, caller string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[id]()
	delete(s.open, id)
	if s.callers[caller]--; s.callers[caller] == 0 {
		delete(s.callers, caller)
	}
}

// stop ends all that are open, and each that is opened from now on at once.
func (s *streams) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	for _, cancel := range s.open {
		cancel()
	}
}
