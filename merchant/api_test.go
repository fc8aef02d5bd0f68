package merchant_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/merchant"
)

// A till starts a login, waits for the person, and gets who it is.
func TestAPILogin(t *testing.T) {
	t.Parallel()
	lab := newAPILab(t)
	started := lab.call("POST", "logins", tillToken, `{"phone":"+47 90 00 00 01","scopes":"openid name","expires_in":300}`)
	id := started.text(t, "id")
	if started.Status != http.StatusCreated || started.Header.Get("Location") != "/_vipps/merchant/logins/"+id || started.text(t, "state") != "pending" || started.text(t, "flow") != "app" {
		t.Fatalf("%d %s %s", started.Status, started.Header, started.Body)
	}
	pushed := lab.emu.Control().MerchantLogins()
	if len(pushed) != 1 || pushed[0].Code != started.text(t, "code") || pushed[0].Phone != aase {
		t.Fatalf("the phone shows %+v, the till %s", pushed, started.Body)
	}
	created, _ := time.Parse(time.RFC3339, started.text(t, "created_at"))
	expires, _ := time.Parse(time.RFC3339, started.text(t, "expires_at"))
	if expires.Sub(created) != 300*time.Second {
		t.Errorf("it lasts %s", expires.Sub(created))
	}

	answers := make(chan *reply, 1)
	go func() { answers <- lab.call("GET", "logins/"+id+"?wait=20", tillToken, "") }()
	until(t, "the wait", func() bool { return lab.api.OpenStreams() == 1 })
	lab.approve(aase)
	got := <-answers
	result, _ := got.at(t, "result").(map[string]any)
	claims, _ := result["claims"].(map[string]any)
	if got.Status != http.StatusOK || got.text(t, "state") != "approved" || claims["name"] != "Åse Ødegård" || result["sub"] == "" || result["sub"] != claims["sub"] {
		t.Fatalf("%d %s", got.Status, got.Body)
	}
	if claims["iss"] != nil || claims["aud"] != nil || claims["nonce"] != nil {
		t.Errorf("claims of the protocol are among those of the person: %v", claims)
	}
	if after := lab.call("GET", "logins/"+id+"?wait=5", tillToken, ""); after.text(t, "state") != "delivered" || after.at(t, "result") != nil {
		t.Errorf("later: %s", after.Body)
	}
}

// The other ends, and a question.
func TestAPIEnds(t *testing.T) {
	t.Parallel()
	lab := newAPILab(t)
	id := lab.start(tillToken, aase)
	lab.deny(aase)
	if got := lab.call("GET", "logins/"+id+"?wait=20", tillToken, ""); got.text(t, "state") != "declined" {
		t.Errorf("declined: %s", got.Body)
	}
	id = lab.start(tillToken, aase)
	if got := lab.call("DELETE", "logins/"+id, tillToken, ""); got.Status != http.StatusNoContent || got.Body != "" {
		t.Errorf("cancel: %d %s", got.Status, got.Body)
	}
	if got := lab.call("GET", "logins/"+id+"?wait=20", tillToken, ""); got.text(t, "state") != "canceled" {
		t.Errorf("canceled: %s", got.Body)
	}
	began := time.Now()
	if got := lab.call("GET", "logins/"+lab.start(tillToken, aase)+"?wait=1", tillToken, ""); got.text(t, "state") != "pending" || time.Since(began) < time.Second {
		t.Errorf("after %s: %s", time.Since(began), got.Body)
	}
	for phone, want := range map[string]bool{aase: true, "4790999999": false} {
		if got := lab.call("POST", "user-exists", tillToken, `{"phone":"`+phone+`"}`); got.Status != http.StatusOK || got.at(t, "exists") != want {
			t.Errorf("%s exists: %d %s, want %t", phone, got.Status, got.Body, want)
		}
	}
	if err := lab.emu.Control().FailNext("backchannel", 1, http.StatusServiceUnavailable, ""); err != nil {
		t.Fatal(err)
	}
	if got := lab.call("POST", "logins", tillToken, `{"phone":"`+per+`"}`); got.Status != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
		t.Errorf("away: %d %v %s", got.Status, got.Header, got.Body)
	}
}

// Whoever has no token of a caller starts nothing, learns nothing, and isn't told what was wrong.
func TestSec_A155_StartNeedsACaller(t *testing.T) {
	t.Parallel()
	lab := newAPILab(t, func(_ *merchant.Config, api *merchant.APIConfig, _ *httptest.Server) {
		peer := 0
		api.Peer = func(*http.Request) string { peer++; return fmt.Sprint(peer) } // how often one may try is another test
	})
	id := lab.start(tillToken, aase)
	before := lab.emu.Control().Calls()["backchannel"]
	wrong := strings.Replace(tillToken, "a", "b", 1)
	var first *reply
	for name, set := range map[string]func(r *http.Request){
		"none":                    func(*http.Request) {},
		"wrong":                   func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+wrong) },
		"its own hash":            func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+merchant.HashToken(tillToken)) },
		"cut":                     func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+tillToken[:len(tillToken)-1]) },
		"longer":                  func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+tillToken+"x") },
		"two of them, right last": func(r *http.Request) { r.Header["Authorization"] = []string{"Bearer " + wrong, "Bearer " + tillToken} },
		"two of them, both right": func(r *http.Request) {
			r.Header["Authorization"] = []string{"Bearer " + tillToken, "Bearer " + tillToken}
		},
		"in a list":            func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+wrong+", Bearer "+tillToken) },
		"no scheme":            func(r *http.Request) { r.Header.Set("Authorization", tillToken) },
		"Basic":                func(r *http.Request) { r.SetBasicAuth("till", tillToken) },
		"Basic with a token":   func(r *http.Request) { r.Header.Set("Authorization", "Basic "+tillToken) },
		"in the query":         func(r *http.Request) { r.URL.RawQuery = "access_token=" + tillToken },
		"in a cookie":          func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "Authorization", Value: "Bearer " + tillToken}) },
		"in another header":    func(r *http.Request) { r.Header.Set("X-Api-Key", tillToken) },
		"in a proxy's header":  func(r *http.Request) { r.Header.Set("Proxy-Authorization", "Bearer "+tillToken) },
		"a certificate's name": func(r *http.Request) { r.Header.Set("X-Client-Cert-Cn", "till.example.com") },
		"the caller's name":    func(r *http.Request) { r.Header.Set("Authorization", "Bearer till") },
		"much":                 func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+strings.Repeat("x", 20_000)) },
		"empty":                func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") },
	} {
		for _, ask := range [][3]string{
			{"POST", "logins", `{"phone":"` + per + `"}`},
			{"POST", "user-exists", `{"phone":"` + per + `"}`},
			{"GET", "logins/" + id},
			{"GET", "logins/" + id + "/events"},
			{"DELETE", "logins/" + id},
			{"GET", "logins"},
			{"GET", "nothing"},
			{"OPTIONS", "logins"},
		} {
			r := lab.request(ask[0], ask[1], "", ask[2])
			set(r)
			got := lab.do(r)
			got.Header.Del("Date")
			if got.Status != http.StatusUnauthorized || !strings.HasPrefix(got.Header.Get("Www-Authenticate"), "Bearer") {
				t.Errorf("%s, %s %s: %d %s", name, ask[0], ask[1], got.Status, got.Body)
			}
			if first == nil {
				first = got
			}
			if diff := cmp.Diff(first, got); diff != "" {
				t.Errorf("%s, %s %s: the answer differs: %s", name, ask[0], ask[1], diff)
			}
		}
	}
	if after := lab.emu.Control().Calls()["backchannel"]; after != before {
		t.Errorf("%d requests went to the provider", after-before)
	}
	if got := lab.call("GET", "logins/"+id, "", "", "Authorization", "bEARER "+tillToken); got.text(t, "state") != "pending" {
		t.Errorf("the scheme in another case: %d %s", got.Status, got.Body)
	}
	for _, entry := range lab.logged.All() {
		if strings.Contains(entry.Message+fmt.Sprint(entry.ContextMap()), "token-0123") {
			t.Errorf("the log has a token: %v", entry)
		}
	}
}

// A token that is too short to be random is nobody's, also when its hash is in the settings.
func TestSec_A155_ShortTokens(t *testing.T) {
	t.Parallel()
	const short = "0123456789012345678901234567890" // 31
	lab := newAPILab(t, func(_ *merchant.Config, api *merchant.APIConfig, _ *httptest.Server) {
		api.Callers = append(api.Callers, "short="+merchant.HashToken(short), "none="+merchant.HashToken(""), "fits="+merchant.HashToken(short+"1"))
	})
	for token, want := range map[string]int{short: http.StatusUnauthorized, "": http.StatusUnauthorized, short + "1": http.StatusNotFound} {
		if got := lab.call("GET", "logins/x", token, ""); got.Status != want {
			t.Errorf("a token of %d: %d, want %d", len(token), got.Status, want)
		}
	}
}

// Whoever tries tokens is slowed down, and locks nobody out.
func TestSec_A155_TryingTokens(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	lab := newAPILab(t, func(_ *merchant.Config, api *merchant.APIConfig, _ *httptest.Server) {
		api.Now = func() time.Time { return now }
	})
	statuses := map[int]int{}
	var last *reply
	for range merchant.StrikesAtOnce + 5 {
		last = lab.call("GET", "logins/x", strings.Repeat("x", 40), "")
		statuses[last.Status]++
	}
	if want := map[int]int{http.StatusUnauthorized: merchant.StrikesAtOnce, http.StatusTooManyRequests: 5}; !cmp.Equal(statuses, want) {
		t.Errorf("%v, want %v", statuses, want)
	}
	if last.Header.Get("Retry-After") != "3" {
		t.Errorf("Retry-After: %q", last.Header.Get("Retry-After"))
	}
	if got := lab.call("GET", "logins/x", tillToken, ""); got.Status != http.StatusNotFound {
		t.Errorf("the caller behind the same address: %d", got.Status)
	}
	var many []string
	for i := range 3 * merchant.MaxPeers {
		many = append(many, fmt.Sprint(i))
	}
	if _, remembered := merchant.Strikes(many, 1, now); remembered > merchant.MaxPeers {
		t.Errorf("%d peers are remembered", remembered)
	}
	if refused, _ := merchant.Strikes([]string{"a"}, merchant.StrikesAtOnce+1, now); refused != 1 {
		t.Errorf("%d refused, want 1", refused)
	}
}

// An id is good for the caller that got it. Another's gets what garbage gets, and neither learns nor ends anything.
func TestSec_A150_AnotherCallersLogin(t *testing.T) {
	t.Parallel()
	lab := newAPILab(t)
	id := lab.start(tillToken, aase)
	pushed := lab.emu.Control().MerchantLogins()[0]
	if strings.Contains(id, pushed.AuthReqID) || len(id) < 100 {
		t.Errorf("the id is %s", id)
	}
	var first *reply
	for _, other := range []string{
		id, pushed.AuthReqID, "x", strings.Repeat("A", 3000), id + "x", id[1:], id + "%00", "..%2Flogins%2F" + id, "%2e%2e", "'; DROP TABLE logins; --", "\u202e", "null", strings.ToLower(id),
	} {
		for _, ask := range [][2]string{{"GET", ""}, {"GET", "?wait=20"}, {"GET", "/events"}, {"DELETE", ""}} {
			r := lab.request(ask[0], "logins/x"+ask[1], officeToken, "")
			r.URL.Opaque = strings.TrimPrefix(lab.origin, "http:") + "/_vipps/merchant/logins/" + strings.NewReplacer(" ", "%20", ";", "%3B", "'", "%27", "\u202e", "%E2%80%AE").Replace(other) + strings.Split(ask[1], "?")[0]
			got := lab.do(r)
			got.Header.Del("Date")
			if first == nil {
				first = got
			}
			if diff := cmp.Diff(first, got); got.Status != http.StatusNotFound || diff != "" {
				t.Errorf("%s %.40s%s: %d %s", ask[0], other, ask[1], got.Status, diff)
			}
		}
	}
	if got := lab.call("GET", "logins/"+id, tillToken, ""); got.text(t, "state") != "pending" {
		t.Errorf("after that: %s", got.Body)
	}
	for _, entry := range lab.logged.All() {
		if text := entry.Message + fmt.Sprint(entry.ContextMap()); strings.Contains(text, pushed.AuthReqID) || strings.Contains(text, aase) || strings.Contains(text, id) {
			t.Errorf("the log says whose login it is: %s", text)
		}
	}
}

// The result goes to one answer of the caller that started the login, however many it asks for at once.
func TestSec_A156_ResultOnce(t *testing.T) {
	t.Parallel()
	lab := newAPILab(t)
	id := lab.start(tillToken, aase)
	bodies := make(chan string, 60)
	var asking sync.WaitGroup
	for i := range 20 {
		asking.Go(func() { bodies <- lab.call("GET", "logins/"+id+"?wait=20", tillToken, "").Body })
		asking.Go(func() {
			stream := lab.events("logins/"+id+"/events", tillToken)
			stream.state() // pending
			bodies <- stream.next()
		})
		if i%4 == 0 {
			asking.Go(func() { bodies <- lab.call("GET", "logins/"+id, officeToken, "").Body })
		}
	}
	until(t, "everybody", func() bool { return lab.api.OpenStreams() == 40 })
	lab.approve(aase)
	asking.Wait()
	close(bodies)
	results, delivered := 0, 0
	for body := range bodies {
		if strings.Contains(body, "Ødegård") {
			results++
		}
		if strings.Contains(body, `"delivered"`) {
			delivered++
		}
	}
	if results != 1 || delivered != 39 {
		t.Errorf("%d answers had the result, and %d said that another had it; want 1 and 39", results, delivered)
	}
	for _, again := range []string{"logins/" + id, "logins/" + id + "/events"} {
		if got := lab.call("GET", again, tillToken, ""); strings.Contains(got.Body, "result") || !strings.Contains(got.Body, "delivered") {
			t.Errorf("%s: %s", again, got.Body)
		}
	}
}

// Whoever hangs up before anything is written to them hasn't got the result: it is still there.
func TestSec_A156_NobodyThereToTakeIt(t *testing.T) {
	t.Parallel()
	lab := newAPILab(t)
	id := lab.start(tillToken, aase)
	for _, path := range []string{"logins/" + id + "?wait=20", "logins/" + id + "/events"} {
		ctx, hangUp := context.WithCancel(t.Context())
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			if resp, err := lab.server.Client().Do(lab.request("GET", path, tillToken, "").WithContext(ctx)); err == nil {
				_, _ = bytes.NewBuffer(nil).ReadFrom(resp.Body)
				_ = resp.Body.Close()
			}
		}()
		until(t, "the wait", func() bool { return lab.api.OpenStreams() == 1 })
		hangUp()
		<-gone
		until(t, "its end", func() bool { return lab.api.OpenStreams() == 0 })
	}
	lab.approve(aase)
	lab.approved("till", id)
	// A request whose client is gone by the time that it is answered.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, path := range []string{"logins/" + id, "logins/" + id + "/events"} {
		r := lab.request("GET", path, tillToken, "").WithContext(ctx)
		r.RemoteAddr = "192.0.2.1:1"
		w := httptest.NewRecorder()
		lab.api.ServeHTTP(w, r)
		if strings.Contains(w.Body.String(), "Ødegård") {
			t.Errorf("%s: the result was written to nobody", path)
		}
	}
	if got := lab.call("GET", "logins/"+id, tillToken, ""); !strings.Contains(got.Body, "Ødegård") {
		t.Errorf("the result is gone: %s", got.Body)
	}
}

// No page of another site gets a browser to do anything here, and no cookie counts.
func TestSec_A155_NoBrowsersOfOthers(t *testing.T) {
	t.Parallel()
	lab := newAPILab(t)
	id := lab.start(tillToken, aase)
	before := lab.emu.Control().Calls()["backchannel"]
	for name, header := range map[string][]string{
		"another site":           {"Origin", "https://evil.example"},
		"no site that has one":   {"Origin", "null"},
		"another port":           {"Origin", "http://127.0.0.1:1"},
		"a neighbour":            {"Sec-Fetch-Site", "same-site"},
		"cross-site":             {"Sec-Fetch-Site", "cross-site"},
		"what isn't known yet":   {"Sec-Fetch-Site", "same-planet"},
		"both, one of them ours": {"Origin", lab.origin, "Sec-Fetch-Site", "cross-site"},
	} {
		for _, ask := range [][3]string{{"POST", "logins", `{"phone":"` + aase + `"}`}, {"GET", "logins/" + id}, {"DELETE", "logins/" + id}, {"OPTIONS", "logins"}, {"GET", "openapi.json"}, {"GET", "logins/" + id + "/events"}} {
			got := lab.call(ask[0], ask[1], tillToken, ask[2], header...)
			if got.Status != http.StatusForbidden || got.text(t, "error") != "cross_origin" {
				t.Errorf("%s, %s %s: %d %s", name, ask[0], ask[1], got.Status, got.Body)
			}
			for h := range got.Header {
				if strings.HasPrefix(h, "Access-Control-") {
					t.Errorf("%s: %s", name, h)
				}
			}
		}
	}
	if after := lab.emu.Control().Calls()["backchannel"]; after != before {
		t.Errorf("%d logins were started", after-before)
	}
	if got := lab.call("GET", "logins/"+id, tillToken, "", "Origin", lab.origin, "Sec-Fetch-Site", "same-origin"); got.Status != http.StatusOK || got.Header.Get("Access-Control-Allow-Origin") != "" || got.Header.Get("Set-Cookie") != "" {
		t.Errorf("our own: %d %v", got.Status, got.Header)
	}
	r := lab.request("GET", "openapi.json", "", "")
	r.Host = "evil.example"
	if got := lab.do(r); got.Status != http.StatusMisdirectedRequest {
		t.Errorf("another host: %d", got.Status)
	}
}
