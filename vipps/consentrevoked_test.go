package vipps_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps"
)

// What Vipps' documents show: https://developer.vippsmobilepay.com/docs/APIs/login-api/api-guide/webhooks/.
const consentRevoked = "eyJhbGciOiJub25lIiwidHlwIjogIkpXVCJ9Cg.eyJleHAiOjE1OTI1NzE3ODgsImlhdCI6MTU5MjU3MTQ4OCwibmJmIjoxNTkyNTcxNDg4LCJzdWIiOiJjOWQxMDQ0NC1kOTkyLTQ4NTAtYWM2MC05ZDM1MDIwOTUwMDgiLCJldmVudCI6IkNPTlNFTlRfUkVWT0tFRCJ9"

// What Vipps documents is read, in each spelling of its end, and nothing that only looks like it: another algorithm least of all.
func TestSec_A171_ParseConsentRevoked(t *testing.T) {
	t.Parallel()
	want := vipps.ConsentRevoked{Sub: "c9d10444-d992-4850-ac60-9d3502095008", IssuedAt: time.Unix(1592571488, 0), ExpiresAt: time.Unix(1592571788, 0)}
	for _, body := range []string{consentRevoked, consentRevoked + ".", consentRevoked + "\n", consentRevoked + ".\r\n"} {
		if got, err := vipps.ParseConsentRevoked([]byte(body)); err != nil || got != want {
			t.Errorf("%q: %v, %v", body[len(body)-4:], got, err)
		}
	}
	if text := want.String(); strings.Contains(text, "c9d1") {
		t.Errorf("%s says who", text)
	}
	none, payload := b64(`{"alg":"none"}`), `{"iat":1592571488,"sub":"s","event":"CONSENT_REVOKED"}`
	for name, body := range map[string]string{
		"nothing": "", "one part": none, "no payload": none + ".", "a list": none + "." + b64(`[]`), "padding": none + "." + b64(payload) + "=", "a line end": none + ".\n" + b64(payload),
		"another algorithm": b64(`{"alg":"RS256"}`) + "." + b64(payload), "NONE": b64(`{"alg":"NONE"}`) + "." + b64(payload), "no algorithm": b64(`{}`) + "." + b64(payload),
		"crit": b64(`{"alg":"none","crit":["b64"]}`) + "." + b64(payload), "algorithm twice": b64(`{"alg":"RS256","alg":"none"}`) + "." + b64(payload),
		"no sub": none + "." + b64(`{"iat":1,"event":"CONSENT_REVOKED"}`), "odd sub": none + "." + b64(`{"iat":1,"sub":"a\nb","event":"CONSENT_REVOKED"}`),
		"two subs": none + "." + b64(`{"iat":1,"sub":"a","sub":"b","event":"CONSENT_REVOKED"}`), "long sub": none + "." + b64(`{"iat":1,"sub":"`+strings.Repeat("a", 256)+`","event":"CONSENT_REVOKED"}`),
		"no iat": none + "." + b64(`{"sub":"s","event":"CONSENT_REVOKED"}`), "odd iat": none + "." + b64(`{"iat":"now","sub":"s","event":"CONSENT_REVOKED"}`),
		"odd exp": none + "." + b64(`{"iat":1,"exp":1e400,"sub":"s","event":"CONSENT_REVOKED"}`), "too long": none + "." + b64(`{"iat":1,"sub":"s","event":"CONSENT_REVOKED","x":"`+strings.Repeat("a", 9000)+`"}`),
	} {
		if got, err := vipps.ParseConsentRevoked([]byte(body)); err == nil || errors.Is(err, vipps.ErrOtherEvent) || got.Sub != "" {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for _, event := range []string{`"consent_revoked"`, `"OTHER"`, `null`, `1`} {
		if _, err := vipps.ParseConsentRevoked([]byte(none + "." + b64(`{"iat":1,"sub":"s","event":`+event+`}`))); !errors.Is(err, vipps.ErrOtherEvent) {
			t.Errorf("%s: %v", event, err)
		}
	}
}

// Attack: since one webhook is a token with alg none, tokens with alg none get into the parser that ends with a login, or a
// signed token of somebody counts as their withdrawal. The two share no code but that for JSON, and each refuses the other's.
func TestSec_A171_ParserOfItsOwn(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	c := p.client()
	for token, codes := range map[string][2]string{
		consentRevoked: {vipps.CodeMalformedToken, vipps.CodeMalformedCallback}, consentRevoked + ".": {vipps.CodeAlgorithm, vipps.CodeAlgorithm}, consentRevoked + ".c2ln": {vipps.CodeAlgorithm, vipps.CodeAlgorithm},
	} {
		p.locked(func() { p.sign = func([]byte) string { return token } })
		_, err := p.login(c)
		refused(t, err, codes[0])
		refused(t, c.CheckHeader(token), codes[0])
		_, err = c.VerifyQRCallback(t.Context(), token)
		refused(t, err, codes[1])
	}
	payload := []byte(`{"iat":1592571488,"exp":1592571788,"sub":"s","event":"CONSENT_REVOKED"}`)
	signed := p.keys[0].sign(t, payload)
	if _, err := vipps.ParseConsentRevoked([]byte(signed)); err == nil || !strings.Contains(err.Error(), "not an unsigned token") {
		t.Errorf("a signed token is taken for a withdrawal: %v", err)
	}
	if _, err := vipps.ParseConsentRevoked([]byte(b64(`{"alg":"none"}`) + "." + strings.Split(signed, ".")[1] + "." + strings.Split(signed, ".")[2])); err == nil || !strings.Contains(err.Error(), "not an unsigned token") {
		t.Errorf("a token with a signature is taken for an unsigned one: %v", err)
	}
	if m := regexp.MustCompile(`oidc|jose|keySet|verifyIDToken|checkHeader|VerifySignature|checkClaims`).FindString(readSource(t, "consentrevoked.go")); m != "" {
		t.Errorf("the parser of unsigned tokens uses %s", m)
	}
	for _, file := range []string{"idtoken.go", "keys.go"} {
		if regexp.MustCompile(`ParseConsentRevoked|"none"`).MatchString(readSource(t, file)) {
			t.Errorf("%s knows unsigned tokens", file)
		}
	}
}
