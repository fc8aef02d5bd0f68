package merchant_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap/zapcore"

	"github.com/vippsauth/vippsauth/merchant"
)

// form posts what the operator page's form does, as a browser sends it.
func (lab *apiLab) form(person, path string, fields url.Values, header ...string) *reply {
	lab.t.Helper()
	header = append([]string{"Content-Type", "application/x-www-form-urlencoded", "X-Test-Person", person, "Sec-Fetch-Site", "same-origin", "Origin", lab.origin}, header...)
	body := fields.Encode()
	if body == "" {
		body = "x="
	}
	return lab.call("POST", path, "", body, header...)
}

func (lab *apiLab) look(person, path string, header ...string) *reply {
	lab.t.Helper()
	return lab.call("GET", path, "", "", append([]string{"X-Test-Person", person}, header...)...)
}

// begin starts a login as an operator, and returns the path of its page.
func (lab *apiLab) begin(person, phone string, scopes ...string) string {
	lab.t.Helper()
	got := lab.form(person, "", url.Values{"phone": {phone}, "scope": scopes})
	path, ok := strings.CutPrefix(got.Header.Get("Location"), "/_vipps/merchant/")
	if got.Status != http.StatusSeeOther || !ok {
		lab.t.Fatalf("%d %v %s", got.Status, got.Header, got.Body)
	}
	return path
}

// An operator types a number, reads a code, and sees the answer come. The page says whom this is for, what the code is for, and that the
// customer has to see the same one.
func TestSec_A152_A156_OperatorPage(t *testing.T) {
	t.Parallel()
	lab := newAPILab(t)
	page := lab.look("op", "")
	for _, want := range []string{`<input id="phone" name="phone" type="tel"`, `<label for="phone">`, `value="phoneNumber" checked`, "Only for customers whom you meet, or talk to on the phone. Vipps doesn’t allow it on web pages", "Kari &lt;b&gt;N.&lt;/b&gt;"} {
		if !strings.Contains(page.Body, want) {
			t.Errorf("the form lacks %s", want)
		}
	}
	if page.Status != http.StatusOK || strings.Contains(page.Body, `value="openid"`) || strings.Contains(page.Body, "<script") {
		t.Errorf("%d %s", page.Status, page.Body)
	}
	path := lab.begin("op", "+47 90 00 00 01", "name")
	pushed := lab.emu.Control().MerchantLogins()[0]
	watch := lab.look("op", path)
	if watch.Status != http.StatusOK || !strings.Contains(watch.Body, ">"+pushed.Code+"<") || !strings.Contains(watch.Body, `aria-live="polite"`) {
		t.Fatalf("%d %s", watch.Status, watch.Body)
	}
	for _, want := range []string{"Read this code aloud", "approve only when the app shows the same code"} {
		if !strings.Contains(watch.Body, want) {
			t.Errorf("who waits isn't told %q", want)
		}
	}
	if strings.Contains(path, pushed.AuthReqID) || strings.Contains(watch.Body, pushed.AuthReqID) || strings.Contains(watch.Body, aase) {
		t.Error("the page or its address says more than the code")
	}
	stream := lab.events(path+"/events", "", "X-Test-Person", "op", "Sec-Fetch-Site", "same-origin", "Accept-Language", "nb")
	if got := stream.state(); got["now"] != "Venter på kunden" {
		t.Errorf("first: %v", got)
	}
	lab.approve(aase)
	got := stream.state()
	text, _ := json.Marshal(got["result"])
	if got["state"] != "approved" || !strings.Contains(string(text), `{"label":"Navn","value":"Åse Ødegård"}`) || strings.Contains(string(text), aase) {
		t.Errorf("then: %v", got)
	}
	if after := lab.look("op", path); !strings.Contains(after.Body, "has been shown") || strings.Contains(after.Body, "Ødegård") {
		t.Errorf("later: %s", after.Body)
	}
}

// Without scripts the same goes by buttons, and the result is shown to a POST only.
func TestOperatorPageWithoutScripts(t *testing.T) {
	t.Parallel()
	lab := newAPILab(t)
	path := lab.begin("op", aase, "name", "address")
	if got := lab.form("op", path+"/result", nil); !strings.Contains(got.Body, "Waiting for the customer") {
		t.Errorf("too early: %s", got.Body)
	}
	lab.approve(aase)
	until(t, "the approval", func() bool { return strings.Contains(lab.look("op", path).Body, "has approved") })
	if got := lab.look("op", path); strings.Contains(got.Body, "Ødegård") {
		t.Error("a GET shows the result")
	}
	if got := lab.form("op", path+"/result", nil); !strings.Contains(got.Body, "Åse Ødegård") || !strings.Contains(got.Body, "Eksempelveien 1\n0001 OSLO") {
		t.Errorf("the result: %s", got.Body)
	}
	if got := lab.form("op", path+"/result", nil); strings.Contains(got.Body, "Ødegård") {
		t.Error("it is shown twice")
	}
	path = lab.begin("op", per, "name")
	if got := lab.form("op", path+"/cancel", nil); got.Status != http.StatusSeeOther || got.Header.Get("Location") != "/_vipps/merchant/"+path {
		t.Errorf("cancel: %d %v", got.Status, got.Header)
	}
	if got := lab.look("op", path); !strings.Contains(got.Body, "Cancelled") {
		t.Errorf("canceled: %s", got.Body)
	}
}

// What goes wrong is said on the form, in the person's language, with what was typed still there.
func TestOperatorPageFaults(t *testing.T) {
	t.Parallel()
	lab := newAPILab(t, func(cfg *merchant.Config, _ *merchant.APIConfig, _ *httptest.Server) { cfg.PhoneLimit = "1/10m" })
	for name, row := range map[string]struct {
		fields url.Values
		status int
		want   string
	}{
		"a bad number":     {url.Values{"phone": {`12"><script>`}, "scope": {"name"}}, http.StatusBadRequest, `value="12&#34;&gt;&lt;script&gt;"`},
		"a number of none": {url.Values{"phone": {""}}, http.StatusBadRequest, "This is not a phone number"},
		"two numbers":      {url.Values{"phone": {aase, per}}, http.StatusBadRequest, "could not be read"},
		"no field":         {url.Values{}, http.StatusBadRequest, "could not be read"},
		"too much":         {url.Values{"phone": {strings.Repeat("4", 10_000)}}, http.StatusBadRequest, "could not be read"},
		"other scopes":     {url.Values{"phone": {aase}, "scope": {"nin"}}, http.StatusBadRequest, "not on offer"},
	} {
		got := lab.form("op", "", row.fields)
		if got.Status != row.status || !strings.Contains(got.Body, row.want) || !strings.Contains(got.Body, `role="alert"`) || strings.Contains(got.Body, "<script") {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	lab.begin("op", aase)
	if got := lab.form("op", "", url.Values{"phone": {aase}}, "Accept-Language", "sv;q=0.9, en;q=0.1"); got.Status != http.StatusTooManyRequests || !strings.Contains(got.Body, "Försök igen om 10 minuter") || got.Header.Get("Retry-After") != "600" {
		t.Errorf("too many: %d %v %s", got.Status, got.Header, got.Body)
	}
	if err := lab.emu.Control().FailNext("backchannel", 1, http.StatusServiceUnavailable, ""); err != nil {
		t.Fatal(err)
	}
	if got := lab.form("op", "", url.Values{"phone": {per}}, "Accept-Language", "da"); got.Status != http.StatusServiceUnavailable || !strings.Contains(got.Body, "svarer ikke lige nu") {
		t.Errorf("away: %d %s", got.Status, got.Body)
	}
	if got := lab.look("op", "operator/unknown"); got.Status != http.StatusNotFound || !strings.Contains(got.Body, "no such login") {
		t.Errorf("unknown: %d %s", got.Status, got.Body)
	}
}

// A page of another site can't start, end or read anything with an operator's browser, not by a form, a link, an image or a
// frame; nor can another operator, nor a caller of the API.
func TestSec_A155_A156_OperatorsPageIsItsOwn(t *testing.T) {
	t.Parallel()
	lab := newAPILab(t)
	path := lab.begin("op", aase, "name")
	before := lab.emu.Control().Calls()["backchannel"]
	lab.approve(aase)
	until(t, "the approval", func() bool { return strings.Contains(lab.look("op", path).Body, "has approved") })
	for name, header := range map[string][]string{
		"another site":           {"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"},
		"another, old browser":   {"Sec-Fetch-Site", "", "Origin", "https://evil.example"},
		"no site that has one":   {"Sec-Fetch-Site", "", "Origin", "null"},
		"a neighbour":            {"Sec-Fetch-Site", "same-site", "Origin", lab.origin},
		"typed by hand":          {"Sec-Fetch-Site", "none", "Origin", ""},
		"one who says nothing":   {"Sec-Fetch-Site", "", "Origin", ""},
		"ours, says the browser": {"Sec-Fetch-Site", "same-origin", "Origin", "https://evil.example"},
	} {
		for _, post := range []string{"", path + "/cancel", path + "/result"} {
			if got := lab.form("op", post, url.Values{"phone": {per}}, header...); got.Status != http.StatusForbidden || strings.Contains(got.Body, "Ødegård") {
				t.Errorf("%s, POST %s: %d", name, post, got.Status)
			}
		}
		if got := lab.look("op", path+"/events", header...); got.Status != http.StatusForbidden || strings.Contains(got.Body, "Ødegård") {
			t.Errorf("%s, events: %d %s", name, got.Status, got.Body)
		}
	}
	for _, get := range []string{path + "/cancel", path + "/result", "operator/", path + "/x", path + "/events/", "operator", "?phone=" + per} {
		if got := lab.look("op", get, "Sec-Fetch-Site", "same-origin"); got.Status == http.StatusOK || got.Status == http.StatusSeeOther || strings.Contains(got.Body, "Ødegård") {
			t.Errorf("GET %s: %d", get, got.Status)
		}
	}
	for _, get := range []string{path, path + "/events"} {
		if got := lab.look("another", get, "Sec-Fetch-Site", "same-origin"); got.Status != http.StatusNotFound || strings.Contains(got.Body, "Ødegård") {
			t.Errorf("another operator, GET %s: %d", get, got.Status)
		}
	}
	for _, post := range []string{path + "/cancel", path + "/result"} {
		if got := lab.form("another", post, nil); got.Status != http.StatusNotFound || strings.Contains(got.Body, "Ødegård") {
			t.Errorf("another operator, POST %s: %d", post, got.Status)
		}
	}
	id := strings.TrimPrefix(path, "operator/")
	if got := lab.call("GET", "logins/"+id, tillToken, ""); got.Status != http.StatusNotFound {
		t.Errorf("a caller of the API: %d %s", got.Status, got.Body)
	}
	if after := lab.emu.Control().Calls()["backchannel"]; after != before {
		t.Errorf("%d logins were started", after-before)
	}
	if got := lab.form("op", path+"/result", nil); !strings.Contains(got.Body, "Åse Ødegård") {
		t.Error("after all that the result is gone")
	}
	for _, entry := range lab.logged.All() {
		if strings.Contains(entry.Message, "op") && slices.ContainsFunc(entry.Context, func(f zapcore.Field) bool { return f.String == "op" }) {
			t.Errorf("the log says who the operator is: %v", entry)
		}
	}
}

// The page runs one script of ours and nothing else, is in no frame, and is kept by nobody.
func TestSec_A155_OperatorsPagePolicy(t *testing.T) {
	t.Parallel()
	lab := newAPILab(t)
	path := lab.begin("op", aase)
	for _, get := range []string{"", path} {
		got := lab.look("op", get)
		policy := got.Header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src " + lab.origin + "/_vipps/merchant/operator.js;", "frame-ancestors 'none'", "base-uri 'none'", "form-action " + lab.origin + "/_vipps/merchant/;"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%q lacks %q", policy, want)
			}
		}
		if strings.Contains(policy, "unsafe") || got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("X-Frame-Options") != "DENY" || got.Header.Get("Set-Cookie") != "" {
			t.Errorf("%v", got.Header)
		}
		if regexp.MustCompile(`(?i)<script(?: |>)[^<]*[^>]</script>|\son[a-z]+\s*=|javascript:|\sstyle=`).MatchString(got.Body) {
			t.Errorf("a script in the page: %s", got.Body)
		}
	}
	if got := lab.look("op", "operator.js"); got.Status != http.StatusOK || got.Header.Get("Content-Type") != "text/javascript; charset=utf-8" || regexp.MustCompile(`innerHTML|eval|document\.write`).MatchString(got.Body) {
		t.Errorf("the script: %d %v", got.Status, got.Header)
	}
}

// Each language has every text, with the same places for values.
func TestOperatorTexts(t *testing.T) {
	t.Parallel()
	all, err := merchant.OperatorTexts()
	if err != nil || len(all) != 5 {
		t.Fatalf("%d languages: %v", len(all), err)
	}
	place := regexp.MustCompile(`\{[a-z]+\}`)
	shape := func(lang string) map[string][]string {
		out := map[string][]string{}
		for key, text := range all[lang] {
			out[key] = place.FindAllString(text, -1)
			slices.Sort(out[key])
			if strings.TrimSpace(text) == "" {
				t.Errorf("%s: %s is empty", lang, key)
			}
		}
		return out
	}
	for lang := range all {
		if diff := cmp.Diff(shape("en"), shape(lang)); diff != "" {
			t.Errorf("%s: %s", lang, diff)
		}
	}
	lab := newAPILab(t, func(_ *merchant.Config, api *merchant.APIConfig, _ *httptest.Server) { api.Market = "DK" })
	for accept, want := range map[string]string{"": "da", "no": "nb", "nn-NO, en": "nb", "de": "da", "fi": "fi", "en-GB": "en", "sv;q=0, en": "en", "*": "da", strings.Repeat("x", 600): "da"} {
		got := lab.look("op", "", "Accept-Language", accept)
		if got.Header.Get("Content-Language") != want || !strings.Contains(got.Body, `<html lang="`+want+`">`) || !strings.Contains(got.Body, "MobilePay") {
			t.Errorf("%q: %s, want %s", accept, got.Header.Get("Content-Language"), want)
		}
	}
}
