package forwardauth

import (
	"errors"
	"net/netip"
	"strings"
)

// maxHost bounds a host with its port; a DNS name has at most 253 characters.
const maxHost = 255

// parsePublicURL reads one origin of the setting public_url: https, or http
// where the host is this machine. It returns the origin as browsers write it,
// the host as they send it in Host, and whether it is a loopback one.
//
// It does not resolve the name. Internationalized names are expected in their
// xn-- form (RFC 5890).
func parsePublicURL(s string) (origin, host string, loopback bool, err error) {
	scheme, rest, found := strings.Cut(s, "://")
	scheme = strings.ToLower(scheme)
	if !found || scheme != "https" && scheme != "http" {
		return "", "", false, errors.New("must start with https:// (or http:// on loopback)")
	}
	rest = strings.TrimSuffix(rest, "/")
	switch {
	case rest == "":
		return "", "", false, errors.New("has no host")
	case strings.Contains(rest, ","):
		return "", "", false, errors.New("must be one origin an entry")
	case strings.ContainsAny(rest, "/\\"):
		return "", "", false, errors.New("must be an origin, without a path")
	case strings.ContainsAny(rest, "?#"):
		return "", "", false, errors.New("must be an origin, without query or fragment")
	case strings.Contains(rest, "@"):
		return "", "", false, errors.New("must not contain a user name or password")
	case strings.Contains(rest, "*"):
		return "", "", false, errors.New("must name one host: wildcards cannot be registered with Vipps")
	case !isASCII(rest):
		return "", "", false, errors.New("must have the host in its ASCII form, which starts with xn--")
	}
	if host = normalizeHost(rest, scheme); host == "" {
		return "", "", false, errors.New("has no valid host and port")
	}
	name, addr, ok := splitHost(host)
	if !ok {
		return "", "", false, errors.New("has an IP address that browsers would write in another way")
	}
	if strings.HasSuffix(name, ".") {
		return "", "", false, errors.New("must have the host without a dot at its end")
	}
	loopback = name == "localhost" || strings.HasSuffix(name, ".localhost") || addr.IsLoopback()
	if scheme == "http" && !loopback {
		return "", "", false, errors.New("must be https: http is for loopback hosts only")
	}
	return scheme + "://" + host, host, loopback, nil
}

// Origin returns a public URL, as in [Config].PublicURLs, as browsers write it: in lower case, without the scheme's own
// port and without a slash at its end.
func Origin(publicURL string) (string, error) {
	origin, _, _, err := parsePublicURL(publicURL)
	return origin, err
}

// splitHost returns the name of a normalized host without its port, or its
// address. ok is false for an address that is not in its usual form, such as
// 127.1, which a browser would rewrite.
func splitHost(host string) (name string, addr netip.Addr, ok bool) {
	name = host
	if i := strings.LastIndexByte(host, ':'); i >= 0 && host[len(host)-1] != ']' {
		name = host[:i]
	}
	if inner, bracketed := strings.CutPrefix(name, "["); bracketed {
		addr, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		return name, addr, err == nil && "["+addr.String()+"]" == name && !addr.Is4In6()
	}
	last := name[strings.LastIndexByte(strings.TrimSuffix(name, "."), '.')+1:]
	if !isDigit(last[0]) {
		return name, netip.Addr{}, true
	}
	if !isNumeric(strings.TrimSuffix(last, ".")) {
		return name, netip.Addr{}, true
	}
	addr, err := netip.ParseAddr(name)
	return name, addr, err == nil
}

// isNumeric reports a label that browsers read as part of an IPv4 address
// (WHATWG URL, "ends in a number").
func isNumeric(label string) bool {
	hex := strings.HasPrefix(label, "0x")
	for i := range len(label) {
		c := label[i]
		if hex && i >= 2 && !isHex(c) || !hex && !isDigit(c) {
			return false
		}
	}
	return true
}

// normalizeHost returns a Host header's value in lower case and without the
// scheme's default port, or "" for what is no host with an optional port. It
// allocates for upper case only.
func normalizeHost(h, scheme string) string {
	if h == "" || len(h) > maxHost {
		return ""
	}
	end, ok := nameEnd(h)
	if !ok {
		return ""
	}
	if port := h[end:]; port != "" {
		if !validPort(port[1:]) {
			return ""
		}
		if port == ":443" && scheme == "https" || port == ":80" && scheme == "http" {
			h = h[:end]
		}
	}
	for i := range len(h) {
		if 'A' <= h[i] && h[i] <= 'Z' {
			return strings.ToLower(h)
		}
	}
	return h
}

// nameEnd returns where the host's name or bracketed address ends, which is at
// the end of h or at the colon before the port.
func nameEnd(h string) (int, bool) {
	if h[0] == '[' {
		end := strings.IndexByte(h, ']')
		if end < 0 || end+1 < len(h) && h[end+1] != ':' {
			return 0, false
		}
		addr, err := netip.ParseAddr(h[1:end])
		return end + 1, err == nil && addr.Is6() && addr.Zone() == ""
	}
	for i := range len(h) {
		switch c := h[i]; {
		case isLetter(c), isDigit(c), c == '-', c == '_':
		case c == '.':
			if i == 0 || h[i-1] == '.' {
				return 0, false
			}
		case c == ':':
			return i, i > 0
		default:
			return 0, false
		}
	}
	return len(h), true
}

// validPort accepts 1 to 65535, as browsers write it.
func validPort(port string) bool {
	if port == "" || len(port) > 5 || port[0] == '0' {
		return false
	}
	n := 0
	for i := range len(port) {
		if !isDigit(port[i]) {
			return false
		}
		n = n*10 + int(port[i]-'0')
	}
	return n <= 65535
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
