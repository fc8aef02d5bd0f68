package forwardauth

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// site is one public URL with its cookies. What it seals opens on no other site, but for the sessions of a shared domain.
type site struct {
	engine *Engine
	origin string
	host   string
	secure bool
	cookie string // the session cookie's name without prefix; the others' names begin with it

	auth   string   // the origin where its logins are made; empty: here
	shared []string // the origins that share its sessions, its own among them; empty: none does

	redirectURI string

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

// layout makes the sites of several configurations, and knows what is taken.
type layout struct {
	hosts map[string]bool // with their ports
	names map[string]bool // without: cookies are not kept apart by ports
}

func newLayout() *layout { return &layout{hosts: map[string]bool{}, names: map[string]bool{}} }

// publicSites makes one site of each public URL.
func (l *layout) publicSites(e *Engine) []error {
	var errs []error
	for i, raw := range e.cfg.PublicURLs {
		errs = append(errs, l.add(e, "public_url", fmt.Sprintf("entry %d: ", i+1), raw)...)
	}
	return errs
}

// authSite makes a site of the place where logins are made, unless it is a protected one as well: that of all engines
// must be known by now.
func (l *layout) authSite(e *Engine) []error {
	if e.cfg.AuthURL == "" {
		return e.cfg.checkDomain(e.list)
	}
	auth, host, _, err := parsePublicURL(e.cfg.AuthURL)
	if err != nil {
		return []error{&vipps.ConfigError{Setting: "auth_url", Reason: err.Error()}}
	}
	var errs []error
	if !l.hosts[host] {
		errs = l.add(e, "auth_url", "", e.cfg.AuthURL)
	}
	for _, s := range e.list {
		if auth != s.origin {
			s.auth = auth
		}
	}
	return append(errs, e.cfg.checkDomain(e.list)...)
}

func (l *layout) add(e *Engine, setting, entry, raw string) []error {
	s, err := l.site(&e.cfg, raw)
	switch {
	case errors.Is(err, errNotLoopback):
		return []error{&vipps.ConfigError{Setting: "environment", Reason: err.Error()}}
	case err != nil:
		return []error{&vipps.ConfigError{Setting: setting, Reason: entry + err.Error()}}
	}
	s.engine = e
	e.list = append(e.list, s)
	return nil
}

var errNotLoopback = errors.New("`emulator` logs in anybody who asks and is refused unless every public_url is on loopback, such as http://localhost:4190")

func (l *layout) site(c *Config, raw string) (*site, error) {
	origin, host, loopback, err := parsePublicURL(raw)
	switch {
	case err != nil:
		return nil, err
	case l.hosts[host]:
		return nil, errors.New("its host is listed twice")
	case c.Emulator && !loopback:
		return nil, errNotLoopback
	}
	l.hosts[host] = true
	name, port := splitPort(host, origin)
	cookie := cookieName
	if l.names[name] { // the second site of a host name has its port in their names
		cookie += "-" + port
	}
	l.names[name] = true
	return &site{origin: origin, host: host, secure: strings.HasPrefix(origin, "https://"), redirectURI: origin + pathCallback, cookie: cookie}, nil
}

// checkDomain says what is wrong with a shared session for these sites.
func (c *Config) checkDomain(sites []*site) []error {
	if c.CookieDomain == "" {
		return nil
	}
	bad := func(format string, args ...any) []error {
		return []error{&vipps.ConfigError{Setting: "cookie_domain", Reason: fmt.Sprintf(format, args...)}}
	}
	domain := c.CookieDomain
	if _, host, _, err := parsePublicURL("https://" + domain); err != nil || host != domain || strings.Contains(domain, ":") {
		return bad("must be a domain in lower case, such as example.com, without a dot in front")
	}
	if suffix, _ := publicsuffix.PublicSuffix(domain); suffix == domain {
		return bad("is a public suffix, under which anybody can have a host: browsers take no cookies for it")
	}
	for _, s := range sites {
		name, _ := splitPort(s.host, s.origin)
		if name != domain && !strings.HasSuffix(name, "."+domain) {
			return bad("doesn't hold %s: give that site a configuration of its own", s.origin)
		}
		if s.secure != sites[0].secure {
			return bad("can't be shared between https and http")
		}
		if s.cookie != cookieName {
			return bad("can't be shared by two ports of one host name")
		}
	}
	return nil
}

// share joins the engines whose sites share sessions: each keeps the claims that any of them needs, and knows where a
// login may come back to.
func share(engines []*Engine) []error {
	var errs []error
	domains := map[string][]*Engine{}
	for _, e := range engines {
		if domain := e.cfg.CookieDomain; domain != "" {
			domains[domain] = append(domains[domain], e)
		}
	}
	for _, members := range domains {
		first := members[0]
		var origins []string
		for _, e := range members {
			if what := first.differsFrom(e); what != "" {
				errs = append(errs, &vipps.ConfigError{Setting: "sites", Reason: fmt.Sprintf("%s: shares its sessions with %s (cookie_domain) and must have the same %s",
					e.list[0].origin, first.list[0].origin, what)})
			}
			for _, s := range e.list {
				origins = append(origins, s.origin)
			}
		}
		for _, e := range members {
			if at := slices.IndexFunc(e.list, func(s *site) bool { return s.auth != "" && !slices.Contains(origins, s.auth) }); at >= 0 {
				errs = append(errs, &vipps.ConfigError{Setting: "auth_url", Reason: fmt.Sprintf("%s doesn't share its sessions with %s (cookie_domain)",
					e.list[at].auth, e.list[at].origin)})
			}
		}
		claims, readable, stepUps := first.claims, false, maps.Clone(first.stepUps)
		for _, e := range members {
			readable = readable || e.readable
			for name, acr := range e.stepUps {
				if other, ok := stepUps[name]; ok && other != acr {
					errs = append(errs, &vipps.ConfigError{Setting: "sites", Reason: fmt.Sprintf("%s: shares its sessions with %s (cookie_domain) and must have the same acr_values in its policy %s",
						e.list[0].origin, first.list[0].origin, name)})
				}
				stepUps[name] = acr
			}
			for _, name := range e.claims {
				if !slices.Contains(claims, name) {
					claims = append(slices.Clip(claims), name)
				}
			}
		}
		for _, e := range members {
			e.claims, e.readable, e.stepUps = claims, readable, stepUps
			for _, s := range e.list {
				s.shared = origins
			}
		}
	}
	return errs
}

// differsFrom names the first setting in which two engines may not differ that share sessions.
func (e *Engine) differsFrom(other *Engine) string {
	a, b := &e.cfg, &other.cfg
	switch {
	case a.Client.Issuer() != b.Client.Issuer() || a.Client.Party() != b.Client.Party():
		return "client_id and provider"
	case a.Client.ACRValues() != b.Client.ACRValues():
		return "acr_values"
	case !slices.Equal(a.Scopes, b.Scopes):
		return "scopes"
	case !slices.EqualFunc(a.Keys, b.Keys, session.Key.Equal):
		return "cookie_keys"
	case a.AuthURL != b.AuthURL:
		return "auth_url"
	case a.AuthURL != "" && a.Silent != b.Silent:
		return "silent"
	case a.SessionTTL != b.SessionTTL:
		return "session_ttl"
	case a.SessionIdle != b.SessionIdle:
		return "session_idle"
	case a.SessionPersist != b.SessionPersist:
		return "session_persist"
	case a.EmailUnverified != b.EmailUnverified:
		return "email_unverified"
	case a.ConfirmPerson != b.ConfirmPerson:
		return "confirm_person"
	case e.list[0].secure != other.list[0].secure:
		return "scheme"
	}
	return ""
}

func (s *site) scheme() string {
	if s.secure {
		return "https"
	}
	return "http"
}

// seal derives the boxes of a site. The purpose keeps what they seal apart; issuer, client and site keep two
// configurations with the same key apart. Only what is shared by a domain opens at all of its sites.
func (s *site) seal() error {
	e := s.engine
	domain, bound := e.cfg.CookieDomain, s.origin
	remembered := bound
	if domain != "" {
		bound = "domain " + domain
		remembered = bound + e.cfg.worth()
	}
	bound += e.cfg.worth()
	s.jar = session.Jar{Name: s.cookie, Secure: s.secure, Domain: domain, MaxChunks: 5}
	s.hintJar = session.Jar{Name: s.cookie + hintSuffix, Secure: s.secure, Domain: domain, MaxChunks: 1}
	for _, b := range []struct {
		purpose, site string
		box           **session.Box
	}{
		{"session", bound, &s.sessions},
		{"hint", remembered, &s.hints},
		{"login", s.origin, &s.pending},
		{"confirm", s.origin + e.cfg.worth(), &s.confirms},
		{"state", s.origin, &s.states},
		{"result", s.origin, &s.results},
	} {
		box, err := session.NewBox(e.cfg.Keys, session.Binding{
			Purpose: b.purpose, Issuer: e.client.Issuer(), ClientID: e.client.Party(), Site: b.site,
		})
		if err != nil {
			return err
		}
		*b.box = box
	}
	return nil
}

// worth is what a session is worth, which it is bound to beside its origin or domain: one from before a change of these
// settings, or of another instance that asks for less, doesn't open. No origin has a blank.
func (c *Config) worth() (bound string) {
	if c.EmailUnverified == EmailUnverifiedPass {
		bound += " unverified"
	}
	if acr := c.Client.ACRValues(); acr != "" {
		bound += " acr " + acr // last, since it may hold blanks
	}
	return bound
}

// at is the address of a place to come back to: a path of this site, or the whole address of one that shares its sessions.
func (s *site) at(rd string) string {
	if strings.HasPrefix(rd, "/") {
		return s.origin + rd
	}
	return rd
}

// returnTo is where a login may come back to that was asked to come back to rd: a path of this site, a page of a site
// that shares its sessions, and otherwise "/".
func (s *site) returnTo(rd string) string {
	if clean, ok := cleanReturnTo(rd); ok {
		return clean
	}
	if s.peoplesPage(rd) {
		return rd
	}
	for _, origin := range s.shared {
		rest, ok := strings.CutPrefix(rd, origin)
		if !ok {
			continue
		}
		if clean, ok := cleanReturnTo(rest); ok || s.siteAt(origin).peoplesPage(rest) {
			if !ok {
				clean = rest
			}
			if origin == s.origin {
				return clean
			}
			return origin + clean
		}
	}
	return "/"
}

// siteAt is the site with one of the origins that share its sessions.
func (s *site) siteAt(origin string) *site {
	for _, other := range s.engine.all {
		for _, at := range other.list {
			if at.origin == origin {
				return at
			}
		}
	}
	return s
}

// peoplesPage reports whether rd is the one page of ours that a login comes back to, where there is one.
func (s *site) peoplesPage(rd string) bool { return rd == pathPeople && len(s.engine.people) > 0 }

// returnToOf takes the place to come back to of a query or a form: exactly one that passes, and otherwise the site's root.
func (s *site) returnToOf(values url.Values) string {
	if rd := values["rd"]; len(rd) == 1 {
		return s.returnTo(rd[0])
	}
	return "/"
}

// loginFor is where a login starts that comes back to this page: a page of ours on the site that was asked for, so that
// no cookie has to travel through a sub-request and a redirect replayed from a cache does no harm.
func (s *site) loginFor(rd string) string { return s.origin + pathLogin + "?rd=" + url.QueryEscape(rd) }

// elsewhere is where a login that comes back to this page is made on a site whose logins are made at auth_url.
func (s *site) elsewhere(rd string, m mode, policy string) string {
	return s.auth + pathLogin + "?rd=" + url.QueryEscape(s.at(rd)) + m.query(-1) + s.engine.policyQuery(policy, "&")
}
