package integration_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
)

// strange is what a flood is made of: everything that needs no session, each time another.
func strange(n int) (method, path string, h http.Header) {
	one := fmt.Sprintf("%d-%d", n, rand.Uint64())
	switch n % 7 {
	case 0:
		return http.MethodGet, "/_vipps/login?rd=/" + one, navigation()
	case 1:
		return http.MethodGet, "/_vipps/callback?code=" + one + "&state=" + strings.Repeat("s", 43), navigation()
	case 2:
		return http.MethodGet, "/" + one, with(fetching(), "Cookie", "vippsauth=1"+strings.Repeat("A", 900)+one)
	case 3:
		return http.MethodGet, "/_vipps/result?t=" + one, navigation()
	case 4:
		return http.MethodPost, "/_vipps/logout", with(navigation(), "Content-Type", "application/x-www-form-urlencoded")
	case 5:
		return http.MethodPost, "/" + one, with(navigation(), "Content-Type", "application/x-www-form-urlencoded")
	}
	return http.MethodGet, "/" + one, navigation()
}

// Attack: a flood of requests without a session, each other than the one before, over many connections. The service keeps
// nothing of them, none reaches the app, and those who are logged in go on at nearly the same pace.
func TestSec_D22_FloodWithoutSession(t *testing.T) {
	f := newFront(t) // not beside others: it measures time
	f.sidecar()
	in := f.loggedIn()
	// pace is how long a session's requests take, and how long those take that nothing has to be known for, by turns: what the
	// machine does besides weighs on both. Nineteen of twenty are quicker.
	pace := func(n int) (session, bare time.Duration) {
		var mine, nobodys []time.Duration
		for range n {
			begin := time.Now()
			if a := in.send(http.MethodGet, f.origin+"/mine", fetching(), nil); a.StatusCode != http.StatusOK {
				t.Fatalf("a session: %d", a.StatusCode)
			}
			mine = append(mine, time.Since(begin))
			begin = time.Now()
			if a := in.send(http.MethodGet, "http://"+f.ops+"/healthz", nil, nil); a.StatusCode != http.StatusOK {
				t.Fatalf("healthz: %d", a.StatusCode)
			}
			nobodys = append(nobodys, time.Since(begin))
		}
		slices.Sort(mine)
		slices.Sort(nobodys)
		return mine[n*95/100], nobodys[n*95/100]
	}
	alone, bareAlone := pace(150)
	flood := func(n int) (asked int64) {
		ctx, stop := context.WithCancel(t.Context())
		var wait sync.WaitGroup
		var sent atomic.Int64
		for range n {
			tr := &http.Transport{DialContext: toLoopback, MaxIdleConnsPerHost: 1}
			wait.Go(func() {
				defer tr.CloseIdleConnections()
				for ctx.Err() == nil {
					method, path, h := strange(int(sent.Add(1)))
					r, err := http.NewRequestWithContext(ctx, method, f.origin+path, strings.NewReader(""))
					if err != nil {
						return
					}
					r.Header = h
					if w, err := tr.RoundTrip(r); err == nil {
						if _, _ = io.Copy(io.Discard, w.Body); w.StatusCode == http.StatusOK && strings.Contains(path, "mine") {
							t.Error("a stranger passes")
						}
						_ = w.Body.Close()
					}
					time.Sleep(20 * time.Millisecond) // the test's own part of the machine
				}
			})
		}
		time.Sleep(300 * time.Millisecond)
		under, bare := pace(150)
		time.Sleep(300 * time.Millisecond)
		stop()
		wait.Wait()
		t.Logf("a session %s and healthz %s, alone; %s and %s beside %d connections and %d requests", alone, bareAlone, under, bare, n, sent.Load())
		if limit := 6*bare + 150*time.Millisecond; under > limit { // it passes two handlers and the app
			t.Errorf("a session's request takes %s in a flood, and one that needs no engine %s", under, bare)
		}
		return sent.Load()
	}
	hits := f.app.hits()
	flood(60) // pools fill
	before := memory(t, f.service, "VmRSS")
	asked := flood(60) + flood(60)
	if grown := memory(t, f.service, "VmRSS") - before; grown > 30<<20 {
		t.Errorf("%d requests without a session left %d MiB", asked, grown>>20)
	}
	for _, got := range f.app.since(hits) {
		if got.Header.Get("X-Vipps-Sub") == "" {
			t.Fatalf("a stranger's request reached the app: %s", got.URI)
		}
	}
	if asked < 500 {
		t.Errorf("a flood of %d requests", asked)
	}
}

// Attack: a page of another site with a thousand images of our login address (and some frames), in a real browser. It makes no
// login attempts beyond five, and whoever was logged in still is.
func TestSec_D23_ChromiumThousandImages(t *testing.T) {
	t.Parallel()
	c := startChromium(t)
	f := newFront(t)
	var started atomic.Int64
	f.sidecar()
	c.open(f.origin + "/")
	c.sees("auth=authenticated")
	var page strings.Builder
	page.WriteString("<!doctype html><title>evil</title><p>evil</p>")
	for n := range 1000 {
		fmt.Fprintf(&page, `<img src="%s/_vipps/login?rd=/%d" width=1 height=1>`, f.origin, n)
	}
	for n := range 10 {
		fmt.Fprintf(&page, `<iframe src="%s/_vipps/login?rd=/frame/%d"></iframe>`, f.origin, n)
	}
	evil := freeAddr(t)
	serveOn(t, evil[strings.LastIndex(evil, ":")+1:], http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		started.Add(1)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, page.String())
	}))
	for _, who := range []string{"somebody who is logged in", "somebody who isn't"} {
		before := f.counter(f.ops, "vippsauth_logins_started_total")
		c.open("http://" + evil + "/")
		eventually(t, "all images were asked for", func() bool {
			return look(c, chromedp.Evaluate[bool](`document.readyState == "complete" && [...document.images].every(i => i.complete)`))
		})
		attempts, session := 0, 0
		for _, cookie := range c.cookies(f.origin) {
			switch {
			case strings.HasPrefix(cookie.Name, "vippsauth-login-"):
				attempts++
			case cookie.Name == "vippsauth":
				session++
			}
		}
		if begun := f.counter(f.ops, "vippsauth_logins_started_total") - before; attempts > 5 || begun > 5 {
			t.Errorf("%s: %d attempts in the browser, %v logins begun", who, attempts, begun)
		}
		if who == "somebody who is logged in" {
			if session != 1 {
				t.Errorf("%d session cookies after the page", session)
			}
			c.open(f.origin + "/after")
			c.sees("auth=authenticated")
			c.do("forgetting everything", protocol(network.ClearBrowserCookies, cdp.Empty{}))
		} else if session != 0 {
			t.Error("the page has logged somebody in")
		}
	}
	if started.Load() < 2 {
		t.Error("the page was not opened")
	}
}

// cookies gives those that the browser would send to an address.
func (c *chromium) cookies(address string) (all []*network.Cookie) {
	c.t.Helper()
	c.do("looking at cookies", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		result, err := cdp.Call(ctx, t, network.GetCookies, network.GetCookiesParams{URLs: []string{address + "/"}})
		if err == nil {
			all = result.Cookies
		}
		return err
	}))
	return all
}
