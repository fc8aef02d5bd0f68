package vipps_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps"
)

const (
	accessTokenPath = "/accesstoken/get"
	subscriptionKey = "0f14ebcab0ec4b29ae0cb90d91b4a84a"
)

// merchant is a client with all the keys of a sales unit.
func (p *provider) merchant() *vipps.Client {
	p.t.Helper()
	cfg := p.config()
	cfg.MerchantSerialNumber, cfg.SubscriptionKey = "123456", subscriptionKey
	return newClient(p.t, cfg)
}

// handleTokens numbers the access tokens that it gives away, each with the given end.
func (p *provider) handleTokens(expires string) {
	n := 0
	p.handle(accessTokenPath, func(w http.ResponseWriter, _ *http.Request) {
		n++
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"token_type":"Bearer",%s"ext_expires_in":"3600","resource":"0002","access_token":"token-%d"}`, expires, n)
	})
}

// The request is the one of the Access Token API, and the answer's numbers are strings in the test environment.
func TestAccessToken(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, expires string
		life          time.Duration
	}{
		{"an hour, in a string", `"expires_in":"3600",`, 55 * time.Minute},
		{"a day", `"expires_in":86400,`, 24*time.Hour - 5*time.Minute},
		{"a year", `"expires_in":"31536000",`, 24*time.Hour - 5*time.Minute},
		{"five minutes", `"expires_in":"300",`, 270 * time.Second},
		{"no end", ``, 270 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t)
			p.handleTokens(tt.expires)
			c := p.merchant()
			want := func(want string) {
				t.Helper()
				if got, err := c.APIToken(context.Background()); err != nil || got != want {
					t.Fatalf("the token is %q, %v; want %q", got, err, want)
				}
			}
			want("token-1")
			p.clock.Add(tt.life - time.Second)
			want("token-1")
			p.clock.Add(time.Second)
			want("token-2")
			c.DropAPIToken("token-1")
			want("token-2")
			c.DropAPIToken("token-2")
			want("token-3")
			r := p.last(accessTokenPath)
			for name, value := range map[string]string{
				"client_id": clientID, "client_secret": clientSecret, "Ocp-Apim-Subscription-Key": subscriptionKey, "Merchant-Serial-Number": "123456", "Vipps-System-Name": "vippsauth",
			} {
				if got := r.Header.Get(name); got != value {
					t.Errorf("%s is %q, want %q", name, got, value)
				}
			}
			if r.Method != http.MethodPost || r.ContentLength != 0 || r.Header.Get("Authorization") != "" {
				t.Errorf("%s with %d bytes, Authorization %q", r.Method, r.ContentLength, r.Header.Get("Authorization"))
			}
		})
	}
}

func TestAccessTokenOnceForAll(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.handleTokens(`"expires_in":"3600",`)
	c := p.merchant()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if got, err := c.APIToken(context.Background()); err != nil || got != "token-1" {
				t.Errorf("the token is %q, %v", got, err)
			}
		})
	}
	all.Wait()
	if n := p.calls(accessTokenPath); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// A renewal that fails leaves the old token in use until its end, and no longer.
func TestAccessTokenRenewalFails(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.handleTokens(`"expires_in":"3600",`)
	c := p.merchant()
	ctx := context.Background()
	if _, err := c.APIToken(ctx); err != nil {
		t.Fatal(err)
	}
	p.handle(accessTokenPath, respond(503, "text/html", "<p>away</p>"))
	p.clock.Add(56 * time.Minute)
	if got, err := c.APIToken(ctx); err != nil || got != "token-1" {
		t.Errorf("four minutes before its end: %q, %v", got, err)
	}
	p.clock.Add(4 * time.Minute)
	got, err := c.APIToken(ctx)
	e := refused(t, err, vipps.CodeHTTP)
	if got != "" || e.Stage != vipps.StageAccessToken || !isUnavailable(err) {
		t.Errorf("at its end: %q, stage %s, unavailable %v", got, e.Stage, isUnavailable(err))
	}
	p.handleTokens(`"expires_in":"3600",`)
	p.clock.Add(31 * time.Second)
	if got, err := c.APIToken(ctx); err != nil || got != "token-1" {
		t.Errorf("after the trouble: %q, %v", got, err)
	}
}

// Attack: something in the place of the API answers with what is no token, at any length, or with our own secrets in its words.
func TestAccessTokenHostileAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		code   string
	}{
		{"no token", respond(200, "application/json", `{"token_type":"Bearer","expires_in":"3600"}`), vipps.CodeInvalidResponse},
		{"a line break", respond(200, "application/json", `{"access_token":"a\r\nX-Evil: 1"}`), vipps.CodeInvalidResponse},
		{"a blank", respond(200, "application/json", `{"access_token":"a b"}`), vipps.CodeInvalidResponse},
		{"not ASCII", respond(200, "application/json", `{"access_token":"å"}`), vipps.CodeInvalidResponse},
		{"another case", respond(200, "application/json", `{"Access_Token":"a"}`), vipps.CodeInvalidResponse},
		{"twice", respond(200, "application/json", `{"access_token":"a","access_token":"b"}`), vipps.CodeInvalidResponse},
		{"another type", respond(200, "application/json", `{"access_token":"a","token_type":"mac"}`), vipps.CodeInvalidResponse},
		{"ends before", respond(200, "application/json", `{"access_token":"a","expires_in":"-1"}`), vipps.CodeInvalidResponse},
		{"ends at no time", respond(200, "application/json", `{"access_token":"a","expires_in":"soon"}`), vipps.CodeInvalidResponse},
		{"too long", respond(200, "application/json", `{"access_token":"`+strings.Repeat("a", 17<<10)+`"}`), vipps.CodeInvalidResponse},
		{"huge", respond(200, "application/json", strings.Repeat(" ", 2<<20)), vipps.CodeTooLarge},
		{"a page", respond(200, "text/html", "<p>"), vipps.CodeInvalidResponse},
		{"elsewhere", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, vipps.CodeRedirect},
		{"wrong keys", func(w http.ResponseWriter, r *http.Request) {
			respond(401, "application/json", `{"statusCode":401,"message":"Access denied to `+r.Header.Get("Ocp-Apim-Subscription-Key")+` with `+r.Header.Get("client_secret")+`"}`)(w, r)
		}, vipps.CodeHTTP},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t)
			p.handle(accessTokenPath, tt.answer)
			_, err := p.merchant().APIToken(context.Background())
			e := refused(t, err, tt.code)
			if strings.Contains(e.Error(), subscriptionKey) || strings.Contains(e.Error(), clientSecret) {
				t.Errorf("%v says too much", e)
			}
			if p.calls("/elsewhere") != 0 {
				t.Error("the redirect was followed")
			}
			if tt.name == "wrong keys" && (len(e.Causes()) == 0 || !strings.Contains(e.Causes()[0], "subscription_key") || !strings.Contains(e.Description, "Access denied")) {
				t.Errorf("%v; causes are %q", e, e.Causes())
			}
		})
	}
}

func TestMerchantKeys(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	_, err := p.client().APIToken(context.Background())
	var ce *vipps.ConfigError
	if !errors.As(err, &ce) || ce.Setting != "subscription_key" || p.calls(accessTokenPath) != 0 {
		t.Errorf("without a subscription key: %v", err)
	}
	for _, tt := range []struct{ msn, key, setting string }{
		{"12345x", "", "msn"},
		{"123", "", "msn"},
		{"12345678901", "", "msn"},
		{"123456\r\n", "", "msn"},
		{"", "key\r\nX-Evil: 1", "subscription_key"},
		{"", " key", "subscription_key"},
	} {
		cfg := p.config()
		cfg.MerchantSerialNumber, cfg.SubscriptionKey = tt.msn, vipps.Secret(tt.key)
		_, err := vipps.New(cfg)
		if !errors.As(err, &ce) || ce.Setting != tt.setting {
			t.Errorf("%q, %q: %v", tt.msn, tt.key, err)
		}
	}
}

// Some servers leave out what can only be Bearer.
func TestAccessTokenWithoutType(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.handle(accessTokenPath, respond(200, "application/json", `{"access_token":"token","expires_in":3600}`))
	if got, err := p.merchant().APIToken(context.Background()); err != nil || got != "token" {
		t.Errorf("%q, %v", got, err)
	}
}

// What an operator is told of each refusal, and that a login's own causes stay what they are.
func TestMerchantCauses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  vipps.Error
		want string
	}{
		{vipps.Error{Stage: vipps.StageAccessToken, Code: vipps.CodeHTTP, Status: 400}, "belong together"},
		{vipps.Error{Stage: vipps.StageAccessToken, Code: "invalid_client", Status: 401}, "belong together"},
		{vipps.Error{Stage: vipps.StageAccessToken, Code: vipps.CodeHTTP, Status: 403}, "belong together"},
		{vipps.Error{Stage: vipps.StageAccessToken, Code: vipps.CodeHTTP, Status: 404}, "no Access Token API"},
		{vipps.Error{Stage: vipps.StageAccessToken, Code: vipps.CodeHTTP, Status: 500}, "status.vippsmobilepay.com"},
		{vipps.Error{Stage: vipps.StageAccessToken, Code: vipps.CodeUnreachable}, "cannot be reached"},
		{vipps.Error{Stage: vipps.StageWebhooks, Code: vipps.CodeHTTP, Status: 401}, "may not use the Webhooks API"},
		{vipps.Error{Stage: vipps.StageWebhooks, Code: vipps.CodeHTTP, Status: 403}, "may not use the Webhooks API"},
		{vipps.Error{Stage: vipps.StageWebhooks, Code: vipps.CodeHTTP, Status: 400}, ""},
		{vipps.Error{Stage: vipps.StageWebhooks, Code: vipps.CodeHTTP, Status: 404}, ""},
		{vipps.Error{Stage: vipps.StageWebhooks, Code: vipps.CodeHTTP, Status: 503}, "status.vippsmobilepay.com"},
		{vipps.Error{Stage: vipps.StageWebhooks, Code: vipps.CodeTimeout}, "did not answer in time"},
		{vipps.Error{Stage: vipps.StageWebhooks, Code: vipps.CodeSignature}, "webhook_secrets"},
		{vipps.Error{Stage: vipps.StageToken, Code: vipps.CodeSignature}, "key set"},
		{vipps.Error{Stage: vipps.StageToken, Code: vipps.CodeHTTP, Status: 401}, "client_auth"},
		{vipps.Error{Stage: vipps.StageUserinfo, Code: vipps.CodeHTTP, Status: 403}, "access token"},
		{vipps.Error{Stage: vipps.StageToken, Code: vipps.CodeHTTP, Status: 404}, ""},
	} {
		got := strings.Join(tt.err.Causes(), " ")
		if !strings.Contains(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("%v: %q, want %q", &tt.err, got, tt.want)
		}
	}
}
