package vippsauth_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// page gives a page of the repository.
func page(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// tableRow finds the row of a table whose first cell has a word in code.
func tableRow(text, word string) (cells []string) {
	for line := range strings.SplitSeq(text, "\n") {
		if first, rest, ok := strings.Cut(strings.TrimPrefix(line, "| "), " | "); ok && strings.HasPrefix(line, "| ") && strings.Contains(first, "`"+word+"`") {
			return strings.Split(strings.TrimSuffix(rest, " |"), " | ")
		}
	}
	return nil
}

// Every cookie has its name, purpose and lifetime in the page for the data protection officer.
func TestSec_E034_CookiesAreDocumented(t *testing.T) {
	t.Parallel()
	text := page(t, "docs/privacy.md")
	for _, name := range []string{"__Host-vippsauth", "__Host-vippsauth-login-<id>", "__Host-vippsauth-hint", "__Secure-vippsauth", "__Secure-vippsauth-hint"} {
		if row := tableRow(text, name); len(row) != 2 || len(row[0]) < 10 || len(row[1]) < 5 {
			t.Errorf("%s has no purpose and lifetime: %q", name, row)
		}
		if name != "__Secure-vippsauth-hint" && tableRow(page(t, "README.md"), name) == nil {
			t.Errorf("README lacks %s", name)
		}
	}
	// Nothing else sets one: whatever writes Set-Cookie is looked at here.
	var writers []string
	eachSource(t, func(path, source string) {
		if strings.Contains(source, `"Set-Cookie"`) || strings.Contains(source, "http.SetCookie(") {
			writers = append(writers, path)
		}
	})
	known := "forwardauth/ session/ vipps/emulator/ cmd/vippsauth/ internal/doctor/ caddymodule/"
	for _, path := range writers {
		if !strings.Contains(known, filepath.Dir(path)+"/") {
			t.Errorf("%s sets a cookie", path)
		}
	}
}

// Attack: a new log line tells of a person. Each field of a log line is in the page for the data protection officer, with what it holds;
// a field that isn't has to be thought of first. None is there for a person.
func TestSec_E023_LogFieldsAreDocumented(t *testing.T) {
	t.Parallel()
	text := page(t, "docs/privacy.md")
	field := regexp.MustCompile(`zap\.[A-Z]\w*\("([a-zA-Z_]+)"`)
	personal := regexp.MustCompile(`^(sub|user|name|phone|email|mail|nin|birthdate|address|person|ip|claim|rd|uri|url|query|token|session|state|nonce)`)
	n := 0
	eachSource(t, func(path, source string) {
		for _, m := range field.FindAllStringSubmatch(source, -1) {
			n++
			if tableRow(text, m[1]) == nil {
				t.Errorf("%s: the log field %s isn't in docs/privacy.md", path, m[1])
			}
			if personal.MatchString(m[1]) && m[1] != "claims" && m[1] != "session_cookie_bytes" {
				t.Errorf("%s: the log field %s sounds like a person's", path, m[1])
			}
		}
	})
	if n < 40 {
		t.Errorf("only %d fields", n)
	}
}

// eachSource gives the Go files that are no tests, of what is released.
func eachSource(t *testing.T, each func(path, source string)) {
	t.Helper()
	for _, root := range []string{"vipps", "session", "forwardauth", "caddymodule", "merchant", "cmd", "internal"} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
				each(path, page(t, path))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// README leads to the page.
func TestPrivacyPageIsLinked(t *testing.T) {
	t.Parallel()
	if !strings.Contains(page(t, "README.md"), "(docs/privacy.md)") {
		t.Error("README doesn't link docs/privacy.md")
	}
}
