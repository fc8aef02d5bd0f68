package merchant

import (
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/vippsauth/vippsauth/internal/rate"
)

const (
	// A peer may show wrong credentials so often at once, and so often in a minute from then on. Right ones always pass: a
	// token of random bytes can't be guessed, and whoever shares an address with somebody who tries must not be locked out.
	strikesAtOnce = 20
	strikesPeriod = time.Minute

	maxPeers = 4096
)

// strikes counts wrong credentials, by peer. Its memory is bounded: where it is full, the peers that have been quiet longest go.
type strikes struct {
	mu    sync.Mutex
	until map[string]time.Time // when the peer's count is back to none
}

// count counts one, and returns how long the peer has to wait when there are too many.
func (s *strikes) count(peer string, now time.Time) (wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.until == nil {
		s.until = map[string]time.Time{}
	}
	last, known := s.until[peer]
	if !known && len(s.until) >= maxPeers {
		s.forget(now)
	}
	left, wait := rate.Limit{Count: strikesAtOnce, Period: strikesPeriod}.Take(last.Sub(now))
	if wait == 0 {
		s.until[peer] = now.Add(left)
	}
	return wait
}

// forget makes room: of those whose time is over, or of any one when there are none.
func (s *strikes) forget(now time.Time) {
	var quietest string
	for peer, until := range s.until {
		if until.Before(now) {
			delete(s.until, peer)
			continue
		}
		if quietest == "" || until.Before(s.until[quietest]) {
			quietest = peer
		}
	}
	if len(s.until) >= maxPeers {
		delete(s.until, quietest)
	}
}

// remotePeer is the address that a request came from.
func remotePeer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return "unix"
	}
	return host
}
