package emulator

import (
	"net"
	"strings"
	"testing"
)

// What connects for deliveries refuses other places by itself, whoever let the address pass before.
func TestDialsLoopbackOnly(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	for address, good := range map[string]bool{
		"127.0.0.1": true, "localhost": true, "shop.localhost": true, "192.0.2.1": false, "example.com": false, "0.0.0.0": false, "localhost.example.com": false,
	} {
		conn, err := dialLoopback(t.Context(), "tcp", net.JoinHostPort(address, port))
		if err == nil {
			_ = conn.Close()
		}
		if good != (err == nil) || !good && !strings.Contains(err.Error(), "loopback only") {
			t.Errorf("%s: %v", address, err)
		}
	}
}
