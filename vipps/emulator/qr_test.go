package emulator_test

import (
	"bytes"
	"encoding/json"
	"image/png"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// startQR serves an emulator with a QR code of each variant, and the receiver of the first.
func startQR(t *testing.T, statuses ...int) (*emulator.Server, *receiver) {
	t.Helper()
	rc := newReceiver(t, statuses...)
	return start(t, func(cfg *emulator.Config) {
		cfg.RetryScale = 1000
		cfg.QRs = []emulator.QRCode{
			{ID: "oKAz7q1O", Description: "description of QR code", ClientID: "shop", CallbackURI: rc.URL + "/_vipps/qr"},
			{ID: "door", ClientID: "shop", RedirectURI: "http://localhost:1/_vipps/callback/qr", Scopes: []string{"openid", "email"}},
		}
	}), rc
}

// scanned is what the callback got after a scan, and its claims.
func scanned(t *testing.T, s *emulator.Server, rc *receiver) (arrival, map[string]any) {
	t.Helper()
	if location, err := s.Control().ScanQR("oKAz7q1O", aase, true); err != nil || location != "" {
		t.Fatalf("%q %v", location, err)
	}
	got := rc.until(t, 1)
	return got[0], claims(t, got[0].body)
}

// grantQR sends a token request of a QR login.
func grantQR(t *testing.T, s *emulator.Server, form ...string) answer {
	t.Helper()
	v := url.Values{}
	for i := 0; i < len(form); i += 2 {
		v.Set(form[i], form[i+1])
	}
	return call(t, http.MethodPost, s.Issuer+"oauth2/token", v.Encode(), http.Header{
		"Content-Type": {"application/x-www-form-urlencoded"}, "Authorization": {basic("shop", "testdzlJbUZaM1lqODlnUUtrUHI=")},
	})
}

const (
	qrGrant         = "urn:vipps:params:grant-type:qr"
	qrRedirectGrant = "urn:vipps:params:grant-type:qr-redirect"
)

// verifies says whether a compact JWS is signed with a published key, and with which algorithm.
func signedWith(t *testing.T, s *emulator.Server, jws string) (string, bool) {
	t.Helper()
	sig, err := jose.ParseSignedCompact(jws, []jose.SignatureAlgorithm{jose.ES256, jose.RS256})
	if err != nil {
		return "", false
	}
	var set jose.JSONWebKeySet
	raw := call(t, http.MethodGet, s.Issuer+".well-known/jwks.json", "", nil).body
	if err := json.Unmarshal([]byte(raw), &set); err != nil {
		t.Fatal(err)
	}
	h := sig.Signatures[0].Header
	for _, k := range set.Key(h.KeyID) {
		if _, err := sig.Verify(k); err == nil {
			return h.Algorithm, true
		}
	}
	return h.Algorithm, false
}

func TestQRCallback(t *testing.T) {
	t.Parallel()
	s, rc := startQR(t, 503, 200)
	a, c := scanned(t, s, rc)
	now := float64(newClock().Now().Unix())
	want := map[string]any{"aud": "shop", "iss": s.Issuer, "iat": now, "exp": now + 300, "auth_req_id": c["auth_req_id"]}
	if d := cmp.Diff(want, c); d != "" {
		t.Errorf("claims (-want +got)\n%s", d)
	}
	if alg, ok := signedWith(t, s, a.body); alg != "ES256" || !ok || a.header.Get("Content-Type") != "application/jose" || a.path != "/_vipps/qr" {
		t.Errorf("%s %v %+v", alg, ok, a)
	}
	if again := rc.until(t, 2)[1]; again.body != a.body {
		t.Error("the retry is another JWS")
	}
	id, _ := c["auth_req_id"].(string)
	for name, tc := range map[string][]string{
		"no id":              {"grant_type", qrGrant},
		"an unknown id":      {"grant_type", qrGrant, "auth_req_id", "x"},
		"as CIBA":            {"grant_type", "urn:openid:params:grant-type:ciba", "auth_req_id", id},
		"as a code":          {"grant_type", qrRedirectGrant, "code", id},
		"an unknown member":  {"grant_type", qrGrant, "auth_req_id", id, "x", "y"},
		"the browser's flow": {"grant_type", "authorization_code", "code", id, "redirect_uri", callback},
	} {
		if a := grantQR(t, s, tc...); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	m := grantQR(t, s, "grant_type", qrGrant, "auth_req_id", id).json(t)
	access, _ := m["access_token"].(string)
	if m["token_type"] != "Bearer" || m["expires_in"] != 300.0 || m["scope"] != nil || !strings.HasPrefix(access, "ciba.") {
		t.Errorf("answer %v", m)
	}
	checkQRToken(t, s, m["id_token"].(string), "oKAz7q1O", "description of QR code")
	if u := userinfo(t, s, access).json(t); u["name"] != "Åse Ødegård" || u["email"] != nil {
		t.Errorf("userinfo %v", u)
	}
	if a := grantQR(t, s, "grant_type", qrGrant, "auth_req_id", id); a.status != http.StatusBadRequest || a.json(t)["error"] != "invalid_grant" {
		t.Errorf("twice: %d %s", a.status, a.body)
	}
}

func checkQRToken(t *testing.T, s *emulator.Server, token, id, description string) {
	t.Helper()
	c := claims(t, token)
	sub, err := s.Control().Subject("shop", aase)
	if err != nil {
		t.Fatal(err)
	}
	now := float64(newClock().Now().Unix())
	want := map[string]any{"iss": s.Issuer, "aud": "shop", "sub": sub, "iat": now, "exp": now + 600, "qr_id": id, "qr_description": description, "msn": "123456"}
	if d := cmp.Diff(want, c); d != "" {
		t.Errorf("ID token (-want +got)\n%s", d)
	}
	if alg, ok := signedWith(t, s, token); alg != "ES256" || !ok {
		t.Errorf("signed with %s: %v", alg, ok)
	}
}

func TestQRCallbackExpires(t *testing.T) {
	t.Parallel()
	s, rc := startQR(t)
	_, c := scanned(t, s, rc)
	s.Control().Advance(301 * time.Second)
	if a := grantQR(t, s, "grant_type", qrGrant, "auth_req_id", c["auth_req_id"].(string)); a.json(t)["error"] != "expired_token" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestQRRedirect(t *testing.T) {
	t.Parallel()
	s, rc := startQR(t)
	location, err := s.Control().ScanQR("door", aase, true)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(location)
	if err != nil || !strings.HasPrefix(location, "http://localhost:1/_vipps/callback/qr?code=") || len(u.Query()) != 1 {
		t.Fatalf("the phone opens %q", location)
	}
	code := u.Query().Get("code")
	if a := token(t, s, code, "redirect_uri", "http://localhost:1/_vipps/callback/qr"); a.status != http.StatusBadRequest {
		t.Errorf("in the browser's flow: %d %s", a.status, a.body)
	}
	m := grantQR(t, s, "grant_type", qrRedirectGrant, "code", code).json(t)
	if m["token_type"] != "bearer" || m["expires_in"] != 3599.0 || m["scope"] != "openid email" {
		t.Errorf("answer %v", m)
	}
	checkQRToken(t, s, m["id_token"].(string), "door", "")
	if a := grantQR(t, s, "grant_type", qrRedirectGrant, "code", code); a.json(t)["error"] != "invalid_grant" {
		t.Errorf("twice: %d %s", a.status, a.body)
	}
	location, err = s.Control().ScanQR("door", aase, false)
	if want := "http://localhost:1/_vipps/callback/qr?error=access_denied&error_description=User+cancelled+the+login"; location != want || err != nil {
		t.Errorf("cancelled: %q %v", location, err)
	}
	if location, err = s.Control().ScanQR("oKAz7q1O", aase, false); location != "" || err != nil {
		t.Errorf("cancelled in the app: %q %v", location, err)
	}
	if n := len(rc.arrivals()); n != 0 {
		t.Errorf("%d callbacks", n)
	}
}

func TestQRControl(t *testing.T) {
	t.Parallel()
	s, _ := startQR(t)
	c := s.Control()
	for name, q := range map[string]emulator.QRCode{
		"no id":        {ClientID: "shop", CallbackURI: "http://localhost:1/"},
		"an odd id":    {ID: "a/b", ClientID: "shop", CallbackURI: "http://localhost:1/"},
		"no URI":       {ID: "x", ClientID: "shop"},
		"both":         {ID: "x", ClientID: "shop", CallbackURI: "http://localhost:1/", RedirectURI: "http://localhost:1/"},
		"elsewhere":    {ID: "x", ClientID: "shop", CallbackURI: "https://example.com/"},
		"an app":       {ID: "x", ClientID: "shop", RedirectURI: "eksempelapp://x"},
		"no client":    {ID: "x", ClientID: "nobody", CallbackURI: "http://localhost:1/"},
		"a scope":      {ID: "x", ClientID: "shop", CallbackURI: "http://localhost:1/", Scopes: []string{"x"}},
		"a long story": {ID: "x", ClientID: "shop", CallbackURI: "http://localhost:1/", Description: strings.Repeat("x", 201)},
	} {
		if err := c.AddQR(q); err == nil {
			t.Errorf("%s: is taken", name)
		}
	}
	for _, try := range [][2]string{{"oKAz7q1O", "4799999999"}, {"oKAz7q1O", young}, {"nothing", aase}} {
		if _, err := c.ScanQR(try[0], try[1], true); err == nil {
			t.Errorf("%v can scan", try)
		}
	}
	post := func(verb, body string) answer {
		return call(t, http.MethodPost, s.URL+"/_emulator/"+verb, body, http.Header{"Content-Type": {"application/json"}})
	}
	if a := post("add-qr", `{"id":"x","client_id":"other","redirect_uri":"http://localhost:1/x","scopes":["openid"]}`); a.status != http.StatusOK {
		t.Errorf("add-qr: %s", a.body)
	}
	a := post("scan-qr", `{"id":"x","phone":"`+aase+`"}`)
	if a.status != http.StatusOK || !strings.HasPrefix(a.header.Get("Location"), "http://localhost:1/x?code=") {
		t.Errorf("scan-qr: %d %v %s", a.status, a.header, a.body)
	}
	if a := post("remove-qr", `{"id":"x"}`); a.status != http.StatusOK || len(c.QRs()) != 2 {
		t.Errorf("remove-qr: %s %v", a.body, c.QRs())
	}
	c.Reset()
	if len(c.QRs()) != 2 {
		t.Error("Reset forgets QR codes")
	}
	list, _ := call(t, http.MethodGet, s.URL+"/_emulator/state", "", nil).json(t)["qr_codes"].([]any)
	if len(list) != 2 {
		t.Errorf("state: %v", list)
	}
}

// The page prints the codes, and its buttons scan them.
func TestQRPage(t *testing.T) {
	t.Parallel()
	s, rc := startQR(t)
	b := newBrowser(t, s)
	p := b.get("/_emulator/qr")
	if !strings.Contains(p.texts, "description of QR code") || len(p.forms) != 3 {
		t.Fatalf("%d forms: %s", len(p.forms), p.texts)
	}
	image := b.get("/_emulator/qr.png?id=oKAz7q1O")
	if img, err := png.Decode(strings.NewReader(image.body)); err != nil || img.Bounds().Dx() < 100 || image.header.Get("Content-Type") != "image/png" {
		t.Errorf("no image: %v", err)
	}
	submit := func(id, do string) *page {
		t.Helper()
		i := slices.IndexFunc(p.forms, func(f form) bool { return f.values.Get("id") == id })
		v := p.forms[i].values
		v.Set("phone", aase)
		v.Set("do", do)
		return b.do(http.MethodPost, p.forms[i].action, v, nil)
	}
	if got := submit("oKAz7q1O", "cancel"); !strings.Contains(got.texts, "The person cancelled") {
		t.Errorf("cancelled: %s", got.texts)
	}
	if got := submit("oKAz7q1O", "approve"); !strings.Contains(got.texts, "The callback is under way") {
		t.Errorf("approved: %s", got.texts)
	}
	rc.until(t, 1)
	if got := submit("door", "approve"); got.status != http.StatusSeeOther || got.back == nil || got.back.Query().Get("code") == "" {
		t.Errorf("redirect: %d %v", got.status, got.back)
	}
	one := b.get("/_emulator/qr?id=door")
	if len(one.forms) != 1 || strings.Contains(one.texts, "description of QR code") {
		t.Errorf("a code alone: %s", one.texts)
	}
	add := p.forms[2].values
	for k, v := range map[string]string{"id": "new", "client_id": "shop", "kind": "redirect", "uri": "http://localhost:1/new", "do": "add"} {
		add.Set(k, v)
	}
	if got := b.do(http.MethodPost, "/_emulator/qr", add, nil); !strings.Contains(got.texts, "The QR code is set up") {
		t.Errorf("added: %s", got.texts)
	}
	for name, tc := range map[string]struct {
		form   url.Values
		header http.Header
		status int
	}{
		"no token":    {url.Values{"do": {"approve"}, "id": {"door"}, "phone": {aase}}, nil, 400},
		"no button":   {url.Values{"csrf": add["csrf"], "id": {"door"}, "phone": {aase}}, nil, 400},
		"nobody":      {url.Values{"csrf": add["csrf"], "do": {"approve"}, "id": {"door"}, "phone": {"1"}}, nil, 400},
		"cross-site":  {url.Values{"csrf": add["csrf"], "do": {"approve"}, "id": {"door"}, "phone": {aase}}, http.Header{"Sec-Fetch-Site": {"cross-site"}}, 403},
		"a long form": {url.Values{"csrf": add["csrf"], "do": {strings.Repeat("x", 20<<10)}}, nil, 400},
	} {
		if got := b.do(http.MethodPost, "/_emulator/qr", tc.form, tc.header); got.status != tc.status {
			t.Errorf("%s: %d", name, got.status)
		}
	}
	for path, want := range map[string]int{"/_emulator/qr?id=nothing": 404, "/_emulator/qr.png?id=nothing": 404, "/_emulator/qr?done=<x>": 200} {
		if got := b.get(path); got.status != want || strings.Contains(got.body, "<x>") {
			t.Errorf("%s: %d", path, got.status)
		}
	}
}

// Each fault does what it says: changes is what becomes of the claims, nil for those that leave them alone.
func TestQRBreaks(t *testing.T) {
	t.Parallel()
	s, _ := startQR(t)
	now := newClock().Now()
	set := func(name string, v any) func(map[string]any) { return func(c map[string]any) { c[name] = v } }
	times := func(iat, exp time.Time) func(map[string]any) {
		return func(c map[string]any) { c["iat"], c["exp"] = float64(iat.Unix()), float64(exp.Unix()) }
	}
	without := func(name string) func(map[string]any) { return func(c map[string]any) { delete(c, name) } }
	changes := map[string]func(c map[string]any){
		emulator.BreakQRWrongAud: set("aud", "another-client"), emulator.BreakQRExtraAud: set("aud", []any{"shop", "another-client"}),
		emulator.BreakQRMissingAud: without("aud"), emulator.BreakQRAudArray: set("aud", []any{"shop"}),
		emulator.BreakQRWrongIss: set("iss", s.Issuer+"1"), emulator.BreakQRMissingIss: without("iss"),
		emulator.BreakQRExpired:    times(now.Add(-time.Hour-5*time.Minute), now.Add(-time.Hour)),
		emulator.BreakQRMissingExp: without("exp"), emulator.BreakQRMissingIat: without("iat"),
		emulator.BreakQRIatFuture:   times(time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2040, 1, 1, 0, 5, 0, 0, time.UTC)),
		emulator.BreakQRLongLived:   times(now.Add(-time.Hour), now.Add(24*time.Hour)),
		emulator.BreakQRNoAuthReqID: without("auth_req_id"),
	}
	for _, b := range emulator.Breaks() {
		if b.Where != "qr" {
			continue
		}
		t.Run(b.Kind, func(t *testing.T) {
			rc := newReceiver(t)
			if err := s.Control().AddQR(emulator.QRCode{ID: b.Kind, ClientID: "shop", CallbackURI: rc.URL}); err != nil {
				t.Fatal(err)
			}
			if err := s.Control().Break(b.Kind, 1); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Control().ScanQR(b.Kind, aase, true); err != nil {
				t.Fatal(err)
			}
			a := rc.until(t, 1)[0]
			body, alg, signed := a.body, "", false
			if b.Kind != emulator.BreakQRJSON && b.Kind != emulator.BreakQRForm {
				alg, signed = signedWith(t, s, body)
			}
			badlySigned := []string{
				emulator.BreakQRAlgNone, emulator.BreakQRHS256, emulator.BreakQRUnknownKID, emulator.BreakQRNoKID,
				emulator.BreakQRBadSignature, emulator.BreakQRJSON, emulator.BreakQRForm,
			}
			if signed == slices.Contains(badlySigned, b.Kind) {
				t.Errorf("signed: %v with %s", signed, alg)
			}
			if b.Kind == emulator.BreakQRRS256 != (alg == "RS256") {
				t.Errorf("alg %s", alg)
			}
			checkQRBody(t, b.Kind, a, rc)
			if change := changes[b.Kind]; change != nil {
				got := claims(t, body)
				want := map[string]any{
					"aud": "shop", "iss": s.Issuer, "iat": float64(now.Unix()), "exp": float64(now.Unix() + 300), "auth_req_id": got["auth_req_id"],
				}
				change(want)
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("claims (-want +got)\n%s", d)
				}
			}
		})
	}
}

func checkQRBody(t *testing.T, kind string, a arrival, rc *receiver) {
	t.Helper()
	has := func(name string) bool { _, ok := claims(t, a.body)[name]; return ok }
	ok := true
	switch kind {
	case emulator.BreakQRWithSub:
		ok = has("sub") && has("auth_req_id")
	case emulator.BreakQRWithNonce:
		ok = has("nonce") && has("auth_req_id")
	case emulator.BreakQRIDToken:
		ok = has("sub") && has("qr_id") && !has("auth_req_id")
	case emulator.BreakQRJSON:
		ok = answer{body: a.body}.json(t)["protected"] != nil
	case emulator.BreakQRHuge:
		ok = len(a.body) > 9<<10
	case emulator.BreakQRTextPlain:
		ok = a.header.Get("Content-Type") == "text/plain"
	case emulator.BreakQRForm:
		ok = a.header.Get("Content-Type") == "application/x-www-form-urlencoded" && strings.HasPrefix(a.body, "jws=")
	case emulator.BreakQRTwice:
		ok = rc.until(t, 2)[1].body == a.body
	case emulator.BreakQRAlgNone:
		ok = strings.HasSuffix(a.body, ".")
	}
	if !ok {
		t.Errorf("%s doesn't: %s", kind, a.body)
	}
}

// Whatever the form of the page, with its token: no 500, and no address but the page's own and those that are set up.
func FuzzQRForm(f *testing.F) {
	e := fuzzed(f)
	if err := e.Control().AddQR(emulator.QRCode{ID: "door", ClientID: "shop", RedirectURI: "http://localhost:1/x"}); err != nil {
		f.Fatal(err)
	}
	get := func(path string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, e.BaseURL()+path, nil)
		r.RemoteAddr = "127.0.0.1:1234"
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		return w
	}
	_, rest, _ := bytes.Cut(get("/_emulator/qr").Body.Bytes(), []byte(`name="csrf" value="`))
	token, _, _ := strings.Cut(string(rest), `"`)
	f.Cleanup(e.Close)
	for _, seed := range []string{"do=approve&id=door&phone=" + aase, "do=cancel&id=door", "do=add&id=a&client_id=shop&kind=redirect&uri=http://localhost/%0d%0aX:y", "do=add&uri=//evil.example", "a;b", "%zz", ""} {
		f.Add(seed, "door")
	}
	f.Fuzz(func(t *testing.T, body, id string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, e.BaseURL()+"/_emulator/qr", strings.NewReader("csrf="+url.QueryEscape(token)+"&"+body))
		r.RemoteAddr = "127.0.0.1:1234"
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		loc := w.Header().Get("Location")
		if w.Code != 303 && w.Code != 400 || w.Code == 303 && !strings.HasPrefix(loc, "/_emulator/qr?done=") && !strings.HasPrefix(loc, "http://localhost") && !strings.HasPrefix(loc, "http://127.") || strings.ContainsAny(loc, "\r\n") {
			t.Errorf("%d to %q", w.Code, loc)
		}
		if p := get("/_emulator/qr?id=" + url.QueryEscape(id)); p.Code != 200 && p.Code != 404 {
			t.Errorf("the page of %q: %d", id, p.Code)
		}
	})
}
