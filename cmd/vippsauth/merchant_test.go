package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/merchant"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

const tillToken = "till-token-0123456789-0123456789-abcdef"

// A till is a service of a test that offers merchant logins, with the emulator behind it.
type till struct {
	t         *testing.T
	emu       *emulator.Server
	site, tls string // addresses
	ops       string
	trace     *httptrace.ClientTrace // of the next request
	stop      func()
	done      chan error
}

// startTill runs one, as the settings say that change has changed.
func startTill(t *testing.T, change func(c *config), logger ...*zap.Logger) *till {
	t.Helper()
	emu, err := emulator.Start("127.0.0.1:0", emulator.Config{Clients: []emulator.Client{{ID: emulatorClientID, Secret: emulatorClientSecret, Name: "Till", AuthMethod: emulator.AuthBasic}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = emu.Close() })
	c := newConfig()
	c.environment, c.publicURLs, c.trustedProxies = envEmulator, []string{"http://localhost:4190"}, []string{"10.0.0.1/32"}
	change(c)
	s := &service{log: append(logger, zap.NewNop())[0], ops: newOps(), proxies: c.isSidecar()}
	s.site, s.opsLn = []net.Listener{anywhere(t)}, anywhere(t)
	out := &till{t: t, emu: emu, site: s.site[0].Addr().String(), ops: s.opsLn.Addr().String(), done: make(chan error, 1)}
	if c.merchant.certificate != "" {
		s.callers = anywhere(t)
		out.tls = s.callers.Addr().String()
	}
	if err := s.build(c, emu.Issuer); err != nil {
		t.Fatal(err)
	}
	if err := s.buildReceivers(c); err != nil {
		t.Fatal(err)
	}
	s.handler = s.withOthers(s.mainHandler(c)) // as serve puts it together
	ctx, cancel := context.WithCancel(context.Background())
	out.stop = cancel
	go func() { out.done <- s.run(ctx); close(out.done) }()
	t.Cleanup(func() {
		cancel()
		select {
		case <-out.done:
		case <-time.After(15 * time.Second):
			t.Error("the service doesn't stop")
		}
	})
	return out
}

// ask makes a request to the site's listener.
func (s *till) ask(method, path, body string, header ...string) (*http.Response, error) {
	s.t.Helper()
	ctx := s.t.Context()
	if s.trace != nil {
		ctx = httptrace.WithClientTrace(ctx, s.trace)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://"+s.site+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Host = "localhost:4190"
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{
		Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return client.Do(r)
}

// text asks and reads the answer whole.
func (s *till) text(method, path, body string, header ...string) (int, string) {
	s.t.Helper()
	resp, err := s.ask(method, path, body, header...)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

func (s *till) start(phone string) (id string) {
	s.t.Helper()
	resp, err := s.ask("POST", "/_vipps/merchant/logins", `{"phone":"`+phone+`"}`, "Authorization", "Bearer "+tillToken, "Content-Type", "application/json")
	if err != nil {
		s.t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		s.t.Fatalf("start: %d", resp.StatusCode)
	}
	return strings.TrimPrefix(resp.Header.Get("Location"), "/_vipps/merchant/logins/")
}

// Merchant logins are off until somebody is listed; nobody who isn't gets anywhere, in either mode of the service.
func TestSec_A155_MerchantLoginsAreForThoseListed(t *testing.T) {
	t.Parallel()
	callers := func(c *config) { c.merchant.callers = []string{"till=" + merchant.HashToken(tillToken)} }
	operators := func(c *config) { c.merchant.operators = []string{"sub-of-somebody"} }
	const form = "application/x-www-form-urlencoded"
	for name, row := range map[string]struct {
		change                                    func(c *config)
		api, page, post, events, openAPI, landing int
	}{
		"off":       {func(*config) {}, 404, 404, 404, 404, 404, 404},
		"callers":   {callers, 401, 404, 404, 404, 200, 403},
		"operators": {operators, 404, 401, 401, 401, 404, 404},
		"both":      {func(c *config) { callers(c); operators(c) }, 401, 401, 401, 401, 200, 403},
		"sidecar": {func(c *config) {
			callers(c)
			operators(c)
			_ = setUpstream(c, []string{"http://127.0.0.1:1"})
		}, 401, 401, 401, 401, 200, 403},
	} {
		s := startTill(t, row.change)
		check := func(want int, method, path, body string, header ...string) {
			t.Helper()
			if got, text := s.text(method, path, body, header...); got != want {
				t.Errorf("%s: %s %q: %d %.120s, want %d", name, method, path, got, text, want)
			}
		}
		check(row.api, "POST", merchant.PathPrefix+"logins", `{"phone":"4790000001"}`, "Content-Type", "application/json")
		check(row.api, "GET", merchant.PathPrefix+"logins/x", "")
		check(row.page, "GET", merchant.PathPrefix, "")
		typed := http.StatusNotFound // without the slash at the end
		if row.page != http.StatusNotFound {
			typed = http.StatusFound
		}
		check(typed, "GET", strings.TrimSuffix(merchant.PathPrefix, "/"), "")
		check(row.post, "POST", merchant.PathPrefix, "phone=4790000001", "Content-Type", form)
		check(row.events, "GET", merchant.PathPrefix+"operator/x/events", "")
		check(row.openAPI, "GET", merchant.PathPrefix+"openapi.json", "")
		check(row.landing, "GET", merchantCallback+"?code=abc", "")
		if calls := s.emu.Control().Calls()["backchannel"]; calls != 0 {
			t.Errorf("%s: %d logins were started", name, calls)
		}
		s.stop()
		<-s.done
	}
}

// A service that stops doesn't wait for those who wait.
func TestMerchantWaitsEndWhenTheServiceStops(t *testing.T) {
	t.Parallel()
	s := startTill(t, func(c *config) { c.merchant.callers = []string{"till=" + merchant.HashToken(tillToken)} })
	id := s.start("4790000001")
	stream, err := s.ask("GET", "/_vipps/merchant/logins/"+id+"/events", "", "Authorization", "Bearer "+tillToken)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Body.Close() }()
	lines := bufio.NewReader(stream.Body)
	if line, err := lines.ReadString('\n'); line != "event: state\n" {
		t.Fatalf("%q %v", line, err)
	}
	polled, connected := make(chan string, 1), make(chan struct{})
	s.trace = &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { close(connected) }}
	go func() {
		_, text := s.text("GET", "/_vipps/merchant/logins/"+id+"?wait=60", "", "Authorization", "Bearer "+tillToken)
		polled <- text
	}()
	<-connected
	s.trace = nil
	s.text("GET", "/_vipps/merchant/openapi.json", "") // connections are taken in their order, so that the one before is the service's by now
	began := time.Now()
	s.stop()
	if text := <-polled; !strings.Contains(text, `"pending"`) {
		t.Errorf("the long poll: %s", text)
	}
	if _, err := io.ReadAll(lines); err != nil {
		t.Errorf("the stream was cut off: %v", err)
	}
	if err := <-s.done; err != nil || time.Since(began) > 30*time.Second {
		t.Errorf("it took %s: %v", time.Since(began), err)
	}
}

// authority signs certificates.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	dir  string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.make("Authority", func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	})
	return a
}

// make signs a certificate, and writes it and its key into files of that name.
func (a *authority) make(name string, change func(c *x509.Certificate)) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
	change(c)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{".pem": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(filepath.Join(a.dir, name+file), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// pair makes a client's certificate.
func (a *authority) pair(name string, change func(c *x509.Certificate)) *tls.Certificate {
	cert, key := a.make(name, func(c *x509.Certificate) {
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		change(c)
	})
	return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

// A caller's certificate counts when our authority has signed it, for clients, and the name is a caller's; nothing else does on that
// listener, not even a right token.
func TestSec_A155_CallersWithCertificates(t *testing.T) {
	t.Parallel()
	ours, others := newAuthority(t), newAuthority(t)
	ours.make("server", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} })
	s := startTill(t, func(c *config) {
		c.merchant.callers = []string{"office=certificate:till.example.com", "till=" + merchant.HashToken(tillToken)}
		c.merchant.certificate, c.merchant.key = filepath.Join(ours.dir, "server.pem"), filepath.Join(ours.dir, "server.key")
		c.merchant.authority = filepath.Join(ours.dir, "Authority.pem")
	})
	plain := func(*x509.Certificate) {}
	roots := x509.NewCertPool()
	roots.AddCert(ours.cert)
	for name, row := range map[string]struct {
		cert   *tls.Certificate
		header string
		max    uint16
		want   int // 0: no connection
	}{
		"the caller's":               {ours.pair("till.example.com", plain), "", 0, http.StatusNotFound},
		"the caller's and a token":   {ours.pair("till.example.com", plain), "Bearer " + tillToken, 0, http.StatusNotFound},
		"another name":               {ours.pair("office.example.com", plain), "", 0, http.StatusUnauthorized},
		"another name and a token":   {ours.pair("office.example.com", plain), "Bearer " + tillToken, 0, http.StatusUnauthorized},
		"other letters":              {ours.pair("TILL.example.com", plain), "", 0, http.StatusUnauthorized},
		"the name as an alternative": {ours.pair("x", func(c *x509.Certificate) { c.DNSNames = []string{"till.example.com"} }), "", 0, http.StatusUnauthorized},
		"the name of the caller":     {ours.pair("office", plain), "", 0, http.StatusUnauthorized},
		"none":                       {nil, "Bearer " + tillToken, 0, 0},
		"another authority's":        {others.pair("till.example.com", plain), "", 0, 0},
		"old":                        {ours.pair("till.example.com", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), "", 0, 0},
		"a server's":                 {ours.pair("till.example.com", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), "", 0, 0},
		"over TLS 1.1":               {ours.pair("till.example.com", plain), "", tls.VersionTLS11, 0},
	} {
		cfg := &tls.Config{RootCAs: roots, MaxVersion: row.max, MinVersion: tls.VersionTLS10} // what must be refused
		if row.cert != nil {
			cfg.Certificates = []tls.Certificate{*row.cert}
		}
		client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}}
		for _, path := range []string{"logins/x", "logins/x/events"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+s.tls+"/_vipps/merchant/"+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if row.header != "" {
				r.Header.Set("Authorization", row.header)
			}
			status := 0
			if resp, err := client.Do(r); err == nil {
				status = resp.StatusCode
				_ = resp.Body.Close()
			}
			if status != row.want {
				t.Errorf("%s, %s: %d, want %d", name, path, status, row.want)
			}
		}
	}
	if status, _ := s.text("GET", "/_vipps/merchant/logins/x", "", "X-Client-Cert-Cn", "till.example.com"); status != http.StatusUnauthorized {
		t.Errorf("without TLS: %d", status)
	}
}
