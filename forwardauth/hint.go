package forwardauth

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/vippsauth/vippsauth/session"
)

const (
	hintVersion   = 1
	hintSeparator = "~"
	maxForeign    = 2
	logoutMemory  = 365 * 24 * time.Hour
	loopWindow    = time.Minute
	loopRounds    = 2 // after so many rounds without a click, the next is a page
	passWindow    = 10 * time.Second
)

// After a logout the next login waits for a click; from the click until a session exists it is never silent,
// and a page asks who continues.
type logoutPhase int64

const (
	notLoggedOut logoutPhase = iota
	waitsForClick
	clickedSince
)

// hint is what we remember in the browser besides the session: a silent miss, a logout, and that a login has
// just succeeded, by which a session that doesn't stick is noticed.
type hint struct {
	MissUntil     time.Time
	SilentStarted time.Time // an attempt that is not back after silentGrace counts as a miss
	Logout        logoutPhase
	LoggedOutAt   time.Time // a login that was on its way by then makes no session

	Successes    int64     // logins without a click since FirstSuccess
	FirstSuccess time.Time // zero: none
	SessionUntil time.Time // when the last of those sessions ends by itself
	SessionSize  int64     // bytes of its cookie

	Passes int64     // times that the login page sent a live session on to the same page, see passed
	Passed time.Time // the last of them
	Page   string    // a hash of that page

	// foreign are parts of the cookie that our keys don't open: another replica's, or a removed key's. They
	// are kept, so that two replicas with different keys can tell that they take turns.
	foreign []string
	// unread says that there is something, and that nothing of it can be read: of another key, or of another release.
	unread bool
}

func (h *hint) payload() []byte {
	b := session.AppendVersion(nil, hintVersion)
	b = session.AppendTime(b, h.MissUntil)
	b = session.AppendTime(b, h.SilentStarted)
	b = session.AppendInt(b, int64(h.Logout))
	b = appendMoment(b, h.LoggedOutAt)
	b = session.AppendInt(b, h.Successes)
	b = session.AppendTime(b, h.FirstSuccess)
	b = session.AppendTime(b, h.SessionUntil)
	b = session.AppendInt(b, h.SessionSize)
	b = session.AppendInt(b, h.Passes)
	b = session.AppendTime(b, h.Passed)
	return session.AppendText(b, h.Page)
}

func (h *hint) read(payload []byte) error {
	r := session.NewReader(payload)
	if r.Version() != hintVersion {
		return session.ErrPayload
	}
	h.MissUntil = r.Time()
	h.SilentStarted = r.Time()
	h.Logout = logoutPhase(r.Int())
	h.LoggedOutAt = readMoment(r)
	h.Successes = r.Int()
	h.FirstSuccess = r.Time()
	h.SessionUntil = r.Time()
	h.SessionSize = r.Int()
	h.Passes = r.Int()
	h.Passed = r.Time()
	h.Page = r.Text()
	return r.Done()
}

// hint reads what the browser remembers. Garbage is nothing remembered, but for a browser without a session: what is kept
// for long there is a logout, and after one that nobody can read any more, since its key is gone or another release has
// written it, nobody is to be logged in as the person before. Of several cookies, one of which a neighbour in a shared domain
// may have planted, the one with the last logout counts.
func (e *Engine) hint(s *site, header http.Header) hint {
	var h hint
	value, found := s.hintJar.Get(header)
	switch found {
	case session.None:
		return h
	case session.One:
		h = s.readHint(value)
	default:
		for name, value := range session.Cookies(header) {
			h.unread = h.unread || name == s.hintJar.CookieName() && value != "" // an empty one is what we clear it with
		}
		for _, value := range s.hintJar.Values(header) {
			other := s.readHint(value)
			if !other.unread && (h.unread || other.LoggedOutAt.After(h.LoggedOutAt)) {
				h = other
			}
		}
		h.foreign = nil // others in the domain have theirs: they say nothing of our keys
	}
	if h.unread && !sent(&s.jar, header) {
		h.Logout = waitsForClick
	}
	return h
}

func (s *site) readHint(value string) hint {
	h := hint{unread: true}
	var foreign []string
	for _, part := range strings.SplitN(value, hintSeparator, maxForeign+2) {
		payload, err := s.hints.Open(part)
		if err != nil {
			foreign = append(foreign, part)
			continue
		}
		var own hint
		if own.read(payload) == nil {
			h = own
		}
	}
	h.foreign = foreign[max(0, len(foreign)-maxForeign):]
	return h
}

// remember writes the hint, or removes it when there is nothing to remember.
func (e *Engine) remember(w http.ResponseWriter, r *http.Request, s *site, h hint, now time.Time) {
	keep := h.keep(e.cfg.SilentRetry, now)
	if keep <= 0 {
		s.hintJar.Clear(w, r)
		return
	}
	sealed, err := s.hints.Seal(h.payload())
	if err != nil {
		e.logCookieError("hint", err)
		return
	}
	value := strings.Join(append(slices.Clone(h.foreign), sealed), hintSeparator)
	if err := s.hintJar.Set(w, r, value, keep); err != nil {
		e.logCookieError("hint", err)
	}
}

// keep is how long the hint is worth remembering.
func (h *hint) keep(silentRetry time.Duration, now time.Time) time.Duration {
	if h.Logout != notLoggedOut {
		return logoutMemory
	}
	keep := h.MissUntil.Sub(now)
	if !h.LoggedOutAt.IsZero() {
		keep = max(keep, h.LoggedOutAt.Add(attemptTTL).Sub(now))
	}
	if !h.SilentStarted.IsZero() {
		keep = max(keep, h.SilentStarted.Add(silentRetry).Sub(now))
	}
	if !h.FirstSuccess.IsZero() {
		keep = max(keep, h.FirstSuccess.Add(loopWindow).Sub(now))
	}
	if !h.Passed.IsZero() {
		keep = max(keep, h.Passed.Add(passWindow).Sub(now))
	}
	return keep
}

// missed reports whether a silent attempt missed lately, or never came back.
func (h *hint) missed(silentRetry time.Duration, now time.Time) bool {
	if now.Before(h.MissUntil) {
		return true
	}
	lost := !h.SilentStarted.IsZero() && now.Sub(h.SilentStarted) >= silentGrace
	return lost && now.Before(h.SilentStarted.Add(silentRetry))
}

// loggedOutSince reports whether the browser was logged out after this moment.
func (h *hint) loggedOutSince(t time.Time) bool { return t.Before(h.LoggedOutAt) }

// appendMoment appends a time in milliseconds: a logout and the login after it may share a second.
func appendMoment(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return session.AppendInt(b, 0)
	}
	return session.AppendInt(b, t.UnixMilli())
}

func readMoment(r *session.Reader) time.Time {
	if ms := r.Int(); ms != 0 {
		return time.UnixMilli(ms)
	}
	return time.Time{}
}

// succeeded notes a login that made a session. Only those without a click are rounds of a loop.
func (h *hint) succeeded(clicked bool, until time.Time, size int, now time.Time) {
	h.MissUntil, h.SilentStarted, h.Logout = time.Time{}, time.Time{}, notLoggedOut
	if h.FirstSuccess.IsZero() || now.Sub(h.FirstSuccess) >= loopWindow {
		h.Successes, h.FirstSuccess = 0, now
	}
	if clicked {
		h.Successes, h.foreign = 0, nil
	} else {
		h.Successes++
	}
	h.SessionUntil, h.SessionSize = until, int64(size)
}

// passed notes that the login page sends a live session on to a page, and reports whether that has gone round: the
// page sends it back, since whoever judges its requests sees no session. Several tabs with different pages are no
// round, and neither is a session that was due to be renewed.
func (h *hint) passed(rd string, now time.Time) (round bool) {
	sum := sha256.Sum256([]byte(rd))
	page := base64.RawURLEncoding.EncodeToString(sum[:6])
	if h.Page != page || now.Sub(h.Passed) >= passWindow {
		h.Passes = 0
	}
	h.Passes, h.Passed, h.Page = h.Passes+1, now, page
	return h.Passes > loopRounds
}

// rounds counts the logins of the last minute whose session is not there any more although it should be.
func (h *hint) rounds(why noSession, now time.Time) int {
	rounds := 0
	if !h.FirstSuccess.IsZero() && now.Sub(h.FirstSuccess) < loopWindow && now.Before(h.SessionUntil) && why != cookieRevoked {
		rounds = int(h.Successes)
	}
	if why == cookieUnopenable {
		rounds += len(h.foreign)
	}
	return rounds
}

// silentDue reports whether a silent attempt is due in a browser that remembers this.
func (e *Engine) silentDue(h hint, now time.Time) bool {
	return e.cfg.Silent == SilentFirst && h.Logout == notLoggedOut && !h.missed(e.cfg.SilentRetry, now) && !e.state.silentOff(now)
}
