package forwardauth

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/vippsauth/vippsauth/vipps"
)

// trust is the set of peers whose forwarded headers count. The zero value and
// nil trust nobody. It is immutable and safe for concurrent use.
type trust struct {
	prefixes []netip.Prefix
	unix     bool
}

// parseTrusted reads the setting trusted_proxies: CIDRs, single addresses, and
// the words private (RFC 1918 and RFC 4193), loopback and unix (any peer on a
// Unix socket). An empty list trusts nobody.
func parseTrusted(list []string) (*trust, []error) {
	t := &trust{}
	var problems []error
	for i, entry := range list {
		if reason := t.add(strings.TrimSpace(entry)); reason != "" {
			problems = append(problems, &vipps.ConfigError{
				Setting: "trusted_proxies", Reason: fmt.Sprintf("entry %d: %s", i+1, reason),
			})
		}
	}
	return t, problems
}

// add reads one entry and returns what is wrong with it, or "".
func (t *trust) add(entry string) string {
	switch entry {
	case "":
		return "is empty"
	case "unix":
		t.unix = true
		return ""
	case "loopback":
		return t.addAll("127.0.0.0/8", "::1/128")
	case "private":
		return t.addAll("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
	}
	prefix, err := parsePrefix(entry)
	switch {
	case err != nil:
		return "must be an address, a CIDR, private, loopback or unix"
	case prefix.Bits() == 0:
		return "would trust every address, so that anybody could say who the proxy's client is; " +
			"name the proxy's own address or network"
	case prefix != prefix.Masked():
		return "has bits set behind its prefix length; write the network's own address"
	}
	t.prefixes = append(t.prefixes, prefix)
	return ""
}

func (t *trust) addAll(prefixes ...string) string {
	for _, p := range prefixes {
		t.prefixes = append(t.prefixes, netip.MustParsePrefix(p))
	}
	return ""
}

// parsePrefix reads a CIDR or an address, IPv4 in its IPv6 form included.
func parsePrefix(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		addr, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, fmt.Errorf("parsing address: %w", err)
		}
		addr = addr.Unmap().WithZone("")
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("parsing network: %w", err)
	}
	if !prefix.Addr().Is4In6() {
		return prefix, nil
	}
	// Peers are compared as IPv4; a wider prefix would hold all of it.
	return netip.PrefixFrom(prefix.Addr().Unmap(), max(prefix.Bits()-96, 0)), nil
}

// peer reports whether the remote address of a connection, as net/http gives
// it, is a trusted one. It allocates only for addresses that it cannot parse
// and those with a zone; the zone is ignored.
func (t *trust) peer(remoteAddr string) bool {
	if t == nil {
		return false
	}
	if remoteAddr == "" || remoteAddr[0] == '@' || remoteAddr[0] == '/' {
		return t.unix
	}
	if len(t.prefixes) == 0 {
		return false
	}
	var addr netip.Addr
	if addrPort, err := netip.ParseAddrPort(remoteAddr); err == nil {
		addr = addrPort.Addr()
	} else if addr, err = netip.ParseAddr(remoteAddr); err != nil {
		return false
	}
	return t.holds(addr.Unmap().WithZone(""))
}

// holds reports whether an address, as IPv4 where it can be and without a zone, is a trusted one.
func (t *trust) holds(addr netip.Addr) bool {
	for _, prefix := range t.prefixes {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// remoteAddr is that of the peer. One on a Unix socket may have given its end any name, as that of a trusted address.
func remoteAddr(r *http.Request) string {
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && local.Network() == "unix" {
		return "@"
	}
	return r.RemoteAddr
}
