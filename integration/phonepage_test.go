package integration_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// The page that plays the phones, in Chromium: messages arrive and go without a reload, and what somebody is ticking meanwhile stays.
func TestChromiumPhonePage(t *testing.T) {
	t.Parallel()
	const callback = "http://localhost:1/_vipps/callback/merchant"
	s, err := emulator.Start("127.0.0.1:0", emulator.Config{
		RSABits: 1024, Clients: []emulator.Client{{ID: "till", Secret: "not-a-secret", Name: "Butikken", RedirectURIs: []string{callback}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	begin := func(phone, code, scope string, more url.Values) string {
		t.Helper()
		form := url.Values{"login_hint": {"urn:msisdn:" + phone}, "binding_message": {code}, "scope": {scope}}
		for name, values := range more {
			form[name] = values
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/vipps-login-ciba/api/backchannel/authentication", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth("till", "not-a-secret")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		var answer struct {
			AuthReqID string `json:"auth_req_id"`
		}
		if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<16)).Decode(&answer); err != nil || answer.AuthReqID == "" {
			t.Fatalf("starting a login: %d %v", resp.StatusCode, err)
		}
		return answer.AuthReqID
	}

	c := startChromium(t)
	c.open(s.URL + "/_emulator/phone")
	c.sees("No message.")
	c.shoot("phone-nothing")
	c.do("marking the page", chromedp.Evaluate[chromedp.Void](`void (window.neverLoadedAgain = true)`))
	first := begin("4790000001", "ABC-123", "openid name delegatedConsents", nil)
	c.sees("ABC-123")
	if strings.Contains(c.text("body"), "No message.") {
		t.Error("a message, and none")
	}
	c.click("#consent-email-" + first)
	c.do("focusing", chromedp.Evaluate[chromedp.Void](`document.querySelector("#consent-sms-`+first+`").focus()`))
	second := begin("4790000002", "DEF-456", "openid", url.Values{"requested_flow": {"login_to_webpage"}, "redirect_uri": {callback}})
	c.sees("DEF-456")
	c.shoot("phone-two")
	if !look(c, chromedp.Evaluate[bool](`document.querySelector("#consent-email-`+first+`").checked && document.activeElement.id === "consent-sms-`+first+`" && window.neverLoadedAgain`)) {
		t.Error("a tick or the focus is lost, or the page was loaded again")
	}
	if order := look(c, chromedp.Evaluate[string](`[...document.querySelectorAll("#waiting > article")].map((a) => a.dataset.authReqId).join(" ")`)); order != second+" "+first {
		t.Errorf("order %q, want the newest first", order)
	}
	if err := s.Control().MerchantApprove(second); err != nil {
		t.Fatal(err)
	}
	c.waits("#over a.go") // answered elsewhere: the message goes, and the link is there
	if strings.Contains(c.text("#waiting"), "DEF-456") || !strings.HasPrefix(c.text("#over a.go"), callback+"?code=") {
		t.Errorf("%s", c.text("body"))
	}
	c.press("Approve")
	c.sees("Approved.")
	c.shoot("phone-approved")
	logins := s.Control().MerchantLogins()
	if logins[0].State != "approved" || logins[1].State != "approved" {
		t.Errorf("%+v", logins)
	}
	begin("4790000001", "GHI-789", "openid", nil)
	c.sees("GHI-789")
	c.press("Deny")
	c.sees("Denied.")
	c.clean()
	c.breakPolicy()
}
