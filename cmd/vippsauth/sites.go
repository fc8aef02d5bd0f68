package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

const (
	sitesKey    = "sites"
	policiesKey = "policies"
)

// siteKeys are the settings that may differ between sites, and policyKeys those between the policies of a site.
func siteKeys() []string {
	return []string{
		"client_id", "client_secret", "client_auth", "msn", "subscription_key", "scopes", "market", "acr_values", "upstream", "allow", "site_name", "contact",
		"cookie_domain", "auth_url", "silent", "silent_retry", "without_session", "confirm_person", "app_cookies", "logout_paths",
		"headers", "header_encoding", "email_unverified", "session_ttl", "session_idle", "session_persist",
		"app_flow", "app_callback_uri", "final_redirect_is_app", "qr_ids",
	}
}

func policyKeys() []string {
	return []string{"allow", "headers", "header_encoding", "without_session", "acr_values", "qr_ids"}
}

// clientKeys are the settings that make another client of a site.
func clientKeys() []string {
	return []string{"client_id", "client_secret", "client_auth", "msn", "subscription_key", "scopes", "market", "acr_values"}
}

// A section is what differs for one site or policy, as the file has it.
type section struct {
	name, source string
	values       map[string]candidate
}

// sections reads the mapping under sites or policies.
func (f *configFile) sections(key string, v *yaml.Node, known []string) []section {
	if v.Kind != yaml.MappingNode || len(v.Content) == 0 {
		f.add(v.Line, key, "is not a mapping of names to settings", fmt.Sprintf("write %q, and indented below it a name and its settings", key+":"))
		return nil
	}
	var all []section
	for i := 0; i+1 < len(v.Content); i += 2 {
		name, body := v.Content[i], v.Content[i+1]
		label := key + ": " + shownName(name.Value)
		switch {
		case name.Kind != yaml.ScalarNode || name.Value == "":
			f.add(name.Line, key, "holds something that is not a name", "write a name and a colon")
		case slices.ContainsFunc(all, func(s section) bool { return s.name == name.Value }):
			f.add(name.Line, label, "is given twice", "keep one of them")
		case body.Kind != yaml.MappingNode:
			f.add(name.Line, label, "has no settings", "write them below it, indented, or take it out")
		default:
			s := section{name: name.Value, source: f.at(name.Line), values: map[string]candidate{}}
			f.section(&s, label, body, known)
			all = append(all, s)
		}
	}
	return all
}

// section reads the settings of one site or policy.
func (f *configFile) section(s *section, label string, body *yaml.Node, known []string) {
	for i := 0; i+1 < len(body.Content); i += 2 {
		k, v := body.Content[i], body.Content[i+1]
		setting, key, fromFile := f.named(k.Value)
		_, twice := s.values[key]
		switch {
		case k.Kind != yaml.ScalarNode:
			f.add(k.Line, label, "holds something that is not the name of a setting", `write "key: value"`)
		case twice:
			f.add(k.Line, label+": "+key, "is given twice", "keep one of them")
		case setting != nil && !slices.Contains(known, key):
			f.add(k.Line, label+": "+key, "is the same for all", "move it to the top of the file; what may differ is "+strings.Join(known, ", "))
		case setting == nil:
			f.add(k.Line, strings.TrimSuffix(label+": "+shown(key), ": "), "unknown setting", didYouMean(key, known))
		default:
			sub := newReport()
			if c, ok := f.value(setting, k, v, fromFile, sub); ok {
				s.values[key] = c
			}
			f.rep.addUnder(label, sub)
		}
	}
}

// shownName is a name of the file as it may be printed.
func shownName(name string) string {
	const limit = 80
	if len(name) > limit || hasControl(name) || strings.Contains(name, "@") { // somebody's password, it may be
		return "…"
	}
	return name
}

// addSites makes a whole configuration of each site: what holds for all, and what differs there.
func (c *config) addSites(sections []section, base map[string]candidate, rep *report) {
	for _, sec := range sections {
		sc, unused := newConfig(), newReport()
		sc.differs, sc.source = sec.values, sec.source
		label := sitesKey + ": " + shownName(sec.name)
		for _, s := range settingsTable() {
			if v, ok := sec.values[s.key]; ok {
				applyIn(label, sc, &s, v, rep)
			} else if v, ok := base[s.key]; ok {
				apply(sc, &s, v, unused) // reported as the top of the file
			}
		}
		sc.publicURLs = []string{sec.name}
		c.sites = append(c.sites, sc)
	}
	own := func(origin string) bool {
		return slices.ContainsFunc(c.sites, func(s *config) bool { return sameOrigin(s.publicURLs[0], origin) })
	}
	var rest []string
	for i, origin := range c.publicURLs {
		if !own(origin) {
			rest, c.urlEntries = append(rest, origin), append(c.urlEntries, i+1)
		}
	}
	c.publicURLs = rest
}

// asListed gives a fault of a public URL the number under which the list has it, with those that sites took out of it.
func (c *config) asListed(ce *vipps.ConfigError) *vipps.ConfigError {
	var n int
	if _, err := fmt.Sscanf(ce.Reason, "entry %d:", &n); err != nil || ce.Setting != "public_url" || n < 1 || n > len(c.urlEntries) {
		return ce
	}
	_, what, _ := strings.Cut(ce.Reason, ":")
	return &vipps.ConfigError{Setting: ce.Setting, Reason: fmt.Sprintf("entry %d:%s", c.urlEntries[n-1], what)}
}

// sameOrigin reports whether two public URLs are the same to a browser.
func sameOrigin(a, b string) bool {
	first, err := forwardauth.Origin(a)
	second, otherErr := forwardauth.Origin(b)
	return err == nil && otherErr == nil && first == second
}

// addPolicies reads what differs for each policy.
func (c *config) addPolicies(sections []section, rep *report) {
	for _, sec := range sections {
		pc := &config{}
		label := policiesKey + ": " + shownName(sec.name)
		for _, s := range settingsTable() {
			if v, ok := sec.values[s.key]; ok {
				applyIn(label, pc, &s, v, rep)
			}
		}
		c.policies = append(c.policies, forwardauth.Policy{
			Name: sec.name, Allow: pc.allow, Headers: pc.headers, HeaderEncoding: pc.headerEncoding, WithoutSession: pc.withoutSession,
			ACRValues: pc.acrValues, QRs: pc.app.qrIDs,
		})
	}
	for _, s := range c.sites {
		s.policies = c.policies
	}
}

// applyIn is apply for a setting of a site or policy.
func applyIn(label string, c *config, s *setting, v candidate, rep *report) {
	sub := newReport()
	apply(c, s, v, sub)
	rep.addUnder(label, sub)
}

// all are the configurations that sites have: the one for every public_url that isn't listed under sites, and theirs.
func (c *config) all() []*config {
	if len(c.publicURLs) == 0 && len(c.sites) > 0 {
		return c.sites
	}
	return append([]*config{c}, c.sites...)
}

// clients are the API clients of a configuration, one for each of all().
func (c *config) clients(issuer string) ([]*vipps.Client, error) {
	var clients []*vipps.Client
	var common *vipps.Client
	for _, sc := range c.all() {
		shares := !slices.ContainsFunc(clientKeys(), func(key string) bool { _, ok := sc.differs[key]; return ok })
		if shares && common != nil {
			clients = append(clients, common)
			continue
		}
		client, err := vipps.New(sc.vippsConfig(issuer))
		if err != nil {
			return nil, sc.named(err)
		}
		if shares {
			common = client
		}
		clients = append(clients, client)
	}
	return clients, nil
}

// distinct are the clients without those that several sites have in common.
func distinct(clients []*vipps.Client) []*vipps.Client {
	var once []*vipps.Client
	for _, client := range clients {
		if !slices.Contains(once, client) {
			once = append(once, client)
		}
	}
	return once
}

// named says of an error which site it is about.
func (c *config) named(err error) error {
	if c.differs == nil {
		return err
	}
	var errs []error
	for _, e := range flatten(err) {
		errs = append(errs, &vipps.ConfigError{Setting: sitesKey, Reason: fmt.Sprintf("%s: %v", shownName(c.publicURLs[0]), e)})
	}
	return errors.Join(errs...)
}

// lacks reports whether a setting is missing at the top, and at one of the sites too.
func (c *config) lacks(key string, rep *report) bool {
	return !rep.isSet(key) && slices.ContainsFunc(c.all(), func(sc *config) bool { _, own := sc.differs[key]; return !own })
}

// ofFirstSite says of what the engine finds wrong with the first configuration that it is the first site's, where it is.
func (c *config) ofFirstSite(err error) error {
	first := c.all()[0]
	var errs []error
	for _, e := range flatten(err) {
		ce, ok := errors.AsType[*vipps.ConfigError](e)
		switch {
		case ok && first == c:
			e = c.asListed(ce)
		case ok && first.differs != nil:
			if _, own := first.differs[ce.Setting]; own || ce.Setting == "public_url" {
				e = first.named(e)
			}
		}
		errs = append(errs, e)
	}
	return errors.Join(errs...)
}

// foldInherited takes out what is said again of a site that has the setting, or the policy, from the top of the file.
func (c *config) foldInherited(rep *report) {
	saidAbove := func(p problem) bool {
		for _, sc := range c.sites {
			rest, ok := strings.CutPrefix(p.what, shownName(sc.publicURLs[0])+": ")
			if !ok || p.setting != sitesKey {
				continue
			}
			key, _, _ := strings.Cut(rest, ": ")
			_, own := sc.differs[key]
			return !own && slices.ContainsFunc(rep.problems, func(above problem) bool { return above.setting+": "+above.what == rest })
		}
		return false
	}
	rep.problems = slices.DeleteFunc(slices.Clone(rep.problems), saidAbove)
}

// pointToSites gives problems that name a site the line where its section begins.
func (c *config) pointToSites(rep *report) {
	for i := range rep.problems {
		p := &rep.problems[i]
		for _, sc := range c.sites {
			name := shownName(sc.publicURLs[0])
			if origin, err := forwardauth.Origin(name); p.setting == sitesKey && (strings.HasPrefix(p.what, name+": ") || err == nil && strings.HasPrefix(p.what, origin+": ")) {
				p.source = sc.source
				break
			}
		}
	}
}

// engines is the configuration of the engine, with all sites.
func (c *config) engines(clients []*vipps.Client, keys session.Keys) forwardauth.Config {
	all := c.all()
	cfg := all[0].engineConfig(clients[0], keys)
	for i, sc := range all[1:] {
		cfg.Sites = append(cfg.Sites, sc.engineConfig(clients[i+1], keys))
	}
	return cfg
}

// checkSites looks at each site as validate does at the whole.
func (c *config) checkSites(rep *report) {
	withApp := 0
	for _, sc := range c.all() {
		if sc.upstream != nil {
			withApp++
		}
	}
	if all := len(c.all()); withApp > 0 && withApp < all {
		rep.add(problem{rep.source(sitesKey), "upstream", fmt.Sprintf("is set for %d of %d sites", withApp, all), "set it for all of them, or for none and let a proxy ask"})
	}
	for _, sc := range c.sites {
		sub := newReport()
		maps.Copy(sub.sources, rep.sources)
		for key, v := range sc.differs {
			sub.sources[key] = v.source
		}
		if _, own := sc.differs["client_secret"]; !own && rep.isSet("client_secret") && c.environment != envEmulator {
			if id, differs := sc.differs["client_id"]; differs {
				rep.add(problem{id.source, sitesKey + ": " + shownName(sc.publicURLs[0]) + ": client_secret", "is missing beside client_id", "give the secret that belongs to it, as client_secret or client_secret_file"})
			}
		}
		sc.checkWho(sub)
		sc.checkScopes(sub)
		sc.checkHeaders(sub)
		for _, p := range sub.warnings {
			if _, own := sc.differs[p.setting]; own {
				p.setting = sitesKey + ": " + shownName(sc.publicURLs[0]) + ": " + p.setting
				rep.warn(p)
			}
		}
	}
}

// isSidecar reports whether requests are passed on from here.
func (c *config) isSidecar() bool {
	return slices.ContainsFunc(c.all(), func(sc *config) bool { return sc.upstream != nil })
}
