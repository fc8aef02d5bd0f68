package emulator

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// descInvalidGrant is the sentence of RFC 6749 §5.2, as Vipps' documents print it.
const descInvalidGrant = "The provided authorization grant (e.g., authorization code, resource owner credentials) or refresh token is invalid, " +
	"expired, revoked, does not match the redirection URI used in the authorization request, or was issued to another client."

const descNonce = "The request used a security parameter (e.g., anti-replay, anti-csrf) with insufficient entropy. " +
	"Parameter 'nonce' is set but does not satisfy the minimum entropy of 8 characters."

// expiresIn is what the token answer says, whatever userinfo does after ten minutes.
const expiresIn = 3599

// tokenError is an error answer of the token endpoint.
type tokenError struct {
	status            int
	code, description string
	errorCode         bool     // the code travels as error_code
	failure           *failure // what is answered instead
}

func badToken(hint string) *tokenError {
	return oauthError("invalid_request", strings.TrimSpace(descBadRequest+" "+hint))
}

func invalidClient(hint string) *tokenError {
	return &tokenError{status: http.StatusUnauthorized, code: "invalid_client", description: descInvalidClient + hint}
}

func invalidGrant(hint string) *tokenError {
	return oauthError("invalid_grant", strings.TrimSpace(descInvalidGrant+" "+hint))
}

// write answers with the error.
func (bad *tokenError) write(w http.ResponseWriter, r *http.Request) {
	if bad.failure != nil {
		bad.failure.write(w, r)
		return
	}
	if bad.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="vippsauth emulator"`)
	}
	member := "error"
	if bad.errorCode {
		member = "error_code"
	}
	writeJSON(w, bad.status, map[string]string{member: bad.code, "error_description": bad.description})
}

func (e *Emulator) serveToken(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	answer, bad := e.token(w, r)
	if bad != nil {
		bad.write(w, r)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

func (e *Emulator) token(w http.ResponseWriter, r *http.Request) (map[string]any, *tokenError) {
	form, bad := readForm(w, r)
	if bad != nil {
		return nil, bad
	}
	if form.Get("grant_type") == "" {
		return nil, badToken("Request parameter 'grant_type' is missing.")
	}
	client, bad := e.authenticate(w, r, form)
	if bad != nil {
		return nil, bad
	}
	switch form.Get("grant_type") {
	case "authorization_code":
		return e.codeToken(&client, form, "", []string{"code", "redirect_uri"}, "code_verifier")
	case grantCIBA:
		return e.cibaToken(w, &client, form)
	case grantCIBARedirect:
		return e.codeToken(&client, form, flowCIBARedirect, []string{"code"}, "auth_req_id")
	case grantQR:
		return e.qrToken(&client, form)
	case grantQRRedirect:
		return e.codeToken(&client, form, flowQRRedirect, []string{"code"})
	}
	return nil, oauthError("unsupported_grant_type", "The authorization grant type is not supported by the authorization server.")
}

// codeToken exchanges a code, once: that of the browser flow, which is "", of a merchant-initiated login that ends in a browser, or the
// one that a phone brought to a QR code's redirect URI.
func (e *Emulator) codeToken(client *Client, form url.Values, of flow, required []string, others ...string) (map[string]any, *tokenError) {
	known := append([]string{"grant_type", "client_id", "client_secret"}, required...)
	if bad := unmodelled(form, append(known, others...)); bad != nil {
		return nil, bad
	}
	for _, name := range required {
		if form.Get(name) == "" {
			return nil, badToken("Request parameter '" + name + "' is missing.")
		}
	}
	access, g, bad := e.redeem(client, form, of)
	if bad != nil {
		return nil, bad
	}
	return e.tokenAnswer(client, g, access)
}

// readForm reads a form body and nothing else: parameters in the URL, other types and doubled parameters are refused.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, *tokenError) {
	ct, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || ct != "application/x-www-form-urlencoded" {
		return nil, badToken("The Content-Type must be application/x-www-form-urlencoded.")
	}
	if r.URL.RawQuery != "" {
		return nil, badToken("Parameters belong in the body.")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	if err != nil {
		return nil, &tokenError{status: http.StatusRequestEntityTooLarge, code: "invalid_request", description: descBadRequest}
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, badToken("The body is malformed.")
	}
	for name, values := range form {
		if len(values) > 1 {
			return nil, badToken("Parameter '" + printable(name) + "' is there more than once.")
		}
	}
	return form, nil
}

// redeem turns a code of a flow into an access token, once. A second use of a code revokes the access token of the first (RFC 6749 §4.1.2).
func (e *Emulator) redeem(client *Client, form url.Values, of flow) (string, *grant, *tokenError) {
	e.mu.Lock()
	defer e.mu.Unlock()
	g, ok := e.state.codes.get(form.Get("code"))
	now := e.nowLocked()
	switch {
	case !ok || g.req.clientID != client.ID || g.flow != of:
		return "", nil, invalidGrant("")
	case g.used:
		e.state.tokens.delete(g.token)
		return "", nil, invalidGrant("The authorization code has already been used.")
	case now.Sub(g.issued) > e.cfg.CodeTTL || now.Before(g.issued.Add(-time.Minute)):
		return "", nil, invalidGrant("The authorization code has expired.")
	case of != "":
		if id := form.Get("auth_req_id"); form.Has("auth_req_id") && id != g.authReqID {
			return "", nil, invalidGrant("The code is of another auth_req_id.")
		}
		e.pushRedeemed(g.authReqID)
	default:
		if bad := checkCode(g, form); bad != nil {
			return "", nil, bad
		}
	}
	g.used, g.token = true, newOpaque()
	issued := *g
	issued.issued = now
	e.state.tokens.put(g.token, &issued)
	return g.token, &issued, nil
}

// checkCode is what only a code of the browser flow is bound to.
func checkCode(g *grant, form url.Values) *tokenError {
	if g.req.redirectURI != form.Get("redirect_uri") {
		return invalidGrant("The 'redirect_uri' from this request does not match the one from the authorize request.")
	}
	if hint := checkVerifier(&g.req, form); hint != "" {
		return invalidGrant(hint)
	}
	if n := g.req.nonce; n != "" && len(n) < 8 {
		return oauthError("insufficient_entropy", descNonce)
	}
	return nil
}

// checkVerifier is RFC 7636 §4.6. A verifier for a code that has no challenge is refused too (RFC 9700 §4.8.2).
func checkVerifier(req *request, form url.Values) (hint string) {
	v := form.Get("code_verifier")
	if req.challenge == "" {
		if form.Has("code_verifier") {
			return "There is a code_verifier, but the authorize request had no code_challenge."
		}
		return ""
	}
	switch {
	case len(v) < 43:
		return "The PKCE code verifier must be at least 43 characters."
	case len(v) > 128:
		return "The PKCE code verifier can not be longer than 128 characters."
	case !pkceText.MatchString(v):
		return "The PKCE code verifier must only contain [a-Z], [0-9], '-', '.', '_', '~'."
	}
	if req.method == "S256" {
		sum := sha256.Sum256([]byte(v))
		v = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	if !same(v, req.challenge) {
		return "The PKCE code challenge did not match the code verifier."
	}
	return ""
}

func (e *Emulator) tokenAnswer(client *Client, g *grant, access string) (map[string]any, *tokenError) {
	idToken, err := e.idToken(client, g, access)
	if err != nil {
		return nil, &tokenError{status: http.StatusInternalServerError, code: "server_error", description: descServerError}
	}
	answer := map[string]any{
		"access_token": access,
		"id_token":     idToken,
		"expires_in":   expiresIn,
		"scope":        strings.Join(g.req.scopes, " "),
		"token_type":   "bearer",
	}
	if g.ttl != 0 {
		answer["expires_in"], answer["token_type"] = int(g.ttl/time.Second), "Bearer"
		delete(answer, "scope")
	}
	if e.take(BreakTokenTypeCase) {
		answer["token_type"] = "bEARER"
	}
	if e.take(BreakTokenNoExpires) {
		delete(answer, "expires_in")
		delete(answer, "scope")
	}
	if e.take(BreakNoIDToken) {
		delete(answer, "id_token")
	}
	if e.take(BreakNotAJWT) {
		answer["id_token"] = json.RawMessage(`"not.a.jwt"`)
	}
	return answer, nil
}
