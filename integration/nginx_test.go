package integration_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startNginx runs examples/nginx/nginx.conf in front of a site, as a user would who has nothing but that file: only the
// addresses and the place of the log are this test's. More may be replaced.
func startNginx(t *testing.T, f *front, replace ...string) *process {
	t.Helper()
	return runNginx(t, f, example(t, "nginx/nginx.conf", append([]string{
		"127.0.0.1:4190", f.addr, "127.0.0.1:8080", f.app.addr(), "127.0.0.1:8000", "127.0.0.1:" + f.port(), "localhost:8000", "localhost:" + f.port(),
	}, replace...)...))
}

// runNginx runs a file of conf.d.
func runNginx(t *testing.T, f *front, text string) *process {
	t.Helper()
	dir := t.TempDir()
	p := nginxIn(t, dir, strings.ReplaceAll(text, "/var/log/nginx/access.log", filepath.Join(dir, "access.log")))
	p.answers(f.origin + "/_vipps/authz/")
	t.Cleanup(func() { // E-20
		p.end()
		log, err := os.ReadFile(filepath.Join(dir, "access.log"))
		if err != nil || len(log) == 0 {
			t.Errorf("nginx's access log: %d bytes, %v", len(log), err)
		}
		if found := f.secrets.in(string(log)); len(found) > 0 {
			t.Errorf("nginx's access log holds %v", found)
		}
	})
	return p
}

// nginxIn starts an nginx of its own, which keeps to a directory, with what stands in its http block.
func nginxIn(t *testing.T, dir, inside string) *process {
	t.Helper()
	path := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf(`
daemon off;
master_process off;
pid %[1]s/nginx.pid;
error_log stderr warn;
events { worker_connections 256; }
http {
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
%[2]s
}
`, dir, inside)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, need(t, "nginx"), command{name: "nginx", args: []string{"-p", dir, "-e", "stderr", "-c", path}})
}

func TestSec_D25_Nginx(t *testing.T) {
	t.Parallel()
	need(t, "nginx")
	f := newFront(t)
	f.serve("--trusted-proxies=loopback")
	startNginx(t, f)
	conforms(t, f, differs{name: "nginx", tellsScripts: true})
}

// What operators add to a server block: pages for errors, which answer 200.
func TestSec_D25_NginxFailsClosedWithErrorPages(t *testing.T) {
	t.Parallel()
	need(t, "nginx")
	f := newFront(t)
	f.serve("--trusted-proxies=loopback")
	startNginx(t, f,
		"\terror_page 502 504 = @application_away;", "\terror_page 404 502 503 504 = /sorry;\n\tlocation = /sorry { auth_request off; return 200 sorry; }",
		"\tproxy_intercept_errors off;", "\tproxy_intercept_errors on;")
	atItsWorst(t, f, differs{tellsScripts: true, waits: 5 * time.Second, hurried: true})
}

func TestNginxAppDown(t *testing.T) {
	t.Parallel()
	need(t, "nginx")
	f := newFront(t)
	f.serve("--trusted-proxies=loopback")
	startNginx(t, f)
	appDown(t, f)
}

// The other ways to put a site together, as the example has them in comments.
func TestNginxLocations(t *testing.T) {
	t.Parallel()
	need(t, "nginx")
	f := newFront(t)
	f.serve("--trusted-proxies=loopback")
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "files"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "files/a.txt"), []byte("a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	startNginx(t, f, "\t#location", "\tlocation", "/srv/www", root)
	in, out := f.loggedIn(), f.browser()
	forged := with(fetching(), "X-Vipps-Sub", "evil", "X-Vipps-Auth", "authenticated", "X-Vipps-Nin", "evil")
	for _, path := range []string{"/files/a.txt", "/files/none", "/api/x?y=1", "/public/../files/a.txt"} {
		hits := f.app.hits()
		if a := out.send(http.MethodGet, f.origin+path, fetching(), nil); a.StatusCode != http.StatusUnauthorized || f.app.hits() != hits {
			t.Errorf("%s without a session: %d", path, a.StatusCode)
		}
	}
	if a := in.send(http.MethodGet, f.origin+"/files/a.txt", fetching(), nil); a.StatusCode != http.StatusOK || a.text != "a file" {
		t.Errorf("a file behind the login: %d %s", a.StatusCode, a.text)
	}
	for _, path := range []string{"/files/none?x=%20", "/api/x?y=1"} {
		if a := in.send(http.MethodGet, f.origin+path, fetching(), nil); a.StatusCode != http.StatusOK || f.app.last().URI != path || f.app.last().Header.Get("X-Vipps-Name") != nameAase {
			t.Errorf("%s with a session: %d, the app is asked for %s", path, a.StatusCode, f.app.last().URI)
		}
	}
	for _, b := range []*browser{in, out} {
		if a := b.send(http.MethodGet, f.origin+"/public/x", forged, nil); a.StatusCode != http.StatusOK || f.app.last().URI != "/public/x" {
			t.Errorf("the public part: %d", a.StatusCode)
		}
		for name := range f.app.last().Header {
			if strings.HasPrefix(name, "X-Vipps-") || name == "Cookie" {
				t.Errorf("the public part gets %s", name)
			}
		}
	}
}
