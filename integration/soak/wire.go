//go:build linux

package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// wireMode is what a wire does to those who talk over it.
type wireMode int32

const (
	passes    wireMode = iota
	refuses            // every connection is reset
	hangs              // questions go through, answers stay away
	trickles           // answers come in small pieces
	cutsShort          // answers end in the middle, by a reset
)

// wire is what is between two programs: whatever it is told to do happens to the connections over it. Both ends see the
// address that the client has.
type wire struct {
	ln   net.Listener
	to   string
	mode atomic.Int32
	done context.Context
	stop context.CancelFunc
	wait sync.WaitGroup

	mu    sync.Mutex
	conns map[*net.TCPConn]bool // those of clients
}

// newWire listens on addr and leads to to.
func newWire(addr, to string) (*wire, error) {
	ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	w := &wire{ln: ln, to: to, conns: map[*net.TCPConn]bool{}}
	w.done, w.stop = context.WithCancel(context.Background())
	w.wait.Go(w.accept)
	return w, nil
}

func (w *wire) addr() string { return w.ln.Addr().String() }

func (w *wire) set(m wireMode) { w.mode.Store(int32(m)) }

func (w *wire) is(m wireMode) bool { return wireMode(w.mode.Load()) == m }

func (w *wire) accept() {
	for {
		conn, err := w.ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		client, ok := conn.(*net.TCPConn)
		if err != nil || !ok {
			pause(w.done, 10*time.Millisecond) // no descriptors left, perhaps
			continue
		}
		if w.is(refuses) {
			reset(client)
			continue
		}
		w.wait.Go(func() { w.join(client) })
	}
}

// join connects a client with the other end until one of them goes.
func (w *wire) join(client *net.TCPConn) {
	defer client.Close()
	d := net.Dialer{Timeout: 5 * time.Second}
	if from, ok := client.RemoteAddr().(*net.TCPAddr); ok {
		d.LocalAddr = &net.TCPAddr{IP: from.IP}
	}
	conn, err := d.DialContext(w.done, "tcp", w.to)
	if err != nil {
		reset(client)
		return
	}
	defer conn.Close()
	server, ok := conn.(*net.TCPConn)
	if !ok || !w.keep(client) {
		return
	}
	defer w.drop(client)
	var both sync.WaitGroup
	both.Go(func() {
		w.carry(server, client, false)
		_ = server.CloseWrite()
	})
	both.Go(func() {
		w.carry(client, server, true)
		_ = client.CloseWrite()
		_ = server.Close() // nobody listens to questions any more
		_ = client.CloseRead()
	})
	both.Wait()
}

func (w *wire) keep(c *net.TCPConn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done.Err() != nil {
		return false
	}
	w.conns[c] = true
	return true
}

func (w *wire) drop(c *net.TCPConn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, c)
}

// carry copies one direction.
func (w *wire) carry(to, from *net.TCPConn, answer bool) {
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && !w.write(to, buf[:n], answer) || err != nil {
			return
		}
	}
}

func (w *wire) write(to *net.TCPConn, b []byte, answer bool) bool {
	for answer && w.is(hangs) && w.done.Err() == nil {
		pause(w.done, 20*time.Millisecond)
	}
	if answer && w.is(cutsShort) {
		_, _ = to.Write(b[:rand.IntN(len(b))])
		reset(to)
		return false
	}
	for answer && w.is(trickles) && len(b) > 200 {
		if _, err := to.Write(b[:200]); err != nil {
			return false
		}
		b = b[200:]
		pause(w.done, 20*time.Millisecond)
	}
	_, err := to.Write(b)
	return err == nil
}

// reset ends a connection without a goodbye.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// resetAll resets a share of the connections that there are.
func (w *wire) resetAll(share float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		if rand.Float64() < share {
			reset(c)
		}
	}
}

func (w *wire) close() {
	w.stop()
	_ = w.ln.Close()
	w.resetAll(1)
	w.wait.Wait()
}

// pause waits, and reports whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
