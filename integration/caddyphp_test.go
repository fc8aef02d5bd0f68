package integration_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A legacy app of PHP and files behind the module, with nothing between them but Caddy's php_fastcgi. It reads REMOTE_USER
// or HTTP_X_VIPPS_…, and attack: PHP reads x_vipps_sub and X.Vipps.Sub under the same names.
func TestSec_C010_C012_B021_B022_CaddyPHP(t *testing.T) {
	t.Parallel()
	php := need(t, "php-cgi")
	f := newFront(t)
	f.secrets.add("client secret", clientSecret)
	dir, fastcgi := t.TempDir(), freeAddr(t)
	for name, text := range map[string]string{
		"index.php": `<?php header("Content-Type: application/json"); echo json_encode($_SERVER);`, "members.txt": "the list of members", "open.txt": "for everybody",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := start(t, php, command{name: "php-cgi", args: []string{"-b", fastcgi}, env: []string{"PHP_FCGI_CHILDREN=0", "PHP_FCGI_MAX_REQUESTS=0"}})
	eventually(t, "php-cgi listens", func() bool {
		conn, err := net.Dial("tcp", fastcgi)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	t.Cleanup(p.end)
	f.checkLog(startCaddy(t, f, aliasesPass, fmt.Sprintf("%s {\n\tlog\n\troot * %s\n\t@closed not path /open*\n\t%s\n\tphp_fastcgi %s\n\tfile_server\n}\n",
		f.origin, dir, moduleBlock(f, "@closed", ""), fastcgi)))

	b := f.browser()
	server := func(who *browser, path string, h http.Header) map[string]any {
		t.Helper()
		a := who.send(http.MethodGet, f.origin+path, h, nil)
		var vars map[string]any
		if err := json.Unmarshal([]byte(a.text), &vars); err != nil || a.StatusCode != http.StatusOK {
			t.Fatalf("%s: %d %s", path, a.StatusCode, a.text)
		}
		return vars
	}
	for _, path := range []string{"/members.txt", "/index.php", "/a/page?x=1"} {
		if a := b.send(http.MethodGet, f.origin+path, navigation(), nil); a.StatusCode != http.StatusFound {
			t.Errorf("%s without a session: %d %s", path, a.StatusCode, a.text)
		}
	}
	if a := b.open(f.origin + "/members.txt"); a.StatusCode != http.StatusOK || a.text != "the list of members" {
		t.Fatalf("the file: %d at %v", a.StatusCode, b.trail)
	}
	vars := server(b, "/b%C3%A5ter/7?havn=1", fetching())
	sub, _ := vars["HTTP_X_VIPPS_SUB"].(string)
	if !strings.HasPrefix(sub, "emulator-") || vars["REMOTE_USER"] != sub || vars["HTTP_X_VIPPS_NAME"] != nameAase || vars["REQUEST_URI"] != "/b%C3%A5ter/7?havn=1" {
		t.Errorf("PHP gets REMOTE_USER %v, %v, %v for %v", vars["REMOTE_USER"], sub, vars["HTTP_X_VIPPS_NAME"], vars["REQUEST_URI"])
	}
	if cookie, ok := vars["HTTP_COOKIE"]; ok {
		t.Errorf("PHP gets the cookies %.20v", cookie)
	}
	for _, path := range []string{"/", "/open/page"} {
		for _, name := range []string{"x_vipps_sub", "X.Vipps.Sub", "x-vipps_sub", "X_Vipps_Name", "X-Vipps-Sub", "X.VIPPS.AUTH", "x.vipps_email", "x_vipps_nin", "X_VIPPS-Auth"} {
			vars := server(b, path, with(fetching(), name, "evil", "X_Harmless", "arrives"))
			for key, value := range vars {
				if text, ok := value.(string); ok && strings.Contains(text, "evil") {
					t.Errorf("%s arrives at %s as %s", name, path, key)
				}
			}
			if vars["HTTP_X_HARMLESS"] != "arrives" {
				t.Fatal("this Caddy takes aliases out itself, so nothing was tried")
			}
			who := vars["REMOTE_USER"]
			if path == "/" && (who != sub || vars["HTTP_X_VIPPS_AUTH"] != "authenticated") || path != "/" && (who != nil && who != "" || vars["HTTP_X_VIPPS_AUTH"] != "anonymous") {
				t.Errorf("%s with %s is %v, %v", path, name, who, vars["HTTP_X_VIPPS_AUTH"])
			}
		}
	}
	if a := f.browser().send(http.MethodGet, f.origin+"/open.txt", fetching(), nil); a.text != "for everybody" {
		t.Errorf("the open file: %d", a.StatusCode)
	}
}
