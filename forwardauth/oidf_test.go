package forwardauth_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/vippsauth/vippsauth/vipps"
)

// The tests of this file are the modules of the OpenID Foundation's client test plans, under the suite's own names, and
// judged as the suite judges: what must be refused is refused in silence, without a further call and without a session.

func claim(name string, v any) func(*provider) {
	return func(p *provider) { p.claims = func(c obj) { c[name] = v } }
}

func noClaim(name string) func(*provider) {
	return func(p *provider) { p.claims = func(c obj) { delete(c, name) } }
}

func longer(name, suffix string) func(*provider) {
	return func(p *provider) { p.claims = func(c obj) { c[name] = c[name].(string) + suffix } }
}

func signedBy(sign func(payload []byte) string) func(*provider) {
	return func(p *provider) { p.sign = sign }
}

func sentBack(f func(q url.Values)) func(*provider) { return func(p *provider) { p.redirect = f } }

// silent is what the suite wants of a callback that is none: nothing at all after it.
var silent = calls{discovery: 1, authorize: 1}

// oidcc-client-basic-certification-test-plan, in its order.
func TestSec_OIDF_BasicPlan(t *testing.T) {
	t.Parallel()
	for _, m := range []module{
		{name: "A010_oidcc-client-test"},
		{"A011_oidcc-client-test-invalid-iss", longer("iss", "1"), vipps.CodeIssuerMismatch, calls{}},
		{"A012_oidcc-client-test-missing-sub", noClaim("sub"), vipps.CodeMissingClaim, calls{}},
		{"A013_oidcc-client-test-invalid-aud", claim("aud", rpID+"1"), vipps.CodeAudience, calls{}},
		{"A014_oidcc-client-test-missing-iat", noClaim("iat"), vipps.CodeMissingClaim, calls{}},
		{name: "A015_oidcc-client-test-kid-absent-single-jwks", setup: func(p *provider) { p.keys = []opKey{{"", jose.RS256, opRSA[0]()}} }},
		{name: "A016_oidcc-client-test-kid-absent-multiple-jwks", setup: func(p *provider) {
			p.keys = []opKey{{"public:one", jose.RS256, opRSA[1]()}, {"public:two", jose.RS256, opRSA[0]()}}
			p.sign = opKey{"", jose.RS256, opRSA[0]()}.sign
		}},
		{name: "A017_oidcc-client-test-idtoken-sig-rs256"},
		{"A018_oidcc-client-test-idtoken-sig-none", signedBy(unsigned(`{"alg":"none"}`)), vipps.CodeAlgorithm, noKeys},
		{"A019_oidcc-client-test-invalid-sig-rs256", func(p *provider) { p.sign = bent(p.keys[0].sign) }, vipps.CodeSignature, twoFetches},
		{"A020_oidcc-client-test-userinfo-invalid-sub", func(p *provider) {
			p.userinfo = func(u obj) { u["sub"] = opSub + "invalid" }
		}, vipps.CodeSubjectMismatch, calls{1, 1, 1, 1, 1}},
		{"A021_oidcc-client-test-nonce-invalid", longer("nonce", "1"), vipps.CodeNonce, calls{}},
	} {
		t.Run(m.name, m.run)
	}
	t.Run("A022_oidcc-client-test-scope-userinfo-claims", scopeUserinfoClaims)
	t.Run("A004_A023_oidcc-client-test-client-secret-basic", clientSecretBasic)
}

// The claims come from userinfo, for the scopes that were asked for, and none of them from elsewhere.
func scopeUserinfoClaims(t *testing.T) {
	t.Parallel()
	r := newRP(t, newProvider(t), func(c *vipps.Config) { c.Scopes = []string{"openid", "name", "email", "phoneNumber", "address"} })
	r.op.userinfo = func(u obj) {
		u["address"] = obj{"street_address": "Storgata 1", "postal_code": "0155", "country": "NO"}
	}
	r.accepted()
	if got, want := r.op.lastTo(epAuthorize).URL.Query().Get("scope"), "openid name email phoneNumber address"; got != want {
		t.Errorf("asked for %q, want %q", got, want)
	}
	h := r.last().Header
	if h.Get("X-Vipps-Name") != "Åse Ødegård" || h.Get("X-Vipps-Email") != "aase@example.com" || h.Get("X-Vipps-Phone-Number") != "4790000001" {
		t.Errorf("the app was told %v", h)
	}
	r.want(calls{1, 1, 1, 1, 1})
}

// oidcc-client-config-certification-test-plan.
func TestSec_OIDF_ConfigPlan(t *testing.T) {
	t.Parallel()
	for _, m := range []module{
		{name: "A030_oidcc-client-test-discovery-openid-config"},
		{name: "A031_oidcc-client-test-discovery-jwks-uri-keys"}, // every run has its own jwks_uri
		{name: "A007_all-endpoints-come-from-discovery", setup: func(p *provider) {
			for path, endpoint := range p.paths {
				if endpoint != epDiscovery {
					delete(p.paths, path)
					p.paths["/elsewhere/"+endpoint] = endpoint
				}
			}
		}},
		{"A032_oidcc-client-test-discovery-issuer-mismatch", func(p *provider) {
			p.metadata = func(m obj) { m["issuer"] = m["issuer"].(string) + "INVALID" }
		}, vipps.CodeIssuerMismatch, calls{discovery: 1}},
		{"A033_oidcc-client-test-idtoken-sig-none", signedBy(unsigned(`{"alg":"none","kid":"public:one"}`)), vipps.CodeAlgorithm, noKeys},
	} {
		t.Run(m.name, m.run)
	}
	t.Run("A034_oidcc-client-test-signing-key-rotation-just-before-signing", rotationJustBeforeSigning)
	t.Run("A035_oidcc-client-test-signing-key-rotation", rotation)
}

// The provider makes new keys between the moment its keys were read and the moment it signs: one fetch more, and in.
func rotationJustBeforeSigning(t *testing.T) {
	t.Parallel()
	r := newRP(t, newProvider(t), nil)
	if err := r.client.Discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.op.claims = func(obj) { r.op.keys = []opKey{{"public:two", jose.RS256, opRSA[1]()}} } // p.mu is held
	r.accepted()
	r.want(calls{1, 1, 1, 2, 1})
}

// The keys change between two logins: the second succeeds with one more fetch, the third with none.
func rotation(t *testing.T) {
	t.Parallel()
	r := newRP(t, newProvider(t), nil)
	r.accepted()
	r.want(calls{1, 1, 1, 1, 1})
	r.op.change(func() { r.op.keys = []opKey{{"public:two", jose.RS256, opRSA[1]()}} })
	r.accepted()
	r.want(calls{1, 2, 2, 2, 2})
	r.accepted()
	r.want(calls{1, 3, 3, 2, 3})
}

// What oidcc-client-test-plan has beyond the two, as far as it applies to the code flow.
func TestSec_OIDF_ComprehensivePlan(t *testing.T) {
	t.Parallel()
	for _, m := range []module{
		{"A040_oidcc-client-test-missing-aud", noClaim("aud"), vipps.CodeMissingClaim, calls{}},
		{"A041_oidcc-client-test-invalid-sig-es256", func(p *provider) {
			p.keys = []opKey{{"public:ec", jose.ES256, opEC()}}
			p.sign = bent(p.keys[0].sign)
		}, vipps.CodeSignature, twoFetches},
		{"A042_oidcc-client-test-invalid-sig-hs256", signedBy(macced(`{"alg":"HS256"}`, []byte(rpSecret))), vipps.CodeAlgorithm, noKeys},
		{name: "A043_oidcc-client-test-userinfo-bearer-header"},
		{"A044_oidcc-client-test-userinfo-signed", func(p *provider) {
			p.handlers[epUserinfo] = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/jwt")
				_, _ = w.Write([]byte(p.keys[0].sign([]byte(`{"iss":"` + p.issuer + `","aud":"` + rpID + `","sub":"` + opSub + `"}`))))
			}
		}, vipps.CodeInvalidResponse, calls{1, 1, 1, 1, 1}},
		{"A044_signed-userinfo-called-json", func(p *provider) {
			p.handlers[epUserinfo] = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(p.keys[0].sign([]byte(`{"sub":"` + opSub + `"}`))))
			}
		}, vipps.CodeInvalidResponse, calls{1, 1, 1, 1, 1}},
		{"A075_oidcc-client-test-invalid-athash", claim("at_hash", "tyFnH20TOmPZkgJU8e5iKw"), vipps.CodeAccessTokenHash, calls{}},
		{name: "A189_oidcc-client-test-ignores-unparseable-key-in-jwks", setup: func(p *provider) {
			p.jwks = func() any {
				return obj{"keys": []any{
					obj{"kty": "AKP", "kid": "public:pq", "alg": "ML-DSA-9999", "pub": "AQAB", "use": "sig"},
					obj{"kty": "MADE-UP", "kid": "public:odd", "use": "sig"},
					p.keys[0].jwk(),
				}}
			}
		}},
		{name: "A048_oidcc-client-test-distributed-claims", setup: func(p *provider) {
			to := trap(p.t)
			sources := func(m obj) {
				m["_claim_names"] = obj{"email": "src1", "credit_score": "src1"}
				m["_claim_sources"] = obj{"src1": obj{"endpoint": to + "/claims", "access_token": "secret"}}
			}
			p.claims, p.userinfo = sources, sources
		}},
		{name: "A047_oidcc-client-test-aggregated-claims", setup: func(p *provider) {
			p.userinfo = func(u obj) { // signed by a stranger: were it merged, the name would be another
				u["_claim_names"] = obj{"name": "src1", "sub": "src1"}
				u["_claim_sources"] = obj{"src1": obj{"JWT": opKey{"x", jose.RS256, opRSA[2]()}.sign([]byte(`{"name":"Mallory","sub":"mallory"}`))}}
			}
		}},
	} {
		t.Run(m.name, m.run)
	}
}

// The modules of the FAPI plans that a relying party of plain OpenID Connect can be held to.
func TestSec_OIDF_FAPIModules(t *testing.T) {
	t.Parallel()
	const fapi1, fapi2 = "fapi1-advanced-final-client-test-", "fapi2-security-profile-final-client-test-"
	ago := func(name string, d time.Duration) func(*provider) {
		return func(p *provider) { p.claims = func(c obj) { c[name] = p.now().Add(-d).Unix() } }
	}
	promised := func(m obj) { m["authorization_response_iss_parameter_supported"] = true }
	token := func(f func(m obj)) func(*provider) { return func(p *provider) { p.tokens = f } }
	for _, m := range []module{
		{"A050_" + fapi2 + "ensure-authorization-response-with-invalid-state-fails", sentBack(func(q url.Values) { q.Set("state", q.Get("state")+"1") }), "state parameter does not match", silent},
		{"A051_" + fapi2 + "ensure-authorization-response-with-invalid-missing-state-fails", sentBack(func(q url.Values) { q.Del("state") }), vipps.CodeMissingState, silent},
		{"A052_" + fapi2 + "invalid-authorization-response-iss", func(p *provider) {
			p.metadata, p.redirect = promised, func(q url.Values) { q.Set("iss", p.issuer+"1") }
		}, vipps.CodeIssuerMismatch, silent},
		{"A053_" + fapi2 + "remove-authorization-response-iss", func(p *provider) { p.metadata = promised }, vipps.CodeMissingIssuer, silent},
		{"A054_" + fapi2 + "invalid-missing-nonce", noClaim("nonce"), vipps.CodeNonce, calls{}},
		{"A021_" + fapi2 + "invalid-nonce", claim("nonce", "another"), vipps.CodeNonce, calls{}},
		{"A055_" + fapi2 + "invalid-expired-exp", ago("exp", 6*time.Minute), vipps.CodeExpired, calls{}},
		{"A055_" + fapi2 + "invalid-missing-exp", noClaim("exp"), vipps.CodeMissingClaim, calls{}},
		{"A056_" + fapi1 + "iat-is-week-in-past", ago("iat", 7*24*time.Hour), vipps.CodeTooOld, calls{}},
		{"A057_" + fapi2 + "invalid-alternate-alg", signedBy(opKey{"public:one", jose.PS256, opRSA[0]()}.sign), vipps.CodeAlgorithm, noKeys},
		{"A058_" + fapi2 + "invalid-null-alg", signedBy(unsigned(`{"alg":"none"}`)), vipps.CodeAlgorithm, noKeys},
		{"A059_" + fapi2 + "invalid-secondary-aud", claim("aud", []string{rpID, "untrusted"}), vipps.CodeAudience, calls{}},
		{name: "A060_" + fapi2 + "valid-aud-as-array", setup: claim("aud", []string{rpID})},
		{name: "A060_aud-as-text", setup: claim("aud", rpID)},
		{name: "A061_" + fapi1 + "no-scope-in-token-endpoint-response", setup: token(func(m obj) { delete(m, "scope") })},
		{name: "A061_" + fapi2 + "token-endpoint-response-without-expires_in", setup: token(func(m obj) { delete(m, "expires_in") })},
		{name: "A062_" + fapi2 + "token-type-case-insensitivity", setup: token(func(m obj) { m["token_type"] = "bEARER" })},
		{"A013_" + fapi2 + "invalid-aud", claim("aud", "another"), vipps.CodeAudience, calls{}},
		{"A011_" + fapi2 + "invalid-iss", claim("iss", "https://evil.example/"), vipps.CodeIssuerMismatch, calls{}},
		{"A011_" + fapi2 + "invalid-missing-iss", noClaim("iss"), vipps.CodeMissingClaim, calls{}},
		{"A040_" + fapi2 + "invalid-missing-aud", noClaim("aud"), vipps.CodeMissingClaim, calls{}},
		{"A032_" + fapi2 + "discovery-issuer-mismatch", func(p *provider) {
			p.metadata = func(m obj) { m["issuer"] = "https://evil.example/" }
		}, vipps.CodeIssuerMismatch, calls{discovery: 1}},
		{"A186_" + fapi1 + "encrypted-idtoken-usingrsa15", signedBy(func([]byte) string {
			return b64(`{"alg":"RSA1_5","enc":"A256GCM","kid":"public:one"}`) + ".a2V5.aXY.dGV4dA.dGFn"
		}), vipps.CodeMalformedToken, noKeys},
	} {
		t.Run(m.name, m.run)
	}
}
