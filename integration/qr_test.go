package integration_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

const officeToken = "the-office-s-own-token-of-a-caller-0123456789"

// asCaller asks the merchant API.
func (f *front) asCaller(token, path string) (int, string) {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, f.origin+"/_vipps/merchant/"+path, http.NoBody)
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	w, err := (&http.Client{Transport: f.transport()}).Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = w.Body.Close() }()
	var body json.RawMessage
	if err := json.NewDecoder(w.Body).Decode(&body); err != nil && w.StatusCode != http.StatusNoContent {
		f.t.Errorf("%s is answered with %d, and no JSON", path, w.StatusCode)
	}
	return w.StatusCode, string(body)
}

// QR codes of both kinds, from the scan to the end: a till's login reaches the till and no other caller, and one that ends in a
// browser asks who continues. Attack: a QR code's redirect is brought to where browsers' own logins come back, alone or with the state of one.
func TestSec_A165_A166_QRCodes(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.secrets.add("token of a caller", callerToken)
	f.secrets.add("token of another caller", officeToken)
	f.env = []string{fmt.Sprintf("VIPPSAUTH_MERCHANT_CALLERS=till=sha256:%x,office=sha256:%x", sha256.Sum256([]byte(callerToken)), sha256.Sum256([]byte(officeToken)))}
	f.sidecar("--qr=on", "--qr-callers=till-code=till,office-code=office")
	vipps := f.vipps.Control()
	for _, code := range []emulator.QRCode{
		{ID: "till-code", Description: "Till 1", ClientID: clientID, CallbackURI: f.origin + "/_vipps/qr"},
		{ID: "nobody-s-code", ClientID: clientID, CallbackURI: f.origin + "/_vipps/qr"},
		{ID: "door", Description: "The door", ClientID: clientID, RedirectURI: f.origin + "/_vipps/callback/qr"},
	} {
		if err := vipps.AddQR(code); err != nil {
			t.Fatal(err)
		}
	}
	scan := func(id string) string {
		t.Helper()
		to, err := vipps.ScanQR(id, phoneAase, true)
		if err != nil {
			t.Fatal(err)
		}
		return to
	}
	scan("nobody-s-code")
	scan("till-code")
	status, body := f.asCaller(callerToken, "qr-logins?wait=20")
	if status != http.StatusOK || !strings.Contains(body, nameAase) || !strings.Contains(body, `"qr_id":"till-code"`) || !strings.Contains(body, `"qr_description":"Till 1"`) {
		t.Errorf("the till gets %d %s", status, body)
	}
	for _, token := range []string{callerToken, officeToken} {
		if status, _ := f.asCaller(token, "qr-logins"); status != http.StatusNoContent {
			t.Errorf("another login is given: %d", status)
		}
	}

	exchanges := func() int { return vipps.Calls()[emulator.EndpointToken] }
	before, to := exchanges(), scan("door")
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	code := u.Query().Get("code")
	victim := f.browser()
	page := victim.open(f.origin + "/_vipps/callback?code=" + url.QueryEscape(code))
	if page.StatusCode == http.StatusOK || exchanges() != before || len(victim.cookies(f.origin)) > 1 {
		t.Errorf("a QR code's redirect at the callback: %d, %d exchanges: %s", page.StatusCode, exchanges()-before, page.words())
	}
	for _, query := range []string{"code=" + url.QueryEscape(code) + "&state=abc", "code=a&code=" + url.QueryEscape(code), "state=abc"} {
		if page := victim.open(f.origin + "/_vipps/callback/qr?" + query); page.StatusCode == http.StatusOK || exchanges() != before {
			t.Errorf("%s: %d, %d exchanges", query, page.StatusCode, exchanges()-before)
		}
	}

	b := f.browser()
	page = b.open(to)
	if hits := f.app.hits(); page.StatusCode != http.StatusOK || hits != 0 {
		t.Fatalf("%d at %v, %d requests at the app: %s", page.StatusCode, b.trail, hits, page.words())
	}
	b.press(page, "^(Continue as|Fortsett som)")
	if got := f.app.last(); got.Header.Get("X-Vipps-Name") != nameAase || got.URI != "/" {
		t.Errorf("the app was asked for %s as %q", got.URI, got.Header.Get("X-Vipps-Name"))
	}
	if page := f.browser().open(to); page.StatusCode == http.StatusOK {
		t.Errorf("the same address again: %s", page.words())
	}
}

// Without a word about them there are no QR logins.
func TestSec_A166_QRCodesAreOff(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.sidecar()
	w := f.get(f.origin + "/_vipps/callback/qr?code=a")
	if w.StatusCode != http.StatusNotFound {
		t.Errorf("the redirect of a QR code is answered with %d", w.StatusCode)
	}
	resp, err := (&http.Client{Transport: f.transport()}).Post(f.origin+"/_vipps/qr", "application/jose", strings.NewReader("a.b.c"))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound || f.app.hits() != 0 {
		t.Errorf("a QR callback is answered with %d", resp.StatusCode)
	}
}
