package vipps

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// Answer is what a probe found out.
type Answer string

// The answers. The zero value is none of them.
const (
	AnswerYes     Answer = "yes"
	AnswerNo      Answer = "no"
	AnswerUnknown Answer = "unknown" // the provider's answer doesn't tell
)

// Probe is what the provider said when it was asked whether it knows something.
type Probe struct {
	// Answer is the verdict.
	Answer Answer
	// Err is the provider's refusal, or why it couldn't be asked; nil where there was none. Causes says what to do.
	Err *Error
	// ClockSkew is the Date of the provider's answer minus our clock, if Dated.
	ClockSkew time.Duration
	// Dated says that the answer had a Date.
	Dated bool
}

// ProbeClient asks the token endpoint to redeem a code that nobody has issued, and says whether the provider knows the
// client and its secret: a code is looked at only after the client has shown who it is, so invalid_grant says that
// the keys are right, and invalid_client that they aren't (RFC 6749 §5.2). Nothing is changed by it at the provider.
//
// See https://developer.vippsmobilepay.com/docs/APIs/login-api/login-api-faq/.
func (c *Client) ProbeClient(ctx context.Context, redirectURI string) Probe {
	md, err := c.metadata.get(ctx)
	if err != nil {
		return Probe{Answer: AnswerUnknown, Err: c.asError(StageDiscovery, err)}
	}
	_, err = c.redeem(ctx, md, &PendingLogin{RedirectURI: redirectURI, Verifier: oauth2.GenerateVerifier()}, "vippsauth-doctor-made-this-code-up")
	if err == nil {
		return Probe{Answer: AnswerUnknown, Err: c.fail(StageToken, CodeInvalidResponse, "the provider has redeemed a code that was made up")}
	}
	e := c.asError(StageToken, err)
	p := Probe{Answer: AnswerUnknown, Err: e, ClockSkew: e.hint.skew, Dated: e.hint.haveSkew}
	switch {
	case e.Code == "invalid_grant":
		p.Answer, p.Err = AnswerYes, nil
	case e.Code == "invalid_client", e.Code == "unauthorized_client", e.Status == http.StatusUnauthorized:
		p.Answer = AnswerNo
	}
	return p
}

// ProbeRedirectURI goes where a browser would be sent to log in, and says whether the provider takes the redirect URI.
// It follows no redirect, so no login begins that anybody could finish. ReadAuthorizeAnswer says how the answer is read.
func (c *Client) ProbeRedirectURI(ctx context.Context, redirectURI string) Probe {
	_, location, err := c.BeginLogin(ctx, LoginRequest{RedirectURI: redirectURI})
	if err != nil {
		return Probe{Answer: AnswerUnknown, Err: c.asError(StageAuthorize, err)}
	}
	p, to := c.probeAuthorize(ctx, location)
	if c.isPartner() && filledIn(location, to) { // with the merchant's client_id; only now it looks at the redirect URI
		p, _ = c.probeAuthorize(ctx, to)
	}
	return p
}

// filledIn says whether an authorize endpoint has answered with its own address, with the client_id that belongs to the msn.
func filledIn(location, to string) bool {
	from, err := url.Parse(location)
	if err != nil {
		return false
	}
	u, err := url.Parse(to)
	return err == nil && u.Scheme == from.Scheme && u.Host == from.Host && u.Path == from.Path && u.Query().Has("client_id") && !u.Query().Has("error") && !u.Query().Has("error_code")
}

// probeAuthorize returns what one request for an authorize URL says, and where it redirects to.
func (c *Client) probeAuthorize(ctx context.Context, location string) (p Probe, to string) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, location, nil)
	if err != nil {
		return Probe{Answer: AnswerUnknown, Err: c.fail(StageAuthorize, CodeInvalidMetadata, "authorization_endpoint makes no request")}, ""
	}
	req.Header.Set("Accept", "text/html")
	req.Header.Set("User-Agent", c.cfg.SystemName+"/"+c.cfg.SystemVersion)
	resp, err := c.http.Do(req)
	if err != nil {
		return Probe{Answer: AnswerUnknown, Err: c.hinted(transportError(ctx, StageAuthorize, err))}, ""
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrBody)) // what has come is enough
	p = ReadAuthorizeAnswer(resp.StatusCode, resp.Header, body)
	if p.Err != nil {
		p.Err = c.hinted(p.Err)
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		p.ClockSkew, p.Dated = date.Sub(c.cfg.Now()), true
	}
	if u, err := req.URL.Parse(resp.Header.Get("Location")); err == nil {
		to = u.String()
	}
	return p, to
}

// ReadAuthorizeAnswer says whether the answer of an authorize endpoint to a well-formed request means that the
// provider knows the client and its redirect URI.
//
// A provider must not redirect to a URI that it doesn't know (RFC 6749 §3.1.2.4). Vipps shows an error page there; by which
// status, and whether after a redirect to that page, its documents don't say, so the error code is looked for in all
// three places: the address that is redirected to, a JSON body, and the words of a page. A redirect without an error leads on to
// the login. A page without one may be a login page or anything else: the answer is AnswerUnknown.
func ReadAuthorizeAnswer(status int, header http.Header, body []byte) Probe {
	refused := func(code, description string) Probe {
		p := Probe{Answer: AnswerUnknown, Err: &Error{Stage: StageAuthorize, Code: cleanCode(code), Status: status, Description: cleanText(description)}}
		if slices.Contains(authorizeRefusals(), code) {
			p.Answer = AnswerNo
		}
		return p
	}
	if status >= 300 && status < 400 {
		to, err := url.Parse(header.Get("Location"))
		if err != nil || header.Get("Location") == "" {
			return Probe{Answer: AnswerUnknown}
		}
		switch code := cmp.Or(to.Query().Get("error"), to.Query().Get("error_code")); code {
		case "", "login_required", "interaction_required", "consent_required": // only what it knows is told that
			return Probe{Answer: AnswerYes}
		default:
			return refused(code, to.Query().Get("error_description"))
		}
	}
	if o, err := decodeObject(body); err == nil {
		if code := cmp.Or(o.string("error"), o.string("error_code")); code != "" {
			return refused(code, o.string("error_description")+" "+o.string("error_debug"))
		}
	}
	if code := errorOfPage(status, strings.ToLower(string(body))); code != "" {
		return refused(code, "")
	}
	if status >= 400 {
		return Probe{Answer: AnswerUnknown, Err: &Error{Stage: StageAuthorize, Code: CodeHTTP, Status: status}}
	}
	return Probe{Answer: AnswerUnknown}
}

// authorizeRefusals are the codes with which a provider refuses the client or its request, whoever the person is.
func authorizeRefusals() []string {
	return []string{
		"invalid_client", "invalid_request", "invalid_scope", "unauthorized_client", "unsupported_response_type", "invalid_state",
		"invalid_app_callback_uri", "app_callback_uri_not_registered",
	}
}

// errorOfPage finds the code in the words of an error page, such as Vipps': "Error: invalid_request. The "redirect_uri"
// provided with your request does not match any of your preregistered URIs" (github.com/vippsas/vipps-login-api, issue 68).
// A page that comes with 200 may be a login page whose scripts know these words, so there it has to say more.
func errorOfPage(status int, text string) string {
	for _, code := range authorizeRefusals() {
		if strings.Contains(text, "error: "+code) || status >= 400 && strings.Contains(text, code) {
			return code
		}
	}
	return ""
}

// asError returns err as the *Error that it nearly always is.
func (c *Client) asError(stage Stage, err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	e := c.fail(stage, CodeUnknown, "")
	e.Err = err
	return e
}
