package merchant_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/merchant"
)

// Attack: somebody without a token sends the beginning of a body, and never the rest, again and again. From the twenty-first on they are refused
// with 429, for another site or host with 403 and 421, and at what is public answered: none of these waits for the body, or each would
// hold a connection for a minute, with a request of two hundred bytes.
func TestSec_A155_C070_StrangersWithSlowBodiesOverAndOver(t *testing.T) {
	t.Parallel()
	lab := newAPILab(t)
	host := lab.server.Listener.Addr().String()
	try := func(method, path, head, want string) {
		t.Helper()
		conn, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
		fmt.Fprintf(conn, "%s /_vipps/merchant/%s HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 200\r\n%s\r\n{", method, path, head)
		if got, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 "+want+" ") {
			t.Fatalf("%s %s: %v, %.40q", method, path, err, got)
		}
	}
	here := "Host: " + host + "\r\n"
	try("POST", "logins", "Host: elsewhere.example\r\n", "421")
	try("POST", "logins", here+"Sec-Fetch-Site: cross-site\r\n", "403")
	try("GET", "openapi.json", here, "200")
	try("POST", "openapi.json", here, "405")
	for range merchant.StrikesAtOnce {
		resp, err := lab.server.Client().Get(lab.server.URL + "/_vipps/merchant/nothing")
		if err != nil || resp.StatusCode != 401 {
			t.Fatal(resp, err)
		}
		_ = resp.Body.Close()
	}
	try("POST", "logins", here, "429")
}
