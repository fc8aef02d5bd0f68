package forwardauth_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/vippsauth/vippsauth/vipps"
)

// RFC 9207: who answered is compared byte for byte, in success and in failure.
func TestSec_IssuerOfTheCallback(t *testing.T) {
	t.Parallel()
	iss := func(promised bool, edit func(p *provider, q url.Values)) func(*provider) {
		return func(p *provider) {
			p.metadata = func(m obj) { m["authorization_response_iss_parameter_supported"] = promised }
			p.redirect = func(q url.Values) { edit(p, q) }
		}
	}
	failed := func(q url.Values) { delete(q, "code"); q["error"] = []string{"access_denied"} }
	for _, m := range []module{
		{"A110_promised-and-absent", iss(true, func(*provider, url.Values) {}), vipps.CodeMissingIssuer, silent},
		{"A110_promised-and-absent-in-an-error", iss(true, func(_ *provider, q url.Values) { failed(q) }), vipps.CodeMissingIssuer, silent},
		{"A111_another", iss(false, func(_ *provider, q url.Values) { q["iss"] = []string{"https://evil.example/"} }), vipps.CodeIssuerMismatch, silent},
		{"A111_another-in-an-error", iss(false, func(_ *provider, q url.Values) {
			failed(q)
			q["iss"] = []string{"https://evil.example/"}
		}), vipps.CodeIssuerMismatch, silent},
		{"A111_without-the-slash", iss(true, func(p *provider, q url.Values) { q["iss"] = []string{strings.TrimSuffix(p.issuer, "/")} }), vipps.CodeIssuerMismatch, silent},
		{"A111_normalised", iss(true, func(p *provider, q url.Values) {
			q["iss"] = []string{strings.Replace(p.issuer, "/access/", "/./access/", 1)}
		}), vipps.CodeIssuerMismatch, silent},
		{"A111_empty", iss(false, func(_ *provider, q url.Values) { q["iss"] = []string{""} }), vipps.CodeIssuerMismatch, silent},
		{name: "A112_silent-and-equal", setup: iss(false, func(p *provider, q url.Values) { q["iss"] = []string{p.issuer} })},
		{name: "A112_promised-and-equal", setup: iss(true, func(p *provider, q url.Values) { q["iss"] = []string{p.issuer} })},
		{"A113_twice", iss(true, func(p *provider, q url.Values) { q["iss"] = []string{p.issuer, p.issuer} }), vipps.CodeDuplicateParameter, silent},
		{"A113_twice-the-other-last", iss(true, func(p *provider, q url.Values) { q["iss"] = []string{p.issuer, "https://evil.example/"} }), vipps.CodeDuplicateParameter, silent},
	} {
		t.Run(m.name, m.run)
	}
}

// Tokens that are forged, or only made to cost something (RFC 8725): each is refused before userinfo, and whatever its
// header names is neither read nor called.
func TestSec_ForgedTokens(t *testing.T) {
	t.Parallel()
	key, other := opRSA[0](), opRSA[1]()
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	keyJWK := mustJSON(t, opKey{"public:one", jose.RS256, key}.jwk())
	otherJWK := string(mustJSON(t, opKey{"public:one", jose.RS256, other}.jwk()))
	evil := trap(t)
	with := func(header string) func(*provider) { return signedBy(rsaSigned(header, key)) }
	stranger := func(header string) func(*provider) { return signedBy(rsaSigned(header, other)) }
	text := func(f func(raw string) string) func(*provider) {
		return func(p *provider) {
			p.sign = func(payload []byte) string { return f(p.keys[0].sign(payload)) }
		}
	}
	malformed, algorithm := vipps.CodeMalformedToken, vipps.CodeAlgorithm
	for _, m := range []module{
		{"A058_None", signedBy(unsigned(`{"alg":"None"}`)), algorithm, noKeys},
		{"A058_NONE", signedBy(unsigned(`{"alg":"NONE"}`)), algorithm, noKeys},
		{"A058_nOnE", signedBy(unsigned(`{"alg":"nOnE"}`)), algorithm, noKeys},
		{"A058_none-with-a-blank", signedBy(unsigned(`{"alg":"none "}`)), algorithm, noKeys},
		{"A058_none-escaped", signedBy(unsigned(`{"alg":"n\u006fne"}`)), algorithm, noKeys},
		{"A058_empty", signedBy(unsigned(`{"alg":""}`)), algorithm, noKeys},
		{"A058_null", signedBy(unsigned(`{"alg":null}`)), algorithm, noKeys},
		{"A058_absent", signedBy(unsigned(`{"kid":"public:one"}`)), algorithm, noKeys},
		{"A058_list", signedBy(unsigned(`{"alg":["none"]}`)), algorithm, noKeys},
		{"A180_none-with-a-signature", with(`{"alg":"none","kid":"public:one"}`), algorithm, noKeys},
		{"A180_alg-twice", with(`{"alg":"RS256","alg":"none","kid":"public:one"}`), malformed, noKeys},
		{"A180_alg-in-another-case", with(`{"Alg":"RS256","kid":"public:one"}`), algorithm, noKeys},
		{"A180_RS256-without-a-signature", signedBy(unsigned(`{"alg":"RS256","kid":"public:one"}`)), vipps.CodeSignature, twoFetches},
		{"A181_HS256-with-the-PEM", signedBy(macced(`{"alg":"HS256","kid":"public:one"}`, keyPEM)), algorithm, noKeys},
		{"A181_HS256-with-the-DER", signedBy(macced(`{"alg":"HS256","kid":"public:one"}`, der)), algorithm, noKeys},
		{"A181_HS256-with-the-JWK", signedBy(macced(`{"alg":"HS256","kid":"public:one"}`, keyJWK)), algorithm, noKeys},
		{"A181_HS256-with-the-modulus", signedBy(macced(`{"alg":"HS256","kid":"public:one"}`, key.N.Bytes())), algorithm, noKeys},
		{"A181_HS256-with-the-secret", signedBy(macced(`{"alg":"HS256"}`, []byte(rpSecret))), algorithm, noKeys},
		{"A181_MAC-called-RS256", signedBy(macced(`{"alg":"RS256","kid":"public:one"}`, keyPEM)), vipps.CodeSignature, twoFetches},
		{"A182_jwk", stranger(`{"alg":"RS256","jwk":` + otherJWK + `}`), vipps.CodeUnknownKey, twoFetches},
		{"A182_jwk-with-our-kid", stranger(`{"alg":"RS256","kid":"public:one","jwk":` + otherJWK + `}`), vipps.CodeSignature, twoFetches},
		{"A182_jku", stranger(`{"alg":"RS256","kid":"public:x","jku":"` + evil + `/jwks"}`), vipps.CodeUnknownKey, twoFetches},
		{"A182_x5u", stranger(`{"alg":"RS256","kid":"public:one","x5u":"` + evil + `/cert"}`), vipps.CodeSignature, twoFetches},
		{"A182_x5c", stranger(`{"alg":"RS256","x5c":["` + selfSigned(t, other) + `"]}`), vipps.CodeUnknownKey, twoFetches},
		{"A182_x5c-that-is-none", stranger(`{"alg":"RS256","x5c":["` + base64.StdEncoding.EncodeToString(der) + `"]}`), malformed, noKeys},
		{"A183_path", stranger(`{"alg":"RS256","kid":"../../dev/null"}`), vipps.CodeUnknownKey, twoFetches},
		{"A183_SQL", stranger(`{"alg":"RS256","kid":"'; DROP TABLE keys; --"}`), vipps.CodeUnknownKey, twoFetches},
		{"A183_64-KiB", with(`{"alg":"RS256","kid":"` + strings.Repeat("k", 64<<10) + `"}`), malformed, noKeys},
		{"A183_number", with(`{"alg":"RS256","kid":1}`), malformed, noKeys},
		{"A183_empty", with(`{"alg":"RS256","kid":""}`), malformed, noKeys},
		{"A184_crit-b64", with(`{"alg":"RS256","kid":"public:one","crit":["b64"],"b64":true}`), malformed, noKeys},
		{"A184_b64-false", with(`{"alg":"RS256","kid":"public:one","b64":false}`), malformed, noKeys},
		{"A184_crit-unknown", with(`{"alg":"RS256","kid":"public:one","crit":["exp2"],"exp2":1}`), malformed, noKeys},
		{"A184_crit-empty", with(`{"alg":"RS256","kid":"public:one","crit":[]}`), malformed, noKeys},
		{"A185_flattened", text(func(raw string) string { return inJSON(raw, false) }), malformed, noKeys},
		{"A185_two-signatures", text(func(raw string) string { return inJSON(raw, true) }), malformed, noKeys},
		{"A186_PBES2-of-2147483647-rounds", signedBy(func([]byte) string {
			return b64(`{"alg":"PBES2-HS512+A256KW","enc":"A256GCM","p2s":"c2FsdHNhbHQ","p2c":2147483647}`) + ".a2V5.aXY.dGV4dA.dGFn"
		}), malformed, noKeys},
		{"A186_PBES2-in-three-parts", signedBy(rsaSigned(`{"alg":"PBES2-HS512+A256KW","enc":"A256GCM","p2s":"c2FsdHNhbHQ","p2c":2147483647}`, key)), algorithm, noKeys},
		{"A186_enc-in-three-parts", with(`{"alg":"RS256","kid":"public:one","enc":"A256GCM"}`), malformed, noKeys},
		{"A186_zip", with(`{"alg":"RS256","kid":"public:one","zip":"DEF"}`), malformed, noKeys},
		{"A186_no-encrypted-key", signedBy(func([]byte) string { return b64(`{"alg":"dir","enc":"A256GCM"}`) + "....." }), malformed, noKeys},
		{"A187_dots", signedBy(func([]byte) string { return strings.Repeat(".", 900_000) }), malformed, noKeys},
		{"A187_long", signedBy(func([]byte) string {
			return b64(`{"alg":"RS256"}`) + "." + strings.Repeat("a", 900_000) + ".c2ln"
		}), malformed, noKeys},
		{"A188_padding", text(func(raw string) string { return raw + "==" }), malformed, noKeys},
		{"A188_line-break", text(func(raw string) string { return raw[:40] + "\n" + raw[40:] }), malformed, noKeys},
		{"A188_blank-before", text(func(raw string) string { return " " + raw }), malformed, noKeys},
		{"A188_other-alphabet", text(func(raw string) string { return strings.TrimRight(raw, "-_") + "+/+" }), malformed, noKeys},
		{"access-token", with(`{"alg":"RS256","kid":"public:one","typ":"at+jwt"}`), malformed, noKeys},
		{name: "A184_harmless-header", setup: with(`{"alg":"RS256","kid":"public:one","typ":"JWT","cty":"json","future":{"a":1}}`)},
	} {
		t.Run(m.name, m.run)
	}
}

// selfSigned is a certificate that an attacker makes for their own key.
func selfSigned(t *testing.T, key *rsa.PrivateKey) string {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

// inJSON is a compact JWS in the JSON serialisation: flattened, or general with a second signature.
func inJSON(raw string, general bool) string {
	parts := strings.Split(raw, ".")
	one := obj{"protected": parts[0], "signature": parts[2]}
	m := obj{"payload": parts[1]}
	if general {
		m["signatures"] = []any{obj{"protected": b64(`{"alg":"none"}`), "signature": ""}, one}
	} else {
		m["protected"], m["signature"] = parts[0], parts[2]
	}
	data, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// Signatures on P-256 that aren't two numbers of 32 bytes between 1 and the order.
func TestSec_A041_A188_ECDSASignatures(t *testing.T) {
	t.Parallel()
	raw := func(r, s *big.Int) []byte {
		out := make([]byte, 64)
		r.FillBytes(out[:32])
		s.FillBytes(out[32:])
		return out
	}
	order := opEC().Params().N
	for name, encode := range map[string]func(r, s *big.Int) []byte{
		"r-is-0":    func(_, s *big.Int) []byte { return raw(new(big.Int), s) },
		"s-is-0":    func(r, _ *big.Int) []byte { return raw(r, new(big.Int)) },
		"all-0":     func(_, _ *big.Int) []byte { return make([]byte, 64) },
		"the-order": func(_, _ *big.Int) []byte { return raw(order, order) },
		"DER":       func(r, s *big.Int) []byte { der, _ := asn1.Marshal(struct{ R, S *big.Int }{r, s}); return der },
		"63-bytes":  func(r, s *big.Int) []byte { return raw(r, s)[:63] },
		"65-bytes":  func(r, s *big.Int) []byte { return append(raw(r, s), 0) },
	} {
		module{name, func(p *provider) {
			p.keys = []opKey{{"public:ec", jose.ES256, opEC()}}
			p.sign = func(payload []byte) string {
				return forged(`{"alg":"ES256","kid":"public:ec"}`, payload, func(input string) []byte {
					sum := sha256.Sum256([]byte(input))
					r, s, err := ecdsa.Sign(rand.Reader, opEC(), sum[:])
					if err != nil {
						panic(err)
					}
					return encode(r, s)
				})
			}
		}, vipps.CodeSignature, twoFetches}.named(t)
	}
}

func (m module) named(t *testing.T) { t.Run(m.name, m.run) }

// A key set with entries that nobody can use, or that would be dangerous to use, still serves the one good key; and none
// of the bad ones verifies anything.
func TestSec_KeySets(t *testing.T) {
	t.Parallel()
	good := opKey{"public:one", jose.RS256, opRSA[0]()}.jwk()
	bad := opKey{"public:bad", jose.RS256, opRSA[1]()}
	ec := opKey{"public:ec", jose.ES256, opEC()}.jwk()
	private := new(big.Int).SetBytes(opRSA[1]().D.Bytes())
	for name, entry := range map[string]any{
		"A189_for-encryption":  edited(bad.jwk(), func(k obj) { k["use"] = "enc" }),
		"A189_key_ops":         edited(bad.jwk(), func(k obj) { k["key_ops"] = []string{"sign", "encrypt"} }),
		"A189_private":         edited(bad.jwk(), func(k obj) { k["d"] = base64.RawURLEncoding.EncodeToString(private.Bytes()) }),
		"A189_short":           edited(bad.jwk(), func(k obj) { k["n"] = b64(string(opRSA[1]().N.Bytes()[:128])) }),
		"A189_oct":             obj{"kty": "oct", "kid": "public:bad", "k": b64(rpSecret), "alg": "HS256"},
		"A189_off-the-curve":   edited(ec, func(k obj) { k["kid"], k["x"] = "public:bad", k["y"] }),
		"A189_not-an-object":   "public:bad",
		"A189_kid-as-number":   edited(bad.jwk(), func(k obj) { k["kid"] = 7 }),
		"A190_for-ES256":       edited(bad.jwk(), func(k obj) { k["alg"] = "ES256" }),
		"A190_for-RS512":       edited(bad.jwk(), func(k obj) { k["alg"] = "RS512" }),
		"A190_for-HS256":       edited(bad.jwk(), func(k obj) { k["alg"] = "HS256" }),
		"A189_null":            nil,
		"A189_a-member-twice":  json.RawMessage(`{"kty":"RSA","kid":"public:bad","kid":"x"}`),
		"A189_nested-too-deep": json.RawMessage(`{"kty":"RSA","x":` + strings.Repeat("[", 50) + strings.Repeat("]", 50) + `}`),
	} {
		set := func(p *provider) { p.jwks = func() any { return obj{"keys": []any{entry, good}} } }
		module{name: name + "/the-good-one-serves", setup: set}.named(t)
		module{name + "/the-bad-one-verifies-nothing", func(p *provider) {
			set(p)
			p.sign = bad.sign
		}, vipps.CodeUnknownKey, twoFetches}.named(t)
	}
}

// A key set that grows without end, breaks or turns into a page: who has keys goes on with them, and the next login that
// needs new ones gets them as soon as the provider is well again. 10 000 keys are 4 MB, and are not read to the end.
func TestSec_A191_BrokenKeySets(t *testing.T) {
	t.Parallel()
	one := string(mustJSON(t, opKey{"public:one", jose.RS256, opRSA[0]()}.jwk()))
	for name, broken := range map[string]http.HandlerFunc{
		"10 000 keys": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[` + strings.Repeat(one+",", 10_000) + one + `]}`))
		},
		"HTML": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<html>Log in to the network</html>"))
		},
		"cut":    func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[` + one)) },
		"empty":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) },
		"no set": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`[]`)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRP(t, newProvider(t), nil)
			r.accepted()
			r.op.put(epKeys, broken)
			r.op.now = r.clock.now
			r.clock.advance(25 * time.Hour) // long expired
			r.accepted()
			r.want(calls{2, 2, 2, 2, 2})
			r.op.put(epKeys, nil)
			r.op.change(func() { r.op.keys = []opKey{{"public:two", jose.RS256, opRSA[1]()}} })
			r.clock.advance(30 * time.Second)
			r.accepted()
			if err := r.client.Ready(); err != nil {
				t.Errorf("not well again: %v", err)
			}
		})
	}
}

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
