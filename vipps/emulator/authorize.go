package emulator

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// ACRAppAuth is the one value of acr_values that Vipps documents: confirmation in the app, in a remembered browser too.
const ACRAppAuth = "urn:vipps:acr:app_auth"

// Texts of the engine and of Vipps' documents.
const (
	descRedirectURI = `The "redirect_uri" provided with your request does not match any of your preregistered URIs.` //nolint:gosec // an error text
	descCancelled   = "User cancelled the login"
	descInteraction = "User interaction is required"
	descBadRequest  = "The request is missing a required parameter, includes an invalid parameter value, includes a parameter more than once, or is otherwise malformed."
	descState       = "The state is missing or does not have enough characters and is therefore considered too weak. " +
		"Request parameter 'state' must be at least be 8 characters long to ensure sufficient entropy."
	descScope = "The requested scope is invalid, unknown, or malformed."
)

// authError is an answer to a bad authorize request.
type authError struct{ code, description string }

func badRequest(format string, args ...any) *authError {
	return &authError{"invalid_request", descBadRequest + " " + fmt.Sprintf(format, args...)}
}

// authorizeParameters are those that the emulator models; every other one is refused.
var authorizeParameters = [...]string{
	"response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method",
	"requested_flow", "market", "acr_values", "response_mode", "app_callback_uri", "final_redirect_is_app",
}

// serveAuthorize checks in this order: client, redirect URI (both end on the error page, without a redirect), state, then the rest.
func (e *Emulator) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	q, err := url.ParseQuery(r.URL.RawQuery)
	if tooLong(e, r, q) {
		badGateway(w)
		return
	}
	if err != nil {
		e.errorPage(w, r, http.StatusBadRequest, "invalid_request", descBadRequest)
		return
	}
	noteQuery(w, q)
	if q.Has("msn") {
		e.redirectMSN(w, r, q)
		return
	}
	client, ok := e.client(q["client_id"])
	if !ok || client.Partner {
		e.errorPage(w, r, http.StatusBadRequest, "invalid_client", "The requested OAuth 2.0 Client does not exist.")
		return
	}
	uris := q["redirect_uri"]
	if len(uris) != 1 || !client.registered(uris[0]) {
		e.errorPage(w, r, http.StatusBadRequest, "invalid_request", descRedirectURI)
		return
	}
	req := request{clientID: client.ID, redirectURI: uris[0], received: e.now()}
	if states := q["state"]; len(states) == 1 {
		req.state = states[0]
	}
	if bad := e.checkAuthorize(&req, &client, q); bad != nil {
		e.redirectError(w, r, &req, bad.code, bad.description)
		return
	}
	e.startLogin(w, r, &req)
}

// tooLong is Vipps' gateway, which gives up on 1000 characters and more of state or nonce and on URLs above 2000 (the FAQ).
func tooLong(e *Emulator, r *http.Request, q url.Values) bool {
	return len(e.BaseURL())+len(r.RequestURI) > 2000 || len(q.Get("state")) >= 1000 || len(q.Get("nonce")) >= 1000
}

// client gives a copy of a client, so that no lock is needed to read it.
func (e *Emulator) client(ids []string) (Client, bool) {
	if len(ids) != 1 {
		return Client{}, false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.state.clients[ids[0]]
	if c == nil {
		return Client{}, false
	}
	return *c, true
}

func (e *Emulator) checkAuthorize(req *request, client *Client, q url.Values) *authError {
	if len(req.state) < 8 {
		return &authError{"invalid_state", descState}
	}
	for name, values := range q {
		if len(values) > 1 {
			return badRequest("Parameter '%s' is there more than once.", printable(name))
		}
		if !slices.Contains(authorizeParameters[:], name) {
			return badRequest("The emulator does not model the parameter '%s'.", printable(name))
		}
	}
	if rt := q.Get("response_type"); rt != "code" {
		return &authError{"unsupported_response_type", "The authorization server does not support obtaining a token using this method. 'response_type' must be 'code'."}
	}
	if m := q.Get("response_mode"); m != "" && m != "query" {
		return badRequest("The emulator models only the response_mode 'query'.")
	}
	if bad := e.checkScope(req, client, q.Get("scope")); bad != nil {
		return bad
	}
	if bad := e.checkPKCE(req, q); bad != nil {
		return bad
	}
	req.nonce = q.Get("nonce")
	return checkFlow(req, client, q)
}

func (e *Emulator) checkScope(req *request, client *Client, scope string) *authError {
	for sc := range strings.SplitSeq(scope, " ") {
		switch {
		case sc == "" || slices.Contains(req.scopes, sc):
		case sc == "openid", slices.Contains(knownScopes[:], sc) && (client.Scopes == nil || slices.Contains(client.Scopes, sc)):
			req.scopes = append(req.scopes, sc)
		case e.cfg.DropUnknownScopes:
		default:
			return &authError{"invalid_scope", descScope + fmt.Sprintf(" The OAuth 2.0 Client is not allowed to request scope '%s'.", printable(sc))}
		}
	}
	if !slices.Contains(req.scopes, "openid") {
		return &authError{"invalid_scope", descScope + " The scope 'openid' is missing."}
	}
	return nil
}

var (
	s256Challenge = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)
	pkceText      = regexp.MustCompile(`^[A-Za-z0-9._~-]{43,128}$`) // RFC 7636 §4.1
)

func (e *Emulator) checkPKCE(req *request, q url.Values) *authError {
	if !q.Has("code_challenge") {
		if q.Has("code_challenge_method") {
			return badRequest("There is a code_challenge_method without a code_challenge.")
		}
		return nil
	}
	req.challenge, req.method = q.Get("code_challenge"), q.Get("code_challenge_method")
	if req.method == "" {
		req.method = "plain" // RFC 7636 §4.3, and the documented default
	}
	switch {
	case req.method == "S256" && s256Challenge.MatchString(req.challenge):
	case req.method == "plain" && !e.cfg.AllowPlainPKCE:
		return badRequest("Clients must use code_challenge_method=S256, plain is not allowed.")
	case req.method == "plain" && pkceText.MatchString(req.challenge):
	case req.method == "S256", req.method == "plain":
		return badRequest("The code_challenge is malformed.")
	default:
		return badRequest("The code_challenge_method is not supported, use S256 instead.")
	}
	return nil
}

// printable makes a value from the query short and harmless.
func printable(s string) string {
	if len(s) > 60 {
		s = s[:60]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '\'' {
			return '?'
		}
		return r
	}, s)
}

// parameter is a query parameter of the way back; a slice of them has the order of the documents.
type parameter struct{ name, value string }

func (e *Emulator) redirectError(w http.ResponseWriter, _ *http.Request, req *request, code, description string) {
	if req.state != "" && e.take(BreakMalformedRedirect) { // as printed in the documents, question mark and all
		enc := "error=" + url.QueryEscape(code) + "&error_description=" + url.PathEscape(description)
		redirect(w, join(req.redirectURI, enc+"?state="+url.QueryEscape(req.state)))
		return
	}
	e.redirectBack(w, req, []parameter{{"error", code}, {"error_description", description}})
}

func (e *Emulator) redirectCode(w http.ResponseWriter, req *request, code string) {
	e.redirectBack(w, req, e.codeParameters(code))
}

func (e *Emulator) codeParameters(code string) []parameter {
	params := []parameter{{"code", code}}
	if e.take(BreakCallbackCodeAndError) {
		params = append(params, parameter{"error", "access_denied"})
	}
	return params
}

// redirectBack sends the browser to the client.
func (e *Emulator) redirectBack(w http.ResponseWriter, req *request, params []parameter) {
	redirect(w, e.backURL(req, params))
}

// backURL is the way back to the client: the parameters given, then state, and scope where there is a code.
func (e *Emulator) backURL(req *request, params []parameter) string {
	state, withCode := req.state, params[0].name == "code"
	if e.take(BreakCallbackWrongState) {
		state += "1"
	}
	if state != "" && !e.take(BreakCallbackNoState) {
		params = append(params, parameter{"state", state})
	}
	if e.take(BreakCallbackTwoStates) {
		params = append(params, parameter{"state", state})
	}
	if withCode && !e.take(BreakCallbackNoScope) {
		params = append(params, parameter{"scope", strings.Join(req.scopes, " ")})
	}
	if e.take(BreakCallbackIss) {
		params = append(params, parameter{"iss", e.Issuer()})
	}
	if e.take(BreakCallbackWrongIss) {
		params = append(params, parameter{"iss", e.Issuer() + "1"})
	}
	pairs := make([]string, len(params))
	for i, p := range params {
		pairs[i] = p.name + "=" + url.QueryEscape(p.value)
	}
	return join(req.redirectURI, strings.Join(pairs, "&"))
}

// join appends a query to a URI that may have one, and leaves the URI's own bytes alone.
func join(uri, query string) string {
	switch {
	case !strings.Contains(uri, "?"):
		return uri + "?" + query
	case strings.HasSuffix(uri, "?"), strings.HasSuffix(uri, "&"):
		return uri + query
	}
	return uri + "&" + query
}

// redirect answers 302 without the body and the URL cleaning of http.Redirect.
func redirect(w http.ResponseWriter, location string) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusFound)
}
