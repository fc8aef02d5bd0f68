package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/vipps"
)

// notSet is the source of a problem with a setting that stands nowhere.
const notSet = "not set"

// A problem is one thing wrong with the configuration, or one thing to know about it. It never holds a value.
type problem struct {
	source  string // where it comes from: "vippsauth.yaml:3", "VIPPSAUTH_MARKET", "--market", or notSet
	setting string // the setting's key; empty when it isn't about one
	what    string
	mend    string // what to do; empty when what says it
}

// String is the problem as one line.
func (p problem) String() string {
	var parts []string
	if p.source != "" {
		parts = append(parts, p.source)
	}
	if p.setting != "" {
		parts = append(parts, p.setting)
	}
	line := strings.Join(append(parts, p.what), ": ")
	if p.mend != "" {
		line += "; " + p.mend
	}
	return line
}

// A problemError is a problem that came up while something ran; source is empty.
type problemError struct {
	problem

	err error
}

func (e problemError) Error() string { return e.String() }
func (e problemError) Unwrap() error { return e.err }

// A report gathers everything that is wrong with the configuration, so that it can be said at once.
type report struct {
	problems []problem
	warnings []problem
	sources  map[string]string   // setting → where its value comes from
	values   map[string][]string // setting → what was given, for the log; nothing of secrets

	incomplete    bool                       // the configuration file couldn't be read, so that nobody knows what is set
	registrations []forwardauth.Registration // what to register with the provider, when nothing is wrong
}

func newReport() *report {
	return &report{sources: map[string]string{}, values: map[string][]string{}}
}

func (r *report) add(p problem)  { r.problems = append(r.problems, p) }
func (r *report) warn(p problem) { r.warnings = append(r.warnings, p) }

// addUnder adds the problems of a part of the configuration.
func (r *report) addUnder(label string, part *report) {
	for _, p := range part.problems {
		p.setting = label + ": " + p.setting
		r.add(p)
	}
}

// has reports whether key has a problem already.
func (r *report) has(key string) bool {
	return slices.ContainsFunc(r.problems, func(p problem) bool { return p.setting == key })
}

// isSet reports whether key has a value from any source.
func (r *report) isSet(key string) bool { return r.sources[key] != "" }

// source says where the value of key comes from, or that it isn't set.
func (r *report) source(key string) string {
	if s := r.sources[key]; s != "" {
		return s
	}
	return notSet
}

// addErrors adds what the packages below say about settings, with the source of each. Settings that have a problem
// already are left out: what follows from it would only confuse.
func (r *report) addErrors(err error) {
	before := slices.Clone(r.problems)
	had := func(key string) bool {
		return slices.ContainsFunc(before, func(p problem) bool { return p.setting == key })
	}
	for _, e := range flatten(err) {
		ce, ok := errors.AsType[*vipps.ConfigError](e)
		switch {
		case !ok:
			r.add(problem{source: "configuration", what: oneLine(e.Error())})
		case ce.Setting == "issuer" && had("environment") && !r.isSet("issuer"), had(ce.Setting):
		default:
			p := problem{source: r.source(ce.Setting), setting: ce.Setting, what: oneLine(ce.Reason)}
			if p.source == notSet {
				p.mend = howToSet(ce.Setting)
			}
			r.add(p)
		}
	}
}

// flatten returns the single errors that errors.Join put together.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	if _, ok := err.(*vipps.ConfigError); ok { //nolint:errorlint // wrapped ones are looked for below
		return []error{err}
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, e := range joined.Unwrap() {
			all = append(all, flatten(e)...)
		}
		return all
	}
	return []error{err}
}

// print writes every problem and warning, one a line.
func (r *report) print(w io.Writer) {
	for _, p := range r.problems {
		fmt.Fprintln(w, "error:", p)
	}
	for _, p := range r.warnings {
		fmt.Fprintln(w, "warning:", p)
	}
	switch n := len(r.problems); {
	case n == 1:
		fmt.Fprintln(w, "vippsauth: 1 problem in the configuration")
	case n > 1:
		fmt.Fprintf(w, "vippsauth: %d problems in the configuration\n", n)
	}
}

// howToSet names the places where a setting can be given.
func howToSet(key string) string {
	for _, s := range settingsTable() {
		if s.key != key {
			continue
		}
		if s.secret {
			return fmt.Sprintf("set %s or %s%s, or %s or %s%s in the --config file", s.envName(), s.envName(), fileSuffix, key, key, strings.ToLower(fileSuffix))
		}
		return fmt.Sprintf("set %s, %s in the --config file or --%s", s.envName(), key, s.flagName())
	}
	return ""
}

// oneLine makes text safe to print as part of one line.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
