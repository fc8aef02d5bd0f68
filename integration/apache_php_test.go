package integration_test

import (
	"html"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// startApachePHP runs the example with the application inside Apache, in a folder, and run by php-cgi, as Debian's package
// php-cgi sets that up (/etc/apache2/conf-available/php8.2-cgi.conf).
func startApachePHP(t *testing.T, f *front, folder string, change ...string) {
	t.Helper()
	lines := `DocumentRoot ` + folder + `
	<Directory ` + folder + `>
		AllowOverride All
		Require all granted
		DirectoryIndex index.php
	</Directory>
	<FilesMatch ".+\.php$">
		SetHandler application/x-httpd-php
	</FilesMatch>
	ScriptAlias /cgi-bin/php ` + need(t, "php-cgi") + `
	Action application/x-httpd-php /cgi-bin/php`
	startApache(t, f, "cgid actions rewrite", append(change, "#DocumentRoot /var/www/html", lines)...)
}

// phpSite is a folder with the application, as such folders are: with an .htaccess that makes pretty addresses, another
// that opens what is not its own, and a page that fails.
func phpSite(t *testing.T) string {
	t.Helper()
	folder := readable(t)
	for name, text := range map[string]string{
		"index.php":       example(t, "app/index.php"),
		"sub/index.php":   example(t, "app/index.php"),
		"failed.php":      "<?php http_response_code(500); echo 'app: failed';",
		"forbidden.php":   "<?php http_response_code(403); echo 'app: says no';",
		"stranger.php":    "<?php http_response_code(401); echo 'app: who are you';",
		"static.txt":      "app: static",
		"crash.cgi":       "#!/bin/sh\nexit 1\n",
		".htaccess":       "Options +ExecCGI\nAddHandler cgi-script .cgi\nRewriteEngine On\nRewriteCond %{REQUEST_FILENAME} !-f\nRewriteCond %{REQUEST_FILENAME} !-d\nRewriteRule . /index.php [L]\n",
		"open/static.txt": "app: opened",
		"open/.htaccess":  "Satisfy Any\nAllow from all\nAuthType None\nRequire all granted\nAuthnzFcgiCheckAuthnProvider None\n",
	} {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

var tableRow = regexp.MustCompile(`<tr><th>([^<]*)</th><td>([^<]*)</td></tr>`)

// received is what the PHP application shows of what it got, by name.
func received(a answer) map[string]string {
	got := map[string]string{}
	for _, row := range tableRow.FindAllStringSubmatch(a.text, -1) {
		got[html.UnescapeString(row[1])] = html.UnescapeString(row[2])
	}
	return got
}

// A PHP application that reads REMOTE_USER works unchanged, whichever way Apache finds its script.
func TestApachePHP(t *testing.T) {
	t.Parallel()
	need(t, "apache2")
	f := newFront(t)
	f.serveApache()
	startApachePHP(t, f, phpSite(t))
	b := f.browser()
	for _, path := range []string{"/pretty/url?x=%C3%A5", "/index.php?x=1", "/", "/sub/"} {
		a := b.open(f.origin + path)
		got := received(a)
		if a.StatusCode != http.StatusOK || a.Request.URL.RequestURI() != path || got["REQUEST_URI"] != path {
			t.Fatalf("%s: %d at %v: %s", path, a.StatusCode, b.trail, a.words())
		}
		sub := got["REMOTE_USER"]
		if !strings.HasPrefix(sub, "emulator-") {
			t.Errorf("%s: REMOTE_USER is %q", path, sub)
		}
		for name, want := range map[string]string{
			"VIPPS_SUB": sub, "VIPPS_AUTH": "authenticated", "VIPPS_NAME": nameAase, "VIPPS_EMAIL": "aase@example.com", "VIPPS_PHONE_NUMBER": phoneAase,
			"HTTP_X_VIPPS_SUB": sub, "HTTP_X_VIPPS_AUTH": "authenticated", "HTTP_X_VIPPS_NAME": nameAase, "HTTP_X_VIPPS_PHONE_NUMBER": phoneAase,
		} {
			if got[name] != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got[name], want)
			}
		}
		if !strings.Contains(a.text, "Hello, "+nameAase) {
			t.Errorf("%s: %s", path, a.words())
		}
	}
	a := b.post(f.origin+"/pretty/form", url.Values{"note": {"<b>båt & sjø</b>"}})
	if a.StatusCode != http.StatusOK || !strings.Contains(a.text, "&lt;b&gt;båt &amp; sjø&lt;/b&gt;</q> (") {
		t.Errorf("a form: %d %s", a.StatusCode, a.words())
	}
	if set := a.Header["Set-Cookie"]; len(set) != 2 || !strings.HasPrefix(set[0], "visits=5;") || !strings.HasPrefix(set[1], "theme=") {
		t.Errorf("the application sets two cookies, and the browser gets %q", set)
	}
	if got := a.Header["Cache-Control"]; len(got) != 1 || got[0] != "private, no-store" || a.Header.Get("Vary") != "" {
		t.Errorf("what vippsauth says is in the application's answer: %v", a.Header)
	}
	for path, want := range map[string]int{"/failed.php": 500, "/forbidden.php": 403, "/stranger.php": 401, "/static.txt": 200} {
		if a := b.send(http.MethodGet, f.origin+path, navigation(), nil); a.StatusCode != want || !strings.HasPrefix(a.text, "app: ") {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.words())
		}
	}
	if a := b.send(http.MethodGet, f.origin+"/crash.cgi", navigation(), nil); a.StatusCode != 500 || strings.Contains(a.text, "Login") {
		t.Errorf("an application that fails: %d %s", a.StatusCode, a.words())
	}
}

// Attack: a client without a session asks for the application's files by every name that they have, and for what an
// .htaccess of the application opens.
func TestApachePHPIsClosed(t *testing.T) {
	t.Parallel()
	need(t, "apache2")
	f := newFront(t)
	f.serveApache()
	startApachePHP(t, f, phpSite(t))
	for _, path := range []string{
		"/", "/index.php", "/static.txt", "/open/static.txt", "/cgi-bin/php", "/cgi-bin/php/index.php", "/.htaccess", "/sub", "/pretty", "/_vipps/../static.txt", "/_vipps_away/../static.txt",
		"/_vipps_away/x", "/_vipps_awayx", "//static.txt", "/%73tatic.txt",
	} {
		status := raw(t, f, "GET "+path+" HTTP/1.1\r\nHost: localhost:"+f.port()+"\r\nSec-Fetch-Mode: cors\r\nConnection: close\r\n\r\n")
		if status < 400 {
			t.Errorf("%s: %d", path, status)
		}
	}
}

// Attack: a client names itself in headers. CGI makes variables of them, where - and _ are the same.
func TestSec_C010_C012_B021_ApachePHP(t *testing.T) {
	t.Parallel()
	need(t, "apache2")
	f := newFront(t)
	f.serveApache()
	startApachePHP(t, f, phpSite(t))
	b := f.browser()
	honest := received(b.open(f.origin + "/"))
	for _, name := range []string{
		"X-Vipps-Sub", "x_vipps_sub", "X_Vipps_Sub", "X.Vipps.Sub", "X-Vipps_Sub", "X-Vipps.Sub", "X-Vipps~Sub", "X-Vipps-Nin", "X-Vipps-Birthdate", "X-Vipps-Assertion",
		"X-Vipps-Other", "X-Vipps-Proxy-Secret", "Remote-User", "Remote_User", "REMOTE_USER", "VIPPS_SUB", "Vipps-Sub", "Redirect-Vipps-Sub", "Proxy", "Authorization",
	} {
		for _, value := range []string{"evil", ""} {
			a := b.send(http.MethodGet, f.origin+"/", with(fetching(), name, value), nil)
			switch got := received(a); {
			case a.StatusCode == http.StatusForbidden:
			case a.StatusCode != http.StatusOK:
				t.Errorf("%s: %d", name, a.StatusCode)
			default:
				for key, value := range got {
					ours := strings.HasPrefix(key, "VIPPS_") || strings.HasPrefix(key, "HTTP_X_VIPPS") || key == "REMOTE_USER"
					if ours && value != honest[key] {
						t.Errorf("%s: %q makes %s %q", name, value, key, value)
					}
				}
				if got["REMOTE_USER"] == "" || got["HTTP_X_VIPPS_SUB"] == "" {
					t.Errorf("%s: %q takes variables away: %v", name, value, got)
				}
			}
			if a := f.browser().send(http.MethodGet, f.origin+"/", with(fetching(), name, value), nil); a.StatusCode < 400 {
				t.Errorf("%s: %q opens the application: %d", name, value, a.StatusCode)
			}
		}
	}
}
