package merchant_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// Attack: somebody without a token sends the beginning of a body, and never the rest. They are refused at once, and not held until the time for a
// request is over.
func TestSec_A155_C070_StrangersWithSlowBodies(t *testing.T) {
	t.Parallel()
	lab := newAPILab(t)
	host := lab.server.Listener.Addr().String()
	for _, length := range []string{"Content-Length: 200", "Transfer-Encoding: chunked"} {
		for _, token := range []string{"", "Authorization: Bearer " + strings.Repeat("x", 40) + "\r\n"} {
			conn, err := net.Dial("tcp", host)
			if err != nil {
				t.Fatal(err)
			}
			_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
			fmt.Fprintf(conn, "POST /_vipps/merchant/logins HTTP/1.1\r\nHost: %s\r\n%sContent-Type: application/json\r\n%s\r\n\r\n", host, token, length)
			got, err := io.ReadAll(conn)
			if err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 401 ") {
				t.Errorf("%s: %v, %.40q", length, err, got)
			}
			_ = conn.Close()
		}
	}
}
