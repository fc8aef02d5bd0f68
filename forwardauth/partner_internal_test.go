package forwardauth

import (
	"net/http"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// Attack: one partner of Vipps logs people in for two merchants, with one client_id and one cookie key. The same person has another
// sub at each, and somebody else may have that sub at the other: what one merchant's instance sealed must open at no other's.
func TestSec_A099_MerchantsOfOnePartner(t *testing.T) {
	t.Parallel()
	key, err := session.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	engine := func(auth vipps.ClientAuth, msn string) *Engine {
		t.Helper()
		client, err := vipps.New(vipps.Config{
			Issuer: "http://127.0.0.1:1/", ClientID: "partner", ClientSecret: "secret", ClientAuth: auth, MerchantSerialNumber: msn, SubscriptionKey: "key",
		})
		if err != nil {
			t.Fatal(err)
		}
		e, err := New(Config{Client: client, Keys: session.Keys{key}, PublicURLs: []string{"https://shop.example"}, Allow: []string{"anyone"}})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	one, again := engine(vipps.ClientAuthPartner, "123456"), engine(vipps.ClientAuthPartner, "123456")
	other, plain := engine(vipps.ClientAuthPartner, "654321"), engine(vipps.ClientAuthBasic, "123456")

	cookie := one.sessionOf(t, "shop.example", "a-customer")
	opens := func(e *Engine) bool {
		return e.navigate("shop.example", "/_vipps/me", cookie).Code == http.StatusOK
	}
	if !opens(one) || !opens(again) {
		t.Fatal("the session doesn't open where it is from")
	}
	if opens(other) || opens(plain) {
		t.Error("the session of one merchant opens at another's")
	}
	boxes := func(e *Engine) map[string]*session.Box {
		s := e.siteOf("shop.example")
		return map[string]*session.Box{"session": s.sessions, "login": s.pending, "confirm": s.confirms, "hint": s.hints, "state": s.states, "result": s.results}
	}
	for name, box := range boxes(one) {
		sealed, err := box.Seal([]byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := boxes(again)[name].Open(sealed); err != nil {
			t.Errorf("%s: doesn't open at home", name)
		}
		for _, e := range []*Engine{other, plain} {
			if _, err := boxes(e)[name].Open(sealed); err == nil {
				t.Errorf("%s: opens at another merchant's", name)
			}
		}
	}

	// Nor can they share sessions on purpose.
	_, err = New(Config{
		Client: one.client, Keys: session.Keys{key}, PublicURLs: []string{"https://a.club.example"}, CookieDomain: "club.example", AuthURL: "https://login.club.example",
		Sites: []Config{{Client: other.client, Keys: session.Keys{key}, PublicURLs: []string{"https://b.club.example"}, CookieDomain: "club.example", AuthURL: "https://login.club.example"}},
	})
	if err == nil || !strings.Contains(err.Error(), "must have the same client_id and provider") {
		t.Errorf("error is %v", err)
	}
}
