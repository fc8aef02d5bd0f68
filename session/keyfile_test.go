package session_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/vippsauth/vippsauth/session"
)

// writeKeys writes a file with exactly that mode, whatever the umask is.
func writeKeys(t *testing.T, content string, mode fs.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadKeysFile(t *testing.T) {
	t.Parallel()
	content := "\uFEFF# comment\r\n\r\n  " + keyText("new") + "  # from spring on\r\n" + keyText("old")
	keys, err := session.ReadKeysFile(writeKeys(t, content, 0o640))
	if err != nil {
		t.Fatal(err)
	}
	want := testKeys(t, "new", "old")
	if len(keys) != 2 || !keys[0].Equal(want[0]) || !keys[1].Equal(want[1]) {
		t.Error("other keys, or in another order")
	}
}

func TestReadKeysFile_Errors(t *testing.T) {
	t.Parallel()
	key := keyText("a")
	tests := []struct{ name, content, want string }{
		{"empty", "", "holds no key"},
		{"comments only", "# nothing\n\n", "holds no key"},
		{"weak", "# one\n" + key + "\nAAAA\n", "keys line 3: holds 3 bytes"},
		{"twice", key + "\n\n" + key, "keys line 3 is the same as "},
		{"two on a line", key + " " + keyText("b"), "keys line 1: is not base64"},
		{"too big", strings.Repeat("# padding\n", 8<<10) + key, "above 65536 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := session.ReadKeysFile(writeKeys(t, tt.content, 0o600))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got error %v, want one with %q", err, tt.want)
			}
			if strings.Contains(err.Error(), key) {
				t.Errorf("the error holds a key: %v", err)
			}
		})
	}
	if _, err := session.ReadKeysFile(t.TempDir()); err == nil {
		t.Error("a directory was read")
	}
}

// TestSec_C035_KeysFileMode: who can read the file can make a session for
// anybody; who can write it can do so from the next start on.
func TestSec_C035_KeysFileMode(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such modes")
	}
	tests := []struct {
		mode fs.FileMode
		want string
	}{
		{0o600, ""},
		{0o400, ""},
		{0o440, ""},
		{0o640, ""},
		{0o644, "everybody can read"},
		{0o604, "everybody can read"},
		{0o660, "its group can write"},
		{0o620, "its group can write"},
		{0o666, "everybody can write"},
		{0o602, "everybody can write"},
	}
	for _, tt := range tests {
		path := writeKeys(t, keyText("mode"), tt.mode)
		_, err := session.ReadKeysFile(path)
		if tt.want == "" {
			if err != nil {
				t.Errorf("mode %04o: %v", tt.mode, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("mode %04o: got error %v", tt.mode, err)
		}
	}
}

func TestLoadOrCreateKeysFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "keys")
	keys, created, err := session.LoadOrCreateKeysFile(path)
	if err != nil || !created || len(keys) != 1 {
		t.Fatalf("creating: %d keys, created %v, %v", len(keys), created, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	again, created, err := session.LoadOrCreateKeysFile(path)
	if err != nil || created || len(again) != 1 || !again[0].Equal(keys[0]) {
		t.Errorf("loading: created %v, %v", created, err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestLoadOrCreateKeysFile_Race(t *testing.T) {
	t.Parallel()
	for range 20 {
		path := filepath.Join(t.TempDir(), "keys")
		const n = 8
		var wg sync.WaitGroup
		var keys [n]session.Keys
		var made [n]bool
		var errs [n]error
		for i := range n {
			wg.Go(func() { keys[i], made[i], errs[i] = session.LoadOrCreateKeysFile(path) })
		}
		wg.Wait()
		creators := 0
		for i := range n {
			if errs[i] != nil {
				t.Fatal(errs[i])
			}
			if !keys[i][0].Equal(keys[0][0]) {
				t.Fatal("two racers have different keys")
			}
			if made[i] {
				creators++
			}
		}
		if creators != 1 {
			t.Fatalf("%d creators", creators)
		}
	}
}

func TestLoadOrCreateKeysFile_Errors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	missing := filepath.Join(dir, "not", "there")
	dangling := filepath.Join(dir, "dangling")
	if err := os.Symlink(missing, dangling); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	empty := writeKeys(t, "", 0o600)
	for path, want := range map[string]string{
		"":                             "no file name",
		filepath.Join(missing, "keys"): "the directory " + missing + " does not exist",
		dangling:                       "is a link to a file that does not exist",
		empty:                          "holds no key",
	} {
		keys, created, err := session.LoadOrCreateKeysFile(path)
		if err == nil || created || keys != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: created %v, error %v, want one with %q", path, created, err, want)
		}
	}
	if content, err := os.ReadFile(empty); err != nil || len(content) != 0 {
		t.Errorf("the empty file was written to: %q, %v", content, err)
	}
}

func TestCreateKeysFile_WithoutHardLinks(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys")
	made, err := session.CreateWithoutLinks(path, keyText("first")+"\n")
	if err != nil || !made {
		t.Fatalf("made %v, %v", made, err)
	}
	if made, err := session.CreateWithoutLinks(path, keyText("second")+"\n"); err != nil || made {
		t.Errorf("made over another: %v, %v", made, err)
	}
	keys, created, err := session.LoadOrCreateKeysFile(path)
	if err != nil || created || !keys[0].Equal(testKeys(t, "first")[0]) {
		t.Errorf("created %v, %v", created, err)
	}
	if _, err := session.CreateWithoutLinks(filepath.Join(path, "below"), "x"); err == nil {
		t.Error("made below a file")
	}
}
