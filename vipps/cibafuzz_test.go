package vipps_test

import (
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps"
)

// An acknowledgement gives a login that ends, and a wait that is one, or a typed error.
func FuzzSec_A144_Acknowledgement(f *testing.F) {
	c := fuzzClient(f)
	for _, body := range []string{
		`{"auth_req_id":"VYGaaAMRkI6SyAm_uIywhxsN2K0","expires_in":600,"interval":5}`,
		`{"auth_req_id":"a","expires_in":1e999}`, `{"auth_req_id":"a","expires_in":"600"}`, `{"auth_req_id":"a","expires_in":-0,"interval":-1e300}`,
		`{"auth_req_id":"a","auth_req_id":"b","expires_in":1}`, `{"auth_req_id":"a\u0000","expires_in":0.5,"interval":null}`,
		`{"error_code":"old_app"}`, `{"error":"unknown_user_id","error_description":"909 00 123"}`, `[]`, ``,
	} {
		f.Add([]byte(body))
	}
	started := newClock().Now()
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := c.Acknowledge(started, body)
		if err != nil {
			typed(t, err)
			return
		}
		life := p.Expires.Sub(started)
		if p.AuthReqID == "" || len(p.AuthReqID) > 1024 || strings.ContainsFunc(p.AuthReqID, func(r rune) bool { return r <= ' ' || r > '~' }) ||
			life <= 0 || life > time.Hour || p.Interval < time.Second || p.Interval > time.Hour {
			t.Fatalf("%q gave %v every %v", body, life, p.Interval)
		}
		// Whatever was acknowledged, the polls come to an end.
		s, now := vipps.NewPolling(p, started), started
		for range 4000 {
			at, over := s.Next()
			if over {
				return
			}
			if at.Before(now.Add(p.Interval)) {
				t.Fatalf("a poll %v after the last answer", at.Sub(now))
			}
			now = at
			s.Answered(&vipps.Error{Stage: vipps.StageToken, Code: "authorization_pending"}, now)
		}
		t.Fatal("polls without end")
	})
}

// Whatever somebody gives as a number, a token, a scope or a code: the hint is one of three forms, every field stands once,
// and no field stands there that wasn't asked for; or it is refused with the field's name.
func FuzzSec_A153_MerchantLoginRequest(f *testing.F) {
	for _, seed := range []string{"4790900123", "+47 909 00 123", "12345678&scope=nin", "4790900123\r\n", "+46 (0)70 123 45 67", "\uff0b\uff14\uff1790900123", "47%26scope", "+358 401234567", "urn:msisdn:4790900123"} {
		f.Add(seed, "", "name", "4MZ-CQ3", 600, false)
		f.Add(seed, "", "name nin", "ABCDE", 60, true)
		f.Add("", seed, "", "A&b=c", 0, false)
	}
	hint := regexp.MustCompile(`^urn:(msisdn:(4[567]|29[89]|358)[0-9]{6,11}|mobilenumber:[1-9][0-9]{7}|customer-token:[A-Za-z0-9._~+/:=-]{1,})$`)
	fields := []string{"binding_message", "login_hint", "nonce", "requested_expiry", "scope", "state"}
	f.Fuzz(func(t *testing.T, phone, token, scope, message string, seconds int, legacy bool) {
		r := vipps.MerchantLoginRequest{Phone: phone, CustomerToken: token, Scopes: []string{scope}, BindingMessage: message, Expiry: time.Duration(seconds) * time.Second, LegacyHint: legacy}
		form, err := r.Form()
		if err != nil {
			var e *vipps.ConfigError
			if !errors.As(err, &e) || e.Setting == "" {
				t.Fatal(err)
			}
			return
		}
		sent, err := url.ParseQuery(form.Encode())
		if err != nil {
			t.Fatal(err)
		}
		for name, values := range sent {
			if !slices.Contains(fields, name) || len(values) != 1 {
				t.Errorf("%s stands there: %q", name, values)
			}
		}
		if h := sent.Get("login_hint"); !hint.MatchString(h) {
			t.Errorf("the hint is %q", h)
		}
		if s := sent.Get("scope"); s != "openid" && s != "openid "+scope || strings.Count(s, " ") > 1 {
			t.Errorf("the scope is %q", s)
		}
		if m := sent.Get("binding_message"); !regexp.MustCompile(`\A[A-Z0-9-]{5,8}\z`).MatchString(m) {
			t.Errorf("the code is %q", m)
		}
	})
}
