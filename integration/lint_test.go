package integration_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A lintRule is a mistake that a file of ours must not teach, with a line that has it.
type lintRule struct {
	name    string
	mistake *regexp.Regexp
	sample  string
	allowed string // in a line that is meant all the same
}

var lintRules = []lintRule{
	{name: "Envoy passes requests on while vippsauth is away", mistake: regexp.MustCompile(`(?i)failure_?mode_?allow["\s]*[:=]\s*["']?(true|yes|on|1)`), sample: "failure_mode_allow: true"},
	{name: "a gateway passes requests on while vippsauth is away", mistake: regexp.MustCompile(`(?i)fail_?open["\s]*[:=]\s*["']?(true|yes|on|1)`), sample: "failOpen: true"},
	{name: "Envoy takes a failure for a status that passes", mistake: regexp.MustCompile(`(?i)status_on_error["\s]*:\s*\{?\s*["']?code["\s]*:\s*["']?(OK|2\d\d)`), sample: "status_on_error: {code: OK}"},
	{name: "nginx shows the application for a refusal", mistake: regexp.MustCompile(`(?i)error_page\s[^;#]*=\s*2\d\d`), sample: "error_page 401 =200 /login;"},
	{name: "nginx takes another condition for a session", mistake: regexp.MustCompile(`(?i)\bsatisfy\s+any\b`), sample: "satisfy any;"},
	{
		name: "nginx caches what belongs to one person", mistake: regexp.MustCompile(`(?i)\b(proxy|fastcgi|uwsgi|scgi|grpc)_cache(_path|_valid|_key|_use_stale)?\s`), sample: "proxy_cache answers;",
		allowed: "proxy_cache off;",
	},
	{name: "ingress-nginx caches our answers", mistake: regexp.MustCompile(`ingress\.kubernetes\.io/auth-cache-(key|duration)`), sample: "nginx.ingress.kubernetes.io/auth-cache-key: $cookie_vippsauth"},
	{name: "Traefik believes its clients", mistake: regexp.MustCompile(`(?i)trust_?forward_?header["\s]*[:=]\s*["']?true|forwarded_?headers\.insecure|insecure["\s]*[:=]\s*["']?true`), sample: "trustForwardHeader: true"},
	{name: "Apache asks others when vippsauth says no", mistake: regexp.MustCompile(`(?i)\bAuthoritative\s+Off\b`), sample: "AuthnzFcgiCheckAuthnProvider vippsauth Authoritative Off"},
	{name: "everybody is a trusted proxy", mistake: regexp.MustCompile(`(?i)trusted_?(proxies|ips)[^#\n]*(0\.0\.0\.0/0|::/0)`), sample: "VIPPSAUTH_TRUSTED_PROXIES: 0.0.0.0/0"},
	{name: "the internal listener is published", mistake: regexp.MustCompile(`(?i)ports:.*\d+:4191|LoadBalancer.*4191`), sample: `ports: ["4191:4191"]`},
	{name: "a proxy is administered by anybody", mistake: regexp.MustCompile(`(?m)^\s*(admin\s+(0\.0\.0\.0|:)|stats\s+(enable|uri|admin)|allow_status|server-status)`), sample: "\tstats enable"},
	{name: "TLS is not checked", mistake: regexp.MustCompile(`(?i)tls_insecure_skip_verify|insecureSkipVerify["\s]*[:=]\s*["']?true|proxy_ssl_verify\s+off|verify\s+none`), sample: "tls_insecure_skip_verify"},
}

// Attack: an operator's mistake that opens the site, copied from us. No file of examples/, and none that `vippsauth snippet`
// prints, has one of those that are known to do so.
func TestSec_B087_B088_ExamplesTeachNoMistake(t *testing.T) {
	t.Parallel()
	for _, rule := range lintRules {
		if !rule.mistake.MatchString(rule.sample) {
			t.Fatalf("the rule %q does not find %q", rule.name, rule.sample)
		}
	}
	files := 0
	for _, dir := range []string{"../examples", "../cmd/vippsauth/snippets"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, ".md") { // which say what not to do
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			files++
			for _, rule := range lintRules {
				for _, line := range strings.Split(string(text), "\n") {
					if rule.mistake.MatchString(line) && (rule.allowed == "" || !strings.Contains(line, rule.allowed)) {
						t.Errorf("%s: %s: %s", path, rule.name, strings.TrimSpace(line))
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 25 {
		t.Errorf("%d files were looked at", files)
	}
}

// B-088: what nginx asks vippsauth, it asks without the body of the request, without a cache, and of a location that no
// client reaches; a failure of it is no answer that passes. Each of these says so itself, as others may not be inherited.
func TestSec_B088_NginxAsksProperly(t *testing.T) {
	t.Parallel()
	text := example(t, "nginx/nginx.conf")
	locations := regexp.MustCompile(`(?ms)^\tlocation ([^{]*) \{\n(.*?)^\t\}`).FindAllStringSubmatch(text, -1)
	asking := 0
	for _, l := range locations {
		if !strings.Contains(l[2], "/_vipps/authz/") || strings.Contains(l[1], "^~ /_vipps/") {
			continue
		}
		asking++
		for _, want := range []string{`proxy_pass_request_body off;`, `proxy_set_header Content-Length "";`, `error_page 500 502 503 504 = @vipps_away;`, `proxy_set_header X-Forwarded-For $remote_addr;`} {
			if !strings.Contains(l[2], want) {
				t.Errorf("location %s has no %s", l[1], want)
			}
		}
		if l[1] == "= /_vipps_auth_request" && (!strings.Contains(l[2], "internal;") || !strings.Contains(l[2], "proxy_cache off;")) || l[1][0] != '=' && l[1][0] != '@' {
			t.Errorf("location %s can be asked by a client, or from a cache", l[1])
		}
	}
	if asking < 2 {
		t.Errorf("%d locations ask vippsauth", asking)
	}
}
