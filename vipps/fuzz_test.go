package vipps_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/vipps"
)

func fuzzClient(f *testing.F) *vipps.Client {
	f.Helper()
	return newClient(f, vipps.Config{
		Issuer: "https://op.example/", ClientID: "client", ClientSecret: "secret", Now: newClock().Now,
	})
}

// typed fails for an error that is no *Error or has a code that no page or
// metric could take.
func typed(t *testing.T, err error) {
	t.Helper()
	var e *vipps.Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %v, not an *Error", err)
	}
	if e.Code == "" || len(e.Code) > 64 || len(e.Description) > 200 || strings.ContainsFunc(e.Error(), func(r rune) bool { return r < ' ' }) {
		t.Fatalf("error is %+v", e)
	}
}

func FuzzIDTokenHeader(f *testing.F) {
	c := fuzzClient(f)
	for _, header := range []string{`{"alg":"RS256","kid":"public:one"}`, `{"alg":"none"}`, `{"alg":"ES256","crit":["b64"],"b64":false}`, `[]`} {
		f.Add(b64(header) + ".e30.c2ln")
	}
	f.Add("..")
	f.Add("a.b.c.d.e")
	f.Fuzz(func(t *testing.T, raw string) {
		if err := c.CheckHeader(raw); err != nil {
			typed(t, err)
			return
		}
		if strings.Count(raw, ".") != 2 || strings.ContainsAny(raw, "=\r\n+/ ") {
			t.Errorf("%q passed", raw)
		}
	})
}

func FuzzIDTokenPayload(f *testing.F) {
	c := fuzzClient(f)
	for _, payload := range []string{
		`{"iss":"https://op.example/","aud":"client","sub":"s","exp":1772370000,"iat":1772366400,"nonce":"n"}`,
		`{"iss":"https://op.example/","aud":["client"],"sub":"s","exp":1.7723e9,"iat":1772366400,"azp":"client"}`,
		`{"iss":"https://op.example/","aud":"client","sub":"s","sub":"t","exp":1,"iat":1e400}`,
		`{"SUB":"x","aud":[null],"iss":[]}`,
	} {
		f.Add([]byte(payload))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		if c.CheckPayload(payload) != nil {
			return
		}
		// What passes has these, under these very names.
		var m map[string]any
		if err := json.Unmarshal(payload, &m); err != nil {
			t.Fatal(err)
		}
		sub, _ := m["sub"].(string)
		if m["iss"] != "https://op.example/" || sub == "" || len(sub) > 255 || strings.ContainsAny(sub, ",\r\n\x00") {
			t.Errorf("%q passed", payload)
		}
	})
}

func FuzzJWKS(f *testing.F) {
	key, err := json.Marshal(signer{"public:one", "RS256", rsaKeys[0]()}.jwk())
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"keys":[` + string(key) + `]}`))
	f.Add(readTestdata(f, "jwks.json"))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},{"kty":"oct","k":"AA"},null,7]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		n, err := vipps.CountKeys(body)
		if (n == 0) == (err == nil) || n > 100 {
			t.Errorf("%d keys, error %v", n, err)
		}
	})
}

func FuzzUserinfo(f *testing.F) {
	for _, name := range []string{
		"userinfo-standard.json", "userinfo-consents.json", "userinfo-no-address.json",
		"userinfo-testuser.json", "userinfo-v1.json", "userinfo-accounts.json",
	} {
		f.Add(readTestdata(f, name))
	}
	f.Add([]byte(`{"sub":"s","address":[[{"formatted":"\\n"}]],"accounts":{},"email_verified":"true"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		u, err := vipps.DecodeUser(body)
		if err != nil {
			return
		}
		for name := range u.Claims {
			if text, ok := u.Claim(name); ok == (text == "") {
				t.Errorf("%q: %q, %v", name, text, ok)
			}
		}
		if u.Address != nil && *u.Address == (vipps.Address{Type: u.Address.Type}) {
			t.Error("an empty address")
		}
	})
}

func FuzzCallback(f *testing.F) {
	for _, query := range []string{
		"code=a&state=b", "code=a&code=b&state=c", "error=access_denied&error_description=x?state=y",
		"error=%3Cscript%3E&state=a&iss=", "code=a%26state=T&state=S", "code=%00&state=S",
	} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q, _ := url.ParseQuery(raw)
		cb, err := vipps.ParseCallback(q)
		if err != nil {
			typed(t, err)
			return
		}
		if cb.State == "" || len(cb.State) > 512 || len(cb.Error) > 64 || strings.ContainsAny(cb.State+cb.Code+cb.Error+cb.Issuer, "\r\n\x00") {
			t.Errorf("callback is %+v", cb)
		}
	})
}

func FuzzMetadata(f *testing.F) {
	c := newClient(f, vipps.Config{Issuer: "https://apitest.vipps.no/access-management-1.0/access/", ClientID: "c", ClientSecret: "secret"})
	f.Add(readTestdata(f, "discovery-2023.json"))
	f.Add([]byte(`{"issuer":"https://apitest.vipps.no/access-management-1.0/access/","token_endpoint":"http://x/"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if err := c.ParseMetadata(body); err != nil {
			typed(t, err)
		}
	})
}

func BenchmarkLogin(b *testing.B) {
	p := newProvider(b)
	c := p.client()
	p.mustLogin(c)
	b.ReportAllocs()
	for b.Loop() {
		p.mustLogin(c) // a whole login: both ends of HTTP, signing and verifying
	}
}
