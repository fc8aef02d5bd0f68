package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/merchant"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// merchantCallback is where the logins come back to that end in a browser.
const merchantCallback = callbackPath + "/merchant"

// A merchantSide is the logins that a merchant starts, as the service offers them.
type merchantSide struct {
	logins    *merchant.Logins
	api       *merchant.API
	callers   bool         // there are some
	operators http.Handler // nil: there are none
	tls       *callersTLS  // nil: no caller shows a certificate
}

// merchantConfig returns the settings of the logins, without logger and metrics.
func (c *config) merchantConfig(client *vipps.Client, keys session.Keys) merchant.Config {
	site := c.all()[0]
	cfg := merchant.Config{
		Client: client, Keys: keys, Scopes: c.merchantScopes(), Market: site.market,
		PhoneLimit: c.merchant.limit, CallerLimit: c.merchant.callerLimit, File: c.merchant.file,
	}
	if origin := c.merchantOrigin(); origin != "" && len(c.merchant.callers) > 0 {
		cfg.RedirectURI = origin + merchantCallback
	}
	return cfg
}

// merchantOrigin is the site at which logins end that end in a browser: where people log in, "" where there is none yet.
func (c *config) merchantOrigin() string {
	site := c.all()[0]
	raw := site.authURL
	if raw == "" && len(site.publicURLs) > 0 {
		raw = site.publicURLs[0]
	}
	origin, err := forwardauth.Origin(raw)
	if err != nil {
		return "" // which is said elsewhere
	}
	return origin
}

// registerMerchant adds the second redirect URI to those to register.
func (c *config) registerMerchant(all []forwardauth.Registration) {
	if origin := c.merchantOrigin(); origin != "" && len(c.merchant.callers) > 0 && len(all) > 0 {
		all[0].RedirectURIs = append(all[0].RedirectURIs, origin+merchantCallback)
	}
}

// buildMerchant makes the logins, and tells the engine where they land. It comes before the engine.
func (s *service) buildMerchant(c *config, client *vipps.Client, keys session.Keys, engine *forwardauth.Config) error {
	if !c.offersMerchantLogins() {
		return nil
	}
	cfg := c.merchantConfig(client, keys)
	cfg.Logger, cfg.Metrics, cfg.Consented = s.log, s.ops.registry, engine.Consented
	cfg.CheckReturnTo = func(address string) error { // asked when there is an engine
		if !s.engine.IsPage(c.merchantOrigin(), address) {
			return errors.New("must be a page of the protected site at " + c.merchantOrigin() + ", or of one that shares its sessions")
		}
		return nil
	}
	logins, err := merchant.New(cfg)
	if err != nil {
		return err
	}
	s.merchant = &merchantSide{logins: logins, callers: len(c.merchant.callers) > 0}
	if cfg.RedirectURI != "" {
		engine.Landings = append(engine.Landings, forwardauth.Landing{Path: merchantCallback, Finish: logins.Land, TellsConsents: cfg.Consented != nil})
	}
	return nil
}

// serveMerchant makes the API and the operator page. It comes after the engine.
func (s *service) serveMerchant(c *config) error {
	if s.merchant == nil {
		return nil
	}
	site := c.all()[0]
	var origins []string
	for _, raw := range site.publicURLs {
		if origin, err := forwardauth.Origin(raw); err == nil { // or the engine would not have been made
			origins = append(origins, origin)
		}
	}
	m := s.merchant
	var err error
	m.api, err = merchant.NewAPI(merchant.APIConfig{
		Logins: m.logins, QR: s.qrLogins(), Callers: c.merchant.callers, PublicURLs: origins, Scopes: c.merchantScopes(),
		Host: s.forwardedHost, Peer: func(r *http.Request) string { return s.engine.ClientOf(r) },
		SiteName: site.siteName, Market: site.market, Logger: s.log,
	})
	if err != nil {
		return err
	}
	if len(c.merchant.operators) > 0 {
		m.operators, err = s.engine.ForPeople(c.merchant.operators, func(w http.ResponseWriter, r *http.Request, who forwardauth.Person) {
			m.api.Operator(w, r, merchant.Operator{Sub: who.Sub, Name: who.Name, Still: who.Still})
		})
		if err != nil {
			return err
		}
	}
	if s.callers != nil {
		if m.tls, err = c.newCallersTLS(s.log, time.Now); err != nil {
			return err
		}
	}
	return nil
}

// forwardedHost is the host that a request was sent to: where a trusted proxy says so, what it says.
func (s *service) forwardedHost(r *http.Request) string {
	if hosts := r.Header["X-Forwarded-Host"]; len(hosts) == 1 && s.engine.Trusts(r) {
		return hosts[0]
	}
	return r.Host
}

// withMerchant puts the API and the operator page in front of what the site's listener serves. What isn't offered is left to the
// engine, which says that there is no such page, and so are logins that land.
func (s *service) withMerchant(next http.Handler) http.Handler {
	m := s.merchant
	if m == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.EscapedPath()
		switch operator := merchant.IsOperatorPath(path); {
		case operator && m.operators != nil:
			m.operators.ServeHTTP(w, r)
		case m.operators != nil && path+"/" == merchant.PathPrefix: // as people type it
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("Vary", "Cookie")
			http.Redirect(w, r, merchant.PathPrefix, http.StatusFound)
		case !operator && m.callers && strings.HasPrefix(path, merchant.PathPrefix):
			m.api.ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// runMerchant starts what asks the provider about logins under way. stop ends it, after the last request.
func (s *service) runMerchant(ctx context.Context) (stop stopFunc) {
	if s.merchant == nil {
		return nothing
	}
	return s.inBackground(ctx, "keeping merchant logins", func(ctx context.Context) {
		if err := s.merchant.logins.Run(ctx); err != nil {
			s.log.Error("merchant logins stopped", zap.Error(err))
		}
	})
}

// endMerchantPolls has nobody asked about logins any more: the next start goes on, or another process.
func (s *service) endMerchantPolls() {
	if s.merchant != nil {
		s.merchant.logins.EndPolls()
	}
}

// endMerchantWaits lets answers that wait for a person end as soon as a server begins to stop.
func (s *service) endMerchantWaits(srv *http.Server) {
	if s.merchant != nil {
		srv.RegisterOnShutdown(s.merchant.api.Stop)
	}
}

// merchantServer returns the server for callers that show a certificate, and its listener; nil when there is none. Writes that
// nobody takes are cut off below TLS, whose connections don't survive a late one.
func (s *service) merchantServer(requests context.Context) (*http.Server, net.Listener) {
	if s.merchant == nil || s.callers == nil {
		return nil, nil
	}
	srv := s.server(requests, s.merchant.tls.trusted(s.merchant.api.Certificates()), false)
	srv.ReadTimeout = answerTimeout // some of them wait for the provider
	srv.ErrorLog = handshakeLog(s.log)
	s.endMerchantWaits(srv)
	return srv, tls.NewListener(&stallGuard{Listener: s.callers, patience: stallTime}, s.merchant.tls.config())
}
