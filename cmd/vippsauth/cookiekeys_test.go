package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A directory that can't be written to is found before serve has to create the file.
func TestCheckKeysFile_Directory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "keys")
	if keys, err := checkKeysFile(path, mayCreateIn); keys != nil || err != nil {
		t.Errorf("a file that serve can create: %v, %v", keys, err)
	}
	for name, tt := range map[string]struct {
		err  error
		want string
	}{
		"not ours":  {&os.PathError{Op: "access", Path: dir, Err: syscall.EACCES}, "permission denied; let the user that runs vippsauth read the file and, to create it, write to its directory"},
		"read-only": {&os.PathError{Op: "access", Path: dir, Err: syscall.EROFS}, "read-only file system; name a file in a directory that can be written to"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := checkKeysFile(path, func(string) error { return tt.err })
			rep := newReport()
			rep.sources["cookie_keys_file"] = "--cookie-keys-file"
			addKeyProblems(rep, "cookie_keys_file", err)
			if len(rep.problems) != 1 || !strings.HasSuffix(rep.problems[0].String(), tt.want) || !strings.HasPrefix(rep.problems[0].String(), "--cookie-keys-file: cookie_keys_file: ") {
				t.Errorf("%v, want %q", rep.problems, tt.want)
			}
		})
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("checking has created something")
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if err := mayCreateIn(dir); err == nil && os.Geteuid() > 0 { // root may write anywhere
		t.Error("a directory of mode 0500 seems to be writable")
	}
}

// What comes up when serve reads the keys names the setting and the cure too.
func TestKeys_ErrorsNameTheSetting(t *testing.T) {
	t.Parallel()
	c := &config{cookieKeysFile: filepath.Join(t.TempDir(), "nowhere", "keys")}
	_, _, err := c.keys()
	if err == nil || !strings.HasPrefix(err.Error(), "cookie_keys_file: the directory ") || !strings.Contains(err.Error(), "create it") {
		t.Errorf("%v", err)
	}
	notDir := write(t, "file", "")
	c = &config{cookieKeysFile: filepath.Join(notDir, "keys")}
	if _, _, err := c.keys(); err == nil || !strings.HasPrefix(err.Error(), "cookie_keys_file: ") || !strings.Contains(err.Error(), "; create the directory, ") {
		t.Errorf("%v", err)
	}
	c = &config{cookieKeys: []string{secretMarker, secretMarker + "2"}}
	_, _, err = c.keys()
	lines := flatten(err)
	if len(lines) != 2 || strings.Contains(err.Error(), secretMarker) || strings.Contains(err.Error(), "session:") {
		t.Fatalf("%v", err)
	}
	for i, want := range []string{"cookie_keys: key 1: ", "cookie_keys: key 2: "} {
		if !strings.HasPrefix(lines[i].Error(), want) {
			t.Errorf("%q, want %q", lines[i], want)
		}
	}
}
