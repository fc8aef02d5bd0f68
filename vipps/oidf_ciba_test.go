package vipps_test

import (
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/vippsauth/vippsauth/vipps"
)

// cibaModule is a client module of the OpenID Foundation's FAPI-CIBA plan, in poll mode.
type cibaModule struct {
	name    string
	prepare func(p *ciba)
	code    string // of the error; empty: the login succeeds
	polls   int    // token requests
	gap     time.Duration
}

// cibaModules are judged by what the provider sees next: after what must be refused it sees nothing.
func cibaModules(t *testing.T) []cibaModule {
	t.Helper()
	fails := func(codes ...string) func(*ciba) { return func(p *ciba) { p.script(codes...) } }
	refuses := func(body string) func(*ciba) {
		return func(p *ciba) { p.handle(backchannelPath, respond(http.StatusBadRequest, "application/json", body)) }
	}
	acks := func(edit func(m map[string]any)) func(*ciba) { return func(p *ciba) { p.ack = edit } }
	token := func(edit func(c claims)) func(*ciba) { return func(p *ciba) { p.token = edit } }
	without := func(name string) func(*ciba) { return token(func(c claims) { delete(c, name) }) }
	signs := func(sign func(payload []byte) string) func(*ciba) { return func(p *ciba) { p.sign = sign } }
	stranger := signer{"public:two", jose.ES256, newEC(t)}
	return []cibaModule{
		{"A140_fapi-ciba-id1-client-test", fails("authorization_pending", "authorization_pending"), "", 3, 5 * time.Second},
		{"A141_fapi-ciba-id1-client-respects-interval-test", func(p *ciba) {
			p.script("authorization_pending")
			p.ack = func(m map[string]any) { m["interval"] = 31 }
		}, "", 2, 31 * time.Second},
		{"A142_fapi-ciba-id1-client-slow-down-test", fails("slow_down", "authorization_pending"), "", 3, 10 * time.Second},
		{"A143_fapi-ciba-id1-client-invalid-access-denied-test", fails("access_denied"), "access_denied", 1, 0},
		{"A143_fapi-ciba-id1-client-invalid-expired-token-test", fails("expired_token"), "expired_token", 1, 0},
		{"A143_fapi-ciba-id1-client-invalid-request-test", fails("invalid_request"), "invalid_request", 1, 0},
		{"A144_fapi-ciba-id1-client-invalid-missing-authreqid-test", acks(func(m map[string]any) { delete(m, "auth_req_id") }), vipps.CodeInvalidResponse, 0, 0},
		{"A144_fapi-ciba-id1-client-invalid-missing-expiresin-test", acks(func(m map[string]any) { delete(m, "expires_in") }), vipps.CodeInvalidResponse, 0, 0},
		{"A145_fapi-ciba-id1-client-invalid-unknown-user-id-test", refuses(`{"error":"unknown_user_id"}`), "unknown_user_id", 0, 0},
		{"A146_fapi-ciba-id1-client-invalid-iss-test", token(func(c claims) { c["iss"] = c["iss"].(string) + "1" }), vipps.CodeIssuerMismatch, 1, 0},
		{"A146_fapi-ciba-id1-client-invalid-aud-test", token(func(c claims) { c["aud"] = clientID + "1" }), vipps.CodeAudience, 1, 0},
		{"A146_fapi-ciba-id1-client-invalid-secondary-aud-test", token(func(c claims) { c["aud"] = []string{clientID, "other"} }), vipps.CodeAudience, 1, 0},
		{"A146_fapi-ciba-id1-client-invalid-signature-test", signs(func(b []byte) string { return stranger.sign(t, b) }), vipps.CodeSignature, 1, 0},
		{"A146_fapi-ciba-id1-client-invalid-null-alg-test", signs(func(b []byte) string {
			return forge(`{"alg":"none"}`, b, func(string) []byte { return nil })
		}), vipps.CodeAlgorithm, 1, 0},
		{"A146_fapi-ciba-id1-client-invalid-alternate-alg-test", signs(func(b []byte) string {
			return forge(`{"alg":"ES384","kid":"public:two"}`, b, func(string) []byte { return make([]byte, 96) })
		}), vipps.CodeAlgorithm, 1, 0},
		{"A146_fapi-ciba-id1-client-invalid-expired-exp-test", token(func(c claims) { c["exp"] = c["iat"].(int64) - 600 }), vipps.CodeExpired, 1, 0},
		{"A146_fapi-ciba-id1-client-invalid-missing-exp-test", without("exp"), vipps.CodeMissingClaim, 1, 0},
		{"A146_fapi-ciba-id1-client-invalid-missing-aud-test", without("aud"), vipps.CodeMissingClaim, 1, 0},
		{"A146_fapi-ciba-id1-client-invalid-missing-iss-test", without("iss"), vipps.CodeMissingClaim, 1, 0},
		{"A146_fapi-ciba-id1-client-iat-is-week-in-past-test", token(func(c claims) { c["iat"] = c["iat"].(int64) - 7*24*3600 }), vipps.CodeTooOld, 1, 0},
		{"A147_fapi-ciba-id1-client-no-scope-in-token-endpoint-response-test", func(*ciba) {}, "", 1, 0},
		{"A147_fapi-ciba-id1-client-valid-aud-as-array-test", token(func(c claims) { c["aud"] = []string{clientID} }), "", 1, 0},
	}
}

// Each module is a login from its start to its end, with the pace that a person would wait at.
func TestSec_OIDF_CIBAPlan(t *testing.T) {
	t.Parallel()
	for _, m := range cibaModules(t) {
		t.Run(m.name, func(t *testing.T) {
			p := newCIBA(t)
			m.prepare(p)
			bubble(t, p, func(t *testing.T, c *vipps.Client, w *wire) {
				pending, err := c.StartMerchantLogin(t.Context(), vipps.MerchantLoginRequest{Phone: msisdn})
				since := time.Now()
				var login *vipps.Login
				if err == nil {
					login, err = c.WaitMerchantLogin(t.Context(), pending)
				}
				switch {
				case m.code == "" && (err != nil || login.User.Sub != testSub || p.calls(userinfoPath) != 1):
					t.Errorf("the login failed, userinfo was asked %d times: %v", p.calls(userinfoPath), err)
				case m.code != "":
					refused(t, err, m.code)
					time.Sleep(20 * time.Minute) // which passes at once
					if login != nil || p.calls(userinfoPath) != 0 || errors.Is(err, vipps.ErrPending) {
						t.Errorf("userinfo was asked %d times", p.calls(userinfoPath))
					}
				}
				if got := p.calls(tokenPath); got != m.polls {
					t.Errorf("%d token requests, want %d", got, m.polls)
				}
				if gaps := w.gaps(since); m.gap > 0 && slices.Max(gaps) < m.gap {
					t.Errorf("the requests came after %v", gaps)
				} else if m.gap > 5*time.Second && gaps[len(gaps)-1] < m.gap {
					t.Errorf("the last request came after %v", gaps)
				}
			})
		})
	}
}
