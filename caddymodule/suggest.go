package caddymodule

import (
	"strings"

	"github.com/vippsauth/vippsauth/internal/guess"
)

// unknownSetting says what to do about a name that is no setting of this module.
func unknownSetting(name string, known []string) string {
	unknown := "unknown setting " + quote(name)
	switch name {
	case "listen", "ops_listen", "authz_listen", "grpc_listen", "fcgi_listen":
		return unknown + ": Caddy listens, at the site's address"
	case "upstream":
		return unknown + ": write reverse_proxy after the block"
	case "trusted_proxies", "proxy_secret":
		return unknown + ": trusted_proxies is Caddy's own, in the global option servers"
	case "revocations_file":
		return unknown + ": ended sessions are kept in Caddy's storage"
	case "log_level", "log_format":
		return unknown + ": logging is Caddy's own, in the global option log"
	case "sites", "policies":
		return unknown + ": write one vipps_auth for each site"
	case "redirect_uri":
		return unknown + ": it is always /_vipps/callback on each public_url"
	}
	for _, family := range [...]string{"merchant_", "qr_", "webhook_", "consent_"} { // consent_revoked_secret too
		if name == "qr" || strings.HasPrefix(name, family) {
			return unknown + ": it is of vippsauth serve, which can run beside Caddy"
		}
	}
	if best := guess.Closest(name, known); best != "" {
		return unknown + ": did you mean " + best + "?"
	}
	return unknown
}

func quote(name string) string {
	const longest = 64
	if len(name) > longest {
		name = name[:longest] + "…"
	}
	return "'" + name + "'"
}
