package main

import (
	"fmt"
	"os"
	"strings"
)

// oidfModule is a module of one of the OpenID Foundation's test plans for relying parties.
type oidfModule struct {
	id         string // of the check whose tests carry it
	plan, name string
	verdict    string // what we do
}

// readModules reads lines of id, plan, module and what we do, parted by tabs.
func readModules(path string, c *checks) ([]oidfModule, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var all []oidfModule
	for n, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 4 || c.byID[f[0]] == nil {
			return nil, fmt.Errorf("%s:%d: want the id of a check, plan, module and what we do, parted by tabs", path, n+1)
		}
		all = append(all, oidfModule{f[0], f[1], f[2], f[3]})
	}
	return all, nil
}

// conformance is docs/conformance.md.
func (c *checks) conformance(all []oidfModule) string {
	var b strings.Builder
	b.WriteString(`# OpenID Connect conformance

The modules of the OpenID Foundation's conformance suite that concern a relying party with the code flow, or with CIBA in poll mode, each run
against a provider of our own that misbehaves as the module's does. It is judged as the suite judges: after an answer
that must be refused, nothing calls the next endpoint and nobody has a session. ` + "`make test`" + ` writes this page.
It is no certificate: nobody but ourselves has run these.
`)
	plan := ""
	for _, m := range all {
		if m.plan != plan {
			plan = m.plan
			fmt.Fprintf(&b, "\n## %s\n\n| Module | What we do | Id | Tests | Result |\n|---|---|---|---|---|\n", plan)
		}
		k := c.byID[m.id]
		tests := k.of(m.name)
		if k.why != "" {
			tests = k.why
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", cell(m.name), cell(m.verdict), m.id, tests, k.result())
	}
	return b.String()
}

// of lists the tests that carry the module's own name, and all of the check's where none does.
func (c *check) of(module string) string {
	own := &check{tests: map[string]string{}}
	for name, result := range c.tests {
		if strings.HasSuffix(name, "_"+module) {
			own.tests[name] = result
		}
	}
	if len(own.tests) > 0 {
		return own.listed()
	}
	return c.listed()
}
