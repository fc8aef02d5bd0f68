package integration_test

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	head  = 8  // bytes of a needle by which it is looked up: what is shorter can't be looked for
	piece = 24 // of a longer value its beginning is enough, so that what a log has cut short is found too
)

// A needle is one form of one marker.
type needle struct{ text, kind, form string }

// A scanner finds many needles in one pass: at each byte a bit says whether any needle begins with the eight bytes there.
type scanner struct {
	bits  []uint64
	heads map[uint64][]needle
	size  int
}

func newScanner() *scanner {
	return &scanner{bits: make([]uint64, 1<<18), heads: map[uint64][]needle{}}
}

func headOf[T string | []byte](text T) uint64 { return binary.LittleEndian.Uint64([]byte(text[:head])) }

func (s *scanner) bit(h uint64) (word *uint64, mask uint64) {
	at := h * 0x9e3779b97f4a7c15 >> 40 // 24 bits
	return &s.bits[at>>6], 1 << (at & 63)
}

// add looks for a marker in all its forms.
func (s *scanner) add(kind, value string) {
	end := min(len(value), piece)
	for end < len(value) && !utf8.RuneStart(value[end]) {
		end++
	}
	for _, f := range writings {
		for _, text := range f.write(value[:end]) {
			if len(text) < head {
				continue
			}
			h := headOf(text)
			known := false
			for _, n := range s.heads[h] {
				known = known || n.text == text && n.kind == kind
			}
			if !known {
				word, mask := s.bit(h)
				*word |= mask
				s.heads[h] = append(s.heads[h], needle{text, kind, f.name})
				s.size++
			}
		}
	}
}

// in calls found for each needle that a text holds, with the place where it begins.
func (s *scanner) in(text string, found func(at int, n needle)) {
	b := []byte(text)
	for i := 0; i+head <= len(b); i++ {
		h := binary.LittleEndian.Uint64(b[i:])
		if word, mask := s.bit(h); *word&mask == 0 {
			continue
		}
		for _, n := range s.heads[h] {
			if strings.HasPrefix(text[i:], n.text) {
				found(i, n)
			}
		}
	}
}

// writings are the ways in which an output may write a value.
var writings = []struct {
	name  string
	write func(string) []string
}{
	{"plain", func(s string) []string { return []string{s} }},
	{"URL", func(s string) []string { return escapedTwice(s, url.QueryEscape, url.PathEscape) }},
	{"URL, every byte", func(s string) []string { return escapedTwice(s, everyByte("%%%02X"), everyByte("%%%02x")) }},
	{"base64", func(s string) []string { return inBase64(s, base64.RawStdEncoding) }},
	{"base64url", func(s string) []string { return inBase64(s, base64.RawURLEncoding) }},
	{"hex", func(s string) []string {
		return []string{hex.EncodeToString([]byte(s)), strings.ToUpper(hex.EncodeToString([]byte(s)))}
	}},
	{"JSON", func(s string) []string {
		b, err := json.Marshal(s)
		if err != nil {
			panic(err)
		}
		ascii := strings.NewReplacer(`\x`, `\u00`).Replace(unquoted(strconv.QuoteToASCII(s)))
		return []string{unquoted(string(b)), ascii, strings.ToUpper(ascii)}
	}},
	{"Go", func(s string) []string {
		return []string{unquoted(strconv.Quote(s)), unquoted(strconv.QuoteToASCII(s))}
	}},
	{"HTML", func(s string) []string { return []string{html.EscapeString(s)} }},
	{"escaped bytes", func(s string) []string { // as nginx, Apache and HAProxy write what isn't ASCII
		return []string{notASCII(s, `\x%02X`), notASCII(s, `\x%02x`), notASCII(s, "#%02X"), notASCII(s, "%%%02X"), notASCII(s, "%%%02x")}
	}},
	{"Latin-1", func(s string) []string { return []string{latin1(s)} }},
}

func unquoted(s string) string { return s[1 : len(s)-1] }

// escapedTwice escapes a value in each way, and the outcome once more.
func escapedTwice(s string, escapes ...func(string) string) []string {
	var out []string
	for _, escape := range escapes {
		once := escape(s)
		out = append(out, once, lowerHex(once), url.QueryEscape(once), url.QueryEscape(lowerHex(once)))
	}
	return out
}

// lowerHex writes the digits of percent escapes in lower case.
func lowerHex(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:], strings.ToLower(string(b[i+1:i+3])))
		}
	}
	return string(b)
}

func everyByte(format string) func(string) string {
	return func(s string) string {
		var out strings.Builder
		for i := range len(s) {
			fmt.Fprintf(&out, format, s[i])
		}
		return out.String()
	}
}

func notASCII(s, format string) string {
	var out strings.Builder
	for i := range len(s) {
		if s[i] < 0x80 {
			out.WriteByte(s[i])
		} else {
			fmt.Fprintf(&out, format, s[i])
		}
	}
	return out.String()
}

func latin1(s string) string {
	var out []byte
	for _, r := range s {
		if r > 0xff {
			return s
		}
		out = append(out, byte(r))
	}
	return string(out)
}

// inBase64 is what base64 makes of a value wherever it stands in a text: for each of the three alignments the letters that
// depend on nothing but the value.
func inBase64(s string, enc *base64.Encoding) []string {
	var out []string
	for before := range 3 {
		whole := (before + len(s)) / 3 * 3 // without the rest, which what follows would change
		text := enc.EncodeToString(append(make([]byte, before), s...)[:whole])
		if skip := (before*8 + 5) / 6; skip < len(text) {
			out = append(out, text[skip:])
		}
	}
	return out
}

// realNumbers finds what could be a real national identity number of Norway: eleven digits by themselves, a date, and both
// check digits right. Synthetic ones have 80, 65 or 40 added to the month (Skatteetaten, NAV), so that nobody has them.
// Digits next to a letter are part of an identifier, and those in the name of a test's folder are drawn by the testing package:
// of so many, some will look like anybody's number.
func realNumbers(text string, found func(at int)) {
	folder := filepath.Join(os.TempDir(), "Test")
	at := func(i int) byte {
		if i < 0 || i >= len(text) {
			return ' '
		}
		return text[i]
	}
	digit := func(i int) bool { return at(i) >= '0' && at(i) <= '9' }
	letter := func(i int) bool { return at(i)|0x20 >= 'a' && at(i)|0x20 <= 'z' }
	for i := 0; i < len(text); i++ {
		if !digit(i) {
			continue
		}
		n := 1
		for digit(i + n) {
			n++
		}
		start := i
		i += n
		switch byte('%') { // an escape, as in %20 and %C3
		case at(start - 1):
			start += 2
		case at(start - 2):
			start++
		}
		fraction := at(start-1) == '.' && digit(start-2)
		identifier := letter(i) || letter(start-1) && at(start-2) != '\\' && at(start-3) != '%'
		if i-start != 11 || fraction || identifier || !isRealNumber(text[start:i]) {
			continue
		}
		if in := strings.LastIndex(text[:start], folder); in >= 0 && !strings.ContainsAny(text[in+len(folder):start], "/ \n\"") {
			continue
		}
		found(start)
	}
}

func isRealNumber(s string) bool {
	var d [11]int
	for i := range d {
		d[i] = int(s[i] - '0')
	}
	day, month := d[0]*10+d[1], d[2]*10+d[3]
	if day > 40 { // a D number
		day -= 40
	}
	if day < 1 || day > 31 || month < 1 || month > 12 {
		return false
	}
	sum := func(weights ...int) (total int) {
		for i, w := range weights {
			total += w * d[i]
		}
		return total % 11
	}
	return sum(3, 7, 6, 1, 8, 9, 4, 5, 2, 1) == 0 && sum(5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1) == 0
}
