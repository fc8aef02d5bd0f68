package emulator_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// Written by hand after the documents' samples.
const (
	delegatedSample = `{
	"language": "EN", "heading": "Give consent", "termsDescription": "You can take it back at any time.", "confirmConsentButtonText": "Confirm",
	"links": {"termsLinkText": "Terms", "termsLinkUrl": "https://example.com/terms", "privacyStatementLinkText": "Privacy", "privacyStatementLinkUrl": "https://example.com/privacy"},
	"timeOfConsent": "2026-11-21T12:00:00Z",
	"consents": [
		{"id": "email", "accepted": true, "required": true, "textDisplayedToUser": "Receive offers by e-mail"},
		{"id": "sms", "accepted": SMS, "required": false, "textDisplayedToUser": "Receive offers by text message"},
		{"id": "digital", "accepted": OTHER, "required": false, "textDisplayedToUser": "See offers in other digital channels"},
		{"id": "personal", "accepted": OTHER, "required": false, "textDisplayedToUser": "Get offers that suit me"}
	]}`
	flowSample = `{
	"language": "EN",
	"screens": [{
		"title": "Join the club", "description": "It costs nothing.", "terms": {"links": [{"title": "Terms", "url": "https://example.com/club"}]},
		"elements": [
			{"type": "checkbox", "id": "terms", "title": "I accept the club's terms", "checked": true, "required": true, "readMore": {"title": "More", "description": "Nothing more, really."}},
			{"type": "checkbox", "id": "newsletter", "title": "Send me the newsletter", "checked": OTHER, "required": false, "readMore": {"title": "More", "description": "Nothing more, really."}},
			{"type": "checkbox", "id": "survey", "title": "Ask me what I think", "checked": OTHER, "required": false, "readMore": {"title": "More", "description": "Nothing more, really."}}
		]}],
	"timeOfConsent": "2026-11-21T12:00:00Z"}`

	consentScopes = "openid name delegatedConsents customFlow"
)

func sample(t *testing.T, s, sms, other string) map[string]any {
	t.Helper()
	return answer{body: strings.NewReplacer("SMS", sms, "OTHER", other).Replace(s)}.json(t)
}

// told are the claims that a login brings.
func told(t *testing.T, s *emulator.Server, code string) map[string]any {
	t.Helper()
	tok := token(t, s, code).json(t)
	access, _ := tok["access_token"].(string)
	return userinfo(t, s, access).json(t)
}

func wantConsents(t *testing.T, got map[string]any, sms, other string) {
	t.Helper()
	if d := cmp.Diff(sample(t, delegatedSample, sms, other), got["delegatedConsents"]); d != "" {
		t.Errorf("delegatedConsents (-want +got):\n%s", d)
	}
	if d := cmp.Diff(sample(t, flowSample, sms, other), got["flowResult"]); d != "" {
		t.Errorf("flowResult (-want +got):\n%s", d)
	}
}

func wantNoConsents(t *testing.T, got map[string]any) {
	t.Helper()
	if got["sub"] == nil || got["delegatedConsents"] != nil || got["flowResult"] != nil {
		t.Errorf("%v", got)
	}
}

// A person ticks what they like on the page, has to tick what is required, and is asked once.
func TestConsentsInTheBrowser(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	b := newBrowser(t, s)
	p := b.confirm(b.submit(b.get(authorizeURL(s, "scope", consentScopes)), "phone", "phone", aase, "remember", "on"))
	f := p.form(t, "consent")
	want := map[string]bool{
		"consent-email": false, "consent-sms": false, "consent-digital": false, "consent-personal": false,
		"consent-terms": false, "consent-newsletter": false, "consent-survey": false,
	}
	if d := cmp.Diff(want, f.boxes); d != "" {
		t.Errorf("boxes, none of them ticked beforehand (-want +got):\n%s", d)
	}
	if !strings.Contains(p.texts, "Receive offers by text message") || strings.Count(p.body, " required>") != 2 {
		t.Errorf("%s", p.texts)
	}
	for _, ticked := range [][]string{nil, {"consent-email", "on"}, {"consent-sms", "on", "consent-terms", "on"}} {
		if p := b.submit(p, "consent", ticked...); p.back != nil || !strings.Contains(p.texts, "Tick the boxes that are required") {
			t.Errorf("with %v: %v %s", ticked, p.back, p.texts)
		}
	}
	p = b.submit(p, "consent", "consent-email", "on", "consent-sms", "on", "consent-terms", "on")
	got := told(t, s, p.back.Query().Get("code"))
	wantConsents(t, got, "true", "false")
	if p.back.Query().Get("scope") != consentScopes || got["name"] == nil {
		t.Errorf("%v %v", p.back, got)
	}

	p = b.get(authorizeURL(s, "scope", consentScopes)) // remembered, and nothing lacks
	if p.back == nil {
		t.Fatalf("asked again: %s", p.texts)
	}
	wantNoConsents(t, told(t, s, p.back.Query().Get("code")))

	s.Control().ConsentsEveryTime(true)
	b.lang = "nb"
	p = b.get(authorizeURL(s, "scope", consentScopes))
	if p.back != nil || !strings.Contains(p.texts, "Motta tilbud på SMS") {
		t.Fatalf("not asked every time: %v", p.back)
	}
	p = b.submit(p, "consent", "consent-email", "on", "consent-terms", "on")
	got = told(t, s, p.back.Query().Get("code"))
	if d := got["delegatedConsents"].(map[string]any); d["language"] != "NO" || d["heading"] != "Gi samtykke" {
		t.Errorf("%v", d)
	}

	s.Control().ConsentsEveryTime(false)
	if err := s.Control().RevokeConsent(aase); err != nil {
		t.Fatal(err)
	}
	if p = b.get(authorizeURL(s, "scope", consentScopes)); p.back != nil {
		t.Error("not asked after the consent is taken back")
	}
}

func TestConsentsByThemselves(t *testing.T) {
	t.Parallel()
	s := startMerchant(t, nil)
	c := s.Control()
	wantConsents(t, told(t, s, code(t, s, "scope", consentScopes)), "true", "true")
	wantNoConsents(t, told(t, s, code(t, s, "scope", consentScopes)))
	c.ConsentsEveryTime(true)
	if err := c.ConsentAnswers([]string{"sms"}); err != nil {
		t.Fatal(err)
	}
	wantConsents(t, told(t, s, code(t, s, "scope", consentScopes)), "true", "false")
	wantNoConsents(t, told(t, s, code(t, s, "scope", "openid name")))
	if err := c.ConsentAnswers([]string{}); err != nil {
		t.Fatal(err)
	}
	if err := c.Break(emulator.BreakConsentsLeadingSpace, 1); err != nil {
		t.Fatal(err)
	}
	got := told(t, s, code(t, s, "scope", "openid delegatedConsents"))["delegatedConsents"].(map[string]any)
	if _, ok := got["termsDescription"]; ok || got[" termsDescription"] != "You can take it back at any time." || got["text"] == nil {
		t.Errorf("%v", got)
	}
	if c.ConsentAnswers([]string{"sms", "nothing"}) == nil {
		t.Error("an unknown box is taken")
	}
	if err := c.ConsentAnswers(nil); err != nil {
		t.Fatal(err)
	}

	// the same for merchant-initiated logins, whose person has a phone of another country
	for range 2 {
		id := begin(t, s, "scope", consentScopes, "login_hint", "urn:msisdn:4590000010")
		if err := c.MerchantApprove(id); err != nil {
			t.Fatal(err)
		}
		access, _ := poll(t, s, id).json(t)["access_token"].(string)
		got := userinfo(t, s, access).json(t)
		wantConsents(t, got, "true", "true")
		if again := userinfo(t, s, access).json(t); cmp.Diff(got, again) != "" {
			t.Error("a second call says something else")
		}
	}
}

func TestMerchantVerbs(t *testing.T) {
	t.Parallel()
	s := startMerchant(t, nil)
	verb := func(name, args string) answer {
		return call(t, http.MethodPost, s.URL+"/_emulator/"+name, args, http.Header{"Content-Type": {"application/json"}})
	}
	good := func(name, args string) {
		t.Helper()
		if a := verb(name, args); a.status != 200 || a.body != `{"ok":true}` {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	good("merchant-interval", `{"duration":"2s"}`)
	good("merchant-limit", `{"waiting":9}`)
	good("consent-answers", `{"ticked":["sms"]}`)
	good("consent-answers", `{}`)
	good("consents-every-time", `{"on":true}`)
	id := begin(t, s)
	good("merchant-poll-mode", `{"mode":"slow_down","times":1}`)
	wantError(t, pollAfter(t, s, id), "slow_down")
	good("merchant-approve", `{"auth_req_id":"`+id+`"}`)
	denied, expired, shown := begin(t, s), begin(t, s), begin(t, s, "requested_flow", "login_to_webpage", "redirect_uri", landing)
	good("merchant-approve", `{"phone":"`+aase+`"}`)
	good("merchant-expire", `{"auth_req_id":"`+expired+`"}`)
	good("merchant-deny", `{"phone":"`+aase+`","code":"old_app"}`)
	good("merchant-auto", `{"phone":"`+aase+`","after":"1h"}`)
	st := call(t, http.MethodGet, s.URL+"/_emulator/state", "", nil).json(t)["merchant_logins"].([]any)
	if len(st) != 4 {
		t.Fatalf("%v", st)
	}
	for i, want := range []map[string]any{
		{"auth_req_id": id, "client_id": "shop", "phone": aase, "code": "4MZ-CQ3", "flow": "app", "state": "approved", "polls": 1.0, "smallest_spacing_ms": 30000.0, "polls_under_interval": 0.0, "interval": 7.0},
		{"auth_req_id": denied, "state": "denied", "reason": "old_app", "polls": 0.0},
		{"auth_req_id": expired, "state": "expired", "link": nil},
		{"auth_req_id": shown, "state": "approved", "flow": "browser", "polls_overlapping": 0.0, "polls_after_end": 0.0},
	} {
		got := st[i].(map[string]any)
		for name, v := range want {
			if got[name] != v {
				t.Errorf("login %d: %s = %v, want %v", i, name, got[name], v)
			}
		}
	}
	if link, _ := st[3].(map[string]any)["link"].(string); !strings.HasPrefix(link, landing+"?code=") {
		t.Errorf("%v", st[3])
	}
	for name, args := range map[string]string{
		"merchant-approve": `{}`, "merchant-deny": `{"phone":"4799999999"}`, "merchant-expire": `{"who":"x"}`, "merchant-auto": `{"after":"5h"}`,
		"merchant-poll-mode": `{"mode":"x"}`, "merchant-interval": `{"duration":"1ms"}`, "merchant-limit": `{"waiting":-1}`, "consent-answers": `{"ticked":["x"]}`,
	} {
		if a := verb(name, args); a.status != 400 {
			t.Errorf("%s %s: %d", name, args, a.status)
		}
	}
}
