package caddymodule

import "strings"

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
	if best := closest(name, known); best != "" {
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

// closest returns the known name with the fewest edits from name, the first of several; "" when it takes more
// than a third of the name.
func closest(name string, known []string) string {
	const longest = 64
	if len(name) > longest {
		return ""
	}
	best, fewest := "", max(2, len(name)/3)+1
	for _, k := range known {
		if n := edits(name, k); n < fewest {
			best, fewest = k, n
		}
	}
	return best
}

// edits counts the bytes to insert, delete or replace to get from a to b (Levenshtein).
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, replace)
		}
	}
	return row[len(b)]
}
