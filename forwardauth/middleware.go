package forwardauth

import (
	"net/http"
	"strings"
	"time"

	"github.com/vippsauth/vippsauth/session"
)

// refusedBodyTime is how long a client may take to send the body of a request that doesn't pass, or one of our own forms.
const refusedBodyTime = 5 * time.Second

// Protect returns a handler that lets requests with a session pass to next, with the person's identity in their
// headers, and serves our own pages under /_vipps/. It is for Go programs and for the sidecar mode: r.Host must
// be what the browser asked for, or a trusted proxy must say that in X-Forwarded-Host. Identity headers that a client
// sends never reach next, whatever their spelling, and neither do our cookies, nor an Upgrade to anything but a websocket.
// Request headers are changed in place.
func (e *Engine) Protect(next http.Handler) http.Handler {
	return e.ProtectSites(func(string) http.Handler { return next })
}

// ProtectSites is [Engine.Protect] for sites with an app each: next gives the one of a site by its origin, in the form of
// [Origin]. A site for which that is nil has our own pages only. An app finds in r.Host the host that was judged.
func (e *Engine) ProtectSites(next func(origin string) http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Serve returns what the function returns, and this one returns nothing.
		_ = e.Serve(w, r, e.browserRequest(r), true, func(w http.ResponseWriter, r *http.Request, d Decision) error {
			if app := next(d.site.origin); app != nil {
				if e.siteOf(r.Host) != d.site { // by a proxy's X-Forwarded-Host: the app gets the host that was judged
					r.Host = d.site.host
				}
				app.ServeHTTP(w, r)
				return nil
			}
			e.page(w, r, d.site, page{Kind: pageNotFound})
			return nil
		})
	})
}

// Serve handles one request in-process, o being what the browser asked for. Our own paths are answered here. A
// protected request passes to next only if [Engine.Decide] allows it; one that isn't protected always does, without
// an identity. What next returns is returned.
func (e *Engine) Serve(w http.ResponseWriter, r *http.Request, o Original, protected bool,
	next func(http.ResponseWriter, *http.Request, Decision) error,
) error {
	if refuseConnect(w, r) {
		return nil
	}
	s := e.siteOf(o.Host)
	e = e.at(s)
	path, _, _ := strings.Cut(o.URI, "?")
	if strings.HasPrefix(path, pathPrefix) {
		e.endpoint(w, o.withClient(r), o, path)
		return nil
	}
	e.strip.clean(r.Header)
	e.strip.cleanTrailer(r)
	onlyWebsocket(r.Header)
	d := Decision{Verdict: Allow}
	if protected {
		d = e.decide(s, &o)
		e.metrics.verdict(&d)
		if d.Verdict != Allow {
			boundBody(w, r)
			if d.Verdict != Login || d.kind != kindPageOtherWay || !e.keptPage(w, r, d.site, o) {
				e.refuse(w, r, o, d)
			}
			return nil
		}
	}
	session.StripCookies(r.Header, ownCookie)
	if markedAnonymous(o.URI) {
		stripMark(r)
	}
	e.identify(r.Header, &d)
	return next(w, r, d)
}

// refuseConnect answers a CONNECT, which is for proxies that the client has chosen: an application behind one of ours that
// took part would talk to a client past both, on a connection that others' requests use too. A websocket over HTTP/2
// (RFC 8441) is none.
func refuseConnect(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodConnect || r.ProtoMajor > 1 && r.Header[":protocol"] != nil {
		return false
	}
	boundBody(w, r)
	if r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
	}
	w.Header().Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
	writeJSON(w, r, http.StatusMethodNotAllowed, errorAnswer{Error: "method_not_allowed"})
	return true
}

// onlyWebsocket lets no other protocol be upgraded to than that of websockets: over h2c (RFC 7540, section 3.2) a client
// would talk to an application behind a proxy past us. A proxy that finds no Upgrade doesn't pass on that of Connection.
func onlyWebsocket(h http.Header) {
	if asked := h["Upgrade"]; len(asked) > 1 || len(asked) == 1 && !strings.EqualFold(asked[0], "websocket") {
		delete(h, "Upgrade")
	}
	delete(h, "Http2-Settings")
}

// identify sets the identity headers of a request that passes. The app may change them in place, so each
// request gets slices of its own: those of an opened session are shared.
func (e *Engine) identify(h http.Header, d *Decision) {
	if d.opened == nil {
		h[headerAuth] = []string{authAnonymous}
		return
	}
	own := make([]string, len(e.names))
	for i, name := range e.names {
		own[i] = d.view.values[i][0]
		if own[i] != "" {
			h[name] = own[i : i+1 : i+1]
		}
	}
}

// boundBody limits what a request that doesn't pass, or that is for us, may hold up with its body: net/http reads on before it sends the
// answer, and has no deadline of its own here. A client that waits to be asked for the body isn't, and gets its answer at
// once: where somebody has wrapped the body, net/http would wait for it all the same, unless the connection is to end.
func boundBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength == 0 {
		return
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(refusedBodyTime))
	if r.Header["Expect"] != nil && r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
	}
}
