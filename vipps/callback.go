package vipps

import (
	"cmp"
	"errors"
	"net/url"
)

// Longest parameters of a callback that we take, in bytes.
const (
	maxState = 512
	maxCode  = 8 << 10
)

// Callback is what a browser brings back from the provider. Nothing of it can
// be trusted: anyone can make a browser send anything.
type Callback struct {
	// State is the state parameter, not yet compared with anything.
	State string
	// Code is the authorization code.
	Code string
	// Error is the provider's error code, "" if there is none: error, or the
	// error_code that some of Vipps' documents write. It matches [A-Za-z0-9_.-]{1,64}.
	Error string
	// Description is error_description and error_hint, as Error.Description. For logs only.
	Description string
	// Issuer is the parameter iss of RFC 9207, and HasIssuer says whether it was there.
	Issuer    string
	HasIssuer bool
}

// ParseCallback reads the query of a callback. It returns an *Error for a
// parameter that stands twice, is too long or holds control characters, and one that matches
// ErrState when there is no state; then the Callback still holds what could be read.
//
// Vipps documents an error redirect with "?state=" inside error_description:
// that is no state, since a description may say anything.
func ParseCallback(query url.Values) (Callback, error) {
	var cb Callback
	fail := func(code, reason string) (Callback, error) {
		return cb, &Error{Stage: StageAuthorize, Code: code, Err: errors.New(reason)}
	}
	if errorCode := cmp.Or(query.Get("error"), query.Get("error_code")); errorCode != "" {
		cb.Error = cleanCode(errorCode)
		cb.Description = cleanText(query.Get("error_description") + " " + query.Get("error_hint"))
	}
	for _, name := range []string{"state", "code", "error", "error_code", "iss", "error_description", "error_hint"} {
		if len(query[name]) > 1 {
			return fail(CodeDuplicateParameter, name+" stands twice")
		}
	}
	state, code, iss := query.Get("state"), query.Get("code"), query.Get("iss")
	if len(state) > maxState || !isPrintable(state) ||
		len(code) > maxCode || !isPrintable(code) ||
		len(iss) > maxState || !isPrintable(iss) {
		return fail(CodeInvalidCallback, "a parameter is too long or holds control characters")
	}
	cb.State, cb.Code, cb.Issuer, cb.HasIssuer = state, code, iss, query.Has("iss")
	if cb.State == "" {
		return fail(CodeMissingState, "no state")
	}
	return cb, nil
}

// checkCallback returns the callback of this login, or why it is none. It
// does not look at its code and error.
func (c *Client) checkCallback(p *PendingLogin, query url.Values) (Callback, error) {
	cb, err := ParseCallback(query)
	if err != nil {
		return cb, err
	}
	if p == nil || p.Nonce == "" || p.Verifier == "" || p.RedirectURI == "" {
		return cb, c.fail(StageAuthorize, CodePendingMismatch, "no usable pending login")
	}
	if !equal(cb.State, p.State) {
		return cb, c.fail(StageAuthorize, CodeStateMismatch, "")
	}
	if p.Issuer != c.cfg.Issuer || p.ClientID != c.Party() {
		return cb, c.fail(StageAuthorize, CodePendingMismatch, "the login began with another issuer or client")
	}
	return cb, nil
}

// checkIssuer follows RFC 9207 §2.4, for errors as well as for codes.
func (cb Callback) checkIssuer(c *Client, md *metadata) error {
	if cb.HasIssuer && cb.Issuer != c.cfg.Issuer {
		return c.fail(StageAuthorize, CodeIssuerMismatch, "iss of the callback is another issuer")
	}
	if md.sendsIssuer && !cb.HasIssuer {
		return c.fail(StageAuthorize, CodeMissingIssuer, "")
	}
	return nil
}

// checkCode returns the provider's error, if that is what came, or our own where there is no code.
func (cb Callback) checkCode(c *Client) error {
	switch {
	case cb.Error != "":
		e := c.fail(StageAuthorize, cb.Error, "")
		e.Description = cb.Description
		return e
	case cb.Code == "":
		return c.fail(StageAuthorize, CodeMissingCode, "neither code nor error")
	}
	return nil
}
