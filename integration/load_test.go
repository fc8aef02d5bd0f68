package integration_test

import (
	"context"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// restartsUnderLoad restarts whatever judges while people and strangers ask without a pause: once as an operator does, once
// by killing it (D-14). Nothing reaches the app that wasn't judged, and every session is there afterwards.
func restartsUnderLoad(t *testing.T, f *front, d differs) {
	var in []*browser
	for range 3 {
		in = append(in, f.loggedIn())
	}
	away := d.awayStatus()
	if d.inProcess {
		away = http.StatusBadGateway // says a proxy before it that doesn't know us
	}
	l := underLoad(f, in...)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		l.more()
		f.restart(sig)
		l.more()
	}
	l.end([]int{http.StatusOK, away}, []int{http.StatusUnauthorized, away})
	if l.cut > 0 && !d.inProcess {
		t.Errorf("%d requests got no answer", l.cut)
	}
	for _, b := range in {
		b.client.Transport = f.transport()
		if a := b.open(f.origin + "/"); a.StatusCode != http.StatusOK || len(b.trail) != 1 {
			t.Errorf("a session after the restarts: %d at %v", a.StatusCode, b.trail)
		}
	}
}

// restart ends the process that judges and starts it again, with other flags where they are given.
func (f *front) restart(sig syscall.Signal, flags ...string) {
	f.t.Helper()
	old, url := f.judge, f.origin+"/_vipps/authz/"
	if f.service != nil {
		old, url = f.service, "http://"+f.ops+"/readyz"
	}
	_ = old.cmd.Process.Signal(sig)
	<-old.done
	time.Sleep(100 * time.Millisecond) // for some to find nobody
	if flags == nil {
		flags = old.cmd.Args[1:]
	}
	p := start(f.t, old.cmd.Path, command{name: old.name, args: flags, env: old.cmd.Env})
	f.checkLog(p)
	p.answers(url)
	if f.service != nil {
		f.service = p
	} else {
		f.judge = p
	}
}

// load is what people do while something happens: some have a session, and some have none.
type load struct {
	f    *front
	stop chan struct{}
	wait sync.WaitGroup

	since    int // of the app's requests
	mu       sync.Mutex
	statuses map[string]map[int]int // with a session and without → status → how often
	cut      int                    // requests that got no answer
}

// underLoad sends requests from people who are logged in, and from as many who aren't, until end is called.
func underLoad(f *front, in ...*browser) *load {
	l := &load{f: f, stop: make(chan struct{}), since: f.app.hits(), statuses: map[string]map[int]int{"in": {}, "out": {}}}
	for _, b := range in {
		l.keepAsking("in", *b.client)
		l.keepAsking("out", *f.browser().client)
	}
	return l
}

func (l *load) keepAsking(name string, client http.Client) {
	l.wait.Go(func() {
		for {
			select {
			case <-l.stop:
				return
			case <-time.After(time.Millisecond):
			}
			if !l.ask(name, &client) { // browsers connect anew then; over QUIC nobody tells them that they have to
				client.Transport = l.f.transport()
			}
		}
	})
}

// ask reports whether there was an answer: a listener that changes hands resets connections.
func (l *load) ask(name string, client *http.Client) bool {
	patience := 10 * time.Second
	if l.f.http3 {
		patience = 2 * time.Second
	}
	ctx, cancel := context.WithTimeout(l.f.t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, l.f.origin+"/"+name, http.NoBody)
	if err != nil {
		l.f.t.Error(err)
		return true
	}
	maps.Copy(r.Header, fetching())
	w, err := client.Do(r)
	if err == nil {
		_, err = io.Copy(io.Discard, w.Body)
		_ = w.Body.Close()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.cut++
		return false
	}
	l.statuses[name][w.StatusCode]++
	return true
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
	for _, got := range l.f.app.since(l.since) {
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
	if l.statuses["out"][http.StatusUnauthorized] == 0 {
		l.f.t.Error("no stranger was refused: nothing was tried")
	}
	l.f.t.Logf("answers by status: %v; %d requests without one", l.statuses, l.cut)
}
