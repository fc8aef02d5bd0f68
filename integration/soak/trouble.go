//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// fault is one thing that goes wrong. What it does ends with it; undo puts right what stays.
type fault struct {
	name string
	do   func() error
	undo func()
	// early is one that ends the first service's life: only in the first quarter, so that the rest shows how it grows.
	early bool
	// rarely is one of those of which there is one in keysCoolDown: the service looks for new keys no more often, so that
	// nobody could log in for the rest of it.
	rarely bool
}

const keysCoolDown = 35 * time.Second

// trouble is everything that goes wrong, by turns and in an order of chance.
type trouble struct {
	stage  *stage
	report *report
	random *rand.Rand
	faults []fault
	ctx    context.Context
	length time.Duration // of one that lasts
}

func newTrouble(s *stage, r *report) *trouble {
	return &trouble{stage: s, report: r, random: rand.New(rand.NewPCG(s.plan.seed, 35))}
}

// make lets things go wrong for a while, and puts everything right in the end.
func (t *trouble) make(ctx context.Context, d time.Duration) error {
	t.ctx = ctx
	gap := min(max(d/80, 300*time.Millisecond), 9*time.Second)
	t.length = gap * 3 / 4
	begin := time.Now()
	if !pause(ctx, min(d/10, 10*time.Second)) { // people come in first
		return nil
	}
	t.faults = slices.Concat(t.atProvider(), t.onTheWay(), t.restarts())
	keysAt := []time.Duration{d / 10, d / 6} // the second time takes the first key away
	if t.stage.caddy != nil {
		t.faults = append(t.faults, t.keys())
	} else if d < 2*time.Minute {
		keysAt = nil // it takes every service's restart three times
	}
	order := t.random.Perm(len(t.faults))
	slices.SortStableFunc(order, func(a, b int) int { // what has to be early comes first, where there is time for all
		switch {
		case d < 2*time.Minute, t.faults[a].early == t.faults[b].early:
			return 0
		case t.faults[a].early:
			return -1
		}
		return 1
	})
	var rare time.Time
	made := 0
	for (time.Since(begin) < d || made < t.stage.plan.faults && time.Since(begin) < 4*d) && ctx.Err() == nil {
		if len(order) == 0 {
			order = t.random.Perm(len(t.faults))
		}
		f := t.faults[order[0]]
		if len(keysAt) > 0 && time.Since(begin) > keysAt[0] {
			f, keysAt = t.keys(), keysAt[1:]
		} else {
			order = order[1:]
		}
		if f.early && time.Since(begin) > d/4 || f.rarely && time.Since(rare) < keysCoolDown {
			pause(ctx, time.Millisecond)
			continue
		}
		if f.rarely {
			rare = time.Now()
		}
		made++
		t.report.fault(f.name)
		if err := f.do(); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		if f.undo != nil {
			pause(ctx, t.length/2+time.Duration(t.random.Int64N(int64(t.length))))
			f.undo()
		}
		pause(ctx, time.Duration(t.random.Int64N(int64(gap))))
	}
	t.heal()
	pause(ctx, time.Second)
	return nil
}

// heal ends everything that may still be wrong.
func (t *trouble) heal() {
	c := t.stage.vipps.Control()
	for _, e := range endpoints {
		_, _ = c.Delay(e, 0), c.FailNext(e, 0, 0, "")
	}
	for _, b := range emulator.Breaks() {
		_ = c.Break(b.Kind, 0)
	}
	for _, w := range append([]*wire{t.stage.site, t.stage.provider}, t.stage.doors...) {
		w.set(passes)
	}
}

var endpoints = []string{emulator.EndpointDiscovery, emulator.EndpointJWKS, emulator.EndpointToken, emulator.EndpointUserinfo}

// atProvider is a provider on its bad days.
func (t *trouble) atProvider() []fault {
	c, w := t.stage.vipps.Control(), t.stage.provider
	mode := func(name string, m wireMode) fault {
		return fault{name: name, do: func() error { w.set(m); w.resetAll(1); return nil }, undo: func() { w.set(passes) }}
	}
	all := []fault{
		mode("provider away", refuses), mode("provider hangs", hangs), mode("provider trickles", trickles), mode("provider cut short", cutsShort),
		{name: "provider slow", do: func() error { return c.Delay(emulator.EndpointToken, 2*time.Second) }, undo: func() { _ = c.Delay(emulator.EndpointToken, 0) }},
		{name: "provider's keys change", rarely: true, do: func() error { return c.RotateKeys(true) }},
		{name: "provider's keys are replaced", rarely: true, do: func() error { return c.RotateKeys(false) }},
		{name: "provider forgets browsers", do: func() error { c.ForgetBrowsers(); return nil }},
	}
	for _, status := range []int{0, http.StatusInternalServerError, http.StatusBadGateway, http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		all = append(all, fault{
			name: fmt.Sprintf("provider answers %d", status),
			do: func() error {
				for _, e := range endpoints {
					if err := c.FailNext(e, 1000, status, ""); err != nil {
						return err
					}
				}
				return nil
			},
			undo: func() {
				for _, e := range endpoints {
					_ = c.FailNext(e, 0, 0, "")
				}
			},
		})
	}
	for _, kind := range []string{
		emulator.BreakUserinfoWrongSub, emulator.BreakWrongNonce, emulator.BreakBadSignature, emulator.BreakCallbackWrongState, emulator.BreakUserinfoHTML,
	} {
		all = append(all, fault{name: "provider sends " + kind, do: func() error { return c.Break(kind, -1) }, undo: func() { _ = c.Break(kind, 0) }})
	}
	return all
}

// onTheWay is what happens to connections.
func (t *trouble) onTheWay() []fault {
	all := []fault{{name: "site's connections reset", do: func() error { t.stage.site.resetAll(0.5); return nil }}}
	set := func(name string, w *wire, m wireMode) {
		all = append(all, fault{name: name, do: func() error { w.set(m); w.resetAll(0.5); return nil }, undo: func() { w.set(passes) }})
	}
	set("site trickles", t.stage.site, trickles)
	set("site cut short", t.stage.site, cutsShort)
	for n, w := range t.stage.doors {
		set(fmt.Sprintf("replica %d out of reach", n+1), w, refuses)
		set(fmt.Sprintf("replica %d hangs", n+1), w, hangs)
		set(fmt.Sprintf("replica %d cut short", n+1), w, cutsShort)
	}
	return all
}

// restarts are what happens to services.
func (t *trouble) restarts() []fault {
	var all []fault
	for n, p := range t.stage.services {
		all = append(all, fault{
			name: p.name + " restarts", early: n == 0, do: func() error { return p.restart(t.ctx, syscall.SIGTERM) },
		}, fault{
			name: p.name + " killed", early: n == 0, do: func() error { return p.restart(t.ctx, syscall.SIGKILL) },
		}, fault{
			name: p.name + " stands still",
			do:   func() error { p.signal(syscall.SIGSTOP); return nil }, undo: func() { p.signal(syscall.SIGCONT) },
		})
	}
	if c := t.stage.caddy; c != nil {
		for range 4 { // what Caddy is made for
			all = append(all, fault{name: "caddy reload", do: func() error { return c.reload(t.ctx) }})
		}
	}
	return all
}

// keys changes the cookie keys as an operator does: the new one opens everywhere before it seals anywhere, and the old one
// goes last, with what it has sealed.
func (t *trouble) keys() fault {
	k := &t.stage.keys
	return fault{name: "cookie keys change", early: t.stage.caddy == nil, do: func() error {
		if err := k.add(); err != nil {
			return err
		}
		if err := t.roll(); err != nil {
			return err
		}
		k.keys[0], k.keys[len(k.keys)-1] = k.keys[len(k.keys)-1], k.keys[0]
		if err := t.roll(); err != nil {
			return err
		}
		sealsNew := time.Now()
		if len(k.keys) < 3 {
			return nil
		}
		k.keys = k.keys[:1]
		t.stage.removed.Store(sealsNew.UnixNano())
		return t.roll()
	}}
}

// roll writes the file of keys and has every service read it.
func (t *trouble) roll() error {
	if err := t.stage.keys.write(); err != nil {
		return err
	}
	if c := t.stage.caddy; c != nil {
		return c.reload(t.ctx)
	}
	for _, p := range t.stage.services {
		if err := p.restart(t.ctx, syscall.SIGTERM); err != nil {
			return err
		}
	}
	return nil
}

// removal is when the last key that was removed had sealed for the last time.
type removal struct{ atomic.Int64 }

// removedBefore says before when a session must have been made to be gone with its key.
func (s *stage) removedBefore() time.Time {
	if n := s.removed.Load(); n != 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}
