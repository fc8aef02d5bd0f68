package forwardauth_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// conversation sends bytes as they stand, ends, and reads every answer that comes of them. An answer that lets a request
// pass is only ever that to the hidden one, which has the session.
func (l *dialectLab) conversation(t *testing.T, request string) (statuses []int, identities int) {
	t.Helper()
	conn, err := net.Dial("tcp", l.near["http"])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(15 * time.Second))
	if _, err := io.WriteString(conn, request); err == nil {
		_ = conn.(*net.TCPConn).CloseWrite()
	}
	for in := bufio.NewReader(conn); ; {
		a, err := http.ReadResponse(in, nil)
		if err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				t.Errorf("the connection is left open: %.60q", request)
			}
			return statuses, identities
		}
		_, _ = io.Copy(io.Discard, a.Body)
		_ = a.Body.Close()
		statuses = append(statuses, a.StatusCode)
		if a.Header.Get("X-Vipps-Sub") != "" {
			identities++
		}
	}
}

// smuggler builds requests in which another one hides.
type smuggler struct {
	lines, hidden string // of a question without a session, and a whole one with a session
}

func (l *dialectLab) smuggler() smuggler {
	lines := "Host: 127.0.0.1:4190\r\nX-Vipps-Proxy-Secret: " + hostileSecret + "\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: " + hostileHost +
		"\r\nX-Forwarded-Uri: /a\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n"
	return smuggler{lines, "GET /_vipps/authz/forward-auth HTTP/1.1\r\n" + lines + "Cookie: __Host-vippsauth=" + l.sessions[phoneAase] + "\r\nConnection: close\r\n\r\n"}
}

// question is one without a session, with more header lines, and a body.
func (s smuggler) question(target, more, body string) string {
	return "GET " + target + " HTTP/1.1\r\n" + s.lines + more + "\r\n" + body
}

// Attack: what one reader of a connection takes for a body is a second question for another one. Each is answered once,
// and where two readings are possible the connection ends.
func TestSec_C020_SmuggledQuestions(t *testing.T) {
	t.Parallel()
	l := newDialectLab(t)
	s := l.smuggler()
	const endpoint = "/_vipps/authz/forward-auth"
	ask := func(more, body string) string { return s.question(endpoint, more, body) }
	for name, tt := range map[string]struct {
		request  string
		statuses []int // of every answer; those of 200 are to the hidden question, sent as one of its own
	}{
		"one after the other":          {ask("", s.hidden), []int{302, 200}},
		"a body, and one after it":     {ask("Content-Length: 5\r\n", "hello"+s.hidden), []int{302, 200}},
		"chunks, and one after them":   {ask("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"+s.hidden), []int{302}},
		"a chunk's extension":          {ask("Transfer-Encoding: chunked\r\n", "5;a=b\r\nhello\r\n0\r\n\r\n"+s.hidden), []int{302}},
		"both, the length to the end":  {ask("Content-Length: 1000\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+s.hidden), []int{302}},
		"both, the other way round":    {ask("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"+s.hidden), []int{302}},
		"both, an empty length":        {ask("Transfer-Encoding: chunked\r\nContent-Length:\r\n", "0\r\n\r\n"+s.hidden), []int{400}},
		"two lengths":                  {ask("Content-Length: 5\r\nContent-Length: 0\r\n", "hello"+s.hidden), []int{400}},
		"lengths in a list":            {ask("Content-Length: 5, 5\r\n", "hello"+s.hidden), []int{400}},
		"a length with a sign":         {ask("Content-Length: +5\r\n", "hello"+s.hidden), []int{400}},
		"a length below zero":          {ask("Content-Length: -1\r\n", s.hidden), []int{400}},
		"a length in hexadecimals":     {ask("Content-Length: 0x5\r\n", "hello"+s.hidden), []int{400}},
		"a length beyond all":          {ask("Content-Length: 99999999999999999999\r\n", s.hidden), []int{400}},
		"an encoding that is none":     {ask("Transfer-Encoding: xchunked\r\n", s.hidden), []int{501}},
		"two encodings":                {ask("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"+s.hidden), []int{501}},
		"two encodings in two lines":   {ask("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"+s.hidden), []int{501}},
		"chunked twice":                {ask("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"+s.hidden), []int{501}},
		"an encoding behind a tab":     {ask("Transfer-Encoding:\x0bchunked\r\n", "0\r\n\r\n"+s.hidden), []int{400}},
		"an alias of the encoding":     {ask("Transfer_Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"+s.hidden), []int{302, 200}},
		"a chunk of negative length":   {ask("Transfer-Encoding: chunked\r\n", "-1\r\n"+s.hidden), []int{302}},
		"a chunk beyond all":           {ask("Transfer-Encoding: chunked\r\n", "FFFFFFFFFFFFFFFFF\r\n"+s.hidden), []int{302}},
		"a chunk that is too short":    {ask("Transfer-Encoding: chunked\r\n", "2\r\nhello\r\n0\r\n\r\n"+s.hidden), []int{302}},
		"chunks without an end":        {ask("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n"), []int{302}},
		"a trailer with an identity":   {ask("Transfer-Encoding: chunked\r\nTrailer: X-Vipps-Sub, Cookie\r\n", "0\r\nX-Vipps-Sub: evil\r\nCookie: __Host-vippsauth=x\r\n\r\n"+s.hidden), []int{302}},
		"a body that never comes":      {ask("Content-Length: 1000\r\n", "half"), []int{302}},
		"waiting to be asked":          {ask("Content-Length: 1000\r\nExpect: 100-continue\r\n", ""), []int{302}},
		"not waiting to be asked":      {ask("Content-Length: 5\r\nExpect: 100-continue\r\n", "hello"+s.hidden), []int{302}},
		"expecting something else":     {ask("Content-Length: 5\r\nExpect: evil\r\n", "hello"+s.hidden), []int{417}},
		"upgrade to HTTP/2":            {ask("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n", ""), []int{302}},
		"upgrade to a websocket":       {ask("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", s.hidden), []int{302, 200}},
		"HTTP/2's preface":             {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + s.hidden, []int{421}},
		"HTTP/0.9":                     {"GET " + endpoint + "\r\n" + s.hidden, []int{400}},
		"HTTP/1.0 without a host":      {"GET " + endpoint + " HTTP/1.0\r\n" + s.lines[strings.Index(s.lines, "X-"):] + "\r\n" + s.hidden, []int{302}},
		"HTTP/3.0":                     {"GET " + endpoint + " HTTP/3.0\r\n" + s.lines + "\r\n" + s.hidden, []int{505}},
		"two hosts":                    {ask("Host: evil.example\r\n", s.hidden), []int{400}},
		"a line of the line before":    {ask("Cookie: a=b\r\n ; __Host-vippsauth="+l.sessions[phoneAase]+"\r\n", ""), []int{200}},
		"a folded URI":                 {strings.Replace(ask("", s.hidden), "/a\r\n", "/a\r\n evil\r\n", 1), []int{401, 200}},
		"a blank before the colon":     {ask("X-Forwarded-Uri : /public\r\n", s.hidden), []int{400}},
		"a line without a colon":       {ask("X-Forwarded-Uri\r\n", s.hidden), []int{400}},
		"a line without a name":        {ask(": x\r\n", s.hidden), []int{400}},
		"a NUL in a name":              {ask("X-Vipps\x00-Sub: x\r\n", s.hidden), []int{400}},
		"a soft hyphen in a name":      {ask("X-Vipps\xc2\xadSub: x\r\n", s.hidden), []int{400}},
		"a pseudo-header":              {ask(":authority: evil.example\r\n", s.hidden), []int{400}},
		"a carriage return in a value": {ask("Foo: a\rX-Vipps-Sub: evil\r\n", s.hidden), []int{400}},
		"line feeds alone":             {strings.ReplaceAll(ask("", ""), "\r\n", "\n") + s.hidden, []int{302, 200}},
		"ten thousand headers":         {ask(strings.Repeat("A: b\r\n", 20000), s.hidden), []int{431}},
		"the endpoint as a whole URL":  {s.question("http://evil.example"+endpoint, "", ""), []int{302}},
		"CONNECT with an authority":    {"CONNECT " + hostileHost + ":443 HTTP/1.1\r\n" + s.lines + "\r\n", []int{405}},
		"OPTIONS *":                    {"OPTIONS * HTTP/1.1\r\n" + s.lines + "\r\n", []int{404}},
		"TRACE":                        {"TRACE " + endpoint + " HTTP/1.1\r\n" + s.lines + "\r\n", []int{302}},
	} {
		statuses, identities := l.conversation(t, tt.request)
		allowed := 0
		for _, status := range tt.statuses {
			if status == http.StatusOK {
				allowed++
			}
		}
		if !slices.Equal(statuses, tt.statuses) || identities != allowed {
			t.Errorf("%s: %v with %d identities, want %v", name, statuses, identities, tt.statuses)
		}
	}
}

// Attack: another spelling of an endpoint's path, with a session, is none of our endpoints: what a proxy closes to browsers
// has one spelling only.
func TestSec_C020_EndpointsHaveOneSpelling(t *testing.T) {
	t.Parallel()
	l := newDialectLab(t)
	s := l.smuggler()
	for _, target := range []string{
		"//_vipps/authz/forward-auth", "/./_vipps/authz/forward-auth", "/x/../_vipps/authz/forward-auth", "/_vipps/./authz/forward-auth", "/_vipps//authz/forward-auth", "/_VIPPS/authz/forward-auth",
		"/_vipps/Authz/forward-auth", "/_vipps/authz/Forward-Auth", "/_vipps/authz/%66orward-auth", "/%5fvipps/authz/forward-auth", "/_vipps%2fauthz/forward-auth", "/_vipps/authz%2fforward-auth", "/_vipps/authz/forward-auth/",
		"/_vipps/authz/forward-auth;x", "/_vipps/authz/forward-auth%00", "/_vipps/authz/forward-auth#", "/_vipps/authz/", "/_vipps/authz", "/_vipps/authz//forward-auth", "/_vipps/authz/../authz/forward-auth",
		"/_vipps/authz/forward_auth", "/_vipps/authz/ext-authz/../forward-auth", `/_vipps\authz\forward-auth`, "http://evil.example//_vipps/authz/forward-auth", "/_vipps/authz/forward-auth%20", "/_vipps/authz/%2e%2e/authz/forward-auth",
	} {
		request := s.question(target, "Cookie: __Host-vippsauth="+l.sessions[phoneAase]+"\r\n", "")
		statuses, identities := l.conversation(t, request)
		if len(statuses) != 1 || statuses[0] < 400 || statuses[0] > 499 || identities > 0 {
			t.Errorf("%s: %v with %d identities", target, statuses, identities)
		}
	}
}
