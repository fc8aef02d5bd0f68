package forwardauth

import (
	"net/http"
	"slices"
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
	o, err := fromExtAuthz(r)
	e, s, status := e.placed(&o, err, r.RemoteAddr)
	if status != 0 {
		e.badQuestion(w, r, status, o)
		return
	}
	d := e.decide(s, &o)
	e.metrics.verdict(&d)
	if d.Verdict != Allow {
		e.refuse(w, r, o, d)
		return
	}
	h := w.Header()
	e.allow(h, &d)
	empty := e.unnamed
	if d.opened != nil {
		empty = d.view.empty
	}
	if r.Header[headerProxySecret] != nil {
		empty = alsoSecret(empty)
	}
	if empty != nil {
		h[headerToRemove] = slices.Clone(empty) // see neverCache
	}
}

// emptyHeaders is what tells Envoy to take the identity headers without a value out of the request: it would hand the
// application an empty one. Those with a value must not be named: Envoy removes after it has set. It is nil for none.
func emptyHeaders(names []string, value func(i int) string) []string {
	var empty []string
	for i, name := range names {
		if value(i) == "" {
			empty = append(empty, name)
		}
	}
	if empty == nil {
		return nil
	}
	return []string{strings.Join(empty, ",")}
}

// alsoSecret is that with the proxy's secret, which goes too: what Envoy sets in the question is in the request what the
// client made of it. What emptyHeaders made is shared, and stays as it is.
func alsoSecret(empty []string) []string {
	if empty == nil {
		return []string{headerProxySecret}
	}
	return []string{empty[0] + "," + headerProxySecret}
}
