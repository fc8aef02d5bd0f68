//go:build linux

package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// leave logs out, and perhaps lets the other one sit down. Who leaves makes sure of it.
func (s *seat) leave(ctx context.Context) {
	e := ended{person: s.sitter(), cookies: s.sessionCookies()}
	had := s.held
	s.held = nil
	for try := 0; ; try++ {
		if s.logOut(context.WithoutCancel(ctx)) == nil {
			break
		}
		if try > 200 || !pause(ctx, s.stage.plan.think/4) {
			s.note("still logged in: nobody else sits down")
			return
		}
	}
	s.report.count(&s.report.logouts)
	e.at = time.Now()
	if had != nil && len(e.cookies) > 0 {
		s.old = append(s.old, e)
		s.replay(context.WithoutCancel(ctx), e)
		s.replay(context.WithoutCancel(ctx), s.old[rand.IntN(len(s.old))])
		s.old = s.old[max(0, len(s.old)-5):]
	}
	if len(s.people) > 1 && rand.IntN(10) < 6 {
		s.who = 1 - s.who
		s.belongsTo(s.sitter().n)
		s.note("person %d sits down", s.sitter().n)
	}
}

var errStillThere = errors.New("the browser isn't logged out yet")

// logOut asks for the page and presses the button.
func (s *seat) logOut(ctx context.Context) error {
	p, err := s.ask(ctx, http.MethodGet, s.origin.String()+ourPages+"logout", navigation(), nil)
	if err != nil {
		return err
	}
	for _, a := range p.acts() {
		if a.id != ourPages+"logout" {
			continue
		}
		w, err := s.ask(ctx, a.method, a.target, navigation(), a.form)
		if err != nil {
			return err
		}
		if w.status/100 == 3 && len(s.sessionCookies()) == 0 {
			return nil
		}
		return errStillThere
	}
	return s.loggedOutAlready(p)
}

// loggedOutAlready is a page that says so: a logout whose answer never came was done nevertheless.
func (s *seat) loggedOutAlready(p *page) error {
	if p.status == http.StatusOK && len(s.sessionCookies()) == 0 {
		return nil
	}
	return errStillThere
}

func (s *seat) sessionCookies() (all []*http.Cookie) {
	for _, c := range s.cookies() {
		if c.Name == sessionCookie || strings.HasPrefix(c.Name, sessionCookie+".") {
			all = append(all, c)
		}
	}
	return all
}

// replay is somebody who has found an ended session's cookies. They are nobody, at once in the process that ended it; other
// replicas may take a moment to hear of it.
func (s *seat) replay(ctx context.Context, e ended) {
	passes := s.tries(ctx, e)
	alone := s.stage.plan.replicas == 1 && s.stage.services[0].since().Before(e.at)
	for range 3 {
		if !passes || alone {
			break
		}
		pause(ctx, 1500*time.Millisecond)
		if passes = s.tries(ctx, e); !passes {
			s.report.count(&s.report.passedSoon)
		}
	}
	if passes {
		s.report.replayPassed(alone, s.steps())
	}
}

// tries reports whether the cookies of an ended session let somebody pass.
func (s *seat) tries(ctx context.Context, e ended) bool {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.origin.String()+s.path(), http.NoBody)
	if err != nil {
		return false
	}
	r.Header = fetching()
	r.Header.Set(headerOwner, strconv.Itoa(e.person.n))
	r.Header.Set(headerReplay, "1")
	for _, c := range e.cookies {
		r.AddCookie(c)
	}
	thief := http.Client{Transport: s.tr, Timeout: patience}
	w, err := thief.Do(r)
	if err != nil {
		return false
	}
	defer w.Body.Close()
	if w.StatusCode == http.StatusOK || w.StatusCode == http.StatusUnauthorized {
		s.report.count(&s.report.replayed)
	}
	return w.StatusCode == http.StatusOK
}
