package forwardauth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/vippsauth/vippsauth/vipps"
)

// authority is a certificate authority of a test's own.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t, pool: x509.NewCertPool(), key: newKey(t)}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a test's own authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.cert)
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue makes a certificate for a name or an address.
func (a *authority) issue(host string, from, to time.Time) tls.Certificate {
	a.t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: from, NotAfter: to, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if ip := net.ParseIP(host); ip != nil {
		c.IPAddresses = []net.IP{ip}
	} else {
		c.DNSNames = []string{host}
	}
	key := newKey(a.t)
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// overTLS starts a provider with this TLS configuration.
func overTLS(t testing.TB, cfg *tls.Config, http2 bool) *provider {
	t.Helper()
	p := unstartedProvider(t)
	p.srv = httptest.NewUnstartedServer(p)
	p.srv.TLS, p.srv.EnableHTTP2 = cfg, http2
	p.srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	p.srv.StartTLS()
	p.start()
	return p
}

// trusting is a client for the provider that differs from the default one by the authority that it trusts.
func trusting(t testing.TB, tlsConfig *tls.Config, dial func(ctx context.Context, network, addr string) (net.Conn, error)) func(*vipps.Config) {
	transport := &http.Transport{TLSClientConfig: tlsConfig, DialContext: dial, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 3 * time.Second}
	t.Cleanup(transport.CloseIdleConnections)
	return func(c *vipps.Config) { c.HTTPClient = &http.Client{Transport: transport} }
}

// outlet is a browser's way to a provider over TLS.
func outlet(t testing.TB, trust *x509.CertPool) http.RoundTripper {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust}}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// D-06: a provider whose certificate is not right is no provider: nothing is sent to it, the person gets a page, and the
// log says that it is the certificate. The first case is the same setup with a right one.
func TestSec_D06_Certificates(t *testing.T) {
	t.Parallel()
	ours, another := newAuthority(t), newAuthority(t)
	now := time.Now()
	for name, tt := range map[string]struct {
		cert  tls.Certificate
		trust *x509.CertPool
		says  string // "" for a login that succeeds
	}{
		"right":       {ours.issue("127.0.0.1", now.Add(-time.Hour), now.Add(time.Hour)), ours.pool, ""},
		"expired":     {ours.issue("127.0.0.1", now.Add(-2*time.Hour), now.Add(-time.Hour)), ours.pool, "expired"},
		"not yet":     {ours.issue("127.0.0.1", now.Add(time.Hour), now.Add(2*time.Hour)), ours.pool, "not yet valid"},
		"wrong host":  {ours.issue("evil.example", now.Add(-time.Hour), now.Add(time.Hour)), ours.pool, "127.0.0.1"},
		"unknown CA":  {another.issue("127.0.0.1", now.Add(-time.Hour), now.Add(time.Hour)), ours.pool, "unknown authority"},
		"default CAs": {ours.issue("127.0.0.1", now.Add(-time.Hour), now.Add(time.Hour)), nil, "unknown authority"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := overTLS(t, &tls.Config{Certificates: []tls.Certificate{tt.cert}}, false)
			change := trusting(t, &tls.Config{RootCAs: tt.trust}, nil)
			if tt.trust == nil {
				change = nil // the client as it comes
			}
			r := newRP(t, p, change)
			if tt.says == "" {
				r.outlet = outlet(t, tt.trust)
				r.accepted()
				r.want(calls{1, 1, 1, 1, 1})
				return
			}
			a := r.refused(vipps.CodeTLS)
			r.want(calls{})
			fault := r.faults()[0]
			if text := fault["error"].(string); !strings.Contains(text, tt.says) || fault["stage"] != "discovery" {
				t.Errorf("the log says %q at %v, want %q in it", text, fault["stage"], tt.says)
			}
			if causes := text(fault["likely_causes"]); !strings.Contains(causes, "certificate was not accepted") {
				t.Errorf("the log names %s", causes)
			}
			if strings.Contains(a.text, "x509") || strings.Contains(a.text, "certificate") {
				t.Error("the page speaks of certificates")
			}
		})
	}
}

// TLS below 1.2 is not spoken, and the log says that it is TLS that failed.
func TestSec_D06_OldTLS(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	cert := a.issue("127.0.0.1", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	p := overTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false)
	r := newRP(t, p, nil)
	r.refused(vipps.CodeTLS)
	r.want(calls{})
}

// nameserver answers for op.example over UDP, from a table that may change.
type nameserver struct {
	mu      sync.Mutex
	address [4]byte // zero: there is no such name
	silent  bool
	conn    net.PacketConn
}

func newNameserver(t testing.TB) *nameserver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &nameserver{conn: conn}
	done := make(chan struct{})
	go func() { defer close(done); n.serve() }()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return n
}

func (n *nameserver) set(address [4]byte, silent bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.address, n.silent = address, silent
}

func (n *nameserver) serve() {
	buf := make([]byte, 1500)
	for {
		size, from, err := n.conn.ReadFrom(buf)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buf[:size]) != nil || len(m.Questions) != 1 {
			continue
		}
		n.mu.Lock()
		address, silent := n.address, n.silent
		n.mu.Unlock()
		if silent {
			continue
		}
		q := m.Questions[0]
		answer := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, RecursionAvailable: true}, Questions: m.Questions}
		switch {
		case address == [4]byte{}:
			answer.RCode = dnsmessage.RCodeNameError
		case q.Type == dnsmessage.TypeA:
			answer.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}, Body: &dnsmessage.AResource{A: address}}}
		}
		if packed, err := answer.Pack(); err == nil {
			_, _ = n.conn.WriteTo(packed, from)
		}
	}
}

// D-07: a name that is not there, one whose server says nothing, and one that moves to another address. The dialer is the
// default one's, with a name server of the test's own.
func TestSec_D07_Names(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	cert := a.issue("op.example", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	p := overTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}}, false)
	_, port, err := net.SplitHostPort(p.srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	second, err := net.Listen("tcp", "127.0.0.2:"+port) // the same provider at another address
	if err != nil {
		t.Skip("there is no 127.0.0.2 here")
	}
	moved := &httptest.Server{Listener: second, TLS: &tls.Config{Certificates: []tls.Certificate{cert}}, Config: &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}}
	moved.StartTLS()
	t.Cleanup(moved.Close)
	p.srv.URL = "https://op.example:" + port
	p.issuer = p.srv.URL + "/access-management-1.0/access/"

	names := newNameserver(t)
	resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(t.Context(), "udp", names.conn.LocalAddr().String())
		if err == nil {
			t.Cleanup(func() { _ = conn.Close() }) // the resolver waits for five seconds, whatever the dialer does
		}
		return conn, err
	}}
	dial := (&net.Dialer{Resolver: resolver, Timeout: 2 * time.Second}).DialContext
	r := newRP(t, p, trusting(t, &tls.Config{RootCAs: a.pool}, dial))
	p.now = r.clock.now
	visit := func(status int, code string) {
		t.Helper()
		r.log.TakeAll()
		started := time.Now()
		got := r.browser().send("GET", "/_vipps/login", navigation(), "")
		if got.StatusCode != status || code != "" && (len(r.faults()) != 1 || !strings.Contains(r.faults()[0]["error"].(string), code)) {
			t.Errorf("got %d, want %d; log %v", got.StatusCode, status, r.faults())
		}
		if took := time.Since(started); took > 20*time.Second {
			t.Errorf("it took %v", took)
		}
		r.clock.advance(time.Minute)
	}
	visit(http.StatusServiceUnavailable, vipps.CodeUnreachable)
	names.set([4]byte{}, true)
	visit(http.StatusServiceUnavailable, vipps.CodeTimeout)
	names.set([4]byte{127, 0, 0, 1}, false)
	visit(http.StatusFound, "")
	names.set([4]byte{127, 0, 0, 2}, false)
	p.srv.Listener.Close()
	p.srv.CloseClientConnections()
	r.clock.advance(2 * time.Hour)
	visit(http.StatusFound, "")
	if got := p.counted(); got.discovery != 2 {
		t.Errorf("metadata was read %d times, want once at each address", got.discovery)
	}
	if err := r.client.Ready(); err != nil {
		t.Errorf("the provider's new address was not found: %v", err)
	}
}
