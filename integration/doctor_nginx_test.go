package integration_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// breakage is one way in which people get nginx.conf wrong, and what doctor has to say of it.
type breakage struct {
	name    string
	service []string // other flags of the service
	broken  []string // texts of nginx.conf, and what stands in their place
	flags   []string // of doctor
	level   string
	check   string
	words   []string
}

// breakages each take a line out of the file, or alter it.
func breakages(cache string) []breakage {
	const (
		challenge = "rewrite ^ /_vipps/authz/challenge? break;"
		pages     = "location ^~ /_vipps/ {\n"
		app       = "location / { "
		asked     = "auth_request /_vipps_auth_request;"
		judged    = "proxy_pass http://$vipps_application;" // which is nowhere unless vippsauth has let the request pass
		dotted    = `if ($request_uri ~ "^[^?]*/authz") { return 404; }`
		original  = "X-Original-URL $vipps_scheme://$vipps_host$request_uri"
		openly    = "{ auth_request off; proxy_pass http://application; }\n"
		redirect  = "location @login { return 302 $vipps_scheme://$vipps_host/_vipps/login?rd=$request_uri; }\n"
	)
	return []breakage{
		{
			name: "authz not closed", broken: []string{"location ^~ /_vipps/authz { return 404; }", "", dotted, ""},
			level: "problem", check: "authz", words: []string{"open to browsers", "return 404"},
		},
		{
			name: "authz reachable and refused", service: []string{"--trusted-proxies=10.0.0.1/32"}, broken: []string{"location ^~ /_vipps/authz { return 404; }", "", dotted, ""},
			level: "warning", check: "authz", words: []string{"reachable"},
		},
		{
			name: "authz closed in one spelling", broken: []string{
				"location ^~ /_vipps/authz { return 404; }", "if ($request_uri ~ ^/_vipps/authz) { return 404; }",
				"proxy_pass http://vippsauth;\n\t\tproxy_connect_timeout 2s;\n\t\tproxy_set_header", "proxy_pass http://vippsauth/_vipps/;\n\t\tproxy_set_header", // which sends on what it has decoded
			},
			level: "problem", check: "authz-paths", words: []string{"%61uthz"},
		},
		{
			name: "authz closed where nginx compares it", broken: []string{dotted, ""},
			level: "problem", check: "authz-paths", words: []string{"/../../"},
		},
		{
			name: "proxy not trusted", service: []string{"--trusted-proxies=10.0.0.1/32"},
			level: "problem", check: "navigation", words: []string{"trusted_proxies"},
		},
		{
			name: "the question's own path", broken: []string{original, "X-Original-URL $vipps_scheme://$vipps_host$uri"},
			level: "problem", check: "navigation", words: []string{"$request_uri"},
		},
		{
			name: "the query lost", broken: []string{challenge, "set $page $uri; " + challenge, original, "X-Original-URL $vipps_scheme://$vipps_host$page"},
			level: "problem", check: "navigation", words: []string{"query"},
		},
		{
			name: "host without its port", broken: []string{original, "X-Original-URL $vipps_scheme://$host$request_uri"},
			level: "problem", check: "navigation", words: []string{"421", "public_url", "port"},
		},
		{
			name: "nothing said of the request", broken: []string{"proxy_set_header " + original + ";", ""},
			level: "problem", check: "navigation", words: []string{"X-Original-URL"},
		},
		{
			name: "no error_page", broken: []string{"error_page 401 403 = @vipps;", ""},
			level: "problem", check: "navigation", words: []string{"401", "error_page"},
		},
		{
			name: "no auth_request", broken: []string{asked, "", judged, "proxy_pass http://application;"},
			level: "problem", check: "navigation", words: []string{"without a login"},
		},
		{
			name: "no auth_request, where nothing passes without an answer", broken: []string{asked, ""},
			level: "problem", check: "navigation", words: []string{"vippsauth runs", "503", "auth_request"},
		},
		{
			name: "auth_request turned off for the page", broken: []string{app, "location /boats " + openly + app},
			level: "problem", check: "navigation", words: []string{"without a login"},
		},
		{
			name: "auth_request turned off for the page, where nothing passes without an answer", broken: []string{app, app + "auth_request off; "},
			level: "problem", check: "navigation", words: []string{"vippsauth runs", "503", "auth_request"},
		},
		{
			name: "service elsewhere", broken: []string{"proxy_pass http://vippsauth/_vipps/authz/auth-request", "proxy_pass http://127.0.0.1:1/_vipps/authz/auth-request"},
			level: "problem", check: "navigation", words: []string{"vippsauth runs", "503", "at vippsauth's address"},
		},
		{
			name: "service nowhere", broken: []string{"upstream vippsauth   {", "upstream vippsauth { server 127.0.0.1:1; }\nupstream unused {"},
			level: "problem", check: "navigation", words: []string{"no answer from vippsauth", "where it listens"},
		},
		{
			name: "another policy", broken: []string{challenge, "rewrite ^ /_vipps/authz/challenge/staff? break;"},
			level: "problem", check: "navigation", words: []string{"policy"},
		},
		{
			name: "headers of browsers left out", broken: []string{challenge, "proxy_pass_request_headers off; " + challenge},
			level: "problem", check: "navigation", words: []string{"Sec-Fetch"},
		},
		{
			name: "401 turned into a redirect", broken: []string{"error_page 401 403 = @vipps;", "error_page 401 = @login;", app, redirect + app},
			level: "problem", check: "script", words: []string{"redirected"},
		},
		{
			name: "return address unescaped", broken: []string{"error_page 401 403 = @vipps;", "error_page 401 = @login;", app, redirect + app},
			level: "problem", check: "navigation", words: []string{"arrives as"},
		},
		{
			name: "method not passed on", broken: []string{"X-Original-Method $request_method", "X-Original-Method GET"},
			level: "problem", check: "method", words: []string{"$request_method"},
		},
		{
			name: "websockets let through", broken: []string{
				asked, "error_page 418 = @ws; if ($http_upgrade) { return 418; }\n" + asked, app, "location @ws " + openly + app,
			},
			level: "problem", check: "websocket", words: []string{"without a login"},
		},
		{
			name: "pages not passed on", broken: []string{pages, "location ^~ /_vippz/ {\n"},
			level: "problem", check: "login", words: []string{"needs a login", "/_vipps/"},
		},
		{
			name: "pages not passed on: the callback", broken: []string{pages, "location ^~ /_vippz/ {\n"},
			level: "problem", check: "callback", words: []string{"needs a login"},
		},
		{
			name: "pages answered by the app", broken: []string{pages, "location ^~ /_vipps/ " + openly + "location ^~ /_vippz/ {\n"},
			level: "problem", check: "login", words: []string{"the application answers"},
		},
		{
			name: "wrong host for the pages", broken: []string{
				"proxy_connect_timeout 2s;\n\t\tproxy_set_header Connection \"\";\n\t\tproxy_set_header Upgrade \"\";\n\t\tproxy_set_header Host $vipps_host;", "",
				"proxy_set_header X-Forwarded-Host $vipps_host;", "proxy_set_header X-Forwarded-Host \"\";",
			},
			level: "problem", check: "login", words: []string{"421"},
		},
		{
			name: "cookies taken out of answers", broken: []string{pages, pages + "proxy_hide_header Set-Cookie;\n"},
			level: "problem", check: "cookie", words: []string{"sets no cookie"},
		},
		{
			name: "cookies altered", broken: []string{pages, pages + "proxy_cookie_flags ~ nohttponly samesite=strict;\n"},
			level: "problem", check: "cookie", words: []string{"HttpOnly is missing", "SameSite"},
		},
		{
			name: "cookies not passed on", broken: []string{pages, pages + "proxy_set_header Cookie \"\";\n"},
			level: "problem", check: "cookies-back", words: []string{"doesn't come back"},
		},
		{
			name: "callback forbidden", broken: []string{pages, "location = /_vipps/callback { error_page 500 = @vipps_away; return 403; }\n" + pages},
			level: "problem", check: "callback", words: []string{"unreachable", "403"},
		},
		{
			name: "callback forbidden, as one who isn't on the list", broken: []string{pages, "location = /_vipps/callback { return 403; }\n" + pages},
			level: "problem", check: "callback", words: []string{"needs a login", "/_vipps/"},
		},
		{
			name: "callback not found", broken: []string{pages, "location = /_vipps/callback { return 404; }\n" + pages},
			level: "problem", check: "callback", words: []string{"unreachable", "404"},
		},
		{
			name: "callback of the app", broken: []string{pages, "location = /_vipps/callback " + openly + pages},
			level: "problem", check: "callback", words: []string{"answered by the application"},
		},
		{
			name: "callback of the app, behind the login", broken: []string{pages, "location = /_vipps/callback { " + judged + " }\n" + pages},
			level: "problem", check: "callback", words: []string{"needs a login", "without asking it first"},
		},
		{
			name: "error pages of the proxy's own", broken: []string{pages, pages + "proxy_intercept_errors on; error_page 400 /50x.html;\n"},
			level: "problem", check: "pages", words: []string{"proxy_intercept_errors"},
		},
		{
			name: "scripts put into pages", broken: []string{pages, pages + "proxy_set_header Accept-Encoding \"\"; sub_filter '</head>' '<script src=\"/x.js\"></script></head>';\n"},
			level: "warning", check: "pages", words: []string{"script"},
		},
		{
			name: "a cache", broken: []string{
				"server {\n\tlisten", "proxy_cache_path " + cache + " keys_zone=c:1m;\nserver {\n\tlisten",
				pages, pages + "proxy_cache c; proxy_cache_valid any 1m; proxy_ignore_headers Cache-Control Set-Cookie Vary Expires; proxy_cache_key $uri;\n",
			},
			level: "problem", check: "cache", words: []string{"same one"},
		},
		{
			name: "no-store taken out", broken: []string{"proxy_redirect off;", "proxy_redirect off; proxy_hide_header Cache-Control;"},
			level: "warning", check: "cache", words: []string{"no-store is missing", "the redirect to the login", "the 401 for scripts", "the login"},
		},
		{
			name: "small headers", broken: []string{"large_client_header_buffers 4 32k", "large_client_header_buffers 4 8k"},
			level: "warning", check: "header-size", words: []string{"8 KB", "large_client_header_buffers"},
		},
		{
			name: "forwarded method believed", broken: []string{
				"X-Original-Method $request_method", "X-Original-Method $asked_method",
				"server {\n\tlisten", "map $http_x_original_method $asked_method { default $http_x_original_method; \"\" $request_method; }\nserver {\n\tlisten",
			},
			level: "problem", check: "forwarded-headers", words: []string{"believed: X-Original-Method it can say"},
		},
		{
			name: "identity headers on a public path", broken: []string{app, "location /public { auth_request off; proxy_set_header Host $vipps_host; proxy_pass http://application; }\n" + app}, flags: []string{"--echo-path=/public"},
			level: "problem", check: "app-headers", words: []string{"X-Vipps-Sub", "underscores_in_headers"},
		},
	}
}

// Each line of nginx.conf that people forget or get wrong has its finding.
func TestDoctorNginxBroken(t *testing.T) {
	t.Parallel()
	need(t, "nginx")
	for _, tt := range breakages(filepath.Join(t.TempDir(), "cache")) {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t)
			service := tt.service
			if service == nil {
				service = []string{"--trusted-proxies=loopback"}
			}
			f.serve(service...)
			f.app.echoes = true
			startNginx(t, f, tt.broken...)
			f.get(f.origin + "/") // so that nginx has something to log
			d := f.doctor(tt.flags...)
			d.finds(t, tt.level, tt.check, tt.words...)
			if tt.level == "warning" && d.exit != 0 && tt.service == nil {
				t.Errorf("exit code %d for a warning: %s", d.exit, d.text)
			}
		})
	}
}

// Attack: an alias of an identity header gets to an application that folds it, on a path that nobody protects.
func TestDoctorNginxAliases(t *testing.T) {
	t.Parallel()
	need(t, "nginx")
	f := newFront(t)
	f.serve("--trusted-proxies=loopback")
	f.app.echoes = true
	startNginx(t, f, "\t#location ^~ /public/", "\tlocation ^~ /public/",
		"underscores_in_headers off", "underscores_in_headers on")
	f.get(f.origin + "/")
	d := f.doctor("--echo-path=/public/x")
	d.finds(t, "problem", "app-headers", "x_vipps_sub", "underscores_in_headers")
}

// A part that anybody may see, as the file has it in a comment, lets no identity through.
func TestDoctorNginxPublic(t *testing.T) {
	t.Parallel()
	need(t, "nginx")
	f := newFront(t)
	f.serve("--trusted-proxies=loopback")
	f.app.echoes = true
	startNginx(t, f, "\t#location ^~ /public/", "\tlocation ^~ /public/")
	d := f.doctor("--echo-path=/public/x", "--log-in-as", phoneAase)
	d.says(t, "ok", "session")
	d = f.doctor("--echo-path=/public/x")
	d.healthy(t)
	d.says(t, "ok", "app-headers", "/public/x")
}

// With a session it shows what the application gets, and what a client may add to it.
func TestDoctorNginxSession(t *testing.T) {
	t.Parallel()
	need(t, "nginx")
	for _, tt := range []struct {
		name         string
		broken       []string
		level, check string
		words        []string
	}{
		{name: "whole"},
		{"cookie not passed to the check", []string{"location = /_vipps_auth_request {\n", "location = /_vipps_auth_request {\n\t\tproxy_set_header Cookie \"\";\n"}, "problem", "session", []string{"live at /_vipps/me", "Cookie"}},
		{"identity header not overwritten", []string{"proxy_set_header X-Vipps-Sub            $vipps_user_sub;", ""}, "problem", "app-headers", []string{"X-Vipps-Sub: ", "anybody can be anybody"}},
		{"identity header emptied", []string{"proxy_set_header X-Vipps-Sub            $vipps_user_sub;", "proxy_set_header X-Vipps-Sub \"\";"}, "problem", "app-headers", []string{"doesn't get X-Vipps-Sub", "auth_request_set"}},
		{"name not passed on", []string{"proxy_set_header X-Vipps-Name           $vipps_user_name;", "proxy_set_header X-Vipps-Name \"\";"}, "problem", "name", []string{"doesn't show the name"}},
		{"the check's answer not read", []string{"$upstream_http_x_vipps_auth;", "$upstream_http_x_vipps_auto;"}, "problem", "session", []string{"503", "X-Vipps-Auth"}},
		{"the app is away", []string{"server 127.0.0.1:8080", "server 127.0.0.1:1"}, "problem", "session", []string{"502"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t)
			f.app.echoes = true
			f.serve("--trusted-proxies=loopback")
			if tt.name == "the app is away" {
				tt.broken[0] = "server " + f.app.addr()
			}
			startNginx(t, f, tt.broken...)
			b := f.browser()
			b.open(f.origin + "/_vipps/login?rd=/")
			d := f.doctorAt("/", nil, "--echo-path=/whoami", "--cookie-file", write(t, "cookie.txt", "Cookie: "+cookieLine(b, f.origin)+"\n"))
			if tt.check == "" {
				d.healthy(t)
				d.says(t, "ok", "session")
				d.says(t, "ok", "app-headers")
				d.says(t, "ok", "name")
			} else {
				d.finds(t, tt.level, tt.check, tt.words...)
			}
			for _, c := range b.cookies(f.origin) {
				if c.Value != "" && strings.Contains(d.text, c.Value) {
					t.Error("the session's cookie is printed")
				}
			}
			if found := f.secrets.in(d.text); len(found) > 0 {
				t.Errorf("what doctor says holds %v", found)
			}
		})
	}
}

// cookieLine is what a browser sends in Cookie.
func cookieLine(b *browser, origin string) string {
	var pairs []string
	for _, c := range b.cookies(origin) {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	return strings.Join(pairs, "; ")
}

// The application's own mistakes with names, and what the proxy may do to them.
func TestDoctorNames(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, encoding string
		reads          func(string) string // what the application makes of a header
		level          string
		words          []string
	}{
		{"as it is", "utf-8", nil, "ok", []string{"as it is"}},
		{"UTF-8 read as Latin-1", "utf-8", asLatin1, "problem", []string{"mojibake", "header_encoding"}},
		{"Latin-1 read as Latin-1", "latin1", asLatin1, "ok", []string{"as it is"}},
		{"percent not decoded", "percent", nil, "warning", []string{"percent-encoded"}},
		{"base64url not decoded", "base64url", nil, "warning", []string{"base64url"}},
		{"folded to ASCII", "ascii", nil, "note", []string{"ascii"}},
		{"a page in Latin-1 takes it as it is", "latin1", nil, "ok", []string{"as it is"}},
		{"a page in Latin-1 takes UTF-8", "utf-8", nil, "problem", []string{"mojibake"}},
		{"letters dropped", "utf-8", onlyASCII, "problem", []string{"lost or replaced"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t)
			f.sidecar("--header-encoding=" + tt.encoding)
			f.app.echoes, f.app.reads = true, tt.reads
			if strings.HasPrefix(tt.name, "a page in Latin-1") {
				f.app.charset = "iso-8859-1"
			}
			b := f.browser()
			b.open(f.origin + "/")
			d := f.doctorAt("/", []string{"VIPPSAUTH_DOCTOR_COOKIE=" + cookieLine(b, f.origin)}, "--echo-path=/whoami")
			if strings.Contains(d.text, nameAase) {
				t.Error("the name is printed")
			}
			if tt.level == "ok" || tt.level == "note" {
				d.says(t, tt.level, "name", tt.words...)
				d.says(t, "ok", "session")
				d.says(t, "ok", "app-headers")
				return
			}
			d.finds(t, tt.level, "name", tt.words...)
		})
	}
}
