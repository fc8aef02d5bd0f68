package emulator

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// Kinds for Control.Break; Breaks says what each does.
const (
	BreakWrongIss       = "wrong-iss"
	BreakMissingIss     = "missing-iss"
	BreakWrongAud       = "wrong-aud"
	BreakMissingAud     = "missing-aud"
	BreakAudString      = "aud-string"
	BreakAudExtra       = "aud-extra"
	BreakAudExtraAzp    = "aud-extra-azp"
	BreakAzp            = "azp"
	BreakWrongAzp       = "wrong-azp"
	BreakWrongNonce     = "wrong-nonce"
	BreakMissingNonce   = "missing-nonce"
	BreakWrongAtHash    = "wrong-at-hash"
	BreakMissingAtHash  = "missing-at-hash"
	BreakExpired        = "expired"
	BreakMissingExp     = "missing-exp"
	BreakMissingIat     = "missing-iat"
	BreakIatOld         = "iat-old"
	BreakIatFuture      = "iat-future"
	BreakNbfFuture      = "nbf-future"
	BreakMissingSub     = "missing-sub"
	BreakEmptySub       = "empty-sub"
	BreakSubNumber      = "sub-number"
	BreakMissingACR     = "missing-acr"
	BreakWrongACR       = "wrong-acr"
	BreakExtraClaims    = "extra-claims"
	BreakDuplicateKeys  = "duplicate-keys"
	BreakCaseVariants   = "case-variants"
	BreakAlgNone        = "alg-none"
	BreakHS256PublicKey = "hs256-public-key"
	BreakHS256Secret    = "hs256-client-secret"
	BreakES256          = "es256"
	BreakUnknownKID     = "unknown-kid"
	BreakForeignKey     = "foreign-key"
	BreakNoKID          = "no-kid"
	BreakBadSignature   = "bad-signature"
	BreakNoIDToken      = "no-id-token"
	BreakNotAJWT        = "not-a-jwt"
	BreakTokenTypeCase  = "token-type-case"
	BreakTokenNoExpires = "token-no-expires-in"

	BreakUserinfoWrongSub      = "userinfo-wrong-sub"
	BreakUserinfoMissingSub    = "userinfo-missing-sub"
	BreakUserinfoDuplicateKeys = "userinfo-duplicate-keys"
	BreakUserinfoExtraClaims   = "userinfo-extra-claims"
	BreakUserinfoHTML          = "userinfo-html"
	BreakEmailVerifiedString   = "email-verified-string"
	BreakEmailVerifiedMissing  = "email-verified-missing"
	BreakPhoneUnverified       = "phone-unverified"
	BreakEscapedNewlines       = "escaped-newlines"
	BreakAddressArray          = "address-array"
	BreakControlCharacters     = "control-characters"
	BreakHugeProfile           = "huge-profile"
	BreakHugeBody              = "huge-body"

	BreakMalformedRedirect     = "malformed-redirect"
	BreakCallbackNoState       = "callback-no-state"
	BreakCallbackWrongState    = "callback-wrong-state"
	BreakCallbackTwoStates     = "callback-two-states"
	BreakCallbackNoScope       = "callback-no-scope"
	BreakCallbackCodeAndError  = "callback-code-and-error"
	BreakCallbackIss           = "callback-iss"
	BreakCallbackWrongIss      = "callback-wrong-iss"
	BreakDiscoveryWrongIssuer  = "discovery-wrong-issuer"
	BreakDiscoveryAdvertiseIss = "discovery-advertise-iss"
)

// BreakInfo describes a kind of Control.Break.
type BreakInfo struct {
	Kind string `json:"kind"`
	// Where is the answer that is broken: id-token, token, userinfo, callback, discovery, merchant, app-callback, access-token or webhooks-api, or
	// what is delivered: webhook, consent-revoked or qr.
	Where string `json:"where"`
	// Does says how.
	Does string `json:"does"`
}

// Breaks lists every kind that Control.Break takes.
func Breaks() []BreakInfo {
	return slices.Concat(loginBreaks(), merchantBreaks(), webhookBreaks(), revokedBreaks(), qrBreaks())
}

func loginBreaks() []BreakInfo {
	return []BreakInfo{
		{BreakWrongIss, "id-token", `iss has "1" at its end`},
		{BreakMissingIss, "id-token", "no iss"},
		{BreakWrongAud, "id-token", `aud is the client id with "1" at its end`},
		{BreakMissingAud, "id-token", "no aud"},
		{BreakAudString, "id-token", "aud is a string and not an array (valid)"},
		{BreakAudExtra, "id-token", "aud has a second, foreign member, and there is no azp"},
		{BreakAudExtraAzp, "id-token", "aud has a second, foreign member, and azp is the client id"},
		{BreakAzp, "id-token", "azp is the client id (valid)"},
		{BreakWrongAzp, "id-token", "azp is another client's id"},
		{BreakWrongNonce, "id-token", `nonce has "1" at its end`},
		{BreakMissingNonce, "id-token", "no nonce"},
		{BreakWrongAtHash, "id-token", "at_hash is that of another access token"},
		{BreakMissingAtHash, "id-token", "no at_hash (valid in the code flow)"},
		{BreakExpired, "id-token", "expired an hour ago"},
		{BreakMissingExp, "id-token", "no exp"},
		{BreakMissingIat, "id-token", "no iat"},
		{BreakIatOld, "id-token", "iat is a week ago"},
		{BreakIatFuture, "id-token", "iat is in an hour"},
		{BreakNbfFuture, "id-token", "nbf is in an hour"},
		{BreakMissingSub, "id-token", "no sub"},
		{BreakEmptySub, "id-token", "sub is the empty string"},
		{BreakSubNumber, "id-token", "sub is a number"},
		{BreakMissingACR, "id-token", "no acr, whatever was asked for"},
		{BreakWrongACR, "id-token", "another acr"},
		{BreakWrongMSN, "id-token", "another msn"},
		{BreakMissingMSN, "id-token", "no msn"},
		{BreakExtraClaims, "id-token", "members that nobody knows, a claim source on another host among them (valid)"},
		{BreakDuplicateKeys, "id-token", "sub is there twice, the real one last"},
		{BreakCaseVariants, "id-token", "there are a Sub and a SUB with other values (valid)"},
		{BreakAlgNone, "id-token", "alg is none, no signature"},
		{BreakHS256PublicKey, "id-token", "HS256 with the PEM of the RSA public key as its secret"},
		{BreakHS256Secret, "id-token", "HS256 with the client secret"},
		{BreakES256, "id-token", "ES256 with the published P-256 key, which discovery doesn't announce"},
		{BreakUnknownKID, "id-token", "signed with an RSA key that isn't published"},
		{BreakForeignKey, "id-token", "the published kid, another key"},
		{BreakNoKID, "id-token", "no kid in the header"},
		{BreakBadSignature, "id-token", "a byte of the signature is changed"},
		{BreakNoIDToken, "token", "no id_token"},
		{BreakNotAJWT, "token", "id_token is not a JWT"},
		{BreakTokenTypeCase, "token", "token_type is bEARER (valid)"},
		{BreakTokenNoExpires, "token", "neither expires_in nor scope (valid)"},
		{BreakEmailVerifiedMissing, "userinfo", "email without email_verified"},
		{BreakPhoneUnverified, "userinfo", "phone_number_verified is false"},
		{BreakUserinfoWrongSub, "userinfo", `sub has "invalid" at its end`},
		{BreakUserinfoMissingSub, "userinfo", "no sub"},
		{BreakUserinfoDuplicateKeys, "userinfo", "sub is there twice, the real one last"},
		{BreakUserinfoExtraClaims, "userinfo", "members that nobody knows (valid)"},
		{BreakUserinfoHTML, "userinfo", "200 with HTML"},
		{BreakEmailVerifiedString, "userinfo", `email_verified is the string "true"`},
		{BreakEscapedNewlines, "userinfo", `line breaks of addresses are a backslash and an n, as in one documented sample`},
		{BreakAddressArray, "userinfo", "address is an array, as in API version 1"},
		{BreakControlCharacters, "userinfo", "names hold CR, LF and NUL"},
		{BreakHugeProfile, "userinfo", "names and addresses of some 20 KB in all"},
		{BreakHugeBody, "userinfo", "2 MiB of JSON"},
		{BreakMalformedRedirect, "callback", "an error comes back with ?state= in its middle, as the documents print it"},
		{BreakCallbackNoState, "callback", "no state"},
		{BreakCallbackWrongState, "callback", `state has "1" at its end`},
		{BreakCallbackTwoStates, "callback", "state is there twice"},
		{BreakCallbackNoScope, "callback", "no scope (valid)"},
		{BreakCallbackCodeAndError, "callback", "both code and error"},
		{BreakCallbackIss, "callback", "iss as in RFC 9207 (valid)"},
		{BreakCallbackWrongIss, "callback", "another iss"},
		{BreakDiscoveryWrongIssuer, "discovery", `issuer has "INVALID" at its end`},
		{BreakDiscoveryAdvertiseIss, "discovery", "announces iss in the callback (RFC 9207)"},
		{BreakAppCallback, "app-callback", "an error for an app comes with ?error= behind the state, as the documents print it"},
		{BreakAccessTokenNumbers, "access-token", "its times are numbers and not strings (valid)"},
	}
}

// take says whether the fault is on, and uses it once.
func (e *Emulator) take(kind string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.takeLocked(kind)
}

func (e *Emulator) takeLocked(kind string) bool {
	n := e.state.breaks[kind]
	switch {
	case n == 0:
		return false
	case n == 1:
		delete(e.state.breaks, kind)
	case n > 1:
		e.state.breaks[kind] = n - 1
	}
	return true
}

// breakClaims puts faults into the claims of an ID token.
func (e *Emulator) breakClaims(c map[string]any, clientID string, now time.Time) {
	const other = "another-client"
	changes := map[string]func(){
		BreakWrongIss:      func() { c["iss"] = e.Issuer() + "1" },
		BreakMissingIss:    func() { delete(c, "iss") },
		BreakWrongAud:      func() { c["aud"] = []string{clientID + "1"} },
		BreakMissingAud:    func() { delete(c, "aud") },
		BreakAudString:     func() { c["aud"] = clientID },
		BreakAudExtra:      func() { c["aud"] = []string{clientID, other} },
		BreakAudExtraAzp:   func() { c["aud"], c["azp"] = []string{clientID, other}, clientID },
		BreakAzp:           func() { c["azp"] = clientID },
		BreakWrongAzp:      func() { c["azp"] = other },
		BreakWrongNonce:    func() { c["nonce"] = asText(c["nonce"]) + "1" },
		BreakMissingNonce:  func() { delete(c, "nonce") },
		BreakWrongAtHash:   func() { c["at_hash"] = "AAAAAAAAAAAAAAAAAAAAAA" },
		BreakMissingAtHash: func() { delete(c, "at_hash") },
		BreakExpired:       func() { c["iat"], c["exp"] = now.Add(-2*time.Hour).Unix(), now.Add(-time.Hour).Unix() },
		BreakMissingExp:    func() { delete(c, "exp") },
		BreakMissingIat:    func() { delete(c, "iat") },
		BreakIatOld:        func() { c["iat"] = now.Add(-7 * 24 * time.Hour).Unix() },
		BreakIatFuture:     func() { c["iat"] = now.Add(time.Hour).Unix(); c["exp"] = now.Add(2 * time.Hour).Unix() },
		BreakNbfFuture:     func() { c["nbf"] = now.Add(time.Hour).Unix() },
		BreakMissingSub:    func() { delete(c, "sub") },
		BreakEmptySub:      func() { c["sub"] = "" },
		BreakSubNumber:     func() { c["sub"] = 4711 },
		BreakWrongMSN:      func() { c["msn"] = "654321" },
		BreakMissingMSN:    func() { delete(c, "msn") },
		BreakMissingACR:    func() { delete(c, "acr") },
		BreakWrongACR:      func() { c["acr"] = "urn:vipps:acr:something_else" },
		BreakExtraClaims: func() {
			c["urn:example:extra"] = map[string]any{"deep": []any{1, nil, true}}
			c["_claim_names"] = map[string]any{"payment_info": "src1"}
			c["_claim_sources"] = map[string]any{"src1": map[string]any{"endpoint": "http://127.0.0.1:1/never"}}
		},
		BreakCaseVariants: func() { c["Sub"], c["SUB"] = "emulator-title", "emulator-upper" },
	}
	maps.Copy(changes, merchantChanges(c))
	for _, b := range Breaks() { // in a fixed order, for those who combine them
		if change := changes[b.Kind]; change != nil && e.take(b.Kind) {
			change()
		}
	}
}

// breakPayload puts faults into an ID token that a map can't hold.
func (e *Emulator) breakPayload(payload []byte) []byte {
	if e.take(BreakDuplicateKeys) {
		payload = append([]byte(`{"sub":"emulator-duplicate",`), payload[1:]...)
	}
	return payload
}

// asText is a claim that is text, and empty for any other.
func asText(claim any) string {
	s, _ := claim.(string)
	return s
}

// breakUserinfo puts faults into the claims of a userinfo answer.
func (e *Emulator) breakUserinfo(c map[string]any) {
	if e.take(BreakUserinfoWrongSub) {
		c["sub"] = asText(c["sub"]) + "invalid"
	}
	if e.take(BreakUserinfoMissingSub) {
		delete(c, "sub")
	}
	if e.take(BreakEmailVerifiedMissing) {
		delete(c, "email_verified")
	}
	if e.take(BreakPhoneUnverified) {
		c["phone_number_verified"] = false
	}
	if e.take(BreakEmailVerifiedString) {
		c["email_verified"] = "true"
	}
	if e.take(BreakUserinfoExtraClaims) {
		c["urn:example:extra"] = map[string]any{"deep": []any{1, nil, true}}
		c["future_claim"] = "something new"
	}
	if a, ok := c["address"].(map[string]any); ok {
		if e.take(BreakEscapedNewlines) {
			a["formatted"] = strings.ReplaceAll(asText(a["formatted"]), "\n", `\n`)
			a["street_address"] = strings.ReplaceAll(asText(a["street_address"]), "\n", `\n`)
		}
		if e.take(BreakAddressArray) {
			a["default"] = true
			c["address"] = []any{a}
			delete(c, "other_addresses")
		}
	}
	if e.take(BreakControlCharacters) {
		replace(c, map[string]any{"name": "Åse\r\nX-Vipps-Sub: evil\x00", "given_name": "Åse\n"})
	}
	if e.take(BreakHugeProfile) {
		street := strings.Repeat("Lang linje\n", 400)
		replace(c, map[string]any{
			"name": strings.Repeat("Navn ", 1000), "given_name": strings.Repeat("Ådne ", 800), "family_name": strings.Repeat("Å", 1500),
			"address": map[string]any{"address_type": "home", "country": "NO", "formatted": street, "postal_code": "0001", "region": "OSLO", "street_address": street},
		})
	}
	if e.take(BreakHugeBody) {
		c["padding"] = json.RawMessage(`"` + strings.Repeat("x", 2<<20) + `"`)
	}
}

// replace sets those members of with that c has.
func replace(c, with map[string]any) {
	for name, v := range with {
		if _, ok := c[name]; ok {
			c[name] = v
		}
	}
}
