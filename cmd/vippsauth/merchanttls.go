package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/vipps"
)

const (
	certificatesLookEvery = time.Second // that the files are looked at, at most
	certificatesSettle    = time.Second // that a changed file has been left alone before it is read
)

// callersTLS is the certificates of merchant_listen. When their files change they are read anew; what can't be used is logged, and the ones
// before stay.
type callersTLS struct {
	c       *config
	log     *zap.Logger
	now     func() time.Time
	current atomic.Pointer[tls.Config]

	mu         sync.Mutex // of whoever looks; nobody waits for it
	next       time.Time  // when to look again
	read, seen fileStates // of what was read last, and of a change that has not settled yet
	told       string     // what was wrong, and is logged already
}

// fileStates is how the files of merchantTLS are; those that can't be had are nil.
type fileStates [3]os.FileInfo

func (c *config) merchantFiles() [3]string {
	return [3]string{c.merchant.certificate, c.merchant.key, c.merchant.authority}
}

// newCallersTLS reads the certificates for the first time.
func (c *config) newCallersTLS(log *zap.Logger, now func() time.Time) (*callersTLS, error) {
	t := &callersTLS{c: c, log: log, now: now}
	t.read = t.states()
	if !t.read.settled(now()) {
		t.read = fileStates{} // a change in the same moment would look the same
	}
	cfg, err := c.merchantTLS()
	if err != nil {
		return nil, err
	}
	t.current.Store(cfg)
	t.next = now().Add(certificatesLookEvery)
	return t, nil
}

// config is that of the listener.
func (t *callersTLS) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return t.latest(), nil },
	}
}

// latest is what holds now. It looks at the files, but not again within a second, and while one looks others go on.
func (t *callersTLS) latest() *tls.Config {
	if t.mu.TryLock() {
		defer t.mu.Unlock()
		if now := t.now(); !now.Before(t.next) {
			t.next = now.Add(certificatesLookEvery)
			t.look(now)
		}
	}
	return t.current.Load()
}

// look reads the files anew if they have changed and settled. t.mu is held.
func (t *callersTLS) look(now time.Time) {
	found := t.states()
	switch {
	case found.same(t.read), !found.regular():
		return
	case !found.same(t.seen) && !found.settled(now):
		t.seen = found
		return
	}
	if !found.settled(now) {
		found = fileStates{} // as at the start
	}
	t.read, t.seen = found, fileStates{}
	cfg, err := t.c.merchantTLS()
	if err != nil {
		t.complain(err)
		return
	}
	t.current.Store(cfg)
	t.told = ""
	t.log.Info("the certificates of merchant_listen were read anew")
}

// complain says what is wrong with the files, each thing once.
func (t *callersTLS) complain(err error) {
	if t.told == err.Error() {
		return
	}
	t.told = err.Error()
	paths := map[string]string{"merchant_tls_certificate": t.c.merchant.certificate, "merchant_tls_key": t.c.merchant.key, "merchant_client_ca": t.c.merchant.authority}
	for _, e := range flatten(err) {
		if ce, ok := errors.AsType[*vipps.ConfigError](e); ok {
			t.log.Error("the certificates of merchant_listen have changed, and can't be used: those from before stay", zap.String("setting", ce.Setting),
				zap.String("path", paths[ce.Setting]), zap.Error(ce), zap.String("mend", "mend the file; it is read again when it changes"))
		}
	}
}

// states looks at the files.
func (t *callersTLS) states() (found fileStates) {
	for i, path := range t.c.merchantFiles() {
		if info, err := os.Stat(path); err == nil { // else reading says why
			found[i] = info
		}
	}
	return found
}

// regular reports whether all are files that can be read again; a pipe at the start can not.
func (f fileStates) regular() bool {
	for _, info := range f {
		if info != nil && !info.Mode().IsRegular() {
			return false
		}
	}
	return true
}

// settled reports whether no file was changed just now.
func (f fileStates) settled(now time.Time) bool {
	for _, info := range f {
		if info != nil && now.Sub(info.ModTime()).Abs() < certificatesSettle {
			return false
		}
	}
	return true
}

// same reports whether two looks found the same states of the same files.
func (f fileStates) same(as fileStates) bool {
	for i, a := range f {
		b := as[i]
		if a == nil && b == nil {
			continue
		}
		if a == nil || b == nil || !os.SameFile(a, b) || a.Size() != b.Size() || !a.ModTime().Equal(b.ModTime()) {
			return false
		}
	}
	return true
}

// trusted looks at a connection's certificate at each request. It may be kept for long, and the authority or the time may be another
// by now; then next sees no certificate, and the connection ends.
func (t *callersTLS) trusted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS != nil && !t.trusts(r.TLS.PeerCertificates) {
			state := *r.TLS
			state.VerifiedChains = nil
			r = r.WithContext(r.Context()) // a copy
			r.TLS = &state
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// trusts judges as the handshake does.
func (t *callersTLS) trusts(shown []*x509.Certificate) bool {
	if len(shown) == 0 {
		return false
	}
	between := x509.NewCertPool()
	for _, c := range shown[1:] {
		between.AddCert(c)
	}
	_, err := shown[0].Verify(x509.VerifyOptions{
		Roots: t.latest().ClientCAs, Intermediates: between, CurrentTime: t.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return err == nil
}

// merchantTLS reads the certificates of the listener for callers that show one. It takes nobody without.
func (c *config) merchantTLS() (*tls.Config, error) {
	bad := func(setting, reason string) error { return &vipps.ConfigError{Setting: setting, Reason: reason} }
	var errs []error
	read := func(setting, path string) []byte {
		text, err := readFile(path, maxConfigFile)
		if err != nil {
			errs = append(errs, bad(setting, "names a file that can't be read: "+reasonOf(err)))
		}
		return text
	}
	certificate, key := read("merchant_tls_certificate", c.merchant.certificate), read("merchant_tls_key", c.merchant.key)
	authority := read("merchant_client_ca", c.merchant.authority)
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil { // its text may quote the file
		errs = append(errs, bad("merchant_tls_certificate", "and merchant_tls_key are no pair of a certificate and its key, both in PEM"))
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		errs = append(errs, bad("merchant_client_ca", "names a file that holds no certificate in PEM"))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return &tls.Config{
		Certificates: []tls.Certificate{pair},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    pool,
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"http/1.1"},

		SessionTicketsDisabled: true, // or one from before a change would be as good as a certificate
	}, nil
}
