package main

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What mod_authnz_fcgi sends: FCGI_BEGIN_REQUEST for an authorizer, and FCGI_PARAMS, here without any.
const fcgiAsks = "\x01\x01\x00\x01\x00\x08\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00" + "\x01\x04\x00\x01\x00\x00\x00\x00"

// fcgi_listen answers Apache, and stops with the rest: who is in the middle of asking is answered.
func TestService_FastCGI(t *testing.T) {
	t.Parallel()
	r := start(t, http.NotFoundHandler(), false)
	ask := func(send string) net.Conn {
		t.Helper()
		conn, err := net.DialTimeout("tcp", r.fcgi, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.WriteString(conn, send); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	refused := func(conn net.Conn) {
		t.Helper()
		answer, err := io.ReadAll(conn)
		if err != nil || !strings.Contains(string(answer), "Status: 401 Unauthorized\r\n") || !strings.Contains(string(answer), `{"error":"bad_request"}`) {
			t.Errorf("%q %v", answer, err)
		}
	}
	refused(ask(fcgiAsks))
	half := ask(fcgiAsks[:16] + "\x01\x00\x00\x00\x00\x00\x00\x00") // and a management record, whose answer says that it has begun
	if _, err := io.ReadFull(half, make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	r.stop()
	for begin := time.Now(); time.Since(begin) < 10*time.Second; time.Sleep(5 * time.Millisecond) {
		conn, err := net.Dial("tcp", r.fcgi)
		if err != nil {
			break
		}
		_ = conn.Close()
	}
	if conn, err := net.Dial("tcp", r.fcgi); err == nil {
		_ = conn.Close()
		t.Error("the listener is still open")
	}
	if _, err := io.WriteString(half, fcgiAsks[16:]); err != nil {
		t.Fatal(err)
	}
	refused(half)
}
