package forwardauth_test

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/forwardauth"
)

// notKept is the sentence of the logged-out page when the logout could not be saved.
const notKept = "could not save that"

// kept is a state whose revocations are in a store, until the test or stop ends it.
func kept(t *testing.T, store forwardauth.RevocationStore, log *zap.Logger, now func() time.Time) (state *forwardauth.State, stop func()) {
	t.Helper()
	state = forwardauth.NewState()
	k := forwardauth.NewRevocationKeeper(state, store, func() *zap.Logger {
		if log == nil {
			return zap.NewNop()
		}
		return log
	}, now)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		k.Run(ctx)
		close(done)
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	<-k.Loaded()
	return state, stop
}

// keptLab is a lab whose logouts are kept in a file.
func keptLab(t *testing.T, path string) (l *lab, registry *prometheus.Registry, stop func()) {
	t.Helper()
	registry = prometheus.NewRegistry()
	l = newLab(t, func(c *forwardauth.Config) {
		c.State, stop = kept(t, forwardauth.NewRevocationFile(path), c.Logger, c.Now)
		c.Metrics = registry
	})
	return l, registry, stop
}

// judges makes an engine that stands for another process, and tells whom it lets in.
func (l *lab) judges(t *testing.T, state *forwardauth.State) (*forwardauth.Engine, func(cookie string) bool) {
	t.Helper()
	cfg := l.config
	cfg.State, cfg.Metrics = state, nil
	e, err := forwardauth.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return e, func(cookie string) bool { return l.opensIn(e, cookie) }
}

func (l *lab) opensIn(e *forwardauth.Engine, cookie string) bool {
	return e.Decide(forwardauth.Original{
		Method: "GET", Host: l.site.Listener.Addr().String(), URI: "/", Header: http.Header{"Cookie": {"vippsauth=" + cookie}},
	}).Authenticated()
}

// soon waits a little for what happens in the background.
func soon(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for begin := time.Now(); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > 10*time.Second {
			t.Fatalf("not in ten seconds: %s", what)
		}
	}
}

func metric(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// Attack (CVE-2024-21492): somebody has copied a session cookie, and its owner logs out. The copy opens nothing: here, in a
// process that starts later, and in one that shares the file and had opened it before.
func TestSec_A132_B038_LoggedOutEverywhere(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.revoked")
	l, _, _ := keptLab(t, path)
	other, _ := kept(t, forwardauth.NewRevocationFile(path), nil, l.clock.now)
	_, otherOpens := l.judges(t, other)
	b, aase2 := l.loggedIn(phoneAase), l.loggedIn(phoneAase)
	per := l.loggedIn(phonePer)
	stolen := b.cookie("vippsauth")
	if !otherOpens(stolen) {
		t.Fatal("the replica doesn't know the session")
	}
	if a := b.post("/_vipps/logout", url.Values{"rd": {"/bye"}}); a.StatusCode != http.StatusSeeOther || !strings.HasSuffix(a.Header.Get("Location"), "/bye") {
		t.Fatalf("%d to %s", a.StatusCode, a.Header.Get("Location"))
	}
	thief := l.browser()
	thief.setCookie("vippsauth", stolen)
	if a := thief.send("GET", "/", nil, ""); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("A-132: the copy gets %d", a.StatusCode)
	}
	// The answer to the logout came when it was kept: a process that starts now, after a kill, knows.
	late, _ := kept(t, forwardauth.NewRevocationFile(path), nil, l.clock.now)
	_, lateOpens := l.judges(t, late)
	if lateOpens(stolen) {
		t.Error("after a restart the copy opens again")
	}
	soon(t, "the replica hears of the logout", func() bool { return !otherOpens(stolen) })
	for _, still := range []*browser{aase2, per} {
		if value := still.cookie("vippsauth"); !otherOpens(value) || !lateOpens(value) {
			t.Error("a session that nobody logged out of is ended")
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, hidden := range []string{phoneAase, stolen[:20], "Åse"} {
		if strings.Contains(string(text), hidden) {
			t.Errorf("the file holds %q", hidden)
		}
	}
}

// When another person logs in over a live session, that is ended as by a logout: after a restart too.
func TestSec_A132_SessionOfThePersonBefore(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.revoked")
	var stop func()
	l := newLab(t, func(c *forwardauth.Config) {
		c.Silent = forwardauth.SilentOff
		c.State, stop = kept(t, forwardauth.NewRevocationFile(path), c.Logger, c.Now)
	})
	l.as(phonePer)
	b := l.browser()
	callback := b.begin("/tab1")
	l.as(phoneAase)
	b.visit("/tab2")
	aase := b.cookie("vippsauth")
	if a := b.click("/_vipps/result", saying(tokenOf(b.visit(callback)), "continue")); !strings.Contains(a.text, "name=Per") {
		t.Fatalf("Per isn't logged in: %s", a.text)
	}
	stop()
	late, _ := kept(t, forwardauth.NewRevocationFile(path), nil, l.clock.now)
	if _, opens := l.judges(t, late); opens(aase) || !opens(b.cookie("vippsauth")) {
		t.Error("after a restart the session of the person before opens, or his doesn't")
	}
}

// Attack (CVE-2026-34454): the header that clears the cookie was set after the answer had begun, so that the next person at the
// machine found the session. It is on the wire: whether the logout could be saved or not, and wherever it goes on to.
func TestSec_B009_ClearedOnTheWire(t *testing.T) {
	t.Parallel()
	for _, file := range []string{filepath.Join(t.TempDir(), "keys.revoked"), "/dev/full"} {
		l, _, _ := keptLab(t, file)
		for _, form := range []url.Values{nil, {"rd": {"/bye"}}, {"then": {"login"}, "rd": {"/p"}}, {"rd": {"https://evil.example/"}}} {
			b := l.loggedIn(phoneAase)
			b.deny = true // the browser's own doing counts for nothing here
			old := b.cookie("vippsauth")
			a := b.post("/_vipps/logout", form)
			cleared := 0
			for _, line := range a.Header["Set-Cookie"] {
				if strings.HasPrefix(line, "vippsauth=;") && strings.Contains(line, "Max-Age=0") && strings.Contains(line, "Path=/") {
					cleared++
				}
			}
			if a.StatusCode != http.StatusSeeOther || cleared != 1 || a.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%v: %d, clears %d times in %q", form, a.StatusCode, cleared, a.Header["Set-Cookie"])
			}
			for _, page := range []string{"/_vipps/logout", "/_vipps/result", "/_vipps/callback", "/"} {
				if a := b.send("GET", page, navigation(), ""); strings.Contains(a.text, "auth=authenticated") {
					t.Errorf("%s with the old cookie: %s", page, a.text)
				}
			}
			if l.opens(old) {
				t.Errorf("%v: the old cookie still opens", form)
			}
		}
	}
}

// Attack (CVE-2020-15223): the store fails, and the answer says that all is well. The session is ended here all the same, the
// page says what is not true yet, log and metric say it to the operator, and the attempts go on until it is.
func TestSec_B138_A132_LogoutThatCantBeSaved(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "later")
	path := filepath.Join(dir, "keys.revoked")
	l, registry, _ := keptLab(t, path)
	b := l.loggedIn(phoneAase)
	stolen := b.cookie("vippsauth")
	a := b.click("/_vipps/logout", url.Values{"rd": {"/bye"}})
	if a.StatusCode != http.StatusOK || !strings.Contains(a.text, notKept) || b.cookie("vippsauth") != "" {
		t.Errorf("the page says too much: %d %s", a.StatusCode, a.text)
	}
	if l.opensIn(l.engine, stolen) {
		t.Error("the session isn't even ended here")
	}
	if got := metric(t, registry, "vippsauth_revocations_unsaved"); got != 1 {
		t.Errorf("%v are unsaved", got)
	}
	if got := metric(t, registry, "vippsauth_revocations_unsaved_total"); got != 1 {
		t.Errorf("%v were answered unsaved", got)
	}
	entries := l.log.FilterMessageSnippet("logouts could not be saved").All()
	if len(entries) != 1 || entries[0].Level != zap.ErrorLevel || entries[0].ContextMap()["mend"] == "" || entries[0].ContextMap()["kept_in"] != path {
		t.Errorf("the log says %v", entries)
	}
	b.setCookie("vippsauth", stolen)
	if a := b.click("/_vipps/logout", nil); !strings.Contains(a.text, notKept) {
		t.Errorf("a second click is told that all is well: %s", a.text)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	soon(t, "it is saved", func() bool { return metric(t, registry, "vippsauth_revocations_unsaved") == 0 })
	late, _ := kept(t, forwardauth.NewRevocationFile(path), nil, l.clock.now)
	if _, opens := l.judges(t, late); opens(stolen) {
		t.Error("after a restart the copy opens again")
	}
	b = l.loggedIn(phoneAase)
	if a := b.click("/_vipps/logout", nil); strings.Contains(a.text, notKept) {
		t.Errorf("the page still warns: %s", a.text)
	}
	if l.log.FilterMessageSnippet("saved again").Len() != 1 {
		t.Error("the log doesn't say that it is well again")
	}
}

// A full disk is as good as none.
func TestSec_B138_A132_DiskFull(t *testing.T) {
	t.Parallel()
	l, _, _ := keptLab(t, "/dev/full")
	b := l.loggedIn(phoneAase)
	if a := b.click("/_vipps/logout", nil); a.StatusCode != http.StatusOK || !strings.Contains(a.text, notKept) {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if entries := l.log.FilterMessageSnippet("could not be saved").All(); len(entries) != 1 || !strings.Contains(entries[0].ContextMap()["error"].(string), "no space left") {
		t.Errorf("the log says %v", entries)
	}
}

// Consent is withdrawn, or somebody leaves the club: all their sessions end, in every process, after a restart too, and a
// login that waits for its confirmation with them. Others stay, and a later login is one.
func TestSec_E30_EndSessions(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.revoked")
	l, _, _ := keptLab(t, path)
	other, _ := kept(t, forwardauth.NewRevocationFile(path), nil, l.clock.now)
	_, otherOpens := l.judges(t, other)
	first, second, per := l.loggedIn(phoneAase), l.loggedIn(phoneAase), l.loggedIn(phonePer)
	first.visit("/")
	sub := l.last().Header.Get("X-Vipps-Sub")
	l.as(phoneAase)
	waiting := second
	values := []string{first.cookie("vippsauth"), second.cookie("vippsauth")}
	waiting.click("/_vipps/logout", nil)
	waiting.visit("/p")
	page := waiting.click("/_vipps/login", url.Values{"rd": {"/p"}})
	token := between(page.text, `name="token" value="`, `"`)
	if token == "" {
		t.Fatalf("nobody is asked: %s", page.text)
	}
	third := l.loggedIn(phoneAase)
	values = append(values, third.cookie("vippsauth"))
	if err := l.engine.EndSessions(sub, l.clock.now()); err != nil {
		t.Fatal(err)
	}
	for i, value := range values {
		if l.opensIn(l.engine, value) {
			t.Errorf("session %d goes on", i)
		}
		soon(t, "the replica hears of it", func() bool { return !otherOpens(value) })
	}
	waiting.click("/_vipps/result", url.Values{"token": {token}, "choice": {"continue"}})
	if waiting.cookie("vippsauth") != "" {
		t.Error("a login that was made before becomes a session after")
	}
	late, _ := kept(t, forwardauth.NewRevocationFile(path), nil, l.clock.now)
	_, lateOpens := l.judges(t, late)
	if value := per.cookie("vippsauth"); lateOpens(values[0]) || lateOpens(values[2]) || !lateOpens(value) || !otherOpens(value) {
		t.Error("after a restart others are ended, or hers open")
	}
	l.clock.advance(2 * time.Second)
	if value := l.loggedIn(phoneAase).cookie("vippsauth"); !lateOpens(value) || !otherOpens(value) {
		t.Error("a later login is none")
	}
	text, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(text), sub) {
		t.Errorf("the file holds her sub, or: %v", err)
	}
}

// Without a store a logout is what it was: at once, and for this process.
func TestEndSessionsWithoutAStore(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	b := l.loggedIn(phoneAase)
	b.visit("/")
	if err := l.engine.EndSessions(l.last().Header.Get("X-Vipps-Sub"), l.clock.now()); err != nil || l.opensIn(l.engine, b.cookie("vippsauth")) {
		t.Errorf("the session goes on, or: %v", err)
	}
}
