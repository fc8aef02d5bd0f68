package emulator_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// broken is one login with a fault, seen from the client.
type broken struct {
	back      string // Location
	tok       map[string]any
	header    map[string]any // of the ID token
	id        map[string]any
	raw       string // payload
	signed    string
	user      map[string]any
	userRaw   string
	userType  string
	signature bool // verifies with a published key
}

func loginBroken(t *testing.T, s *emulator.Server) broken {
	t.Helper()
	if err := s.Control().AutoApprove("4790000008"); err != nil {
		t.Fatal(err)
	}
	p := newBrowser(t, s).get(authorizeURL(s))
	b := broken{back: p.header.Get("Location")}
	b.tok = token(t, s, p.back.Query().Get("code")).json(t)
	b.signed, _ = b.tok["id_token"].(string)
	if parts := strings.Split(b.signed, "."); len(parts) == 3 {
		h, err1 := base64.RawURLEncoding.DecodeString(parts[0])
		c, err2 := base64.RawURLEncoding.DecodeString(parts[1])
		if err1 == nil && err2 == nil && len(h) > 0 && h[0] == '{' {
			b.header, b.id, b.raw = answer{body: string(h)}.json(t), answer{body: string(c)}.json(t), string(c)
			b.signature = verifies(t, s, b.signed)
		}
	}
	u := userinfo(t, s, b.tok["access_token"].(string))
	b.userRaw, b.userType = u.body, u.header.Get("Content-Type")
	if strings.HasPrefix(b.userType, "application/json") {
		b.user = u.json(t)
	}
	return b
}

func verifies(t *testing.T, s *emulator.Server, compact string) bool {
	t.Helper()
	sig, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil {
		return false
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(call(t, http.MethodGet, s.Issuer+".well-known/jwks.json", "", nil).body), &set); err != nil {
		t.Fatal(err)
	}
	for _, key := range set.Keys {
		if _, err := sig.Verify(key); err == nil {
			return true
		}
	}
	return false
}

func unix(v any) time.Duration {
	f, _ := v.(float64)
	return time.Unix(int64(f), 0).Sub(newClock().Now())
}

func TestBreaks(t *testing.T) {
	t.Parallel()
	iss := func(s *emulator.Server) string { return s.Issuer }
	type check func(*emulator.Server, broken) bool
	lacks := func(name string) check {
		return func(_ *emulator.Server, b broken) bool { _, ok := b.id[name]; return !ok && b.id != nil }
	}
	aud := func(want ...string) check {
		return func(_ *emulator.Server, b broken) bool {
			got, _ := b.id["aud"].([]any)
			ok := len(got) == len(want)
			for i := range got {
				ok = ok && got[i] == want[i]
			}
			return ok
		}
	}
	back := func(suffix string) check {
		return func(_ *emulator.Server, b broken) bool { return strings.Contains(b.back, suffix) }
	}
	address := func(b broken) map[string]any { m, _ := b.user["address"].(map[string]any); return m }
	checks := map[string]check{
		emulator.BreakWrongIss:   func(s *emulator.Server, b broken) bool { return b.id["iss"] == iss(s)+"1" },
		emulator.BreakMissingIss: lacks("iss"),
		emulator.BreakWrongAud:   aud("shop1"),
		emulator.BreakMissingAud: lacks("aud"),
		emulator.BreakAudString:  func(_ *emulator.Server, b broken) bool { return b.id["aud"] == "shop" },
		emulator.BreakAudExtra: func(s *emulator.Server, b broken) bool {
			return aud("shop", "another-client")(s, b) && b.id["azp"] == nil
		},
		emulator.BreakAudExtraAzp: func(s *emulator.Server, b broken) bool {
			return aud("shop", "another-client")(s, b) && b.id["azp"] == "shop"
		},
		emulator.BreakAzp:           func(_ *emulator.Server, b broken) bool { return b.id["azp"] == "shop" },
		emulator.BreakWrongAzp:      func(_ *emulator.Server, b broken) bool { return b.id["azp"] == "another-client" },
		emulator.BreakWrongNonce:    func(_ *emulator.Server, b broken) bool { return b.id["nonce"] == nonce+"1" },
		emulator.BreakMissingNonce:  lacks("nonce"),
		emulator.BreakWrongAtHash:   func(_ *emulator.Server, b broken) bool { return b.id["at_hash"] == "AAAAAAAAAAAAAAAAAAAAAA" },
		emulator.BreakMissingAtHash: lacks("at_hash"),
		emulator.BreakExpired:       func(_ *emulator.Server, b broken) bool { return unix(b.id["exp"]) == -time.Hour },
		emulator.BreakMissingExp:    lacks("exp"),
		emulator.BreakMissingIat:    lacks("iat"),
		emulator.BreakIatOld:        func(_ *emulator.Server, b broken) bool { return unix(b.id["iat"]) == -7*24*time.Hour },
		emulator.BreakIatFuture:     func(_ *emulator.Server, b broken) bool { return unix(b.id["iat"]) == time.Hour },
		emulator.BreakNbfFuture:     func(_ *emulator.Server, b broken) bool { return unix(b.id["nbf"]) == time.Hour },
		emulator.BreakMissingSub:    lacks("sub"),
		emulator.BreakEmptySub:      func(_ *emulator.Server, b broken) bool { return b.id["sub"] == "" },
		emulator.BreakSubNumber:     func(_ *emulator.Server, b broken) bool { return b.id["sub"] == 4711.0 },
		emulator.BreakMissingACR:    lacks("acr"),
		emulator.BreakWrongMSN:      func(_ *emulator.Server, b broken) bool { return b.id["msn"] == "654321" },
		emulator.BreakMissingMSN:    lacks("msn"),
		emulator.BreakWrongACR:      func(_ *emulator.Server, b broken) bool { return b.id["acr"] == "urn:vipps:acr:something_else" },
		emulator.BreakExtraClaims:   func(_ *emulator.Server, b broken) bool { return b.id["_claim_sources"] != nil && b.signature },
		emulator.BreakDuplicateKeys: func(_ *emulator.Server, b broken) bool { return strings.Count(b.raw, `"sub":`) == 2 && b.signature },
		emulator.BreakCaseVariants: func(_ *emulator.Server, b broken) bool {
			return b.id["Sub"] != nil && b.id["SUB"] != nil && b.id["sub"] != b.id["Sub"]
		},
		emulator.BreakAlgNone: func(_ *emulator.Server, b broken) bool {
			return b.header["alg"] == "none" && strings.HasSuffix(b.signed, ".")
		},
		emulator.BreakHS256PublicKey: func(_ *emulator.Server, b broken) bool { return b.header["alg"] == "HS256" && b.header["kid"] != nil },
		emulator.BreakHS256Secret: func(_ *emulator.Server, b broken) bool {
			i := strings.LastIndexByte(b.signed, '.')
			mac := hmac.New(sha256.New, []byte("testdzlJbUZaM1lqODlnUUtrUHI="))
			mac.Write([]byte(b.signed[:i]))
			return b.header["alg"] == "HS256" && b.signed[i+1:] == base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
		},
		emulator.BreakES256: func(_ *emulator.Server, b broken) bool { return b.header["alg"] == "ES256" && b.signature },
		emulator.BreakUnknownKID: func(s *emulator.Server, b broken) bool {
			return b.header["kid"] != jwks(t, s)[0]["kid"] && !b.signature
		},
		emulator.BreakForeignKey: func(s *emulator.Server, b broken) bool {
			return b.header["kid"] == jwks(t, s)[0]["kid"] && !b.signature
		},
		emulator.BreakNoKID:          func(_ *emulator.Server, b broken) bool { return b.header["kid"] == nil && b.signature },
		emulator.BreakBadSignature:   func(_ *emulator.Server, b broken) bool { return b.header["alg"] == "RS256" && !b.signature },
		emulator.BreakNoIDToken:      func(_ *emulator.Server, b broken) bool { _, ok := b.tok["id_token"]; return !ok },
		emulator.BreakNotAJWT:        func(_ *emulator.Server, b broken) bool { return b.signed == "not.a.jwt" },
		emulator.BreakTokenTypeCase:  func(_ *emulator.Server, b broken) bool { return b.tok["token_type"] == "bEARER" },
		emulator.BreakTokenNoExpires: func(_ *emulator.Server, b broken) bool { return b.tok["expires_in"] == nil && b.tok["scope"] == nil },
		emulator.BreakEmailVerifiedMissing: func(_ *emulator.Server, b broken) bool {
			return b.user["email_verified"] == nil && b.user["email"] != nil
		},
		emulator.BreakPhoneUnverified: func(_ *emulator.Server, b broken) bool {
			return b.user["phone_number_verified"] == false && b.user["phone_number"] != nil
		},
		emulator.BreakEmailVerifiedString:   func(_ *emulator.Server, b broken) bool { return b.user["email_verified"] == "true" },
		emulator.BreakUserinfoWrongSub:      func(_ *emulator.Server, b broken) bool { return b.user["sub"] == b.id["sub"].(string)+"invalid" },
		emulator.BreakUserinfoMissingSub:    func(_ *emulator.Server, b broken) bool { return b.user["sub"] == nil && b.user["name"] != nil },
		emulator.BreakUserinfoDuplicateKeys: func(_ *emulator.Server, b broken) bool { return strings.Count(b.userRaw, `"sub":`) == 2 },
		emulator.BreakUserinfoExtraClaims:   func(_ *emulator.Server, b broken) bool { return b.user["future_claim"] != nil },
		emulator.BreakUserinfoHTML:          func(_ *emulator.Server, b broken) bool { return strings.HasPrefix(b.userType, "text/html") },
		emulator.BreakEscapedNewlines: func(_ *emulator.Server, b broken) bool {
			return address(b)["street_address"] == `Eksempelgata 23\nLeilighet B5`
		},
		emulator.BreakAddressArray:          func(_ *emulator.Server, b broken) bool { a, ok := b.user["address"].([]any); return ok && len(a) == 1 },
		emulator.BreakControlCharacters:     func(_ *emulator.Server, b broken) bool { return strings.Contains(b.user["name"].(string), "\r\n") },
		emulator.BreakHugeProfile:           func(_ *emulator.Server, b broken) bool { return len(b.userRaw) > 15000 && len(b.userRaw) < 100000 },
		emulator.BreakHugeBody:              func(_ *emulator.Server, b broken) bool { return len(b.userRaw) > 2<<20 },
		emulator.BreakCallbackNoState:       func(_ *emulator.Server, b broken) bool { return !strings.Contains(b.back, "state=") },
		emulator.BreakCallbackWrongState:    back("state=" + state + "1&"),
		emulator.BreakCallbackTwoStates:     back("state=" + state + "&state=" + state),
		emulator.BreakCallbackNoScope:       func(_ *emulator.Server, b broken) bool { return !strings.Contains(b.back, "scope=") },
		emulator.BreakCallbackCodeAndError:  back("&error=access_denied&state="),
		emulator.BreakCallbackIss:           func(s *emulator.Server, b broken) bool { return strings.HasSuffix(b.back, "access%2F") },
		emulator.BreakCallbackWrongIss:      func(s *emulator.Server, b broken) bool { return strings.HasSuffix(b.back, "access%2F1") },
		emulator.BreakDiscoveryWrongIssuer:  discoveryHas(t, "issuer", "INVALID"),
		emulator.BreakDiscoveryAdvertiseIss: discoveryHas(t, "authorization_response_iss_parameter_supported", "true"),
		emulator.BreakMalformedRedirect: func(s *emulator.Server, _ broken) bool {
			if err := s.Control().Deny("access_denied"); err != nil {
				return false
			}
			p := newBrowser(t, s).get(authorizeURL(s))
			return p.header.Get("Location") == callback+"?error=access_denied&error_description=User%20cancelled%20the%20login?state="+state
		},
	}
	faults := slices.DeleteFunc(emulator.Breaks(), func(b emulator.BreakInfo) bool { return testedElsewhere[b.Where] != "" })
	for _, info := range faults {
		t.Run(info.Kind, func(t *testing.T) {
			t.Parallel()
			ok := checks[info.Kind]
			if ok == nil {
				t.Fatal("this fault has no test")
			}
			s := start(t, nil)
			if info.Where != "discovery" && info.Kind != emulator.BreakMalformedRedirect && info.Kind != emulator.BreakMissingACR && ok(s, loginBroken(t, s)) {
				t.Fatal("the check passes without the fault")
			}
			if err := s.Control().Break(info.Kind, 1); err != nil {
				t.Fatal(err)
			}
			if b := loginBroken(t, s); !ok(s, b) {
				t.Errorf("%s (%s) doesn't: %s %v %v %v", info.Kind, info.Does, b.back, b.tok, b.header, b.raw)
			}
			if b := loginBroken(t, s); !b.signature || b.user["sub"] != b.id["sub"] {
				t.Error("the fault stays")
			}
		})
	}
	if len(checks) != len(faults) {
		t.Errorf("%d checks for %d faults", len(checks), len(faults))
	}
}

// testedElsewhere says which test has the faults of an answer that no browser's login sees.
var testedElsewhere = map[string]string{
	"merchant": "ciba_test.go", "app-callback": "TestAppToAppErrors", "access-token": "TestAccessToken", "webhooks-api": "TestWebhookUUIDSecret", "webhook": "TestWebhookBreaks",
	"consent-revoked": "TestConsentRevokedBreaks", "qr": "TestQRBreaks",
}

func discoveryHas(t *testing.T, name, suffix string) func(*emulator.Server, broken) bool {
	return func(s *emulator.Server, _ broken) bool {
		a := call(t, http.MethodGet, s.Issuer+".well-known/openid-configuration", "", nil)
		v, _ := a.json(t)[name].(string)
		return strings.HasSuffix(v, suffix) || (suffix == "true" && a.json(t)[name] == true)
	}
}
