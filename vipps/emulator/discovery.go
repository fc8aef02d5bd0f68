package emulator

import (
	"encoding/json"
	"net/http"
)

// serveDiscovery answers what the newest documents show, less what isn't modelled: no revocation or logout endpoint, no client
// credentials, and request objects are said not to be taken. The response types are the engine's leftovers that Vipps lists
// too; authorize takes only "code". The grants of merchant-initiated login aren't listed, as at Vipps.
func (e *Emulator) serveDiscovery(w http.ResponseWriter, _ *http.Request) {
	base, issuer := e.BaseURL(), e.Issuer()
	methods := []string{"S256"}
	if e.cfg.AllowPlainPKCE {
		methods = []string{"plain", "S256"}
	}
	doc := map[string]any{
		"issuer":                              issuer,
		"authorization_endpoint":              base + pathAuthorize,
		"token_endpoint":                      base + pathToken,
		"userinfo_endpoint":                   base + pathUserinfo,
		"jwks_uri":                            base + pathJWKS,
		"backchannel_authentication_endpoint": base + pathBackchannel,
		"backchannel_token_delivery_modes_supported": []string{"poll"},
		"grant_types_supported":                      []string{"authorization_code"},
		"response_types_supported":                   []string{"code", "code id_token", "id_token", "token id_token", "token", "token id_token code"},
		"response_modes_supported":                   []string{"query"},
		"subject_types_supported":                    []string{"public", "pairwise"},
		"claims_supported":                           []string{"sub"},
		"scopes_supported":                           knownScopes[:],
		"token_endpoint_auth_methods_supported":      []string{AuthPost, AuthBasic},
		"id_token_signing_alg_values_supported":      []string{"RS256"},
		"userinfo_signing_alg_values_supported":      []string{"none"},
		"code_challenge_methods_supported":           methods,
		"request_parameter_supported":                false,
		"request_uri_parameter_supported":            false,
		"claims_parameter_supported":                 false,
		"backchannel_logout_supported":               false,
		"backchannel_logout_session_supported":       false,
		"frontchannel_logout_supported":              false,
		"frontchannel_logout_session_supported":      false,
	}
	if e.take(BreakDiscoveryWrongIssuer) {
		doc["issuer"] = issuer + "INVALID"
	}
	if e.take(BreakDiscoveryAdvertiseIss) {
		doc["authorization_response_iss_parameter_supported"] = true
	}
	w.Header().Set("Cache-Control", "max-age=3600")
	writeJSON(w, http.StatusOK, doc)
}

// writeJSON writes v with the content type that Vipps documents.
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // only maps, slices, strings and numbers of ours come here
		http.Error(w, "vippsauth emulator: marshalling the answer failed", http.StatusInternalServerError)
		return
	}
	writeRawJSON(w, status, body)
}

func writeRawJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
