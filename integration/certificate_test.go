package integration_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"testing"
	"time"
)

// certificate is one for localhost, made for a test.
type certificate struct {
	cert, key string      // files, as most proxies take them
	pair      string      // a file with both
	trusted   *tls.Config // of browsers that trust it
}

// certificateFor makes a certificate of ninety days that ends in this many.
func certificateFor(t *testing.T, days int) certificate {
	t.Helper()
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ends := time.Now().AddDate(0, 0, days)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: ends.AddDate(0, 0, -90), NotAfter: ends,
		DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
	}
	if days >= 90 {
		template.NotBefore = time.Now().Add(-time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &signer.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	own, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		t.Fatal(err)
	}
	cert := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	roots := x509.NewCertPool()
	roots.AddCert(own)
	return certificate{
		cert: write(t, "cert.pem", cert), key: write(t, "key.pem", key), pair: write(t, "site.pem", cert+key),
		trusted: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}
}

// authority writes the topmost of the certificates that the site presents: what an operator gives to those who are to trust it.
func (f *front) authority() string {
	f.t.Helper()
	conn, err := toLoopback(f.t.Context(), "tcp", "localhost:"+f.port())
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close()
	secured := tls.Client(conn, &tls.Config{ServerName: "localhost", InsecureSkipVerify: true}) // it is looked at, and not talked to
	ctx, cancel := context.WithTimeout(f.t.Context(), 5*time.Second)
	defer cancel()
	if err := secured.HandshakeContext(ctx); err != nil {
		f.t.Fatal(err)
	}
	chain := secured.ConnectionState().PeerCertificates
	return write(f.t, "authority.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: chain[len(chain)-1].Raw})))
}
