package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// The cases are in testdata/privacy: what people are asked for in vain, and what goes over the network in clear, is a warning at
// check and at start.
func TestSec_E002_E008_WarningsOfSettings(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{Dir: "testdata/privacy", RequireExplicitExec: true, RequireUniqueNames: true})
}
