package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// secretMarker stands in every value that must never be shown.
const secretMarker = "mustnotshow"

// write puts content into a file of the test and returns its path.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// problemsOf returns the problems as lines, with the directory of the configuration file cut away.
func problemsOf(rep *report, configFile string) []string {
	var lines []string
	for _, p := range rep.problems {
		lines = append(lines, strings.ReplaceAll(p.String(), filepath.Dir(configFile)+"/", ""))
	}
	return lines
}

func TestLoad_Precedence(t *testing.T) {
	t.Parallel()
	file := write(t, "c.yaml", "market: NO\nsilent: off\nsession_ttl: 1h\nlog_level: warn\n")
	c, rep := load(sources{
		configFile: file,
		environ:    []string{"VIPPSAUTH_SILENT=first", "VIPPSAUTH_SESSION_TTL=2h", "HOME=/root"},
		flags:      map[string][]string{"session_ttl": {"3h"}},
	})
	if len(rep.problems) > 0 {
		t.Fatal(problemsOf(rep, file))
	}
	if c.market != "NO" || c.silent != "first" || c.sessionTTL != 3*time.Hour || c.level != "warn" {
		t.Errorf("market %q (file), silent %q (environment beats file), session_ttl %s (flag beats both)", c.market, c.silent, c.sessionTTL)
	}
	want := map[string]string{"market": file + ":1", "log_level": file + ":4", "silent": "VIPPSAUTH_SILENT", "session_ttl": "--session-ttl"}
	if diff := cmp.Diff(want, rep.sources); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
	if c.withoutSession != "login" || c.listen != "127.0.0.1:4190" || c.silentRetry != 15*time.Minute {
		t.Error("defaults are missing")
	}
}

func TestLoad_EverySettingFromEverySource(t *testing.T) {
	t.Parallel()
	valid := map[string]string{
		"environment": "test", "issuer": "https://id.example.com/", "client_auth": "client_secret_post", "market": "DK", "silent": "off",
		"app_flow": "automatic-return", "final_redirect_is_app": "on", "userinfo_subscription_key": "on", "silent_retry": "1d", "without_session": "page", "confirm_person": "never", "header_encoding": "ascii",
		"email_unverified": "pass", "session_ttl": "2d", "session_idle": "30m", "session_persist": "off", "store": "cookie",
		"qr": "on", "log_level": "debug", "log_format": "console", "upstream": "http://127.0.0.1:8080", "listen": ":1", "ops_listen": ":2",
		"authz_listen": "unix//run/a.sock", "grpc_listen": ":4", "fcgi_listen": "127.0.0.1:5", "emulator_listen": "localhost:3", "merchant_listen": ":6",
	}
	for _, s := range settingsTable() {
		t.Run(s.key, func(t *testing.T) {
			t.Parallel()
			v := valid[s.key]
			if v == "" {
				v = "some-" + s.flagName()
			}
			valueFile := write(t, "value", v+"\n")
			config := write(t, "c.yaml", s.key+": '"+v+"'\n")
			for name, src := range map[string]sources{
				"file":       {configFile: config},
				"env config": {environ: []string{"VIPPSAUTH_CONFIG=" + config}},
				"env":        {environ: []string{s.envName() + "=" + v}},
				"env file":   {environ: []string{s.envName() + "_FILE=" + valueFile}},
				"flag":       {flags: map[string][]string{s.key: {v}}},
			} {
				if s.key == "cookie_keys" && name == "env file" {
					continue // is the setting cookie_keys_file
				}
				_, rep := load(src)
				if len(rep.problems) > 0 || !rep.isSet(s.key) {
					t.Errorf("%s: set %t, problems %v", name, rep.isSet(s.key), rep.problems)
				}
				if got := rep.values[s.key]; s.secret == (len(got) > 0) {
					t.Errorf("%s: %d values kept for the log; secret: %t", name, len(got), s.secret)
				}
			}
		})
	}
}

func TestLoad_YAMLProblems(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ yaml, want string }{
		"unknown":                {"clint_id: mustnotshow", "c.yaml:1: clint_id: unknown setting; did you mean client_id?"},
		"kebab":                  {"client-id: mustnotshow", "c.yaml:1: client-id: unknown setting; did you mean client_id?"},
		"unknown, far":           {"mustnotshow!: 1", "c.yaml:1: unknown setting; see vippsauth serve --help for the settings"},
		"twice":                  {"market: NO\n\nmarket: SE", "c.yaml:3: market: is given twice, here and on line 1; keep one of them"},
		"empty":                  {"market:", "c.yaml:1: market: is empty; give it a value, or take it out"},
		"null":                   {"market: null", "c.yaml:1: market: is empty; give it a value, or take it out"},
		"empty string":           {`market: ""`, "c.yaml:1: market: is empty; give it a value, or take it out"},
		"empty list":             {"allow: []", "c.yaml:1: allow: is empty; give it a value, or take it out"},
		"empty item":             {"allow:\n  - anyone\n  -", "c.yaml:3: allow: holds an empty item; take out the comma or the item too many"},
		"comma too many":         {"allow: anyone,", "c.yaml:1: allow: holds an empty item; take out the comma or the item too many"},
		"list for one":           {"market: [NO, SE]", "c.yaml:1: market: is a list; give it one value"},
		"mapping":                {"market:\n  a: mustnotshow", "c.yaml:2: market: is not a value; write \"market: value\""},
		"mapping in a list":      {"allow:\n  - a: mustnotshow", "c.yaml:2: allow: is not a value or a list of values; write \"allow: value\" or a list of \"- value\" lines"},
		"alias":                  {"client_secret: *mustnotshow", "c.yaml:1: is not valid YAML, here or on a line near by; write \"key: value\" lines, and put values with special characters in quotes"},
		"anchor":                 {"client_secret: &mustnotshow", "c.yaml:1: client_secret: begins with &, * or !, which mean something else in YAML; put it in quotes"},
		"tag":                    {"client_secret: !mustnotshow", "c.yaml:1: client_secret: begins with &, * or !, which mean something else in YAML; put it in quotes"},
		"at":                     {"market: NO\nclient_secret: @mustnotshow", "c.yaml:2: is not valid YAML, here or on a line near by; write \"key: value\" lines, and put values with special characters in quotes"},
		"in the first line":      {"market: a: mustnotshow", "c.yaml:1: is not valid YAML, here or on a line near by; write \"key: value\" lines, and put values with special characters in quotes"},
		"there, and a star":      {"market: a: b\nallow:\n- *mustnotshow", "c.yaml:1: is not valid YAML, here or on a line near by; write \"key: value\" lines, and put values with special characters in quotes"},
		"not text":               {"market: NO\nsite_name: \xc5se\n", "c.yaml:2: is not valid YAML, here or on a line near by; write \"key: value\" lines, and put values with special characters in quotes"},
		"not text, after a star": {"allow:\n- *x\nsite_name: \x01\n", "c.yaml:3: is not valid YAML, here or on a line near by; write \"key: value\" lines, and put values with special characters in quotes"},
		"not a mapping":          {"- mustnotshow", "c.yaml:1: is not a list of settings; write \"key: value\" lines"},
		"scalar":                 {"mustnotshow", "c.yaml:1: is not a list of settings; write \"key: value\" lines"},
		"two documents":          {"market: NO\n---\nmarket: SE", "c.yaml:2: a second document begins here; keep one document in the file"},
		"sites, no settings":     {"sites:\n  https://a.example: b", "c.yaml:2: sites: https://a.example: has no settings; write them below it, indented, or take it out"},
		"sites, a list":          {"sites: [mustnotshow]", "c.yaml:1: sites: is not a mapping of names to settings; write \"sites:\", and indented below it a name and its settings"},
		"sites, twice":           {"sites:\n  https://a.example: {market: NO}\n  https://a.example: {market: NO}", "c.yaml:3: sites: https://a.example: is given twice; keep one of them"},
		"sites, same for all":    {"sites:\n  https://a.example:\n    listen: mustnotshow", "c.yaml:3: sites: https://a.example: listen: is the same for all; move it to the top of the file; what may differ is " + strings.Join(siteKeys(), ", ")},
		"sites, unknown":         {"sites:\n  https://a.example:\n    alow: mustnotshow", "c.yaml:3: sites: https://a.example: alow: unknown setting; did you mean allow?"},
		"sites, bad value":       {"sites:\n  https://a.example:\n    silent: mustnotshow", "c.yaml:3: sites: https://a.example: silent: must be first or off"},
		"sites, secret file":     {"sites:\n  https://a.example:\n    client_secret_file: /nowhere/at/all", "c.yaml:3: sites: https://a.example: client_secret: cannot read the file that it names: no such file or directory; name a readable file that holds the value alone"},
		"policies, same for all": {"policies:\n  board:\n    scopes: mustnotshow", "c.yaml:3: policies: board: scopes: is the same for all; move it to the top of the file; what may differ is " + strings.Join(policyKeys(), ", ")},
		"store":                  {"store: redis://mustnotshow@h", "c.yaml:1: store: is not supported in this version; use cookie, the default"},
		"word":                   {"silent: mustnotshow", "c.yaml:1: silent: must be first or off"},
		"words":                  {"header_encoding: mustnotshow", "c.yaml:1: header_encoding: must be utf-8, percent, base64url, latin1 or ascii"},
		"duration, too long":     {"session_ttl: 999999h", "c.yaml:1: session_ttl: is longer than ten years; write 90s, 15m, 8h, 2d or 1d12h"},
		"days, too many":         {"session_ttl: 99999d", "c.yaml:1: session_ttl: is longer than ten years; write 90s, 15m, 8h, 2d or 1d12h"},
		"duration":               {"session_ttl: 8", "c.yaml:1: session_ttl: is not a duration above zero; write 90s, 15m, 8h, 2d or 1d12h"},
		"upstream":               {"upstream: http://u:mustnotshow@h/", "c.yaml:1: upstream: must not hold a user name or password"},
		"upstream path":          {"upstream: http://h/mustnotshow", "c.yaml:1: upstream: must end after host and port: requests keep their own path and query"},
		"address":                {"listen: mustnotshow", "c.yaml:1: listen: is not an address; write host:port, :port or unix//path"},
		"line break":             {"contact: \"a\\nmustnotshow\"", "c.yaml:1: contact: holds a line break or another control character; write it on one line"},
		"blanks":                 {"client_secret: ' mustnotshow'", "c.yaml:1: client_secret: has blanks around it; take them out"},
		"key is no word":         {"[a, b]: mustnotshow", "c.yaml:1: is not the name of a setting; write \"key: value\""},
		"client_auth":            {"client_auth: mustnotshow", "c.yaml:1: client_auth: must be basic, basic-raw, post or partner"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := write(t, "c.yaml", tt.yaml+"\n")
			_, rep := load(sources{configFile: file})
			if diff := cmp.Diff([]string{tt.want}, problemsOf(rep, file)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoad_YAMLValuesAsWritten(t *testing.T) {
	t.Parallel()
	file := write(t, "c.yaml", `# a comment
client_id: 0047
session_persist: off
contact: |
  styret@example.com
allow:
  - 4790000001
  - anyone, 4790000002
trusted_proxies: 10.0.0.0/8, loopback
scopes: [openid, name]
`)
	c, rep := load(sources{configFile: file})
	if len(rep.problems) > 0 {
		t.Fatal(problemsOf(rep, file))
	}
	got := []any{c.clientID, c.sessionPersist, c.contact, c.allow, c.trustedProxies, c.scopes}
	want := []any{"0047", "off", "styret@example.com", []string{"4790000001", "anyone, 4790000002"}, []string{"10.0.0.0/8", "loopback"}, []string{"openid", "name"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLoad_EmptyFiles(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"", "\n", "# nothing\n", "---\n", "{}\n"} {
		file := write(t, "c.yaml", content)
		if _, rep := load(sources{configFile: file}); len(rep.problems) > 0 {
			t.Errorf("%q: %v", content, problemsOf(rep, file))
		}
	}
}

func TestLoad_EnvironmentProblems(t *testing.T) {
	t.Parallel()
	good := write(t, "value", "abc")
	for name, tt := range map[string]struct {
		environ []string
		want    string
	}{
		"unknown":             {[]string{"VIPPSAUTH_CLIENTID=mustnotshow"}, "VIPPSAUTH_CLIENTID: unknown variable; did you mean VIPPSAUTH_CLIENT_ID?"},
		"unknown file":        {[]string{"VIPPSAUTH_CLIENT_SECERT_FILE=mustnotshow"}, "VIPPSAUTH_CLIENT_SECERT_FILE: unknown variable; did you mean VIPPSAUTH_CLIENT_SECRET_FILE?"},
		"lower case":          {[]string{"VIPPSAUTH_client_id=mustnotshow"}, "VIPPSAUTH_client_id: unknown variable; see vippsauth serve --help for the settings"},
		"sites":               {[]string{"VIPPSAUTH_SITES=mustnotshow"}, "VIPPSAUTH_SITES: unknown variable; sites and policies are keys of the --config file only"},
		"empty":               {[]string{"VIPPSAUTH_CLIENT_ID="}, "VIPPSAUTH_CLIENT_ID: client_id: is empty; give it a value, or take it out"},
		"blank":               {[]string{"VIPPSAUTH_CLIENT_ID= "}, "VIPPSAUTH_CLIENT_ID: client_id: is empty; give it a value, or take it out"},
		"empty scopes":        {[]string{"VIPPSAUTH_SCOPES="}, "VIPPSAUTH_SCOPES: scopes: is empty; give it a value, or take it out"},
		"both":                {[]string{"VIPPSAUTH_CLIENT_SECRET=mustnotshow", "VIPPSAUTH_CLIENT_SECRET_FILE=" + good}, "VIPPSAUTH_CLIENT_SECRET_FILE: client_secret: is given twice, here and in VIPPSAUTH_CLIENT_SECRET; keep one of them"},
		"secret for a path":   {[]string{"VIPPSAUTH_CLIENT_SECRET_FILE=mustnotshow"}, "VIPPSAUTH_CLIENT_SECRET_FILE: client_secret: cannot read the file that it names: no such file or directory; name a readable file that holds the value alone"},
		"directory":           {[]string{"VIPPSAUTH_CLIENT_SECRET_FILE=" + filepath.Dir(good)}, "VIPPSAUTH_CLIENT_SECRET_FILE: client_secret: cannot read the file that it names: is a directory; name a readable file that holds the value alone"},
		"no path":             {[]string{"VIPPSAUTH_CLIENT_SECRET_FILE="}, "VIPPSAUTH_CLIENT_SECRET_FILE: client_secret: is empty; name the file that holds the value, or take it out"},
		"config":              {[]string{"VIPPSAUTH_CONFIG="}, "VIPPSAUTH_CONFIG: is empty; unset it, or name the configuration file"},
		"config isn't there":  {[]string{"VIPPSAUTH_CONFIG=/nowhere/c.yaml"}, "/nowhere/c.yaml: cannot read the configuration file: no such file or directory; name a readable file with --config"},
		"word":                {[]string{"VIPPSAUTH_ENVIRONMENT=mustnotshow"}, "VIPPSAUTH_ENVIRONMENT: environment: must be production, test or emulator"},
		"a doubled separator": {[]string{"VIPPSAUTH_ALLOW=anyone,,mustnotshow"}, "VIPPSAUTH_ALLOW: allow: holds an empty item; take out the comma or the item too many"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, rep := load(sources{environ: tt.environ})
			if diff := cmp.Diff([]string{tt.want}, problemsOf(rep, "/x/y")); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// An empty or too large value file is a problem, never an empty secret: see B-025.
func TestSec_B025_ValueFiles(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ content, want string }{
		"empty":      {"", "is empty"},
		"newline":    {"\n", "is empty"},
		"two lines":  {"a\nb\n", "holds a line break"},
		"two ends":   {"abc\n\n", "holds a line break"},
		"too large":  {strings.Repeat("a", maxValueFile+1), "it is larger than 64 KiB"},
		"not text":   {"a\x00b", "holds a line break or another control character"},
		"blank last": {"abc \n", "has blanks around it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, rep := load(sources{environ: []string{"VIPPSAUTH_CLIENT_SECRET_FILE=" + write(t, "secret", tt.content)}})
			if len(rep.problems) != 1 || !strings.Contains(rep.problems[0].String(), tt.want) {
				t.Errorf("problems %v, want one with %q", rep.problems, tt.want)
			}
			if c.clientSecret.Reveal() != "" {
				t.Error("the secret is set all the same")
			}
		})
	}
	// As examples/webhooks replaces a secret: the new one below the old one.
	for content, want := range map[string][]string{"abc\ndef\n": {"abc", "def"}, "abc\r\ndef\r\n": {"abc", "def"}, "abc, def": {"abc", "def"}, "abc\n\ndef\n": nil} {
		path := write(t, "secrets", content)
		file := write(t, "c.yaml", "webhook_secrets_file: "+path)
		for where, src := range map[string]sources{"VIPPSAUTH_WEBHOOK_SECRETS_FILE": {environ: []string{"VIPPSAUTH_WEBHOOK_SECRETS_FILE=" + path}}, file: {configFile: file}} {
			c, rep := load(src)
			var got []string
			for _, secret := range c.webhookSecrets {
				got = append(got, secret.Reveal())
			}
			if diff := cmp.Diff(want, got); diff != "" || (len(rep.problems) == 0) != (want != nil) {
				t.Errorf("%q by %s: %v %s", content, where, rep.problems, diff)
			}
		}
	}
	for _, content := range []string{"abc", "abc\n", "abc\r\n"} {
		c, rep := load(sources{environ: []string{"VIPPSAUTH_CLIENT_SECRET_FILE=" + write(t, "secret", content)}})
		if len(rep.problems) > 0 || c.clientSecret.Reveal() != "abc" {
			t.Errorf("%q: %v", content, rep.problems)
		}
	}
}

// Kubernetes puts variables of this shape into every container beside a service called vippsauth.
func TestLoad_ServiceLinksAreIgnored(t *testing.T) {
	t.Parallel()
	_, rep := load(sources{environ: []string{
		"VIPPSAUTH_SERVICE_HOST=10.0.0.1", "VIPPSAUTH_SERVICE_PORT=4190", "VIPPSAUTH_SERVICE_PORT_HTTP=4190", "VIPPSAUTH_PORT=tcp://10.0.0.1:4190",
		"VIPPSAUTH_PORT_4190_TCP=tcp://10.0.0.1:4190", "VIPPSAUTH_PORT_4190_TCP_ADDR=10.0.0.1", "VIPPSAUTH_PORT_4190_TCP_PORT=4190",
		"VIPPSAUTH_PORT_4190_TCP_PROTO=tcp", "VIPPSAUTH_TEST_SERVICE_HOST=10.0.0.2",
	}})
	if len(rep.problems) > 0 {
		t.Error(rep.problems)
	}
}

func TestLoad_AllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	file := write(t, "c.yaml", "clint_id: "+secretMarker+"\nsilent: "+secretMarker+"\nmarket: NO\nmarket: SE\n")
	_, rep := load(sources{
		configFile: file,
		environ:    []string{"VIPPSAUTH_CLIENT_SECRE=" + secretMarker, "VIPPSAUTH_LOG_LEVEL=" + secretMarker},
		flags:      map[string][]string{"session_ttl": {secretMarker}, "market": {"NO", "SE"}},
	})
	want := []string{
		"c.yaml:1: clint_id: unknown setting; did you mean client_id?",
		"c.yaml:4: market: is given twice, here and on line 3; keep one of them",
		"VIPPSAUTH_CLIENT_SECRE: unknown variable; did you mean VIPPSAUTH_CLIENT_SECRET?",
		"--market: market: is given more than once; give it one value",
		"c.yaml:2: silent: must be first or off",
		"--session-ttl: session_ttl: is not a duration above zero; write 90s, 15m, 8h, 2d or 1d12h",
		"VIPPSAUTH_LOG_LEVEL: log_level: must be debug, info, warn or error",
	}
	if diff := cmp.Diff(want, problemsOf(rep, file)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestParseDuration(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "15m": 15 * time.Minute, "8h": 8 * time.Hour, "2d": 48 * time.Hour, "1d12h": 36 * time.Hour, "1h30m": 90 * time.Minute,
		"": 0, "0": 0, "0s": 0, "-1h": 0, "1d-1h": 0, "d": 0, "1.5d": 0, "-2d": 0, "8": 0, "1w": 0, "2d2d": 0, "99999d": 0, "1000000h": 0, "+1h": time.Hour,
	} {
		got, err := parseDuration(text)
		if got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %s, %v; want %s", text, got, err, want)
		}
	}
}

func FuzzConfigFile(f *testing.F) {
	for _, seed := range []string{"", "market: NO", "a: &b c\nd: *b", "allow: [a, {b: c}]", "---\n---\n", "? x\n: y", "<<: {a: b}", "scopes: !!binary aGk=", "\xff", "a: |\n b\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content string) {
		file := write(t, "c.yaml", content)
		c, rep := load(sources{configFile: file})
		for _, p := range rep.problems {
			if strings.ContainsAny(p.String(), "\n\r\x00") {
				t.Errorf("a problem of several lines: %q", p.String())
			}
		}
		if c == nil || c.silent == "" {
			t.Error("no defaults")
		}
	})
}
