package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/merchant"
	"github.com/vippsauth/vippsauth/vipps"
)

// Attack: pings by whoever knows the address, and the id of a login that waits: forged, replayed, old, or signed and of a login that isn't
// ours. No token request comes of any. The one that Vipps signs, of a login that waits, makes one poll out of turn, and one only.
func TestSec_A148_OnlySignedPingsOfLoginsThatWaitMakeAPoll(t *testing.T) {
	t.Parallel()
	s := startTill(t, func(c *config) {
		c.merchant.callers = []string{"till=" + merchant.HashToken(tillToken)}
		c.webhookSecrets, c.registeredURL = []vipps.Secret{hookSecret}, "http://localhost:4190/hooks"
	})
	control := s.emu.Control()
	if err := control.MerchantInterval(time.Hour); err != nil { // so that every poll is a ping's
		t.Fatal(err)
	}
	id, over := s.start("4790000001"), s.start("4790000002")
	var waits, ended string
	for _, l := range control.MerchantLogins() {
		if l.Phone == "4790000001" {
			waits = `{"auth_req_id":"` + l.AuthReqID + `"}`
		} else {
			ended = `{"auth_req_id":"` + l.AuthReqID + `"}`
		}
	}
	if status, _ := s.text(http.MethodDelete, "/_vipps/merchant/logins/"+over, "", "Authorization", "Bearer "+tillToken); status != http.StatusNoContent {
		t.Fatalf("cancel: %d", status)
	}
	post := func(body string, headers map[string]string) int {
		t.Helper()
		var flat []string
		for name, value := range headers {
			flat = append(flat, name, value)
		}
		status, _ := s.text(http.MethodPost, "/_vipps/webhook", body, flat...)
		return status
	}
	metrics := func() string {
		t.Helper()
		resp, err := http.Get("http://" + s.ops + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		text, _ := io.ReadAll(resp.Body)
		return string(text)
	}
	now := time.Now()
	bare := signedWith(hookSecret, now, waits)
	delete(bare, "Authorization")
	for name, headers := range map[string]map[string]string{
		"unsigned": nil, "no Authorization": bare, "of another secret": signedWith("190a478d-37ff-4e77-970e-d457aeb26a3a", now, waits), "of another body": signedWith(hookSecret, now, waits+" "),
		"a bearer": {"Authorization": "Bearer " + tillToken},
	} {
		if status := post(waits, headers); status != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, status)
		}
	}
	for _, body := range []string{ended, `{"auth_req_id":"made-up"}`, `{"auth_req_id":"` + id + `"}`} {
		if status := post(body, signedWith(hookSecret, now, body)); status != http.StatusOK {
			t.Errorf("signed, of a login that doesn't wait: %d", status)
		}
	}
	if status := post(waits, signedWith(hookSecret, now.Add(-time.Hour), waits)); status != http.StatusOK {
		t.Errorf("an old one: %d", status)
	}
	const pings = "vippsauth_webhook_pings_total"
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(metrics(), pings+`{waited_for="no"} 3`); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the signed ones reach nobody")
		}
	}
	if strings.Contains(metrics(), pings+`{waited_for="yes"} 1`) || control.Calls()["token"] != 0 {
		t.Errorf("a forged ping reaches the login, %d token requests", control.Calls()["token"])
	}
	if err := control.MerchantApprove("4790000001"); err != nil {
		t.Fatal(err)
	}
	headers := signedWith(hookSecret, now, waits)
	for range 5 {
		if status := post(waits, headers); status != http.StatusOK {
			t.Errorf("signed: %d", status)
		}
	}
	if _, text := s.text(http.MethodGet, "/_vipps/merchant/logins/"+id+"?wait=25", "", "Authorization", "Bearer "+tillToken); !strings.Contains(text, `"state":"approved"`) {
		t.Errorf("the ping has woken nobody: %.60s", text)
	}
	if n := control.Calls()["token"]; n != 1 || !strings.Contains(metrics(), pings+`{waited_for="yes"} 1`) {
		t.Errorf("%d token requests", n)
	}
}

// Attack: somebody's telephone is rung by a service whose operator has set no limits. It has those of the package.
func TestSec_A154_B037_TheServiceLimitsByDefault(t *testing.T) {
	t.Parallel()
	s := startTill(t, func(c *config) { c.merchant.callers = []string{"till=" + merchant.HashToken(tillToken)} })
	for i := range 5 {
		status, text := s.text(http.MethodPost, "/_vipps/merchant/logins", `{"phone":"+47 90 00 00 01"}`, "Authorization", "Bearer "+tillToken, "Content-Type", "application/json")
		if want := map[bool]int{true: http.StatusCreated, false: http.StatusTooManyRequests}[i < 3]; status != want {
			t.Errorf("start %d: %d %.60s, want %d", i+1, status, text, want)
		}
	}
	if n := len(s.emu.Control().MerchantLogins()); n != 3 {
		t.Errorf("%d messages", n)
	}
}
