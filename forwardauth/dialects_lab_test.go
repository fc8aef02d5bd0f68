package forwardauth_test

import (
	"log"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/forwardauth/extauthz"
	"github.com/vippsauth/vippsauth/forwardauth/fcgi"
)

// dialectLab is one engine that is asked in every dialect over real connections, by a peer that it trusts and by one that
// it doesn't, and knows the sessions of two people.
type dialectLab struct {
	*lab
	near, far map[string]string // addresses by protocol
	conns     map[bool]*grpc.ClientConn
	sessions  map[string]string // cookies by phone number
}

// elsewhere is a listener whose peers come from a network that nobody trusts.
type elsewhere struct{ net.Listener }

type farConn struct{ *net.TCPConn }

func (farConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(203, 0, 113, 9), Port: 4711} }

func (ln elsewhere) Accept() (net.Conn, error) {
	conn, err := ln.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return farConn{conn.(*net.TCPConn)}, nil
}

func newDialectLab(t *testing.T) *dialectLab {
	t.Helper()
	l := &dialectLab{near: map[string]string{}, far: map[string]string{}, conns: map[bool]*grpc.ClientConn{}, sessions: map[string]string{}}
	l.lab = newLab(t, func(c *forwardauth.Config) {
		c.PublicURLs, c.Emulator = []string{"https://" + hostileHost}, false
		c.TrustedProxies, c.ProxySecret = []string{"127.0.0.1"}, hostileSecret
		c.SessionTTL = 100 * 24 * time.Hour
		c.Policies = []forwardauth.Policy{{Name: "board", Allow: []string{phonePer}}}
	})
	if err := l.vipps.Control().AddRedirectURI("shop", "https://"+hostileHost+"/_vipps/callback"); err != nil {
		t.Fatal(err)
	}
	l.serveHTTP()
	l.serveGRPC()
	l.serveFastCGI()
	for _, phone := range []string{phoneAase, phonePer} {
		l.logIn(phone)
	}
	return l
}

// listeners are one for each kind of peer.
func (l *dialectLab) listeners(protocol string) []net.Listener {
	l.t.Helper()
	var all []net.Listener
	for _, addrs := range []map[string]string{l.near, l.far} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			l.t.Fatal(err)
		}
		addrs[protocol] = ln.Addr().String()
		all = append(all, ln)
	}
	all[1] = elsewhere{all[1]}
	return all
}

func (l *dialectLab) addr(protocol string, trusted bool) string {
	if trusted {
		return l.near[protocol]
	}
	return l.far[protocol]
}

// complaint fails the test by what a server writes into its own log.
type complaint struct{ t testing.TB }

func (c complaint) Write(b []byte) (int, error) {
	c.t.Errorf("a server complains: %s", b)
	return len(b), nil
}

// serveHTTP serves with the limits of cmd/vippsauth (service.go).
func (l *dialectLab) serveHTTP() {
	server := &http.Server{
		Handler: l.engine.ForwardAuth(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second, IdleTimeout: 120 * time.Second,
		MaxHeaderBytes: 64 << 10, DisableGeneralOptionsHandler: true, ErrorLog: log.New(complaint{l.t}, "", 0),
	}
	for _, ln := range l.listeners("http") {
		go func() { _ = server.Serve(ln) }()
	}
	l.t.Cleanup(func() { _ = server.Close() })
}

func (l *dialectLab) serveGRPC() {
	l.t.Helper()
	server := extauthz.New(l.engine, l.config.Logger)
	for _, ln := range l.listeners("grpc") {
		go func() { _ = server.Serve(ln) }()
	}
	l.t.Cleanup(func() { _ = server.Close() })
	for _, trusted := range []bool{true, false} {
		conn, err := grpc.NewClient(l.addr("grpc", trusted), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			l.t.Fatal(err)
		}
		l.t.Cleanup(func() { _ = conn.Close() })
		l.conns[trusted] = conn
	}
}

func (l *dialectLab) grpcConn(trusted bool) *grpc.ClientConn { return l.conns[trusted] }

func (l *dialectLab) serveFastCGI() {
	server := &fcgi.Server{Handler: l.engine.FastCGI, ErrorLog: log.New(complaint{l.t}, "", 0)}
	for _, ln := range l.listeners("fastcgi") {
		go func() { _ = server.Serve(ln) }()
	}
	l.t.Cleanup(func() { _ = server.Close() })
}

// logIn keeps the session of a person who has logged in at the site, which a proxy with TLS stands in front of.
func (l *dialectLab) logIn(phone string) {
	l.t.Helper()
	l.as(phone)
	cookies := map[string]string{}
	for target := "https://" + hostileHost + "/_vipps/login?rd=/"; target != "https://"+hostileHost+"/"; {
		r, err := http.NewRequestWithContext(l.t.Context(), http.MethodGet, target, http.NoBody)
		if err != nil {
			l.t.Fatal(err)
		}
		ours := r.URL.Host == hostileHost
		r.Header = navigation()
		if ours {
			r.Host, r.URL.Scheme, r.URL.Host = hostileHost, "http", l.near["http"]
			r.Header.Set("X-Forwarded-Proto", "https")
			r.Header.Set("X-Vipps-Proxy-Secret", hostileSecret)
			for name, value := range cookies {
				r.AddCookie(&http.Cookie{Name: name, Value: value})
			}
		}
		a, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			l.t.Fatal(err)
		}
		_ = a.Body.Close()
		for _, c := range a.Cookies() {
			if ours {
				cookies[c.Name] = c.Value
			}
		}
		next, err := url.Parse(target)
		if err == nil {
			next, err = next.Parse(a.Header.Get("Location"))
		}
		if err != nil || a.StatusCode < 300 || a.StatusCode > 399 {
			l.t.Fatalf("the login ends at %s with %d, %v", target, a.StatusCode, err)
		}
		target = next.String()
	}
	if l.sessions[phone] = cookies["__Host-vippsauth"]; l.sessions[phone] == "" {
		l.t.Fatal("no session")
	}
}
