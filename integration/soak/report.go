//go:build linux

package main

import (
	"fmt"
	"log"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// report is what came of a run.
type report struct {
	plan          plan
	seats, shared int
	lasted        time.Duration
	looked        int
	lives         []life
	curves        []string

	mu sync.Mutex
	// What people did, and what came of it.
	requests, atApp, right, logins, silent, asked, notMe, logouts int
	givenUp, cut                                                  int
	byKey, flickers, lost                                         int
	replayed, passedAlone, passedElsewhere, passedSoon            int
	mixUps                                                        int
	statuses                                                      map[int]int
	faults                                                        map[string]int
	wrong                                                         []string
}

// life is what became of a program.
type life struct {
	name   string
	starts int
	stop   time.Duration // the longest
}

func newReport(p plan) *report {
	return &report{plan: p, statuses: map[int]int{}, faults: map[string]int{}}
}

func (r *report) count(what *int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*what++
}

func (r *report) answered(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.statuses[status]++
}

func (r *report) fault(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults[name]++
}

// fail notes what must not be. The first of them are told in full.
func (r *report) fail(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed(fmt.Sprintf(format, args...))
}

func (r *report) failed(what string) {
	const most = 12
	switch len(r.wrong) {
	case most:
		r.wrong = append(r.wrong, "… and more")
	case most + 1:
	default:
		r.wrong = append(r.wrong, what)
	}
}

func withTrail(what string, trail []string) string {
	return what + "\n\t" + strings.Join(trail, "\n\t")
}

func (r *report) mixUp(what string, trail []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mixUps++
	r.failed(withTrail("MIX-UP: "+what, trail))
}

func (r *report) lostSession(person int, trail []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost++
	r.failed(withTrail(fmt.Sprintf("LOST SESSION of person %d", person), trail))
}

func (r *report) flicker(person int, trail []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flickers++
	r.failed(withTrail(fmt.Sprintf("a session of person %d was refused, and then passed", person), trail))
}

// replayPassed notes a logged-out cookie that passes. alone: nobody but the very process that ended it has judged.
func (r *report) replayPassed(alone bool, trail []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if alone {
		r.passedAlone++
	} else {
		r.passedElsewhere++
	}
	r.failed(withTrail("a logged-out cookie passes", trail))
}

func (r *report) failures() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.wrong)
}

// kept reports whether the programs' logs in dir are worth keeping, and says where they are.
func (r *report) kept(dir string) bool {
	if len(r.failures()) == 0 {
		return false
	}
	r.fail("what the programs said is in %s", dir)
	return true
}

// sayHow says how a long run goes.
func (r *report) sayHow() {
	r.mu.Lock()
	defer r.mu.Unlock()
	log.Printf("%d logins, %d requests, %d mix-ups, %d lost sessions so far", r.logins, r.requests, r.mixUps, r.lost)
}

// summary is what is printed in the end.
func (r *report) summary() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-14s %s\n", name, fmt.Sprintf(format, args...))
	}
	detector := "without the race detector"
	if r.plan.race {
		detector = "with the race detector"
	}
	fmt.Fprintf(&b, "soak: %d people at %d computers (%d shared), %s, %d of the service %s, %s, seed %d\n",
		r.plan.people, r.seats, r.shared, r.plan.front, r.plan.replicas, detector, r.lasted.Round(time.Second), r.plan.seed)
	seconds := max(r.lasted.Seconds(), 1)
	line("logins", "%d (%.1f a second), %d of them silent; %d asked \"is this you?\", %d said no; %d logouts", r.logins, float64(r.logins)/seconds, r.silent, r.asked, r.notMe, r.logouts)
	line("requests", "%d (%.0f a second), %d of them at the app; %d answers about a person read", r.requests, float64(r.requests)/seconds, r.atApp, r.right)
	line("answers", "%s", counts(r.statuses))
	line("faults", "%s", counts(r.faults))
	line("no answer", "%d given up by the person, %d cut", r.givenUp, r.cut)
	line("mix-ups", "%d", r.mixUps)
	line("lost sessions", "%d; %d refused once; %d ended by a removed key; %d looked at after the last fault", r.lost, r.flickers, r.byKey, r.looked)
	line("logged out", "%d replayed: %d passed in the process that ended them, %d at another replica or after a restart (%d more for a moment)",
		r.replayed, r.passedAlone, r.passedElsewhere, r.passedSoon)
	for _, l := range r.lives {
		line(l.name, "started %d times, longest stop %s", l.starts, l.stop.Round(time.Millisecond))
	}
	for _, c := range r.curves {
		line("", "%s", c)
	}
	for _, w := range r.wrong {
		fmt.Fprintf(&b, "FAILED: %s\n", w)
	}
	if len(r.wrong) == 0 {
		b.WriteString("soak: nothing failed\n")
	}
	return b.String()
}

func counts[K interface{ ~int | ~string }](m map[K]int) string {
	var all []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		all = append(all, fmt.Sprintf("%v: %d", k, m[k]))
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}
