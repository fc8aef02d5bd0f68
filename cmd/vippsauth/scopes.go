package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vippsauth/vippsauth/vipps"
)

// vippsScopes are the scopes that Vipps documents, in the order in which they are worth suggesting.
func vippsScopes() []string {
	return []string{
		vipps.ScopeOpenID, vipps.ScopeName, vipps.ScopePhoneNumber, vipps.ScopeEmail, vipps.ScopeAddress, vipps.ScopeBirthDate,
		vipps.ScopeGender, vipps.ScopeNIN, vipps.ScopeAccountNumbers, vipps.ScopeDelegatedConsents, vipps.ScopeCustomFlow, vipps.ScopePaymentSourceReferences,
	}
}

// legacyNIN is the first name of the scope nin, which old agreements may still have.
const legacyNIN = "nnin"

// otherNames are what people write in place of a scope or claim of Vipps, and what is too far from it to be taken for a typo.
// The keys are folded.
func otherNames() map[string][]string {
	return map[string][]string{
		"profile": {vipps.ScopeName},
		"phone":   {vipps.ScopePhoneNumber, "phone_number"},
		"mobile":  {vipps.ScopePhoneNumber, "phone_number"},
		"msisdn":  {vipps.ScopePhoneNumber, "phone_number"},
		"mail":    {vipps.ScopeEmail},
		"ssn":     {vipps.ScopeNIN},
		"dob":     {vipps.ScopeBirthDate, "birthdate"},
	}
}

// checkScopes warns of scopes that Vipps doesn't know. Those of another provider are its own affair.
func (c *config) checkScopes(rep *report) {
	checkScopesOf(rep, "scopes", c.scopes)
	checkScopesOf(rep, "merchant_scopes", c.merchant.scopes)
}

func checkScopesOf(rep *report, setting string, scopes []string) {
	if !rep.asksVipps() || rep.has(setting) {
		return
	}
	known := vippsScopes()
	for i, scope := range scopes {
		if slices.Contains(known, scope) || scope == legacyNIN {
			continue
		}
		if strings.Contains(scope, ",") {
			rep.add(problem{rep.source(setting), setting, fmt.Sprintf("scope %d holds a comma", i+1), "put blanks between scopes, as in openid name phoneNumber"})
			continue
		}
		mend := "the scopes are " + strings.Join(known, ", ")
		if near := nearest(scope, known); near != "" {
			mend = "did you mean " + near + "?"
		}
		rep.warn(problem{
			rep.source(setting), setting,
			fmt.Sprintf("scope %d is none that Vipps documents, which makes logins fail with invalid_scope, or is dropped without a word", i+1), mend,
		})
	}
}

// checkHeaders warns of headers that will always be empty: those of claims that come with a scope that isn't requested and,
// at Vipps, of claims that there are none of.
func (c *config) checkHeaders(rep *report) {
	if rep.has("headers") || rep.has("scopes") {
		return
	}
	asked := append([]string{vipps.ScopeOpenID}, c.scopes...) // openid is in every login
	scopes := append(vippsScopes(), legacyNIN)
	if !rep.asksVipps() {
		scopes = append(scopes, "profile", "phone")
	}
	var known []string
	for _, s := range scopes {
		known = append(known, vipps.ClaimsOfScope(s)...)
	}
	for i, entry := range c.headers {
		_, claim, isPair := strings.Cut(entry, "=")
		claim, _, _ = strings.Cut(claim, ";")
		claim = strings.TrimSpace(claim)
		gives := func(scope string) bool { return slices.Contains(vipps.ClaimsOfScope(scope), claim) }
		switch {
		case !isPair || slices.ContainsFunc(asked, gives):
		case claim == "qr_id" || claim == "qr_description": // which no scope gives
			if c.qr.mode != "on" {
				rep.warn(problem{
					rep.source("headers"), "headers",
					fmt.Sprintf("entry %d is always empty: the claim %s comes with QR logins, which are off", i+1, claim), "set qr to on, or take the header out",
				})
			}
		case slices.Contains(known, claim):
			from := scopes[slices.IndexFunc(scopes, gives)]
			rep.warn(problem{
				rep.source("headers"), "headers",
				fmt.Sprintf("entry %d is always empty: the claim %s comes with the scope %s, which isn't in scopes", i+1, claim, from),
				"add the scope, or take the header out",
			})
		case rep.asksVipps():
			mend := "take the header out; see which claims the scopes give"
			if near := nearest(claim, known); near != "" {
				mend = "did you mean " + near + "?"
			}
			rep.warn(problem{rep.source("headers"), "headers", fmt.Sprintf("entry %d names a claim that Vipps doesn't have", i+1), mend})
		}
	}
}

// asksVipps reports whether people log in with Vipps, or with the emulator of it.
func (r *report) asksVipps() bool { return r.isSet("environment") && !r.isSet("issuer") }

// nearest returns the one of known that name was meant to be: the same but for case and separators, the usual other name of
// it, or with a typo. Empty when none is near.
func nearest(name string, known []string) string {
	fold := func(s string) string {
		return strings.NewReplacer("_", "", "-", "", ".", "").Replace(strings.ToLower(s))
	}
	folded := make([]string, 0, len(known))
	for _, k := range known {
		folded = append(folded, fold(k))
	}
	for _, other := range otherNames()[fold(name)] {
		if slices.Contains(known, other) {
			return other
		}
	}
	if best := closest(fold(name), folded); best != "" {
		return known[slices.Index(folded, best)]
	}
	return ""
}
