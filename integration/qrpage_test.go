package integration_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// startEmulatorFor serves an emulator with one client, and a receiver that keeps what is posted to it and shows what it is asked.
func startEmulatorFor(t *testing.T, paths ...string) (s *emulator.Server, at string, posted chan string) {
	t.Helper()
	posted = make(chan string, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<16))
		if r.Method == http.MethodPost {
			posted <- string(body)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `<!doctype html><link rel="icon" href="data:,"><title>Shop</title><p>The shop was asked for %d things.`, len(r.URL.Query()))
	}))
	t.Cleanup(receiver.Close)
	client := emulator.Client{ID: "till", Secret: "not-a-secret", Name: "Butikken"}
	for _, path := range paths {
		client.RedirectURIs = append(client.RedirectURIs, receiver.URL+path)
	}
	s, err := emulator.Start("127.0.0.1:0", emulator.Config{RSABits: 1024, RetryScale: 1000, Clients: []emulator.Client{client}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, receiver.URL, posted
}

// The page that prints QR codes and scans them, in Chromium: both ways of ending, and a code that is set up there.
func TestChromiumQRPage(t *testing.T) {
	t.Parallel()
	s, at, posted := startEmulatorFor(t)
	c := startChromium(t)
	c.open(s.URL + "/_emulator/qr")
	c.sees("There is no QR code yet.")
	c.do("filling in", chromedp.Evaluate[chromedp.Void](`(() => {
		document.querySelector("#new-id").value = "oKAz7q1O";
		document.querySelector("#new-description").value = "Kiosk";
		document.querySelector("#new-uri").value = "`+at+`/_vipps/qr";
	})()`))
	c.press("Set up")
	c.sees("The QR code is set up.")
	for begin := time.Now(); !look(c, chromedp.Evaluate[bool](`document.querySelector(".qr img").naturalWidth > 100`)); time.Sleep(20 * time.Millisecond) {
		if time.Since(begin) > startsWithin { // the words stand there before the image does
			t.Fatal("the browser shows no image")
		}
	}
	c.press("Scan and cancel")
	c.sees("The person cancelled.")
	c.press("Scan and approve")
	c.sees("The callback is under way.")
	if jws := <-posted; strings.Count(jws, ".") != 2 {
		t.Errorf("the callback got %q", jws)
	}
	c.shoot("qr")
	if err := s.Control().AddQR(emulator.QRCode{ID: "door", ClientID: "till", RedirectURI: at + "/_vipps/callback/qr"}); err != nil {
		t.Fatal(err)
	}
	c.open(s.URL + "/_emulator/qr?id=door") // what is in the image
	c.shoot("qr-one")
	c.press("Scan and approve")
	c.sees("The shop was asked for 1 things.")
	if here := c.at(); !strings.HasPrefix(here, at+"/_vipps/callback/qr?code=") {
		t.Errorf("the phone's browser is at %s", here)
	}
	c.open(s.URL + "/_emulator/qr?id=door")
	c.clean()
	c.breakPolicy()
}

// The page of a login whose phone opens a browser: its link leads back here, and its address works as well elsewhere.
func TestChromiumReturnPage(t *testing.T) {
	t.Parallel()
	s, at, _ := startEmulatorFor(t, "/callback")
	c := startChromium(t)
	begin := func() {
		t.Helper()
		c.open(s.Issuer + "oauth2/auth?" + url.Values{
			"client_id": {"till"}, "response_type": {"code"}, "scope": {"openid"}, "state": {"12345678"}, "redirect_uri": {at + "/callback"},
			"requested_flow": {"automatic_return_from_vipps_app"}, "market": {"DK"},
		}.Encode())
		c.sees("MobilePay")
		c.click(`button[value="` + phoneAase + `"]`)
		c.waits(".challenge")
		c.click(`.numbers button[value="` + strings.TrimSpace(c.text(".challenge")) + `"]`)
		c.waits("#back")
	}
	begin()
	c.shoot("return")
	if elsewhere := look(c, chromedp.Evaluate[string](`document.querySelector("#elsewhere").value`)); !strings.HasPrefix(elsewhere, at+"/callback?code=") {
		t.Errorf("the address for elsewhere is %q", elsewhere)
	}
	c.clean()
	c.click("#back")
	c.sees("The shop was asked for 3 things.")
}
