package doctor

import (
	"fmt"
	"io"
	"strings"
	"unicode"
)

// Level says how bad a finding is.
type Level string

// The levels, from good to bad.
const (
	OK      Level = "ok"
	Note    Level = "note"    // good to know; nothing has to be done
	Warning Level = "warning" // logins work, but not for everybody, or not as safely as they should
	Problem Level = "problem" // logins don't work, or the application isn't protected
)

// Finding is what one check has found.
type Finding struct {
	Level Level `json:"level"`
	// Check is the name of the check, which stays the same from release to release.
	Check string `json:"check"`
	// What was seen, why it matters, and how to mend it. The last two are empty where all is well.
	What string `json:"what"`
	Why  string `json:"why,omitempty"`
	Cure string `json:"cure,omitempty"`
}

// Report is everything that was found.
type Report struct {
	// About is what was asked: a URL, or an issuer.
	About    string    `json:"about"`
	Findings []Finding `json:"findings"`
	// Requests is how many requests were made.
	Requests int `json:"requests"`
}

// Count returns how many findings have the given level.
func (r *Report) Count(l Level) int {
	n := 0
	for _, f := range r.Findings {
		if f.Level == l {
			n++
		}
	}
	return n
}

// Print writes a line for each finding, with why it matters and the cure on the same line, and a summary.
func (r *Report) Print(w io.Writer) {
	for _, f := range r.Findings {
		line := fmt.Sprintf("%-8s %-17s %s", f.Level, f.Check, sentence(f.What))
		if f.Why != "" {
			line += " " + sentence(f.Why)
		}
		if f.Cure != "" {
			line += " Cure: " + sentence(f.Cure)
		}
		fmt.Fprintln(w, line)
	}
	fmt.Fprintf(w, "\n%s: %s, %s, %s\n", r.About, plural(r.Count(Problem), "problem"), plural(r.Count(Warning), "warning"), plural(r.Requests, "request"))
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// sentence makes s a sentence on one line, with a capital letter and a full stop.
func sentence(s string) string {
	s = clean(s)
	first, _, _ := strings.Cut(s, " ")
	if s != "" && s[0] >= 'a' && s[0] <= 'z' && !strings.ContainsAny(first, "_./=") { // names of settings stay as they are
		s = strings.ToUpper(s[:1]) + s[1:]
	}
	if s == "" || strings.ContainsAny(s[len(s)-1:], ".!?") {
		return s
	}
	return s + "."
}

// clean makes text from outside fit for a line of a terminal: no control characters, and none that change the direction
// of what follows or that can't be seen.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
			return ' '
		}
		return r
	}, s)
}

// short is clean, and bounded.
func short(s string) string {
	const most = 160
	s = clean(s)
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return s
}

// findings collects what the checks say.
type findings struct{ list []Finding }

func (f *findings) add(l Level, check, what, why, cure string) {
	f.list = append(f.list, Finding{Level: l, Check: check, What: clean(what), Why: clean(why), Cure: clean(cure)})
}

func (f *findings) ok(check, what string) { f.add(OK, check, what, "", "") }

func (f *findings) note(check, what, cure string) { f.add(Note, check, what, "", cure) }

func (f *findings) warn(check, what, why, cure string) { f.add(Warning, check, what, why, cure) }

func (f *findings) problem(check, what, why, cure string) { f.add(Problem, check, what, why, cure) }
