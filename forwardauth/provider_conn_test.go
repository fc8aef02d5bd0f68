package forwardauth_test

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps"
)

// D-33: what can happen to connections that are used again. A GET is sent again by itself where that is safe; the code is
// sent once, since the provider may have taken it before the connection broke, and a second use may revoke what the first
// was given.

// once lets h answer the first request only.
func once(p *provider, endpoint string, h http.HandlerFunc) http.HandlerFunc {
	var done sync.Once
	return func(w http.ResponseWriter, r *http.Request) {
		first := false
		done.Do(func() { first = true })
		if first {
			h(w, r)
			return
		}
		p.serve(endpoint, w, r)
	}
}

// hangUp closes the connection after so much of an answer.
func hangUp(said string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		hijacker, ok := w.(http.Hijacker)
		if !ok {
			panic(http.ErrAbortHandler)
		}
		conn, _, err := hijacker.Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = conn.Write([]byte(said))
		_ = conn.Close()
	}
}

func TestSec_D33_KeepAlive(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, endpoint, said string
		calls                calls
		code                 string
	}{
		{"keys", epKeys, "", calls{1, 1, 1, 2, 1}, ""},
		{"userinfo", epUserinfo, "", calls{1, 1, 1, 1, 2}, ""},
		{"the code is sent once", epToken, "", calls{1, 1, 1, 0, 0}, vipps.CodeUnreachable},
		{"the code is sent once, an answer begun", epToken, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{\"access_", calls{1, 1, 1, 0, 0}, vipps.CodeUnreachable},
		{"userinfo, an answer begun", epUserinfo, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{\"sub\":", calls{1, 1, 1, 1, 1}, vipps.CodeUnreachable},
		{"keys, a status cut off", epKeys, "HTTP/1.1 2", calls{1, 1, 1, 1, 0}, "keys"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t)
			p.handlers[tt.endpoint] = once(p, tt.endpoint, hangUp(tt.said))
			r := newRP(t, p, nil)
			if tt.code == "" {
				r.accepted()
			} else if a := r.refused(tt.code); a.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("the page: %d", a.StatusCode)
			}
			r.want(tt.calls)
			r.clock.advance(2 * time.Second) // the back-off
			r.accepted()                     // and the next login works
		})
	}
	t.Run("all of them closed between two logins", func(t *testing.T) {
		t.Parallel()
		r := newRP(t, newProvider(t), nil)
		r.accepted()
		r.op.srv.CloseClientConnections()
		r.accepted()
		r.want(calls{1, 2, 2, 1, 2})
	})
}

// HTTP/2: a provider that goes away politely (GOAWAY) after any answer is met again on another connection; one that resets
// the stream of the token request is not asked twice.
func TestSec_D33_HTTP2(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	cert := a.issue("127.0.0.1", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	for _, endpoint := range []string{epDiscovery, epToken, epKeys, epUserinfo} {
		t.Run("GOAWAY after "+endpoint, func(t *testing.T) {
			t.Parallel()
			p := overTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}}, true)
			p.handlers[endpoint] = func(w http.ResponseWriter, r *http.Request) {
				if r.ProtoMajor != 2 {
					t.Errorf("%s came by %s", endpoint, r.Proto)
				}
				w.Header().Set("Connection", "close") // which net/http makes a GOAWAY of
				p.serve(endpoint, w, r)
			}
			r := newRP(t, p, trusting(t, &tls.Config{RootCAs: a.pool}, nil))
			r.outlet = outlet(t, a.pool)
			r.accepted()
			r.accepted()
			r.want(calls{1, 2, 2, 1, 2})
		})
	}
	t.Run("the token request's stream is reset", func(t *testing.T) {
		t.Parallel()
		p := overTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}}, true)
		p.handlers[epToken] = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
		r := newRP(t, p, trusting(t, &tls.Config{RootCAs: a.pool}, nil))
		r.outlet = outlet(t, a.pool)
		r.refused(vipps.CodeUnreachable)
		r.want(calls{1, 1, 1, 0, 0})
	})
}

// A provider that has an address of IPv6 only.
func TestSec_D33_IPv6Only(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 here")
	}
	p := unstartedProvider(t)
	p.srv = httptest.NewUnstartedServer(p)
	_ = p.srv.Listener.Close()
	p.srv.Listener = l
	p.srv.Start()
	p.start()
	r := newRP(t, p, nil)
	r.accepted()
	r.want(calls{1, 1, 1, 1, 1})
}
