package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// event is one line of test2json, see `go doc test2json` and, for the build events, `go help buildjson`.
type event struct {
	Action, Package, ImportPath, Test, Output string
	Elapsed                                   float64 // seconds
}

// must is a kind of test that has to be among those that ran.
type must struct {
	name  string
	re    *regexp.Regexp
	tests []string
}

type test struct {
	output strings.Builder
	parent bool   // it has sub-tests
	result string // pass, fail, skip; empty while it runs
}

// pkg is a package in which tests are running.
type pkg struct {
	tests                   map[string]*test
	order                   []string
	output                  strings.Builder
	passed, failed, skipped int
}

type summary struct {
	w      io.Writer
	strict bool
	trim   string
	musts  []*must
	checks *checks // nil: nobody asked

	running                 map[string]*pkg             // :: package → its tests
	build                   map[string]*strings.Builder // :: import path → what the compiler said
	failures                []string                    // headline and output of each failed test
	skips                   []string                    // "package.Test: reason"
	problems                []string
	passed, failed, skipped int
	packages                int
}

func newSummary(w io.Writer) *summary {
	return &summary{w: w, running: map[string]*pkg{}, build: map[string]*strings.Builder{}}
}

func (s *summary) take(e event) {
	if strings.HasPrefix(e.Action, "build-") {
		if s.build[e.ImportPath] == nil {
			s.build[e.ImportPath] = &strings.Builder{}
		}
		s.build[e.ImportPath].WriteString(e.Output)
		if e.Action == "build-fail" {
			s.failures = append(s.failures, fmt.Sprintf("%s does not build\n%s", s.short(e.ImportPath), s.build[e.ImportPath]))
		}
		return
	}
	p := s.running[e.Package]
	if p == nil {
		p = &pkg{tests: map[string]*test{}}
		s.running[e.Package] = p
	}
	if e.Test == "" {
		s.takePackage(p, e)
		return
	}
	t := p.tests[e.Test]
	if t == nil {
		t = &test{}
		p.tests[e.Test] = t
		p.order = append(p.order, e.Test)
		for i, c := range e.Test { // a sub-test's own name may hold slashes
			if ancestor := p.tests[e.Test[:i]]; c == '/' && ancestor != nil {
				ancestor.parent = true
			}
		}
	}
	switch e.Action {
	case "output":
		t.output.WriteString(e.Output)
	case "pass", "fail", "skip":
		t.result = e.Action
	}
}

func (s *summary) takePackage(p *pkg, e event) {
	switch e.Action {
	case "output":
		p.output.WriteString(e.Output)
	case "pass", "fail", "skip": // skip: no test files
		s.finish(p, e)
		delete(s.running, e.Package)
	}
}

// finish counts a package's tests and prints its line.
func (s *summary) finish(p *pkg, e event) {
	s.packages++
	name := s.short(e.Package)
	for _, tn := range p.order {
		s.count(p, name, tn, e.Action)
	}
	if e.Action == "fail" && p.failed == 0 { // it didn't build, or ended before a test could say so
		p.failed++
		s.failures = append(s.failures, fmt.Sprintf("%s failed outside its tests\n%s", name, p.output.String()))
	}
	s.passed, s.failed, s.skipped = s.passed+p.passed, s.failed+p.failed, s.skipped+p.skipped
	switch {
	case e.Action == "skip" || len(p.order) == 0 && e.Action == "pass":
		fmt.Fprintf(s.w, "-     %s (no tests)\n", name)
	default:
		word := map[string]string{"pass": "ok  ", "fail": "FAIL"}[e.Action]
		fmt.Fprintf(s.w, "%s  %s %.1fs: %s\n", word, name, e.Elapsed, counts(p.passed, p.failed, p.skipped))
	}
	if e.Action == "pass" {
		fmt.Fprint(s.w, said(p.output.String()))
	}
}

// said is what a package prints itself when its tests are done, in TestMain: a table of results, say. What go test says of
// every package is left out.
func said(output string) string {
	var own strings.Builder
	for line := range strings.Lines(output) {
		if !goTestsOwn.MatchString(line) {
			own.WriteString("      " + line)
		}
	}
	return own.String()
}

var goTestsOwn = regexp.MustCompile(`^(PASS|FAIL|ok\s|\?\s|coverage: |-test\.shuffle |exit status |testing: warning: |\s*$)`)

func (s *summary) count(p *pkg, name, tn, pkgResult string) {
	t := p.tests[tn]
	full := name + "." + tn
	if t.result == "" && pkgResult == "fail" { // it was running when the package died
		t.result = "fail"
	}
	if t.parent && t.result != "fail" {
		return
	}
	if s.checks != nil {
		s.checks.take(name, tn, t.result)
	}
	switch t.result {
	case "pass":
		p.passed++
		for _, m := range s.musts {
			if m.re.MatchString(full) {
				m.tests = append(m.tests, full)
			}
		}
	case "skip":
		p.skipped++
		s.skips = append(s.skips, full+": "+reason(t.output.String()))
	case "fail":
		if t.parent && p.childFailed(tn) {
			return // its sub-test has been counted, or will be
		}
		p.failed++
		s.failures = append(s.failures, full+"\n"+t.output.String())
	}
}

func (p *pkg) childFailed(parent string) bool {
	return slices.ContainsFunc(p.order, func(tn string) bool {
		t := p.tests[tn]
		return strings.HasPrefix(tn, parent+"/") && (t.result == "fail" || t.result == "")
	})
}

var location = regexp.MustCompile(`^[^ :]+\.go:\d+: `)

// reason is what a skipped test said: its output without the testing package's own lines.
func reason(output string) string {
	var lines []string
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		lines = append(lines, location.ReplaceAllString(line, ""))
	}
	if len(lines) == 0 {
		return "no reason given"
	}
	return strings.Join(lines, " ")
}

func (s *summary) short(pkg string) string { return strings.TrimPrefix(pkg, s.trim) }

func counts(passed, failed, skipped int) string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", passed, failed, skipped)
}

// report prints what is left to say and returns the exit status.
func (s *summary) report() int {
	for name := range s.running {
		s.problems = append(s.problems, s.short(name)+": its tests never ended")
	}
	for _, f := range s.failures {
		fmt.Fprintf(s.w, "\n--- FAILED: %s\n", strings.TrimRight(f, "\n"))
	}
	if len(s.skips) > 0 {
		fmt.Fprintf(s.w, "\nSkipped:\n")
		for _, skip := range s.skips {
			fmt.Fprintf(s.w, "  %s\n", skip)
		}
	}
	if s.strict && s.skipped > 0 {
		s.problems = append(s.problems, "tests were skipped in a run that must not skip any")
	}
	for _, m := range s.musts {
		fmt.Fprintf(s.w, "\nRan with %s: %d\n", m.name, len(m.tests))
		for _, tn := range m.tests {
			fmt.Fprintf(s.w, "  %s\n", tn)
		}
		if s.strict && len(m.tests) == 0 {
			s.problems = append(s.problems, "no test ran with "+m.name)
		}
	}
	for _, p := range s.problems {
		fmt.Fprintf(s.w, "\nPROBLEM: %s\n", p)
	}
	fmt.Fprintf(s.w, "\n%s\n", counts(s.passed, s.failed, s.skipped))
	if s.failed > 0 || len(s.problems) > 0 || s.packages == 0 {
		return 1
	}
	return 0
}
