package forwardauth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// An app that knows nothing of login, behind one. The emulator stands in for Vipps; with the real one the issuer is
// that of vipps.Test or vipps.Production.
func ExampleEngine_Protect() {
	provider, err := emulator.Start("127.0.0.1:0", emulator.Config{Clients: []emulator.Client{{
		ID: "boats", Secret: "not a secret", RedirectURIs: []string{"http://localhost:8080/_vipps/callback"},
	}}})
	if err != nil {
		panic(err)
	}
	defer provider.Close()

	scopes := []string{"openid", "name"}
	client, err := vipps.New(vipps.Config{Issuer: provider.Issuer, ClientID: "boats", ClientSecret: "not a secret", Scopes: scopes})
	if err != nil {
		panic(err)
	}
	key, err := session.NewKey() // keep it in a file: see session.LoadOrCreateKeysFile
	if err != nil {
		panic(err)
	}
	engine, err := forwardauth.New(forwardauth.Config{
		Client: client, Keys: session.Keys{key}, PublicURLs: []string{"http://localhost:8080"}, Scopes: scopes, Allow: []string{"anyone"},
	})
	if err != nil {
		panic(err)
	}
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Hello, %s", r.Header.Get("X-Vipps-Name"))
	})
	protected := engine.Protect(app) // http.ListenAndServe("localhost:8080", protected)

	r := httptest.NewRequest(http.MethodGet, "http://localhost:8080/boats?harbour=7", nil)
	r.Header.Set("Accept", "text/html")
	w := httptest.NewRecorder()
	protected.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Header().Get("Location"))
	// Output: 302 http://localhost:8080/_vipps/login?rd=%2Fboats%3Fharbour%3D7
}
