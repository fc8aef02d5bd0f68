package emulator_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// What Vipps documents of the claims, written by hand for Åse; SUB and SID are put in, since they differ.
const aaseUserinfo = `{
	"sub": "SUB", "sid": "SID",
	"name": "Åse Ødegård", "given_name": "Åse", "family_name": "Ødegård",
	"phone_number": "4790000001", "phone_number_verified": true,
	"email": "aase@example.com", "email_verified": true,
	"address": {
		"address_type": "home", "country": "NO", "formatted": "Eksempelveien 1\n0001\nOSLO\nNO",
		"postal_code": "0001", "region": "OSLO", "street_address": "Eksempelveien 1"
	},
	"other_addresses": [],
	"birthdate": "1985-05-17", "gender": "female", "nin": "17858510023"
}`

func TestClickThrough(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	b := newBrowser(t, s)

	p := b.get(authorizeURL(s))
	if p.status != 200 || !strings.HasPrefix(p.url.Path, "/vipps-login-idp/index.html") {
		t.Fatalf("landing page: %d at %s", p.status, p.url)
	}
	for _, want := range []string{"This is the vippsauth emulator, not Vipps. No real login happens here.", "Eksempelbutikken", "Remember me in browser", "Åse Ødegård"} {
		if !strings.Contains(p.texts, want) {
			t.Errorf("the landing page lacks %q", want)
		}
	}
	f := p.form(t, "phone")
	if ticked, there := f.boxes["remember"]; !there || ticked {
		t.Error("the box must be there and off")
	}
	people := 0
	for _, bt := range f.buttons {
		if bt.name == "person" {
			people++
		}
	}
	if people != 12 {
		t.Errorf("%d people to choose from, want 12", people)
	}

	p = b.submit(p, "phone", "person", aase)
	shown, on := shownNumber(t, p), 0
	seen := map[string]bool{}
	for _, bt := range p.form(t, "challenge").buttons {
		seen[bt.value] = true
		if bt.value == shown {
			on++
		}
	}
	if len(seen) != 3 || on != 1 {
		t.Fatalf("the phone shows %v for %s: want three different numbers, one of them right", seen, shown)
	}

	p = b.confirm(p)
	for _, want := range []string{"Name", "E-mail", "Addresses", "Date of birth", "Gender", "National identity number", "Phone number"} {
		if !strings.Contains(p.texts, want) {
			t.Errorf("the consent page lacks %q", want)
		}
	}
	p = b.submit(p, "consent")
	if p.status != http.StatusFound || p.back == nil {
		t.Fatalf("no way back: %d\n%s", p.status, p.texts)
	}
	if got := p.header.Get("Location"); !strings.HasPrefix(got, callback+"?code=") ||
		!strings.HasSuffix(got, "&state="+state+"&scope=openid+name+phoneNumber+email+address+birthDate+gender+nin") {
		t.Errorf("Location = %s", got)
	}
	checkTokens(t, s, p.back.Query().Get("code"))
}

// checkTokens redeems the code and compares everything with the documents.
func checkTokens(t *testing.T, s *emulator.Server, code string) {
	t.Helper()
	a := token(t, s, code)
	if a.status != 200 || a.header.Get("Content-Type") != "application/json;charset=UTF-8" || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Pragma") != "no-cache" {
		t.Fatalf("token: %d %v\n%s", a.status, a.header, a.body)
	}
	tok := a.json(t)
	id := claims(t, tok["id_token"].(string))
	want := answer{body: `{
		"access_token": "` + tok["access_token"].(string) + `", "id_token": "` + tok["id_token"].(string) + `",
		"expires_in": 3599, "scope": "openid name phoneNumber email address birthDate gender nin", "token_type": "bearer"
	}`}.json(t)
	if d := cmp.Diff(want, tok); d != "" {
		t.Errorf("token answer (-want +got):\n%s", d)
	}
	sub, sid := id["sub"].(string), id["sid"].(string)
	wantID := answer{body: `{
		"iss": "` + s.URL + `/access-management-1.0/access/", "sub": "` + sub + `", "aud": ["shop"], "exp": 1795266000, "iat": 1795262400,
		"auth_time": 1795262400, "rat": 1795262400, "nonce": "` + nonce + `", "sid": "` + sid + `", "jti": "` + id["jti"].(string) + `",
		"at_hash": "` + id["at_hash"].(string) + `", "msn": "123456", "email": "aase@example.com", "email_verified": true
	}`}.json(t)
	if d := cmp.Diff(wantID, id); d != "" {
		t.Errorf("ID token (-want +got):\n%s", d)
	}
	if !strings.HasPrefix(sub, "emulator-") || len(sub) != len("emulator-")+36 {
		t.Errorf("sub = %q", sub)
	}
	for _, slash := range []string{"", "/"} {
		u := call(t, http.MethodGet, s.URL+"/vipps-userinfo-api/userinfo"+slash, "", http.Header{"Authorization": {"Bearer " + tok["access_token"].(string)}})
		if u.status != 200 || u.header.Get("Content-Type") != "application/json;charset=UTF-8" || u.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("userinfo%s: %d %v", slash, u.status, u.header)
		}
		wantUser := answer{body: strings.NewReplacer("SUB", sub, "SID", sid).Replace(aaseUserinfo)}.json(t)
		if d := cmp.Diff(wantUser, u.json(t)); d != "" {
			t.Errorf("userinfo%s (-want +got):\n%s", slash, d)
		}
	}
}

func TestRememberedBrowser(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	b := newBrowser(t, s)
	if p := b.login(authorizeURL(s, "scope", "openid name"), aase, true); p.back == nil {
		t.Fatalf("first login: %s", p.texts)
	}
	if p := b.get(authorizeURL(s, "scope", "openid name")); p.back == nil || p.back.Query().Get("code") == "" {
		t.Errorf("remembered, everything consented: want a code at once, got %d %s", p.status, p.texts)
	}
	p := b.get(authorizeURL(s, "scope", "openid name email"))
	if strings.Contains(p.body, `data-scope="name"`) || !strings.Contains(p.body, `data-scope="email"`) {
		t.Errorf("want the consent page with email alone:\n%s", p.texts)
	}
	if p := b.submit(p, "consent"); p.back == nil || p.back.Query().Get("scope") != "openid name email" {
		t.Errorf("after the consent: %v", p.back)
	}
	if err := s.Control().RevokeConsent(aase); err != nil {
		t.Fatal(err)
	}
	if p := b.get(authorizeURL(s, "scope", "openid name")); !strings.Contains(p.body, `data-scope="name"`) {
		t.Errorf("after revoking, consent must be asked for again:\n%s", p.texts)
	}
	if p := b.get(authorizeURL(s, "scope", "openid")); p.back == nil {
		t.Errorf("openid alone needs no consent:\n%s", p.texts)
	}
	if p := newBrowser(t, s).get(authorizeURL(s, "scope", "openid")); p.back != nil {
		t.Error("another browser isn't remembered")
	}
	s.Control().ForgetBrowsers()
	b.get(authorizeURL(s, "scope", "openid")).form(t, "phone")
}

func TestNotRememberedWithoutTheBox(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	b := newBrowser(t, s)
	b.login(authorizeURL(s), aase, false)
	b.get(authorizeURL(s)).form(t, "phone")
}

func TestACRForcesTheApp(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	b := newBrowser(t, s)
	b.login(authorizeURL(s, "scope", "openid"), aase, true)
	if p := b.get(authorizeURL(s, "scope", "openid", "acr_values", emulator.ACRAppAuth)); p.back == nil {
		t.Error("acr_values of a client that isn't advanced must be ignored")
	} else if c := claims(t, token(t, s, p.back.Query().Get("code")).json(t)["id_token"].(string)); c["acr"] != nil {
		t.Errorf("acr = %v", c["acr"])
	}
	p := b.get(authorizeURL(s, "client_id", "other", "scope", "openid", "acr_values", emulator.ACRAppAuth))
	p = b.confirm(p)
	if p.back == nil {
		t.Fatalf("after the confirmation: %s", p.texts)
	}
	a := tokenPost(t, s, p.back.Query().Get("code"), "other", "s:p%c+l =")
	if c := claims(t, a.json(t)["id_token"].(string)); c["acr"] != "urn:vipps:acr:app_auth" {
		t.Errorf("acr = %v", c["acr"])
	}
	p = b.get(authorizeURL(s, "client_id", "other", "scope", "openid", "acr_values", emulator.ACRAppAuth, "requested_flow", "no_dialog"))
	p = b.get(strings.SplitN(p.meta, "url=", 2)[1])
	if got := p.back.Query().Get("error"); got != "interaction_required" {
		t.Errorf("silent with acr: error = %q", got)
	}
}

func tokenPost(t *testing.T, s *emulator.Server, code, id, secret string) answer {
	t.Helper()
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier},
		"client_id": {id}, "client_secret": {secret},
	}
	return call(t, http.MethodPost, s.Issuer+"oauth2/token", form.Encode(), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
}

func TestNoIsAnAnswer(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	landing := func(b *browser) *page { return b.get(authorizeURL(s)) }
	challenge := func(b *browser) *page { return b.submit(landing(b), "phone", "phone", "900 00 001") }
	for name, tc := range map[string]struct {
		at    func(*browser) *page
		click func(*browser, *page) *page
		want  string
	}{
		"cancel on the landing page":   {landing, cancel, "access_denied"},
		"cancel on the challenge page": {challenge, cancel, "access_denied"},
		"cancel on the consent page":   {func(b *browser) *page { return b.confirm(challenge(b)) }, cancel, "access_denied"},
		"cancel on the spinner page":   {func(b *browser) *page { return b.get(authorizeURL(s, "requested_flow", "no_dialog")) }, cancel, "access_denied"},
		"the wrong number": {challenge, func(b *browser, p *page) *page {
			for _, bt := range p.form(b.t, "challenge").buttons {
				if bt.value != shownNumber(b.t, p) {
					return b.submit(p, "challenge", "choice", bt.value)
				}
			}
			return p
		}, "wrong_challenge"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBrowser(t, s)
			p := tc.at(b)
			at := p.url.String()
			p = tc.click(b, p)
			if p.back == nil {
				t.Fatalf("no way back: %s", p.texts)
			}
			q := p.back.Query()
			if q.Get("error") != tc.want || q.Get("state") != state || q.Get("code") != "" {
				t.Errorf("way back = %s", p.back)
			}
			if tc.want == "access_denied" && !strings.Contains(p.header.Get("Location"), "error_description=User+cancelled+the+login&state=") {
				t.Errorf("Location = %s", p.header.Get("Location"))
			}
			if again := b.get(at); again.status != http.StatusForbidden {
				t.Errorf("the page of a login that is over: %d", again.status)
			}
		})
	}
}

func cancel(b *browser, p *page) *page { return b.submit(p, "cancel") }

func TestPhoneNumbers(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	b := newBrowser(t, s)
	p := b.get(authorizeURL(s))
	for _, typed := range []string{"", "12", "90000099", "4790000099", "<b>", strings.Repeat("9", 5000), young} {
		p = b.submit(p, "phone", "phone", typed, "remember", "on")
		if f := p.form(t, "phone"); !f.boxes["remember"] {
			t.Errorf("%q: the box is lost", typed)
		}
		want := "knows nobody"
		if typed == young {
			want = "at least 15 years old"
		}
		if !strings.Contains(p.texts, want) || strings.Contains(p.body, "<b>") {
			t.Errorf("%q: the page says %s", typed, p.texts)
		}
	}
	for _, typed := range []string{"90000001", "900 00 001", "+47 90 00 00 01", "004790000001", "4790000001"} {
		p := newBrowser(t, s)
		p.submit(p.get(authorizeURL(s)), "phone", "phone", typed).form(t, "challenge")
	}
	if err := s.Control().AutoApprove(young); err == nil {
		t.Error("AutoApprove takes somebody under 15")
	}
}

// A page of another site can't take a step: it has neither the token nor, by the browser's own word, the origin.
func TestPhoneNumbersAreGrouped(t *testing.T) {
	t.Parallel()
	for phone, want := range map[string]string{
		"4790000001": "+47 90 00 00 01", "4590000010": "+45 90 00 00 10", "358900000011": "+358 90 000 0011", "35840000011": "+358 40 00 0011",
		"3584000011": "+358 40 00011", "358400001": "+358 40 0001", "46701740605": "+46 70 174 06 05", "46876543": "+46 87 65 43",
	} {
		s := start(t, func(c *emulator.Config) { c.People = []emulator.Person{{ID: "a", Phone: phone, Name: "A"}} })
		b := newBrowser(t, s)
		if p := b.get(authorizeURL(s)); !regexp.MustCompile(regexp.QuoteMeta(want) + `($|[^ 0-9]| [^0-9])`).MatchString(p.texts) {
			t.Errorf("%s is not shown as %q:\n%s", phone, want, p.texts)
		}
	}
}

func TestFormsAreProtected(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	b := newBrowser(t, s)
	p := b.get(authorizeURL(s))
	f := p.form(t, "phone")
	good := url.Values{"tabId": f.values["tabId"], "csrf": f.values["csrf"], "phone": {aase}}
	with := func(k, v string) url.Values {
		c := url.Values{"tabId": good["tabId"], "csrf": good["csrf"], "phone": good["phone"]}
		c.Set(k, v)
		return c
	}
	neighbour := newBrowser(t, s)
	neighbour.get(authorizeURL(s)) // has a cookie and an attempt of its own
	for name, tc := range map[string]struct {
		from   *browser
		body   url.Values
		header http.Header
	}{
		"no token":             {b, with("csrf", ""), nil},
		"another token":        {b, with("csrf", "x"), nil},
		"unknown attempt":      {b, with("tabId", "x"), nil},
		"another browser":      {neighbour, good, nil},
		"a browser of no name": {newBrowser(t, s), good, nil},
		"cross-site":           {b, good, http.Header{"Sec-Fetch-Site": {"cross-site"}}},
		"same-site":            {b, good, http.Header{"Sec-Fetch-Site": {"same-site"}}},
		"another origin":       {b, good, http.Header{"Origin": {"http://localhost:1"}}},
		"null origin":          {b, good, http.Header{"Origin": {"null"}}},
		"a body without bound": {b, with("phone", strings.Repeat("9", 1<<20)), nil},
	} {
		if p := tc.from.do(http.MethodPost, "/vipps-login-idp/phone", tc.body, tc.header); p.status != http.StatusForbidden || !strings.Contains(p.texts, "request_forbidden") {
			t.Errorf("%s: %d", name, p.status)
		}
	}
	if p := b.get("/vipps-login-idp/phone"); p.status != http.StatusMethodNotAllowed {
		t.Errorf("GET of a step: %d", p.status)
	}
	b.do(http.MethodPost, "/vipps-login-idp/phone", good, nil).form(t, "challenge")
	for _, action := range []string{"consent", "phone"} { // steps that aren't the next one go nowhere
		b.do(http.MethodPost, "/vipps-login-idp/"+action, good, nil).form(t, "challenge")
	}
}

func TestPagesSpeakNorwegianAndEnglish(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for header, want := range map[string]string{
		"": "nb", "nb-NO,nb;q=0.9,en;q=0.8": "nb", "nn": "nb", "no": "nb", "en-US,en;q=0.9,nb;q=0.5": "en", "de": "en", "de,nb;q=0.1": "nb",
		"nb;q=0, en": "en", "en;q=x,nb": "nb", ";;,=": "en",
	} {
		b := newBrowser(t, s)
		b.lang = header
		p := b.get(authorizeURL(s))
		if !strings.Contains(p.body, `<html lang="`+want+`">`) {
			t.Errorf("Accept-Language %q: want %s", header, want)
		}
		e := b.get(authorizeURL(s, "redirect_uri", callback+"/"))
		if heading := map[string]string{"nb": "Uff da, noe gikk galt", "en": "Oops, something went wrong"}[want]; !strings.Contains(e.texts, heading) {
			t.Errorf("Accept-Language %q: the error page says %s", header, e.texts)
		}
		for name, value := range map[string]string{"Cache-Control": "no-store", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin", "X-Content-Type-Options": "nosniff"} {
			if p.header.Get(name) != value || e.header.Get(name) != value {
				t.Errorf("%s: %q, %q", name, p.header.Get(name), e.header.Get(name))
			}
		}
		if strings.Contains(p.body, "<script") || strings.Contains(p.body, "https://") {
			t.Error("the page has a script or something of another host")
		}
	}
}
