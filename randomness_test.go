package vippsauth_test

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// spreadsLoad are the files that may use a guessable source: they choose how long to wait, which guards nothing.
var spreadsLoad = []string{"cmd/vippsauth/service.go", "vipps/cached.go"}

// Attack: states, nonces or keys that can be guessed, because some file took the wrong one of two packages called rand.
func TestSec_B031_A152_OnlyCryptoRand(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=Dir,GoFiles", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	var found, secure []string
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			Dir     string
			GoFiles []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		for _, name := range p.GoFiles {
			path := filepath.Join(p.Dir, name)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			rel, err := filepath.Rel(root, path)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(text), "\"math/rand") && !strings.HasPrefix(filepath.ToSlash(rel), "integration/") {
				found = append(found, filepath.ToSlash(rel))
			}
			if strings.Contains(string(text), "\"crypto/rand\"") {
				secure = append(secure, filepath.ToSlash(rel))
			}
		}
	}
	if slices.Sort(found); !slices.Equal(found, spreadsLoad) {
		t.Errorf("math/rand is imported by %q, and may be by %q", found, spreadsLoad)
	}
	for _, want := range []string{"vipps/login.go", "vipps/cibarequest.go", "session/keys.go", "forwardauth/respond.go"} {
		if !slices.Contains(secure, want) {
			t.Errorf("%s takes its randomness from elsewhere", want)
		}
	}
}

// noRandomness is a source that has run dry.
type noRandomness struct{}

func (noRandomness) Read([]byte) (int, error) { return 0, errors.New("no randomness") }

// Attack: a machine without randomness, on which a program goes on with zeros. Ours ends instead, before it has shown any.
func TestSec_B031_A152_NoRandomness(t *testing.T) {
	t.Parallel()
	const what = "VIPPSAUTH_TEST_WITHOUT_RANDOMNESS"
	switch os.Getenv(what) {
	case "":
	case "state":
		rand.Reader = noRandomness{}
		println("made: " + vipps.NewStateID())
		return
	case "code to read aloud":
		rand.Reader = noRandomness{}
		println("made: " + vipps.NewBindingMessage())
		return
	case "key":
		rand.Reader = noRandomness{}
		if key, err := session.NewKey(); err == nil {
			println("made: " + key.Encode())
		}
		return
	}
	for _, kind := range []string{"state", "code to read aloud", "key"} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSec_B031_A152_NoRandomness$")
		cmd.Env = append(os.Environ(), what+"="+kind)
		out, err := cmd.CombinedOutput()
		if err == nil && kind != "key" || strings.Contains(string(out), "made:") {
			t.Errorf("%s: %v\n%.500s", kind, err, out)
		}
	}
}
