//go:build linux

package main

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// front is a proxy in front of the app, with a file of examples/.
type front struct {
	program string
	// start runs the proxy at addr. who asks our service, the bare one, or nobody.
	start func(addr string, who asked) (*process, error)
}

// asked is whom a proxy asks.
type asked int

const (
	ours asked = iota
	theirs
	nobody
)

// behind compares our process with a bare one in its place, behind the same proxy, and has what a browser sees beside it,
// the proxy without any check included.
func (b *bench) behind(title string, bar float64, requests int, f front, bare *process, bareName string, bareIdentity bool) error {
	if _, err := program(f.program); err != nil {
		log.Println(err)
		b.table.heading(title, f.program+" is not installed: not measured")
		return nil
	}
	targets := []*target{
		{name: bareName, process: bare, identity: bareIdentity},
		{name: "vippsauth, warm session", process: b.service, identity: true},
		{name: "the proxy without a check"},
	}
	for i, who := range []asked{theirs, ours, nobody} {
		addr := free()
		if _, err := f.start(addr, who); err != nil {
			return err
		}
		targets[i].requests, targets[i].status = [][]byte{page(addr, b.serviceAddr, b.cookie)}, "200"
	}
	return b.compare(title, bar, requests, targets...)
}

// program finds a program also where a user's path doesn't look.
func program(name string) (string, error) {
	for _, path := range []string{name, "/usr/sbin/" + name, "/usr/local/sbin/" + name} {
		if found, err := exec.LookPath(path); err == nil {
			return found, nil
		}
	}
	return "", fmt.Errorf("%s is not installed", name)
}

// edited writes a file of examples/ with other addresses: old, new, and so on. Every old text must be there.
func (l *lab) edited(example, addr string, pairs ...string) (string, error) {
	raw, err := os.ReadFile(filepath.Join("examples", example))
	if err != nil {
		return "", err
	}
	text := string(raw)
	for pair := range slices.Chunk(pairs, 2) {
		if !strings.Contains(text, pair[0]) {
			return "", fmt.Errorf("examples/%s no longer has %q", example, pair[0])
		}
		text = strings.ReplaceAll(text, pair[0], pair[1])
	}
	return l.write(addr, filepath.Base(example), text)
}

// write writes a file of the proxy at addr.
func (l *lab) write(addr, name, text string) (string, error) {
	dir := l.folder(addr)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	return path, os.WriteFile(path, []byte(text), 0o644)
}

// folder is that of the proxy at addr.
func (l *lab) folder(addr string) string {
	return filepath.Join(l.dir, strings.ReplaceAll(addr, ":", "-"))
}

// nginx asks with examples/nginx. Its map sends nothing to the app without our X-Vipps-Auth, which a bare handler hasn't.
func (b *bench) nginx() error {
	start := func(addr string, who asked) (*process, error) {
		change := []string{
			"127.0.0.1:4190", b.serviceAddr, "127.0.0.1:8080", b.appAddr, "127.0.0.1:8000", addr, "localhost:8000", b.serviceAddr,
			"/var/log/nginx/access.log", filepath.Join(b.folder(addr), "access.log"),
		}
		const anything = `default application; }`
		switch who {
		case ours: // as it stands
		case theirs:
			change[1] = b.bareAddr
			change = append(change, `default ""; }`+"\n\n# Websockets", anything+"\n\n# Websockets")
		case nobody:
			change = append(change, `default ""; }`+"\n\n# Websockets", anything+"\n\n# Websockets", "auth_request /_vipps_auth_request;", "auth_request off;")
		}
		site, err := b.edited("nginx/nginx.conf", addr, change...)
		if err != nil {
			return nil, err
		}
		main, err := b.write(addr, "main.conf", fmt.Sprintf("daemon off;\nmaster_process off;\npid %[1]s/pid;\nerror_log stderr warn;\nevents { worker_connections 256; }\n"+
			"http {\n\tkeepalive_requests 1000000;\n\tclient_body_temp_path %[1]s/body;\n\tproxy_temp_path %[1]s/proxy;\n\tfastcgi_temp_path %[1]s/fastcgi;\n"+
			"\tuwsgi_temp_path %[1]s/uwsgi;\n\tscgi_temp_path %[1]s/scgi;\n\tinclude %[2]s;\n}\n", b.folder(addr), site))
		if err != nil {
			return nil, err
		}
		nginx, err := program("nginx")
		if err != nil {
			return nil, err
		}
		return b.launch("nginx", exec.Command(nginx, "-p", b.folder(addr), "-e", "stderr", "-c", main), addr)
	}
	return b.behind("behind nginx, auth_request", 1.35, b.requests/2, front{"nginx", start}, b.bare, "bare handler, 202", false)
}

// haproxy asks with examples/haproxy, whose Lua file takes nothing for a yes but 200 and X-Vipps-Auth.
func (b *bench) haproxy() error {
	bareAddr := free()
	bare, err := b.again("bare handler", bareAddr, "-serve", bareAddr, "-as", "yes")
	if err != nil {
		return err
	}
	start := func(addr string, who asked) (*process, error) {
		lua, err := b.edited("haproxy/vippsauth.lua", addr)
		if err != nil {
			return nil, err
		}
		change := []string{
			"127.0.0.1:4190", b.serviceAddr, "127.0.0.1:8080", b.appAddr, "127.0.0.1:8000", addr, "localhost:8000", b.serviceAddr,
			"\tuser haproxy ", "\t# ", "\tgroup haproxy\n", "", "/etc/haproxy/vippsauth.lua", lua,
		}
		switch who {
		case ours: // as it stands
		case theirs:
			change[1] = bareAddr
		case nobody:
			change = append(change, "\thttp-request lua.vippsauth vippsauth", "\t# ", "if !vipps_pages !{ var(txn.vipps_allowed) -m bool }", "if FALSE")
		}
		cfg, err := b.edited("haproxy/haproxy.cfg", addr, change...)
		if err != nil {
			return nil, err
		}
		haproxy, err := program("haproxy")
		if err != nil {
			return nil, err
		}
		return b.launch("HAProxy", exec.Command(haproxy, "-db", "-q", "-f", cfg), addr)
	}
	return b.behind("behind HAProxy, our Lua file", 0, b.requests/8, front{"haproxy", start}, bare, "bare handler, 200 and X-Vipps-Auth", false)
}

// apacheModules are those that examples/apache asks for, and what they need.
const apacheModules = "mpm_event access_compat alias auth_basic authn_core authz_core authz_host authz_user setenvif headers lua proxy proxy_http authnz_fcgi asis"

// apache asks with examples/apache. The bare process is our FastCGI server with a constant answer: Go's own knows no
// authorizers.
func (b *bench) apache() error {
	bareAddr := free()
	bare, err := b.again("bare authorizer", bareAddr, "-serve", bareAddr, "-as", "fcgi")
	if err != nil {
		return err
	}
	start := func(addr string, who asked) (*process, error) {
		dir := b.folder(addr)
		lua, err := b.edited("apache/vippsauth.lua", addr)
		if err != nil {
			return nil, err
		}
		change := []string{
			"/etc/apache2/vippsauth.lua", lua, "127.0.0.1:4195", b.fcgiAddr, "127.0.0.1:4190", b.serviceAddr, "127.0.0.1:8080", b.appAddr, "127.0.0.1:8000", addr,
			"/var/log/apache2/access.log", filepath.Join(dir, "access.log"),
		}
		switch who {
		case ours: // as it stands
		case theirs:
			change[3] = bareAddr
		case nobody:
			change = append(change, "AuthType Vipps", "AuthType None", "\t\tAuthnzFcgiCheckAuthnProvider", "\t\t#", "Require valid-user", "Require all granted")
		}
		site, err := b.edited("apache/vippsauth.conf", addr, change...)
		if err != nil {
			return nil, err
		}
		text := fmt.Sprintf("ServerRoot %[1]s\nDefaultRuntimeDir %[1]s\nPidFile %[1]s/pid\nErrorLog %[1]s/error.log\nServerName localhost\nMaxKeepAliveRequests 0\n"+
			"LogFormat \"%%h %%l %%u %%t \\\"%%r\\\" %%>s %%O \\\"%%{Referer}i\\\" \\\"%%{User-Agent}i\\\"\" combined\nUser nobody\nGroup nogroup\n", dir)
		for name := range strings.FieldsSeq(apacheModules) {
			text += fmt.Sprintf("LoadModule %[1]s_module /usr/lib/apache2/modules/mod_%[1]s.so\n", name)
		}
		main, err := b.write(addr, "main.conf", text+"Include "+site+"\n")
		if err != nil {
			return nil, err
		}
		apache, err := program("apache2")
		if err != nil {
			return nil, err
		}
		return b.launch("Apache", exec.Command(apache, "-D", "FOREGROUND", "-f", main), addr)
	}
	return b.behind("behind Apache, mod_authnz_fcgi", 0, b.requests/8, front{"apache2", start}, bare, "bare FastCGI server, a constant yes", true)
}
