//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// program is one that the run starts, and starts again.
type program struct {
	name  string
	path  string
	args  []string
	env   []string
	dir   string // for its log
	ready string // the address that answers 200, or anything at all without any, when it is up
	any   bool   // any answer will do

	mu      sync.Mutex
	cmd     *exec.Cmd
	done    chan struct{}
	meant   bool // it is to end
	begun   time.Time
	lives   int
	sudden  []string // ends that nobody meant
	waiting time.Duration
}

const startsWithin = 30 * time.Second

func (p *program) log() string { return filepath.Join(p.dir, p.name+".log") }

// start runs the program and waits until it answers.
func (p *program) start(ctx context.Context) error {
	out, err := os.OpenFile(p.log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(p.path, p.args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.dir, "TMPDIR=" + p.dir, "GORACE=halt_on_error=0"}, p.env...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", p.name, err)
	}
	done := make(chan struct{})
	p.mu.Lock()
	p.cmd, p.done, p.meant, p.begun, p.lives = cmd, done, false, time.Now(), p.lives+1
	p.mu.Unlock()
	go func() {
		err := cmd.Wait()
		p.mu.Lock()
		if !p.meant {
			p.sudden = append(p.sudden, fmt.Sprintf("%s ended by itself: %v", p.name, err))
		}
		p.mu.Unlock()
		close(done)
	}()
	return p.answers(ctx)
}

func (p *program) answers(ctx context.Context) error {
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for begin := time.Now(); time.Since(begin) < startsWithin; {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.ready, http.NoBody)
		if err != nil {
			return err
		}
		if w, err := client.Do(r); err == nil {
			_ = w.Body.Close()
			if p.any || w.StatusCode == http.StatusOK {
				return nil
			}
		}
		if !pause(ctx, 20*time.Millisecond) {
			return ctx.Err()
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended: %s", p.name, p.tail())
		default:
		}
	}
	return fmt.Errorf("%s is not ready within %s: %s", p.name, startsWithin, p.tail())
}

func (p *program) tail() string {
	b, err := os.ReadFile(p.log())
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-1500):])
}

// signal sends a signal and says nothing of one that is gone.
func (p *program) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(s)
	}
}

// stop ends the program with a signal and waits for it.
func (p *program) stop(s syscall.Signal) error {
	p.mu.Lock()
	if p.cmd == nil {
		p.mu.Unlock()
		return nil
	}
	p.meant = true
	done := p.done
	p.mu.Unlock()
	begin := time.Now()
	p.signal(s)
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		p.signal(syscall.SIGKILL)
		<-done
		return fmt.Errorf("%s did not stop within 20 s", p.name)
	}
	p.mu.Lock()
	p.waiting = max(p.waiting, time.Since(begin))
	p.mu.Unlock()
	return nil
}

// restart ends the program and starts it again.
func (p *program) restart(ctx context.Context, s syscall.Signal) error {
	return errors.Join(p.stop(s), p.start(ctx))
}

// since is when the process that runs began.
func (p *program) since() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.begun
}

// faults are what its log says that must never be there.
func (p *program) faults() []string {
	b, err := os.ReadFile(p.log())
	if err != nil {
		return []string{err.Error()}
	}
	p.mu.Lock()
	found := append([]string(nil), p.sudden...)
	p.mu.Unlock()
	for _, bad := range []string{"DATA RACE", "panic:", "fatal error:", "http: panic serving", "ended by a fault of ours"} {
		if i := bytes.Index(b, []byte(bad)); i >= 0 {
			found = append(found, fmt.Sprintf("%s says:\n%s", p.name, strings.TrimSpace(string(b[max(0, i-200):min(len(b), i+3000)]))))
		}
	}
	return found
}

// installed gives the path of a server.
func installed(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath("/usr/sbin/" + name)
	}
	if err != nil {
		return "", fmt.Errorf("%s is not installed: scripts/install-test-deps.sh installs it", name)
	}
	return path, nil
}

// build builds one of our programs.
func build(ctx context.Context, root, pkg, to string, race bool) error {
	args := []string{"build", "-C", root, "-o", to}
	cgo := "CGO_ENABLED=0"
	if race {
		args, cgo = append(args, "-race"), "CGO_ENABLED=1"
	}
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
	cmd.Env = append(os.Environ(), cgo, "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", pkg, err, out)
	}
	return nil
}

// freeAddrs gives loopback addresses that nobody listens on, below those that the system gives to others: a service that
// is away for a moment finds its own again.
func freeAddrs(n int) ([]string, error) {
	var addrs []string
	for range 1000 {
		ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000)))
		if err != nil {
			continue
		}
		defer ln.Close()
		if addrs = append(addrs, ln.Addr().String()); len(addrs) == n {
			return addrs, nil
		}
	}
	return nil, errors.New("no free port")
}
