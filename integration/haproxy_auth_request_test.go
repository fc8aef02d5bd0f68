package integration_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// haproxy-auth-request is not at hand here: HAProxy reads the example with an action of its name and number of arguments
// (its README, "auth-intercept": backend, path, method, and the globs of headers to send, to take on success and on failure).
func TestHAProxyAuthRequestExample(t *testing.T) {
	t.Parallel()
	haproxy := need(t, "haproxy")
	dir := t.TempDir()
	lua, cfg := filepath.Join(dir, "auth-request.lua"), filepath.Join(dir, "haproxy.cfg")
	for path, text := range map[string]string{
		lua: `core.register_action("auth-intercept", { "http-req" }, function() end, 6)`,
		cfg: example(t, "haproxy/haproxy-auth-request.cfg", "/etc/haproxy/lua/auth-request.lua", lua),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.CommandContext(t.Context(), haproxy, "-c", "-f", cfg).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
