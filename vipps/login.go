package vipps

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// stateIDLength is the length of what NewStateID returns.
const stateIDLength = 43

// LoginRequest says how one login is to be. RedirectURI is required.
type LoginRequest struct {
	// RedirectURI is where the provider sends the browser back to: https, or
	// http on loopback. It must be registered there, byte for byte. For
	// production Vipps wants neither a query nor a needless slash at its end.
	RedirectURI string

	// Silent asks Vipps not to show any dialog (requested_flow=no_dialog): the
	// login succeeds only if this browser is remembered. Vipps no longer
	// documents it; it may succeed, fail with any error, or be ignored. Whoever
	// tries it has to see to it that a failure isn't followed by the next try.
	Silent bool

	// StateSuffix is appended to the random part of state, behind a dot. It may
	// hold letters, digits and "-_.~"; state as a whole is at most 512
	// characters. It is not protected in any way. Default: no suffix.
	StateSuffix string

	// Flow asks Vipps for FlowAppToApp, FlowAppToAppV2 or FlowAutomaticReturn (requested_flow). It can't be combined with Silent. Default: none of them.
	Flow string

	// AppCallbackURI is where FlowAppToApp goes back to the merchant's app: https, or with a scheme of the app's own and
	// something behind it (myapp://callback). It must be registered. Required with FlowAppToApp, refused without.
	AppCallbackURI string

	// FinalRedirectIsApp says that RedirectURI opens an app (final_redirect_is_app). Then, and with FlowAppToAppV2, it may have
	// a scheme of the app's own as well.
	FinalRedirectIsApp bool

	// ACRValues replaces Config.ACRValues for this login. Default: Config.ACRValues.
	ACRValues string

	// ID is the random part of state, as NewStateID returns it, for a caller
	// who needs it beforehand. It must not be used twice. Default: a fresh one.
	ID string
}

// PendingLogin is what must be kept, where only the same browser can bring it
// back, between BeginLogin and FinishLogin. It holds secrets: fmt and log/slog
// don't show them, but encoding/json does.
type PendingLogin struct {
	// Issuer and ClientID say with whom, and as whom (Client.Party), the login began.
	Issuer, ClientID string
	// State, Nonce and Verifier are good for one login.
	State, Nonce, Verifier string
	// RedirectURI is repeated to the token endpoint.
	RedirectURI string
	// ACRValues is what was asked for; "" if nothing was.
	ACRValues string
	// Silent says that no dialog was asked for.
	Silent bool
	// Started is when BeginLogin was called. FinishLogin does not look at it:
	// how old a pending login may be is for the caller to say.
	Started time.Time
}

// String names the issuer only.
func (p PendingLogin) String() string { return fmt.Sprintf("pending login with %q", p.Issuer) }

// GoString is String.
func (p PendingLogin) GoString() string { return p.String() }

// LogValue is String.
func (p PendingLogin) LogValue() slog.Value { return slog.StringValue(p.String()) }

// Login is a finished login.
type Login struct {
	// User is who logged in, by sub, with the claims that the provider released.
	User User
	// IssuedAt and ExpiresAt are those of the ID token. ExpiresAt says nothing
	// about how long a session may be.
	IssuedAt, ExpiresAt time.Time
	// AuthTime is when the provider authenticated the person; zero if it doesn't say.
	AuthTime time.Time
	// ACR is the authentication context class; "" if the provider doesn't say.
	ACR string
}

// NewStateID returns 256 random bits as 43 characters of base64url.
func NewStateID() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: the program would end
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// BeginLogin makes the secrets of a new login and the URL to send the browser
// to. It fetches the provider's metadata if need be, and its error then
// matches ErrUnavailable; a faulty request is a *ConfigError, and so is one
// whose URL is longer than the 2000 characters that Vipps MobilePay takes.
//
// State and nonce are 256 random bits each; PKCE (RFC 7636) with S256 is always used.
func (c *Client) BeginLogin(ctx context.Context, r LoginRequest) (*PendingLogin, string, error) {
	state, err := r.state()
	if err != nil {
		return nil, "", err
	}
	if err := errors.Join(r.checkFlow(), r.checkRedirectURI()); err != nil {
		return nil, "", err
	}
	md, err := c.metadata.get(ctx)
	if err != nil {
		return nil, "", err
	}
	p := &PendingLogin{
		Issuer:      c.cfg.Issuer,
		ClientID:    c.Party(),
		State:       state,
		Nonce:       NewStateID(),
		Verifier:    oauth2.GenerateVerifier(),
		RedirectURI: r.RedirectURI,
		ACRValues:   cmp.Or(r.ACRValues, c.cfg.ACRValues),
		Silent:      r.Silent,
		Started:     c.cfg.Now(),
	}
	to := c.authorizeURL(md, p, r)
	if _, ok := vippsOrigin(c.cfg.Issuer); ok && len(to) > maxAuthorizeURL {
		return nil, "", &ConfigError{Setting: "redirect_uri", Reason: tooLongURL}
	}
	return p, to, nil
}

// Vipps' gateway answers longer addresses with 502 (github.com/vippsas/vipps-login-api, FAQ).
const (
	maxAuthorizeURL = 2000
	tooLongURL      = "makes the address of a login longer than the 2000 characters that Vipps MobilePay takes: shorten it, app_callback_uri, scopes or what state carries"
)

func (c *Client) authorizeURL(md *metadata, p *PendingLogin, r LoginRequest) string {
	cfg := oauth2.Config{
		ClientID:    c.cfg.ClientID,
		Endpoint:    oauth2.Endpoint{AuthURL: md.AuthURL},
		RedirectURL: p.RedirectURI,
		Scopes:      c.cfg.Scopes,
	}
	options := []oauth2.AuthCodeOption{
		oauth2.S256ChallengeOption(p.Verifier),
		oauth2.SetAuthURLParam("nonce", p.Nonce),
	}
	flow, ends := r.Flow, ""
	if r.Silent {
		flow = "no_dialog"
	}
	if r.FinalRedirectIsApp {
		ends = "true"
	}
	for name, value := range map[string]string{
		"market": c.cfg.Market, "acr_values": p.ACRValues,
		"requested_flow": flow, "app_callback_uri": r.AppCallbackURI, "final_redirect_is_app": ends,
	} {
		if value != "" {
			options = append(options, oauth2.SetAuthURLParam(name, value))
		}
	}
	to := cfg.AuthCodeURL(p.State, options...)
	if c.isPartner() {
		to = c.forMerchant(to)
	}
	return to
}

// state returns the whole state parameter.
func (r LoginRequest) state() (string, error) {
	id := r.ID
	if id == "" {
		id = NewStateID()
	}
	if b, err := decodeBase64URL(id); err != nil || len(b) != 32 || len(id) != stateIDLength {
		return "", &ConfigError{Setting: "state", Reason: "the id must come from NewStateID"}
	}
	if r.StateSuffix == "" {
		return id, nil
	}
	for i := range len(r.StateSuffix) {
		if ch := r.StateSuffix[i]; !isAlphanumeric(ch) && !strings.ContainsRune("-_.~", rune(ch)) {
			return "", &ConfigError{Setting: "state", Reason: `the suffix may hold letters, digits and "-_.~" only`}
		}
	}
	state := id + "." + r.StateSuffix
	if len(state) > maxState {
		return "", &ConfigError{Setting: "state", Reason: "must be at most 512 characters in all"}
	}
	return state, nil
}

// checkRedirectURI leaves to checkAppURI what an app opens and no browser does.
func (r LoginRequest) checkRedirectURI() error {
	scheme, _, _ := strings.Cut(r.RedirectURI, ":")
	if !r.endsInApp() || strings.EqualFold(scheme, "https") || strings.EqualFold(scheme, "http") {
		return checkRedirectURI(r.RedirectURI)
	}
	if err := checkAppURI(r.RedirectURI); err != nil {
		return &ConfigError{Setting: "redirect_uri", Reason: err.Error()}
	}
	return nil
}

// checkRedirectURI follows the rules of Vipps for browsers: absolute, without
// a fragment, https or on loopback.
func checkRedirectURI(uri string) error {
	u, err := url.Parse(uri)
	switch {
	case err != nil || u.Host == "" || strings.Contains(uri, "#") || u.User != nil:
		err = errors.New("must be an absolute URL without a fragment")
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname()) && !belowLocalhost(u.Hostname())):
		err = errors.New("must be https, or http on loopback")
	}
	if err != nil {
		return &ConfigError{Setting: "redirect_uri", Reason: err.Error()}
	}
	return nil
}

// belowLocalhost reports whether browsers take a name as loopback without asking a resolver (RFC 6761, section 6.3).
// Programs do ask one, so that this is nothing for an address that a program calls.
func belowLocalhost(host string) bool {
	return len(host) > len(".localhost") && strings.HasSuffix(strings.ToLower(host), ".localhost")
}

// FinishLogin judges the query of the callback, redeems the code and returns who
// logged in. Its errors are *Error.
//
// The order is: state and whose login it is (ErrState), iss, the provider's
// error (StageAuthorize), code for tokens, ID token, nonce, at_hash, acr, userinfo.
// Nothing is sent to the provider before the callback is known to be this
// login's, the access token is used only after the nonce was right, and a code
// is sent once, whatever happens. The login must be marked as used by the
// caller, before the call.
func (c *Client) FinishLogin(ctx context.Context, p *PendingLogin, query url.Values) (*Login, error) {
	cb, err := c.checkCallback(p, query)
	if err != nil {
		return nil, err
	}
	md, err := c.metadata.get(ctx)
	if err != nil {
		return nil, err
	}
	if err := cb.checkIssuer(c, md); err != nil {
		return nil, err
	}
	if err := cb.checkCode(c); err != nil {
		return nil, err
	}
	got, err := c.redeem(ctx, md, p, cb.Code)
	if err != nil {
		return nil, err
	}
	return c.finish(ctx, md, got, func(t *idToken) error { return c.checkLogin(t, p, got.accessToken) })
}

// finish makes a login of tokens: the ID token, what check says ties it to this login, and userinfo.
func (c *Client) finish(ctx context.Context, md *metadata, got *tokens, check func(*idToken) error) (*Login, error) {
	t, err := c.verifyIDToken(ctx, got.idToken)
	if err == nil {
		err = check(t)
	}
	if err != nil {
		return nil, got.withDate(err)
	}
	claims, err := c.userinfo(ctx, md, got.accessToken, t.subject)
	if err != nil {
		return nil, err
	}
	return &Login{
		User:      newUser(t.subject, mergeClaims(t.claims, claims)),
		IssuedAt:  t.issuedAt,
		AuthTime:  t.authTime,
		ExpiresAt: t.expiry,
		ACR:       t.acr,
	}, nil
}
