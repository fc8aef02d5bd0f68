package fcgi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Types of records (section 8).
const (
	typeBeginRequest    = 1
	typeAbortRequest    = 2
	typeEndRequest      = 3
	typeParams          = 4
	typeStdin           = 5
	typeStdout          = 6
	typeStderr          = 7
	typeData            = 8
	typeGetValues       = 9
	typeGetValuesResult = 10
	typeUnknownType     = 11
)

const (
	version         = 1
	headerLength    = 8
	maxContent      = 0xffff
	roleAuthorizer  = 2
	flagKeepConn    = 1
	managementID    = 0 // of records that belong to no request (section 3.3)
	beginBodyLength = 8
)

// A protocolStatus says in FCGI_END_REQUEST how a request ended (section 5.5).
type protocolStatus byte

const (
	requestComplete protocolStatus = 0
	cantMultiplex   protocolStatus = 1
	unknownRole     protocolStatus = 3
)

// errProtocol is what a peer sends that no FastCGI 1.0 server would.
var errProtocol = errors.New("fcgi: malformed record")

// A record is one unit of the protocol (section 3.3). Its content is valid until the next one is read.
type record struct {
	kind    byte
	id      uint16
	content []byte
}

// A reader reads records into one buffer, which grows to the largest content seen, 64 KB at most.
type reader struct {
	in     io.Reader
	header [headerLength]byte
	buffer []byte
}

// next reads a record and the padding behind it, whose content is ignored (section 3.3).
func (r *reader) next() (record, error) {
	if _, err := io.ReadFull(r.in, r.header[:]); err != nil {
		return record{}, err
	}
	if r.header[0] != version {
		return record{}, fmt.Errorf("%w: version %d", errProtocol, r.header[0])
	}
	length := int(binary.BigEndian.Uint16(r.header[4:]))
	whole := length + int(r.header[6])
	if cap(r.buffer) < whole {
		r.buffer = make([]byte, whole)
	}
	r.buffer = r.buffer[:whole]
	if _, err := io.ReadFull(r.in, r.buffer); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return record{}, err
	}
	return record{kind: r.header[1], id: binary.BigEndian.Uint16(r.header[2:]), content: r.buffer[:length]}, nil
}

// appendRecord writes one record. Padding is optional (section 3.3), and there is none.
func appendRecord(b []byte, kind byte, id uint16, content []byte) []byte {
	length := min(len(content), maxContent)
	b = append(b, version, kind)
	b = binary.BigEndian.AppendUint16(b, id)
	b = binary.BigEndian.AppendUint16(b, uint16(length))
	b = append(b, 0, 0)
	return append(b, content[:length]...)
}

// appendStream writes content in as many records as it takes, without the empty one that ends a stream.
func appendStream(b []byte, kind byte, id uint16, content []byte) []byte {
	for len(content) > 0 {
		n := min(len(content), maxContent)
		b = appendRecord(b, kind, id, content[:n])
		content = content[n:]
	}
	return b
}

// appendEnd writes FCGI_END_REQUEST (section 5.5), with an application status of 0.
func appendEnd(b []byte, id uint16, status protocolStatus) []byte {
	return appendRecord(b, typeEndRequest, id, []byte{0, 0, 0, 0, byte(status), 0, 0, 0})
}

// appendManagement answers a management record: FCGI_GET_VALUES with what we know of the names asked for (section 4.1),
// any other with FCGI_UNKNOWN_TYPE (section 4.2).
func appendManagement(b []byte, rec record, maxConns int) []byte {
	if rec.kind != typeGetValues {
		return appendRecord(b, typeUnknownType, managementID, []byte{rec.kind, 0, 0, 0, 0, 0, 0, 0})
	}
	asked, err := parseParams(rec.content)
	if err != nil {
		asked = nil
	}
	var result []byte
	told := map[string]bool{}
	for _, p := range asked {
		if told[p.Name] {
			continue
		}
		told[p.Name] = true
		switch p.Name {
		case "FCGI_MAX_CONNS", "FCGI_MAX_REQS":
			result = appendParam(result, p.Name, fmt.Sprint(maxConns))
		case "FCGI_MPXS_CONNS":
			result = appendParam(result, p.Name, "0")
		}
	}
	return appendRecord(b, typeGetValuesResult, managementID, result)
}
