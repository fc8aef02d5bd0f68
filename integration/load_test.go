package integration_test

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
)

// load is what people do while something happens: some have a session, and some have none.
type load struct {
	f    *front
	stop chan struct{}
	wait sync.WaitGroup

	mu       sync.Mutex
	statuses map[string]map[int]int // with a session and without → status → how often
	cut      int                    // requests that got no answer
}

// underLoad sends requests from a person who is logged in and from somebody who isn't until end is called.
func underLoad(f *front, in *browser) *load {
	l := &load{f: f, stop: make(chan struct{}), statuses: map[string]map[int]int{"in": {}, "out": {}}}
	for _, who := range []struct {
		name, path string
		b          *browser
	}{{"in", "/in", in}, {"in", "/in", in}, {"out", "/out", f.browser()}, {"out", "/out", f.browser()}} {
		l.wait.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				default:
				}
				l.ask(who.name, who.path, who.b)
			}
		})
	}
	return l
}

func (l *load) ask(name, path string, b *browser) {
	r, err := http.NewRequestWithContext(l.f.t.Context(), http.MethodGet, l.f.origin+path, http.NoBody)
	if err != nil {
		l.f.t.Error(err)
		return
	}
	maps.Copy(r.Header, fetching())
	w, err := b.client.Do(r)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.cut++ // a listener that changes hands resets connections
		return
	}
	_, _ = io.Copy(io.Discard, w.Body)
	_ = w.Body.Close()
	l.statuses[name][w.StatusCode]++
}

// count says how many answers with a status somebody has had so far.
func (l *load) count(name string, status int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.statuses[name][status]
}

// more waits until a session has had a few answers from the app since it was called.
func (l *load) more() {
	l.f.t.Helper()
	before := l.count("in", http.StatusOK)
	eventually(l.f.t, "sessions get answers again", func() bool { return l.count("in", http.StatusOK) > before+20 })
}

// end stops asking, and sees to it that nobody was let through, and that nobody got another answer than those allowed.
func (l *load) end(in, out []int) {
	l.f.t.Helper()
	close(l.stop)
	l.wait.Wait()
	for _, got := range l.f.app.since(0) {
		if got.URI == "/out" || got.URI == "/in" && (got.Header.Get("X-Vipps-Auth") != "authenticated" || got.Header.Get("X-Vipps-Sub") == "") {
			l.f.t.Errorf("the app got %s as %q", got.URI, got.Header.Get("X-Vipps-Auth"))
			break
		}
	}
	for name, allowed := range map[string][]int{"in": in, "out": out} {
		for status, n := range l.statuses[name] {
			if !slices.Contains(allowed, status) {
				l.f.t.Errorf("%d times %d for those who are %s", n, status, name)
			}
		}
	}
	l.f.t.Logf("answers by status: %v; %d requests without one", l.statuses, l.cut)
}
