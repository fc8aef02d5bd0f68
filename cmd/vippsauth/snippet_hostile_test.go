package main

import (
	"bytes"
	"strings"
	"testing"
)

// Settings that would say something else in a proxy's configuration are refused, and their values aren't shown.
func TestSnippetRefusesHostileSettings(t *testing.T) {
	t.Parallel()
	for _, s := range snippets() {
		for _, hostile := range []string{"a;b", "a\nb", "a\tb", "a{b}", `a"b`, "a$b", "a%b", "a}}b", "fe80::1%eth0;x"} {
			listen := hostile + ":4190"
			if strings.Contains(hostile, "::") {
				listen = "[" + hostile + "]:4190"
			}
			for _, flags := range [][]string{
				{"--listen=" + listen},
				{"--app=" + listen},
				{"--service-host=" + hostile},
				{"--public-url=https://" + hostile},
				{"--headers=X-" + hostile + "=sub"},
				{"--authz-listen=" + listen},
				{"--fcgi-listen=" + listen},
				{"--grpc-listen=" + listen},
				{"--policy=" + hostile},
			} {
				var stdout, stderr bytes.Buffer
				args := append([]string{"snippet", s.name}, exampleSettings(s.name)...)
				run(t.Context(), append(args, flags...), nil, &stdout, &stderr)
				if strings.Contains(stdout.String(), hostile) || strings.Contains(stderr.String(), "\n"+strings.TrimPrefix(hostile, "a\n")+"\n") {
					t.Errorf("%s %q: %s", s.name, flags, &stderr)
				}
			}
		}
	}
}

// Two headers that Apache would have one variable for are refused.
func TestSnippetApacheVariables(t *testing.T) {
	t.Parallel()
	for _, headers := range []string{"default,Sub=phone_number", "default,Remote-User=sub,X-Vipps-Remote-User=phone_number", "default,Policy=phone_number"} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), append(append([]string{"snippet", "apache"}, exampleSettings("apache")...), "--headers="+headers), nil, &stdout, &stderr)
		if code == exitOK || stdout.Len() > 0 || !strings.Contains(stderr.String(), "in Apache") {
			t.Errorf("%s: %d %s", headers, code, &stderr)
		}
	}
}

// Envoy takes a client's headers out by the names of the operator's own headers too, in every spelling.
func TestSnippetEnvoySpellings(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), append(append([]string{"snippet", "envoy"}, exampleSettings("envoy")...), "--headers=default,Remote-User=sub"), nil, &stdout, &stderr)
	if want := `regex: "remote[^a-z0-9]user"`; code != exitOK || !strings.Contains(stdout.String(), want) {
		t.Errorf("%d: no %s: %s", code, want, &stderr)
	}
}
