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
			return nil, listenError(setting, addr, err)
		}
		return ln, nil
	}
	if err := removeStaleSocket(ctx, path); err != nil {
		return nil, listenError(setting, addr, err)
	}
	ln, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, listenError(setting, addr, err)
	}
	if err := os.Chmod(path, socketMode); err != nil {
		return nil, errors.Join(listenError(setting, addr, err), ln.Close())
	}
	return ln, nil
}

// listenError says why the address of a setting, or of a flag, can't be listened on, and what to do.
func listenError(setting, addr string, err error) error {
	unix := strings.HasPrefix(addr, unixPrefix)
	mend := "set " + setting + " to another address"
	var known *socketError
	switch {
	case errors.As(err, &known):
		mend = known.mend + ", or " + mend
	case errors.Is(err, syscall.EADDRINUSE):
		mend = "is another vippsauth running? set " + setting + " to a free address"
	case errors.Is(err, syscall.EACCES) && unix, errors.Is(err, syscall.EROFS):
		mend = "let the user that runs vippsauth write to the directory of the socket, or " + mend
	case errors.Is(err, syscall.EACCES):
		mend = "ports below 1024 are the system's; set " + setting + " to one above"
	case errors.Is(err, fs.ErrNotExist):
		mend = "create the directory of the socket, or " + mend
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		mend = "it is none of this machine's; set " + setting + " to one that is, as 127.0.0.1:4190"
	}
	return &addressError{setting: setting, addr: addr, mend: mend, err: err}
}

// An addressError is an address of the settings that can't be listened on.
type addressError struct {
	setting, addr, mend string
	err                 error
}

func (e *addressError) Unwrap() error { return e.err }

// Error names the address once, while the errors of package net repeat it.
func (e *addressError) Error() string {
	reason := e.err.Error()
	var call *os.SyscallError
	if op, ok := errors.AsType[*net.OpError](e.err); ok {
		reason = op.Err.Error()
	}
	if errors.As(e.err, &call) {
		reason = call.Err.Error()
	}
	return fmt.Sprintf("%s: cannot listen on %s: %s; %s", e.setting, e.addr, reason, e.mend)
}

// A socketError is something in the place where a socket is to be.
type socketError struct{ what, mend string }

func (e *socketError) Error() string { return e.what }

// removeStaleSocket removes a socket that nobody listens on any more. It leaves everything else where it is.
func removeStaleSocket(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return &socketError{"there is something, and it is not a socket", "remove it"}
	}
	d := net.Dialer{Timeout: time.Second}
	conn, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close() // it only had to be opened
		return &socketError{"the socket is in use by another process", "is another vippsauth running? stop it"}
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
