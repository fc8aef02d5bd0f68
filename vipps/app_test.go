package vipps_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/vipps"
)

func TestLoginsFromApps(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	cfg := p.config()
	cfg.ACRValues = "urn:a"
	c := newClient(t, cfg)
	const universal = "https://shop.example/app/callback"
	for name, tt := range map[string]struct {
		r    vipps.LoginRequest
		want url.Values // of what only some logins have
	}{
		"none":                   {vipps.LoginRequest{}, url.Values{"acr_values": {"urn:a"}}},
		"silent":                 {vipps.LoginRequest{Silent: true}, url.Values{"requested_flow": {"no_dialog"}, "acr_values": {"urn:a"}}},
		"acr of this login":      {vipps.LoginRequest{ACRValues: "urn:b urn:c"}, url.Values{"acr_values": {"urn:b urn:c"}}},
		"automatic return":       {vipps.LoginRequest{Flow: vipps.FlowAutomaticReturn}, url.Values{"requested_flow": {"automatic_return_from_vipps_app"}, "acr_values": {"urn:a"}}},
		"v2":                     {vipps.LoginRequest{Flow: vipps.FlowAppToAppV2}, url.Values{"requested_flow": {"app_to_app_v2"}, "acr_values": {"urn:a"}}},
		"v2 with an own scheme":  {vipps.LoginRequest{Flow: vipps.FlowAppToAppV2, RedirectURI: "com.example.shop:/callback"}, url.Values{"requested_flow": {"app_to_app_v2"}, "acr_values": {"urn:a"}}},
		"app to app, own scheme": {vipps.LoginRequest{Flow: vipps.FlowAppToApp, AppCallbackURI: "merchant-app://callback"}, url.Values{"requested_flow": {"app_to_app"}, "app_callback_uri": {"merchant-app://callback"}, "acr_values": {"urn:a"}}},
		"app to app, universal":  {vipps.LoginRequest{Flow: vipps.FlowAppToApp, AppCallbackURI: universal, FinalRedirectIsApp: true}, url.Values{"requested_flow": {"app_to_app"}, "app_callback_uri": {universal}, "final_redirect_is_app": {"true"}, "acr_values": {"urn:a"}}},
		"ends in an app":         {vipps.LoginRequest{FinalRedirectIsApp: true, RedirectURI: "myapp://path-to-something"}, url.Values{"final_redirect_is_app": {"true"}, "acr_values": {"urn:a"}}},
	} {
		if tt.r.RedirectURI == "" {
			tt.r.RedirectURI = redirectURI
		}
		pending, to, err := c.BeginLogin(context.Background(), tt.r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		u, err := url.Parse(to)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		for _, always := range []string{"client_id", "response_type", "scope", "state", "nonce", "code_challenge"} {
			if q.Get(always) == "" {
				t.Errorf("%s: no %s", name, always)
			}
			q.Del(always)
		}
		tt.want.Set("redirect_uri", tt.r.RedirectURI)
		tt.want.Set("code_challenge_method", "S256") // PKCE in every flow
		if q.Encode() != tt.want.Encode() {
			t.Errorf("%s: asked with %s, want %s", name, q.Encode(), tt.want.Encode())
		}
		if pending.ACRValues != tt.want.Get("acr_values") || pending.Silent != tt.r.Silent {
			t.Errorf("%s: the pending login says something else", name)
		}
	}
}

func TestLoginsFromAppsRefuse(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	c := p.client()
	appToApp := func(uri string) vipps.LoginRequest {
		return vipps.LoginRequest{RedirectURI: redirectURI, Flow: vipps.FlowAppToApp, AppCallbackURI: uri}
	}
	v2 := func(uri string) vipps.LoginRequest {
		return vipps.LoginRequest{RedirectURI: uri, Flow: vipps.FlowAppToAppV2}
	}
	for name, tt := range map[string]struct {
		r       vipps.LoginRequest
		setting string
	}{
		"unknown flow":            {vipps.LoginRequest{RedirectURI: redirectURI, Flow: "no_dialog"}, "flow"},
		"silent and a flow":       {vipps.LoginRequest{RedirectURI: redirectURI, Flow: vipps.FlowAppToAppV2, Silent: true}, "flow"},
		"no app callback":         {appToApp(""), "app_callback_uri"},
		"app callback alone":      {vipps.LoginRequest{RedirectURI: redirectURI, AppCallbackURI: "myapp://callback"}, "app_callback_uri"},
		"app callback with v2":    {vipps.LoginRequest{RedirectURI: redirectURI, Flow: vipps.FlowAppToAppV2, AppCallbackURI: "myapp://callback"}, "app_callback_uri"},
		"http":                    {appToApp("http://shop.example/cb"), "app_callback_uri"},
		"script":                  {appToApp("javascript://x/%0aalert(1)"), "app_callback_uri"},
		"script in capitals":      {appToApp("JavaScript:alert(1)"), "app_callback_uri"},
		"data":                    {appToApp("data:text/html,x"), "app_callback_uri"},
		"intent":                  {appToApp("intent://shop.example/cb"), "app_callback_uri"},
		"nothing behind":          {appToApp("myapp://"), "app_callback_uri"},
		"a slash behind":          {appToApp("myapp:///"), "app_callback_uri"},
		"no slash":                {appToApp("myapp:callback"), "app_callback_uri"},
		"relative":                {appToApp("/callback"), "app_callback_uri"},
		"https without a host":    {appToApp("https:///callback"), "app_callback_uri"},
		"a user":                  {appToApp("https://shop.example@evil.example/"), "app_callback_uri"},
		"fragment":                {appToApp("myapp://callback#x"), "app_callback_uri"},
		"line break":              {appToApp("myapp://callback\r\nX: y"), "app_callback_uri"},
		"long":                    {appToApp("myapp://" + strings.Repeat("a", 2048)), "app_callback_uri"},
		"own scheme in a browser": {vipps.LoginRequest{RedirectURI: "myapp://callback"}, "redirect_uri"},
		"own scheme, app to app":  {vipps.LoginRequest{RedirectURI: "myapp://callback", Flow: vipps.FlowAppToApp, AppCallbackURI: "myapp://a"}, "redirect_uri"},
		"v2 with a bare scheme":   {v2("myapp://"), "redirect_uri"},
		"v2 with script":          {v2("javascript://x"), "redirect_uri"},
		"v2 with http":            {v2("http://shop.example/cb"), "redirect_uri"},
		"v2 without":              {v2(""), "redirect_uri"},
		"acr with a line break":   {vipps.LoginRequest{RedirectURI: redirectURI, ACRValues: "a\nb"}, "acr_values"},
		"long acr":                {vipps.LoginRequest{RedirectURI: redirectURI, ACRValues: strings.Repeat("a", 513)}, "acr_values"},
	} {
		_, _, err := c.BeginLogin(context.Background(), tt.r)
		var ce *vipps.ConfigError
		if !errors.As(err, &ce) || ce.Setting != tt.setting {
			t.Errorf("%s: error is %v", name, err)
		} else if strings.Contains(err.Error(), "myapp") && !strings.Contains(err.Error(), "like myapp://callback") {
			t.Errorf("%s: the error repeats the value", name)
		}
	}
}

// Attack: another page or app opens the app's callback with an error, a state of its own or somewhere else to go on at.
func TestAppCallbacks(t *testing.T) {
	t.Parallel()
	const resume = "https://api.vipps.no/vipps-login-idp/index.html?tabId=7607f7f0-7ae2-49b7-9cb5-102143dac4ea"
	for name, tt := range map[string]struct {
		query             string
		state, at, failed string
		refused           string
	}{
		"as documented":           {query: "state=abc&resume_uri=" + url.QueryEscape(resume), state: "abc", at: resume},
		"second question mark":    {query: "state=218gz18yveu1ybajwh2g1h3g?error=unknown_error", state: "218gz18yveu1ybajwh2g1h3g", failed: "unknown_error"},
		"well-formed error":       {query: "state=abc&error=access_denied", state: "abc", failed: "access_denied"},
		"an error counts more":    {query: "state=abc&error=access_denied&resume_uri=" + url.QueryEscape(resume), state: "abc", failed: "access_denied"},
		"odd error":               {query: "state=abc&error=%3Cscript%3E", state: "abc", failed: vipps.CodeUnknown},
		"a number as error":       {query: "state=abc?error=4712345678", state: "abc", failed: vipps.CodeUnknown},
		"loopback":                {query: "state=abc&resume_uri=http%3A%2F%2F127.0.0.1%3A4192%2Fx", state: "abc", at: "http://127.0.0.1:4192/x"},
		"no state":                {query: "error=x", refused: vipps.CodeMissingState},
		"empty state":             {query: "state=?error=x", refused: vipps.CodeMissingState},
		"two states":              {query: "state=a&state=b&error=x", refused: vipps.CodeDuplicateParameter},
		"two states in one":       {query: "state=a?state=b&error=x", refused: vipps.CodeDuplicateParameter},
		"two errors":              {query: "state=a?error=x&error=y", refused: vipps.CodeDuplicateParameter},
		"two places":              {query: "state=a&resume_uri=https://a/&resume_uri=https://b/", refused: vipps.CodeDuplicateParameter},
		"nothing":                 {query: "state=abc", refused: vipps.CodeInvalidCallback},
		"script":                  {query: "state=abc&resume_uri=javascript:alert(1)", refused: vipps.CodeInvalidCallback},
		"http elsewhere":          {query: "state=abc&resume_uri=http://api.vipps.no/x", refused: vipps.CodeInvalidCallback},
		"a user":                  {query: "state=abc&resume_uri=https://api.vipps.no@evil.example/", refused: vipps.CodeInvalidCallback},
		"an app of somebody else": {query: "state=abc&resume_uri=otherapp://x", refused: vipps.CodeInvalidCallback},
		"NUL":                     {query: "state=%00&error=x", refused: vipps.CodeInvalidCallback},
		"long state":              {query: "state=" + strings.Repeat("a", 513) + "&error=x", refused: vipps.CodeInvalidCallback},
		"broken rest":             {query: "state=abc?error%3D%25zz", refused: vipps.CodeInvalidCallback},
	} {
		q, err := url.ParseQuery(tt.query)
		if err != nil {
			t.Fatal(err)
		}
		state, at, failed, err := vipps.ParseAppCallback(q)
		if tt.refused != "" {
			if e := refused(t, err, tt.refused); state+at+failed != "" || e.Stage != vipps.StageAuthorize {
				t.Errorf("%s: %q %q %q with an error of %s", name, state, at, failed, e.Stage)
			}
			continue
		}
		if err != nil || state != tt.state || at != tt.at || failed != tt.failed {
			t.Errorf("%s: %q %q %q, %v", name, state, at, failed, err)
		}
	}
}

func FuzzAppCallback(f *testing.F) {
	f.Add("state=abc&resume_uri=https%3A%2F%2Fapi.vipps.no%2Fx")
	f.Add("state=abc?error=unknown_error")
	f.Add("state=abc?state=d&resume_uri=x")
	f.Add("state=a?b?error=%3Cscript%3E&error=y")
	f.Fuzz(func(t *testing.T, raw string) {
		q, _ := url.ParseQuery(raw)
		before := q.Encode()
		state, at, failed, err := vipps.ParseAppCallback(q)
		if q.Encode() != before {
			t.Error("the query was changed")
		}
		if err != nil {
			typed(t, err)
			return
		}
		if state == "" || len(state) > 512 || strings.ContainsAny(state+at+failed, "?\r\n\x00") && !strings.Contains(at, "?") || (at == "") == (failed == "") || len(failed) > 64 {
			t.Errorf("%q: %q %q %q", raw, state, at, failed)
		}
		if at != "" && !strings.HasPrefix(strings.ToLower(at), "http") {
			t.Errorf("%q goes on at %q", raw, at)
		}
	})
}
