package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

func (p *program) serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "serve [flags]",
		Short:   "Run the service: for a proxy that asks, or as a proxy of its own",
		GroupID: groupStart,
		Long: `Run vippsauth. With trusted_proxies it answers the proxy that asks about each request
(nginx, HAProxy, Traefik, Caddy and Envoy; Apache over fcgi_listen). With upstream it is
the proxy itself, in front of one application.

At start it prints each redirect URI to register with Vipps. It starts only when all
settings are good; vippsauth check says beforehand whether they are.`,
		Example: `  vippsauth serve --config vippsauth.yaml

  VIPPSAUTH_CLIENT_SECRET_FILE=client-secret vippsauth serve \
    --environment test --client-id 0000-example --cookie-keys-file cookie-keys \
    --public-url https://app.example.com --upstream http://127.0.0.1:8080 \
    --scopes "openid name phoneNumber"`,
		Args: noArgs,
	}
	sf := addSettings(cmd, nil)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, rep := p.load(cmd, sf)
		c.validate(rep)
		if len(rep.problems) > 0 {
			rep.print(p.stderr)
			return errReported
		}
		return failed(p.serve(cmd.Context(), c, rep))
	}
	return cmd
}

// failed makes the error of something that ran a failure; nil stays nil.
func failed(err error) error {
	if err == nil {
		return nil
	}
	return &failure{err}
}

// gcPercent lets the heap of a running service grow to four times what is live before it is collected. Little is
// live, so that costs a few megabytes, and spares every check a part of its CPU time.
const gcPercent = 300

// serve runs the service that c describes, which has been validated.
func (p *program) serve(ctx context.Context, c *config, rep *report) error {
	if !slices.ContainsFunc(p.environ, func(v string) bool { return strings.HasPrefix(v, "GOGC=") }) {
		defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	}
	logger := c.newLogger(p.stderr)
	for _, w := range rep.warnings {
		logger.Warn(w.what, zap.String("setting", w.setting), zap.String("mend", w.mend))
	}
	logEffective(logger, rep.values)
	s := &service{log: logger, ops: newOps(), proxies: c.isSidecar()}
	emu, closeAll, err := s.listen(ctx, c, rep.registrations)
	defer closeAll()
	if err != nil {
		return err
	}
	issuer := c.expectedIssuer()
	if emu != nil {
		issuer = emu.Issuer
		logger.Warn("logins go to the emulator, which logs in anybody who asks", zap.String("emulator", emu.URL))
	}
	if err := s.build(c, issuer); err != nil {
		return err
	}
	if err := s.buildReceivers(c); err != nil {
		return err
	}
	s.handler = s.withOthers(s.mainHandler(c))
	c.printRegistration(p.stdout, rep.registrations)
	for _, r := range c.toRegister(rep.registrations) {
		if c.environment == envEmulator {
			break
		}
		for _, u := range r.RedirectURIs {
			logger.Info("redirect URI to register", zap.String("redirect_uri", u), zap.String("provider", c.providerName()), zap.String("client_id", r.Client.ClientID()))
		}
	}
	listening := []zap.Field{zap.Stringer("listen", s.site[0].Addr()), zap.Stringer("ops_listen", s.opsLn.Addr())}
	for _, l := range []struct{ key, addr string }{{"authz_listen", c.authzListen}, {"grpc_listen", c.grpcListen}, {"fcgi_listen", c.fcgiListen}, {"merchant_listen", c.merchant.listen}} {
		if l.addr != "" {
			listening = append(listening, zap.String(l.key, l.addr))
		}
	}
	logger.Info("listening", listening...)
	return s.run(ctx)
}

// listen opens every listener, and starts the emulator of environment emulator. Its error holds one for each address that
// can't be had. closeAll closes what is open, in any case.
func (s *service) listen(ctx context.Context, c *config, known []forwardauth.Registration) (emu *emulator.Server, closeAll func(), err error) {
	var open []io.Closer
	closeAll = func() {
		for _, o := range open {
			_ = o.Close() // those that were served are closed already, which is no harm
		}
	}
	var errs []error
	on := func(setting, addr string) net.Listener {
		if addr == "" {
			return nil
		}
		ln, err := listenOn(ctx, setting, addr)
		if err != nil {
			errs = append(errs, err)
			return nil
		}
		open = append(open, ln)
		return ln
	}
	s.site = []net.Listener{on("listen", c.listen)}
	s.opsLn, s.authz = on("ops_listen", c.opsListen), on("authz_listen", c.authzListen)
	s.grpc, s.fcgi = on("grpc_listen", c.grpcListen), on("fcgi_listen", c.fcgiListen)
	s.callers = on("merchant_listen", c.merchant.listen)
	if c.environment == envEmulator {
		if emu, err = c.startEmulator(known); err != nil { //nolint:contextcheck // it runs until Close
			errs = append(errs, listenError("emulator_listen", c.emulatorListen, err))
		} else {
			open = append(open, emu)
		}
	}
	return emu, closeAll, errors.Join(errs...)
}

// build makes client and engine.
func (s *service) build(c *config, issuer string) error {
	keys, created, err := c.keys()
	if err != nil {
		return err
	}
	if created {
		s.log.Info("cookie_keys_file created, with a fresh key: other replicas need the same file", zap.String("path", c.cookieKeysFile))
	}
	clients, err := c.clients(issuer)
	if err != nil {
		return err
	}
	s.clients = distinct(clients)
	s.ops.provider = s.providerReady
	cfg := c.engines(clients, keys)
	cfg.Logger = s.log
	cfg.Metrics = s.ops.registry
	cfg.State = forwardauth.NewState()
	if path := c.revocationsPath(); path != "" {
		s.revocations = forwardauth.NewRevocationKeeper(cfg.State, forwardauth.NewRevocationFile(path), func() *zap.Logger { return s.log }, nil)
	}
	s.log.Info(c.aboutLogout())
	if err := s.buildEvents(c, &cfg, keys); err != nil {
		return err
	}
	if err := s.buildMerchant(c, clients[0], keys, &cfg); err != nil {
		return err
	}
	if err := s.buildQR(c, clients[0], &cfg); err != nil {
		return err
	}
	if s.engine, err = forwardauth.New(cfg); err != nil {
		return err
	}
	return s.serveMerchant(c)
}

// startEmulator starts the emulator of environment emulator, with our clients known to it.
func (c *config) startEmulator(known []forwardauth.Registration) (*emulator.Server, error) {
	return emulator.Start(c.emulatorListen, emulator.Config{Clients: c.emulatedClients(known)})
}

// displayName is how the emulator's pages call the site.
func (c *config) displayName() string {
	if c.siteName != "" {
		return c.siteName
	}
	return "vippsauth"
}

// stdLog returns the logger that net/http and package fcgi write to.
func stdLog(l *zap.Logger) *log.Logger {
	std, err := zap.NewStdLogAt(l.Named("http"), zapcore.WarnLevel)
	if err != nil {
		return log.Default() // unreachable: the level exists
	}
	return std
}
