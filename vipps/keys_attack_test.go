package vipps_test

import (
	"context"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/vippsauth/vippsauth/vipps"
)

// Attack: a stranger sends QR callbacks with made-up keys all the time, so that the time between two fetches of the provider's keys
// is always used up, and whoever logs in just after the provider has changed its keys is refused. Logins have a time of their own.
func TestSec_A162_A035_StrangersUseUpNoFetchOfALogin(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	c := p.client()
	p.mustLogin(c)
	stranger := signer{"made-up", jose.ES256, newEC(t)}
	for range 3 {
		_, err := c.VerifyQRCallback(context.Background(), stranger.sign(t, []byte(`{}`)))
		refused(t, err, vipps.CodeUnknownKey)
	}
	p.locked(func() { p.keys = []signer{{"public:new", jose.ES256, newEC(t)}} })
	before := p.calls(jwksPath)
	p.mustLogin(c)
	if got := p.calls(jwksPath) - before; got != 1 {
		t.Errorf("the keys were fetched %d times", got)
	}
	_, err := c.VerifyQRCallback(context.Background(), stranger.sign(t, []byte(`{}`)))
	if refused(t, err, vipps.CodeUnknownKey); p.calls(jwksPath) != before+1 {
		t.Error("another forged callback has them fetched again")
	}
}

// Attack: made-up callbacks that name a key which the provider has, with signatures that aren't its own. Those too have the keys fetched
// once, in case the key behind the name is another by now, and not again before half a minute has passed.
func TestSec_A162_C081_BadSignaturesShareACooldown(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	c := p.client()
	p.mustLogin(c)
	before := p.calls(jwksPath)
	forged := signRS256(t, rsaKeys[1](), `{"alg":"RS256","kid":"public:one"}`, []byte(`{}`))
	for range 200 {
		_, err := c.VerifyQRCallback(context.Background(), forged)
		refused(t, err, vipps.CodeSignature)
	}
	if n := p.calls(jwksPath) - before; n != 1 {
		t.Errorf("the keys were fetched %d times", n)
	}
	p.clock.Add(31 * time.Second)
	for range 200 {
		_, _ = c.VerifyQRCallback(context.Background(), forged)
	}
	if n := p.calls(jwksPath) - before; n != 2 {
		t.Errorf("half a minute later the keys were fetched %d times", n)
	}
}
