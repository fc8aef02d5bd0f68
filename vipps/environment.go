package vipps

import (
	"errors"
	"net"
	"net/url"
	"strings"
)

// Environment names one of the two installations of Vipps MobilePay. The zero
// value is none of them.
type Environment string

const (
	// Production is where real people log in.
	Production Environment = "production"
	// Test is the merchant test environment ("MT"), with test users and its own app.
	Test Environment = "test"
)

const (
	productionIssuer = "https://api.vipps.no/access-management-1.0/access/"
	testIssuer       = "https://apitest.vipps.no/access-management-1.0/access/"
)

// Issuer returns the issuer of the environment, and false for an unknown one. The slash
// at its end is part of it.
// See https://developer.vippsmobilepay.com/docs/APIs/login-api/api-guide/browser-flow-integration/.
func (e Environment) Issuer() (string, bool) {
	switch e {
	case Production:
		return productionIssuer, true
	case Test:
		return testIssuer, true
	}
	return "", false
}

// ClientAuth says how a client proves who it is at the token endpoint. The zero value
// means ClientAuthBasic. It is never detected: a code can be redeemed once, so there is no second try.
type ClientAuth string

const (
	// ClientAuthBasic sends id and secret in the Authorization header, each
	// form-encoded first, as RFC 6749 §2.3.1 demands (client_secret_basic).
	// Vipps' samples don't encode, and its token endpoint is known to take both.
	// Whether that of merchant-initiated logins does isn't documented: if it
	// answers invalid_client to a secret with "=" in it, try ClientAuthBasicRaw.
	ClientAuthBasic ClientAuth = "basic"
	// ClientAuthBasicRaw sends them in the Authorization header as they are,
	// for servers that do not decode them. It differs from ClientAuthBasic only
	// where id or secret have characters other than letters, digits and "-._~".
	ClientAuthBasicRaw ClientAuth = "basic-raw"
	// ClientAuthPost sends them as fields of the form (client_secret_post).
	ClientAuthPost ClientAuth = "post"
	// ClientAuthPartner is for partner keys: a token of the Access Token API in the Authorization header, and the merchant's serial
	// number beside it. It needs Config.MerchantSerialNumber and Config.SubscriptionKey.
	ClientAuthPartner ClientAuth = "partner"
)

const mustBeClientAuth = "must be basic, basic-raw, post or partner"

// ParseClientAuth reads basic, basic-raw, post or partner, or the OpenID names
// client_secret_basic and client_secret_post.
func ParseClientAuth(s string) (ClientAuth, error) {
	switch s {
	case "basic", "client_secret_basic":
		return ClientAuthBasic, nil
	case "basic-raw":
		return ClientAuthBasicRaw, nil
	case "post", "client_secret_post":
		return ClientAuthPost, nil
	case "partner":
		return ClientAuthPartner, nil
	}
	return "", &ConfigError{Setting: "client_auth", Reason: mustBeClientAuth}
}

// checkIssuer returns an error that does not repeat the value.
func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return errors.New("must be an absolute https URL")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(issuer, "#"):
		return errors.New("must have neither query nor fragment")
	case u.User != nil:
		return errors.New("must not hold a user name or a password")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	case u.Scheme == "http":
		return errors.New("must be https; http is for loopback only")
	}
	return errors.New("must be an absolute https URL")
}

// checkEndpoint judges a URL out of the provider's metadata.
func checkEndpoint(endpoint string, issuerIsHTTP bool) error {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return errors.New("is not an absolute URL")
	case u.User != nil || strings.Contains(endpoint, "#"):
		return errors.New("holds a user name or a fragment")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && issuerIsHTTP && isLoopback(u.Hostname()):
		return nil
	}
	return errors.New("is not https")
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
