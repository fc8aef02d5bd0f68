package vipps_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps"
)

func begin(c *vipps.Client) error {
	_, _, err := c.BeginLogin(context.Background(), vipps.LoginRequest{RedirectURI: redirectURI})
	return err
}

func TestSec_D01_NewDoesNoIO(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	c := p.client()
	if err := c.Ready(); err != nil {
		t.Errorf("Ready is %v before the first login", err)
	}
	if n := p.calls(discoveryPath); n != 0 {
		t.Errorf("New asked %d times", n)
	}
	if err := c.Discover(context.Background()); err != nil {
		t.Error(err)
	}
	if d, k := p.calls(discoveryPath), p.calls(jwksPath); d != 1 || k != 1 {
		t.Errorf("Discover asked %d times for metadata, %d times for keys", d, k)
	}
}

func TestSec_A030_A032_Metadata(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		edit func(m map[string]any)
		code string
	}{
		{"A032 issuer with more", func(m map[string]any) { m["issuer"] = m["issuer"].(string) + "INVALID" }, vipps.CodeIssuerMismatch},
		{"A070 issuer without slash", func(m map[string]any) { m["issuer"] = strings.TrimSuffix(m["issuer"].(string), "/") }, vipps.CodeIssuerMismatch},
		{"issuer missing", func(m map[string]any) { delete(m, "issuer") }, vipps.CodeIssuerMismatch},
		{"issuer folded", func(m map[string]any) { m["Issuer"] = m["issuer"]; delete(m, "issuer") }, vipps.CodeIssuerMismatch},
		{"no token endpoint", func(m map[string]any) { delete(m, "token_endpoint") }, vipps.CodeInvalidMetadata},
		{"no jwks_uri", func(m map[string]any) { delete(m, "jwks_uri") }, vipps.CodeInvalidMetadata},
		{"javascript", func(m map[string]any) { m["authorization_endpoint"] = "javascript:alert(1)" }, vipps.CodeInvalidMetadata},
		{"http elsewhere", func(m map[string]any) { m["token_endpoint"] = "http://op.example/token" }, vipps.CodeInvalidMetadata},
		{"relative", func(m map[string]any) { m["userinfo_endpoint"] = "/userinfo" }, vipps.CodeInvalidMetadata},
		{"fragment", func(m map[string]any) { m["authorization_endpoint"] = m["issuer"].(string) + "#x" }, vipps.CodeInvalidMetadata},
		{"credentials", func(m map[string]any) { m["token_endpoint"] = "https://a:b@op.example/" }, vipps.CodeInvalidMetadata},
		{"userinfo is optional", func(m map[string]any) { delete(m, "userinfo_endpoint") }, ""},
		{"odd lists", func(m map[string]any) {
			m["scopes_supported"] = "openid"
			m["authorization_response_iss_parameter_supported"] = "yes"
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t)
			p.metadata = tt.edit
			c := p.client()
			err := begin(c)
			if tt.code == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			e := refused(t, err, tt.code)
			if !isUnavailable(err) || e.RetryAfter <= 0 || e.Stage != vipps.StageDiscovery {
				t.Errorf("unavailable %v, retry after %v, stage %s", isUnavailable(err), e.RetryAfter, e.Stage)
			}
			if c.Ready() == nil {
				t.Error("Ready says that all is well")
			}
		})
	}
}

func TestVendorMetadata(t *testing.T) {
	t.Parallel()
	for file, env := range map[string]vipps.Environment{"discovery-2023.json": vipps.Test, "discovery-2026.json": vipps.Production} {
		issuer, ok := env.Issuer()
		if !ok {
			t.Fatalf("%s has no issuer", env)
		}
		c := newClient(t, vipps.Config{Issuer: issuer, ClientID: "c", ClientSecret: "secret"})
		if err := c.ParseMetadata(readTestdata(t, file)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	if _, ok := vipps.Environment("emulator").Issuer(); ok {
		t.Error("the emulator has an issuer")
	}
}

func TestFreshness(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		cacheControl, age string
		want              time.Duration
	}{
		{"", "", time.Hour},
		{"max-age=3600", "", time.Hour},
		{"public, Max-Age=7200", "", 2 * time.Hour},
		{"max-age=7200", "3600", time.Hour},
		{"max-age=10", "", time.Minute},
		{"max-age=0", "", time.Minute},
		{"no-store", "", time.Minute},
		{"no-cache, max-age=600", "", time.Minute},
		{"max-age=99999999999", "", 24 * time.Hour},
		{"max-age=999999", "", 24 * time.Hour},
		{"max-age=-5", "", time.Hour},
		{"max-age=soon", "", time.Hour},
		{"max-age=600", "900", time.Minute},
	} {
		h := http.Header{}
		if tt.cacheControl != "" {
			h.Set("Cache-Control", tt.cacheControl)
		}
		h.Set("Age", tt.age)
		if got := vipps.Freshness(h); got != tt.want {
			t.Errorf("%q, age %q: %v, want %v", tt.cacheControl, tt.age, got, tt.want)
		}
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	for failures, limits := range map[int][2]time.Duration{
		1:  {750 * time.Millisecond, 1250 * time.Millisecond},
		3:  {3 * time.Second, 5 * time.Second},
		5:  {12 * time.Second, 20 * time.Second},
		6:  {22500 * time.Millisecond, 30 * time.Second},
		99: {22500 * time.Millisecond, 30 * time.Second},
	} {
		for range 50 {
			if got := vipps.Backoff(failures); got < limits[0] || got > limits[1] {
				t.Errorf("%d failures: %v, want %v", failures, got, limits)
			}
		}
	}
}

func TestSec_D01_D03_BackoffThenRecovery(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	c := p.client()
	p.handle(discoveryPath, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	e := refused(t, begin(c), vipps.CodeHTTP)
	if e.Status != http.StatusBadGateway || !e.Temporary() || !isUnavailable(e) || e.RetryAfter < time.Second {
		t.Errorf("error is %+v", e)
	}
	for range 20 {
		if err := begin(c); !isUnavailable(err) {
			t.Errorf("error is %v", err)
		}
	}
	if n := p.calls(discoveryPath); n != 1 {
		t.Errorf("%d requests during the back-off, want 1", n)
	}
	p.clock.Add(2 * time.Second)
	_ = begin(c)
	if n := p.calls(discoveryPath); n != 2 {
		t.Errorf("%d requests after the back-off, want 2", n)
	}
	p.locked(func() { delete(p.handlers, discoveryPath) })
	p.clock.Add(3 * time.Second)
	if err := begin(c); err != nil {
		t.Errorf("not mended: %v", err)
	}
	if err := c.Ready(); err != nil {
		t.Errorf("Ready is %v", err)
	}
}

func TestSec_D05_RetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	clk := newClock()
	for _, value := range []string{"120", clk.Now().Add(2 * time.Minute).Format(http.TimeFormat)} {
		p := newProvider(t)
		c := p.client()
		p.handle(discoveryPath, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", value)
			w.WriteHeader(http.StatusTooManyRequests)
		})
		_ = begin(c)
		p.clock.Add(110 * time.Second)
		_ = begin(c)
		if n := p.calls(discoveryPath); n != 1 {
			t.Errorf("%q: %d requests after 110 s", value, n)
		}
		p.clock.Add(11 * time.Second)
		_ = begin(c)
		if n := p.calls(discoveryPath); n != 2 {
			t.Errorf("%q: %d requests after 121 s", value, n)
		}
	}
}

// Expired metadata stays in use while the provider is away, and an issuer
// that changes under us is never taken over.
func TestSec_D03_D09_StaleMetadata(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	c := p.client()
	p.mustLogin(c)
	p.clock.Add(59 * time.Minute)
	p.mustLogin(c)
	if n := p.calls(discoveryPath); n != 1 {
		t.Errorf("%d requests within the hour", n)
	}
	p.locked(func() { p.metadata = func(m map[string]any) { m["issuer"] = "https://evil.example/" } })
	p.clock.Add(48 * time.Hour)
	p.mustLogin(c)
	if n := p.calls(discoveryPath); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
	refused(t, c.Ready(), vipps.CodeIssuerMismatch)
	p.handle(discoveryPath, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	p.clock.Add(time.Hour)
	p.mustLogin(c)
}

func TestSec_D09_EndpointsMove(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	c := p.client()
	p.mustLogin(c)
	const moved = "/moved/jwks.json"
	p.locked(func() {
		p.metadata = func(m map[string]any) { m["jwks_uri"] = p.srv.URL + moved }
		p.keys = []signer{{"public:one", "RS256", rsaKeys[1]()}}
		p.handlers[moved] = func(w http.ResponseWriter, _ *http.Request) { p.answer(w, p.keySet()) }
	})
	p.clock.Add(2 * time.Hour)
	p.mustLogin(c)
	if p.calls(moved) != 1 {
		t.Error("the keys did not come from the new place")
	}
}

// The first caller goes away while the metadata is on its way. The others,
// who wait for the same fetch, must get it.
func TestSec_B134_AFetchOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	c := p.client()
	asked, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	p.handle(discoveryPath, func(w http.ResponseWriter, _ *http.Request) {
		once.Do(func() { close(asked) })
		<-release
		p.answer(w, p.discovery())
	})
	ctx, cancel := context.WithCancel(context.Background())
	first := make(chan error)
	go func() {
		_, _, err := c.BeginLogin(ctx, vipps.LoginRequest{RedirectURI: redirectURI})
		first <- err
	}()
	<-asked
	var failed atomic.Int32
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if err := begin(c); err != nil {
				failed.Add(1)
			}
		})
	}
	cancel()
	if err := <-first; !isUnavailable(err) || !errors.Is(err, context.Canceled) {
		t.Errorf("the first caller got %v", err)
	}
	close(release)
	wg.Wait()
	if n := failed.Load(); n != 0 {
		t.Errorf("%d callers failed", n)
	}
	if n := p.calls(discoveryPath); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

func TestSec_A079_A191_LargeMetadata(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.handle(discoveryPath, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(strings.Repeat(" ", 1<<20+1)))
	})
	refused(t, begin(p.client()), vipps.CodeTooLarge)
}

func TestSec_D05_DiscoveryAnswers(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		h    http.HandlerFunc
		code string
	}{
		"HTML":  {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>hello</html>")) }, vipps.CodeInvalidMetadata},
		"empty": {func(http.ResponseWriter, *http.Request) {}, vipps.CodeInvalidMetadata},
		"null":  {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("null")) }, vipps.CodeInvalidMetadata},
		"two":   {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}{}")) }, vipps.CodeInvalidMetadata},
		"404":   {func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }, vipps.CodeHTTP},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		}, vipps.CodeRedirect},
		"cut": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "99")
			_, _ = w.Write([]byte("{"))
		}, vipps.CodeUnreachable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t)
			p.handle(discoveryPath, tt.h)
			e := refused(t, begin(p.client()), tt.code)
			if len(e.Causes()) == 0 {
				t.Error("no causes")
			}
		})
	}
}
