package emulator_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

func login(t *testing.T, s *emulator.Server, id string) emulator.MerchantLogin {
	t.Helper()
	for _, m := range s.Control().MerchantLogins() {
		if m.AuthReqID == id {
			return m
		}
	}
	t.Fatalf("no login %s", id)
	return emulator.MerchantLogin{}
}

// The interval is measured from the answer before, the start's too, and slow_down makes it longer for good.
func TestMerchantPollsAreMeasured(t *testing.T) {
	t.Parallel()
	s := startMerchant(t, nil)
	c := s.Control()
	id := begin(t, s)
	other := begin(t, s, "login_hint", "urn:msisdn:4790000002")
	for i, step := range []struct {
		after           time.Duration
		code            string
		interval, early int
		spacing         int64
	}{
		{5 * time.Second, "authorization_pending", 5, 0, 5000},
		{5*time.Second - time.Millisecond, "slow_down", 10, 1, 4999},
		{9 * time.Second, "slow_down", 15, 2, 4999},
		{15 * time.Second, "authorization_pending", 15, 2, 4999},
		{20 * time.Second, "authorization_pending", 15, 2, 4999},
	} {
		c.Advance(step.after)
		wantError(t, poll(t, s, id), step.code)
		m := login(t, s, id)
		if m.Polls != i+1 || m.Interval != step.interval || m.Early != step.early || m.SmallestSpacing != step.spacing || m.State != "waiting" {
			t.Errorf("poll %d: %+v", i, m)
		}
	}
	if m := login(t, s, other); m.Polls != 0 || m.Interval != 5 {
		t.Errorf("the other login: %+v", m)
	}
	first := begin(t, s)
	wantError(t, poll(t, s, first), "slow_down") // at once after the start
	if err := c.MerchantInterval(31 * time.Second); err != nil {
		t.Fatal(err)
	}
	if a := backchannel(t, s); a.json(t)["interval"] != 31.0 {
		t.Errorf("%s", a.body)
	}
	if c.MerchantInterval(0) == nil || c.MerchantInterval(1500*time.Millisecond) == nil || c.MerchantInterval(2*time.Hour) == nil {
		t.Error("odd intervals must be refused")
	}
}

// A second poll that comes before the first is answered is seen, also where Delay holds both.
func TestMerchantPollsOverlap(t *testing.T) {
	t.Parallel()
	s := startMerchant(t, func(c *emulator.Config) { c.Now = time.Now })
	id := begin(t, s)
	if err := s.Control().Delay(emulator.EndpointToken, 1500*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	done := make(chan answer, 2)
	for range 2 {
		go func() { done <- poll(t, s, id) }()
	}
	<-done
	<-done
	if m := login(t, s, id); m.Polls != 2 || m.Overlapping != 1 || m.SmallestSpacing >= 0 {
		t.Errorf("%+v", m)
	}
}

func TestMerchantLoginEnds(t *testing.T) {
	t.Parallel()
	s := startMerchant(t, nil)
	c := s.Control()
	for code, text := range map[string]string{
		"access_denied": "denied", "old_app": "too old", "invalid_user": "active Vipps app", "server_error": "unexpected condition", "transaction_failed": "told to",
	} {
		id := begin(t, s)
		if err := c.MerchantDeny(id, code); err != nil {
			t.Fatal(err)
		}
		a := poll(t, s, id)
		wantError(t, a, code)
		if !strings.Contains(a.json(t)["error_description"].(string), text) {
			t.Errorf("%s", a.body)
		}
		if m := login(t, s, id); m.State != "denied" || m.Reason != code || m.AfterEnd != 0 {
			t.Errorf("%+v", m)
		}
		wantError(t, poll(t, s, id), code)
		if m := login(t, s, id); m.AfterEnd != 1 {
			t.Errorf("a poll after the end isn't counted: %+v", m)
		}
		if c.MerchantApprove(id) == nil || c.MerchantDeny(aase, "") == nil || c.MerchantExpire(id) == nil {
			t.Error("a login that is over can be answered")
		}
	}
	id := begin(t, s, "requested_expiry", "60")
	c.Advance(59 * time.Second)
	wantError(t, poll(t, s, id), "authorization_pending")
	c.Advance(time.Second)
	if m := login(t, s, id); m.State != "expired" {
		t.Errorf("%+v", m)
	}
	wantError(t, poll(t, s, id), "expired_token")
	id = begin(t, s)
	if err := c.MerchantExpire(aase); err != nil {
		t.Fatal(err)
	}
	wantError(t, poll(t, s, id), "expired_token")
	if c.MerchantApprove(id) == nil || c.MerchantDeny(id, "Not A Code") == nil || c.MerchantApprove("") == nil || c.MerchantApprove("4799999999") == nil {
		t.Error("what can't be must be refused")
	}

	wantError(t, poll(t, s, "unknown"), "invalid_grant")
	wantError(t, poll(t, s, id, "scope", "openid"), "invalid_request")
	id = begin(t, s)
	a := call(t, http.MethodPost, s.Issuer+"oauth2/token", url.Values{
		"grant_type": {"urn:openid:params:grant-type:ciba"}, "auth_req_id": {id}, "client_id": {"other"}, "client_secret": {"s:p%c+l ="},
	}.Encode(), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
	wantError(t, a, "invalid_grant")
	if m := login(t, s, id); m.Polls != 0 {
		t.Errorf("another client's poll is counted: %+v", m)
	}
	c.Reset()
	wantError(t, poll(t, s, id), "invalid_grant")
}

// The newest login of a phone number is answered first.
func TestMerchantAnswersTheNewest(t *testing.T) {
	t.Parallel()
	s := startMerchant(t, nil)
	ids := []string{begin(t, s), begin(t, s), begin(t, s)}
	for i := len(ids) - 1; i >= 0; i-- {
		if err := s.Control().MerchantApprove(aase); err != nil {
			t.Fatal(err)
		}
		if m := login(t, s, ids[i]); m.State != "approved" {
			t.Errorf("%d: %+v", i, m)
		}
	}
}

func TestMerchantPollMode(t *testing.T) {
	t.Parallel()
	s := startMerchant(t, nil)
	c := s.Control()
	id := begin(t, s)
	set := func(mode string, times int) {
		t.Helper()
		if err := c.MerchantPollMode(mode, times); err != nil {
			t.Fatal(err)
		}
	}
	set(emulator.PollsSlowDown, 0)
	wantError(t, pollAfter(t, s, id), "slow_down")
	wantError(t, pollAfter(t, s, id), "slow_down")
	if m := login(t, s, id); m.Interval != 15 || m.Early != 0 {
		t.Errorf("%+v", m)
	}
	if err := c.MerchantApprove(id); err != nil {
		t.Fatal(err)
	}
	set(emulator.PollsPending, 1)
	wantError(t, pollAfter(t, s, id), "authorization_pending")
	set("error:invalid_request", 0)
	wantError(t, pollAfter(t, s, id), "invalid_request")
	set("status:503", 1)
	if a := pollAfter(t, s, id); a.status != 503 || a.header.Get("Retry-After") != "5" {
		t.Errorf("%d %v", a.status, a.header)
	}
	set("status:429", 0)
	if err := c.Break(emulator.BreakRetryAfterDate, 1); err != nil {
		t.Fatal(err)
	}
	a := pollAfter(t, s, id)
	if at, err := http.ParseTime(a.header.Get("Retry-After")); a.status != 429 || err != nil || at.Sub(newClock().Now().Add(180*time.Second)) != 5*time.Second {
		t.Errorf("%d %v %v", a.status, a.header, at)
	}
	set(emulator.PollsReal, 0)
	if a := poll(t, s, id); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, bad := range []string{"", "nothing", "status:100", "status:99", "status:600", "status:-500", "error:", "error:NO"} {
		if c.MerchantPollMode(bad, 0) == nil {
			t.Errorf("mode %q is taken", bad)
		}
	}
	if c.MerchantPollMode(emulator.PollsReal, -1) == nil {
		t.Error("a negative count is taken")
	}

	set(emulator.PollsDropped, 1)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Issuer+"oauth2/token", strings.NewReader("grant_type=urn%3Aopenid%3Aparams%3Agrant-type%3Aciba&auth_req_id="+begin(t, s)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Authorization": {basic("shop", "testdzlJbUZaM1lqODlnUUtrUHI=")}}
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	if resp, err := tr.RoundTrip(req); err == nil {
		_ = resp.Body.Close()
		t.Errorf("dropped, and yet %d", resp.StatusCode)
	}
}

func TestMerchantLimit(t *testing.T) {
	t.Parallel()
	s := startMerchant(t, nil)
	c := s.Control()
	begin(t, s, "requested_expiry", "90")
	for range 4 {
		begin(t, s)
	}
	a := backchannel(t, s)
	if a.status != 429 || a.header.Get("Retry-After") != "90" || !strings.Contains(a.body, "Try again in 90 seconds") {
		t.Errorf("%d %v %s", a.status, a.header, a.body)
	}
	if err := c.Break(emulator.BreakRetryAfterDate, 1); err != nil {
		t.Fatal(err)
	}
	if a := backchannel(t, s); a.status != 429 || a.header.Get("Retry-After") != "Sat, 21 Nov 2026 12:01:30 GMT" {
		t.Errorf("%d %v", a.status, a.header)
	}
	begin(t, s, "login_hint", "urn:msisdn:4790000002") // another person
	c.Advance(90 * time.Second)
	begin(t, s)
	if err := c.MerchantDeny(aase, ""); err != nil {
		t.Fatal(err)
	}
	begin(t, s)
	if a := backchannel(t, s); a.status != 429 {
		t.Errorf("%d", a.status)
	}
	if err := c.MerchantLimit(0); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		begin(t, s)
	}
	if c.MerchantLimit(-1) == nil {
		t.Error("a negative limit is taken")
	}
}

// exchange sends the code of a login that ends in a browser.
func exchange(t *testing.T, s *emulator.Server, link string, set ...string) answer {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	return shopPost(t, s.Issuer+"oauth2/token", url.Values{
		"grant_type": {"urn:vipps:params:grant-type:ciba-redirect"}, "code": {u.Query().Get("code")},
	}, set...)
}

// approved starts a login that ends in a browser, approves it, and gives its id and the link.
func approved(t *testing.T, s *emulator.Server) (id, link string) {
	t.Helper()
	id = begin(t, s, "requested_flow", "login_to_webpage", "redirect_uri", landing)
	if err := s.Control().MerchantApprove(id); err != nil {
		t.Fatal(err)
	}
	return id, login(t, s, id).Link
}

func TestMerchantLoginToWebpage(t *testing.T) {
	t.Parallel()
	s := startMerchant(t, nil)
	id, link := approved(t, s)
	if m := login(t, s, id); m.Flow != "browser" || !strings.HasPrefix(link, landing+"?code=") || strings.ContainsAny(link, "&#") {
		t.Fatalf("%+v", m)
	}
	wantError(t, poll(t, s, id), "invalid_grant") // nobody polls here
	if m := login(t, s, id); m.Polls != 1 || m.State != "approved" {
		t.Errorf("%+v", m)
	}
	wantError(t, exchange(t, s, link, "grant_type", "authorization_code", "redirect_uri", landing), "invalid_grant")
	wantError(t, exchange(t, s, link, "redirect_uri", landing), "invalid_request")
	wantError(t, exchange(t, s, link, "auth_req_id", "another"), "invalid_grant")
	wantError(t, exchange(t, s, link, "code", "-"), "invalid_request")
	a := exchange(t, s, link, "auth_req_id", id)
	tok := a.json(t)
	access, _ := tok["access_token"].(string)
	if a.status != 200 || len(tok) != 5 || tok["token_type"] != "bearer" || tok["expires_in"] != 3599.0 || tok["scope"] != "openid name" || strings.HasPrefix(access, "ciba.") {
		t.Fatalf("%d %s", a.status, a.body)
	}
	idToken := tok["id_token"].(string)
	c := claims(t, idToken)
	if len(c) != 7 || c["auth_req_id"] != id || c["aud"] != "shop" || header(t, idToken)["alg"] != "ES256" || !verifies(t, s, idToken) || c["exp"].(float64)-c["iat"].(float64) != 600 {
		t.Errorf("%v", c)
	}
	if u := userinfo(t, s, access); u.json(t)["sub"] != c["sub"] {
		t.Errorf("%s", u.body)
	}
	if m := login(t, s, id); m.State != "done" || m.Link != "" {
		t.Errorf("%+v", m)
	}
	wantError(t, exchange(t, s, link), "invalid_grant")
	if u := userinfo(t, s, access); u.status != 401 {
		t.Errorf("after a second use of the code: %d", u.status)
	}

	_, link = approved(t, s)
	s.Control().Advance(121 * time.Second)
	wantError(t, exchange(t, s, link), "invalid_grant")
}

func TestMerchantAuto(t *testing.T) {
	t.Parallel()
	s := startMerchant(t, nil)
	c := s.Control()
	auto := func(phone string, after time.Duration, code string) {
		t.Helper()
		if err := c.MerchantAuto(phone, after, code); err != nil {
			t.Fatal(err)
		}
	}
	auto(aase, 0, "")
	if a := poll(t, s, begin(t, s)); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	auto("", 0, "access_denied")
	wantError(t, poll(t, s, begin(t, s, "login_hint", "urn:msisdn:4790000002")), "access_denied")
	if a := poll(t, s, begin(t, s)); a.status != 200 {
		t.Errorf("her own answer doesn't come before everybody's: %d %s", a.status, a.body)
	}
	b := newBrowser(t, s)
	for button, want := range map[string]string{`{"after":"5s"}`: "approve after 5s", `{"after":"5s","code":"access_denied"}`: "access_denied after 5s", `{"after":"-1s"}`: "by hand"} {
		p := b.submit(b.get("/_emulator/"), "merchant-auto", "json", button)
		if !strings.Contains(p.body, `aria-pressed="true">`+want+`</button>`) {
			t.Errorf("%s: the page doesn't say %q", button, want)
		}
	}
	auto("", -1, "")
	auto(aase, 2*time.Second, "")
	id := begin(t, s)
	if m := login(t, s, id); m.State != "waiting" {
		t.Errorf("%+v", m)
	}
	for deadline := time.Now().Add(30 * time.Second); login(t, s, id).State == "waiting" && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	if m := login(t, s, id); m.State != "approved" {
		t.Errorf("%+v", m)
	}
	auto(aase, -1, "")
	wantError(t, pollAfter(t, s, begin(t, s)), "authorization_pending")
	if c.MerchantAuto("4799999999", 0, "") == nil || c.MerchantAuto("", 2*time.Hour, "") == nil || c.MerchantAuto("", 0, "No!") == nil {
		t.Error("what can't be must be refused")
	}
}

func TestMerchantBreaks(t *testing.T) {
	t.Parallel()
	const camel, long = "authReqId", "urn:openid:params:jwt:claim:auth_req_id"
	type check func(ack, tok, idToken map[string]any) bool
	lacks := func(name string) check {
		return func(ack, _, _ map[string]any) bool { _, ok := ack[name]; return !ok && len(ack) == 2 }
	}
	ends := map[string]check{ // of a login that ends in a browser
		emulator.BreakNoAuthReqID: lacks("auth_req_id"), emulator.BreakNoExpiresIn: lacks("expires_in"), emulator.BreakNoInterval: lacks("interval"),
		emulator.BreakAuthReqIDCamel: func(ack, _, id map[string]any) bool {
			return id[camel] == ack["auth_req_id"] && id["auth_req_id"] == nil
		},
		emulator.BreakAuthReqIDClaim: func(ack, _, id map[string]any) bool {
			return id[long] == ack["auth_req_id"] && id["auth_req_id"] == nil
		},
		emulator.BreakAuthReqIDTwo: func(ack, _, id map[string]any) bool {
			return id["auth_req_id"] == ack["auth_req_id"] && id[camel] != nil
		},
		emulator.BreakWrongAuthReqID:   func(ack, _, id map[string]any) bool { return id["auth_req_id"] == ack["auth_req_id"].(string)+"1" },
		emulator.BreakMissingAuthReqID: func(_, _, id map[string]any) bool { return id["auth_req_id"] == nil && id["sub"] != nil },
		emulator.BreakAudArray:         func(_, _, id map[string]any) bool { a, ok := id["aud"].([]any); return ok && a[0] == "shop" },
		emulator.BreakRS256:            func(_, tok, _ map[string]any) bool { return header(t, tok["id_token"].(string))["alg"] == "RS256" },
		emulator.BreakMerchantNonce:    func(_, _, id map[string]any) bool { return id["nonce"] == nonce },
		// these are of the browser flow, and count here too
		emulator.BreakWrongIss: func(_, _, id map[string]any) bool { return strings.HasSuffix(id["iss"].(string), "/1") },
		emulator.BreakAlgNone:  func(_, tok, _ map[string]any) bool { return header(t, tok["id_token"].(string))["alg"] == "none" },
	}
	polled := map[string]check{
		emulator.BreakMerchantAuthReqID: func(ack, _, id map[string]any) bool { return id["auth_req_id"] == ack["auth_req_id"] },
	}
	run := func(s *emulator.Server, browser bool) (ack, tok, idToken map[string]any) {
		set := []string{"nonce", nonce}
		if browser {
			set = append(set, "requested_flow", "login_to_webpage", "redirect_uri", landing)
		}
		ack = backchannel(t, s, set...).json(t)
		if err := s.Control().MerchantApprove(aase); err != nil {
			t.Fatal(err)
		}
		logins := s.Control().MerchantLogins()
		last := logins[len(logins)-1]
		a := poll(t, s, last.AuthReqID)
		if browser {
			a = exchange(t, s, last.Link)
		}
		tok = a.json(t)
		return ack, tok, claims(t, tok["id_token"].(string))
	}
	tested := map[string]bool{ // elsewhere
		emulator.BreakRetryAfterDate: true, emulator.BreakErrorCode: true, emulator.BreakConsentsLeadingSpace: true,
	}
	for i, checks := range []map[string]check{ends, polled} {
		for kind, ok := range checks {
			tested[kind] = true
			t.Run(kind, func(t *testing.T) {
				t.Parallel()
				s := startMerchant(t, nil)
				if ok(run(s, i == 0)) {
					t.Fatal("the check passes without the fault")
				}
				if err := s.Control().Break(kind, 1); err != nil {
					t.Fatal(err)
				}
				if ack, tok, id := run(s, i == 0); !ok(ack, tok, id) {
					t.Errorf("%v %v %v", ack, tok, id)
				}
				if ok(run(s, i == 0)) {
					t.Error("the fault stays")
				}
			})
		}
	}
	for _, b := range emulator.Breaks() {
		if b.Where == "merchant" && !tested[b.Kind] {
			t.Errorf("%s has no test", b.Kind)
		}
	}
}

func TestMerchantErrorCode(t *testing.T) {
	t.Parallel()
	s := startMerchant(t, nil)
	id := begin(t, s)
	if err := s.Control().Break(emulator.BreakErrorCode, 1); err != nil {
		t.Fatal(err)
	}
	wantError(t, pollAfter(t, s, id), "authorization_pending")
	if err := s.Control().MerchantDeny(id, "old_app"); err != nil {
		t.Fatal(err)
	}
	if a := poll(t, s, id); a.status != 400 || a.body != `{"error_code":"old_app","error_description":"The app is too old for this login"}` {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// Ten thousand may wait: neither a start nor a poll looks at the others, and the table has an end.
func TestManyMerchantLogins(t *testing.T) {
	t.Parallel()
	e, err := emulator.New(emulator.Config{
		BaseURL: "http://127.0.0.1:4192", RSABits: 1024, Now: newClock().Now,
		Clients: []emulator.Client{{ID: "shop", Secret: "secret"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Control().MerchantLimit(0); err != nil {
		t.Fatal(err)
	}
	post := func(path, body string) map[string]any {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, e.BaseURL()+path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Authorization", basic("shop", "secret"))
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		var m map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil {
			t.Fatalf("%s: %v", w.Body, err)
		}
		return m
	}
	const many = 20000
	ids := make([]string, many+1)
	for i := range ids {
		phone := "47" + strconv.Itoa(90000001+i%4)
		ids[i], _ = post("/vipps-login-ciba/api/backchannel/authentication", "scope=openid&login_hint=urn:msisdn:"+phone)["auth_req_id"].(string)
	}
	const token = "/access-management-1.0/access/oauth2/token"
	pollOne := func(i int) any {
		return post(token, "grant_type=urn%3Aopenid%3Aparams%3Agrant-type%3Aciba&auth_req_id="+ids[i])["error"]
	}
	e.Control().Advance(5 * time.Second)
	began := time.Now()
	for i := 1; i <= 2000; i++ {
		if got := pollOne(i * 10); got != "authorization_pending" {
			t.Fatalf("login %d: %v", i*10, got)
		}
	}
	if took := time.Since(began); took > 10*time.Second { // far from what it takes, and near what looking at the others would
		t.Errorf("2000 polls took %s", took)
	}
	if got := pollOne(0); got != "invalid_grant" {
		t.Errorf("the oldest is still there: %v", got)
	}
	if n := len(e.Control().MerchantLogins()); n != many {
		t.Errorf("%d logins", n)
	}
}

// An approval in the app is told to the client's webhooks; what ends in a browser, and a denial, aren't.
func TestMerchantApprovalPings(t *testing.T) {
	t.Parallel()
	s := startHooks(t)
	if err := s.Control().AddRedirectURI("shop", landing); err != nil {
		t.Fatal(err)
	}
	rc := newReceiver(t)
	register(t, s, rc.URL+"/hook")
	denied := begin(t, s)
	if err := s.Control().MerchantDeny(denied, ""); err != nil {
		t.Fatal(err)
	}
	approved(t, s)
	id := begin(t, s)
	if err := s.Control().MerchantApprove(id); err != nil {
		t.Fatal(err)
	}
	if a := rc.until(t, 1); len(a) != 1 || a[0].body != `{"auth_req_id":"`+id+`"}` {
		t.Errorf("%+v", a)
	}
}

// A start can be refused as the documents say of old apps and of people without an account, in both spellings of the member.
func TestMerchantRefuse(t *testing.T) {
	t.Parallel()
	s := startMerchant(t, nil)
	c := s.Control()
	for _, code := range []string{"old_app", "invalid_user"} {
		if err := c.MerchantRefuse(aase, code); err != nil {
			t.Fatal(err)
		}
		wantError(t, backchannel(t, s), code)
	}
	if err := c.Break(emulator.BreakErrorCode, 1); err != nil {
		t.Fatal(err)
	}
	if a := backchannel(t, s); a.status != 400 || a.json(t)["error_code"] != "invalid_user" || a.json(t)["error"] != nil {
		t.Errorf("%d %s", a.status, a.body)
	}
	begin(t, s, "login_hint", "urn:msisdn:4790000002")
	if err := c.MerchantRefuse(aase, ""); err != nil {
		t.Fatal(err)
	}
	begin(t, s)
	if c.MerchantRefuse("4799999999", "old_app") == nil || c.MerchantRefuse(aase, "No!") == nil {
		t.Error("what can't be must be refused")
	}
}

// Ten thousand people may be known, whichever way they are named.
func TestManyPeople(t *testing.T) {
	t.Parallel()
	s := startMerchant(t, nil)
	c := s.Control()
	for i := range 10000 {
		if err := c.AddPerson(emulator.Person{ID: "p" + strconv.Itoa(i), Phone: "47" + strconv.Itoa(41000000+i), Name: "Person " + strconv.Itoa(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.ChangePhone("4741009999", "4742000000"); err != nil {
		t.Fatal(err)
	}
	wantError(t, backchannel(t, s, "login_hint", "urn:msisdn:4741009999"), "unknown_user_id")
	token, err := c.CustomerToken("4742000000")
	if err != nil {
		t.Fatal(err)
	}
	begin(t, s, "login_hint", "urn:customer-token:"+token)
	begin(t, s, "login_hint", "urn:msisdn:4742000000")
	if p := newBrowser(t, s).get("/_emulator/phone?phone=4742000000"); strings.Count(p.body, "<article") != 2 || !strings.Contains(p.body, `<option value="4742000000" selected>Person 9999`) {
		t.Errorf("%s", p.texts)
	}
}
