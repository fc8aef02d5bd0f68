package integration_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

const qrLanding = "/_vipps/callback/qr"

// scanned scans a code of an emulator as Åse, and returns where her phone's browser goes; "" where the login ends in the app.
func scanned(t *testing.T, emulator, id string) string {
	t.Helper()
	resp, err := http.Post(emulator+"/_emulator/scan-qr", "application/json", strings.NewReader(`{"id":"`+id+`","phone":"`+phoneAase+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the emulator says %d", resp.StatusCode)
	}
	return resp.Header.Get("Location")
}

// Both kinds of QR codes, as the example has them: the kiosk prints who scanned its code, and no other; and the phone's browser is
// logged in after a click, by which the application gets to know the code.
func TestQRExample(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	need(t, "jq")
	f := newFront(t)
	dir := t.TempDir()
	sample, entry := exampleCaller(t, dir, "kiosk.token", "qr/vippsauth.yaml", "kiosk")
	emulator := exampleService(t, f, dir, "qr/vippsauth.yaml", sample, entry)
	tell(t, emulator, "add-qr", `{"id":"oKAz7q1O","description":"Kiosk","client_id":"vippsauth-demo","callback_uri":"`+f.origin+`/_vipps/qr"}`)
	tell(t, emulator, "add-qr", `{"id":"another","description":"Another","client_id":"vippsauth-demo","callback_uri":"`+f.origin+`/_vipps/qr"}`)
	tell(t, emulator, "add-qr", `{"id":"door","description":"Front door","client_id":"vippsauth-demo","redirect_uri":"`+f.origin+qrLanding+`"}`)

	script, err := filepath.Abs("../examples/qr/kiosk.sh")
	if err != nil {
		t.Fatal(err)
	}
	kiosk := start(t, script, command{name: "kiosk.sh", tells: true, env: []string{"VIPPSAUTH_URL=" + f.origin, "VIPPSAUTH_TOKEN_FILE=" + filepath.Join(dir, "kiosk.token")}})
	scanned(t, emulator, "another")
	scanned(t, emulator, "oKAz7q1O")
	kiosk.says(`"qr_id":"oKAz7q1O"`)
	kiosk.says(nameAase)
	if strings.Contains(kiosk.out.String(), "another") {
		t.Errorf("the kiosk gets the login of another code: %s", kiosk.out.String())
	}

	b, hits := f.browser(), f.app.hits()
	page := b.open(scanned(t, emulator, "door"))
	if f.app.hits() != hits || !strings.Contains(page.text, "Åse Ø.") {
		t.Fatalf("the link alone: %d at %v: %s", page.StatusCode, b.trail, page.words())
	}
	page = b.press(page, "^(Continue|Fortsett)")
	got := f.app.last().Header
	if page.StatusCode != http.StatusOK || f.app.hits() == hits || got.Get("X-Vipps-Name") != nameAase || got.Get("X-Vipps-Qr-Id") != "door" ||
		got.Get("X-Vipps-Qr-Description") != "Front door" {
		t.Errorf("%d at %v: the app gets %v", page.StatusCode, b.trail, got)
	}
}
