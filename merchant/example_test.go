package merchant_test

import (
	"context"
	"fmt"
	"time"

	"github.com/vippsauth/vippsauth/merchant"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// A till asks for a phone number, shows the code that the person sees in the app too, and gets to know who it is. The
// emulator is in Vipps' place, and somebody there says yes at once.
func Example() {
	srv, err := emulator.Start("127.0.0.1:0", emulator.Config{Clients: []emulator.Client{{ID: "shop", Secret: "not-a-secret"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = srv.Close() }()
	kari := emulator.FixturePeople()[0]
	if err := srv.Control().MerchantInterval(time.Second); err != nil {
		fmt.Println(err)
		return
	}
	if err := srv.Control().MerchantAuto(kari.Phone, 0, ""); err != nil {
		fmt.Println(err)
		return
	}

	key, err := session.NewKey()
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := vipps.New(vipps.Config{Issuer: srv.Issuer, ClientID: "shop", ClientSecret: "not-a-secret"})
	if err != nil {
		fmt.Println(err)
		return
	}
	logins, err := merchant.New(merchant.Config{Client: client, Keys: session.Keys{key}, Scopes: []string{vipps.ScopeName}, Market: "NO"})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	ended := make(chan error)
	go func() { ended <- logins.Run(ctx) }()
	defer func() {
		cancel()
		<-ended
	}()

	status, err := logins.Start(ctx, "till-3", merchant.Request{Phone: kari.Phone})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(status.State, len(status.Code))
	if status, err = logins.Wait(ctx, "till-3", status.ID, merchant.Pending); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(status.State)
	login, err := logins.Take("till-3", status.ID)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(login.User.Name == kari.Name)
	_, err = logins.Take("till-3", status.ID)
	fmt.Println(err)
	// Output:
	// pending 7
	// approved
	// true
	// merchant: the login has no result to take
}
