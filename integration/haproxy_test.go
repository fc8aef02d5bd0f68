package integration_test

import (
	"os"
	"path/filepath"
	"testing"
)

// startHAProxy runs examples/haproxy in front of a site, as a user would who has nothing but those two files: only the
// addresses and paths are this test's. Those in replace may change more.
func startHAProxy(t *testing.T, f *front, replace ...string) *process {
	t.Helper()
	haproxy := need(t, "haproxy")
	dir := t.TempDir()
	lua, cfg := filepath.Join(dir, "vippsauth.lua"), filepath.Join(dir, "haproxy.cfg")
	text := example(t, "haproxy/haproxy.cfg", append([]string{
		"/etc/haproxy/vippsauth.lua", lua, "127.0.0.1:4190", f.addr, "127.0.0.1:8080", f.app.addr(),
		"127.0.0.1:8000", "127.0.0.1:" + f.port(), "localhost:8000", "localhost:" + f.port(),
	}, replace...)...)
	for path, text := range map[string]string{lua: example(t, "haproxy/vippsauth.lua"), cfg: text} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := start(t, haproxy, command{name: "haproxy", args: []string{"-db", "-f", cfg}})
	p.answers(f.origin + "/_vipps/authz/")
	f.checkLog(p) // E-20
	return p
}

func TestHAProxy(t *testing.T) {
	t.Parallel()
	need(t, "haproxy")
	f := newFront(t)
	f.serve("--trusted-proxies=loopback")
	startHAProxy(t, f)
	conforms(t, f, differs{})
}
