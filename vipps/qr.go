package vipps

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"
)

// QR logins: a person scans a printed code, confirms in the app, and Vipps tells the merchant's server (VerifyQRCallback, then
// FinishQRLogin), or sends the person's browser to it (FinishQRRedirect). Vipps withdrew them in January 2023, and never had them in its
// test environment. The codes are static and public: who logs in is whoever scanned one.

// Codes of QR logins.
const (
	CodeMalformedCallback = "malformed_qr_callback" // not a compact JWS that we accept, or unusable claims
	CodeWrongKind         = "not_a_qr_callback"     // an ID token or something else that the provider has signed
)

const (
	maxQRCallback = 8 << 10
	maxQRAge      = 5 * time.Minute
	maxQRText     = 256

	grantQR         = "urn:vipps:params:grant-type:qr"
	grantQRRedirect = "urn:vipps:params:grant-type:qr-redirect"
)

// ErrStale matches, with errors.Is, a QR callback that the provider did sign, for us, but too long ago. The provider would send it again
// and again if it were told so, so it is to be answered like a good one, and nothing to be done.
var ErrStale = errors.New("vipps: the callback is too old")

// QRCallback is a QR callback that passed every check. It says that somebody has confirmed a login, and not who: FinishQRLogin asks.
type QRCallback struct {
	// AuthReqID is what the login is known by. It is a secret, which encoding/json shows, and good for one login.
	AuthReqID string
	// IssuedAt and ExpiresAt are the callback's own.
	IssuedAt, ExpiresAt time.Time
	// Digest is the SHA-256 of the callback, to know it again by.
	Digest [sha256.Size]byte
}

// String names the beginning of the digest only.
func (cb QRCallback) String() string { return "QR callback " + hex.EncodeToString(cb.Digest[:4]) }

// GoString is String.
func (cb QRCallback) GoString() string { return cb.String() }

// Format writes String for every verb.
func (cb QRCallback) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, cb.String()) }

// LogValue is String.
func (cb QRCallback) LogValue() slog.Value { return slog.StringValue(cb.String()) }

// qrCallbacks are short, and sent at once: there is no leeway after their end.
func (c *Client) qrCallbacks() signed {
	return signed{
		stage: StageQR, malformed: CodeMalformedCallback, longest: maxQRCallback,
		maxAge: maxQRAge, required: []string{"iss", "aud", "exp", "iat"},
	}
}

// VerifyQRCallback judges the body of a QR callback: a compact JWS of at most 8 KiB, signed by the provider with RS256 or ES256, for us,
// not expired and at most five minutes old. Anyone can send one, so its error is the rule; it matches ErrUnavailable when the provider's
// keys could not be had, and ErrStale for one that is right but old. However many unknown keys callbacks name, the provider's keys are fetched
// at most every 30 seconds for them.
//
// It doesn't notice one that comes twice: the caller must, by Digest and by AuthReqID. With partner keys the callback must name our merchant
// in msn, which Vipps has never documented of one.
func (c *Client) VerifyQRCallback(ctx context.Context, jws string) (*QRCallback, error) {
	what := c.qrCallbacks()
	if err := c.checkHeader(what, jws); err != nil {
		return nil, err
	}
	payload, err := c.keys.verify(ctx, what, jws)
	if err != nil {
		return nil, err
	}
	return c.checkQRPayload(payload, sha256.Sum256([]byte(jws)))
}

// checkQRPayload judges the payload of a callback whose signature is right.
func (c *Client) checkQRPayload(payload []byte, digest [sha256.Size]byte) (*QRCallback, error) {
	what := c.qrCallbacks()
	o, err := decodeObject(payload)
	if err != nil {
		return nil, c.fail(what.stage, what.malformed, err.Error())
	}
	t, err := c.checkIssued(what, o)
	if err != nil && !errors.Is(err, ErrStale) {
		return nil, err
	}
	// The provider signs other texts with these keys: whoever logs in at us has ID tokens, and some of those hold an auth_req_id.
	for _, name := range []string{"sub", "nonce", "at_hash", "auth_time", "acr", "qr_id", "events"} {
		if _, ok := o[name]; ok {
			return nil, c.fail(what.stage, CodeWrongKind, name+" is not for a callback")
		}
	}
	id, _ := o.text("auth_req_id")
	if !usableAuthReqID(id) {
		return nil, c.fail(what.stage, CodeWrongKind, "no usable auth_req_id")
	}
	if err != nil { // right, but old
		return nil, err
	}
	return &QRCallback{AuthReqID: id, IssuedAt: t.issuedAt, ExpiresAt: t.expiry, Digest: digest}, nil
}

// FinishQRLogin redeems a QR callback, once, and returns who logged in, as FinishLogin does. qr_id says which code was scanned, and
// qr_description what it is called: both are in Login.User.Claims, as strings, and come from the ID token only, which must have qr_id.
//
// The callback must be marked as used by the caller, before the call.
func (c *Client) FinishQRLogin(ctx context.Context, cb *QRCallback) (*Login, error) {
	if cb == nil || !usableAuthReqID(cb.AuthReqID) {
		return nil, c.fail(StageQR, CodeMalformedCallback, "no usable callback")
	}
	form := url.Values{"grant_type": {grantQR}, "auth_req_id": {cb.AuthReqID}}
	return c.finishQR(ctx, form, cb.AuthReqID)
}

// FinishQRRedirect judges the query of the callback in which the redirect variant of a QR login ends, redeems the code, once, and
// returns who logged in, as FinishQRLogin does.
//
// That callback has no state, by Vipps' design: anybody can make any browser open it, with a code of their own. So it must have a path
// of its own, and before a session exists the person must be asked whether it is them. One that has a state belongs to another
// login, and is refused.
func (c *Client) FinishQRRedirect(ctx context.Context, query url.Values) (*Login, error) {
	cb, err := ParseCallback(query)
	var e *Error
	switch {
	case err == nil:
		return nil, c.fail(StageQR, CodeInvalidCallback, "it has a state, and so belongs to another login")
	case errors.As(err, &e) && e.Code != CodeMissingState:
		return nil, err
	}
	md, err := c.metadata.get(ctx)
	if err != nil {
		return nil, err
	}
	if err := cb.checkIssuer(c, md); err != nil {
		return nil, err
	}
	if err := cb.checkCode(c); err != nil {
		return nil, err
	}
	return c.finishQR(ctx, url.Values{"grant_type": {grantQRRedirect}, "code": {cb.Code}}, "", cb.Code)
}

// finishQR makes the exchange, and a login of what it brings.
func (c *Client) finishQR(ctx context.Context, form url.Values, authReqID string, secrets ...string) (*Login, error) {
	md, err := c.metadata.get(ctx)
	if err != nil {
		return nil, err
	}
	got, err := c.grant(ctx, md, form, append(secrets, authReqID)...)
	if err != nil {
		return nil, err
	}
	var t *idToken
	login, err := c.finish(ctx, md, got, func(token *idToken) error {
		t = token
		return c.checkQRToken(token, authReqID, got.accessToken)
	})
	if err != nil {
		return nil, err
	}
	for _, name := range qrClaims() { // mergeClaims has left them out, wherever they came from
		if text, _ := t.claims.text(name); text != "" && len(text) <= maxQRText {
			login.User.Claims[name] = t.claims[name]
		}
	}
	return login, nil
}

// qrClaims are those of an ID token that say which code was scanned.
func qrClaims() []string { return []string{"qr_id", "qr_description"} }

// checkQRToken checks what ties an ID token to a QR login: the code's name, and, where they are there, auth_req_id and at_hash. There was
// no nonce, and nothing to ask for an acr with.
func (c *Client) checkQRToken(t *idToken, authReqID, accessToken string) error {
	if id, _ := t.claims.text("qr_id"); id == "" || len(id) > maxQRText || !isPrintable(id) {
		return c.fail(StageIDToken, CodeMissingClaim, "qr_id is missing")
	}
	if t.nonce != "" {
		return c.fail(StageIDToken, CodeNonce, "there was none")
	}
	switch id, err := c.authReqID(t); {
	case err != nil:
		return err
	case id != "" && !equal(id, authReqID):
		return c.fail(StageIDToken, CodeAuthReqID, "the ID token is of another login")
	}
	if t.claims.has("at_hash") && !equal(t.accessTokenHash, accessTokenHash(accessToken)) {
		return c.fail(StageIDToken, CodeAccessTokenHash, "")
	}
	if want := c.cfg.ACRValues; want != "" && !slices.Contains(strings.Fields(want), t.acr) {
		return c.fail(StageIDToken, CodeACR, "")
	}
	return nil
}
