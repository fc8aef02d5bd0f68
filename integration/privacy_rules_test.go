package integration_test

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// repository gives the path and the text of every file of the repository, but for what isn't text.
func repository(t *testing.T, each func(path, text string)) {
	t.Helper()
	n := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "node_modules": // other people's, and not in the repository
			return fs.SkipDir
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." && d.Name() != ".github":
			return fs.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil || len(b) > 4<<20 || strings.Contains(string(b[:min(len(b), 8000)]), "\x00") {
			return err
		}
		n++
		each(strings.TrimPrefix(path, "../"), string(b))
		return nil
	})
	if err != nil || n < 200 {
		t.Fatalf("%d files: %v", n, err)
	}
}

// Attack: a real person's national identity number gets into the code, a document or a recorded answer as a handy example, and is
// public for ever. Those of test data are synthetic, with 80 added to the month, and belong to nobody.
func TestSec_E026_NobodysNumberIsInTheRepository(t *testing.T) {
	t.Parallel()
	synthetic := 0
	repository(t, func(path, text string) {
		realNumbers(text, func(at int) {
			t.Errorf("%s:%d: could be a real national identity number", path, 1+strings.Count(text[:at], "\n"))
		})
		synthetic += len(regexp.MustCompile(`"[0-3][0-9][89][0-9]{8}"`).FindAllString(text, -1))
	})
	if synthetic < 5 {
		t.Errorf("%d synthetic numbers: the emulator's people should have some", synthetic)
	}
}

// Attack: a configuration that people copy logs cookies, who somebody is, or a login's code. The lines of examples and snippets that
// write logs are looked at; what nginx, HAProxy, Apache and Caddy really write is what privacy.check is for.
func TestSec_E022_ExamplesLogNobody(t *testing.T) {
	t.Parallel()
	bad := regexp.MustCompile(`(?i)cookie|authorization|x[-_]vipps|vipps_(user|sub|nin|phone)|%u\b|remote_user|capture +(request|cookie|response)|log_credentials`)
	writes := regexp.MustCompile(`(?i)^\s*(access_?log|log_format|log-format|logformat|customlog|errorlogformat|capture |http-request capture|option httplog clf|accesslog|accesslogs|format)\b`)
	comment := regexp.MustCompile(`^\s*#`)
	steps := map[string]string{ // file → what keeps the addresses of callbacks and of withdrawn consents out of its logs
		"examples/nginx/nginx.conf":                 `~^/_vipps/(callback|consent-revoked)" 0;`,
		"examples/apache/vippsauth.conf":            `"expr=!(%{REQUEST_URI} =~ m#^/_vipps/(callback|consent-revoked)#)"`,
		"examples/haproxy/haproxy.cfg":              "http-request set-log-level silent if vipps_callback",
		"examples/haproxy/haproxy-auth-request.cfg": "http-request set-log-level silent if vipps_callback",
		"examples/caddy-forward-auth/Caddyfile":     "log_skip @steps",
		"examples/envoy/envoy-http.yaml":            `regex: "/_vipps/(callback|consent-revoked).*"}}, invert_match: true`,
		"examples/envoy/envoy-grpc.yaml":            `regex: "/_vipps/(callback|consent-revoked).*"}}, invert_match: true`,
		"examples/kubernetes/ingress-nginx.yaml":    `enable-access-log: "false"`,
	}
	looked := 0
	repository(t, func(path, text string) {
		if !strings.HasPrefix(path, "examples/") && !strings.HasPrefix(path, "cmd/vippsauth/snippets/") || strings.HasSuffix(path, ".md") {
			return
		}
		if keeps := steps[path]; keeps != "" {
			delete(steps, path)
			if !strings.Contains(text, keeps) {
				t.Errorf("%s has no %s", path, keeps)
			}
		}
		for i, line := range strings.Split(text, "\n") {
			if writes.MatchString(line) && !comment.MatchString(line) {
				looked++
				if word := bad.FindString(line); word != "" {
					t.Errorf("%s:%d logs %q", path, i+1, word)
				}
			}
		}
		if strings.Contains(path, "traefik") && regexp.MustCompile(`(?i)access-?logs?[.:=]`).MatchString(text) {
			t.Errorf("%s turns Traefik's access log on, which has addresses with a login's code", path)
		}
	})
	if looked < 8 || len(steps) > 0 {
		t.Errorf("%d lines looked at; not there: %v", looked, steps)
	}
}

// Attack: a buffer with one person's claims is used again, and part of it goes to another. The one pool there is holds the bodies that
// the sidecar copies, and no claims.
func TestSec_E014_PoolsHoldNoClaims(t *testing.T) {
	t.Parallel()
	var pools []string
	repository(t, func(path, text string) {
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") && !strings.HasPrefix(path, "tools/") && strings.Contains(text, "sync.Pool") {
			pools = append(pools, path)
		}
	})
	if !slices.Equal(pools, []string{"cmd/vippsauth/proxy.go"}) {
		t.Errorf("sync.Pool in %v: does it hold anything of a person?", pools)
	}
}

// Attack: an application that isn't to have the nin gets it, since a neighbour on the same session does; or gets what a client writes.
func TestSec_E009_EachApplicationItsOwn(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.scopes = allScopes
	if err := f.vipps.Control().AddPerson(allOfThem()); err != nil {
		t.Fatal(err)
	}
	f.as(phoneOfAll)
	other := startApp(t)
	a, b := "http://a.club.localhost:"+f.port(), "http://b.club.localhost:"+f.port()
	if err := f.vipps.Control().AddRedirectURI(clientID, a+"/_vipps/callback"); err != nil {
		t.Fatal(err)
	}
	f.service = start(t, vippsauthProgram(t), command{
		name: "vippsauth serve", args: []string{"serve", "--config", write(t, "vippsauth.yaml", fmt.Sprintf(`
issuer: %s
client_id: %s
scopes: %s
public_url: %s
cookie_domain: club.localhost
auth_url: %[4]s
allow: anyone
headers: %q
upstream: http://%s
listen: 127.0.0.1:%s
ops_listen: %s
log_level: debug
sites:
  %s:
    headers: [Remote-User=sub]
    upstream: http://%s
`, f.vipps.Issuer, clientID, allScopes, a, allHeaders, f.app.addr(), f.port(), f.opsAddr(), b, other.addr()))},
		env: []string{"VIPPSAUTH_CLIENT_SECRET=" + clientSecret, "VIPPSAUTH_COOKIE_KEYS=" + cookieKey(t)},
	})
	f.service.answers("http://" + f.ops + "/readyz")
	who := f.browser()
	for _, origin := range []string{a, b} {
		if got := who.open(origin + "/"); got.StatusCode != http.StatusOK {
			t.Fatalf("%d at %v", got.StatusCode, who.trail)
		}
	}
	who.send(http.MethodGet, b+"/", with(fetching(), "X-Vipps-Nin", "evil", "X-Vipps-Other", "evil", "x_vipps_birthdate", "evil"), nil)
	if f.app.last().Header.Get("X-Vipps-Nin") != allOfThem().NIN || other.last().Header.Get("Remote-User") == "" {
		t.Fatal("the applications don't get what they are to get")
	}
	for name, values := range other.last().Header {
		told := strings.Join(values, "")
		if folded := strings.ToLower(strings.ReplaceAll(name, "_", "-")); strings.HasPrefix(folded, "x-vipps-") && folded != "x-vipps-auth" && folded != "x-vipps-sub" && told != "" {
			t.Errorf("the other application gets %s", name)
		}
	}
}
