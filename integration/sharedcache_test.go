package integration_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// Attack: a cache in front of the site that several people share, with an operator who has it keep whatever may be kept. What
// vippsauth says to one person never comes to another: neither an identity, nor a refusal, nor a login that has begun.
func TestSec_C056_SharedCache(t *testing.T) {
	t.Parallel()
	need(t, "nginx")
	f := newFront(t)
	f.addr, f.ops = freeAddr(t), freeAddr(t)
	f.serve("--upstream=http://"+f.app.addr(), "--trusted-proxies=loopback")
	dir := t.TempDir()
	nginxIn(t, dir, fmt.Sprintf(`
	access_log off;
	proxy_cache_path %[1]s/cache keys_zone=all:1m;
	server {
		listen 127.0.0.1:%[2]s;
		proxy_set_header Host $http_host;
		proxy_set_header X-Forwarded-Proto http;
		location = / { proxy_pass http://%[3]s; }   # the application's own page, with a name in it
		location / {
			proxy_pass http://%[3]s;
			proxy_cache all;
			proxy_cache_key $uri;
			proxy_cache_valid any 10m;
			add_header X-Cache $upstream_cache_status always;
		}
	}`, dir, f.port(), f.addr)).answers(f.origin + "/")
	f.app.handle("/kept", func(http.ResponseWriter, *http.Request) {})
	in, out := f.loggedIn(), f.browser()
	for range 2 {
		if a := out.send(http.MethodGet, f.origin+"/x.css", fetching(), nil); a.StatusCode != http.StatusUnauthorized || a.Header.Get("X-Cache") != "MISS" {
			t.Errorf("nobody: %d, %s", a.StatusCode, a.Header.Get("X-Cache"))
		}
		if a := out.send(http.MethodGet, f.origin+"/x.html", navigation(), nil); a.StatusCode != http.StatusFound || a.Header.Get("X-Cache") != "MISS" {
			t.Errorf("nobody's visit: %d, %s", a.StatusCode, a.Header.Get("X-Cache"))
		}
		for _, path := range []string{"/_vipps/me", "/_vipps/logout", "/_vipps/login?rd=%2F", "/_vipps/none"} {
			a, b := in.send(http.MethodGet, f.origin+path, navigation(), nil), out.send(http.MethodGet, f.origin+path, navigation(), nil)
			for _, c := range []answer{a, b} {
				if status := c.Header.Get("X-Cache"); status == "HIT" {
					t.Errorf("%s comes from the cache", path)
				}
			}
			if strings.Contains(b.text, phoneAase) || strings.Contains(b.text, "emulator-") || len(b.Header["Set-Cookie"]) > 0 && path == "/_vipps/me" {
				t.Errorf("%s tells nobody about Åse: %d", path, b.StatusCode)
			}
		}
	}
	// The cache does keep what may be kept.
	for i, want := range []string{"MISS", "HIT"} {
		if a := in.send(http.MethodGet, f.origin+"/kept", fetching(), nil); a.StatusCode != http.StatusOK || a.Header.Get("X-Cache") != want {
			t.Errorf("request %d: %d, %s", i+1, a.StatusCode, a.Header.Get("X-Cache"))
		}
	}
}
