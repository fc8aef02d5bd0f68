package meter_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vippsauth/vippsauth/internal/meter"
)

// Of two that register a counter both count with the first one's; without a registerer each has its own.
func TestRegister(t *testing.T) {
	t.Parallel()
	counter := func(r prometheus.Registerer) prometheus.Counter {
		return meter.Register(r, prometheus.NewCounter(prometheus.CounterOpts{Name: "doors_opened_total", Help: "Doors opened."}))
	}
	registry := prometheus.NewRegistry()
	if counter(registry) != counter(registry) {
		t.Error("the second counter is another")
	}
	if families, err := registry.Gather(); err != nil || len(families) != 1 {
		t.Errorf("%d are registered: %v", len(families), err)
	}
	if counter(nil) == counter(nil) {
		t.Error("two counters that are not registered are one")
	}
}
