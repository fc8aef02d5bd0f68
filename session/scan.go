package session

import (
	"iter"
	"net/http"
	"strings"
)

// Cookies yields the name and value of every cookie in the Cookie lines of h,
// in order, as they were sent: names keep their case, values their quotes, and
// no character is refused. net/http's own reading differs in all three, and
// drops what it dislikes. A part without '=' is passed over.
func Cookies(h http.Header) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		s := newScanner(h)
		for {
			name, value, ok := s.next()
			if !ok || !yield(name, value) {
				return
			}
		}
	}
}

// scanner walks through the cookies of a request without allocating.
type scanner struct {
	lines []string
	line  string
}

func newScanner(h http.Header) scanner { return scanner{lines: h["Cookie"]} }

// next returns the next name=value pair (RFC 6265 section 4.2.1). Blanks
// around a pair are dropped, those within are kept.
func (s *scanner) next() (name, value string, ok bool) {
	for {
		for s.line == "" {
			if len(s.lines) == 0 {
				return "", "", false
			}
			s.line, s.lines = s.lines[0], s.lines[1:]
		}
		var pair string
		pair, s.line, _ = strings.Cut(s.line, ";")
		if name, value, ok = strings.Cut(trimBlanks(pair), "="); ok {
			return name, value, true
		}
	}
}

// trimBlanks drops spaces and tabs at both ends, and no other white space.
func trimBlanks(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}
