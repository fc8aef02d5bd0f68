package vipps

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

const (
	maxIDToken = 256 << 10
	maxKeyID   = 256
	maxSubject = 255
)

// allowedAlgorithms are the only two, whatever metadata or token say. Vipps
// announces RS256 and is known to use ES256 in other flows.
func allowedAlgorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.ES256}
}

// idToken is a token that passed every check that needs no pending login.
type idToken struct {
	subject                    string
	issuedAt, expiry, authTime time.Time
	nonce, accessTokenHash     string
	acr                        string
	claims                     object
}

// verifyIDToken checks form, signature, issuer, audience, times and subject.
// It does not check nonce, at_hash and acr: checkLogin does.
func (c *Client) verifyIDToken(ctx context.Context, raw string) (*idToken, error) {
	if err := c.checkHeader(raw); err != nil {
		return nil, err
	}
	keys := &witness{keys: c.keys}
	verifier := oidc.NewVerifier(c.cfg.Issuer, keys, &oidc.Config{
		ClientID:             c.cfg.ClientID,
		SupportedSigningAlgs: []string{oidc.RS256, oidc.ES256},
		SkipExpiryCheck:      true, // it knows no leeway: checkTimes does it
		Now:                  c.cfg.Now,
	})
	_, verifyErr := verifier.Verify(ctx, raw)
	if keys.err != nil {
		return nil, keys.err
	}
	// Our own checks come first, since their errors say more. Where go-oidc did not ask for the keys there is no payload,
	// which is no object.
	claims, err := decodeObject(keys.payload)
	if err != nil {
		return nil, c.fail(StageIDToken, CodeMalformedToken, err.Error())
	}
	t, err := c.checkClaims(claims)
	if err != nil {
		return nil, err
	}
	if verifyErr != nil {
		return nil, c.fail(StageIDToken, CodeMalformedToken, "refused by go-oidc")
	}
	return t, nil
}

// witness is a key set that remembers what it answered: go-oidc turns our
// typed errors into text.
type witness struct {
	keys    *keySet
	payload []byte
	err     error
}

func (w *witness) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	w.payload, w.err = w.keys.VerifySignature(ctx, jwt)
	return w.payload, w.err
}

// checkHeader accepts a compact JWS in canonical base64url only, and refuses
// critical extensions, unencoded payloads, compression and tokens of another type (RFC 8725 §3). Keys and
// URLs of keys in the header are not looked at.
func (c *Client) checkHeader(raw string) error {
	if len(raw) > maxIDToken {
		return c.fail(StageIDToken, CodeMalformedToken, "too long")
	}
	if strings.Count(raw, ".") != 2 {
		return c.fail(StageIDToken, CodeMalformedToken, "not a compact JWS of three parts")
	}
	var header []byte
	for i, part := range strings.Split(raw, ".") {
		decoded, err := decodeBase64URL(part)
		if err != nil {
			return c.fail(StageIDToken, CodeMalformedToken, "not base64url")
		}
		if i == 0 {
			header = decoded
		}
	}
	o, err := decodeObject(header)
	if err != nil {
		return c.fail(StageIDToken, CodeMalformedToken, "header: "+err.Error())
	}
	if alg, _ := o.text("alg"); !slices.Contains(allowedAlgorithms(), jose.SignatureAlgorithm(alg)) {
		return c.fail(StageIDToken, CodeAlgorithm, "")
	}
	for _, name := range []string{"crit", "b64", "zip", "enc"} {
		if _, ok := o[name]; ok {
			return c.fail(StageIDToken, CodeMalformedToken, "header: "+name+" is not supported")
		}
	}
	if _, ok := o["kid"]; ok {
		if kid, _ := o.text("kid"); kid == "" || len(kid) > maxKeyID {
			return c.fail(StageIDToken, CodeMalformedToken, "header: unusable kid")
		}
	}
	if typ, err := o.optionalText("typ"); err != nil || strings.Contains(typ, "+") {
		return c.fail(StageIDToken, CodeMalformedToken, "header: typ says that this is no ID token")
	}
	return nil
}

// decodeBase64URL is strict: no padding, no line breaks (encoding/base64
// skips them), no bits left over.
func decodeBase64URL(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("line break in base64url")
	}
	return base64.RawURLEncoding.Strict().DecodeString(s)
}

// checkClaims checks what OpenID Connect Core §3.1.3.7 asks of every ID token.
func (c *Client) checkClaims(o object) (*idToken, error) {
	for _, name := range []string{"iss", "sub", "aud", "exp", "iat"} {
		if !o.has(name) {
			return nil, c.fail(StageIDToken, CodeMissingClaim, name+" is missing")
		}
	}
	if iss, _ := o.text("iss"); iss != c.cfg.Issuer {
		return nil, c.fail(StageIDToken, CodeIssuerMismatch, "")
	}
	if err := c.checkAudience(o); err != nil {
		return nil, err
	}
	t := &idToken{claims: o}
	if err := c.checkTimes(o, t); err != nil {
		return nil, err
	}
	if t.subject, _ = o.text("sub"); !usableSubject(t.subject) {
		return nil, c.fail(StageIDToken, CodeInvalidSubject, "")
	}
	for name, to := range map[string]*string{"nonce": &t.nonce, "at_hash": &t.accessTokenHash, "acr": &t.acr} {
		var err error
		if *to, err = o.optionalText(name); err != nil {
			return nil, c.fail(StageIDToken, CodeMalformedToken, err.Error())
		}
	}
	return t, nil
}

// checkAudience wants us, and nobody else, in aud, and in azp if there is one.
func (c *Client) checkAudience(o object) error {
	audience, _ := o.texts("aud") // none, where it is no list
	if len(audience) == 0 {
		return c.fail(StageIDToken, CodeAudience, "aud is no list of clients")
	}
	for _, a := range audience {
		if a != c.cfg.ClientID {
			return c.fail(StageIDToken, CodeAudience, "aud names another client")
		}
	}
	if o.has("azp") {
		if azp, _ := o.text("azp"); azp != c.cfg.ClientID {
			return c.fail(StageIDToken, CodeAudience, "azp names another client")
		}
	}
	return nil
}

// checkTimes fills t and compares its times with our clock.
func (c *Client) checkTimes(o object, t *idToken) error {
	var notBefore time.Time // where there is none: long ago
	for _, claim := range []struct {
		name string
		to   *time.Time
	}{{"exp", &t.expiry}, {"iat", &t.issuedAt}, {"nbf", &notBefore}, {"auth_time", &t.authTime}} {
		var err error
		if *claim.to, _, err = o.instant(claim.name); err != nil {
			return c.fail(StageIDToken, CodeMalformedToken, err.Error())
		}
	}
	late := func(code, reason string, off time.Duration) error {
		e := c.fail(StageIDToken, code, reason)
		e.hint.off = off
		return e
	}
	now := c.cfg.Now()
	if off := t.issuedAt.Sub(now); off > c.cfg.Leeway {
		return late(CodeIssuedInFuture, "iat is "+seconds(off)+" in the future", off)
	}
	if off := notBefore.Sub(now); off > c.cfg.Leeway {
		return late(CodeIssuedInFuture, "nbf is "+seconds(off)+" in the future", off)
	}
	if off := now.Sub(t.expiry); off > c.cfg.Leeway {
		return late(CodeExpired, "exp was "+seconds(off)+" ago", off)
	}
	if off := now.Sub(t.issuedAt); off > c.cfg.MaxTokenAge {
		return late(CodeTooOld, "iat was "+seconds(off)+" ago", off)
	}
	return nil
}

func seconds(d time.Duration) string { return d.Round(time.Second).String() }

// usableSubject says whether sub is what OpenID Connect Core §2 allows (at
// most 255 ASCII characters) and can stand in a header and a list.
func usableSubject(sub string) bool {
	return sub != "" && len(sub) <= maxSubject && isPrintable(sub) &&
		!strings.Contains(sub, ",") && strings.TrimSpace(sub) == sub
}

// checkLogin checks what ties the token to this login. The nonce is first:
// nothing of a token with a wrong one may be used.
func (c *Client) checkLogin(t *idToken, p *PendingLogin, accessToken string) error {
	if !equal(t.nonce, p.Nonce) {
		return c.fail(StageIDToken, CodeNonce, "")
	}
	if t.claims.has("at_hash") && !equal(t.accessTokenHash, accessTokenHash(accessToken)) {
		return c.fail(StageIDToken, CodeAccessTokenHash, "")
	}
	if p.ACRValues != "" && !slices.Contains(strings.Fields(p.ACRValues), t.acr) {
		return c.fail(StageIDToken, CodeACR, "")
	}
	return nil
}

// accessTokenHash follows OpenID Connect Core §3.1.3.6. Both of our
// algorithms hash with SHA-256.
func accessTokenHash(accessToken string) string {
	sum := sha256.Sum256([]byte(accessToken))
	return base64.RawURLEncoding.EncodeToString(sum[:sha256.Size/2])
}

// equal compares two secrets in constant time. Empty ones equal nothing.
func equal(a, b string) bool {
	return a != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}
