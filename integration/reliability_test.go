package integration_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// With Vipps away the service starts, says so, keeps answering, and mends itself.
func TestSec_D01_ProviderAwayAtStart(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	away := freeAddr(t)
	issuer := "http://" + away + strings.TrimPrefix(f.vipps.Issuer, f.vipps.URL)
	f.vipps = nil
	vippsauthProgram(t) // built before the clock runs
	begin := time.Now()
	f.sidecar("--issuer="+issuer, "--allow=anyone")
	if took := time.Since(begin); took > 10*time.Second { // a tenth of a second as a rule
		t.Errorf("ready after %s", took)
	}
	eventually(t, "readyz says degraded", func() bool {
		w := f.get("http://" + f.ops + "/readyz")
		return w.StatusCode == http.StatusOK && strings.Contains(w.text, "vipps: degraded")
	})
	b := f.browser()
	page := b.open(f.origin + "/page?x=1")
	seconds, err := strconv.Atoi(page.Header.Get("Retry-After"))
	if page.StatusCode != http.StatusServiceUnavailable || err != nil || seconds < 1 || seconds > 300 ||
		!strings.Contains(page.text, "answering right now") || !strings.Contains(page.text, "/page?x=1") {
		t.Errorf("a login meanwhile: %d, Retry-After %q: %s", page.StatusCode, page.Header.Get("Retry-After"), page.words())
	}
	if a := b.send(http.MethodGet, f.origin+"/api", fetching(), nil); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("fetch meanwhile: %d", a.StatusCode)
	}

	v, err := emulator.Start(away, emulator.Config{
		Spinner: -1,
		Clients: []emulator.Client{{ID: clientID, Secret: clientSecret, Name: "Integration", RedirectURIs: []string{f.origin + "/_vipps/callback"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	f.vipps = v
	f.as(phoneAase)
	eventually(t, "readyz says ok again", func() bool { return strings.Contains(f.get("http://"+f.ops+"/readyz").text, "vipps: ok") })
	if page := b.open(f.origin + "/page?x=1"); page.StatusCode != http.StatusOK || f.app.last().URI != "/page?x=1" {
		t.Errorf("the login after the outage: %d at %v", page.StatusCode, b.trail)
	}
}

// A provider that goes away takes no session with it.
func TestSec_D03_ProviderGoesAway(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.sidecar()
	in := f.loggedIn()
	for _, endpoint := range []string{emulator.EndpointToken, emulator.EndpointDiscovery, emulator.EndpointJWKS, emulator.EndpointUserinfo} {
		if err := f.vipps.Control().FailNext(endpoint, 1000, 503, ""); err != nil {
			t.Fatal(err)
		}
	}
	if a := in.open(f.origin + "/still"); a.StatusCode != http.StatusOK {
		t.Errorf("a session while the provider is away: %d", a.StatusCode)
	}
	b := f.browser()
	page := b.open(f.origin + "/new")
	if page.StatusCode != http.StatusServiceUnavailable || page.Header.Get("Retry-After") == "" || page.Request.URL.Query().Has("code") {
		t.Errorf("a login while the provider is away: %d at %v", page.StatusCode, b.trail)
	}
	for _, endpoint := range []string{emulator.EndpointToken, emulator.EndpointDiscovery, emulator.EndpointJWKS, emulator.EndpointUserinfo} {
		if err := f.vipps.Control().FailNext(endpoint, 0, 0, ""); err != nil {
			t.Fatal(err)
		}
	}
	if page = b.press(page, "^Try again$"); page.StatusCode != http.StatusOK || f.app.last().URI != "/new" {
		t.Errorf("\"Try again\" when it is back: %d at %v: %s", page.StatusCode, b.trail, page.words())
	}
}

// A restart ends no session, and a login that is under way meanwhile finishes.
func TestSec_D14_RestartKeepsSessionsAndLogins(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	keys := filepath.Join(t.TempDir(), "cookie-keys")
	f.addr, f.ops = "127.0.0.1:"+f.port(), freeAddr(t)
	run := func() {
		p := start(t, vippsauthProgram(t), command{
			name: "vippsauth serve",
			args: []string{
				"serve", "--issuer=" + f.vipps.Issuer, "--client-id=" + clientID, "--public-url=" + f.origin, "--listen=" + f.addr, "--ops-listen=" + f.ops,
				"--upstream=http://" + f.app.addr(), "--allow=anyone", "--cookie-keys-file=" + keys, "--log-level=debug",
			},
			env: []string{"VIPPSAUTH_CLIENT_SECRET=" + clientSecret},
		})
		f.checkLog(p)
		p.answers("http://" + f.ops + "/readyz")
		f.service = p
	}
	run()
	info, err := os.Stat(keys)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the file of keys: %v %v", info, err)
	}
	in := f.loggedIn()

	// Somebody is at the provider, in the full login, when the restart comes.
	b := f.browser()
	if err := f.vipps.Control().AutoApprove(""); err != nil {
		t.Fatal(err)
	}
	atProvider := b.open(f.origin + "/in/flight?x=1")

	f.service.end()
	run()
	if a := in.open(f.origin + "/"); a.StatusCode != http.StatusOK || len(in.trail) != 1 {
		t.Errorf("the session after the restart: %d at %v", a.StatusCode, in.trail)
	}
	page := b.chooseNumber(b.press(atProvider, nameAase))
	if strings.Contains(page.text, "<dl class=\"scopes\">") {
		page = b.press(page, "^(Allow|Tillat)")
	}
	if page.StatusCode != http.StatusOK || page.Request.URL.String() != f.origin+"/in/flight?x=1" {
		t.Errorf("the login under way during the restart ended with %d at %v: %s", page.StatusCode, b.trail, page.words())
	}
}

// Limits: what is too much gets the status that says so, and the service goes on.
func TestLimits(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.sidecar()
	b := f.loggedIn()
	request := "GET / HTTP/1.1\r\nHost: localhost:" + f.port() + "\r\nCookie: " + strings.Repeat("x", 100<<10) + "\r\nConnection: close\r\n\r\n"
	if status := raw(t, f, request); status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("100 KiB of cookies: %d", status)
	}
	for _, path := range []string{"/_vipps/login", "/_vipps/logout", "/_vipps/result"} {
		if a := b.post(f.origin+path, url.Values{"rd": {strings.Repeat("x", 1<<20)}}); a.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("1 MiB to %s: %d", path, a.StatusCode)
		}
	}
	if a := b.post(f.origin+"/upload", url.Values{"a": {strings.Repeat("x", 1<<20)}}); a.StatusCode != http.StatusOK {
		t.Errorf("1 MiB to the app: %d", a.StatusCode)
	}
	garbage := f.browser()
	for _, value := range []string{"x", strings.Repeat("A", 4000), "1" + strings.Repeat("=", 50), "%00", `"quoted"`, "1MTIz|x"} {
		a := garbage.send(http.MethodGet, f.origin+"/", with(fetching(), "Cookie", "vippsauth="+value), nil)
		if a.StatusCode != http.StatusUnauthorized {
			t.Errorf("a garbage cookie: %d", a.StatusCode)
		}
	}
}

// I5, I6: whatever goes wrong in a login, the log at debug level names stage, code and cure, and holds no secret.
func TestSec_I5_LogsHoldNoSecrets(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.sidecar()
	b := f.loggedIn()
	if !strings.Contains(f.service.out.String(), `"level"`) {
		t.Fatal("the service logs nothing")
	}
	for _, kind := range []string{
		emulator.BreakWrongNonce, emulator.BreakWrongAud, emulator.BreakExpired, emulator.BreakAlgNone, emulator.BreakUserinfoWrongSub,
		emulator.BreakNotAJWT, emulator.BreakUserinfoHTML, emulator.BreakBadSignature,
	} {
		if err := f.vipps.Control().Break(kind, 1); err != nil {
			t.Fatal(err)
		}
		if a := f.browser().open(f.origin + "/"); a.StatusCode == http.StatusOK {
			t.Errorf("a login with %s: %d", kind, a.StatusCode)
		}
	}
	if err := f.vipps.Control().FailNext(emulator.EndpointToken, 1, 401, `{"error":"invalid_client","error_description":"for `+phoneAase+`"}`); err != nil {
		t.Fatal(err)
	}
	if a := f.browser().open(f.origin + "/"); a.StatusCode < 400 {
		t.Errorf("a login with invalid_client: %d", a.StatusCode)
	}
	for _, query := range []string{
		"code=canary-code-1&state=canary-state-1", "code=canary-code-2&code=canary-code-3&state=x", "error=access_denied&state=canary-state-4",
		"code=canary-code-5", "", "code=%zz&state=%00", "code=canary-code-6&error=canary_error&state=" + strings.Repeat("s", 43),
	} {
		u := f.origin + "/_vipps/callback?" + query
		if a := b.open(u); a.StatusCode >= 500 {
			t.Errorf("callback?%s: %d", query, a.StatusCode)
		}
		f.browser().open(u)
	}
	for i := range 7 {
		f.secrets.add("made-up code", "canary-code-"+strconv.Itoa(i))
		f.secrets.add("made-up state", "canary-state-"+strconv.Itoa(i))
	}
	if a := b.open(f.origin + "/"); a.StatusCode != http.StatusOK || len(b.trail) != 1 {
		t.Errorf("the session after all that: %d at %v", a.StatusCode, b.trail)
	}
	log := f.service.out.String()
	for _, want := range []string{"invalid_client", "likely_causes", "reference"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %s", want)
		}
	}
	for what, n := range map[string]int{"code": 1, "state": 1, "cookie vippsauth": 1, "client secret": 1, "cookie key": 1, "phone number": 1} {
		if f.secrets.count(what) < n {
			t.Errorf("no %s was looked for", what)
		}
	}
}
