package forwardauth

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/vippsauth/vippsauth/internal/meter"
	"github.com/vippsauth/vippsauth/vipps"
)

const (
	outcomeSuccess = "success"
	outcomeMiss    = "miss"
	outcomeAnswer  = "answered_no"
	outcomeFailed  = "failed"
)

// metrics are the engine's counters. Labels come from fixed sets; none of them is anything that a client sent.
type metrics struct {
	checks       [Logout + 1]prometheus.Counter
	anonymous    prometheus.Counter
	badRequests  *prometheus.CounterVec
	loginsBegun  *prometheus.CounterVec
	loginsEnded  *prometheus.CounterVec
	loops        *prometheus.CounterVec
	providerErrs *prometheus.CounterVec
	sessions     prometheus.Counter
	logouts      prometheus.Counter
	unsaved      prometheus.Counter
	notMe        prometheus.Counter
	lost         prometheus.Counter
	silentPaused prometheus.Counter
	consentsLost prometheus.Counter
	limited      map[string]prometheus.Counter // by limit
}

func newMetrics(r prometheus.Registerer, state *State) *metrics {
	m := &metrics{}
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return meter.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "vippsauth", Name: name, Help: help}, labels))
	}
	one := func(name, help string) prometheus.Counter {
		return meter.Register(r, prometheus.NewCounter(prometheus.CounterOpts{Namespace: "vippsauth", Name: name, Help: help}))
	}
	checks := vec("checks_total", "Requests judged, by verdict.", "verdict")
	for _, v := range []Verdict{Deny, Allow, Login, Forbid, Misdirected, Logout} {
		m.checks[v] = checks.WithLabelValues(v.String())
	}
	m.anonymous = checks.WithLabelValues("allow_anonymous")
	m.badRequests = vec("requests_refused_total", "Requests refused before they were judged, by reason.", "reason")
	m.loginsBegun = vec("logins_started_total", "Logins sent to the provider, by flow.", "flow")
	m.loginsEnded = vec("logins_finished_total", "Logins that came back, by flow and outcome.", "flow", "outcome")
	m.loops = vec("login_loops_total", "Logins stopped because they went round, by likely cause.", "cause")
	limited := vec("logins_limited_total", "Logins refused because too many were started, by limit.", "limit")
	m.limited = map[string]prometheus.Counter{}
	for _, limit := range []string{limitClient, limitTotal} {
		m.limited[limit] = limited.WithLabelValues(limit)
	}
	m.providerErrs = vec("provider_errors_total", "Answers of the provider that were refused, by stage.", "stage")
	m.sessions = one("sessions_started_total", "Sessions made.")
	m.logouts = one("logouts_total", "Sessions ended by a person.")
	m.unsaved = one("revocations_unsaved_total", "Logouts that were answered before they could be saved.")
	meter.Register(r, newUnsavedGauge()).watch(state)
	m.notMe = one("confirmations_refused_total", "Logins that ended with: not me.")
	m.lost = one("login_states_lost_total", "Callbacks without the cookie of their attempt.")
	m.silentPaused = one("silent_paused_total", "Times that silent login paused because attempts vanished.")
	m.consentsLost = one("consents_not_taken_total", "Logins whose answers to consents could not be handed on.")
	return m
}

func (m *metrics) verdict(d *Decision) {
	if d.Verdict == Allow && d.opened == nil {
		m.anonymous.Inc()
		return
	}
	m.checks[d.Verdict].Inc()
}

func (m *metrics) refused(reason string) { m.badRequests.WithLabelValues(reason).Inc() }
func (m *metrics) started(silent bool)   { m.loginsBegun.WithLabelValues(flow(silent)).Inc() }
func (m *metrics) finished(silent bool, out string) {
	m.loginsEnded.WithLabelValues(flow(silent), out).Inc()
}
func (m *metrics) loop(cause loopCause) { m.loops.WithLabelValues(string(cause)).Inc() }
func (m *metrics) providerError(stage vipps.Stage) {
	m.providerErrs.WithLabelValues(string(stage)).Inc()
}

func flow(silent bool) string {
	if silent {
		return "silent"
	}
	return "full"
}

func outcomeOf(code string) string {
	switch code {
	case "access_denied", "wrong_challenge", "outdated_app_version":
		return outcomeAnswer
	default:
		return outcomeFailed
	}
}
