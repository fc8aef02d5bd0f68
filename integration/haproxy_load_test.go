package integration_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What is too much is refused, whatever it is, and never passes unasked.
func TestHAProxyLimits(t *testing.T) {
	t.Parallel()
	need(t, "haproxy")
	f := newFront(t)
	f.serve("--trusted-proxies=loopback")
	startHAProxy(t, f)
	in, out := f.loggedIn(), f.browser()
	var big int
	for _, size := range []int{1000, 7000, 10_000, 13_000, 13_500, 14_000, 14_200, 14_400, 14_600, 15_000, 15_500} {
		for name, h := range map[string]http.Header{
			"/" + strings.Repeat("u", size):    fetching(),
			"/cookie":                          with(fetching(), "Cookie", "big="+strings.Repeat("c", size)),
			"/header":                          with(fetching(), "X-Big", strings.Repeat("h", size)),
			"/?" + strings.Repeat("q", size/2): with(fetching(), "Referer", f.origin+"/?"+strings.Repeat("r", size/2)),
		} {
			hits := f.app.hits()
			if a := out.send(http.MethodGet, f.origin+name, h, nil); a.StatusCode < 400 || f.app.hits() != hits {
				t.Errorf("%d bytes of %.8s without a session: %d", size, name, a.StatusCode)
			}
			a := in.send(http.MethodGet, f.origin+name, h, nil)
			if ok := a.StatusCode == http.StatusOK; ok && f.app.last().Header.Get("X-Vipps-Sub") == "" || !ok && (a.StatusCode < 400 || f.app.hits() != hits || size <= 13_000) {
				t.Errorf("%d bytes of %.8s with a session: %d", size, name, a.StatusCode)
			} else if ok {
				big = max(big, size)
			}
		}
	}
	if big < 14_000 {
		t.Errorf("nothing above %d bytes passes", big)
	}
	for _, size := range []int{16_000, 17_000, 64_000, 1_000_000} { // HAProxy doesn't read all of it
		hits := f.app.hits()
		conn, err := toLoopback(t.Context(), "tcp", "localhost:"+f.port())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(conn, "GET /"+strings.Repeat("u", size)+" HTTP/1.1\r\nHost: localhost:"+f.port()+"\r\nConnection: close\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
		if f.app.hits() != hits {
			t.Errorf("a path of %d bytes passes", size)
		}
	}
	for n := 60; n <= 140; n++ {
		h := fetching()
		for i := range n {
			h[fmt.Sprintf("X-Flood-%d", i)] = []string{"1"}
		}
		hits := f.app.hits()
		if a := out.send(http.MethodGet, f.origin+"/flood", h, nil); a.StatusCode < 400 || f.app.hits() != hits {
			t.Errorf("%d headers without a session: %d", n, a.StatusCode)
		}
		if a := in.send(http.MethodGet, f.origin+"/flood", h, nil); a.StatusCode == http.StatusOK && f.app.last().Header.Get("X-Vipps-Sub") == "" || a.StatusCode != http.StatusOK && f.app.hits() != hits || a.StatusCode != http.StatusOK && n <= 80 {
			t.Errorf("%d headers with a session: %d", n, a.StatusCode)
		}
	}
	// Many values of one name, which HAProxy's client counts one by one.
	h := fetching()
	for range 85 {
		h["X-Vipps_Sub"] = append(h["X-Vipps_Sub"], "evil")
	}
	if a := in.send(http.MethodGet, f.origin+"/flood", h, nil); a.StatusCode != http.StatusOK || len(folded(f.app.last().Header, "X-Vipps-Sub")) != 1 {
		t.Errorf("a flood of identity: %d %v", a.StatusCode, f.app.last().Header)
	}
}

// A large body goes through as it came, told its length or in chunks, while the headers are judged.
func TestHAProxyUpload(t *testing.T) {
	t.Parallel()
	need(t, "haproxy")
	f := newFront(t)
	f.serve("--trusted-proxies=loopback")
	startHAProxy(t, f)
	in := f.loggedIn()
	const size = 20 << 20
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"chunked": func(r io.Reader) io.Reader { return struct{ io.Reader }{r} },
		"at once": func(r io.Reader) io.Reader { b, _ := io.ReadAll(r); return strings.NewReader(string(b)) },
	} {
		sum := sha256.New()
		body := wrap(io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{1}), size), sum))
		a := in.send(http.MethodPost, f.origin+"/upload", fetching(), body)
		if got := f.app.last(); a.StatusCode != http.StatusOK || got.Length != size || got.Sum != hex.EncodeToString(sum.Sum(nil)) {
			t.Errorf("%s: %d, the app got %d bytes", name, a.StatusCode, got.Length)
		}
	}
}
