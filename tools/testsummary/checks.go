package main

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// check is one numbered check of docs/security-checks.tsv.
type check struct {
	id, what string
	why      string            // it can't be checked; empty: it must be
	tests    map[string]string // "package.Test" → pass, fail, skip
}

// checks are the numbered checks and the tests that name them.
type checks struct {
	order   []string
	byID    map[string]*check
	unknown map[string]bool // "id in package.Test"
}

// readChecks reads lines of id, text and, where it can't be tested, the reason, parted by tabs.
func readChecks(path string) (*checks, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c := &checks{byID: map[string]*check{}, unknown: map[string]bool{}}
	for n, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		fields := append(strings.Split(line, "\t"), "", "")
		id := normalID(strings.ReplaceAll(fields[0], "-", ""))
		if id != fields[0] || c.byID[id] != nil || fields[1] == "" {
			return nil, fmt.Errorf("%s:%d: want an id that is new, a text and perhaps a reason, parted by tabs", path, n+1)
		}
		c.order = append(c.order, id)
		c.byID[id] = &check{id: id, what: fields[1], why: fields[2], tests: map[string]string{}}
	}
	return c, nil
}

var idToken = regexp.MustCompile(`^[A-E]\d{2,3}$`)

// normalID is the id that a part of a test's name is: A011 is A-011, D052 and D52 are D-52. Empty: it is none.
func normalID(token string) string {
	if !idToken.MatchString(token) {
		return ""
	}
	n, _ := strconv.Atoi(token[1:]) //nolint:errcheck // digits, by the expression
	if token[0] >= 'D' {
		return fmt.Sprintf("%c-%02d", token[0], n)
	}
	return fmt.Sprintf("%c-%03d", token[0], n)
}

// named returns the ids that a test's name begins with, each with the test or sub-test that carries it.
func named(full string) map[string]string {
	segments := strings.Split(full, "/")
	rest, ok := strings.CutPrefix(segments[0], "TestSec_")
	if !ok {
		if rest, ok = strings.CutPrefix(segments[0], "FuzzSec_"); !ok {
			return nil
		}
	}
	ids := map[string]string{}
	for i, segment := range segments {
		if i == 0 {
			segment = rest
		}
		segment, _, _ = strings.Cut(segment, "#")
		for token := range strings.SplitSeq(segment, "_") {
			id := normalID(token)
			if id == "" {
				break
			}
			if ids[id] == "" {
				ids[id] = strings.Join(segments[:i+1], "/")
			}
		}
	}
	return ids
}

// take notes the result of a test that has no sub-tests.
func (c *checks) take(pkg, full, result string) {
	for id, carrier := range named(full) {
		carrier = pkg + "." + carrier
		known := c.byID[id]
		if known == nil {
			c.unknown[id+" in "+carrier] = true
			continue
		}
		if worse(result) >= worse(known.tests[carrier]) {
			known.tests[carrier] = result
		}
	}
}

func worse(result string) int { return slices.Index([]string{"", "pass", "skip", "fail"}, result) }

// result is what came of a check.
func (c *check) result() string {
	worst := ""
	for _, r := range c.tests {
		if worse(r) > worse(worst) {
			worst = r
		}
	}
	switch {
	case worst == "" && c.why != "":
		return "inapplicable"
	case worst == "":
		return "no test"
	default:
		return map[string]string{"pass": "passed", "skip": "skipped", "fail": "FAILED"}[worst]
	}
}

// problems are what a run that should have shown all of them has not.
func (c *checks) problems() []string {
	var out []string
	for _, id := range c.order {
		k := c.byID[id]
		switch r := k.result(); {
		case r == "no test":
			out = append(out, id+" ("+k.what+") has no test, and no reason why not")
		case k.why != "" && r != "inapplicable":
			out = append(out, id+" has a test and a reason why it has none")
		}
	}
	for u := range c.unknown {
		out = append(out, "there is no check "+u)
	}
	slices.Sort(out)
	return out
}

// count says how many checks ended how.
func (c *checks) count() string {
	counts := map[string]int{}
	for _, k := range c.byID {
		counts[k.result()]++
	}
	var parts []string
	for _, r := range []string{"passed", "FAILED", "skipped", "inapplicable", "no test"} {
		if counts[r] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[r], r))
		}
	}
	return fmt.Sprintf("%d checks: %s", len(c.order), strings.Join(parts, ", "))
}

// sections are the parts of the table, by the letter of their ids.
var sections = []struct{ letter, title string }{
	{"A", "A. What OpenID Connect and OAuth ask of a relying party"},
	{"B", "B. How others failed"},
	{"C", "C. Hostile inputs"},
	{"D", "D. Faults"},
	{"E", "E. Privacy"},
}

// markdown is docs/security-tests.md.
func (c *checks) markdown() string {
	var b strings.Builder
	b.WriteString(`# Security tests

Each check of [security-checks.tsv](security-checks.tsv), the tests that carry its id in their names, and what came of
them. ` + "`make test`" + ` writes this page: it fails when a check has neither a test nor a reason why it needs none, and
CI fails when the page that it wrote isn't the one that is committed.

`)
	fmt.Fprintf(&b, "%s.\n", c.count())
	for _, s := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n| Id | Check | Tests | Result |\n|---|---|---|---|\n", s.title)
		for _, id := range c.order {
			if !strings.HasPrefix(id, s.letter) {
				continue
			}
			k := c.byID[id]
			tests := k.listed()
			if k.why != "" {
				tests = k.why
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", id, cell(k.what), tests, k.result())
		}
	}
	return b.String()
}

// listed are the tests of a check, by package.
func (c *check) listed() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(c.tests)) {
		parts = append(parts, "`"+cell(name)+"`")
	}
	return strings.Join(parts, "<br>")
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
