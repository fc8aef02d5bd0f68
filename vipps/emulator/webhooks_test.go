package emulator_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

const subscriptionKey = "0f14ebcab0ec4b29ae0cb90d91b4a84a"

// arrival is a request that a receiver got.
type arrival struct {
	path, host, body string
	header           http.Header
}

// receiver is a server that answers with the statuses given, the last one for ever.
type receiver struct {
	*httptest.Server

	mu       sync.Mutex
	statuses []int
	got      []arrival
	hold     time.Duration
}

func newReceiver(t *testing.T, statuses ...int) *receiver {
	t.Helper()
	rc := &receiver{statuses: statuses}
	rc.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		rc.mu.Lock()
		rc.got = append(rc.got, arrival{r.URL.RequestURI(), r.Host, string(body), r.Header})
		status := http.StatusNoContent
		if len(rc.statuses) > 0 {
			status = rc.statuses[0]
		}
		if len(rc.statuses) > 1 {
			rc.statuses = rc.statuses[1:]
		}
		hold := rc.hold
		rc.mu.Unlock()
		if hold > 0 {
			select {
			case <-time.After(hold):
			case <-r.Context().Done():
			}
		}
		if status == http.StatusFound {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(rc.Close)
	return rc
}

func (rc *receiver) arrivals() []arrival {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	return append([]arrival{}, rc.got...)
}

// until waits for n requests.
func (rc *receiver) until(t *testing.T, n int) []arrival {
	t.Helper()
	waitFor(t, func() bool { return len(rc.arrivals()) >= n })
	return rc.arrivals()
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatal("it didn't happen in 20 seconds")
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// startHooks serves an emulator whose retries are fast.
func startHooks(t *testing.T) *emulator.Server {
	t.Helper()
	return start(t, func(cfg *emulator.Config) {
		cfg.RetryScale = 1000
		cfg.Clients[0].SubscriptionKey = subscriptionKey
		cfg.Clients[0].MSN = "111111"
		cfg.Clients[1].MSN = "222222"
		cfg.Clients = append(cfg.Clients, emulator.Client{ID: "partner", Secret: "partner-secret", MSN: "999999", Partner: true})
	})
}

// apiToken asks the Access Token API for a token of "shop", with changes to the header: name, value, …; "-" leaves one out.
func apiToken(t *testing.T, s *emulator.Server, set ...string) answer {
	t.Helper()
	h := http.Header{
		"client_id": {"shop"}, "client_secret": {"testdzlJbUZaM1lqODlnUUtrUHI="}, "Ocp-Apim-Subscription-Key": {subscriptionKey},
	}
	change(h, set)
	return call(t, http.MethodPost, s.URL+"/accesstoken/get", "", h)
}

func change(h http.Header, set []string) {
	for i := 0; i < len(set); i += 2 {
		if set[i+1] == "-" {
			delete(h, set[i])
		} else {
			h[set[i]] = []string{set[i+1]}
		}
	}
}

// hooks calls the Webhooks API as "shop", with changes as above.
func hooks(t *testing.T, s *emulator.Server, method, path, body string, set ...string) answer {
	t.Helper()
	h := http.Header{"Ocp-Apim-Subscription-Key": {subscriptionKey}, "Content-Type": {"application/json"}}
	change(h, set)
	if _, ok := h["Authorization"]; !ok {
		token, _ := apiToken(t, s).json(t)["access_token"].(string)
		h["Authorization"] = []string{"Bearer " + token}
	}
	return call(t, method, s.URL+"/webhooks/v1/webhooks"+path, body, h)
}

// register makes a registration of "shop" and gives its id and secret.
func register(t *testing.T, s *emulator.Server, url string) (id, secret string) {
	t.Helper()
	a := hooks(t, s, http.MethodPost, "", `{"url":"`+url+`","events":["login.merchant-initiated.ping.v1"]}`)
	if a.status != http.StatusCreated {
		t.Fatalf("registering: %d %s", a.status, a.body)
	}
	m := a.json(t)
	id, _ = m["id"].(string)
	secret, _ = m["secret"].(string)
	return id, secret
}

func TestAccessToken(t *testing.T) {
	t.Parallel()
	s := startHooks(t)
	m := apiToken(t, s).json(t)
	if m["token_type"] != "Bearer" || m["expires_in"] != "3599" || m["access_token"] == "" {
		t.Errorf("answer %v", m)
	}
	for name, set := range map[string][]string{
		"no key":       {"Ocp-Apim-Subscription-Key", "-"},
		"another key":  {"Ocp-Apim-Subscription-Key", "x"},
		"no id":        {"client_id", "-"},
		"another id":   {"client_id", "other"},
		"no secret":    {"client_secret", "-"},
		"wrong secret": {"client_secret", "x"},
	} {
		if a := apiToken(t, s, set...); a.status != http.StatusUnauthorized || strings.Contains(a.body, "access_token") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if a := apiToken(t, s, "client_id", "other", "client_secret", "s:p%c+l =", "Ocp-Apim-Subscription-Key", "any"); a.status != http.StatusOK {
		t.Errorf("a client without a key of its own: %d %s", a.status, a.body)
	}
	if err := s.Control().Break(emulator.BreakAccessTokenNumbers, 1); err != nil {
		t.Fatal(err)
	}
	if got := apiToken(t, s).json(t)["expires_in"]; got != 3599.0 {
		t.Errorf("expires_in %v, want a number", got)
	}
	if got := s.Control().Calls()[emulator.EndpointAccessToken]; got != 9 {
		t.Errorf("%d calls are counted", got)
	}
}

// A token lasts an hour, and not beyond RevokeAPITokens.
func TestAccessTokenEnds(t *testing.T) {
	t.Parallel()
	s := startHooks(t)
	for name, end := range map[string]func(){
		"old":     func() { s.Control().Advance(time.Hour) },
		"revoked": s.Control().RevokeAPITokens,
	} {
		token, _ := apiToken(t, s).json(t)["access_token"].(string)
		if a := hooks(t, s, http.MethodGet, "", "", "Authorization", "Bearer "+token); a.status != http.StatusOK {
			t.Fatalf("a fresh token: %d %s", a.status, a.body)
		}
		end()
		if a := hooks(t, s, http.MethodGet, "", "", "Authorization", "Bearer "+token); a.status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

func TestWebhooksAPI(t *testing.T) {
	t.Parallel()
	s := startHooks(t)
	id, secret := register(t, s, "http://127.0.0.1:1/hook?a=b")
	if len(secret) != 88 {
		t.Errorf("secret of %d characters", len(secret))
	}
	want := map[string]any{"webhooks": []any{map[string]any{
		"id": id, "url": "http://127.0.0.1:1/hook?a=b", "events": []any{emulator.EventPing},
	}}}
	if d := cmp.Diff(want, hooks(t, s, http.MethodGet, "", "").json(t)); d != "" {
		t.Errorf("list (-want +got)\n%s", d)
	}
	other, _ := apiToken(t, s, "client_id", "other", "client_secret", "s:p%c+l =").json(t)["access_token"].(string)
	for name, a := range map[string]answer{
		"another client's list":   hooks(t, s, http.MethodGet, "", "", "Authorization", "Bearer "+other),
		"another client's DELETE": hooks(t, s, http.MethodDelete, "/"+id, "", "Authorization", "Bearer "+other),
	} {
		if strings.Contains(a.body, id) && a.status == http.StatusOK || a.status == http.StatusNoContent {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if a := hooks(t, s, http.MethodDelete, "/"+id, ""); a.status != http.StatusNoContent {
		t.Errorf("deleting: %d %s", a.status, a.body)
	}
	if a := hooks(t, s, http.MethodDelete, "/"+id, ""); a.status != http.StatusNotFound {
		t.Errorf("deleting again: %d %s", a.status, a.body)
	}
	if got := s.Control().Webhooks(); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

func TestWebhooksAPIRefuses(t *testing.T) {
	t.Parallel()
	s := startHooks(t)
	const good = `{"url":"http://127.0.0.1:1/","events":["login.merchant-initiated.ping.v1"]}`
	for name, tc := range map[string]struct {
		body   string
		set    []string
		status int
		names  string // of extraDetails
	}{
		"elsewhere":           {strings.Replace(good, "127.0.0.1", "example.com", 1), nil, 400, "url"},
		"no URL":              {`{"events":["login.merchant-initiated.ping.v1"]}`, nil, 400, "url"},
		"a fragment":          {strings.Replace(good, `1/"`, `1/#x"`, 1), nil, 400, "url"},
		"a user":              {strings.Replace(good, "http://", "http://a:b@", 1), nil, 400, "url"},
		"another scheme":      {strings.Replace(good, "http:", "ftp:", 1), nil, 400, "url"},
		"no events":           {`{"url":"http://127.0.0.1:1/"}`, nil, 400, "events"},
		"an unknown event":    {strings.Replace(good, "ping.v1", "pong.v1", 1), nil, 400, "events"},
		"an event twice":      {strings.Replace(good, `v1"]`, `v1","login.merchant-initiated.ping.v1"]`, 1), nil, 400, "events"},
		"an unknown member":   {strings.Replace(good, `{`, `{"x":1,`, 1), nil, 400, "body"},
		"no JSON":             {`url=x`, nil, 400, "body"},
		"a form":              {good, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, ""},
		"too large":           {`{"url":"` + strings.Repeat("x", 70<<10) + `"}`, nil, 413, ""},
		"no token":            {good, []string{"Authorization", "Bearer x"}, 401, ""},
		"not Bearer":          {good, []string{"Authorization", basic("shop", "x")}, 401, ""},
		"another's MSN":       {good, []string{"Merchant-Serial-Number", "222222"}, 403, ""},
		"no subscription key": {good, []string{"Ocp-Apim-Subscription-Key", "-"}, 401, ""},
	} {
		a := hooks(t, s, http.MethodPost, "", tc.body, tc.set...)
		if a.status != tc.status {
			t.Errorf("%s: %d, want %d: %s", name, a.status, tc.status, a.body)
			continue
		}
		if a.status == http.StatusBadRequest && a.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: Content-Type %q", name, a.header.Get("Content-Type"))
		}
		var p struct {
			Title, Detail, TraceID string
			Status                 int
			ExtraDetails           []struct{ Name, Reason string }
		}
		if err := json.Unmarshal([]byte(a.body), &p); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if tc.names != "" && (len(p.ExtraDetails) != 1 || p.ExtraDetails[0].Name != tc.names || p.Status != tc.status || p.TraceID == "") {
			t.Errorf("%s: %s", name, a.body)
		}
	}
	if a := hooks(t, s, http.MethodPut, "", ""); a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "GET, POST" {
		t.Errorf("PUT: %d %v", a.status, a.header)
	}
}

// Two clients may have one merchant serial number: neither sees the other's registrations.
func TestWebhooksAPISameUnit(t *testing.T) {
	t.Parallel()
	s := start(t, func(cfg *emulator.Config) { cfg.Clients[0].SubscriptionKey = subscriptionKey })
	id, _ := register(t, s, "http://127.0.0.1:1/")
	other, _ := apiToken(t, s, "client_id", "other", "client_secret", "s:p%c+l =").json(t)["access_token"].(string)
	if a := hooks(t, s, http.MethodGet, "", "", "Authorization", "Bearer "+other); a.status != http.StatusOK || strings.Contains(a.body, id) {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// Vipps allows 25 registrations of one event for one sales unit.
func TestWebhooksAPILimit(t *testing.T) {
	t.Parallel()
	s := startHooks(t)
	for range 25 {
		register(t, s, "http://127.0.0.1:1/")
	}
	a := hooks(t, s, http.MethodPost, "", `{"url":"http://127.0.0.1:1/","events":["login.merchant-initiated.ping.v1"]}`)
	if a.status != http.StatusBadRequest || !strings.Contains(a.body, "25") {
		t.Errorf("the 26th: %d %s", a.status, a.body)
	}
}

// expected is the Authorization header of a delivery, computed from its parts as the documents say.
func expected(secret string, a arrival) string {
	sum := sha256.Sum256([]byte(a.body))
	hash := base64.StdEncoding.EncodeToString(sum[:])
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("POST\n" + a.path + "\n" + a.header.Get("X-Ms-Date") + ";" + a.host + ";" + hash))
	return "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=" + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func TestPingIsSigned(t *testing.T) {
	t.Parallel()
	s := startHooks(t)
	rc := newReceiver(t)
	id, secret := register(t, s, rc.URL+"/hook?a=%20b")
	if err := s.Control().Ping("shop", "VYGaaAMRkI6SyAm_uIywhxsN2K0"); err != nil {
		t.Fatal(err)
	}
	a := rc.until(t, 1)[0]
	if a.body != `{"auth_req_id":"VYGaaAMRkI6SyAm_uIywhxsN2K0"}` || a.path != "/hook?a=%20b" || a.host != strings.TrimPrefix(rc.URL, "http://") {
		t.Errorf("arrived %+v", a)
	}
	if got, want := a.header.Get("Authorization"), expected(secret, a); got != want {
		t.Errorf("Authorization\n%s, want\n%s", got, want)
	}
	if got := a.header.Get("X-Ms-Date"); got != "Sat, 21 Nov 2026 12:00:00 GMT" {
		t.Errorf("x-ms-date %q", got)
	}
	waitFor(t, func() bool { return s.Control().Deliveries()[0].State == emulator.DeliveryDelivered })
	d := s.Control().Deliveries()[0]
	if d.To != id || d.Attempts != 1 || d.Status != http.StatusNoContent || d.Event != emulator.EventPing {
		t.Errorf("delivery %+v", d)
	}
	if err := s.Control().Ping("nobody", "x"); err == nil {
		t.Error("a ping of nobody's")
	}
}

// The vector of the public documents.
func TestSignatureVector(t *testing.T) {
	t.Parallel()
	a := arrival{
		path: "/e2cee29b-012e-4f1d-8ef4-e95fd74a7a63", host: "webhook.site",
		body:   `{"some-unique-content":"ee6e441b-cc4a-46f8-895d-a5af79bcc233/hello-world"}`,
		header: http.Header{"X-Ms-Date": {"Thu, 30 Mar 2023 08:38:32 GMT"}},
	}
	const secret = "A0+AeKBRG2KRGvnNwJpQlb6IJFk48CKXCIcrLoHncVJKDILsQSxS6NWCccwWm6r6FhGKhiHTBsG2wo/xU6FY/A=="
	if got := expected(secret, a); !strings.HasSuffix(got, "&Signature=agAiSyogQbDHpeucoNwYz+yAr5nJ+v+zasdkSbqzv+U=") {
		t.Errorf("the test's own signature is wrong: %s", got)
	}
}

// What isn't 2xx is tried again, later events wait behind it, and each attempt is signed anew.
func TestDeliveryRetriesInOrder(t *testing.T) {
	t.Parallel()
	s := startHooks(t)
	rc := newReceiver(t, 500, 404, 302, 200)
	_, secret := register(t, s, rc.URL)
	for _, id := range []string{"first", "second", "third"} {
		if err := s.Control().Ping("shop", id); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, a := range rc.until(t, 6) {
		got = append(got, a.path+" "+a.body)
		if a.header.Get("Authorization") != expected(secret, a) {
			t.Errorf("%s: wrong signature", a.body)
		}
	}
	first := `/ {"auth_req_id":"first"}`
	if d := cmp.Diff([]string{first, first, first, first, `/ {"auth_req_id":"second"}`, `/ {"auth_req_id":"third"}`}, got); d != "" {
		t.Errorf("arrivals (-want +got)\n%s", d)
	}
	waitFor(t, func() bool { return s.Control().Deliveries()[2].State == emulator.DeliveryDelivered })
	if d := s.Control().Deliveries()[0]; d.Attempts != 4 || d.State != emulator.DeliveryDelivered {
		t.Errorf("the first delivery: %+v", d)
	}
}

// Another receiver doesn't wait for one that fails.
func TestDeliveryOtherReceiver(t *testing.T) {
	t.Parallel()
	s := startHooks(t)
	bad, good := newReceiver(t, 500), newReceiver(t)
	register(t, s, bad.URL)
	register(t, s, good.URL)
	if err := s.Control().Ping("shop", "x"); err != nil {
		t.Fatal(err)
	}
	good.until(t, 1)
	bad.until(t, 3)
}

// After a week an event is given up, after two a registration whose receiver never answers is deleted.
func TestDeliveryGivesUp(t *testing.T) {
	t.Parallel()
	s := start(t, func(cfg *emulator.Config) { cfg.RetryScale = 1e8 })
	rc := newReceiver(t, 500)
	token, _ := apiToken(t, s).json(t)["access_token"].(string)
	a := hooks(t, s, http.MethodPost, "", `{"url":"`+rc.URL+`","events":["login.merchant-initiated.ping.v1"]}`, "Authorization", "Bearer "+token)
	if a.status != http.StatusCreated {
		t.Fatal(a.body)
	}
	for range 3 {
		if err := s.Control().Ping("shop", "x"); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, func() bool { return len(s.Control().Webhooks()) == 0 })
	var states []string
	for _, d := range s.Control().Deliveries() {
		states = append(states, d.State)
	}
	if d := cmp.Diff([]string{emulator.DeliveryGivenUp, emulator.DeliveryDropped, emulator.DeliveryDropped}, states); d != "" {
		t.Errorf("states (-want +got)\n%s", d)
	}
	// Four times 2 s, 60 s, 120 s, then 22 hours' worth up to attempt 29, then a day each.
	if n := s.Control().Deliveries()[0].Attempts; n != 35 {
		t.Errorf("given up after %d attempts", n)
	}
}

// A receiver has ten seconds, and with a fast schedule one.
func TestDeliverySlowReceiver(t *testing.T) {
	t.Parallel()
	s := startHooks(t)
	rc := newReceiver(t)
	rc.hold = time.Hour
	register(t, s, rc.URL)
	if err := s.Control().Ping("shop", "x"); err != nil {
		t.Fatal(err)
	}
	rc.until(t, 2)
	if d := s.Control().Deliveries()[0]; d.State != emulator.DeliveryWaiting || d.Status != 0 || d.Attempts != 1 {
		t.Errorf("delivery %+v", d)
	}
}

// With Vipps' own schedule an emulator still ends at once, and a registration's end ends what waits for it.
func TestDeliveryEnds(t *testing.T) {
	t.Parallel()
	s := start(t, func(cfg *emulator.Config) { cfg.Clients[0].SubscriptionKey = subscriptionKey })
	rc := newReceiver(t, 500)
	id, _ := register(t, s, rc.URL)
	ping := func() {
		t.Helper()
		if err := s.Control().Ping("shop", "x"); err != nil {
			t.Fatal(err)
		}
	}
	ping()
	rc.until(t, 1)
	waitFor(t, func() bool { return s.Control().Deliveries()[0].Wait == 2*time.Second })
	s.Control().DeliverNow()
	rc.until(t, 2)
	if a := hooks(t, s, http.MethodDelete, "/"+id, ""); a.status != http.StatusNoContent {
		t.Fatal(a.body)
	}
	if d := s.Control().Deliveries()[0]; d.State != emulator.DeliveryDropped {
		t.Errorf("delivery %+v", d)
	}
	register(t, s, rc.URL)
	ping()
	rc.until(t, 3)
	s.Control().Reset()
	if got := s.Control().Webhooks(); len(got) != 0 {
		t.Errorf("after Reset: %v", got)
	}
	register(t, s, rc.URL)
	ping()
	rc.until(t, 4)
	waitFor(t, func() bool {
		s.Control().DeliverNow()
		return s.Control().Deliveries()[0].Wait >= time.Minute
	})
	began := time.Now()
	s.Emulator.Close()
	if took := time.Since(began); took > 30*time.Second { // the next attempt would be in a minute
		t.Errorf("Close took %s", took)
	}
	ping()
	if n := len(s.Control().Deliveries()); n != 1 {
		t.Errorf("%d deliveries after Close", n)
	}
}

// Each fault changes what it says, and nothing that a right signature covers otherwise.
func TestWebhookBreaks(t *testing.T) {
	t.Parallel()
	s := startHooks(t)
	valid := map[string]bool{
		emulator.BreakWebhookOldDate: true, emulator.BreakWebhookFutureDate: true, emulator.BreakWebhookISODate: true,
		emulator.BreakWebhookForeignID: true, emulator.BreakWebhookNoJSON: true, emulator.BreakWebhookTwice: true, emulator.BreakWebhookFrozen: true,
	}
	for _, b := range emulator.Breaks() {
		if b.Where != "webhook" {
			continue
		}
		t.Run(b.Kind, func(t *testing.T) {
			rc := newReceiver(t)
			id, secret := register(t, s, rc.URL+"/hook")
			if err := s.Control().Break(b.Kind, 1); err != nil {
				t.Fatal(err)
			}
			if err := s.Control().Ping("shop", "x"); err != nil {
				t.Fatal(err)
			}
			a := rc.until(t, 1)[0]
			if got := a.header.Get("Authorization") == expected(secret, a); got != valid[b.Kind] {
				t.Errorf("rightly signed: %v, want %v: %+v", got, valid[b.Kind], a)
			}
			if plain := a.body == `{"auth_req_id":"x"}`; plain == (b.Kind == emulator.BreakWebhookChangedBody || b.Kind == emulator.BreakWebhookForeignID || b.Kind == emulator.BreakWebhookNoJSON) {
				t.Errorf("body %q", a.body)
			}
			if b.Kind == emulator.BreakWebhookTwice {
				if d := cmp.Diff(a.header, rc.until(t, 2)[1].header); d != "" {
					t.Errorf("the second is another (-first +second)\n%s", d)
				}
			}
			hooks(t, s, http.MethodDelete, "/"+id, "")
		})
	}
}

// A frozen delivery repeats its signature, days later too.
func TestWebhookFrozen(t *testing.T) {
	t.Parallel()
	s := startHooks(t)
	rc := newReceiver(t, 500, 200)
	register(t, s, rc.URL)
	if err := s.Control().Break(emulator.BreakWebhookFrozen, 1); err != nil {
		t.Fatal(err)
	}
	if err := s.Control().Ping("shop", "x"); err != nil {
		t.Fatal(err)
	}
	rc.until(t, 1)
	s.Control().Advance(24 * time.Hour)
	got := rc.until(t, 2)
	if a, b := got[0].header.Get("X-Ms-Date"), got[1].header.Get("X-Ms-Date"); a != b {
		t.Errorf("dates %s and %s", a, b)
	}
}

// A partner registers for one of its units or for all of them.
func TestWebhooksOfPartner(t *testing.T) {
	t.Parallel()
	s := startHooks(t)
	token, _ := apiToken(t, s, "client_id", "partner", "client_secret", "partner-secret").json(t)["access_token"].(string)
	rc := newReceiver(t)
	body := func(path string) string {
		return `{"url":"` + rc.URL + path + `","events":["login.merchant-initiated.ping.v1"]}`
	}
	for path, set := range map[string][]string{
		"/all": nil, "/shop": {"Merchant-Serial-Number", "111111"}, "/other": {"Merchant-Serial-Number", "222222"},
	} {
		if a := hooks(t, s, http.MethodPost, "", body(path), append(set, "Authorization", "Bearer "+token)...); a.status != http.StatusCreated {
			t.Fatalf("%s: %d %s", path, a.status, a.body)
		}
	}
	if a := hooks(t, s, http.MethodPost, "", body("/x"), "Authorization", "Bearer "+token, "Merchant-Serial-Number", "333333"); a.status != http.StatusForbidden {
		t.Errorf("a unit that isn't there: %d", a.status)
	}
	if err := s.Control().Ping("shop", "x"); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, a := range rc.until(t, 2) {
		seen[a.path] = true
	}
	if d := cmp.Diff(map[string]bool{"/all": true, "/shop": true}, seen); d != "" {
		t.Errorf("pinged (-want +got)\n%s", d)
	}
}

// Whatever the body of a registration: 201 or a problem, and never an URL off this machine.
func FuzzWebhookRegistration(f *testing.F) {
	for _, seed := range []string{
		`{"url":"http://127.0.0.1:1/","events":["login.merchant-initiated.ping.v1"]}`, `{}`, ``, `[]`, `{"url":"http://localhost@evil.example/","events":[]}`,
		`{"url":"http://127.0.0.1.evil.example","events":["x"]}`, `{"URL":"http://[::1]:80","url":"http://evil.example","events":[1]}`, `{"url":null}`, "\xff",
	} {
		f.Add(seed)
	}
	e := fuzzed(f)
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, e.BaseURL()+"/accesstoken/get", nil)
	r.Header = http.Header{"Client_id": {"shop"}, "Client_secret": {"secret"}, "Ocp-Apim-Subscription-Key": {"x"}}
	e.ServeHTTP(w, r)
	var token struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &token); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, e.BaseURL()+"/webhooks/v1/webhooks", strings.NewReader(body))
		r.Header = http.Header{
			"Authorization": {"Bearer " + token.AccessToken}, "Ocp-Apim-Subscription-Key": {"x"}, "Content-Type": {"application/json"},
		}
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		if w.Code != 201 && w.Code != 400 && w.Code != 413 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		for _, h := range e.Control().Webhooks() {
			if u := strings.ToLower(h.URL); !strings.Contains(u, "localhost") && !strings.Contains(u, "127.") && !strings.Contains(u, "::") {
				t.Errorf("registered %q", h.URL)
			}
		}
		e.Control().Reset()
		w = httptest.NewRecorder()
		again := httptest.NewRequestWithContext(t.Context(), http.MethodPost, e.BaseURL()+"/accesstoken/get", nil)
		again.Header = http.Header{"Client_id": {"shop"}, "Client_secret": {"secret"}, "Ocp-Apim-Subscription-Key": {"x"}}
		e.ServeHTTP(w, again)
		if err := json.Unmarshal(w.Body.Bytes(), &token); err != nil {
			t.Fatal(err)
		}
	})
}

// Deliveries go to this machine whatever a name would be looked up as, and over TLS only to whom RootCAs know.
func TestDeliveryStaysHere(t *testing.T) {
	t.Parallel()
	tlsServer := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(tlsServer.Close)
	roots := x509.NewCertPool()
	roots.AddCert(tlsServer.Certificate())
	for name, pool := range map[string]*x509.CertPool{"known": roots, "unknown": x509.NewCertPool()} {
		s := start(t, func(cfg *emulator.Config) {
			cfg.RootCAs, cfg.Clients[0].SubscriptionKey = pool, subscriptionKey
		})
		register(t, s, tlsServer.URL)
		if err := s.Control().Ping("shop", "x"); err != nil {
			t.Fatal(err)
		}
		waitFor(t, func() bool { return s.Control().Deliveries()[0].Attempts == 1 })
		if got := s.Control().Deliveries()[0].State == emulator.DeliveryDelivered; got != (name == "known") {
			t.Errorf("%s: delivered: %v", name, got)
		}
	}
	s := startHooks(t)
	rc := newReceiver(t)
	_, port, _ := strings.Cut(strings.TrimPrefix(rc.URL, "http://"), ":")
	_, secret := register(t, s, "http://Hooks.localhost:"+port+"/x")
	if err := s.Control().Ping("shop", "x"); err != nil {
		t.Fatal(err)
	}
	if a := rc.until(t, 1)[0]; a.host != "hooks.localhost:"+port || a.header.Get("Authorization") != expected(secret, a) {
		t.Errorf("arrived %+v", a)
	}
}

// The control page lists what was sent, and the state says how.
func TestDeliveriesOnThePage(t *testing.T) {
	t.Parallel()
	s := startHooks(t)
	rc := newReceiver(t, 500)
	register(t, s, rc.URL+"/hook")
	a := call(t, http.MethodPost, s.URL+"/_emulator/ping", `{"client_id":"shop","auth_req_id":"x"}`, http.Header{"Content-Type": {"application/json"}})
	if a.status != http.StatusOK {
		t.Fatal(a.body)
	}
	rc.until(t, 1)
	waitFor(t, func() bool { return s.Control().Deliveries()[0].Attempts > 0 })
	p := newBrowser(t, s).get("/_emulator/")
	if !strings.Contains(p.texts, rc.URL+"/hook") || !strings.Contains(p.texts, "waiting, attempt") {
		t.Errorf("page: %s", p.texts)
	}
	var got struct {
		Webhooks   []emulator.WebhookInfo
		Deliveries []emulator.Delivery
	}
	body := call(t, http.MethodGet, s.URL+"/_emulator/state", "", nil).body
	if err := json.Unmarshal([]byte(body), &got); err != nil || len(got.Webhooks) != 1 || len(got.Deliveries) != 1 || got.Deliveries[0].Status != 500 {
		t.Errorf("state %+v (%v)", got, err)
	}
	for _, verb := range []string{"deliver-now", "revoke-api-tokens"} {
		if a := call(t, http.MethodPost, s.URL+"/_emulator/"+verb, "{}", http.Header{"Content-Type": {"application/json"}}); a.status != http.StatusOK {
			t.Errorf("%s: %s", verb, a.body)
		}
	}
}

// Secrets come in two looks.
func TestWebhookUUIDSecret(t *testing.T) {
	t.Parallel()
	s := startHooks(t)
	if err := s.Control().Break(emulator.BreakWebhookUUIDSecret, 1); err != nil {
		t.Fatal(err)
	}
	rc := newReceiver(t)
	_, secret := register(t, s, rc.URL)
	if err := s.Control().Ping("shop", "x"); err != nil {
		t.Fatal(err)
	}
	if a := rc.until(t, 1)[0]; len(secret) != 36 || a.header.Get("Authorization") != expected(secret, a) {
		t.Errorf("secret of %d characters, %+v", len(secret), a)
	}
}

// Ten thousand logins may be approved at once: their pings go one after the other over one connection.
func TestManyPings(t *testing.T) {
	t.Parallel()
	s := startHooks(t)
	var connections, pings atomic.Int64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { pings.Add(1) }))
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	register(t, s, srv.URL)
	const many = 500
	for range many {
		if err := s.Control().Ping("shop", "VYGaaAMRkI6SyAm_uIywhxsN2K0"); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, func() bool { return pings.Load() >= many })
	if n := connections.Load(); n > 5 {
		t.Errorf("%d connections", n)
	}
}
