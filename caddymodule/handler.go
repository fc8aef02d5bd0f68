package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/vippsauth/vippsauth/forwardauth"
)

const (
	ownPrefix    = "/_vipps/"
	callbackPath = ownPrefix + "callback"
)

func init() {
	caddy.RegisterModule(Handler{})
}

// Handler lets people log in with Vipps MobilePay and hands the site behind it who they are.
//
// A protected request with a session passes on, with the person in request headers (`X-Vipps-Sub`, `X-Vipps-Name`
// and so on) that nobody else can set: headers of such names, however spelt, are removed from every request, and so are
// this module's cookies. Without a session a navigation is redirected to log in (302), and anything else is
// answered with 401 and JSON that says where. A person whom `allow` doesn't list gets 403. The pages and endpoints of
// the login are served under `/_vipps/`; the address to register with Vipps is `/_vipps/callback` on each `public_url`.
//
// The handler must see every request of a site: put it in a route without a matcher and say in `match` what is
// protected. Requests that don't match pass without an identity, as `X-Vipps-Auth: anonymous`. Endpoints and return addresses go by the
// original URI, as it was before any rewrite. A request that was rewritten is protected if it matches in either form.
//
// It sets these placeholders, which are empty for a request without an identity:
//
// Placeholder | Value
// ------------|------
// `{http.auth.user.id}` | The person's `sub`. Caddy's access log shows it as `user_id`.
// `{http.auth.user.<claim>}` | A claim that the session keeps: each that an identity header carries, such as `{http.auth.user.name}`.
//
// Text values may hold global placeholders such as `{env.CLIENT_SECRET}` or `{file./run/secrets/client}`. They are replaced once,
// when the configuration is loaded; one that is unknown or empty is an error.
//
// A request to this module's own paths that comes in the early data of HTTP/3 (0-RTT) is answered with 425, after which
// browsers send it again: early data can be replayed by others, and a login's callback does something each time.
//
// Behind another proxy, name it in Caddy's own `trusted_proxies`: only then do its `X-Forwarded-Host` and
// `X-Forwarded-Proto` count. Requests to `/_vipps/login`, `/_vipps/callback` and `/_vipps/result` are left
// out of the access log, since their addresses or answers hold a login's code and state. Nothing is asked of Vipps when the configuration is loaded, so its outage never stops a start or a reload.
// With Caddy's debug log on, `reverse_proxy` logs request headers, identities among them, and Caddy its configuration. Without it, it
// logs headers in one case, a warning: when the upstream breaks off in the middle of an answer. The global option
// `log { format filter { request>headers delete }}`, as in examples/caddy/Caddyfile.production, leaves them out. docs/privacy.md says
// more.
type Handler struct {
	// Which requests are protected. Default: all of them.
	MatcherSetsRaw caddyhttp.RawMatcherSets `json:"match,omitempty" caddy:"namespace=http.matchers"`

	// Which Vipps people log in with: `production`, `test`, or `emulator`, which starts a make-believe one on this
	// machine and is refused unless every public URL is on loopback. Required unless `issuer` is set.
	Environment string `json:"environment,omitempty"`
	// The issuer URL of another OpenID provider, in place of `environment`. Default: none.
	Issuer string `json:"issuer,omitempty"`
	// The client id of the sales unit, from the Vipps MobilePay portal. Required, but for the emulator.
	ClientID string `json:"client_id,omitempty"`
	// The client secret that belongs to it. Write it as a placeholder, so that it isn't in the configuration.
	// Required, but for the emulator.
	ClientSecret string `json:"client_secret,omitempty"`
	// How id and secret are sent: `basic`, `basic-raw` or `post`. It must equal what the portal says. `partner` is for
	// partner keys: id, secret and `subscription_key` are the partner's, and `msn` says for which merchant people log in.
	// Default: basic.
	ClientAuth string `json:"client_auth,omitempty"`
	// The merchant serial number of the sales unit. Required with partner keys. Default: not sent.
	MSN string `json:"msn,omitempty"`
	// The Ocp-Apim-Subscription-Key that belongs to the client. Write it as a placeholder. Required with partner keys, and
	// of no use elsewhere. Default: none.
	SubscriptionKey string `json:"subscription_key,omitempty"`
	// `on` sends `subscription_key` to the userinfo endpoint too, which older documents of Vipps demand and newer ones forbid.
	// Default: off.
	UserinfoSubscriptionKey string `json:"userinfo_subscription_key,omitempty"`
	// What to ask people for: `openid`, `name`, `phoneNumber`, `email`, `address`, `birthDate`, and so on. Default: openid.
	Scopes []string `json:"scopes,omitempty"`
	// The market, `NO`, `DK`, `FI` or `SE`: brand and language where nothing else says. Default: none.
	Market string `json:"market,omitempty"`
	// Authentication context classes, separated by spaces: sent, and checked in the answer. Default: none.
	ACRValues string `json:"acr_values,omitempty"`
	// The name under which calls to Vipps are made (`Vipps-System-Name`). Default: vippsauth.
	SystemName string `json:"system_name,omitempty"`
	// The version that goes with it. Default: that of this module.
	SystemVersion string `json:"system_version,omitempty"`

	// The origins under which browsers see the site: https, or http on loopback. In a Caddyfile the default
	// is the site's own addresses, where they name hosts. Required.
	PublicURL []string `json:"public_url,omitempty"`
	// A domain that holds every public URL and shares one session between them, so that whoever is logged in at one is at
	// all: every host of the domain must be trusted. Default: none; each host has a session of its own.
	CookieDomain string `json:"cookie_domain,omitempty"`
	// The origin in that domain where everybody logs in: the one redirect URI to register. It must be an address of the
	// same site. Default: each host logs people in by itself.
	AuthURL string `json:"auth_url,omitempty"`
	// Who may pass once logged in: `anyone`, or phone numbers and subs, or files of them (`@members.txt`, read
	// again when they change). Required in production. Default: anyone.
	Allow []string `json:"allow,omitempty"`
	// Where `environment emulator` serves its Vipps: an address on loopback, with its port. Default: 127.0.0.1:4192.
	EmulatorListen string `json:"emulator_listen,omitempty"`

	// Whether a login without any click is tried before the full one: `first` or `off`. Default: first.
	Silent string `json:"silent,omitempty"`
	// How long a browser in which that failed is not asked again. Default: 15m.
	SilentRetry caddy.Duration `json:"silent_retry,omitempty"`
	// What comes then: `login` (the full login), `page` (a page with the Vipps button), or `anonymous` (the request
	// passes without an identity). Default: login.
	WithoutSession string `json:"without_session,omitempty"`
	// When a page asks "Continue as …?" before a session begins: `after-logout`, `always` or `never`. Default: after-logout.
	ConfirmPerson string `json:"confirm_person,omitempty"`

	// How people come back from the app on a phone: `off`, `automatic-return` (the app opens a browser; one that is another than
	// the login began in gets a page that begins again there), `app-to-app` or `app-to-app-v2` (from an app of yours). Default: off.
	AppFlow string `json:"app_flow,omitempty"`
	// What opens your app with `app-to-app`: https, or yourapp://callback. Required with it. Default: none.
	AppCallbackURI string `json:"app_callback_uri,omitempty"`
	// Whether the redirect URI opens your app: `on` or `off`. Default: off.
	FinalRedirectIsApp string `json:"final_redirect_is_app,omitempty"`

	// The identity headers, as `Header=claim` or `Header=claim;encoding`; `default` stands for `X-Vipps-Sub` and one
	// header for each claim of the scopes asked for. Default: default.
	Headers []string `json:"headers,omitempty"`
	// How values that aren't ASCII are written: `utf-8`, `percent`, `base64url`, `latin1` or `ascii`. Default: utf-8.
	HeaderEncoding string `json:"header_encoding,omitempty"`
	// What becomes of an e-mail address that Vipps doesn't vouch for: `drop` or `pass`. Default: drop.
	EmailUnverified string `json:"email_unverified,omitempty"`
	// The site's own session cookies, expired at logout and when another person logs in. Default: none.
	AppCookies []string `json:"app_cookies,omitempty"`
	// Paths of the site whose navigation goes to this module's logout page, such as `/logout.php`. Default: none.
	LogoutPaths []string `json:"logout_paths,omitempty"`
	// How many logins may be started from one address (Caddy's `{client_ip}`, of IPv6 the /64, and four times as many from a /48; without
	// `trusted_proxies_strict` the last address that a trusted proxy names): a number and the time in
	// which that many come back, or `off`. Whoever starts more gets 429 until then; sessions are never limited. Default: 600/10m.
	LoginLimit string `json:"login_limit,omitempty"`
	// The same for everybody who logs in with this `client_id`, on all sites. Default: 3000/1m.
	LoginLimitTotal string `json:"login_limit_total,omitempty"`
	// The name that the pages show. Default: the host.
	SiteName string `json:"site_name,omitempty"`
	// Whom the pages tell people to ask. Default: none.
	Contact string `json:"contact,omitempty"`

	// Keys that seal the cookies, base64 of 32 random bytes each: the first seals, all open. Default: a key that is
	// made once and kept in Caddy's storage, so that all servers that share the storage share it.
	CookieKeys []string `json:"cookie_keys,omitempty"`
	// A file of such keys, one a line, made with a fresh key when it is missing. Default: none.
	// Sessions that were logged out are kept in Caddy's storage all the same, so that a logout holds over a restart and,
	// within seconds, at all servers that share the storage. Servers that share only the keys don't share logouts.
	CookieKeysFile string `json:"cookie_keys_file,omitempty"`
	// How long a session lives at most. Default: 8h.
	SessionTTL caddy.Duration `json:"session_ttl,omitempty"`
	// How long a session lives without a request. Default: no such limit.
	SessionIdle caddy.Duration `json:"session_idle,omitempty"`
	// Whether a session outlives the browser: `on` or `off`. Default: on.
	SessionPersist string `json:"session_persist,omitempty"`
	// Where sessions are kept: `cookie`. Default: cookie.
	Store string `json:"store,omitempty"`

	protected caddyhttp.MatcherSets
	in        *instance
}

// CaddyModule returns the Caddy module information.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.vipps_auth",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision replaces placeholders and refuses a configuration with faults, naming all of them. It asks nothing of
// Vipps and of Caddy's storage: a cookie key that has to come from there comes with the first request.
func (h *Handler) Provision(ctx caddy.Context) error {
	if h.MatcherSetsRaw != nil {
		sets, err := ctx.LoadModule(h, "MatcherSetsRaw")
		if err != nil {
			return fmt.Errorf("loading match: %w", err)
		}
		if err := h.protected.FromInterface(sets); err != nil {
			return fmt.Errorf("loading match: %w", err)
		}
	}
	expanded, errs := h.expand(globalPlaceholders())
	set, resolveErrs := expanded.resolve(nil)
	errs = append(errs, resolveErrs...)
	errs = append(errs, set.check(errs)...)
	if len(errs) > 0 {
		return fmt.Errorf("vipps_auth of %s: %w", strings.Join(expanded.PublicURL, ", "), errors.Join(errs...))
	}
	in, err := openInstance(set, instanceConfig{
		log: ctx.Logger(), storage: ctx.Storage, metrics: ctx.GetMetricsRegistry(),
	})
	h.in = in
	return err
}

// Cleanup gives back what the handler shares with others.
func (h *Handler) Cleanup() error {
	if h.in == nil {
		return nil
	}
	return h.in.close()
}

// ServeHTTP serves the module's own paths, and passes other requests to next when they may pass.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	o, own := original(r)
	if own {
		if leavesSecrets(o.URI) {
			caddyhttp.SetVar(r.Context(), caddyhttp.LogSkipVar, true)
		}
		if early(r) {
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(http.StatusTooEarly)
			return nil
		}
		r = restored(r)
	}
	started := h.in.started.Load()
	if started == nil {
		var err error
		if started, err = h.in.start(r.Context()); err != nil {
			return h.unavailable(w, own, err)
		}
	}
	if own {
		o.ClientIP = clientIP(r)
	}
	started.forwarded(r, &o)
	protected := true
	if !own && len(h.protected) > 0 {
		var err error
		if protected, err = h.protects(r); err != nil {
			return err
		}
	}
	return started.engine.Serve(w, r, o, protected, func(w http.ResponseWriter, r *http.Request, d forwardauth.Decision) error {
		if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
			repl.Map(placeholders(d))
		}
		return next.ServeHTTP(w, r)
	})
}

// protects reports whether a request is protected: as the browser sent it, or as it is after rewrites.
func (h *Handler) protects(r *http.Request) (bool, error) {
	asSent := false
	if before, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok &&
		(before.RequestURI != r.RequestURI || before.Method != r.Method) {
		var err error
		if asSent, err = h.protected.AnyMatchWithError(restored(r)); err != nil {
			return false, err
		}
	}
	// Always asked, and last, so that what a matcher captures is of the request that goes on.
	now, err := h.protected.AnyMatchWithError(r)
	return asSent || now, err
}

// original is the request as the browser sent it, and whether it is for one of our own paths.
func original(r *http.Request) (o forwardauth.Original, own bool) {
	o = forwardauth.Original{Method: r.Method, Scheme: "http", Host: r.Host, URI: r.RequestURI, Header: r.Header}
	if r.TLS != nil {
		o.Scheme = "https"
	}
	u := r.URL
	if before, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		o.Method, o.URI, u = before.Method, before.RequestURI, before.URL
	}
	// An absolute target (RFC 9112 §3.2.2); its host is in r.Host.
	if !strings.HasPrefix(o.URI, "/") && o.URI != "*" && o.Method != http.MethodConnect && u != nil {
		o.URI = u.RequestURI()
	}
	return o, strings.HasPrefix(o.URI, ownPrefix)
}

// early reports whether a request came before the TLS handshake was complete. Whoever saw it pass can send it again, and
// from an address that isn't theirs (RFC 8470, section 3; RFC 9001, section 9.2).
func early(r *http.Request) bool { return r.TLS != nil && !r.TLS.HandshakeComplete }

// restored is a request without what rewrites did to it.
func restored(r *http.Request) *http.Request {
	before, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !ok || before.URL == nil {
		return r
	}
	r = r.WithContext(r.Context()) // a copy: the rewritten one is others' too
	u := *before.URL
	r.Method, r.RequestURI, r.URL = before.Method, before.RequestURI, &u
	return r
}

// unavailable answers while there is no key to open sessions with. Our own paths are answered here and not by
// Caddy's error routes, whose log would show the code in a callback's address.
func (h *Handler) unavailable(w http.ResponseWriter, own bool, err error) error {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Retry-After", "5")
	if !own {
		return caddyhttp.Error(http.StatusServiceUnavailable, err)
	}
	h.in.logFailure(err)
	http.Error(w, "Not available just now. Please try again in a moment.", http.StatusServiceUnavailable)
	return nil
}

const placeholderPrefix = "http.auth.user."

// placeholders answers for {http.auth.user.*}. Values are given as they are: a claim that looks like a
// placeholder stays text.
func placeholders(d forwardauth.Decision) caddy.ReplacerFunc {
	return func(key string) (any, bool) {
		name, ok := strings.CutPrefix(key, placeholderPrefix)
		if !ok {
			return nil, false
		}
		if name == "id" {
			return d.Sub(), true
		}
		value, _ := d.Claim(name)
		return value, true
	}
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.CleanerUpper          = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)

// leavesSecrets reports whether the access log's line of a request would hold what belongs to one login: the code and
// state in the callback's own URI, or state and nonce in the Location to the provider that the others may answer with.
func leavesSecrets(uri string) bool {
	path, _, _ := strings.Cut(uri, "?")
	switch path {
	case callbackPath, ownPrefix + "login", ownPrefix + "result":
		return true
	default:
		return false
	}
}
