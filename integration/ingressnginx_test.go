package integration_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// renderIngress is what ingress-nginx makes of the two Ingresses: of its template, rootfs/etc/nginx/template/nginx.tmpl
// (kubernetes/ingress-nginx, 1.8), the lines that concern external authentication and the headers that it sends, in the
// template's order. Left out is what stock nginx can't read (Lua: balancing, metrics), so that addresses are written out.
func renderIngress(t *testing.T, f *front, authz string) string {
	t.Helper()
	all := manifests(t, "kubernetes/ingress-nginx.yaml")
	annotation := func(name, key string) string {
		value, _ := all["Ingress "+name].at(t, "metadata", "annotations").(manifest)["nginx.ingress.kubernetes.io/"+key].(string)
		return value
	}
	u := urlOf(t, annotation("application", "auth-url"))
	if u.RawQuery != "" {
		t.Error("ingress-nginx passes a query of auth-url on")
	}
	target := strings.Replace(annotation("application", "auth-url"), u.Host, authz, 1)
	signin := strings.Replace(annotation("application", "auth-signin"), "https://app.example.com", f.origin, 1)

	var identity strings.Builder // internal/ingress/controller/template: buildAuthResponseHeaders
	for i, name := range strings.Split(annotation("application", "auth-response-headers"), ",") {
		variable := strings.ToLower(strings.ReplaceAll(name, "-", "_"))
		fmt.Fprintf(&identity, "auth_request_set $authHeader%d $upstream_http_%s;\nproxy_set_header '%s' $authHeader%d;\n", i, variable, name, i)
	}
	proxied := func(name, addr string) string {
		return fmt.Sprintf(`
			set $pass_access_scheme $scheme;
			set $best_http_host $http_host;
			proxy_set_header Host $best_http_host;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection $connection_upgrade;
			proxy_set_header X-Real-IP $remote_addr;
			proxy_set_header X-Forwarded-For $remote_addr;
			proxy_set_header X-Forwarded-Host $best_http_host;
			proxy_set_header X-Forwarded-Port $server_port;
			proxy_set_header X-Forwarded-Proto $pass_access_scheme;
			proxy_set_header X-Forwarded-Scheme $pass_access_scheme;
			proxy_set_header X-Scheme $pass_access_scheme;
			proxy_set_header X-Original-Forwarded-For $http_x_forwarded_for;
			proxy_set_header Proxy "";
			proxy_buffering off;
			proxy_buffer_size %[1]s;
			proxy_buffers 4 %[1]s;
			proxy_http_version 1.1;
			proxy_cookie_domain off;
			proxy_cookie_path off;
			proxy_pass http://%[2]s;
			proxy_redirect off;`, annotation(name, "proxy-buffer-size"), addr)
	}
	log := "access_log off;"
	if annotation("vippsauth", "enable-access-log") != "false" {
		log = ""
	}
	return fmt.Sprintf(`
	map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
	map $request_uri $escaped_request_uri { default $request_uri; }   # the template has set_escape_uri, of a module that isn't Debian's
	underscores_in_headers off;
	ignore_invalid_headers on;
	large_client_header_buffers 4 8k;
	client_header_buffer_size 1k;
	client_max_body_size 1m;
	merge_slashes on;
	server {
		listen 127.0.0.1:%[1]s;
		server_name localhost;
		location = /_external-auth-Lw-Prefix {
			internal;
			access_log off;
			proxy_pass_request_body off;
			proxy_set_header Content-Length "";
			proxy_set_header X-Forwarded-Proto "";
			proxy_set_header Host %[2]s;
			proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
			proxy_set_header X-Original-Method $request_method;
			proxy_set_header X-Sent-From "nginx-ingress-controller";
			proxy_set_header X-Real-IP $remote_addr;
			proxy_set_header X-Forwarded-For $remote_addr;
			proxy_set_header X-Auth-Request-Redirect $request_uri;
			proxy_buffering off;
			proxy_buffer_size 32k;
			proxy_buffers 4 32k;
			proxy_ssl_server_name on;
			proxy_pass_request_headers on;
			proxy_http_version 1.1;
			set $target %[3]s;
			proxy_pass $target;
		}
		location @64e7eef73f135f7a304693e85336f805005c5bc2 {
			internal;
			add_header Set-Cookie $auth_cookie;
			return 302 %[4]s;
		}
		location / {
			auth_request /_external-auth-Lw-Prefix;
			auth_request_set $auth_cookie $upstream_http_set_cookie;
			add_header Set-Cookie $auth_cookie;
			%[5]s
			error_page 401 = @64e7eef73f135f7a304693e85336f805005c5bc2;
			%[6]s
		}
		location /_vipps/ {
			%[7]s
			%[8]s
		}
	}
`, f.port(), u.Host, target, signin, identity.String(), proxied("application", f.app.addr()), log, proxied("vippsauth", f.addr))
}

// TestIngressNginx runs the real nginx with what ingress-nginx would make of the manifest. What it can't do without
// snippets, the README says: each answer to somebody who isn't logged in is 302, 403 is nginx's own, and so is 500.
func TestIngressNginx(t *testing.T) {
	t.Parallel()
	need(t, "nginx")
	f := newFront(t)
	authz := freeAddr(t)
	f.serve("--trusted-proxies=loopback", "--authz-listen="+authz)
	dir := t.TempDir()
	p := nginxIn(t, dir, "access_log "+dir+"/access.log;\n"+renderIngress(t, f, authz))
	p.answers(f.origin + "/_vipps/authz/")
	t.Cleanup(func() {
		p.end()
		log, err := os.ReadFile(filepath.Join(dir, "access.log"))
		if err != nil || len(log) == 0 {
			t.Errorf("the access log: %d bytes, %v", len(log), err)
		}
		if found := f.secrets.in(string(log)); len(found) > 0 {
			t.Errorf("the access log holds %v", found)
		}
	})

	t.Run("login, deep link", func(t *testing.T) {
		b := f.browser()
		a := b.open(f.origin + "/b%C3%A5ter/7?havn=%C3%85lesund")
		got := f.app.last()
		if a.StatusCode != http.StatusOK || got.URI != "/b%C3%A5ter/7?havn=%C3%85lesund" || got.Header.Get("X-Vipps-Name") != nameAase || len(got.Header["X-Vipps-Birthdate"]) > 0 {
			t.Errorf("%d at %v: %v", a.StatusCode, b.trail, got.Header)
		}
	})
	t.Run("scripts and other programs", func(t *testing.T) {
		for _, p := range askers() {
			b, hits := f.browser(), f.app.hits()
			a := b.send(p.method, f.origin+"/api", p.header, p.body())
			to, err := a.Location()
			if a.StatusCode != http.StatusFound || err != nil || to.String() != f.origin+"/_vipps/login?rd=/api" || f.app.hits() != hits || len(a.Header["Set-Cookie"]) > 0 {
				t.Errorf("%s: %d %v", p.name, a.StatusCode, a.Header)
				continue
			}
			if p.name == "gRPC" {
				continue // whose clients follow no redirect
			}
			p.header.Del("Content-Type") // a redirected POST is a GET
			if a = b.send(http.MethodGet, to.String(), p.header, nil); a.StatusCode != http.StatusUnauthorized || len(a.Header["Set-Cookie"]) > 0 {
				t.Errorf("%s, after the redirect: %d %v %s", p.name, a.StatusCode, a.Header, a.words())
			}
		}
	})
	// What the README says is all that the doctor finds; the query is lost in this stand-in alone, which can't escape it.
	t.Run("doctor", func(t *testing.T) {
		d := f.doctor("--ask-provider", "--log-in-as", phoneAase)
		d.finds(t, "problem", "script", "a script is redirected")
		d.finds(t, "problem", "method", "redirected as if it were one")
		d.finds(t, "warning", "cache", "no-store is missing from the redirect to the login")
		d.finds(t, "warning", "header-size", "large_client_header_buffers 4 32k")
		d.finds(t, "problem", "navigation", "the query, or a part of it, is lost")
		for _, finding := range d.Findings {
			known := []string{"script", "method", "cache", "header-size", "navigation"}
			if (finding.Level == "problem" || finding.Level == "warning") && !slices.Contains(known, finding.Check) {
				t.Errorf("%s: %s", finding.Check, finding.What)
			}
		}
		d.says(t, "ok", "emulator-login")
		d.says(t, "ok", "session")
	})
	t.Run("C010_spoofed identity headers", func(t *testing.T) {
		b := f.loggedIn()
		for _, name := range []string{"X-Vipps-Sub", "x_vipps_sub", "X.Vipps.Sub", "X-Vipps~Sub", "X-Vipps-Nin", "X-Vipps-Assertion", "X-Vipps-Birthdate"} {
			hits := f.app.hits()
			a := b.send(http.MethodGet, f.origin+"/spoof", with(fetching(), name, "evil"), nil)
			for _, got := range f.app.since(hits) {
				if subs := folded(got.Header, "X-Vipps-Sub"); len(subs) != 1 || subs[0] == "evil" || strings.Contains(fmt.Sprint(got.Header), "evil") {
					t.Errorf("%s: %v", name, got.Header)
				}
			}
			if a.StatusCode != http.StatusOK && a.StatusCode != http.StatusForbidden {
				t.Errorf("%s: %d", name, a.StatusCode)
			}
		}
	})
	behaves(t, f, differs{keepsCookies: true, bare: http.StatusInternalServerError, waits: time.Minute, hurried: true, believes: []int{200, 204, 206}}, "silent miss, then the full login; deep link with its query", "scripts and APIs get 401", "gRPC, prefetches, images and the like get 401", "vippsauth doctor finds nothing wrong", "forms", "C010_spoofed identity headers",
		"B015_the query says nothing", "C062_forwarded headers of the client", "conditional and range requests", "methods", "paths", "websocket", "logout",
		"somebody who is not on the list is denied", "restart under load: nobody passes without a session, none is lost")
}
