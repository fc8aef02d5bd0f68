package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/forwardauth/extauthz"
	"github.com/vippsauth/vippsauth/forwardauth/fcgi"
	"github.com/vippsauth/vippsauth/outbox"
	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/webhook"
)

const (
	readHeaderTimeout = 5 * time.Second
	requestTimeout    = 5 * time.Second  // reading one whole request of a proxy; equal to the above, which spares every check a timer
	answerTimeout     = 60 * time.Second // reading and answering one of a browser, calls to the provider included
	idleTimeout       = 120 * time.Second
	drainTimeout      = 6 * time.Second         // for requests under way at a stop
	opsDrainTimeout   = time.Second             // of /healthz, /readyz and /metrics
	stopTimeout       = 9 * time.Second         // for all of a stop: container runtimes kill after ten
	savingTime        = 1500 * time.Millisecond // of these, for what sessions were ended
	stallTime         = 10 * time.Second        // a client may take none of our answer
	appStallTime      = 60 * time.Second        // … or of an application's, where the phone is in a tunnel
	revocationsWait   = 2 * time.Second         // for what sessions were ended before the start; a disk that hangs doesn't hold it up longer
	maxHeaderBytes    = 64 << 10
)

// A service is vippsauth running: its listeners, the engine behind them, and what watches over the provider.
type service struct {
	log     *zap.Logger
	clients []*vipps.Client // each different one
	engine  *forwardauth.Engine
	ops     *ops

	revocations *forwardauth.RevocationKeeper // nil: logouts end with the process
	merchant    *merchantSide                 // nil: nobody may start logins with a phone number
	events      *outbox.Outbox                // nil: nobody is told of any

	receiver *webhook.Receiver // nil: no webhooks are received
	qr       *qrSide           // nil: no QR logins are offered

	site    []net.Listener // where browsers or the proxy come in
	handler http.Handler   // of site
	proxies bool           // handler passes requests on, whose length is not ours to limit
	authz   net.Listener   // nil: /_vipps/authz/ is on site
	grpc    net.Listener   // nil: nobody asks over gRPC
	fcgi    net.Listener   // nil: nobody asks over FastCGI
	callers net.Listener   // nil: no caller of the merchant API shows a certificate
	opsLn   net.Listener
}

// run serves until ctx ends or a listener fails, and returns when everything has stopped: /readyz first, then no new
// requests, and the internal listener after them. Requests under way get six seconds, and everything together nine.
func (s *service) run(ctx context.Context) error {
	requests, endRequests := context.WithCancel(context.WithoutCancel(ctx))
	defer endRequests()
	watch, endWatch := context.WithCancel(ctx)
	defer endWatch()

	stopRevocations := s.keepRevocations(ctx)
	stopMerchant, stopReceiver, stopQR, stopEvents := s.runMerchant(ctx), s.runReceiver(ctx), s.runQR(ctx), s.runEvents(ctx)

	running := &servers{failed: make(chan error, len(s.site)+5)}
	front := s.serveFront(requests, running)
	internal := s.server(requests, s.ops, false)
	running.serve(internal, s.opsLn)
	for _, client := range s.clients {
		running.Go(func() { s.watchProvider(watch, client) })
	}
	s.ops.ready.Store(true)
	s.log.Info("ready")

	var err error
	select {
	case <-ctx.Done():
		s.log.Info("stopping")
	case err = <-running.failed:
		s.log.Error("a listener failed; stopping", zap.Error(err))
	}
	by := time.Now().Add(stopTimeout)
	s.ops.ready.Store(false)
	endWatch()
	s.endMerchantPolls()
	s.drain(requests, drainTimeout, front)
	endRequests()
	effects := by.Add(-savingTime)
	together(
		func() { s.drain(context.WithoutCancel(ctx), opsDrainTimeout, []stopper{internal}) },
		func() { stopMerchant(effects) }, func() { stopReceiver(effects) }, func() { stopQR(effects) }, func() { stopEvents(effects) },
	)
	stopRevocations(by) // after the last request, which may be a logout, and the last webhook
	running.Wait()
	s.log.Info("stopped")
	return err
}

// servers are those that run, and what only ends with them.
type servers struct {
	sync.WaitGroup

	failed chan error // has room for one of each
}

// start runs a server until it is closed, which is no failure.
func (r *servers) start(serve func() error, closed error) {
	r.Go(func() {
		if err := serve(); err != nil && !errors.Is(err, closed) {
			r.failed <- err
		}
	})
}

// serve starts an HTTP server.
func (r *servers) serve(srv *http.Server, ln net.Listener) {
	guarded := &stallGuard{Listener: ln, patience: stallTime}
	if srv.ReadTimeout == 0 {
		guarded.patience = appStallTime
	}
	r.start(func() error { return srv.Serve(guarded) }, http.ErrServerClosed)
}

// serveFront starts the servers that people, proxies and merchants' programs ask.
func (s *service) serveFront(requests context.Context, running *servers) (front []stopper) {
	main := s.server(requests, ownInTime(s.handler), s.proxies)
	for _, ln := range s.site {
		running.serve(main, ln)
	}
	s.endMerchantWaits(main)
	front = append(front, main)
	if srv, ln := s.merchantServer(requests); srv != nil {
		running.start(func() error { return srv.Serve(ln) }, http.ErrServerClosed)
		front = append(front, srv)
	}
	if s.authz != nil {
		srv := s.server(requests, onlyAuthz(s.engine.ForwardAuth()), false)
		running.serve(srv, s.authz)
		front = append(front, srv)
	}
	if s.grpc != nil {
		srv := extauthz.New(s.engine, s.log)
		running.start(func() error { return srv.Serve(s.grpc) }, nil)
		front = append(front, srv)
	}
	if s.fcgi != nil {
		srv := &fcgi.Server{Handler: s.engine.FastCGI, Timeout: requestTimeout, ErrorLog: stdLog(s.log)}
		running.start(func() error { return srv.Serve(s.fcgi) }, fcgi.ErrServerClosed)
		front = append(front, srv)
	}
	return front
}

// keepRevocations starts what keeps ended sessions, and waits until those of before are known.
func (s *service) keepRevocations(ctx context.Context) (stop stopFunc) {
	if s.revocations == nil {
		return nothing
	}
	end := s.inBackground(ctx, "saving what sessions were ended", s.revocations.Run)
	select {
	case <-s.revocations.Loaded():
	case <-time.After(revocationsWait):
		s.log.Error("reading what sessions were ended takes too long: starting without")
	}
	return func(by time.Time) {
		end(by)
		if n := s.revocations.Unsaved(); n > 0 {
			s.log.Error("logouts were not saved before the stop", zap.Int("unsaved", n))
		}
	}
}

// A stopper is a server, whatever it speaks.
type stopper interface {
	// Shutdown takes no new requests and waits for those under way until ctx ends.
	Shutdown(ctx context.Context) error
	// Close cuts off what is left.
	Close() error
}

// A stopFunc ends something that runs, and waits for its end until a moment.
type stopFunc func(by time.Time)

// nothing stops what was never started.
func nothing(time.Time) {}

// inBackground starts what outlives ctx until stop. What doesn't end then is left alone: the process ends it.
func (s *service) inBackground(ctx context.Context, what string, run func(context.Context)) (stop stopFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(ctx)
	}()
	return func(by time.Time) {
		cancel()
		late := time.NewTimer(time.Until(by))
		defer late.Stop()
		select {
		case <-done:
		case <-late.C:
			s.log.Error(what + " takes too long: stopping without")
		}
	}
}

// together calls them at the same time, and waits.
func together(stops ...func()) {
	var stopping sync.WaitGroup
	for _, stop := range stops {
		stopping.Go(stop)
	}
	stopping.Wait()
}

// drain stops servers from taking requests, waits for those under way, and ends what is left after timeout.
func (s *service) drain(ctx context.Context, timeout time.Duration, servers []stopper) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var waiting sync.WaitGroup
	for _, srv := range servers {
		waiting.Go(func() {
			if err := srv.Shutdown(ctx); err != nil {
				s.log.Warn("requests were cut off at the stop", zap.Error(err))
				_ = srv.Close() // its error is that of a connection that is to go anyway
			}
		})
	}
	waiting.Wait()
}

// server returns an HTTP server with our limits. One that passes requests on leaves the length of bodies and answers
// to the application, and keeps only the time for headers. There is no WriteTimeout: a timer for each answer would be felt
// in every check, and stallGuard ends connections whose answers nobody takes.
func (s *service) server(requests context.Context, h http.Handler, proxies bool) *http.Server {
	srv := &http.Server{
		Handler:                      s.recovered(h, proxies),
		ReadHeaderTimeout:            readHeaderTimeout,
		ReadTimeout:                  requestTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeaderBytes,
		DisableGeneralOptionsHandler: true,
		BaseContext:                  func(net.Listener) context.Context { return requests },
		ErrorLog:                     stdLog(s.log),
	}
	if proxies {
		srv.ReadTimeout = 0
	}
	return srv
}

// ownInTime gives requests of browsers to our own pages a time of their own: some of them wait for the provider.
func ownInTime(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, ownPrefix) && !strings.HasPrefix(r.URL.Path, authzPrefix) {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(answerTimeout)) // always there on a connection of net/http
		}
		next.ServeHTTP(w, r)
	})
}

// onlyAuthz serves nothing but what proxies ask.
func onlyAuthz(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.EscapedPath(), authzPrefix) {
			notFound(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// withoutAuthz serves everything but what proxies ask, which has a listener of its own.
func withoutAuthz(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, authzPrefix) || strings.HasPrefix(r.URL.EscapedPath(), authzPrefix) {
			notFound(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func notFound(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, "not found", http.StatusNotFound)
}

const (
	providerCheck      = 30 * time.Second // between looks at a provider that answers
	providerBackoff    = time.Second      // after the first failure; doubled at each
	maxProviderBackoff = 30 * time.Second
)

// providerReady returns what is wrong with the provider, as the first client that has trouble sees it.
func (s *service) providerReady() error {
	for _, client := range s.clients {
		if err := client.Ready(); err != nil {
			return err
		}
	}
	return nil
}

// watchProvider loads the provider's metadata in the background, so that the first login needn't wait for it, and
// tries again while it is away, so that /readyz mends itself. Logins don't depend on it.
func (s *service) watchProvider(ctx context.Context, client *vipps.Client) {
	backoff, away := providerBackoff, false
	for first := true; ; first = false {
		var err error
		if first || client.Ready() != nil {
			if err = client.Discover(ctx); err == nil {
				err = client.Ready() // what is at hand may be old
			}
		}
		if ctx.Err() != nil {
			return
		}
		wait := providerCheck
		switch {
		case err != nil:
			if !away {
				s.log.Warn("the provider can't be reached: sessions go on, logins have to wait", zap.Error(err))
			}
			away = true
			wait = backoff/2 + rand.N(backoff) //nolint:gosec // spreads the load, guards nothing
			backoff = min(2*backoff, maxProviderBackoff)
		case away:
			s.log.Info("the provider answers again")
			fallthrough
		default:
			backoff, away = providerBackoff, false
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}
