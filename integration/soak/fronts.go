//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/vippsauth/vippsauth/session"
)

// example reads a file of examples/ and puts this run's addresses into it. Each text to replace has to be there.
func (s *stage) example(name string, replace ...string) (string, error) {
	b, err := os.ReadFile(filepath.Join(s.root, "examples", name))
	if err != nil {
		return "", err
	}
	text := string(b)
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			return "", fmt.Errorf("examples/%s has no %q to replace", name, replace[i])
		}
		text = strings.ReplaceAll(text, replace[i], replace[i+1])
	}
	return text, nil
}

func (s *stage) write(name, text string) (string, error) {
	path := filepath.Join(s.dir, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// startNginx runs examples/nginx/nginx.conf with every replica in its upstream.
func (s *stage) startNginx(ctx context.Context, listen string) error {
	path, err := installed("nginx")
	if err != nil {
		return err
	}
	var servers []string
	for _, d := range s.doors {
		servers = append(servers, "server "+d.addr()+" fail_timeout=1s;")
	}
	site, err := s.example("nginx/nginx.conf", "server 127.0.0.1:4190;", strings.Join(servers, " "), "127.0.0.1:8080", s.appAddr,
		"127.0.0.1:8000", listen, "localhost:8000", strings.TrimPrefix(s.origin, "http://"), "/var/log/nginx/access.log", "/dev/null")
	if err != nil {
		return err
	}
	if site, err = s.write("site.conf", site); err != nil {
		return err
	}
	config, err := s.write("nginx.conf", fmt.Sprintf(`
daemon off;
master_process off;
pid %[1]s/nginx.pid;
error_log stderr error;
events { worker_connections 8192; }
http {
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	include %[2]s;
}
`, s.dir, site))
	if err != nil {
		return err
	}
	s.front = &program{name: "nginx", path: path, args: []string{"-p", s.dir, "-e", "stderr", "-c", config}, dir: s.dir, ready: "http://" + listen, any: true}
	return s.front.start(ctx)
}

// startHAProxy runs examples/haproxy with every replica in its backend, by turns.
func (s *stage) startHAProxy(ctx context.Context, listen string) error {
	path, err := installed("haproxy")
	if err != nil {
		return err
	}
	lua, err := s.example("haproxy/vippsauth.lua")
	if err != nil {
		return err
	}
	if lua, err = s.write("vippsauth.lua", lua); err != nil {
		return err
	}
	const server = "server vippsauth 127.0.0.1:4190 check inter 1s rise 1 fall 3"
	var servers []string
	for n, d := range s.doors {
		servers = append(servers, fmt.Sprintf("server vippsauth%d %s check inter 1s rise 1 fall 3", n, d.addr()))
	}
	config, err := s.example("haproxy/haproxy.cfg", "/etc/haproxy/vippsauth.lua", lua, server, strings.Join(servers, "\n\t"), "127.0.0.1:8080", s.appAddr,
		"127.0.0.1:8000", listen, "localhost:8000", strings.TrimPrefix(s.origin, "http://"), "\tuser haproxy ", "\t# ", "\tgroup haproxy\n", "")
	if err != nil {
		return err
	}
	if config, err = s.write("haproxy.cfg", config); err != nil {
		return err
	}
	s.front = &program{name: "haproxy", path: path, args: []string{"-db", "-f", config}, dir: s.dir, ready: "http://" + listen, any: true}
	return s.front.start(ctx)
}

// caddyAdmin is how the running Caddy gets another configuration.
type caddyAdmin struct {
	path, config, admin string
	reloads             int
}

// startCaddy runs Caddy with the module.
func (s *stage) startCaddy(ctx context.Context, listen, admin string) error {
	path := filepath.Join(s.dir, "caddy")
	if err := build(ctx, s.root, "./cmd/caddy", path, s.plan.race); err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(listen)
	if err != nil {
		return err
	}
	config, err := s.write("Caddyfile", fmt.Sprintf(`{
	admin %s
	persist_config off
	default_bind 127.0.0.1
	storage file_system %s/storage
	grace_period 2s
	metrics
}
http://:%s {
	vipps_auth {
		public_url %s
		issuer %s
		client_id %s
		client_secret %q
		scopes openid name phoneNumber
		allow anyone
		site_name Soak
		cookie_keys_file %s
	}
	reverse_proxy %s
}
`, admin, s.dir, port, s.origin, s.issuer(), clientID, clientSecret, s.keys.path, s.appAddr))
	if err != nil {
		return err
	}
	s.caddy = &caddyAdmin{path: path, config: config, admin: admin}
	p := &program{name: "caddy", path: path, args: []string{"run", "--config", config, "--adapter", "caddyfile"}, dir: s.dir, ready: "http://" + listen + "/_vipps/authz/", any: true}
	s.services, s.ops = []*program{p}, []string{"http://" + admin + "/metrics"}
	return p.start(ctx)
}

// reload has Caddy read its configuration, and the keys, anew.
func (c *caddyAdmin) reload(ctx context.Context) error {
	c.reloads++
	ctx, cancel := context.WithTimeout(ctx, startsWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.path, "reload", "--config", c.config, "--adapter", "caddyfile", "--address", c.admin, "--force")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("caddy reload: %w: %s", err, out[max(0, len(out)-1000):])
	}
	return nil
}

// keyFile is the file of cookie keys, the first of which seals.
type keyFile struct {
	path string
	keys []string
}

func newKeyFile(path string) (keyFile, error) {
	k := keyFile{path: path}
	return k, errors.Join(k.add(), k.write())
}

func (k *keyFile) add() error {
	key, err := session.NewKey()
	if err != nil {
		return err
	}
	k.keys = append(k.keys, key.Encode())
	return nil
}

func (k *keyFile) write() error {
	return os.WriteFile(k.path, []byte(strings.Join(k.keys, "\n")+"\n"), 0o600)
}
