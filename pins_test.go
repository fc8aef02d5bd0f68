package vippsauth_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// required returns the versions of go.mod by module: what is built, since go.mod of a tidy module lists the selected ones.
func required(t *testing.T) map[string]string {
	t.Helper()
	data, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\t(\S+) (v\S+)`).FindAllStringSubmatch(string(data), -1) {
		versions[m[1]] = m[2]
	}
	if bytes.Contains(data, []byte("\nreplace ")) {
		t.Error("go.mod replaces a module: the versions it lists are not those that are built")
	}
	return versions
}

// before reports whether version a is older than b. Both are vX.Y.Z, with or without something behind.
func before(t *testing.T, a, b string) bool {
	t.Helper()
	parse := func(v string) (n [3]int) {
		v, _, _ = strings.Cut(strings.TrimPrefix(v, "v"), "-")
		v, _, _ = strings.Cut(v, "+")
		for i, part := range strings.SplitN(v, ".", 3) {
			var err error
			if n[i], err = strconv.Atoi(part); err != nil {
				t.Fatalf("%q is no version", v)
			}
		}
		return n
	}
	x, y := parse(a), parse(b)
	for i := range x {
		if x[i] != y[i] {
			return x[i] < y[i]
		}
	}
	return false
}

// Versions below these have holes that reach us: a denial of service by a token's dots, by a JWE's p2c or a compressed
// one, signatures counted twice, or a token endpoint's answer parsed quadratically. Go's own floor has those of net/http.
func TestSec_B133_B134_B136_B139_VersionsWithoutKnownHoles(t *testing.T) {
	t.Parallel()
	versions := required(t)
	for name, least := range map[string]string{
		"github.com/go-jose/go-jose/v4":   "v4.1.4",  // CVE-2025-27144, CVE-2026-34986
		"github.com/coreos/go-oidc/v3":    "v3.21.0", // what its callers must add was read in this one
		"golang.org/x/oauth2":             "v0.27.0", // CVE-2025-22868
		"github.com/gorilla/securecookie": "v1.1.2",
		"golang.org/x/net":                "v0.38.0",
	} {
		switch version, ok := versions[name]; {
		case !ok:
			t.Errorf("%s is not required any more: take it out of this test", name)
		case before(t, version, least):
			t.Errorf("%s is %s, and must be at least %s", name, version, least)
		}
	}
	data, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^go (\S+)$`).FindSubmatch(data)
	if m == nil || before(t, "v"+string(m[1]), "v1.26.6") {
		t.Errorf("Go %q is older than 1.26.6", m)
	}
}

// The libraries in whose hands a token would be judged by other rules than ours (CVE-2020-26160, CVE-2024-51744,
// CVE-2025-30204): neither the packages of the login nor the programs use them.
func TestSec_B135_OneJWTLibrary(t *testing.T) {
	t.Parallel()
	g := loadImports(t)
	for _, pkg := range []string{"vipps", "forwardauth", "forwardauth/extauthz", "session", "cmd/vippsauth"} {
		chain := g.chain(module+"/"+pkg, func(p string) bool {
			return anyWithin(p, []string{
				"github.com/golang-jwt/jwt", "github.com/dgrijalva/jwt-go", "github.com/lestrrat-go/jwx",
				"github.com/go-jose/go-jose/v3", "gopkg.in/square/go-jose.v2", "gopkg.in/go-jose/go-jose.v2",
			})
		})
		if chain != nil {
			t.Errorf("%s judges tokens with another library: %s", pkg, strings.Join(chain, " > "))
		}
	}
	if v, ok := required(t)["github.com/golang-jwt/jwt/v5"]; ok && before(t, v, "v5.2.2") {
		t.Errorf("golang-jwt is %s", v)
	}
}

// Nothing of ours decrypts what it is sent, which is where a token can make us work (B-133), or parses a token without
// naming the algorithms that it may have.
func TestSec_B133_NothingIsDecryptedAndAlgorithmsAreNamed(t *testing.T) {
	t.Parallel()
	banned := regexp.MustCompile(`\bParseEncrypted|\.Decrypt(Multi)?\(|jose\.ParseJWS|jose\.ParseJWE|UnsafePayloadWithoutVerification|UnsafeClaimsWithoutVerification|InsecureSkipSignatureCheck|InsecureSkipVerify\s*:\s*true|jose\.HS(256|384|512)\b`)
	parse := regexp.MustCompile(`jose\.ParseSigned\w*\(([^,()]*),?([^)]*)`)
	parses := 0
	for _, dir := range []string{"vipps", "forwardauth", "session", "cmd", "caddymodule", "internal"} {
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "vipps/emulator") {
				return err
			}
			data, err := os.ReadFile(path)
			for _, found := range banned.FindAll(data, -1) {
				t.Errorf("%s: %s", path, found)
			}
			for _, call := range parse.FindAllSubmatch(data, -1) {
				parses++
				if strings.TrimSpace(string(call[2])) == "" {
					t.Errorf("%s: %s without algorithms", path, call[0])
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if parses == 0 {
		t.Error("no token is parsed anywhere: this test looks in the wrong place")
	}
}
