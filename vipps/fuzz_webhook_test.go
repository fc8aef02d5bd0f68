package vipps_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/vippsauth/vippsauth/vipps"
)

// Whatever stands in the headers of a delivery: only the one signature that is right passes, and nothing panics.
func FuzzSec_D051_WebhookAuthorization(f *testing.F) {
	v := webhookVerifier(f, vectorURL, vectorTime(), vectorSecret)
	good := signedHeaders + vectorSignature
	for _, authorization := range []string{good, signedHeaders, "", strings.ToLower(good), good + "&Signature=AAAA", "HMAC-SHA1 SignedHeaders=x-ms-date&Signature=", signedHeaders + "agAiSyogQbDHpeucoNwYz+yAr5nJ+v+zasdkSbqzv+V="} {
		f.Add(authorization, vectorDate, vectorHash, []byte(vectorBody))
	}
	f.Add(good, "0", "", []byte(nil))
	f.Add(good, vectorDate+";webhook.site", vectorHash, []byte("{}"))
	f.Fuzz(func(t *testing.T, authorization, date, content string, body []byte) {
		h := vector()
		h.authorization, h.dates, h.content, h.body = []string{authorization}, []string{date}, []string{content}, body
		d, err := h.verify(v)
		isVector := authorization == good && date == vectorDate && content == vectorHash && string(body) == vectorBody
		if (err == nil) != isVector {
			t.Fatalf("%q passes: %v", authorization, err == nil)
		}
		if err != nil {
			typed(t, err)
			return
		}
		if _, err := d.MerchantLoginPing(); err == nil {
			t.Error("the vector is no ping")
		}
	})
}

// What is taken for a withdrawn consent has these members, under these very names, and a sub that can be used.
func FuzzSec_D051_ConsentRevoked(f *testing.F) {
	f.Add([]byte(consentRevoked))
	f.Add([]byte(consentRevoked + "."))
	f.Add([]byte(b64(`{"alg":"none"}`) + "." + b64(`{"iat":1e9,"sub":"s","event":"CONSENT_REVOKED"}`)))
	f.Add([]byte(b64(`{"alg":"RS256"}`) + "." + b64(`{"IAT":1,"sub":["s"],"event":"CONSENT_REVOKED"}`) + ".c2ln"))
	f.Add([]byte("..."))
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := vipps.ParseConsentRevoked(body)
		if err != nil {
			if c.Sub != "" || !utf8.ValidString(err.Error()) || len(err.Error()) > 200 {
				t.Errorf("%v beside %v", c, err)
			}
			return
		}
		parts := strings.Split(strings.TrimRight(string(body), "\r\n"), ".")
		payload, err := base64.RawURLEncoding.DecodeString(parts[1])
		var m map[string]any
		if err != nil || json.Unmarshal([]byte(strings.ToValidUTF8(string(payload), "\uFFFD")), &m) != nil || m["sub"] != c.Sub || m["event"] != "CONSENT_REVOKED" {
			t.Errorf("%s: %q", payload, c.Sub)
		}
		if c.Sub == "" || len(c.Sub) > 255 || strings.ContainsFunc(c.Sub, func(r rune) bool { return r < ' ' || r > '~' || r == ',' }) || c.IssuedAt.IsZero() {
			t.Errorf("%q at %v", c.Sub, c.IssuedAt)
		}
	})
}
