package forwardauth

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/internal/rate"
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
	limits  *logLimiter

	loginEach, loginAll rate.Limit

	sites map[string]*site // by Host without the default port; of all engines that were made together
	list  []*site          // its own
	all   []*Engine        // those that were made together
	trust *trust
	strip *stripper

	rules      []*rules          // the first is the default policy
	names      []string          // of the identity headers of all engines that were made together, in the form of the header map
	unnamed    []string          // emptyHeaders of a request without an identity
	claims     []string          // those that a session keeps
	released   map[string]bool   // those of them that a header of the default policy carries
	people     []*policy         // whom ForPeople lists
	stepUps    map[string]string // acr_values by the name of the policy that asks for them, of all engines that share its sessions
	readable   bool              // some policy lets pages be read anonymously
	logoutPath map[string]bool
}

// New makes an Engine. It asks nothing of the network; it reads the files that Config.Allow names. Its error
// joins a [*vipps.ConfigError] for everything that is wrong.
func New(cfg Config) (*Engine, error) {
	cfg.applyDefaults()
	trust, errs := parseTrusted(cfg.TrustedProxies)
	each, total, problems := cfg.parseLimits()
	errs = append(errs, problems...)
	all, problems := newEngines(cfg)
	if errs = append(errs, problems...); len(errs) == 0 {
		errs = share(all)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	alignHeaders(all)
	e := all[0]
	e.metrics, e.sites = newMetrics(cfg.Metrics, cfg.State), map[string]*site{}
	for _, other := range all {
		other.all, other.metrics, other.sites, other.trust, other.limits = all, e.metrics, e.sites, trust, e.limits
		other.cfg.ProxySecret, other.loginEach, other.loginAll = cfg.ProxySecret, each, total
		for _, s := range other.list {
			if err := s.seal(); err != nil {
				return nil, err
			}
			e.sites[s.host] = s
		}
	}
	return e, nil
}

// newEngines makes the engine of a configuration, and one of each of its sites.
func newEngines(cfg Config) (all []*Engine, errs []error) {
	taken := newLayout()
	e, errs := newEngine(cfg, taken)
	all = []*Engine{e}
	ofSite := func(i int, problems []error) {
		for _, err := range problems {
			errs = append(errs, &vipps.ConfigError{Setting: "sites", Reason: cfg.Sites[i].called(i) + ": " + err.Error()})
		}
	}
	for i, c := range cfg.Sites {
		c.TrustedProxies, c.ProxySecret, c.Logger, c.Metrics, c.State, c.Now = nil, "", cfg.Logger, nil, cfg.State, cfg.Now
		c.oneOfSeveral = true
		c.applyDefaults()
		other, problems := newEngine(c, taken)
		ofSite(i, problems)
		all = append(all, other)
	}
	errs = append(errs, taken.authSite(e)...)
	for i, other := range all[1:] {
		ofSite(i, taken.authSite(other))
	}
	return all, errs
}

// called is what an error calls one of several sites.
func (c *Config) called(i int) string {
	if len(c.PublicURLs) > 0 {
		if origin, err := Origin(c.PublicURLs[0]); err == nil {
			return origin
		}
	}
	return fmt.Sprintf("site %d", i+1)
}

// newEngine makes an engine of one configuration, without what it shares with others.
func newEngine(cfg Config, taken *layout) (*Engine, []error) {
	errs := cfg.check()
	policies, problems := cfg.parseRules()
	errs = append(errs, problems...)
	e := &Engine{
		cfg: cfg, client: cfg.Client, state: cfg.State, log: cfg.Logger, now: cfg.Now, limits: &logLimiter{},
		rules: policies, logoutPath: map[string]bool{}, released: map[string]bool{},
	}
	for _, h := range policies[0].specs {
		e.released[h.Claim] = true
	}
	e.claims = e.keptClaims()
	e.stepUps = stepUpsOf(policies)
	e.readable = slices.ContainsFunc(policies, func(r *rules) bool { return r.mode == modeAnonymous })
	for _, path := range cfg.LogoutPaths {
		e.logoutPath[path] = true
	}
	return e, append(errs, taken.publicSites(e)...)
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
	for _, r := range e.rules {
		for _, h := range r.specs {
			add(h.Claim)
		}
		if r.who.needsPhone() {
			add("phone_number")
		}
		if r.acr != "" {
			add(claimACR)
		}
		if len(r.qrs) > 0 {
			add(claimQR)
		}
	}
	return names
}

// Registration is what has to be registered with the provider for one client.
type Registration struct {
	// Client is the client.
	Client *vipps.Client
	// RedirectURIs are where its logins come back to.
	RedirectURIs []string
}

// Registrations are the redirect URIs to register with the provider, by client: one for each site that logs people in by
// itself, those of Config.Sites included.
func (e *Engine) Registrations() []Registration {
	var all []Registration
	for _, other := range e.all {
		for _, s := range other.list {
			if s.auth != "" {
				continue
			}
			same := func(r Registration) bool {
				return r.Client.Party() == other.client.Party() && r.Client.Issuer() == other.client.Issuer()
			}
			at := slices.IndexFunc(all, same)
			if at < 0 {
				at, all = len(all), append(all, Registration{Client: other.client})
			}
			all[at].RedirectURIs = append(all[at].RedirectURIs, s.redirectURI)
		}
	}
	return all
}

// RedirectURIs are those of all clients, see [Engine.Registrations].
func (e *Engine) RedirectURIs() []string {
	var uris []string
	for _, r := range e.Registrations() {
		uris = append(uris, r.RedirectURIs...)
	}
	return uris
}

// Decide judges one request: session, then policy. It sets nothing and asks nothing of the network: that a request
// passes never depends on what the answer to it could set.
func (e *Engine) Decide(o Original) Decision { return e.decide(e.siteOf(o.Host), &o) }

// decide is Decide for a request whose site has been looked up; nil is nobody's.
func (e *Engine) decide(s *site, o *Original) Decision {
	if s == nil {
		return Decision{Verdict: Misdirected, kind: classify(o)}
	}
	e = s.engine
	r := e.rulesOf(o.Policy)
	if r == nil {
		return Decision{Verdict: Deny, kind: classify(o), site: s}
	}
	now := e.now()
	op, _ := e.session(s, o.Header, now)
	if len(e.logoutPath) > 0 {
		if d, ok := e.atLogoutPath(s, o); ok {
			return d
		}
	}
	if op == nil {
		return e.withoutSession(s, o, r, now)
	}
	if !e.allowed(op, r) {
		return Decision{Verdict: Forbid, kind: classify(o), site: s, opened: op}
	}
	if op.views[r.index].weak {
		return s.stepUp(o, r)
	}
	if e.renewalDue(op, now) && classify(o) == kindNavigation && op.askRenewal(now) {
		return s.renewal(o)
	}
	return Decision{Verdict: Allow, site: s, opened: op, view: &op.views[r.index]}
}

// of is the engine whose site a host is, and e itself where it is nobody's.
func (e *Engine) of(host string) *Engine { return e.at(e.siteOf(host)) }

// at is the engine of a site, and e itself for none.
func (e *Engine) at(s *site) *Engine {
	if s != nil {
		return s.engine
	}
	return e
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

func (e *Engine) withoutSession(s *site, o *Original, r *rules, now time.Time) Decision {
	kind := classify(o)
	d := Decision{Verdict: Login, kind: kind, site: s}
	if r.mode == modeAnonymous {
		if kind != kindNavigation || o.Header["Sec-Fetch-Mode"] == nil || markedAnonymous(o.URI) || !e.silentDue(e.hint(s, o.Header), now) {
			return Decision{Verdict: Allow, kind: kind, site: s}
		}
		d.Location = s.loginURL(o, r.mode)
		return d
	}
	if kind == kindNavigation {
		d.Location = s.loginURL(o, r.mode)
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
func (e *Engine) atLogoutPath(s *site, o *Original) (Decision, bool) {
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

// loginURL is where a navigation without a session goes first.
func (s *site) loginURL(o *Original, m mode) string {
	return s.loginFor(returnToFromURI(o.Prefix+o.URI)) + m.query(s.engine.rules[0].mode) + s.engine.policyQuery(o.Policy, "&")
}

// renewal sends a navigation by way of the login page, which renews its session.
func (s *site) renewal(o *Original) Decision {
	return Decision{Verdict: Login, Location: s.loginFor(returnToFromURI(o.Prefix + o.URI)), kind: kindNavigation, site: s}
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
