package caddymodule_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails the run when a goroutine of ours is left behind. Those of Caddy's log files and locks end when they like.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/DeRuina/timberjack.(*Logger).millRun"),
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"),
	)
}
