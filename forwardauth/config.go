package forwardauth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// The values that the settings of the same names take.
const (
	SilentFirst = "first"
	SilentOff   = "off"

	WithoutSessionLogin     = "login"
	WithoutSessionPage      = "page"
	WithoutSessionAnonymous = "anonymous"

	ConfirmAfterLogout = "after-logout"
	ConfirmAlways      = "always"
	ConfirmNever       = "never"

	EmailUnverifiedDrop = "drop"
	EmailUnverifiedPass = "pass"

	PersistOn  = "on"
	PersistOff = "off"

	AppFlowOff             = "off"
	AppFlowAutomaticReturn = "automatic-return"
	AppFlowAppToApp        = "app-to-app"
	AppFlowAppToAppV2      = "app-to-app-v2"
)

const (
	defaultSessionTTL  = 8 * time.Hour
	defaultSilentRetry = 15 * time.Minute
	maxSessionTTL      = 366 * 24 * time.Hour
)

// Config says what an [Engine] protects and how. The text fields take the values of the settings with the
// same names; a zero field means the default that its comment names.
type Config struct {
	// Client speaks to the provider. Required. A front end that reloads its configuration may hand the same
	// client to several engines, so that metadata and keys are fetched once.
	Client *vipps.Client
	// Keys seal the cookies: the first seals, all of them open. Required.
	Keys session.Keys
	// PublicURLs are the origins under which browsers see the protected sites: https, or http on loopback.
	// Required. A request for any other host is answered with 421.
	PublicURLs []string
	// Policies are named rules for parts of the sites, which a proxy asks for by the {policy} in a path. Default: none but
	// the one of this Config, whose name is "default".
	Policies []Policy
	// Sites are further sites, each with a configuration of its own. TrustedProxies, ProxySecret, Logger, Metrics, State and
	// Now are those of this Config. Sites in theirs are ignored. Default: none.
	Sites []Config
	// CookieDomain shares one session between the public URLs, all of which must be in this domain: whoever is logged in at
	// one is at the others, and so is whoever can set cookies at any host of the domain. Sites with the same domain share as
	// well, and must then have the same client, keys, scopes, AuthURL and session times. Default: each host has a session of
	// its own.
	CookieDomain string
	// AuthURL is the origin, in CookieDomain, at which everybody logs in: the one redirect URI to register. Default: each
	// site logs in by itself.
	AuthURL string
	// Production says that the provider is the real one: Allow must then be set. It is implied by a Client of Vipps'
	// production issuer.
	Production bool
	// Emulator says that the provider is the emulator: every public URL must then be on loopback.
	Emulator bool
	// Scopes are those that the client asks for; the default identity headers follow from them.
	Scopes []string
	// Market (NO, DK, FI, SE) chooses the brand word and the language of last resort. Default: none.
	Market string
	// Allow says who may pass once logged in: "anyone", or phone numbers and subs, or files of them ("@path").
	// Default: anyone, but nothing when Production is set.
	Allow []string
	// Silent is "first" (try a login without dialog before any other) or "off". Default: first.
	Silent string
	// SilentRetry is how long a silent miss is remembered in the browser. Default: 15 minutes.
	SilentRetry time.Duration
	// WithoutSession is "login", "page" or "anonymous": what follows when the silent attempt missed. Default: login.
	WithoutSession string
	// ConfirmPerson is "after-logout", "always" or "never": when a page asks who continues. Default: after-logout.
	ConfirmPerson string
	// Headers are "Header=claim" or "Header=claim;encoding" pairs; "default" stands for the default set. Default: default.
	Headers []string
	// HeaderEncoding is utf-8, percent, base64url, latin1 or ascii. Default: utf-8.
	HeaderEncoding string
	// EmailUnverified is "drop" (the e-mail header is empty unless Vipps says that it is verified) or "pass". Default: drop.
	EmailUnverified string
	// Landings are where logins end that began elsewhere than in the browser that they end in: see [Landing]. Default: none.
	Landings []Landing
	// QRs are the qr_ids of QR codes: only logins that came by one of these pass. Default: all logins.
	QRs []string
	// Consented is told of the answers that a login brings to what was asked beside the claims ([vipps.User.Consents]), once
	// for each such login and before anybody has its session, since the provider may never give them again. An error is
	// logged and counted; the login goes on. Default: nobody is told.
	Consented func(ctx context.Context, sub string, c vipps.Consents) error
	// AppFlow is how logins on a phone come back from the provider's app: "off" (the person goes back to the browser),
	// "automatic-return" (the app opens a browser, which may be another one: then a page offers to begin again there),
	// "app-to-app" or "app-to-app-v2" (from the merchant's own app). Silent logins have none. Default: off.
	AppFlow string
	// AppCallbackURI is what "app-to-app" opens in the merchant's app. Required with it, and refused without.
	AppCallbackURI string
	// FinalRedirectIsApp tells the provider that the redirect URI opens an app.
	FinalRedirectIsApp bool
	// AppCookies are the app's own session cookies: expired at logout and when another person logs in.
	AppCookies []string
	// LogoutPaths are paths of the app whose navigation goes to our logout page.
	LogoutPaths []string
	// SiteName is shown on our pages. Default: the host.
	SiteName string
	// Contact is whom a person can ask: an e-mail address, an https URL, a phone number or text. Default: none.
	Contact string
	// SessionTTL is how long a session lives at most. Default: 8 hours.
	SessionTTL time.Duration
	// SessionIdle is how long a session lives without a request. Default: no such limit.
	SessionIdle time.Duration
	// SessionPersist is "on" (the cookie carries Max-Age) or "off" (it ends with the browser). Default: on.
	SessionPersist string
	// TrustedProxies are the peers whose forwarded headers count: CIDRs, addresses, "private", "loopback", "unix". Default: none.
	TrustedProxies []string
	// ProxySecret, when set, must also come in X-Vipps-Proxy-Secret from a trusted proxy.
	ProxySecret vipps.Secret
	// LoginLimit is how many logins one client may start: a number and the time in which its bucket fills up again, such as
	// "600/10m", or "off". A client is the peer's address or, behind a trusted proxy, the last address in X-Forwarded-For
	// that is no trusted proxy's; of an IPv6 address the first 64 bits count, and all with the same first 48 may start four
	// times as many. Default: 600/10m.
	LoginLimit string
	// LoginLimitTotal is the same for all clients of one State together. Default: 3000/1m.
	LoginLimitTotal string
	// Logger takes what operators need to know. Default: nothing is logged.
	Logger *zap.Logger
	// Metrics takes the counters. Default: none are registered.
	Metrics prometheus.Registerer
	// State is what outlives an engine: see [State]. Default: a fresh one.
	State *State
	// Now is the clock. Default: time.Now.
	Now func() time.Time

	oneOfSeveral bool // of Config.Sites
}

func (c *Config) applyDefaults() {
	defaultTo(&c.Silent, SilentFirst)
	defaultTo(&c.WithoutSession, WithoutSessionLogin)
	defaultTo(&c.ConfirmPerson, ConfirmAfterLogout)
	defaultTo(&c.EmailUnverified, EmailUnverifiedDrop)
	defaultTo(&c.SessionPersist, PersistOn)
	defaultTo(&c.HeaderEncoding, "utf-8")
	defaultTo(&c.AppFlow, AppFlowOff)
	if c.SilentRetry == 0 {
		c.SilentRetry = defaultSilentRetry
	}
	if c.SessionTTL == 0 {
		c.SessionTTL = defaultSessionTTL
	}
	if len(c.Headers) == 0 {
		c.Headers = []string{"default"}
	}
	if c.Client != nil {
		if issuer, ok := vipps.Production.Issuer(); ok && c.Client.Issuer() == issuer {
			c.Production = true
		}
	}
	if len(c.Allow) == 0 && !c.Production {
		c.Allow = []string{"anyone"}
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	if c.State == nil {
		c.State = NewState()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

func defaultTo(s *string, value string) {
	if *s == "" {
		*s = value
	}
}

// check returns everything that is wrong with the plain values; what has to be parsed reports for itself.
func (c *Config) check() []error {
	var errs []error
	bad := func(setting, format string, args ...any) {
		errs = append(errs, &vipps.ConfigError{Setting: setting, Reason: fmt.Sprintf(format, args...)})
	}
	oneOf := func(setting, value string, values ...string) {
		if !slices.Contains(values, value) {
			bad(setting, "must be one of %s", strings.Join(values, ", "))
		}
	}
	if c.Client == nil {
		errs = append(errs, errors.New("forwardauth: Config.Client is required"))
	}
	if len(c.Keys) == 0 {
		bad("cookie_keys", "is required: make one with `vippsauth keygen`, or set cookie_keys_file")
	}
	if len(c.PublicURLs) == 0 {
		bad("public_url", "is required: the address under which browsers see the site, such as https://app.example.com")
	}
	if c.Production && len(c.Allow) == 0 {
		bad("allow", "is required in production: list phone numbers or subs (or @file of them), or say `anyone`")
	}
	oneOf("silent", c.Silent, SilentFirst, SilentOff)
	oneOf("without_session", c.WithoutSession, WithoutSessionLogin, WithoutSessionPage, WithoutSessionAnonymous)
	oneOf("confirm_person", c.ConfirmPerson, ConfirmAfterLogout, ConfirmAlways, ConfirmNever)
	oneOf("email_unverified", c.EmailUnverified, EmailUnverifiedDrop, EmailUnverifiedPass)
	oneOf("session_persist", c.SessionPersist, PersistOn, PersistOff)
	oneOf("market", c.Market, "", "NO", "DK", "FI", "SE")
	if c.SilentRetry < time.Second || c.SilentRetry > 30*24*time.Hour {
		bad("silent_retry", "must be between 1s and 30d")
	}
	if c.SessionTTL < 10*time.Second || c.SessionTTL > maxSessionTTL {
		bad("session_ttl", "must be between 10s and 366d")
	}
	if c.SessionIdle != 0 && (c.SessionIdle < 10*time.Second || c.SessionIdle > c.SessionTTL) {
		bad("session_idle", "must be between 10s and session_ttl")
	}
	if len(c.SiteName) > 100 || hasControl(c.SiteName) {
		bad("site_name", "must be at most 100 characters, without control characters")
	}
	if len(c.Contact) > 200 || hasControl(c.Contact) {
		bad("contact", "must be at most 200 characters, without control characters")
	}
	if s := c.ProxySecret.Reveal(); s != "" && len(s) < 16 {
		bad("proxy_secret", "must be at least 16 characters")
	}
	for i, name := range c.AppCookies {
		if !isToken(name) {
			bad("app_cookies", "entry %d is not a cookie name", i+1)
		} else if ownCookie(name) {
			bad("app_cookies", "entry %d is a cookie of ours", i+1)
		}
	}
	if c.CookieDomain != "" && len(c.AppCookies) > 0 {
		// Our logout at one host can't reach the cookies of another, where the next person would find this one's session.
		bad("app_cookies", "can't be used together with cookie_domain: they could be expired at one of the hosts only")
	}
	if err := c.checkLandings(); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, c.checkAppFlow()...)
	if c.AuthURL != "" && c.CookieDomain == "" {
		bad("auth_url", "needs cookie_domain: without it a session is of one host only")
	}
	for i, path := range c.LogoutPaths {
		if clean, ok := cleanReturnTo(path); !ok || clean != path || strings.ContainsAny(path, "?") {
			bad("logout_paths", "entry %d must be a plain path of the app, such as /logout.php", i+1)
		}
	}
	return errs
}

// splitPort returns the name and the port of a public URL's host.
func splitPort(host, origin string) (name, port string) {
	name, port = host, "443"
	if strings.HasPrefix(origin, "http://") {
		port = "80"
	}
	if end, ok := nameEnd(host); ok && end < len(host) {
		name, port = host[:end], host[end+1:]
	}
	return name, port
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f })
}

// isToken reports whether s is a token in the sense of RFC 9110 §5.6.2.
func isToken(s string) bool {
	return s != "" && len(s) <= 128 && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= 0x20 || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
	})
}
