package integration_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
)

// A fault is one way in which what stands behind an address fails somebody who asks it.
type fault struct {
	name   string
	theirs *theirs // another server answers in its place
	bytes  string  // as does something that speaks no HTTP
	cut    cutAt   // where its own answer ends
	lacks  int     // bytes at its end
	resets bool    // with a reset of the connection
	hangs  bool    // nothing more comes, ever
	late   bool    // it comes when nobody waits for it any more
}

// theirs is another server's answer.
type theirs struct {
	status int
	header string // lines
	body   string
}

// cutAt is a place in an answer.
type cutAt int

const (
	whole cutAt = iota
	atStart
	inStatusLine
	afterStatusLine
	inHeaders
	beforeBody  // the empty line is missing
	inBody      // of a refusal: a yes has none
	inBodyOfYes // which is given one
)

const stackTrace = "<html><title>502</title><pre>panic: runtime error: invalid memory address\n\ngoroutine 1 [running]:\nmain.main()</pre></html>"

// faults are what may become of a service in all its days. That it doesn't listen, and that it stands still, is tried beside them.
func faults() []fault {
	page := "Content-Type: text/html\r\n"
	return []fault{
		{name: "closes without an answer", cut: atStart},
		{name: "never answers", cut: atStart, hangs: true},
		{name: "answers too late", late: true},
		{name: "stops in the headers", cut: inHeaders, hangs: true},
		{name: "cut in the status line", cut: inStatusLine},
		{name: "cut after the status line", cut: afterStatusLine},
		{name: "cut in the headers", cut: inHeaders},
		{name: "cut before the end of the headers", cut: beforeBody},
		{name: "cut in the body of a refusal", cut: inBody},
		{name: "cut in the body of a yes", cut: inBodyOfYes},
		{name: "reset before the answer", cut: atStart, resets: true},
		{name: "reset in the headers", cut: inHeaders, resets: true},
		{name: "no HTTP at all", bytes: "SSH-2.0-OpenSSH_9.2\r\n\r\n"},
		{name: "another server's 200", theirs: &theirs{200, page, "<h1>It works!</h1>"}},
		{name: "another server's 200 of nobody we know", theirs: &theirs{200, "X-Vipps-Auth: maybe\r\n", ""}},
		{name: "another server's 204", theirs: &theirs{204, "", ""}},
		{name: "another server's 206", theirs: &theirs{206, "Content-Range: bytes 0-1/9\r\n", "hi"}},
		{name: "another server's 302 to nowhere", theirs: &theirs{302, "", ""}},
		{name: "another server's 304", theirs: &theirs{304, "Etag: \"x\"\r\n", ""}},
		{name: "another server's 500", theirs: &theirs{500, "", ""}},
		{name: "another server's 502, with a stack trace", theirs: &theirs{502, page, stackTrace}},
		{name: "another server's 503", theirs: &theirs{503, page, stackTrace}},
	}
}

// of gives what arrives of an answer, in HTTP or in FastCGI.
func (c cutAt) of(answer []byte) []byte {
	line := bytes.Index(answer, []byte("\r\n")) + 2
	head := bytes.Index(answer, []byte("\r\n\r\n")) + 4
	if c == whole {
		return answer
	}
	if c == atStart || line < 2 || head < line {
		return nil
	}
	switch c {
	case inStatusLine:
		return answer[:line*2/3]
	case afterStatusLine:
		return answer[:line]
	case inHeaders:
		return answer[:(line+head)/2]
	case beforeBody:
		return answer[:head-2]
	case inBody:
		return answer[:(head+len(answer))/2]
	case inBodyOfYes:
		if text := string(answer[:head]); strings.Contains(text, "\r\nContent-Length: 0\r\n") {
			return []byte(strings.Replace(text, "\r\nContent-Length: 0\r\n", "\r\nContent-Length: 5\r\n", 1) + "ab")
		}
		return answer[:(head+len(answer))/2] // FastCGI: the answer's end is missing
	default:
		return nil
	}
}

// overHTTP is the answer as it is written.
func (o *theirs) overHTTP() []byte {
	length := fmt.Sprintf("Content-Length: %d\r\n", len(o.body))
	if o.status == http.StatusNoContent || o.status == http.StatusNotModified {
		length = ""
	}
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\n%s%sConnection: close\r\n\r\n%s", o.status, http.StatusText(o.status), o.header, length, o.body)
}

// overFastCGI is the answer in two records of the only request on its connection, FCGI_STDOUT and FCGI_END_REQUEST
// (FastCGI specification, sections 3.3 and 5).
func (o *theirs) overFastCGI() []byte {
	text := fmt.Sprintf("Status: %d %s\r\n%s\r\n%s", o.status, http.StatusText(o.status), o.header, o.body)
	record := binary.BigEndian.AppendUint16([]byte{1, 6, 0, 1}, uint16(len(text)))
	return append(append(append(record, 0, 0), text...), 1, 3, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
}
