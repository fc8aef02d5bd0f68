package emulator_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// answerOn clicks a button of the first message on the page, as a form posts it.
func answerOn(t *testing.T, b *browser, p *page, answer string, set ...string) *page {
	t.Helper()
	i := slices.IndexFunc(p.forms, func(f form) bool { return f.values.Get("auth_req_id") != "" })
	if i < 0 {
		t.Fatalf("no message on the page:\n%s", p.texts)
	}
	f := p.forms[i]
	f.values.Set("answer", answer)
	for i := 0; i < len(set); i += 2 {
		f.values.Set(set[i], set[i+1])
	}
	return b.do(http.MethodPost, f.action, f.values, nil)
}

// The phone without a script: load, tick, click.
func TestPhonePage(t *testing.T) {
	t.Parallel()
	s := startMerchant(t, nil)
	b := newBrowser(t, s)
	p := b.get("/_emulator/phone")
	if p.status != 200 || !strings.Contains(p.texts, "No message.") || !strings.Contains(p.texts, "This is the vippsauth emulator, not Vipps.") {
		t.Fatalf("%d %s", p.status, p.texts)
	}
	id := begin(t, s, "scope", "openid name delegatedConsents")
	begin(t, s, "login_hint", "urn:msisdn:4790000002", "binding_message", "PER-111")
	if p = b.get("/_emulator/phone"); strings.Count(p.body, "<article") != 2 || !strings.Contains(p.body, "<title>Phones (2)") || !strings.Contains(p.texts, "Messages: 2") {
		t.Errorf("%s", p.body)
	}
	p = b.get("/_emulator/phone?phone=" + aase)
	for _, want := range []string{"Eksempelbutikken wants you to log in", "4MZ-CQ3", "Åse Ødegård +47 90 00 00 01", "Receive offers by e-mail (required)", "Ends by itself in 10:00"} {
		if !strings.Contains(p.texts, want) {
			t.Errorf("the page lacks %q:\n%s", want, p.texts)
		}
	}
	if strings.Contains(p.texts, "PER-111") || strings.Contains(p.body, `data-scope="email"`) {
		t.Error("another person's message, or a scope that nobody asked for")
	}
	p = answerOn(t, b, p, "approve", "consent-sms", "on")
	if p.status != 422 || !strings.Contains(p.texts, "Tick the boxes that are required") || login(t, s, id).State != "waiting" {
		t.Fatalf("%d %s", p.status, p.texts)
	}
	p = answerOn(t, b, p, "approve", "consent-sms", "on", "consent-email", "on")
	if p.status != 200 || p.url.RawQuery != "done=approved&phone="+aase || !strings.Contains(p.texts, "Approved.") || !strings.Contains(p.texts, "4MZ-CQ3: approved") {
		t.Errorf("%d %s %s", p.status, p.url, p.texts)
	}
	tok := poll(t, s, id).json(t)
	access, _ := tok["access_token"].(string)
	got, _ := userinfo(t, s, access).json(t)["delegatedConsents"].(map[string]any)
	if got["language"] != "NO" || got["consents"].([]any)[1].(map[string]any)["accepted"] != true || got["consents"].([]any)[2].(map[string]any)["accepted"] != false {
		t.Errorf("%v", got)
	}

	p = answerOn(t, b, b.get("/_emulator/phone"), "deny")
	if !strings.Contains(p.texts, "Denied.") || strings.Contains(p.url.RawQuery, "phone") {
		t.Errorf("%s %s", p.url, p.texts)
	}
	id = begin(t, s)
	p = b.get("/_emulator/phone")
	if err := s.Control().MerchantExpire(id); err != nil {
		t.Fatal(err)
	}
	if p = answerOn(t, b, p, "approve"); !strings.Contains(p.texts, "isn't waiting any more") || !strings.Contains(p.texts, "ended by itself") {
		t.Errorf("%s", p.texts)
	}
	s.Control().Advance(11 * time.Minute)
	if p = b.get("/_emulator/phone"); strings.Contains(p.texts, "A moment ago") {
		t.Errorf("%s", p.texts)
	}
}

func TestPhonePageLink(t *testing.T) {
	t.Parallel()
	s := startMerchant(t, nil)
	b := newBrowser(t, s)
	b.lang = "nb"
	id := begin(t, s, "requested_flow", "login_to_webpage", "redirect_uri", landing, "binding_message", "-", "scope", "openid")
	p := b.get("/_emulator/phone")
	if !strings.Contains(p.texts, "Går videre i nettleseren på telefonen.") || strings.Contains(p.texts, "den samme koden") {
		t.Errorf("%s", p.texts)
	}
	p = answerOn(t, b, p, "approve")
	link := login(t, s, id).Link
	if !strings.Contains(p.body, `rel="noreferrer" href="`+link+`"`) {
		t.Fatalf("no link %q:\n%s", link, p.body)
	}
	if a := exchange(t, s, link); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if p := b.get("/_emulator/phone"); strings.Contains(p.body, "?code=") || !strings.Contains(p.texts, "brukerstedet har den") {
		t.Errorf("the link of a code that was used is there still: %s", p.texts)
	}
}

// Only our own page answers, and what the page says of others can't run.
func TestPhonePageIsForThisMachine(t *testing.T) {
	t.Parallel()
	s := startMerchant(t, func(c *emulator.Config) {
		c.Clients[0].Name = `<script>alert(1)</script>`
		c.People = []emulator.Person{{ID: "x", Phone: aase, Name: `"><img src=x onerror=alert(1)>`}}
	})
	begin(t, s, "scope", "openid name")
	b := newBrowser(t, s)
	p := b.get("/_emulator/phone")
	csp := p.header.Get("Content-Security-Policy")
	m := regexp.MustCompile(`^default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; connect-src 'self'; script-src 'nonce-([A-Za-z0-9_-]{22})'$`).FindStringSubmatch(csp)
	if m == nil || strings.Count(p.body, "<script") != 1 || !strings.Contains(p.body, `<script nonce="`+m[1]+`">`) || strings.Contains(p.body, "<img") {
		t.Errorf("%s\n%s", csp, p.body)
	}
	if again := b.get("/_emulator/phone").header.Get("Content-Security-Policy"); again == csp {
		t.Error("the nonce is the same twice")
	}
	if csp := b.get("/_emulator/").header.Get("Content-Security-Policy"); strings.Contains(csp, "script-src") {
		t.Errorf("another page lets a script run: %s", csp)
	}
	f := p.forms[1]
	f.values.Set("answer", "approve")
	const form = "application/x-www-form-urlencoded"
	for name, h := range map[string]http.Header{
		"cross-site":      {"Content-Type": {form}, "Sec-Fetch-Site": {"cross-site"}},
		"foreign origin":  {"Content-Type": {form}, "Origin": {"https://evil.example"}},
		"another port":    {"Content-Type": {form}, "Origin": {"http://127.0.0.1:1"}},
		"through a proxy": {"Content-Type": {form}, "X-Forwarded-For": {"192.0.2.1"}},
		"rebound name":    {"Content-Type": {form}, "Host": {"evil.example"}},
		"text":            {"Content-Type": {"text/plain"}},
	} {
		if a := call(t, http.MethodPost, s.URL+"/_emulator/phone", f.values.Encode(), h); a.status < 400 {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	for _, csrf := range []string{"", "x"} {
		if p := answerOn(t, b, p, "approve", "csrf", csrf); p.status != 403 {
			t.Errorf("csrf %q: %d", csrf, p.status)
		}
	}
	if p := answerOn(t, b, b.get("/_emulator/phone"), "maybe"); p.status != 403 {
		t.Errorf("another answer: %d", p.status)
	}
	if a := call(t, http.MethodPut, s.URL+"/_emulator/phone", "", nil); a.status != 405 {
		t.Errorf("PUT: %d", a.status)
	}
	if p := b.get("/_emulator/phone?phone=%3Cscript%3E&done=%3Cscript%3E"); strings.Count(p.body, "<script") != 1 || p.status != 200 {
		t.Errorf("%s", p.body)
	}
	if a := call(t, http.MethodGet, s.URL+"/_emulator/phone", "", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"cors"}}); a.status != 403 {
		t.Errorf("the page to another site: %d", a.status)
	}
	if logins := s.Control().MerchantLogins(); logins[0].State != "waiting" {
		t.Errorf("one of them got through: %+v", logins[0])
	}
}

// Whatever is posted by our own page: it comes back to it, with one answer or none.
func FuzzPhoneForm(f *testing.F) {
	e := fuzzed(f)
	page := httptest.NewRecorder()
	r := httptest.NewRequestWithContext(f.Context(), http.MethodGet, e.BaseURL()+"/_emulator/", nil)
	r.RemoteAddr = "127.0.0.1:1234"
	e.ServeHTTP(page, r)
	_, rest, _ := strings.Cut(page.Body.String(), `name="csrf" value="`)
	csrf, _, ok := strings.Cut(rest, `"`)
	if !ok {
		f.Fatal("no token on the page")
	}
	for _, seed := range []string{
		"", "&answer=approve&auth_req_id=x", "&answer=deny&phone=4790000001", "&answer=approve&phone=%0d%0aLocation:x", "&answer=%zz", "&csrf=x&answer=approve",
		"&answer=approve&consent-email=on&consent-email=on&auth_req_id=%00",
	} {
		f.Add(seed, "nb")
	}
	f.Fuzz(func(t *testing.T, rest, language string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, e.BaseURL()+"/_emulator/phone", strings.NewReader("csrf="+csrf+rest))
		r.RemoteAddr = "127.0.0.1:1234"
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Accept-Language", language)
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		loc := w.Header().Get("Location")
		switch w.Code {
		case http.StatusSeeOther:
			if !regexp.MustCompile(`^/_emulator/phone\?done=late(&phone=[0-9]{8,15})?$`).MatchString(loc) {
				t.Errorf("redirect to %q", loc)
			}
		case http.StatusForbidden:
			if loc != "" {
				t.Errorf("%d with Location %q", w.Code, loc)
			}
		default:
			t.Errorf("status %d", w.Code)
		}
	})
}

// Whatever the form of a start: an OAuth error, or a login with what was asked for and nothing else.
func FuzzBackchannel(f *testing.F) {
	e := fuzzed(f)
	if err := e.Control().MerchantLimit(0); err != nil {
		f.Fatal(err)
	}
	const good = "login_hint=urn%3Amsisdn%3A4790000001&scope=openid&binding_message=4MZ-CQ3"
	for _, seed := range []string{
		"", good, good + "&requested_expiry=60", good + "&requested_expiry=1e3", good + "&scope=nin", good + "&requested_flow=login_to_webpage&redirect_uri=http%3A%2F%2Flocalhost%3A1%2F_vipps%2Fcallback",
		"login_hint=urn%3Amsisdn%3A4790000001%26scope%3Dnin&scope=openid", "login_hint=urn:msisdn:4790000001%0d%0a&scope=openid", "login_hint=%zz", "login_hint=urn:customer-token:%00", good + ";a=b",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		e.Control().Reset()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, e.BaseURL()+"/vipps-login-ciba/api/backchannel/authentication", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Authorization", basic("shop", "secret"))
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		m := answer{body: w.Body.String()}.json(t)
		logins := e.Control().MerchantLogins()
		if w.Code != http.StatusOK {
			if w.Code < 400 || w.Code >= 500 || m["error"] == nil || len(logins) != 0 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			return
		}
		l := logins[0]
		if left := l.Expires.Sub(l.Started); len(logins) != 1 || left < time.Minute || left > 15*time.Minute ||
			l.Code != "" && !regexp.MustCompile(`\A[A-Z0-9-]{5,8}\z`).MatchString(l.Code) || strings.ContainsAny(body, "\r\n") {
			t.Errorf("%q began %+v", body, l)
		}
	})
}
