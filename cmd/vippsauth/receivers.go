package main

import (
	"context"
	"net/http"
	"strings"

	"github.com/vippsauth/vippsauth/webhook"
)

// buildReceivers makes what receives webhooks, if any are to be. The engine and the merchant's side are there.
func (s *service) buildReceivers(c *config) error {
	cfg, err := c.webhooks()
	if err != nil {
		return err
	}
	cfg.EndSessions = s.engine.EndSessions
	if s.merchant != nil {
		cfg.Ping = s.merchant.logins.Ping
	}
	cfg.Logger, cfg.Metrics = s.log, s.ops.registry
	receiver, err := webhook.New(cfg)
	if err != nil {
		return err
	}
	if receiver.Receives() {
		s.receiver = receiver
	}
	return nil
}

// withOthers puts what isn't the engine's in front of main: what Vipps posts, and the merchant's logins. Checks, and an application's
// requests, come by none of it.
func (s *service) withOthers(main http.Handler) http.Handler {
	if s.receiver == nil && s.qr == nil && s.merchant == nil {
		return main
	}
	others := s.received(s.receivedQR(s.withMerchant(main)))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, ownPrefix) || strings.HasPrefix(r.URL.Path, authzPrefix) {
			main.ServeHTTP(w, r)
			return
		}
		others.ServeHTTP(w, r)
	})
}

// received has webhooks received before next sees anything of them.
func (s *service) received(next http.Handler) http.Handler {
	if s.receiver == nil {
		return next
	}
	return s.receiver.Handler(next)
}

// runReceiver starts what webhooks bring about. stop waits until what was promised is done.
func (s *service) runReceiver(ctx context.Context) (stop stopFunc) {
	if s.receiver == nil {
		return nothing
	}
	return s.inBackground(ctx, "what webhooks bring about", func(ctx context.Context) {
		_ = s.receiver.Run(ctx) // its only end is that of ctx
	})
}
