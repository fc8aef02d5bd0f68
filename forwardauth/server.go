package forwardauth

import (
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"go.uber.org/zap"
)

const (
	authAuthenticated = "authenticated"
	authAnonymous     = "anonymous"
	headerProxySecret = "X-Vipps-Proxy-Secret" //nolint:gosec // a header's name
	defaultPolicy     = "default"
	noPolicy          = "/" // the name that no policy has
)

// ForwardAuth returns the handler of the standalone service: the endpoints that a proxy asks, for trusted peers
// only, and the pages that browsers see.
func (e *Engine) ForwardAuth() http.Handler { return http.HandlerFunc(e.serveForwardAuth) }

// serveForwardAuth dispatches on the raw path, since http.ServeMux would redirect one that isn't clean.
func (e *Engine) serveForwardAuth(w http.ResponseWriter, r *http.Request) {
	path := rawPath(r)
	if rest, ok := strings.CutPrefix(path, pathAuthz); ok {
		e.authz(w, r, rest) // where Envoy's question has the method of what it asks about
		return
	}
	if refuseConnect(w, r) {
		return
	}
	o := e.browserRequest(r)
	e.of(o.Host).endpoint(w, r, o, path)
}

// rawPath is the path as it was sent. Where Go keeps no raw form, the decoded one is the same for every path
// that this package compares with.
func rawPath(r *http.Request) string {
	if r.URL.RawPath != "" {
		return r.URL.RawPath
	}
	return r.URL.Path
}

// browserRequest is what the browser asked of the standalone service's own pages: the site in Host, or in one
// X-Forwarded-Host that a trusted proxy sends.
func (e *Engine) browserRequest(r *http.Request) Original {
	o := fromRequest(r, "https")
	if r.TLS == nil {
		o.Scheme = "http"
	}
	if !e.Trusts(r) {
		return o
	}
	if hosts := r.Header["X-Forwarded-Host"]; len(hosts) == 1 {
		if host := strings.ToLower(hosts[0]); e.siteOf(host) != nil {
			o.Host = host
		}
	}
	switch proto := r.Header["X-Forwarded-Proto"]; {
	case len(proto) != 1:
		o.Scheme = "" // a proxy in front, and nobody knows
	case proto[0] == "http" || proto[0] == "https":
		o.Scheme = proto[0]
	}
	return o
}

// Trusts reports whether r comes straight from one of the trusted proxies, with their secret where there is one, so that
// its forwarded headers count. It must be asked before [Engine.Protect], which takes the secret away.
func (e *Engine) Trusts(r *http.Request) bool {
	if !e.trust.peer(remoteAddr(r)) {
		return false
	}
	secret := e.cfg.ProxySecret.Reveal()
	if secret == "" {
		return true
	}
	sent := r.Header[headerProxySecret]
	return len(sent) == 1 && subtle.ConstantTimeCompare([]byte(sent[0]), []byte(secret)) == 1
}

// endpoint serves one of our own paths for the site that the browser asked.
func (e *Engine) endpoint(w http.ResponseWriter, r *http.Request, o Original, path string) {
	boundBody(w, r)
	s := e.siteOf(o.Host)
	if s == nil {
		e.misdirected(w, r, o)
		return
	}
	if r.ContentLength > maxForm {
		e.page(w, r, s, page{Kind: pageTooLarge, Status: http.StatusRequestEntityTooLarge})
		return
	}
	switch path {
	case pathLogin:
		e.postOrGet(w, r, s, o, e.login)
	case pathCallback:
		if r.Method != http.MethodGet {
			e.methodNotAllowed(w, r, s, "GET") // a HEAD would burn the code for nothing
			return
		}
		e.callback(w, r, s, o)
	case pathResult:
		e.postOrGet(w, r, s, o, e.result)
	case pathLogout:
		e.postOrGet(w, r, s, o, e.logout)
	case pathMe:
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			e.methodNotAllowed(w, r, s, "GET, HEAD")
			return
		}
		e.me(w, r, s)
	default:
		if l := e.landingAt(path); l != nil {
			e.land(w, r, s, o, l)
			return
		}
		e.page(w, r, s, page{Kind: pageNotFound})
	}
}

func (e *Engine) postOrGet(w http.ResponseWriter, r *http.Request, s *site, o Original, handle func(http.ResponseWriter, *http.Request, *site, Original)) {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost:
		handle(w, r, s, o)
	default:
		e.methodNotAllowed(w, r, s, "GET, HEAD, POST")
	}
}

func (e *Engine) misdirected(w http.ResponseWriter, r *http.Request, o Original) {
	e.metrics.refused("host")
	reference := e.limits.reference("host", clip(o.Host), e.now(), func(reference string) {
		e.logHost(o.Host, zap.String("reference", reference))
	})
	e.page(w, r, nil, page{Kind: pageForbiddenSite, Reference: reference})
}

// authz answers what proxies ask. It reads the policy from the path and nothing from the query.
func (e *Engine) authz(w http.ResponseWriter, r *http.Request, rest string) {
	dialect, policy, hasPolicy := strings.Cut(rest, "/")
	if r.ContentLength < 0 && r.ProtoMajor == 1 { // it may have had a length too, which nobody can see any more (RFC 9112, section 6.1)
		w.Header().Set("Connection", "close")
	}
	if !e.Trusts(r) {
		e.untrusted(w, r)
		return
	}
	switch {
	case !hasPolicy:
		policy = defaultPolicy
	case policy == "":
		policy = noPolicy
	}
	switch dialect {
	case "forward-auth":
		e.forwardAuth(w, r, policy)
	case "auth-request":
		e.authRequest(w, r, policy)
	case "challenge":
		e.challenge(w, r, policy)
	case dialectExtAuthz:
		e.extAuthz(w, r) // which reads its own policy: what follows it is the client's
	default:
		e.page(w, r, nil, page{Kind: pageNotFound})
	}
}

// unknownPolicy tells the operator of a path with a policy that isn't configured.
func (e *Engine) unknownPolicy(policy string) {
	e.metrics.refused("policy")
	if e.limits.allow("policy", 1, e.now()) {
		names := make([]string, len(e.rules))
		for i, r := range e.rules {
			names[i] = r.name
		}
		e.log.Error("unknown policy in an authz path", zap.String("policy", clip(policy)), zap.String("cure", "use "+strings.Join(names, ", ")+", or add it to policies"))
	}
}

func (e *Engine) untrusted(w http.ResponseWriter, r *http.Request) {
	e.metrics.refused("peer")
	peer := peerAddress(remoteAddr(r))
	if e.limits.allowOnce("peer", peer, e.now()) {
		cure := "add " + peer + " to trusted_proxies if it is your proxy"
		if e.trust.peer(remoteAddr(r)) {
			cure = "the peer is trusted, but " + headerProxySecret + " is missing or wrong"
		}
		e.log.Warn("authz endpoint asked by a peer that is not trusted", zap.String("peer", peer), zap.String("cure", cure))
	}
	writeJSON(w, r, http.StatusForbidden, errorAnswer{Error: "untrusted_peer"})
}

func peerAddress(remote string) string {
	if ap, err := netip.ParseAddrPort(remote); err == nil {
		return ap.Addr().Unmap().WithZone("").String()
	}
	if host, _, err := net.SplitHostPort(remote); err == nil {
		return clip(host)
	}
	return "unix"
}

// judged recovers the request that a proxy asks about, see [Engine.placed].
func (e *Engine) judged(r *http.Request, policy string, read func(http.Header) (Original, error)) (*Engine, *site, Original, int) {
	o, err := read(r.Header)
	if err == nil {
		o.Policy = policy
	}
	e, s, status := e.placed(&o, err, r.RemoteAddr)
	return e, s, o, status
}

// placed finds the site that a recovered request is for, which is nil for nobody's, and that site's engine. It returns the
// status of a refusal for one that could not be recovered, which err says, or that is unfit, and 0 for others.
func (e *Engine) placed(o *Original, err error, peer string) (*Engine, *site, int) {
	if err != nil {
		e.unreadable(err, peer)
		return e, nil, http.StatusUnauthorized
	}
	s := e.siteOf(o.Host)
	e = e.at(s)
	return e, s, e.unfit(o)
}

// unfit returns 403 for a question that can't be answered with an identity, whoever asks, and 0 for others.
func (e *Engine) unfit(o *Original) int {
	if e.rulesOf(o.Policy) == nil {
		e.unknownPolicy(o.Policy)
		return http.StatusForbidden
	}
	return e.refuseAlias(o.Header)
}

// badQuestion answers one that can't be judged.
func (e *Engine) badQuestion(w http.ResponseWriter, r *http.Request, status int, o Original) {
	answer := errorAnswer{Error: "bad_request"}
	if e.rulesOf(o.Policy) == nil {
		answer.Error = "unknown_policy"
	}
	writeJSON(w, r, status, answer)
}

// refuseAlias returns 403 for a request that could hand the app an identity of the client's own making, and 0 for others.
func (e *Engine) refuseAlias(h http.Header) int {
	name, ok := e.strip.hasAlias(h)
	if !ok {
		return 0
	}
	e.metrics.refused("header_alias")
	if e.limits.allow("alias", 1, e.now()) {
		e.log.Warn("request refused: it carries an alias of an identity header", zap.String("header", clip(name)), zap.String("cure", cureAlias))
	}
	return http.StatusForbidden
}

// forwardAuth is the dialect of Traefik, Caddy's forward_auth and HAProxy.
func (e *Engine) forwardAuth(w http.ResponseWriter, r *http.Request, policy string) {
	e, s, o, status := e.judged(r, policy, fromForwardAuth)
	if status != 0 {
		e.badQuestion(w, r, status, o)
		return
	}
	e.answer(w, r, s, o)
}

// answer judges o and answers as most proxies want it: 200 to let it pass, and otherwise what the client is to get.
func (e *Engine) answer(w http.ResponseWriter, r *http.Request, s *site, o Original) {
	d := e.decide(s, &o)
	e.metrics.verdict(&d)
	if d.Verdict == Allow {
		e.allow(w.Header(), &d)
		return
	}
	e.refuse(w, r, o, d)
}

// Judge answers for a request that a trusted proxy has described in a protocol of its own, such as gRPC or FastCGI: as
// the forward-auth endpoint would, with status 200, an empty body and every identity header for a request that may pass,
// and otherwise with what the client is to get. The caller has asked [Engine.Trusts]. The method, host and path of o are
// checked here, as those of every dialect are; peer is for the log.
func (e *Engine) Judge(w http.ResponseWriter, o Original, peer string) {
	r := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: pathAuthz}, Header: o.Header, Host: o.Host, RemoteAddr: peer}
	o, err := o.checked()
	e, s, status := e.placed(&o, err, peer)
	if status != 0 {
		e.badQuestion(w, r, status, o)
		return
	}
	e.answer(w, r, s, o)
}

// Unreadable answers for a question in a protocol of its own that is none, and says why in the log.
func (e *Engine) Unreadable(w http.ResponseWriter, err error, peer string) {
	e.unreadable(err, peer)
	e.badQuestion(w, &http.Request{Method: http.MethodGet}, http.StatusBadRequest, Original{})
}

// authRequest is the dialect of nginx's auth_request: 200, 401 or 403, and nothing else ever.
func (e *Engine) authRequest(w http.ResponseWriter, r *http.Request, policy string) {
	e, s, o, status := e.judged(r, policy, fromAuthRequest)
	if status == 0 {
		d := e.decide(s, &o)
		e.metrics.verdict(&d)
		switch d.Verdict {
		case Allow:
			e.allow(w.Header(), &d)
			return
		case Login, Logout:
			status = http.StatusUnauthorized
		default:
			status = http.StatusForbidden
			if d.Verdict == Misdirected && e.limits.allowOnce("host of auth-request", clip(o.Host), e.now()) {
				e.logHost(o.Host) // no page says so, unless the proxy comes for the challenge
			}
		}
	}
	h := w.Header()
	neverCache(h)
	w.WriteHeader(status)
}

// challenge answers what nginx sends here after a 401 or 403 of auth-request, as forward-auth would have.
func (e *Engine) challenge(w http.ResponseWriter, r *http.Request, policy string) {
	e, s, o, status := e.judged(r, policy, fromAuthRequest)
	if status != 0 {
		e.badQuestion(w, r, status, o)
		return
	}
	d := e.decide(s, &o)
	if d.Authenticated() && e.renewalDue(d.opened, e.now()) && classify(&o) == kindNavigation {
		d = s.renewal(&o) // auth-request has just refused it for that, and counts how often
	}
	if d.Verdict == Allow {
		e.page(w, r, d.site, page{Kind: pageAlready, Status: http.StatusForbidden, ReturnTo: returnToFromURI(o.Prefix + o.URI)})
		return
	}
	e.refuse(w, r, o, d)
}

// allow writes the answer that lets a request pass: exactly 200, empty, with every identity header, so that
// what a proxy copies also clears what the client sent.
func (e *Engine) allow(h http.Header, d *Decision) {
	neverCache(h)
	own := make([]string, len(e.names)) // see neverCache
	for i, name := range e.names {
		switch {
		case d.opened != nil:
			own[i] = d.view.values[i][0]
		case name == headerAuth:
			own[i] = authAnonymous
		}
		h[name] = own[i : i+1 : i+1]
	}
}

// refuse renders a decision that doesn't let the request pass. r carries the question, o is what was asked.
func (e *Engine) refuse(w http.ResponseWriter, r *http.Request, o Original, d Decision) {
	switch d.Verdict {
	case Login, Logout:
		switch {
		case d.kind == kindNavigation || d.Verdict == Logout:
			e.sendTo(w, o, d.Location)
		case d.kind == kindPageOtherWay:
			e.resendPage(w, r, d.site, o)
		default:
			e.loginRequired(w, r, d.site, o)
		}
	case Forbid:
		if d.kind == kindOther {
			refuseProgram(w, r, o.Header, http.StatusForbidden, errorAnswer{Error: "forbidden"}, rpcPermissionDenied)
			return
		}
		e.forbidPage(w, r, d.site, d.opened, page{ReturnTo: returnToFromURI(o.Prefix + o.URI)})
	case Misdirected:
		e.misdirected(w, r, o)
	default:
		writeJSON(w, r, http.StatusForbidden, errorAnswer{Error: "forbidden"})
	}
}

// sendTo redirects the judged request, whose method need not be that of the question.
func (e *Engine) sendTo(w http.ResponseWriter, o Original, location string) {
	h := w.Header()
	neverCache(h)
	h.Set("Location", location)
	if o.Method == http.MethodGet || o.Method == http.MethodHead {
		w.WriteHeader(http.StatusFound)
		return
	}
	w.WriteHeader(http.StatusSeeOther)
}
