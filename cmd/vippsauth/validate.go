package main

import (
	"slices"
	"strings"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/vipps"
)

const (
	envProduction = "production"
	envEmulator   = "emulator"
)

// validate adds to rep what is wrong with the configuration as a whole. It uses no network and creates nothing. Of a
// configuration file that couldn't be read it says no more: whatever else seems to be missing may stand there.
func (c *config) validate(rep *report) {
	if rep.incomplete {
		return
	}
	c.checkProvider(rep)
	c.checkAddresses(rep)
	c.checkWho(rep)
	keys := c.checkKeys(rep)
	c.checkRevocations(rep)
	c.checkEvents(rep)
	clients, err := c.clients(c.expectedIssuer())
	if err != nil {
		rep.addErrors(err)
		// One with nothing wrong with it, so that the rest is looked at too.
		standIn, err := vipps.New(vipps.Config{Issuer: "https://issuer.invalid/", ClientID: "none", ClientSecret: "none"})
		if err != nil {
			rep.addErrors(err)
			return
		}
		clients = slices.Repeat([]*vipps.Client{standIn}, len(c.all()))
	}
	engine, err := forwardauth.New(c.engines(clients, keys))
	rep.addErrors(c.ofFirstSite(err))
	c.foldInherited(rep)
	c.pointToSites(rep)
	c.checkScopes(rep)
	c.checkHeaders(rep)
	c.checkSites(rep)
	c.checkPlainUpstream(rep)
	c.checkWebhooks(rep)
	if err == nil {
		c.checkUnused(rep, engine.UnusedScopes())
		rep.registrations = engine.Registrations()
		c.registerMerchant(rep.registrations)
	} else {
		engine = nil
	}
	c.checkMerchant(rep, clients[0], keys, engine)
	c.checkQR(rep)
}

// checkProvider looks at which provider is meant, and at what we are to it.
func (c *config) checkProvider(rep *report) {
	environment, issuer := rep.isSet("environment"), rep.isSet("issuer")
	if issuer && !rep.has("issuer") {
		rep.addErrors(checkIssuer(c.issuer)) // on its own: a mistyped environment must not hide what is wrong with it
		if environment {
			rep.add(problem{rep.source("issuer"), "issuer", "is set beside environment (" + rep.source("environment") + ")", "keep one: environment for Vipps MobilePay, issuer for another provider"})
		}
	}
	if !environment && !issuer {
		rep.add(problem{notSet, "environment", "say which Vipps people log in with: production, test or emulator (or an issuer of your own)", howToSet("environment")})
	}
	if c.environment == envEmulator {
		return
	}
	from := "copy it from portal.vippsmobilepay.com, and "
	if issuer {
		from = "take it from where the client is registered with the provider, and "
	}
	for _, key := range []string{"client_id", "client_secret"} {
		if c.lacks(key, rep) {
			rep.add(problem{notSet, key, "is required", from + howToSet(key)})
		}
	}
}

// checkIssuer returns what is wrong with an issuer, whatever else is set.
func checkIssuer(issuer string) error {
	_, err := vipps.New(vipps.Config{Issuer: issuer, ClientID: "none", ClientSecret: "none"})
	return err
}

// checkAddresses looks at what listens where, and for whom.
func (c *config) checkAddresses(rep *report) {
	if !isLoopbackAddress(c.emulatorListen) && !rep.has("emulator_listen") {
		rep.add(problem{rep.source("emulator_listen"), "emulator_listen", "is not a loopback address: the emulator logs in anybody who asks", "use 127.0.0.1:4192"})
	}
	if !rep.isSet("public_url") && len(c.sites) == 0 {
		rep.add(problem{notSet, "public_url", "is required: the address under which browsers see the site, such as https://app.example.com", howToSet("public_url")})
	}
	sidecar := c.isSidecar()
	if !sidecar && !rep.isSet("trusted_proxies") {
		rep.add(problem{notSet, "trusted_proxies", "neither trusted_proxies nor upstream is set", "name the proxy that asks, as in trusted_proxies 10.0.0.5/32, or the application to stand in front of, as in upstream http://127.0.0.1:8080"})
	}
	c.checkProxyListeners(rep)
	used := map[string]string{}
	for _, l := range []struct{ key, addr string }{
		{"listen", c.listen},
		{"ops_listen", c.opsListen},
		{"authz_listen", c.authzListen},
		{"grpc_listen", c.grpcListen},
		{"fcgi_listen", c.fcgiListen},
		{"merchant_listen", c.merchant.listen},
		{"emulator_listen", c.emulatorAddr()},
	} {
		if other, taken := used[l.addr]; taken && l.addr != "" && !endsInPortZero(l.addr) && !rep.has(l.key) {
			rep.add(problem{rep.source(l.key), l.key, "is the same address as " + other, "give each its own port"})
		}
		used[l.addr] = l.key
	}
}

// checkProxyListeners looks at the listeners for proxies that ask.
func (c *config) checkProxyListeners(rep *report) {
	for _, l := range []struct{ key, addr string }{{"authz_listen", c.authzListen}, {"grpc_listen", c.grpcListen}, {"fcgi_listen", c.fcgiListen}} {
		if c.isSidecar() && l.addr != "" {
			rep.add(problem{rep.source(l.key), l.key, "is set beside upstream (" + rep.source("upstream") + "), but a sidecar answers no proxy that asks", "take one of them out"})
		}
	}
	if c.isSidecar() && len(c.policies) > 0 {
		rep.add(problem{rep.source(policiesKey), policiesKey, "are set beside upstream (" + rep.source("upstream") + "), but a sidecar is asked for none by name, so that they would guard nothing", "take them out, or let a proxy ask for them"})
	}
	if c.grpcListen != "" && c.writesLatin1() {
		rep.add(problem{rep.source("grpc_listen"), "grpc_listen", "is set beside a header in latin1, which gRPC can't carry", "use utf-8, percent, base64url or ascii for it"})
	}
	if strings.HasPrefix(c.fcgiListen, unixPrefix) {
		rep.add(problem{rep.source("fcgi_listen"), "fcgi_listen", "is a Unix socket, and Apache's mod_authnz_fcgi asks over TCP only", "use 127.0.0.1:4195"})
	}
}

// writesLatin1 reports whether any site or policy has a header in that encoding.
func (c *config) writesLatin1() bool {
	latin1 := func(encoding string, headers []string) bool {
		return encoding == "latin1" || slices.ContainsFunc(headers, func(h string) bool { return strings.HasSuffix(strings.TrimSpace(h), "latin1") })
	}
	return slices.ContainsFunc(c.all(), func(sc *config) bool { return latin1(sc.headerEncoding, sc.headers) }) ||
		slices.ContainsFunc(c.policies, func(p forwardauth.Policy) bool { return latin1(p.HeaderEncoding, p.Headers) })
}

// checkWho looks at who may pass.
func (c *config) checkWho(rep *report) {
	switch {
	case !c.lacks("allow", rep):
	case c.environment == envProduction:
		rep.add(problem{notSet, "allow", "is required in production: who may pass once logged in", "list phone numbers and subs, or @file of them, or say anyone; " + howToSet("allow")})
	default:
		rep.warn(problem{notSet, "allow", "anyone who logs in may pass", "list who may, or say anyone"})
	}
}
