package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// checked are the problems of a configuration file, as vippsauth check prints them.
func checked(t *testing.T, yaml string) (*config, []string) {
	t.Helper()
	file := write(t, "c.yaml", yaml)
	key, err := session.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	c, rep := load(sources{configFile: file, environ: []string{"VIPPSAUTH_COOKIE_KEYS=" + key.Encode()}})
	c.validate(rep)
	return c, problemsOf(rep, file)
}

// Sites that have everything of their own need nothing at the top, and what is wrong with one is said of that one.
func TestSites_Problems(t *testing.T) {
	t.Parallel()
	const top = "trusted_proxies: loopback\n"
	for name, tt := range map[string]struct {
		yaml string
		want []string
	}{
		"all their own": {"environment: production\nsites:\n" +
			"  https://a.example: {client_id: a, client_secret: sa, allow: anyone}\n" +
			"  https://b.example: {client_id: b, client_secret: sb, allow: anyone}\n", nil},
		"one lacks allow": {"environment: production\nsites:\n" +
			"  https://a.example: {client_id: a, client_secret: sa, allow: anyone}\n" +
			"  https://b.example: {client_id: b, client_secret: sb}\n", []string{
			"not set: allow: is required in production: who may pass once logged in; list phone numbers and subs, or @file of them, or say anyone; " + howToSet("allow"),
			"c.yaml:5: sites: https://b.example: allow: is required in production: list phone numbers or subs (or @file of them), or say `anyone`",
		}},
		"the first": {"environment: test\nclient_id: a\nclient_secret: s\nsites:\n" +
			"  https://A.example:\n    allow: [mustnotshow@]\n" +
			"  https://b.example:\n    headers: [mustnotshow]\n", []string{
			"c.yaml:6: sites: https://A.example: allow: entry 1: is not a phone number or a sub; people are not known by e-mail address here",
			"c.yaml:8: sites: https://b.example: headers: entry 1: must be default, or Header=claim, as in Remote-User=sub",
		}},
		// Attack on oneself: another client's secret goes to Vipps with this client's id, at every login.
		"the secret of another client": {"environment: test\nclient_id: a\nclient_secret: mustnotshow\npublic_url: https://a.example\nsites:\n" +
			"  https://b.example: {client_id: b}\n", []string{
			"c.yaml:7: sites: https://b.example: client_secret: is missing beside client_id; give the secret that belongs to it, as client_secret or client_secret_file",
		}},
		// Attack on oneself: of two lists of who may pass, nobody knows which one holds.
		"a setting twice": {"environment: test\nclient_id: a\nclient_secret: s\nsites:\n" +
			"  https://b.example: {allow: [x1234], allow: anyone}\n", []string{
			"c.yaml:6: sites: https://b.example: allow: is given twice; keep one of them",
		}},
		"one of the rest": {"environment: test\nclient_id: a\nclient_secret: s\nallow: anyone\npublic_url: [https://b.example, https://a.example, http://c.example]\nsites:\n" +
			"  https://b.example: {market: NO}\n", []string{
			"c.yaml:6: public_url: entry 3: must be https: http is for loopback hosts only",
		}},
		"a password in a name": {"environment: test\nclient_id: a\nclient_secret: s\nsites:\n" +
			"  https://me:mustnotshow@b.example: {silent: maybe}\n", []string{
			"c.yaml:6: sites: …: silent: must be first or off",
			"c.yaml:6: sites: …: public_url: entry 1: must not contain a user name or password",
		}},
		"another spelling": {"environment: test\nclient_id: a\nclient_secret: s\npublic_url: https://a.example\nsites:\n" +
			"  https://b.example: {allow: [x1234]}\n  HTTPS://B.example:443/: {allow: anyone}\n", []string{
			"c.yaml:7: sites: https://b.example: public_url: entry 1: its host is listed twice",
		}},
		"merged": {"environment: test\nclient_id: a\nclient_secret: s\nsites:\n" +
			"  https://b.example: &b {allow: anyone}\n  https://c.example: {<<: *b, allow: [x1234]}\n  https://d.example: *b\n", []string{
			"c.yaml:7: sites: https://c.example: unknown setting; see vippsauth serve --help for the settings",
			"c.yaml:8: sites: https://d.example: has no settings; write them below it, indented, or take it out",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, got := checked(t, top+tt.yaml)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			for _, line := range got {
				if strings.Contains(line, secretMarker) {
					t.Errorf("shows what it must not: %s", line)
				}
			}
		})
	}
}

// A site with settings of its own is not judged by those of the top, in whatever spelling either names it.
func TestSites_OwnSettingsHold(t *testing.T) {
	t.Parallel()
	c, problems := checked(t, "trusted_proxies: loopback\nenvironment: test\nclient_id: a\nclient_secret: s\nallow: anyone\n"+
		"public_url: [https://a.example, 'https://B.example:443/']\npolicies:\n  board: {allow: [x1234]}\nsites:\n  https://b.example: {allow: [x1234]}\n  https://c.example: {client_id: c, client_secret: s}\n  https://d.example: {site_name: D}\n")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	var got []string
	for _, sc := range c.all() {
		got = append(got, strings.Join(sc.publicURLs, " ")+" "+strings.Join(sc.allow, " "))
		if len(sc.policies) != 1 || sc.policies[0].Name != "board" {
			t.Errorf("%s has policies %v", sc.publicURLs, sc.policies)
		}
	}
	if diff := cmp.Diff([]string{"https://a.example anyone", "https://b.example x1234", "https://c.example anyone", "https://d.example anyone"}, got); diff != "" {
		t.Errorf("sites (-want +got):\n%s", diff)
	}
	clients, err := c.clients(c.expectedIssuer())
	if err != nil {
		t.Fatal(err)
	}
	if got := distinct(clients); len(clients) != 4 || len(got) != 2 || !slices.Equal(got, []*vipps.Client{clients[0], clients[2]}) {
		t.Errorf("%d clients, %d of them different", len(clients), len(got))
	}
}

// What README shows of sites and policies is good, once the files are there that it names.
func TestREADMESites(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(readme), "### Several sites, and parts of a site")
	_, after, _ = strings.Cut(after, "```yaml\n")
	block, _, ok := strings.Cut(after, "```\n")
	if !ok {
		t.Fatal("README has no such example")
	}
	members := write(t, "members.txt", "+47 900 00 001\n")
	block = strings.NewReplacer("@members.txt", "@"+members, "@board.txt", "@"+members, "/run/secrets/shop", write(t, "secret", "made up")).Replace(block)
	_, problems := checked(t, "environment: test\nclient_id: club\nclient_secret: made up\nscopes: openid name phoneNumber\ntrusted_proxies: loopback\n"+block)
	if len(problems) > 0 {
		t.Errorf("README's example: %q", problems)
	}
}
