package forwardauth

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
)

// maxForwardedFor is how many proxies a client may be behind. What else X-Forwarded-For holds isn't read.
const maxForwardedFor = 16

// ClientUnknown is the Original.ClientIP of a request from a proxy that doesn't say who its client is.
const ClientUnknown = "unknown"

// clientKey is where Original.ClientIP is kept for our own pages.
type clientKey struct{}

// withClient hands on what the front end knows of the client.
func (o *Original) withClient(r *http.Request) *http.Request {
	if o.ClientIP == "" {
		return r
	}
	return r.WithContext(context.WithValue(r.Context(), clientKey{}, o.ClientIP))
}

// clientOf is whose login attempts are counted together: the address that r came from or, where that is a trusted proxy's,
// what the proxy says of its own client, an IPv6 address standing for its whole /64. It is
// not valid where nobody knows. Nothing but limits goes by it.
func (e *Engine) clientOf(r *http.Request) netip.Addr {
	if known, ok := r.Context().Value(clientKey{}).(string); ok {
		if known == ClientUnknown {
			return netip.Addr{}
		}
		if addr, ok := parseClient(known); ok {
			return clientNet(addr)
		}
	}
	peer, _ := parseClient(remoteAddr(r))
	if !e.Trusts(r) {
		return clientNet(peer)
	}
	addr, said := forwardedClient(r.Header["X-Forwarded-For"], e.trust.holds)
	switch {
	case addr.IsValid():
		return clientNet(addr)
	case !said:
		return netip.Addr{}
	case !peer.IsValid():
		peer = netip.IPv6Unspecified() // a Unix socket, whose clients send what is no address
	}
	return clientNet(peer)
}

// forwardedClient reads X-Forwarded-For from right to left, as each proxy has added to it: the first address that is no
// trusted proxy's is the client's. When all of them are, it is the last that was read, which proxies vouch for. Anything
// else than an address ends it without one. said reports whether there was anything to read.
func forwardedClient(lines []string, trusted func(netip.Addr) bool) (client netip.Addr, said bool) {
	rest := strings.Join(lines, ",") // several lines are one list (RFC 9110, section 5.3)
	if strings.Trim(rest, ", \t") == "" {
		return netip.Addr{}, false
	}
	for range maxForwardedFor {
		at := strings.LastIndexByte(rest, ',')
		addr, ok := parseClient(strings.Trim(rest[at+1:], " \t"))
		if !ok {
			return netip.Addr{}, true
		}
		if at < 0 || !trusted(addr) {
			return addr, true
		}
		rest = rest[:at]
	}
	return netip.Addr{}, true
}

// parseClient reads an address, with a port or without.
func parseClient(text string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		withPort, err := netip.ParseAddrPort(text)
		if err != nil {
			return netip.Addr{}, false
		}
		addr = withPort.Addr()
	}
	return addr.Unmap().WithZone(""), true
}

// clientNet is the network that counts as one client.
func clientNet(addr netip.Addr) netip.Addr {
	if !addr.Is6() {
		return addr
	}
	prefix, err := addr.Prefix(clientBits)
	if err != nil {
		return addr
	}
	return prefix.Addr()
}
