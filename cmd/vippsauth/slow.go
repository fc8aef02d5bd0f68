package main

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// A stallGuard is a listener whose connections end when a client doesn't take what is written to it: after patience at least,
// and after some three times that at most. One that takes something goes on, however slow it is. It is for clients that send requests
// and read no answers. A deadline is set once in a while and not for each answer, which would be felt in every check;
// net/http's WriteTimeout would also limit how long an application's answer may take, and with it streams and websockets.
type stallGuard struct {
	net.Listener

	patience time.Duration
}

func (l *stallGuard) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &stallConn{Conn: conn, patience: l.patience}, nil
}

type stallConn struct {
	net.Conn

	patience time.Duration
	until    atomic.Int64 // the write deadline, in nanoseconds; 0 when somebody else has set one
}

// stallProbe is how long a write that waited in vain tries again. The system wakes a writer only when a good part of its buffer
// has gone, which at a slow client takes minutes, and takes more as soon as any has.
const stallProbe = 100 * time.Millisecond

func (c *stallConn) Write(p []byte) (n int, err error) {
	now := time.Now()
	if until := c.until.Load(); until-now.UnixNano() < int64(c.patience) {
		if err := c.guard(now.Add(2 * c.patience)); err != nil {
			return 0, err
		}
	}
	for {
		wrote, err := c.Conn.Write(p[n:])
		if n += wrote; !errors.Is(err, os.ErrDeadlineExceeded) || c.until.Load() == 0 {
			return n, err
		}
		if err := c.guard(time.Now().Add(stallProbe)); err != nil {
			return n, err
		}
		wrote, err = c.Conn.Write(p[n:])
		if n += wrote; wrote == 0 || n == len(p) || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		// What went may be no more than the other side's system took in before it was full: now it has to be the client.
		if err := c.guard(time.Now().Add(c.patience)); err != nil {
			return n, err
		}
	}
}

// guard sets a write deadline of our own.
func (c *stallConn) guard(deadline time.Time) error {
	if err := c.Conn.SetWriteDeadline(deadline); err != nil {
		return err
	}
	c.until.Store(deadline.UnixNano())
	return nil
}

// SetWriteDeadline keeps the guard's own where none is wanted, which is what net/http says after each request.
func (c *stallConn) SetWriteDeadline(t time.Time) error {
	if t.IsZero() {
		return nil
	}
	c.until.Store(0)
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline is what net/http calls when it hands the connection over, to a websocket.
func (c *stallConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// CloseWrite is what net/http looks for: a client that still sends is to see the answer before the connection goes.
func (c *stallConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
