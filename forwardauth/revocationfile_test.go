package forwardauth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/forwardauth"
)

var fileEpoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// lines of n different records.
func revocationLines(n int, at time.Time) []byte {
	var b []byte
	for i := range n {
		b = append(b, forwardauth.RevokePerson("https://issuer.example/", fmt.Sprintf("person %d", i), at)...)
	}
	return b
}

func loadAll(t *testing.T, f *forwardauth.RevocationFile) (lines []string, all bool) {
	t.Helper()
	all, err := f.Load(t.Context(), func(line []byte) {
		if text := strings.TrimSpace(string(line)); text != "" && text[0] != '#' {
			lines = append(lines, text)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines, all
}

func saveLines(t *testing.T, f *forwardauth.RevocationFile, lines []byte) {
	t.Helper()
	if err := f.Save(t.Context(), lines); err != nil {
		t.Fatal(err)
	}
}

// A file is made with nobody else's to read, is read once, and then only what was added, by whomever.
func TestRevocationFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.revoked")
	f, other := forwardauth.NewRevocationFile(path), forwardauth.NewRevocationFile(path)
	if lines, all := loadAll(t, f); len(lines) != 0 || all {
		t.Errorf("a file that isn't there holds %q, all %t", lines, all)
	}
	if err := f.Compact(t.Context(), fileEpoch); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	saveLines(t, f, revocationLines(2, fileEpoch))
	if lines, all := loadAll(t, f); len(lines) != 2 || !all {
		t.Errorf("%d lines, all %t", len(lines), all)
	}
	saveLines(t, other, revocationLines(1, fileEpoch.Add(time.Hour)))
	if lines, all := loadAll(t, f); len(lines) != 1 || all {
		t.Errorf("what was added: %d lines, all %t", len(lines), all)
	}
	if lines, _ := loadAll(t, f); len(lines) != 0 {
		t.Errorf("nothing was added: %q", lines)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if lines, all := loadAll(t, f); len(lines) != 0 || !all {
		t.Errorf("taken away: %q, all %t", lines, all)
	}
}

// A crash in the middle of a write tears the last line: what is written next is whole again, and the torn line none.
func TestSec_A132_TornFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "torn")
	whole := revocationLines(3, fileEpoch)
	garbage := strings.Repeat("x", 200_000) + "\n\x00\xff\n"
	if err := os.WriteFile(path, append([]byte(garbage), whole[:len(whole)-5]...), 0o600); err != nil {
		t.Fatal(err)
	}
	f := forwardauth.NewRevocationFile(path)
	if lines, _ := loadAll(t, f); len(lines) != 3 { // two of garbage's last line, and two records
		t.Fatalf("%d lines", len(lines))
	}
	saveLines(t, f, revocationLines(1, fileEpoch.Add(time.Hour)))
	lines, all := loadAll(t, f)
	if want := strings.TrimSpace(string(revocationLines(1, fileEpoch.Add(time.Hour)))); len(lines) != 2 || lines[1] != want || all {
		t.Errorf("after the torn line comes %q, all %t", lines, all)
	}
	if err := f.Compact(t.Context(), fileEpoch); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || bytes.Contains(text, []byte("x")) && len(text) > 2000 {
		t.Errorf("garbage stays: %d bytes, %v", len(text), err)
	}
	if lines, all := loadAll(t, f); len(lines) != 2 || !all { // person 0's two not-befores are one now
		t.Errorf("%q, all %t", lines, all)
	}
	if names, _ := filepath.Glob(path + ".*"); len(names) != 0 {
		t.Errorf("left behind: %q", names)
	}
}

// What is over goes when the file is compacted, and so does what a process left that was killed while it did so. A file with nothing over
// is left alone.
func TestRevocationFileCompact(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	f := forwardauth.NewRevocationFile(path)
	saveLines(t, f, revocationLines(100, fileEpoch.AddDate(-2, 0, 0)))
	saveLines(t, f, revocationLines(5, fileEpoch))
	if err := os.WriteFile(path+".2718281828.new", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.Compact(t.Context(), fileEpoch); err != nil {
		t.Fatal(err)
	}
	if lines, _ := loadAll(t, f); len(lines) != 5 {
		t.Errorf("%d lines", len(lines))
	}
	if names, _ := filepath.Glob(path + ".*"); len(names) != 0 {
		t.Errorf("left behind: %q", names)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Compact(t.Context(), fileEpoch); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
		t.Errorf("written anew for nothing: %v", err)
	}
}

// Two processes append at once, and a third compacts all the while: no record is lost. Here each has its own description of
// the file, which is what locks look at.
func TestSec_A132_AppendingAtOnce(t *testing.T) {
	t.Parallel()
	dir, each := t.TempDir(), 40
	if shm, err := os.MkdirTemp("/dev/shm", "revocations"); err == nil { // where a sync costs nothing, they meet more often
		t.Cleanup(func() { _ = os.RemoveAll(shm) })
		dir, each = shm, 600
	}
	path := filepath.Join(dir, "file")
	var writers, all sync.WaitGroup
	var failures sync.Map
	for w := range 2 {
		writers.Go(func() {
			f := forwardauth.NewRevocationFile(path)
			for i := range each {
				line := forwardauth.RevokePerson("https://issuer.example/", fmt.Sprint(w, " ", i), fileEpoch)
				if err := f.Save(t.Context(), line); err != nil {
					failures.Store(fmt.Sprint(w, i), err)
				}
			}
		})
	}
	done := make(chan struct{})
	all.Go(func() {
		f := forwardauth.NewRevocationFile(path)
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			over := forwardauth.RevokePerson("https://issuer.example/", fmt.Sprint("over ", i), fileEpoch.AddDate(-2, 0, 0))
			if err := errors.Join(f.Save(t.Context(), over), f.Compact(t.Context(), fileEpoch)); err != nil {
				failures.Store("compacting", err)
			}
		}
	})
	writers.Wait()
	close(done)
	all.Wait()
	failures.Range(func(who, err any) bool { t.Errorf("%v: %v", who, err); return true })
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for w := range 2 {
		for i := range each {
			if line := forwardauth.RevokePerson("https://issuer.example/", fmt.Sprint(w, " ", i), fileEpoch); !bytes.Contains(text, line) {
				t.Fatalf("record %d of writer %d is lost", i, w)
			}
		}
	}
}

// Where nothing can be written there is an error, in time: a full disk, a directory of others, a lock that is never given
// back, a directory in the file's place, a pipe that nobody reads.
func TestSec_A132_FileThatCantBeWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	held := filepath.Join(dir, "held")
	saveLines(t, forwardauth.NewRevocationFile(held), revocationLines(1, fileEpoch))
	holder, err := os.Open(held)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	if err := syscall.Flock(int(holder.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		"/dev/full":                    syscall.ENOSPC,
		filepath.Join(dir, "no", "no"): os.ErrNotExist,
		held:                           context.DeadlineExceeded,
		dir:                            syscall.EISDIR,
	} {
		f := forwardauth.NewRevocationFile(path)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		begin := time.Now()
		if err := f.Save(ctx, revocationLines(1, fileEpoch)); !errors.Is(err, want) {
			t.Errorf("%s: %v", path, err)
		}
		if path == "/dev/full" {
			if err := f.Compact(ctx, fileEpoch); err != nil {
				t.Errorf("compacting a device: %v", err)
			}
			if lines, _ := loadAll(t, f); len(lines) != 0 {
				t.Errorf("a device holds %d lines", len(lines))
			}
		}
		cancel()
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("%s takes %s", path, took)
		}
	}
}
