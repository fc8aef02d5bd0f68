package vipps_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/vipps"
)

const authReqID = "6tw7GmfPQRcWuydzlAwrUakpEEw"

// qrProvider is a provider with QR logins. change alters the ID token of the next exchanges.
type qrProvider struct {
	*provider
	change func(claims)
}

func newQRProvider(t testing.TB) *qrProvider {
	t.Helper()
	p := &qrProvider{provider: newProvider(t)}
	p.keys = []signer{{"public:ec", jose.ES256, newEC(t)}, {"public:one", jose.RS256, rsaKeys[0]()}}
	p.handle(tokenPath, func(w http.ResponseWriter, r *http.Request) {
		good := r.PostForm.Get("grant_type") == "urn:vipps:params:grant-type:qr" && r.PostForm.Get("auth_req_id") == authReqID ||
			r.PostForm.Get("grant_type") == "urn:vipps:params:grant-type:qr-redirect" && r.PostForm.Get("code") == "qr-code-1"
		if !good {
			respond(400, "application/json", `{"error":"invalid_grant"}`)(w, r)
			return
		}
		now := p.clock.Now()
		c := claims{
			"iss": p.issuer, "aud": clientID, "sub": testSub, "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(),
			"qr_id": "oKAz7q1O", "qr_description": "description of QR code",
		}
		p.locked(func() {
			if p.change != nil {
				p.change(c)
			}
		})
		p.answer(w, claims{"access_token": "ciba.W_IfBcSr", "token_type": "Bearer", "expires_in": 300, "id_token": p.signed(c)})
	})
	return p
}

func (p *qrProvider) signed(c claims) string {
	payload, err := json.Marshal(c)
	if err != nil {
		p.t.Error(err)
	}
	return p.keys[0].sign(p.t, payload)
}

// callback is what Vipps documents, changed; nil takes a claim away.
func (p *qrProvider) callback(change claims) claims {
	now := p.clock.Now()
	c := claims{"aud": clientID, "auth_req_id": authReqID, "iss": p.issuer, "exp": now.Add(5 * time.Minute).Unix(), "iat": now.Unix()}
	for name, v := range change {
		if c[name] = v; v == nil {
			delete(c, name)
		}
	}
	return c
}

func TestQRLogin(t *testing.T) {
	t.Parallel()
	p := newQRProvider(t)
	cfg := p.config()
	cfg.MerchantSerialNumber = "123456"
	c := newClient(t, cfg)
	ctx := context.Background()
	raw := p.signed(p.callback(nil))
	cb, err := c.VerifyQRCallback(ctx, raw)
	if err != nil {
		t.Fatal(err)
	}
	want := &vipps.QRCallback{AuthReqID: authReqID, IssuedAt: p.clock.Now(), ExpiresAt: p.clock.Now().Add(5 * time.Minute), Digest: sha256.Sum256([]byte(raw))}
	if diff := cmp.Diff(want.AuthReqID, cb.AuthReqID); diff != "" || cb.Digest != want.Digest || !cb.IssuedAt.Equal(want.IssuedAt) || !cb.ExpiresAt.Equal(want.ExpiresAt) {
		t.Error("the callback is another")
	}
	if p.calls(tokenPath) != 0 {
		t.Error("judging a callback redeems it")
	}
	for _, printed := range []string{fmt.Sprint(cb), fmt.Sprintf("%+v", *cb), fmt.Sprintf("%#v", cb), cb.LogValue().String()} {
		if strings.Contains(printed, authReqID) {
			t.Errorf("printed as %s", printed)
		}
	}
	// Userinfo can't say which code was scanned.
	p.locked(func() {
		p.userinfo = func(m claims) { m["qr_id"], m["qr_description"], m["qr"] = "another", "another", true }
	})
	login, err := c.FinishQRLogin(ctx, cb)
	if err != nil {
		t.Fatal(err)
	}
	id, _ := login.User.Claim("qr_id")
	about, _ := login.User.Claim("qr_description")
	if id != "oKAz7q1O" || about != "description of QR code" || login.User.Sub != testSub || login.User.Name != "Åse Ødegård" {
		t.Errorf("login of code %q, %q", id, about)
	}
	r := p.last(tokenPath)
	if diff := cmp.Diff(url.Values{"grant_type": {"urn:vipps:params:grant-type:qr"}, "auth_req_id": {authReqID}}, r.PostForm); diff != "" {
		t.Error(diff)
	}
	if user, _, ok := r.BasicAuth(); !ok || user != clientID || r.Header.Get("Merchant-Serial-Number") != "123456" {
		t.Error("the exchange lacks who we are")
	}

	login, err = c.FinishQRRedirect(ctx, url.Values{"code": {"qr-code-1"}, "scope": {"openid"}})
	if err != nil {
		t.Fatal(err)
	}
	if id, _ := login.User.Claim("qr_id"); id != "oKAz7q1O" {
		t.Errorf("the redirect variant is of %q", id)
	}
	if diff := cmp.Diff(url.Values{"grant_type": {"urn:vipps:params:grant-type:qr-redirect"}, "code": {"qr-code-1"}}, p.last(tokenPath).PostForm); diff != "" {
		t.Error(diff)
	}
}

// Attack: whoever finds the callback's address sends it whatever they can make, or have seen elsewhere.
func TestSec_A160_C080_ForgedQRCallbacks(t *testing.T) {
	t.Parallel()
	p := newQRProvider(t)
	c := p.client()
	ctx := context.Background()
	payload := func(change claims) []byte {
		out, err := json.Marshal(p.callback(change))
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	hs256 := func(input string) []byte {
		m := hmac.New(sha256.New, []byte(clientSecret))
		m.Write([]byte(input))
		return m.Sum(nil)
	}
	none := func(string) []byte { return nil }
	evil := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a URL of the header was asked") }))
	t.Cleanup(evil.Close)
	stranger, err := json.Marshal(signer{"public:one", jose.RS256, rsaKeys[1]()}.jwk())
	if err != nil {
		t.Fatal(err)
	}
	jwk := string(stranger)
	good := func(change claims) string { return p.signed(p.callback(change)) }
	now := p.clock.Now()
	for name, tt := range map[string]struct{ raw, code string }{
		"A180_alg none":                {forge(`{"alg":"none"}`, payload(nil), none), vipps.CodeAlgorithm},
		"A180_alg none with a kid":     {forge(`{"alg":"none","kid":"public:ec"}`, payload(nil), none), vipps.CodeAlgorithm},
		"A181_HS256 with the secret":   {forge(`{"alg":"HS256"}`, payload(nil), hs256), vipps.CodeAlgorithm},
		"another key":                  {signRS256(t, rsaKeys[1](), `{"alg":"RS256","kid":"public:one"}`, payload(nil)), vipps.CodeSignature},
		"A190_a key of another kind":   {signRS256(t, rsaKeys[0](), `{"alg":"RS256","kid":"public:ec"}`, payload(nil)), vipps.CodeUnknownKey},
		"an unknown key":               {signer{"public:other", jose.ES256, newEC(t)}.sign(t, payload(nil)), vipps.CodeUnknownKey},
		"bent signature":               {bend(good(nil)), vipps.CodeSignature},
		"another aud":                  {good(claims{"aud": "another-client"}), vipps.CodeAudience},
		"another aud beside ours":      {good(claims{"aud": []string{clientID, "another-client"}}), vipps.CodeAudience},
		"no aud":                       {good(claims{"aud": nil}), vipps.CodeMissingClaim},
		"another aud, and an ID token": {good(claims{"aud": "another-client", "sub": testSub}), vipps.CodeAudience},
		"A164_the test environment":    {good(claims{"iss": "https://apitest.vipps.no/access-management-1.0/access/"}), vipps.CodeIssuerMismatch},
		"A164_production":              {good(claims{"iss": "https://api.vipps.no/access-management-1.0/access/"}), vipps.CodeIssuerMismatch},
		"iss without its slash":        {good(claims{"iss": strings.TrimSuffix(p.issuer, "/")}), vipps.CodeIssuerMismatch},
		"no iss":                       {good(claims{"iss": nil}), vipps.CodeMissingClaim},
		"no exp":                       {good(claims{"exp": nil}), vipps.CodeMissingClaim},
		"no iat":                       {good(claims{"iat": nil}), vipps.CodeMissingClaim},
		"iat in 2040":                  {good(claims{"iat": time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC).Unix(), "exp": time.Date(2040, 1, 1, 0, 5, 0, 0, time.UTC).Unix()}), vipps.CodeIssuedInFuture},
		"nbf in the future":            {good(claims{"nbf": now.Add(2 * time.Minute).Unix()}), vipps.CodeIssuedInFuture},
		"iat as text":                  {good(claims{"iat": fmt.Sprint(now.Unix())}), vipps.CodeMalformedCallback},
		"A185_flattened JSON":          {flattened(good(nil)), vipps.CodeMalformedCallback},
		"9 KiB":                        {good(claims{"x": strings.Repeat("x", 9<<10)}), vipps.CodeMalformedCallback},
		"a little above 8 KiB":         {good(nil) + strings.Repeat("A", 8<<10), vipps.CodeMalformedCallback},
		"A186_JWE":                     {b64(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483647}`) + "....", vipps.CodeMalformedCallback},
		"A182_jwk":                     {signRS256(t, rsaKeys[1](), `{"alg":"RS256","jwk":`+jwk+`}`, payload(nil)), vipps.CodeUnknownKey},
		"A182_jwk with our kid":        {signRS256(t, rsaKeys[1](), `{"alg":"RS256","kid":"public:one","jwk":`+jwk+`}`, payload(nil)), vipps.CodeSignature},
		"A182_jku":                     {signRS256(t, rsaKeys[1](), `{"alg":"RS256","kid":"x","jku":"`+evil.URL+`"}`, payload(nil)), vipps.CodeUnknownKey},
		"A182_x5u":                     {signRS256(t, rsaKeys[1](), `{"alg":"RS256","kid":"x","x5u":"`+evil.URL+`"}`, payload(nil)), vipps.CodeUnknownKey},
		"A182_x5c that is none":        {signRS256(t, rsaKeys[1](), `{"alg":"RS256","x5c":["AAAA"]}`, payload(nil)), vipps.CodeMalformedCallback},
		"A183_path":                    {signRS256(t, rsaKeys[1](), `{"alg":"RS256","kid":"../../dev/null"}`, payload(nil)), vipps.CodeUnknownKey},
		"A183_SQL":                     {signRS256(t, rsaKeys[1](), `{"alg":"RS256","kid":"'; DROP"}`, payload(nil)), vipps.CodeUnknownKey},
		"A183_257 bytes":               {signRS256(t, rsaKeys[0](), `{"alg":"RS256","kid":"`+strings.Repeat("k", 257)+`"}`, payload(nil)), vipps.CodeMalformedCallback},
		"A183_64 KiB":                  {signRS256(t, rsaKeys[0](), `{"alg":"RS256","kid":"`+strings.Repeat("k", 64<<10)+`"}`, payload(nil)), vipps.CodeMalformedCallback},
		"A183_number":                  {signRS256(t, rsaKeys[0](), `{"alg":"RS256","kid":1}`, payload(nil)), vipps.CodeMalformedCallback},
		"A183_empty":                   {signRS256(t, rsaKeys[0](), `{"alg":"RS256","kid":""}`, payload(nil)), vipps.CodeMalformedCallback},
		"A184_b64 false":               {signRS256(t, rsaKeys[0](), `{"alg":"RS256","kid":"public:one","b64":false}`, payload(nil)), vipps.CodeMalformedCallback},
		"A184_unknown crit":            {signRS256(t, rsaKeys[0](), `{"alg":"RS256","kid":"public:one","crit":["x"],"x":1}`, payload(nil)), vipps.CodeMalformedCallback},
		"A185_general JSON":            {`{"payload":"` + b64(string(payload(nil))) + `","signatures":[{"protected":"e30","signature":""},` + flattened(good(nil)) + `]}`, vipps.CodeMalformedCallback},
		"A186_zip":                     {signRS256(t, rsaKeys[0](), `{"alg":"RS256","kid":"public:one","zip":"DEF"}`, payload(nil)), vipps.CodeMalformedCallback},
		"A186_no encrypted key":        {b64(`{"alg":"dir","enc":"A256GCM"}`) + "....", vipps.CodeMalformedCallback},
		"A187_dots":                    {strings.Repeat(".", 8<<10), vipps.CodeMalformedCallback},
		"A188_padding":                 {good(nil) + "==", vipps.CodeMalformedCallback},
		"A188_a blank before":          {" " + good(nil), vipps.CodeMalformedCallback},
		"A188_DER":                     {forge(`{"alg":"ES256","kid":"public:ec"}`, payload(nil), func(string) []byte { return []byte("\x30\x06\x02\x01\x01\x02\x01\x01") }), vipps.CodeSignature},
		"A188_all zero":                {forge(`{"alg":"ES256","kid":"public:ec"}`, payload(nil), func(string) []byte { return make([]byte, 64) }), vipps.CodeSignature},
		"A184_crit":                    {forge(`{"alg":"ES256","kid":"public:ec","crit":["b64"],"b64":false}`, payload(nil), none), vipps.CodeMalformedCallback},
		"A188_line break at its end":   {good(nil) + "\n", vipps.CodeMalformedCallback},
		"a form":                       {"jws=" + good(nil), vipps.CodeMalformedCallback},
		"nothing":                      {"", vipps.CodeMalformedCallback},
		"of another type":              {signRS256(t, rsaKeys[0](), `{"alg":"RS256","kid":"public:one","typ":"logout+jwt"}`, payload(nil)), vipps.CodeMalformedCallback},
		"a name twice":                 {p.keys[0].sign(t, append([]byte(`{"auth_req_id":"b",`), payload(nil)[1:]...)), vipps.CodeMalformedCallback},
		"no auth_req_id":               {good(claims{"auth_req_id": nil}), vipps.CodeWrongKind},
		"auth_req_id is null":          {p.keys[0].sign(t, []byte(strings.Replace(string(payload(nil)), `"`+authReqID+`"`, "null", 1))), vipps.CodeWrongKind},
		"auth_req_id is a list":        {good(claims{"auth_req_id": []string{"a", "b"}}), vipps.CodeWrongKind},
		"auth_req_id is empty":         {good(claims{"auth_req_id": ""}), vipps.CodeWrongKind},
		"auth_req_id with a parameter": {good(claims{"auth_req_id": "a b"}), vipps.CodeWrongKind},
		"auth_req_id with a line":      {good(claims{"auth_req_id": "a\r\nb"}), vipps.CodeWrongKind},
		"A163_an ID token":             {p.signed(claims{"iss": p.issuer, "aud": clientID, "sub": testSub, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "nonce": "n"}), vipps.CodeWrongKind},
		"A163_one of a merchant login": {good(claims{"sub": testSub}), vipps.CodeWrongKind},
		"A163_a nonce":                 {good(claims{"nonce": ""}), vipps.CodeWrongKind},
		"A163_an at_hash":              {good(claims{"at_hash": ""}), vipps.CodeWrongKind},
		"A163_an auth_time":            {good(claims{"auth_time": now.Unix()}), vipps.CodeWrongKind},
		"A163_an acr":                  {good(claims{"acr": "urn:vipps:acr:app_auth"}), vipps.CodeWrongKind},
		"A163_a qr_id":                 {good(claims{"qr_id": "oKAz7q1O"}), vipps.CodeWrongKind},
		"A163_events of a logout":      {good(claims{"events": claims{"http://schemas.openid.net/event/backchannel-logout": claims{}}}), vipps.CodeWrongKind},
		"A163_a null sub":              {p.keys[0].sign(t, append([]byte(`{"sub":null,`), payload(nil)[1:]...)), vipps.CodeWrongKind},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.VerifyQRCallback(ctx, tt.raw)
			e := refused(t, err, tt.code)
			if e.Stage != vipps.StageQR || errors.Is(err, vipps.ErrUnavailable) || errors.Is(err, vipps.ErrStale) || len(e.Causes()) != 0 {
				t.Errorf("error is %v at stage %s", err, e.Stage)
			}
			if strings.Contains(e.Error(), authReqID) || strings.Contains(e.Error(), testSub) {
				t.Errorf("the error tells too much: %v", e)
			}
		})
	}
	if _, err := c.VerifyQRCallback(ctx, good(claims{"aud": []string{clientID}})); err != nil {
		t.Errorf("aud as a list of one: %v", err)
	}
	if n := p.calls(tokenPath) + p.calls(userinfoPath); n != 0 {
		t.Errorf("%d calls for forged callbacks", n)
	}
}

// A callback is good for five minutes, without leeway; after that it is known as right, but old.
func TestSec_A160_OldQRCallbacks(t *testing.T) {
	t.Parallel()
	p := newQRProvider(t)
	c := p.client()
	ctx := context.Background()
	raw := p.signed(p.callback(nil))
	long := p.signed(p.callback(claims{"exp": p.clock.Now().Add(time.Hour).Unix()}))
	token := p.signed(p.callback(claims{"sub": testSub}))
	short := p.signed(p.callback(claims{"exp": p.clock.Now().Add(-time.Second).Unix()}))
	if _, err := c.VerifyQRCallback(ctx, short); !errors.Is(err, vipps.ErrStale) {
		t.Errorf("a second after exp: %v", err)
	}
	p.clock.Add(5 * time.Minute)
	for name, good := range map[string]string{"as documented": raw, "with a long life": long} {
		if _, err := c.VerifyQRCallback(ctx, good); err != nil {
			t.Errorf("%s, after five minutes: %v", name, err)
		}
	}
	p.clock.Add(time.Second)
	for name, tt := range map[string]struct{ raw, code string }{
		"as documented": {raw, vipps.CodeExpired}, "with a long life": {long, vipps.CodeTooOld},
	} {
		_, err := c.VerifyQRCallback(ctx, tt.raw)
		if refused(t, err, tt.code); !errors.Is(err, vipps.ErrStale) {
			t.Errorf("%s: not known as old: %v", name, err)
		}
	}
	// An old ID token is no old callback.
	_, err := c.VerifyQRCallback(ctx, token)
	if refused(t, err, vipps.CodeWrongKind); errors.Is(err, vipps.ErrStale) {
		t.Error("an old ID token counts as a callback")
	}
}

// Attack: ten thousand made-up callbacks, each with a key of its own name, to make us flood the provider.
func TestSec_A162_C081_UnknownKeysOfQRCallbacks(t *testing.T) {
	t.Parallel()
	p := newQRProvider(t)
	c := p.client()
	ctx := context.Background()
	if err := c.Discover(ctx); err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(p.callback(nil))
	if err != nil {
		t.Fatal(err)
	}
	body, signature := b64(string(payload)), b64(strings.Repeat("s", 64))
	before, start := p.calls(jwksPath), time.Now()
	for i := range 10_000 {
		_, err := c.VerifyQRCallback(ctx, b64(fmt.Sprintf(`{"alg":"ES256","kid":"unknown-%d"}`, i))+"."+body+"."+signature)
		var e *vipps.Error
		if !errors.As(err, &e) || e.Code != vipps.CodeUnknownKey {
			t.Fatal(err)
		}
	}
	if n := p.calls(jwksPath) - before; n > 1 {
		t.Errorf("the keys were fetched %d times", n)
	}
	// Nor do keys that there are, under signatures that aren't theirs: some providers change keys and keep their names, so that one look is worth it.
	for range 1000 {
		_, err := c.VerifyQRCallback(ctx, b64(`{"alg":"ES256","kid":"public:ec"}`)+"."+body+"."+signature)
		refused(t, err, vipps.CodeSignature)
	}
	if n := p.calls(jwksPath) - before; n > 2 {
		t.Errorf("for signatures that are wrong the keys were fetched %d times", n-1)
	}
	if took := time.Since(start); took > 60*time.Second {
		t.Errorf("it took %v", took) // half a second as a rule
	}
	p.clock.Add(29 * time.Second)
	_, _ = c.VerifyQRCallback(ctx, b64(`{"alg":"ES256","kid":"late"}`)+"."+body+"."+signature)
	if n := p.calls(jwksPath) - before; n > 2 {
		t.Errorf("within the cool-down the keys were fetched %d times", n)
	}
	// A key of the provider's that is new is still found, once that is over.
	fresh := signer{"public:new", jose.ES256, newEC(t)}
	p.locked(func() { p.keys = []signer{fresh} })
	p.clock.Add(2 * time.Second)
	if _, err := c.VerifyQRCallback(ctx, p.signed(p.callback(nil))); err != nil {
		t.Error(err)
	}
}

// Attack: a QR callback where an ID token belongs. Nobody is named in it.
func TestSec_A163_QRCallbackIsNoIDToken(t *testing.T) {
	t.Parallel()
	p := newQRProvider(t)
	p.locked(func() { delete(p.handlers, tokenPath) })
	p.sign = func([]byte) string { return p.signed(p.callback(nil)) }
	_, err := p.login(p.client())
	refused(t, err, vipps.CodeMissingClaim)
	if p.calls(userinfoPath) != 0 {
		t.Error("userinfo was asked")
	}
}

// Attack: an ID token of some other login in the place of a QR login's.
func TestSec_A163_IDTokensOfQRLogins(t *testing.T) {
	t.Parallel()
	p := newQRProvider(t)
	c := p.client()
	ctx := context.Background()
	hashed := sha256.Sum256([]byte("ciba.W_IfBcSr"))
	for name, tt := range map[string]struct {
		change   claims
		code     string
		redirect string // if it is another in the redirect variant; "-" if it passes there
	}{
		"no qr_id":             {claims{"qr_id": nil}, vipps.CodeMissingClaim, ""},
		"qr_id is a number":    {claims{"qr_id": 1}, vipps.CodeMissingClaim, ""},
		"qr_id is empty":       {claims{"qr_id": ""}, vipps.CodeMissingClaim, ""},
		"qr_id with a line":    {claims{"qr_id": "a\nb"}, vipps.CodeMissingClaim, ""},
		"qr_id of 256 bytes":   {claims{"qr_id": strings.Repeat("q", 256)}, "", "-"},
		"qr_id of 257 bytes":   {claims{"qr_id": strings.Repeat("q", 257)}, vipps.CodeMissingClaim, ""},
		"our at_hash":          {claims{"at_hash": b64(string(hashed[:sha256.Size/2]))}, "", "-"},
		"another auth_req_id":  {claims{"auth_req_id": "another"}, vipps.CodeAuthReqID, ""},
		"another authReqId":    {claims{"auth_req_id": authReqID, "authReqId": "another"}, vipps.CodeAuthReqID, ""},
		"odd auth_req_id":      {claims{"auth_req_id": []string{authReqID}}, vipps.CodeAuthReqID, ""},
		"our auth_req_id":      {claims{"auth_req_id": authReqID, "authReqId": authReqID}, "", vipps.CodeAuthReqID},
		"a nonce":              {claims{"nonce": "n"}, vipps.CodeNonce, ""},
		"an empty nonce":       {claims{"nonce": ""}, "", "-"},
		"another at_hash":      {claims{"at_hash": "tyFnH20TOmPZkgJU8e5iKw"}, vipps.CodeAccessTokenHash, ""},
		"another aud":          {claims{"aud": "another"}, vipps.CodeAudience, ""},
		"another iss":          {claims{"iss": "https://api.vipps.no/"}, vipps.CodeIssuerMismatch, ""},
		"expired":              {claims{"exp": p.clock.Now().Add(-2 * time.Minute).Unix()}, vipps.CodeExpired, ""},
		"no sub":               {claims{"sub": nil}, vipps.CodeMissingClaim, ""},
		"another person's sub": {claims{"sub": "another"}, vipps.CodeSubjectMismatch, ""},
	} {
		p.locked(func() {
			p.change = func(c claims) {
				for k, v := range tt.change {
					if c[k] = v; v == nil {
						delete(c, k)
					}
				}
			}
		})
		check := func(where string, err error, code string) {
			t.Helper()
			var e *vipps.Error
			if code == "" && err != nil || code != "" && (!errors.As(err, &e) || e.Code != code) {
				t.Errorf("%s, %s: error is %v", name, where, err)
			}
		}
		_, err := c.FinishQRLogin(ctx, &vipps.QRCallback{AuthReqID: authReqID})
		check("callback", err, tt.code)
		code := tt.code
		if tt.redirect != "" {
			code = strings.TrimPrefix(tt.redirect, "-")
		}
		_, err = c.FinishQRRedirect(ctx, url.Values{"code": {"qr-code-1"}})
		check("redirect", err, code)
	}
	// What can't be asked for is asked of the answer all the same.
	cfg := p.config()
	cfg.ACRValues = "urn:vipps:acr:app_auth"
	strict := newClient(t, cfg)
	p.locked(func() { p.change = nil })
	_, err := strict.FinishQRLogin(ctx, &vipps.QRCallback{AuthReqID: authReqID})
	refused(t, err, vipps.CodeACR)
	p.locked(func() {
		p.change = func(c claims) { c["acr"], c["qr_description"] = "urn:vipps:acr:app_auth", []int{1} }
	})
	login, err := strict.FinishQRLogin(ctx, &vipps.QRCallback{AuthReqID: authReqID})
	if err != nil {
		t.Fatal(err)
	}
	if about, ok := login.User.Claims["qr_description"]; ok {
		t.Errorf("a description that is no text reached the claims: %s", about)
	}
}

// Attack: the redirect of another flow at the QR login's own path, or one that was made by hand. Nothing is sent for it.
func TestSec_A166_QRRedirectsThatAreNone(t *testing.T) {
	t.Parallel()
	p := newQRProvider(t)
	c := p.client()
	ctx := context.Background()
	for name, tt := range map[string]struct{ query, code string }{
		"with a state":        {"code=qr-code-1&state=abc", vipps.CodeInvalidCallback},
		"two codes":           {"code=qr-code-1&code=b", vipps.CodeDuplicateParameter},
		"two states":          {"code=qr-code-1&state=a&state=b", vipps.CodeDuplicateParameter},
		"no code":             {"scope=openid", vipps.CodeMissingCode},
		"a line break":        {"code=a%0d%0ab", vipps.CodeInvalidCallback},
		"long":                {"code=" + strings.Repeat("c", 9<<10), vipps.CodeInvalidCallback},
		"an error":            {"error=access_denied", "access_denied"},
		"an error and a code": {"error=access_denied&code=qr-code-1", "access_denied"},
		"another issuer":      {"code=qr-code-1&iss=https%3A%2F%2Fop.example%2F", vipps.CodeIssuerMismatch},
	} {
		q, err := url.ParseQuery(tt.query)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.FinishQRRedirect(ctx, q)
		var e *vipps.Error
		if !errors.As(err, &e) || e.Code != tt.code {
			t.Errorf("%s: error is %v", name, err)
		}
	}
	if n := p.calls(tokenPath); n != 0 {
		t.Errorf("%d exchanges", n)
	}
	// And the QR login's redirect where those with a state belong.
	pending, _, err := c.BeginLogin(ctx, vipps.LoginRequest{RedirectURI: redirectURI})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.FinishLogin(ctx, pending, url.Values{"code": {"qr-code-1"}})
	refused(t, err, vipps.CodeMissingState)
	_, err = c.FinishQRRedirect(ctx, url.Values{"code": {"code-of-a-browser"}})
	if refused(t, err, "invalid_grant"); p.calls(tokenPath) != 1 {
		t.Errorf("%d exchanges", p.calls(tokenPath))
	}
}

// A login that was no QR login doesn't become one by what userinfo says: policies may ask which code was scanned.
func TestSec_A165_OnlyQRLoginsHaveAQRCode(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.user["qr_id"], p.user["qr_description"] = "oKAz7q1O", "the till"
	p.idToken = func(c claims) { c["qr_id"] = "oKAz7q1O" }
	login := p.mustLogin(p.client())
	for _, name := range []string{"qr_id", "qr_description"} {
		if v, ok := login.User.Claim(name); ok {
			t.Errorf("%s is %s", name, v)
		}
	}
}

// The provider's keys can't be had: the callback may be right, and must be sent again.
func TestQRCallbackWithoutKeys(t *testing.T) {
	t.Parallel()
	p := newQRProvider(t)
	p.handle(jwksPath, respond(503, "text/plain", "away"))
	c := p.client()
	_, err := c.VerifyQRCallback(context.Background(), p.signed(p.callback(nil)))
	if !isUnavailable(err) || errors.Is(err, vipps.ErrStale) {
		t.Errorf("error is %v", err)
	}
	if _, err := c.FinishQRLogin(context.Background(), nil); err == nil {
		t.Error("a login of no callback")
	}
	if _, err := c.FinishQRLogin(context.Background(), &vipps.QRCallback{}); err == nil || p.calls(tokenPath) != 0 {
		t.Error("a login of an empty callback")
	}
}

// The provider is away when somebody is to be logged in: that is said, and no login comes of it.
func TestQRLoginsWithoutProvider(t *testing.T) {
	t.Parallel()
	p := newQRProvider(t)
	p.handle(discoveryPath, respond(503, "text/plain", "away"))
	c := p.client()
	if login, err := c.FinishQRRedirect(context.Background(), url.Values{"code": {"qr-code-1"}}); login != nil || !isUnavailable(err) {
		t.Errorf("redirect: %v", err)
	}
	if login, err := c.FinishQRLogin(context.Background(), &vipps.QRCallback{AuthReqID: authReqID}); login != nil || !isUnavailable(err) {
		t.Errorf("callback: %v", err)
	}
	if n := p.calls(tokenPath); n != 0 {
		t.Errorf("%d exchanges", n)
	}
}

// What a code is called is left out where it is too long for a header.
func TestLongQRDescriptions(t *testing.T) {
	t.Parallel()
	p := newQRProvider(t)
	c := p.client()
	for length, want := range map[int]bool{256: true, 257: false} {
		p.locked(func() { p.change = func(c claims) { c["qr_description"] = strings.Repeat("d", length) } })
		login, err := c.FinishQRLogin(context.Background(), &vipps.QRCallback{AuthReqID: authReqID})
		if err != nil {
			t.Fatal(err)
		}
		if _, got := login.User.Claims["qr_description"]; got != want {
			t.Errorf("one of %d bytes is there: %v", length, got)
		}
	}
}

func FuzzQRCallback(f *testing.F) {
	c := fuzzClient(f)
	const good = `{"aud":"client","auth_req_id":"6tw7GmfPQRcWuydzlAwrUakpEEw","iss":"https://op.example/","exp":1772366700,"iat":1772366400}`
	header := `{"alg":"ES256","kid":"public:ec"}`
	for _, payload := range []string{
		good, strings.Replace(good, `"aud"`, `"sub":"s","aud"`, 1), strings.Replace(good, "1772366700", "1772366000", 1),
		strings.Replace(good, `"6tw7GmfPQRcWuydzlAwrUakpEEw"`, `null`, 1), `{"auth_req_id":"a","auth_req_id":"b"}`, `[]`,
	} {
		f.Add(header, []byte(payload))
	}
	f.Add(`{"alg":"none"}`, []byte(good))
	f.Fuzz(func(t *testing.T, header string, payload []byte) {
		// The whole of it with a signature that is none, which never passes and never reaches the network.
		raw := b64(header) + "." + b64(string(payload)) + "." + b64(strings.Repeat("s", 64))
		if err := c.CheckQRHeader(raw); err != nil {
			typed(t, err)
		} else if len(raw) > 8<<10 {
			t.Error("a long one passed")
		}
		cb, err := c.CheckQRPayload(payload)
		if err != nil {
			typed(t, err)
			return
		}
		var m map[string]any
		if err := json.Unmarshal(payload, &m); err != nil {
			t.Fatal(err)
		}
		_, hasSub := m["sub"]
		if id, _ := m["auth_req_id"].(string); hasSub || id == "" || id != cb.AuthReqID || m["iss"] != "https://op.example/" || strings.ContainsAny(id, " \r\n&\x00") && !strings.Contains(id, "&") {
			t.Errorf("%q passed", payload)
		}
	})
}
