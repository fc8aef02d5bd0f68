package vipps

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// keyCooldown is the least time between two fetches of the key set that
	// were caused by a token no key of ours verifies.
	keyCooldown = 30 * time.Second

	// maxKeys is how many entries of a key set are looked at.
	maxKeys = 100

	minRSABits = 2048
)

// publicKey is a usable entry of the provider's key set. Its algorithm is
// bound to its type: RS256 for RSA, ES256 for P-256.
type publicKey struct {
	id        string
	algorithm jose.SignatureAlgorithm
	key       any // *rsa.PublicKey or *ecdsa.PublicKey
}

// keyRing is the provider's key set, as last fetched, and where from.
type keyRing struct {
	url  string
	keys []publicKey
}

// keySet is that of one provider. go-oidc's own reads without
// a limit and fetches for every key that it doesn't know.
type keySet struct {
	client *Client
	cache  *cached[*keyRing]

	// When the next fetch for either reason may be; guarded by cache.mu. What anybody can send has times of its own.
	logins, callbacks cooldowns
}

type cooldowns struct{ afterUnknown, afterFailed time.Time }

func newKeySet(c *Client) *keySet {
	k := &keySet{client: c}
	k.cache = &cached[*keyRing]{now: c.cfg.Now, stage: StageKeys, fetch: k.fetch}
	return k
}

// verdict is what a key ring says about a signature.
type verdict int

const (
	verified   verdict = iota
	unknownKey         // no key fits, or the token doesn't name one and none verifies
	badSignature
)

// verify returns the payload of a compact JWS that a key of the
// provider has signed. It checks the algorithm and the signature, and nothing else.
//
// When no key fits it fetches the keys again, at most once per cool-down. The
// same goes, with a cool-down of its own, for a known key that doesn't verify:
// some providers change keys and keep their names.
func (k *keySet) verify(ctx context.Context, what signed, jwt string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(jwt, allowedAlgorithms())
	if err != nil {
		return nil, k.client.fail(what.stage, what.malformed, "not a compact JWS signed with RS256 or ES256")
	}
	if err := k.load(ctx); err != nil {
		return nil, err
	}
	ring, serial := k.cache.snapshot()
	payload, v := ring.verify(jws)
	if v == verified {
		return payload, nil
	}
	cool := &k.logins
	if what.stage == StageQR {
		cool = &k.callbacks
	}
	k.refetch(ctx, serial, v, cool)
	if newer, now := k.cache.snapshot(); now != serial {
		if payload, v = newer.verify(jws); v == verified {
			return payload, nil
		}
	}
	if v == unknownKey {
		return nil, k.client.fail(what.stage, CodeUnknownKey, "")
	}
	return nil, k.client.fail(what.stage, CodeSignature, "")
}

// load sees to it that the cache has keys, if they can be had from where the
// provider's metadata says.
func (k *keySet) load(ctx context.Context) error {
	md, err := k.client.metadata.get(ctx)
	if err != nil {
		return err
	}
	if _, err := k.cache.get(ctx); err != nil {
		return err
	}
	if ring, serial := k.cache.snapshot(); ring.url != md.JWKSURL {
		k.cache.refresh(ctx, serial, func(time.Time) bool { return true })
	}
	return nil
}

// refetch fetches the keys if the cool-down for that verdict is over. A fetch
// that fails doesn't start the cool-down: the shorter back-off covers it.
func (k *keySet) refetch(ctx context.Context, serial int, v verdict, cool *cooldowns) {
	next := &cool.afterUnknown
	if v == badSignature {
		next = &cool.afterFailed
	}
	k.cache.refresh(ctx, serial, func(now time.Time) bool {
		if now.Before(*next) {
			return false
		}
		*next = now.Add(keyCooldown)
		return true
	})
	if k.cache.lastError() != nil {
		k.cache.mu.Lock()
		*next = time.Time{}
		k.cache.mu.Unlock()
	}
}

func (k *keySet) fetch(ctx context.Context) (*keyRing, time.Duration, error) {
	md, err := k.client.metadata.get(ctx)
	if err != nil {
		return nil, 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, md.JWKSURL, nil)
	if err != nil {
		return nil, 0, k.client.fail(StageKeys, CodeInvalidMetadata, "jwks_uri makes no request")
	}
	a, err := k.client.do(ctx, StageKeys, req)
	if err != nil {
		return nil, 0, err
	}
	keys, err := parseKeys(a.body)
	if err != nil {
		return nil, 0, k.client.fail(StageKeys, CodeInvalidKeys, err.Error())
	}
	return &keyRing{url: md.JWKSURL, keys: keys}, freshness(a.header), nil
}

// verify tries every key that fits the token's algorithm and, if it names
// one, its key id.
func (r *keyRing) verify(jws *jose.JSONWebSignature) ([]byte, verdict) {
	if len(jws.Signatures) != 1 {
		return nil, badSignature
	}
	header := jws.Signatures[0].Protected
	v := unknownKey
	for _, key := range r.keys {
		if string(key.algorithm) != header.Algorithm || header.KeyID != "" && key.id != header.KeyID {
			continue
		}
		if payload, err := jws.Verify(key.key); err == nil {
			return payload, verified
		}
		if header.KeyID != "" {
			v = badSignature
		}
	}
	return nil, v
}

// parseKeys reads a JWK Set (RFC 7517 §5). Entries that we cannot use are
// left out; a set without a usable one is an error.
func parseKeys(body []byte) ([]publicKey, error) {
	var set map[string]json.RawMessage
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, errors.New("not a JSON object")
	}
	var entries []json.RawMessage
	if err := json.Unmarshal(set["keys"], &entries); err != nil {
		return nil, errors.New("keys is not an array")
	}
	var keys []publicKey
	for _, entry := range entries[:min(len(entries), maxKeys)] {
		if key, ok := parseKey(entry); ok {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("no usable key")
	}
	return keys, nil
}

// parseKey reads one JWK. It takes RSA keys of 2048 to 16384 bits and P-256 keys that are
// meant for signatures, and none that comes with private members.
func parseKey(entry []byte) (publicKey, bool) {
	o, err := decodeObject(entry)
	if err != nil {
		return publicKey{}, false
	}
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if _, ok := o[private]; ok {
			return publicKey{}, false
		}
	}
	if use, err := o.optionalText("use"); err != nil || use != "" && use != "sig" {
		return publicKey{}, false
	}
	if o.has("key_ops") {
		if ops, err := o.texts("key_ops"); err != nil || !slices.Contains(ops, "verify") {
			return publicKey{}, false
		}
	}
	id, err := o.optionalText("kid")
	if err != nil {
		return publicKey{}, false
	}
	key, algorithm := keyMaterial(o)
	if named, err := o.optionalText("alg"); key == nil || err != nil || named != "" && named != string(algorithm) {
		return publicKey{}, false
	}
	return publicKey{id: id, algorithm: algorithm, key: key}, true
}

// keyMaterial returns the key of a JWK and the one algorithm it is good for,
// nil if it is good for none. Certificates in the JWK are not looked at.
func keyMaterial(o object) (any, jose.SignatureAlgorithm) {
	bare := make(map[string]string)
	for _, name := range []string{"kty", "n", "e", "crv", "x", "y"} {
		if v, err := o.optionalText(name); err != nil {
			return nil, ""
		} else if v != "" {
			bare[name] = v
		}
	}
	data, err := json.Marshal(bare)
	if err != nil {
		return nil, ""
	}
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON(data); err != nil { // also checks that a point is on its curve
		return nil, ""
	}
	switch key := jwk.Key.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() >= minRSABits && key.E >= 3 && key.E%2 == 1 {
			return key, jose.RS256
		}
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			return key, jose.ES256
		}
	}
	return nil, ""
}
