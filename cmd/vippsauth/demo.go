package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// refusedPerson is the one of the emulator's people whom the demo's allow doesn't list.
const refusedPerson = "rolf"

// forgetPath drops the session cookie without a logout, as its end would. It is the demo's, not the product's.
const forgetPath = "/demo/forget-session"

// demoPorts are where the demo's parts listen, or above when taken.
type demoPorts struct{ site, ops, emulator, app int }

func (p *program) demoCommand() *cobra.Command {
	ports := demoPorts{}
	var level string
	cmd := &cobra.Command{
		Use:     "demo [flags]",
		Short:   "See it work, with nothing to set up",
		GroupID: groupStart,
		Long: `Run everything on this machine: a Vipps that is not Vipps, with a dozen made-up people; an
old web application that knows nothing of login; and vippsauth in front of it. Prints the
URL to open and what to click there. Nothing is kept at the end. No settings are read.`,
		Example: `  vippsauth demo
  vippsauth demo --port 8080`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := newConfig()
			c.logFormat = "console"
			if err := errors.Join(ports.check(), c.setLevel(level)); err != nil {
				return &failure{err}
			}
			return failed(p.demo(cmd.Context(), c, ports))
		},
	}
	f := cmd.Flags()
	f.IntVar(&ports.site, "port", 4190, "the port of the site on localhost; the next free one when it is taken")
	f.IntVar(&ports.ops, "ops-port", 4191, "the port of health and metrics")
	f.IntVar(&ports.emulator, "emulator-port", 4192, "the port of the emulator")
	f.IntVar(&ports.app, "app-port", 4193, "the port of the application")
	f.StringVar(&level, "log-level", "warn", "debug, info, warn or error")
	for _, name := range []string{"port", "ops-port", "emulator-port", "app-port"} {
		f.Lookup(name).Annotations = map[string][]string{kindAnnotation: {"port"}}
	}
	f.Lookup("log-level").Annotations = map[string][]string{kindAnnotation: {"level"}}
	return cmd
}

func (d demoPorts) check() error {
	var errs []error
	for _, p := range []struct {
		flag string
		port int
	}{{"--port", d.site}, {"--ops-port", d.ops}, {"--emulator-port", d.emulator}, {"--app-port", d.app}} {
		if p.port < 0 || p.port > 65535 {
			errs = append(errs, errors.New(p.flag+": must be between 0 and 65535"))
		}
	}
	return errors.Join(errs...)
}

// setLevel takes a log level as the setting does.
func (c *config) setLevel(level string) error {
	for _, s := range logSettings() {
		if s.key == "log_level" {
			if err := s.set(c, []string{level}); err != nil {
				return fmt.Errorf("--log-level: %w", err)
			}
		}
	}
	return nil
}

// demo runs the emulator, the application and the service in front of it until ctx ends.
func (p *program) demo(ctx context.Context, c *config, ports demoPorts) error {
	logger := c.newLogger(p.stderr)
	s := &service{log: logger, ops: newOps(), proxies: true}
	var open []net.Listener
	defer func() { // those that were served are closed already, which is no harm
		for _, ln := range open {
			_ = ln.Close()
		}
	}()
	listen := func(flag string, port int, both bool) ([]net.Listener, int, error) {
		lns, got, err := listenNear(ctx, port, both)
		open = append(open, lns...)
		if err != nil {
			err = portError(flag, port, err)
		}
		return lns, got, err
	}
	site, sitePort, err := listen("--port", ports.site, true)
	if err != nil {
		return err
	}
	opsLn, opsPort, err := listen("--ops-port", ports.ops, false)
	if err != nil {
		return err
	}
	s.site, s.opsLn = site, opsLn[0]
	c.configureDemo(sitePort)
	emu, err := startDemoEmulator(ports.emulator, c) //nolint:contextcheck // it runs until Close
	if err != nil {
		return portError("--emulator-port", ports.emulator, err)
	}
	defer func() { _ = emu.Close() }() //nolint:contextcheck // everything ends here, ctx included
	appLn, appPort, err := listen("--app-port", ports.app, false)
	if err != nil {
		return err
	}
	c.upstream = &url.URL{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", appPort)}
	stopApp := serveApp(appLn[0])
	defer stopApp()
	if err := s.build(c, emu.Issuer); err != nil {
		return err
	}
	s.handler = withForget(s.mainHandler(c))
	p.printDemo(c.publicURLs[0], emu.URL, appPort, opsPort)
	if err := s.run(ctx); err != nil {
		return err
	}
	fmt.Fprintln(p.stdout, "The demo has ended; nothing of it is left.")
	return nil
}

// portError says which flag can give the demo another port.
func portError(flag string, port int, err error) error {
	return fmt.Errorf("%s: cannot listen on 127.0.0.1:%d or a port above: %w; set %s to a free one, or to 0 for any", flag, port, err, flag)
}

// configureDemo sets what the demo's site is.
func (c *config) configureDemo(port int) {
	c.environment = envEmulator
	c.publicURLs = []string{fmt.Sprintf("http://localhost:%d", port)}
	c.scopes = []string{"openid", "name", "phoneNumber", "email"}
	c.siteName = "Båtforeningen"
	c.contact = "styret@example.com"
	for _, person := range emulator.FixturePeople() {
		if person.ID != refusedPerson {
			c.allow = append(c.allow, person.Phone)
		}
	}
}

// startDemoEmulator starts the emulator at port or, when it is taken, at the next free one.
func startDemoEmulator(port int, c *config) (*emulator.Server, error) {
	const tries = 100
	people := emulator.FixturePeople()
	for i := range people {
		if people[i].ID == refusedPerson {
			people[i].Note, people[i].NoteNO = "not on this demo's list", "ikke på listen i denne demoen"
		}
	}
	id, secret := c.credentials()
	cfg := emulator.Config{
		People:  people,
		Clients: []emulator.Client{{ID: id, Secret: secret.Reveal(), Name: c.siteName, RedirectURIs: []string{c.publicURLs[0] + callbackPath}}},
	}
	var err error
	for range tries {
		var emu *emulator.Server
		emu, err = emulator.Start(fmt.Sprintf("127.0.0.1:%d", port), cfg)
		if err == nil {
			emu.Control().RememberDefault(true) // so that the silent login is there to see
			return emu, nil
		}
		if !isTaken(err) || port == 0 {
			return nil, err
		}
		port++
	}
	return nil, err
}

// serveApp serves the application until the function that it returns is called.
func serveApp(ln net.Listener) (stop func()) {
	srv := &http.Server{
		Handler:           &legacyApp{links: []legacyLink{{"/boats?harbour=7", "En annen side", "Another page"}, {forgetPath, "Glem økten (bare i demoen)", "Forget the session (demo only)"}}},
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(ln) // ends with Close
	}()
	return func() {
		_ = srv.Close() // its connections are ours
		<-done
	}
}

// withForget answers forgetPath.
func withForget(next http.Handler) http.Handler {
	jar := session.Jar{Name: "vippsauth"}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != forgetPath {
			next.ServeHTTP(w, r)
			return
		}
		jar.Clear(w, r)
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
}

func (p *program) printDemo(site, emu string, appPort, opsPort int) {
	person := func(id string) string {
		for _, q := range emulator.FixturePeople() {
			if q.ID == id {
				return fmt.Sprintf("%s (%s)", spaced(q.Phone), q.Name)
			}
		}
		return id
	}
	fmt.Fprintf(p.stdout, `A Vipps that is not Vipps, an old web application, and vippsauth in front of it:
all on this machine, and forgotten at the end.

  Open  %s/

  1. Log in as %s: type the number or click the name, leave
     "Remember me in browser" on, choose the number shown, allow. The old application,
     which knows nothing of login, greets you by name.
  2. Click "Forget the session": you are back without a click, since the browser is remembered.
  3. Click "Log out", and log out. Open the page again: the login waits for a click, and
     asks who goes on.
  4. Let the emulator forget the browser ("Forget all browsers" among its switches), log out, and
     log in as someone else: %s isn't on the list of who may pass.

  The emulator and its switches     %s/_emulator/
  The application, unprotected      http://127.0.0.1:%d/
  Readiness and metrics             http://127.0.0.1:%d/readyz  /metrics

Ctrl-C stops everything.
`, site, person("aase"), person(refusedPerson), emu, appPort, opsPort)
}

// spaced writes a Norwegian number as people do.
func spaced(phone string) string {
	n, ok := strings.CutPrefix(phone, "47")
	if !ok || len(n) != 8 {
		return "+" + phone
	}
	return n[:2] + " " + n[2:4] + " " + n[4:6] + " " + n[6:]
}
