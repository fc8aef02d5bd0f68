package outbox

import (
	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	delivered, failed prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, o *Outbox) *metrics {
	m := &metrics{
		delivered: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "vippsauth_events_delivered_total", Help: "Events that the receiver of consent_url has taken.",
		}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "vippsauth_events_failed_total", Help: "Attempts to deliver an event that failed. The event is kept.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.delivered, m.failed, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "vippsauth_events_waiting", Help: "Events that wait to be delivered.",
		}, func() float64 { return float64(o.Waiting()) }))
	}
	return m
}
