package doctor_test

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
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/internal/doctor"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// site is a real engine in front of an app, over TLS, with whatever a test puts in between.
type site struct {
	t     *testing.T
	srv   *httptest.Server
	roots *x509.CertPool
}

// certificate makes one for 127.0.0.1, and the pool that trusts it.
func certificate(t *testing.T, ends time.Time) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "doctor"}, NotBefore: time.Now().Add(-365 * 24 * time.Hour), NotAfter: ends,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"app.example.com"}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

// newSite starts a site; between may alter what goes in and out.
func newSite(t *testing.T, ends time.Time, between func(http.Handler) http.Handler) *site {
	t.Helper()
	cert, roots := certificate(t, ends)
	srv := httptest.NewUnstartedServer(nil)
	srv.EnableHTTP2 = true
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	v, err := emulator.Start("127.0.0.1:0", emulator.Config{
		Spinner: -1, RSABits: 2048,
		Clients: []emulator.Client{{ID: "shop", Secret: "a secret", RedirectURIs: []string{srv.URL + "/_vipps/callback"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	client, err := vipps.New(vipps.Config{Issuer: v.Issuer, ClientID: "shop", ClientSecret: "a secret"})
	if err != nil {
		t.Fatal(err)
	}
	key, err := session.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	engine, err := forwardauth.New(forwardauth.Config{Client: client, Keys: session.Keys{key}, PublicURLs: []string{srv.URL}, Allow: []string{"anyone"}})
	if err != nil {
		t.Fatal(err)
	}
	handler := engine.Protect(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("the app")) }))
	if between != nil {
		handler = between(handler)
	}
	srv.Config.Handler = handler
	return &site{t: t, srv: srv, roots: roots}
}

// examine runs the doctor, with what a test changes of it.
func (s *site) examine(change func(*doctor.Site)) *doctor.Report {
	s.t.Helper()
	u, err := url.Parse(s.srv.URL + "/page?x=1")
	if err != nil {
		s.t.Fatal(err)
	}
	d := doctor.Site{URL: u, Roots: s.roots}
	if change != nil {
		change(&d)
	}
	r, err := d.Examine(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	if r.Requests >= 60 || r.Requests == 0 {
		s.t.Errorf("%d requests", r.Requests)
	}
	return r
}

func wants(t *testing.T, r *doctor.Report, level doctor.Level, check string, words ...string) {
	t.Helper()
	for _, f := range r.Findings {
		line := f.What + " " + f.Why + " " + f.Cure
		if f.Level == level && f.Check == check && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			return
		}
	}
	var text strings.Builder
	r.Print(&text)
	t.Errorf("no %s of %s with %q in\n%s", level, check, words, text.String())
}

func inDays(n int) time.Time { return time.Now().Add(time.Duration(n) * 24 * time.Hour) }

func TestHealthySite(t *testing.T) {
	t.Parallel()
	s := newSite(t, inDays(90), func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasPrefix(r.UserAgent(), "vippsauth-doctor/1.2.3") {
				t.Errorf("User-Agent %q", r.UserAgent())
			}
			w.Header().Set("Strict-Transport-Security", "max-age=31536000")
			next.ServeHTTP(w, r)
		})
	})
	r := s.examine(func(d *doctor.Site) { d.Version, d.AskProvider = "1.2.3", true })
	for _, f := range r.Findings {
		if f.Level == doctor.Problem || f.Level == doctor.Warning {
			t.Errorf("%+v", f)
		}
	}
	for check, words := range map[string]string{
		"tls": "89 days", "http2": "same answer", "hsts": "https only", "cookie": "as it was sent", "provider": "knows the client", "provider-clock": "seconds apart", "clock": "seconds apart",
	} {
		wants(t, r, doctor.OK, check, words)
	}
}

func TestCertificate(t *testing.T) {
	t.Parallel()
	soon := newSite(t, inDays(5), nil)
	wants(t, soon.examine(nil), doctor.Warning, "tls", "in 4 days")
	ended := newSite(t, inDays(-1), nil)
	r := ended.examine(nil)
	wants(t, r, doctor.Problem, "tls", "ended on")
	if len(r.Findings) != 1 {
		t.Errorf("%+v", r.Findings)
	}
	good := newSite(t, inDays(90), nil)
	wants(t, good.examine(func(d *doctor.Site) { d.Roots = x509.NewCertPool() }), doctor.Problem, "tls", "nobody that this machine trusts", "--ca-file")
	wants(t, good.examine(func(d *doctor.Site) { d.URL.Host = "localhost:" + d.URL.Port() }), doctor.Problem, "tls", "it is for app.example.com")
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	s := newSite(t, inDays(90), nil)
	s.srv.Close()
	wants(t, s.examine(nil), doctor.Problem, "tls", "connection refused")
	wants(t, s.examine(func(d *doctor.Site) { d.URL.Host = "no-such-host.invalid" }), doctor.Problem, "tls", "no-such-host.invalid", "DNS")
}

// What http answers beside a site on https.
func TestPlain(t *testing.T) {
	t.Parallel()
	s := newSite(t, inDays(90), nil)
	for _, tt := range []struct {
		name   string
		answer func(w http.ResponseWriter, r *http.Request)
		level  doctor.Level
		words  string
	}{
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, s.srv.URL+r.URL.Path, http.StatusMovedPermanently)
		}, doctor.OK, "http leads to https"},
		{"the app", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("the app")) }, doctor.Problem, "served over http"},
		{"elsewhere", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://www.example.com/", http.StatusFound)
		}, doctor.Warning, "elsewhere"},
		{"nothing", http.NotFound, doctor.OK, "serves nothing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			plain := httptest.NewServer(http.HandlerFunc(tt.answer))
			defer plain.Close()
			_, port, _ := net.SplitHostPort(plain.Listener.Addr().String())
			wants(t, s.examine(func(d *doctor.Site) { d.PlainPort = port }), tt.level, "https", tt.words)
		})
	}
	wants(t, s.examine(func(d *doctor.Site) { d.PlainPort = "1" }), doctor.Note, "https", "nothing answers")
}

func TestClockThatIsOff(t *testing.T) {
	t.Parallel()
	s := newSite(t, inDays(90), nil)
	wants(t, s.examine(func(d *doctor.Site) { d.Now = func() time.Time { return time.Now().Add(-10 * time.Minute) } }), doctor.Warning, "clock", "seconds ahead of", "NTP")
	wants(t, s.examine(func(d *doctor.Site) { d.Now = func() time.Time { return time.Now().Add(2 * time.Minute) } }), doctor.Warning, "clock", "seconds behind")
}

// between rewrites requests and answers as a proxy or a CDN may.
func TestAlteredOnTheWay(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		between func(next http.Handler, w http.ResponseWriter, r *http.Request)
		level   doctor.Level
		check   string
		words   string
	}{
		{"another answer over HTTP/2", func(next http.Handler, w http.ResponseWriter, r *http.Request) {
			if r.ProtoMajor == 2 {
				r.Header.Del("Sec-Fetch-Mode")
				r.Header.Del("Sec-Fetch-Dest")
				r.Header.Del("Accept")
			}
			next.ServeHTTP(w, r)
		}, doctor.Problem, "http2", "another"},
		{"a CDN's cache", func(next http.Handler, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cf-Cache-Status", "HIT")
			next.ServeHTTP(w, r)
		}, doctor.Problem, "cache", "out of a cache"},
		{"an answer with an age", func(next http.Handler, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Age", "7")
			next.ServeHTTP(w, r)
		}, doctor.Problem, "cache", "out of a cache"},
		{"cookies on redirects", func(next http.Handler, w http.ResponseWriter, r *http.Request) {
			w.Header().Add("Set-Cookie", "lb=1")
			next.ServeHTTP(w, r)
		}, doctor.Note, "navigation", "sets a cookie"},
		{"relative redirects", func(next http.Handler, w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(&rewriter{w, func(h http.Header) { h.Set("Location", strings.TrimPrefix(h.Get("Location"), "https://"+r.Host)) }}, r)
		}, doctor.Problem, "navigation", "relative"},
		{"redirects to http", func(next http.Handler, w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(&rewriter{w, func(h http.Header) { h.Set("Location", strings.Replace(h.Get("Location"), "https:", "http:", 1)) }}, r)
		}, doctor.Problem, "navigation", "public_url"},
		{"Secure taken off", func(next http.Handler, w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(&rewriter{w, func(h http.Header) {
				for i, c := range h["Set-Cookie"] {
					h["Set-Cookie"][i] = strings.Replace(c, "; Secure", "", 1)
				}
			}}, r)
		}, doctor.Problem, "cookie", "Secure is missing"},
		{"a policy of its own", func(next http.Handler, w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(&rewriter{w, func(h http.Header) { h.Set("Content-Security-Policy", "default-src *") }}, r)
		}, doctor.Warning, "pages", "Content-Security-Policy"},
		{"Referer dropped", func(next http.Handler, w http.ResponseWriter, r *http.Request) {
			r.Header.Del("Referer")
			next.ServeHTTP(w, r)
		}, doctor.Note, "script", "Referer"},
		{"a firewall for web applications", func(next http.Handler, w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Has("code") {
				http.Error(w, "blocked", http.StatusForbidden)
				return
			}
			next.ServeHTTP(w, r)
		}, doctor.Problem, "callback", "firewall"},
		{"OPTIONS let through", func(next http.Handler, w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodOptions {
				w.WriteHeader(http.StatusNoContent)
				return
			}
			next.ServeHTTP(w, r)
		}, doctor.Warning, "method", "OPTIONS"},
		{"a header that opens", func(next http.Handler, w http.ResponseWriter, r *http.Request) {
			if r.Header["X_vipps_sub"] != nil {
				return
			}
			next.ServeHTTP(w, r)
		}, doctor.Problem, "identity-headers", "x_vipps_sub"},
		{"a firewall that knows attacks", func(next http.Handler, w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Forwarded-Proto") == "javascript" {
				http.Error(w, "blocked", http.StatusForbidden)
				return
			}
			next.ServeHTTP(w, r)
		}, doctor.OK, "forwarded-headers", "refused"},
		{"another host leads the login astray", func(next http.Handler, w http.ResponseWriter, r *http.Request) {
			if r.Host == "doctor.invalid" {
				http.Redirect(w, r, "https://"+r.Host+"/_vipps/login?rd=/", http.StatusFound)
				return
			}
			next.ServeHTTP(w, r)
		}, doctor.Problem, "host", "at that host"},
		{"another host opens the app", func(next http.Handler, w http.ResponseWriter, r *http.Request) {
			if r.Host == "doctor.invalid" {
				_, _ = w.Write([]byte("the app"))
				return
			}
			next.ServeHTTP(w, r)
		}, doctor.Warning, "host", "with another host"},
		{"another login of the site's own", func(_ http.Handler, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/wp-login.php", http.StatusFound)
		}, doctor.Problem, "navigation", "elsewhere"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, inDays(90), func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { tt.between(next, w, r) })
			})
			wants(t, s.examine(nil), tt.level, tt.check, tt.words)
		})
	}
}

// rewriter lets a test change the headers of an answer just before they go out.
type rewriter struct {
	http.ResponseWriter
	change func(http.Header)
}

func (w *rewriter) WriteHeader(status int) {
	w.change(w.Header())
	w.ResponseWriter.WriteHeader(status)
}

// Whatever the site does, the number of requests stays below sixty, and what was asked for is what is said.
func TestBounds(t *testing.T) {
	t.Parallel()
	n := 0
	s := newSite(t, inDays(90), func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n++ // the doctor asks one thing at a time
			if len(r.Header["X-Forwarded-Host"])+len(r.Header["X-Original-Method"])+len(r.Header["Forwarded"]) > 0 {
				w.WriteHeader(http.StatusTeapot)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	r := s.examine(func(d *doctor.Site) { d.EchoPath, d.Cookie, d.AskProvider = "/echo", "a=b", true })
	if n > 59 {
		t.Errorf("%d requests", n)
	}
	wants(t, r, doctor.Problem, "forwarded-headers", "X-Forwarded-Host, X-Original-Method, Forwarded")
	wants(t, r, doctor.Problem, "session", "not live")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	u, _ := url.Parse(s.srv.URL)
	if r, err := (doctor.Site{URL: u, Roots: s.roots}).Examine(ctx); err != nil || r.Count(doctor.Problem) != 1 {
		t.Errorf("%+v %v", r, err)
	}
}

func TestSiteThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "app.example.com", "ftp://app.example.com/", "https://user:pw@app.example.com/"} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (doctor.Site{URL: u}).Examine(t.Context()); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	u := &url.URL{Scheme: "https", Host: "app.example.com"}
	for _, s := range []doctor.Site{{}, {URL: u, Cookie: "a=b\r\nX-Vipps-Sub: me"}, {URL: u, EchoPath: "whoami"}, {URL: u, EchoPath: "/a b"}} {
		if _, err := s.Examine(t.Context()); err == nil {
			t.Errorf("%+v is taken", s)
		}
	}
}
