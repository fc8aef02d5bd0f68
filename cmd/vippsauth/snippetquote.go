package main

import (
	"encoding/json"
	"slices"
	"strings"
	"text/template"
)

// A quoteError is a value that has no safe form in a proxy's configuration. It doesn't hold the value.
type quoteError struct{ proxy, what string }

func (e *quoteError) Error() string {
	return "a value has no safe form in the configuration of " + e.proxy + ": it holds " + e.what + "; write that setting by hand, or change it"
}

// snippetFuncs are the functions of the templates. What a template prints of a setting goes through one of them, unless
// it has been read as something that means nothing but itself anywhere: a host, a port, the name of a header.
func snippetFuncs() template.FuncMap {
	return template.FuncMap{
		"nginx": quoteNginx, "nginxAddr": nginxAddr,
		"caddy": quoteCaddy, "caddyAddr": caddyAddr, "caddySite": caddySite,
		"yaml": quoteYAML, "traefikRule": quoteTraefik, "url": httpURL,
		"haproxy": quoteHAProxy, "haproxyAddr": haproxyAddr, "haproxyBinds": haproxyBinds, "customNames": customNames,
		"apache":   quoteApache,
		"hostPort": func(e endpoint) (string, error) { u, err := httpURL(e); return strings.TrimPrefix(u, "http://"), err },
		"allNames": allNames, "underscored": func(name string) string { return strings.ReplaceAll(name, "-", "_") },
		"envoyNames": envoyNames, "dashed": func(id string) string { return strings.ReplaceAll(id, "_", "-") },
		"spellings": func(name string) string { return strings.ReplaceAll(strings.ToLower(name), "-", "[^a-z0-9]") },
		"dotless":   func(name string) string { return strings.ReplaceAll(name, ".", "-") },
		"question":  newQuestion,
		"names": func(headers []snippetHeader) []string {
			var names []string
			for _, h := range headers {
				names = append(names, h.Name)
			}
			return names
		},
		"join":     func(sep string, items []string) string { return strings.Join(items, sep) },
		"isCustom": func(name string) bool { return !strings.HasPrefix(name, "X-Vipps-") },
	}
}

// oneLineOnly refuses what would end a line, or what no configuration means.
func oneLineOnly(proxy, s string) error {
	if hasControl(s) {
		return &quoteError{proxy, "a line break or another control character"}
	}
	return nil
}

// without refuses texts that the proxy gives a meaning to even within quotes.
func without(proxy, s string, texts ...string) error {
	for _, t := range texts {
		if strings.Contains(s, t) {
			return &quoteError{proxy, t + ", which means something else there"}
		}
	}
	return oneLineOnly(proxy, s)
}

// quoteNginx writes a value for nginx.conf. nginx expands $ within quotes, and knows no way to write one.
func quoteNginx(s string) (string, error) {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`, without("nginx", s, "$")
}

// quoteCaddy writes a value for a Caddyfile. Caddy expands {$NAME} before it looks at quotes, and {name} when it runs.
// Within double quotes a backslash stands for itself, except before a quote: what holds either is put in backquotes.
func quoteCaddy(s string) (string, error) {
	switch {
	case s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || strings.ContainsRune("\"`\\{}#<", r) }):
		return s, oneLineOnly("Caddy", s)
	case !strings.ContainsAny(s, `"\`):
		return `"` + s + `"`, without("Caddy", s, "{", "}")
	default:
		return "`" + s + "`", without("Caddy", s, "{", "}", "`")
	}
}

// quoteYAML writes a value in double quotes, as JSON has it, which YAML reads too.
func quoteYAML(s string) (string, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), oneLineOnly("this proxy", s)
}

// quoteTraefik writes a value for a file of Traefik's, which is a Go template before it is YAML.
func quoteTraefik(s string) (string, error) {
	if err := without("Traefik", s, "{{", "}}"); err != nil {
		return "", err
	}
	return quoteYAML(s)
}

// quoteHAProxy writes a value for haproxy.cfg. Where a format is expected % has a meaning of its own.
func quoteHAProxy(s string) (string, error) {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`).Replace(s) + `"`, without("HAProxy", s, "%")
}

// quoteApache writes a value for httpd.conf, where ${NAME} and %{NAME} are expanded within quotes.
func quoteApache(s string) (string, error) {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`, without("Apache", s, "${", "%")
}

// nginxAddr is an address as an upstream of nginx has it.
func nginxAddr(e endpoint) (string, error) {
	if e.Socket != "" {
		return quoteNginx("unix:" + e.Socket)
	}
	return e.String(), nil
}

// caddyAddr is an address as reverse_proxy of Caddy has it.
func caddyAddr(e endpoint) (string, error) {
	if e.Socket != "" {
		return quoteCaddy("unix/" + e.Socket)
	}
	return e.String(), nil
}

// caddySite is the address of a site as a Caddyfile has it: https is what it means without a scheme.
func caddySite(s snippetSite) string { return strings.TrimPrefix(s.Origin, "https://") }

// haproxyAddr is an address as a server of HAProxy has it.
func haproxyAddr(e endpoint) (string, error) {
	if e.Socket != "" {
		return quoteHAProxy("unix@" + e.Socket)
	}
	return e.String(), nil
}

// haproxyBinds are what one frontend of HAProxy listens on for all sites.
func haproxyBinds(sites []snippetSite) []string {
	var binds []string
	for _, s := range sites {
		bind := ":" + s.Port
		switch {
		case s.Scheme == "https":
			bind += " ssl crt /etc/haproxy/site.pem alpn h2,http/1.1   # <- the certificate and its key"
		case s.Loopback:
			bind = "127.0.0.1:" + s.Port + "             # <- in public: bind :443 ssl crt /etc/haproxy/site.pem alpn h2,http/1.1"
		}
		if !slices.Contains(binds, bind) {
			binds = append(binds, bind)
		}
	}
	return binds
}

// customNames are the identity headers of all sites that don't begin with X-Vipps-.
func customNames(sites []snippetSite) []string {
	var names []string
	for _, s := range sites {
		for _, h := range s.Headers {
			if !strings.HasPrefix(h.Name, "X-Vipps-") && !slices.Contains(names, h.Name) {
				names = append(names, h.Name)
			}
		}
	}
	return names
}

// httpURL is the URL of an address, for proxies that reach no sockets.
func httpURL(e endpoint) (string, error) {
	if e.Socket != "" {
		return "", &quoteError{"this proxy", "a socket, which it doesn't reach"}
	}
	return "http://" + e.String(), nil
}

// A question is how one policy is asked for.
type question struct {
	Policy   string // empty: the one that holds for the whole site
	Path     string // what follows the endpoint
	Upstream string // nginx's name of where it is asked
	Authz    endpoint
	Headers  []snippetHeader
}

func newQuestion(d *snippetData, policy string, headers ...[]snippetHeader) question {
	q := question{Policy: policy, Path: d.PolicyPath, Upstream: "vippsauth", Authz: d.Authz}
	if policy != "" {
		q.Path = "/" + policy
	}
	if d.OwnAuthz {
		q.Upstream = "vipps_authz"
	}
	for _, h := range headers {
		q.Headers = append(q.Headers, h...)
	}
	return q
}

// allNames are the headers of a site that no client may bring, but that of the proxy secret.
func allNames(s snippetSite) []string {
	var names []string
	for _, h := range s.Headers {
		names = append(names, h.Name)
	}
	return append(names, slices.DeleteFunc(slices.Clone(s.Cleared), func(name string) bool { return name == "X-Vipps-Proxy-Secret" })...)
}

// envoyNames are the identity headers of all sites, as Envoy has them.
func envoyNames(sites []snippetSite) []string {
	var names []string
	for _, s := range sites {
		for _, h := range s.Headers {
			if name := strings.ToLower(h.Name); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}
