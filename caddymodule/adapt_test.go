package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/google/go-cmp/cmp"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/vippsauth/vippsauth/caddymodule"
)

var update = flag.Bool("update", false, "write what adapting gives to the golden files")

const separator = "----------"

// adapt turns a Caddyfile into JSON, or returns the error's text.
func adapt(t testing.TB, body string) (config []byte, failure string) {
	t.Helper()
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(body), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return nil, err.Error()
	}
	return config, ""
}

// Each file holds a Caddyfile and, below the line of dashes, the JSON or the error that it adapts to.
func TestAdapt(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/adapt/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			body, want, found := strings.Cut(string(data), separator+"\n")
			if !found && !*update {
				t.Fatal("there is no line of dashes")
			}
			config, got := adapt(t, body)
			if config != nil {
				var indented bytes.Buffer
				if err := json.Indent(&indented, config, "", "\t"); err != nil {
					t.Fatal(err)
				}
				got = indented.String()
			}
			if *update {
				if err := os.WriteFile(file, []byte(body+separator+"\n"+got+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(strings.TrimSpace(want), strings.TrimSpace(got)); diff != "" {
				t.Errorf("adapting gives something else (-want +got):\n%s", diff)
			}
		})
	}
}
