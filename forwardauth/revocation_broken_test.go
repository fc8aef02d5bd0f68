package forwardauth_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

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
