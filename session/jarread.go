package session

import (
	"net/http"
	"slices"
	"strings"
)

// Get returns the sealed text in the request's cookies, h being its header.
// The text is empty unless Found is [One]. It is not opened: that is for
// [Box.Open], which alone tells whether it is ours.
//
// The Cookie lines are read as they are: names are compared byte by byte, and
// values must be as [Jar.Set] writes them, without quotes. Several cookies of
// the name with the same value count as one. A request with one cookie line
// and an unchunked value costs no allocation.
func (j *Jar) Get(h http.Header) (string, Found) {
	var first string
	seen := false
	s := newScanner(h)
	for name, value, ok := s.next(); ok; name, value, ok = s.next() {
		if j.index(name) != 0 {
			continue
		}
		seen = true
		switch form := j.form(value); {
		case form == malformed || value == first:
		case form == chunked || first != "":
			return j.getSlow(h)
		default:
			first = value
		}
	}
	switch {
	case first != "":
		return first, One
	case seen:
		return "", Broken
	}
	return "", None
}

// getSlow is Get where there is more than one value, or one in chunks.
func (j *Jar) getSlow(h http.Header) (string, Found) {
	switch values := j.Values(h); len(values) {
	case 0:
		return "", Broken
	case 1:
		return values[0], One
	}
	return "", Conflict
}

// Values returns every different sealed text that the request's cookies make
// up, in the order in which they were sent: none, one, or for a [Conflict] up
// to four. With more than four it returns none, so that nobody overlooks one by
// looking at the first few. Where chunks of one name differ, every combination
// counts; wrong ones don't open.
func (j *Jar) Values(h http.Header) []string {
	heads, ok := j.distinct(h, 0)
	if !ok {
		return nil
	}
	var values []string
	for _, head := range heads {
		texts := []string{head}
		if j.form(head) == chunked {
			if texts, ok = j.join(h, head); !ok {
				return nil
			}
		}
		for _, text := range texts {
			if !slices.Contains(values, text) {
				values = append(values, text)
			}
		}
		if len(values) > maxCandidates {
			return nil
		}
	}
	return values
}

// join puts the texts together that start with this chunked head: several where
// the chunks differ, none where one is missing. ok is false when there are more
// than the limit.
func (j *Jar) join(h http.Header, head string) (texts []string, ok bool) {
	texts = []string{head[chunkHeadLen:]}
	for i := 1; i < int(head[1]-'0'); i++ {
		parts, ok := j.distinct(h, i)
		if !ok || len(texts)*len(parts) > maxCandidates {
			return nil, false
		}
		longer := make([]string, 0, len(texts)*len(parts))
		for _, text := range texts {
			for _, part := range parts {
				longer = append(longer, text+part)
			}
		}
		texts = longer
	}
	return slices.DeleteFunc(texts, func(text string) bool {
		return len(text) > MaxSealed || !isSealed(text)
	}), true
}

// distinct returns the well-formed, different values of one of our cookies. ok
// is false when there are more than the limit.
func (j *Jar) distinct(h http.Header, index int) (values []string, ok bool) {
	s := newScanner(h)
	for name, value, more := s.next(); more; name, value, more = s.next() {
		if j.index(name) != index || slices.Contains(values, value) {
			continue
		}
		if index == 0 && j.form(value) == malformed || index > 0 && !isChunk(value) {
			continue
		}
		if len(values) == maxCandidates {
			return nil, false
		}
		values = append(values, value)
	}
	return values, true
}

type form int

const (
	malformed form = iota
	whole
	chunked
)

// form tells how the value of the first cookie is to be read, by its first
// character: this is on the path of every request, and [Box.Open] looks at every
// byte of what turns out to be new.
func (j *Jar) form(value string) form {
	switch {
	case len(value) < 2 || len(value) > MaxCookieBytes:
		return malformed
	case value[:1] == formatSealed:
		return whole
	case strings.HasPrefix(value, formatChunked) && len(value) > chunkHeadLen &&
		'2' <= value[1] && int(value[1]-'0') <= j.maxChunks() && isBase64URL(value):
		return chunked
	}
	return malformed
}

func isChunk(value string) bool {
	return value != "" && len(value) <= MaxCookieBytes && isBase64URL(value)
}
