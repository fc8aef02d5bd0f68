package integration_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// loginFrom starts a login from an address of this machine, with more headers, and gives the answer.
func loginFrom(t *testing.T, f *front, from string, h http.Header) *http.Response {
	t.Helper()
	tr := &http.Transport{DisableKeepAlives: true, TLSClientConfig: f.tls, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext(ctx, network, "127.0.0.1:"+f.port())
	}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.origin+"/_vipps/login?rd=/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = h
	w, err := tr.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, w.Body)
	_ = w.Body.Close()
	return w
}

// Attack: through each proxy, by the files that we ship, a client says each time that it is another one, to start as many
// logins as it likes, or that it is somebody else, to use up theirs. It is counted by the address that the proxy saw.
func TestSec_B032_C073_LoginLimitBehindProxies(t *testing.T) {
	t.Parallel()
	service := func(f *front) { f.serve("--trusted-proxies=127.0.0.1") }
	for name, run := range map[string]func(t *testing.T, f *front){
		"nginx":   func(t *testing.T, f *front) { service(f); startNginx(t, f) },
		"haproxy": func(t *testing.T, f *front) { service(f); startHAProxy(t, f) },
		"caddy forward_auth": func(t *testing.T, f *front) {
			service(f)
			startCaddyForwardAuth(t, f)
		},
		"apache2":      func(t *testing.T, f *front) { f.serveApache(); startApache(t, f, "") },
		"caddy module": func(t *testing.T, f *front) { startCaddy(t, f, "", moduleSite(f, "login_limit 4/1h")) },
		"sidecar":      func(_ *testing.T, f *front) { f.sidecar() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "nginx" || name == "haproxy" || name == "apache2" {
				need(t, name)
			}
			f := newFront(t)
			f.env = []string{"VIPPSAUTH_LOGIN_LIMIT=4/1h"}
			run(t, f)
			for i := range 8 {
				made := fmt.Sprintf("203.0.113.%d", i)
				h := with(navigation(), "X-Forwarded-For", made, "X-Forwarded-For", made+", "+made, "X_Forwarded_For", made, "X-Real-Ip", made, "Forwarded", "for="+made, "X-Client-Ip", made)
				w := loginFrom(t, f, "127.0.0.2", h)
				if want := map[bool]int{true: http.StatusFound, false: http.StatusTooManyRequests}[i < 4]; w.StatusCode != want {
					t.Fatalf("the %dth login of one client: %d, want %d", i+1, w.StatusCode, want)
				}
				if at := w.Header.Get("Location"); (w.StatusCode == http.StatusFound) != strings.HasPrefix(at, f.vipps.URL) {
					t.Errorf("the %dth login leads to %q", i+1, at)
				}
				if after := w.Header.Get("Retry-After"); (after == "") != (i < 4) {
					t.Errorf("the %dth login: Retry-After %q", i+1, after)
				}
			}
			// Who was named all the time has lost nothing, nor has anybody else.
			if w := loginFrom(t, f, "127.0.0.3", with(navigation(), "X-Forwarded-For", "127.0.0.2")); w.StatusCode != http.StatusFound {
				t.Errorf("another client: %d", w.StatusCode)
			}
			if w := loginFrom(t, f, "127.0.0.1", navigation()); w.StatusCode != http.StatusFound {
				t.Errorf("a client on the proxy's own machine: %d", w.StatusCode)
			}
		})
	}
}
