package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/certmagic"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

const (
	startTimeout = 10 * time.Second // for the storage, and everything else that a first request waits for
	startPause   = time.Second      // between two attempts, when the first failed
)

// instance is what is behind a provisioned handler. Its engine is there from the beginning when the cookie
// keys are, and from the first request on when they have to come from Caddy's storage.
type instance struct {
	instanceConfig
	set    settings
	client *vipps.Client
	state  *forwardauth.State

	started atomic.Pointer[started]

	mu      sync.Mutex
	refs    references
	closed  bool
	attempt chan struct{} // closed when the attempt under way ends; nil: none is
	err     error         // of the last attempt
	retry   time.Time     // no attempt before
	logged  time.Time     // when logFailure last wrote
}

// instanceConfig is what Caddy gives a handler.
type instanceConfig struct {
	log     *zap.Logger
	storage func() certmagic.Storage
	metrics prometheus.Registerer
}

// started is an engine at work.
type started struct {
	engine *forwardauth.Engine
	hosts  map[string]bool // of the public URLs and the auth URL, as they are in Host
}

var (
	errClosed     = errors.New("the configuration of this handler is no longer in use")
	errUnfinished = errors.New("starting did not finish")
)

// openInstance takes what is shared, and starts the engine unless it has to wait for the first request.
func openInstance(set settings, cfg instanceConfig) (*instance, error) {
	in := &instance{instanceConfig: cfg, set: set}
	var err error
	if in.client, err = in.refs.takeClient(set.vipps); err != nil {
		return in, err
	}
	if in.state, err = in.refs.takeState(set.vipps.Issuer, set.vipps.ClientID, in.storage(), in.log); err != nil {
		return in, err
	}
	if set.emulator != "" {
		// One that runs already must not stop with the handler that this one replaces.
		if _, err := in.refs.takeEmulator(set.emulator, false); err != nil && !errors.Is(err, errNotRunning) {
			return in, err
		}
	}
	if set.keys != nil && set.emulator == "" {
		s, err := in.build(context.Background())
		if err != nil {
			return in, err
		}
		in.started.Store(s)
	}
	in.announce()
	return in, nil
}

// announce logs what whoever runs the site has to know.
func (in *instance) announce() {
	if in.set.emulator != "" {
		in.log.Warn("logins go to the emulator, which logs in anybody who asks; it starts with the first request",
			zap.String("emulator", "http://"+in.set.emulator+"/"), zap.Strings("open", in.set.engine.PublicURLs))
	} else {
		logins := in.set.engine.PublicURLs
		if auth := in.set.engine.AuthURL; auth != "" {
			logins = []string{auth}
		}
		for _, u := range logins {
			in.log.Info("redirect URI to register with the provider",
				zap.String("redirect_uri", strings.TrimSuffix(u, "/")+callbackPath), zap.String("issuer", in.set.vipps.Issuer))
		}
		if len(in.set.engine.Allow) == 0 {
			in.log.Warn("anyone who logs in may pass: list who may in allow, or say anyone there")
		}
	}
	for _, u := range in.set.unused {
		in.log.Warn("people are asked for a scope, and nothing needs it: no header carries its claims, and no policy reads them",
			zap.String("scope", u.Scope), zap.Strings("claims", u.Claims), zap.String("cure", "take it out of scopes, or list a header for it in headers"))
	}
	if in.log.Core().Enabled(zapcore.DebugLevel) {
		in.log.Warn("with the debug log on, Caddy logs the headers of requests to upstreams, and the identities in them: not for production",
			zap.String("cure", "leave headers out of Caddy's own log, as examples/caddy/Caddyfile.production does"))
	}
}

// start returns the engine, after starting it when that is still to do. Requests that come meanwhile wait for the
// same attempt, and none is made again within a second of one that failed.
//
// It starts after close too. Caddy gives back what a configuration has before the last of its connections are done, and a
// request may come on one of them that is the first: it is judged as it would have been a moment before. Such an engine makes
// and takes nothing that anybody would have to give back: no key, no emulator, nothing of the pools.
func (in *instance) start(ctx context.Context) (s *started, err error) {
	in.mu.Lock()
	switch {
	case in.started.Load() != nil:
		in.mu.Unlock()
		return in.started.Load(), nil
	case in.attempt != nil:
		done := in.attempt
		in.mu.Unlock()
		return in.await(ctx, done)
	case time.Now().Before(in.retry):
		defer in.mu.Unlock()
		return nil, in.err
	}
	done := make(chan struct{})
	in.attempt, in.err = done, errUnfinished
	in.mu.Unlock()
	defer func() { // after a panic too, or others would wait for ever
		in.mu.Lock()
		defer in.mu.Unlock()
		in.attempt = nil
		if s != nil {
			in.started.Store(s)
		} else {
			in.retry = time.Now().Add(startPause)
			if err != nil {
				in.err = err
			}
		}
		close(done)
	}()
	// Others wait for it too, so it outlives the request that happened to come first.
	attempt, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
	defer cancel()
	return in.build(attempt)
}

// await waits for the attempt of another request.
func (in *instance) await(ctx context.Context, done <-chan struct{}) (*started, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-done:
	}
	if s := in.started.Load(); s != nil {
		return s, nil
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	return nil, in.err
}

// build makes the engine, and starts the emulator when that is the provider.
func (in *instance) build(ctx context.Context) (*started, error) {
	keys, err := in.keys(ctx)
	if err != nil {
		return nil, err
	}
	cfg := in.set.engine
	cfg.Client, cfg.State, cfg.Keys = in.client, in.state, keys
	cfg.Logger, cfg.Metrics = in.log, in.metrics
	engine, err := forwardauth.New(cfg)
	if err != nil {
		return nil, err
	}
	s := &started{engine: engine, hosts: map[string]bool{}}
	for _, u := range append([]string{cfg.AuthURL}, cfg.PublicURLs...) {
		if origin, err := forwardauth.Origin(u); err == nil { // there may be no AuthURL
			_, host, _ := strings.Cut(origin, "://")
			s.hosts[host] = true
		}
	}
	if in.set.emulator != "" {
		if err := in.startEmulator(engine.RedirectURIs()); err != nil { //nolint:contextcheck // it outlives the request that starts it
			return nil, err
		}
	}
	return s, nil
}

// keys returns the keys that seal cookies: those of the configuration, of its file, or of Caddy's storage.
func (in *instance) keys(ctx context.Context) (keys session.Keys, err error) {
	var created bool
	where := in.set.keysFile
	switch {
	case in.set.keys != nil:
		return in.set.keys, nil
	case in.set.keysFile != "" && in.isClosed():
		keys, err = session.ReadKeysFile(in.set.keysFile)
	case in.set.keysFile != "":
		keys, created, err = session.LoadOrCreateKeysFile(in.set.keysFile)
	case in.isClosed():
		keys, err = readKeys(ctx, in.storage())
	default:
		where = storedKeys + " in Caddy's storage"
		keys, created, err = loadKeys(ctx, in.storage())
	}
	if created {
		in.log.Info("made a fresh cookie key", zap.String("kept_in", where))
	}
	return keys, err
}

// startEmulator makes sure that the emulator runs and knows our client.
func (in *instance) startEmulator(redirectURIs []string) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return errClosed
	}
	emu, err := in.refs.takeEmulator(in.set.emulator, true)
	if err != nil {
		return err
	}
	name := in.set.engine.SiteName
	if name == "" {
		name = "vippsauth"
	}
	client := emulator.Client{
		ID: in.set.vipps.ClientID, Secret: in.set.vipps.ClientSecret.Reveal(), Name: name,
		RedirectURIs: redirectURIs, AuthMethod: emulator.AuthBasic, Advanced: in.set.vipps.ACRValues != "",
	}
	switch in.set.vipps.ClientAuth {
	case vipps.ClientAuthPost:
		client.AuthMethod = emulator.AuthPost
	case vipps.ClientAuthPartner: // the partner, and the merchant that people are logged in for
		if err := emu.register(emulator.Client{ID: client.ID, Secret: client.Secret, Name: name, Partner: true}); err != nil {
			return err
		}
		client.ID, client.MSN = "merchant-"+in.set.vipps.MerchantSerialNumber, in.set.vipps.MerchantSerialNumber
	default: // the emulator takes the secret raw and encoded
	}
	return emu.register(client)
}

// logFailure logs why requests to our own paths get 503, at most once a second.
func (in *instance) logFailure(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if now := time.Now(); now.Sub(in.logged) >= time.Second {
		in.logged = now
		in.log.Error("not ready to serve: the next request tries again", zap.Error(err))
	}
}

// close gives back what was taken from the pools.
func (in *instance) close() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
	var errs []error
	for _, release := range in.refs {
		errs = append(errs, release())
	}
	in.refs = nil
	return errors.Join(errs...)
}

func (in *instance) isClosed() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.closed
}

// forwarded takes host and scheme from the headers of a proxy in front, if Caddy trusts that proxy. A host that is
// no public URL's, and anything doubled or malformed, doesn't count.
func (s *started) forwarded(r *http.Request, o *forwardauth.Original) {
	if trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool); !trusted {
		return
	}
	if hosts := r.Header["X-Forwarded-Host"]; len(hosts) == 1 {
		if host := strings.ToLower(hosts[0]); s.hosts[host] {
			o.Host = host
		}
	}
	switch proto := r.Header["X-Forwarded-Proto"]; {
	case len(proto) != 1:
		o.Scheme = "" // a proxy in front, and nobody knows
	case proto[0] == "http" || proto[0] == "https":
		o.Scheme = proto[0]
	}
}
