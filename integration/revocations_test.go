package integration_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// status is what a process that stands for the site answers to a copy of somebody's cookies.
func (f *front) status(addr string, cookies []*http.Cookie) int {
	f.t.Helper()
	client := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, "http://"+addr+"/", http.NoBody)
	if err != nil {
		f.t.Fatal(err)
	}
	r.Host = strings.TrimPrefix(f.origin, "http://")
	r.Header = fetching()
	for _, c := range cookies {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value, Quoted: c.Quoted})
	}
	w, err := client.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	_ = w.Body.Close()
	return w.StatusCode
}

// loggedOut presses the button, and gives what a thief may have copied before.
func (f *front) loggedOut(b *browser) (stolen []*http.Cookie) {
	f.t.Helper()
	stolen = b.cookies(f.origin)
	if out := b.press(b.open(f.origin+"/_vipps/logout"), "^Log out$"); !strings.Contains(out.text, "You are logged out") || strings.Contains(out.text, "could not save that") {
		f.t.Fatalf("logging out: %d %s", out.StatusCode, out.words())
	}
	return stolen
}

// copiesRefused gives what looks at a copy of an ended session's cookies, at two processes: nobody takes it, and both take the
// cookies of somebody who didn't log out.
func (f *front) copiesRefused(here, there string, still []*http.Cookie) func(when string, stolen []*http.Cookie) {
	return func(when string, stolen []*http.Cookie) {
		f.t.Helper()
		if got := f.status(here, stolen); got != http.StatusUnauthorized {
			f.t.Errorf("%s the copy gets %d", when, got)
		}
		eventually(f.t, "the other process refuses the copy", func() bool { return f.status(there, stolen) == http.StatusUnauthorized })
		if a, b := f.status(here, still), f.status(there, still); a != http.StatusOK || b != http.StatusOK {
			f.t.Errorf("%s somebody else gets %d, and %d at the other process", when, a, b)
		}
	}
}

// kill ends a process as a power cut does.
func (p *process) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	<-p.done
}

// Attack (CVE-2024-21492): a cookie is copied, its owner logs out, and the copy is shown to the same service after a restart,
// by a signal and by a power cut in the moment after the answer, and to a replica that runs all the while. None of them takes
// it; whoever didn't log out stays logged in everywhere.
func TestSec_A132_B038_LogoutOutlivesServe(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	dir := t.TempDir()
	f.env = []string{"VIPPSAUTH_COOKIE_KEYS=" + cookieKey(t)}
	file := "--revocations-file=" + filepath.Join(dir, "ended")
	f.sidecar(file)
	site, ops, first := f.addr, f.ops, f.service
	f.addr, f.ops = freeAddr(t), freeAddr(t)
	f.serve("--upstream=http://"+f.app.addr(), file)
	replica := f.addr
	f.addr, f.ops, f.service = site, ops, first

	killed, stopped, stays := f.loggedIn(), f.loggedIn(), f.loggedIn()
	still := stays.cookies(f.origin)
	check := f.copiesRefused(site, replica, still)
	if got := f.status(replica, killed.cookies(f.origin)); got != http.StatusOK {
		t.Fatalf("the replica doesn't know the session: %d", got)
	}
	byKill := f.loggedOut(killed)
	f.service.kill()
	f.sidecar(file)
	check("after a power cut", byKill)
	bySignal := f.loggedOut(stopped)
	f.service.end()
	f.sidecar(file)
	check("after a restart", bySignal)
	check("after two", byKill)

	// E-30: whoever runs the site ends all sessions of a person, while it runs.
	stays.open(f.origin + "/")
	sub := f.app.last().Header.Get("X-Vipps-Sub")
	revoke := start(t, vippsauthProgram(t), command{
		name: "vippsauth revoke", args: []string{
			"revoke", "--sub=" + sub, file, "--public-url=" + f.origin, "--issuer=" + f.vipps.Issuer, "--client-id=" + clientID,
			"--allow=anyone", "--upstream=http://" + f.app.addr(),
		}, env: append([]string{"VIPPSAUTH_CLIENT_SECRET=" + clientSecret}, f.env...),
	})
	<-revoke.done
	if code := revoke.cmd.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("vippsauth revoke says %d: %s", code, revoke.out.String())
	}
	for _, addr := range []string{site, replica} {
		eventually(t, "her session ends", func() bool { return f.status(addr, still) == http.StatusUnauthorized })
	}
	text, err := os.ReadFile(filepath.Join(dir, "ended"))
	if err != nil || strings.Contains(string(text), sub) || len(f.secrets.in(string(text))) != 0 {
		t.Errorf("the file says who it is about, or: %v", err)
	}
}

// Attack (CVE-2020-15223): the disk is full. The logged-out page doesn't say that all is well, the log says what to do, the
// metric counts, and the session is ended in this process.
func TestSec_B138_ServeWithAFullDisk(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full here")
	}
	f := newFront(t)
	f.sidecar("--revocations-file=/dev/full")
	b := f.loggedIn()
	stolen := b.cookies(f.origin)
	out := b.press(b.open(f.origin+"/_vipps/logout"), "^Log out$")
	if !strings.Contains(out.text, "could not save that") {
		t.Errorf("logging out: %d %s", out.StatusCode, out.words())
	}
	if got := f.status(f.addr, stolen); got != http.StatusUnauthorized {
		t.Errorf("the copy gets %d", got)
	}
	for _, want := range []string{"logouts could not be saved", `"kept_in":"/dev/full"`, "no space left on device", "name another file in revocations_file"} {
		f.service.says(want)
	}
	if metrics := f.get("http://" + f.ops + "/metrics").text; !strings.Contains(metrics, "vippsauth_revocations_unsaved 1\n") || !strings.Contains(metrics, "vippsauth_revocations_unsaved_total 1\n") {
		t.Error("the metrics don't count it")
	}
}

// The same with Caddy: after a power cut, after a restart, and at another Caddy that shares the storage.
func TestSec_A132_B038_LogoutOutlivesCaddy(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	storage := t.TempDir()
	run := func(port string) (p *process, addr string) {
		admin := freeAddr(t)
		file := write(t, "Caddyfile", fmt.Sprintf("{\n\tpersist_config off\n\tdefault_bind 127.0.0.1\n\tstorage file_system %s\n\tgrace_period 1s\n\tadmin %s\n}\nhttp://localhost:%s {\n\t%s\n\treverse_proxy %s\n}\n",
			storage, admin, port, moduleBlock(f, "", "public_url "+f.origin), f.app.addr()))
		p = start(t, caddyProgram(t), command{name: "caddy", args: []string{"run", "--config", file, "--adapter", "caddyfile"}})
		f.checkLog(p)
		p.answers("http://localhost:" + port + "/_vipps/authz/")
		return p, "127.0.0.1:" + port
	}
	first, site := run(f.port())
	_, other := run(fmt.Sprint(freePort(t)))
	killed, stopped, stays := f.loggedIn(), f.loggedIn(), f.loggedIn()
	still := stays.cookies(f.origin)
	check := f.copiesRefused(site, other, still)
	if got := f.status(other, killed.cookies(f.origin)); got != http.StatusOK {
		t.Fatalf("the other Caddy doesn't know the session: %d", got)
	}
	byKill := f.loggedOut(killed)
	first.kill()
	first, _ = run(f.port())
	check("after a power cut", byKill)
	bySignal := f.loggedOut(stopped)
	first.end()
	run(f.port())
	check("after a restart", bySignal)
	check("after two", byKill)
}
