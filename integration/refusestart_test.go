package integration_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Attack, or an accident: a file that protects the site can't be used, and whoever loads it takes that for "nothing to
// check". The service doesn't start, says which setting it is, and opens no port; nor does the Caddy module load.
func TestSec_B025_BadFilesStopTheStart(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	service, caddyServer := vippsauthProgram(t), caddyProgram(t)
	dir := t.TempDir()
	file := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil { // whatever the umask
			t.Fatal(err)
		}
		return path
	}
	const weak = "c2hvcnQga2V5"
	keys := cookieKey(t)
	good, members := file("good", keys+"\n", 0o600), file("members", "4790000001\n", 0o600)
	for name, tt := range map[string]struct{ setting, keys, allow string }{
		"keys: empty":              {"cookie_keys_file", file("k1", "", 0o600), members},
		"keys: nothing but blanks": {"cookie_keys_file", file("k2", "\n \n", 0o600), members},
		"keys: short":              {"cookie_keys_file", file("k3", weak+"\n", 0o600), members},
		"keys: no base64":          {"cookie_keys_file", file("k4", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 0o600), members},
		"keys: binary":             {"cookie_keys_file", file("k5", "\x00\x01\x02", 0o600), members},
		"keys: one of two short":   {"cookie_keys_file", file("k6", keys+"\n"+weak+"\n", 0o600), members},
		"keys: a directory":        {"cookie_keys_file", dir, members},
		"keys: for everybody":      {"cookie_keys_file", file("k7", keys+"\n", 0o644), members},
		"allow: not there":         {"allow", good, filepath.Join(dir, "none")},
		"allow: empty":             {"allow", good, file("a1", "", 0o600)},
		"allow: only remarks":      {"allow", good, file("a2", "# nobody yet\n\n", 0o600)},
		"allow: garbage":           {"allow", good, file("a3", "\x00\x00", 0o600)},
		"allow: a directory":       {"allow", good, dir},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, service, "serve", "--public-url="+f.origin, "--listen="+freeAddr(t), "--ops-listen="+freeAddr(t), "--issuer="+f.vipps.Issuer,
				"--client-id="+clientID, "--cookie-keys-file="+tt.keys, "--allow=@"+tt.allow, "--trusted-proxies=loopback")
			cmd.Env = append(os.Environ(), "VIPPSAUTH_CLIENT_SECRET="+clientSecret)
			out, err := cmd.CombinedOutput()
			if err == nil || ctx.Err() != nil {
				t.Errorf("the service starts: %v\n%s", err, out)
			}
			if !strings.Contains(string(out), tt.setting) || strings.Contains(string(out), keys) || strings.Contains(string(out), weak) || strings.Contains(string(out), "listening") {
				t.Errorf("it says: %s", out)
			}
			caddy := caddyfile(t, "\tadmin off\n", f.origin+" {\n\tvipps_auth {\n\t\tissuer "+f.vipps.Issuer+"\n\t\tclient_id "+clientID+
				"\n\t\tclient_secret x\n\t\tcookie_keys_file "+tt.keys+"\n\t\tallow @"+tt.allow+"\n\t}\n}\n")
			cmd = exec.CommandContext(ctx, caddyServer, "validate", "--adapter", "caddyfile", "--config", write(t, "Caddyfile", caddy))
			out, err = cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), tt.setting) || strings.Contains(string(out), keys) || strings.Contains(string(out), weak) {
				t.Errorf("Caddy says: %v\n%s", err, out)
			}
		})
	}
}
