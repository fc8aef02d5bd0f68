package webhook

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/vippsauth/vippsauth/internal/meter"
)

// The values of the label "kind".
const (
	kindPing    = "webhook"
	kindRevoked = "consent_revoked"
)

// metrics are the counters. Their labels come from fixed sets.
type metrics struct {
	received *prometheus.CounterVec
	pings    *prometheus.CounterVec
	failures prometheus.Counter
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{}
	m.received = meter.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "vippsauth", Name: "webhooks_received_total", Help: "Webhooks received, by kind and what came of them.",
	}, []string{"kind", "outcome"}))
	m.pings = meter.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "vippsauth", Name: "webhook_pings_total", Help: "Signed pings, by whether a login waited for them.",
	}, []string{"waited_for"}))
	m.failures = meter.Register(r, prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: "vippsauth", Name: "webhook_revocations_failed_total", Help: "Withdrawn consents after which sessions could not be ended for good.",
	}))
	return m
}

// watch shows how many effects wait.
func (r *Receiver) watch() {
	meter.Register(r.cfg.Metrics, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "vippsauth", Name: "webhooks_queued", Help: "Webhooks whose effect is yet to come.",
	}, func() float64 { return float64(len(r.pings.jobs) + len(r.revocations.jobs)) }))
}

func (m *metrics) count(kind string, o outcome) {
	m.received.WithLabelValues(kind, string(o)).Inc()
}

func (m *metrics) ping(known bool) {
	m.pings.WithLabelValues(map[bool]string{true: "yes", false: "no"}[known]).Inc()
}

func (m *metrics) failed() { m.failures.Inc() }
