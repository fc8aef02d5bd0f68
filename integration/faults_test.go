package integration_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// outage is what a front end shows while nobody can judge.
type outage struct {
	status int  // of everything
	bare   bool // without a page, where the proxy has none of its own
	skip   []string
}

// fault is one way in which a service fails: what is written on each connection once a request has come. Nothing is
// written where silent is set.
type fault struct {
	name, writes string
	silent       bool
}

func faults() []fault {
	identity := "X-Vipps-Auth: authenticated\r\nX-Vipps-Sub: nobody\r\n"
	return []fault{
		{name: "cut before the answer"},
		{name: "cut in the status line", writes: "HTTP/1.1 20"},
		{name: "cut in the headers", writes: "HTTP/1.1 200 OK\r\n" + identity + "X-Vipps-Na"},
		{name: "no HTTP at all", writes: "SSH-2.0-OpenSSH_9.2\r\n"},
		{name: "status 500", writes: "HTTP/1.1 500 Internal Server Error\r\n" + identity + "Content-Length: 0\r\nConnection: close\r\n\r\n"},
		{name: "another server's 200", writes: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"},
		{name: "slow", silent: true},
	}
}

// badDay puts services in the service's place that don't answer, or not to the end. Nothing may reach the app, and a
// person is told so. The front end reaches the service at each of addrs. The service is gone afterwards.
func badDay(t *testing.T, f *front, a outage, addrs ...string) {
	t.Helper()
	in, out := f.loggedIn(), f.browser()
	f.service.end()
	t.Run("down", func(t *testing.T) {
		a.check(t, f, in, out, "/page?x=1")
		if !a.bare {
			a.check(t, f, in, out, "/_vipps/login?rd=%2F")
		}
	})
	for _, fl := range faults() {
		if slices.Contains(a.skip, fl.name) {
			continue
		}
		t.Run(fl.name, func(t *testing.T) {
			for _, addr := range addrs {
				serveFault(t, addr, fl)
			}
			a.check(t, f, in, out, "/page?x=1")
		})
	}
}

// check asks as a person and as a script, with a session and without.
func (a outage) check(t *testing.T, f *front, in, out *browser, path string) {
	t.Helper()
	hits := f.app.hits()
	var all sync.WaitGroup
	for _, b := range []*browser{in, out} {
		cookies := b.cookies(f.origin)
		for _, h := range []http.Header{navigation(), fetching()} {
			for _, c := range cookies {
				h = with(h, "Cookie", c.String())
			}
			all.Go(func() {
				got := f.browser().send(http.MethodGet, f.origin+path, h, nil)
				a.page(t, got, h.Get("Sec-Fetch-Mode") == "navigate")
			})
		}
	}
	all.Wait()
	if n := f.app.hits() - hits; n != 0 {
		t.Errorf("the app was asked %d times while nobody could judge", n)
	}
}

func (a outage) page(t *testing.T, got answer, person bool) {
	t.Helper()
	if got.StatusCode != a.status {
		t.Errorf("%d: %s", got.StatusCode, got.words())
	}
	if a.bare {
		return
	}
	want, kind := "Nothing was sent to the site.", "text/html"
	if !person {
		want, kind = `"login_unavailable"`, "application/json"
	}
	if !strings.Contains(got.text, want) || len(got.Header["Content-Type"]) != 1 || !strings.HasPrefix(got.Header.Get("Content-Type"), kind) {
		t.Errorf("it says %q: %s", got.Header["Content-Type"], got.words())
	}
	if got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("Retry-After") == "" {
		t.Errorf("it may be kept, or doesn't say when to come again: %v", got.Header)
	}
}

// serveFault listens at addr and fails every request in one way, until the test is over.
func serveFault(t *testing.T, addr string, fl fault) {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var open sync.WaitGroup
	t.Cleanup(func() {
		close(done)
		_ = ln.Close()
		open.Wait()
	})
	open.Go(func() {
		for {
			conn, err := ln.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			open.Go(func() {
				defer conn.Close()
				_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
					return
				}
				if fl.silent {
					<-done
					return
				}
				_, _ = io.WriteString(conn, fl.writes)
			})
		}
	})
}

// appDown: an application that doesn't answer isn't taken for a login that doesn't.
func appDown(t *testing.T, f *front) {
	t.Helper()
	in := f.loggedIn()
	for _, status := range []int{401, 500, 502, 503, 504} {
		a := in.send(http.MethodGet, f.origin+"/status-of-app?"+strconv.Itoa(status), navigation(), nil)
		if a.StatusCode != status || !strings.Contains(a.text, "app: its own error") {
			t.Errorf("the app's own %d: %d %s", status, a.StatusCode, a.words())
		}
	}
	f.app.srv.Close()
	a := in.send(http.MethodGet, f.origin+"/", navigation(), nil)
	if a.StatusCode != http.StatusBadGateway || !strings.Contains(a.text, "The site does not answer just now") || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the app is down: %d %s", a.StatusCode, a.words())
	}
	a = in.send(http.MethodGet, f.origin+"/", fetching(), nil)
	if a.StatusCode != http.StatusBadGateway || !strings.Contains(a.text, `"application_unavailable"`) {
		t.Errorf("the app is down, to a script: %d %s", a.StatusCode, a.text)
	}
	if a := f.browser().send(http.MethodGet, f.origin+"/", navigation(), nil); a.StatusCode != http.StatusFound {
		t.Errorf("the app is down, without a session: %d", a.StatusCode)
	}
}

// restartUnderLoad restarts the service while people and strangers ask without a pause: once as an operator does, once
// by killing it. Nothing reaches the app that wasn't judged, and every session is there afterwards.
func restartUnderLoad(t *testing.T, f *front, awayStatus int) {
	t.Helper()
	const people = 3
	var stop atomic.Bool
	var all sync.WaitGroup
	var passed, refused, down atomic.Int64
	client := http.Client{
		Timeout: 30 * time.Second, Transport: &http.Transport{DialContext: toLoopback, MaxIdleConnsPerHost: 2 * people},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	ask := func(h http.Header) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.origin+"/load", http.NoBody)
		if err != nil {
			t.Error(err)
			return 0
		}
		r.Header = h
		w, err := client.Do(r)
		if err != nil {
			t.Error(err)
			return 0
		}
		defer w.Body.Close()
		_, _ = io.Copy(io.Discard, w.Body)
		return w.StatusCode
	}
	var sessions []http.Header
	for range people {
		h := navigation()
		for _, c := range f.loggedIn().cookies(f.origin) {
			h = with(h, "Cookie", c.String())
		}
		sessions = append(sessions, h)
	}
	before := f.app.hits()
	for _, h := range sessions {
		all.Go(func() {
			for !stop.Load() {
				switch status := ask(h.Clone()); status {
				case http.StatusOK:
					passed.Add(1)
				case awayStatus:
					down.Add(1)
				default:
					t.Errorf("a session gets %d during the restart", status)
					return
				}
			}
		})
		all.Go(func() {
			for !stop.Load() {
				switch status := ask(navigation()); status {
				case http.StatusFound:
					refused.Add(1)
				case awayStatus:
				default:
					t.Errorf("a stranger gets %d during the restart", status)
					return
				}
			}
		})
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		time.Sleep(200 * time.Millisecond)
		old := f.service
		_ = old.cmd.Process.Signal(sig)
		<-old.done
		time.Sleep(100 * time.Millisecond)
		f.service = start(t, old.cmd.Path, command{name: "vippsauth serve, again", args: old.cmd.Args[1:], env: old.cmd.Env})
		f.checkLog(f.service)
		f.service.answers("http://" + f.ops + "/readyz")
		time.Sleep(200 * time.Millisecond)
	}
	stop.Store(true)
	all.Wait()
	for _, h := range sessions {
		if status := ask(h); status != http.StatusOK {
			t.Errorf("a session after the restarts: %d", status)
		}
	}
	seen := f.app.since(before)
	for _, got := range seen {
		if got.Header.Get("X-Vipps-Auth") != "authenticated" || got.Header.Get("X-Vipps-Sub") == "" {
			t.Errorf("the app was asked by nobody: %v", got.Header)
		}
	}
	if n := int(passed.Load()) + people; len(seen) < n || passed.Load() == 0 || refused.Load() == 0 || down.Load() == 0 {
		t.Errorf("the app got %d requests, %d passed, %d were refused, %d met nobody: nothing was tried", len(seen), passed.Load(), refused.Load(), down.Load())
	}
	t.Logf("%d passed, %d were refused, %d met nobody", passed.Load(), refused.Load(), down.Load())
}
