package integration_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A wire speaks HTTP/1 byte by byte, and keeps its connection as long as the other end does.
type wire struct {
	addr string
	from string // the address of this machine that it comes from
	tls  *tls.Config

	conn net.Conn
	in   *bufio.Reader
}

// reply is an answer. A status of 0 says that the connection was closed without one.
type reply struct {
	status int
	header http.Header
	body   string
}

const (
	wireWaits  = 5 * time.Second        // for an answer
	aloneWaits = 250 * time.Millisecond // for one that may never come
)

func (w *wire) dial(t testing.TB) {
	t.Helper()
	w.close()
	d := net.Dialer{Timeout: wireWaits}
	if w.from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(w.from)}
	}
	conn, err := d.DialContext(t.Context(), "tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	if w.tls != nil {
		conn = tls.Client(conn, w.tls)
	}
	w.conn, w.in = conn, bufio.NewReader(conn)
}

func (w *wire) close() {
	if w.conn != nil {
		_ = w.conn.Close()
		w.conn = nil
	}
}

// ask sends a request and reads its answer.
func (w *wire) ask(t testing.TB, bytes, method string) reply {
	t.Helper()
	for again := range 2 {
		fresh := w.conn == nil
		if fresh {
			w.dial(t)
		}
		if w.in.Buffered() > 0 {
			t.Errorf("an answer that nobody asked for: %.80q before %.80q", peek(w.in), bytes)
			w.dial(t)
		}
		_ = w.conn.SetDeadline(time.Now().Add(wireWaits))
		_, sent := io.WriteString(w.conn, bytes)
		a, more, err := w.read(method)
		if err == nil {
			if !more || sent != nil {
				w.close()
			}
			return a
		}
		w.close()
		if timeout(err) {
			t.Errorf("no answer in time to %.200q", bytes)
			return reply{}
		}
		if fresh || again > 0 {
			return reply{}
		}
	}
	return reply{}
}

func peek(in *bufio.Reader) []byte {
	b, _ := in.Peek(in.Buffered())
	return b
}

func timeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// read gives one answer, and whether another may follow.
func (w *wire) read(method string) (reply, bool, error) {
	if method != http.MethodHead {
		method = http.MethodGet
	}
	for {
		a, err := http.ReadResponse(w.in, &http.Request{Method: method})
		if err != nil {
			return reply{}, false, err
		}
		if a.StatusCode == http.StatusSwitchingProtocols {
			return reply{a.StatusCode, a.Header, ""}, false, nil
		}
		body, err := io.ReadAll(a.Body)
		_ = a.Body.Close()
		if a.StatusCode < 200 {
			continue
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !timeout(err) {
			err = nil // reset in the body's middle: what is there was said
		}
		return reply{a.StatusCode, a.Header, string(body)}, !a.Close && err == nil, nil
	}
}

// alone sends a request on a connection of its own, with another one behind it that has no session, and reads every answer.
func (w wire) alone(t testing.TB, bytes, method, next string) (answers []reply) {
	t.Helper()
	w.conn = nil
	w.dial(t)
	defer w.close()
	_ = w.conn.SetDeadline(time.Now().Add(wireWaits))
	_, _ = io.WriteString(w.conn, bytes+next) // the other end may have closed already
	_ = w.conn.SetDeadline(time.Now().Add(2 * aloneWaits))
	for more := true; more; {
		var a reply
		var err error
		if a, more, err = w.read(method); err != nil {
			break
		}
		answers, method = append(answers, a), http.MethodGet
		_ = w.conn.SetDeadline(time.Now().Add(aloneWaits))
	}
	return answers
}

// nextRequest is one without a session.
func nextRequest(host string) string {
	return "GET /next HTTP/1.1\r\nHost: " + host + "\r\nSec-Fetch-Mode: cors\r\nConnection: close\r\n\r\n"
}

// setCookies gives the Set-Cookie lines for a name.
func (a reply) setCookies(name string) (lines []string) {
	for _, line := range a.header["Set-Cookie"] {
		if strings.HasPrefix(line, name+"=") {
			lines = append(lines, line)
		}
	}
	return lines
}
