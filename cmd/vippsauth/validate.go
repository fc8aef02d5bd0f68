package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

const (
	envProduction = "production"
	envEmulator   = "emulator"
)

// validate adds to rep what is wrong with the configuration as a whole. It uses no network and creates nothing.
func (c *config) validate(rep *report) {
	c.checkProvider(rep)
	c.checkAddresses(rep)
	c.checkWho(rep)
	keys := c.checkKeys(rep)
	client, err := vipps.New(c.vippsConfig(c.expectedIssuer()))
	if err != nil {
		rep.addErrors(err)
		// A client with nothing wrong with it, so that the rest is looked at too.
		client, err = vipps.New(vipps.Config{Issuer: "https://issuer.invalid/", ClientID: "none", ClientSecret: "none"})
		if err != nil {
			rep.addErrors(err)
			return
		}
	}
	engine, err := forwardauth.New(c.engineConfig(client, keys))
	if err != nil {
		rep.addErrors(err)
		return
	}
	rep.redirectURIs = engine.RedirectURIs()
}

// checkProvider looks at which provider is meant, and at what we are to it.
func (c *config) checkProvider(rep *report) {
	switch {
	case rep.has("environment") || rep.has("issuer"):
	case c.environment == "" && c.issuer == "":
		rep.add(problem{notSet, "environment", "say which Vipps people log in with: production, test or emulator (or an issuer of your own)", howToSet("environment")})
	case c.environment != "" && c.issuer != "":
		rep.add(problem{rep.source("issuer"), "issuer", "is set beside environment (" + rep.source("environment") + ")", "keep one: environment for Vipps MobilePay, issuer for another provider"})
	}
	if c.environment == envEmulator {
		return
	}
	for _, key := range []string{"client_id", "client_secret"} {
		if !rep.isSet(key) {
			rep.add(problem{notSet, key, "is required", "copy it from portal.vippsmobilepay.com, and " + howToSet(key)})
		}
	}
}

// checkAddresses looks at what listens where, and for whom.
func (c *config) checkAddresses(rep *report) {
	if c.environment == envEmulator && !isLoopbackAddress(c.emulatorListen) {
		rep.add(problem{rep.source("emulator_listen"), "emulator_listen", "is not a loopback address: the emulator logs in anybody who asks", "use 127.0.0.1:4192"})
	}
	if !rep.isSet("public_url") {
		rep.add(problem{notSet, "public_url", "is required: the address under which browsers see the site, such as https://app.example.com", howToSet("public_url")})
	}
	sidecar := rep.isSet("upstream")
	if !sidecar && !rep.isSet("trusted_proxies") {
		rep.add(problem{notSet, "trusted_proxies", "neither trusted_proxies nor upstream is set", "name the proxy that asks, as in trusted_proxies 10.0.0.5/32, or the application to stand in front of, as in upstream http://127.0.0.1:8080"})
	}
	if sidecar && c.authzListen != "" {
		rep.add(problem{rep.source("authz_listen"), "authz_listen", "is set beside upstream (" + rep.source("upstream") + "), but a sidecar has no /_vipps/authz/", "take one of them out"})
	}
	used := map[string]string{}
	for _, l := range []struct{ key, addr string }{{"listen", c.listen}, {"ops_listen", c.opsListen}, {"authz_listen", c.authzListen}, {"emulator_listen", c.emulatorAddr()}} {
		if other, taken := used[l.addr]; taken && l.addr != "" && !endsInPortZero(l.addr) && !rep.has(l.key) {
			rep.add(problem{rep.source(l.key), l.key, "is the same address as " + other, "give each its own port"})
		}
		used[l.addr] = l.key
	}
}

// checkWho looks at who may pass.
func (c *config) checkWho(rep *report) {
	switch {
	case rep.isSet("allow"):
	case c.environment == envProduction:
		rep.add(problem{notSet, "allow", "is required in production: who may pass once logged in", "list phone numbers and subs, or @file of them, or say anyone; " + howToSet("allow")})
	default:
		rep.warn(problem{notSet, "allow", "anyone who logs in may pass", "list who may, or say anyone"})
	}
}

// checkKeys returns the cookie keys, or one to go on checking with.
func (c *config) checkKeys(rep *report) session.Keys {
	standIn, err := freshKeys()
	if err != nil {
		rep.addErrors(err)
	}
	inline, file := rep.isSet("cookie_keys"), rep.isSet("cookie_keys_file")
	switch {
	case inline && file:
		rep.add(problem{rep.source("cookie_keys"), "cookie_keys", "is set beside cookie_keys_file (" + rep.source("cookie_keys_file") + ")", "keep one of them"})
	case rep.has("cookie_keys") || rep.has("cookie_keys_file"):
	case inline:
		keys, err := session.ParseKeys(c.cookieKeys)
		if err == nil {
			return keys
		}
		rep.add(problem{rep.source("cookie_keys"), "cookie_keys", keyProblem(err), ""})
	case file:
		keys, err := session.ReadKeysFile(c.cookieKeysFile)
		if err == nil {
			return keys
		}
		if errors.Is(err, fs.ErrNotExist) { // serve creates it
			if info, err := os.Stat(filepath.Dir(c.cookieKeysFile)); err == nil && info.IsDir() {
				return standIn
			}
		}
		rep.add(problem{rep.source("cookie_keys_file"), "cookie_keys_file", keyProblem(err), ""})
	case c.environment == envEmulator:
		rep.warn(problem{notSet, "cookie_keys", "a fresh key is made at each start, which ends all sessions", howToSet("cookie_keys_file")})
	default:
		rep.add(problem{notSet, "cookie_keys", "neither cookie_keys nor cookie_keys_file is set", "name a file that is created when missing with cookie_keys_file, or make a key with: vippsauth keygen"})
	}
	return standIn
}

// keyProblem is what is wrong with the keys, without the name of the package that says so.
func keyProblem(err error) string {
	return strings.TrimPrefix(strings.TrimPrefix(oneLine(err.Error()), "session: "), "cookie keys: ")
}
