package forwardauth_test

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Attack: a request announces a body and never sends it. It is refused before anybody looks at it, and then net/http waits for
// the rest of the body before it answers or ends the connection. A sidecar, whose applications may take their time, and Caddy
// have no limit of their own for that, and a stranger's connections stayed for ever.
func TestSec_C071_RefusedAtOnceWhoseBodyNeverComes(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	address := l.site.Listener.Addr().String()
	var wg sync.WaitGroup
	for _, tt := range []struct{ head, status string }{
		{"POST /_vipps/login HTTP/1.1\r\nHost: elsewhere.example\r\nContent-Length: 10\r\n\r\n", "421"},
		{"POST /_vipps/login HTTP/1.1\r\nHost: " + address + "\r\nContent-Length: 20000\r\n\r\n", "413"},
		{"CONNECT /x HTTP/1.1\r\nHost: " + address + "\r\nContent-Length: 10\r\n\r\n", "405"},
		{"CONNECT " + address + " HTTP/1.1\r\nHost: " + address + "\r\nTransfer-Encoding: chunked\r\n\r\n5", "405"},
		{"CONNECT /_vipps/login HTTP/1.1\r\nHost: " + address + "\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n", "405"},
	} {
		wg.Go(func() {
			conn, err := net.DialTimeout("tcp", address, 5*time.Second)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			_, writeErr := io.WriteString(conn, tt.head)
			err = errors.Join(writeErr, conn.SetDeadline(time.Now().Add(8*time.Second)))
			if a, readErr := io.ReadAll(conn); err != nil || readErr != nil || len(a) < 12 || string(a[9:12]) != tt.status {
				t.Errorf("%q: %.60q, %v: the connection is to end within five seconds", tt.head, a, errors.Join(err, readErr))
			}
		})
	}
	wg.Wait()
}
