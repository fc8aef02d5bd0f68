package forwardauth

import (
	"slices"

	"github.com/vippsauth/vippsauth/vipps"
)

// UnusedScope is a scope for which people are asked in vain.
type UnusedScope struct {
	// Site is the origin of the site, the first of several.
	Site string
	// Scope is one of its Config's Scopes.
	Scope string
	// Claims are those that the scope gives, and that no header and no policy needs.
	Claims []string
}

// UnusedScopes returns the scopes that people are asked for although no header and no policy of the site, or of one that shares its
// session, needs what they give. Such claims are never kept; asking for them at all is what data protection law forbids. What
// isn't known to give claims, or does something else at the provider, is left out.
func (e *Engine) UnusedScopes() []UnusedScope {
	var unused []UnusedScope
	for _, other := range e.all {
		for i, scope := range other.cfg.Scopes {
			claims := vipps.ClaimsOfScope(scope)
			if slices.Contains([]string{vipps.ScopeOpenID, vipps.ScopeDelegatedConsents, vipps.ScopeCustomFlow}, scope) {
				continue
			}
			needed := func(claim string) bool { return slices.Contains(other.claims, claim) }
			if len(claims) == 0 || slices.ContainsFunc(claims, needed) || slices.Contains(other.cfg.Scopes[:i], scope) {
				continue
			}
			unused = append(unused, UnusedScope{Site: other.list[0].origin, Scope: scope, Claims: claims})
		}
	}
	return unused
}
