package emulator

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// idToken mints the ID token of a flow, with the claims of the documents' samples.
func (e *Emulator) idToken(client *Client, g *grant, access string) (string, error) {
	e.mu.Lock()
	now, keys := e.nowLocked(), e.keys.generations[0]
	var person Person
	if p := e.state.personByID(g.person); p != nil {
		person = *p
	}
	e.mu.Unlock()

	claims, alg := e.browserClaims(client, g, access, now), jose.RS256
	if g.flow != "" {
		claims, alg = e.merchantClaims(client, g, now), jose.ES256
		if e.take(BreakRS256) {
			alg = jose.RS256
		}
	}
	for _, sc := range g.req.scopes {
		if (sc == "email" && g.flow == "") || e.cfg.ProfileInIDToken {
			person.addClaims(claims, sc)
		}
	}
	e.breakClaims(claims, client.ID, now)
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	payload, typ := e.breakPayload(payload), jose.ContentType("JWT")
	if g.flow != "" { // a service of its own, in Java, by the looks of the samples
		payload, typ = bytes.ReplaceAll(payload, []byte("/"), []byte(`\/`)), ""
	}
	return e.sign(payload, alg, keys, client.Secret, typ)
}

// browserClaims are those of the browser flow: aud an array, one hour.
func (e *Emulator) browserClaims(client *Client, g *grant, access string, now time.Time) map[string]any {
	sum := sha256.Sum256([]byte(access))
	claims := map[string]any{
		"iss":       e.Issuer(),
		"sub":       subject(client.ID, g.person),
		"aud":       []string{client.ID},
		"exp":       now.Add(time.Hour).Unix(),
		"iat":       now.Unix(),
		"auth_time": g.authTime.Unix(),
		"rat":       g.req.received.Unix(),
		"nonce":     g.req.nonce,
		"at_hash":   base64.RawURLEncoding.EncodeToString(sum[:16]),
		"jti":       newUUID(),
		"sid":       g.sid,
		"msn":       client.MSN,
	}
	if g.req.acr != "" {
		claims["acr"] = g.req.acr
	}
	return claims
}

// merchantClaims are those of merchant-initiated login: aud a string, ten minutes, and not much more. The documents' samples are
// older than msn. The auth_req_id is there where a code from a browser was exchanged.
func (e *Emulator) merchantClaims(client *Client, g *grant, now time.Time) map[string]any {
	claims := map[string]any{
		"iss": e.Issuer(),
		"sub": subject(client.ID, g.person),
		"aud": client.ID,
		"msn": client.MSN,
		"exp": now.Add(10 * time.Minute).Unix(),
		"iat": now.Unix(),
	}
	if g.flow == flowCIBARedirect || e.take(BreakMerchantAuthReqID) {
		claims["auth_req_id"] = g.authReqID
	}
	if g.qr != nil {
		claims["qr_id"], claims["qr_description"] = g.qr.ID, g.qr.Description
	}
	if e.take(BreakMerchantNonce) {
		claims["nonce"] = g.req.nonce
	}
	if e.take(BreakAudArray) {
		claims["aud"] = []string{client.ID}
	}
	return claims
}

// key is the key for alg, with its kid.
func (k *keypair) key(alg jose.SignatureAlgorithm) jose.JSONWebKey {
	if alg == jose.ES256 {
		return jose.JSONWebKey{Key: k.ec, KeyID: k.ecKID}
	}
	return jose.JSONWebKey{Key: k.rsa, KeyID: k.rsaKID}
}

// sign makes the compact JWS, with the fault that Control.Break asks for, if any.
func (e *Emulator) sign(payload []byte, alg jose.SignatureAlgorithm, keys *keypair, secret string, typ jose.ContentType) (string, error) {
	own := keys.key(alg)
	switch {
	case e.take(BreakAlgNone):
		return craft(`{"alg":"none","typ":"JWT"}`, payload, nil), nil
	case e.take(BreakHS256PublicKey):
		der, err := x509.MarshalPKIXPublicKey(keys.rsa.Public())
		if err != nil {
			return "", err
		}
		public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		return craft(`{"alg":"HS256","kid":"`+keys.rsaKID+`","typ":"JWT"}`, payload, public), nil
	case e.take(BreakHS256Secret):
		return craft(`{"alg":"HS256","typ":"JWT"}`, payload, []byte(secret)), nil
	case e.take(BreakES256):
		return compact(jose.ES256, keys.key(jose.ES256), payload, typ)
	case e.take(BreakUnknownKID):
		other, err := newKeypair(e.cfg.RSABits)
		if err != nil {
			return "", err
		}
		return compact(alg, other.key(alg), payload, typ)
	case e.take(BreakForeignKey):
		other, err := newKeypair(e.cfg.RSABits)
		if err != nil {
			return "", err
		}
		return compact(alg, jose.JSONWebKey{Key: other.key(alg).Key, KeyID: own.KeyID}, payload, typ)
	case e.take(BreakNoKID):
		return compact(alg, own.Key, payload, typ)
	}
	token, err := compact(alg, own, payload, typ)
	if err == nil && e.take(BreakBadSignature) {
		token = alterSignature(token)
	}
	return token, err
}

// compact signs; an empty typ is left out of the header.
func compact(alg jose.SignatureAlgorithm, key any, payload []byte, typ jose.ContentType) (string, error) {
	var options jose.SignerOptions
	if typ != "" {
		options.WithType(typ)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, &options)
	if err != nil {
		return "", err
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return jws.CompactSerialize()
}

// craft makes a compact JWS that no library should help with: HMAC-SHA256 with key, or no signature at all without one.
func craft(header string, payload, key []byte) string {
	enc := base64.RawURLEncoding
	signed := enc.EncodeToString([]byte(header)) + "." + enc.EncodeToString(payload)
	if key == nil {
		return signed + "."
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(signed))
	return signed + "." + enc.EncodeToString(mac.Sum(nil))
}

// alterSignature changes a byte in the middle of the signature.
func alterSignature(token string) string {
	i := strings.LastIndexByte(token, '.')
	enc := base64.RawURLEncoding
	sig, err := enc.DecodeString(token[i+1:])
	if err != nil || len(sig) == 0 {
		return token + "AAAA"
	}
	sig[len(sig)/2] ^= 0xff
	return token[:i+1] + enc.EncodeToString(sig)
}
