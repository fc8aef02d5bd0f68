package main

import (
	"strings"
	"testing"
)

// A limit that can't be read is a problem with its setting, wherever it comes from, and the defaults are those of the engine.
func TestLoginLimitSettings(t *testing.T) {
	t.Parallel()
	base := "environment: emulator\npublic_url: http://localhost:4190\ntrusted_proxies: loopback\n"
	for text, want := range map[string]string{
		"login_limit: 60":          "c.yaml:4: login_limit: must be a number of logins and a time",
		"login_limit_total: 0/1m":  "c.yaml:4: login_limit_total: must be a number of logins and a time",
		"login_limit: off":         "",
		"login_limit_total: 10/1h": "",
		"sites:\n  http://b.localhost:4190:\n    login_limit: off": "is the same for all",
	} {
		c, rep := load(sources{configFile: write(t, "c.yaml", base+text+"\n")})
		c.validate(rep)
		var all []string
		for _, p := range rep.problems {
			all = append(all, p.String())
		}
		got := strings.Join(all, "\n")
		if want == "" && got != "" || !strings.Contains(got, want) || len(rep.problems) > 1 {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
