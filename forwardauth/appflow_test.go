package forwardauth_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/forwardauth"
)

// Attack: the app brings a person back to a browser in which they began nothing, or somebody sends them such an address: the
// code in it belongs to the browser that began and is never used here, nor is a login started without a click. In the browser that
// began, it goes on.
func TestSec_A091_A121_ReturnToAnotherBrowser(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) {
		c.AppFlow, c.Silent = forwardauth.AppFlowAutomaticReturn, forwardauth.SilentOff
	})
	l.as(phoneAase)
	first, second := l.browser(), l.browser()
	callback := first.onTheWay(first.send("GET", "/_vipps/login?rd=/seat?no=4", navigation(), ""))
	tokens := l.vipps.Control().Calls()["token"]
	a := second.visit(callback)
	if !strings.Contains(a.text, "You began in another browser") || second.passed("/_vipps/result") != 1 || second.passed("/oauth2/auth") != 0 || len(second.own()) != 0 || l.vipps.Control().Calls()["token"] != tokens {
		t.Fatalf("the other browser: %d %s\n%s", a.StatusCode, a.text, strings.Join(second.trail, "\n"))
	}
	waiting := second.trail[1]
	if again := second.visit(callback); !strings.Contains(again.text, "You began in another browser") {
		t.Errorf("once more: %d %s", again.StatusCode, again.text)
	}
	if done := first.visit(callback); !strings.Contains(done.text, "app: GET /seat?no=4 auth=authenticated name=Åse") {
		t.Fatalf("the browser that began: %d %s", done.StatusCode, done.text)
	}
	if a := second.visit(callback); second.cookie("vippsauth") != "" || strings.Contains(a.text, "app:") {
		t.Errorf("the other browser afterwards: %d %s", a.StatusCode, a.text)
	}
	l.as(phonePer) // "continue here" is a login of its own
	done := second.click("/_vipps/login", url.Values{"rd": {between(a.text, `name="rd" value="`, `"`)}})
	if !strings.Contains(done.text, "app: GET /seat?no=4 auth=authenticated name=Per") {
		t.Errorf("continuing there: %d %s", done.StatusCode, done.text)
	}
	if a := second.visit(waiting); !strings.Contains(a.text, "name=Per") {
		t.Errorf("the page that stood open, with a session: %d %s", a.StatusCode, a.text)
	}
	if a := second.visit(callback); !strings.Contains(a.text, "name=Per") { // with a session just on
		t.Errorf("with a session: %d %s", a.StatusCode, a.text)
	}
	first.setCookie("vippsauth", "")
	if a := first.visit(callback); !strings.Contains(a.text, "You began in another browser") || !strings.Contains(a.text, "kept no cookie") {
		t.Errorf("a second use: %d %s", a.StatusCode, a.text)
	}
}

// What is asked of Vipps for each app_flow; a silent attempt opens no app.
func TestAppFlows(t *testing.T) {
	t.Parallel()
	for flow, want := range map[string]url.Values{
		forwardauth.AppFlowAutomaticReturn: {"requested_flow": {"automatic_return_from_vipps_app"}, "final_redirect_is_app": {"true"}},
		forwardauth.AppFlowAppToApp:        {"requested_flow": {"app_to_app"}, "app_callback_uri": {"shopapp://login/back"}, "final_redirect_is_app": {"true"}},
		forwardauth.AppFlowAppToAppV2:      {"requested_flow": {"app_to_app_v2"}, "final_redirect_is_app": {"true"}},
		forwardauth.AppFlowOff:             {},
	} {
		l := newLab(t, func(c *forwardauth.Config) {
			c.AppFlow, c.FinalRedirectIsApp = flow, flow != forwardauth.AppFlowOff
			if flow == forwardauth.AppFlowAppToApp {
				c.AppCallbackURI = "shopapp://login/back"
			}
		})
		b := l.browser()
		silent := asksFor(t, b)
		if silent.Encode() != "requested_flow=no_dialog" {
			t.Errorf("%s: the silent one asks for %s", flow, silent.Encode())
		}
		l.clock.advance(time.Minute) // a miss
		if got := asksFor(t, b); got.Encode() != want.Encode() {
			t.Errorf("%s: asked for %s, want %s", flow, got.Encode(), want.Encode())
		}
	}
}

// asksFor is what the next login asks for of app flows.
func asksFor(t *testing.T, b *browser) url.Values {
	t.Helper()
	u, err := url.Parse(b.send("GET", "/_vipps/login?rd=/p", navigation(), "").Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	got := url.Values{}
	for _, name := range []string{"requested_flow", "app_callback_uri", "final_redirect_is_app"} {
		if values, ok := u.Query()[name]; ok {
			got[name] = values
		}
	}
	return got
}

func TestAppFlowsAreChecked(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	for _, test := range []struct {
		flow, uri string
		final     bool
		want      string
	}{
		{flow: "sometimes", want: "app_flow"},
		{flow: "app-to-app", want: "app_callback_uri"},
		{flow: "app-to-app-v2", uri: "shopapp://x", want: "app_callback_uri"},
		{flow: "", uri: "shopapp://x", want: "app_callback_uri"},
		{flow: "app-to-app", uri: "http://shop.example/", want: "app_callback_uri"},
		{flow: "app-to-app", uri: "javascript:alert(1)", want: "app_callback_uri"},
		{flow: "app-to-app", uri: "shopapp://", want: "app_callback_uri"},
		{flow: "app-to-app", uri: "/path", want: "app_callback_uri"},
		{flow: "app-to-app", uri: "https://shop.example/app#x", want: "app_callback_uri"},
		{flow: "", final: true, want: "final_redirect_is_app"},
		{flow: "app-to-app", uri: "https://shop.example/app"},
		{flow: "app-to-app", uri: "shopapp://callback", final: true},
		{flow: "automatic-return"},
	} {
		cfg := l.config
		cfg.AppFlow, cfg.AppCallbackURI, cfg.FinalRedirectIsApp = test.flow, test.uri, test.final
		_, err := forwardauth.New(cfg)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%q %q: %v, want %q", test.flow, test.uri, err, test.want)
		}
	}
}
