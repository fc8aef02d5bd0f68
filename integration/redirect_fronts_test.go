package integration_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/internal/hostile"
)

// asks sends requests as they stand, on a connection that stays open while the server lets it, and reads each answer.
type asks struct {
	t  *testing.T
	f  *front
	in *bufio.Reader
	to io.WriteCloser
}

func (a *asks) ask(request string) (answer, bool) {
	a.t.Helper()
	for range 2 {
		fresh := a.to == nil
		if fresh {
			conn := a.f.dial(a.t)
			_ = conn.SetDeadline(time.Now().Add(60 * time.Second))
			a.to, a.in = conn, bufio.NewReader(conn)
		}
		_, _ = io.WriteString(a.to, request) // who has read enough answers and closes
		w, err := http.ReadResponse(a.in, nil)
		if err == nil {
			text := readAll(a.t, w.Body)
			_ = w.Body.Close()
			if w.Close || w.StatusCode == http.StatusBadRequest {
				a.close()
			}
			return answer{w, text}, true
		}
		a.close()
		if fresh {
			break
		}
	}
	return answer{}, false // closed without an answer
}

func (a *asks) close() {
	if a.to != nil {
		_ = a.to.Close()
		a.to = nil
	}
}

// Attack: the same lines behind real proxies, which read a path before we do, clean it, decode it, or make an address of
// it in a redirect of their own.
func TestSec_C001_C003_B100_BehindProxies(t *testing.T) {
	t.Parallel()
	everyFront(t, func(t *testing.T, f *front) {
		b := f.loggedIn()
		session := ""
		for _, c := range b.cookies(f.origin) {
			if c.Name == "vippsauth" {
				session = "Cookie: vippsauth=" + c.Value + "\r\n"
			}
		}
		const navigates = "Accept: text/html\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n"
		host := "Host: localhost:" + f.port() + "\r\n"
		a := &asks{t: t, f: f}
		t.Cleanup(a.close)
		redirects := 0
		for _, r := range returnURLs(t, f.origin) {
			if len(r.line) > 4000 || strings.ContainsAny(r.line, "\r\n") {
				continue // these would be lines of the request
			}
			for place, request := range map[string]string{
				"rd":            "GET /_vipps/login?rd=" + url.QueryEscape(r.line) + " HTTP/1.1\r\n" + host + session + navigates,
				"the path":      "GET " + r.line + " HTTP/1.1\r\n" + host + navigates,
				"another's":     "GET /x HTTP/1.1\r\n" + host + navigates + strings.ReplaceAll("X-Forwarded-Host: $\r\nX-Forwarded-Uri: $\r\nX-Forwarded-Prefix: $\r\nX-Forwarded-Proto: $\r\nX-Original-URL: $\r\n", "$", strings.ReplaceAll(r.line, "\x00", "")),
				"the logout":    "POST /_vipps/logout HTTP/1.1\r\n" + host + "Sec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\n" + body("rd="+url.QueryEscape(r.line)),
				"a path's form": "POST " + r.line + " HTTP/1.1\r\n" + host + "Sec-Fetch-Site: same-origin\r\n" + navigates + "Content-Type: application/x-www-form-urlencoded\r\n" + body("a=b"),
			} {
				if !strings.HasPrefix(request, "POST") {
					request += "\r\n"
				}
				got, ok := a.ask(request)
				if !ok {
					continue
				}
				what := fmt.Sprintf("%s: %.80q: %d", place, r.line, got.StatusCode)
				for _, to := range got.Header["Location"] {
					redirects++
					if browserOrigin(f.origin, to) != f.origin && !strings.HasPrefix(to, f.vipps.Issuer) {
						t.Errorf("%s: I3: to %.200q", what, to)
					}
					if rd := mustParse(t, to).Query()["rd"]; len(rd) > 0 && strings.Contains(to, "/_vipps/login?") && (browserOrigin(f.origin, rd[0]) != f.origin || !strings.HasPrefix(rd[0], "/")) {
						t.Errorf("%s: comes back to %.200q", what, rd)
					}
					if (place == "rd" || place == "the logout") && to != f.origin+r.want {
						t.Errorf("%s: to %.200q, want %s", what, to, r.want)
					}
				}
				if got.StatusCode >= 500 && (place == "rd" || place == "the logout") { // some proxies say 500 and 503 to what is no path
					t.Errorf("%s: I4", what)
				}
			}
		}
		if redirects < 1500 {
			t.Errorf("only %d redirects", redirects)
		}
	})
}

func body(form string) string { return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(form), form) }

func mustParse(t *testing.T, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Errorf("a redirect to %q: %v", address, err)
		return &url.URL{}
	}
	return u
}

// sealedText is what is sealed or random in a query, a form or a cookie of ours.
var sealedText = regexp.MustCompile(`([=."])[A-Za-z0-9_-]{40,}`)

// Attack: a request names another host than the site's, to the real service and through real proxies. Whoever answers,
// nothing of that name comes back in a redirect or a cookie, nor in a page of ours.
func TestSec_C055_B035_HostsBehindProxies(t *testing.T) {
	t.Parallel()
	hosts, err := hostile.Lines(corpora + "hostile/hosts.txt")
	if err != nil {
		t.Fatal(err)
	}
	everyFront(t, func(t *testing.T, f *front) {
		a := &asks{t: t, f: f}
		t.Cleanup(a.close)
		own := "localhost:" + f.port()
		requests := map[string]string{
			"HTTP/1.0 without Host": "GET $ HTTP/1.0\r\n", "an empty Host": "GET $ HTTP/1.1\r\nHost:\r\n", "two": "GET $ HTTP/1.1\r\nHost: " + own + "\r\nHost: evil.example\r\n",
			"two, the other way": "GET $ HTTP/1.1\r\nHost: evil.example\r\nHost: " + own + "\r\n", "in the target": "GET http://evil.example$ HTTP/1.1\r\nHost: " + own + "\r\n",
		}
		for i, host := range hosts {
			if !strings.ContainsAny(host, "\r\n") {
				requests[fmt.Sprint("host ", i, " ", host)] = "GET $ HTTP/1.1\r\nHost: " + strings.ReplaceAll(host, "app.example", own) + "\r\n"
			}
		}
		for name, request := range requests {
			for _, target := range []string{"/x", "/_vipps/login?rd=/x", "/_vipps/callback?state=x"} {
				got, ok := a.ask(strings.Replace(request, "$", target, 1) + "Accept: text/html\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nConnection: close\r\n\r\n")
				a.close()
				if !ok {
					continue
				}
				what := fmt.Sprintf("%.80q at %s: %d", name, target, got.StatusCode)
				empty := got.StatusCode == http.StatusOK && got.text == "" // what Caddy says of a host that isn't in its configuration
				if got.StatusCode < 400 && !empty && !strings.HasPrefix(got.Header.Get("Location"), f.origin+"/") && !strings.HasPrefix(got.Header.Get("Location"), f.vipps.Issuer) {
					t.Errorf("%s to %q", what, got.Header["Location"])
				}
				for _, header := range []string{"Location", "Set-Cookie", "Refresh", "X-Vipps-Login-Url", "Www-Authenticate"} {
					for _, value := range got.Header[header] {
						value = sealedText.ReplaceAllString(value, "$1") // may hold any letters
						if strings.Contains(strings.ToLower(value), "evil") || strings.Contains(value, "99999") || strings.Contains(strings.ToLower(value), "domain=") {
							t.Errorf("%s: %s %.200q", what, header, value)
						}
					}
				}
				got.text = sealedText.ReplaceAllString(got.text, "$1")
				if strings.Contains(strings.ToLower(got.text), "evil") || strings.Contains(got.text, "alert(1)") || strings.HasPrefix(got.text, "app: ") {
					t.Errorf("%s: %.300s", what, got.text)
				}
			}
		}
	})
}
