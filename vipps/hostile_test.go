package vipps_test

import (
	"crypto/sha256"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps"
)

// quickest returns the least time that f took in a few runs: what the machine does besides can only add to it.
func quickest(f func()) time.Duration {
	least := time.Hour
	for range 5 {
		start := time.Now()
		f()
		least = min(least, time.Since(start))
	}
	return least
}

// A token that is only made to cost something costs a fraction of what reading it does: the measure is not a number of
// milliseconds, which says little on a busy machine, but what hashing the same bytes takes, and decoding plain JSON of
// that length (at most the longest token's).
func TestSec_A186_A187_TokensCostNoMoreThanReadingThem(t *testing.T) {
	c := newClient(t, vipps.Config{Issuer: "https://op.example/", ClientID: "c", ClientSecret: "secret"})
	header := b64(`{"alg":"RS256"}`)
	for name, raw := range map[string]string{
		"a million dots": strings.Repeat(".", 1_000_000),
		"10 MB payload":  header + "." + strings.Repeat("a", 10<<20) + ".a",
		"10 MB header":   strings.Repeat("a", 10<<20) + ".e30.a",
		"dots":           strings.Repeat(".", 200_000),
		"many names":     b64(`{"alg":"RS256"`+strings.Repeat(`,"a":1`, 20_000)+`}`) + ".e30.a",
		"depth":          b64(strings.Repeat(`{"a":`, 30_000)) + ".e30.a",
		"p2c":            b64(`{"alg":"PBES2-HS512+A256KW","enc":"A256GCM","p2s":"c2FsdA","p2c":2147483647}`) + ".a2V5.aXY.dGV4dA.dGFn",
		"p2c in a JWS":   b64(`{"alg":"PBES2-HS512+A256KW","p2s":"c2FsdA","p2c":2147483647}`) + ".e30.a",
		"long alg":       b64(`{"alg":"`+strings.Repeat("n", 100_000)+`"}`) + ".e30.a",
	} {
		reading := quickest(func() {
			sha256.Sum256([]byte(raw))
			var v any
			_ = json.Unmarshal([]byte(`{"a":[`+strings.Repeat(`1,`, min(len(raw), 256<<10)/2)+`1]}`), &v)
		})
		checking := quickest(func() {
			if c.CheckHeader(raw) == nil {
				t.Fatalf("%s: accepted", name)
			}
		})
		if checking > reading/4+200*time.Microsecond {
			t.Errorf("%s: refused in %v, reading it takes %v", name, checking, reading)
		}
	}
}

// Where go-oidc and we read the same payload differently, the token is refused: it takes "ISS" for iss, and we don't.
func TestSec_A078_B134_NamesThatOnlyOneOfTwoReads(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ISS", "Iss", "AUD"} {
		p := newProvider(t)
		p.payload = func(c claims) []byte {
			data, _ := json.Marshal(c)
			return append(data[:len(data)-1], []byte(`,"`+name+`":"https://evil.example/"}`)...) // last, so that it wins
		}
		_, err := p.login(p.client())
		refused(t, err, vipps.CodeMalformedToken)
	}
}

// A signed token that says it is encrypted, or whose header has a member of a kind that it can't have.
func TestSec_A184_A186_HeaderMembers(t *testing.T) {
	t.Parallel()
	for _, member := range []string{`"enc":"A256GCM"`, `"enc":null`, `"zip":null`, `"b64":true`, `"crit":null`, `"typ":1`, `"typ":["JWT"]`, `"kid":null`} {
		p := newProvider(t)
		p.sign = func(payload []byte) string {
			return signRS256(t, rsaKeys[0](), `{"alg":"RS256",`+member+`}`, payload)
		}
		_, err := p.login(p.client())
		refused(t, err, vipps.CodeMalformedToken)
	}
}

// A secret that is missing at both ends would be known to everybody.
func TestSec_A074_EmptySecretsEqualNothing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b string
		want bool
	}{{"", "", false}, {"", "n", false}, {"n", "", false}, {"n", "N", false}, {"n", "nn", false}, {"n", "n", true}} {
		if got := vipps.Equal(tt.a, tt.b); got != tt.want {
			t.Errorf("%q and %q: %v", tt.a, tt.b, got)
		}
	}
}
