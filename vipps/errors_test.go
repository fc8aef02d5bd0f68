package vipps_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps"
)

// respond makes a handler of a status, a content type and a body.
func respond(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func causes(err error) string {
	var e *vipps.Error
	if !errors.As(err, &e) {
		return ""
	}
	return strings.Join(e.Causes(), "\n")
}

func TestTokenErrors(t *testing.T) {
	t.Parallel()
	const js = "application/json;charset=UTF-8"
	for _, tt := range []struct {
		name      string
		status    int
		kind      string
		body      string
		code      string
		temporary bool
		cause     string // in Causes
	}{
		{"invalid_grant", 400, js, string(readTestdata(t, "error-invalid-grant.json")), "invalid_grant", false, "code was used before"},
		{"swagger", 400, js, string(readTestdata(t, "error-swagger.json")), "invalid_request", false, "redirect URI"},
		{"error_code", 400, js, string(readTestdata(t, "error-old-app.json")), "old_app", false, ""},
		{"invalid_client", 401, js, `{"error":"invalid_client"}`, "invalid_client", false, "client_auth is basic, but the portal says client_secret_post"},
		{"raw secrets", 401, js, `{"error":"invalid_client"}`, "invalid_client", false, "basic-raw"},
		{"no body", 401, "", "", vipps.CodeHTTP, false, "client_id or client_secret is wrong"},
		{"inactive", 400, js, `{"error":"invalid_request","error_description":"The client or its related sales unit or merchant does not exist or is not active"}`, "invalid_request", false, "sales unit is not active"},
		{"unauthorized_client", 400, js, `{"error":"unauthorized_client"}`, "unauthorized_client", false, "turn on Login"},
		{"invalid_scope", 400, js, `{"error":"invalid_scope"}`, "invalid_scope", false, "scopes"},
		{"HTML 502", 502, "text/html", "<html>Bad Gateway</html>", vipps.CodeHTTP, true, "problem of its own"},
		{"429", 429, js, `{"type":"x","title":"Too Many Requests","status":"429"}`, vipps.CodeHTTP, true, "slow down"},
		{"500", 500, js, `{"error":"server_error"}`, "server_error", true, "problem of its own"},
		{"problem details", 403, "application/problem+json", string(readTestdata(t, "error-userinfo.json")), vipps.CodeHTTP, false, ""},
		{"array", 400, js, `[]`, vipps.CodeHTTP, false, ""},
		{"error is an object", 400, js, `{"error":{"code":1}}`, vipps.CodeHTTP, false, ""},
		{"error is a page", 400, js, `{"error":"<b>x</b>"}`, vipps.CodeUnknown, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t)
			p.handle(tokenPath, respond(tt.status, tt.kind, tt.body))
			_, err := p.login(p.client())
			e := refused(t, err, tt.code)
			if e.Stage != vipps.StageToken || e.Status != tt.status || e.Temporary() != tt.temporary || isUnavailable(e) != tt.temporary {
				t.Errorf("error is %+v", e)
			}
			if got := causes(err); !strings.Contains(got, tt.cause) {
				t.Errorf("causes are %q, want %q among them", got, tt.cause)
			}
		})
	}
}

// What a provider says may quote what we sent, and our logs are read by many.
func TestSec_A081_DescriptionsAreClean(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.handle(tokenPath, func(w http.ResponseWriter, r *http.Request) {
		body := `{"error":"invalid_grant","error_description":"no code ` + r.PostForm.Get("code") + ` verifier ` + r.PostForm.Get("code_verifier") +
			` secret ` + clientSecret + ` for +4712345678, kari@example.com\u001b[31m\n<b>` + strings.Repeat(" word", 100) + `"}`
		respond(400, "application/json", body)(w, r)
	})
	_, err := p.login(p.client())
	e := refused(t, err, "invalid_grant")
	r := p.last(tokenPath)
	for _, text := range []string{e.Description, e.Error()} {
		for _, secret := range []string{r.PostForm.Get("code"), r.PostForm.Get("code_verifier"), clientSecret, "12345678", "kari@", "\x1b", "\n"} {
			if strings.Contains(text, secret) {
				t.Errorf("%q is in %q", secret, text)
			}
		}
	}
	if len(e.Description) > 200 {
		t.Errorf("the description has %d bytes", len(e.Description))
	}
	if got := vipps.CleanText("The redirect_uri https://app.example/callback is unknown."); !strings.Contains(got, "https://app.example/callback") {
		t.Errorf("a harmless URL became %q", got)
	}
}

func TestUserinfoErrors(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.handle(userinfoPath, respond(401, "application/json", string(readTestdata(t, "error-userinfo.json"))))
	_, err := p.login(p.client())
	e := refused(t, err, vipps.CodeHTTP)
	if e.Stage != vipps.StageUserinfo || e.Status != 401 || !strings.Contains(e.Description, "didn't validate") {
		t.Errorf("error is %+v", e)
	}
	if !strings.Contains(causes(err), "access token") {
		t.Errorf("causes are %q", causes(err))
	}
	for name, body := range map[string]string{"names twice": `{"sub":"` + testSub + `","sub":"x"}`, "array": "[]", "empty": "", "text": `"x"`} {
		p := newProvider(t)
		p.handle(userinfoPath, respond(200, "application/json", body))
		if _, err := p.login(p.client()); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestAuthorizeErrors(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		code      string
		temporary bool
		cause     string
	}{
		{"access_denied", false, ""},
		{"login_required", false, ""},
		{"interaction_required", false, ""},
		{"wrong_challenge", false, ""},
		{"outdated_app_version", false, ""},
		{"unknown_reject_reason", false, ""},
		{"server_error", true, "problem of its own"},
		{"temporarily_unavailable", true, "problem of its own"},
		{"invalid_scope", false, "not available to this sales unit"},
		{"app_callback_uri_not_registered", false, "not registered"},
	} {
		p := newProvider(t)
		_, err := p.login(p.client(), errorCallback(tt.code))
		e := refused(t, err, tt.code)
		if e.Stage != vipps.StageAuthorize || e.Temporary() != tt.temporary || isUnavailable(err) || isState(err) {
			t.Errorf("%s: error is %+v", tt.code, e)
		}
		if got := causes(err); !strings.Contains(got, tt.cause) || (tt.cause == "") != (got == "") {
			t.Errorf("%s: causes are %q", tt.code, got)
		}
	}
}

func TestSec_D10_Clocks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		offset time.Duration // the provider's clock minus ours
		code   string
		causes []string
	}{
		{30 * time.Second, "", nil},
		{-30 * time.Second, "", nil},
		{59 * time.Second, "", nil},
		{2 * time.Minute, vipps.CodeIssuedInFuture, []string{"clock is behind", "from 120 seconds in the future", "is 120 seconds behind the provider's"}},
		{10 * time.Minute, vipps.CodeIssuedInFuture, []string{"600 seconds"}},
		{-2 * time.Minute, "", nil}, // an older token is none from the future
		{-11 * time.Minute, vipps.CodeTooOld, []string{"clock is ahead", "660 seconds old", "seconds ahead of the provider's"}},
		{-2 * time.Hour, vipps.CodeExpired, []string{"clock is ahead", "expired 3600 seconds ago"}},
	} {
		t.Run(tt.offset.String(), func(t *testing.T) {
			t.Parallel()
			p := newProvider(t)
			p.offset = tt.offset
			_, err := p.login(p.client())
			if tt.code == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			refused(t, err, tt.code)
			for _, want := range tt.causes {
				if got := causes(err); !strings.Contains(got, want) {
					t.Errorf("causes are %q, want %q among them", got, want)
				}
			}
		})
	}
}

func TestSec_TransportErrors(t *testing.T) {
	t.Parallel()
	t.Run("closed port", func(t *testing.T) {
		t.Parallel()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		c := newClient(t, vipps.Config{Issuer: "http://" + l.Addr().String() + "/", ClientID: "c", ClientSecret: "secret"})
		e := refused(t, begin(c), vipps.CodeUnreachable)
		if !e.Temporary() || !isUnavailable(e) || !strings.Contains(causes(e), "vippsauth emulator") {
			t.Errorf("error is %+v", e)
		}
	})
	t.Run("D06 unknown CA", func(t *testing.T) {
		t.Parallel()
		srv := httptest.NewUnstartedServer(http.NotFoundHandler())
		srv.Config.ErrorLog = discardLog()
		srv.StartTLS()
		t.Cleanup(srv.Close)
		c := newClient(t, vipps.Config{Issuer: srv.URL + "/", ClientID: "c", ClientSecret: "secret"})
		e := refused(t, begin(c), vipps.CodeTLS)
		if e.Temporary() || !isUnavailable(e) || !strings.Contains(causes(e), "certificate") {
			t.Errorf("error is %+v", e)
		}
	})
	t.Run("D04 no answer", func(t *testing.T) {
		t.Parallel()
		p := newProvider(t)
		release := make(chan struct{})
		t.Cleanup(func() { close(release) })
		p.handle(tokenPath, func(http.ResponseWriter, *http.Request) { <-release })
		cfg := p.config()
		cfg.HTTPClient = &http.Client{Timeout: 200 * time.Millisecond}
		_, err := p.login(newClient(t, cfg))
		if e := refused(t, err, vipps.CodeTimeout); !isUnavailable(e) {
			t.Errorf("error is %+v", e)
		}
		if n := p.calls(tokenPath); n != 1 {
			t.Errorf("the token endpoint was called %d times", n)
		}
	})
	t.Run("caller gone", func(t *testing.T) {
		t.Parallel()
		p := newProvider(t)
		c := p.client()
		pending, to, err := c.BeginLogin(context.Background(), vipps.LoginRequest{RedirectURI: redirectURI})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err = c.FinishLogin(ctx, pending, p.authorize(to))
		refused(t, err, vipps.CodeCanceled)
	})
}

func TestErrorText(t *testing.T) {
	t.Parallel()
	e := &vipps.Error{Stage: vipps.StageToken, Code: "invalid_grant", Status: 400, Description: "too late", Err: errors.New("vipps: inner")}
	if got, want := e.Error(), `vipps: token: invalid_grant (HTTP 400): "too late": inner`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if (&vipps.Error{}).Causes() != nil {
		t.Error("a zero error has causes")
	}
}
