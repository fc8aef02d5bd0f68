//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"
)

// hall is all computers.
type hall struct {
	stage   *stage
	report  *report
	seats   []*seat
	working sync.WaitGroup
}

// seat is a computer with one person, or with two who take turns. A seat is one goroutine, but for what a page fetches.
type seat struct {
	stage  *stage
	report *report
	*browser
	people []person
	who    int
	asked  int // to tell requests apart

	held    *held // the session that has to pass; nil: none is known
	counted int   // of the browser's sessions, those that were counted
	old     []ended
}

// held is a session that nobody has ended.
type held struct{ made time.Time }

// ended is a session that was logged out, and what somebody who copied its cookies has.
type ended struct {
	person  person
	cookies []*http.Cookie
	at      time.Time
}

// newHall gives everybody a computer. Every fifth person shares one with the next.
func newHall(s *stage, r *report) *hall {
	h := &hall{stage: s, report: r}
	app, _ := s.app.Handler.(*app) // what startApp made
	for n := 0; n < s.plan.people; n++ {
		people := []person{{n, app.subs[n]}}
		if n%5 == 3 && n+1 < s.plan.people {
			n++
			people = append(people, person{n, app.subs[n]})
			r.shared++
		}
		b, err := newBrowser(s, r, len(h.seats))
		if err != nil {
			r.fail("a browser: %v", err)
			continue
		}
		seat := &seat{stage: s, report: r, browser: b, people: people}
		seat.belongsTo(seat.sitter().n)
		h.seats = append(h.seats, seat)
	}
	r.seats = len(h.seats)
	return h
}

// open lets people in, one after the other within one time of thinking.
func (h *hall) open(ctx context.Context) {
	for _, s := range h.seats {
		h.working.Go(func() { s.work(ctx) })
	}
}

// close waits until everybody has finished what they were doing.
func (h *hall) close() { h.working.Wait() }

func (s *seat) sitter() person { return s.people[s.who] }

// work is what people do all day. What was begun is finished also when ctx ends.
func (s *seat) work(ctx context.Context) {
	doing := context.WithoutCancel(ctx)
	think := float64(s.stage.plan.think)
	for pause(ctx, time.Duration(rand.Float64()*think)) {
		switch n := rand.IntN(100); {
		case n < 55:
			s.visit(doing, s.origin.String()+s.path(), true)
			s.fetchSome(doing, rand.IntN(3))
		case n < 78:
			s.fetchSome(doing, 1+rand.IntN(3))
		case n < 83:
			s.visit(doing, s.origin.String()+ourPages+"login?rd="+url.QueryEscape(s.path()), false)
		case n < 87:
			s.me(doing)
		case n < 91:
			s.comeBack(doing)
		default:
			s.leave(ctx)
		}
		if !pause(ctx, time.Duration(min(rand.ExpFloat64(), 4)*think/2)) {
			return
		}
	}
}

// comeBack is a person in a browser that has kept nothing of the site: the provider may still remember them, and then the
// login is silent. Before they have logged in, it may remember the one who sat here before, which nobody but they can mend.
func (s *seat) comeBack(ctx context.Context) {
	if s.held == nil {
		return
	}
	s.held = nil
	for _, c := range s.cookies() {
		s.jar.SetCookies(s.origin, []*http.Cookie{{Name: c.Name, Path: "/", MaxAge: -1}})
	}
	s.note("the browser has lost the site's cookies")
	s.visit(ctx, s.origin.String()+s.path(), true)
}

// path is a page of the application that nobody has asked for before.
func (s *seat) path() string {
	s.asked++
	return fmt.Sprintf("/page/%d/%d?n=%d", s.sitter().n, s.asked, rand.Uint64())
}

// visit opens a page and logs in where that is asked for. With protected, it is one that needs a session.
func (s *seat) visit(ctx context.Context, target string, protected bool) {
	held := s.held
	p, err := s.ask(ctx, http.MethodGet, target, navigation(), nil)
	if err == nil && protected && held != nil && refused(p) {
		s.turnedAway(ctx, held)
	}
	p, err = s.follow(ctx, p, err)
	for range 14 {
		s.noteLogin()
		if err != nil {
			return
		}
		next := s.next(p)
		if next == nil {
			return
		}
		p, err = s.do(ctx, *next)
	}
	s.note("no end in sight: the person goes away")
}

// noteLogin counts a session that the browser was given, and holds on to it.
func (s *seat) noteLogin() {
	if n, given := s.session(); n > s.counted {
		s.counted, s.held = n, &held{given}
		s.report.count(&s.report.logins)
		if s.silently() {
			s.report.count(&s.report.silent)
		}
	}
}

// silently reports whether the last login showed no page: that is in the browser's trail.
func (s *seat) silently() bool {
	steps := s.steps()
	for i := len(steps) - 1; i >= 0; i-- {
		switch {
		case strings.Contains(steps[i], "oauth2/auth"):
			return strings.Contains(steps[i], "requested_flow")
		case strings.Contains(steps[i], "/vipps-login-idp/"), strings.Contains(steps[i], ourPages+"result"):
			return false
		}
	}
	return false
}

// refused reports whether an answer says that there is no session.
func refused(p *page) bool {
	return p.status == http.StatusUnauthorized || p.status/100 == 3 && strings.Contains(p.header.Get("Location"), ourPages+"login")
}

// next says what the person does on a page; nil: nothing more.
func (s *seat) next(p *page) *act {
	switch {
	case p.url.Host != s.origin.Host:
		return s.atProvider(p)
	case !strings.HasPrefix(p.url.Path, ourPages):
		s.read(p)
		return nil
	case p.status == http.StatusServiceUnavailable || p.status == http.StatusBadGateway || p.status == http.StatusTooManyRequests:
		return nil // later
	}
	acts := p.acts()
	for _, a := range acts {
		if a.form.Has("choice") {
			return s.confirm(p, acts)
		}
	}
	for _, a := range acts {
		if a.id != ourPages+"logout" {
			return &a
		}
	}
	return nil
}

// read looks at what the application says.
func (s *seat) read(p *page) {
	var got said
	if p.status != http.StatusOK {
		return
	}
	if err := json.Unmarshal([]byte(p.text), &got); err != nil {
		s.report.mixUp(fmt.Sprintf("an answer that isn't the app's, at person %d: %.200q", s.sitter().n, p.text), s.steps())
		return
	}
	if why := got.isNot(s.sitter()); why != "" {
		s.report.mixUp(fmt.Sprintf("person %d reads: %s", s.sitter().n, why), s.steps())
	} else if got.URI != p.url.RequestURI() {
		s.report.mixUp(fmt.Sprintf("person %d gets the answer to another request", s.sitter().n), s.steps())
	}
	s.report.count(&s.report.right)
}

var challenge = regexp.MustCompile(`class="challenge">([0-9]+)<`)

// atProvider goes through the provider's pages as the person who sits here.
func (s *seat) atProvider(p *page) *act {
	if p.status != http.StatusOK {
		return nil
	}
	shown := challenge.FindStringSubmatch(p.text)
	for _, a := range p.acts() {
		switch {
		case strings.HasSuffix(a.id, "/phone"):
			a.form.Set("phone", s.sitter().phone())
			a.form.Del("person")
			if rand.IntN(3) > 0 {
				a.form.Set("remember", "on")
			}
			return &a
		case strings.HasSuffix(a.id, "/consent"), strings.HasSuffix(a.id, "/challenge") && shown != nil && a.form.Get("choice") == shown[1]:
			return &a
		}
	}
	return nil
}

var saysThatYouAre = regexp.MustCompile(`says that you are <bdi class="[^"]*">([^<]*)</bdi>`)

// confirm answers "Is this you?". Who isn't it makes the provider forget this browser.
func (s *seat) confirm(p *page, acts []act) *act {
	m := saysThatYouAre.FindStringSubmatch(p.text)
	if m == nil {
		s.report.mixUp("a question that names nobody", s.steps())
		return nil
	}
	me := m[1] == s.sitter().shown()
	known := false
	for _, other := range s.people {
		known = known || m[1] == other.shown()
	}
	if !known {
		s.report.mixUp(fmt.Sprintf("person %d is asked whether they are a stranger", s.sitter().n), s.steps())
	}
	s.report.count(&s.report.asked)
	if !me {
		s.report.count(&s.report.notMe)
		s.forgetProvider()
	}
	for _, a := range acts {
		if a.form.Has("choice") && (a.form.Get("choice") == "continue") == me {
			return &a
		}
	}
	return nil
}

// fetchSome is what a page's scripts do, at once.
func (s *seat) fetchSome(ctx context.Context, n int) {
	had := s.held
	var all sync.WaitGroup
	answers := make([]*page, n)
	for i := range answers {
		target := s.origin.String() + s.path()
		all.Go(func() { answers[i], _ = s.ask(ctx, http.MethodGet, target, fetching(), nil) })
	}
	all.Wait()
	for _, p := range answers {
		switch {
		case p == nil:
		case had != nil && had == s.held && refused(p):
			s.turnedAway(ctx, had)
		default:
			s.read(p)
		}
	}
}

// me asks vippsauth itself.
func (s *seat) me(ctx context.Context) {
	p, err := s.ask(ctx, http.MethodGet, s.origin.String()+ourPages+"me", fetching(), nil)
	if err != nil || p.status != http.StatusOK {
		return
	}
	var got struct{ Sub string }
	if err := json.Unmarshal([]byte(p.text), &got); err != nil || got.Sub != s.sitter().sub {
		s.report.mixUp(fmt.Sprintf("/_vipps/me says something else to person %d", s.sitter().n), s.steps())
	}
	s.report.count(&s.report.right)
}

// turnedAway looks again when a session that should pass doesn't.
func (s *seat) turnedAway(ctx context.Context, h *held) {
	s.held = nil
	if h.made.Before(s.stage.removedBefore()) {
		s.report.count(&s.report.byKey)
		return
	}
	steps := s.steps()
	for range 5 {
		if p, err := s.ask(ctx, http.MethodGet, s.origin.String()+s.path(), fetching(), nil); err == nil && p.status == http.StatusOK {
			s.held = h
			s.report.flicker(s.sitter().n, steps)
			return
		} else if err == nil && p.status == http.StatusUnauthorized {
			break
		}
		pause(ctx, time.Second)
	}
	s.report.lostSession(s.sitter().n, steps)
}

// lookAtAll asks for every session that nobody has ended, when nothing goes wrong any more.
func (h *hall) lookAtAll(ctx context.Context) {
	limit := time.Now().Add(30 * time.Second) // nginx leaves a server that has failed alone for ten
	for _, s := range h.seats {
		if s.held == nil {
			continue
		}
		h.report.looked++
		for {
			p, err := s.ask(ctx, http.MethodGet, s.origin.String()+s.path(), fetching(), nil)
			if err == nil && p.status == http.StatusOK {
				s.read(p)
				break
			}
			if err == nil && refused(p) {
				s.turnedAway(ctx, s.held)
				break
			}
			if !errors.Is(err, errGaveUp) && time.Now().After(limit) {
				h.report.fail("the site doesn't answer after the faults: person %d: %v", s.sitter().n, s.steps())
				return
			}
			if err == nil {
				pause(ctx, 300*time.Millisecond)
			}
		}
	}
}
