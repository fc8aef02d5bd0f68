package merchant

import "time"

// Operations are the methods and paths that the API serves.
func Operations() map[string][]string {
	all := map[string][]string{}
	for _, o := range operations() {
		all["/"+o.path] = append(all["/"+o.path], o.method)
	}
	return all
}

// SetBeat shortens the time between comments in event streams.
func (a *API) SetBeat(d time.Duration) { a.beat = d }

// Limits of the API.
const (
	MaxStreams         = maxStreams
	MaxOperatorStreams = maxOperatorStreams
	StrikesAtOnce      = strikesAtOnce
	MaxPeers           = maxPeers
)

// OpenStreams counts the answers that wait.
func (a *API) OpenStreams() int {
	a.streams.mu.Lock()
	defer a.streams.mu.Unlock()
	return len(a.streams.open)
}

// ParseMembers is parseMembers.
func ParseMembers(body []byte, known ...string) (map[string]string, error) {
	m, err := parseMembers(body, known...)
	out := map[string]string{}
	for name, raw := range m {
		out[name] = string(raw)
	}
	return out, err
}

// Strikes counts wrong credentials of a peer, n times, and returns how many were too many.
func Strikes(peers []string, n int, now time.Time) (refused, remembered int) {
	var s strikes
	for _, peer := range peers {
		for range n {
			if s.count(peer, now) > 0 {
				refused++
			}
		}
	}
	return refused, len(s.until)
}

// OperatorTexts are the texts of the operator page by language.
func OperatorTexts() (map[string]map[string]string, error) {
	a, err := newPageAssets()
	if err != nil {
		return nil, err
	}
	out := map[string]map[string]string{}
	for lang, m := range a.Texts {
		out[lang] = m
	}
	return out, nil
}
