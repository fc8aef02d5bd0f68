package hostile_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/internal/hostile"
)

func TestLines(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "inputs.txt")
	text := "# a comment\n#\n\n#not one\n/a\\x5cb\\x0A\n\\u2028{3*ab}{\"x\":1}\n/\\evil\\t\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := hostile.Lines(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"#not one", "/a\\b\n", "\u2028ababab{\"x\":1}", `/\evil\t`}, got); diff != "" {
		t.Error(diff)
	}
	if err := os.WriteFile(path, []byte("# nothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := hostile.Lines(path); err == nil || !strings.Contains(err.Error(), "no inputs") {
		t.Errorf("an empty file: %v", err)
	}
	if _, err := hostile.Lines(path + ".missing"); err == nil {
		t.Error("a missing file is no error")
	}
}
