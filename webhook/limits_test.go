package webhook_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/webhook"
)

// endless is a body without end.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	return len(p), nil
}

// Attack: bodies of 100 MB, said or not, signed or not. No more than the limit is read.
func TestSec_A208_C075_LongBodies(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for _, target := range []string{webhook.Path, revokedURL, webhook.ConsentRevokedPath + "x"} {
		for _, length := range []int64{100 << 20, 64<<10 + 1, -1} {
			body := &endless{}
			r := httptest.NewRequest("POST", target, io.LimitReader(body, 100<<20))
			r.ContentLength = length
			w := httptest.NewRecorder()
			l.handler.ServeHTTP(w, r)
			if w.Code != http.StatusRequestEntityTooLarge || w.Header().Get("Connection") != "close" || body.read > 256<<10 || length > 0 && body.read > 0 {
				t.Errorf("%s with length %d: %d, %d bytes read", target, length, w.Code, body.read)
			}
		}
	}
	l.want("64 KiB", signed(secret, registered, l.clock(), strings.Repeat(" ", 64<<10)), http.StatusOK)
	l.want("a byte more", signed(secret, registered, l.clock(), strings.Repeat(" ", 64<<10+1)), http.StatusRequestEntityTooLarge)
}

// broken is a body that breaks off.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// A body that breaks off is nothing, and no reason to wait.
func TestReceiver_BrokenOff(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	w := httptest.NewRecorder()
	l.handler.ServeHTTP(w, httptest.NewRequest("POST", webhook.Path, broken{}))
	if w.Code != http.StatusBadRequest || l.counted("webhook", "broken_off") != 1 {
		t.Errorf("%d", w.Code)
	}
}

// Attack: a small body that inflates to a huge one, or to a ping. What is signed is what comes, and nothing inflates it.
func TestSec_A208_GzipIsNotInflated(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for name, plain := range map[string]string{"a ping": `{"auth_req_id":"ours"}`, "a bomb": strings.Repeat(" ", 32<<20)} {
		var zipped bytes.Buffer
		z := gzip.NewWriter(&zipped)
		_, _ = io.WriteString(z, plain)
		_ = z.Close()
		d := signed(secret, registered, l.clock(), zipped.String())
		d.header.Set("Content-Encoding", "gzip")
		l.want(name, d, http.StatusOK)
		d = revoked(revokedURL, sub, l.clock())
		zipped.Reset()
		z.Reset(&zipped)
		_, _ = io.WriteString(z, d.body)
		_ = z.Close()
		d.body = zipped.String()
		d.header.Set("Content-Encoding", "gzip")
		l.want(name+" of a consent", d, http.StatusOK)
	}
	if pinged, ended := l.effects(); len(pinged) != 0 || len(ended) != 0 {
		t.Errorf("%v, %v", pinged, ended)
	}
	if n := l.counted("webhook", "unreadable"); n != 2 {
		t.Errorf("%v are unreadable", n)
	}
}

// Attack: bodies that come a byte at a time, or not at all, on many connections. Each is ended after five seconds, and others are served
// meanwhile.
func TestSec_A208_C075_SlowBodies(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	srv := httptest.NewServer(l.handler)
	defer srv.Close()
	began := time.Now()
	var slow sync.WaitGroup
	for i := range 20 {
		target := []string{webhook.Path, revokedURL}[i%2]
		conn, done := dialed(t, srv), make(chan struct{})
		if _, err := io.WriteString(conn, head(delivery{target: target}, 1000)+"{"); err != nil {
			t.Fatal(err)
		}
		slow.Go(func() { drip(conn, done) })
		slow.Go(func() {
			defer conn.Close()
			defer close(done)
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Errorf("no answer: %v", err)
				return
			}
			res.Body.Close()
			took := time.Since(began)
			if res.StatusCode != http.StatusRequestTimeout || !res.Close || took < 4*time.Second {
				t.Errorf("%d after %s", res.StatusCode, took)
			}
		})
	}
	l.want("another one", l.good("ours"), http.StatusOK)
	slow.Wait()
}

// Methods and paths: what isn't a POST to the very path isn't received.
func TestSec_C080_OtherRequests(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "post"} {
		for _, target := range []string{webhook.Path, revokedURL, webhook.ConsentRevokedPath + "x"} {
			d := l.good("ours")
			d.method, d.target = method, target
			w := l.send(d)
			if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "POST" {
				t.Errorf("%s %s: %d, Allow %q", method, target, w.Code, w.Header().Get("Allow"))
			}
		}
	}
	others := []string{"/_vipps/webhook/", "//_vipps/webhook", "/_vipps//webhook", "/_vipps/webhook;a", "/_vipps/%77ebhook", "/_VIPPS/webhook", "/_vipps/webhooks", "/_vipps/consent-revoked", "/x/../_vipps/webhook"}
	for _, target := range others {
		d := l.good("ours")
		d.target = target
		l.want(target, d, http.StatusTeapot)
	}
	if pinged, ended := l.effects(); len(pinged)+len(ended) != 0 || l.nexts != len(others) {
		t.Errorf("%v, %v, %d for others", pinged, ended, l.nexts)
	}
}

// A storm: ten thousand pings, a tenth of them twice, out of order, and some hours late, while what they wake hangs. Each is answered at once,
// the queue has an end, memory has too, and each login is woken at most once, by what was sent in time.
func TestSec_D031_WebhookStorm(t *testing.T) { // not beside others, whose memory would count
	l := newLab(t, func(l *lab, _ *webhook.Config) { l.hold = make(chan struct{}) })
	const many = 10_000
	var all []delivery
	for i := range many {
		all = append(all, l.good(fmt.Sprintf("login-%d", i-i%10/9))) // the last of ten is that before it again
	}
	const late = 100
	for i := range late {
		all = append(all, signed(secret, registered, l.clock().Add(-time.Hour), fmt.Sprintf(`{"auth_req_id":"late-%d"}`, i)))
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var slowest time.Duration
	began := time.Now()
	for _, d := range all {
		at := time.Now()
		l.want("in the storm", d, http.StatusOK)
		slowest = max(slowest, time.Since(at))
	}
	if took := time.Since(began); took > 60*time.Second || slowest > 10*time.Second {
		t.Errorf("%s in all, %s for one", took, slowest)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
		t.Errorf("%d MB are held", grown>>20)
	}
	if n := l.counted("webhook", "replayed"); n != many/10 {
		t.Errorf("%v replays", n)
	}
	if n := l.counted("webhook", "stale"); n != late {
		t.Errorf("%v are late", n)
	}
	accepted, dropped := l.counted("webhook", "accepted"), l.counted("webhook", "dropped")
	if accepted+dropped != many*9/10 || accepted > 1100 || accepted < 1000 {
		t.Errorf("%v accepted, %v dropped", accepted, dropped)
	}
	l.let()
	pinged, _ := l.effects()
	if len(pinged) != int(accepted) {
		t.Errorf("%d of %v are told", len(pinged), accepted)
	}
	slices.Sort(pinged)
	if len(slices.Compact(pinged)) != int(accepted) {
		t.Error("one is told twice")
	}
	if slices.ContainsFunc(pinged, func(id string) bool { return strings.HasPrefix(id, "late-") }) {
		t.Error("a late one is told")
	}
}

// A job that panics ends no other, and neither the process.
func TestReceiver_Panic(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(l *lab, cfg *webhook.Config) {
		ping := cfg.Ping
		cfg.Ping = func(id string) bool {
			if id == "bad" {
				panic("secret-value")
			}
			return ping(id)
		}
	})
	for _, id := range []string{"bad", "bad", "bad", "ours"} {
		l.want(id, l.good(id), http.StatusOK)
		l.pass(time.Second)
	}
	if pinged, _ := l.effects(); len(pinged) != 1 {
		t.Errorf("%v", pinged)
	}
	text := logged(l)
	if !strings.Contains(text, "a fault of ours") || strings.Contains(text, "secret-value") {
		t.Errorf("%s", text)
	}
}
