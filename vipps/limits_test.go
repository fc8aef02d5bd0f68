package vipps_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/vipps"
)

// Vipps' gateway answers an address of more than 2000 characters with 502 Bad Gateway, and says nothing of why. Nobody is sent there; who
// set the program up is told.
func TestAuthorizeURLsThatVippsCannotTake(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	c := p.client()
	long := vipps.LoginRequest{RedirectURI: redirectURI, Flow: vipps.FlowAppToApp, AppCallbackURI: "https://shop.example/" + strings.Repeat("a", 1900)}
	_, _, err := c.BeginLogin(context.Background(), long)
	var ce *vipps.ConfigError
	if !errors.As(err, &ce) || !strings.Contains(err.Error(), "2000 characters") || strings.Contains(err.Error(), "aaa") {
		t.Errorf("error is %v", err)
	}
	if _, to, err := c.BeginLogin(context.Background(), vipps.LoginRequest{RedirectURI: redirectURI, StateSuffix: strings.Repeat("a", 468)}); err != nil || len(to) > 2000 {
		t.Errorf("the longest state makes %d characters, %v", len(to), err)
	}
	// Other providers have limits of their own.
	p = newProvider(t)
	p.issuer = p.srv.URL + "/other/"
	discovery, err := json.Marshal(p.discovery())
	if err != nil {
		t.Fatal(err)
	}
	p.handle("/other/.well-known/openid-configuration", respond(200, "application/json", string(discovery)))
	if _, to, err := p.client().BeginLogin(context.Background(), long); err != nil || len(to) < 2000 {
		t.Errorf("at another provider: %d characters, %v", len(to), err)
	}
}
