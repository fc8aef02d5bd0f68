package vipps_test

import (
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/vippsauth/vippsauth/vipps"
)

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// forge returns a token with the given header, signed by sign.
func forge(header string, payload []byte, sign func(input string) []byte) string {
	input := b64(header) + "." + b64(string(payload))
	return input + "." + b64(string(sign(input)))
}

func signRS256(t testing.TB, key *rsa.PrivateKey, header string, payload []byte) string {
	t.Helper()
	return forge(header, payload, func(input string) []byte { return rsaSign(t, key, input) })
}

// TestSec_A058_A180_A188_Forgeries: every token is refused, before userinfo,
// without a request to anywhere but the provider's own endpoints.
func TestSec_A058_A180_A188_Forgeries(t *testing.T) {
	t.Parallel()
	var outside atomic.Int32
	evil := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { outside.Add(1) }))
	t.Cleanup(evil.Close)

	key, other := rsaKeys[0](), rsaKeys[1]()
	none := func(string) []byte { return nil }
	zeros := func(n int) func(string) []byte { return func(string) []byte { return make([]byte, n) } }
	hs := func(secret []byte) func(string) []byte {
		return func(input string) []byte {
			m := hmac.New(sha256.New, secret)
			m.Write([]byte(input))
			return m.Sum(nil)
		}
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	publicJWK, err := json.Marshal(signer{"public:one", jose.RS256, key}.jwk())
	if err != nil {
		t.Fatal(err)
	}
	otherJWK, err := json.Marshal(signer{"public:one", jose.RS256, other}.jwk())
	if err != nil {
		t.Fatal(err)
	}
	good := func(payload []byte) string { return signer{"public:one", jose.RS256, key}.sign(t, payload) }
	byOther := func(header string) func([]byte) string {
		return func(payload []byte) string { return signRS256(t, other, header, payload) }
	}
	byKey := func(header string) func([]byte) string {
		return func(payload []byte) string { return signRS256(t, key, header, payload) }
	}
	with := func(header string, sign func(string) []byte) func([]byte) string {
		return func(payload []byte) string { return forge(header, payload, sign) }
	}
	for name, tt := range map[string]struct {
		sign func(payload []byte) string
		code string
	}{
		"A018 none":                {with(`{"alg":"none"}`, none), vipps.CodeAlgorithm},
		"A180 none with a kid":     {with(`{"alg":"none","kid":"public:one"}`, none), vipps.CodeAlgorithm},
		"A180 none with signature": {with(`{"alg":"none"}`, zeros(256)), vipps.CodeAlgorithm},
		"A058 None":                {with(`{"alg":"None"}`, none), vipps.CodeAlgorithm},
		"A058 NONE":                {with(`{"alg":"NONE"}`, none), vipps.CodeAlgorithm},
		"A058 nOnE":                {with(`{"alg":"nOnE"}`, none), vipps.CodeAlgorithm},
		"A058 empty":               {with(`{"alg":""}`, none), vipps.CodeAlgorithm},
		"A058 absent":              {with(`{"kid":"public:one"}`, none), vipps.CodeAlgorithm},
		"A058 folded":              {byKey(`{"ALG":"RS256","kid":"public:one"}`), vipps.CodeAlgorithm},
		"A180 alg twice":           {with(`{"alg":"RS256","alg":"none"}`, none), vipps.CodeMalformedToken},
		"A042 HS256 with secret":   {with(`{"alg":"HS256"}`, hs([]byte(clientSecret))), vipps.CodeAlgorithm},
		"A181 HS256 with PEM":      {with(`{"alg":"HS256","kid":"public:one"}`, hs(publicPEM)), vipps.CodeAlgorithm},
		"A181 HS256 with DER":      {with(`{"alg":"HS256","kid":"public:one"}`, hs(der)), vipps.CodeAlgorithm},
		"A181 HS256 with JWK":      {with(`{"alg":"HS256","kid":"public:one"}`, hs(publicJWK)), vipps.CodeAlgorithm},
		"A057 PS256":               {with(`{"alg":"PS256","kid":"public:one"}`, zeros(256)), vipps.CodeAlgorithm},
		"A057 RS512":               {with(`{"alg":"RS512","kid":"public:one"}`, zeros(256)), vipps.CodeAlgorithm},
		"A019 bent signature":      {func(p []byte) string { return bend(good(p)) }, vipps.CodeSignature},
		"A019 another key":         {byOther(`{"alg":"RS256","kid":"public:one"}`), vipps.CodeSignature},
		"A182 jwk":                 {byOther(`{"alg":"RS256","jwk":` + string(otherJWK) + `}`), vipps.CodeUnknownKey},
		"A182 jku":                 {byOther(`{"alg":"RS256","jku":"` + evil.URL + `"}`), vipps.CodeUnknownKey},
		"A182 x5u":                 {byOther(`{"alg":"RS256","kid":"public:one","x5u":"` + evil.URL + `"}`), vipps.CodeSignature},
		"A183 path":                {byOther(`{"alg":"RS256","kid":"../../dev/null"}`), vipps.CodeUnknownKey},
		"A183 SQL":                 {byOther(`{"alg":"RS256","kid":"'; DROP"}`), vipps.CodeUnknownKey},
		"A183 64 KiB":              {byKey(`{"alg":"RS256","kid":"` + strings.Repeat("k", 64<<10) + `"}`), vipps.CodeMalformedToken},
		"A183 number":              {byKey(`{"alg":"RS256","kid":1}`), vipps.CodeMalformedToken},
		"A183 empty":               {byKey(`{"alg":"RS256","kid":""}`), vipps.CodeMalformedToken},
		"A184 crit b64":            {byKey(`{"alg":"RS256","kid":"public:one","crit":["b64"],"b64":true}`), vipps.CodeMalformedToken},
		"A184 b64 false":           {byKey(`{"alg":"RS256","kid":"public:one","b64":false}`), vipps.CodeMalformedToken},
		"A184 unknown crit":        {byKey(`{"alg":"RS256","kid":"public:one","crit":["x"],"x":1}`), vipps.CodeMalformedToken},
		"an access token":          {byKey(`{"alg":"RS256","kid":"public:one","typ":"at+jwt"}`), vipps.CodeMalformedToken},
		"a logout token":           {byKey(`{"alg":"RS256","kid":"public:one","typ":"logout+jwt"}`), vipps.CodeMalformedToken},
		"A185 flattened JSON":      {func(p []byte) string { return flattened(good(p)) }, vipps.CodeMalformedToken},
		"A186 JWE with a long p2c": {func([]byte) string {
			return b64(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483647}`) + "....."
		}, vipps.CodeMalformedToken},
		"A186 zip":            {byKey(`{"alg":"RS256","kid":"public:one","zip":"DEF"}`), vipps.CodeMalformedToken},
		"A187 dots":           {func([]byte) string { return strings.Repeat(".", 1_000_000-200) }, vipps.CodeMalformedToken},
		"A188 padding":        {func(p []byte) string { return good(p) + "==" }, vipps.CodeMalformedToken},
		"A188 line break":     {func(p []byte) string { return good(p) + "\n" }, vipps.CodeMalformedToken},
		"A188 space":          {func(p []byte) string { return " " + good(p) }, vipps.CodeMalformedToken},
		"A188 bits left over": {func(p []byte) string { return leftOver(good(p)) }, vipps.CodeMalformedToken},
		"empty":               {func([]byte) string { return ".." }, vipps.CodeMalformedToken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t)
			p.sign = tt.sign
			_, err := p.login(p.client())
			refused(t, err, tt.code)
			for _, part := range []string{"dev/null", "DROP", "kkkk", evil.URL, "logout"} {
				if strings.Contains(err.Error(), part) {
					t.Errorf("the error, which is logged, quotes the header: %.200v", err)
				}
			}
			if n := p.calls(userinfoPath); n != 0 {
				t.Errorf("userinfo was called %d times", n)
			}
		})
	}
	t.Cleanup(func() {
		if n := outside.Load(); n != 0 {
			t.Errorf("%d requests went to a URL of the token's header", n)
		}
	})
}

func TestSec_A041_A188_ECDSASignatures(t *testing.T) {
	t.Parallel()
	key := newEC(t)
	asRaw := func(r, s *big.Int) []byte {
		out := make([]byte, 64)
		r.FillBytes(out[:32])
		s.FillBytes(out[32:])
		return out
	}
	for name, sign := range map[string]func(r, s *big.Int) []byte{
		"r is 0": func(_, s *big.Int) []byte { return asRaw(new(big.Int), s) },
		"s is 0": func(r, _ *big.Int) []byte { return asRaw(r, new(big.Int)) },
		"both 0": func(_, _ *big.Int) []byte { return make([]byte, 64) },
		"DER": func(r, s *big.Int) []byte {
			der, _ := asn1.Marshal(struct{ R, S *big.Int }{r, s})
			return der
		},
		"63 bytes": func(r, s *big.Int) []byte { return asRaw(r, s)[:63] },
		"65 bytes": func(r, s *big.Int) []byte { return append(asRaw(r, s), 0) },
		"bent":     func(r, s *big.Int) []byte { return asRaw(r, new(big.Int).Xor(s, big.NewInt(1))) },
		"empty":    func(_, _ *big.Int) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t)
			p.keys = []signer{{"public:ec", jose.ES256, key}}
			p.sign = func(payload []byte) string {
				return forge(`{"alg":"ES256","kid":"public:ec"}`, payload, func(input string) []byte {
					sum := sha256.Sum256([]byte(input))
					r, s, err := ecdsa.Sign(randReader, key, sum[:])
					if err != nil {
						t.Error(err)
					}
					return sign(r, s)
				})
			}
			_, err := p.login(p.client())
			refused(t, err, vipps.CodeSignature)
		})
	}
}

// A token far beyond any size must cost next to nothing.
func TestSec_A187_HugeTokensAreCheap(t *testing.T) {
	t.Parallel()
	c := newClient(t, vipps.Config{Issuer: "https://op.example/", ClientID: "c", ClientSecret: "secret"})
	header := b64(`{"alg":"RS256"}`)
	for name, raw := range map[string]string{
		"dots":       strings.Repeat(".", 1_000_000),
		"dots again": strings.Repeat(".", 200_000),
		"10 MB":      header + "." + strings.Repeat("a", 10<<20) + ".a",
		"names":      b64(`{"alg":"RS256"`+strings.Repeat(`,"a":1`, 20_000)+`}`) + ".e30.a",
		"depth":      b64(strings.Repeat(`{"a":`, 30_000)) + ".e30.a",
	} {
		took := quickest(func() {
			if err := c.CheckHeader(raw); err == nil {
				t.Errorf("%s: accepted", name)
			}
		})
		if took > time.Second { // some milliseconds without the race detector
			t.Errorf("%s: took %v", name, took)
		}
	}
}
