package caddymodule_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Attack: a client that names another address each time, or waits for a reload, to get a fresh count of logins. B-029: it is
// Caddy's own idea of the client that counts and, where a proxy in front only adds to X-Forwarded-For, what that proxy added.
func TestSec_B029_C073_LoginLimit(t *testing.T) {
	s := newServer(t)
	port := freePort(t)
	site := fmt.Sprintf("http://localhost:%d", port)
	emu := provider(t, site)
	app := upstream(t)
	name := 0
	load := func(options string) {
		name++
		s.load(options, fmt.Sprintf("%s {\n vipps_auth {\n %s\n login_limit 3/1h\n login_limit_total 1000/1h\n site_name \"Shop %d\"\n }\n reverse_proxy %s\n}", site, clientSettings(emu), name, app))
	}
	// start begins a login from an address of this machine, with a header, and gives the status.
	start := func(from, header string) int {
		t.Helper()
		tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext(ctx, network, fmt.Sprintf("127.0.0.1:%d", port))
		}}
		req := newBrowser(t).navigation(site + "/_vipps/login?rd=/")
		for line := range strings.SplitSeq(header, "\n") {
			if key, value, ok := strings.Cut(line, ": "); ok {
				req.Header.Add(key, value)
			}
		}
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusTooManyRequests && resp.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		return resp.StatusCode
	}
	// limited starts a login more than the limit, each with a header of its own, and reports whether the last is refused.
	limited := func(what, from, header string, want bool) {
		t.Helper()
		for n := range 4 {
			got, refused := start(from, strings.ReplaceAll(header, "N", fmt.Sprint(n+1))), n == 3 && want
			if (got == http.StatusTooManyRequests) != refused || got != http.StatusFound && !refused {
				t.Errorf("%s: the %dth login: %d", what, n+1, got)
			}
		}
	}
	load("")
	limited("a client", "127.0.0.2", "", true)
	limited("a client with addresses of its own making", "127.0.0.3", "X-Forwarded-For: 1.3.3.N\nX-Real-Ip: 1.3.3.N\nForwarded: for=1.3.3.N", true)
	load("")
	if got := start("127.0.0.2", ""); got != http.StatusTooManyRequests {
		t.Errorf("after a reload: %d", got)
	}
	load("servers {\n trusted_proxies static 127.0.0.1/32\n}")
	limited("a proxy that adds to what the client made up", "127.0.0.1", "X-Forwarded-For: 1.3.3.N, 203.0.113.1", true)
	limited("in a line of its own", "127.0.0.1", "X-Forwarded-For: 1.3.3.N\nX-Forwarded-For: 203.0.113.2:80", true)
	limited("clients of a proxy", "127.0.0.1", "X-Forwarded-For: 203.0.114.N", false)
	limited("clients in one IPv6 network", "127.0.0.1", "X-Forwarded-For: 2001:db8:1:2:N::", true)
	limited("a proxy that hands on garbage", "127.0.0.1", "X-Forwarded-For: N", true)
	limited("a proxy that says nothing", "127.0.0.1", "", false)
	limited("somebody else with the proxy's words", "127.0.0.4", "X-Forwarded-For: 203.0.115.N", true)
	load("servers {\n trusted_proxies static 127.0.0.1/32 192.0.2.0/24\n trusted_proxies_strict\n}")
	limited("behind two proxies", "127.0.0.1", "X-Forwarded-For: 1.3.3.N, 203.0.113.9, 192.0.2.N", true)
	limited("clients behind two proxies", "127.0.0.1", "X-Forwarded-For: 203.0.116.N, 192.0.2.1", false)
	load("servers {\n trusted_proxies static 127.0.0.1/32\n client_ip_headers CF-Connecting-IP\n}")
	limited("a header of the proxy's own", "127.0.0.1", "CF-Connecting-IP: 203.0.117.1\nX-Forwarded-For: 1.3.3.N", true)
}
