package vipps_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"

	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// A printed QR code that ends in the app: Vipps tells the merchant's server, which asks who it was. What came before has to be
// remembered, or a callback that is sent twice would be two logins.
func ExampleClient_FinishQRLogin() {
	op, err := emulator.Start("127.0.0.1:0", emulator.Config{Clients: []emulator.Client{{ID: "shop", Secret: "not-a-secret"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = op.Close() }()
	client, err := vipps.New(vipps.Config{Issuer: op.Issuer, ClientID: "shop", ClientSecret: "not-a-secret"})
	if err != nil {
		fmt.Println(err)
		return
	}
	callbacks := make(chan *vipps.QRCallback, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 8<<10))
		if err != nil {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		switch callback, err := client.VerifyQRCallback(r.Context(), string(body)); {
		case errors.Is(err, vipps.ErrUnavailable):
			w.WriteHeader(http.StatusServiceUnavailable) // Vipps sends it again
		case errors.Is(err, vipps.ErrStale): // too late: nothing happens
		case err != nil:
			w.WriteHeader(http.StatusUnauthorized)
		default:
			callbacks <- callback // answered at once; the rest can wait
		}
	}))
	defer server.Close()

	// Somebody scans the code at till 1 and says yes.
	err = op.Control().AddQR(emulator.QRCode{ID: "oKAz7q1O", Description: "Till 1", ClientID: "shop", CallbackURI: server.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := op.Control().ScanQR("oKAz7q1O", emulator.FixturePeople()[0].Phone, true); err != nil {
		fmt.Println(err)
		return
	}
	login, err := client.FinishQRLogin(context.Background(), <-callbacks)
	if err != nil {
		fmt.Println(err)
		return
	}
	till, _ := login.User.Claim("qr_description")
	fmt.Println(login.User.Name == emulator.FixturePeople()[0].Name, "at", till)
	// Output: true at Till 1
}

// A printed QR code that ends in a browser. Nothing says that this browser is the person's: before there is a session, ask "Continue as …?".
func ExampleClient_FinishQRRedirect() {
	op, err := emulator.Start("127.0.0.1:0", emulator.Config{Clients: []emulator.Client{{ID: "shop", Secret: "not-a-secret"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = op.Close() }()
	client, err := vipps.New(vipps.Config{Issuer: op.Issuer, ClientID: "shop", ClientSecret: "not-a-secret"})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = op.Control().AddQR(emulator.QRCode{ID: "door", ClientID: "shop", RedirectURI: "http://localhost:4190/_vipps/callback/qr"})
	if err != nil {
		fmt.Println(err)
		return
	}
	opened, err := op.Control().ScanQR("door", emulator.FixturePeople()[0].Phone, true)
	if err != nil {
		fmt.Println(err)
		return
	}
	address, err := url.Parse(opened)
	if err != nil {
		fmt.Println(err)
		return
	}
	login, err := client.FinishQRRedirect(context.Background(), address.Query())
	if err != nil {
		fmt.Println(err)
		return
	}
	code, _ := login.User.Claim("qr_id")
	fmt.Println(login.User.Name == emulator.FixturePeople()[0].Name, code)

	// The address of a browser's own login is not one of these.
	_, err = client.FinishQRRedirect(context.Background(), url.Values{"code": {"x"}, "state": {"y"}})
	fmt.Println(err)
	// Output:
	// true door
	// vipps: qr: invalid_callback: it has a state, and so belongs to another login
}

// Partner keys: one client for each merchant. What is kept of a login belongs to Client.Party, not to the client_id that they share.
func ExampleNew_partner() {
	issuer, _ := vipps.Production.Issuer()
	merchant := func(msn string) *vipps.Client {
		client, err := vipps.New(vipps.Config{
			Issuer: issuer, ClientID: "partner", ClientSecret: "not-a-secret", ClientAuth: vipps.ClientAuthPartner,
			MerchantSerialNumber: msn, SubscriptionKey: "not-a-key",
		})
		if err != nil {
			fmt.Println(err)
		}
		return client
	}
	bakery, cafe := merchant("100001"), merchant("100002")
	fmt.Println(bakery.ClientID() == cafe.ClientID(), bakery.Party() == cafe.Party())
	// Output: true false
}
