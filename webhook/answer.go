package webhook

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"
)

const (
	maxBody  = 64 << 10
	readTime = 5 * time.Second // for a body; Vipps itself waits ten seconds for the answer
)

// outcome is what comes of a delivery, and the value of a metric's label.
type outcome string

const (
	accepted   outcome = "accepted"    // its effect is queued
	forged     outcome = "forged"      // nobody knows who sent it
	stale      outcome = "stale"       // signed too long ago, or for later
	replayed   outcome = "replayed"    // sent before
	otherEvent outcome = "other_event" // about something that we don't act on
	unreadable outcome = "unreadable"  // from Vipps, and not of its form
	shed       outcome = "dropped"     // too many at once, and not needed: logins are asked for without
	limited    outcome = "limited"     // too many in a short time
	busy       outcome = "busy"        // too many at once
	tooLarge   outcome = "too_large"
	tooSlow    outcome = "too_slow"
	brokenOff  outcome = "broken_off"
	method     outcome = "method"
)

// verdict is an outcome with what the log is to say of it.
type verdict struct {
	outcome outcome
	err     error         // why, for the log; it quotes nothing that was sent
	off     time.Duration // of a stale one: our clock minus its date
	wait    time.Duration // of a limited one
}

// status chooses the answer. All that has no effect and would be sent again is answered as if it had one.
func (o outcome) status() int {
	switch o {
	case forged:
		return http.StatusUnauthorized
	case limited:
		return http.StatusTooManyRequests
	case busy:
		return http.StatusServiceUnavailable
	case tooLarge:
		return http.StatusRequestEntityTooLarge
	case tooSlow:
		return http.StatusRequestTimeout
	case brokenOff:
		return http.StatusBadRequest
	case method:
		return http.StatusMethodNotAllowed
	default:
		return http.StatusOK
	}
}

// answer writes the status, and nothing that would tell one refusal from another.
func answer(w http.ResponseWriter, v verdict) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	status := v.outcome.status()
	switch status {
	case http.StatusOK:
		w.WriteHeader(status)
		return
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "HMAC-SHA256")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		h.Set("Retry-After", strconv.Itoa(int((max(v.wait, time.Second)+time.Second-1)/time.Second)))
	case http.StatusMethodNotAllowed:
		h.Set("Allow", http.MethodPost)
	case http.StatusRequestEntityTooLarge, http.StatusRequestTimeout, http.StatusBadRequest:
		h.Set("Connection", "close") // what is left of the body isn't read
	}
	http.Error(w, http.StatusText(status), status)
}

// openBody returns the body as it comes, so long and for so long at most: what it is encoded in is signed, and nothing inflates it.
func openBody(w http.ResponseWriter, req *http.Request, most int64) (io.Reader, outcome) {
	switch {
	case req.Method != http.MethodPost:
		return nil, method
	case req.ContentLength > most:
		return nil, tooLarge
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(readTime)) // always there on a connection of net/http
	return http.MaxBytesReader(w, req.Body, most), ""
}

// unread says what became of a body that could not be read to its end.
func unread(err error) outcome {
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		return tooLarge
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return tooSlow
	}
	return brokenOff
}

// pass reads a body to its end, and keeps nothing of it: it is a stranger's, and strangers send many at once.
func pass(body io.Reader) error {
	for part := make([]byte, 1<<10); ; {
		switch _, err := body.Read(part); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}
