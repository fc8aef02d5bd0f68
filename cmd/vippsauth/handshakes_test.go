package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// Attack: somebody without a certificate connects to the callers' listener over and over, and speaks nonsense there. The log neither grows
// with it nor names an address: those of people and of callers are nobody's business there.
func TestHandshakesFillNoLog(t *testing.T) {
	t.Parallel()
	ours := newAuthority(t)
	ours.make("server", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} })
	core, seen := observer.New(zap.DebugLevel)
	s := startTill(t, func(c *config) {
		c.merchant.callers = []string{"office=certificate:till.example.com"}
		c.merchant.certificate, c.merchant.key = filepath.Join(ours.dir, "server.pem"), filepath.Join(ours.dir, "server.key")
		c.merchant.authority = filepath.Join(ours.dir, "Authority.pem")
	}, zap.New(core))
	for i := range 60 {
		conn, err := net.DialTimeout("tcp", s.tls, 30*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		switch i % 3 {
		case 0:
			fmt.Fprint(conn, "GET / HTTP/1.1\r\n\r\n")
		case 1:
			fmt.Fprint(conn, "\x16\x03\x01\x00\x05hello")
		case 2:
			client := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
			_ = client.SetDeadline(time.Now().Add(2 * time.Second))
			fmt.Fprint(client, "GET / HTTP/1.1\r\n\r\n")
			_, _ = client.Read(make([]byte, 1))
		}
		_ = conn.Close()
	}
	s.stop()
	<-s.done
	said := 0
	for _, e := range seen.All() {
		text := e.Message + fmt.Sprint(e.ContextMap())
		if strings.Contains(text, "handshake") {
			said++
		}
		if strings.Contains(text, "127.0.0.1:") && e.Level >= zap.WarnLevel {
			t.Errorf("an address is in %s", text)
		}
	}
	if said != 1 {
		t.Errorf("%d lines about handshakes", said)
	}
}

// What is said of a handshake has no address in it.
func TestHandshakeFault(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"http: TLS handshake error from 192.0.2.1:80: EOF\n":                                               "the connection broke",
		"http: TLS handshake error from [::1]:80: read tcp 10.0.0.1:1->192.0.2.1:80: i/o timeout\n":        "the connection broke",
		"http: TLS handshake error from 192.0.2.1:80: tls: client didn't provide a certificate\n":          "tls: client didn't provide a certificate",
		"http: TLS handshake error from 192.0.2.1:80: x509: certificate has expired or is not yet valid\n": "x509: certificate has expired or is not yet valid",
		"http: TLS handshake error from 192.0.2.1:80: client sent an HTTP request to an HTTPS server\n":    "client sent an HTTP request to an HTTPS server",
	} {
		if got := handshakeFault([]byte(line)); got != want {
			t.Errorf("%q", got)
		}
	}
	var rest strings.Builder
	h := &handshakes{log: zap.NewNop(), rest: &rest}
	for _, line := range []string{"http: TLS handshake error from 192.0.2.1:80: EOF\n", "http: something " + http.StatusText(400) + "\n"} {
		if n, err := h.Write([]byte(line)); n != len(line) || err != nil {
			t.Error(n, err)
		}
	}
	if rest.String() != "http: something Bad Request\n" {
		t.Errorf("%q", rest.String())
	}
}
