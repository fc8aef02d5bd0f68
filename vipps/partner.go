package vipps

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// Partner keys: client_id, client_secret and subscription key are those of a partner of Vipps MobilePay, who logs people in for
// merchants of theirs. Each login is for the merchant of Config.MerchantSerialNumber, and so is its sub.
//
// See https://developer.vippsmobilepay.com/docs/APIs/login-api/api-guide/partner-keys/. They work in production only.

// CodeMerchant says that msn is missing in an ID token, or that it names another merchant. It is checked with partner keys only.
const CodeMerchant = "msn_mismatch"

const (
	headerMSN             = "Merchant-Serial-Number"
	headerSubscriptionKey = "Ocp-Apim-Subscription-Key"
)

func (c *Client) isPartner() bool { return c.cfg.ClientAuth == ClientAuthPartner }

// Party says as whom people are logged in: it is the client_id, and with partner keys one that holds the merchant's serial number as
// well. Whatever is kept of a login or of a person belongs to issuer and party, since two merchants of one partner get different
// subs for the same person. It is no client_id to send anywhere.
func (c *Client) Party() string {
	if !c.isPartner() {
		return c.cfg.ClientID
	}
	return c.cfg.ClientID + "\tmsn " + c.cfg.MerchantSerialNumber // no client_id holds a tab
}

// forMerchant puts msn in the place of client_id, which Vipps fills in by a redirect to the same address.
func (c *Client) forMerchant(authorizeURL string) string {
	u, err := url.Parse(authorizeURL)
	if err != nil {
		return "" // can't be: parseMetadata has looked at it
	}
	q := u.Query()
	q.Del("client_id")
	q.Set("msn", c.cfg.MerchantSerialNumber)
	u.RawQuery = q.Encode()
	return u.String()
}

// authenticatePartner sends the partner's own token.
func (c *Client) authenticatePartner(ctx context.Context, header http.Header) error {
	token, err := c.apiToken(ctx)
	if err != nil {
		return err
	}
	header.Set("Authorization", "Bearer "+token)
	return nil
}

// refusedPartner forgets a token that was refused, for the next request. This one is not made again: what it redeems may be gone.
func (c *Client) refusedPartner(err error, header http.Header) {
	var e *Error
	token, ok := strings.CutPrefix(header.Get("Authorization"), "Bearer ")
	if ok && errors.As(err, &e) && e.Status == http.StatusUnauthorized {
		c.dropAPIToken(token)
	}
}
