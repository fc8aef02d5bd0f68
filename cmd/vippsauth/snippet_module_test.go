package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Whatever the Caddy module has comes into its snippet, or logins there differ from those that the settings describe.
func TestSnippetHasAllOfTheModule(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile(filepath.Join("..", "..", "caddymodule", "config.go"))
	if err != nil {
		t.Fatal(err)
	}
	apart := []string{"client_id", "client_secret", "subscription_key", "cookie_keys", "public_url", "store"}
	found := 0
	for _, m := range regexp.MustCompile(`\{name: "([a-z_]+)"`).FindAllStringSubmatch(string(source), -1) {
		found++
		if !slices.Contains(moduleKeys(), m[1]) && !slices.Contains(apart, m[1]) {
			t.Errorf("%s isn't printed", m[1])
		}
	}
	if found < len(moduleKeys()) {
		t.Errorf("%d settings of the module were found", found)
	}
}

// What it hasn't is said, and what is secret comes from Caddy's environment.
func TestSnippetOfTheModule(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{
		"snippet", "caddy", "--environment=test", "--public-url=https://a.example", "--client-auth=partner", "--msn=123456",
		"--app-flow=app-to-app", "--app-callback-uri=shop://back", "--final-redirect-is-app=on", "--qr=on", "--merchant-callers=x=certificate:y",
	}, []string{"VIPPSAUTH_SUBSCRIPTION_KEY=" + secretMarker}, &stdout, &stderr)
	for _, want := range []string{"client_auth partner", "msn 123456", "subscription_key {env.VIPPSAUTH_SUBSCRIPTION_KEY}", "app_flow app-to-app", "app_callback_uri shop://back", "final_redirect_is_app on"} {
		if !strings.Contains(stdout.String(), "\t"+want+"\n") {
			t.Errorf("lacks %q", want)
		}
	}
	for _, want := range []string{"--qr: qr: the Caddy module has none; run vippsauth serve beside Caddy for it", "--merchant-callers: merchant_callers: the Caddy module has none"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("isn't said: %q", want)
		}
	}
	if code != exitOK || strings.Contains(stdout.String(), "merchant_") || strings.Contains(stdout.String(), secretMarker) || t.Failed() {
		t.Errorf("exit code %d\n%s%s", code, stdout.String(), stderr.String())
	}
}

// A site with partner keys of its own gets them from a variable of its own.
func TestSnippetOfTheModule_OwnKeys(t *testing.T) {
	t.Parallel()
	file := write(t, "c.yaml", "environment: test\npublic_url: https://a.example\nallow: anyone\nsites:\n  https://b.example:\n"+
		"    client_id: b\n    client_secret: "+secretMarker+"\n    client_auth: partner\n    msn: '123456'\n    subscription_key: "+secretMarker+"\n")
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"snippet", "caddy", "--config", file}, nil, &stdout, &stderr)
	if strings.Count(stdout.String(), "subscription_key {env.VIPPSAUTH_SUBSCRIPTION_KEY_2}") != 1 || strings.Contains(stdout.String(), secretMarker) || code != exitOK {
		t.Errorf("exit code %d\n%s%s", code, stdout.String(), stderr.String())
	}
}
