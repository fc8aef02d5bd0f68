package emulator

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"time"
)

// Kinds for Control.Break that are about the message that consent was taken back.
const (
	BreakRevokedUnknownSub = "consent-revoked-unknown-sub"
	BreakRevokedExpired    = "consent-revoked-expired"
	BreakRevokedOtherEvent = "consent-revoked-other-event"
	BreakRevokedTrailing   = "consent-revoked-trailing-dot"
	BreakRevokedTwice      = "consent-revoked-twice"
)

func revokedBreaks() []BreakInfo {
	const where = "consent-revoked"
	return []BreakInfo{
		{BreakRevokedUnknownSub, where, "the sub is nobody's"},
		{BreakRevokedExpired, where, "it expired an hour ago"},
		{BreakRevokedOtherEvent, where, "another event"},
		{BreakRevokedTrailing, where, "there is a dot at its end, as in other unsigned JWTs (valid)"},
		{BreakRevokedTwice, where, "it is sent twice"},
	}
}

// revokedHeader is the header of the documents' sample, with its space and its line break.
const revokedHeader = "{\"alg\":\"none\",\"typ\": \"JWT\"}\n"

// revokedClaims has the members in the order of the sample.
type revokedClaims struct {
	Exp   int64  `json:"exp"`
	Iat   int64  `json:"iat"`
	Nbf   int64  `json:"nbf"`
	Sub   string `json:"sub"`
	Event string `json:"event"`
}

// revokeLocked takes back what a person consented to at a client, and tells the client if there was anything.
func (e *Emulator) revokeLocked(clientID, personID string) {
	key := consentKey(clientID, personID)
	_, had := e.state.consents.get(key)
	e.state.consents.delete(key)
	client := e.state.clients[clientID]
	if !had || client == nil || client.ConsentRevokedURI == "" {
		return
	}
	target, err := url.Parse(client.ConsentRevokedURI)
	if err != nil { // AddClient has parsed it
		return
	}
	origin := target.Scheme + "://" + target.Host // the path is the receiver's secret
	times := 1
	if e.takeLocked(BreakRevokedTwice) {
		times = 2
	}
	body := e.revokedBody(subject(clientID, personID), e.nowLocked())
	for range times {
		e.enqueueLocked(&parcel{
			Delivery: Delivery{Kind: DeliverConsentRevoked, To: clientID, URL: origin, Event: "CONSENT_REVOKED"},
			url:      client.ConsentRevokedURI, contentType: "text/plain", body: body,
		})
	}
}

// revokedBody is an unsigned JWT of two parts: no more secure than plain JSON, as the documents say themselves.
func (e *Emulator) revokedBody(sub string, now time.Time) []byte {
	claims := revokedClaims{Sub: sub, Event: "CONSENT_REVOKED"}
	if e.takeLocked(BreakRevokedUnknownSub) {
		claims.Sub = "emulator-" + newUUID()
	}
	if e.takeLocked(BreakRevokedExpired) {
		now = now.Add(-time.Hour - 5*time.Minute)
	}
	if e.takeLocked(BreakRevokedOtherEvent) {
		claims.Event = "CONSENT_GIVEN"
	}
	claims.Iat, claims.Nbf, claims.Exp = now.Unix(), now.Unix(), now.Add(5*time.Minute).Unix()
	payload, err := json.Marshal(claims)
	if err != nil { // strings and numbers always marshal
		return nil
	}
	enc := base64.RawURLEncoding
	body := enc.EncodeToString([]byte(revokedHeader)) + "." + enc.EncodeToString(payload)
	if e.takeLocked(BreakRevokedTrailing) {
		body += "."
	}
	return []byte(body)
}
