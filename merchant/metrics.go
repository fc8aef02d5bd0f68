package merchant

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/vippsauth/vippsauth/internal/meter"
)

// metrics are what an operator can count. Labels come from fixed sets.
type metrics struct {
	states       *prometheus.CounterVec
	limited      *prometheus.CounterVec
	polls        prometheus.Counter
	consentsLost prometheus.Counter
}

func newMetrics(l *Logins) *metrics {
	opts := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "vippsauth", Subsystem: "merchant", Name: name, Help: help}
	}
	r := l.cfg.Metrics
	m := &metrics{
		states:       meter.Register(r, prometheus.NewCounterVec(opts("logins_total", "Merchant logins that came into a state."), []string{"state"})),
		limited:      meter.Register(r, prometheus.NewCounterVec(opts("limited_total", "Merchant logins refused because there were too many, by limit."), []string{"limit"})),
		polls:        meter.Register(r, prometheus.NewCounter(opts("polls_total", "Times that the provider was asked about a merchant login."))),
		consentsLost: meter.Register(r, prometheus.NewCounter(opts("consents_not_taken_total", "Merchant logins whose answers to consents could not be handed on."))),
	}
	for _, state := range []State{Pending, Approved, Delivered, Declined, Expired, Failed, Canceled} {
		m.states.WithLabelValues(string(state))
	}
	for _, name := range []string{limitPhone, limitCaller, limitWaiting, limitProvider, limitLanding} {
		m.limited.WithLabelValues(name)
	}
	meter.Register(r, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "vippsauth", Subsystem: "merchant", Name: "logins_pending", Help: "Merchant logins that nobody has answered yet.",
	}, func() float64 {
		l.mu.Lock()
		defer l.mu.Unlock()
		return float64(l.pendings)
	}))
	return m
}
