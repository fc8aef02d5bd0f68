package forwardauth

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// Paths that are ours on every protected site.
const (
	pathPrefix   = "/_vipps/"
	pathLogin    = pathPrefix + "login"
	pathCallback = pathPrefix + "callback"
	pathResult   = pathPrefix + "result"
	pathLogout   = pathPrefix + "logout"
	pathMe       = pathPrefix + "me"
	pathAuthz    = pathPrefix + "authz/"
)

// Engine decides about requests and logs people in. It is made by [New], is safe for concurrent use, and has
// no goroutines of its own.
type Engine struct {
	cfg     Config
	client  *vipps.Client
	state   *State
	log     *zap.Logger
	now     func() time.Time
	metrics *metrics
	limits  logLimiter

	sites  map[string]*site // by Host without the default port
	list   []*site
	trust  *trust
	policy *policy
	strip  *stripper

	headers    []headerSpec
	names      []string        // of headers, in the form of the header map
	claims     []string        // those that a session keeps
	released   map[string]bool // those of them that a header carries
	logoutPath map[string]bool
}

// site is one public URL with its cookies. What it seals opens on no other site.
type site struct {
	origin      string
	host        string
	secure      bool
	redirectURI string
	cookie      string // the session cookie's name without prefix; the others' names begin with it

	sessions *session.Box
	pending  *session.Box // login attempts
	confirms *session.Box // logins that wait for "Continue as …"
	hints    *session.Box
	states   *session.Box // what the state parameter carries
	results  *session.Box // tokens in the URLs of our result page

	jar     session.Jar
	hintJar session.Jar
	opened  openedCache
}

// New makes an Engine. It asks nothing of the network; it reads the files that Config.Allow names. Its error
// joins a [*vipps.ConfigError] for everything that is wrong.
func New(cfg Config) (*Engine, error) {
	cfg.applyDefaults()
	errs := cfg.check()
	sites, siteErrs := cfg.parseSites()
	errs = append(errs, siteErrs...)
	trust, trustErrs := parseTrusted(cfg.TrustedProxies)
	errs = append(errs, trustErrs...)
	policy, policyErrs := parseAllow(cfg.Allow, cfg.Market, cfg.Now)
	errs = append(errs, policyErrs...)
	headers, headerErrs := parseHeaders(cfg.Headers, cfg.HeaderEncoding, cfg.Scopes)
	errs = append(errs, headerErrs...)
	if policy.listsPhones() && !slices.Contains(cfg.Scopes, vipps.ScopePhoneNumber) && !slices.Contains(cfg.Scopes, "phone") {
		errs = append(errs, &vipps.ConfigError{
			Setting: "scopes", Reason: "lacks phoneNumber, which allow needs: it lists phone numbers, and without the scope nobody's is known",
		})
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	e := &Engine{
		cfg: cfg, client: cfg.Client, state: cfg.State, log: cfg.Logger, now: cfg.Now,
		sites: map[string]*site{}, list: sites, trust: trust, policy: policy,
		headers: headers, strip: newStripper(headers), logoutPath: map[string]bool{}, released: map[string]bool{},
	}
	for _, h := range headers {
		e.names = append(e.names, h.Name)
		e.released[h.Claim] = true
	}
	e.claims = e.keptClaims()
	for _, path := range cfg.LogoutPaths {
		e.logoutPath[path] = true
	}
	for _, s := range sites {
		if err := e.sealSite(s); err != nil {
			return nil, err
		}
		e.sites[s.host] = s
	}
	e.metrics = newMetrics(cfg.Metrics)
	return e, nil
}

func (s *site) scheme() string {
	if s.secure {
		return "https"
	}
	return "http"
}

// sealSite derives the boxes of a site. The purpose keeps what they seal apart; issuer, client and site keep
// two configurations with the same key apart.
func (e *Engine) sealSite(s *site) error {
	s.jar = session.Jar{Name: s.cookie, Secure: s.secure, MaxChunks: 5}
	s.hintJar = session.Jar{Name: s.cookie + hintSuffix, Secure: s.secure, MaxChunks: 1}
	for purpose, box := range map[string]**session.Box{
		"session": &s.sessions, "login": &s.pending, "confirm": &s.confirms, "hint": &s.hints, "state": &s.states, "result": &s.results,
	} {
		b, err := session.NewBox(e.cfg.Keys, session.Binding{
			Purpose: purpose, Issuer: e.client.Issuer(), ClientID: e.client.ClientID(), Site: s.origin,
		})
		if err != nil {
			return err
		}
		*box = b
	}
	return nil
}

// keptClaims are the claims that a session keeps: those that a header or the policy needs.
func (e *Engine) keptClaims() []string {
	var names []string
	seen := map[string]bool{"sub": true, "": true}
	add := func(name string) {
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	for _, h := range e.headers {
		add(h.Claim)
	}
	if e.policy.needsPhone() {
		add("phone_number")
	}
	return names
}

// RedirectURIs are the URIs to register with the provider, one for each public URL.
func (e *Engine) RedirectURIs() []string {
	uris := make([]string, len(e.list))
	for i, s := range e.list {
		uris[i] = s.redirectURI
	}
	return uris
}

// Decide judges one request: session, then policy. It sets nothing and asks nothing of the network: that a request
// passes never depends on what the answer to it could set.
func (e *Engine) Decide(o Original) Decision {
	s := e.siteOf(o.Host)
	if s == nil {
		return Decision{Verdict: Misdirected, kind: classify(o)}
	}
	now := e.now()
	op, _ := e.session(s, o.Header, now)
	if len(e.logoutPath) > 0 {
		if d, ok := e.atLogoutPath(s, o); ok {
			return d
		}
	}
	if op == nil {
		return e.withoutSession(s, o, now)
	}
	if !e.allowed(op) {
		return Decision{Verdict: Forbid, kind: classify(o), site: s, opened: op}
	}
	if e.renewalDue(op, now) && classify(o) == kindNavigation && op.askRenewal(now) {
		return s.renewal(o)
	}
	return Decision{Verdict: Allow, site: s, opened: op}
}

func (e *Engine) siteOf(host string) *site {
	if s := e.sites[host]; s != nil {
		return s
	}
	for _, scheme := range [...]string{"https", "http"} {
		if s := e.sites[normalizeHost(host, scheme)]; s != nil && s.scheme() == scheme {
			return s
		}
	}
	return nil
}

func (e *Engine) withoutSession(s *site, o Original, now time.Time) Decision {
	kind := classify(o)
	d := Decision{Verdict: Login, kind: kind, site: s}
	if e.cfg.WithoutSession == WithoutSessionAnonymous {
		if kind != kindNavigation || o.Header["Sec-Fetch-Mode"] == nil || markedAnonymous(o.URI) || !e.silentDue(e.hint(s, o.Header), now) {
			return Decision{Verdict: Allow, kind: kind, site: s}
		}
		d.Location = s.loginURL(o, true)
		return d
	}
	if kind == kindNavigation {
		d.Location = s.loginURL(o, false)
	}
	return d
}

// anonymousMark in the query of a page says that a silent attempt has just failed in a way that no cookie could tell.
const anonymousMark = "_vipps=anonymous"

func markedAnonymous(uri string) bool {
	return strings.HasSuffix(uri, "?"+anonymousMark) || strings.HasSuffix(uri, "&"+anonymousMark)
}

// stripMark takes the mark out of a request that passes: the app never sees it.
func stripMark(r *http.Request) {
	for _, query := range [...]*string{&r.URL.RawQuery, &r.RequestURI} {
		if rest, ok := strings.CutSuffix(*query, anonymousMark); ok {
			*query = strings.TrimRight(rest, "?&")
		}
	}
}

// atLogoutPath sends a person who navigates to a logout path of the app to our logout page.
func (e *Engine) atLogoutPath(s *site, o Original) (Decision, bool) {
	path, _, _ := strings.Cut(o.URI, "?")
	if !e.logoutPath[path] {
		return Decision{}, false
	}
	kind := classify(o)
	if kind == kindOther {
		return Decision{}, false
	}
	return Decision{Verdict: Logout, Location: s.origin + pathLogout, kind: kind, site: s}, true
}

// loginURL is where a navigation without a session goes first: a page of ours on the site it asked for, so
// that no cookie has to travel through a sub-request and a redirect replayed from a cache does no harm. auto
// marks a redirect that nobody asked for, on a site that may be read anonymously.
func (s *site) loginURL(o Original, auto bool) string {
	location := s.loginFor(returnToFromURI(o.Prefix + o.URI))
	if auto {
		location += "&auto=1"
	}
	return location
}

// loginFor is where a login starts that comes back to this page.
func (s *site) loginFor(rd string) string { return s.origin + pathLogin + "?rd=" + url.QueryEscape(rd) }

// allowed asks the policy, once for each version of it.
func (e *Engine) allowed(op *opened) bool {
	version := e.policy.version()
	if v := op.verdict.Load(); v>>1 == version+1 {
		return v&1 == 1
	}
	ok := e.policy.allows(op.data.Sub, op.phone)
	if err := e.policy.fileError(); err != nil && e.limits.allow("allow file", 1, e.now()) {
		e.log.Error("a file of allow cannot be used: the list is as it last was", zap.Error(err))
	}
	v := (version + 1) << 1
	if ok {
		v |= 1
	}
	op.verdict.Store(v)
	return ok
}

// renewal sends a navigation by way of the login page, which renews its session.
func (s *site) renewal(o Original) Decision {
	return Decision{Verdict: Login, Location: s.loginURL(o, false), kind: kindNavigation, site: s}
}

// askRenewal reports whether a request may be sent to renew the session: once a minute, or a browser that doesn't keep
// the renewed cookie would go round.
func (op *opened) askRenewal(now time.Time) bool {
	last := op.renewal.Load()
	return now.Unix()-last >= int64(loopWindow/time.Second) && op.renewal.CompareAndSwap(last, now.Unix())
}

// renewalDue reports whether half of the idle time is gone.
func (e *Engine) renewalDue(op *opened, now time.Time) bool {
	idle := e.cfg.SessionIdle
	return idle > 0 && !op.data.IdleUntil.IsZero() && op.data.IdleUntil.Before(op.data.Expires) &&
		op.data.IdleUntil.Sub(now) < idle/2
}
