package emulator

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"net/http"

	"github.com/go-jose/go-jose/v4"
)

// keypair is one generation of signing keys: Vipps signs the browser flow with RSA and other flows with P-256.
type keypair struct {
	rsa *rsa.PrivateKey
	ec  *ecdsa.PrivateKey

	rsaKID, ecKID string
}

// keyring holds the generations that are published; the first one signs. The lock of the Emulator guards it.
type keyring struct{ generations []*keypair }

// maxGenerations bounds what RotateKeys with keepOld piles up.
const maxGenerations = 8

func newKeypair(bits int) (*keypair, error) {
	rk, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return nil, fmt.Errorf("emulator: making an RSA key: %w", err)
	}
	ek, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("emulator: making a P-256 key: %w", err)
	}
	return &keypair{rsa: rk, ec: ek, rsaKID: "public:" + newUUID(), ecKID: "public:" + newUUID()}, nil
}

func (k *keyring) rotate(bits int, keepOld bool) error {
	fresh, err := newKeypair(bits)
	if err == nil {
		k.add(fresh, keepOld)
	}
	return err
}

func (k *keyring) add(fresh *keypair, keepOld bool) {
	if !keepOld {
		k.generations = nil
	}
	k.generations = append([]*keypair{fresh}, k.generations...)
	if len(k.generations) > maxGenerations {
		k.generations = k.generations[:maxGenerations]
	}
}

func (k *keyring) jwks() jose.JSONWebKeySet {
	var set jose.JSONWebKeySet
	for _, g := range k.generations {
		set.Keys = append(set.Keys,
			jose.JSONWebKey{Key: g.rsa.Public(), KeyID: g.rsaKID, Algorithm: "RS256", Use: "sig"},
			jose.JSONWebKey{Key: g.ec.Public(), KeyID: g.ecKID, Algorithm: "ES256", Use: "sig"})
	}
	return set
}

func (e *Emulator) serveJWKS(w http.ResponseWriter, _ *http.Request) {
	e.mu.Lock()
	set := e.keys.jwks()
	e.mu.Unlock()
	writeJSON(w, http.StatusOK, set)
}

// newUUID is a random UUID (RFC 9562 §5.4).
func newUUID() string {
	b := [16]byte(randomBytes(16))
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return formatUUID(b)
}

// randomBytes never fails: crypto/rand ends the program rather than return anything else than randomness.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// newOpaque has the shape of the engine's codes and access tokens: two parts of 43 characters.
func newOpaque() string {
	return base64.RawURLEncoding.EncodeToString(randomBytes(32)) + "." + base64.RawURLEncoding.EncodeToString(randomBytes(32))
}
