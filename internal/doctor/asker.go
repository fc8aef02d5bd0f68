package doctor

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	maxRequests = 59
	perRequest  = 10 * time.Second
	inAll       = 2 * time.Minute
	maxAnswer   = 256 << 10
	maxReceived = 1 << 20 // of one answer, header and interim answers included
)

// errEnough ends a visit that would ask too often.
var errEnough = errors.New("doctor: no more requests are made")

// asker sends single requests, written by hand, to one origin unless told otherwise: header names in any spelling, and paths that no client
// would send. It follows nothing and keeps no cookies.
type asker struct {
	target    *url.URL // scheme and host
	userAgent string
	tls       *tls.Config
	dial      func(ctx context.Context, network, addr string) (net.Conn, error)
	requests  int
}

// An ask is one request. Each header is a whole line, "Name: value".
type ask struct {
	method string // "" is GET
	path   string // path and query, as they go over the wire
	header []string
	body   string   // a form, unless kind says otherwise
	kind   string   // the body's media type
	host   string   // in Host; "" is the target's
	at     *url.URL // scheme and host of another target
}

// An answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
	at     time.Time // when it came, by our clock
}

func hostPort(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	port := "443"
	if u.Scheme == "http" {
		port = "80"
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// dialer connects to a name. Those below localhost are this machine, as they are for browsers (RFC 6761, section 6.3),
// whatever the resolver knows of them.
func dialer() func(ctx context.Context, network, addr string) (net.Conn, error) {
	d := &net.Dialer{Timeout: 5 * time.Second}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if host, port, err := net.SplitHostPort(addr); err == nil && strings.HasSuffix(strings.ToLower(host), ".localhost") {
			addr = net.JoinHostPort("localhost", port)
		}
		return d.DialContext(ctx, network, addr)
	}
}

// connect opens a connection, with TLS where the target has it.
func (a *asker) connect(ctx context.Context, target *url.URL, protocol string) (net.Conn, error) {
	if a.requests >= maxRequests {
		return nil, errEnough
	}
	a.requests++
	conn, err := a.dial(ctx, "tcp", hostPort(target))
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(perRequest)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := conn.SetDeadline(deadline); err != nil {
		_ = conn.Close()
		return nil, err
	}
	if target.Scheme != "https" {
		return conn, nil
	}
	cfg := a.tls.Clone()
	cfg.ServerName = target.Hostname()
	cfg.NextProtos = []string{protocol}
	secured := tls.Client(conn, cfg)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secured, nil
}

// send asks once, over a connection of its own.
func (a *asker) send(ctx context.Context, q ask) (*answer, error) {
	if q.at == nil {
		q.at = a.target
	}
	conn, err := a.connect(ctx, q.at, "http/1.1")
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // it has been read
	if _, err := io.WriteString(conn, a.text(q)); err != nil {
		return nil, err
	}
	in := bufio.NewReader(io.LimitReader(conn, maxReceived)) // net/http sets a header no limit here
	for {
		w, err := http.ReadResponse(in, &http.Request{Method: q.verb()})
		if err != nil {
			return nil, err
		}
		if w.StatusCode < 200 && w.StatusCode != http.StatusSwitchingProtocols {
			continue // 100 or 103
		}
		got := &answer{status: w.StatusCode, header: w.Header, at: time.Now()}
		if w.StatusCode != http.StatusSwitchingProtocols {
			body, _ := io.ReadAll(io.LimitReader(w.Body, maxAnswer)) // what has come is enough
			got.body = string(body)
		}
		_ = w.Body.Close()
		return got, nil
	}
}

func (q *ask) verb() string {
	if q.method == "" {
		return http.MethodGet
	}
	return q.method
}

// text is the request as it goes over the wire.
func (a *asker) text(q ask) string {
	host := q.host
	if host == "" {
		host = q.at.Host
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\n", q.verb(), q.path, host, a.userAgent)
	closes := true
	for _, line := range q.header {
		b.WriteString(line + "\r\n")
		if strings.HasPrefix(strings.ToLower(line), "connection:") {
			closes = false
		}
	}
	if closes {
		b.WriteString("Connection: close\r\n")
	}
	if q.body != "" || q.verb() == http.MethodPost {
		kind := cmp.Or(q.kind, "application/x-www-form-urlencoded")
		b.WriteString("Content-Type: " + kind + "\r\nContent-Length: " + strconv.Itoa(len(q.body)) + "\r\n")
	}
	return b.String() + "\r\n" + q.body
}

// navigation is what a browser says of itself when a person opens a page.
func navigation(more ...string) []string {
	return append([]string{
		"Accept: text/html,application/xhtml+xml,*/*;q=0.8", "Accept-Language: en", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document",
		"Sec-Fetch-Site: none", "Sec-Fetch-User: ?1",
	}, more...)
}

// script is what it says when a page's script asks.
func script(more ...string) []string {
	return append([]string{"Accept: application/json", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty", "Sec-Fetch-Site: same-origin"}, more...)
}

// location returns where an answer redirects to, nil if it doesn't. It is not made absolute.
func (w *answer) location() *url.URL {
	if w.status < 300 || w.status > 399 {
		return nil
	}
	u, err := url.Parse(w.header.Get("Location"))
	if err != nil || w.header.Get("Location") == "" {
		return nil
	}
	return u
}

// cookies are those that an answer sets.
func (w *answer) cookies() []*http.Cookie { return (&http.Response{Header: w.header}).Cookies() }

// says is a status and, for a redirect, its target without the query, which may hold secrets of a login.
func (w *answer) says() string {
	text := fmt.Sprintf("%d %s", w.status, http.StatusText(w.status))
	if to := w.location(); to != nil {
		shown := *to
		shown.RawQuery, shown.Fragment = "", ""
		text += " to " + short(shown.String())
	}
	return text
}

// noStore reports whether no cache may keep the answer.
func (w *answer) noStore() bool {
	return strings.Contains(strings.ToLower(strings.Join(w.header["Cache-Control"], ",")), "no-store")
}
