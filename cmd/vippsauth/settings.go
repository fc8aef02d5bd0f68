package main

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/vipps"
	"go.uber.org/zap/zapcore"
)

// Defaults that the container image changes at build time (-ldflags "-X main.defaultListen=:4190").
var (
	defaultListen    = "127.0.0.1:4190"
	defaultOpsListen = "127.0.0.1:4191"
)

// The listKind of a setting says how its text falls into items.
type listKind int

const (
	scalar listKind = iota // one value
	commas                 // items with commas between them
	spaces                 // items with blanks between them, as OAuth writes scopes
)

// A setting is one row of the table that feeds the flags, the environment, the YAML file, --help and README's table.
type setting struct {
	key     string
	group   string
	doc     string // one sentence, for --help and README
	values  string // what may be written, for README
	def     string // the default, as it would be written; empty: none
	note    string // what to say about the default beside def
	secret  bool   // no flag, and never printed
	private bool   // may name people: counted in the log, not printed
	list    listKind
	set     func(c *config, items []string) error // one item unless list says otherwise; its error never holds the value
}

// A config holds every setting, parsed. Its zero value is not useful: newConfig fills in the defaults.
type config struct {
	environment, issuer, clientID string
	clientSecret, proxySecret     vipps.Secret
	clientAuth                    vipps.ClientAuth
	scopes, publicURLs            []string
	market, acrValues             string
	systemName, systemVersion     string

	listen, opsListen, authzListen, emulatorListen string
	grpcListen, fcgiListen                         string
	trustedProxies                                 []string
	upstream                                       *url.URL

	allow, headers, appCookies, logoutPaths                 []string
	silent, withoutSession, confirmPerson                   string
	headerEncoding, emailUnverified                         string
	loginLimit, loginLimitTotal                             string
	siteName, contact                                       string
	silentRetry, sessionTTL, sessionIdle                    time.Duration
	cookieKeys                                              []string
	cookieKeysFile, sessionPersist, store, logFormat, level string
	revocationsFile                                         string // noRevocationsFile: none; empty: beside the keys

	consentURL, consentDir string
	consentSecret          vipps.Secret
	app                    appLogins

	cookieDomain, authURL string
	merchant              merchantSettings
	qr                    qrSettings
	policies              []forwardauth.Policy

	msn, registeredURL, userinfoKey       string
	subscriptionKey, consentRevokedSecret vipps.Secret
	webhookSecrets                        []vipps.Secret

	urlEntries []int // where in the list of public_url those stand that no site is for; none without sites

	sites   []*config            // each whole, with one public URL
	differs map[string]candidate // in one of sites: what its section sets
	source  string               // in one of sites: where its section begins
}

const (
	groupVipps    = "Vipps MobilePay"
	groupSite     = "The protected site"
	groupListen   = "Addresses and proxies"
	groupLogin    = "Login"
	groupIdentity = "What the application is told"
	groupSession  = "Sessions"
	groupLog      = "Logging"
)

// settingsTable is every setting there is, in the order of the documentation.
func settingsTable() []setting {
	return slices.Concat(vippsSettings(), siteSettings(), listenSettings(), loginSettings(), appSettings(), identitySettings(), eventSettings(), sessionSettings(),
		merchantTable(), qrTable(), webhookSettings(), logSettings())
}

func vippsSettings() []setting {
	g := groupVipps
	return []setting{
		{
			key: "environment", group: g, values: "`production`, `test`, `emulator`", note: "none: must be said, unless `issuer` is set",
			doc: "which Vipps people log in with",
			set: oneOf(func(c *config) *string { return &c.environment }, "production", "test", "emulator"),
		},
		{
			key: "issuer", group: g, values: "an issuer URL; `http` on loopback only", note: "none",
			doc: "another OpenID provider, in place of environment",
			set: text(func(c *config) *string { return &c.issuer }),
		},
		{
			key: "client_id", group: g, values: "from the Vipps MobilePay portal", note: "required; with `environment emulator` the emulator's own",
			doc: "the client id of the sales unit",
			set: text(func(c *config) *string { return &c.clientID }),
		},
		{
			key: "client_secret", group: g, values: "from the Vipps MobilePay portal", note: "required; with `environment emulator` the emulator's own", secret: true,
			doc: "the client secret of the sales unit",
			set: func(c *config, items []string) error { c.clientSecret = vipps.Secret(items[0]); return nil },
		},
		{
			key: "client_auth", group: g, values: "`basic` (form-encoded, RFC 6749 §2.3.1), `basic-raw`, `post`; also by their OpenID names; `partner`: partner keys, with `msn` and `subscription_key`", def: "basic",
			doc: "how the client shows its secret at the token endpoint",
			set: func(c *config, items []string) (err error) {
				if c.clientAuth, err = vipps.ParseClientAuth(items[0]); err != nil {
					return errors.New("must be basic, basic-raw, post or partner")
				}
				return nil
			},
		},
		{
			key: "scopes", group: g, values: "space-separated, as `openid name phoneNumber email`", def: "openid", list: spaces,
			doc: "what to ask the person for",
			set: list(func(c *config) *[]string { return &c.scopes }),
		},
		{
			key: "market", group: g, values: "`NO`, `DK`, `FI`, `SE`", note: "none",
			doc: "the country whose app people have: the brand that pages name and look like, here and at Vipps; the language of our own pages where the browser asks for none that they speak; and whose phone numbers may stand without a country code",
			set: oneOf(func(c *config) *string { return &c.market }, "NO", "DK", "FI", "SE"),
		},
		{
			key: "acr_values", group: g, values: "as agreed with Vipps", note: "none",
			doc: "the assurance level to ask for; checked in the answer",
			set: text(func(c *config) *string { return &c.acrValues }),
		},
		{
			key: "system_name", group: g, values: "at most 30 characters", def: "vippsauth",
			doc: "Vipps-System-Name on every call to Vipps",
			set: text(func(c *config) *string { return &c.systemName }),
		},
		{
			key: "system_version", group: g, values: "at most 30 characters", note: "this program's version",
			doc: "Vipps-System-Version on every call to Vipps",
			set: text(func(c *config) *string { return &c.systemVersion }),
		},
	}
}

func siteSettings() []setting {
	g := groupSite
	return []setting{
		{
			key: "public_url", group: g, values: "origins, as `https://app.example.com`; `http` on loopback only", note: "required", list: commas,
			doc: "where browsers see the protected site or sites",
			set: list(func(c *config) *[]string { return &c.publicURLs }),
		},
		{
			key: "upstream", group: g, values: "a URL without a path, as `http://127.0.0.1:8080`", note: "none",
			doc: "the application to pass logged-in requests on to, which makes this a sidecar",
			set: setUpstream,
		},
		{
			key: "allow", group: g, values: "`anyone`, or phone numbers and `sub`s, or files of them (`@members.txt`, relative to the working directory and re-read on change; numbers in any usual spelling)",
			note: "required in `production`; elsewhere `anyone`, with a warning", private: true, list: commas,
			doc: "who may pass once logged in",
			set: list(func(c *config) *[]string { return &c.allow }),
		},
		{
			key: "cookie_domain", group: g, values: "a domain that holds every `public_url`, as `example.com`; `none`", note: "none: each host has a session of its own",
			doc: "shares one session between the hosts of a domain, all of which must be trusted",
			set: orNone(func(c *config) *string { return &c.cookieDomain }),
		},
		{
			key: "auth_url", group: g, values: "an origin in `cookie_domain`, as `https://login.example.com`; `none`", note: "none: at each site",
			doc: "where everybody logs in, whichever site they came from: the one redirect URI to register",
			set: orNone(func(c *config) *string { return &c.authURL }),
		},
		{
			key: "site_name", group: g, values: "text", note: "the host",
			doc: "the name of the site, on our pages",
			set: text(func(c *config) *string { return &c.siteName }),
		},
		{
			key: "contact", group: g, values: "text", note: "none",
			doc: "whom to ask for help, on our pages",
			set: text(func(c *config) *string { return &c.contact }),
		},
	}
}

func listenSettings() []setting {
	g := groupListen
	return []setting{
		{
			key: "listen", group: g, values: "address, or `unix//path`", def: defaultListen, note: "in the image `:4190`",
			doc: "where the service listens",
			set: address(func(c *config) *string { return &c.listen }),
		},
		{
			key: "ops_listen", group: g, values: "address, or `unix//path`", def: defaultOpsListen, note: "in the image `:4191`",
			doc: "where /healthz, /readyz and /metrics are; keep it internal",
			set: address(func(c *config) *string { return &c.opsListen }),
		},
		{
			key: "authz_listen", group: g, values: "address, or `unix//path`", note: "none: on `listen`",
			doc: "a listener of its own for /_vipps/authz/, which the proxy asks",
			set: address(func(c *config) *string { return &c.authzListen }),
		},
		{
			key: "grpc_listen", group: g, values: "address, or `unix//path`", note: "none",
			doc: "a listener for Envoy's ext_authz over gRPC",
			set: address(func(c *config) *string { return &c.grpcListen }),
		},
		{
			key: "fcgi_listen", group: g, values: "address", note: "none",
			doc: "a listener for Apache's mod_authnz_fcgi, which asks over FastCGI",
			set: address(func(c *config) *string { return &c.fcgiListen }),
		},
		{
			key: "emulator_listen", group: g, values: "a loopback address", def: "127.0.0.1:4192",
			doc: "where environment emulator serves its Vipps",
			set: address(func(c *config) *string { return &c.emulatorListen }),
		},
		{
			key: "trusted_proxies", group: g, values: "CIDRs, addresses, `private`, `loopback`, `unix`", note: "empty: nobody", list: commas,
			doc: "the peers whose forwarded headers count",
			set: list(func(c *config) *[]string { return &c.trustedProxies }),
		},
		{
			key: "proxy_secret", group: g, values: "at least 16 characters (`openssl rand -hex 32`)", note: "none", secret: true,
			doc: "a secret that the proxy must send in X-Vipps-Proxy-Secret besides",
			set: func(c *config, items []string) error { c.proxySecret = vipps.Secret(items[0]); return nil },
		},
	}
}

func sessionSettings() []setting {
	g := groupSession
	return []setting{
		{
			key: "cookie_keys", group: g, values: "base64 of 32 random bytes each (`vippsauth keygen`); the first seals, all open", secret: true, list: commas,
			note: "`serve`: this or `cookie_keys_file`; with `environment emulator` a fresh one",
			doc:  "the keys that seal the cookies",
			set:  list(func(c *config) *[]string { return &c.cookieKeys }),
		},
		{
			key: "cookie_keys_file", group: g, values: "a path; one key a line; created with a fresh key, mode 0600, when missing", note: "none",
			doc: "a file of such cookie keys",
			set: text(func(c *config) *string { return &c.cookieKeysFile }),
		},
		{
			key: "revocations_file", group: g, values: "a path in a directory that can be written to, on a volume that replicas share; `none`",
			note: "`cookie_keys_file` with `.revoked` behind it; none without that",
			doc:  "where ended sessions are kept, so that a logout holds over a restart and at every replica",
			set:  text(func(c *config) *string { return &c.revocationsFile }),
		},
		{
			key: "session_ttl", group: g, values: "a duration", def: "8h",
			doc: "how long a session lasts",
			set: duration(func(c *config) *time.Duration { return &c.sessionTTL }),
		},
		{
			key: "session_idle", group: g, values: "a duration", note: "none",
			doc: "how long a session lasts without a visit",
			set: duration(func(c *config) *time.Duration { return &c.sessionIdle }),
		},
		{
			key: "session_persist", group: g, values: "`on`, `off` (the cookie ends with the browser)", def: "on",
			doc: "whether the session outlives the browser window",
			set: oneOf(func(c *config) *string { return &c.sessionPersist }, "on", "off"),
		},
		{
			key: "store", group: g, values: "`cookie`", def: "cookie",
			doc: "where sessions are kept",
			set: setStore,
		},
	}
}

func logSettings() []setting {
	g := groupLog
	return []setting{
		{
			key: "log_level", group: g, values: "`debug`, `info`, `warn`, `error`", def: "info",
			doc: "how much is logged, to standard error",
			set: oneOf(func(c *config) *string { return &c.level }, "debug", "info", "warn", "error"),
		},
		{
			key: "log_format", group: g, values: "`json`, `console`", def: "json",
			doc: "how log lines are written",
			set: oneOf(func(c *config) *string { return &c.logFormat }, "json", "console"),
		},
	}
}

// newConfig returns a config with every default of the table.
func newConfig() *config {
	c := &config{systemVersion: systemVersion()}
	for _, s := range settingsTable() {
		if s.def == "" {
			continue
		}
		if err := s.set(c, s.split(s.def)); err != nil {
			panic("vippsauth: default of " + s.key + ": " + err.Error()) // only a wrong table or a wrong -ldflags gets here
		}
	}
	return c
}

// logLevel returns log_level for zap; info when it is unknown.
func (c *config) logLevel() zapcore.Level {
	level, err := zapcore.ParseLevel(c.level)
	if err != nil {
		return zapcore.InfoLevel
	}
	return level
}

// split cuts the text of a setting into its items, without the blanks around them.
func (s *setting) split(v string) []string {
	switch s.list {
	case commas:
		items := strings.Split(v, ",")
		for i := range items {
			items[i] = strings.TrimSpace(items[i])
		}
		return items
	case spaces:
		return strings.Fields(v)
	default:
		return []string{v}
	}
}

// envName returns the environment variable of the setting.
func (s *setting) envName() string { return envPrefix + strings.ToUpper(s.key) }

// flagName returns the setting's flag without dashes; secrets have none.
func (s *setting) flagName() string { return strings.ReplaceAll(s.key, "_", "-") }
