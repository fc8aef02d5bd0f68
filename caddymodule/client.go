package caddymodule

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/vippsauth/vippsauth/forwardauth"
)

// clientIP is the address of the client, by which logins are counted: Caddy's {client_ip}. Where that is the first address
// in a header of a trusted proxy, which is the client's to write when the proxy adds to what came, it is the last, which is
// the proxy's; with Caddy's trusted_proxies_strict it never is the client's.
func clientIP(r *http.Request) string {
	ip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	srv, _ := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool); !trusted || srv == nil {
		return ip
	}
	for _, name := range srv.ClientIPHeaders {
		lines := r.Header.Values(name)
		switch {
		case len(lines) == 0:
			continue
		case srv.TrustedProxiesStrict > 0:
			return ip
		}
		list := strings.Split(lines[len(lines)-1], ",")
		last := strings.TrimSpace(list[len(list)-1])
		if _, err := netip.ParseAddr(last); err == nil {
			return last
		}
		if _, err := netip.ParseAddrPort(last); err == nil {
			return last
		}
		return "" // the proxy's own
	}
	return forwardauth.ClientUnknown
}
