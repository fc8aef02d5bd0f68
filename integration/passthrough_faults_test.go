package integration_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// An app that breaks off in the middle is in Caddy's log, with the headers that reverse_proxy sent it, identity and all: the
// filter of the example leaves them out.
func TestSec_D21_E021_AnAppThatClosesEarly(t *testing.T) {
	t.Parallel()
	for _, s := range sites {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t)
			f.checkLog(s.start(t, f))
			closesEarly(t, f, f.loggedIn())
		})
	}
}

// refusesWithoutReading: an app that answers a large upload without reading it is heard, and the next request works.
func refusesWithoutReading(t *testing.T, f *front, b *browser) {
	f.app.handle("/refuses", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "app: no", http.StatusForbidden) })
	for range 3 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.origin+"/refuses", io.LimitReader(zeros{}, 4<<20))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = fetching()
		r.Close = true // what is left of the body is in the way of another request on this connection
		// A client that is still sending may find the connection closed on it: then there is no answer to look at.
		if w, err := b.client.Do(r); err == nil {
			if text, err := io.ReadAll(w.Body); w.StatusCode != http.StatusForbidden || err == nil && string(text) != "app: no\n" {
				t.Errorf("%d %q", w.StatusCode, text)
			}
			_ = w.Body.Close()
		}
		if a := b.send(http.MethodGet, f.origin+"/", fetching(), nil); a.StatusCode != http.StatusOK {
			t.Errorf("afterwards: %d", a.StatusCode)
		}
	}
	// Errors of the app don't cost the connections to it.
	remotes := map[string]bool{}
	var mu sync.Mutex
	for _, status := range []int{500, 404, 503} {
		f.app.handle(fmt.Sprintf("/fails/%d", status), func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			remotes[r.RemoteAddr] = true
			mu.Unlock()
			http.Error(w, "app: fails", status)
		})
	}
	for i := range 30 {
		status := []int{500, 404, 503}[i%3]
		if a := b.send(http.MethodGet, fmt.Sprintf("%s/fails/%d", f.origin, status), fetching(), nil); a.StatusCode != status || a.text != "app: fails\n" {
			t.Errorf("%d %q", a.StatusCode, a.text)
		}
	}
	if len(remotes) > 3 {
		t.Errorf("30 errors took %d connections to the app", len(remotes))
	}
}

// closesEarly: an app that gives up is an error for the client, never an answer that looks whole.
func closesEarly(t *testing.T, f *front, b *browser) {
	hangUp := func(says string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, says)
			_ = conn.Close()
		}
	}
	f.app.handle("/closes", hangUp(""))
	f.app.handle("/no-http", hangUp("220 smtp.example ESMTP\r\n"))
	f.app.handle("/half-a-header", hangUp("HTTP/1.1 200 OK\r\nContent-Le"))
	f.app.handle("/short", hangUp("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"))
	f.app.handle("/cut", hangUp("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n"))
	for _, path := range []string{"/closes", "/no-http", "/half-a-header"} {
		if a := b.send(http.MethodPost, f.origin+path, fetching(), strings.NewReader("x")); a.StatusCode != http.StatusBadGateway {
			t.Errorf("%s: %d %q", path, a.StatusCode, a.text)
		}
	}
	for _, path := range []string{"/short", "/cut"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.origin+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = fetching()
		w, err := b.client.Do(r)
		if err != nil {
			continue // it may be known before anything is passed on
		}
		body, err := io.ReadAll(w.Body)
		_ = w.Body.Close()
		if err == nil {
			t.Errorf("%s: %d with %q looks whole", path, w.StatusCode, body)
		}
	}
	if a := b.send(http.MethodGet, f.origin+"/", fetching(), nil); a.StatusCode != http.StatusOK {
		t.Errorf("afterwards: %d", a.StatusCode)
	}
}

// slowUpload: a body may take its time, longer than any limit on headers.
func slowUpload(t *testing.T, f *front, b *browser) {
	f.app.handle("/slow", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d bytes, %v", len(body), errors.Unwrap(err))
	})
	in, out := io.Pipe()
	go func() {
		for range 14 {
			time.Sleep(500 * time.Millisecond)
			_, _ = io.WriteString(out, "drop by drop ")
		}
		_ = out.Close()
	}()
	begin := time.Now()
	w := b.ask(t, t.Context(), http.MethodPost, f.origin+"/slow", fetching(), in)
	if text := readAll(t, w.Body); w.StatusCode != http.StatusOK || text != "182 bytes, <nil>" || time.Since(begin) < 7*time.Second {
		t.Errorf("%d %q after %s", w.StatusCode, text, time.Since(begin))
	}
}
