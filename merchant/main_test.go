package merchant_test

import (
	"context"
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails the run when a goroutine is left behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func contextOf(t testing.TB) (context.Context, func()) {
	return context.WithCancel(context.WithoutCancel(t.Context()))
}
