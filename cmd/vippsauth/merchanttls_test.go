package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// certificateFiles are the files of merchant_listen in a test, with a clock by which they are looked at.
type certificateFiles struct {
	t   *testing.T
	dir string
	c   *config
	now time.Time
}

func newCertificateFiles(t *testing.T) *certificateFiles {
	t.Helper()
	f := &certificateFiles{t: t, dir: t.TempDir(), c: newConfig(), now: time.Now().Add(time.Hour)}
	f.c.merchant.certificate, f.c.merchant.key = filepath.Join(f.dir, "server.pem"), filepath.Join(f.dir, "server.key")
	f.c.merchant.authority = filepath.Join(f.dir, "ca.pem")
	return f
}

// put copies a file of an authority to where the settings say, as of a moment long enough ago to count as settled.
func (f *certificateFiles) put(from *authority, name, as string) {
	f.t.Helper()
	text, err := os.ReadFile(filepath.Join(from.dir, name))
	if err != nil {
		f.t.Fatal(err)
	}
	f.write(as, text)
}

func (f *certificateFiles) write(as string, text []byte) {
	f.t.Helper()
	fresh := filepath.Join(f.dir, "fresh")
	if err := os.WriteFile(fresh, text, 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(fresh, filepath.Join(f.dir, as)); err != nil {
		f.t.Fatal(err)
	}
}

func (f *certificateFiles) putAll(from *authority) {
	f.t.Helper()
	f.put(from, "server.pem", "server.pem")
	f.put(from, "server.key", "server.key")
	f.put(from, "Authority.pem", "ca.pem")
}

// server makes a server's certificate.
func (a *authority) server() *authority {
	a.make("server", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} })
	return a
}

// Certificates that are renewed are taken over while the service runs. Half of a change, a file that is broken or one that is missing changes
// nothing: callers come in as before, and the log names the file, once. Within a second the files are looked at once, whoever comes.
func TestMerchantCertificatesAreReadAnew(t *testing.T) {
	t.Parallel()
	first, second := newAuthority(t).server(), newAuthority(t).server()
	f := newCertificateFiles(t)
	f.putAll(first)
	core, logged := observer.New(zap.InfoLevel)
	certs, err := f.c.newCallersTLS(zap.New(core), func() time.Time { return f.now })
	if err != nil {
		t.Fatal(err)
	}
	current := func() string {
		got := certs.latest()
		for name, a := range map[string]*authority{"first": first, "second": second} {
			leaf, err := x509.ParseCertificate(got.Certificates[0].Certificate[0])
			if err != nil {
				t.Fatal(err)
			}
			pool := x509.NewCertPool()
			pool.AddCert(a.cert)
			if leaf.CheckSignatureFrom(a.cert) == nil && got.ClientCAs.Equal(pool) {
				return name
			}
		}
		return "mixed"
	}
	later := func() { f.now = f.now.Add(2 * certificatesLookEvery) }
	errorsLogged := func() (paths []string) {
		for _, e := range logged.TakeAll() {
			if e.Level == zap.ErrorLevel {
				paths = append(paths, filepath.Base(e.ContextMap()["path"].(string)))
			}
			if strings.Contains(fmt.Sprint(e.Message, e.ContextMap()), "mustnotshow") {
				t.Error("the log shows what is in a file")
			}
		}
		return paths
	}
	for _, step := range []struct {
		what   string
		change func()
		want   string
		errors string
	}{
		{"nothing changed", func() {}, "first", ""},
		{"the certificate without its key", func() { f.put(second, "server.pem", "server.pem") }, "first", "server.pem"},
		{"still", func() {}, "first", ""},
		{"a key that is none", func() { f.write("server.key", []byte("mustnotshow")) }, "first", ""}, // the pair is as broken as before
		{"an authority that is none too", func() { f.write("ca.pem", []byte("mustnotshow")) }, "first", "server.pem ca.pem"},
		{"the key is missing", func() { _ = os.Remove(f.c.merchant.key) }, "first", "server.key"},
		{"all is there", func() { f.putAll(second) }, "second", ""},
		{"back", func() { f.putAll(first) }, "first", ""},
	} {
		step.change()
		later()
		if got := current(); got != step.want {
			t.Errorf("%s: the %s certificates hold, want the %s", step.what, got, step.want)
		}
		if got := strings.Join(errorsLogged(), " "); got != step.errors {
			t.Errorf("%s: errors about %q, want %q", step.what, got, step.errors)
		}
	}
	f.putAll(second)
	for range 20 { // the clock stands still
		if current() != "first" {
			t.Fatal("the files are looked at for every caller")
		}
	}
	later()
	if current() != "second" {
		t.Error("they are not looked at after a second")
	}
	// A file that was changed just now may change again: it waits for a look that finds it as it was.
	f.now = time.Now()
	f.putAll(first)
	certs.next = f.now
	if current() != "second" {
		t.Error("files are read while they are being written")
	}
	later()
	if current() != "first" {
		t.Error("they are not read when they have settled")
	}
}

// A caller whose authority was taken away must not go on over a connection, or a session of TLS, from before; its
// certificate is judged as of now, at each request.
func TestSec_A155_CallersWhoseAuthorityIsGone(t *testing.T) {
	t.Parallel()
	first, second := newAuthority(t).server(), newAuthority(t).server()
	f := newCertificateFiles(t)
	f.putAll(first)
	s := startTill(t, func(c *config) {
		c.merchant = f.c.merchant
		c.merchant.callers = []string{"office=certificate:till.example.com"}
	})
	roots := x509.NewCertPool()
	roots.AddCert(first.cert)
	roots.AddCert(second.cert)
	caller := func(a *authority) *http.Client {
		tr := &http.Transport{TLSClientConfig: &tls.Config{
			RootCAs: roots, MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(4),
			Certificates: []tls.Certificate{*a.pair("till.example.com", func(*x509.Certificate) {})},
		}}
		t.Cleanup(tr.CloseIdleConnections)
		return &http.Client{Timeout: 10 * time.Second, Transport: tr}
	}
	ask := func(client *http.Client) (status int, signer []byte) {
		t.Helper()
		resp, err := client.Get("https://" + s.tls + "/_vipps/merchant/logins/x")
		if err != nil {
			return 0, nil
		}
		defer resp.Body.Close()
		var body bytes.Buffer
		_, _ = body.ReadFrom(resp.Body) // so that the connection is kept
		return resp.StatusCode, resp.TLS.PeerCertificates[0].AuthorityKeyId
	}
	old, fresh := caller(first), caller(second)
	if status, _ := ask(old); status != http.StatusNotFound {
		t.Fatalf("the caller at first: %d", status)
	}
	if status, _ := ask(fresh); status != 0 {
		t.Fatalf("another authority's at first: %d", status)
	}
	f.putAll(second)
	deadline := time.Now().Add(30 * time.Second)
	for status := 0; status != http.StatusNotFound; time.Sleep(50 * time.Millisecond) {
		if status, _ = ask(fresh); time.Now().After(deadline) {
			t.Fatalf("the new authority's caller: %d", status)
		}
	}
	if status, _ := ask(old); status != http.StatusUnauthorized {
		t.Errorf("over its connection from before: %d", status)
	}
	for range 2 {
		if status, _ := ask(old); status != 0 {
			t.Errorf("over a new connection: %d", status)
		}
	}
	if status, signer := ask(fresh); status != http.StatusNotFound || !bytes.Equal(signer, second.cert.SubjectKeyId) {
		t.Errorf("the new caller: %d, by a server of the new authority: %v", status, bytes.Equal(signer, second.cert.SubjectKeyId))
	}
}
