package emulator

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// loopbackName says whether host, without a port, is this machine by name or address: 127.0.0.0/8, ::1, localhost, *.localhost
// (RFC 6761 §6.3). Names are not resolved.
func loopbackName(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	if host == "localhost" || (strings.HasSuffix(host, ".localhost") && !strings.HasPrefix(host, ".")) {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Zone() == "" && a.Unmap().IsLoopback()
}

// loopbackHost is loopbackName for the value of a Host header.
func loopbackHost(hostport string) bool {
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		return loopbackName(h)
	}
	return loopbackName(hostport)
}

func checkBaseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return nil, errors.New("emulator: BaseURL: is empty")
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return nil, errors.New("emulator: BaseURL: must be an absolute http or https URL")
	case u.User != nil || strings.TrimSuffix(u.Path, "/") != "" || strings.ContainsAny(raw, "?#"):
		return nil, errors.New("emulator: BaseURL: must be an origin, without user, path, query or fragment")
	case !loopbackName(u.Hostname()):
		return nil, errors.New("emulator: BaseURL: is not on loopback; the emulator never runs where others can reach it")
	}
	return u, nil
}

// checkRedirectURI refuses what could send a login off this machine, and what Vipps refuses (a fragment).
func checkRedirectURI(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return errors.New("redirect URI: must be an absolute http or https URL")
	case strings.Contains(raw, "#") || u.User != nil:
		return errors.New("redirect URI: must have neither a fragment nor a user")
	case !loopbackName(u.Hostname()):
		return fmt.Errorf("redirect URI: %s is not on loopback; the emulator is no login for a site that others can reach", u.Hostname())
	}
	return nil
}

// loopbackPeer says whether the connection comes from this machine and no proxy says that it speaks for another one.
func loopbackPeer(r *http.Request) bool {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if len(r.Header.Values(name)) > 0 {
			return false
		}
	}
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && ap.Addr().Unmap().IsLoopback()
}

// sameOrigin says whether a browser says that the request comes from our own pages, or no browser says anything at all.
func sameOrigin(r *http.Request) bool {
	if site := r.Header.Values("Sec-Fetch-Site"); len(site) > 0 && (len(site) > 1 || (site[0] != "same-origin" && site[0] != "none")) {
		return false
	}
	origins := r.Header.Values("Origin")
	if len(origins) == 0 {
		return true
	}
	u, err := url.Parse(origins[0])
	return len(origins) == 1 && err == nil && (u.Scheme == "http" || u.Scheme == "https") && strings.EqualFold(u.Host, r.Host)
}
