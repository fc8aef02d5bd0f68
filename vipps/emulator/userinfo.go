package emulator

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// serveUserinfo answers the claims of the consented scopes. The access token travels in the Authorization header and nowhere else.
func (e *Emulator) serveUserinfo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if r.URL.RawQuery != "" {
		e.refuseUserinfo(w, "The emulator does not model query parameters here; the access token belongs in the Authorization header.")
		return
	}
	if e.cfg.RefuseSubscriptionKey && r.Header.Get("Ocp-Apim-Subscription-Key") != "" {
		e.refuseUserinfo(w, "Ocp-Apim-Subscription-Key must not be sent to this endpoint.")
		return
	}
	header := r.Header.Values("Authorization")
	if len(header) != 1 {
		e.refuseUserinfo(w, "The access token is missing.")
		return
	}
	scheme, token, ok := strings.Cut(header[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		e.refuseUserinfo(w, "The Authorization header must be the word Bearer and the access token.")
		return
	}
	claims, ok := e.userinfo(token)
	if !ok {
		e.refuseUserinfo(w, "The access token is unknown or expired.")
		return
	}
	e.writeUserinfo(w, claims)
}

// userinfo are the claims behind an access token, if it is still good.
func (e *Emulator) userinfo(token string) (map[string]any, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	g, ok := e.state.tokens.get(token)
	if !ok {
		return nil, false
	}
	ttl := e.cfg.AccessTokenTTL
	if g.ttl != 0 && g.ttl < ttl {
		ttl = g.ttl
	}
	if e.nowLocked().Sub(g.issued) >= ttl {
		return nil, false
	}
	p := e.state.personByID(g.person)
	if p == nil {
		return nil, false
	}
	claims := map[string]any{"sub": subject(g.req.clientID, p.ID), "sid": g.sid}
	for _, sc := range g.req.scopes {
		p.addClaims(claims, sc)
	}
	if a := g.req.answers; a != nil {
		a.addClaims(claims, slices.Contains(a.scopes, scopeDelegatedConsents) && e.takeLocked(BreakConsentsLeadingSpace))
	}
	return claims, true
}

func (e *Emulator) writeUserinfo(w http.ResponseWriter, claims map[string]any) {
	e.breakUserinfo(claims)
	body, err := json.Marshal(claims)
	if err != nil {
		http.Error(w, "vippsauth emulator: marshalling the answer failed", http.StatusInternalServerError)
		return
	}
	if e.take(BreakUserinfoDuplicateKeys) {
		body = append([]byte(`{"sub":"emulator-duplicate",`), body[1:]...)
	}
	if e.take(BreakUserinfoHTML) {
		w.Header().Set("Content-Type", "text/html;charset=UTF-8")
		_, _ = w.Write([]byte("<!DOCTYPE html><title>200</title><p>This is not the JSON that you asked for.</p>"))
		return
	}
	writeRawJSON(w, http.StatusOK, body)
}

// refuseUserinfo is the documented UserinfoError, whose status is a string.
func (e *Emulator) refuseUserinfo(w http.ResponseWriter, detail string) {
	w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	writeJSON(w, http.StatusUnauthorized, map[string]any{
		"type":      e.BaseURL() + "/problems/unauthorized",
		"title":     "Unauthorized",
		"status":    "401",
		"detail":    detail,
		"instance":  pathUserinfo,
		"extraInfo": map[string]any{},
	})
}
