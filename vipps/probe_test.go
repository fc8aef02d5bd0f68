package vipps_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// The token endpoint tells right keys from wrong ones, and every other answer is no verdict.
func TestProbeClient(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		config func(*vipps.Config)
		bring  func(*emulator.Control) error
		want   vipps.Answer
		code   string
		cause  string
	}{
		{name: "right keys", want: vipps.AnswerYes},
		{name: "wrong secret", config: func(c *vipps.Config) { c.ClientSecret = "of another" }, want: vipps.AnswerNo, code: "invalid_client", cause: "other environment"},
		{name: "unknown client", config: func(c *vipps.Config) { c.ClientID = "another" }, want: vipps.AnswerNo, code: "invalid_client", cause: "client_id"},
		{name: "other method", config: func(c *vipps.Config) { c.ClientAuth = vipps.ClientAuthPost }, want: vipps.AnswerNo, code: "invalid_client", cause: "client_secret_basic"},
		{name: "401 of a gateway", bring: fails(http.StatusUnauthorized, `{"title":"Unauthorized"}`), want: vipps.AnswerNo, code: vipps.CodeHTTP, cause: "client_id"},
		{name: "429", bring: fails(http.StatusTooManyRequests, ""), want: vipps.AnswerUnknown, code: vipps.CodeHTTP, cause: "slow down"},
		{name: "HTML of a gateway", bring: fails(http.StatusBadGateway, ""), want: vipps.AnswerUnknown, code: vipps.CodeHTTP, cause: "status.vippsmobilepay.com"},
		{name: "200 with HTML", bring: fails(http.StatusOK, "<html>hello"), want: vipps.AnswerUnknown, code: vipps.CodeInvalidResponse},
		{name: "connection dropped", bring: fails(0, ""), want: vipps.AnswerUnknown, code: vipps.CodeUnreachable, cause: "firewall"},
		{
			name: "a redirect of a captive portal", bring: fails(http.StatusFound, "<html>"),
			want: vipps.AnswerUnknown, code: vipps.CodeRedirect, cause: "captive portal",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := startEmulator(t, nil)
			cfg := vipps.Config{Issuer: srv.Issuer, ClientID: clientID, ClientSecret: clientSecret}
			if tt.config != nil {
				tt.config(&cfg)
			}
			if tt.bring != nil {
				if err := tt.bring(srv.Control()); err != nil {
					t.Fatal(err)
				}
			}
			got := newClient(t, cfg).ProbeClient(t.Context(), appCallback)
			checkProbe(t, got, tt.want, tt.code, tt.cause)
			if got.Answer != vipps.AnswerUnknown && (!got.Dated || got.ClockSkew.Abs() > 5*time.Second) {
				t.Errorf("the clock: %v %v", got.Dated, got.ClockSkew)
			}
		})
	}
}

func fails(status int, body string) func(*emulator.Control) error {
	return func(c *emulator.Control) error { return c.FailNext(emulator.EndpointToken, 1, status, body) }
}

func checkProbe(t *testing.T, got vipps.Probe, want vipps.Answer, code, cause string) {
	t.Helper()
	if got.Answer != want || (got.Err != nil) != (code != "") || got.Err != nil && got.Err.Code != code {
		t.Errorf("%s %v, want %s %s", got.Answer, got.Err, want, code)
	}
	if got.Err == nil {
		return
	}
	if text := strings.Join(got.Err.Causes(), "\n"); !strings.Contains(text, cause) || strings.Contains(text+got.Err.Error(), clientSecret) {
		t.Errorf("causes: %s; want %s", text, cause)
	}
}

// Nothing that a person could finish begins, and no secret travels, when a redirect URI is asked about.
func TestProbeRedirectURI(t *testing.T) {
	t.Parallel()
	srv := startEmulator(t, nil)
	c := newClient(t, vipps.Config{Issuer: srv.Issuer, ClientID: clientID, ClientSecret: clientSecret})
	checkProbe(t, c.ProbeRedirectURI(t.Context(), appCallback), vipps.AnswerYes, "", "")
	checkProbe(t, c.ProbeRedirectURI(t.Context(), appCallback+"/"), vipps.AnswerNo, "invalid_request", "not registered")
	if p := c.ProbeRedirectURI(t.Context(), "http://app.example.com/"); p.Answer != vipps.AnswerUnknown || p.Err == nil {
		t.Errorf("%+v", p)
	}
	unknown := newClient(t, vipps.Config{Issuer: srv.Issuer, ClientID: "another", ClientSecret: clientSecret})
	checkProbe(t, unknown.ProbeRedirectURI(t.Context(), appCallback), vipps.AnswerNo, "invalid_client", "client_id")
	nin := newClient(t, vipps.Config{Issuer: srv.Issuer, ClientID: clientID, ClientSecret: clientSecret, Scopes: []string{"api_version_2"}})
	checkProbe(t, nin.ProbeRedirectURI(t.Context(), appCallback), vipps.AnswerNo, "invalid_scope", "scope")
}

func TestProbeUnreachable(t *testing.T) {
	t.Parallel()
	srv := startEmulator(t, nil)
	c := newClient(t, vipps.Config{Issuer: srv.Issuer, ClientID: clientID, ClientSecret: clientSecret})
	_ = srv.Close()
	checkProbe(t, c.ProbeClient(t.Context(), appCallback), vipps.AnswerUnknown, vipps.CodeUnreachable, "vippsauth emulator")
	checkProbe(t, c.ProbeRedirectURI(t.Context(), appCallback), vipps.AnswerUnknown, vipps.CodeUnreachable, "vippsauth emulator")
}

// The answers that providers are known to give, or that Vipps' documents leave open.
func TestReadAuthorizeAnswer(t *testing.T) {
	t.Parallel()
	const page = `<h1>Uff da, noe gikk galt</h1><p>Error: invalid_request</p><p>The "redirect_uri" provided with your request does not match any of your preregistered URIs</p>`
	for _, tt := range []struct {
		name           string
		status         int
		location, body string
		want           vipps.Answer
		code           string
	}{
		{"on to the landing page", 302, "https://api.vipps.no/vipps-login-idp/index.html?tabId=1", "", vipps.AnswerYes, ""},
		{"303 of a newer engine", 303, "https://api.vipps.no/vipps-login-idp/index.html", "", vipps.AnswerYes, ""},
		{"a silent miss", 302, "https://app.example.com/_vipps/callback?error=login_required&state=1", "", vipps.AnswerYes, ""},
		{"an error page after a redirect", 302, "https://api.vipps.no/error?error=invalid_request&error_description=not+preregistered", "", vipps.AnswerNo, "invalid_request"},
		{"back with invalid_scope", 302, "https://app.example.com/_vipps/callback?error=invalid_scope&state=1", "", vipps.AnswerNo, "invalid_scope"},
		{"back with something of its own", 302, "https://app.example.com/_vipps/callback?error=server_error&state=1", "", vipps.AnswerUnknown, "server_error"},
		{"the error page", 400, "", page, vipps.AnswerNo, "invalid_request"},
		{"the error page with 200", 200, "", page, vipps.AnswerNo, "invalid_request"},
		{"JSON", 401, "", `{"error":"invalid_client","error_description":"unknown"}`, vipps.AnswerNo, "invalid_client"},
		{"a login page whose script knows the words", 200, "", `<script>codes=["invalid_request"]</script>`, vipps.AnswerUnknown, ""},
		{"a redirect to nowhere", 302, "", "", vipps.AnswerUnknown, ""},
		{"a gateway", 502, "", "<html>502 Bad Gateway", vipps.AnswerUnknown, vipps.CodeHTTP},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{}
			if tt.location != "" {
				h.Set("Location", tt.location)
			}
			checkProbe(t, vipps.ReadAuthorizeAnswer(tt.status, h, []byte(tt.body)), tt.want, tt.code, "")
		})
	}
}

func FuzzReadAuthorizeAnswer(f *testing.F) {
	f.Add(302, "https://api.vipps.no/vipps-login-idp/index.html?tabId=1", []byte(nil))
	f.Add(302, "https://app.example.com/?error=invalid_request&error_description=4712345678", []byte(nil))
	f.Add(400, "", []byte(`{"error":"invalid_client","error":"x"}`))
	f.Add(200, "", []byte("Error: invalid_request"))
	f.Fuzz(func(t *testing.T, status int, location string, body []byte) {
		p := vipps.ReadAuthorizeAnswer(status, http.Header{"Location": {location}}, body)
		if p.Answer != vipps.AnswerYes && p.Answer != vipps.AnswerNo && p.Answer != vipps.AnswerUnknown || p.Answer == vipps.AnswerNo && p.Err == nil {
			t.Errorf("%+v", p)
		}
		if p.Err != nil && (len(p.Err.Code) > 64 || strings.ContainsAny(p.Err.Error(), "\n\r\x1b")) {
			t.Errorf("%q", p.Err.Error())
		}
	})
}

func ExampleClient_ProbeClient() {
	const callback = "http://localhost:4190/_vipps/callback"
	srv, err := emulator.Start("127.0.0.1:0", emulator.Config{
		Clients: []emulator.Client{{ID: "shop", Secret: "not-a-secret", RedirectURIs: []string{callback}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = srv.Close() }()
	client, err := vipps.New(vipps.Config{Issuer: srv.Issuer, ClientID: "shop", ClientSecret: "guessed"})
	if err != nil {
		fmt.Println(err)
		return
	}
	keys := client.ProbeClient(context.Background(), callback)
	fmt.Println(keys.Answer, keys.Err.Code)
	fmt.Println(client.ProbeRedirectURI(context.Background(), callback).Answer)
	// Output:
	// no invalid_client
	// yes
}

func ExampleReadAuthorizeAnswer() {
	answer := http.Header{"Location": {"https://api.vipps.no/vipps-login-idp/index.html"}}
	fmt.Println(vipps.ReadAuthorizeAnswer(http.StatusFound, answer, nil).Answer)
	// Output: yes
}
