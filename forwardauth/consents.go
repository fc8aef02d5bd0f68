package forwardauth

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/vipps"
)

// consentsTime is how long a login waits until somebody has taken its answers.
const consentsTime = 5 * time.Second

// finishing is the context in which a code is redeemed. Where somebody is told of consents, a browser that goes away
// meanwhile ends nothing: they come only once. The client has time limits of its own.
func (e *Engine) finishing(ctx context.Context) context.Context {
	if e.cfg.Consented == nil {
		return ctx
	}
	return context.WithoutCancel(ctx)
}

// consented hands on what a login answered beside the claims. It is called once for each login, before there is a session or a
// question about one: what the person has answered holds whoever goes on here.
func (e *Engine) consented(ctx context.Context, s *site, login *vipps.Login) {
	if e.cfg.Consented == nil {
		return
	}
	answers, ok := login.User.Consents()
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), consentsTime)
	defer cancel()
	if err := e.cfg.Consented(ctx, login.User.Sub, answers); err != nil {
		e.metrics.consentsLost.Inc()
		e.log.Error("the answers to consents could not be handed on, and the provider may not give them again", zap.String("site", s.host), zap.Error(err))
	}
}
