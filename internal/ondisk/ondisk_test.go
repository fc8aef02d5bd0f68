package ondisk_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/vippsauth/vippsauth/internal/ondisk"
)

// Of two who open a file one gets the lock, until the file is closed.
func TestTryLock(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there are no such locks")
	}
	path := filepath.Join(t.TempDir(), "file")
	first, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = second.Close() }()
	for _, want := range []bool{false, true, false} {
		file := second
		if !want && first != nil {
			file = first
		}
		if busy, err := ondisk.TryLock(file); busy != want || err != nil {
			t.Errorf("busy %t, %v, want %t", busy, err, want)
		}
		if want {
			_ = first.Close()
			first = nil
		}
	}
}

// A file is at its path until another is put there, or none is.
func TestIsAt(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no open file can be removed")
	}
	path := filepath.Join(t.TempDir(), "file")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if !ondisk.IsAt(file, path) {
		t.Error("it isn't there")
	}
	if err := os.Remove(path); err != nil || ondisk.IsAt(file, path) {
		t.Errorf("it is there after it was removed: %v", err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil || ondisk.IsAt(file, path) {
		t.Errorf("another is taken for it: %v", err)
	}
}

// A directory is synced, one that isn't there is an error, and a directory that can't be synced is none.
func TestSyncDir(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there is nothing to do")
	}
	dir := t.TempDir()
	if err := ondisk.SyncDir(dir); err != nil {
		t.Error(err)
	}
	if err := ondisk.SyncDir(filepath.Join(dir, "none")); err == nil {
		t.Error("a directory that isn't there was synced")
	}
	if _, err := os.Stat("/proc/self"); err == nil { // whose directories answer EINVAL
		if err := ondisk.SyncDir("/proc/self"); err != nil {
			t.Errorf("/proc/self: %v", err)
		}
	}
}
