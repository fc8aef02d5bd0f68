package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// unixPrefix begins the address of a Unix socket; the rest is its path.
const unixPrefix = "unix/"

// socketMode lets the group of the service connect, which is how a proxy of another user gets in.
const socketMode = 0o660

// listenOn opens the listener of a setting.
func listenOn(ctx context.Context, setting, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	path, isUnix := strings.CutPrefix(addr, unixPrefix)
	if !isUnix {
		ln, err := lc.Listen(ctx, "tcp", addr)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", setting, err)
		}
		return ln, nil
	}
	if err := removeStaleSocket(ctx, path); err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	ln, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	if err := os.Chmod(path, socketMode); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", setting, err), ln.Close())
	}
	return ln, nil
}

// removeStaleSocket removes a socket that nobody listens on any more. It leaves everything else where it is.
func removeStaleSocket(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there and is not a socket: remove it, or choose another path", path)
	}
	d := net.Dialer{Timeout: time.Second}
	conn, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		return errors.Join(fmt.Errorf("%s is in use by another process", path), conn.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// listenNear listens on loopback at port or, when it is taken, at the next free one above. Port 0 takes any. With
// both, it listens on 127.0.0.1 and, where the machine has it, on [::1]: "localhost" may mean either to a browser.
func listenNear(ctx context.Context, port int, both bool) ([]net.Listener, int, error) {
	const tries = 100
	var lc net.ListenConfig
	for range tries {
		v4, err := lc.Listen(ctx, "tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if isTaken(err) && port != 0 {
			port++
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		got := portOf(v4)
		if !both {
			return []net.Listener{v4}, got, nil
		}
		v6, err := lc.Listen(ctx, "tcp6", fmt.Sprintf("[::1]:%d", got))
		switch {
		case err == nil:
			return []net.Listener{v4, v6}, got, nil
		case !isTaken(err): // no IPv6 here
			return []net.Listener{v4}, got, nil
		}
		if err := v4.Close(); err != nil {
			return nil, 0, err
		}
		if port != 0 {
			port++
		}
	}
	return nil, 0, fmt.Errorf("no free port among the %d below %d", tries, port)
}

func isTaken(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EACCES)
}

// portOf returns the port of a TCP listener.
func portOf(ln net.Listener) int {
	if addr, ok := ln.Addr().(*net.TCPAddr); ok {
		return addr.Port
	}
	return 0
}
