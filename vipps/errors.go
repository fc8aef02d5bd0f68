package vipps

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

var (
	// ErrState matches, with errors.Is, a callback that doesn't belong to the
	// pending login: state missing or different, or another issuer's or client's
	// login. Nothing was sent to the provider.
	ErrState = errors.New("vipps: the callback does not belong to this login")

	// ErrUnavailable matches, with errors.Is, a login that cannot go on because
	// the provider can't be reached, fails or asks to wait, or because its
	// metadata or keys could not be had. Error.RetryAfter says when to try again.
	ErrUnavailable = errors.New("vipps: the provider is unavailable")

	// ErrPending matches, with errors.Is, the answer to a poll that the person
	// has not decided yet (authorization_pending, slow_down). Polling says when to ask again.
	ErrPending = errors.New("vipps: the person has not answered yet")

	// ErrDenied matches, with errors.Is, a login that the person said no to (access_denied).
	ErrDenied = errors.New("vipps: the person said no")

	// ErrExpired matches, with errors.Is, a merchant-initiated login whose time
	// is over: the provider said so (expired_token), or its expiry has passed here.
	ErrExpired = errors.New("vipps: the login has expired")

	// ErrNotEligible matches, with errors.Is, a merchant-initiated login of a
	// person who cannot log in so: nobody with this number, somebody too young,
	// or with an app too old (unknown_user_id, invalid_user, old_app). Who may
	// see the difference between this and ErrDenied can find out whose number is known.
	ErrNotEligible = errors.New("vipps: the person cannot log in like this")
)

// Stage says during which step of a login something went wrong.
type Stage string

// The stages, in the order of a login.
const (
	StageDiscovery Stage = "discovery" // the provider's metadata
	StageAuthorize Stage = "authorize" // the redirect to the provider and back
	StageToken     Stage = "token"     // the code for tokens
	StageKeys      Stage = "keys"      // the provider's key set
	StageIDToken   Stage = "id_token"  // the ID token
	StageUserinfo  Stage = "userinfo"  // the claims
)

// The stages of what is not a login in a browser. The polls of a merchant-initiated login are StageToken.
const (
	StageBackchannel Stage = "backchannel" // the start of a merchant-initiated login
	StageUserExists  Stage = "user_exists" // the question whether somebody has Vipps
	StageQR          Stage = "qr"          // the callback of a QR code
)

// Codes of our own, beside those that a provider sends.
//
//nolint:gosec // G101 takes the names of two of them for credentials
const (
	CodeMissingState       = "missing_state"          // no state in the callback
	CodeStateMismatch      = "state_mismatch"         // state is not the pending login's
	CodePendingMismatch    = "pending_mismatch"       // the pending login is unusable, or another issuer's or client's
	CodeDuplicateParameter = "duplicate_parameter"    // a parameter of the callback stands twice
	CodeMissingCode        = "missing_code"           // neither code nor error in the callback
	CodeInvalidCallback    = "invalid_callback"       // a parameter is too long or holds control characters
	CodeIssuerMismatch     = "issuer_mismatch"        // the metadata's, callback's or token's issuer is not the configured one
	CodeMissingIssuer      = "missing_issuer"         // the provider promises iss in callbacks, and this one has none
	CodeInvalidMetadata    = "invalid_metadata"       // the metadata cannot be used
	CodeInvalidKeys        = "invalid_keys"           // the key set holds no usable key
	CodeUnreachable        = "unreachable"            // no connection, or it broke
	CodeTimeout            = "timeout"                // no answer in time
	CodeTLS                = "tls_error"              // the provider's certificate was not accepted
	CodeCanceled           = "canceled"               // the caller's context ended
	CodeHTTP               = "http_error"             // a status without a usable error code; see Status
	CodeRedirect           = "redirect_refused"       // the endpoint answered with a redirect
	CodeTooLarge           = "response_too_large"     // an answer above 1 MiB
	CodeInvalidResponse    = "invalid_response"       // an answer that is not what the standard says
	CodeMissingIDToken     = "missing_id_token"       // no ID token beside the access token
	CodeMalformedToken     = "malformed_id_token"     // not a compact JWS that we accept, or unusable claims
	CodeAlgorithm          = "algorithm_refused"      // signed with anything but RS256 or ES256
	CodeUnknownKey         = "unknown_key"            // no key of the provider fits the token
	CodeSignature          = "invalid_signature"      // the signature is not right
	CodeAudience           = "audience_mismatch"      // aud or azp name another client
	CodeNonce              = "nonce_mismatch"         // nonce missing or not the one sent
	CodeMissingClaim       = "missing_claim"          // iss, sub, aud, exp or iat is missing
	CodeInvalidSubject     = "invalid_sub"            // sub is not usable as an identifier
	CodeExpired            = "token_expired"          // exp has passed
	CodeIssuedInFuture     = "token_issued_in_future" // iat or nbf has yet to come
	CodeTooOld             = "token_too_old"          // issued longer ago than MaxTokenAge
	CodeAccessTokenHash    = "at_hash_mismatch"       // the ID token belongs to another access token
	CodeACR                = "acr_mismatch"           // acr is not one of those asked for
	CodeSubjectMismatch    = "sub_mismatch"           // userinfo is about someone else
	CodeAuthReqID          = "auth_req_id_mismatch"   // the ID token is not of this, or of no, merchant-initiated login
	CodeNoEndpoint         = "endpoint_missing"       // the provider has no such endpoint, as far as can be told
	CodeUnknown            = "unknown_error"          // the provider's error code was unreadable
)

// Error is a login, or a step of it, that failed. Its text is for logs and
// operators: it holds no token, code or secret, but must not be shown to visitors.
type Error struct {
	// Stage is the step that failed.
	Stage Stage
	// Code is the provider's error code, such as access_denied or
	// invalid_client, or one of the Code constants. It matches [A-Za-z0-9_.-]{1,64}.
	Code string
	// Status is the HTTP status of the provider's answer, 0 if there was none.
	Status int
	// Description is what the provider said, cut to 200 printable ASCII
	// characters, without what looks like a token, a number or an address. For logs only.
	Description string
	// RetryAfter is how long to wait before another try, 0 if unknown.
	RetryAfter time.Duration
	// Err is the cause, nil if there is none beyond the above.
	Err error

	hint hint
}

// hint is what Causes knows beyond the exported fields.
type hint struct {
	auth       ClientAuth
	encodes    bool          // form-encoding changes id or secret
	issuer     string        // the configured one
	off        time.Duration // by how much a time in the token missed
	skew       time.Duration // the provider's Date header minus our clock
	haveSkew   bool
	grant      string // the grant_type that was refused
	noMSN      bool   // the ID token names no sales unit
	keyed      bool   // the subscription key goes to userinfo
	notFetched bool   // metadata or keys could not be had
}

// Error returns stage, code, status, description and cause in one line.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "vipps: %s: %s", e.Stage, e.Code)
	if e.Status != 0 {
		fmt.Fprintf(&b, " (HTTP %d)", e.Status)
	}
	if e.Description != "" {
		fmt.Fprintf(&b, ": %q", e.Description)
	}
	if e.Err != nil {
		b.WriteString(": " + strings.TrimPrefix(e.Err.Error(), "vipps: "))
	}
	return b.String()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is work with ErrState, ErrUnavailable, ErrStale, ErrPending, ErrDenied, ErrExpired and ErrNotEligible.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrState:
		return e.Code == CodeMissingState || e.Code == CodeStateMismatch || e.Code == CodePendingMismatch
	case ErrUnavailable:
		return e.hint.notFetched || e.Stage != StageAuthorize && e.Temporary()
	case ErrPending:
		return e.Stage == StageToken && (e.Code == codePending || e.Code == codeSlowDown)
	case ErrDenied:
		return e.Code == codeDenied
	case ErrExpired:
		return e.Stage == StageToken && e.Code == codeLoginExpired
	case ErrNotEligible:
		return e.Stage != StageAuthorize && slices.Contains(notEligible(), e.Code)
	case ErrStale:
		return e.Stage == StageQR && (e.Code == CodeExpired || e.Code == CodeTooOld)
	}
	return false
}

// Temporary says whether the same step may well succeed a little later: the
// provider was out of reach, slow or overloaded, or said so itself.
func (e *Error) Temporary() bool {
	switch e.Code {
	case CodeUnreachable, CodeTimeout, "temporarily_unavailable", "server_error":
		return true
	}
	return e.Status >= 500 || e.Status == http.StatusTooManyRequests || e.Status == http.StatusRequestTimeout
}

// transportError turns what http.Client.Do returned into an *Error. The URL
// that net/http puts into its message is dropped.
func transportError(ctx context.Context, stage Stage, err error) *Error {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	e := &Error{Stage: stage, Code: CodeUnreachable, Err: err}
	var ne net.Error
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		e.Code = CodeCanceled
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &ne) && ne.Timeout():
		e.Code = CodeTimeout
	case isTLS(err):
		e.Code = CodeTLS
	}
	return e
}

func isTLS(err error) bool {
	var (
		ve *tls.CertificateVerificationError
		ua x509.UnknownAuthorityError
		he x509.HostnameError
		ce x509.CertificateInvalidError
		re tls.RecordHeaderError
		al tls.AlertError
		oe *net.OpError
	)
	if errors.As(err, &oe) && (oe.Op == "remote error" || oe.Op == "local error") { // how crypto/tls wraps an alert
		return true
	}
	return errors.As(err, &ve) || errors.As(err, &ua) || errors.As(err, &he) ||
		errors.As(err, &ce) || errors.As(err, &re) || errors.As(err, &al)
}

// cleanCode returns code if it is a plain error code, and CodeUnknown if not: also when it could be somebody's number or a token,
// since codes are logged.
func cleanCode(code string) string {
	if code == "" || len(code) > 64 || looksPersonal(code) {
		return CodeUnknown
	}
	for i := range len(code) {
		c := code[i]
		if !isAlphanumeric(c) && c != '_' && c != '-' && c != '.' {
			return CodeUnknown
		}
	}
	return code
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// maxDescription is the longest Description in bytes.
const maxDescription = 200

// cleanText makes a provider's words fit for a log: printable ASCII, cut,
// without the given secrets and without words that look like a token, a
// phone number, a national identity number or an e-mail address.
func cleanText(s string, secrets ...string) string {
	if len(s) > 4096 {
		s = s[:4096]
	}
	for _, secret := range secrets {
		if len(secret) >= 4 {
			s = strings.ReplaceAll(s, secret, redacted)
		}
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return ' '
		case r < ' ' || r > '~':
			return '?'
		}
		return r
	}, s)
	words := strings.Fields(spacedNumber.ReplaceAllString(s, redacted))
	for i, w := range words {
		if looksPersonal(w) {
			words[i] = redacted
		}
	}
	s = strings.Join(words, " ")
	if len(s) > maxDescription {
		s = s[:maxDescription-3] + "..."
	}
	return s
}

// spacedNumber is a phone number or the like as people write it, such as 909 00 123 or (909) 00-123. Question marks are what
// became of other spaces.
var spacedNumber = regexp.MustCompile(`[0-9](?:[ ().?/-]{0,3}[0-9]){6,}`)

// looksPersonal errs on the side of yes.
func looksPersonal(word string) bool {
	digits := 0
	for i := range len(word) {
		if '0' <= word[i] && word[i] <= '9' {
			digits++
		}
	}
	isURL := strings.Contains(word, "://") && !strings.ContainsAny(word, "?@")
	return strings.Contains(word, "@") || digits >= 6 && !isURL || len(word) > 40 && !isURL
}
