package emulator_test

import (
	"fmt"
	"log"
	"net/http"
	"net/url"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// A login without pages: AutoApprove answers as Åse would.
func ExampleStart() {
	srv, err := emulator.Start("127.0.0.1:0", emulator.Config{Clients: []emulator.Client{{
		ID: "shop", Secret: "not-a-secret", RedirectURIs: []string{"http://localhost:4190/_vipps/callback"},
	}}})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = srv.Close() }()
	if err := srv.Control().AutoApprove("4790000001"); err != nil {
		log.Fatal(err)
	}

	q := url.Values{
		"client_id": {"shop"}, "response_type": {"code"}, "scope": {"openid name"}, "state": {"a-state-of-some-length"},
		"redirect_uri": {"http://localhost:4190/_vipps/callback"},
	}
	tr := &http.Transport{DisableKeepAlives: true}
	req, err := http.NewRequest(http.MethodGet, srv.Issuer+"oauth2/auth?"+q.Encode(), nil)
	if err != nil {
		log.Fatal(err)
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		log.Fatal(err)
	}
	_ = resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(resp.StatusCode, back.Host, back.Path, back.Query().Get("state"), back.Query().Get("code") != "")
	// Output: 302 localhost:4190 /_vipps/callback a-state-of-some-length true
}

// The emulator as a handler in a server of one's own; it refuses every base URL that isn't on loopback.
func ExampleNew() {
	e, err := emulator.New(emulator.Config{BaseURL: "http://127.0.0.1:4192"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(e.Issuer())
	_, err = emulator.New(emulator.Config{BaseURL: "https://login.example.com"})
	fmt.Println(err)
	// Output:
	// http://127.0.0.1:4192/access-management-1.0/access/
	// emulator: BaseURL: is not on loopback; the emulator never runs where others can reach it
}
