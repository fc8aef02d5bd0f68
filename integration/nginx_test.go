package integration_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// startNginx runs examples/nginx/nginx.conf in front of a site, as a user would who has nothing but that file: only the
// addresses and the place of the log are this test's.
func startNginx(t *testing.T, f *front) *process {
	t.Helper()
	nginx := need(t, "nginx")
	dir := t.TempDir()
	site := filepath.Join(dir, "site.conf")
	text := example(t, "nginx/nginx.conf",
		"127.0.0.1:4190", f.addr, "127.0.0.1:8080", f.app.addr(), "127.0.0.1:8000", "127.0.0.1:"+f.port(), "localhost:8000", "localhost:"+f.port(),
		"/var/log/nginx/access.log", filepath.Join(dir, "access.log"))
	if err := os.WriteFile(site, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	main := fmt.Sprintf(`
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
	include %[2]s;
}
`, dir, site)
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(main), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, nginx, command{name: "nginx", args: []string{"-p", dir, "-e", "stderr", "-c", path}})
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

func TestNginx(t *testing.T) {
	t.Parallel()
	need(t, "nginx")
	f := newFront(t)
	f.serve("--trusted-proxies=loopback")
	startNginx(t, f)
	conforms(t, f, differs{name: "nginx"})
}
