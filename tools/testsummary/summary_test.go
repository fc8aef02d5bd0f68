package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// module writes a module of one package and returns the go test command that tests it.
func module(t *testing.T, tests string) []string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":    "module example.test/m\n\ngo 1.26\n",
		"m_test.go": "package m\n\nimport \"testing\"\n\n" + tests,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return []string{"go", "-C", dir, "test", "-json", "-count=1", "-timeout=5s", "./..."}
}

const good = `
func TestGood(t *testing.T) {}
func TestTable(t *testing.T) {
	t.Run("one", func(t *testing.T) {})
	t.Run("two/with slash", func(t *testing.T) {})
}
`

const skipping = `
func TestNginx(t *testing.T) { t.Skip("nginx is not installed") }
`

func TestRun(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		tests  string
		flags  []string
		status int
		last   string
		says   []string
	}{
		"good": {good, nil, 0, "3 passed, 0 failed, 0 skipped", []string{"ok    example.test/m"}},
		"a table at the end": {
			good + `func TestMain(m *testing.M) { m.Run(); println("proxy x behaviour:\n  all yes") }`, nil, 0, "3 passed, 0 failed, 0 skipped",
			[]string{"3 passed, 0 failed, 0 skipped\n      proxy x behaviour:\n        all yes\n"},
		},
		"skip":              {good + skipping, nil, 0, "3 passed, 0 failed, 1 skipped", []string{"example.test/m.TestNginx: nginx is not installed"}},
		"skip, strict":      {good + skipping, []string{"-strict"}, 1, "3 passed, 0 failed, 1 skipped", []string{"PROBLEM: tests were skipped"}},
		"must":              {good, []string{"-strict", "-must", "tables=TestTable"}, 0, "3 passed, 0 failed, 0 skipped", []string{"Ran with tables: 2\n  example.test/m.TestTable/one"}},
		"must that did not": {good, []string{"-strict", "-must", "nginx=Nginx"}, 1, "3 passed, 0 failed, 0 skipped", []string{"PROBLEM: no test ran with nginx"}},
		"fail": {
			good + `func TestBad(t *testing.T) { t.Run("sub", func(t *testing.T) { t.Error("seen in full") }) }`, nil, 1,
			"3 passed, 1 failed, 0 skipped",
			[]string{"FAILED: example.test/m.TestBad/sub", "seen in full"},
		},
		"panic":     {good + `func TestPanic(t *testing.T) { panic("at the disco") }`, nil, 1, "3 passed, 1 failed, 0 skipped", []string{"at the disco"}},
		"exit":      {`func TestExit(t *testing.T) { os.Exit(3) }`, nil, 1, "0 passed, 1 failed, 0 skipped", []string{"undefined: os"}},
		"no build":  {`func TestX(t *testing.T) { undefined() }`, nil, 1, "0 passed, 1 failed, 0 skipped", []string{"undefined: undefined"}},
		"timed out": {`func TestHang(t *testing.T) { select {} }`, nil, 1, "0 passed, 1 failed, 0 skipped", []string{"timed out after"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			args := append(append([]string{}, tc.flags...), "--")
			status := run(append(args, module(t, tc.tests)...), func(string) string { return "" }, &out, &out)
			if status != tc.status {
				t.Errorf("status %d, want %d", status, tc.status)
			}
			if !strings.HasSuffix(out.String(), "\n"+tc.last+"\n") {
				t.Errorf("the last line isn't %q", tc.last)
			}
			for _, s := range tc.says {
				if !strings.Contains(out.String(), s) {
					t.Errorf("%q is missing", s)
				}
			}
			if t.Failed() {
				t.Log(out.String())
			}
		})
	}
}

func TestStrictByEnvironment(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"CI", "VIPPSAUTH_TEST_ALL"} {
		var out strings.Builder
		getenv := func(k string) string { return map[string]string{key: "1"}[k] }
		if run(append([]string{"--"}, module(t, skipping)...), getenv, &out, &out) == 0 {
			t.Errorf("%s=1: a skip is forgiven:\n%s", key, out.String())
		}
	}
}

func TestSeveralCommands(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	args := append([]string{"--"}, module(t, good)...)
	args = append(append(args, "--"), module(t, good)...)
	if status := run(args, func(string) string { return "" }, &out, &out); status != 0 || !strings.HasSuffix(out.String(), "\n6 passed, 0 failed, 0 skipped\n") {
		t.Errorf("status %d:\n%s", status, out.String())
	}
	for _, args := range [][]string{nil, {"--"}, {"--", "/no/such/program"}, {"--", "true"}} {
		if run(args, func(string) string { return "" }, &out, &out) == 0 {
			t.Errorf("run(%q) succeeds", args)
		}
	}
}
