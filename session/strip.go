package session

import (
	"net/http"
	"strings"
)

// StripCookies takes the cookies whose name own accepts out of the Cookie lines
// of h, which is the header of a request on its way to the application. All
// others stay byte for byte as they were sent, and in their order; a line in
// which nothing is left is removed. The slice of lines is replaced and not
// written to, so a shallow copy of h is safe.
//
// Lines are split at every ';', within quotes too, as browsers and RFC 6265
// have it. A name without '=' counts as a name. own is given the name without
// the blanks around it, and may be called several times for one.
func StripCookies(h http.Header, own func(name string) bool) {
	lines := h["Cookie"]
	touched := false
	for _, line := range lines {
		touched = touched || carries(line, own)
	}
	if !touched {
		return
	}
	var kept []string
	for _, line := range lines {
		if carries(line, own) {
			line = stripLine(line, own)
			if strings.Trim(line, "; \t") == "" {
				continue
			}
		}
		kept = append(kept, line)
	}
	if len(kept) == 0 {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = kept
}

func carries(line string, own func(string) bool) bool {
	for more := true; more; {
		var pair string
		pair, line, more = strings.Cut(line, ";")
		if own(cookieName(pair)) {
			return true
		}
	}
	return false
}

// stripLine drops each pair that is ours with the ';' before it; what comes
// first in the end has no blanks before it that stood after a ';'.
func stripLine(line string, own func(string) bool) string {
	var out strings.Builder
	first, droppedFirst := true, false
	for more := true; more; {
		var pair string
		pair, line, more = strings.Cut(line, ";")
		switch {
		case own(cookieName(pair)):
			droppedFirst = droppedFirst || first
			continue
		case first && droppedFirst:
			pair = strings.TrimLeft(pair, " \t")
		case !first:
			out.WriteByte(';')
		}
		if first {
			out.Grow(len(pair) + len(";") + len(line)) // often nothing is left, and nothing needed
		}
		first = false
		out.WriteString(pair)
	}
	return out.String()
}

func cookieName(pair string) string {
	name, _, _ := strings.Cut(pair, "=")
	return trimBlanks(name)
}
