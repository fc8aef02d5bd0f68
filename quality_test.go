package vippsauth_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// source is one Go file of the module, without that of tools, which no program holds.
type source struct {
	path, text string
	file       *ast.File
}

// sources are the module's Go files: those of its programs, or those of its tests.
func sources(t *testing.T, tests bool) (fset *token.FileSet, all []source) {
	t.Helper()
	fset = token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (path == "tools" || strings.HasPrefix(path, ".") && path != ".") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") != tests {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(fset, path, text, parser.SkipObjectResolution)
		all = append(all, source{filepath.ToSlash(path), string(text), file})
		return err
	})
	if err != nil || len(all) < 50 {
		t.Fatalf("%d sources: %v", len(all), err)
	}
	return fset, all
}

// Every package that starts something has a TestMain that looks for what its tests leave running, and the tests run with
// the race detector and in random order.
func TestSec_D50_TestsLookForRacesAndLeaks(t *testing.T) {
	t.Parallel()
	_, programs := sources(t, false)
	_, tests := sources(t, true)
	starts, looks := map[string]bool{}, map[string]bool{}
	for _, s := range programs {
		ast.Inspect(s.file, func(n ast.Node) bool {
			if _, ok := n.(*ast.GoStmt); ok || strings.Contains(s.text, ".Go(func()") {
				starts[filepath.ToSlash(filepath.Dir(s.path))] = true
			}
			return true
		})
	}
	for _, s := range tests {
		if strings.Contains(s.text, "goleak.") {
			looks[filepath.ToSlash(filepath.Dir(s.path))] = true
		}
	}
	if len(starts) < 4 {
		t.Fatalf("only %v start anything", starts)
	}
	for dir := range starts {
		if !looks[dir] && !strings.HasPrefix(dir, "integration") {
			t.Errorf("%s starts goroutines, and no TestMain looks for those that are left", dir)
		}
	}
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)test -json .*-race .*-shuffle=on .*\./\.\.\.`).Match(makefile) {
		t.Error("make test runs without -race or -shuffle=on")
	}
}

// Every reader of what comes from outside has a fuzz target, and each target has seeds, which every run of the tests
// replays.
func TestSec_D51_EveryParserIsFuzzed(t *testing.T) {
	t.Parallel()
	_, tests := sources(t, true)
	targets := map[string]bool{}
	for _, s := range tests {
		for _, d := range s.file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || !strings.HasPrefix(fn.Name.Name, "Fuzz") {
				continue
			}
			targets[filepath.ToSlash(filepath.Dir(s.path))+" "+fn.Name.Name] = true
			body := s.text[fn.Pos()-s.file.FileStart : fn.End()-s.file.FileStart]
			if _, err := os.Stat(filepath.Join(filepath.Dir(s.path), "testdata/fuzz", fn.Name.Name)); err != nil && !regexp.MustCompile(`\.Add\(|[sS]eed`).MatchString(body) {
				t.Errorf("%s: %s has no seeds", s.path, fn.Name.Name)
			}
		}
	}
	for _, parser := range []string{
		"forwardauth .*ReturnTo", "forwardauth .*FromForwardAuth", "forwardauth .*FromAuthRequest", "forwardauth .*FromExtAuthz", "forwardauth .*FromFastCGI",
		"forwardauth .*Strip", "forwardauth .*CleanConnection", "vipps .*NormalizePhone", "vipps .*MerchantLoginRequest", "vipps .*Acknowledgement", "forwardauth .*ParsePublicURL", "forwardauth .*TrustPeer", "forwardauth .*KeptForm", "forwardauth .*ForwardedFor", "forwardauth .*RevocationFile", "forwardauth .*LandingQuery",
		"forwardauth/fcgi .*Params", "forwardauth/extauthz .*Check",
		"session .*Jar_Get", "session .*Jar_Chunks", "session .*Box_Open", "session .*Reader", "session .*StripCookies", "session .*ParseKey",
		"vipps .*Callback", "vipps .*IDTokenHeader", "vipps .*IDTokenPayload", "vipps .*JWKS", "vipps .*Userinfo", "vipps .*Metadata",
		"vipps .*AppCallback", "vipps .*QRCallback",
		"vipps .*Callback", "vipps .*IDTokenHeader", "vipps .*IDTokenPayload", "vipps .*JWKS", "vipps .*Userinfo", "vipps .*Metadata", "vipps .*WebhookAuthorization", "vipps .*ConsentRevoked",
		"vipps .*AppCallback",
		"vipps/emulator .*Backchannel", "vipps/emulator .*PhoneForm", "vipps/emulator .*WebhookRegistration", "vipps/emulator .*QRForm", "vipps/emulator .*Authorize",
		"caddymodule .*UnmarshalCaddyfile", "caddymodule .*Adapt", "cmd/vippsauth .*ConfigFile",
		"merchant .*JournalLine", "merchant .*ParseMembers",
	} {
		found := false
		for target := range targets {
			found = found || regexp.MustCompile("^"+parser+"$").MatchString(target)
		}
		if !found {
			t.Errorf("no fuzz target for %s", parser)
		}
	}
}

// What no program of ours may use: the first lines of many a peer's advisory.
func TestSec_D55_ForbiddenParts(t *testing.T) {
	t.Parallel()
	fset, programs := sources(t, false)
	forbidden := map[string]string{
		"http.DefaultClient": "has no time limits", "http.DefaultTransport": "is everybody's", "http.Get": "has no time limits", "http.Post": "has no time limits",
		"httputil.NewSingleHostReverseProxy": "has a Director", "md5.New": "is broken", "sha1.New": "is broken", "exec.Command": "starts programs", "template.HTML": "is not escaped",
		"template.JS": "is not escaped", "unsafe.Pointer": "is unsafe",
	}
	for _, s := range programs {
		if strings.HasPrefix(s.path, "integration/") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			at := func(what, why string) { t.Errorf("%s: %s %s", fset.Position(n.Pos()), what, why) }
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && forbidden[x.Name+"."+n.Sel.Name] != "" {
					at(x.Name+"."+n.Sel.Name, forbidden[x.Name+"."+n.Sel.Name])
				}
			case *ast.KeyValueExpr:
				if k, ok := n.Key.(*ast.Ident); ok && (k.Name == "Director" || k.Name == "InsecureSkipVerify") && s.path != "internal/doctor/asker.go" {
					at(k.Name, "is never set")
				}
			}
			return true
		})
	}
	lint, err := os.ReadFile(".golangci.yml")
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"- gosec", "- forbidigo", "- bodyclose", "G402", "G404"} {
		if !strings.Contains(string(lint), part) {
			t.Errorf(".golangci.yml has no %s", part)
		}
	}
	if !strings.Contains(string(makefile), "$(BIN)/govulncheck ./...") {
		t.Error("make lint doesn't ask for known vulnerabilities")
	}
}
