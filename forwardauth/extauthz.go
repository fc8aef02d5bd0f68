package forwardauth

import (
	"net/http"
	"strings"
)

const (
	dialectExtAuthz = "ext-authz"
	// headerToRemove names, in an answer to Envoy, the headers that it takes out of the request.
	headerToRemove = "X-Envoy-Auth-Headers-To-Remove"
)

// extAuthz is the dialect of Envoy's ext_authz over HTTP, and of Gateway API's ExternalAuth: the request judged is the
// question itself, behind a prefix of its path.
func (e *Engine) extAuthz(w http.ResponseWriter, r *http.Request) {
	status := http.StatusUnauthorized
	o, err := fromExtAuthz(r)
	if err != nil {
		e.unreadable(err, r.RemoteAddr)
	} else {
		e = e.of(o.Host)
		status = e.unfit(o)
	}
	if status != 0 {
		e.badQuestion(w, r, status, o)
		return
	}
	d := e.Decide(o)
	e.metrics.verdict(&d)
	if d.Verdict != Allow {
		e.refuse(w, r, o, d)
		return
	}
	h := w.Header()
	e.allow(h, &d)
	e.removeEmpty(h, r.Header[headerProxySecret] != nil)
}

// removeEmpty tells Envoy to take the identity headers without a value out of the request: it would hand the application
// an empty one. Those with a value must not be named: Envoy removes after it has set. The proxy's secret goes too: what
// Envoy sets in the question is in the request what the client made of it.
func (e *Engine) removeEmpty(h http.Header, secret bool) {
	var b strings.Builder
	add := func(name string) {
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(name)
	}
	for _, name := range e.names {
		if values := h[name]; len(values) != 1 || values[0] == "" {
			add(name)
		}
	}
	if secret {
		add(headerProxySecret)
	}
	if b.Len() > 0 {
		h[headerToRemove] = []string{b.String()}
	}
}
