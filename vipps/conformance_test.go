package vipps_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/vippsauth/vippsauth/vipps"
)

func TestSec_A010_NormalFlow(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	l := p.mustLogin(p.client())
	if l.User.Sub != testSub || l.User.Name != "Åse Ødegård" {
		t.Errorf("sub %q, name %q", l.User.Sub, l.User.Name)
	}
	now := p.clock.Now()
	if !l.IssuedAt.Equal(now) || !l.ExpiresAt.Equal(now.Add(time.Hour)) || !l.AuthTime.Equal(now.Add(-time.Minute)) {
		t.Errorf("times are %v, %v, %v", l.IssuedAt, l.ExpiresAt, l.AuthTime)
	}
	for path, want := range map[string]int{discoveryPath: 1, jwksPath: 1, tokenPath: 1, userinfoPath: 1} {
		if got := p.calls(path); got != want {
			t.Errorf("%s was called %d times, want %d", path, got, want)
		}
	}
}

// idTokenCase is a change to an otherwise good ID token.
type idTokenCase struct {
	name string
	edit func(c claims)
	code string // "" for a login that succeeds
}

func (tt idTokenCase) run(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.idToken = tt.edit
	_, err := p.login(p.client())
	if tt.code == "" {
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	refused(t, err, tt.code)
	if n := p.calls(userinfoPath); n != 0 {
		t.Errorf("userinfo was called %d times with a token that is refused", n)
	}
	if n := p.calls(tokenPath); n != 1 {
		t.Errorf("the token endpoint was called %d times", n)
	}
}

func TestSec_IDTokenClaims(t *testing.T) {
	t.Parallel()
	at := func(name string, d time.Duration) func(claims) {
		return func(c claims) { c[name] = newClock().Now().Add(d).Unix() }
	}
	set := func(name string, v any) func(claims) { return func(c claims) { c[name] = v } }
	without := func(name string) func(claims) { return func(c claims) { delete(c, name) } }
	for _, tt := range []idTokenCase{
		{"A011_InvalidIss", func(c claims) { c["iss"] = c["iss"].(string) + "1" }, vipps.CodeIssuerMismatch},
		{"A070_IssWithoutSlash", func(c claims) { c["iss"] = strings.TrimSuffix(c["iss"].(string), "/") }, vipps.CodeIssuerMismatch},
		{"A011_MissingIss", without("iss"), vipps.CodeMissingClaim},
		{"A012_MissingSub", without("sub"), vipps.CodeMissingClaim},
		{"A012_NullSub", set("sub", nil), vipps.CodeMissingClaim},
		{"A013_InvalidAud", set("aud", clientID+"1"), vipps.CodeAudience},
		{"A014_MissingIat", without("iat"), vipps.CodeMissingClaim},
		{"A021_InvalidNonce", func(c claims) { c["nonce"] = c["nonce"].(string) + "1" }, vipps.CodeNonce},
		{"A054_MissingNonce", without("nonce"), vipps.CodeNonce},
		{"A054_EmptyNonce", set("nonce", ""), vipps.CodeNonce},
		{"A074_NonceOfAnotherType", set("nonce", 12), vipps.CodeMalformedToken},
		{"A040_MissingAud", without("aud"), vipps.CodeMissingClaim},
		{"A040_EmptyAud", set("aud", []string{}), vipps.CodeAudience},
		{"A055_Expired", at("exp", -6*time.Minute), vipps.CodeExpired},
		{"A055_MissingExp", without("exp"), vipps.CodeMissingClaim},
		{"A055_ExpAsText", set("exp", "4102444800"), vipps.CodeMalformedToken},
		{"A055_ExpNegative", set("exp", -1), vipps.CodeMalformedToken},
		{"A056_IatAWeekAgo", at("iat", -7*24*time.Hour), vipps.CodeTooOld},
		{"A059_SecondaryAud", set("aud", []string{clientID, "other"}), vipps.CodeAudience},
		{"A059_SecondaryAudWithAzp", func(c claims) { c["aud"], c["azp"] = []string{clientID, "other"}, clientID }, vipps.CodeAudience},
		{"A060_AudAsArray", set("aud", []string{clientID}), ""},
		{"A060_AudAsText", set("aud", clientID), ""},
		{"A060_AudOfNumbers", set("aud", []any{clientID, 1}), vipps.CodeAudience},
		{"A071_ForeignAzp", set("azp", "other"), vipps.CodeAudience},
		{"A071_OwnAzp", set("azp", clientID), ""},
		{"A073_ExpWithinLeeway", at("exp", -59*time.Second), ""},
		{"A073_ExpBeyondLeeway", at("exp", -62*time.Second), vipps.CodeExpired},
		{"A073_IatWithinLeeway", at("iat", 59*time.Second), ""},
		{"A073_IatBeyondLeeway", at("iat", 62*time.Second), vipps.CodeIssuedInFuture},
		{"A073_NbfWithinLeeway", at("nbf", 59*time.Second), ""},
		{"A073_NbfBeyondLeeway", at("nbf", 62*time.Second), vipps.CodeIssuedInFuture},
		{"A073_FractionsOfASecond", set("iat", float64(newClock().Now().Unix())+0.25), ""},
		{"A075_WrongAtHash", set("at_hash", "tyFnH20TOmPZkgJU8e5iKw"), vipps.CodeAccessTokenHash},
		{"A075_EmptyAtHash", set("at_hash", ""), vipps.CodeAccessTokenHash},
		{"A076_EmptySub", set("sub", ""), vipps.CodeInvalidSubject},
		{"A076_NumericSub", set("sub", 7), vipps.CodeInvalidSubject},
		{"A076_SubOf256", set("sub", strings.Repeat("a", 256)), vipps.CodeInvalidSubject},
		{"A076_SubWithLineBreak", set("sub", "a\r\nX-Admin: 1"), vipps.CodeInvalidSubject},
		{"A076_SubWithComma", set("sub", "a,b"), vipps.CodeInvalidSubject},
		{"A076_SubBeyondASCII", set("sub", "Åse"), vipps.CodeInvalidSubject},
		{"A076_SubWithSpaceAtTheEnd", set("sub", "a "), vipps.CodeInvalidSubject},
		{"A048_DistributedClaims", func(c claims) {
			c["_claim_names"] = map[string]string{"address": "s"}
			c["_claim_sources"] = map[string]any{"s": map[string]string{"endpoint": "http://127.0.0.1:1/"}}
		}, ""},
	} {
		t.Run(tt.name, tt.run)
	}
}

// A reader that folds the case of names takes "SUB" for sub; one that lets the
// last of two names win takes the attacker's.
func TestSec_A078_NamesAreExactAndOnce(t *testing.T) {
	t.Parallel()
	for name, extra := range map[string]string{
		"twice":      `"sub":"victim"`,
		"twice deep": `"x":{"a":1,"a":2}`,
		"escaped":    `"\u0073ub":"victim"`,
		"too deep":   `"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t)
			p.payload = func(c claims) []byte {
				data, _ := json.Marshal(c)
				return append(data[:len(data)-1], []byte(","+extra+"}")...)
			}
			_, err := p.login(p.client())
			refused(t, err, vipps.CodeMalformedToken)
		})
	}
	t.Run("folded", func(t *testing.T) {
		t.Parallel()
		p := newProvider(t)
		p.idToken = func(c claims) { c["SUB"], c["Sub"] = "victim", "victim" }
		if l := p.mustLogin(p.client()); l.User.Sub != testSub {
			t.Errorf("sub is %q", l.User.Sub)
		}
	})
	t.Run("folded instead", func(t *testing.T) {
		t.Parallel()
		p := newProvider(t)
		p.idToken = func(c claims) { delete(c, "sub"); c["Sub"] = "victim" }
		_, err := p.login(p.client())
		refused(t, err, vipps.CodeMissingClaim)
	})
}

func TestSec_A075_AtHash(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	// The example pair of OpenID Connect Core, appendix A.3, for RS256.
	p.tokens = func(m map[string]any) { m["access_token"] = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y" }
	p.idToken = func(c claims) { c["at_hash"] = "77QmUPtjPfzWtF2AnpK9RQ" }
	p.mustLogin(p.client())
}

func TestSec_A020_A077_UserinfoSub(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(claims){
		"another":      func(c claims) { c["sub"] = testSub + "invalid" },
		"missing":      func(c claims) { delete(c, "sub") },
		"number":       func(c claims) { c["sub"] = 1 },
		"folded":       func(c claims) { delete(c, "sub"); c["Sub"] = testSub },
		"another case": func(c claims) { c["sub"] = strings.ToUpper(testSub) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t)
			p.userinfo = edit
			l, err := p.login(p.client())
			refused(t, err, vipps.CodeSubjectMismatch)
			if l != nil {
				t.Error("a refused login was returned")
			}
		})
	}
}

func TestSec_A044_SignedUserinfoIsRefused(t *testing.T) {
	t.Parallel()
	for _, contentType := range []string{"application/jwt", "text/html", "text/plain", "", "application/json, text/html"} {
		p := newProvider(t)
		p.handle(userinfoPath, func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = []string{contentType}
			_, _ = w.Write([]byte(`{"sub":"` + testSub + `"}`))
		})
		_, err := p.login(p.client())
		refused(t, err, vipps.CodeInvalidResponse)
	}
}

func TestSec_A061_A062_TokenResponses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		edit func(m map[string]any)
		code string
	}{
		{"no scope", func(m map[string]any) { delete(m, "scope") }, ""},
		{"no expires_in", func(m map[string]any) { delete(m, "expires_in") }, ""},
		{"odd expires_in", func(m map[string]any) { m["expires_in"] = "soon" }, ""},
		{"fractional expires_in", func(m map[string]any) { m["expires_in"] = 1.5 }, ""},
		{"bEARER", func(m map[string]any) { m["token_type"] = "bEARER" }, ""},
		{"mac", func(m map[string]any) { m["token_type"] = "mac" }, vipps.CodeInvalidResponse},
		{"no token_type", func(m map[string]any) { delete(m, "token_type") }, vipps.CodeInvalidResponse},
		{"no access_token", func(m map[string]any) { delete(m, "access_token") }, vipps.CodeInvalidResponse},
		{"line break", func(m map[string]any) { m["access_token"] = "a\r\nX-Evil: 1" }, vipps.CodeInvalidResponse},
		{"no id_token", func(m map[string]any) { delete(m, "id_token") }, vipps.CodeMissingIDToken},
		{"folded id_token", func(m map[string]any) { m["ID_TOKEN"] = m["id_token"]; delete(m, "id_token") }, vipps.CodeMissingIDToken},
		{"error with 200", func(m map[string]any) { m["error"] = "invalid_grant" }, "invalid_grant"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t)
			p.tokens = tt.edit
			_, err := p.login(p.client())
			if tt.code != "" {
				refused(t, err, tt.code)
			} else if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestSec_A050_A051_State(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	c := p.client()
	for name, change := range map[string]func(url.Values){
		"other":   func(q url.Values) { q.Set("state", vipps.NewStateID()) },
		"missing": func(q url.Values) { q.Del("state") },
		"empty":   func(q url.Values) { q.Set("state", "") },
		"error without state": func(q url.Values) {
			q.Del("state")
			q.Del("code")
			q.Set("error", "access_denied")
		},
	} {
		if _, err := p.login(c, change); !isState(err) {
			t.Errorf("%s: error is %v, want ErrState", name, err)
		}
	}
	if n := p.calls(tokenPath); n != 0 {
		t.Errorf("the token endpoint was called %d times", n)
	}
}

func TestSec_A110_A113_IssuerOfTheCallback(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		announced bool
		iss       func(issuer string) []string
		failed    bool // the provider answers with an error
		code      string
	}{
		{"A112 silent and absent", false, nil, false, ""},
		{"A112 silent and equal", false, func(i string) []string { return []string{i} }, false, ""},
		{"A112 announced and equal", true, func(i string) []string { return []string{i} }, false, ""},
		{"A053 A110 announced and absent", true, nil, false, vipps.CodeMissingIssuer},
		{"A110 announced and absent in an error", true, nil, true, vipps.CodeMissingIssuer},
		{"A052 A111 different", false, func(i string) []string { return []string{i + "x"} }, false, vipps.CodeIssuerMismatch},
		{"A111 without the slash", false, func(i string) []string { return []string{strings.TrimSuffix(i, "/")} }, false, vipps.CodeIssuerMismatch},
		{"A111 empty", false, func(string) []string { return []string{""} }, false, vipps.CodeIssuerMismatch},
		{"A111 different in an error", false, func(string) []string { return []string{"https://evil.example"} }, true, vipps.CodeIssuerMismatch},
		{"A113 twice", true, func(i string) []string { return []string{i, i} }, false, vipps.CodeDuplicateParameter},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t)
			p.metadata = func(m map[string]any) { m["authorization_response_iss_parameter_supported"] = tt.announced }
			_, err := p.login(p.client(), func(q url.Values) {
				if tt.iss != nil {
					q["iss"] = tt.iss(p.issuer)
				}
				if tt.failed {
					q.Del("code")
					q.Set("error", "access_denied")
				}
			})
			if tt.code == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			refused(t, err, tt.code)
			if n := p.calls(tokenPath); n != 0 {
				t.Errorf("the token endpoint was called %d times", n)
			}
		})
	}
}

func TestSec_A023_A004_ClientAuthentication(t *testing.T) {
	t.Parallel()
	raw := clientID + ":" + clientSecret
	for _, tt := range []struct {
		auth  vipps.ClientAuth
		basic string // what base64 hides; "" for none
	}{
		{"", url.QueryEscape(clientID) + ":" + url.QueryEscape(clientSecret)},
		{vipps.ClientAuthBasic, url.QueryEscape(clientID) + ":" + url.QueryEscape(clientSecret)},
		{vipps.ClientAuthBasicRaw, raw},
		{vipps.ClientAuthPost, ""},
	} {
		t.Run(string(tt.auth), func(t *testing.T) {
			t.Parallel()
			p := newProvider(t)
			cfg := p.config()
			cfg.ClientAuth = tt.auth
			p.mustLogin(newClient(t, cfg))
			r := p.last(tokenPath)
			want := ""
			if tt.basic != "" {
				want = "Basic " + base64.StdEncoding.EncodeToString([]byte(tt.basic))
			}
			if got := r.Header.Get("Authorization"); got != want {
				t.Errorf("Authorization is %q, want %q", got, want)
			}
			if got := r.PostForm.Has("client_secret"); got != (tt.basic == "") {
				t.Errorf("client_secret in the form: %v", got)
			}
			if tt.basic == "" && (r.PostForm.Get("client_id") != clientID || r.PostForm.Get("client_secret") != clientSecret) {
				t.Error("the form has other credentials")
			}
		})
	}
}

func TestSec_A002_A003_A005_A043_Requests(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	cfg := p.config()
	cfg.SystemName, cfg.SystemVersion = "acme", "1.2.3"
	p.mustLogin(newClient(t, cfg))
	token, userinfo := p.last(tokenPath), p.last(userinfoPath)
	if token.Method != http.MethodPost || token.URL.RawQuery != "" || token.PostForm.Get("grant_type") != "authorization_code" ||
		token.PostForm.Get("redirect_uri") != redirectURI || len(token.PostForm.Get("code_verifier")) != 43 {
		t.Errorf("token request: %s %s", token.Method, token.URL)
	}
	if got := userinfo.Header.Get("Authorization"); !strings.HasPrefix(got, "Bearer at-code-") || userinfo.URL.RawQuery != "" {
		t.Errorf("userinfo request: %s, Authorization %q", userinfo.URL, got)
	}
	for _, path := range []string{discoveryPath, jwksPath, tokenPath, userinfoPath} {
		h := p.last(path).Header
		if h.Get("Vipps-System-Name") != "acme" || h.Get("Vipps-System-Version") != "1.2.3" {
			t.Errorf("%s: Vipps-System headers are missing", path)
		}
	}
}

func TestSec_A072_ES256(t *testing.T) {
	t.Parallel()
	p := newProvider(t) // announces RS256 only, as Vipps does
	p.keys = []signer{{"public:ec", jose.ES256, newEC(t)}}
	p.mustLogin(p.client())
}
