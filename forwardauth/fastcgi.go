package forwardauth

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/vippsauth/vippsauth/forwardauth/fcgi"
)

// maxFastCGIBody is how much of a body Apache passes on: 8192 bytes, with the two that end the header
// (modules/aaa/mod_authnz_fcgi.c, NON200_RESPONSE_BUF_LEN and AP_IOBUFSIZE).
const maxFastCGIBody = 8190

// variablePolicy is the variable that names the policy.
const variablePolicy = "VIPPS_POLICY"

// FastCGI answers a web server that asks a FastCGI authorizer, which is how Apache's mod_authnz_fcgi asks. Only trusted
// proxies get an answer, as at the other endpoints. A request that may pass is answered with the identity headers as
// variables, X-Vipps-Sub as VIPPS_SUB, and with nothing else: whatever stands beside them would go to the browser with
// the application's answer. Any other gets what the client is to get.
func (e *Engine) FastCGI(q *fcgi.Request) *fcgi.Answer {
	o, w := fromFastCGI(q), &recorded{header: http.Header{}, status: http.StatusOK}
	question := &http.Request{Method: http.MethodGet, RemoteAddr: q.RemoteAddr, Header: o.Header}
	if e.Trusts(question) {
		if s := e.siteOf(o.Host); s != nil && webScheme(o.Scheme) != "" {
			o.Scheme = s.scheme()
		}
		e.Judge(w, o, q.RemoteAddr)
	} else {
		e.untrusted(w, question)
	}
	if w.status == http.StatusOK {
		return variables(w.header)
	}
	return w.forApache()
}

// fromFastCGI recovers the judged request from the variables that Apache makes of it (server/util_script.c):
// REQUEST_METHOD, REQUEST_SCHEME, REQUEST_URI as the client wrote it, and a variable for each header field. A part that
// is missing or doubled stays empty, which nobody passes with.
//
// Fields whose names hold anything but letters, digits and hyphens never get here: Apache makes no variable of them, so
// its configuration has to refuse aliases such as X_Vipps_Sub itself. It joins doubled fields with a comma.
//
// The policy is in VIPPS_POLICY, which Apache's configuration sets (SetEnvIf): no client can, since what comes of header
// fields begins with HTTP_. One that is empty or doubled names no policy there is.
//
// REQUEST_SCHEME is that of Apache's own listener, http behind a load balancer that ends TLS. The caller puts the scheme
// of the public_url in its place, as the login's pages do; nothing is decided by it.
func fromFastCGI(q *fcgi.Request) Original {
	var o Original
	o.Method, _ = q.Param("REQUEST_METHOD")
	o.Scheme, _ = q.Param("REQUEST_SCHEME")
	o.Host, _ = q.Param("HTTP_HOST")
	o.URI, _ = q.Param("REQUEST_URI")
	policy, _ := q.Param(variablePolicy)
	o.Header = make(http.Header, len(q.Params))
	for _, p := range q.Params {
		if p.Name == variablePolicy {
			o.Policy = cmp.Or(policy, noPolicy)
		}
		name, ok := strings.CutPrefix(p.Name, "HTTP_")
		if p.Name == "CONTENT_TYPE" { // has no prefix (RFC 3875, section 4.1.3), and tells gRPC from others
			name, ok = p.Name, true
		}
		if ok && name != "HOST" {
			name = http.CanonicalHeaderKey(strings.ReplaceAll(name, "_", "-"))
			o.Header[name] = append(o.Header[name], p.Value)
		}
	}
	return o
}

// variables is the answer that lets a request pass: every identity header as a variable, empty ones too, and nothing of
// what is for caches. Where two headers have one variable, as Sub and X-Vipps-Sub, it is that of the header with our prefix.
func variables(h http.Header) *fcgi.Answer {
	a := &fcgi.Answer{Status: http.StatusOK, Header: make(http.Header, len(h))}
	for name, values := range h {
		variable := variableName(name)
		if _, ours := h["X-Vipps-"+name]; name == "Cache-Control" || name == "Vary" || ours {
			continue
		}
		if variable != variablePolicy { // which Apache's configuration sets, and its sub-requests would hand on to us
			a.Header["Variable-"+variable] = values
		}
	}
	return a
}

// variableName is the variable of an identity header: VIPPS_ and its name without X-Vipps-, in capitals. Headers with
// other names have the prefix as well, so that none of them can be PATH or DOCUMENT_ROOT.
func variableName(header string) string {
	const prefix = "X-Vipps-"
	name := header
	if len(name) > len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
		name = name[len(prefix):]
	}
	return "VIPPS_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// recorded is an answer that was written to it.
type recorded struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *recorded) Header() http.Header         { return w.header }
func (w *recorded) Write(b []byte) (int, error) { return w.body.Write(b) }
func (w *recorded) WriteHeader(status int)      { w.status = status }

// forApache is a refusal in the form in which Apache passes it on unharmed. It says that the body is HTML in ISO 8859-1
// whatever we say (server/protocol.c, ap_send_error_response), so everything beyond ASCII is escaped, and JSON holds no
// < > &, which encoding/json has seen to. A body that begins with a slash or a scheme would be taken for an address.
func (w *recorded) forApache() *fcgi.Answer {
	h, body := w.header, w.body.String()
	h.Del("Content-Length")
	switch {
	case strings.HasPrefix(h.Get("Content-Type"), "application/json"):
		body = asciiJSON(body)
	case strings.HasPrefix(body, "<"):
		body = fitted(asciiHTML(body), w.status)
	case body != "":
		body = fitted("", w.status)
	}
	return &fcgi.Answer{Status: w.status, Header: h, Body: []byte(body)}
}

// fitted returns a page that Apache passes on whole: where a page is too long, without its style, and where that doesn't
// help, one that says no more than its status.
func fitted(page string, status int) string {
	if before, rest, ok := strings.Cut(page, "<style>"); ok && len(page) > maxFastCGIBody {
		if _, after, ok := strings.Cut(rest, "</style>"); ok {
			page = before + after
		}
	}
	if page == "" || len(page) > maxFastCGIBody {
		return fmt.Sprintf("<!DOCTYPE html><title>%[1]d</title><p>%[1]d %[2]s</p>\n", status, http.StatusText(status))
	}
	return page
}

// asciiHTML writes what is beyond ASCII as numeric references. Our pages hold such text only where those are read.
func asciiHTML(page string) string {
	return escaped(page, func(b *strings.Builder, r rune) { fmt.Fprintf(b, "&#%d;", r) })
}

// asciiJSON writes what is beyond ASCII as JSON's escapes.
func asciiJSON(text string) string {
	return escaped(text, func(b *strings.Builder, r rune) {
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(b, `\u%04x`, unit)
		}
	})
}

func escaped(text string, escape func(*strings.Builder, rune)) string {
	var b strings.Builder
	for _, r := range text {
		if r < utf8.RuneSelf {
			b.WriteRune(r)
		} else {
			escape(&b, r)
		}
	}
	return b.String()
}
