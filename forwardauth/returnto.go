package forwardauth

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

const (
	// ownSegment is the first segment of the paths that are ours, pathPrefix.
	ownSegment = "_vipps"

	// maxReturnTo bounds a return path, before and after it is re-encoded.
	maxReturnTo = 2048

	// maxReturnToDecodings is how many layers of percent-encoding are looked
	// through: one for us, one for a proxy behind us, one for the application.
	maxReturnToDecodings = 3
)

// cleanReturnTo decides where a browser may be sent after a login or a logout.
// It takes a path on the site, with an optional query, as it is after one
// parse, and returns the same path written anew. Everything that a browser, a
// proxy or an application could read as another origin, and every spelling of
// our own endpoints, is refused.
//
// An ordinary path survives: valid escapes and double slashes inside it stay as
// they are, and bytes that need an escape get one (RFC 3986, section 2.1).
// It does not check that the path exists, nor that the person may see it.
//
// Whoever sends the result as a Location writes the header directly:
// [net/http.Redirect] would clean the path.
func cleanReturnTo(raw string) (string, bool) {
	if len(raw) == 0 || len(raw) > maxReturnTo || raw[0] != '/' {
		return "", false
	}
	path, query, _ := strings.Cut(raw, "?")
	if !safeRawPath(path) || !safeRawQuery(query) {
		return "", false
	}
	u, err := url.Parse(path)
	if err != nil || u.Scheme != "" || u.Opaque != "" || u.Host != "" || u.User != nil || u.Fragment != "" {
		return "", false
	}
	for range maxReturnToDecodings + 1 {
		if !safePathLayer(path) {
			return "", false
		}
		next := decodeOnce(path)
		if next == path {
			break
		}
		path = next
	}
	out := encodeReturnTo(raw[:len(raw)-len(query)], pathByteKept) + encodeReturnTo(query, queryByteKept)
	if len(out) > maxReturnTo {
		return "", false
	}
	return out, true
}

// returnToFromURI is the return path of a request that was asked for by uri,
// and "/" when that is not a place to come back to.
func returnToFromURI(uri string) string {
	if clean, ok := cleanReturnTo(uri); ok {
		return clean
	}
	return "/"
}

// safeRawPath refuses the bytes that no path of a return URL has: control
// bytes, blanks, backslashes (a browser reads them as slashes) and a fragment.
func safeRawPath(path string) bool {
	for i := range len(path) {
		if c := path[i]; c <= ' ' || c == 0x7f || c == '\\' || c == '#' {
			return false
		}
	}
	return true
}

// safeRawQuery refuses control bytes and a fragment. A query cannot change the
// origin, so blanks and backslashes in it are only escaped.
func safeRawQuery(query string) bool {
	for i := range len(query) {
		if c := query[i]; c < ' ' || c == 0x7f || c == '#' {
			return false
		}
	}
	return true
}

// safePathLayer judges a path under one layer of decoding, read in the ways of
// the servers it may meet: with backslashes as slashes, with and without path
// parameters (";x"), as it stands and with its dot segments removed.
func safePathLayer(path string) bool {
	if pathHasControls(path) || hasOverlongUTF8(path) {
		return false
	}
	slashed := strings.ReplaceAll(path, `\`, "/")
	for _, reading := range [...]string{slashed, withoutParameters(slashed)} {
		for _, segments := range [...][]string{strings.Split(reading[1:], "/"), dotCleaned(reading)} {
			if leavesOrigin(segments) || insidePrefix(segments) {
				return false
			}
		}
	}
	return true
}

// leavesOrigin reports whether the path of these segments starts with two slashes for
// somebody: an empty first segment with another one behind it, a blank one, or
// one that starts with a character that is folded to a slash.
func leavesOrigin(segments []string) bool {
	first := strings.TrimLeft(segments[0], " \u00a0\u3000")
	if first == "" {
		return len(segments) > 1
	}
	r, _ := utf8.DecodeRuneInString(first)
	return slashLike(r)
}

// insidePrefix reports whether the path of these segments is one of our own endpoints for
// a server that ignores case, merges slashes, or drops what trails a name.
func insidePrefix(segments []string) bool {
	for _, segment := range segments {
		if segment == "" {
			continue
		}
		return strings.EqualFold(strings.Trim(segment, ". "), ownSegment)
	}
	return false
}

// dotCleaned returns the segments of path without "." and ".." (RFC 3986,
// section 5.2.4). Unlike path.Clean it keeps empty segments: "/a/..//b" is
// "//b" to a browser. The path starts with a slash; there is always at least
// one segment.
func dotCleaned(path string) []string {
	var segments []string
	parts := strings.Split(path[1:], "/")
	for i, part := range parts {
		last := i == len(parts)-1
		switch part {
		case ".", "..":
			if part == ".." && len(segments) > 0 {
				segments = segments[:len(segments)-1]
			}
			if last {
				segments = append(segments, "")
			}
		default:
			segments = append(segments, part)
		}
	}
	return segments
}

// withoutParameters drops ";…" from every segment, as servlet containers do.
func withoutParameters(path string) string {
	if !strings.Contains(path, ";") {
		return path
	}
	parts := strings.Split(path, "/")
	for i, part := range parts {
		parts[i], _, _ = strings.Cut(part, ";")
	}
	return strings.Join(parts, "/")
}

// pathHasControls reports control characters and line separators. Bytes that are
// not UTF-8 are letters of an older encoding, and pass.
func pathHasControls(s string) bool {
	for _, r := range s {
		if r < ' ' || r >= 0x7f && r <= 0x9f || r == '\u2028' || r == '\u2029' {
			return true
		}
	}
	return false
}

// hasOverlongUTF8 reports an ASCII or other character that is spelled with more
// bytes than it needs, such as C0 AF for a slash.
func hasOverlongUTF8(s string) bool {
	for i := 0; i+1 < len(s); i++ {
		next := s[i+1]
		switch s[i] {
		case 0xc0, 0xc1:
			if next >= 0x80 && next <= 0xbf {
				return true
			}
		case 0xe0:
			if next >= 0x80 && next <= 0x9f {
				return true
			}
		case 0xf0:
			if next >= 0x80 && next <= 0x8f {
				return true
			}
		}
	}
	return false
}

// slashLike reports characters that Unicode folding, or a reader, takes for a
// slash or a backslash.
func slashLike(r rune) bool {
	switch r {
	case '/', '\\', '\u2044', '\u2215', '\u2216', '\u29f5', '\u29f8', '\u29f9',
		'\u3031', '\u3033', '\ufe68', '\uff0f', '\uff3c':
		return true
	}
	return false
}

// decodeOnce undoes one layer of percent-encoding and leaves what is no valid
// escape as it is.
func decodeOnce(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if isEscape(s, i) {
			out = append(out, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
			continue
		}
		out = append(out, s[i])
	}
	return string(out)
}

// encodeReturnTo escapes every byte that kept refuses.
func encodeReturnTo(s string, kept func(byte) bool) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(s))
	for i := range len(s) {
		if c := s[i]; kept(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}

// pathByteKept reports what browsers leave unescaped in a path.
func pathByteKept(c byte) bool {
	return queryByteKept(c) && !strings.ContainsRune("^`{}", rune(c))
}

// queryByteKept reports what browsers leave unescaped in a query, but for the
// backslash.
func queryByteKept(c byte) bool {
	return c > ' ' && c < 0x7f && !strings.ContainsRune(`"<>\#`, rune(c))
}

// isEscape reports whether a percent sign and two hexadecimal digits are at i.
func isEscape(s string, i int) bool {
	return s[i] == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2])
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f'
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return (c | 0x20) - 'a' + 10
}
