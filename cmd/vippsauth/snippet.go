package main

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"text/template"

	"github.com/spf13/cobra"
)

// snippetFiles are the templates, one a proxy.
//
//go:embed snippets
var snippetFiles embed.FS

// A snippet is one proxy that a configuration can be printed for.
type snippet struct {
	name    string
	doc     string                          // for the list
	file    string                          // the template, in snippets/
	example string                          // the file of examples/ that is its output for the example settings
	fixed   bool                            // it is the same whatever the settings
	module  bool                            // vippsauth runs within this proxy, and isn't asked over the network
	check   func(d *snippetData, r *report) // what this proxy needs besides; nil: nothing
}

// snippets is every proxy there is. A new one is a row here, a template, and a file of examples/.
func snippets() []snippet {
	return []snippet{
		{name: "nginx", doc: "nginx with auth_request, 1.18 or later: a file for conf.d", file: "nginx.tmpl", example: "nginx/nginx.conf"},
		{name: "traefik", doc: "Traefik's ForwardAuth: a file for the file provider", file: "traefik.tmpl", example: "traefik/dynamic.yaml", check: checkTraefik},
		{name: "caddy", doc: "Caddy with the module vipps_auth: a Caddyfile", file: "caddy.tmpl", example: "caddy/Caddyfile.production", module: true, check: moduleOptions},
		{name: "caddy-forward-auth", doc: "a stock Caddy with forward_auth: a Caddyfile", file: "caddy-forward-auth.tmpl", example: "caddy-forward-auth/Caddyfile"},
		{name: "haproxy", doc: "HAProxy 2.6 or later: haproxy.cfg, for haproxy-lua beside it", file: "haproxy.tmpl", example: "haproxy/haproxy.cfg"},
		{name: "haproxy-lua", doc: "the Lua file that haproxy.cfg loads", file: "haproxy.lua", example: "haproxy/vippsauth.lua", fixed: true},
		{name: "apache", doc: "Apache 2.4 with mod_authnz_fcgi: a file for sites-available", file: "apache.tmpl", example: "apache/vippsauth.conf", check: checkApache},
		{name: "apache-lua", doc: "the Lua file that it loads", file: "apache.lua", example: "apache/vippsauth.lua"},
		{name: "envoy", doc: "Envoy 1.36 or later, ext_authz over HTTP: a bootstrap file", file: "envoy.tmpl", example: "envoy/envoy-http.yaml"},
		{name: "ingress-nginx", doc: "ingress-nginx: two Ingresses, without snippets", file: "ingress-nginx.tmpl", example: "kubernetes/ingress-nginx.yaml", check: checkIngressNginx},
		{name: "gateway-api", doc: "Gateway API with ExternalAuth over gRPC: an HTTPRoute", file: "gateway-api.tmpl", example: "gateway-api/httproute.yaml", check: checkGateway},
	}
}

// findSnippet returns the snippet of a proxy.
func findSnippet(name string) (snippet, error) {
	var names []string
	for _, s := range snippets() {
		if s.name == name {
			return s, nil
		}
		names = append(names, s.name)
	}
	if best := closest(name, names); best != "" {
		return snippet{}, fmt.Errorf("unknown proxy; did you mean %s?", best)
	}
	return snippet{}, errors.New("unknown proxy; the proxies are " + strings.Join(names, ", "))
}

// snippetFlags are the flags of the command that are no settings.
type snippetFlags struct {
	app                  []string
	policy, host, output string
}

func (p *program) snippetCommand() *cobra.Command {
	var f snippetFlags
	cmd := &cobra.Command{
		Use:     "snippet PROXY [flags]",
		Short:   "Print the configuration of a proxy for these settings",
		GroupID: groupAsk,
		Long: `Print the configuration of a proxy in front of vippsauth, for the settings that serve
gets: its sites, addresses and identity headers. Of the settings only those that the
proxy has to do with must be there; secrets aren't printed. What to mind is said on
standard error. Without PROXY it lists the proxies.`,
		Example: `  vippsauth snippet
  vippsauth snippet nginx --config vippsauth.yaml --app 127.0.0.1:3000
  vippsauth snippet traefik --config vippsauth.yaml --service-host vippsauth --output dynamic.yaml`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return errors.New("snippet takes the name of one proxy; settings are written --name value")
			}
			return nil
		},
	}
	cmd.Flags().StringSliceVar(&f.app, "app", []string{"127.0.0.1:8080"}, "where the proxy reaches the application; or one for each site")
	cmd.Flags().StringVar(&f.host, "service-host", "", "the host at which the proxy reaches vippsauth, if that isn't the one of listen")
	cmd.Flags().StringVar(&f.policy, "policy", "", "the policy to ask for")
	cmd.Flags().StringVar(&f.output, "output", "", "a file to write to that isn't there yet")
	for name, kind := range map[string]string{"app": "addresses", "service-host": "host", "policy": "name", "output": "file"} {
		cmd.Flags().Lookup(name).Annotations = map[string][]string{kindAnnotation: {kind}}
	}
	cmd.Flags().Lookup("app").Annotations[defaultAnnotation] = f.app
	sf := addSettings(cmd, nil)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			listSnippets(p.stdout)
			return nil
		}
		s, err := findSnippet(args[0])
		if err != nil {
			return err
		}
		if s.fixed {
			return failed(p.writeSnippet(&s, &snippetData{}, f.output))
		}
		c, rep := p.load(cmd, sf)
		d := c.snippetData(&s, &f, rep)
		if s.check != nil && len(rep.problems) == 0 {
			s.check(d, rep)
		}
		rep.print(p.stderr)
		if len(rep.problems) > 0 {
			return errReported
		}
		return failed(p.writeSnippet(&s, d, f.output))
	}
	return cmd
}

func listSnippets(w io.Writer) {
	for _, s := range snippets() {
		fmt.Fprintf(w, "%-18s  %s\n", s.name, s.doc)
	}
}

// writeSnippet prints the configuration, or writes it to a new file.
func (p *program) writeSnippet(s *snippet, d *snippetData, output string) error {
	text, err := s.render(d)
	if err != nil {
		return err
	}
	if output == "" {
		_, err = io.WriteString(p.stdout, text)
		return err
	}
	f, err := os.OpenFile(output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // configuration, which holds no secret
	if errors.Is(err, fs.ErrExist) {
		return errors.New("--output: there is a file of that name; remove it, or name another")
	}
	if err != nil {
		return fmt.Errorf("--output: cannot create the file: %s", reasonOf(err))
	}
	_, err = io.WriteString(f, text)
	return errors.Join(err, f.Close())
}

// render fills the template in.
func (s *snippet) render(d *snippetData) (string, error) {
	t, err := template.New(s.file).Option("missingkey=error").Funcs(snippetFuncs()).ParseFS(snippetFiles, "snippets/"+s.file)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if err := t.Execute(&b, d); err != nil {
		if q, ok := errors.AsType[*quoteError](err); ok {
			return "", q
		}
		return "", err
	}
	return b.String(), nil
}
