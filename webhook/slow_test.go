package webhook_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/webhook"
)

// A countedBody counts what is read of a body.
type countedBody struct {
	io.ReadCloser

	read *atomic.Int64
}

func (b countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read.Add(int64(n))
	return n, err
}

// Attack: strangers send bodies that are as long as may be, but for their last byte, on many connections at once. They must not be kept
// while the rest is waited for: 2,000 of them took 140 MB. Nor are those whose headers were seen at a delivery of Vipps', once it is old. What is
// kept of a QR callback, of which only the whole can be judged, is little.
func TestSec_A208_C075_SlowBodiesAreNotKept(t *testing.T) { // not in parallel: it measures memory
	l := newLab(t)
	q := newQRLab(t, newQRProvider(t).config())
	var read atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = countedBody{r.Body, &read}
		if r.URL.Path == webhook.QRPath {
			q.handler.ServeHTTP(w, r)
			return
		}
		l.handler.ServeHTTP(w, r)
	}))
	defer srv.Close()
	long := strings.Repeat(" ", 64<<10)
	for name, tt := range map[string]struct {
		delivery
		length int64
	}{
		"not signed":                {delivery{target: webhook.Path}, 64 << 10},
		"signed by somebody else":   {signed("guessed-"+other, registered, l.clock(), long), 64 << 10},
		"signed long ago":           {signed(secret, registered, l.clock().Add(-time.Hour), long), 64 << 10},
		"a consent, with no secret": {revoked(webhook.ConsentRevokedPath+"x", sub, l.clock()), 64 << 10},
		"a QR callback":             {delivery{target: webhook.QRPath}, 8 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			const many = 100
			read.Store(0)
			before := heap()
			for range many {
				conn := dialed(t, srv)
				if _, err := io.WriteString(conn, head(tt.delivery, tt.length)+long[:tt.length-1]); err != nil {
					t.Fatal(err)
				}
			}
			for deadline := time.Now().Add(30 * time.Second); read.Load() < many*(tt.length-1) && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			}
			if n := read.Load(); n != many*(tt.length-1) {
				t.Fatalf("%d bytes are read", n)
			}
			if each := (heap() - before) / many; each > 32<<10 { // some 14 KB are the connection's own
				t.Errorf("each takes %d bytes", each)
			}
		})
	}
}

// Attack: QR callbacks whose bodies come a byte at a time, or not at all. Each is ended after five seconds.
func TestSec_A160_C075_SlowQRCallbacks(t *testing.T) {
	t.Parallel()
	q := newQRLab(t, newQRProvider(t).config())
	srv := httptest.NewServer(q.handler)
	defer srv.Close()
	began := time.Now()
	var slow sync.WaitGroup
	for i := range 10 {
		conn := dialed(t, srv)
		if _, err := io.WriteString(conn, head(delivery{target: webhook.QRPath}, 1000)+"{"); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		if i%2 == 0 {
			slow.Go(func() { drip(conn, done) })
		}
		slow.Go(func() {
			defer conn.Close()
			defer close(done)
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Errorf("no answer: %v", err)
				return
			}
			res.Body.Close()
			if took := time.Since(began); res.StatusCode != http.StatusRequestTimeout || !res.Close || took < 4*time.Second {
				t.Errorf("%d after %s", res.StatusCode, took)
			}
		})
	}
	slow.Wait()
}

// Attack: bodies without end over the wire, of no length that was said. As soon as they are too long they are answered, and the
// connection ends: no more is taken from it.
func TestSec_A208_C075_EndlessBodies(t *testing.T) {
	t.Parallel()
	l, q := newLab(t), newQRLab(t, newQRProvider(t).config())
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == webhook.QRPath {
			q.handler.ServeHTTP(w, r)
			return
		}
		l.handler.ServeHTTP(w, r)
	}))
	defer srv.Close()
	for target, most := range map[string]int{webhook.Path: 64 << 10, revokedURL: 64 << 10, webhook.ConsentRevokedPath + "x": 64 << 10, webhook.QRPath: 8 << 10} {
		conn := dialed(t, srv)
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", target, most+1, strings.Repeat(" ", most+1))
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", target, err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusRequestEntityTooLarge || !res.Close {
			t.Errorf("%s: %d, closes: %v", target, res.StatusCode, res.Close)
		}
		chunk := "100000\r\n" + strings.Repeat(" ", 1<<20) + "\r\n"
		sent := 0
		for ; sent < 100 && err == nil; sent++ {
			_, err = io.WriteString(conn, chunk)
		}
		if sent > 32 { // what the system takes before it knows
			t.Errorf("%s: %d MB more are taken", target, sent)
		}
	}
}

// drip sends a byte now and then.
func drip(conn net.Conn, done <-chan struct{}) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			_, _ = io.WriteString(conn, " ")
		}
	}
}

// dialed is a connection that ends with the test, and after half a minute at the latest.
func dialed(t *testing.T, srv *httptest.Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	return conn
}

// head is the head of a delivery as it is on the wire.
func head(d delivery, length int64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: app.example\r\nContent-Length: %d\r\n", d.target, length)
	_ = d.header.Write(&b)
	return b.String() + "\r\n"
}

// heap is what is in use.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
