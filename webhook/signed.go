package webhook

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/vippsauth/vippsauth/vipps"
)

const (
	pingQueue   = 1024 // a ping more is dropped: its login is asked for without it
	pingWorkers = 2
)

// judgeSigned judges a webhook of the Webhooks API. It calls nobody.
func (r *Receiver) judgeSigned(req *http.Request, body io.Reader) verdict {
	delivery, err := r.cfg.Verifier.Receive(req, body)
	if _, refused := errors.AsType[*vipps.Error](err); refused {
		return verdict{outcome: forged, err: err}
	}
	if err != nil {
		return verdict{outcome: unread(err)}
	}
	now := r.cfg.Now()
	if !delivery.Fresh {
		v := verdict{outcome: stale}
		if !delivery.Date.IsZero() {
			v.off = now.Sub(delivery.Date)
		}
		return v
	}
	if !r.seenPings.claim(delivery.Digest, now) {
		return verdict{outcome: replayed}
	}
	id, err := delivery.MerchantLoginPing()
	switch {
	case errors.Is(err, vipps.ErrOtherEvent):
		return verdict{outcome: otherEvent}
	case err != nil:
		return verdict{outcome: unreadable, err: err}
	}
	if !r.pings.offer(func(context.Context) { r.ping(id) }) {
		return verdict{outcome: shed}
	}
	return verdict{outcome: accepted}
}

// ping tells whoever waits for the login, if anybody does.
func (r *Receiver) ping(authReqID string) {
	known := r.cfg.Ping != nil && r.cfg.Ping(authReqID)
	r.metrics.ping(known)
}
