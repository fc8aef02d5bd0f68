package integration_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// blackhole takes connections and never answers. It counts them.
func blackhole(t *testing.T) (addr string, connections *atomic.Int64) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	connections = new(atomic.Int64)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			t.Cleanup(func() { _ = conn.Close() })
		}
	}()
	return ln.Addr().String(), connections
}

// `caddy validate` and `caddy reload` ask a provider nothing, so that one which takes connections and never answers holds up
// neither; the other sites of the same Caddy are served all the while.
func TestSec_D02_CaddyReloadWithTheProviderAway(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	away, asked := blackhole(t)
	admin, other := freeAddr(t), fmt.Sprintf("http://localhost:%d", freePort(t))
	text := caddyfile(t, "\tadmin "+admin+"\n", strings.Replace(moduleSite(f, ""), f.vipps.Issuer, "http://"+away+"/", 1)+other+" {\n\trespond open\n}\n")
	file := write(t, "Caddyfile", text)
	runCaddy(t, f, file)
	hurry := func(name string, args ...string) {
		t.Helper()
		begin := time.Now()
		p := start(t, caddyProgram(t), command{name: "caddy " + name, args: append([]string{name, "--config", file, "--adapter", "caddyfile"}, args...)})
		<-p.done
		took := time.Since(begin)
		if code := p.cmd.ProcessState.ExitCode(); code != 0 || took > 10*time.Second { // most of it is a large program that starts on a busy machine
			t.Errorf("caddy %s: %d after %s: %s", name, code, took, tail(p.out.String(), 1000))
		}
	}
	if err := os.WriteFile(file, []byte(strings.Replace(text, "site_name Integration", "site_name Other", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	hurry("validate")
	hurry("reload", "--address", admin)
	if n := asked.Load(); n != 0 {
		t.Errorf("the provider was asked %d times by a configuration that nobody has used yet", n)
	}
	begin := time.Now()
	stranger := f.browser()
	stranger.client.Timeout = 60 * time.Second
	done := make(chan answer, 1)
	go func() { done <- stranger.open(f.origin + "/") }()
	eventually(t, "a login asks the provider", func() bool { return asked.Load() > 0 })
	for range 10 {
		if a := f.browser().open(other + "/"); a.text != "open" {
			t.Errorf("the other site: %d %s", a.StatusCode, a.text)
		}
	}
	hurry("reload", "--address", admin, "--force")
	if a := <-done; a.StatusCode != http.StatusServiceUnavailable || a.Header.Get("Retry-After") == "" || time.Since(begin) > 15*time.Second {
		t.Errorf("a login at a provider that never answers: %d after %s: %s", a.StatusCode, time.Since(begin), a.words())
	}
}

// A hundred configurations, one after the other, while people ask: none of their requests is refused, none of their sessions
// is lost, and what a configuration takes is given back with it.
func TestSec_D15_CaddyReloads(t *testing.T) {
	t.Parallel()
	const reloads = 100
	f := newFront(t)
	f.secrets.add("client secret", clientSecret)
	admin := freeAddr(t)
	// Caddy's reverse_proxy keeps idle connections of a former configuration for two minutes: they aren't ours to count.
	proxy := "reverse_proxy " + f.app.addr()
	site := strings.Replace(moduleSite(f, "session_ttl 2h"), proxy, proxy+" {\n\t\ttransport http {\n\t\t\tkeepalive off\n\t\t}\n\t}", 1)
	file := write(t, "Caddyfile", caddyfile(t, "\tadmin "+admin+"\n", site))
	caddy := runCaddy(t, f, file)
	in := f.loggedIn()
	before := f.get("http://" + admin + "/config/").text
	type size struct{ rss, goroutines, fds int }
	measure := func() size {
		for range 40 { // what the last configuration still had under way ends with its grace period
			time.Sleep(50 * time.Millisecond)
		}
		stacks := f.get("http://" + admin + "/debug/pprof/goroutine?debug=1").text
		n, err := strconv.Atoi(regexp.MustCompile(`^goroutine profile: total ([0-9]+)`).FindStringSubmatch(stacks)[1])
		if err != nil {
			t.Fatal(err)
		}
		fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", caddy.cmd.Process.Pid))
		if err != nil {
			t.Skip("no /proc here: descriptors are counted on Linux only")
		}
		f.get("http://" + admin + "/debug/pprof/heap?gc=1")
		return size{memory(t, caddy, "VmRSS"), n, len(fds)}
	}
	loader := http.Client{Timeout: startsWithin, Transport: &http.Transport{DisableKeepAlives: true}}
	var first size
	l := underLoad(f, in)
	for n := range reloads {
		if n == reloads/5 { // pools and caches are full by then
			first = measure()
		}
		next := strings.Replace(before, `"2h`, `"`+strconv.Itoa(n+3)+`h`, 1)
		if next == before {
			next = strings.ReplaceAll(before, "7200000000000", strconv.FormatInt(int64(n+3)*int64(time.Hour), 10))
		}
		if next == before {
			t.Fatalf("the configuration has no session_ttl: %s", before)
		}
		eventually(t, "reload "+strconv.Itoa(n), func() bool { // the admin endpoint changes hands too, with the answer not yet sent
			w, err := loader.Post("http://"+admin+"/load", "application/json", strings.NewReader(next))
			if err != nil {
				return false
			}
			defer w.Body.Close()
			if w.StatusCode != http.StatusOK {
				t.Errorf("reload %d: %d %s", n, w.StatusCode, readAll(t, w.Body))
			}
			return true
		})
		if n%2 == 0 {
			continue // this one may be replaced before it has had a request: who comes late to it is served all the same
		}
		answered := l.count("in", http.StatusOK)
		eventually(t, "somebody is served", func() bool { return l.count("in", http.StatusOK) > answered+1 })
	}
	l.more()
	l.end([]int{http.StatusOK}, []int{http.StatusUnauthorized})
	last := measure()
	t.Logf("after %d reloads %+v, after %d %+v", reloads/5, first, reloads, last)
	if last.goroutines > first.goroutines+20 || last.fds > first.fds+20 || last.rss > first.rss+40<<20 {
		t.Errorf("after %d reloads %+v, and after %d %+v", reloads/5, first, reloads, last)
	}
	if a := in.open(f.origin + "/"); a.StatusCode != http.StatusOK || len(in.trail) != 1 {
		t.Errorf("the session after %d reloads: %d at %v", reloads, a.StatusCode, in.trail)
	}
}
