package vipps

import (
	"crypto/rand"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MerchantLoginRequest says whom to ask for a login, and how. Exactly one of Phone and CustomerToken is required.
type MerchantLoginRequest struct {
	// Phone is the person's number with its country code, in any usual spelling, such as 4712345678 or "+47 12 34 56 78":
	// of Norway, Denmark, Sweden, Finland or Greenland. Vipps documents Norwegian numbers only.
	Phone string
	// CustomerToken is what a customer's QR code in the app gave a till (the token of Vipps' QR API, event user.checked-in.v1).
	CustomerToken string
	// LegacyHint sends the number as older agreements want it, without its country code. For Norwegian numbers only.
	LegacyHint bool
	// Scopes are asked for; openid is added when missing. The old scope nnin is refused here by Vipps. Default: Config.Scopes.
	Scopes []string
	// BindingMessage is shown in the app and to be shown or read to the person, so that both know that it is the same
	// login: five to eight of A-Z, 0-9 and "-". Default: NewBindingMessage.
	BindingMessage string
	// Expiry is how long the person has to answer: whole seconds, one to fifteen minutes. Default: the provider's, ten
	// minutes or so.
	Expiry time.Duration
	// RedirectURI, when set, lets the login end in the browser of the person's telephone, at this address
	// (requested_flow=login_to_webpage, Vipps MobilePay only): then FinishMerchantLogin takes the place of the polls.
	// Default: it ends in the app.
	RedirectURI string
}

const (
	minExpiry = time.Minute
	maxExpiry = 15 * time.Minute

	maxCustomerToken = 2 << 10
)

// form checks every field and returns what is sent. The phone number goes nowhere else.
func (r MerchantLoginRequest) form(defaultScopes []string, p *PendingMerchantLogin) (url.Values, error) {
	hint, err := r.loginHint()
	if err != nil {
		return nil, err
	}
	scopes, err := merchantScopes(r.Scopes, defaultScopes)
	if err != nil {
		return nil, err
	}
	if n := len(p.BindingMessage); n < 5 || n > 8 || strings.ContainsFunc(p.BindingMessage, notInBindingMessage) {
		return nil, &ConfigError{Setting: "binding_message", Reason: "must be 5 to 8 capital letters, digits or hyphens"}
	}
	form := url.Values{
		"login_hint": {hint}, "scope": {strings.Join(scopes, " ")}, "binding_message": {p.BindingMessage},
		"nonce": {p.Nonce}, "state": {p.State},
	}
	if r.Expiry != 0 {
		if r.Expiry%time.Second != 0 || r.Expiry < minExpiry || r.Expiry > maxExpiry {
			return nil, &ConfigError{Setting: "expiry", Reason: "must be whole seconds, 60 to 900 of them"}
		}
		form.Set("requested_expiry", strconv.Itoa(int(r.Expiry/time.Second)))
	}
	if r.RedirectURI != "" {
		if err := checkRedirectURI(r.RedirectURI); err != nil {
			return nil, err
		}
		form.Set("requested_flow", "login_to_webpage")
		form.Set("redirect_uri", r.RedirectURI)
	}
	return form, nil
}

// loginHint says who is to log in. It holds nothing but digits, or what a token is made of, behind the fixed part.
func (r MerchantLoginRequest) loginHint() (string, error) {
	switch {
	case r.Phone != "" && r.CustomerToken != "":
		return "", &ConfigError{Setting: "phone", Reason: "must not stand beside customer_token: give one of them"}
	case r.Phone == "" && r.CustomerToken == "":
		return "", &ConfigError{Setting: "phone", Reason: "is missing: give a phone number, or customer_token"}
	case r.CustomerToken != "" && r.LegacyHint:
		return "", &ConfigError{Setting: "customer_token", Reason: "cannot be sent in the old form, which has phone numbers only"}
	case r.CustomerToken != "":
		if len(r.CustomerToken) > maxCustomerToken || strings.ContainsFunc(r.CustomerToken, notInToken) {
			return "", &ConfigError{Setting: "customer_token", Reason: `may hold letters, digits and "._~+/:=-" only, 2048 at most`}
		}
		return "urn:customer-token:" + r.CustomerToken, nil
	}
	msisdn, err := merchantPhone(r.Phone)
	if err != nil || !r.LegacyHint {
		return "urn:msisdn:" + msisdn, err
	}
	national, ok := strings.CutPrefix(msisdn, "47")
	if !ok {
		return "", &ConfigError{Setting: "phone", Reason: "must be Norwegian: the old form has no country code"}
	}
	return "urn:mobilenumber:" + national, nil
}

func notInBindingMessage(r rune) bool {
	return (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-'
}

func notInToken(r rune) bool {
	return r > '~' || !isAlphanumeric(byte(r)) && !strings.ContainsRune("._~+/:=-", r) //nolint:gosec // G115: r <= 0x7e
}

func merchantScopes(scopes, otherwise []string) ([]string, error) {
	if len(scopes) == 0 {
		scopes = otherwise
	}
	out := []string{ScopeOpenID}
	for _, s := range scopes {
		if !isScopeToken(s) || len(s) > 128 {
			return nil, &ConfigError{Setting: "scopes", Reason: "holds an entry that is not a scope: give one scope an entry, without spaces, quotes or backslashes"}
		}
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out, nil
}

// secrets are what must not be in an error, however a provider quotes it. Numbers never are: cleanText knows their looks.
func (r MerchantLoginRequest) secrets(form url.Values) []string {
	return []string{form.Get("login_hint"), r.Phone, r.CustomerToken, form.Get("nonce"), form.Get("state")}
}

// bindingAlphabet has no two characters that look alike on a screen or sound alike on the telephone, in Norwegian or in
// English, and no vowels that make words.
const bindingAlphabet = "23479FKMQRTWXY"

// NewBindingMessage returns a fresh code to be shown to, or read to, a person, such as 4MK-3QR.
func NewBindingMessage() string {
	const n = byte(len(bindingAlphabet))
	out := make([]byte, 0, 7)
	for len(out) < 7 {
		if len(out) == 3 {
			out = append(out, '-')
		}
		var b [1]byte
		_, _ = rand.Read(b[:]) // never fails: the program would end
		if b[0] < 255/n*n {    // the rest would favour some of them
			out = append(out, bindingAlphabet[b[0]%n])
		}
	}
	return string(out)
}
