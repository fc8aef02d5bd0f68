package integration_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// underShell starts a sidecar of the site by a shell command in which "$@" is the service, so that it gets what the shell says.
func (f *front) underShell(keys, script string, in *syscall.SysProcAttr) *process {
	f.t.Helper()
	f.addr, f.ops = "127.0.0.1:"+f.port(), freeAddr(f.t)
	return start(f.t, need(f.t, "sh"), command{
		name: "vippsauth serve", in: in,
		args: []string{
			"-c", script, "sh", vippsauthProgram(f.t), "serve", "--issuer=" + f.vipps.Issuer, "--client-id=" + clientID, "--public-url=" + f.origin, "--listen=" + f.addr,
			"--ops-listen=" + f.ops, "--upstream=http://" + f.app.addr(), "--allow=anyone", "--cookie-keys-file=" + keys, "--log-level=debug",
		},
		env: []string{"PATH=" + os.Getenv("PATH"), "VIPPSAUTH_CLIENT_SECRET=" + clientSecret},
	})
}

// With 64 descriptors, all of which somebody holds by idle connections, nobody is let in by mistake and nothing ends: when
// they are free again, sessions pass as before.
func TestSec_D27_NoDescriptorsLeft(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	p := f.underShell(filepath.Join(t.TempDir(), "keys"), `ulimit -n 64; exec "$@"`, nil)
	p.answers("http://" + f.ops + "/readyz")
	in := f.loggedIn()
	var held []net.Conn
	for range 120 {
		conn, err := net.DialTimeout("tcp", f.addr, time.Second)
		if err != nil {
			break
		}
		held = append(held, conn)
	}
	eventually(t, "no descriptor is left", func() bool {
		fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
		return err != nil || len(fds) >= 62 // without /proc the numbers above have to do
	})
	hits := f.app.hits()
	stranger := http.Client{Timeout: 500 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true, DialContext: toLoopback}}
	for range 3 {
		if w, err := stranger.Get(f.origin + "/"); err == nil {
			_ = w.Body.Close()
			if w.StatusCode == http.StatusOK {
				t.Error("a stranger passes")
			}
		}
	}
	if f.app.hits() != hits {
		t.Error("the app was asked for a stranger")
	}
	for _, conn := range held {
		_ = conn.Close()
	}
	in.client.Transport = f.transport()
	begin := time.Now()
	if a := in.open(f.origin + "/"); a.StatusCode != http.StatusOK || len(in.trail) != 1 {
		t.Errorf("the session afterwards: %d at %v", a.StatusCode, in.trail)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %s until anybody was served again", took)
	}
	f.loggedIn()
}

// A disk that is full takes no log line. Everything else goes on.
func TestSec_D27_FullDisk(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full here: Linux only")
	}
	f := newFront(t)
	p := f.underShell(filepath.Join(t.TempDir(), "keys"), `exec "$@" >/dev/full 2>&1`, nil)
	p.answers("http://" + f.ops + "/readyz")
	for range 3 {
		b := f.loggedIn()
		b.press(b.open(f.origin+"/_vipps/logout"), "^Log out$")
		if a := b.send(http.MethodGet, f.origin+"/", fetching(), nil); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("after the logout: %d", a.StatusCode)
		}
	}
	if text := p.out.String(); text != "" {
		t.Errorf("it writes nevertheless: %s", text)
	}
	if w := f.get("http://" + f.ops + "/readyz"); w.StatusCode != http.StatusOK {
		t.Errorf("readyz: %d", w.StatusCode)
	}
}

// A directory that can't be written to is enough where the keys are there; where they aren't, the start ends with the cure,
// since keys that nobody kept would end every session with the next restart.
func TestSec_D27_ReadOnlyDirectory(t *testing.T) {
	t.Parallel()
	var nobody *syscall.SysProcAttr
	const id = 65534
	dir := t.TempDir()
	keys := filepath.Join(dir, "keys")
	if err := os.WriteFile(keys, []byte(cookieKey(t)+"\n"), 0o400); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 { // whom no mode of a directory stops
		nobody = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: id, Gid: id}}
		for _, path := range []string{filepath.Dir(dir), filepath.Dir(vippsauthProgram(t))} {
			if err := os.Chmod(path, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chown(keys, id, id); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o755) })
	f := newFront(t)
	p := f.underShell(keys, `cd "$(dirname "$1")"; exec "$@"`, nobody)
	p.answers("http://" + f.ops + "/readyz")
	p.says(`Logout does not survive a restart, and reaches one replica only: ` + keys + `.revoked cannot be written (permission denied)`)
	in := f.loggedIn()
	p.end()
	f.underShell(keys, `exec "$@"`, nobody).answers("http://" + f.ops + "/readyz")
	if a := in.open(f.origin + "/"); a.StatusCode != http.StatusOK || len(in.trail) != 1 {
		t.Errorf("the session after a restart: %d at %v", a.StatusCode, in.trail)
	}
	// Nor is a file a place to keep anything that another user has made.
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(keys+".revoked", nil, 0o400); err != nil {
		t.Fatal(err)
	}
	if nobody != nil {
		if err := os.Chown(dir, id, id); err != nil {
			t.Fatal(err)
		}
	}
	newFront(t).underShell(keys, `exec "$@"`, nobody).says(keys + `.revoked cannot be written (permission denied)`)
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	none := newFront(t).underShell(filepath.Join(dir, "none"), `exec "$@"`, nobody)
	<-none.done
	if text := none.out.String(); none.cmd.ProcessState.ExitCode() == 0 || !strings.Contains(text, "cookie_keys_file") && !strings.Contains(text, "cookie-keys-file") {
		t.Errorf("without keys: %d: %s", none.cmd.ProcessState.ExitCode(), text)
	}
}
