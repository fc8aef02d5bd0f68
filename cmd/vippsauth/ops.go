package main

import (
	"io"
	"net/http"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// An ops is the internal listener's handler: /healthz, /readyz and /metrics.
type ops struct {
	registry *prometheus.Registry
	metrics  http.Handler
	panics   prometheus.Counter
	provider func() error // nil when the provider answers
	ready    atomic.Bool  // from the start of serving until the stop
}

func newOps() *ops {
	reg := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "vippsauth_build_info",
		Help:        "Always 1; the version is its label.",
		ConstLabels: prometheus.Labels{"version": programVersion()},
	})
	build.Set(1)
	panics := prometheus.NewCounter(prometheus.CounterOpts{Name: "vippsauth_panics_total", Help: "Requests ended by a fault of ours."})
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), build, panics)
	return &ops{registry: reg, metrics: promhttp.HandlerFor(reg, promhttp.HandlerOpts{}), panics: panics}
}

func (o *ops) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	switch r.URL.EscapedPath() {
	case "/healthz":
		plain(w, http.StatusOK, "ok\n")
	case "/readyz":
		o.serveReady(w)
	case "/metrics":
		o.metrics.ServeHTTP(w, r)
	default:
		http.Error(w, "not found: there are /healthz, /readyz and /metrics", http.StatusNotFound)
	}
}

// serveReady answers 200 also while Vipps is away: sessions go on then, and taking every instance out of the rotation
// would end them.
func (o *ops) serveReady(w http.ResponseWriter) {
	if !o.ready.Load() {
		plain(w, http.StatusServiceUnavailable, "stopping\n")
		return
	}
	if o.provider != nil && o.provider() != nil {
		plain(w, http.StatusOK, "ready\nvipps: degraded\n")
		return
	}
	plain(w, http.StatusOK, "ready\nvipps: ok\n")
}

func plain(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}
