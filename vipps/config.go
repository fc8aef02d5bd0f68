package vipps

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// ConfigError says what is wrong with one setting, and how to mend it. It
// never holds the value.
type ConfigError struct {
	// Setting is the name of the setting, such as client_id or scopes.
	Setting string
	// Reason says what is wrong and what would be right.
	Reason string
}

// Error returns the setting and the reason.
func (e *ConfigError) Error() string { return e.Setting + ": " + e.Reason }

// Config says which provider to log in with, and as whom. Issuer, ClientID
// and ClientSecret are required.
type Config struct {
	// Issuer is the provider's issuer, compared byte for byte: a slash at its
	// end counts. See Environment.Issuer for those of Vipps MobilePay. It must
	// be https, or http on loopback.
	Issuer string

	// ClientID is the client_id of the sales unit, or, with ClientAuthPartner,
	// that of the partner.
	ClientID string

	// ClientSecret is the client_secret that belongs to it.
	ClientSecret Secret

	// ClientAuth says how the two are sent to the token endpoint. It must
	// equal what the portal says for the sales unit. Default: ClientAuthBasic.
	ClientAuth ClientAuth

	// MerchantSerialNumber is the MSN of the sales unit, 4 to 10 digits. It is
	// sent with every call in which the client shows who it is (not to userinfo),
	// and required with ClientAuthPartner, which logs people in for it. Default:
	// not sent.
	MerchantSerialNumber string

	// SubscriptionKey is the Ocp-Apim-Subscription-Key of the sales unit. It is
	// needed for webhooks and with partner keys, and sent nowhere else unless
	// UserinfoSubscriptionKey says so. Default: none.
	SubscriptionKey Secret

	// UserinfoSubscriptionKey sends SubscriptionKey to the userinfo endpoint too.
	// Older documents of Vipps MobilePay demand it there, and newer ones say
	// that it is refused. Default: it isn't sent.
	UserinfoSubscriptionKey bool

	// Scopes are asked for in each login; openid is added when missing. Default: openid.
	Scopes []string

	// Market is NO, DK, FI or SE and picks the look of the hosted pages. Default: not sent.
	Market string

	// ACRValues are authentication context classes, separated by spaces, best
	// first. When set, they are asked for in each login in a browser, and the ID
	// token's acr must be one of them, in a QR login too. Vipps documents one,
	// urn:vipps:acr:app_auth: confirmed in the app; it is part of the advanced
	// plan. Default: not sent, and acr is not checked.
	ACRValues string

	// SystemName and SystemVersion are sent as Vipps-System-Name and
	// Vipps-System-Version with every call, at most 30 characters each.
	// Default: vippsauth and dev.
	SystemName, SystemVersion string

	// HTTPClient carries the calls to the provider. It is copied, its cookie
	// jar dropped, and no redirect is followed. Each call ends after ten seconds whatever
	// its own Timeout is. Default: a client that gives connecting 2 s, the TLS
	// handshake 3 s and the answer's headers 5 s, needs TLS 1.2, and honours
	// HTTPS_PROXY and NO_PROXY.
	HTTPClient *http.Client

	// Now is the clock. Default: time.Now.
	Now func() time.Time

	// Leeway is how far the provider's clock and ours may differ, in either
	// direction, when exp, nbf and iat are checked. Default: 60 s.
	Leeway time.Duration

	// MaxTokenAge is how long ago an ID token may have been issued when it
	// arrives. Default: 10 minutes.
	MaxTokenAge time.Duration
}

// withDefaults returns a copy that shares nothing with c.
func (c Config) withDefaults() Config {
	if c.ClientAuth == "" {
		c.ClientAuth = ClientAuthBasic
	}
	scopes := []string{ScopeOpenID}
	for _, s := range c.Scopes {
		if !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	c.Scopes = scopes
	if c.SystemName == "" {
		c.SystemName = "vippsauth"
	}
	if c.SystemVersion == "" {
		c.SystemVersion = "dev"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Leeway == 0 {
		c.Leeway = 60 * time.Second
	}
	if c.MaxTokenAge == 0 {
		c.MaxTokenAge = 10 * time.Minute
	}
	return c
}

// validate returns every fault at once, each a *ConfigError.
func (c Config) validate() error {
	var errs []error
	bad := func(setting, reason string) {
		errs = append(errs, &ConfigError{Setting: setting, Reason: reason})
	}
	if c.Issuer == "" {
		bad("issuer", "is missing: give the provider's issuer")
	} else if err := checkIssuer(c.Issuer); err != nil {
		bad("issuer", err.Error())
	}
	if reason := credentialFault(c.ClientID); reason != "" {
		bad("client_id", reason)
	}
	if reason := credentialFault(c.ClientSecret.Reveal()); reason != "" {
		bad("client_secret", reason)
	}
	if !slices.Contains([]ClientAuth{ClientAuthBasic, ClientAuthBasicRaw, ClientAuthPost, ClientAuthPartner}, c.ClientAuth) {
		bad("client_auth", mustBeClientAuth)
	}
	c.checkMerchant(bad)
	for _, s := range c.Scopes {
		if !isScopeToken(s) {
			bad("scopes", "holds an entry that is not a scope: give one scope an entry, without spaces, quotes or backslashes")
			break
		}
	}
	if !slices.Contains([]string{"", "NO", "DK", "FI", "SE"}, c.Market) {
		bad("market", "must be NO, DK, FI or SE")
	}
	if !isPrintable(c.ACRValues) || len(c.ACRValues) > maxACRValues {
		bad("acr_values", "must be printable ASCII, at most 512 characters")
	}
	if !isPrintable(c.SystemName) || len(c.SystemName) > 30 {
		bad("system_name", "must be printable ASCII, at most 30 characters")
	}
	if !isPrintable(c.SystemVersion) || len(c.SystemVersion) > 30 {
		bad("system_version", "must be printable ASCII, at most 30 characters")
	}
	if c.Leeway < 0 || c.Leeway > 5*time.Minute {
		bad("leeway", "must be between 0 and 5 minutes")
	}
	if c.MaxTokenAge < 0 || c.MaxTokenAge > 24*time.Hour {
		bad("max_token_age", "must be between 0 and 24 hours")
	}
	return errors.Join(errs...)
}

func (c Config) checkMerchant(bad func(setting, reason string)) {
	msn := c.MerchantSerialNumber
	if msn != "" && (len(msn) < 4 || len(msn) > 10 || strings.Trim(msn, "0123456789") != "") {
		bad("msn", "must be the merchant serial number of the sales unit: 4 to 10 digits")
	}
	partner := c.ClientAuth == ClientAuthPartner
	if msn == "" && partner {
		bad("msn", "is missing: client_auth partner needs the merchant serial number of the sales unit to log people in for")
	}
	if key := c.SubscriptionKey.Reveal(); key != "" || partner || c.UserinfoSubscriptionKey {
		if reason := credentialFault(key); reason != "" {
			bad("subscription_key", reason)
		}
	}
}

// maxACRValues bounds acr_values, in characters.
const maxACRValues = 512

func credentialFault(s string) string {
	switch {
	case s == "":
		return "is missing: copy it from the portal, portal.vippsmobilepay.com"
	case s != strings.TrimSpace(s):
		return "begins or ends with white space: copy it again without it"
	case !isPrintable(s) || len(s) > 1024:
		return "must be printable ASCII, at most 1024 characters"
	}
	return ""
}

// isPrintable says whether s has only the characters from space to tilde.
func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// isScopeToken follows the grammar of RFC 6749 §3.3.
func isScopeToken(s string) bool {
	return s != "" && isPrintable(s) && !strings.ContainsAny(s, ` "\`)
}
