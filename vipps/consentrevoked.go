package vipps

import (
	"encoding/base64"
	"errors"
	"strings"
	"time"
)

const (
	maxConsentRevoked = 8 << 10
	eventRevoked      = "CONSENT_REVOKED"
)

// ConsentRevoked says that a person has withdrawn the consent to share claims with the merchant. Nobody has signed it: it
// may be anybody's invention, and must never be a reason to let somebody in, or to tell anything.
type ConsentRevoked struct {
	// Sub is the person's.
	Sub string
	// IssuedAt is when that is said to have been, and may lie in the future.
	IssuedAt time.Time
	// ExpiresAt is when the message is said to end; zero when it doesn't say.
	ExpiresAt time.Time
}

// ParseConsentRevoked reads the body of a consent-revoked webhook: a JWT with alg none and no signature, in two parts, with or
// without the dot at its end that RFC 7519 §6.1 wants. It shares nothing with what verifies tokens, and takes nothing
// that claims to be signed. Times are not judged. Its error
// matches [ErrOtherEvent] for another event.
//
// That is what Vipps documented in 2023. Its newer documents speak of "specific authentication requirements" without saying which, so a
// receiver needs a guard of its own, such as an address that nobody can guess.
//
// See https://developer.vippsmobilepay.com/docs/APIs/login-api/api-guide/webhooks/.
func ParseConsentRevoked(body []byte) (ConsentRevoked, error) {
	var c ConsentRevoked
	if len(body) > maxConsentRevoked {
		return c, errors.New("vipps: a consent-revoked webhook that is too long")
	}
	header, rest, _ := strings.Cut(strings.TrimRight(string(body), "\r\n"), ".")
	payload, signature, _ := strings.Cut(rest, ".")
	if signature != "" {
		return c, errors.New("vipps: a consent-revoked webhook that is not an unsigned token")
	}
	h, _ := decodePart(header) // what can't be read has no alg
	if alg, _ := h.text("alg"); alg != "none" || h.has("crit") {
		return c, errors.New("vipps: a consent-revoked webhook that is not an unsigned token")
	}
	o, err := decodePart(payload)
	if err != nil {
		return c, err
	}
	if event, _ := o.text("event"); event != eventRevoked {
		return c, ErrOtherEvent
	}
	var issued bool
	if c.IssuedAt, issued, _ = o.instant("iat"); !issued {
		return ConsentRevoked{}, errors.New("vipps: a consent-revoked webhook without a usable iat")
	}
	if c.ExpiresAt, _, err = o.instant("exp"); err != nil {
		return ConsentRevoked{}, errors.New("vipps: a consent-revoked webhook without a usable exp")
	}
	if c.Sub, _ = o.text("sub"); !usableSubject(c.Sub) {
		return ConsentRevoked{}, errors.New("vipps: a consent-revoked webhook without a usable sub")
	}
	return c, nil
}

func decodePart(part string) (object, error) {
	if strings.ContainsAny(part, "\r\n") { // the decoder would leave them out
		return nil, errors.New("vipps: a consent-revoked webhook that is not base64url")
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return nil, errors.New("vipps: a consent-revoked webhook that is not base64url")
	}
	o, err := decodeObject(b)
	if err != nil {
		return nil, errors.New("vipps: a consent-revoked webhook that holds no JSON object")
	}
	return o, nil
}
