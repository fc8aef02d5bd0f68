package vipps_test

import (
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/vippsauth/vippsauth/vipps"
)

// bothWays runs a merchant-initiated login to its end, in the app and in a browser, with a provider of its own each.
func bothWays(t *testing.T, prepare func(p *ciba), check func(t *testing.T, p *ciba, login *vipps.Login, err error)) {
	t.Helper()
	p := newCIBA(t)
	prepare(p)
	c := p.client()
	login, err := c.PollMerchantLogin(t.Context(), startMerchant(t, c, vipps.MerchantLoginRequest{}))
	check(t, p, login, err)
	p = newCIBA(t)
	prepare(p)
	c = p.client()
	pending := startMerchant(t, c, vipps.MerchantLoginRequest{RedirectURI: landingURI})
	login, _, err = c.FinishMerchantLogin(t.Context(), codeOf(pending), one(pending))
	check(t, p, login, err)
}

// The client modules of FAPI-CIBA on the ID token: each claim is checked as in a login in the browser, before userinfo.
func TestSec_A146_IDTokenClaims(t *testing.T) {
	t.Parallel()
	at := func(name string, d time.Duration) func(claims) {
		return func(c claims) { c[name] = newClock().Now().Add(d).Unix() }
	}
	set := func(name string, v any) func(claims) { return func(c claims) { c[name] = v } }
	without := func(name string) func(claims) { return func(c claims) { delete(c, name) } }
	for _, tt := range []struct {
		name string
		edit func(c claims)
		code string
	}{
		{"invalid-iss", func(c claims) { c["iss"] = c["iss"].(string) + "1" }, vipps.CodeIssuerMismatch},
		{"iss-of-the-sample", set("iss", "https://ece46ec4-6f9c-489b-8fe5-146a89e11635.tech-02.net/access-management-1.0/access/"), vipps.CodeIssuerMismatch},
		{"missing-iss", without("iss"), vipps.CodeMissingClaim},
		{"invalid-aud", set("aud", clientID+"1"), vipps.CodeAudience},
		{"missing-aud", without("aud"), vipps.CodeMissingClaim},
		{"secondary-aud", set("aud", []string{clientID, "other"}), vipps.CodeAudience},
		{"expired-exp", at("exp", -6*time.Minute), vipps.CodeExpired},
		{"missing-exp", without("exp"), vipps.CodeMissingClaim},
		{"iat-is-week-in-past", at("iat", -7*24*time.Hour), vipps.CodeTooOld},
		{"iat-in-the-future", at("iat", time.Hour), vipps.CodeIssuedInFuture},
		{"missing-iat", without("iat"), vipps.CodeMissingClaim},
		{"missing-sub", without("sub"), vipps.CodeMissingClaim},
		{"foreign-azp", set("azp", "other"), vipps.CodeAudience},
		{"wrong-at_hash", set("at_hash", "77QmUPtjPfzWtF2AnpK9RQ"), vipps.CodeAccessTokenHash},
		{"another-nonce", set("nonce", "n-0S6_WzA2Mj"), vipps.CodeNonce},
		{"nonce-of-another-type", set("nonce", 1), vipps.CodeMalformedToken},
		{"A147_valid-aud-as-array", set("aud", []string{clientID}), ""},
		{"A147_empty-nonce", set("nonce", ""), ""},
		{"A147_null-nonce", set("nonce", nil), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bothWays(t, func(p *ciba) { p.token = tt.edit }, func(t *testing.T, p *ciba, login *vipps.Login, err error) {
				if tt.code == "" {
					if err != nil || login.User.Sub != testSub {
						t.Fatal(err)
					}
					return
				}
				if refused(t, err, tt.code); login != nil || p.calls(userinfoPath) != 0 || p.calls(tokenPath) != 1 {
					t.Errorf("%d token requests, userinfo %d times", p.calls(tokenPath), p.calls(userinfoPath))
				}
			})
		})
	}
}

// The signature: ES256 is taken although the metadata say RS256 only, and both from keys of the provider and no other.
func TestSec_A146_Signatures(t *testing.T) {
	t.Parallel()
	key, other := newEC(t), newEC(t)
	es256 := func(key *ecdsa.PrivateKey, header string) func([]byte) string {
		return func(payload []byte) string {
			return forge(header, payload, func(input string) []byte {
				sum := sha256.Sum256([]byte(input))
				r, s, err := ecdsa.Sign(randReader, key, sum[:])
				if err != nil {
					t.Error(err)
				}
				out := make([]byte, 64)
				r.FillBytes(out[:32])
				s.FillBytes(out[32:])
				return out
			})
		}
	}
	good := es256(key, `{"alg":"ES256","kid":"public:ec"}`)
	for name, tt := range map[string]struct {
		sign func(payload []byte) string
		code string
	}{
		"ES256":             {good, ""},
		"RS256":             {func(payload []byte) string { return signer{"public:one", jose.RS256, rsaKeys[0]()}.sign(t, payload) }, ""},
		"invalid-signature": {func(payload []byte) string { return bend(good(payload)) }, vipps.CodeSignature},
		"another-key":       {es256(other, `{"alg":"ES256","kid":"public:ec"}`), vipps.CodeSignature},
		"unknown-key":       {es256(other, `{"alg":"ES256","kid":"public:other"}`), vipps.CodeUnknownKey},
		"null-alg": {func(payload []byte) string {
			return forge(`{"alg":"none"}`, payload, func(string) []byte { return nil })
		}, vipps.CodeAlgorithm},
		"alternate-alg":    {es256(key, `{"alg":"ES384","kid":"public:ec"}`), vipps.CodeAlgorithm},
		"alg-of-the-other": {es256(key, `{"alg":"RS256","kid":"public:ec"}`), vipps.CodeUnknownKey},
		"HS256": {func(payload []byte) string {
			return forge(`{"alg":"HS256"}`, payload, func(input string) []byte {
				m := hmac.New(sha256.New, []byte(clientSecret))
				m.Write([]byte(input))
				return m.Sum(nil)
			})
		}, vipps.CodeAlgorithm},
		"flattened": {func(payload []byte) string { return flattened(good(payload)) }, vipps.CodeMalformedToken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothWays(t, func(p *ciba) {
				p.metadata = func(m map[string]any) { m["id_token_signing_alg_values_supported"] = []string{"RS256"} }
				p.keys = []signer{{"public:one", jose.RS256, rsaKeys[0]()}, {"public:ec", jose.ES256, key}}
				p.sign = tt.sign
			}, func(t *testing.T, p *ciba, login *vipps.Login, err error) {
				if tt.code == "" {
					if err != nil {
						t.Fatal(err)
					}
					return
				}
				if refused(t, err, tt.code); login != nil || p.calls(userinfoPath) != 0 {
					t.Error("userinfo was called")
				}
			})
		})
	}
}

// Attack: the answer to a poll is mixed up, by the provider or a cache in front of it, and the till gets the person of the
// till beside it. Where the token says which login it is of, by whichever name, it must be this one.
func TestSec_A146_A151_TheTokenOfAnotherPoll(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		edit func(c claims, id string)
		code string
	}{
		"none":               {func(claims, string) {}, ""},
		"documented":         {func(c claims, id string) { c["auth_req_id"] = id }, ""},
		"sample":             {func(c claims, id string) { c["authReqId"] = id }, ""},
		"standard":           {func(c claims, id string) { c["urn:openid:params:jwt:claim:auth_req_id"] = id }, ""},
		"null":               {func(c claims, _ string) { c["auth_req_id"] = nil }, ""},
		"another":            {func(c claims, id string) { c["auth_req_id"] = id + "x" }, vipps.CodeAuthReqID},
		"another, sample":    {func(c claims, id string) { c["authReqId"] = "x" + id }, vipps.CodeAuthReqID},
		"another, standard":  {func(c claims, id string) { c["urn:openid:params:jwt:claim:auth_req_id"] = "other" }, vipps.CodeAuthReqID},
		"two that differ":    {func(c claims, id string) { c["auth_req_id"], c["authReqId"] = id, id+"x" }, vipps.CodeAuthReqID},
		"two, other order":   {func(c claims, id string) { c["authReqId"], c["auth_req_id"] = id, id+"x" }, vipps.CodeAuthReqID},
		"two, one unusable":  {func(c claims, id string) { c["auth_req_id"], c["authReqId"] = id, "" }, vipps.CodeAuthReqID},
		"two that agree":     {func(c claims, id string) { c["auth_req_id"], c["authReqId"] = id, id }, ""},
		"of another type":    {func(c claims, id string) { c["auth_req_id"] = []string{id} }, vipps.CodeAuthReqID},
		"folded, of another": {func(c claims, id string) { c["Auth_Req_Id"] = "other" }, ""},
	} {
		p := newCIBA(t)
		c := p.client()
		pending := startMerchant(t, c, vipps.MerchantLoginRequest{})
		p.token = func(c claims) { tt.edit(c, pending.AuthReqID) }
		_, err := c.PollMerchantLogin(t.Context(), pending)
		if tt.code == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if refused(t, err, tt.code); p.calls(userinfoPath) != 0 {
			t.Errorf("%s: userinfo was called", name)
		}
	}
}

// Attack: Mallory approves a login of her own and sends the link with its code to Ola, or makes his browser open it; there is
// no state to tell. The token must say which login the code is of; it must be one that was started here and still waits; and
// the same link, or another for the same login, works once. Nothing is asked about the person before that is known.
func TestSec_A151_WithoutState(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		edit  func(c claims, id string) // the ID token
		query func(q url.Values)
		find  func(p *vipps.PendingMerchantLogin) func(string) (*vipps.PendingMerchantLogin, bool)
		code  string
		sent  int // token requests
	}{
		"documented":      {code: "", sent: 1},
		"sample":          {edit: func(c claims, id string) { delete(c, "auth_req_id"); c["authReqId"] = id }, sent: 1},
		"standard":        {edit: func(c claims, id string) { delete(c, "auth_req_id"); c["urn:openid:params:jwt:claim:auth_req_id"] = id }, sent: 1},
		"two that agree":  {edit: func(c claims, id string) { c["authReqId"] = id }, sent: 1},
		"absent":          {edit: func(c claims, _ string) { delete(c, "auth_req_id") }, code: vipps.CodeAuthReqID, sent: 1},
		"null":            {edit: func(c claims, _ string) { c["auth_req_id"] = nil }, code: vipps.CodeAuthReqID, sent: 1},
		"empty":           {edit: func(c claims, _ string) { c["auth_req_id"] = "" }, code: vipps.CodeAuthReqID, sent: 1},
		"list":            {edit: func(c claims, id string) { c["auth_req_id"] = []string{id} }, code: vipps.CodeAuthReqID, sent: 1},
		"contradicting":   {edit: func(c claims, id string) { c["authReqId"] = "other" }, code: vipps.CodeAuthReqID, sent: 1},
		"contradicting 2": {edit: func(c claims, id string) { c["authReqId"], c["auth_req_id"] = id, "other" }, code: vipps.CodeAuthReqID, sent: 1},
		"another's":       {edit: func(c claims, id string) { c["auth_req_id"] = "of-another-shop" }, code: vipps.CodeAuthReqID, sent: 1},
		"folded":          {edit: func(c claims, id string) { delete(c, "auth_req_id"); c["AUTH_REQ_ID"] = id }, code: vipps.CodeAuthReqID, sent: 1},
		"nobody waits": {find: func(*vipps.PendingMerchantLogin) func(string) (*vipps.PendingMerchantLogin, bool) {
			return func(string) (*vipps.PendingMerchantLogin, bool) { return nil, false }
		}, code: vipps.CodeAuthReqID, sent: 1},
		"found, but nothing": {find: func(*vipps.PendingMerchantLogin) func(string) (*vipps.PendingMerchantLogin, bool) {
			return func(string) (*vipps.PendingMerchantLogin, bool) { return nil, true }
		}, code: vipps.CodeAuthReqID, sent: 1},
		"finds another": {find: func(p *vipps.PendingMerchantLogin) func(string) (*vipps.PendingMerchantLogin, bool) {
			other := *p
			other.AuthReqID += "x"
			return func(string) (*vipps.PendingMerchantLogin, bool) { return &other, true }
		}, code: vipps.CodeAuthReqID, sent: 1},
		"ends in the app": {find: changed(func(p *vipps.PendingMerchantLogin) { p.RedirectURI = "" }), code: vipps.CodePendingMismatch, sent: 1},
		"another client":  {find: changed(func(p *vipps.PendingMerchantLogin) { p.ClientID += "x" }), code: vipps.CodePendingMismatch, sent: 1},
		"another issuer":  {find: changed(func(p *vipps.PendingMerchantLogin) { p.Issuer += "x" }), code: vipps.CodePendingMismatch, sent: 1},
		"long ago":        {find: changed(func(p *vipps.PendingMerchantLogin) { p.Expires = p.Started.Add(-3 * time.Minute) }), code: "expired_token", sent: 1},
		"another nonce":   {find: changed(func(p *vipps.PendingMerchantLogin) { p.Nonce += "x" }), edit: func(c claims, _ string) { c["nonce"] = "y" }, code: vipps.CodeNonce, sent: 1},
		"own state":       {query: func(q url.Values) { q.Set("state", "STATE") }, sent: 1},
		"another state":   {query: func(q url.Values) { q.Set("state", "of-another") }, code: vipps.CodeStateMismatch, sent: 1},
		"own iss":         {query: func(q url.Values) { q.Set("iss", "ISSUER") }, sent: 1},
		"another iss":     {query: func(q url.Values) { q.Set("iss", "https://evil.example/") }, code: vipps.CodeIssuerMismatch},
		"two codes":       {query: func(q url.Values) { q.Add("code", "other") }, code: vipps.CodeDuplicateParameter},
		"no code":         {query: func(q url.Values) { q.Del("code") }, code: vipps.CodeMissingCode},
		"empty code":      {query: func(q url.Values) { q.Set("code", "") }, code: vipps.CodeMissingCode},
		"long code":       {query: func(q url.Values) { q.Set("code", strings.Repeat("a", 9<<10)) }, code: vipps.CodeInvalidCallback},
		"line break":      {query: func(q url.Values) { q.Set("code", "a\r\nb") }, code: vipps.CodeInvalidCallback},
		"error":           {query: func(q url.Values) { q.Set("error", "access_denied") }, code: "access_denied"},
		"a code of none":  {query: func(q url.Values) { q.Set("code", "made-up") }, code: "invalid_grant", sent: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newCIBA(t)
			c := p.client()
			pending := startMerchant(t, c, vipps.MerchantLoginRequest{RedirectURI: landingURI})
			if form := p.last(backchannelPath).PostForm; form.Get("requested_flow") != "login_to_webpage" || form.Get("redirect_uri") != landingURI {
				t.Errorf("sent %v", form)
			}
			if tt.edit != nil {
				p.token = func(c claims) { tt.edit(c, pending.AuthReqID) }
			}
			query := codeOf(pending)
			if tt.query != nil {
				tt.query(query)
			}
			if query.Get("state") == "STATE" {
				query.Set("state", pending.State)
			}
			if query.Get("iss") == "ISSUER" {
				query.Set("iss", p.issuer)
			}
			find := one
			if tt.find != nil {
				find = tt.find
			}
			login, found, err := c.FinishMerchantLogin(t.Context(), query, func(id string) (*vipps.PendingMerchantLogin, bool) {
				if id == "" {
					t.Error("a login without an id is looked for")
				}
				return find(pending)(id)
			})
			if p.calls(tokenPath) != tt.sent {
				t.Errorf("%d token requests", p.calls(tokenPath))
			}
			if tt.code == "" {
				if err != nil || found != pending || login.User.Sub != testSub {
					t.Fatalf("%v", err)
				}
				return
			}
			if refused(t, err, tt.code); login != nil || p.calls(userinfoPath) != 0 {
				t.Errorf("userinfo was called %d times", p.calls(userinfoPath))
			}
			if tt.code == "access_denied" && !errors.Is(err, vipps.ErrDenied) {
				t.Error("a no is not a no")
			}
		})
	}
}

func changed(change func(p *vipps.PendingMerchantLogin)) func(p *vipps.PendingMerchantLogin) func(string) (*vipps.PendingMerchantLogin, bool) {
	return func(p *vipps.PendingMerchantLogin) func(string) (*vipps.PendingMerchantLogin, bool) {
		other := *p
		change(&other)
		return one(&other)
	}
}

// One exchange only: whatever goes wrong with it, the code isn't sent again; and find, which claims the login, is asked once.
func TestSec_A151_OneExchange(t *testing.T) {
	t.Parallel()
	for _, answer := range []http.HandlerFunc{
		respond(500, "text/html", "<html>"), respond(429, "", ""), respond(400, "application/json", `{"error":"authorization_pending"}`), respond(200, "text/html", "<html>"),
		func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		p := newCIBA(t)
		p.srv.Config.ErrorLog = discardLog()
		c := p.client()
		pending := startMerchant(t, c, vipps.MerchantLoginRequest{RedirectURI: landingURI})
		p.handle(tokenPath, answer)
		var asked atomic.Int32
		login, found, err := c.FinishMerchantLogin(t.Context(), codeOf(pending), func(string) (*vipps.PendingMerchantLogin, bool) {
			asked.Add(1)
			return pending, true
		})
		if err == nil || login != nil || found != nil || p.calls(tokenPath) != 1 || asked.Load() != 0 {
			t.Errorf("%v, %v: %d requests, asked %d times", found, err, p.calls(tokenPath), asked.Load())
		}
	}
	// A failure after it is known whose login it was says so.
	p := newCIBA(t)
	p.handle(userinfoPath, respond(503, "text/html", "<html>"))
	c := p.client()
	pending := startMerchant(t, c, vipps.MerchantLoginRequest{RedirectURI: landingURI})
	if _, found, err := c.FinishMerchantLogin(t.Context(), codeOf(pending), one(pending)); err == nil || found != pending {
		t.Errorf("%v, %v", found, err)
	}
}

// Attack: the provider quotes what it was sent, in whatever spelling, and the error is logged: a phone number, a customer's
// token, the id with which the person's data can be fetched, the code, the client's credentials.
func TestSec_E024_MerchantLoginErrorsHoldNoSecrets(t *testing.T) {
	t.Parallel()
	p := newCIBA(t)
	echo := func(w http.ResponseWriter, r *http.Request) {
		f := r.PostForm
		words := []string{
			f.Get("login_hint"), "90 90 01 23", "or (909) 00-123 or", "90900123 or +47 909\u00a000\u00a0123 or", f.Get("nonce"), f.Get("state"), f.Get("auth_req_id"), f.Get("code"), f.Get("client_secret"),
			strings.TrimPrefix(r.Header.Get("Authorization"), "Basic "),
		}
		body, _ := json.Marshal(map[string]any{"error": "invalid_request", "error_description": "bad: " + strings.Join(words, " "), "detail": strings.Join(words, ",")})
		respond(400, "application/json", string(body))(w, r)
	}
	c := p.client()
	inApp := startMerchant(t, c, vipps.MerchantLoginRequest{})
	browser := startMerchant(t, c, vipps.MerchantLoginRequest{RedirectURI: landingURI})
	for _, path := range []string{backchannelPath, tokenPath, userExistsPath} {
		p.handle(path, echo)
	}
	token := "short7token"
	_, err1 := c.StartMerchantLogin(t.Context(), vipps.MerchantLoginRequest{Phone: msisdn})
	_, err2 := c.StartMerchantLogin(t.Context(), vipps.MerchantLoginRequest{CustomerToken: token})
	_, err3 := c.StartMerchantLogin(t.Context(), vipps.MerchantLoginRequest{Phone: "+47 909 00 123", LegacyHint: true})
	_, err4 := c.PollMerchantLogin(t.Context(), inApp)
	_, _, err5 := c.FinishMerchantLogin(t.Context(), url.Values{"code": {"code-of-1"}}, one(browser))
	_, err6 := c.UserExists(t.Context(), msisdn)
	_, _, err7 := c.FinishMerchantLogin(t.Context(), url.Values{"error": {"server_error"}, "error_description": {"for " + msisdn}}, one(browser))
	for i, err := range []error{err1, err2, err3, err4, err5, err6, err7} {
		var e *vipps.Error
		if !errors.As(err, &e) {
			t.Fatalf("%d: %v", i+1, err)
		}
		text := err.Error() + " " + strings.Join(e.Causes(), " ")
		for _, secret := range []string{msisdn, msisdn[2:], "00 123", "00-123", "01 23", token, inApp.AuthReqID, browser.AuthReqID, "code-of-1", clientSecret, inApp.Nonce} {
			if strings.Contains(text, secret) {
				t.Errorf("%d: %q is in %q", i+1, secret, text)
			}
		}
	}
}
