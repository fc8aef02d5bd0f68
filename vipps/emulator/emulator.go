package emulator

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// The paths of the Login API, as in the discovery document that Vipps MobilePay shows at
// https://developer.vippsmobilepay.com/docs/APIs/login-api/api-guide/browser-flow-integration.
const (
	pathIssuer    = "/access-management-1.0/access/"
	pathDiscovery = pathIssuer + ".well-known/openid-configuration"
	pathJWKS      = pathIssuer + ".well-known/jwks.json"
	pathAuthorize = pathIssuer + "oauth2/auth"
	pathToken     = pathIssuer + "oauth2/token"
	pathUserinfo  = "/vipps-userinfo-api/userinfo"
	pathPages     = "/vipps-login-idp/"
	pathControl   = "/_emulator/"
)

// Config says what an Emulator is. The zero value of every field but BaseURL is usable; with Start that one is too.
type Config struct {
	// BaseURL is the origin under which clients and browsers reach the emulator, as http://127.0.0.1:4192: http or https, on
	// loopback, without a path. New requires it; Start fills it from the listener when it is empty.
	BaseURL string
	// Clients are the sales units known from the start; Control.AddClient adds more.
	Clients []Client
	// People are the persons who can log in. Nil: the dozen of FixturePeople.
	People []Person
	// QRs are the QR codes known from the start; Control.AddQR adds more.
	QRs []QRCode
	// Now is the clock, to which Control.Advance adds. Nil: time.Now.
	Now func() time.Time
	// RSABits is the size of the RSA signing keys, 1024 to 4096. Zero: 2048. (The real one has 4096; sizes below 2048 are there to
	// test that a client refuses them.)
	RSABits int
	// Spinner is how long the page of a no_dialog attempt is shown, in whole seconds, rounded down; a browser moves on by itself,
	// without a script. Zero: one second. Negative: no page, the authorize request is answered with the final 302 at once, which is
	// what an HTTP client without a browser wants.
	Spinner time.Duration
	// CodeTTL is how long an authorization code lives. Zero: 120 seconds.
	CodeTTL time.Duration
	// AccessTokenTTL is how long userinfo accepts an access token; expires_in says 3599 all the same, as at Vipps. Zero: 10 minutes.
	AccessTokenTTL time.Duration
	// LegacyLoginHint takes urn:mobilenumber: and eight digits as the login_hint of a merchant-initiated login too, as the oldest
	// documents do. Zero: only urn:msisdn: and urn:customer-token:.
	LegacyLoginHint bool
	// AllowPlainPKCE lets code_challenge_method=plain pass, which older documents list. Zero: only S256.
	AllowPlainPKCE bool
	// DropUnknownScopes leaves scopes that the client may not have silently out, as newer documents say. Zero: invalid_scope, as
	// the FAQ says.
	DropUnknownScopes bool
	// RefuseSubscriptionKey answers a userinfo call that carries Ocp-Apim-Subscription-Key with 401. Zero: the header is ignored.
	RefuseSubscriptionKey bool
	// ProfileInIDToken puts every consented claim in the ID token too ("user data added to the ID token", September 2025; the list
	// isn't documented). Zero: only email and email_verified.
	ProfileInIDToken bool
	// MSN is the merchant serial number of clients that have none of their own. Zero: "123456".
	MSN string
	// RetryScale is how much faster than at Vipps deliveries are tried again: with 1000, what is two seconds there is two milliseconds
	// here. The ten seconds that a receiver has shrink too, but not below one. Zero: 1.
	RetryScale float64
	// RootCAs verify receivers of deliveries that are https. Nil: the system's.
	RootCAs *x509.CertPool
}

// Emulator is the emulated Login API. Make it with New or Start. It is safe for concurrent use and holds all of its state in memory.
type Emulator struct {
	cfg        Config
	base       *url.URL
	cookieName string
	courier    *courier

	controlToken string // of the forms on the control page

	mu    sync.Mutex // guards everything below
	state state
	keys  keyring
}

// New makes an Emulator. It refuses a base URL that isn't loopback, and clients and people that AddClient and AddPerson would refuse;
// every fault is reported at once. It does no I/O, but makes signing keys, which takes a moment.
func New(cfg Config) (*Emulator, error) {
	base, err := checkBaseURL(cfg.BaseURL)
	if err != nil {
		return nil, err
	}
	cfg.BaseURL = strings.TrimSuffix(cfg.BaseURL, "/")
	if err := defaults(&cfg); err != nil {
		return nil, err
	}
	e := &Emulator{cfg: cfg, base: base, cookieName: "vipps-emulator", courier: newCourier(&cfg), controlToken: newOpaque()}
	if p := base.Port(); p != "" { // cookies ignore ports: two emulators on one machine shall not overwrite each other's
		e.cookieName += "-" + p
	}
	e.state.init()
	if err := e.keys.rotate(cfg.RSABits, false); err != nil {
		return nil, err
	}
	people := cfg.People
	if people == nil {
		people = FixturePeople()
	}
	var errs []error
	for _, p := range people {
		errs = append(errs, e.Control().AddPerson(p))
	}
	for _, c := range cfg.Clients {
		errs = append(errs, e.Control().AddClient(c))
	}
	for _, q := range cfg.QRs {
		errs = append(errs, e.Control().AddQR(q))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return e, nil
}

func defaults(cfg *Config) error {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.RSABits == 0 {
		cfg.RSABits = 2048
	}
	if cfg.RSABits < 1024 || cfg.RSABits > 4096 {
		return fmt.Errorf("emulator: RSABits: %d is not between 1024 and 4096", cfg.RSABits)
	}
	if cfg.Spinner == 0 {
		cfg.Spinner = time.Second
	}
	if cfg.CodeTTL <= 0 {
		cfg.CodeTTL = 120 * time.Second
	}
	if cfg.AccessTokenTTL <= 0 {
		cfg.AccessTokenTTL = 600 * time.Second
	}
	if cfg.MSN == "" {
		cfg.MSN = "123456"
	}
	if cfg.RetryScale < 0 || cfg.RetryScale > 1e9 {
		return fmt.Errorf("emulator: RetryScale: %v is not between 0 and 1e9", cfg.RetryScale)
	}
	if cfg.RetryScale == 0 {
		cfg.RetryScale = 1
	}
	return nil
}

// Issuer is the issuer identifier: the base URL and /access-management-1.0/access/, trailing slash included.
func (e *Emulator) Issuer() string { return e.cfg.BaseURL + pathIssuer }

// BaseURL is the origin that the emulator was made for, without a trailing slash.
func (e *Emulator) BaseURL() string { return e.cfg.BaseURL }

// now is the emulator's clock: that of Config plus what Control.Advance added.
func (e *Emulator) now() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.nowLocked()
}

func (e *Emulator) nowLocked() time.Time { return e.cfg.Now().Add(e.state.offset) }

// route is one place of the API.
type route struct {
	endpoint string // name for Calls, FailNext and Delay
	method   string // empty: serve looks itself
	serve    http.HandlerFunc
}

// ServeHTTP answers a request to any path of the emulator: API, pages and control. A Host that isn't loopback gets 421. Paths are
// matched as they are, with no cleaning and no redirects.
func (e *Emulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !loopbackHost(r.Host) {
		http.Error(w, "vippsauth emulator: this answers on loopback names only", http.StatusMisdirectedRequest)
		return
	}
	path := r.URL.Path
	if r.URL.RawPath != "" || r.URL.Opaque != "" {
		http.NotFound(w, r)
		return
	}
	switch {
	case path == pathDiscovery:
		e.serveRoute(w, r, route{EndpointDiscovery, http.MethodGet, e.serveDiscovery})
	case path == pathJWKS:
		e.serveRoute(w, r, route{EndpointJWKS, http.MethodGet, e.serveJWKS})
	case path == pathAuthorize:
		e.serveRoute(w, r, route{EndpointAuthorize, http.MethodGet, e.serveAuthorize})
	case path == pathToken:
		e.serveRoute(w, r, route{EndpointToken, http.MethodPost, e.serveToken})
	case path == pathUserinfo, path == pathUserinfo+"/":
		e.serveRoute(w, r, route{EndpointUserinfo, http.MethodGet, e.serveUserinfo})
	case path == pathBackchannel:
		e.serveRoute(w, r, route{EndpointBackchannel, http.MethodPost, e.serveBackchannel})
	case path == pathUserExists:
		e.serveRoute(w, r, route{EndpointUserExists, http.MethodPost, e.serveUserExists})
	case path == pathAccessToken:
		e.serveRoute(w, r, route{EndpointAccessToken, http.MethodPost, e.serveAccessToken})
	case path == pathWebhooks, strings.HasPrefix(path, pathWebhooks+"/"):
		e.serveRoute(w, r, route{EndpointWebhooks, "", e.serveWebhooks})
	case strings.HasPrefix(path, pathPages):
		e.servePages(w, r)
	case strings.HasPrefix(path, pathControl):
		e.serveControl(w, r)
	case path == "/" && r.Method == http.MethodGet:
		http.Redirect(w, r, pathControl, http.StatusSeeOther)
	default:
		http.NotFound(w, r)
	}
}

// serveRoute counts the call, delays or fails it when told to, and refuses other methods.
func (e *Emulator) serveRoute(w http.ResponseWriter, r *http.Request, rt route) {
	arrived := e.now()
	delay, fail := e.beginCall(rt.endpoint)
	rec := &recorder{ResponseWriter: w, arrived: arrived, call: Call{Endpoint: rt.endpoint, Method: r.Method, Header: callHeader(r.Header)}}
	defer func() { e.endCall(rec) }()
	if delay > 0 {
		t := time.NewTimer(delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-r.Context().Done():
			return
		}
	}
	switch {
	case fail != nil:
		fail.write(rec, r)
	case rt.method != "" && r.Method != rt.method:
		rec.Header().Set("Allow", rt.method)
		http.Error(rec, "method not allowed", http.StatusMethodNotAllowed)
	default:
		rt.serve(rec, r)
	}
}
