package integration_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	startsWithin = 20 * time.Second // generous: the race detector and two cores
	stopsWithin  = 15 * time.Second
)

// ports remembers which ones were given out, so that tests that run side by side never get the same.
var ports struct {
	mu    sync.Mutex
	given map[int]bool
}

// freePort gives a loopback port that nobody listens on, below those that the system gives to others.
func freePort(t testing.TB) int {
	t.Helper()
	ports.mu.Lock()
	defer ports.mu.Unlock()
	if ports.given == nil {
		ports.given = map[int]bool{}
	}
	for range 1000 {
		port := 20000 + rand.IntN(12000)
		if ports.given[port] || taken("127.0.0.1", port) || taken("::1", port) {
			continue
		}
		ports.given[port] = true
		return port
	}
	t.Fatal("no free port")
	return 0
}

func taken(host string, port int) bool {
	ln, err := net.Listen("tcp", net.JoinHostPort(host, fmt.Sprint(port)))
	if err != nil {
		return errors.Is(err, syscall.EADDRINUSE)
	}
	_ = ln.Close()
	return false
}

func freeAddr(t testing.TB) string { return fmt.Sprintf("127.0.0.1:%d", freePort(t)) }

// output is what a process has written so far.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// process is a program that a test started. It ends with the test.
type process struct {
	t    testing.TB
	name string
	cmd  *exec.Cmd
	out  output
	done chan struct{}
	stop sync.Once

	tells bool // see command
}

// command is a program to start. Its environment is PATH, HOME and env, and nothing of ours.
type command struct {
	name  string
	args  []string
	env   []string
	dir   string
	tells bool                 // its output is who has logged in: that is what it is for
	in    *syscall.SysProcAttr // the root directory and user of a container; its environment is env alone
}

func start(t testing.TB, path string, c command) *process {
	t.Helper()
	p := &process{t: t, name: c.name, done: make(chan struct{}), tells: c.tells}
	home := t.TempDir()
	p.cmd = exec.Command(path, c.args...)
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home}, c.env...)
	p.cmd.Dir = c.dir
	if c.in != nil {
		p.cmd.Env, p.cmd.SysProcAttr = c.env, c.in
	}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	p.cmd.WaitDelay = 2 * time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", c.name, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in its output
		close(p.done)
	}()
	t.Cleanup(func() {
		privacy.process(p, filepath.Dir(home))
		if t.Failed() && testing.Verbose() {
			t.Logf("%s said:\n%s", p.name, tail(p.out.String(), 6000))
		}
	})
	return p
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

// end stops the process as an operator would, and makes sure that it is gone.
func (p *process) end() {
	p.stop.Do(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(stopsWithin):
			_ = p.cmd.Process.Kill()
			<-p.done
			p.t.Errorf("%s did not stop within %s", p.name, stopsWithin)
		}
	})
}

// answers waits until an HTTP server answers, with any status, and gives how long that took.
func (p *process) answers(url string) time.Duration {
	p.t.Helper()
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, DialContext: toLoopback,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // only whether anything answers
	}}
	begin := time.Now()
	for time.Since(begin) < startsWithin {
		select {
		case <-p.done:
			p.t.Fatalf("%s ended: %s", p.name, tail(p.out.String(), 4000))
		default:
		}
		r, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			p.t.Fatal(err)
		}
		if w, err := client.Do(r); err == nil {
			_ = w.Body.Close()
			return time.Since(begin)
		}
		time.Sleep(5 * time.Millisecond)
	}
	p.t.Fatalf("%s does not answer at %s: %s", p.name, url, tail(p.out.String(), 4000))
	return 0
}

// says waits until the process has written a text.
func (p *process) says(text string) {
	p.t.Helper()
	eventually(p.t, p.name+" says "+text, func() bool { return strings.Contains(p.out.String(), text) })
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for begin := time.Now(); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > startsWithin {
			t.Fatalf("not within %s: %s", startsWithin, what)
		}
	}
}

// toLoopback connects to this machine whatever the name says: no test asks a resolver for anything.
func toLoopback(ctx context.Context, network, addr string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, "127.0.0.1:"+port)
}

// example reads a file of examples/ and puts this test's addresses in place of those in it. Each has to be there.
func example(t testing.TB, name string, replace ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../examples", name))
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			t.Fatalf("examples/%s has no %q to replace", name, replace[i])
		}
		text = strings.ReplaceAll(text, replace[i], replace[i+1])
	}
	return text
}

// write puts a text into a file of the test's own.
func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func readAll(t testing.TB, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
