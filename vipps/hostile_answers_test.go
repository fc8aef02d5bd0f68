package vipps_test

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps"
)

var providerPaths = map[string]string{"discovery": discoveryPath, "jwks": jwksPath, "token": tokenPath, "userinfo": userinfoPath}

// Attack: a provider, or whoever sits between, answers with more than anybody can keep: 100 MB, without end, packed so that
// it unpacks to 100 MB, a million brackets, a megabyte of headers, or a redirect to the machine's own metadata service. Each
// costs little memory and no time, is followed nowhere, ends the login, and has the code sent once at most.
func TestSec_C074_A079_A080_AnswersWithoutMeasure(t *testing.T) {
	// Not parallel: the memory is the process's.
	var stolen atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen.Add(1) })) // stands for http://169.254.169.254/
	defer elsewhere.Close()
	chunk := bytes.Repeat([]byte{' '}, 64<<10)
	write := func(w http.ResponseWriter, n int) {
		for range n {
			if _, err := w.Write(chunk); err != nil {
				return // the client has had enough
			}
		}
	}
	var bomb bytes.Buffer
	zip := gzip.NewWriter(&bomb)
	for range 1600 {
		_, _ = zip.Write(chunk)
	}
	_ = zip.Close()
	deep := []byte(`{"a":` + strings.Repeat("[", 1_000_000))
	deeper := []byte(strings.Repeat(`{"a":`, 200_000))
	long := strings.Repeat("x", 32<<20)
	answers := map[string]http.HandlerFunc{
		"100 MB": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(1600*len(chunk)))
			write(w, 1600)
		},
		"without end": func(w http.ResponseWriter, _ *http.Request) { write(w, 1<<30) },
		"gzip bomb": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		},
		"an error without end": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			write(w, 1<<30)
		},
		"deep arrays":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(deep) },
		"deep objects": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(deeper) },
		"headers":      func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Long", long) },
		"204":          func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"HTML": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<!DOCTYPE html><title>Sign in to the Wi-Fi</title>"))
		},
		"301": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/latest/meta-data/", http.StatusMovedPermanently)
		},
		"307": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/latest/meta-data/", http.StatusTemporaryRedirect)
		},
	}
	for endpoint, path := range providerPaths {
		for name, answer := range answers {
			t.Run(endpoint+" "+name, func(t *testing.T) {
				p := newProvider(t)
				c := p.client()
				p.handle(path, answer)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				began := time.Now()
				_, err := p.login(c)
				took := time.Since(began)
				runtime.ReadMemStats(&after)
				var known *vipps.Error
				if !errors.As(err, &known) {
					t.Fatalf("the login ends with %v", err)
				}
				if strings.Contains(err.Error(), "Wi-Fi") || len(err.Error()) > 2000 {
					t.Errorf("the error is the provider's to write: %.200s", err)
				}
				if took > 8*time.Second {
					t.Errorf("it took %s", took)
				}
				// All that was asked for meanwhile, by this test's provider too.
				if n := after.TotalAlloc - before.TotalAlloc; n > 24<<20 {
					t.Errorf("it took %d MiB", n>>20)
				}
				if n := p.calls(path); n != 1 {
					t.Errorf("%d requests", n)
				}
				if n := p.calls(tokenPath); n > 1 {
					t.Errorf("the code was sent %d times", n)
				}
			})
		}
	}
	if stolen.Load() != 0 {
		t.Error("a redirect was followed")
	}
}

// What the provider says of the life of its access token is none of our business, however odd.
func TestSec_C074_ExpiresIn(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"-1", "1e300", `"3600"`, "null", "0", "99999999999999999999999", "true", "[]", "{}"} {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t)
			p.locked(func() {
				p.tokens = func(m map[string]any) { m["expires_in"] = rawJSON(value) }
			})
			l := p.mustLogin(p.client())
			if l.User.Sub != testSub || !l.ExpiresAt.Equal(p.clock.Now().Add(time.Hour)) {
				t.Errorf("%s until %s", l.User.Sub, l.ExpiresAt)
			}
		})
	}
}

type rawJSON string

func (r rawJSON) MarshalJSON() ([]byte, error) { return []byte(r), nil }

// Attack: a provider that keeps us waiting, at each stage of a call: it doesn't take the connection, shakes no hands, sends
// no headers, sends them and stops, or sends a byte at a time. Each stage has a time of its own, the call has ten seconds in
// all, and the code is not sent again.
func TestSec_D04_C074_SlowAnswers(t *testing.T) {
	t.Parallel()
	drip := func(first string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(first))
			for range 20 {
				if http.NewResponseController(w).Flush() != nil {
					return
				}
				select {
				case <-r.Context().Done():
					return
				case <-time.After(time.Second):
				}
				_, _ = w.Write([]byte(" "))
			}
		}
	}
	silent := func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-time.After(20 * time.Second):
		}
	}
	// All at once, and not as tests of their own, which would wait for each other.
	var all sync.WaitGroup
	defer all.Wait()
	for name, tt := range map[string]struct {
		answer       http.HandlerFunc
		least, bound time.Duration
	}{
		"no headers":         {silent, 4 * time.Second, 9 * time.Second},
		"a byte each second": {drip(`{"access_token"`), 9 * time.Second, 18 * time.Second},
		"the error, slowly": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			drip("{")(w, r)
		}, 9 * time.Second, 18 * time.Second},
	} {
		for endpoint, path := range providerPaths {
			p := newProvider(t)
			p.handle(path, tt.answer)
			c := p.client()
			all.Go(func() {
				began := time.Now()
				_, err := p.login(c)
				if took := time.Since(began); took < tt.least || took > tt.bound {
					t.Errorf("%s, %s: it took %s", name, endpoint, took)
				}
				if !isUnavailable(err) {
					t.Errorf("%s, %s: %v doesn't say that trying again may help", name, endpoint, err)
				}
				if n := p.calls(tokenPath); n > 1 || (n == 1) != (endpoint != "discovery") {
					t.Errorf("%s, %s: the code was sent %d times", name, endpoint, n)
				}
			})
		}
	}
	for name, tt := range map[string]struct {
		issuer       string
		least, bound time.Duration
	}{
		"dial": {"http://" + full(t) + "/", time.Second, 9 * time.Second},
		"TLS":  {"https://" + mute(t) + "/", 2 * time.Second, 9 * time.Second},
	} {
		c := newClient(t, vipps.Config{Issuer: tt.issuer, ClientID: clientID, ClientSecret: clientSecret})
		all.Go(func() {
			began := time.Now()
			err := c.Discover(t.Context())
			if took := time.Since(began); !isUnavailable(err) || took < tt.least || took > tt.bound {
				t.Errorf("%s: after %s: %v", name, took, err)
			}
		})
	}
}

// full is an address where nobody accepts: as many as fit its queue have connected, and more get no answer.
func full(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	at, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(at.(*syscall.SockaddrInet4).Port))
	for range 10 {
		conn, err := net.DialTimeout("tcp", addr, 200*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	t.Fatal("the queue doesn't fill up")
	return ""
}

// mute is an address where connections are taken, and nothing is said.
func mute(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return ln.Addr().String()
}

// Attack: somebody in between answers for the provider with a certificate of their own. Nothing is asked of them, no code or
// secret shown; nor of one who speaks an old TLS.
func TestSec_A080_CertificatesAreChecked(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]uint16{"a certificate of nobody": tls.VersionTLS13, "TLS 1.1": tls.VersionTLS11} {
		var asked atomic.Int32
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
		srv.TLS = &tls.Config{MaxVersion: version, MinVersion: tls.VersionTLS10}
		srv.Config.ErrorLog = discardLog()
		srv.StartTLS()
		t.Cleanup(srv.Close)
		c := newClient(t, vipps.Config{Issuer: srv.URL + "/", ClientID: clientID, ClientSecret: clientSecret})
		if err := c.Discover(t.Context()); !isUnavailable(err) || asked.Load() != 0 {
			t.Errorf("%s: %v after %d requests", name, err, asked.Load())
		}
	}
}
