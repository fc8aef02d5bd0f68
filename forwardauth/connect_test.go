package forwardauth_test

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Attack: a CONNECT announces a body and never sends it. It is answered at once, and then net/http waits for the rest of the
// body before it ends the connection: a sidecar, whose applications may take their time, had no limit for that, and a
// stranger's connections stayed for ever.
func TestSec_C071_ConnectWhoseBodyNeverComes(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	address := l.site.Listener.Addr().String()
	var wg sync.WaitGroup
	for _, head := range []string{
		"CONNECT /x HTTP/1.1\r\nHost: " + address + "\r\nContent-Length: 10\r\n\r\n",
		"CONNECT " + address + " HTTP/1.1\r\nHost: " + address + "\r\nTransfer-Encoding: chunked\r\n\r\n5",
		"CONNECT /_vipps/login HTTP/1.1\r\nHost: " + address + "\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n",
	} {
		wg.Go(func() {
			conn, err := net.DialTimeout("tcp", address, 5*time.Second)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			_, writeErr := io.WriteString(conn, head)
			err = errors.Join(writeErr, conn.SetDeadline(time.Now().Add(8*time.Second)))
			if a, readErr := io.ReadAll(conn); err != nil || readErr != nil || len(a) < 12 || string(a[9:12]) != "405" {
				t.Errorf("%q: %.60q, %v: the connection is to end within five seconds", head, a, errors.Join(err, readErr))
			}
		})
	}
	wg.Wait()
}
