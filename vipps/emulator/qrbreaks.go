package emulator

import (
	"strings"
	"time"
)

// Kinds for Control.Break that are about the JWS that a QR code's callback URI gets.
const (
	BreakQRWrongAud     = "qr-wrong-aud"
	BreakQRExtraAud     = "qr-extra-aud"
	BreakQRMissingAud   = "qr-missing-aud"
	BreakQRAudArray     = "qr-aud-array"
	BreakQRWrongIss     = "qr-wrong-iss"
	BreakQRMissingIss   = "qr-missing-iss"
	BreakQRExpired      = "qr-expired"
	BreakQRMissingExp   = "qr-missing-exp"
	BreakQRMissingIat   = "qr-missing-iat"
	BreakQRIatFuture    = "qr-iat-future"
	BreakQRLongLived    = "qr-long-lived"
	BreakQRNoAuthReqID  = "qr-no-auth-req-id"
	BreakQRForeignID    = "qr-foreign-auth-req-id"
	BreakQRWithSub      = "qr-with-sub"
	BreakQRWithNonce    = "qr-with-nonce"
	BreakQRAlgNone      = "qr-alg-none"
	BreakQRHS256        = "qr-hs256-client-secret"
	BreakQRRS256        = "qr-rs256"
	BreakQRUnknownKID   = "qr-unknown-kid"
	BreakQRNoKID        = "qr-no-kid"
	BreakQRBadSignature = "qr-bad-signature"
	BreakQRIDToken      = "qr-id-token"
	BreakQRJSON         = "qr-json"
	BreakQRHuge         = "qr-huge"
	BreakQRTextPlain    = "qr-text-plain"
	BreakQRForm         = "qr-form"
	BreakQRTwice        = "qr-twice"
)

func qrBreaks() []BreakInfo {
	const where = "qr"
	return []BreakInfo{
		{BreakQRWrongAud, where, "aud is another client's id"},
		{BreakQRExtraAud, where, "aud has a second, foreign member"},
		{BreakQRMissingAud, where, "no aud"},
		{BreakQRAudArray, where, "aud is an array (valid)"},
		{BreakQRWrongIss, where, `iss has "1" at its end`},
		{BreakQRMissingIss, where, "no iss"},
		{BreakQRExpired, where, "expired an hour ago"},
		{BreakQRMissingExp, where, "no exp"},
		{BreakQRMissingIat, where, "no iat"},
		{BreakQRIatFuture, where, "iat is in 2040"},
		{BreakQRLongLived, where, "issued an hour ago, and good for a day"},
		{BreakQRNoAuthReqID, where, "no auth_req_id"},
		{BreakQRForeignID, where, "the auth_req_id is nobody's"},
		{BreakQRWithSub, where, "there is a sub"},
		{BreakQRWithNonce, where, "there is a nonce"},
		{BreakQRAlgNone, where, "alg is none, no signature"},
		{BreakQRHS256, where, "HS256 with the client secret"},
		{BreakQRRS256, where, "RS256 with the published key"},
		{BreakQRUnknownKID, where, "a kid that isn't published"},
		{BreakQRNoKID, where, "no kid in the header"},
		{BreakQRBadSignature, where, "a byte of the signature is changed"},
		{BreakQRIDToken, where, "an ID token of the same client and person instead"},
		{BreakQRJSON, where, "in the flattened JSON serialization"},
		{BreakQRHuge, where, "more than 9 KiB"},
		{BreakQRTextPlain, where, "the Content-Type is text/plain (valid)"},
		{BreakQRForm, where, "as a form with the field jws"},
		{BreakQRTwice, where, "it is sent twice"},
	}
}

// breakQRClaims puts faults into the claims of the JWS.
func (e *Emulator) breakQRClaims(c map[string]any, client *Client, g *grant, now time.Time) {
	const other = "another-client"
	changes := map[string]func(){
		BreakQRWrongAud:    func() { c["aud"] = other },
		BreakQRExtraAud:    func() { c["aud"] = []string{client.ID, other} },
		BreakQRMissingAud:  func() { delete(c, "aud") },
		BreakQRAudArray:    func() { c["aud"] = []string{client.ID} },
		BreakQRWrongIss:    func() { c["iss"] = e.Issuer() + "1" },
		BreakQRMissingIss:  func() { delete(c, "iss") },
		BreakQRExpired:     func() { c["iat"], c["exp"] = now.Add(-time.Hour-callbackTTL).Unix(), now.Add(-time.Hour).Unix() },
		BreakQRMissingExp:  func() { delete(c, "exp") },
		BreakQRMissingIat:  func() { delete(c, "iat") },
		BreakQRIatFuture:   func() { c["iat"], c["exp"] = 2208988800, 2208988800+300 },
		BreakQRLongLived:   func() { c["iat"], c["exp"] = now.Add(-time.Hour).Unix(), now.Add(24*time.Hour).Unix() },
		BreakQRNoAuthReqID: func() { delete(c, "auth_req_id") },
		BreakQRForeignID:   func() { c["auth_req_id"] = newAuthReqID() },
		BreakQRWithSub:     func() { c["sub"] = subject(client.ID, g.person) },
		BreakQRWithNonce:   func() { c["nonce"] = newUUID() },
		BreakQRHuge:        func() { c["padding"] = strings.Repeat("x", 9<<10) },
	}
	for _, b := range qrBreaks() { // in a fixed order, for those who combine them
		if change := changes[b.Kind]; change != nil && e.take(b.Kind) {
			change()
		}
	}
}
