package integration_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// One gigabyte goes up and one comes down, and the front holds no more of it than a few buffers.
func TestSec_D21_PassthroughOfAGigabyte(t *testing.T) {
	t.Parallel()
	const size = 1 << 30
	for _, s := range sites {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t)
			p := s.start(t, f)
			b := f.loggedIn()
			f.app.handle("/up", func(w http.ResponseWriter, r *http.Request) {
				n, err := io.Copy(io.Discard, r.Body)
				fmt.Fprint(w, n, err)
			})
			f.app.handle("/down", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", strconv.Itoa(size))
				_, _ = io.CopyBuffer(struct{ io.Writer }{w}, io.LimitReader(zeros{}, size), make([]byte, 256<<10))
			})
			for _, way := range []string{"up", "down"} {
				before, most := memory(t, p, "VmRSS"), watchResident(t, p)
				begin := time.Now()
				var body io.Reader = http.NoBody
				method := http.MethodGet
				if way == "up" {
					method, body = http.MethodPost, io.LimitReader(zeros{}, size)
				}
				w := b.ask(t, t.Context(), method, f.origin+"/"+way, fetching(), body)
				switch way {
				case "up":
					if text := readAll(t, w.Body); text != fmt.Sprint(size, " <nil>") && text != fmt.Sprint(size, nil) {
						t.Errorf("the app got %s", text)
					}
				default:
					n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, w.Body, make([]byte, 256<<10))
					if n != size || err != nil {
						t.Errorf("the client got %d, %v", n, err)
					}
				}
				grown := most() - before
				t.Logf("%s: %s, the process grew by %d KB from %d", way, time.Since(begin).Round(time.Millisecond), grown>>10, before>>10)
				if grown > 64<<20 {
					t.Errorf("%s: the process grew by %d MB", way, grown>>20)
				}
			}
		})
	}
}

// watchResident looks at a process's memory until it is asked for the most of it.
func watchResident(t *testing.T, p *process) (most func() int) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	result := make(chan int)
	go func() {
		highest := 0
		for {
			if now, err := memoryOf(p, "VmRSS"); err == nil {
				highest = max(highest, now)
			}
			select {
			case <-ctx.Done():
				result <- highest
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return func() int { stop(); return <-result }
}

// rawConn is a connection to the site, for what an HTTP client of the library doesn't let one see.
func rawConn(t *testing.T, f *front) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := toLoopback(t.Context(), "tcp", "localhost:"+f.port())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(15 * time.Second))
	return conn, bufio.NewReader(conn)
}

// cookieLine is a browser's Cookie header.
func (b *browser) cookieLine(origin string) string {
	var pairs []string
	for _, c := range b.cookies(origin) {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	return "Cookie: " + strings.Join(pairs, "; ") + "\r\n"
}

// Expect: 100-continue. The body is asked for when the app asks for it, and never for a request that is refused.
func TestSec_D21_PassthroughOfExpectContinue(t *testing.T) {
	t.Parallel()
	waits := site{"Caddy module", func(t *testing.T, f *front) *process { // without this line Caddy itself asks for the body at once
		return startCaddy(t, f, "", strings.Replace(moduleSite(f, ""), "reverse_proxy "+f.app.addr(),
			"reverse_proxy "+f.app.addr()+" {\n\t\ttransport http {\n\t\t\texpect_continue_timeout 5s\n\t\t}\n\t}", 1))
	}}
	for _, s := range []site{sites[0], waits} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t)
			s.start(t, f)
			b := f.loggedIn()
			var asked atomic.Int64
			f.app.handle("/wants", func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(300 * time.Millisecond) // it looks at the header first
				asked.Store(time.Now().UnixNano())
				body, err := io.ReadAll(r.Body)
				fmt.Fprintf(w, "%s %v", body, err)
			})
			f.app.handle("/declines", func(w http.ResponseWriter, _ *http.Request) {
				http.Error(w, "app: too large", http.StatusRequestEntityTooLarge)
			})
			head := func(path, more string) string {
				return "POST " + path + " HTTP/1.1\r\nHost: localhost:" + f.port() + "\r\nSec-Fetch-Mode: cors\r\n" + more + "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n"
			}
			t.Run("the app wants it", func(t *testing.T) {
				conn, in := rawConn(t, f)
				_, _ = io.WriteString(conn, head("/wants", b.cookieLine(f.origin)))
				line, err := in.ReadString('\n')
				at := time.Now().UnixNano()
				if err != nil || !strings.HasPrefix(line, "HTTP/1.1 100 ") {
					t.Fatalf("%q %v", line, err)
				}
				if asked.Load() == 0 || at < asked.Load() {
					t.Error("the body was asked for before the app had")
				}
				for line != "\r\n" && err == nil {
					line, err = in.ReadString('\n')
				}
				_, _ = io.WriteString(conn, "hello")
				w, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer w.Body.Close()
				if text := readAll(t, w.Body); w.StatusCode != http.StatusOK || text != "hello <nil>" {
					t.Errorf("%d %q", w.StatusCode, text)
				}
			})
			for name, tt := range map[string]struct {
				head   string
				status int
			}{
				"the app declines":    {head("/declines", b.cookieLine(f.origin)), http.StatusRequestEntityTooLarge},
				"without a session":   {head("/wants", ""), http.StatusUnauthorized},
				"chunked, no session": {strings.Replace(head("/wants", ""), "Content-Length: 5", "Transfer-Encoding: chunked", 1), http.StatusUnauthorized},
				"a form, and nobody":  {head("/wants", "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Dest: document\r\nContent-Type: application/x-www-form-urlencoded\r\n"), http.StatusUnauthorized},
			} {
				if name == "the app declines" && s.name != "sidecar" {
					continue // Caddy's reverse_proxy alone holds that answer back until the body comes, without us too
				}
				t.Run(name, func(t *testing.T) {
					if name == "a form, and nobody" {
						tt.head = strings.Replace(tt.head, "Sec-Fetch-Mode: cors", "Sec-Fetch-Mode: navigate", 1)
					}
					conn, in := rawConn(t, f)
					hits, begin := asked.Load(), time.Now()
					_, _ = io.WriteString(conn, tt.head)
					w, err := http.ReadResponse(in, nil)
					if err != nil {
						t.Fatal(err)
					}
					defer w.Body.Close()
					if w.StatusCode != tt.status || asked.Load() != hits || time.Since(begin) > 6*time.Second {
						t.Errorf("%d after %s: it is to be answered at once, and the body not asked for", w.StatusCode, time.Since(begin))
					}
				})
			}
		})
	}
}

// A client that goes away is gone for the app at once, whatever it was in the middle of, and leaves nothing behind in the
// front.
func TestSec_D21_PassthroughOfDisconnects(t *testing.T) {
	t.Parallel()
	for _, s := range sites {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t)
			p := s.start(t, f)
			b := f.loggedIn()
			began, ended := make(chan struct{}, 100), make(chan time.Time, 100)
			waits := func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/talks" {
					_, _ = io.WriteString(w, "one moment")
					_ = http.NewResponseController(w).Flush()
				}
				began <- struct{}{}
				if r.URL.Path == "/reads" {
					_, _ = io.Copy(io.Discard, r.Body)
				} else {
					select {
					case <-r.Context().Done():
					case <-time.After(10 * time.Second):
					}
				}
				ended <- time.Now()
			}
			for _, path := range []string{"/thinks", "/talks", "/reads"} {
				f.app.handle(path, waits)
			}
			leave := func(path string) {
				conn, _ := rawConn(t, f)
				method, more := "GET", ""
				if path == "/reads" {
					method, more = "POST", "Content-Length: 1000000\r\n"
				}
				_, _ = io.WriteString(conn, method+" "+path+" HTTP/1.1\r\nHost: localhost:"+f.port()+"\r\n"+b.cookieLine(f.origin)+more+"\r\n")
				<-began
				left := time.Now()
				_ = conn.Close()
				select {
				case at := <-ended:
					if took := at.Sub(left); took > 6*time.Second { // the app waits for ten
						t.Errorf("%s: the app learnt it after %s", path, took)
					}
				case <-time.After(12 * time.Second):
					t.Fatalf("%s: the app never learnt it", path)
				}
			}
			wsLeaves := func() {
				conn, in := rawConn(t, f)
				_, _ = io.WriteString(conn, "GET /ws HTTP/1.1\r\nHost: localhost:"+f.port()+"\r\n"+b.cookieLine(f.origin)+
					"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
				if w, err := http.ReadResponse(in, nil); err != nil || w.StatusCode != http.StatusSwitchingProtocols {
					t.Fatalf("%v %v", w, err)
				}
				_ = conn.Close()
			}
			round := func() {
				for _, path := range []string{"/thinks", "/talks", "/reads"} {
					leave(path)
				}
				wsLeaves()
			}
			round()
			before := holds(t, f, p)
			for range 20 {
				round()
			}
			const slack = 6 // connections that are kept for the next request
			eventually(t, "descriptors and goroutines are given back", func() bool {
				now := holds(t, f, p)
				return now.descriptors <= before.descriptors+slack && now.goroutines <= before.goroutines+3*slack
			})
			t.Logf("before %+v, after %+v", before, holds(t, f, p))
		})
	}
}

// held is what a process holds at a moment.
type held struct{ descriptors, goroutines int }

// holds looks at a process: its descriptors, and where it serves metrics of its own, its goroutines.
func holds(t *testing.T, f *front, p *process) held {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("no /proc/PID/fd here: descriptors are counted on Linux only")
	}
	h := held{descriptors: len(entries)}
	if f.ops == "" {
		return h
	}
	if m := regexp.MustCompile(`(?m)^go_goroutines ([0-9]+)$`).FindStringSubmatch(f.get("http://" + f.ops + "/metrics").text); m != nil {
		h.goroutines, _ = strconv.Atoi(m[1])
	} else {
		t.Error("/metrics has no go_goroutines")
	}
	return h
}
