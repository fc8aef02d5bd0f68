package webhook

import (
	"slices"
	"sync"
	"time"
)

// maxSeen bounds what is remembered: some 4 MB. Only what is rightly signed, or comes with the secret, gets in.
const maxSeen = 1 << 16

// seen remembers digests for a while. When it is full it takes no more: what isn't remembered could be sent twice, so it
// counts as sent before.
type seen struct {
	most int
	keep time.Duration

	mu     sync.Mutex
	known  map[[32]byte]time.Time // until when
	oldest []remembered           // in the order in which they end
}

type remembered struct {
	digest [32]byte
	until  time.Time
}

func newSeen(most int, keep time.Duration) *seen {
	return &seen{most: most, keep: keep, known: map[[32]byte]time.Time{}}
}

// claim says whether a digest comes for the first time, and remembers it.
func (s *seen) claim(digest [32]byte, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := 0
	for gone < len(s.oldest) && !s.oldest[gone].until.After(now) {
		delete(s.known, s.oldest[gone].digest)
		gone++
	}
	s.oldest = s.oldest[gone:]
	if _, again := s.known[digest]; again || len(s.oldest) >= s.most {
		return false
	}
	until := now.Add(s.keep)
	s.known[digest] = until
	s.oldest = append(s.oldest, remembered{digest, until})
	return true
}

// forget makes a digest one that has yet to come: what it stood for didn't happen. It is among the last that were claimed.
func (s *seen) forget(digest [32]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.known[digest]; !ok {
		return
	}
	delete(s.known, digest)
	for i, r := range slices.Backward(s.oldest) {
		if r.digest == digest {
			s.oldest = slices.Delete(s.oldest, i, i+1)
			return
		}
	}
}
