package vipps_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps"
)

// Vipps' documents head the table of errors on the redirect with error_code, and write error_code=old_app elsewhere. Read as nothing, such
// an answer would be a callback without code and error, and the log would say so in place of what happened.
func TestErrorCodeInCallbacks(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	c := p.client()
	for query, want := range map[string]string{
		"error_code=outdated_app_version":                  "outdated_app_version",
		"error=wrong_challenge":                            "wrong_challenge",
		"error=wrong_challenge&error_code=server_error":    "wrong_challenge",
		"error=&error_code=access_denied":                  "access_denied",
		"error_code=%3Cscript%3E":                          vipps.CodeUnknown,
		"error_code=access_denied&error_code=server_error": vipps.CodeDuplicateParameter,
		"error_description=a&error_hint=b&error_hint=c":    vipps.CodeDuplicateParameter,
		"error_code=": vipps.CodeMissingCode,
		"error_code=access_denied&error_description=Not+mine": "access_denied",
	} {
		_, err := p.login(c, func(q url.Values) {
			q.Del("code")
			more, _ := url.ParseQuery(query)
			for name, values := range more {
				q[name] = values
			}
		})
		if e := refused(t, err, want); e.Stage != vipps.StageAuthorize {
			t.Errorf("%s: %v", query, e)
		}
	}
	if n := p.calls(tokenPath); n != 0 {
		t.Errorf("the token endpoint was called %d times", n)
	}
	// A code beside it is not redeemed.
	_, err := p.login(c, func(q url.Values) { q.Set("error_code", "server_error") })
	if refused(t, err, "server_error"); p.calls(tokenPath) != 0 {
		t.Error("a code beside an error was redeemed")
	}
	cb, err := vipps.ParseCallback(url.Values{"state": {"s"}, "error": {"invalid_request"}, "error_description": {"The request is not good."}, "error_hint": {"Say please."}})
	if want := "The request is not good. Say please."; err != nil || cb.Description != want {
		t.Errorf("description is %q, want %q; %v", cb.Description, want, err)
	}
	for query, want := range map[string]string{
		"state=abc&error_code=outdated_app_version":  "outdated_app_version",
		"state=abc?error_code=wrong_challenge":       "wrong_challenge",
		"state=abc&error=a_first&error_code=another": "a_first",
	} {
		q, _ := url.ParseQuery(query)
		if _, _, code, err := vipps.ParseAppCallback(q); code != want || err != nil {
			t.Errorf("%s: %q, %v", query, code, err)
		}
	}
	q, _ := url.ParseQuery("state=abc?error_code=a&error_code=b")
	_, _, _, err = vipps.ParseAppCallback(q)
	refused(t, err, vipps.CodeDuplicateParameter)

	// The authorize endpoint, asked by a probe.
	for _, probe := range []vipps.Probe{
		vipps.ReadAuthorizeAnswer(302, http.Header{"Location": {"https://app.example/cb?error_code=app_callback_uri_not_registered&state=x"}}, nil),
		vipps.ReadAuthorizeAnswer(400, nil, []byte(`{"error_code":"invalid_request"}`)),
		vipps.ReadAuthorizeAnswer(401, nil, []byte(`{"error":"invalid_request","error_code":400,"error_debug":"The request is missing a required parameter."}`)),
	} {
		if probe.Answer != vipps.AnswerNo {
			t.Errorf("a refusal is %s, %v", probe.Answer, probe.Err)
		}
	}
}

// What went wrong is in error_debug in the answers that Vipps' specification shows, and in those of older engines.
func TestErrorDebug(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	p.handle(tokenPath, respond(400, "application/json", string(readTestdata(t, "error-swagger.json"))))
	_, err := p.login(p.client())
	if e := refused(t, err, "invalid_request"); !strings.Contains(e.Description, "missing a required parameter") {
		t.Errorf("description is %q", e.Description)
	}
	p.handle(tokenPath, respond(400, "application/json", `{"error":"invalid_request","error_description":"It is malformed.","error_hint":"Look at code.","status_code":400,"error_debug":"It was empty."}`))
	_, err = p.login(p.client())
	if e, want := refused(t, err, "invalid_request"), "It is malformed. Look at code. It was empty."; e.Description != want {
		t.Errorf("description is %q, want %q", e.Description, want)
	}
}

// A Retry-After that is a date is by the provider's clock, as its Date header is: where ours is minutes ahead, the wait would be none at
// all, and where it is behind, far too long.
func TestRetryAfterIsByTheProvidersClock(t *testing.T) {
	t.Parallel()
	for _, offset := range []time.Duration{0, -20 * time.Minute, 20 * time.Minute} {
		p := newCIBA(t)
		p.offset = offset
		p.handle(backchannelPath, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", p.clock.Now().Add(offset).Add(90*time.Second).UTC().Format(http.TimeFormat))
			respond(429, "application/json", `{}`)(w, r)
		})
		_, err := p.client().StartMerchantLogin(t.Context(), vipps.MerchantLoginRequest{Phone: msisdn})
		if e := refused(t, err, vipps.CodeHTTP); e.RetryAfter != 90*time.Second {
			t.Errorf("their clock %s from ours: wait %s", offset, e.RetryAfter)
		}
	}
}

// The causes that an operator reads are those of the flow that failed: a till has no callback that was reloaded, and Vipps has withdrawn
// QR codes.
func TestCausesOfEachFlow(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		flow       string
		status     int
		body       string
		want, less string
	}{
		{"poll", 400, `{"error":"invalid_grant"}`, "auth_req_id", "callback"},
		{"poll", 400, `{"error":"invalid_request"}`, "description", "redirect URI"},
		{"poll", 400, `{"error":"unsupported_grant_type"}`, "merchant-initiated login", "authorization code flow"},
		{"poll", 400, `{"error":"unauthorized_client"}`, "merchant-initiated login", "authorization code flow"},
		{"poll", 400, `{"error":"old_app"}`, "", ""},
		{"browser", 400, `{"error":"invalid_grant"}`, "opened a second time", "public_url"},
		{"browser", 400, `{"error":"unsupported_grant_type"}`, "merchant-initiated login", "authorization code flow"},
		{"qr", 400, `{"error":"unsupported_grant_type"}`, "withdrawn", "authorization code flow"},
		{"qr", 400, `{"error":"invalid_request"}`, "withdrawn", "redirect URI"},
		{"qr", 400, `{"error":"invalid_grant"}`, "five minutes", "public_url"},
		{"qr redirect", 400, `{"error":"unauthorized_client"}`, "withdrawn", "authorization code flow"},
		{"login", 400, `{"error":"invalid_grant"}`, "public_url", "withdrawn"},
		{"login", 400, `{"error":"unsupported_grant_type"}`, "authorization code flow", "withdrawn"},
		{"start", 401, ``, "client_auth", ""},
		{"start", 401, `{"error":"invalid_client"}`, "client_auth", ""},
		{"start", 400, `{"error":"invalid_scope"}`, "nnin", ""},
		{"exists", 401, `<html>`, "client_auth", ""},
	} {
		p := newCIBA(t)
		c := p.client()
		pending := startMerchant(t, c, vipps.MerchantLoginRequest{})
		for _, path := range []string{tokenPath, backchannelPath, userExistsPath} {
			p.handle(path, respond(tt.status, "application/json", tt.body))
		}
		var err error
		switch tt.flow {
		case "poll":
			_, err = c.PollMerchantLogin(t.Context(), pending)
		case "browser":
			_, _, err = c.FinishMerchantLogin(t.Context(), url.Values{"code": {"x"}}, one(pending))
		case "qr":
			_, err = c.FinishQRLogin(t.Context(), &vipps.QRCallback{AuthReqID: authReqID})
		case "qr redirect":
			_, err = c.FinishQRRedirect(t.Context(), url.Values{"code": {"x"}})
		case "login":
			_, err = p.login(c)
		case "start":
			_, err = c.StartMerchantLogin(t.Context(), vipps.MerchantLoginRequest{Phone: msisdn})
		case "exists":
			_, err = c.UserExists(t.Context(), msisdn)
		}
		if err == nil {
			t.Fatalf("%s %s: no error", tt.flow, tt.body)
		}
		got := causes(err)
		if !strings.Contains(got, tt.want) || tt.less != "" && strings.Contains(got, tt.less) || tt.want == "" && got != "" {
			t.Errorf("%s %d %s: causes are %q", tt.flow, tt.status, tt.body, got)
		}
	}
	for code, want := range map[string]string{
		"invalid_app_callback_uri": "form", "app_callback_uri_not_registered": "not registered", "invalid_state": "state", "insufficient_entropy": "nonce",
	} {
		if got := causes(&vipps.Error{Stage: vipps.StageAuthorize, Code: code}); !strings.Contains(got, want) {
			t.Errorf("%s: causes are %q", code, got)
		}
	}
}

// The documents show no ID token of a merchant-initiated login with msn, and those before 2023 had none anywhere. With partner keys nothing
// else says for which merchant a token is, so it is refused; the operator has to learn which of the two it was.
func TestPartnerTokensWithoutMSN(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		msn  any
		want string
	}{"none": {nil, "has no msn"}, "another": {"654321", "another sales unit"}, "a number": {123456, "has no msn"}} {
		p := partnerProvider(t)
		p.idToken = func(c claims) {
			c["aud"] = merchantID
			if tt.msn != nil {
				c["msn"] = tt.msn
			}
		}
		_, err := p.login(partnerClient(p, nil))
		if refused(t, err, vipps.CodeMerchant); !strings.Contains(causes(err), tt.want) {
			t.Errorf("%s: causes are %q", name, causes(err))
		}
	}
}
