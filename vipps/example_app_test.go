package vipps_test

import (
	"context"
	"fmt"
	"net/url"

	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// A login that begins in the merchant's app: what the app's server makes, for the app to open in a browser.
func ExampleClient_BeginLogin_fromAnApp() {
	op, err := emulator.Start("127.0.0.1:0", emulator.Config{})
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
	pending, authorizeURL, err := client.BeginLogin(context.Background(), vipps.LoginRequest{
		RedirectURI: "https://shop.example/app/done", // a universal link: opens the app
		Flow:        vipps.FlowAppToAppV2,
		ACRValues:   "urn:vipps:acr:app_auth", // this login is confirmed in the Vipps app, also in a browser that is remembered
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	to, err := url.Parse(authorizeURL)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(to.Query().Get("requested_flow"), to.Query().Get("code_challenge_method"))
	fmt.Println("to be checked in the ID token:", pending.ACRValues)
	// Output:
	// app_to_app_v2 S256
	// to be checked in the ID token: urn:vipps:acr:app_auth
}

// What FlowAppToApp opens in the app when the person has confirmed, or when something went wrong.
func ExampleParseAppCallback() {
	const ours = "218gz18yveu1ybajwh2g1h3g" // PendingLogin.State
	for _, opened := range []string{
		"merchant-app://callback/?state=218gz18yveu1ybajwh2g1h3g&resume_uri=https%3A%2F%2Fapi.vipps.no%2Fvipps-login-idp%2Findex.html",
		"merchant-app://callback/?state=218gz18yveu1ybajwh2g1h3g?error=unknown_error",
	} {
		u, err := url.Parse(opened)
		if err != nil {
			fmt.Println(err)
			return
		}
		state, resumeURI, errorCode, err := vipps.ParseAppCallback(u.Query())
		switch {
		case err != nil || state != ours:
			fmt.Println("not this login's: do nothing")
		case errorCode != "":
			fmt.Println("failed:", errorCode)
		default:
			fmt.Println("go on in the browser:", resumeURI)
		}
	}
	// Output:
	// go on in the browser: https://api.vipps.no/vipps-login-idp/index.html
	// failed: unknown_error
}
