package forwardauth_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/internal/hostile"
)

// hostileHosts are values of Host that aren't the site's.
func hostileHosts(t *testing.T) []string {
	t.Helper()
	hosts, err := hostile.Lines("testdata/hostile/hosts.txt")
	if err != nil {
		t.Fatal(err)
	}
	for i := range hosts {
		hosts[i] = strings.ReplaceAll(hosts[i], "app.example", crossHost)
	}
	return hosts
}

// hostTargets are our own pages and one of the app's.
var hostTargets = []string{"/x", "/_vipps/login?rd=/x", "/_vipps/callback?code=x&state=x", "/_vipps/result?t=x", "/_vipps/logout", "/_vipps/me", "/_vipps/nothing"}

// Attack: a request names a host that isn't the site's, in the hope that a redirect, a cookie or a page is made of it: for a
// cache that keeps it for everybody, or a link in a mail. Nothing is ever made of it.
func TestSec_C055_HostsAreThoseOfTheConfiguration(t *testing.T) {
	t.Parallel()
	x := newCrossroads(t, nil)
	x.logIn(t)
	for i, host := range hostileHosts(t) {
		for j, target := range hostTargets {
			for k, over := range byAll {
				if (i+j+k)%2 != 0 {
					continue
				}
				what := fmt.Sprintf("Host %.60q at %s over %s", host, target, over)
				a := x.ask(t, what, over, crossRequest(http.MethodGet, target, "", "Host: "+host, "Cookie: "+x.session))
				x.nothingOf(t, what, host, a)
			}
		}
	}
	for name, request := range map[string]string{
		"HTTP/1.0 without Host":   "GET $ HTTP/1.0\r\nAccept: text/html\r\n\r\n",
		"HTTP/1.1 without Host":   "GET $ HTTP/1.1\r\nAccept: text/html\r\n\r\n",
		"an empty Host":           "GET $ HTTP/1.1\r\nHost:\r\nAccept: text/html\r\n\r\n",
		"two, the site's first":   "GET $ HTTP/1.1\r\nHost: " + crossHost + "\r\nHost: evil.example\r\nAccept: text/html\r\n\r\n",
		"two, the site's last":    "GET $ HTTP/1.1\r\nHost: evil.example\r\nHost: " + crossHost + "\r\nAccept: text/html\r\n\r\n",
		"twice the site's":        "GET $ HTTP/1.1\r\nHost: " + crossHost + "\r\nHost: " + crossHost + "\r\nAccept: text/html\r\n\r\n",
		"one of the line before":  "GET $ HTTP/1.1\r\nHost: " + crossHost + "\r\n .evil.example\r\nAccept: text/html\r\n\r\n",
		"another in the target":   "GET https://evil.example$ HTTP/1.1\r\nHost: " + crossHost + "\r\nAccept: text/html\r\n\r\n",
		"HTTP/1.0, in the target": "GET http://evil.example$ HTTP/1.0\r\nAccept: text/html\r\n\r\n",
	} {
		for _, target := range hostTargets {
			for _, over := range byAll {
				a := x.ask(t, name+" at "+target, over, strings.Replace(request, "$", target, 1))
				x.nothingOf(t, name+" at "+target, "evil.example", a)
			}
		}
	}
}

// nothingOf: a request for another host is refused, and nothing of its name comes back.
func (x *crossroads) nothingOf(t *testing.T, what, host string, a reply) {
	t.Helper()
	if a.status != http.StatusMisdirectedRequest && a.status != http.StatusBadRequest && a.status != 0 {
		t.Errorf("%s: %d", what, a.status)
	}
	for _, name := range []string{"Location", "Set-Cookie", "X-Vipps-Login-Url", "Www-Authenticate", "X-Vipps-Sub"} {
		if a.header[name] != nil {
			t.Errorf("%s: %s %.100q", what, name, a.header[name])
		}
	}
	body := strings.ToLower(a.body)
	for _, part := range []string{"evil", "alert(1)", "169.254", "metadata.google", "secret", "xn--", "8443", "\u0430pp", "aaaaaaaa"} {
		if strings.Contains(strings.ToLower(host), part) && strings.Contains(body, part) {
			t.Errorf("%s: the page shows %q", what, part)
		}
	}
	if strings.Contains(body, "app: ") || strings.Contains(body, "åse") {
		t.Errorf("%s: reaches the app or a person's page", what)
	}
}

// What browsers write in other ways is the site all the same, and every address that we make is the configuration's.
func TestSec_C055_B035_B036_OwnHost(t *testing.T) {
	t.Parallel()
	x := newCrossroads(t, nil)
	x.logIn(t)
	forwarded := [][]string{
		nil,
		{"X-Forwarded-Host: " + crossHost + ".evil.example"},
		{"X-Forwarded-Host: evil.example"},
		{"X-Forwarded-Host: " + crossHost + ":8443"},
		{"X-Forwarded-Host: " + crossHost + ",evil.example"},
		{"X-Forwarded-Host: evil.example", "X-Forwarded-Host: " + crossHost},
		{"X-Forwarded-Host: " + crossHost, "X-Forwarded-Host: evil.example"},
		{"X-Forwarded-Host: " + strings.ToUpper(crossHost)},
		{"X-Forwarded-Proto: evil_protocol"},
		{"X-Forwarded-Proto: javascript"},
		{"X-Forwarded-Proto: https,http"},
		{"X-Forwarded-Proto: HTTPS%0d%0aX:y"},
		{"X-Forwarded-Proto: http"},
		{"X-Forwarded-Proto: HTTPS"},
		{"X-Forwarded-Proto: https", "X-Forwarded-Proto: javascript"},
		{"X-Forwarded-Port: 1337"},
		{"X-Forwarded-Prefix: //evil.example"},
		{"X-Forwarded-Ssl: off"},
		{"Front-End-Https: off"},
		{"Forwarded: host=evil.example;proto=javascript"},
		{"X_Forwarded_Host: evil.example"},
		{"X-Forwarded-Host : evil.example"},
	}
	for _, host := range []string{crossHost, strings.ToUpper(crossHost), "App.LocalHost", crossHost + ":443", strings.ToUpper(crossHost) + ":443"} {
		for _, lines := range forwarded {
			for _, over := range byAll {
				lines := append([]string{"Host: " + host}, lines...)
				what := fmt.Sprintf("%q over %s", lines, over)
				for target, want := range map[string]string{"/_vipps/login?rd=/x": crossSite + "/x", "/x": crossSite + "/_vipps/login?rd=%2Fx", "/_vipps/callback?state=x": crossSite + "/_vipps/result?t="} {
					more := lines
					if target != "/x" {
						more = append(more, "Cookie: "+x.session)
					} else if strings.HasPrefix(over, "service") {
						continue
					}
					a := x.ask(t, what, over, crossRequest(http.MethodGet, target, "", more...))
					if to := a.header.Get("Location"); a.status != http.StatusBadRequest && !strings.HasPrefix(to, want) {
						t.Errorf("%s at %s: %d to %q, want %q", what, target, a.status, to, want)
					}
					for _, line := range a.header["Set-Cookie"] {
						if !strings.HasPrefix(line, "__Host-") || strings.Contains(strings.ToLower(line), "domain") || !strings.Contains(line, "; Secure") {
							t.Errorf("%s at %s sets %.100q", what, target, line)
						}
					}
				}
				if a := x.ask(t, what, over, crossRequest(http.MethodGet, "/_vipps/login?rd=/x", "", lines...)); a.status == http.StatusFound {
					if to := a.header.Get("Location"); !strings.Contains(to, "redirect_uri=https%3A%2F%2F"+crossHost+"%2F_vipps%2Fcallback&") {
						t.Errorf("%s: the provider is told %q", what, to)
					}
				}
			}
		}
	}
}
