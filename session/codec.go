package session

import (
	"encoding/binary"
	"errors"
	"time"
)

// ErrPayload is what a [Reader] reports for a payload that is not in its form.
var ErrPayload = errors.New("session: the payload is malformed")

// AppendVersion appends the version of a payload's form; it goes first, and
// [Reader.Version] reads it.
func AppendVersion(b []byte, version byte) []byte { return append(b, version) }

// AppendText appends a string of any bytes, with its length in front.
func AppendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// AppendInt appends a number, in 1 to 10 bytes.
func AppendInt(b []byte, n int64) []byte { return binary.AppendVarint(b, n) }

// AppendBool appends a truth value, in one byte.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// AppendTime appends a time, cut down to seconds. The zero time stays zero;
// times before 1970-01-01T00:00:01Z become it.
func AppendTime(b []byte, t time.Time) []byte {
	return AppendInt(b, max(t.Unix(), 0))
}

// AppendCount appends how many entries follow; a negative count is written as
// none. [Reader.Count] reads it.
func AppendCount(b []byte, n int) []byte {
	return binary.AppendUvarint(b, uint64(max(n, 0)))
}

// Reader reads a payload that the Append functions wrote, field by field and in
// the same order. Its first error sticks: from then on every method returns its
// zero value, so that a caller checks once, with [Reader.Done]. No input makes
// it panic, or allocate beyond the one copy of the payload that all its texts
// are parts of.
//
// A Reader checks the form of the fields and nothing of what they say.
type Reader struct {
	rest   string
	failed bool
}

// NewReader returns a Reader of the payload, which it copies once. A payload
// above [MaxSealed] is malformed.
func NewReader(payload []byte) *Reader {
	if len(payload) > MaxSealed {
		return &Reader{failed: true}
	}
	return &Reader{rest: string(payload)}
}

// Version reads the version byte; 0 stands for a payload without one.
func (r *Reader) Version() byte {
	if r.failed || len(r.rest) == 0 {
		r.fail()
		return 0
	}
	v := r.rest[0]
	r.rest = r.rest[1:]
	return v
}

// Text reads a string. All texts of a Reader share the memory of one copy of
// the payload: keeping one keeps them all.
func (r *Reader) Text() string {
	n := r.uvarint()
	if n > uint64(len(r.rest)) {
		r.fail()
		return ""
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

// Int reads a number.
func (r *Reader) Int() int64 {
	u := r.uvarint()
	n := int64(u >> 1)
	if u&1 != 0 {
		n = ^n
	}
	return n
}

// Bool reads a truth value. Bytes other than 0 and 1 are malformed.
func (r *Reader) Bool() bool {
	v := r.Version()
	if v > 1 {
		r.fail()
		return false
	}
	return v == 1
}

// Time reads a time, in UTC and whole seconds. Negative times and those after
// the year 9999 are malformed.
func (r *Reader) Time() time.Time {
	const endOf9999 = 253402300799
	n := r.Int()
	if n < 0 || n > endOf9999 {
		r.fail()
		return time.Time{}
	}
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}

// Count reads how many entries follow. A count above limit is malformed, and so
// is one above the bytes that are left, as each entry takes one at least.
func (r *Reader) Count(limit int) int {
	n := r.uvarint()
	if limit < 0 || n > uint64(limit) || n > uint64(len(r.rest)) {
		r.fail()
		return 0
	}
	return int(n) //nolint:gosec // bounded above
}

// Err returns [ErrPayload] when a field so far was malformed.
func (r *Reader) Err() error {
	if r.failed {
		return ErrPayload
	}
	return nil
}

// Done returns [ErrPayload] when a field was malformed, or when something is
// left after the last one.
func (r *Reader) Done() error {
	if len(r.rest) > 0 {
		r.fail()
	}
	return r.Err()
}

func (r *Reader) fail() { r.rest, r.failed = "", true }

// uvarint reads one unsigned number in its shortest form; a longer one, or one
// above 64 bits, is malformed.
func (r *Reader) uvarint() uint64 {
	var n uint64
	for i := range len(r.rest) {
		c := r.rest[i]
		switch {
		case i == binary.MaxVarintLen64-1 && c > 1, c == 0 && i > 0:
			r.fail()
			return 0
		case c < 0x80:
			r.rest = r.rest[i+1:]
			return n | uint64(c)<<(7*i)
		}
		n |= uint64(c&0x7f) << (7 * i)
	}
	r.fail()
	return 0
}
