package session_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/session"
)

// TestSec_C035_PublishedKeysAreRefused: what stands in our documentation,
// examples and snippets for a key ends up in somebody's configuration. None of
// it may start a site.
func TestSec_C035_PublishedKeysAreRefused(t *testing.T) {
	t.Parallel()
	looked := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if name == ".git" || name == ".bin" || name == "testdata" || name == "node_modules" {
				return filepath.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(name, ".go") || strings.HasSuffix(name, ".sum") || name == "package-lock.json" { // checksums
			return nil
		}
		info, err := d.Info()
		if err != nil || !info.Mode().IsRegular() || info.Size() > 1<<20 {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		looked++
		if n := len(published(string(text))); n > 0 {
			t.Errorf("%s publishes %d keys that we take", path, n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if looked < 50 || len(published("cookie_keys: "+keyText("control")+"\n")) != 1 {
		t.Errorf("%d files were looked at, and a key that we take is found: %q", looked, published(keyText("control")))
	}
}

// published are the keys in a text that ParseKey takes.
func published(text string) (keys []string) {
	for _, match := range regexp.MustCompile(`[A-Za-z0-9+/_-]{43}=`).FindAllString(text, -1) {
		if _, err := session.ParseKey(match); err == nil {
			keys = append(keys, match)
		}
	}
	return keys
}
