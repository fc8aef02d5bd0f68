package integration_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// transport is what a browser sends its requests with: HTTP/3 to the site where that is wanted, and otherwise HTTP/2
// over TLS and HTTP/1 without.
func (f *front) transport() http.RoundTripper {
	tr := &http.Transport{DialContext: toLoopback, TLSClientConfig: f.tls.Clone(), ForceAttemptHTTP2: true, DisableCompression: true}
	f.t.Cleanup(tr.CloseIdleConnections)
	if !f.http3 {
		return tr
	}
	quic := &http3.Transport{TLSClientConfig: f.tls.Clone(), Dial: quicToLoopback, DisableCompression: true}
	f.t.Cleanup(func() { _ = quic.Close() })
	return mixed{quic: quic, rest: tr}
}

// mixed speaks HTTP/3 with what is https, as a browser does once it knows that a site has it.
type mixed struct{ quic, rest http.RoundTripper }

func (m mixed) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "https" {
		return m.quic.RoundTrip(r)
	}
	return m.rest.RoundTrip(r)
}

// quicToLoopback connects to this machine whatever the name says, as toLoopback does over TCP.
func quicToLoopback(ctx context.Context, addr string, t *tls.Config, cfg *quic.Config) (*quic.Conn, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	return quic.DialAddrEarly(ctx, "127.0.0.1:"+port, t, cfg)
}

// overHTTP1 is the same browser, in what it keeps, for a request that only HTTP/1 can carry.
func (b *browser) overHTTP1(f *front) *browser {
	tr := &http.Transport{DialContext: toLoopback, TLSClientConfig: f.onlyHTTP1(), DisableCompression: true}
	f.t.Cleanup(tr.CloseIdleConnections)
	client := *b.client
	client.Transport = tr
	return &browser{t: b.t, jar: b.jar, client: &client, secret: b.secret, site: b.site}
}

// dial connects to the site to speak HTTP/1 by hand.
func (f *front) dial(t testing.TB) net.Conn {
	t.Helper()
	conn, err := toLoopback(t.Context(), "tcp", "localhost:"+f.port())
	if err != nil {
		t.Fatal(err)
	}
	if f.tls == nil {
		return conn
	}
	return tls.Client(conn, f.onlyHTTP1())
}

// onlyHTTP1 offers a server nothing but HTTP/1; nil where there is no TLS.
func (f *front) onlyHTTP1() *tls.Config {
	if f.tls == nil {
		return nil
	}
	cfg := f.tls.Clone()
	cfg.ServerName, cfg.NextProtos = "localhost", []string{"http/1.1"}
	return cfg
}

// asWritten asks for a path that clients tidy up, in HTTP/1 byte by byte and, where browsers speak a later version, in
// that as well. It gives the lower status.
func asWritten(t *testing.T, f *front, path string) int {
	t.Helper()
	host := "localhost:" + f.port()
	status := raw(t, f, "GET "+path+" HTTP/1.1\r\nHost: "+host+"\r\nSec-Fetch-Mode: cors\r\nConnection: close\r\n\r\n")
	if f.tls == nil {
		return status
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.origin, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.URL = &url.URL{Scheme: "https", Host: host, Opaque: "//" + host + path} // :path is what follows the host
	r.Header = fetching()
	w, err := f.browser().client.Do(r)
	if err != nil {
		if strings.Contains(err.Error(), "malformed") || strings.Contains(err.Error(), "invalid") {
			return status // refused as no request at all
		}
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, w.Body)
	_ = w.Body.Close()
	return min(status, w.StatusCode)
}
