package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const checked = `package p

import "errors"

func Check(a, b int, ok bool) error {
	if a < 0 || b < 0 {
		return errors.New("negative")
	}
	if ok && a > 0 {
		note(a)
	}
	switch {
	case a == b:
		return errors.New("equal")
	}
	return nil
}

func note(int) {}
`

// What is dropped is each guard, each operand, each case and each call, and nothing else.
func TestMutants(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "check.go")
	if err := os.WriteFile(path, []byte(checked), 0o600); err != nil {
		t.Fatal(err)
	}
	text, all, err := mutantsOf(path, "p/check.go")
	if err != nil || text != checked {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, m := range all {
		m.number = 7
		for i, line := range strings.Split(switched(text, []*mutant{m}), "\n") {
			if was := strings.Split(checked, "\n")[i]; was != line {
				got[strings.TrimPrefix(m.key(), "p/check.go\tCheck\t")] = strings.TrimSpace(line)
			}
		}
	}
	want := map[string]string{
		"if a < 0 || b < 0":  "if !dropped(7) && (a < 0 || b < 0) {",
		"|| a < 0":           "if (!dropped(7) && (a < 0)) || b < 0 {",
		"|| b < 0":           "if a < 0 || (!dropped(7) && (b < 0)) {",
		"if ok && a > 0":     "if !dropped(7) && (ok && a > 0) {",
		"unless ok && a > 0": "if dropped(7) || (ok && a > 0) {",
		"&& ok":              "if (dropped(7) || (ok)) && a > 0 {",
		"&& a > 0":           "if ok && (dropped(7) || (a > 0)) {",
		"call note(a)":       "if !dropped(7) { note(a) }",
		"case a == b":        "case !dropped(7) && (a == b):",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A module of one package, whose tests notice some drops and not others, is judged so. The tree stays as it was.
func TestRun(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":     "module example.com/p\n\ngo 1.26\n",
		"p/check.go": checked,
		"p/check_test.go": `package p

import "testing"

func TestCheck(t *testing.T) {
	if Check(-1, 1, false) == nil || Check(2, 2, false) == nil || Check(1, 2, true) != nil {
		t.Fatal("wrong")
	}
}
`,
		"known.tsv": "# of a test\np/check.go\tCheck\tcall note(a)\tit does nothing\np/check.go\tCheck\tcase a == b\ta lie\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out, errs strings.Builder
	status := run([]string{"-root", root, "-known", filepath.Join(root, "known.tsv"), "-only", `if a|call|case|\|\|`, "p/check.go"}, &out, &errs)
	if status != 1 || errs.Len() > 0 {
		t.Errorf("status %d: %s", status, errs.String())
	}
	for _, want := range []string{
		"SURVIVED: p/check.go:6 p/check.go\tCheck\t|| b < 0\n",
		"equivalent: p/check.go\tCheck\tcall note(a): it does nothing\n",
		"a test notices what is known to change nothing: p/check.go\tCheck\tcase a == b\n",
		"p/check.go                                5        3           1         1\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
	if text, err := os.ReadFile(filepath.Join(root, "p/check.go")); err != nil || string(text) != checked {
		t.Errorf("the tree was changed: %v", err)
	}
}

// The checks of an ID token's audience, times and ties to its login are each dropped once, and a test of package vipps
// notices. `make mutate` does the same for whole files, and takes as long as it takes.
func TestSec_D56_DroppedChecksAreNoticed(t *testing.T) {
	if os.Getenv("VIPPSAUTH_TEST_ALL") != "1" {
		t.Skip("runs the tests of package vipps some thirty times: `make test` does")
	}
	var out, errs strings.Builder
	status := run([]string{
		"-root", "../..", "-known", "equivalent.tsv", "-only", "\tcheck(Audience|Times|Login)\t", "vipps/idtoken.go",
	}, &out, &errs)
	if status != 0 || errs.Len() > 0 || strings.Count(out.String(), "\n") > 20 || !strings.Contains(out.String(), "vipps/idtoken.go") {
		t.Errorf("status %d: %s\n%s", status, errs.String(), out.String())
	}
	t.Log(out.String())
}
