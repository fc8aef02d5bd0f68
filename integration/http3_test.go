package integration_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// Attack: :authority names a host that is no site's, on a connection that was made to a site.
func TestCaddyHTTP3Authority(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.http3 = true
	f.overTLS()
	f.tls = moduleTLS()
	site := strings.Replace(moduleSite(f, "public_url "+f.origin), f.origin+" {", "https://:"+f.port()+" {\n\ttls internal {\n\t\ton_demand\n\t}", 1)
	startCaddy(t, f, ownTLS+"\ton_demand_tls {\n\t\task http://"+f.app.addr()+"/may-have-a-certificate\n\t}\n", site)
	b := f.loggedIn()
	hits := f.app.hits()
	for _, host := range []string{"evil.example", "evil.example:" + f.port(), "localhost", "localhost.evil.example:" + f.port(), "LOCALHOST:" + f.port()} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.origin+"/secret", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Host, r.Header = host, navigation()
		w, err := b.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = w.Body.Close()
		switch strings.EqualFold(host, "localhost:"+f.port()) {
		case true: // names of hosts have no case
			if w.StatusCode != http.StatusOK || f.app.last().Header.Get("X-Vipps-Sub") == "" {
				t.Errorf("%s: %d", host, w.StatusCode)
			}
			hits = f.app.hits()
		default:
			if w.StatusCode < 400 || f.app.hits() != hits || w.Header.Get("Location") != "" {
				t.Errorf("%s: %d to %q", host, w.StatusCode, w.Header.Get("Location"))
			}
		}
	}
}

// Browsers send each cookie in a field of its own over HTTP/2 and HTTP/3 (RFC 9113, section 8.2.3): ours is found among
// them, and the app gets its own and nothing of ours.
func TestCaddyCookiesInManyFields(t *testing.T) {
	t.Parallel()
	for _, version := range []int{2, 3} {
		t.Run(fmt.Sprintf("HTTP %d", version), func(t *testing.T) {
			t.Parallel()
			f := newFront(t)
			f.http3 = version == 3
			moduleOverTLS(t, f)
			h := with(fetching(), "Cookie", "first=1")
			for _, c := range f.loggedIn().cookies(f.origin) {
				h = with(h, "Cookie", c.Name+"="+c.Value, "Cookie", "after-"+c.Name+"=2")
			}
			h = with(h, "Cookie", "vippsauth-hint=x", "Cookie", "last=3")
			if a := f.browser().send(http.MethodGet, f.origin+"/", h, nil); a.StatusCode != http.StatusOK || a.ProtoMajor != version {
				t.Fatalf("%d over HTTP/%d", a.StatusCode, a.ProtoMajor)
			}
			got := strings.Join(f.app.last().Header["Cookie"], "; ")
			if !strings.HasPrefix(got, "first=1; ") || !strings.HasSuffix(got, "; last=3") || !strings.Contains(got, "after-__Host-vippsauth=2") ||
				strings.Contains(got, " __Host-") || strings.Contains(got, " vippsauth") {
				t.Errorf("the app gets %.200q", got)
			}
		})
	}
}

// Attack: somebody on the way keeps the early data (0-RTT) of a browser that comes back from the provider, and sends it
// again. Nothing of ours is done for it: a login's steps wait until the handshake is complete, which a copy never gets to.
func TestCaddyEarlyData(t *testing.T) {
	t.Parallel()
	t.Run("module", func(t *testing.T) {
		t.Parallel()
		f := newFront(t)
		f.http3 = true
		moduleOverTLS(t, f)
		earlyData(t, f)
	})
	t.Run("forward_auth", func(t *testing.T) {
		t.Parallel()
		f := newFront(t)
		f.http3 = true
		forwardAuthOverTLS(t, f)
		earlyData(t, f)
	})
}

func earlyData(t *testing.T, f *front) {
	link := slowLink(t, f.port())
	tickets := tls.NewLRUClientSessionCache(8)
	// ask sends a GET on a fresh connection, in early data when there is a ticket from before.
	ask := func(b *browser, target string) *http.Response {
		t.Helper()
		tr := &http3.Transport{
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tickets},
			Dial: func(ctx context.Context, _ string, cfg *tls.Config, q *quic.Config) (*quic.Conn, error) {
				return quic.DialAddrEarly(ctx, link.addr, cfg, q)
			},
		}
		defer tr.Close()
		r, err := http.NewRequestWithContext(t.Context(), http3.MethodGet0RTT, target, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = navigation()
		for _, c := range b.cookies(f.origin) {
			r.AddCookie(c)
		}
		w, err := tr.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, w.Body)
		_ = w.Body.Close()
		time.Sleep(50 * time.Millisecond) // for the ticket
		return w
	}
	if w := ask(f.browser(), f.origin+"/"); w.StatusCode != http.StatusFound {
		t.Fatalf("the first connection: %d", w.StatusCode)
	}
	link.delay.Store(int64(200 * time.Millisecond)) // from here on handshakes are not complete when requests arrive

	b := f.browser()
	a := b.send(http.MethodGet, f.origin+"/wanted", navigation(), nil)
	for range 10 {
		to, err := a.Location()
		if err != nil {
			t.Fatalf("no way to the callback: %d at %s", a.StatusCode, a.Request.URL)
		}
		if to.Path == "/_vipps/callback" && to.Query().Has("code") {
			break
		}
		a = b.send(http.MethodGet, to.String(), navigation(), nil)
	}
	callback, logins := a.Header.Get("Location"), f.vipps.Control().Calls()
	for range 2 {
		w := ask(b, callback)
		if w.StatusCode != http.StatusTooEarly || len(w.Header["Set-Cookie"]) > 0 {
			t.Errorf("the callback in early data: %d %v", w.StatusCode, w.Header)
		}
	}
	for _, path := range []string{"/_vipps/login?rd=%2F", "/_vipps/logout", "/_vipps/me"} {
		if w := ask(b, f.origin+path); w.StatusCode != http.StatusTooEarly || len(w.Header["Set-Cookie"]) > 0 {
			t.Errorf("%s in early data: %d", path, w.StatusCode)
		}
	}
	if now := f.vipps.Control().Calls(); len(now) != len(logins) || now["token"] != logins["token"] {
		t.Errorf("the provider was asked for early data: %v, then %v", logins, now)
	}
	if a = b.open(callback); a.StatusCode != http.StatusOK || f.app.last().URI != "/wanted" {
		t.Fatalf("the callback after the handshake: %d at %v: %s", a.StatusCode, b.trail, a.words())
	}
	// A page may be asked for early, with a session and without: to read again what was read does nothing.
	if w := ask(b, f.origin+"/page"); w.StatusCode != http.StatusOK || f.app.last().Header.Get("Early-Data") != "1" {
		t.Errorf("a page in early data: %d, Early-Data %q", w.StatusCode, f.app.last().Header.Get("Early-Data"))
	}
	hits := f.app.hits()
	if w := ask(f.browser(), f.origin+"/page"); w.StatusCode != http.StatusFound || f.app.hits() != hits {
		t.Errorf("a page in early data without a session: %d", w.StatusCode)
	}
}

// link passes datagrams between clients and a port of this machine, and what comes back later than it was sent.
type link struct {
	addr  string
	delay atomic.Int64 // nanoseconds, on the way back
}

func slowLink(t *testing.T, port string) *link {
	t.Helper()
	front, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{addr: front.LocalAddr().String()}
	var mu sync.Mutex
	backs := map[string]net.Conn{}
	back := func(client net.Addr) net.Conn {
		mu.Lock()
		defer mu.Unlock()
		if c := backs[client.String()]; c != nil {
			return c
		}
		c, err := net.Dial("udp", "127.0.0.1:"+port)
		if err != nil {
			return nil
		}
		backs[client.String()] = c
		go func() {
			buf := make([]byte, 64<<10)
			for {
				n, err := c.Read(buf)
				if err != nil {
					return
				}
				packet := append([]byte(nil), buf[:n]...)
				time.AfterFunc(time.Duration(l.delay.Load()), func() { _, _ = front.WriteTo(packet, client) })
			}
		}()
		return c
	}
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, client, err := front.ReadFrom(buf)
			if err != nil {
				return
			}
			if c := back(client); c != nil {
				_, _ = c.Write(buf[:n])
			}
		}
	}()
	t.Cleanup(func() {
		_ = front.Close()
		mu.Lock()
		defer mu.Unlock()
		for _, c := range backs {
			_ = c.Close()
		}
	})
	return l
}
