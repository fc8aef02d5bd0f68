package fcgi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// A Request is what a web server asks.
type Request struct {
	// Params are the variables, in the order in which they came. A name may be there more than once.
	Params []Param
	// RemoteAddr is the address of the web server, as host:port, or "@" on a Unix socket.
	RemoteAddr string
}

// Param returns the value of a variable that is there exactly once. ok is false for any other.
func (r *Request) Param(name string) (value string, ok bool) {
	for _, p := range r.Params {
		if p.Name != name {
			continue
		}
		if ok {
			return "", false
		}
		value, ok = p.Value, true
	}
	return value, ok
}

// An Answer is what the web server is told. Status 200 lets the request pass: the web server then takes the fields whose
// names begin with Variable- (section 6.3). With any other status it sends status, fields and body to the client.
type Answer struct {
	// Status is an HTTP status from 200 to 599. Any other counts as 500.
	Status int
	// Header holds the fields. One that can't be a field is left out.
	Header http.Header
	// Body is the content.
	Body []byte
}

// appendAnswer writes an answer as CGI does (section 6.2): the header in records of its own, and then the empty line
// that ends it, together with the body. mod_authnz_fcgi keeps of the body what it reads at once with that empty line
// (handle_response: apr_brigade_flatten runs when the header ends), so this leaves the whole buffer, 8 KB, to the body.
func appendAnswer(b []byte, id uint16, a *Answer) []byte {
	b = appendStream(b, typeStdout, id, a.head())
	b = appendStream(b, typeStdout, id, append([]byte("\r\n"), a.Body...))
	b = appendRecord(b, typeStdout, id, nil)
	return appendEnd(b, id, requestComplete)
}

// head writes status and fields, sorted, without the empty line at the end.
func (a *Answer) head() []byte {
	status := a.Status
	if status < 200 || status > 599 {
		status = http.StatusInternalServerError
	}
	head := fmt.Appendf(nil, "Status: %d %s\r\n", status, http.StatusText(status))
	names := make([]string, 0, len(a.Header))
	for name := range a.Header {
		if isToken(name) && !strings.EqualFold(name, "Status") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range a.Header[name] {
			if !strings.ContainsAny(value, "\r\n\x00") {
				head = fmt.Appendf(head, "%s: %s\r\n", name, value)
			}
		}
	}
	return head
}

// isToken reports a field's name (RFC 9110, section 5.6.2).
func isToken(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
	})
}
