package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// exampleSettings are those that the files of examples/ are printed for: a site on this machine, and every identity
// header that comes by itself with any scope or that is worth listing.
func exampleSettings(proxy string) []string {
	if proxy == "caddy" {
		return []string{
			"--environment=production", "--public-url=https://example.com", "--scopes=openid name phoneNumber", "--allow=@/etc/caddy/members.txt",
			"--app=legacy:8080",
		}
	}
	settings := []string{
		"--environment=emulator", "--public-url=http://localhost:8000", "--trusted-proxies=loopback",
		"--scopes=openid name email phoneNumber birthDate address nin delegatedConsents",
		"--headers=default,X-Vipps-Birthdate=birthdate,X-Vipps-Address=address,X-Vipps-Nin=nin",
	}
	if proxy == "traefik" { // it alone needs a listener of its own
		settings = append(settings, "--authz-listen=127.0.0.1:4193")
	}
	if proxy == "apache" {
		settings = append(settings, "--fcgi-listen=127.0.0.1:4195")
	}
	if proxy == "ingress-nginx" {
		return []string{
			"--public-url=https://app.example.com", "--app=application:8080", "--service-host=vippsauth", "--listen=:4190", "--authz-listen=:4193", "--trusted-proxies=private",
			"--scopes=openid name email phoneNumber birthDate address nin delegatedConsents", "--headers=default,X-Vipps-Birthdate=birthdate,X-Vipps-Address=address,X-Vipps-Nin=nin",
		}
	}
	if proxy == "gateway-api" {
		return []string{
			"--public-url=https://app.example.com", "--app=application:8080", "--service-host=vippsauth", "--listen=:4190", "--grpc-listen=:4194", "--trusted-proxies=private",
			"--scopes=openid name email phoneNumber birthDate address nin delegatedConsents", "--headers=default,X-Vipps-Birthdate=birthdate,X-Vipps-Address=address,X-Vipps-Nin=nin",
		}
	}
	return settings
}

// The files of examples/ are what the command prints.
func TestSnippetsAreTheExamples(t *testing.T) {
	t.Parallel()
	for _, s := range snippets() {
		if s.example == "" {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"snippet", s.name}, exampleSettings(s.name)...)
			var stdout, stderr bytes.Buffer
			if code := run(t.Context(), args, nil, &stdout, &stderr); code != exitOK || stderr.Len() > 0 {
				t.Fatalf("exit code %d: %s", code, &stderr)
			}
			path := filepath.Join("../../examples", s.example)
			if *update {
				if err := os.WriteFile(path, stdout.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			file, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(file), stdout.String()); diff != "" {
				t.Errorf("examples/%s isn't what the command prints; run: go test ./cmd/vippsauth -run TestSnippetsAreTheExamples -update\n%s", s.example, diff)
			}
		})
	}
}

// Each template is used, and each names a file of examples/.
func TestSnippetTable(t *testing.T) {
	t.Parallel()
	files, err := snippetFiles.ReadDir("snippets")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, s := range snippets() {
		used[s.file] = true
		if _, err := os.Stat(filepath.Join("../../examples", s.example)); s.example == "" || err != nil {
			t.Errorf("%s has no example: %v", s.name, err)
		}
		if len(s.doc) > 60 {
			t.Errorf("the line of %s is too long", s.name)
		}
	}
	for _, f := range files {
		if !used[f.Name()] {
			t.Errorf("nothing prints snippets/%s", f.Name())
		}
	}
}

// What can't be quoted is an error that doesn't show it; the rest means itself.
func TestSnippetQuoting(t *testing.T) {
	t.Parallel()
	quotes := map[string]func(string) (string, error){
		"nginx": quoteNginx, "caddy": quoteCaddy, "yaml": quoteYAML, "traefik": quoteTraefik, "haproxy": quoteHAProxy, "apache": quoteApache,
	}
	const refused = "refused"
	for _, tt := range []struct {
		value string
		want  map[string]string
	}{
		{"plain", map[string]string{"nginx": `"plain"`, "caddy": `plain`, "yaml": `"plain"`, "traefik": `"plain"`, "haproxy": `"plain"`, "apache": `"plain"`}},
		{"", map[string]string{"nginx": `""`, "caddy": `""`, "yaml": `""`, "traefik": `""`, "haproxy": `""`, "apache": `""`}},
		{`Kari's "Båt" \o/`, map[string]string{
			"nginx": `"Kari's \"Båt\" \\o/"`, "caddy": "`Kari's \"Båt\" \\o/`", "yaml": `"Kari's \"Båt\" \\o/"`, "traefik": `"Kari's \"Båt\" \\o/"`,
			"haproxy": `"Kari's \"Båt\" \\o/"`, "apache": `"Kari's \"Båt\" \\o/"`,
		}},
		{"a # b", map[string]string{"nginx": `"a # b"`, "caddy": `"a # b"`, "yaml": `"a # b"`, "traefik": `"a # b"`, "haproxy": `"a # b"`, "apache": `"a # b"`}},
		{"$host", map[string]string{"nginx": refused, "caddy": `$host`, "yaml": `"$host"`, "traefik": `"$host"`, "haproxy": `"\$host"`, "apache": `"$host"`}},
		{"${PATH}", map[string]string{"nginx": refused, "caddy": refused, "yaml": `"${PATH}"`, "traefik": `"${PATH}"`, "haproxy": `"\${PATH}"`, "apache": refused}},
		{"{$PATH}", map[string]string{"nginx": refused, "caddy": refused, "yaml": `"{$PATH}"`, "traefik": `"{$PATH}"`, "haproxy": `"{\$PATH}"`, "apache": `"{$PATH}"`}},
		{`{{env "PATH"}}`, map[string]string{
			"nginx": `"{{env \"PATH\"}}"`, "caddy": refused, "yaml": `"{{env \"PATH\"}}"`, "traefik": refused, "haproxy": `"{{env \"PATH\"}}"`, "apache": `"{{env \"PATH\"}}"`,
		}},
		{"100%[src]", map[string]string{"nginx": `"100%[src]"`, "caddy": `100%[src]`, "yaml": `"100%[src]"`, "traefik": `"100%[src]"`, "haproxy": refused, "apache": refused}},
		{"`\"", map[string]string{"nginx": "\"`\\\"\"", "caddy": refused, "yaml": "\"`\\\"\"", "traefik": "\"`\\\"\"", "haproxy": "\"`\\\"\"", "apache": "\"`\\\"\""}},
		{"two\nlines", map[string]string{"nginx": refused, "caddy": refused, "yaml": refused, "traefik": refused, "haproxy": refused, "apache": refused}},
		{"nul\x00", map[string]string{"nginx": refused, "caddy": refused, "yaml": refused, "traefik": refused, "haproxy": refused, "apache": refused}},
	} {
		for name, quote := range quotes {
			got, err := quote(tt.value)
			if err != nil {
				if len(tt.value) > 2 && strings.Contains(err.Error(), tt.value) {
					t.Errorf("%s: the error shows the value: %v", name, err)
				}
				got = refused
			}
			if want := tt.want[name]; got != want {
				t.Errorf("%s of %q: %s, want %s", name, tt.value, got, want)
			}
		}
	}
}
