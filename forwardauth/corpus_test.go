package forwardauth

import (
	"testing"

	"github.com/vippsauth/vippsauth/internal/hostile"
)

// corpus is the inputs of a file in testdata, see package hostile.
func corpus(tb testing.TB, path string) []string {
	tb.Helper()
	lines, err := hostile.Lines(path)
	if err != nil {
		tb.Fatal(err)
	}
	return lines
}
