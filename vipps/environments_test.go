package vipps_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps"
)

// Attack: what the test environment signs, where anybody can be anybody, is sent to production, as it came or with production's issuer in it;
// and the reverse. The client has the same id in both, and so have the keys. Neither asks for the other's keys, or redeems anything.
func TestSec_A164_TwoEnvironments(t *testing.T) {
	t.Parallel()
	test, production := newQRProvider(t), newQRProvider(t)
	for name, tt := range map[string]struct{ from, to *qrProvider }{"test to production": {test, production}, "production to test": {production, test}} {
		c := tt.to.client()
		if _, err := c.VerifyQRCallback(t.Context(), tt.to.signed(tt.to.callback(nil))); err != nil {
			t.Fatalf("%s: one of its own: %v", name, err)
		}
		there := tt.from.calls(jwksPath) + tt.from.calls(discoveryPath)
		renamed := tt.from.keys[0]
		renamed.kid = "public:of-the-other"
		payload, err := json.Marshal(tt.to.callback(nil))
		if err != nil {
			t.Fatal(err)
		}
		for what, forged := range map[string]struct{ raw, code string }{
			"as it came":                {tt.from.signed(tt.from.callback(nil)), vipps.CodeSignature},
			"with the other's issuer":   {tt.from.signed(tt.to.callback(nil)), vipps.CodeSignature},
			"by a key of its own":       {renamed.sign(t, payload), vipps.CodeUnknownKey},
			"the other's, signed right": {tt.to.signed(tt.from.callback(nil)), vipps.CodeIssuerMismatch},
			"and where its keys are": {forge(`{"alg":"ES256","kid":"public:of-the-other","jku":"`+tt.from.issuer+`","iss":"`+tt.from.issuer+`"}`, payload, func(string) []byte {
				return make([]byte, 64)
			}), vipps.CodeUnknownKey},
		} {
			_, err := c.VerifyQRCallback(t.Context(), forged.raw)
			if e := refused(t, err, forged.code); e.Stage != vipps.StageQR {
				t.Errorf("%s, %s: at stage %s", name, what, e.Stage)
			}
		}
		for what, token := range map[string]string{"as it came": tokenOf(tt.from, tt.from.issuer), "with the other's issuer": tokenOf(tt.from, tt.to.issuer)} {
			own := tt.to.calls(userinfoPath)
			tt.to.handle(tokenPath, func(w http.ResponseWriter, _ *http.Request) {
				tt.to.answer(w, claims{"access_token": "a", "token_type": "Bearer", "expires_in": 300, "id_token": token})
			})
			_, err := c.FinishQRLogin(t.Context(), &vipps.QRCallback{AuthReqID: authReqID})
			if e := refused(t, err, vipps.CodeSignature); e.Stage != vipps.StageIDToken || tt.to.calls(userinfoPath) != own {
				t.Errorf("%s, an ID token %s: at stage %s", name, what, e.Stage)
			}
		}
		if n := tt.from.calls(jwksPath) + tt.from.calls(discoveryPath) - there; n != 0 {
			t.Errorf("%s: the other one was asked %d times", name, n)
		}
	}
}

// tokenOf is an ID token of a QR login that a provider has signed, for an issuer.
func tokenOf(p *qrProvider, issuer string) string {
	now := p.clock.Now()
	return p.signed(claims{"iss": issuer, "aud": clientID, "sub": testSub, "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(), "qr_id": "oKAz7q1O"})
}
