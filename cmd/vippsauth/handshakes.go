package main

import (
	"bytes"
	"io"
	"log"
	"time"

	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/internal/rate"
)

// handshakes takes what a server writes to its ErrorLog. Anybody can make handshakes fail, and net/http writes a line with an address for
// each: of these one a minute goes on, without the address. All else goes on as it is.
type handshakes struct {
	log  *zap.Logger
	rest io.Writer
	said rate.Lines
}

// handshakeLog is stdLog for a server that speaks TLS.
func handshakeLog(l *zap.Logger) *log.Logger {
	return log.New(&handshakes{log: l, rest: stdLog(l).Writer()}, "", 0)
}

// Write is io.Writer's.
func (h *handshakes) Write(line []byte) (int, error) {
	if !bytes.HasPrefix(line, []byte("http: TLS handshake error from ")) {
		return h.rest.Write(line)
	}
	if h.said.May("", time.Now()) {
		h.log.Warn("a connection to merchant_listen was refused in its handshake", zap.String("error", handshakeFault(line)),
			zap.String("cure", "if it is a caller's: its certificate has to be signed by merchant_client_ca, for clients, and be in date, over TLS 1.2 or 1.3"))
	}
	return len(line), nil
}

// handshakeFault is why a handshake failed, in the words of the packages that say so without an address.
func handshakeFault(line []byte) string {
	for _, of := range []string{"tls: ", "x509: ", "client sent an HTTP request"} {
		if at := bytes.Index(line, []byte(of)); at >= 0 {
			return string(bytes.TrimSpace(line[at:]))
		}
	}
	return "the connection broke"
}
