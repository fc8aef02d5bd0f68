package vipps_test

import (
	"context"
	"fmt"

	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// A registration that asks for marketing consents. The answers come with the first login only, so what isn't stored then is lost.
func ExampleUser_Consents() {
	const callback = "http://localhost:4190/_vipps/callback"
	srv, err := emulator.Start("127.0.0.1:0", emulator.Config{
		Clients: []emulator.Client{{ID: "shop", Secret: "not-a-secret", RedirectURIs: []string{callback}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = srv.Close() }()
	// The person ticks what has to be ticked, and offers by text message.
	if err := srv.Control().ConsentAnswers([]string{"sms"}); err != nil {
		fmt.Println(err)
		return
	}
	if err := srv.Control().AutoApprove(emulator.FixturePeople()[0].Phone); err != nil {
		fmt.Println(err)
		return
	}

	client, err := vipps.New(vipps.Config{
		Issuer: srv.Issuer, ClientID: "shop", ClientSecret: "not-a-secret",
		Scopes: []string{vipps.ScopeName, vipps.ScopeDelegatedConsents}, // or ScopeCustomFlow, for a flow that is built in the portal
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, why := range []string{"registers", "comes again"} {
		login, err := logIn(client, callback)
		if err != nil {
			fmt.Println(err)
			return
		}
		consents, asked := login.User.Consents()
		fmt.Println("Åse", why+", was asked:", asked)
		for _, answer := range consents.Answers {
			fmt.Println(" ", answer.ID, answer.Accepted)
		}
	}
	// Output:
	// Åse registers, was asked: true
	//   email true
	//   sms true
	//   digital false
	//   personal false
	// Åse comes again, was asked: false
}

// logIn goes through a whole login, with an HTTP client in the browser's place.
func logIn(client *vipps.Client, callback string) (*vipps.Login, error) {
	pending, authorizeURL, err := client.BeginLogin(context.Background(), vipps.LoginRequest{RedirectURI: callback})
	if err != nil {
		return nil, err
	}
	return client.FinishLogin(context.Background(), pending, visit(authorizeURL, callback))
}

// A partner's keys log somebody in for a merchant, whom the serial number names. The redirect URI is one of the merchant's.
func ExampleClient_Party() {
	const callback = "http://localhost:4190/_vipps/callback"
	srv, err := emulator.Start("127.0.0.1:0", emulator.Config{Clients: []emulator.Client{
		{ID: "partner", Secret: "partners-secret", Partner: true, MSN: "999999"},
		{ID: "bakery", Secret: "known-to-the-bakery-only", MSN: "100001", RedirectURIs: []string{callback}},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = srv.Close() }()
	if err := srv.Control().AutoApprove(emulator.FixturePeople()[0].Phone); err != nil {
		fmt.Println(err)
		return
	}
	client, err := vipps.New(vipps.Config{
		Issuer: srv.Issuer, ClientID: "partner", ClientSecret: "partners-secret", ClientAuth: vipps.ClientAuthPartner,
		MerchantSerialNumber: "100001", SubscriptionKey: "0f14ebcab0ec4b29ae0cb90d91b4a84a", Scopes: []string{vipps.ScopeName},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	login, err := logIn(client, callback)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(login.User.Name == emulator.FixturePeople()[0].Name)
	// Store the person under issuer, party and sub: at the partner's next merchant the same person has another sub.
	fmt.Println(client.Party() == client.ClientID())
	// Output:
	// true
	// false
}

// Before anybody logs in: are the keys right, and is the redirect URI registered?
func ExampleClient_ProbeRedirectURI() {
	srv, err := emulator.Start("127.0.0.1:0", emulator.Config{
		Clients: []emulator.Client{{ID: "shop", Secret: "not-a-secret", RedirectURIs: []string{"http://localhost:4190/_vipps/callback"}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = srv.Close() }()
	client, err := vipps.New(vipps.Config{Issuer: srv.Issuer, ClientID: "shop", ClientSecret: "not-a-secret"})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	fmt.Println("keys:", client.ProbeClient(ctx, "http://localhost:4190/_vipps/callback").Answer)
	fmt.Println("registered:", client.ProbeRedirectURI(ctx, "http://localhost:4190/_vipps/callback").Answer)
	slash := client.ProbeRedirectURI(ctx, "http://localhost:4190/_vipps/callback/")
	fmt.Println("with a slash:", slash.Answer)
	fmt.Println(slash.Err.Causes()[0])
	// Output:
	// keys: yes
	// registered: yes
	// with a slash: no
	// The redirect URI is not registered for this sales unit and environment: it must be in the portal byte for byte, with capitals, port and final slash.
}
