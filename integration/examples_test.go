package integration_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// Each example has a README, and what it mounts is there.
func TestExamplesAreWhole(t *testing.T) {
	t.Parallel()
	folders, err := os.ReadDir("../examples")
	if err != nil || len(folders) < 5 {
		t.Fatalf("%d examples: %v", len(folders), err)
	}
	for _, folder := range folders {
		readme := example(t, filepath.Join(folder.Name(), "README.md"))
		if lines := strings.Count(readme, "\n"); lines < 8 || lines > 32 {
			t.Errorf("examples/%s/README.md has %d lines: it is for somebody with ten minutes", folder.Name(), lines)
		}
		for _, link := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(readme, -1) {
			if _, err := os.Stat(filepath.Join("../examples", folder.Name(), link[1])); err != nil {
				t.Errorf("examples/%s/README.md leads nowhere: %v", folder.Name(), err)
			}
		}
	}
}

// What the proxies' files don't overwrite, a client can write itself: each lists every header that comes by default with
// any scope, and those that come by listing. The list is what the service answers, not one of this test's own.
func TestExamplesListEveryHeader(t *testing.T) {
	t.Parallel()
	names := identityHeaders(t)
	if len(names) < 11 || !slices.Contains(names, "X-Vipps-Phone-Number") || !slices.Contains(names, "X-Vipps-Nin") {
		t.Fatalf("the service answers with %q", names)
	}
	nginx := example(t, "nginx/nginx.conf")
	set := regexp.MustCompile(`(?m)^\s*auth_request_set (\$\w+)\s+\$upstream_http_(\w+);`).FindAllStringSubmatch(nginx, -1)
	var inNginx []string
	for _, line := range set {
		// The variable must be that of the header: one of another person's claim would pass for it.
		name := http.CanonicalHeaderKey(strings.ReplaceAll(line[2], "_", "-"))
		if regexp.MustCompile(`(?m)^\s*proxy_set_header ` + name + `\s+\` + line[1] + `;`).MatchString(nginx) {
			inNginx = append(inNginx, name)
		}
	}
	apache := example(t, "apache/vippsauth.conf")
	var inApache []string
	for _, line := range regexp.MustCompile(`(?m)^\s*RequestHeader set (\S+)\s+"%{(\w+)}e"\s+"expr=-n reqenv\('(\w+)'\)"$`).FindAllStringSubmatch(apache, -1) {
		alias := strings.ReplaceAll(line[1], "-", "_")
		if strings.EqualFold("X_"+line[2], alias) && line[2] == line[3] && strings.Contains(apache, "\tRequestHeader unset "+line[1]+" early\n\tRequestHeader unset "+alias+" early\n") {
			inApache = append(inApache, line[1])
		}
	}
	copied := regexp.MustCompile(`(?m)^\s*copy_headers ([^{\n]*)(?:\{([^}]*)\})?`).FindStringSubmatch(example(t, "caddy-forward-auth/Caddyfile"))
	if copied == nil {
		t.Fatal("examples/caddy-forward-auth has no copy_headers")
	}
	for file, listed := range map[string][]string{
		"apache/vippsauth.conf":        inApache,
		"nginx/nginx.conf":             inNginx,
		"traefik/dynamic.yaml":         parseTraefik(t, example(t, "traefik/dynamic.yaml")).HTTP.Middlewares["vipps"].ForwardAuth.AuthResponseHeaders,
		"caddy-forward-auth/Caddyfile": strings.Fields(copied[1] + copied[2]),
		"envoy/envoy-http.yaml":        envoyUpstreamHeaders(t),
	} {
		if slices.Sort(listed); !slices.Equal(listed, names) {
			t.Errorf("examples/%s lists %q, and the service answers with %q", file, listed, names)
		}
	}
}

// identityHeaders are the names of every X-Vipps-… header that an answer can hold, with all scopes.
func identityHeaders(t *testing.T) []string {
	t.Helper()
	scopes := []string{
		vipps.ScopeName, vipps.ScopeEmail, vipps.ScopePhoneNumber, vipps.ScopeAddress, vipps.ScopeBirthDate, vipps.ScopeGender, vipps.ScopeNIN,
		vipps.ScopeAccountNumbers, vipps.ScopeDelegatedConsents, vipps.ScopeCustomFlow, "profile", "phone",
	}
	client, err := vipps.New(vipps.Config{Issuer: "https://op.example/", ClientID: clientID, ClientSecret: clientSecret, Scopes: scopes})
	if err != nil {
		t.Fatal(err)
	}
	key, err := session.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	engine, err := forwardauth.New(forwardauth.Config{
		Client: client, Keys: session.Keys{key}, Scopes: scopes, PublicURLs: []string{"https://app.example"}, TrustedProxies: []string{"loopback"},
		// An anonymous answer holds every header too, empty.
		WithoutSession: forwardauth.WithoutSessionAnonymous,
		Headers:        []string{"default", "X-Vipps-Birthdate=birthdate", "X-Vipps-Address=address", "X-Vipps-Nin=nin"},
	})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/_vipps/authz/forward-auth", http.NoBody)
	r.RemoteAddr = "127.0.0.1:1"
	r.Header = http.Header{
		"X-Forwarded-Method": {http.MethodGet}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"app.example"}, "X-Forwarded-Uri": {"/"},
	}
	w := httptest.NewRecorder()
	engine.ForwardAuth().ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("the service answers with %d", w.Code)
	}
	var names []string
	for name := range w.Header() {
		if strings.HasPrefix(name, "X-Vipps-") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
