//go:build linux

package main

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
)

// caddy compares a Caddy that passes requests on with one that asks vipps_auth about them first, in the same process.
func (b *bench) caddy() error {
	log.Println("building Caddy")
	plain := free()
	p, err := b.startCaddy(plain)
	if err != nil {
		return err
	}
	cookies, err := b.logIn(b.moduleAddr, 1)
	if err != nil {
		return err
	}
	return b.compare("Caddy, CPU of the proxy itself", 1.10, b.requests/2,
		&target{name: "reverse_proxy", process: p, requests: [][]byte{page(plain, plain, cookies[0])}, status: "200"},
		&target{name: "vipps_auth and reverse_proxy", process: p, requests: [][]byte{page(b.moduleAddr, b.moduleAddr, cookies[0])}, status: "200", identity: true})
}

func (l *lab) startCaddy(plain string) (*process, error) {
	binary := filepath.Join(l.dir, "caddy")
	if err := build(binary, "./cmd/caddy"); err != nil {
		return nil, err
	}
	config := filepath.Join(l.dir, "Caddyfile")
	text := fmt.Sprintf(`{
	admin off
	auto_https off
	persist_config off
	storage file_system %[1]s/storage
	log {
		level ERROR
	}
}
http://%[2]s {
	reverse_proxy %[4]s
}
http://%[3]s {
	vipps_auth {
		issuer %[5]s
		client_id ratio
		client_secret ratio-secret
		public_url http://%[3]s
		scopes %[6]s
		session_idle 8h
		allow anyone
	}
	reverse_proxy %[4]s
}
`, l.dir, plain, l.moduleAddr, l.appAddr, l.vipps.Issuer, l.scopes)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, "run", "--config", config, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), "HOME="+l.dir)
	return l.launch("Caddy", cmd, l.moduleAddr)
}
