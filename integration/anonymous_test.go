package integration_test

import (
	"net/http"
	"strings"
	"testing"
)

// A site that everybody may read, and where whoever is logged in is known: nobody else can pretend to be.
func TestAnonymousBehindNginx(t *testing.T) {
	t.Parallel()
	need(t, "nginx")
	f := newFront(t)
	f.serve("--trusted-proxies=loopback", "--without-session=anonymous")
	startNginx(t, f)
	anonymous(t, f)
}

func TestAnonymousBehindCaddyForwardAuth(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.serve("--trusted-proxies=loopback", "--without-session=anonymous")
	startCaddyForwardAuth(t, f)
	anonymous(t, f)
}

func TestAnonymousBehindCaddyModule(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.checkLog(startCaddy(t, f, "", moduleSite(f, "without_session anonymous")))
	anonymous(t, f)
}

func TestAnonymousBehindTraefikStandIn(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	authz := freeAddr(t)
	f.serve("--trusted-proxies=loopback", "--authz-listen="+authz, "--without-session=anonymous")
	startTraefikStandIn(t, f, authz, traefikTimeout)
	anonymous(t, f)
}

func TestAnonymousSidecar(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.sidecar("--without-session=anonymous")
	anonymous(t, f)
}

func anonymous(t *testing.T, f *front) {
	t.Helper()
	isNobody := func(got seen) {
		t.Helper()
		if auth := folded(got.Header, "X-Vipps-Auth"); len(auth) != 1 || auth[0] != "anonymous" {
			t.Errorf("X-Vipps-Auth is %q", auth)
		}
		for name, values := range got.Header {
			if name != "X-Vipps-Auth" && strings.Contains(strings.ToLower(name), "vipps") && strings.Join(values, "") != "" {
				t.Errorf("an anonymous request has %s: %q", name, values)
			}
		}
	}
	// A crawler, and curl: no redirect, no cookie.
	b := f.browser()
	if a := b.send(http.MethodGet, f.origin+"/news", http.Header{"Accept": {"text/html"}}, nil); a.StatusCode != http.StatusOK || len(a.Header["Set-Cookie"]) > 0 {
		t.Errorf("a crawler: %d %v", a.StatusCode, a.Header)
	}
	isNobody(f.app.last())
	// A browser: one silent attempt, then the page.
	if a := b.open(f.origin + "/news?x=1"); a.StatusCode != http.StatusOK || a.Request.URL.RequestURI() != "/news?x=1" || len(b.asked()) != 1 {
		t.Errorf("a browser's first visit: %d at %v", a.StatusCode, b.trail)
	}
	isNobody(f.app.last())
	if a := b.open(f.origin + "/news"); a.StatusCode != http.StatusOK || len(b.trail) != 1 {
		t.Errorf("a browser's second visit: %d at %v", a.StatusCode, b.trail)
	}
	for _, name := range []string{"X-Vipps-Sub", "x_vipps_sub", "X.Vipps.Sub", "X-Vipps~Sub", "X-Vipps-Auth", "X-Vipps-Nin", "X-Vipps-Email"} {
		hits := f.app.hits()
		b.send(http.MethodGet, f.origin+"/news", with(fetching(), name, "authenticated"), nil)
		for _, got := range f.app.since(hits) {
			isNobody(got)
		}
	}
	// Whoever asks for it logs in.
	a := b.open(f.origin + "/_vipps/login?rd=/mine")
	if a.StatusCode != http.StatusOK || a.Request.URL.Path != "/mine" || f.app.last().Header.Get("X-Vipps-Name") != nameAase {
		t.Errorf("the login: %d at %v", a.StatusCode, b.trail)
	}
}
