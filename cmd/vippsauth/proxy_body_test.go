package main

import (
	"io"
	"net/http"
	"testing"
)

// Attack: a client sends a body that is none, again and again. The answer said that the application doesn't answer (502), and
// the log said so at level error each time, so that anybody could call an operator out of bed.
func TestSec_C020_SidecarMalformedBody(t *testing.T) {
	t.Parallel()
	srv := sidecarTo(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	for _, body := range []string{"-1\r\nhello\r\n", "FFFFFFFFFFFFFFFFF\r\nhello", "5;a=\nb\r\nhello\r\n0\r\n\r\n", "5\r\nhello!!\r\n0\r\n\r\n"} {
		for _, trailer := range []string{"", "Trailer: X-Checksum\r\n"} {
			res := raw(t, srv, "POST / HTTP/1.1\r\nHost: app.example.com\r\n"+trailer+"Transfer-Encoding: chunked\r\n\r\n"+body)
			if res.StatusCode != http.StatusBadRequest || res.Header.Get("Cache-Control") != "no-store" || !res.Close {
				t.Errorf("%q: %d %v", body, res.StatusCode, res.Header)
			}
		}
	}
}
