//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// summaries are printed when the tests are over, so that a run of everything shows them.
var summaries struct {
	sync.Mutex
	all []string
}

func TestMain(m *testing.M) {
	status := m.Run()
	for _, s := range summaries.all {
		fmt.Print(s)
	}
	os.Exit(status)
}

// D-35, the one unforgivable bug: under any load and any fault, every request that reaches the app carries the person whose
// cookie came with it, and what a browser is told is about who sits in front of it. D-34: no session is lost by faults. This
// is the short form; `make soak` is the long one.
func TestSec_D34_D35_RightPersonAlways(t *testing.T) {
	t.Parallel()
	for _, front := range []string{"nginx", "caddy"} {
		t.Run(front, func(t *testing.T) {
			t.Parallel()
			if front == "nginx" {
				needs(t, "nginx")
			}
			race := raceDetector
			if race {
				needs(t, "gcc")
			}
			p := plan{duration: 14 * time.Second, people: 40, think: 500 * time.Millisecond, front: front, replicas: 2, race: race, faults: 10, seed: uint64(time.Now().UnixNano())}
			r, err := p.run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			summaries.Lock()
			summaries.all = append(summaries.all, r.summary())
			summaries.Unlock()
			for _, f := range r.failures() {
				t.Error(f)
			}
			tried := map[string]int{
				"logins": r.logins, "answers about a person": r.right, "logouts": r.logouts, "replays": r.replayed, "requests without an answer": r.givenUp + r.cut,
				"kinds of faults": len(r.faults) - 3, "sessions in the end": r.looked,
			}
			for what, n := range tried {
				if n < 1 {
					t.Errorf("too little of this was tried: %s", what)
				}
			}
		})
	}
}

// needs skips the test without a program, or fails it where everything has to run.
func needs(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	if _, err := exec.LookPath("/usr/sbin/" + name); err == nil {
		return
	}
	if os.Getenv("VIPPSAUTH_TEST_ALL") == "1" {
		t.Fatalf("%s is not installed: scripts/install-test-deps.sh installs it", name)
	}
	t.Skipf("%s is not installed: `make test` installs it and runs this test", name)
}

// What can't be seen in a run that goes well: that each of these is a failure.
func TestReportFails(t *testing.T) {
	t.Parallel()
	for name, bad := range map[string]func(*report){
		"a mix-up":              func(r *report) { r.mixUp("somebody else", []string{"a step"}) },
		"a lost session":        func(r *report) { r.lostSession(7, nil) },
		"a session that blinks": func(r *report) { r.flicker(7, nil) },
		"a replay that passes":  func(r *report) { r.replayPassed(true, nil) },
		"a replay elsewhere":    func(r *report) { r.replayPassed(false, nil) },
		"memory that grows": func(r *report) {
			r.judge(growing(func(m *sample, n float64) { m.rss += 2e6 * n }), []*program{{name: "replica"}})
		},
		"goroutines that grow": func(r *report) {
			r.judge(growing(func(m *sample, n float64) { m.goroutines += 10 * n }), []*program{{name: "replica"}})
		},
		"descriptors that grow": func(r *report) {
			r.judge(growing(func(m *sample, n float64) { m.fds += 10 * n }), []*program{{name: "replica"}})
		},
		"a service that is mute": func(r *report) { r.lasted = time.Hour; r.judge(nil, []*program{{name: "replica"}}) },
	} {
		r := newReport(plan{})
		bad(r)
		if len(r.failures()) != 1 || !strings.Contains(r.summary(), "FAILED: ") {
			t.Errorf("%s: %v", name, r.failures())
		}
	}
	r := newReport(plan{})
	r.judge(growing(func(*sample, float64) {}), []*program{{name: "replica"}})
	if len(r.failures()) != 0 || !strings.Contains(r.summary(), "flat") {
		t.Errorf("what goes well: %s", r.summary())
	}
}

// growing is five minutes of a service of which something grows.
func growing(more func(*sample, float64)) (all []sample) {
	life := time.Now()
	for n := range 100 {
		m := sample{life: life, at: life.Add(time.Duration(n) * 3 * time.Second), rss: 60e6, goroutines: 30, fds: 30}
		more(&m, float64(n))
		all = append(all, m)
	}
	return all
}
