package doctor

import (
	"context"
	"net/http"
	"strings"
)

// marker stands in whatever the doctor makes up, so that it is known again.
const marker = "vippsauth-doctor-spoofed"

// spoofs are the ways in which a client may hand the application an identity of its own making: the header as it is, in the
// spellings that servers fold into it (RFC 3875, section 4.1.18), and naming it in Connection, so that a proxy takes
// the real one out as hop-by-hop.
func spoofs(value string) []string {
	return []string{
		"X-Vipps-Sub: " + value, "x_vipps_sub: " + value, "X.Vipps.Sub: " + value, "X-Vipps-Auth: authenticated", "Connection: close, X-Vipps-Sub, X-Vipps-Auth",
	}
}

// spoofedIdentity claims to be somebody, without a session: the application must not be reached.
func (v *visit) spoofedIdentity(ctx context.Context) {
	if v.scripted == nil || v.scripted.opens() {
		return // nothing to open: appHeaders looks at what arrives
	}
	for _, line := range spoofs(marker) {
		w := v.ask(ctx, "identity-headers", ask{path: v.path, header: script(line)})
		if w == nil {
			return
		}
		if w.opens() {
			v.problem("identity-headers", "a request with the header "+short(line)+" reaches the application without a login", "anybody can be anybody",
				"let the proxy ask vippsauth about every request; no header of a client's may decide")
			return
		}
	}
	v.ok("identity-headers", "identity headers of a client's own open nothing, in whatever spelling")
}

// forwarded are the headers with which a client may say that it asked for something else.
func forwarded() []string {
	return []string{
		"X-Forwarded-Host: doctor.invalid", "X-Forwarded-Proto: javascript", "X-Forwarded-Uri: /" + marker, "X-Forwarded-Method: OPTIONS",
		"X-Forwarded-Prefix: /" + marker, "X-Original-URL: https://doctor.invalid/" + marker, "X-Original-Method: OPTIONS", "X-Original-URI: /" + marker,
		"X-Rewrite-URL: /" + marker, "Forwarded: host=doctor.invalid;proto=http",
	}
}

// spoofedForwarded asks for the page and says that it asked for another: the answer must stay the same, or be a refusal.
// Where it is neither, each header is tried alone.
func (v *visit) spoofedForwarded(ctx context.Context) {
	if v.nav == nil {
		return
	}
	w := v.ask(ctx, "forwarded-headers", ask{path: v.path, header: navigation(forwarded()...)})
	if w == nil {
		return
	}
	if v.sameAsBefore(w) {
		v.ok("forwarded-headers", "forwarded headers of a client's own change nothing")
		return
	}
	var names []string
	for _, line := range forwarded() {
		if w, err := v.send(ctx, ask{path: v.path, header: navigation(line)}); err == nil && !v.sameAsBefore(w) && !w.refused() {
			name, _, _ := strings.Cut(line, ":")
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		if w.refused() {
			v.ok("forwarded-headers", "forwarded headers of a client's own are refused, or change nothing: "+w.says())
			return
		}
		names = []string{"several of them together"}
	}
	v.problem("forwarded-headers", "a client's own headers are believed: "+strings.Join(names, ", "), "it can say which page, host or method is judged, and get at another",
		"let the proxy overwrite each of them in what it asks vippsauth, as the snippet for your proxy does; don't trust forwarded headers of everybody (trustForwardHeader, trusted_proxies). "+
			"If this machine is one of vippsauth's or the proxy's trusted proxies itself, ask from another")
}

// sameAsBefore reports whether an answer is the one that the page gets without any trick.
func (v *visit) sameAsBefore(w *answer) bool {
	return w.status == v.nav.status && w.header.Get("Location") == v.nav.header.Get("Location")
}

// refused reports whether a proxy or a firewall wouldn't have the request at all. vippsauth answers in another way.
func (w *answer) refused() bool {
	return w.refusal().Error == "" && (w.status == http.StatusBadRequest || w.status == http.StatusForbidden || w.status == http.StatusNotAcceptable)
}

// otherHost asks for a host that isn't the site's.
func (v *visit) otherHost(ctx context.Context) {
	w := v.ask(ctx, "host", ask{path: v.path, host: "doctor.invalid", header: navigation()})
	switch {
	case w == nil:
	case strings.Contains(w.header.Get("Location"), "doctor.invalid") && strings.Contains(w.header.Get("Location"), pathLogin):
		v.problem("host", "with another host the login is said to be at that host", "an address that a cache keeps may lead people astray", "say the host in the proxy's configuration, in place of what the client sends")
	case w.opens() && w.body != "" && v.protected(): // an empty one is how Caddy says that it has no such site
		v.warn("host", "with another host in its request a client gets "+w.says(), "if that is the application, it is open to whoever leaves the host out", "let the proxy's default site answer 404 or 421, and not the application")
	default:
		v.ok("host", "another host gets "+w.says())
	}
}

// authzPaths are the endpoints that proxies ask. They are no business of browsers.
func authzPaths() []string {
	return []string{"forward-auth", "auth-request", "challenge", "ext-authz/default/"}
}

// asProxy describes a request as proxies do, one that can be told from all others by its path.
func asProxy(origin string) []string {
	scheme, host, _ := strings.Cut(origin, "://")
	return navigation("X-Forwarded-Method: GET", "X-Forwarded-Proto: "+scheme, "X-Forwarded-Host: "+host, "X-Forwarded-Uri: /"+marker,
		"X-Original-Method: GET", "X-Original-URL: "+origin+"/"+marker)
}

// An authzAnswer is what an endpoint for proxies turns out to be for a browser.
type authzAnswer int

const (
	authzClosed  authzAnswer = iota // the proxy's own refusal, or nothing at all
	authzRefused                    // vippsauth was reached, and refused
	authzOpen                       // vippsauth judged
	authzOther                      // something else answered: the application, or the check in front of it
)

// judgedAs reads an answer. Any mark that only the endpoint itself makes says that it was reached.
func (w *answer) judgedAs() authzAnswer {
	said, to := w.refusal(), w.location()
	switch {
	case said.Error == "untrusted_peer":
		return authzRefused
	case said.Error == "bad_request", said.Error == "unknown_policy", w.status == http.StatusMisdirectedRequest,
		w.header.Get("X-Vipps-Auth") != "", w.status == http.StatusUnauthorized && w.body == "" && w.noStore(),
		to != nil && to.Query().Get("rd") == "/"+marker: // it judged the page that we made up, and not this path
		return authzOpen
	case w.opens(), w.status == http.StatusUnauthorized, to != nil && strings.HasSuffix(to.Path, pathLogin):
		return authzOther
	}
	return authzClosed
}

const (
	whyAuthz  = "a client can ask it about requests of its own making, and learn or forge what a proxy would"
	cureAuthz = "answer 404 to everything under " + pathAuthz + " in the proxy (in nginx: location ^~ /_vipps/authz { return 404; }), or give the proxy a listener of its own with authz_listen"
)

// authz asks the endpoints for proxies as a browser.
func (v *visit) authz(ctx context.Context) {
	var refused, other []string
	for _, path := range authzPaths() {
		w := v.ask(ctx, "authz", ask{path: pathAuthz + path, header: asProxy(v.origin)})
		if w == nil {
			return
		}
		switch w.judgedAs() {
		case authzOpen:
			v.problem("authz", pathAuthz+path+" is open to browsers: "+w.says(), whyAuthz, cureAuthz)
			return
		case authzRefused:
			refused = append(refused, path)
		case authzOther:
			other = append(other, w.says())
		case authzClosed:
		}
	}
	switch {
	case len(refused) > 0:
		v.warn("authz", pathAuthz+" is reachable for browsers, and refuses them", "nothing but trusted_proxies stands between; one entry too many there opens it", cureAuthz)
	case len(other) > 0:
		v.warn("authz", pathAuthz+" isn't answered with 404: "+other[0], "what answers there isn't vippsauth, or can't be told from it", cureAuthz)
	default:
		v.ok("authz", "what proxies ask is closed to browsers")
	}
}

// authzTricks are spellings of the same paths that a proxy may not recognise and vippsauth may.
func authzTricks() []string {
	return []string{
		"/_vipps/%61uthz/forward-auth", "//_vipps/authz/forward-auth", "/_VIPPS/authz/forward-auth", "/x/../_vipps/authz/forward-auth",
		"/_vipps/./authz/auth-request", "/_vipps/login/../authz/auth-request",
		"/_vipps/authz/forward-auth/../../" + marker, // cleaned by a proxy that compares, and not by what it passes on
	}
}

// authzTricks asks for them in those spellings.
func (v *visit) authzTricks(ctx context.Context) {
	page, err := v.send(ctx, ask{path: v.path, header: asProxy(v.origin)})
	if err != nil {
		return
	}
	if how := page.judgedAs(); how == authzOpen || how == authzRefused {
		v.note("authz-paths", "whether other spellings of these paths get there can't be told while a page gets such an answer too: "+page.says(), "ask again when the rest is mended")
		return
	}
	for _, path := range authzTricks() {
		w, err := v.send(ctx, ask{path: path, header: asProxy(v.origin)})
		if err != nil {
			continue // a connection that is closed is an answer too
		}
		switch w.judgedAs() {
		case authzOpen:
			v.problem("authz-paths", path+" gets to what only proxies may ask: "+w.says(), whyAuthz, "close the path as the proxy reads it, after decoding and cleaning; "+cureAuthz)
			return
		case authzRefused:
			v.warn("authz-paths", path+" gets to what only proxies may ask, and is refused there", whyAuthz, cureAuthz)
			return
		case authzClosed, authzOther:
		}
	}
	v.ok("authz-paths", "nor do other spellings of these paths get there")
}
