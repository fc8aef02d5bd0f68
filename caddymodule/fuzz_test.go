package caddymodule_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/vippsauth/vippsauth/caddymodule"
)

// Attack: a block of a Caddyfile that makes the parser panic. Every block is a handler or an error.
func FuzzSec_B039_UnmarshalCaddyfile(f *testing.F) {
	f.Add("vipps_auth")
	f.Add("vipps_auth {")
	f.Add("vipps_auth }")
	f.Add("vipps_auth {\n}\n}")
	f.Add("vipps_auth {\n\tscopes {\n\t}\n}")
	f.Add("vipps_auth {\n\tsession_ttl 99999999999999999999h\n}")
	f.Add("vipps_auth {\n\tclient_id \"\n\"\n\tcontact <<END\nx\nEND\n}")
	f.Add("vipps_auth {\n\t" + strings.Repeat("x", 1<<20) + "\n}")
	f.Add("vipps_auth {\n\theaders default \"A=b;c\" {\n\t\tx {\n}\n}")
	f.Fuzz(func(t *testing.T, text string) {
		tokens, err := caddyfile.Tokenize([]byte(text), "Caddyfile")
		if err != nil {
			return
		}
		var h caddymodule.Handler
		err = h.UnmarshalCaddyfile(caddyfile.NewDispenser(tokens))
		if err != nil && len(tokens) > 0 && !strings.Contains(err.Error(), "Caddyfile:") {
			t.Errorf("the error names no line: %v", err)
		}
	})
}

// The whole of adapting, checks of values included.
func FuzzAdapt(f *testing.F) {
	files, err := filepath.Glob("testdata/adapt/*.caddyfiletest")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		body, _, _ := strings.Cut(string(data), separator+"\n")
		if start := strings.Index(body, "vipps_auth"); start >= 0 {
			f.Add("example.com", body[start:])
		}
	}
	f.Add("https://[::1", "vipps_auth {\n}")
	f.Add("xn--, a..b", "vipps_auth {\n environment test\n}")
	f.Fuzz(func(t *testing.T, address, block string) {
		if strings.Contains(block, "import") || strings.Contains(address, "import") {
			return // reads files
		}
		adapt(t, address+" {\n"+block+"\n}\n")
	})
}
