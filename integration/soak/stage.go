//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

const (
	clientID     = "soak-shop"
	clientSecret = "soak secret+/=:"
)

// stage is the whole site: provider, services, front, application, and the wires between them.
type stage struct {
	plan   plan
	report *report
	dir    string
	root   string // of the repository
	origin string // as browsers see the site

	vipps    *emulator.Server
	app      *http.Server
	appAddr  string
	provider *wire   // to the provider, for browsers and services
	site     *wire   // from browsers to the site
	doors    []*wire // from the front to each service
	keys     keyFile

	services []*program // that judge: those of `vippsauth serve`, or Caddy with the module
	ops      []string   // where each of them shows its metrics
	front    *program   // nginx or HAProxy; nil: the service is the site
	caddy    *caddyAdmin
	samples  []sample
	removed  removal
}

// newStage builds and starts everything.
func newStage(ctx context.Context, p plan, r *report) (*stage, error) {
	s := &stage{plan: p, report: r}
	err := s.set(ctx)
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *stage) set(ctx context.Context) (err error) {
	if s.dir, err = os.MkdirTemp("", "vippsauth-soak-"); err != nil {
		return err
	}
	if s.root, err = repository(ctx); err != nil {
		return err
	}
	addrs, err := freeAddrs(6 + 3*s.plan.replicas)
	if err != nil {
		return err
	}
	next := func() string {
		a := addrs[0]
		addrs = addrs[1:]
		return a
	}
	siteAddr := next()
	_, port, err := net.SplitHostPort(siteAddr)
	if err != nil {
		return err
	}
	s.origin = "http://localhost:" + port
	if err := s.startProvider(next(), next()); err != nil {
		return err
	}
	if err := s.startApp(); err != nil {
		return err
	}
	if s.keys, err = newKeyFile(filepath.Join(s.dir, "cookie-keys")); err != nil {
		return err
	}
	inner := next()
	if s.site, err = newWire(siteAddr, inner); err != nil {
		return err
	}
	if s.plan.front == "caddy" {
		return s.startCaddy(ctx, inner, next())
	}
	return s.startServices(ctx, inner, next)
}

// repository is the root of the module.
func repository(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	mod := strings.TrimSpace(string(out))
	if err != nil || filepath.Base(mod) != "go.mod" {
		return "", errors.Join(errors.New("this isn't run inside of the repository"), err)
	}
	return filepath.Dir(mod), nil
}

// startProvider starts the emulator with everybody's app in it. Everybody talks with it over a wire.
func (s *stage) startProvider(outer, inner string) error {
	v, err := emulator.Start(inner, emulator.Config{
		BaseURL: "http://" + outer, Spinner: -1, People: everybody(s.plan.people),
		Clients: []emulator.Client{{ID: clientID, Secret: clientSecret, Name: "Soak", RedirectURIs: []string{s.origin + "/_vipps/callback"}}},
	})
	if err != nil {
		return err
	}
	s.vipps = v
	s.provider, err = newWire(outer, inner)
	return err
}

func (s *stage) startApp() error {
	ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	subs, err := subjects(s.vipps.Control(), s.plan.people)
	if err != nil {
		return err
	}
	s.appAddr = ln.Addr().String()
	s.app = &http.Server{Handler: &app{report: s.report, subs: subs}, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.app.Serve(ln) }() // until it is closed
	return nil
}

// startServices starts the replicas, each behind a wire, and what is in front of them.
func (s *stage) startServices(ctx context.Context, inner string, next func() string) error {
	path := filepath.Join(s.dir, "vippsauth")
	if err := build(ctx, s.root, "./cmd/vippsauth", path, s.plan.race); err != nil {
		return err
	}
	for n := range s.plan.replicas {
		door, listen, ops := next(), next(), next()
		args := []string{
			"serve", "--public-url=" + s.origin, "--client-id=" + clientID, "--issuer=" + s.issuer(), "--allow=anyone", "--ops-listen=" + ops,
			"--scopes=openid name phoneNumber", "--cookie-keys-file=" + s.keys.path, "--site-name=Soak",
		}
		if s.plan.front == "sidecar" {
			args = append(args, "--listen="+inner, "--upstream=http://"+s.appAddr)
		} else {
			w, err := newWire(door, listen)
			if err != nil {
				return err
			}
			s.doors = append(s.doors, w)
			args = append(args, "--listen="+listen, "--trusted-proxies=127.0.0.1")
		}
		p := &program{
			name: fmt.Sprintf("replica-%d", n+1), path: path, args: args, dir: s.dir, ready: "http://" + ops + "/readyz",
			env: []string{"VIPPSAUTH_CLIENT_SECRET=" + clientSecret},
		}
		s.services, s.ops = append(s.services, p), append(s.ops, "http://"+ops+"/metrics")
		if err := p.start(ctx); err != nil {
			return err
		}
	}
	switch s.plan.front {
	case "nginx":
		return s.startNginx(ctx, inner)
	case "haproxy":
		return s.startHAProxy(ctx, inner)
	}
	return nil
}

// issuer is the provider's name: over the wire.
func (s *stage) issuer() string {
	return "http://" + s.provider.addr() + strings.TrimPrefix(s.vipps.Issuer, s.vipps.URL)
}

// watch looks at the services from time to time, and says once a minute how it goes.
func (s *stage) watch(ctx context.Context, every time.Duration) {
	for said := time.Now(); pause(ctx, every); {
		if time.Since(said) > time.Minute {
			said = time.Now()
			s.report.sayHow()
		}
		for n := range s.services {
			if m, ok := measure(ctx, s.ops[n]); ok {
				m.service, m.life, m.at = n, s.services[n].since(), time.Now()
				s.samples = append(s.samples, m)
			}
		}
	}
}

// end stops the programs as an operator would, and reads their logs.
func (s *stage) end() {
	for _, p := range s.programs() {
		if err := p.stop(syscall.SIGTERM); err != nil {
			s.report.fail("%v", err)
		}
		for _, f := range p.faults() {
			s.report.fail("%s", f)
		}
		if p != s.front {
			s.report.lives = append(s.report.lives, life{name: p.name, starts: p.lives, stop: p.waiting})
		}
	}
	s.report.judge(s.samples, s.services)
}

func (s *stage) programs() []*program {
	all := s.services
	if s.front != nil {
		all = append([]*program{s.front}, all...)
	}
	return all
}

// close ends whatever is left, quickly.
func (s *stage) close() {
	for _, p := range s.programs() {
		_ = p.stop(syscall.SIGKILL)
	}
	for _, w := range append([]*wire{s.site, s.provider}, s.doors...) {
		if w != nil {
			w.close()
		}
	}
	if s.app != nil {
		_ = s.app.Close()
	}
	if s.vipps != nil {
		_ = s.vipps.Close()
	}
	if s.plan.keep || s.report.kept(s.dir) {
		return
	}
	_ = os.RemoveAll(s.dir)
}
