// Package integration_test starts the programs that people put vippsauth together with, and the program itself as
// they run it: real nginx, HAProxy, Apache, Caddy, Chromium, another vendor's OpenID provider. What runs is the
// configuration of examples/, with other addresses in it.
//
// A test whose program isn't installed is skipped and says so. With VIPPSAUTH_TEST_ALL=1, as `make test` sets it, it
// fails instead.
package integration_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

func TestMain(m *testing.M) {
	status := m.Run()
	holes := outcomes.print(os.Stdout)
	if everything() && holes > 0 && status == 0 {
		fmt.Printf("the table has %d holes\n", holes)
		status = 1
	}
	if leaks := privacy.report(os.Stdout); leaks > 0 && status == 0 {
		status = 1
	}
	if programs.dir != "" {
		_ = os.RemoveAll(programs.dir)
	}
	os.Exit(status)
}

// programs are the commands that the tests start, each built at most once.
var programs binaries

type binaries struct {
	mu  sync.Mutex
	dir string

	vippsauth, caddy, otherop, otherciba once
}

type once struct {
	sync.Once
	path string
	err  error
}

// vippsauthProgram, caddyProgram and otherProviderProgram give the paths of the built programs.
func vippsauthProgram(t testing.TB) string {
	return programs.build(t, &programs.vippsauth, "vippsauth", "..", "./cmd/vippsauth")
}

func caddyProgram(t testing.TB) string {
	return programs.build(t, &programs.caddy, "caddy", "..", "./cmd/caddy")
}

func otherProviderProgram(t testing.TB) string {
	return programs.build(t, &programs.otherop, "otherop", "../tools", "./otherop")
}

func (b *binaries) build(t testing.TB, o *once, name, dir, pkg string) string {
	t.Helper()
	o.Do(func() {
		to, err := b.folder()
		if err != nil {
			o.err = err
			return
		}
		o.path = filepath.Join(to, name)
		cmd := exec.Command("go", "build", "-C", dir, "-o", o.path, pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
		if out, err := cmd.CombinedOutput(); err != nil {
			o.err = fmt.Errorf("building %s: %w\n%s", pkg, err, out)
		}
	})
	if o.err != nil {
		t.Fatal(o.err)
	}
	return o.path
}

func (b *binaries) folder() (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dir != "" {
		return b.dir, nil
	}
	dir, err := os.MkdirTemp("", "vippsauth-integration-")
	b.dir = dir
	return dir, err
}

// everything reports whether no test may be skipped.
func everything() bool { return os.Getenv("VIPPSAUTH_TEST_ALL") == "1" }

// need gives the path of an installed program, the first of names that is there. Without one the test is skipped, or
// fails where everything has to run.
func need(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		path, err := exec.LookPath(name)
		if errors.Is(err, exec.ErrNotFound) { // servers are in /usr/sbin, which isn't on everybody's PATH
			path, err = exec.LookPath(filepath.Join("/usr/sbin", name))
		}
		if err == nil {
			return path
		}
	}
	if everything() {
		t.Fatalf("%s is not installed: scripts/install-test-deps.sh installs it", names[0])
	}
	t.Skipf("%s is not installed: `make test` installs it and runs this test", names[0])
	return ""
}
