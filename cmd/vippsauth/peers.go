package main

import (
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"slices"
)

const headerForwardedFor = "X-Forwarded-For"

// forwardedFor keeps X-Forwarded-For of requests from trusted proxies, for the application to see whom it serves, and
// drops it from all others. Nothing is decided by it.
func (c *config) forwardedFor(next http.Handler) http.Handler {
	var networks []netip.Prefix
	for _, entry := range c.trustedProxies {
		networks = append(networks, networksOf(entry)...)
	}
	unix, secret := slices.Contains(c.trustedProxies, "unix"), c.proxySecret.Reveal()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent := r.Header.Get("X-Vipps-Proxy-Secret")
		knows := secret == "" || subtle.ConstantTimeCompare([]byte(sent), []byte(secret)) == 1
		if !knows || !isPeer(r.RemoteAddr, networks, unix) {
			r.Header.Del(headerForwardedFor)
		}
		next.ServeHTTP(w, r)
	})
}

// networksOf returns the networks that an entry of trusted_proxies names. The engine has said what is wrong with it.
func networksOf(entry string) []netip.Prefix {
	switch entry {
	case "loopback":
		return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	case "private":
		return []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("fc00::/7")}
	}
	if addr, err := netip.ParseAddr(entry); err == nil {
		addr = addr.Unmap()
		return []netip.Prefix{netip.PrefixFrom(addr, addr.BitLen())}
	}
	if network, err := netip.ParsePrefix(entry); err == nil {
		return []netip.Prefix{network}
	}
	return nil
}

func isPeer(remote string, networks []netip.Prefix, unix bool) bool {
	host, _, err := net.SplitHostPort(remote)
	if err != nil { // a Unix socket has no port
		return unix
	}
	addr, err := netip.ParseAddr(host)
	addr = addr.Unmap().WithZone("")
	return err == nil && slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(addr) })
}
