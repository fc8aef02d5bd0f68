package merchant

import (
	"bytes"
	"context"
	"net/http"
	"time"
)

// isFinal reports whether a login in this state stays in it, or has nothing left to wait for.
func isFinal(s State) bool { return s != Pending && s != Approved }

// events streams the states of a login.
func (a *API) events(w http.ResponseWriter, r *http.Request, caller, id string) error {
	if _, err := readQuery(r.URL); err != nil {
		return err
	}
	if err := noBody(r); err != nil {
		return err
	}
	return a.stream(w, r, caller, id, maxStreams, nil, func(ctx context.Context, st Status) any { return a.answer(ctx, caller, st) })
}

// stream writes an event for each state of a login until it has ended, and a comment every heartbeat between them. say makes
// what an event says; that of a state with a result is written once. may is asked before anything is said; nil says yes.
func (a *API) stream(w http.ResponseWriter, r *http.Request, caller, id string, limit int, may func() bool, say func(context.Context, Status) any) error {
	if may == nil {
		may = func() bool { return true }
	}
	ctx, end, ok := a.streams.begin(r.Context(), caller, limit)
	defer end()
	if !ok {
		return errStreams
	}
	st, err := a.status(ctx, caller, id)
	if err != nil {
		return err
	}
	out := &eventWriter{w: w, rc: http.NewResponseController(w)}
	out.begin()
	for {
		if ctx.Err() != nil || !may() {
			return nil
		}
		final := isFinal(st.State) || st.State == Approved
		if text, err := marshal(say(r.Context(), st)); err != nil || !out.event(text) || final {
			return nil // the status line is gone; marshal takes everything that say returns
		}
		for was := st.State; st.State == was; {
			var timeUp bool
			if st, timeUp, err = a.next(ctx, caller, id, was); err != nil {
				return nil // the login is forgotten: nothing more to say
			}
			if st.State == was && (ctx.Err() != nil || !timeUp || !may() || !out.comment()) {
				return nil
			}
		}
	}
}

// next waits for a change, no longer than until the next heartbeat is due, which is timeUp. When there is neither, nothing will
// change any more: the service stops.
func (a *API) next(ctx context.Context, caller, id string, was State) (st Status, timeUp bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, a.beat)
	defer cancel()
	st, err = a.logins.Wait(ctx, caller, id, was)
	return st, ctx.Err() != nil, err
}

// An eventWriter writes server-sent events.
type eventWriter struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

// begin sends the header. A stream lives as long as its login: the time for reading a request, which is over, must not end it.
func (e *eventWriter) begin() {
	_ = e.rc.SetReadDeadline(time.Time{}) // always there on a connection of net/http
	h := e.w.Header()
	neverCache(h)
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // or nginx keeps events until it has some kilobytes
	e.w.WriteHeader(http.StatusOK)
}

// event writes one, and reports whether somebody may have got it.
func (e *eventWriter) event(text []byte) bool {
	var b bytes.Buffer
	b.WriteString("event: state\ndata: ")
	b.Write(text) // JSON has no line breaks
	b.WriteString("\n\n")
	return e.write(b.Bytes())
}

func (e *eventWriter) comment() bool { return e.write([]byte(":\n\n")) }

func (e *eventWriter) write(p []byte) bool {
	if _, err := e.w.Write(p); err != nil {
		return false
	}
	return e.rc.Flush() == nil
}
