package forwardauth_test

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/forwardauth"
)

// Attack, by nobody: two replicas run as different users and share the file by its group. Writing it anew keeps who may read
// and write it: else the other replica is shut out, and what is logged out here goes on there.
func TestSec_A132_CompactKeepsWhoMayRead(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there are no such modes on Windows")
	}
	path := filepath.Join(t.TempDir(), "keys.revoked")
	f := forwardauth.NewRevocationFile(path)
	lines := revocationLines(3, fileEpoch)
	saveLines(t, f, slices.Concat(lines, lines))
	if err := os.Chmod(path, 0o660); err != nil {
		t.Fatal(err)
	}
	if err := f.Compact(t.Context(), fileEpoch.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o660 {
		t.Errorf("it was 0660, and is %v, %v", info.Mode(), err)
	}
	if lines, _ := loadAll(t, f); len(lines) != 3 {
		t.Errorf("%d lines: nothing was written anew", len(lines))
	}
}
