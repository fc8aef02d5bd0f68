package integration_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// replica is one of several services with the same keys.
type replica struct {
	addr, ops string
	*process
}

// startReplica starts a service for the site, with a file of keys. Flags may be added.
func (f *front) startReplica(addr, keys string, flags ...string) replica {
	f.t.Helper()
	r := replica{addr: addr, ops: freeAddr(f.t)}
	r.process = start(f.t, vippsauthProgram(f.t), command{
		name: "vippsauth serve",
		args: append([]string{
			"serve", "--issuer=" + f.vipps.Issuer, "--client-id=" + clientID, "--public-url=" + f.origin, "--listen=" + r.addr, "--ops-listen=" + r.ops,
			"--allow=anyone", "--cookie-keys-file=" + keys, "--log-level=debug", "--scopes=openid name",
		}, flags...),
		env: []string{"VIPPSAUTH_CLIENT_SECRET=" + clientSecret},
	})
	f.checkLog(r.process)
	r.answers("http://" + r.ops + "/readyz")
	eventually(f.t, "the replica is ready", func() bool { return f.get("http://"+r.ops+"/readyz").StatusCode == http.StatusOK })
	return r
}

// counter adds up a metric of a process, whatever its labels.
func (f *front) counter(ops, name string) (sum float64) {
	f.t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^`+name+`(?:\{[^}]*\})? ([0-9.e+]+)$`).FindAllStringSubmatch(f.get("http://"+ops+"/metrics").text, -1) {
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			f.t.Fatal(err)
		}
		sum += n
	}
	return sum
}

// One replica, three, and one again, behind HAProxy by turns and with nothing that keeps a browser at one of them: logins that
// begin at one are finished by another, and every session passes at each.
func TestSec_D16_HAProxyReplicas(t *testing.T) {
	t.Parallel()
	need(t, "haproxy")
	f := newFront(t)
	keys := filepath.Join(t.TempDir(), "cookie-keys")
	addrs := []string{freeAddr(t), freeAddr(t), freeAddr(t)}
	run := func(n int) replica { return f.startReplica(addrs[n], keys, "--trusted-proxies=loopback") }
	one := run(0)
	f.addr = addrs[0]
	var servers []string
	for n, addr := range addrs {
		servers = append(servers, fmt.Sprintf("server vippsauth%d %s check inter 200ms rise 1 fall 1", n, addr))
	}
	startHAProxy(t, f, "server vippsauth "+f.addr+" check inter 1s rise 1 fall 3", strings.Join(servers, "\n\t"))
	var in []*browser
	login := func(how string) {
		b := f.browser()
		if a := b.open(f.origin + "/" + how); a.StatusCode != http.StatusOK || f.app.last().URI != "/"+how {
			t.Errorf("a login with %s: %d at %v: %s", how, a.StatusCode, b.trail, a.words())
			return
		}
		in = append(in, b)
	}
	everybodyPasses := func(when string) {
		for n, b := range in {
			for range 3 {
				if a := b.open(f.origin + "/"); a.StatusCode != http.StatusOK || len(b.trail) != 1 {
					t.Errorf("%s, session %d: %d at %v", when, n, a.StatusCode, b.trail)
				}
			}
		}
	}
	stranger := f.browser()
	settled := func(what string) {
		times := 0
		eventually(t, what, func() bool {
			if times++; stranger.send(http.MethodGet, f.origin+"/", fetching(), nil).StatusCode != http.StatusUnauthorized ||
				stranger.send(http.MethodGet, f.origin+"/_vipps/me", fetching(), nil).StatusCode != http.StatusUnauthorized {
				times = 0
			}
			return times >= 6
		})
	}
	settled("HAProxy knows that there is one")
	login("one-replica")
	two, three := run(1), run(2)
	all := []replica{one, two, three}
	eventually(t, "all three are in the rotation", func() bool {
		stranger.send(http.MethodGet, f.origin+"/_vipps/login?rd=/", navigation(), nil)
		return f.counter(two.ops, "vippsauth_logins_started_total") > 0 && f.counter(three.ops, "vippsauth_logins_started_total") > 0
	})
	if err := f.vipps.Control().NoDialog(emulator.NoDialogHit); err != nil { // one question, one answer: the next replica gets it
		t.Fatal(err)
	}
	elsewhere := 0
	for n := range 6 {
		var begun, done [3]float64
		for i, r := range all {
			begun[i], done[i] = f.counter(r.ops, "vippsauth_logins_started_total"), f.counter(r.ops, "vippsauth_sessions_started_total")
		}
		login("replica" + strconv.Itoa(n))
		for i, r := range all {
			if f.counter(r.ops, "vippsauth_sessions_started_total") > done[i] && f.counter(r.ops, "vippsauth_logins_started_total") == begun[i] {
				elsewhere++
			}
		}
	}
	if elsewhere < 3 {
		t.Error("hardly a login was finished by a replica that had not begun it: nothing was tried")
	}
	everybodyPasses("with three")
	l := underLoad(f, in[0], in[1])
	l.more()
	for _, r := range []replica{three, one} {
		_ = r.cmd.Process.Signal(syscall.SIGTERM)
		<-r.done
		l.more()
	}
	l.end([]int{http.StatusOK, http.StatusServiceUnavailable}, []int{http.StatusUnauthorized, http.StatusServiceUnavailable})
	settled("HAProxy knows that there is one again")
	login("one-again")
	everybodyPasses("with one again")
}

// The operator changes the key: a fresh one in front, restart, and later the old one goes. Sessions pass until then, and
// nobody's afterwards; who had one logs in again and sees no error.
func TestSec_D15_RestartWithANewKeyFile(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	keys := filepath.Join(t.TempDir(), "cookie-keys")
	rewrite := func(lines ...string) {
		if err := os.WriteFile(keys, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first, second := cookieKey(t), cookieKey(t)
	addr := "127.0.0.1:" + f.port()
	run := func() replica { return f.startReplica(addr, keys, "--upstream=http://"+f.app.addr()) }
	rewrite(first)
	r := run()
	old := f.loggedIn()
	rewrite(second, first)
	r.end()
	r = run()
	if a := old.open(f.origin + "/"); a.StatusCode != http.StatusOK || len(old.trail) != 1 {
		t.Errorf("a session of the old key: %d at %v", a.StatusCode, old.trail)
	}
	fresh := f.loggedIn()
	rewrite(second)
	r.end()
	run()
	if a := fresh.open(f.origin + "/"); a.StatusCode != http.StatusOK || len(fresh.trail) != 1 {
		t.Errorf("a session of the new key: %d at %v", a.StatusCode, fresh.trail)
	}
	if a := old.send(http.MethodGet, f.origin+"/", fetching(), nil); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("a session whose key is gone: %d", a.StatusCode)
	}
	if a := old.open(f.origin + "/wanted"); a.StatusCode != http.StatusOK || a.Request.URL.Path != "/wanted" {
		t.Errorf("who had it logs in again: %d at %v: %s", a.StatusCode, old.trail, a.words())
	}
}
