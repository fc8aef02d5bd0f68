package emulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Kinds for Control.Break that are about webhooks.
const (
	BreakWebhookBadSignature = "webhook-bad-signature"
	BreakWebhookDecodedKey   = "webhook-decoded-key"
	BreakWebhookForeignKey   = "webhook-foreign-key"
	BreakWebhookEmptyKey     = "webhook-empty-key"
	BreakWebhookDateOnly     = "webhook-date-only"
	BreakWebhookChangedBody  = "webhook-changed-body"
	BreakWebhookOldDate      = "webhook-old-date"
	BreakWebhookFutureDate   = "webhook-future-date"
	BreakWebhookISODate      = "webhook-iso-date"
	BreakWebhookUnsigned     = "webhook-unsigned"
	BreakWebhookOtherHost    = "webhook-other-host"
	BreakWebhookOtherPath    = "webhook-other-path"
	BreakWebhookTwoSigned    = "webhook-two-signatures"
	BreakWebhookSHA1         = "webhook-sha1"
	BreakWebhookLowerCase    = "webhook-lower-case"
	BreakWebhookForeignID    = "webhook-foreign-id"
	BreakWebhookNoJSON       = "webhook-no-json"
	BreakWebhookTwice        = "webhook-twice"
	BreakWebhookFrozen       = "webhook-frozen"

	BreakWebhookUUIDSecret = "webhook-uuid-secret" //nolint:gosec // the name of a fault
)

func webhookBreaks() []BreakInfo {
	const where = "webhook"
	return []BreakInfo{
		{BreakWebhookBadSignature, where, "a byte of the signature is changed"},
		{BreakWebhookDecodedKey, where, "signed with the secret base64-decoded"},
		{BreakWebhookForeignKey, where, "signed with another registration's secret"},
		{BreakWebhookEmptyKey, where, "signed with an empty secret"},
		{BreakWebhookDateOnly, where, "only x-ms-date is signed, and SignedHeaders says so"},
		{BreakWebhookChangedBody, where, "the body has one more space than what was signed"},
		{BreakWebhookOldDate, where, "rightly signed six minutes ago"},
		{BreakWebhookFutureDate, where, "rightly signed six minutes from now"},
		{BreakWebhookISODate, where, "x-ms-date as 2023-03-30T08:38:32Z, rightly signed"},
		{BreakWebhookUnsigned, where, "no Authorization"},
		{BreakWebhookOtherHost, where, "signed for another host"},
		{BreakWebhookOtherPath, where, "signed for another path"},
		{BreakWebhookTwoSigned, where, "a second &Signature="},
		{BreakWebhookSHA1, where, "the scheme is HMAC-SHA1"},
		{BreakWebhookLowerCase, where, "the scheme is hmac-sha256"},
		{BreakWebhookForeignID, where, "rightly signed, the auth_req_id is nobody's"},
		{BreakWebhookNoJSON, where, "rightly signed, the body is no JSON"},
		{BreakWebhookTwice, where, "the same request is sent twice"},
		{BreakWebhookFrozen, where, "every retry repeats the date and the signature of this attempt (valid)"},
		{BreakWebhookUUIDSecret, "webhooks-api", "a registration's secret is a UUID, as in the specification's sample (valid)"},
	}
}

// signed is what a delivery is signed with.
type signed struct{ date, hash, authorization string }

const signedHeaders = "x-ms-date;host;x-ms-content-sha256"

// stringToSign is the text that Vipps signs: LF between its lines, none at its end.
func stringToSign(u *url.URL, host, date, hash string) string {
	return http.MethodPost + "\n" + u.RequestURI() + "\n" + date + ";" + host + ";" + hash
}

// signature is over the text, keyed with the bytes of the secret as it was given out, although it looks like base64.
func signature(secret, text string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func contentHash(body []byte) string {
	sum := sha256.Sum256(body)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// authority is the host of a URL as it is sent and signed: in lower case, without the scheme's own port.
func authority(u *url.URL) string {
	host := strings.ToLower(u.Host)
	if u.Scheme == "https" {
		return strings.TrimSuffix(host, ":443")
	}
	return strings.TrimSuffix(host, ":80")
}

// dress makes the header and the body of one attempt, with the faults that Control.Break asks for, and says whether it is sent twice.
func (e *Emulator) dress(p *parcel) (header http.Header, body []byte, twice bool) {
	header = http.Header{"Content-Type": {p.contentType}, "User-Agent": {"vippsauth-emulator"}, "Accept": {"*/*"}}
	if p.secret == "" {
		return header, p.body, false
	}
	body = p.body
	if e.take(BreakWebhookForeignID) {
		body = []byte(`{"auth_req_id":"` + newAuthReqID() + `"}`)
	}
	if e.take(BreakWebhookNoJSON) {
		body = []byte("auth_req_id=1")
	}
	s := p.frozen
	if s == nil {
		s = e.signParcel(p, body)
		if e.take(BreakWebhookFrozen) {
			p.frozen = s
		}
	}
	header["x-ms-date"], header["x-ms-content-sha256"] = []string{s.date}, []string{s.hash}
	if s.authorization != "" {
		header["Authorization"] = []string{s.authorization}
	}
	if e.take(BreakWebhookChangedBody) {
		body = append([]byte(" "), body...)
	}
	return header, body, e.take(BreakWebhookTwice)
}

func (e *Emulator) signParcel(p *parcel, body []byte) *signed {
	u, err := url.Parse(p.url)
	if err != nil { // it was checked when it was registered
		return &signed{}
	}
	now, host, secret, list := e.now().UTC(), authority(u), e.breakSecret(p.secret), signedHeaders
	if e.take(BreakWebhookOldDate) {
		now = now.Add(-6 * time.Minute)
	}
	if e.take(BreakWebhookFutureDate) {
		now = now.Add(6 * time.Minute)
	}
	s := &signed{date: now.Format(http.TimeFormat), hash: contentHash(body)}
	if e.take(BreakWebhookISODate) {
		s.date = now.Format(time.RFC3339)
	}
	if e.take(BreakWebhookOtherHost) {
		host = "other.example"
	}
	if e.take(BreakWebhookOtherPath) {
		u = &url.URL{Path: "/other"}
	}
	text := stringToSign(u, host, s.date, s.hash)
	if e.take(BreakWebhookDateOnly) {
		list, text = "x-ms-date", http.MethodPost+"\n"+u.RequestURI()+"\n"+s.date
	}
	sig := signature(secret, text)
	if e.take(BreakWebhookBadSignature) {
		first := "A"
		if sig[0] == 'A' {
			first = "B"
		}
		sig = first + sig[1:]
	}
	scheme := "HMAC-SHA256"
	switch {
	case e.take(BreakWebhookSHA1):
		scheme = "HMAC-SHA1"
	case e.take(BreakWebhookLowerCase):
		scheme = "hmac-sha256"
	}
	s.authorization = scheme + " SignedHeaders=" + list + "&Signature=" + sig
	if e.take(BreakWebhookTwoSigned) {
		s.authorization += "&Signature=" + contentHash(nil)
	}
	if e.take(BreakWebhookUnsigned) {
		s.authorization = ""
	}
	return s
}

// breakSecret is the key that a delivery is signed with.
func (e *Emulator) breakSecret(secret string) string {
	switch {
	case e.take(BreakWebhookDecodedKey):
		raw, err := base64.StdEncoding.DecodeString(secret)
		if err == nil {
			return string(raw)
		}
	case e.take(BreakWebhookForeignKey):
		return base64.StdEncoding.EncodeToString(randomBytes(64))
	case e.take(BreakWebhookEmptyKey):
		return ""
	}
	return secret
}

// newAuthReqID has the shape of the documents' samples: 27 characters.
func newAuthReqID() string { return base64.RawURLEncoding.EncodeToString(randomBytes(20)) }

func tlsConfig(roots *x509.CertPool) *tls.Config {
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}
