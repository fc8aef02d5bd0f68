package integration_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/merchant"
	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// merchantLogin is what a till is told of a login.
type merchantLogin struct {
	ID     string
	State  string
	Code   string
	Result struct {
		Sub    string
		Claims map[string]any
	}
}

// merchantCall asks the merchant API of a service as a till does.
func (f *front) merchantCall(method, path, token, body string, status int) (out merchantLogin) {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), method, f.origin+"/_vipps/merchant/"+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	client := http.Client{Timeout: 40 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: toLoopback}}
	w, err := client.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer w.Body.Close()
	text := readAll(f.t, w.Body)
	if w.StatusCode != status {
		f.t.Fatalf("%s %s: %d %s", method, path[:min(len(path), 10)], w.StatusCode, text)
	}
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		f.t.Fatal(err)
	}
	return out
}

// A power cut while the service asks about logins by phone number: the till asks on after the restart, and is told who approved
// meanwhile, and who didn't. The provider is asked no sooner than it allows, and the file on the disk tells nobody.
func TestSec_D30_LoginsByPhoneOutliveAPowerCut(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	token := vipps.NewStateID()
	f.secrets.add("the till's token", token)
	f.env = []string{"VIPPSAUTH_COOKIE_KEYS=" + cookieKey(t)}
	file := filepath.Join(t.TempDir(), "merchant_logins")
	flags := []string{"--merchant-callers=till-1=" + merchant.HashToken(token), "--merchant-file=" + file}
	f.sidecar(flags...)
	control := f.vipps.Control()
	if err := control.MerchantInterval(time.Second); err != nil {
		t.Fatal(err)
	}
	if err := control.Delay("token", 200*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	phones := []string{phoneAase, "4790000002", "4790000003"}
	var logins []merchantLogin
	for _, phone := range phones {
		logins = append(logins, f.merchantCall(http.MethodPost, "logins", token, `{"phone":"`+phone+`"}`, http.StatusCreated))
	}
	eventually(t, "somebody is asked about", func() bool { return control.Calls()["token"] > 0 })
	f.service.kill()
	for i, l := range control.MerchantLogins() {
		f.secrets.add("an auth_req_id", l.AuthReqID)
		if l.State != "waiting" || l.Code != logins[i].Code {
			t.Fatalf("%d is %s", i, l.State)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil || len(text) == 0 || len(f.secrets.in(string(text))) != 0 {
		t.Errorf("the file tells, or: %v", err)
	}
	for _, phone := range phones {
		if strings.Contains(string(text), phone) {
			t.Error("the file holds a phone number")
		}
	}
	eventually(t, "the last polls are answered, to nobody", func() bool {
		answered := 0
		for _, call := range control.Log() {
			if call.Endpoint == emulator.EndpointToken {
				answered++
			}
		}
		return answered == control.Calls()[emulator.EndpointToken]
	})
	if err := control.MerchantApprove(phones[0]); err != nil {
		t.Fatal(err)
	}
	if err := control.MerchantDeny(phones[1], ""); err != nil {
		t.Fatal(err)
	}

	f.sidecar(flags...)
	if got := f.merchantCall(http.MethodGet, "logins/"+logins[0].ID+"?wait=25", token, "", http.StatusOK); got.State != "approved" && got.State != "delivered" || got.Result.Claims["name"] != nameAase {
		t.Errorf("who approved: %s", got.State)
	}
	if got := f.merchantCall(http.MethodGet, "logins/"+logins[1].ID+"?wait=25", token, "", http.StatusOK); got.State != "declined" {
		t.Errorf("who said no: %s", got.State)
	}
	if got := f.merchantCall(http.MethodGet, "logins/"+logins[2].ID+"?wait=2", token, "", http.StatusOK); got.State != "pending" || got.Code != logins[2].Code {
		t.Errorf("who didn't answer: %s", got.State)
	}
	for i, l := range control.MerchantLogins() {
		if l.Early > 0 || l.Overlapping > 0 || l.AfterEnd > 0 || l.Polls < 1 {
			t.Errorf("%d: of %d polls %d came early, %d at once, %d after the end", i, l.Polls, l.Early, l.Overlapping, l.AfterEnd)
		}
	}
	f.service.end()
	// Without the file what waits is lost, and said to be.
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	f.sidecar(flags...)
	if got := f.merchantCall(http.MethodGet, "logins/"+logins[2].ID+"?wait=2", token, "", http.StatusOK); got.State != "lost" {
		t.Errorf("without the file: %s", got.State)
	}
}
