package emulator

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The Access Token API, which webhooks and partners need, and no login of a merchant's own.
const (
	pathAccessToken = "/accesstoken/get"
	// EndpointAccessToken is the Access Token API, as Calls, FailNext and Delay name it.
	EndpointAccessToken = "access-token"

	apiTokenTTL = time.Hour // as in Vipps' test environment
)

// BreakAccessTokenNumbers makes the Access Token API say its times as numbers.
const BreakAccessTokenNumbers = "access-token-numbers"

// headerKey is the header with the subscription key.
const headerKey = "Ocp-Apim-Subscription-Key"

// apiToken is what a token of the Access Token API stands for.
type apiToken struct {
	clientID string
	expires  time.Time
}

// serveAccessToken answers what Vipps documents, with its numbers as strings. The credentials are headers, and the body is nobody's.
func (e *Emulator) serveAccessToken(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	client, ok := e.client(r.Header.Values("client_id"))
	secrets := r.Header.Values("client_secret")
	switch {
	case !e.checkSubscription(w, r, client):
		return
	case !ok || len(secrets) != 1 || !same(secrets[0], client.Secret):
		writeJSON(w, http.StatusUnauthorized, map[string]string{
			"error": "invalid_client", "error_description": "The client_id or the client_secret in the header is wrong.",
		})
		return
	}
	token := newOpaque()
	e.mu.Lock()
	now := e.nowLocked()
	e.state.apiTokens.put(token, apiToken{client.ID, now.Add(apiTokenTTL)})
	e.mu.Unlock()
	seconds := int64(apiTokenTTL/time.Second) - 1
	answer := map[string]any{
		"token_type":     "Bearer",
		"expires_in":     strconv.FormatInt(seconds, 10),
		"ext_expires_in": "0",
		"expires_on":     strconv.FormatInt(now.Unix()+seconds, 10),
		"not_before":     strconv.FormatInt(now.Unix(), 10),
		"resource":       "00000002-0000-0000-c000-000000000000",
		"access_token":   token,
	}
	if e.take(BreakAccessTokenNumbers) {
		answer["expires_in"], answer["expires_on"], answer["not_before"] = seconds, now.Unix()+seconds, now.Unix()
	}
	writeJSON(w, http.StatusOK, answer)
}

// checkSubscription refuses, in the gateway's words, a call without the subscription key or with one that isn't the client's.
func (e *Emulator) checkSubscription(w http.ResponseWriter, r *http.Request, client Client) bool {
	keys := r.Header.Values(headerKey)
	why := ""
	switch {
	case len(keys) != 1 || keys[0] == "":
		why = "Access denied due to missing subscription key. Make sure to include subscription key when making requests to an API."
	case client.SubscriptionKey != "" && !same(keys[0], client.SubscriptionKey):
		why = "Access denied due to invalid subscription key. Make sure to provide a valid key for an active subscription."
	}
	if why != "" {
		writeJSON(w, http.StatusUnauthorized, map[string]any{"statusCode": http.StatusUnauthorized, "message": why})
	}
	return why == ""
}

// bearer is the token of an Authorization header that has the word Bearer, and whether there is one.
func bearer(r *http.Request) (string, bool) {
	header := r.Header.Values("Authorization")
	if len(header) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(header[0], " ")
	return token, ok && strings.EqualFold(scheme, "Bearer")
}

// apiClient is the client that a token of the Access Token API was given to.
func (e *Emulator) apiClient(r *http.Request) (Client, bool) {
	token, ok := bearer(r)
	if !ok {
		return Client{}, false
	}
	e.mu.Lock()
	t, ok := e.state.apiTokens.get(token)
	ok = ok && e.nowLocked().Before(t.expires)
	e.mu.Unlock()
	if !ok {
		return Client{}, false
	}
	return e.client([]string{t.clientID})
}

// RevokeAPITokens makes every token that the Access Token API gave out worthless, before its time.
func (c *Control) RevokeAPITokens() {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	c.e.state.apiTokens = newTable[apiToken](maxEntries)
}
