package vipps

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The stages of what a merchant does, as opposed to a login.
const (
	StageAccessToken Stage = "access_token" // the merchant's own token, for the Webhooks API and partner keys
	StageWebhooks    Stage = "webhooks"     // the Webhooks API
)

const (
	accessTokenPath = "/accesstoken/get"

	// defaultTokenLife is assumed of a token that comes without its end.
	defaultTokenLife = 5 * time.Minute
	maxTokenLife     = 24 * time.Hour
)

// accessToken is a bearer token of the merchant, not of a person.
type accessToken struct {
	text string
	ends time.Time
}

// apiOrigin is where the provider's other APIs are: at the issuer's host.
func (c *Client) apiOrigin() string {
	u, err := url.Parse(c.cfg.Issuer)
	if err != nil {
		return "" // can't be: New has looked at it
	}
	return u.Scheme + "://" + u.Host
}

// apiToken returns the merchant's bearer token for Vipps' APIs. It is fetched when one is needed, by one caller for all,
// and used until shortly before its end: an hour in the test environment, a day in production.
//
// See https://developer.vippsmobilepay.com/docs/APIs/access-token-api/.
func (c *Client) apiToken(ctx context.Context) (string, error) {
	if c.cfg.SubscriptionKey == "" {
		return "", &ConfigError{Setting: "subscription_key", Reason: "is missing: copy it from the portal, portal.vippsmobilepay.com, where it stands beside the client secret"}
	}
	t, err := c.access.get(ctx)
	if err != nil {
		return "", err
	}
	if !c.cfg.Now().Before(t.ends) { // what could be renewed no more, and is of no use
		if err := c.access.lastError(); err != nil {
			return "", err
		}
		return "", c.fail(StageAccessToken, CodeTimeout, "the token has ended, and its renewal takes too long")
	}
	return t.text, nil
}

// dropAPIToken makes the next call fetch another token: this one was refused.
func (c *Client) dropAPIToken(text string) {
	if t, serial := c.access.snapshot(); equal(t.text, text) {
		c.access.expire(serial)
	}
}

func (c *Client) fetchAccessToken(ctx context.Context) (accessToken, time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.apiOrigin()+accessTokenPath, http.NoBody)
	if err != nil {
		return accessToken{}, 0, c.fail(StageAccessToken, CodeInvalidMetadata, "the issuer makes no URL")
	}
	secret := c.cfg.ClientSecret.Reveal()
	req.Header["client_id"] = []string{c.cfg.ClientID} // as documented; Set would write Client_id
	req.Header["client_secret"] = []string{secret}
	c.setMerchant(req)
	a, err := c.do(ctx, StageAccessToken, req, secret, c.cfg.SubscriptionKey.Reveal())
	if err != nil {
		return accessToken{}, 0, err
	}
	t, life, err := c.parseAccessToken(a.body)
	if err != nil {
		return accessToken{}, 0, err
	}
	// Renewed a tenth of its life before its end, five minutes at most, so that no call is under way when it ends.
	return t, life - min(life/10, 5*time.Minute), nil
}

// setMerchant says for which sales unit a call is made, to the gateway in front of the APIs and to them.
func (c *Client) setMerchant(req *http.Request) {
	req.Header.Set(headerSubscriptionKey, c.cfg.SubscriptionKey.Reveal())
	if c.cfg.MerchantSerialNumber != "" {
		req.Header.Set(headerMSN, c.cfg.MerchantSerialNumber)
	}
}

func (c *Client) parseAccessToken(body []byte) (t accessToken, life time.Duration, err error) {
	o, err := decodeObject(body)
	if err != nil {
		return t, 0, c.fail(StageAccessToken, CodeInvalidResponse, err.Error())
	}
	t.text, _ = o.text("access_token")
	if t.text == "" || len(t.text) > maxAccessToken || !isPrintable(t.text) || strings.Contains(t.text, " ") {
		return t, 0, c.fail(StageAccessToken, CodeInvalidResponse, "no usable access_token")
	}
	if kind, _ := o.text("token_type"); kind != "" && !strings.EqualFold(kind, "bearer") {
		return t, 0, c.fail(StageAccessToken, CodeInvalidResponse, "token_type is not Bearer")
	}
	life = defaultTokenLife
	if o.has("expires_in") {
		if life = o.seconds("expires_in"); life <= 0 {
			return t, 0, c.fail(StageAccessToken, CodeInvalidResponse, "expires_in is not a time above zero")
		}
	}
	life = min(life, maxTokenLife)
	t.ends = c.cfg.Now().Add(life)
	return t, life, nil
}

// merchantCauses are those of what a merchant does, as opposed to a login of a person; nil elsewhere.
func (e *Error) merchantCauses() []string {
	switch {
	case e.Stage == StageWebhooks && e.Status == 0:
		return e.deliveryCauses()
	case e.Stage == StageAccessToken && (e.Status == http.StatusBadRequest || e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden):
		return []string{
			"client_id, client_secret, subscription_key and msn don't belong together: all four stand beside each other in the portal, portal.vippsmobilepay.com, and test and production have their own.",
			"The subscription key is an old one: copy it again.",
		}
	case e.Stage == StageWebhooks && (e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden):
		return []string{"The sales unit may not use the Webhooks API with these keys: compare subscription_key and msn with the portal, portal.vippsmobilepay.com."}
	case e.Status == http.StatusNotFound && e.Stage == StageAccessToken:
		return []string{"There is no Access Token API at this issuer: it is Vipps MobilePay's own, and other providers have none."}
	}
	return nil
}

// extraDetails are what Vipps adds to problem details: which fields are wrong, and why.
func extraDetails(o object) (words []string) {
	var details []json.RawMessage
	if err := json.Unmarshal(o["extraDetails"], &details); err != nil {
		return nil
	}
	for _, raw := range details[:min(len(details), 5)] {
		if d, err := decodeObject(raw); err == nil {
			words = append(words, d.string("name")+": "+d.string("reason"))
		}
	}
	return words
}

// seconds returns a member that is a number of seconds, or, as the Access Token API writes it, that number in a string;
// 0 for anything else.
func (o object) seconds(name string) time.Duration {
	s, ok := o.text(name)
	if !ok {
		s = string(o[name])
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return time.Duration(min(n, math.MaxInt32)) * time.Second
}
