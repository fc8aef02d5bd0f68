package vipps

import (
	"net/http"
	"net/url"
	"time"
)

// What external tests need to see of the insides.

// DecodeUser reads a userinfo body as FinishLogin does, without an ID token.
func DecodeUser(body []byte) (User, error) {
	o, err := decodeObject(body)
	if err != nil {
		return User{}, err
	}
	return newUser(o.string("sub"), mergeClaims(nil, o)), nil
}

// MergeUser reads an ID token's payload and a userinfo body.
func MergeUser(token, userinfo []byte) (User, error) {
	t, err := decodeObject(token)
	if err != nil {
		return User{}, err
	}
	u, err := decodeObject(userinfo)
	if err != nil {
		return User{}, err
	}
	return newUser(t.string("sub"), mergeClaims(t, u)), nil
}

// CountKeys returns how many keys of a JWK Set are usable.
func CountKeys(body []byte) (int, error) {
	keys, err := parseKeys(body)
	return len(keys), err
}

// ParseMetadata judges a discovery document.
func (c *Client) ParseMetadata(body []byte) error {
	_, err := c.parseMetadata(body)
	return err
}

// CheckHeader judges the form and the header of an ID token.
func (c *Client) CheckHeader(raw string) error { return c.checkHeader(c.idTokens(), raw) }

// CheckPayload judges the payload of an ID token whose signature is right.
func (c *Client) CheckPayload(payload []byte) error {
	o, err := decodeObject(payload)
	if err != nil {
		return err
	}
	_, err = c.checkClaims(o)
	return err
}

// Freshness reads Cache-Control and Age.
func Freshness(h http.Header) time.Duration { return freshness(h) }

// Backoff returns the wait after so many failures in a row.
func Backoff(failures int) time.Duration { return backoff(failures) }

// CleanText makes a provider's words fit for a log.
func CleanText(s string, secrets ...string) string { return cleanText(s, secrets...) }

// Equal compares two secrets.
func Equal(a, b string) bool { return equal(a, b) }

// CheckQRHeader judges the form and the header of a QR callback.
func (c *Client) CheckQRHeader(raw string) error { return c.checkHeader(c.qrCallbacks(), raw) }

// CheckQRPayload judges the payload of a QR callback whose signature is right.
func (c *Client) CheckQRPayload(payload []byte) (*QRCallback, error) {
	return c.checkQRPayload(payload, [32]byte{})
}

// Acknowledge reads the answer to the start of a merchant-initiated login, as StartMerchantLogin does.
func (c *Client) Acknowledge(started time.Time, body []byte) (*PendingMerchantLogin, error) {
	p := &PendingMerchantLogin{Started: started}
	return p, c.acknowledge(p, body, nil)
}

// Form returns what is sent for a request.
func (r MerchantLoginRequest) Form() (url.Values, error) {
	p := &PendingMerchantLogin{Nonce: NewStateID(), State: NewStateID(), BindingMessage: r.BindingMessage}
	return r.form([]string{ScopeOpenID}, p)
}
