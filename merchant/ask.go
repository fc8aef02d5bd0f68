package merchant

import (
	"context"
	"errors"

	"github.com/vippsauth/vippsauth/vipps"
)

// Wait returns how far a login is: at once when its state isn't than, and else when it changes, when ctx ends or when Run
// does. It gives the result without taking it. An id of another caller is [ErrUnknown].
func (l *Logins) Wait(ctx context.Context, caller, id string, than State) (Status, error) {
	for {
		s, changed, err := l.look(ctx, caller, id)
		if err != nil || s.State != than || changed == nil {
			return s, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return s, nil
		case <-l.stopped:
			return s, nil
		}
	}
}

// look returns a login as it is, and what is closed when it changes; nil where it won't.
func (l *Logins) look(ctx context.Context, caller, id string) (Status, <-chan struct{}, error) {
	e, g, err := l.find(ctx.Done(), caller, id)
	switch {
	case errors.Is(err, ErrLost):
		return Status{ID: id, State: Lost, Created: g.created}, nil, nil
	case err != nil:
		return Status{}, nil, err
	}
	defer l.mu.Unlock()
	s := e.status(id)
	if s.State != Pending && s.State != Approved {
		return s, nil, nil
	}
	if e.changed == nil {
		e.changed = make(chan struct{})
	}
	return s, e.changed, nil
}

// find returns a caller's login, with l.mu held where there is no error. It may have to wait for the journal, until done.
func (l *Logins) find(done <-chan struct{}, caller, id string) (*entry, given, error) {
	g, err := l.ids.open(caller, id)
	if err != nil {
		return nil, g, err
	}
	if !g.here {
		l.journal.settled(done)
	}
	l.mu.Lock()
	if e := l.logins[g.key]; e != nil {
		return e, g, nil
	}
	l.mu.Unlock()
	if !g.here && l.now().Sub(g.created) < maxExpiry+keepEnd {
		return nil, g, ErrLost
	}
	return nil, g, ErrUnknown
}

// Take gives the result of an approved login to the caller that started it, once, and forgets it. Where there is none, or
// somebody has taken it, that is [ErrNoResult].
func (l *Logins) Take(caller, id string) (*vipps.Login, error) {
	e, _, err := l.find(nil, caller, id)
	if err != nil {
		return nil, err
	}
	defer l.mu.Unlock()
	if e.state != Approved {
		return nil, ErrNoResult
	}
	login := e.login
	l.end(e, Delivered, "")
	return login, nil
}

// Cancel ends a login: nobody asks the provider about it any more, and its result, if there is one, is forgotten. The
// message in the person's app stays; the provider offers nothing to take it back. One that has ended stays as it is, and so
// does one that was lost. With a journal it waits for the disk, a moment at most and no longer than ctx, or what was canceled
// would go on after a crash.
func (l *Logins) Cancel(ctx context.Context, caller, id string) error {
	e, g, err := l.find(nil, caller, id)
	switch {
	case errors.Is(err, ErrLost):
		l.mu.Lock()
		e = l.logins[g.key] // the journal may have been read at last
		if e == nil && l.journal.unread() && len(l.gone) < maxLogins {
			l.gone[g.key] = true
		}
	case err != nil:
		return err
	}
	var kept *batch
	if e != nil && (e.state == Pending || e.state == Approved) {
		kept = l.end(e, Canceled, "")
	}
	l.mu.Unlock()
	kept.wait(ctx)
	return nil
}

// Ping says that the provider has news of a login, by its auth_req_id: it is asked at once, and then again at the usual
// pace. That works once a login, and so pings in a row cause no more than one poll out of turn. It reports whether the login is
// one of ours, and pending.
func (l *Logins) Ping(authReqID string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.waiting[authReqID]
	if e == nil {
		return false
	}
	l.heard = true
	if e.polling == nil || e.pinged { // a browser's is asked about when the browser comes
		return true
	}
	e.pinged, e.ping = true, true
	if !e.asked {
		now := l.now()
		l.plan(e, now, 0)
	}
	return true
}
