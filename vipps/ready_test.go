package vipps_test

import (
	"context"
	"net/http"
	"testing"
	"time"
)

// Attack: while the provider's keys can't be had for a second, a stranger sends a QR callback that names a made-up key, so that they are
// fetched. Afterwards the client must find out that the provider is back, though its keys are still fresh for a day; nobody else asks.
func TestDiscoverMendsReadyAfterAStrangersFetch(t *testing.T) {
	t.Parallel()
	p := newQRProvider(t)
	c, ctx := p.client(), context.Background()
	if err := c.Discover(ctx); err != nil || c.Ready() != nil {
		t.Fatal(err, c.Ready())
	}
	p.handle(jwksPath, respond(http.StatusServiceUnavailable, "text/plain", "away"))
	foreign := signer{"made-up", p.keys[0].alg, newEC(t)}
	if _, err := c.VerifyQRCallback(ctx, foreign.sign(t, []byte(`{}`))); err == nil {
		t.Fatal("a forged callback passes")
	}
	if c.Ready() == nil {
		t.Fatal("the keys were not asked for: there is nothing to mend")
	}
	p.handle(jwksPath, nil)
	p.clock.Add(time.Minute) // the back-off is over
	if err := c.Discover(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.Ready(); err != nil {
		t.Errorf("the provider counts as away: %v", err)
	}
	before := p.calls(jwksPath)
	if err := c.Discover(ctx); err != nil || p.calls(jwksPath) != before {
		t.Error("fresh keys are fetched again")
	}
}
