package integration_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// nginx ends TLS, and Caddy with the module is behind it, on plain HTTP.
func TestCaddyModuleBehindNginx(t *testing.T) {
	t.Parallel()
	need(t, "nginx")
	f := newFront(t)
	f.overTLS()
	inner := startInnerCaddy(t, f)
	startTLSNginx(t, f, inner)
	cookieAttributes(t, f.loggedIn(), true)
	trustedOnly(t, f, inner)
	conforms(t, f, differs{name: "Caddy module behind nginx", inProcess: true})
}

// Another Caddy ends TLS, and speaks HTTP/3 with browsers.
func TestCaddyModuleBehindCaddy(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.overTLS()
	f.tls, f.http3 = moduleTLS(), true
	inner := startInnerCaddy(t, f)
	f.checkLog(startCaddy(t, f, ownTLS, fmt.Sprintf("%s {\n\ttls internal\n\treverse_proxy %s\n}\n", f.origin, inner)))
	cookieAttributes(t, f.loggedIn(), true)
	trustedOnly(t, f, inner)
	conforms(t, f, differs{name: "Caddy module behind Caddy", inProcess: true})
}

// startInnerCaddy runs the module without TLS, with public_url, and 127.0.0.1 as the proxy to trust. It gives its address.
func startInnerCaddy(t *testing.T, f *front) string {
	t.Helper()
	f.secrets.add("client secret", clientSecret)
	inner := freeAddr(t)
	_, port, err := net.SplitHostPort(inner)
	if err != nil {
		t.Fatal(err)
	}
	site := fmt.Sprintf("http://:%s {\n\tlog\n\t%s\n\treverse_proxy %s\n}\n", port, moduleBlock(f, "", "public_url "+f.origin), f.app.addr())
	file := write(t, "Caddyfile", caddyfile(t, "\tadmin off\n\tservers {\n\t\ttrusted_proxies static 127.0.0.1/32\n\t}\n", site))
	p := start(t, caddyProgram(t), command{name: "inner caddy", args: []string{"run", "--config", file, "--adapter", "caddyfile"}})
	p.answers("http://" + inner + "/")
	f.checkLog(p)
	f.judge = p
	return inner
}

// startTLSNginx runs an nginx that knows nothing of logins: it ends TLS and passes everything on.
func startTLSNginx(t *testing.T, f *front, to string) {
	t.Helper()
	dir := t.TempDir()
	own := certificateFor(t, 90)
	f.tls = own.trusted
	p := nginxIn(t, dir, fmt.Sprintf(`
	access_log off;
	map $http_upgrade $upgraded { default upgrade; "" ""; }
	large_client_header_buffers 4 32k;
	server {
		listen 127.0.0.1:%s ssl http2;
		ssl_certificate %[3]s;
		ssl_certificate_key %[3]s;
		location / {
			proxy_pass http://%[2]s;
			proxy_http_version 1.1;
			proxy_set_header Host $http_host;
			proxy_set_header X-Forwarded-For $remote_addr;
			proxy_set_header X-Forwarded-Proto $scheme;
			proxy_set_header X-Forwarded-Host $http_host;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection $upgraded;
			proxy_buffer_size 32k;
			proxy_buffers 8 32k;
		}
	}`, f.port(), to, own.pair))
	p.answers(f.origin + "/_vipps/authz/")
}

// trustedOnly: the proxy's word counts, and nobody else's.
func trustedOnly(t *testing.T, f *front, inner string) {
	t.Helper()
	// direct asks the inner server from an address of this machine.
	direct := func(from string, b *browser, h http.Header) *http.Response {
		t.Helper()
		tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext(ctx, network, inner)
		}}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+inner+"/secret?x=1", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(r.Header, h)
		r.Host = h.Get("Host")
		delete(r.Header, "Host")
		for _, c := range b.cookies(f.origin) {
			r.AddCookie(c)
		}
		w, err := tr.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = w.Body.Close()
		return w
	}
	site, in, nobody := "localhost:"+f.port(), f.loggedIn(), f.browser()
	login := f.origin + "/_vipps/login?rd=" + url.QueryEscape("/secret?x=1")
	for _, tt := range []struct {
		name, from, host, proto, forwardedHost string
		in, nobody                             int
		to                                     string // where nobody is sent
	}{
		{"as the proxy asks", "127.0.0.1", site, "https", "", 200, 302, login},
		{"the host in X-Forwarded-Host", "127.0.0.1", "inner", "https", site, 200, 302, login},
		{"the proxy names a host that is no site's", "127.0.0.1", "inner", "https", "evil.example", 421, 421, ""},
		{"the proxy names two hosts", "127.0.0.1", "inner", "https", site + ", evil.example", 421, 421, ""},
		{"no scheme of this world", "127.0.0.1", site, "javascript", "", 200, 302, login}, // the scheme is that of public_url
		{"somebody else with the proxy's words", "127.0.0.2", "inner", "https", site, 421, 421, ""},
		{"somebody else who names another host", "127.0.0.2", site, "javascript", "evil.example", 200, 302, login},
	} {
		h := with(navigation(), "Host", tt.host, "X-Forwarded-Proto", tt.proto)
		if tt.forwardedHost != "" {
			h = with(h, "X-Forwarded-Host", tt.forwardedHost)
		}
		hits := f.app.hits()
		if w := direct(tt.from, nobody, h); w.StatusCode != tt.nobody || w.Header.Get("Location") != tt.to || f.app.hits() != hits {
			t.Errorf("%s, without a session: %d to %q", tt.name, w.StatusCode, w.Header.Get("Location"))
		}
		if w := direct(tt.from, in, h); w.StatusCode != tt.in || (f.app.hits() != hits) != (tt.in == 200) {
			t.Errorf("%s, with a session: %d", tt.name, w.StatusCode)
		}
	}
	// Through the proxy a client's own words are overwritten, or no site's.
	a := nobody.send(http.MethodGet, f.origin+"/secret?x=1", with(navigation(), "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "http"), nil)
	if a.Header.Get("Location") != login || strings.Contains(a.text, "evil") {
		t.Errorf("spoofed through the proxy: %d to %q", a.StatusCode, a.Header.Get("Location"))
	}
}
