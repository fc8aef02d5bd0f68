package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// readme is README.md, in which the settings table stands between two markers.
var readme = filepath.Join("..", "..", "README.md")

func TestREADMESettings(t *testing.T) {
	t.Parallel()
	const begin, end = "<!-- settings:begin -->\n", "<!-- settings:end -->"
	content, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(content), begin)
	old, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("README.md lacks the markers %q and %q", begin, end)
	}
	var table bytes.Buffer
	settingsMarkdown(&table)
	want := "\n" + table.String() + "\n"
	if *update && old != want {
		if err := os.WriteFile(readme, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, old); diff != "" {
		t.Errorf("README.md's settings differ from the table in settings.go; run: go test ./cmd/vippsauth -run TestREADMESettings -update\n%s", diff)
	}
}

func TestSettingsTable(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, s := range settingsTable() {
		if seen[s.key] || s.key != strings.ToLower(s.key) || strings.Contains(s.key, "-") {
			t.Errorf("%s: keys are unique, lower case, with underscores", s.key)
		}
		seen[s.key] = true
		if s.group == "" || s.doc == "" || s.values == "" || s.def == "" && s.note == "" || s.set == nil {
			t.Errorf("%s: something is missing in its row", s.key)
		}
		if strings.HasSuffix(s.doc, ".") {
			t.Errorf("%s: the doc ends with a full stop", s.key)
		}
		if s.secret && !strings.Contains(howToSet(s.key), "_FILE") || !s.secret && !strings.Contains(howToSet(s.key), "--"+s.flagName()) {
			t.Errorf("%s: %q", s.key, howToSet(s.key))
		}
	}
	newConfig() // panics when a default doesn't fit
}

func TestCheckAddress(t *testing.T) {
	t.Parallel()
	for addr, good := range map[string]bool{
		"127.0.0.1:4190": true, ":4190": true, "[::1]:0": true, "localhost:65535": true, "unix//run/a.sock": true,
		"": false, "4190": false, "127.0.0.1": false, "127.0.0.1:": false, "127.0.0.1:65536": false, "127.0.0.1:http": false, "http://127.0.0.1:1": false,
		"a/b:1": false, "unix/run/a.sock": false, "unix//run/": false, "unix/": false, "u@h:1": false,
	} {
		if err := checkAddress(addr); (err == nil) != good {
			t.Errorf("%q: %v", addr, err)
		}
	}
	for addr, want := range map[string]bool{"127.0.0.1:1": true, "[::1]:1": true, "localhost:1": true, ":1": false, "0.0.0.0:1": false, "10.0.0.1:1": false, "unix//a": false, "localhost.example:1": false} {
		if isLoopbackAddress(addr) != want {
			t.Errorf("loopback %q: %t", addr, !want)
		}
	}
	for addr, want := range map[string]string{":1": "127.0.0.1:1", "0.0.0.0:1": "127.0.0.1:1", "[::]:1": "[::1]:1", "10.0.0.1:1": "10.0.0.1:1"} {
		if got := loopbackOf(addr); got != want {
			t.Errorf("%q is reached at %q, want %q", addr, got, want)
		}
	}
}

func TestClosest(t *testing.T) {
	t.Parallel()
	known := []string{"client_id", "client_auth", "listen", "ops_listen"}
	for name, want := range map[string]string{"clientid": "client_id", "client_ids": "client_id", "lisen": "listen", "opslisten": "ops_listen", "zzzzzz": "", "": ""} {
		if got := closest(name, known); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
