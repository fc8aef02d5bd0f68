package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNamed(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]map[string]string{
		"TestLogin":                      nil,
		"TestLogin/A011_other":           nil,
		"TestSec_A050_A051_State":        {"A-050": "TestSec_A050_A051_State", "A-051": "TestSec_A050_A051_State"},
		"TestSec_D35_D034_Soak/seed_1":   {"D-35": "TestSec_D35_D034_Soak", "D-34": "TestSec_D35_D034_Soak"},
		"FuzzSec_E03_Cookie/seed#0":      {"E-03": "FuzzSec_E03_Cookie"},
		"TestSec_OIDF/A011_invalid-iss":  {"A-011": "TestSec_OIDF/A011_invalid-iss"},
		"TestSec_C010_Spoof/nginx/B022":  {"C-010": "TestSec_C010_Spoof", "B-022": "TestSec_C010_Spoof/nginx/B022"},
		"TestSec_V1_A011_later":          {},
		"TestSec_C010_Same/C010_again":   {"C-010": "TestSec_C010_Same"},
		"TestSec_OIDF/A011_twice#01":     {"A-011": "TestSec_OIDF/A011_twice#01"},
		"TestSec_B007#01":                {"B-007": "TestSec_B007#01"},
		"TestSec_C06_Letters":            {"C-006": "TestSec_C06_Letters"},
		"TestSec_A1_TooShort/A1234_long": {},
	} {
		if diff := cmp.Diff(want, named(name)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}

// runChecks lets a summary take a run of one package, and returns its checks.
func runChecks(t *testing.T, file string, events ...event) *checks {
	t.Helper()
	path := filepath.Join(t.TempDir(), "checks.tsv")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newSummary(&strings.Builder{})
	var err error
	if s.checks, err = readChecks(path); err != nil {
		t.Fatal(err)
	}
	for _, e := range append(events, event{Action: "pass"}) {
		e.Package = "example.com/p"
		s.take(e)
	}
	return s.checks
}

func TestChecksOfARun(t *testing.T) {
	t.Parallel()
	c := runChecks(t, "# of a test\nA-001\tone\nA-002\ttwo|halves\nA-003\tthree\nA-004\tfour\tnot built\nD-01\tfive\nE-01\tsix\tnot built\n",
		event{Action: "run", Test: "TestSec_A001_A002_Both"},
		event{Action: "run", Test: "TestSec_A001_A002_Both/one"},
		event{Action: "fail", Test: "TestSec_A001_A002_Both/one"},
		event{Action: "run", Test: "TestSec_A001_A002_Both/two"},
		event{Action: "pass", Test: "TestSec_A001_A002_Both/two"},
		event{Action: "fail", Test: "TestSec_A001_A002_Both"},
		event{Action: "pass", Test: "TestSec_D1_TooShort"},
		event{Action: "pass", Test: "TestSec_D01"},
		event{Action: "skip", Test: "TestSec_D01_Other"},
		event{Action: "pass", Test: "TestSec_E01_Built"},
		event{Action: "pass", Test: "TestSec_C099_Unknown"},
	)
	want := []string{
		"A-003 (three) has no test, and no reason why not",
		"E-01 has a test and a reason why it has none",
		"there is no check C-099 in example.com/p.TestSec_C099_Unknown",
	}
	if diff := cmp.Diff(want, c.problems()); diff != "" {
		t.Errorf("problems (-want +got)\n%s", diff)
	}
	page := c.markdown()
	for _, line := range []string{
		"6 checks: 1 passed, 2 FAILED, 1 skipped, 1 inapplicable, 1 no test.",
		"| A-001 | one | `example.com/p.TestSec_A001_A002_Both` | FAILED |",
		`| A-002 | two\|halves | ` + "`example.com/p.TestSec_A001_A002_Both` | FAILED |",
		"| A-003 | three |  | no test |",
		"| A-004 | four | not built | inapplicable |",
		"| D-01 | five | `example.com/p.TestSec_D01`<br>`example.com/p.TestSec_D01_Other` | skipped |",
	} {
		if !strings.Contains(page, line+"\n") {
			t.Errorf("the page lacks %q:\n%s", line, page)
		}
	}
}

func TestReadChecksRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"A-1\tshort", "A-001", "A-001\tone\nA-001\ttwice", "F-001\tletter", "D-001\tthree digits"} {
		path := filepath.Join(t.TempDir(), "checks.tsv")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readChecks(path); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

func TestConformancePage(t *testing.T) {
	t.Parallel()
	c := runChecks(t, "A-010\tall of a plan\nA-045\trefresh\tthere are no refresh tokens\n",
		event{Action: "run", Test: "TestSec_OIDF"},
		event{Action: "run", Test: "TestSec_OIDF/A010_first"},
		event{Action: "pass", Test: "TestSec_OIDF/A010_first"},
		event{Action: "run", Test: "TestSec_OIDF/A010_second"},
		event{Action: "pass", Test: "TestSec_OIDF/A010_second"},
		event{Action: "pass", Test: "TestSec_OIDF"})
	path := filepath.Join(t.TempDir(), "modules.tsv")
	if err := os.WriteFile(path, []byte("# of a test\nA-010\tbasic\tsecond\taccepted\nA-045\tall\trefresh\tno\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	modules, err := readModules(path, c)
	if err != nil {
		t.Fatal(err)
	}
	page := c.conformance(modules)
	for _, line := range []string{
		"## basic",
		"| `second` | accepted | A-010 | `example.com/p.TestSec_OIDF/A010_second` | passed |",
		"| `refresh` | no | A-045 | there are no refresh tokens | inapplicable |",
	} {
		if !strings.Contains(page, line+"\n") {
			t.Errorf("the page lacks %q:\n%s", line, page)
		}
	}
}
