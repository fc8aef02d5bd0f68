package vipps_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/vippsauth/vippsauth/vipps"
)

func TestSec_A015_A016_NoKid(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string][]signer{
		"A015 one key":                  {{"", jose.RS256, rsaKeys[0]()}},
		"A016 the last of several keys": {{"public:a", jose.RS256, rsaKeys[1]()}, {"public:ec", jose.ES256, newEC(t)}, {"public:b", jose.RS256, rsaKeys[0]()}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t)
			p.keys = keys
			p.sign = func(payload []byte) string { return signRS256(t, rsaKeys[0](), `{"alg":"RS256"}`, payload) }
			p.mustLogin(p.client())
			if n := p.calls(jwksPath); n != 1 {
				t.Errorf("the keys were fetched %d times", n)
			}
		})
	}
}

// The provider changes its keys between the moment it was asked for them and
// the moment it signs. The very first fetch must not start the cool-down.
func TestSec_A034_RotationJustBeforeSigning(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	c := p.client()
	if err := c.Discover(context.Background()); err != nil {
		t.Fatal(err)
	}
	p.locked(func() { p.keys = []signer{{"public:two", jose.RS256, rsaKeys[1]()}} })
	p.mustLogin(c)
	if n := p.calls(jwksPath); n != 2 {
		t.Errorf("the keys were fetched %d times, want 2", n)
	}
}

func TestSec_A035_RotationBetweenLogins(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	c := p.client()
	p.mustLogin(c)
	p.locked(func() { p.keys = []signer{{"public:two", jose.RS256, rsaKeys[1]()}, p.keys[0]} })
	p.mustLogin(c)
	p.mustLogin(c)
	if n := p.calls(jwksPath); n != 2 {
		t.Errorf("the keys were fetched %d times, want 2", n)
	}
}

// A kid that stays while the key behind it changes.
func TestSec_D08_SameKidNewKey(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	c := p.client()
	p.mustLogin(c)
	p.locked(func() { p.keys = []signer{{"public:one", jose.RS256, rsaKeys[1]()}} })
	p.mustLogin(c)
}

// Tokens with ever new kids must not make us flood the provider.
func TestSec_A162_UnknownKidsShareACooldown(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	n := 0
	p.sign = func(payload []byte) string {
		n++
		return signRS256(t, rsaKeys[1](), fmt.Sprintf(`{"alg":"RS256","kid":"unknown-%d"}`, n), payload)
	}
	c := p.client()
	for range 10 {
		_, err := p.login(c)
		refused(t, err, vipps.CodeUnknownKey)
	}
	if n := p.calls(jwksPath); n != 2 {
		t.Errorf("the keys were fetched %d times, want 2: the load and one more", n)
	}
	p.clock.Add(29 * time.Second)
	_, _ = p.login(c)
	if n := p.calls(jwksPath); n != 2 {
		t.Errorf("after 29 s the keys were fetched %d times, want 2", n)
	}
	p.clock.Add(2 * time.Second)
	for range 3 {
		_, _ = p.login(c)
	}
	if n := p.calls(jwksPath); n != 3 {
		t.Errorf("after 31 s the keys were fetched %d times, want 3", n)
	}
}

// Logins that meet the new key at the same time share one fetch, and all succeed.
func TestSec_A035_RotationUnderLoad(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	c := p.client()
	p.mustLogin(c)
	p.locked(func() { p.keys = []signer{{"public:two", jose.RS256, rsaKeys[1]()}} })
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := p.login(c); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := p.calls(jwksPath); n != 2 {
		t.Errorf("the keys were fetched %d times, want 2", n)
	}
}

// A refetch that fails leaves the old keys in use and doesn't spend the
// cool-down: as soon as the provider is back, the new key is found.
func TestSec_D08_KeysKeptWhenTheProviderFails(t *testing.T) {
	t.Parallel()
	var taken atomic.Int64 // of 50 MB, what systems buffer included
	t.Cleanup(func() {
		if n := taken.Load(); n == 0 || n > 20<<20 {
			t.Errorf("%d bytes of 50 MB were taken", n)
		}
	})
	for name, broken := range map[string]http.HandlerFunc{
		"A191 500": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"A191 HTML": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<html>"))
		},
		"A191 invalid JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[`)) },
		"A191 empty":        func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) },
		"A191 50 MB": func(w http.ResponseWriter, _ *http.Request) {
			chunk := []byte(strings.Repeat(" ", 1<<20))
			for range 50 {
				n, err := w.Write(chunk)
				if taken.Add(int64(n)); err != nil {
					return
				}
			}
		},
		"A080 redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t)
			c := p.client()
			p.mustLogin(c)
			p.handle(jwksPath, broken)
			p.clock.Add(2 * time.Hour) // long expired
			p.mustLogin(c)
			if err := c.Ready(); err == nil {
				t.Error("Ready says that all is well")
			}
			p.locked(func() {
				delete(p.handlers, jwksPath)
				p.keys = []signer{{"public:two", jose.RS256, rsaKeys[1]()}}
			})
			p.clock.Add(2 * time.Second)
			p.mustLogin(c)
			if err := c.Ready(); err != nil {
				t.Errorf("Ready is %v after the provider came back", err)
			}
		})
	}
}

func TestSec_A190_KeyForAnotherAlgorithm(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	good := p.keys[0].jwk()
	good["alg"] = "ES256"
	p.jwks = func() any {
		return claims{"keys": []any{good, signer{"public:two", jose.RS256, rsaKeys[1]()}.jwk()}}
	}
	_, err := p.login(p.client())
	refused(t, err, vipps.CodeUnknownKey)
}

func TestSec_A189_UnusableKeysAreSkipped(t *testing.T) {
	t.Parallel()
	good := signer{"public:one", jose.RS256, rsaKeys[0]()}.jwk()
	ec := signer{"public:ec", jose.ES256, newEC(t)}.jwk()
	edit := func(jwk claims, f func(claims)) claims {
		out := claims{}
		for k, v := range jwk {
			out[k] = v
		}
		f(out)
		return out
	}
	short := new(big.Int).Lsh(big.NewInt(1), 1023)
	for name, tt := range map[string]struct {
		key  any
		want int // usable keys, the good one not counted
	}{
		"for encryption":        {edit(good, func(k claims) { k["use"] = "enc" }), 0},
		"use of another type":   {edit(good, func(k claims) { k["use"] = 1 }), 0},
		"no use":                {edit(good, func(k claims) { delete(k, "use") }), 1},
		"key_ops sign":          {edit(good, func(k claims) { k["key_ops"] = []string{"sign"} }), 0},
		"key_ops verify":        {edit(good, func(k claims) { k["key_ops"] = []string{"verify"} }), 1},
		"RSA of 1024 bits":      {edit(good, func(k claims) { k["n"] = b64(string(short.Bytes())) }), 0},
		"exponent 1":            {edit(good, func(k claims) { k["e"] = "AQ" }), 0},
		"even exponent":         {edit(good, func(k claims) { k["e"] = "BA" }), 0},
		"private exponent":      {edit(good, func(k claims) { k["d"] = "AQAB" }), 0},
		"empty private member":  {edit(good, func(k claims) { k["d"] = "" }), 0},
		"first prime":           {edit(good, func(k claims) { k["p"] = "AQAB" }), 0},
		"second prime":          {edit(good, func(k claims) { k["q"] = "AQAB" }), 0},
		"first CRT exponent":    {edit(good, func(k claims) { k["dp"] = "AQAB" }), 0},
		"second CRT exponent":   {edit(good, func(k claims) { k["dq"] = "AQAB" }), 0},
		"CRT coefficient":       {edit(good, func(k claims) { k["qi"] = "AQAB" }), 0},
		"other primes":          {edit(good, func(k claims) { k["oth"] = []string{} }), 0},
		"RSA with a secret":     {edit(good, func(k claims) { k["k"] = "AQAB" }), 0},
		"private EC":            {edit(ec, func(k claims) { k["d"] = "AQAB" }), 0},
		"oct":                   {claims{"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}, 0},
		"RS512":                 {edit(good, func(k claims) { k["alg"] = "RS512" }), 0},
		"no alg":                {edit(good, func(k claims) { delete(k, "alg") }), 1},
		"EC":                    {ec, 1},
		"EC for RS256":          {edit(ec, func(k claims) { k["alg"] = "RS256" }), 0},
		"off the curve":         {edit(ec, func(k claims) { k["x"] = k["y"] }), 0},
		"another curve":         {edit(ec, func(k claims) { k["crv"] = "P-384" }), 0},
		"alg of another type":   {edit(good, func(k claims) { k["alg"] = 5 }), 0},
		"alg none":              {edit(good, func(k claims) { k["alg"] = "none" }), 0},
		"key_ops of one text":   {edit(good, func(k claims) { k["key_ops"] = "sign" }), 0},
		"key_ops a number":      {edit(good, func(k claims) { k["key_ops"] = 5 }), 0},
		"no key_ops in it":      {edit(good, func(k claims) { k["key_ops"] = []string{} }), 0},
		"RSA of 2047 bits":      {edit(good, func(k claims) { k["n"] = b64(string(new(big.Int).Rsh(rsaKeys[0]().N, 1).Bytes())) }), 0},
		"kid of another type":   {edit(good, func(k claims) { k["kid"] = 5 }), 0},
		"broken certificate":    {edit(good, func(k claims) { k["x5c"] = []string{"!"} }), 1},
		"not an object":         {"text", 0},
		"unknown type":          {claims{"kty": "OKP", "crv": "Ed25519", "x": "AQ"}, 0},
		"post-quantum, of 2026": {claims{"kty": "AKP", "alg": "ML-DSA-44", "pub": "AQ"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body, err := json.Marshal(claims{"keys": []any{tt.key, good}})
			if err != nil {
				t.Fatal(err)
			}
			got, err := vipps.CountKeys(body)
			if err != nil || got != tt.want+1 {
				t.Errorf("%d usable keys, error %v; want %d", got, err, tt.want+1)
			}
		})
	}
}

// Some 2,000 keys are what fits into the 1 MiB that is read at most.
func TestSec_A191_ManyKeys(t *testing.T) {
	t.Parallel()
	key, err := json.Marshal(signer{"public:one", jose.RS256, rsaKeys[0]()}.jwk())
	if err != nil {
		t.Fatal(err)
	}
	body := `{"keys":[` + strings.Repeat(string(key)+",", 2_000) + string(key) + `]}`
	start := time.Now()
	got, err := vipps.CountKeys([]byte(body))
	if err != nil || got != 100 {
		t.Errorf("%d usable keys, error %v; want 100", got, err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestVendorKeys(t *testing.T) {
	t.Parallel()
	if n, err := vipps.CountKeys(readTestdata(t, "jwks.json")); err != nil || n != 1 {
		t.Errorf("%d usable keys, error %v", n, err)
	}
}
