package main

import (
	"slices"
	"strings"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/merchant"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// checkMerchant looks at the logins that a merchant starts. engine is nil where it could not be made.
func (c *config) checkMerchant(rep *report, client *vipps.Client, keys session.Keys, engine *forwardauth.Engine) {
	defer c.checkMerchantListener(rep) // after the callers, of whose faults there may be several
	if !c.offersMerchantLogins() {
		for _, s := range merchantTable() {
			if s.key != "merchant_callers" && s.key != "merchant_operators" && rep.isSet(s.key) && !rep.has(s.key) {
				rep.add(problem{rep.source(s.key), s.key, "is set, but nobody may start such logins", "name who may, in merchant_callers or merchant_operators, or take it out"})
			}
		}
		return
	}
	_, err := merchant.New(c.merchantConfig(client, keys))
	rep.addErrors(err)
	_, err = merchant.NewAPI(merchant.APIConfig{Logins: new(merchant.Logins), Callers: c.merchant.callers})
	rep.addErrors(err)
	if path := c.merchant.file; path != "" && !rep.has("merchant_file") {
		if err := mayKeepIn(path); err != nil {
			rep.warn(problem{rep.source("merchant_file"), "merchant_file", "cannot be written, so that a restart loses the logins that wait: " + reasonOf(err), "let the user that runs vippsauth write to " + path + " and its directory, or name another file"})
		}
	}
	if engine == nil && !rep.has("scopes") { // one with nothing else wrong with it, so that the list is looked at too
		engine, _ = forwardauth.New(forwardauth.Config{Client: client, Keys: keys, PublicURLs: []string{"https://site.invalid"}, Scopes: c.scopes, Market: c.market, Allow: []string{"anyone"}})
	}
	if engine != nil && len(c.merchant.operators) > 0 {
		_, err := engine.ForPeople(c.merchant.operators, nil)
		rep.addErrors(err)
	}
}

// aboutMerchant says where logins by phone number are started, and what becomes of them in a restart, as lines; none where they are off.
func (c *config) aboutMerchant() []string {
	origin := c.firstOrigin()
	if !c.offersMerchantLogins() || origin == "" {
		return nil
	}
	var lines []string
	if len(c.merchant.callers) > 0 {
		lines = append(lines, "Programs start logins by phone number at "+origin+merchant.PathPrefix+"logins (merchant_callers).")
	}
	if len(c.merchant.operators) > 0 {
		lines = append(lines, "People start them at "+origin+merchant.PathPrefix+" (merchant_operators).")
	}
	if c.merchant.file == "" {
		return append(lines, "A restart loses those that wait, and what merchant_limit has counted: merchant_file keeps both.")
	}
	return append(lines, "Those that wait outlive a restart, in "+c.merchant.file+".")
}

// checkMerchantListener looks at the listener for callers that show a certificate.
func (c *config) checkMerchantListener(rep *report) {
	byCertificate := slices.ContainsFunc(c.merchant.callers, func(caller string) bool { return strings.Contains(caller, "=certificate:") })
	files := []string{"merchant_tls_certificate", "merchant_tls_key", "merchant_client_ca"}
	switch {
	case c.merchant.listen == "" && byCertificate:
		rep.add(problem{rep.source("merchant_callers"), "merchant_callers", "lists a certificate, but nothing asks for one", "set merchant_listen, or give the caller a token: vippsauth keygen --token"})
	case c.merchant.listen == "":
		for _, key := range files {
			if rep.isSet(key) && c.offersMerchantLogins() {
				rep.add(problem{rep.source(key), key, "is set without merchant_listen, which would use it", "set merchant_listen too, or take it out"})
			}
		}
	case !byCertificate && c.offersMerchantLogins():
		rep.add(problem{rep.source("merchant_listen"), "merchant_listen", "serves callers that show a certificate, and merchant_callers lists none", "add one, as office=certificate:till.example.com, or take merchant_listen out"})
	case byCertificate:
		missing := false
		for _, key := range files {
			if !rep.isSet(key) {
				missing = true
				rep.add(problem{notSet, key, "is required with merchant_listen", howToSet(key)})
			}
		}
		if !missing {
			_, err := c.merchantTLS()
			rep.addErrors(err)
		}
	}
}
