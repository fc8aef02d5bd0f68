package forwardauth_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/forwardauth"
)

// Attack: the disk is slow, or a network file system breaks off, while the list of ended sessions is read. What was not read
// then is read the next time, though the file is the same as before: else every logout behind that place is undone, until
// somebody else logs out.
func TestSec_A132_ReadingThatBreaksOff(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.revoked")
	saveLines(t, forwardauth.NewRevocationFile(path), revocationLines(50, fileEpoch))
	f := forwardauth.NewRevocationFile(path)
	ctx, cancel := context.WithCancel(t.Context())
	seen := map[string]bool{}
	_, err := f.Load(ctx, func(line []byte) {
		if seen[string(line)] = true; len(seen) == 10 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || len(seen) > 20 {
		t.Fatalf("%d lines, %v: it isn't broken off", len(seen), err)
	}
	lines, _ := loadAll(t, f)
	for _, line := range lines {
		seen[line+"\n"] = true
	}
	records := 0
	for line := range seen {
		if line[0] == 'v' {
			records++
		}
	}
	if records != 50 {
		t.Errorf("%d of 50 records are ever read", records)
	}
}

// Attack, or a restored backup: the file is written over in its place with something at least as long, so that neither its
// identity nor its length tells. All of it is read again, and what is known and missing there is saved again.
func TestSec_A132_WrittenOverInPlace(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.revoked")
	f := forwardauth.NewRevocationFile(path)
	saveLines(t, f, revocationLines(5, fileEpoch))
	loadAll(t, f)
	other := revocationLines(20, fileEpoch.Add(time.Hour))
	if err := os.WriteFile(path, other, 0o600); err != nil {
		t.Fatal(err)
	}
	if lines, all := loadAll(t, f); len(lines) != 20 || !all {
		t.Errorf("%d of 20 lines are read, all %t", len(lines), all)
	}
	saveLines(t, f, revocationLines(1, fileEpoch.Add(2*time.Hour)))
	if lines, all := loadAll(t, f); len(lines) != 1 || all {
		t.Errorf("of what was added %d lines are read, all %t", len(lines), all)
	}
}
