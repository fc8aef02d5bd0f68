package vipps

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"
)

// The grants of merchant-initiated logins: the standard's, and Vipps' own for a login that ends in a browser.
const (
	grantCIBA         = "urn:openid:params:grant-type:ciba"
	grantCIBARedirect = "urn:vipps:params:grant-type:ciba-redirect"
)

// The provider's error codes that mean something to us.
const (
	codePending      = "authorization_pending"
	codeSlowDown     = "slow_down"
	codeDenied       = "access_denied"
	codeLoginExpired = "expired_token"
)

// notEligible are the codes for people who cannot log in like this: of the standard, and of Vipps.
func notEligible() []string { return []string{"unknown_user_id", "invalid_user", "old_app"} }

const (
	maxAuthReqID    = 1 << 10
	defaultInterval = 5 * time.Second // CIBA Core §7.3
	maxInterval     = time.Hour
	maxLifetime     = time.Hour // Vipps' longest is 15 minutes
	// lateCode is how long after its expiry a login may still come to an end in a browser: codes live a couple of minutes.
	lateCode = 2 * time.Minute
)

// PendingMerchantLogin is a merchant-initiated login under way. It holds no phone number, but secrets: fmt and log/slog
// don't show them, while encoding/json does, so that it can be kept, sealed, over a restart.
type PendingMerchantLogin struct {
	// Issuer and ClientID say with whom, and as whom (Client.Party), the login began.
	Issuer, ClientID string
	// AuthReqID is the provider's name for this login. Whoever has it and the client's secret gets the person's data.
	AuthReqID string
	// Nonce and State were sent along. Where the answer has them, they must match.
	Nonce, State string
	// BindingMessage is to be shown or read to the person, who sees the same one in the app.
	BindingMessage string
	// RedirectURI is where the login ends in a browser; "" if it ends in the app.
	RedirectURI string
	// Started is when the login began, and Expires when the provider forgets it.
	Started, Expires time.Time
	// Interval is how long to wait at least between an answer and the next poll. NewPolling knows the rest.
	Interval time.Duration
}

// StartMerchantLogin asks the provider to send the person a push message (OpenID Connect CIBA Core 1.0 §7, poll mode).
// Its errors are a *ConfigError for a faulty request, and an *Error otherwise; one that matches ErrNotEligible is about
// the person. The request is sent once, whatever happens: each may ring a telephone.
//
// Vipps MobilePay allows it in shops, on the telephone and on devices, not on web pages or in apps, and limits how often
// one person may be asked; then Error.RetryAfter says when to try again.
//
// See https://developer.vippsmobilepay.com/docs/APIs/login-api/api-guide/flows/merchant-initiated-login-integration/.
func (c *Client) StartMerchantLogin(ctx context.Context, r MerchantLoginRequest) (*PendingMerchantLogin, error) {
	p := &PendingMerchantLogin{
		Issuer: c.cfg.Issuer, ClientID: c.Party(), Nonce: NewStateID(), State: NewStateID(),
		BindingMessage: r.BindingMessage, RedirectURI: r.RedirectURI,
	}
	if p.BindingMessage == "" {
		p.BindingMessage = NewBindingMessage()
	}
	form, err := r.form(c.cfg.Scopes, p)
	if err != nil {
		return nil, err
	}
	md, err := c.metadata.get(ctx)
	if err != nil {
		return nil, err
	}
	endpoint, err := c.backchannelURL(md)
	if err != nil {
		return nil, err
	}
	p.Started = c.cfg.Now()
	a, err := c.post(ctx, StageBackchannel, endpoint, form, r.secrets(form)...)
	if err != nil {
		return nil, err
	}
	if err := c.acknowledge(p, a.body, r.secrets(form)); err != nil {
		return nil, err
	}
	return p, nil
}

// acknowledge reads a 200 of the backchannel endpoint (CIBA Core §7.3). Lifetimes and intervals beyond an hour count as
// one hour, and an interval that is missing or below a second as five.
func (c *Client) acknowledge(p *PendingMerchantLogin, body []byte, secrets []string) error {
	bad := func(reason string) error { return c.fail(StageBackchannel, CodeInvalidResponse, reason) }
	o, err := decodeObject(body)
	if err != nil {
		return bad(err.Error())
	}
	if o.has("error") || o.has("error_code") { // some servers send their errors with a 200
		e := c.hinted(&Error{Stage: StageBackchannel, Code: CodeUnknown, Status: 200})
		describe(e, o, secrets)
		return e
	}
	if p.AuthReqID, _ = o.text("auth_req_id"); !usableAuthReqID(p.AuthReqID) {
		return bad("no usable auth_req_id")
	}
	lifetime, err := o.duration("expires_in", maxLifetime)
	if err != nil || lifetime <= 0 {
		return bad("expires_in is not a number of seconds above zero")
	}
	if p.Interval, err = o.duration("interval", maxInterval); err != nil {
		return bad("interval is not a number of seconds")
	}
	if p.Interval < time.Second {
		p.Interval = defaultInterval
	}
	p.Expires = p.Started.Add(lifetime)
	return nil
}

// usableAuthReqID is a little wider than the standard, which has letters, digits and ".-_".
func usableAuthReqID(id string) bool {
	return id != "" && len(id) <= maxAuthReqID && isPrintable(id) && !strings.ContainsAny(id, ` "\`)
}

// PollMerchantLogin asks once whether the person has answered. ErrPending means not yet; see Polling for when to ask
// again. It is for logins that end in the app, and makes no request for one that ends in a browser, or has expired.
// Two polls for one login must not overlap.
//
// The ID token is checked as in FinishLogin, but for nonce, which Vipps leaves out here: one that is there must match.
// So must the login's id, where the token has one.
func (c *Client) PollMerchantLogin(ctx context.Context, p *PendingMerchantLogin) (*Login, error) {
	if err := c.checkPolled(p); err != nil {
		return nil, err
	}
	md, err := c.metadata.get(ctx)
	if err != nil {
		return nil, err
	}
	got, err := c.grant(ctx, md, url.Values{"grant_type": {grantCIBA}, "auth_req_id": {p.AuthReqID}}, p.AuthReqID)
	if err != nil {
		return nil, err
	}
	return c.finish(ctx, md, got, func(t *idToken) error {
		switch id, err := c.authReqID(t); {
		case err != nil:
			return err
		case id != "" && !equal(id, p.AuthReqID):
			return c.fail(StageIDToken, CodeAuthReqID, "the ID token is of another login")
		}
		return c.checkMerchantLogin(t, p, got.accessToken)
	})
}

// checkPolled says whether there is anything to poll for.
func (c *Client) checkPolled(p *PendingMerchantLogin) error {
	switch {
	case p == nil || !usableAuthReqID(p.AuthReqID) || p.Issuer != c.cfg.Issuer || p.ClientID != c.Party():
		return c.fail(StageToken, CodePendingMismatch, "no usable pending login of this issuer and client")
	case p.RedirectURI != "":
		return c.fail(StageToken, CodePendingMismatch, "the login ends in a browser")
	case c.cfg.Now().After(p.Expires):
		return c.expired(nil)
	}
	return nil
}

// expired returns what matches ErrExpired; last is why the polls before failed, if they did.
func (c *Client) expired(last error) error {
	e := c.fail(StageToken, codeLoginExpired, "")
	if e.Err = last; last == nil {
		e.Err = errors.New("its time is over")
	}
	return e
}

// checkMerchantLogin checks what ties the token to this login and to its access token.
func (c *Client) checkMerchantLogin(t *idToken, p *PendingMerchantLogin, accessToken string) error {
	if t.nonce != "" && !equal(t.nonce, p.Nonce) {
		return c.fail(StageIDToken, CodeNonce, "")
	}
	if t.claims.has("at_hash") && !equal(t.accessTokenHash, accessTokenHash(accessToken)) {
		return c.fail(StageIDToken, CodeAccessTokenHash, "")
	}
	return nil
}

// authReqID returns the id of the merchant-initiated login in an ID token, "" if there is none: by the name that Vipps
// documents, the one in its sample token, and that of CIBA Core §10.3.1. All that are there must say the same.
func (c *Client) authReqID(t *idToken) (string, error) {
	found := ""
	for _, name := range []string{"auth_req_id", "authReqId", "urn:openid:params:jwt:claim:auth_req_id"} {
		if !t.claims.has(name) {
			continue
		}
		id, _ := t.claims.text(name)
		if !usableAuthReqID(id) || found != "" && !equal(id, found) {
			return "", c.fail(StageIDToken, CodeAuthReqID, "the ID token has an unusable "+name)
		}
		found = id
	}
	return found, nil
}

// FinishMerchantLogin finishes a login that ends in a browser (MerchantLoginRequest.RedirectURI), with the query that the
// browser came with. Nothing in that query says which login it is: any browser may bring a code. So the code is redeemed,
// once; the ID token says which login it is of; and find says whether that is one which was started here and still
// waits. find must claim it: a second call with the same id must answer false. Without it nothing is asked about the person.
//
// The pending login is returned as soon as it is known, also beside an error. A login says who holds the telephone, not
// whose browser this is: before a session is made of it, the person has to confirm it in a request that another site cannot make.
func (c *Client) FinishMerchantLogin(ctx context.Context, query url.Values, find func(authReqID string) (*PendingMerchantLogin, bool)) (*Login, *PendingMerchantLogin, error) {
	cb, err := ParseCallback(query)
	var e *Error
	if err != nil && (!errors.As(err, &e) || e.Code != CodeMissingState) {
		return nil, nil, err
	}
	md, err := c.metadata.get(ctx)
	if err != nil {
		return nil, nil, err
	}
	if cb.HasIssuer && cb.Issuer != c.cfg.Issuer { // where there is none, Vipps keeps to its documents
		return nil, nil, c.fail(StageAuthorize, CodeIssuerMismatch, "iss of the callback is another issuer")
	}
	if err := cb.checkCode(c); err != nil {
		return nil, nil, err
	}
	got, err := c.grant(ctx, md, url.Values{"grant_type": {grantCIBARedirect}, "code": {cb.Code}}, cb.Code)
	if err != nil {
		return nil, nil, err
	}
	var p *PendingMerchantLogin
	login, err := c.finish(ctx, md, got, func(t *idToken) (err error) {
		p, err = c.claim(t, cb, find)
		if err != nil {
			return err
		}
		return c.checkMerchantLogin(t, p, got.accessToken)
	})
	return login, p, err
}

// claim finds the login that the ID token is of.
func (c *Client) claim(t *idToken, cb Callback, find func(string) (*PendingMerchantLogin, bool)) (*PendingMerchantLogin, error) {
	id, err := c.authReqID(t)
	if err != nil {
		return nil, err
	}
	if id == "" {
		return nil, c.fail(StageIDToken, CodeAuthReqID, "the ID token does not say which login it is of")
	}
	p, ok := find(id)
	switch {
	case !ok || p == nil || !equal(p.AuthReqID, id):
		return nil, c.fail(StageIDToken, CodeAuthReqID, "no login with this id waits here")
	case p.Issuer != c.cfg.Issuer || p.ClientID != c.Party() || p.RedirectURI == "":
		return p, c.fail(StageIDToken, CodePendingMismatch, "the login began with another issuer or client, or ends in the app")
	case cb.State != "" && !equal(cb.State, p.State):
		return p, c.fail(StageAuthorize, CodeStateMismatch, "")
	case c.cfg.Now().After(p.Expires.Add(lateCode)):
		return p, c.expired(nil)
	}
	return p, nil
}
