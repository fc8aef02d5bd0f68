package vipps

import (
	"context"
	"encoding/base64"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const maxAccessToken = 16 << 10

// tokens is a good answer of the token endpoint.
type tokens struct {
	accessToken, idToken string
	skew                 time.Duration
	dated                bool
}

// withDate adds what the answer's Date header says about our clock.
func (t *tokens) withDate(err error) error {
	var e *Error
	if errors.As(err, &e) && t.dated {
		e.hint.skew, e.hint.haveSkew = t.skew, true
	}
	return err
}

// redeem sends the code to the token endpoint, once (RFC 6749 §4.1.3).
//
// golang.org/x/oauth2 could do it, but not with ClientAuthBasicRaw; it takes
// form-encoded answers and names in any case, and keeps the body in its error.
func (c *Client) redeem(ctx context.Context, md *metadata, p *PendingLogin, code string) (*tokens, error) {
	return c.grant(ctx, md, url.Values{
		"grant_type":    {"authorization_code"},
		"code":          {code},
		"redirect_uri":  {p.RedirectURI},
		"code_verifier": {p.Verifier},
	}, code, p.Verifier)
}

// grant makes one token request. Secrets are what in form must not be in an error.
func (c *Client) grant(ctx context.Context, md *metadata, form url.Values, secrets ...string) (*tokens, error) {
	a, err := c.post(ctx, StageToken, md.TokenURL, form, secrets...)
	if err != nil {
		return nil, ofGrant(err, form)
	}
	t, err := c.parseTokens(a, append(secrets, c.cfg.ClientSecret.Reveal()))
	return t, ofGrant(err, form)
}

// ofGrant adds which exchange it was that failed.
func ofGrant(err error, form url.Values) error {
	var e *Error
	if errors.As(err, &e) && e.Stage == StageToken {
		e.hint.grant = form.Get("grant_type")
	}
	return err
}

// post sends a form as this client, once.
func (c *Client) post(ctx context.Context, stage Stage, endpoint string, form url.Values, secrets ...string) (*answer, error) {
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	if c.cfg.MerchantSerialNumber != "" {
		header.Set(headerMSN, c.cfg.MerchantSerialNumber)
	}
	if err := c.authenticate(ctx, form, header); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, c.fail(stage, CodeInvalidMetadata, "the endpoint makes no request")
	}
	req.Header = header
	if _, credentials, ok := strings.Cut(header.Get("Authorization"), " "); ok {
		secrets = append(secrets, credentials)
	}
	a, err := c.do(ctx, stage, req, secrets...)
	if err != nil {
		c.refusedPartner(err, header)
	}
	return a, err
}

// authenticate says in form or header who the client is, at every endpoint of the provider that wants to know
// (RFC 6749 §2.3.1). What it puts into Authorization is kept out of errors by post.
func (c *Client) authenticate(ctx context.Context, form url.Values, header http.Header) error {
	id, secret := c.cfg.ClientID, c.cfg.ClientSecret.Reveal()
	switch c.cfg.ClientAuth {
	case ClientAuthPartner:
		return c.authenticatePartner(ctx, header)
	case ClientAuthPost:
		form.Set("client_id", id)
		form.Set("client_secret", secret)
	case ClientAuthBasicRaw:
		header.Set("Authorization", basicAuth(id, secret))
	default:
		header.Set("Authorization", basicAuth(url.QueryEscape(id), url.QueryEscape(secret)))
	}
	return nil
}

func basicAuth(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
}

// parseTokens reads a 200 of the token endpoint (RFC 6749 §5.1, OpenID
// Connect Core §3.1.3.3). expires_in and scope are not looked at: the access
// token is used at once, and once.
func (c *Client) parseTokens(a *answer, secrets []string) (*tokens, error) {
	o, err := decodeObject(a.body)
	if err != nil {
		return nil, c.fail(StageToken, CodeInvalidResponse, err.Error())
	}
	if o.has("error") || o.has("error_code") && !o.has("access_token") { // some servers send their errors with a 200
		e := c.hinted(&Error{Stage: StageToken, Code: CodeUnknown, Status: http.StatusOK})
		describe(e, o, secrets)
		return nil, e
	}
	t := &tokens{skew: a.skew, dated: a.dated}
	t.accessToken, _ = o.text("access_token")
	if t.accessToken == "" || len(t.accessToken) > maxAccessToken || !isPrintable(t.accessToken) || strings.Contains(t.accessToken, " ") {
		return nil, c.fail(StageToken, CodeInvalidResponse, "no usable access_token")
	}
	if kind, _ := o.text("token_type"); !strings.EqualFold(kind, "bearer") {
		return nil, c.fail(StageToken, CodeInvalidResponse, "token_type is not Bearer")
	}
	if t.idToken, _ = o.text("id_token"); t.idToken == "" {
		return nil, c.fail(StageToken, CodeMissingIDToken, "")
	}
	return t, nil
}

// userinfo asks for the claims (OpenID Connect Core §5.3) and returns them if
// they are about the given sub; none when the provider has no such endpoint.
func (c *Client) userinfo(ctx context.Context, md *metadata, accessToken, sub string) (object, error) {
	if md.UserInfoURL == "" {
		return object{}, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, md.UserInfoURL, nil)
	if err != nil {
		return nil, c.fail(StageUserinfo, CodeInvalidMetadata, "userinfo_endpoint makes no request")
	}
	req.Header.Set("Authorization", "Bearer "+accessToken)
	if c.cfg.UserinfoSubscriptionKey {
		req.Header.Set(headerSubscriptionKey, c.cfg.SubscriptionKey.Reveal())
	}
	a, err := c.do(ctx, StageUserinfo, req, accessToken, c.cfg.SubscriptionKey.Reveal())
	if err != nil {
		return nil, err
	}
	// A signed answer would have to be verified, so only plain JSON is taken.
	if mediaType, _, err := mime.ParseMediaType(a.header.Get("Content-Type")); err != nil || mediaType != "application/json" {
		return nil, c.fail(StageUserinfo, CodeInvalidResponse, "not application/json")
	}
	claims, err := decodeObject(a.body)
	if err != nil {
		return nil, c.fail(StageUserinfo, CodeInvalidResponse, err.Error())
	}
	if got, ok := claims.text("sub"); !ok || !equal(got, sub) {
		return nil, c.fail(StageUserinfo, CodeSubjectMismatch, "")
	}
	return claims, nil
}
