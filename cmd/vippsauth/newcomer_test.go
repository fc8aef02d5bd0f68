package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/outbox"
)

// The help of a command that asks Vipps one thing lists what it uses, and not how the service listens. It takes all settings all the
// same, as a file that serve reads has them.
func TestHelpListsWhatIsUsed(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]string{"merchant-login": "--emulator-listen", "user-exists": "--market", "webhooks register": "--webhook-url"} {
		var out bytes.Buffer
		if code := run(t.Context(), append(strings.Fields(command), "--help"), nil, &out, &out); code != exitOK {
			t.Fatalf("%s --help: exit code %d", command, code)
		}
		for _, part := range []string{want, "--environment", "client_secret  "} {
			if !strings.Contains(out.String(), part) {
				t.Errorf("%s --help lacks %s", command, part)
			}
		}
		for _, part := range []string{"--session-ttl", "--login-limit", "cookie_keys", "consent_revoked_secret", "\nSessions:"} {
			if strings.Contains(out.String(), part) {
				t.Errorf("%s --help shows %s, which it doesn't use", command, part)
			}
		}
	}
	var out bytes.Buffer
	if code := run(t.Context(), []string{"user-exists", "--session-ttl=8h", "--environment=emulator"}, nil, &out, &out); code != exitError || !strings.Contains(out.String(), "--phone: ") {
		t.Errorf("a setting of serve: %d %s", code, out.String())
	}
}

// What goes wrong in the first hour is told with its cure.
func TestFirstHour(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	there := filepath.Join(dir, "webhook.secret")
	if err := os.WriteFile(there, []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	nobody := "127.0.0.1:1" // tcpmux: nothing listens there
	for name, tt := range map[string]struct {
		args []string
		env  string
		want string
	}{
		"no emulator":         {[]string{"merchant-login", "--phone=4790000001", "--environment=emulator", "--emulator-listen=" + nobody}, "", "likely cause: Nothing listens at this address"},
		"no emulator, asking": {[]string{"user-exists", "--phone=4790000001", "--environment=emulator", "--emulator-listen=" + nobody}, "", "likely cause: Nothing listens at this address"},
		"no secret yet":       {[]string{"check", "--environment=emulator"}, "VIPPSAUTH_WEBHOOK_SECRETS_FILE=" + dir + "/none", "vippsauth webhooks register --secret-file makes one"},
		"no event secret yet": {[]string{"check", "--environment=emulator"}, "VIPPSAUTH_CONSENT_SECRET_FILE=" + dir + "/none", "vippsauth keygen --events makes one"},
		"a folder in place":   {[]string{"check", "--environment=emulator"}, "VIPPSAUTH_CONSENT_SECRET_FILE=" + dir, "is a directory; name a readable file that holds the value alone\n"},
		"events kept nowhere": {[]string{"check", "--environment=emulator", "--public-url=http://localhost:4190", "--upstream=http://127.0.0.1:8080", "--scopes=openid delegatedConsents", "--consent-url=http://127.0.0.1:8080/x"}, "VIPPSAUTH_CONSENT_SECRET=" + outbox.NewSecret().Reveal(), "consent_dir: is required"},
		"registered before":   {[]string{"webhooks", "register", "--environment=emulator", "--url=http://localhost:1/x", "--secret-file=" + there}, "VIPPSAUTH_SUBSCRIPTION_KEY=any", "there is one already; name another, or remove it"},
	} {
		var out bytes.Buffer
		var env []string
		if tt.env != "" {
			env = []string{tt.env}
		}
		if code := run(t.Context(), tt.args, env, &out, &out); code == exitOK || !strings.Contains(out.String(), tt.want) {
			t.Errorf("%s: exit code %d, want %q:\n%s", name, code, tt.want, out.String())
		}
	}
}

// Whoever prints a configuration for settings with a policy must not believe that the proxy asks for it: in the one for nginx the line that
// does is commented out, in others there is none.
func TestSnippetSaysThatNothingAsksForAPolicy(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "vippsauth.yaml")
	text := "public_url: http://localhost:8000\ntrusted_proxies: loopback\nlisten: 127.0.0.1:4190\npolicies:\n  confirmed:\n    acr_values: urn:vipps:acr:app_auth\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, proxy := range []string{"nginx", "haproxy", "envoy", "caddy-forward-auth"} {
		for flag, want := range map[string]string{"": "policies: nothing asks for confirmed", "--policy=confirmed": ""} {
			var stdout, stderr bytes.Buffer
			args := []string{"snippet", proxy, "--config", file}
			if flag != "" {
				args = append(args, flag)
			}
			if code := run(t.Context(), args, nil, &stdout, &stderr); code != exitOK || !strings.Contains(stderr.String(), want) || want == "" && stderr.Len() > 0 {
				t.Errorf("%s %s: exit code %d: %s", proxy, flag, code, &stderr)
			}
		}
	}
}
