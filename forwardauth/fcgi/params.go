package fcgi

import (
	"encoding/binary"
	"errors"
)

const (
	maxParamsLength = 96 << 10 // Apache sends 64 KB of header fields at most unless it is told otherwise
	maxDiscarded    = 1 << 20  // read and thrown away beyond that, so that the answer arrives
	maxParams       = 500      // LimitRequestFields is 100, and Apache adds about forty of its own
)

// A Param is one variable of a request, such as REQUEST_METHOD.
type Param struct{ Name, Value string }

// errParams is a stream of variables that can't be read.
var errParams = errors.New("fcgi: malformed parameters")

// parseParams reads name-value pairs (section 3.4), at most maxParams.
func parseParams(b []byte) ([]Param, error) {
	var params []Param
	for len(b) > 0 {
		if len(params) == maxParams {
			return nil, errParams
		}
		nameLength, rest, ok := readLength(b)
		if !ok {
			return nil, errParams
		}
		valueLength, rest, ok := readLength(rest)
		if !ok || nameLength > len(rest) || valueLength > len(rest)-nameLength {
			return nil, errParams
		}
		params = append(params, Param{Name: string(rest[:nameLength]), Value: string(rest[nameLength : nameLength+valueLength])})
		b = rest[nameLength+valueLength:]
	}
	return params, nil
}

// readLength reads the length of a name or value: one byte, or four of which the first has its high bit set (section 3.4).
func readLength(b []byte) (length int, rest []byte, ok bool) {
	switch {
	case len(b) == 0:
		return 0, nil, false
	case b[0]>>7 == 0:
		return int(b[0]), b[1:], true
	case len(b) < 4:
		return 0, nil, false
	}
	return int(binary.BigEndian.Uint32(b) &^ (1 << 31)), b[4:], true
}

// appendParam writes one pair.
func appendParam(b []byte, name, value string) []byte {
	b = appendLength(appendLength(b, len(name)), len(value))
	return append(append(b, name...), value...)
}

func appendLength(b []byte, length int) []byte {
	if length < 1<<7 {
		return append(b, byte(length)) //nolint:gosec // below 128
	}
	return binary.BigEndian.AppendUint32(b, uint32(length)|1<<31) //nolint:gosec // of a text in memory
}
