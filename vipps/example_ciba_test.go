package vipps_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// emulated returns an emulator in Vipps' place, where the first of its people says yes to everything, and a client of it.
func emulated() (*emulator.Server, *vipps.Client) {
	srv, err := emulator.Start("127.0.0.1:0", emulator.Config{
		Clients: []emulator.Client{{ID: "shop", Secret: "not-a-secret", RedirectURIs: []string{"http://localhost:4190/_vipps/callback/merchant"}}},
	})
	if err != nil {
		panic(err)
	}
	if err := errors.Join(srv.Control().MerchantAuto(emulator.FixturePeople()[0].Phone, 0, ""), srv.Control().MerchantInterval(time.Second)); err != nil {
		panic(err)
	}
	client, err := vipps.New(vipps.Config{Issuer: srv.Issuer, ClientID: "shop", ClientSecret: "not-a-secret", Scopes: []string{vipps.ScopeName}})
	if err != nil {
		panic(err)
	}
	return srv, client
}

// A login from a phone number, with the emulator in Vipps' place: somebody at a till says their number, reads the code in the
// app, and says yes.
func ExampleClient_WaitMerchantLogin() {
	srv, client := emulated()
	defer func() { _ = srv.Close() }()
	ctx, person := context.Background(), emulator.FixturePeople()[0]

	pending, err := client.StartMerchantLogin(ctx, vipps.MerchantLoginRequest{Phone: "+" + person.Phone, Expiry: 5 * time.Minute})
	switch {
	case errors.Is(err, vipps.ErrNotEligible):
		fmt.Println("there is no Vipps at this number, or its owner is too young")
		return
	case err != nil:
		fmt.Println(err)
		return
	}
	fmt.Println("a code to compare:", len(pending.BindingMessage) == len("4MK-3QR")) // show pending.BindingMessage

	login, err := client.WaitMerchantLogin(ctx, pending)
	switch {
	case errors.Is(err, vipps.ErrDenied):
		fmt.Println("the person said no")
	case errors.Is(err, vipps.ErrExpired):
		fmt.Println("nobody answered")
	case err != nil:
		fmt.Println(err)
	default:
		fmt.Println("it is them:", login.User.Name == person.Name)
	}
	// Output:
	// a code to compare: true
	// it is them: true
}

// Waiting for many at once, a program makes the polls itself. Polling says when.
func ExamplePolling() {
	srv, client := emulated()
	defer func() { _ = srv.Close() }()
	ctx := context.Background()
	pending, err := client.StartMerchantLogin(ctx, vipps.MerchantLoginRequest{Phone: emulator.FixturePeople()[0].Phone})
	if err != nil {
		fmt.Println(err)
		return
	}
	polling := vipps.NewPolling(pending, time.Now())
	for {
		at, over := polling.Next()
		if over {
			fmt.Println("expired")
			return
		}
		time.Sleep(time.Until(at)) // where others wait too: into a queue, by time
		login, err := client.PollMerchantLogin(ctx, pending)
		if polling.Answered(err, time.Now()) {
			fmt.Println(login != nil, err)
			return
		}
	}
	// Output: true <nil>
}

// A login that starts at a till and ends in the browser of the person's telephone (login_to_webpage).
func ExampleClient_FinishMerchantLogin() {
	srv, client := emulated()
	defer func() { _ = srv.Close() }()
	ctx, person := context.Background(), emulator.FixturePeople()[0]

	var mu sync.Mutex
	waiting := map[string]*vipps.PendingMerchantLogin{}
	claim := func(authReqID string) (*vipps.PendingMerchantLogin, bool) {
		mu.Lock()
		defer mu.Unlock()
		p, ok := waiting[authReqID]
		delete(waiting, authReqID) // each login ends once
		return p, ok
	}

	pending, err := client.StartMerchantLogin(ctx, vipps.MerchantLoginRequest{
		Phone: person.Phone, RedirectURI: "http://localhost:4190/_vipps/callback/merchant",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mu.Lock()
	waiting[pending.AuthReqID] = pending
	mu.Unlock()

	// The person says yes, and the telephone opens the redirect URI with a code and nothing else.
	opened, err := url.Parse(srv.Control().MerchantLogins()[0].Link)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("state:", opened.Query().Has("state"))
	login, of, err := client.FinishMerchantLogin(ctx, opened.Query(), claim)
	if err != nil {
		fmt.Println(err)
		return
	}
	// Ask "Continue as …?" with a form before making a session: anybody could have sent this browser here.
	fmt.Println(login.User.Name == person.Name, of == pending)

	// The same link again: the code is spent.
	_, _, err = client.FinishMerchantLogin(ctx, opened.Query(), claim)
	var e *vipps.Error
	if errors.As(err, &e) {
		fmt.Println(e.Stage, e.Code)
	}
	// Output:
	// state: false
	// true true
	// token invalid_grant
}

func ExampleClient_UserExists() {
	srv, client := emulated()
	defer func() { _ = srv.Close() }()
	fmt.Println(client.UserExists(context.Background(), "+"+emulator.FixturePeople()[0].Phone))
	fmt.Println(client.UserExists(context.Background(), "+47 90 90 01 23"))
	_, err := client.UserExists(context.Background(), "90900123")
	fmt.Println(err)
	// Output:
	// true <nil>
	// false <nil>
	// phone: must be a phone number with its country code, such as 4712345678
}

func ExampleNormalizePhone() {
	fmt.Println(vipps.NormalizePhone("+47 909 00 123", ""))
	fmt.Println(vipps.NormalizePhone("909 00 123", "NO"))
	fmt.Println(vipps.NormalizePhone("909 00 123", ""))
	// Output:
	// 4790900123 true
	// 4790900123 true
	//  false
}

func ExampleNewBindingMessage() {
	code := vipps.NewBindingMessage()
	fmt.Println(len(code), string(code[3]))
	// Output: 7 -
}
