package main

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/vippsauth/vippsauth/forwardauth"
)

// checkUnused warns of scopes that people are asked for in vain: fewer claims is what data protection law wants.
func (c *config) checkUnused(rep *report, unused []forwardauth.UnusedScope) {
	for _, u := range unused {
		source, label := rep.source("scopes"), "scopes"
		for _, sc := range c.sites {
			if v, own := sc.differs["scopes"]; own && sameOrigin(sc.publicURLs[0], u.Site) {
				source, label = v.source, sitesKey+": "+shownName(sc.publicURLs[0])+": scopes"
			}
		}
		p := problem{
			source, label,
			fmt.Sprintf("people are asked for %s, and nothing needs it: no header carries %s, and no policy reads it", u.Scope, strings.Join(u.Claims, ", ")),
			fmt.Sprintf("take %s out of scopes, or list a header for it in headers, as in default, X-Vipps-%s=%s", u.Scope, headerWord(u.Claims[0]), u.Claims[0]),
		}
		if !slices.Contains(rep.warnings, p) { // several sites may have the same scopes
			rep.warn(p)
		}
	}
}

// headerWord is a claim as it stands in the name of a header.
func headerWord(claim string) string {
	words := strings.Split(claim, "_")
	for i, w := range words {
		if w != "" {
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, "-")
}

// sensitiveClaims are those that shall not cross a network in clear.
func sensitiveClaims() []string {
	return []string{"nin", "birthdate", "address", "other_addresses", "accounts"}
}

// checkPlainUpstream warns of a sidecar that sends such claims to another machine over plain http. It doesn't refuse: the network
// between two containers looks the same from here, and a refusal that everybody has to switch off protects nobody.
func (c *config) checkPlainUpstream(rep *report) {
	for _, sc := range c.all() {
		if sc.upstream == nil || sc.upstream.Scheme != "http" || isLoopbackAddress(net.JoinHostPort(sc.upstream.Hostname(), "80")) {
			continue
		}
		var sent []string
		for _, entry := range sc.headers {
			_, claim, _ := strings.Cut(entry, "=")
			claim, _, _ = strings.Cut(claim, ";")
			if claim = strings.TrimSpace(claim); slices.Contains(sensitiveClaims(), claim) && !slices.Contains(sent, claim) {
				sent = append(sent, claim)
			}
		}
		if len(sent) == 0 {
			continue
		}
		source, label := rep.source("upstream"), "upstream"
		if v, own := sc.differs["upstream"]; own {
			source, label = v.source, sitesKey+": "+shownName(sc.publicURLs[0])+": upstream"
		}
		p := problem{
			source, label, "sends " + strings.Join(sent, ", ") + " over the network in clear: it is http, and not this machine",
			"use https, put vippsauth on the application's machine, or take the claim out of headers; between two containers of one machine it may stay",
		}
		if !slices.Contains(rep.warnings, p) {
			rep.warn(p)
		}
	}
}
