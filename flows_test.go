package vippsauth_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// README says for each flow of the Vipps documents how to use it here, and names an example. Each of those is run: a folder by a test of
// package integration that names a file in it, and a file of Go examples by go test, which compares what they print.
func TestEveryFlowHasAnExampleThatRuns(t *testing.T) {
	t.Parallel()
	_, rest, ok := strings.Cut(page(t, "README.md"), "## Every flow of Vipps Login")
	table, _, _ := strings.Cut(rest, "\n## ")
	if !ok {
		t.Fatal("README has no table of flows")
	}
	tests, err := filepath.Glob("integration/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var integration strings.Builder
	for _, path := range tests {
		integration.WriteString(page(t, path))
	}
	link := regexp.MustCompile(`\]\(([^)#]+)\)`)
	var rows int
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		if len(cells) != 3 || strings.HasPrefix(cells[0], " Flow") {
			continue
		}
		rows++
		links := link.FindAllStringSubmatch(cells[2], -1)
		if len(links) == 0 && !strings.Contains(cells[2], "the same") {
			t.Errorf("%s: no example", cells[0])
		}
		for _, l := range links {
			switch target := l[1]; {
			case target == "examples":
			case strings.HasPrefix(target, "examples/"):
				files, err := os.ReadDir(target)
				runs := slices.ContainsFunc(files, func(f os.DirEntry) bool {
					return strings.Contains(integration.String(), strings.TrimPrefix(target, "examples/")+"/"+f.Name())
				})
				if err != nil || !runs {
					t.Errorf("%s: no test of package integration runs a file of %s: %v", cells[0], target, err)
				}
			default:
				text, err := os.ReadFile(target)
				if err != nil || !regexp.MustCompile(`(?m)^func Example(.|\n)*?^	// Output:`).Match(text) {
					t.Errorf("%s: %s has no example with output: %v", cells[0], target, err)
				}
			}
		}
	}
	if rows < 15 {
		t.Errorf("only %d flows", rows)
	}
}
