package forwardauth

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"time"
)

// How revocations are written, where they are kept: text, a record a line, in any order, each as good as the others.
//
//	v1 <until> s <session> <person> <issued> <sum>      this session
//	v1 <until> p <person> <not before> <sum>            all of this person that began before
//	v1 <until> a <not before> <sum>                     all of everybody that began before
//
// Sessions and persons are digests, times are Unix seconds, and the sum is the CRC-32 of what stands before it: a line that
// was torn by a crash or spoilt otherwise is none. Blank lines and lines that begin with # are nothing. Every version has
// version, until and sum at these places, so that an older program can pass on, and forget in time, what a newer one wrote.
const (
	recordVersion   = "v1"
	maxRecordLine   = 512
	maxForeignLines = 10_000 // lines of newer versions that are passed on

	revocationsHeader = "# Sessions that vippsauth ended before their time. Hashes and times only. Losing this file\n" +
		"# lets a copy of the cookie of a session that was logged out work again until it expires.\n"
)

type recordKind byte

const (
	endsSession   recordKind = 's'
	endsPerson    recordKind = 'p'
	endsEverybody recordKind = 'a'
)

// record is one revocation.
type record struct {
	kind            recordKind
	session, person digest
	at              int64 // when the session was issued; or not before
	until           int64 // when it can be forgotten
}

func (r record) append(b []byte) []byte {
	start := len(b)
	b = append(b, recordVersion...)
	b = strconv.AppendInt(append(b, ' '), r.until, 10)
	b = append(b, ' ', byte(r.kind))
	if r.kind == endsSession {
		b = base64.RawURLEncoding.AppendEncode(append(b, ' '), r.session[:])
	}
	if r.kind != endsEverybody {
		b = base64.RawURLEncoding.AppendEncode(append(b, ' '), r.person[:])
	}
	b = strconv.AppendInt(append(b, ' '), r.at, 10)
	sum := sumOf(b[start:])
	return append(append(append(b, ' '), sum...), '\n')
}

func formatRecords(records []record) []byte {
	var b []byte
	for _, r := range records {
		b = r.append(b)
	}
	return b
}

// what a line is.
type lineKind int

const (
	lineGarbage lineKind = iota
	lineNothing          // blank, or a comment
	lineRecord
	lineForeign // whole, and of a version or kind that we don't know
)

// parseRecord reads a line. Of a foreign one only until is set.
func parseRecord(line []byte) (r record, kind lineKind) {
	line = bytes.TrimSuffix(line, []byte("\n"))
	if len(line) == 0 || line[0] == '#' {
		return r, lineNothing
	}
	last := bytes.LastIndexByte(line, ' ')
	if len(line) > maxRecordLine || last < 0 || sumOf(line[:last]) != string(line[last+1:]) {
		return r, lineGarbage
	}
	var ok bool
	fields := bytes.Split(line[:last], []byte(" "))
	if len(fields) < 2 {
		return r, lineGarbage
	}
	if r.until, ok = parseSeconds(fields[1]); !ok {
		return r, lineGarbage
	}
	if string(fields[0]) != recordVersion || len(fields) < 4 || len(fields[2]) != 1 {
		return record{until: r.until}, lineForeign
	}
	r.kind = recordKind(fields[2][0])
	rest := fields[3:]
	switch {
	case r.kind == endsSession && len(rest) == 3:
		ok = parseDigest(&r.session, rest[0]) && parseDigest(&r.person, rest[1])
	case r.kind == endsPerson && len(rest) == 2:
		ok = parseDigest(&r.person, rest[0])
	case r.kind == endsEverybody && len(rest) == 1:
	default:
		return record{until: r.until}, lineForeign
	}
	if !ok {
		return record{}, lineGarbage
	}
	if r.at, ok = parseSeconds(rest[len(rest)-1]); !ok {
		return record{}, lineGarbage
	}
	return r, lineRecord
}

func sumOf(text []byte) string { return fmt.Sprintf("%08x", crc32.ChecksumIEEE(text)) }

// parseSeconds reads a time as we write it, and no other way.
func parseSeconds(text []byte) (int64, bool) {
	const longest = 12 // digits: far beyond any session
	n, err := strconv.ParseInt(string(text), 10, 64)
	return n, err == nil && n >= 0 && len(text) <= longest && strconv.FormatInt(n, 10) == string(text)
}

func parseDigest(d *digest, text []byte) bool {
	raw, err := base64.RawURLEncoding.Strict().AppendDecode(nil, text)
	return err == nil && copy(d[:], raw) == len(d) && len(raw) == len(d)
}

// MergeRevocations gives what two texts of a [RevocationStore] say together, without what is over by now, said twice or no
// record. It is bounded: what is too much is widened, as in a [State]. Records of newer versions are passed on.
func MergeRevocations(kept, added []byte, now time.Time) []byte {
	set := newRevocations(maxRevoked, maxRevokedPersons)
	var foreign []string
	for _, text := range [][]byte{kept, added} {
		for line := range bytes.Lines(text) {
			switch r, kind := parseRecord(line); {
			case kind == lineRecord:
				set.add(r, now.Unix())
			case kind == lineForeign && now.Unix() < r.until && len(foreign) < maxForeignLines:
				foreign = append(foreign, string(bytes.TrimSuffix(line, []byte("\n"))))
			}
		}
	}
	// In one order, so that the same records are the same text.
	lines := make([]string, 0, len(set.sessions))
	for _, r := range set.records(now.Unix()) {
		lines = append(lines, string(r.append(nil)))
	}
	slices.Sort(lines)
	slices.Sort(foreign)
	b := []byte(revocationsHeader)
	for _, line := range lines {
		b = append(b, line...)
	}
	for _, line := range slices.Compact(foreign) {
		b = append(append(b, line...), '\n')
	}
	return b
}
