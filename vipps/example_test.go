package vipps_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

func ExampleNew() {
	issuer, _ := vipps.Test.Issuer()
	client, err := vipps.New(vipps.Config{
		Issuer:       issuer,
		ClientID:     "fb492b5e-7907-4d83-ba20-c7fb60ca35de",
		ClientSecret: "testdzlJbUZaM1lqODlnUUtrUHI=",
		Scopes:       []string{vipps.ScopeName, vipps.ScopePhoneNumber},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(client.Issuer())
	// Output: https://apitest.vipps.no/access-management-1.0/access/
}

func ExampleNew_faults() {
	_, err := vipps.New(vipps.Config{Issuer: "http://op.example", ClientID: "me", Market: "Norway"})
	fmt.Println(err)
	// Output:
	// issuer: must be https; http is for loopback only
	// client_secret: is missing: copy it from the portal, portal.vippsmobilepay.com
	// market: must be NO, DK, FI or SE
}

// The provider is away: nothing can begin, and the error says so.
func ExampleClient_BeginLogin() {
	client, err := vipps.New(vipps.Config{Issuer: "http://127.0.0.1:1/", ClientID: "me", ClientSecret: "secret"})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, _, err = client.BeginLogin(context.Background(), vipps.LoginRequest{RedirectURI: "https://app.example/callback"})
	fmt.Println(errors.Is(err, vipps.ErrUnavailable))
	// Output: true
}

func ExampleParseCallback() {
	query, _ := url.ParseQuery("state=abc&state=def&code=1")
	_, err := vipps.ParseCallback(query)
	fmt.Println(err)

	query, _ = url.ParseQuery("error=access_denied&state=abc")
	callback, err := vipps.ParseCallback(query)
	fmt.Println(callback.Error, err)
	// Output:
	// vipps: authorize: duplicate_parameter: state stands twice
	// access_denied <nil>
}

func ExampleError_Causes() {
	var err error = &vipps.Error{Stage: vipps.StageToken, Code: "invalid_scope", Status: 400}
	var e *vipps.Error
	if errors.As(err, &e) {
		fmt.Println(strings.Join(e.Causes(), "\n"))
	}
	// Output: A scope in scopes is not available to this sales unit: compare with the portal (nin, accountNumbers and some others need an agreement), and take it out until it is.
}

func ExampleSecret() {
	s := vipps.Secret("hunter2")
	fmt.Printf("%v %q %x %d\n", s, s, s, len(s.Reveal()))
	// Output: [redacted] [redacted] [redacted] 7
}

func ExampleEnvironment_Issuer() {
	fmt.Println(vipps.Production.Issuer())
	fmt.Println(vipps.Environment("staging").Issuer())
	// Output:
	// https://api.vipps.no/access-management-1.0/access/ true
	//  false
}

func ExampleParseClientAuth() {
	auth, err := vipps.ParseClientAuth("client_secret_post")
	fmt.Println(auth, err)
	_, err = vipps.ParseClientAuth("auto")
	fmt.Println(err)
	// Output:
	// post <nil>
	// client_auth: must be basic, basic-raw, post or partner
}

func ExampleClaimsOfScope() {
	fmt.Println(vipps.ClaimsOfScope(vipps.ScopeEmail))
	// Output: [email email_verified]
}

func ExampleNewStateID() {
	fmt.Println(len(vipps.NewStateID()))
	// Output: 43
}

// A whole login, with the emulator in Vipps' place and an HTTP client in the browser's.
func ExampleClient_FinishLogin() {
	const callback = "http://localhost:4190/_vipps/callback"
	srv, err := emulator.Start("127.0.0.1:0", emulator.Config{
		Clients: []emulator.Client{{ID: "shop", Secret: "not-a-secret", RedirectURIs: []string{callback}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = srv.Close() }()
	if err := srv.Control().AutoApprove(emulator.FixturePeople()[0].Phone); err != nil {
		fmt.Println(err)
		return
	}

	client, err := vipps.New(vipps.Config{Issuer: srv.Issuer, ClientID: "shop", ClientSecret: "not-a-secret", Scopes: []string{vipps.ScopeName}})
	if err != nil {
		fmt.Println(err)
		return
	}
	pending, authorizeURL, err := client.BeginLogin(context.Background(), vipps.LoginRequest{RedirectURI: callback})
	if err != nil {
		fmt.Println(err)
		return
	}
	back := visit(authorizeURL, callback)
	login, err := client.FinishLogin(context.Background(), pending, back)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(login.User.Name == emulator.FixturePeople()[0].Name)

	// The same callback again: the code is spent.
	_, err = client.FinishLogin(context.Background(), pending, back)
	var e *vipps.Error
	if errors.As(err, &e) {
		fmt.Println(e.Stage, e.Code)
	}
	// Output:
	// true
	// token invalid_grant
}

// visit follows redirects up to the callback, and returns its query.
func visit(from, callback string) url.Values {
	var back url.Values
	browser := &http.Client{CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), callback) {
			back = r.URL.Query()
			return http.ErrUseLastResponse
		}
		return nil
	}}
	if resp, err := browser.Get(from); err == nil {
		_ = resp.Body.Close()
	}
	return back
}

func ExampleUser_Claim() {
	u := vipps.User{Sub: "c06c4afe", Claims: map[string]json.RawMessage{"tags": json.RawMessage(`["a", "b"]`)}}
	fmt.Println(u.Claim("sub"))
	fmt.Println(u.Claim("tags"))
	fmt.Println(u.Claim("email"))
	// Output:
	// c06c4afe true
	// ["a","b"] true
	//  false
}
