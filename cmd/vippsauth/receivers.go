package main

import (
	"context"
	"net/http"

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

// received has webhooks received before next sees anything of them.
func (s *service) received(next http.Handler) http.Handler {
	if s.receiver == nil {
		return next
	}
	return s.receiver.Handler(next)
}

// runReceiver starts what webhooks bring about. stop waits until what was promised is done.
func (s *service) runReceiver(ctx context.Context) (stop func()) {
	if s.receiver == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.receiver.Run(ctx) // its only end is that of ctx
	}()
	return func() {
		cancel()
		<-done
	}
}
