package main

import (
	"errors"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// text returns the setter of a plain string.
func text(field func(*config) *string) func(*config, []string) error {
	return func(c *config, items []string) error {
		*field(c) = items[0]
		return nil
	}
}

// orNone is text, with a word for nothing: a site can say that what holds for the others doesn't for it.
func orNone(field func(*config) *string) func(*config, []string) error {
	return func(c *config, items []string) error {
		if *field(c) = items[0]; items[0] == "none" {
			*field(c) = ""
		}
		return nil
	}
}

// list returns the setter of a list of strings.
func list(field func(*config) *[]string) func(*config, []string) error {
	return func(c *config, items []string) error {
		*field(c) = items
		return nil
	}
}

// oneOf returns the setter of a string that must be one of words.
func oneOf(field func(*config) *string, words ...string) func(*config, []string) error {
	return func(c *config, items []string) error {
		for _, w := range words {
			if items[0] == w {
				*field(c) = w
				return nil
			}
		}
		last := len(words) - 1
		return errors.New("must be " + strings.Join(words[:last], ", ") + " or " + words[last])
	}
}

// duration returns the setter of a positive duration.
func duration(field func(*config) *time.Duration) func(*config, []string) error {
	return func(c *config, items []string) error {
		d, err := parseDuration(items[0])
		if err != nil {
			return err
		}
		*field(c) = d
		return nil
	}
}

// address returns the setter of a listening address.
func address(field func(*config) *string) func(*config, []string) error {
	return func(c *config, items []string) error {
		if err := checkAddress(items[0]); err != nil {
			return err
		}
		*field(c) = items[0]
		return nil
	}
}

var (
	errDuration     = errors.New("is not a duration above zero; write 90s, 15m, 8h, 2d or 1d12h")
	errDurationLong = errors.New("is longer than ten years; write 90s, 15m, 8h, 2d or 1d12h")
)

// parseDuration reads Go's duration syntax, with "d" for 24 hours in front. It wants more than zero and at most ten years.
func parseDuration(s string) (time.Duration, error) {
	const decade = 3650 * 24 * time.Hour
	var total time.Duration
	if days, rest, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return 0, errDuration
		}
		if n > 3650 {
			return 0, errDurationLong
		}
		total, s = time.Duration(n)*24*time.Hour, rest
	}
	if s != "" {
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 {
			return 0, errDuration
		}
		total += min(d, decade+1)
	}
	if total > decade {
		return 0, errDurationLong
	}
	if total <= 0 {
		return 0, errDuration
	}
	return total, nil
}

// checkAddress accepts host:port, :port and unix//path. It resolves nothing.
func checkAddress(s string) error {
	if path, ok := strings.CutPrefix(s, unixPrefix); ok {
		if !filepath.IsAbs(path) || strings.HasSuffix(path, "/") {
			return errors.New("must name a socket by its absolute path; write unix//run/vippsauth.sock")
		}
		return nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return errors.New("is not an address; write host:port, :port or unix//path")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return errors.New("has no port between 0 and 65535")
	}
	if strings.ContainsAny(host, "/@?# ") {
		return errors.New("is not an address; write host:port, without a scheme or path")
	}
	return nil
}

// isLoopbackAddress reports whether a listening address is reachable from this machine only.
func isLoopbackAddress(s string) bool {
	host, _, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func setUpstream(c *config, items []string) error {
	u, err := url.Parse(items[0])
	switch {
	case err != nil:
		return errors.New("is not a URL; write http://127.0.0.1:8080")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("must begin with http:// or https://")
	case u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		return errors.New("names no host; write http://127.0.0.1:8080")
	case u.User != nil:
		return errors.New("must not hold a user name or password")
	case u.Path != "" && u.Path != "/", u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return errors.New("must end after host and port: requests keep their own path and query")
	}
	c.upstream = &url.URL{Scheme: u.Scheme, Host: u.Host}
	return nil
}

func setStore(c *config, items []string) error {
	scheme, _, isURL := strings.Cut(items[0], "://")
	switch {
	case items[0] == "cookie":
		c.store = "cookie"
		return nil
	case items[0] == "memory", isURL && (scheme == "valkey" || scheme == "redis" || scheme == "rediss"):
		return errors.New("is not supported in this version; use cookie, the default")
	default:
		return errors.New("must be cookie")
	}
}

func endsInPortZero(addr string) bool { return strings.HasSuffix(addr, ":0") }
