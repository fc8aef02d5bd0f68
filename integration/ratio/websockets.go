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
	"time"
)

// webSockets measures what idle WebSockets cost the sidecar in memory, beside a bare httputil.ReverseProxy to the same
// app: what each process holds before there are any, and with all of them open.
func (b *bench) webSockets() error {
	addr := free()
	proxy, err := b.again("bare httputil.ReverseProxy", addr, "-serve", addr, "-as", b.appAddr)
	if err != nil {
		return err
	}
	cmd, err := b.serve(b.binary, b.sidecarAddr, "VIPPSAUTH_UPSTREAM=http://"+b.appAddr)
	if err != nil {
		return err
	}
	sidecar, err := b.launch("vippsauth as a sidecar", cmd, b.sidecarAddr)
	if err != nil {
		return err
	}
	cookies, err := b.logIn(b.sidecarAddr, 1)
	if err != nil {
		return err
	}
	b.table.heading(fmt.Sprintf("%d idle WebSockets, memory", b.sockets), "before", "with them", "each", "bar")
	least, err := b.withWebSockets(proxy, addr, cookies[0])
	if err != nil {
		return err
	}
	most, err := b.withWebSockets(sidecar, b.sidecarAddr, cookies[0])
	if err != nil {
		return err
	}
	b.table.row("  vippsauth beyond the bare proxy", "", megabytes(most-least), "", held(most-least, 40, "under %.0f MB"))
	return nil
}

func megabytes(mb float64) string { return fmt.Sprintf("%.1f MB", mb) }

// withWebSockets opens them and says what the process holds after a while with all of them idle, in MB.
func (b *bench) withWebSockets(p *process, addr, cookie string) (after float64, err error) {
	before, err := p.megabytes()
	if err != nil {
		return 0, err
	}
	for range b.sockets {
		conn, err := openWebSocket(addr, cookie)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", p.name, err)
		}
		defer conn.Close()
	}
	time.Sleep(3 * time.Second) // what the handshakes leave may go
	if after, err = p.megabytes(); err != nil {
		return 0, err
	}
	b.table.row("  "+p.name, megabytes(before), megabytes(after), fmt.Sprintf("%.1f kB", (after-before)*1000/float64(b.sockets)))
	return after, nil
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

// bareProxy is the least that passes WebSockets on.
func bareProxy(to string) http.Handler {
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: to})
		r.Out.Host = r.In.Host
	}}
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
