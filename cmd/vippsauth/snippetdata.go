package main

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// snippetData is what the templates are filled in with.
type snippetData struct {
	Sites       []snippetSite
	Service     endpoint // where the proxy reaches vippsauth
	Authz       endpoint // where it asks: at authz_listen, or at Service
	FCGI        endpoint // where it asks at fcgi_listen; zero without one
	GRPC        endpoint // where it asks at grpc_listen; zero without one
	OwnAuthz    bool     // Authz is a listener of its own
	Policy      string   // the policy to ask for; empty for the default one
	PolicyPath  string   // "/" and that
	Policies    []string // the others that parts of a site may ask for
	ProxySecret bool     // there is one; its value is printed nowhere

	RedirectURIs []string       // to register with Vipps
	Blocks       []snippetBlock // the site blocks of a Caddy with the module
}

// A snippetSite is one public_url, or the auth_url where that is none of them.
type snippetSite struct {
	ID       string // what tells the names of several sites apart: "", "_2", "_3"
	Origin   string
	Scheme   string
	Host     string // with the port, unless it is the scheme's own
	Name     string // the host without port
	Port     string
	Loopback bool // it is a site for trying things out, on this machine
	Headers  []snippetHeader
	Cleared  []string // the names that no application may get from a client, besides those of Headers
	App      endpoint
	Module   []snippetOption // the settings of the Caddy module

	config *config
	logins bool // it is there for logins only, as auth_url
}

// A snippetHeader is one identity header.
type snippetHeader struct {
	Name     string // X-Vipps-Sub
	Var      string // nginx's variable: $vipps_user_sub
	Upstream string // nginx's variable of the answer's header: $upstream_http_x_vipps_sub
	Env      string // Apache's variable: VIPPS_SUB
}

// A snippetOption is one setting with its values, or with the variable that holds them.
type snippetOption struct {
	Key, Env string
	Values   []string
}

// An endpoint is an address to connect to: host and port, or the path of a socket.
type endpoint struct{ Host, Port, Socket string }

// String is the address as URLs have it. There is none for a socket.
func (e endpoint) String() string { return net.JoinHostPort(e.Host, e.Port) }

// identityNames are the headers with a meaning that may come with no setting at all. An application that knows
// vippsauth may read any of them, so none may come from a client.
func identityNames() []string {
	return []string{
		"X-Vipps-Auth", "X-Vipps-Sub", "X-Vipps-Name", "X-Vipps-Given-Name", "X-Vipps-Family-Name", "X-Vipps-Email", "X-Vipps-Email-Verified",
		"X-Vipps-Phone-Number", "X-Vipps-Birthdate", "X-Vipps-Address", "X-Vipps-Nin", "X-Vipps-Consents", "X-Vipps-Assertion", "X-Vipps-Proxy-Secret",
	}
}

// snippetData gathers what a proxy has to know, and adds to rep what is wrong with the settings that it comes from.
func (c *config) snippetData(s *snippet, f *snippetFlags, rep *report) *snippetData {
	d := &snippetData{ProxySecret: c.proxySecret.Reveal() != ""}
	if rep.incomplete {
		return d
	}
	d.choosePolicy(c, f.policy, rep)
	d.Sites, d.RedirectURIs = c.snippetSites(rep)
	d.chooseApps(f.endpoints(rep), rep)
	if s.module {
		return d
	}
	if len(c.policies) > 0 && f.policy == "" {
		rep.warn(problem{
			rep.source(policiesKey), policiesKey, "nothing asks for " + strings.Join(d.Policies, " or ") + " in the configuration as it is printed",
			"take the # off the lines that do, where it has some, or let the proxy ask as its example says; --policy prints one for the whole site",
		})
	}
	d.Service = c.reached("listen", c.listen, f.host, rep)
	d.Authz = d.Service
	if c.authzListen != "" {
		d.OwnAuthz = true
		d.Authz = c.reached("authz_listen", c.authzListen, f.host, rep)
	}
	if c.fcgiListen != "" {
		d.FCGI = c.reached("fcgi_listen", c.fcgiListen, f.host, rep)
	}
	if c.grpcListen != "" {
		d.GRPC = c.reached("grpc_listen", c.grpcListen, f.host, rep)
	}
	c.checkTrust(d, rep)
	return d
}

// chooseApps numbers the sites, and sets what stands behind each: where logins are made, what the first site that shares
// them has.
func (d *snippetData) chooseApps(apps []endpoint, rep *report) {
	protected := 0
	for i := range d.Sites {
		s := &d.Sites[i]
		if i > 0 {
			s.ID = fmt.Sprintf("_%d", i+1)
		}
		if s.logins {
			s.App = d.Sites[slices.IndexFunc(d.Sites, func(first snippetSite) bool { return first.config == s.config })].App
			rep.warn(problem{rep.source("auth_url"), "auth_url", "is a site of its own, and is printed as one, with the application of the first site that logs in there", ""})
			continue
		}
		s.App = apps[min(protected, len(apps)-1)]
		protected++
	}
	if len(apps) > 1 && len(apps) != protected && len(rep.problems) == 0 {
		rep.add(problem{source: "--app", what: fmt.Sprintf("is given %d times for %d sites", len(apps), protected), mend: "give it once, or once for each site, in their order"})
	}
}

// choosePolicy sets the policy that a proxy asks for by default, and those that it may ask for besides.
func (d *snippetData) choosePolicy(c *config, name string, rep *report) {
	known := []string{"default"}
	for _, p := range c.policies {
		known = append(known, p.Name)
	}
	if name == "" {
		name = known[0]
	}
	if !slices.Contains(known, name) {
		rep.add(problem{source: "--policy", what: "is no policy of these settings", mend: "the policies are " + strings.Join(known, ", ")})
		return
	}
	if name != known[0] {
		d.Policy, d.PolicyPath = name, "/"+name
	}
	d.Policies = slices.DeleteFunc(known, func(other string) bool { return other == name })
}

// endpoints are where the proxy reaches the applications: one for all sites, or one for each.
func (f *snippetFlags) endpoints(rep *report) []endpoint {
	var all []endpoint
	for _, addr := range f.app {
		all = append(all, flagEndpoint("--app", addr, rep))
	}
	if len(all) == 0 {
		rep.add(problem{source: "--app", what: "is empty", mend: "write host:port"})
		all = []endpoint{{}}
	}
	return all
}

// snippetSites reads those of the settings that a proxy has to do with, as serve would, and returns the sites and their
// redirect URIs. Nothing else need be there.
func (c *config) snippetSites(rep *report) ([]snippetSite, []string) {
	if len(c.publicURLs) == 0 && len(c.sites) == 0 {
		if !rep.has("public_url") {
			rep.add(problem{notSet, "public_url", "is required: the address under which browsers see the site, such as https://app.example.com", howToSet("public_url")})
		}
		return nil, nil
	}
	engine, err := c.frontEngine()
	if err != nil {
		rep.addErrors(err)
		return nil, nil
	}
	var sites []snippetSite
	add := func(sc *config, raw string, logins bool) {
		origin, err := forwardauth.Origin(raw)
		if err != nil {
			rep.addErrors(err)
			return
		}
		site := newSnippetSite(origin, engine.HeaderNames())
		site.config, site.logins = sc, logins
		if !logins || !slices.ContainsFunc(sites, func(s snippetSite) bool { return s.Origin == origin }) {
			sites = append(sites, site)
		}
	}
	for _, sc := range c.all() {
		for _, raw := range sc.publicURLs {
			add(sc, raw, false)
		}
	}
	for _, sc := range c.all() {
		if sc.authURL != "" {
			add(sc, sc.authURL, true)
		}
	}
	return sites, engine.RedirectURIs()
}

// frontEngine makes an engine of what proxies have to do with.
func (c *config) frontEngine() (*forwardauth.Engine, error) {
	client, err := vipps.New(vipps.Config{Issuer: "https://issuer.invalid/", ClientID: "none", ClientSecret: "none"})
	if err != nil {
		return nil, err
	}
	key, err := session.NewKey()
	if err != nil {
		return nil, err
	}
	var all []forwardauth.Config
	for _, sc := range c.all() {
		cfg := forwardauth.Config{
			Client: client, Keys: session.Keys{key}, PublicURLs: sc.publicURLs, Scopes: sc.scopes, Headers: sc.headers, HeaderEncoding: sc.headerEncoding,
			CookieDomain: sc.cookieDomain, AuthURL: sc.authURL, TrustedProxies: c.trustedProxies, ProxySecret: c.proxySecret, Emulator: c.environment == envEmulator,
		}
		for _, p := range sc.policies {
			cfg.Policies = append(cfg.Policies, forwardauth.Policy{Name: p.Name, Headers: p.Headers, HeaderEncoding: p.HeaderEncoding})
		}
		all = append(all, cfg)
	}
	all[0].Sites = all[1:]
	return forwardauth.New(all[0])
}

// newSnippetSite returns the site of an origin, with these identity headers.
func newSnippetSite(origin string, names []string) snippetSite {
	s := snippetSite{Origin: origin}
	if u, err := url.Parse(origin); err == nil { // it is one: the engine has made it
		s.Scheme, s.Host, s.Name, s.Port = u.Scheme, u.Host, u.Hostname(), u.Port()
	}
	if s.Port == "" {
		s.Port = map[string]string{"http": "80", "https": "443"}[s.Scheme]
	}
	s.Loopback = s.Scheme == "http" && isLoopbackAddress(net.JoinHostPort(s.Name, s.Port))
	for _, name := range names {
		s.Headers = append(s.Headers, newSnippetHeader(name))
	}
	for _, name := range identityNames() {
		if !slices.Contains(names, name) {
			s.Cleared = append(s.Cleared, name)
		}
	}
	return s
}

// newSnippetHeader names the variables of a header so that no two headers share one, nor one with what the template sets.
func newSnippetHeader(name string) snippetHeader {
	low := strings.ToLower(strings.ReplaceAll(name, "-", "_"))
	h := snippetHeader{Name: name, Var: "$vipps_custom_" + low, Upstream: "$upstream_http_" + low, Env: "VIPPS_" + strings.ToUpper(strings.TrimPrefix(low, "x_vipps_"))}
	if own, ok := strings.CutPrefix(low, "x_vipps_"); ok {
		h.Var = "$vipps_user_" + own
	}
	return h
}

// reached is the address at which a proxy reaches one of our listeners.
func (c *config) reached(key, listen, host string, rep *report) endpoint {
	if socket, ok := strings.CutPrefix(listen, unixPrefix); ok {
		if host != "" {
			rep.warn(problem{rep.source(key), key, "is a socket, which --service-host says nothing about", "leave the flag out"})
		}
		return endpoint{Socket: socket}
	}
	at, port, err := net.SplitHostPort(listen)
	if err != nil || port == "0" {
		rep.add(problem{rep.source(key), key, "names no port that a proxy could be told", "write host:port"})
		return endpoint{}
	}
	ip := net.ParseIP(at)
	all := at == "" || ip != nil && ip.IsUnspecified()
	switch {
	case host != "":
		if !validHost(host) {
			rep.add(problem{source: "--service-host", what: "is not a host name or an address", mend: "write it without scheme and port"})
		}
		if isLoopbackAddress(listen) && !isLoopbackAddress(net.JoinHostPort(host, port)) {
			rep.warn(problem{rep.source(key), key, "is a loopback address, which a proxy on another machine or in another container doesn't reach", "set it to :" + port})
		}
		return endpoint{Host: host, Port: port}
	case all:
		rep.warn(problem{rep.source(key), key, "is every address of its machine; the configuration says 127.0.0.1", "name the host with --service-host when the proxy is elsewhere"})
		return endpoint{Host: "127.0.0.1", Port: port}
	case !validHost(at):
		rep.add(problem{rep.source(key), key, "is not a host name or an address that a proxy could be told", "write it without a zone, or name another with --service-host"})
		return endpoint{}
	default:
		return endpoint{Host: at, Port: port}
	}
}

// flagEndpoint reads the address that a flag has.
func flagEndpoint(flag, addr string, rep *report) endpoint {
	if err := checkAddress(addr); err != nil {
		rep.add(problem{source: flag, what: err.Error()})
		return endpoint{}
	}
	if socket, ok := strings.CutPrefix(addr, unixPrefix); ok {
		return endpoint{Socket: socket}
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil || !validHost(host) {
		rep.add(problem{source: flag, what: "is not an address", mend: "write host:port"})
	}
	return endpoint{Host: host, Port: port}
}

// validHost accepts names and addresses, which mean nothing but themselves in any proxy's configuration.
func validHost(host string) bool {
	if net.ParseIP(host) != nil {
		return true
	}
	return host != "" && !strings.ContainsFunc(host, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_')
	})
}

// checkTrust warns of settings with which vippsauth wouldn't listen to the proxy.
func (c *config) checkTrust(d *snippetData, rep *report) {
	switch {
	case c.isSidecar():
		rep.warn(problem{rep.source("upstream"), "upstream", "makes vippsauth the proxy itself, which answers no other's questions", "take it out, and set trusted_proxies"})
	case !rep.isSet("trusted_proxies"):
		rep.warn(problem{notSet, "trusted_proxies", "nobody is trusted, so the proxy's questions are refused", "name the proxy's address as vippsauth sees it, as loopback"})
	case rep.has("trusted_proxies") || d.Service == (endpoint{}):
	case d.Service.Socket != "" && !slices.Contains(c.trustedProxies, "unix"):
		rep.warn(problem{rep.source("trusted_proxies"), "trusted_proxies", "doesn't hold unix, and the proxy comes by a socket", "add unix"})
	case isLoopbackAddress(d.Service.String()) && !c.trustsLoopback():
		rep.warn(problem{rep.source("trusted_proxies"), "trusted_proxies", "doesn't hold loopback, from where the proxy comes", "add loopback"})
	}
	if d.ProxySecret {
		rep.warn(problem{rep.source("proxy_secret"), "proxy_secret", "isn't printed", "give it to the proxy where the configuration says so"})
	}
}

// trustsLoopback reports whether a proxy on this machine is among trusted_proxies.
func (c *config) trustsLoopback() bool {
	return slices.ContainsFunc(c.trustedProxies, func(entry string) bool {
		if entry == "loopback" {
			return true
		}
		if prefix, err := netip.ParsePrefix(entry); err == nil {
			return prefix.Addr().IsLoopback()
		}
		addr, err := netip.ParseAddr(entry)
		return err == nil && addr.IsLoopback()
	})
}
