//go:build linux

package main

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// websockets measures what idle WebSockets cost the sidecar in memory, beside a bare httputil.ReverseProxy to the same
// app: what each process holds before there are any, and with n of them open.
func websockets(n int, scopes string) error {
	dir, err := os.MkdirTemp("", "vippsauth-ratio-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	l := &lab{binary: filepath.Join(dir, "vippsauth"), serviceAddr: free(), bareAddr: free()}
	defer l.close()
	app := free()
	if err := l.startProxies(app, scopes); err != nil {
		return err
	}
	cookies, err := l.logIn(l.serviceAddr, 1)
	if err != nil {
		return err
	}
	fmt.Printf("memory of a process with %d idle WebSockets, as the kernel counts it (VmRSS), scopes %q:\n", n, scopes)
	var grown []float64
	for _, p := range []struct {
		process *process
		addr    string
	}{{l.bare, l.bareAddr}, {l.service, l.serviceAddr}} {
		before, after, err := p.process.withWebSockets(p.addr, cookies[0], n)
		if err != nil {
			return fmt.Errorf("%s: %w", p.process.name, err)
		}
		fmt.Printf("  %-32s %6.1f MB before, %6.1f MB with them: %5.1f KB each\n", p.process.name, before, after, (after-before)*1000/float64(n))
		grown = append(grown, after)
	}
	fmt.Printf("  the sidecar holds %.1f MB beyond the bare proxy (less than 40 is wanted)\n", grown[1]-grown[0])
	return nil
}

// startProxies starts the app, the bare proxy and the sidecar, all in processes of their own.
func (l *lab) startProxies(app, scopes string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := build("./cmd/vippsauth", l.binary); err != nil {
		return err
	}
	client := emulator.Client{ID: "ratio", Secret: "ratio-secret", Name: "Ratio", RedirectURIs: []string{"http://" + l.serviceAddr + "/_vipps/callback"}}
	if l.vipps, err = emulator.Start("127.0.0.1:0", emulator.Config{Spinner: -1, Clients: []emulator.Client{client}}); err != nil {
		return err
	}
	if l.caddy, err = run1("app", exec.Command(self, "-serve", app), app); err != nil { // its place is free here
		return err
	}
	if l.bare, err = run1("bare httputil.ReverseProxy", exec.Command(self, "-serve", l.bareAddr, "-to", app), l.bareAddr); err != nil {
		return err
	}
	key, err := session.NewKey()
	if err != nil {
		return err
	}
	cmd := exec.Command(l.binary, "serve", "--upstream=http://"+app)
	cmd.Env = append(os.Environ(), "VIPPSAUTH_ISSUER="+l.vipps.Issuer, "VIPPSAUTH_CLIENT_ID=ratio", "VIPPSAUTH_CLIENT_SECRET=ratio-secret",
		"VIPPSAUTH_PUBLIC_URL=http://"+l.serviceAddr, "VIPPSAUTH_LISTEN="+l.serviceAddr, "VIPPSAUTH_OPS_LISTEN="+free(),
		"VIPPSAUTH_COOKIE_KEYS="+key.Encode(), "VIPPSAUTH_ALLOW=anyone", "VIPPSAUTH_SCOPES="+scopes, "VIPPSAUTH_LOG_LEVEL=error")
	l.service, err = run1("vippsauth serve, as a sidecar", cmd, l.serviceAddr)
	return err
}

// withWebSockets opens n of them and says what the process holds before, and after a while with all of them idle, in MB.
func (p *process) withWebSockets(addr, cookie string, n int) (before, after float64, err error) {
	if before, err = p.megabytes(); err != nil {
		return 0, 0, err
	}
	for range n {
		conn, err := openWebSocket(addr, cookie)
		if err != nil {
			return 0, 0, err
		}
		defer conn.Close()
	}
	time.Sleep(3 * time.Second) // what the handshakes leave may go
	after, err = p.megabytes()
	return before, after, err
}

// openWebSocket does the handshake as a browser does, and sends one frame there and back.
func openWebSocket(addr, cookie string) (net.Conn, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	request := "GET /ws HTTP/1.1\r\nHost: " + addr + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nOrigin: http://" + addr +
		"\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + browserHeaders(cookie)
	if _, err := io.WriteString(conn, request); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	in := bufio.NewReaderSize(conn, 1024)
	answer, err := http.ReadResponse(in, nil) //nolint:bodyclose // what follows is no body
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return nil, errors.Join(fmt.Errorf("the handshake is answered with %d", answer.StatusCode), conn.Close())
	}
	const frame = "\x81\x05hello"
	if _, err := io.WriteString(conn, frame); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if _, err := io.ReadFull(in, make([]byte, len(frame))); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// megabytes is rss as a number.
func (p *process) megabytes() (float64, error) {
	text, err := p.rss()
	if err != nil {
		return 0, err
	}
	kb, err := strconv.ParseFloat(strings.TrimSuffix(text, " kB"), 64)
	return kb * 1024 / 1e6, err
}

// serveProxy is the least that passes WebSockets on.
func serveProxy(addr, to string) error {
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: to})
		r.Out.Host = r.In.Host
	}}
	server := &http.Server{Addr: addr, Handler: proxy, ReadHeaderTimeout: 10 * time.Second}
	return server.ListenAndServe()
}

// echo accepts a WebSocket and sends back every byte, whatever frames they are.
func echo(w http.ResponseWriter, r *http.Request) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	fmt.Fprintf(buffered, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	if buffered.Flush() != nil {
		return
	}
	_, _ = io.Copy(conn, buffered)
}
