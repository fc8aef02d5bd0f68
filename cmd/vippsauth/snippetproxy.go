package main

import (
	"net"
	"reflect"
	"slices"
	"strings"
)

// checkTraefik wants a listener of its own for what Traefik asks: Traefik has no rule that answers 404 by itself, and on
// listen /_vipps/authz/ would be open to browsers.
func checkTraefik(d *snippetData, rep *report) { wantOwnAuthz(d, rep, "Traefik", "127.0.0.1:4193") }

// checkIngressNginx wants the same: an Ingress has no such rule either.
func checkIngressNginx(d *snippetData, rep *report) {
	wantOwnAuthz(d, rep, "ingress-nginx", ":4193")
	wantService(d, rep)
}

// wantService warns where the application is no Service of Kubernetes.
func wantService(d *snippetData, rep *report) {
	if slices.ContainsFunc(d.Sites, func(s snippetSite) bool { return net.ParseIP(s.App.Host) != nil }) {
		rep.warn(problem{source: "--app", what: "is an address, where the file needs the name of a Service", mend: "write --app and its name and port, as application:8080"})
	}
}

func wantOwnAuthz(d *snippetData, rep *report, proxy, example string) {
	if !d.OwnAuthz {
		rep.add(problem{notSet, "authz_listen", "is required behind " + proxy + ", which can't close /_vipps/authz/ to browsers", howToSet("authz_listen") + ", as " + example})
	}
	if d.Service.Socket != "" || d.Authz.Socket != "" {
		rep.add(problem{rep.source("listen"), "listen", "is a socket, which " + proxy + " doesn't reach", "write host:port for listen and authz_listen"})
	}
}

// moduleKeys are the settings that the Caddy module has of ours, besides the secrets, client_id and public_url, which is
// the address of the site.
func moduleKeys() []string {
	return []string{
		"environment", "issuer", "client_auth", "msn", "userinfo_subscription_key", "scopes", "market", "acr_values", "system_name", "system_version", "allow", "emulator_listen", "cookie_domain", "auth_url",
		"silent", "silent_retry", "without_session", "confirm_person", "app_flow", "app_callback_uri", "final_redirect_is_app", "headers", "header_encoding", "email_unverified", "app_cookies",
		"logout_paths", "login_limit", "login_limit_total", "site_name", "contact", "cookie_keys_file", "session_ttl", "session_idle", "session_persist",
	}
}

// moduleOptions gathers the settings of the module for each site. Client id, secret and keys come from Caddy's
// environment, and nobody's number is printed.
func moduleOptions(d *snippetData, rep *report) {
	if len(d.Policies) > 0 || d.PolicyPath != "" {
		rep.warn(problem{rep.source(policiesKey), policiesKey, "the Caddy module has none", "write another vipps_auth block for another site, or use forward_auth"})
	}
	for _, s := range settingsTable() {
		if ofServeAlone(s.key) && rep.isSet(s.key) {
			rep.warn(problem{rep.source(s.key), s.key, "the Caddy module has none", "run vippsauth serve beside Caddy for it"})
		}
	}
	for i := range d.Sites {
		d.Sites[i].moduleOptions(rep)
	}
	d.moduleBlocks(rep)
}

// ofServeAlone says of a setting that it is for logins by phone number and QR code, webhooks or events, which the Caddy module
// has not.
func ofServeAlone(key string) bool {
	for _, family := range [...]string{"merchant_", "qr_", "webhook_", "consent_"} {
		if key == "qr" || strings.HasPrefix(key, family) {
			return true
		}
	}
	return false
}

// A snippetBlock is a site block of a Caddyfile: one site, or all that share a session, which the module must serve
// together.
type snippetBlock struct {
	Sites  []snippetSite
	OneApp bool // it stands behind all of them
}

// moduleBlocks puts the sites into blocks.
func (d *snippetData) moduleBlocks(rep *report) {
	for _, s := range d.Sites {
		i := slices.IndexFunc(d.Blocks, func(b snippetBlock) bool {
			return s.config.cookieDomain != "" && b.Sites[0].config.cookieDomain == s.config.cookieDomain
		})
		if i < 0 {
			d.Blocks = append(d.Blocks, snippetBlock{Sites: []snippetSite{s}, OneApp: true})
			continue
		}
		b := &d.Blocks[i]
		if !reflect.DeepEqual(b.Sites[0].Module, s.Module) {
			rep.add(problem{s.config.source, sitesKey + ": " + shownName(s.Origin), "differs from " + b.Sites[0].Origin + ", with which it shares a session; in the Caddy module such hosts stand in one block and differ in nothing", "take out what differs, or use caddy-forward-auth"})
		}
		b.OneApp = b.OneApp && s.App == b.Sites[0].App
		b.Sites = append(b.Sites, s)
	}
}

func (s *snippetSite) moduleOptions(rep *report) {
	add := func(key string, values ...string) {
		s.Module = append(s.Module, snippetOption{Key: key, Values: values})
	}
	fromEnv := func(key, name string) { s.Module = append(s.Module, snippetOption{Key: key, Env: name}) }
	suffix := func(key string) string { // of what this site alone has
		if _, own := s.config.differs[key]; own {
			return s.ID
		}
		return ""
	}
	if given := rep.values["environment"]; len(given) == 0 || given[0] != envEmulator {
		fromEnv("client_id", "VIPPSAUTH_CLIENT_ID"+suffix("client_id"))
		fromEnv("client_secret", "VIPPSAUTH_CLIENT_SECRET"+suffix("client_id"))
	}
	if _, own := s.config.differs["subscription_key"]; own || rep.isSet("subscription_key") {
		fromEnv("subscription_key", "VIPPSAUTH_SUBSCRIPTION_KEY"+suffix("subscription_key"))
	}
	if rep.isSet("cookie_keys") {
		fromEnv("cookie_keys", "VIPPSAUTH_COOKIE_KEYS")
	}
	for _, key := range moduleKeys() {
		values := rep.values[key]
		if own, ok := s.config.differs[key]; ok {
			values = nil
			for _, it := range own.items {
				values = append(values, it.text)
			}
		}
		switch {
		case len(values) == 0, (key == "cookie_domain" || key == "auth_url") && values[0] == "none":
		case key == "acr_values":
			add(key, strings.Fields(values[0])...)
		case key == "allow" && namesPeople(values):
			rep.warn(problem{rep.source(key), key, "names people, and isn't printed", "put them into the file that the configuration names, one a line"})
			add(key, "@/etc/caddy/members"+suffix(key)+".txt")
		default:
			add(key, values...)
		}
	}
}

// namesPeople reports whether the entries of allow hold a number or a sub.
func namesPeople(allow []string) bool {
	for _, entry := range allow {
		if entry != "anyone" && !strings.HasPrefix(entry, "@") {
			return true
		}
	}
	return false
}

// checkApache wants fcgi_listen, and a variable of its own for each header.
func checkApache(d *snippetData, rep *report) {
	for _, s := range d.Sites {
		seen := map[string]string{}
		for _, h := range s.Headers {
			if other := seen[h.Env]; other != "" || h.Env == "VIPPS_POLICY" {
				rep.add(problem{rep.source("headers"), "headers", h.Name + " would be " + h.Env + " in Apache, which is another's", "give it another name"})
			}
			seen[h.Env] = h.Name
		}
	}
	if d.FCGI == (endpoint{}) {
		rep.add(problem{notSet, "fcgi_listen", "is required: where Apache asks", howToSet("fcgi_listen") + ", as 127.0.0.1:4195"})
	}
}

// checkGateway wants grpc_listen.
func checkGateway(d *snippetData, rep *report) {
	wantService(d, rep)
	if d.GRPC == (endpoint{}) {
		rep.add(problem{notSet, "grpc_listen", "is required: where a Gateway asks", howToSet("grpc_listen") + ", as :4194"})
	}
}
