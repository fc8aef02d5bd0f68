package emulator

// Kinds for Control.Break that concern merchant-initiated login or consents.
const (
	BreakNoAuthReqID    = "no-auth-req-id"
	BreakNoExpiresIn    = "no-expires-in"
	BreakNoInterval     = "no-interval"
	BreakRetryAfterDate = "retry-after-date"
	BreakErrorCode      = "error-code"

	BreakRS256             = "rs256"
	BreakAudArray          = "aud-array"
	BreakMerchantNonce     = "merchant-nonce"
	BreakMerchantAuthReqID = "merchant-auth-req-id"
	BreakAuthReqIDCamel    = "auth-req-id-camel"
	BreakAuthReqIDClaim    = "auth-req-id-jwt-claim"
	BreakAuthReqIDTwo      = "auth-req-id-two"
	BreakWrongAuthReqID    = "wrong-auth-req-id"
	BreakMissingAuthReqID  = "missing-auth-req-id"

	BreakConsentsLeadingSpace = "consents-leading-space"
	BreakPingInBrowser        = "ping-in-browser"
)

func merchantBreaks() []BreakInfo {
	return []BreakInfo{
		{BreakNoAuthReqID, "merchant", "no auth_req_id"},
		{BreakNoExpiresIn, "merchant", "no expires_in"},
		{BreakNoInterval, "merchant", "no interval (valid: five seconds)"},
		{BreakRetryAfterDate, "merchant", "Retry-After of a 429 or 503 is a date (valid)"},
		{BreakErrorCode, "merchant", "the error of a start or login that was denied is in error_code, as the documents write it"},
		{BreakRS256, "merchant", "RS256 where merchant-initiated logins have ES256 (valid)"},
		{BreakAudArray, "merchant", "aud is an array where merchant-initiated logins have a string (valid)"},
		{BreakMerchantNonce, "merchant", "the nonce of a merchant-initiated login is there (valid)"},
		{BreakMerchantAuthReqID, "merchant", "auth_req_id is there in a polled login too (valid)"},
		{BreakAuthReqIDCamel, "merchant", "auth_req_id is spelled authReqId, as in an encoded sample (valid)"},
		{BreakAuthReqIDClaim, "merchant", "auth_req_id is spelled urn:openid:params:jwt:claim:auth_req_id, as in CIBA Core"},
		{BreakAuthReqIDTwo, "merchant", "authReqId is there too, with another value"},
		{BreakWrongAuthReqID, "merchant", `auth_req_id has "1" at its end`},
		{BreakMissingAuthReqID, "merchant", "no auth_req_id"},
		{BreakConsentsLeadingSpace, "merchant", "delegatedConsents has a termsDescription with a space in front of its name, as one documented sample"},
		{BreakPingInBrowser, "webhooks-api", "a login that ends in a browser is told to webhooks too, as one document says (valid)"},
	}
}

// merchantChanges put faults into the auth_req_id of an ID token.
func merchantChanges(c map[string]any) map[string]func() {
	return map[string]func(){
		BreakAuthReqIDCamel:   func() { rename(c, "auth_req_id", "authReqId") },
		BreakAuthReqIDClaim:   func() { rename(c, "auth_req_id", "urn:openid:params:jwt:claim:auth_req_id") },
		BreakAuthReqIDTwo:     func() { c["authReqId"] = asText(c["auth_req_id"]) + "1" },
		BreakWrongAuthReqID:   func() { c["auth_req_id"] = asText(c["auth_req_id"]) + "1" },
		BreakMissingAuthReqID: func() { delete(c, "auth_req_id") },
	}
}

// rename gives a claim, where it is, another name.
func rename(c map[string]any, from, to string) {
	if v, ok := c[from]; ok {
		delete(c, from)
		c[to] = v
	}
}
