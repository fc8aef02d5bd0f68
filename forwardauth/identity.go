package forwardauth

import (
	"io"
	"net/http"
	"slices"
	"strings"
)

// identityPrefix is the folded beginning of every header name that is ours.
const identityPrefix = "x-vipps-"

// fold returns the name that a header has for the most careless reader: lower
// case, every byte that is neither letter nor digit a hyphen, outer blanks gone.
// CGI, PHP and WSGI read X-Vipps-Sub, X_Vipps_Sub and X.Vipps.Sub as one.
func fold(name string) string {
	name = strings.Trim(name, " \t")
	folded := make([]byte, len(name))
	for i := range len(name) {
		folded[i] = foldByte(name[i])
	}
	return string(folded)
}

func foldByte(c byte) byte {
	switch {
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		return c
	case 'A' <= c && c <= 'Z':
		return c | 0x20
	}
	return '-'
}

// foldsTo reports whether fold(name) is folded, without allocating.
func foldsTo(name, folded string) bool {
	if len(name) != len(folded) {
		return false
	}
	for i := range len(name) {
		if foldByte(name[i]) != folded[i] {
			return false
		}
	}
	return true
}

// stripper knows which header names are ours. The zero value knows those that
// begin with X-Vipps-. It is immutable and safe for concurrent use.
type stripper struct {
	others     []string // folded names outside the prefix
	configured []string // as they are set, and as a proxy is sure to overwrite them
}

// newStripper returns the stripper for these headers.
func newStripper(specs []headerSpec) *stripper {
	s := &stripper{}
	for _, spec := range specs {
		s.configured = append(s.configured, spec.Name)
		folded := fold(spec.Name)
		if !strings.HasPrefix(folded, identityPrefix) && !slices.Contains(s.others, folded) {
			s.others = append(s.others, folded)
		}
	}
	return s
}

// ours reports whether a header of this name could reach an application as one
// of ours.
func (s *stripper) ours(name string) bool {
	name = trimBlanks(name)
	if len(name) >= len(identityPrefix) && name[0]|0x20 == 'x' && foldsTo(name[:len(identityPrefix)], identityPrefix) {
		return true
	}
	for _, other := range s.others {
		if foldsTo(name, other) {
			return true
		}
	}
	return false
}

// strip deletes every header of ours from h, whatever the spelling of its key,
// and reports whether there was one.
func (s *stripper) strip(h http.Header) (had bool) {
	for name := range h {
		if s.ours(name) {
			delete(h, name)
			had = true
		}
	}
	return had
}

// clean is what a request goes through before it may pass: every header of ours is deleted, and our names are taken
// out of Connection. A proxy behind us deletes every header that Connection names (RFC 9110, section 7.6.1), so a client
// could remove the identity that we are about to set.
func (s *stripper) clean(h http.Header) {
	for name, lines := range h { // one walk for both: every request pays for it
		switch {
		case s.ours(name):
			delete(h, name)
		case isConnection(name):
			s.cleanLines(h, name, lines)
		}
	}
}

func isConnection(name string) bool {
	return len(name) == len("Connection") && strings.EqualFold(name, "Connection")
}

// cleanLines takes our names out of the lines of a Connection header. Lines without a name of ours stay as they are.
func (s *stripper) cleanLines(h http.Header, name string, lines []string) {
	if !slices.ContainsFunc(lines, s.names) {
		return
	}
	kept := make([]string, 0, len(lines))
	for _, line := range lines {
		if s.names(line) {
			line = s.without(line)
		}
		if line != "" {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		delete(h, name)
	} else {
		h[name] = kept
	}
}

// names reports whether a comma-separated line names a header of ours.
func (s *stripper) names(line string) bool {
	for more := true; more; {
		var token string
		token, line, more = strings.Cut(line, ",")
		if s.ours(token) {
			return true
		}
	}
	return false
}

// without returns the line's other tokens.
func (s *stripper) without(line string) string {
	var kept []string
	for token := range strings.SplitSeq(line, ",") {
		if token = trimBlanks(token); token != "" && !s.ours(token) {
			kept = append(kept, token)
		}
	}
	return strings.Join(kept, ", ")
}

// hasAlias returns the name of a header that is one of ours and that a proxy
// would not overwrite: another spelling, such as X_Vipps_Sub, or a name in our
// namespace that no header is configured for, such as X-Vipps-Nin where it isn't
// listed. The canonical spelling of a configured one is no alias. Which one is
// returned of several is not defined.
func (s *stripper) hasAlias(h http.Header) (string, bool) {
	for name := range h {
		if s.ours(name) && !s.overwritten(name) {
			return name, true
		}
	}
	return "", false
}

// overwritten reports whether a proxy that copies our answer's headers replaces
// this one, or sets it itself.
func (s *stripper) overwritten(name string) bool {
	if !hyphenated(name) {
		return false
	}
	for _, own := range s.configured {
		if strings.EqualFold(name, own) {
			return true
		}
	}
	return strings.EqualFold(name, headerProxySecret)
}

// hyphenated reports a name of letters, digits and hyphens only.
func hyphenated(name string) bool {
	for i := range len(name) {
		if c := name[i]; c != '-' && !isLetter(c) && !isDigit(c) {
			return false
		}
	}
	return true
}

// cleanTrailer removes headers of ours from the request's trailers: those that
// are announced, and those that a chunked body brings in unannounced once it
// has been read.
func (s *stripper) cleanTrailer(r *http.Request) {
	s.strip(r.Trailer)
	if r.ContentLength == -1 && r.Body != nil && r.Body != http.NoBody {
		r.Body = &trailerGuard{ReadCloser: r.Body, request: r, stripper: s}
	}
}

// trailerGuard strips the trailers again when the body has ended, which is when
// net/http fills them in. It leaves Close alone: that may run beside a Read.
type trailerGuard struct {
	io.ReadCloser
	request  *http.Request
	stripper *stripper
}

func (g *trailerGuard) Read(p []byte) (int, error) {
	n, err := g.ReadCloser.Read(p)
	if err == io.EOF {
		g.stripper.strip(g.request.Trailer)
	}
	return n, err
}

func trimBlanks(s string) string {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}
