package forwardauth_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vippsauth/vippsauth/forwardauth"
)

// heap is what is live in this process.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A drain is an http.ResponseWriter that keeps the status.
type drain struct {
	header http.Header
	status int
}

func (s *drain) Header() http.Header         { return s.header }
func (s *drain) WriteHeader(status int)      { s.status = status }
func (s *drain) Write(b []byte) (int, error) { return len(b), nil }

// Attack: visits without a session by the hundred thousand, each to another page, each with another made-up cookie, and as
// many logins begun as the limit lets begin. Nothing of them stays in the server, whose memory is for people.
func TestSec_C072_D22_FloodLeavesNoMemory(t *testing.T) {
	// Not parallel: the heap is the process's.
	l := newLab(t, func(c *forwardauth.Config) {
		c.Logger = nil // the lab's keeps every line
		c.LoginLimit, c.LoginLimitTotal = forwardauth.LimitOff, "5000/1m"
	})
	w := &drain{header: http.Header{}}
	ask := func(handler http.Handler, path string, h http.Header, want ...int) {
		clear(w.header)
		w.status = http.StatusOK
		u, err := url.ParseRequestURI(path)
		if err != nil {
			t.Fatal(err)
		}
		r := &http.Request{
			Method: "GET", URL: u, RequestURI: path, Host: l.site.Listener.Addr().String(), Header: h, Body: http.NoBody, RemoteAddr: "127.0.0.1:9", ProtoMajor: 1, ProtoMinor: 1,
		}
		if handler.ServeHTTP(w, r); !slices.Contains(want, w.status) {
			t.Fatalf("%s: %d", path, w.status)
		}
	}
	authz := l.engine.ForwardAuth()
	flood := func(n, from int) {
		for i := range n {
			id := strconv.Itoa(from + i)
			h := navigation()
			h["Cookie"] = []string{"vippsauth=1" + strings.Repeat("A", 200) + id + "; vippsauth-hint=" + id + "; vippsauth-login-" + id + "=x"}
			ask(l.one, "/page/"+id+"?q="+id, h, http.StatusFound)
			if i%10 == 0 {
				ask(l.one, "/_vipps/login?rd=/"+id, h, http.StatusFound, http.StatusTooManyRequests)
				ask(l.one, "/_vipps/callback?code="+id+"&state="+strings.Repeat("s", 43)+id, h, http.StatusSeeOther)
				asked := l.judged("/" + id)
				asked.Set("Cookie", "vippsauth="+id)
				ask(authz, "/_vipps/authz/forward-auth", asked, http.StatusFound, http.StatusUnauthorized)
			}
		}
	}
	flood(2000, 0) // what is made once
	before, goroutines := heap(), runtime.NumGoroutine()
	flood(100_000, 1_000_000)
	if grown := heap() - before; grown > 1<<20 {
		t.Errorf("100,000 visits leave %d bytes", grown)
	}
	if n := runtime.NumGoroutine(); n > goroutines+5 {
		t.Errorf("%d goroutines, %d before", n, goroutines)
	}
}

// Attack: the same over the wire, on connections that are kept, while somebody works: D-22. They are answered, and what stays
// after the last connection is gone is what was there before.
func TestSec_D22_FloodOverConnections(t *testing.T) {
	l := newLab(t, func(c *forwardauth.Config) { c.Logger = nil })
	in := l.loggedIn(phoneAase)
	const clients, batches, batch = 50, 8, 50
	requests := make([]string, batch)
	for i := range requests {
		requests[i] = fmt.Sprintf("GET /page/%d HTTP/1.1\r\nHost: %s\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n\r\n", i, l.site.Listener.Addr())
	}
	all := strings.Join(requests, "")
	flood := func() {
		var wg sync.WaitGroup
		for range clients {
			wg.Go(func() {
				conn, err := net.DialTimeout("tcp", l.site.Listener.Addr().String(), 10*time.Second)
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(60 * time.Second))
				answers := bufio.NewReader(conn)
				for range batches {
					if _, err := io.WriteString(conn, all); err != nil {
						t.Error(err)
						return
					}
					for range batch {
						a, err := http.ReadResponse(answers, nil)
						if err != nil || a.StatusCode != http.StatusFound {
							t.Errorf("%v %v", a, err)
							return
						}
						_ = a.Body.Close()
					}
				}
			})
		}
		done := make(chan struct{})
		go func() { wg.Wait(); close(done) }()
		for slowest := time.Duration(0); ; {
			select {
			case <-done:
				t.Logf("the slowest answer to somebody with a session took %s", slowest)
				return
			default:
			}
			began := time.Now()
			if a := in.send("GET", "/", navigation(), ""); a.StatusCode != http.StatusOK {
				t.Errorf("somebody with a session: %d", a.StatusCode)
			}
			slowest = max(slowest, time.Since(began))
			if slowest > 5*time.Second {
				t.Errorf("somebody with a session waits %s", slowest)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	flood()
	l.mu.Lock()
	l.seen = nil
	l.mu.Unlock()
	before := heap()
	flood()
	l.mu.Lock()
	l.seen = nil
	l.mu.Unlock()
	grown := heap() - before
	for range 50 { // connections close in their own time
		if grown <= 1<<20 {
			break
		}
		time.Sleep(50 * time.Millisecond)
		grown = heap() - before
	}
	if grown > 1<<20 {
		t.Errorf("%d visits leave %d bytes", clients*batches*batch, grown)
	}
}

// Attack: whatever a client can make up (hosts, paths, methods, policies, codes, users) makes series without end in the
// metrics. Labels are from fixed sets: the second flood finds every series there that the first has left.
func TestSec_C076_MetricsHaveFixedLabels(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	l := newLab(t, func(c *forwardauth.Config) { c.Metrics, c.LoginLimit = registry, "50/1h" })
	b := l.loggedIn(phoneAase)
	const mark = "zzmark"
	flood := func(round int) {
		for i := range 60 {
			id := fmt.Sprintf("%s%d-%d", mark, round, i)
			l.browser().send("GET", "/"+id+"?"+id, navigation(), "")
			l.browser().send("M"+id, "/"+id, nil, "")
			b.send("GET", "/"+id, http.Header{"X-" + id: {id}}, "")
			l.browser().send("GET", "/_vipps/"+id, navigation(), "")
			l.browser().send("GET", "/_vipps/login?rd=/"+id, from("203.0.113.7"), "")
			l.browser().send("POST", "/_vipps/login", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://" + id}}, "")
			l.browser().send("GET", "/_vipps/callback?error="+id+"&state="+strings.Repeat("s", 43), navigation(), "")
			for _, path := range []string{"forward-auth/" + id, id, "auth-request", "challenge", "ext-authz/" + id} {
				h := l.judged("/" + id)
				h.Set("X-Forwarded-Host", id+".example")
				h.Set("X_Vipps_"+id, id)
				l.browser().send("GET", "/_vipps/authz/"+path, h, "")
				l.browser().send("GET", "/_vipps/authz/"+path, l.judged("/"+id), "")
			}
		}
		for _, code := range []string{"a", "b", "c"} { // answers of a provider that makes up codes
			at := l.browser()
			a := at.send("GET", "/_vipps/login?rd=/", from(fmt.Sprintf("203.0.114.%d", round*3+len(code))), "")
			if to, err := url.Parse(a.Header.Get("Location")); err == nil {
				at.visit(fmt.Sprintf("/_vipps/callback?error=%s%s%d&state=%s", mark, code, round, url.QueryEscape(to.Query().Get("state"))))
			}
		}
	}
	flood(1)
	first := series(t, registry)
	flood(2)
	second := series(t, registry)
	if !slices.Equal(first, second) {
		t.Errorf("%d series became %d", len(first), len(second))
	}
	if len(first) < 15 || len(first) > 60 {
		t.Errorf("%d series:\n%s", len(first), strings.Join(first, "\n"))
	}
	for _, name := range second {
		if strings.Contains(name, mark) || strings.Contains(name, phoneAase) || strings.Contains(name, "203.0.11") {
			t.Errorf("a label holds what a client sent: %s", name)
		}
	}
}

// series are all that a registry has, with their labels.
func series(t *testing.T, registry *prometheus.Registry) []string {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName()
			for _, label := range m.GetLabel() {
				name += " " + label.GetName() + "=" + label.GetValue()
			}
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}
