package vipps

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// Where Vipps MobilePay has what its metadata has left out for years.
const (
	issuerPath      = "/access-management-1.0/access/"
	backchannelPath = "/vipps-login-ciba/api/backchannel/authentication"
	userExistsPath  = "/vipps-login-ciba/api/v1/user-exists"
)

// vippsOrigin returns the origin of an issuer that is laid out as those of Vipps MobilePay, and false for any other.
func vippsOrigin(issuer string) (string, bool) {
	u, err := url.Parse(issuer)
	if err != nil || u.EscapedPath() != issuerPath {
		return "", false
	}
	return u.Scheme + "://" + u.Host, true
}

// backchannelURL returns where merchant-initiated logins begin.
func (c *Client) backchannelURL(md *metadata) (string, error) {
	if md.backchannelURL == "" {
		if origin, ok := vippsOrigin(c.cfg.Issuer); ok {
			return origin + backchannelPath, nil
		}
		return "", c.fail(StageBackchannel, CodeNoEndpoint, "the provider's metadata has no backchannel_authentication_endpoint")
	}
	if err := checkEndpoint(md.backchannelURL, strings.HasPrefix(c.cfg.Issuer, "http://")); err != nil {
		return "", c.fail(StageBackchannel, CodeInvalidMetadata, "backchannel_authentication_endpoint "+err.Error())
	}
	return md.backchannelURL, nil
}

// UserExists says whether somebody with this phone number could log in with Vipps MobilePay. Other providers have no such
// endpoint. Its errors are as those of StartMerchantLogin, but that of somebody who can't is no error: how Vipps says no isn't documented, so
// an answer that matches ErrNotEligible counts as one too.
//
// The answer is personal data: whoever may ask freely finds out which numbers are known.
func (c *Client) UserExists(ctx context.Context, phone string) (bool, error) {
	msisdn, err := merchantPhone(phone)
	if err != nil {
		return false, err
	}
	origin, ok := vippsOrigin(c.cfg.Issuer)
	if !ok {
		return false, c.fail(StageUserExists, CodeNoEndpoint, "only Vipps MobilePay answers this")
	}
	r := MerchantLoginRequest{Phone: phone}
	form := url.Values{"login_hint": {"urn:msisdn:" + msisdn}}
	a, err := c.post(ctx, StageUserExists, origin+userExistsPath, form, r.secrets(form)...)
	if errors.Is(err, ErrNotEligible) {
		return false, nil // how Vipps says no is not documented; this says it too
	}
	if err != nil {
		return false, err
	}
	o, err := decodeObject(a.body)
	if err != nil {
		return false, c.fail(StageUserExists, CodeInvalidResponse, err.Error())
	}
	switch string(o["exists"]) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, c.fail(StageUserExists, CodeInvalidResponse, "exists is neither true nor false")
}

// backchannelCauses are those of a merchant-initiated login that did not begin, or came back wrong; nil elsewhere.
func (e *Error) backchannelCauses() []string {
	switch {
	case e.Code == CodeAuthReqID:
		return []string{"A code came for a login that nobody waits for here: it was finished, given up or forgotten by a restart, another instance began it, or somebody tries another person's link."}
	case e.Stage != StageBackchannel && e.Stage != StageUserExists:
	case e.Code == CodeNoEndpoint:
		return []string{"The provider has no merchant-initiated login (CIBA), or does not announce it: its metadata needs backchannel_authentication_endpoint. Only Vipps MobilePay says whether a user exists."}
	case e.Code == "invalid_request":
		return []string{
			"The phone number was not taken, though it is well-formed: an older agreement may want it in the old form, with eight digits.",
			"For a login that ends in a browser, the redirect URI is not registered for this sales unit and environment: it must be in the portal byte for byte.",
		}
	case e.Code == "invalid_scope":
		return []string{"A scope is not available to this sales unit here: compare with the portal. The old scope nnin is not for merchant-initiated logins, which have nin."}
	case e.Code == "unauthorized_client", e.Code == "access_denied", e.Status == http.StatusForbidden:
		return []string{"The sales unit may not use merchant-initiated login: ask Vipps MobilePay. It is for shops, telephones and devices, and can be withdrawn."}
	case e.Status == http.StatusTooManyRequests:
		return []string{"Too many logins for this person in a short time: wait before the next."}
	case e.Status == http.StatusNotFound:
		return []string{"There is no merchant-initiated login at this provider: check issuer."}
	}
	return nil
}
