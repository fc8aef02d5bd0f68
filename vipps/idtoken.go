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

// signed is a sort of text that the provider signs, and what is asked of each of them.
type signed struct {
	stage     Stage
	malformed string        // the code of one that can't be read
	longest   int           // in bytes
	maxAge    time.Duration // since iat
	leeway    time.Duration // after exp
	required  []string      // claims
}

func (c *Client) idTokens() signed {
	return signed{
		stage: StageIDToken, malformed: CodeMalformedToken, longest: maxIDToken,
		maxAge: c.cfg.MaxTokenAge, leeway: c.cfg.Leeway, required: []string{"iss", "sub", "aud", "exp", "iat"},
	}
}

// issued is what every such text says of itself.
type issued struct {
	issuedAt, expiry, authTime time.Time
	claims                     object
}

// idToken is a token that passed every check that needs no pending login.
type idToken struct {
	issued
	subject                string
	nonce, accessTokenHash string
	acr                    string
}

// verifyIDToken checks form, signature, issuer, audience, times and subject.
// It does not check nonce, at_hash and acr: checkLogin does.
func (c *Client) verifyIDToken(ctx context.Context, raw string) (*idToken, error) {
	if err := c.checkHeader(c.idTokens(), raw); err != nil {
		return nil, err
	}
	keys := &witness{keys: c.keys, what: c.idTokens()}
	verifier := oidc.NewVerifier(c.cfg.Issuer, keys, &oidc.Config{
		ClientID:             c.cfg.ClientID,
		SupportedSigningAlgs: []string{oidc.RS256, oidc.ES256},
		SkipClientIDCheck:    c.isPartner(), // checkAudience does it
		SkipExpiryCheck:      true,          // it knows no leeway: checkTimes does it
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
	what    signed
	payload []byte
	err     error
}

func (w *witness) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	w.payload, w.err = w.keys.verify(ctx, w.what, jwt)
	return w.payload, w.err
}

// checkHeader accepts a compact JWS in canonical base64url only, and refuses
// critical extensions, unencoded payloads, compression and tokens of another type (RFC 8725 §3). Keys and
// URLs of keys in the header are not looked at.
func (c *Client) checkHeader(what signed, raw string) error {
	if len(raw) > what.longest {
		return c.fail(what.stage, what.malformed, "too long")
	}
	if strings.Count(raw, ".") != 2 {
		return c.fail(what.stage, what.malformed, "not a compact JWS of three parts")
	}
	var header []byte
	for i, part := range strings.Split(raw, ".") {
		decoded, err := decodeBase64URL(part)
		if err != nil {
			return c.fail(what.stage, what.malformed, "not base64url")
		}
		if i == 0 {
			header = decoded
		}
	}
	o, err := decodeObject(header)
	if err != nil {
		return c.fail(what.stage, what.malformed, "header: "+err.Error())
	}
	if alg, _ := o.text("alg"); !slices.Contains(allowedAlgorithms(), jose.SignatureAlgorithm(alg)) {
		return c.fail(what.stage, CodeAlgorithm, "")
	}
	for _, name := range []string{"crit", "b64", "zip", "enc"} {
		if _, ok := o[name]; ok {
			return c.fail(what.stage, what.malformed, "header: "+name+" is not supported")
		}
	}
	if _, ok := o["kid"]; ok {
		if kid, _ := o.text("kid"); kid == "" || len(kid) > maxKeyID {
			return c.fail(what.stage, what.malformed, "header: unusable kid")
		}
	}
	if typ, err := o.optionalText("typ"); err != nil || strings.Contains(typ, "+") {
		return c.fail(what.stage, what.malformed, "header: typ says that this is something else")
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
	common, err := c.checkIssued(c.idTokens(), o)
	if err != nil {
		return nil, err
	}
	t := &idToken{issued: common}
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

// checkIssued checks who has issued a text, for whom, and when.
func (c *Client) checkIssued(what signed, o object) (issued, error) {
	for _, name := range what.required {
		if !o.has(name) {
			return issued{}, c.fail(what.stage, CodeMissingClaim, name+" is missing")
		}
	}
	if iss, _ := o.text("iss"); iss != c.cfg.Issuer {
		return issued{}, c.fail(what.stage, CodeIssuerMismatch, "")
	}
	if err := c.checkAudience(what, o); err != nil {
		return issued{}, err
	}
	t := issued{claims: o}
	err := c.checkTimes(what, o, &t)
	return t, err
}

// checkAudience wants us, and nobody else, in aud, and in azp if there is one. With partner keys it wants our merchant in msn, and
// one client in aud, whichever it is, and the same in azp: a partner doesn't know the client_id of the merchant.
func (c *Client) checkAudience(what signed, o object) error {
	audience, _ := o.texts("aud") // none, where it is no list
	if len(audience) == 0 {
		return c.fail(what.stage, CodeAudience, "aud is no list of clients")
	}
	client := c.cfg.ClientID
	if c.isPartner() {
		if msn, ok := o.text("msn"); msn != c.cfg.MerchantSerialNumber {
			e := c.fail(what.stage, CodeMerchant, "")
			e.hint.noMSN = !ok
			return e
		}
		client = audience[0]
	}
	for _, a := range audience {
		if a != client || a == "" {
			return c.fail(what.stage, CodeAudience, "aud names another client")
		}
	}
	if o.has("azp") {
		if azp, _ := o.text("azp"); azp != client {
			return c.fail(what.stage, CodeAudience, "azp names another client")
		}
	}
	return nil
}

// checkTimes fills t and compares its times with our clock.
func (c *Client) checkTimes(what signed, o object, t *issued) error {
	var notBefore time.Time // where there is none: long ago
	for _, claim := range []struct {
		name string
		to   *time.Time
	}{{"exp", &t.expiry}, {"iat", &t.issuedAt}, {"nbf", &notBefore}, {"auth_time", &t.authTime}} {
		var err error
		if *claim.to, _, err = o.instant(claim.name); err != nil {
			return c.fail(what.stage, what.malformed, err.Error())
		}
	}
	late := func(code, reason string, off time.Duration) error {
		e := c.fail(what.stage, code, reason)
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
	if off := now.Sub(t.expiry); off > what.leeway {
		return late(CodeExpired, "exp was "+seconds(off)+" ago", off)
	}
	if off := now.Sub(t.issuedAt); off > what.maxAge {
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
