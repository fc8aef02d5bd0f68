package merchant

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/vipps"
)

// PathPrefix begins the path of everything that [API] serves.
const PathPrefix = "/_vipps/merchant/"

const (
	// maxStreams is how many answers may wait for one caller at a time: a till needs one, a call centre one a seat.
	maxStreams = 1000
	// maxOperatorStreams is the same for a person, whose browser opens few.
	maxOperatorStreams = 10

	standardBeat = 15 * time.Second // between comments in an event stream, so that no proxy takes it for dead
	slack        = 10 * time.Second // beyond what a request waits for, before its connection counts as stalled
)

// APIConfig says who may ask, and where. Logins and PublicURLs are required.
type APIConfig struct {
	// Logins are what the API is about.
	Logins *Logins
	// QR are the logins of QR codes, for the callers that codes belong to. Zero: there are none.
	QR *QRLogins
	// Callers are the programs that may start logins, each as "name=sha256:<hex of the SHA-256 of its token>" or
	// "name=certificate:<common name>". Zero: none, which leaves the operator page.
	Callers []string
	// PublicURLs are the origins under which the API and the operator page are, such as "https://app.example.com". A request for
	// any other host is refused with 421.
	PublicURLs []string
	// Scopes are what the operator page offers to ask for. Zero: nothing but openid.
	Scopes []string
	// Host is the host that the browser or the caller asked for. Zero: that of the request.
	Host func(r *http.Request) string
	// Peer names whom wrong credentials are counted for. Zero: the address that the request came from.
	Peer func(r *http.Request) string
	// SiteName is shown on the operator page. Zero: the host.
	SiteName string
	// Market is NO, DK, FI or SE: which brand the operator page names, and its language of last resort. Zero: Vipps, in English.
	Market string
	// Logger. Zero: nothing is logged.
	Logger *zap.Logger
	// Now is the clock. Zero: time.Now.
	Now func() time.Time
}

// API is the HTTP side of [Logins]: for programs as an [http.Handler], for people as [API.Operator].
type API struct {
	logins   *Logins
	qr       *QRLogins
	callers  *callerSet
	origins  []string
	scopes   []string
	host     func(*http.Request) string
	peer     func(*http.Request) string
	siteName string
	market   string
	log      *zap.Logger
	now      func() time.Time

	strikes strikes
	streams streams
	assets  *pageAssets
	beat    time.Duration // between comments in a stream
}

// NewAPI checks the configuration. Its error holds a *vipps.ConfigError for each setting that is wrong.
func NewAPI(cfg APIConfig) (*API, error) {
	callers, err := parseCallers(cfg.Callers)
	errs := []error{err}
	if cfg.Logins == nil {
		errs = append(errs, errors.New("merchant: no logins"))
	}
	for _, origin := range cfg.PublicURLs {
		if u, err := url.Parse(origin); err != nil || u.Host == "" || u.Scheme+"://"+u.Host != origin {
			errs = append(errs, &vipps.ConfigError{Setting: "public_url", Reason: "is not an origin"})
		}
	}
	assets, err := newPageAssets()
	errs = append(errs, err)
	a := &API{
		logins: cfg.Logins, qr: cfg.QR, callers: callers, origins: slices.Clone(cfg.PublicURLs), scopes: slices.Clone(cfg.Scopes),
		host: cfg.Host, peer: cfg.Peer, siteName: cfg.SiteName, market: cfg.Market, log: cfg.Logger, now: cfg.Now, assets: assets, beat: standardBeat,
	}
	if a.host == nil {
		a.host = func(r *http.Request) string { return r.Host }
	}
	if a.peer == nil {
		a.peer = remotePeer
	}
	if a.log == nil {
		a.log = zap.NewNop()
	}
	if a.now == nil {
		a.now = time.Now
	}
	return a, errors.Join(errs...)
}

// Stop ends every answer that waits for something, and each that would from now on: a long poll is answered with the state
// of the moment, an event stream ends. It is for a server that begins to stop.
func (a *API) Stop() { a.streams.stop() }

// ServeHTTP answers callers that show a token.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if a.originOf(r) == "" {
		leaveBody(w, r)
		a.refuse(w, r, errMisdirected)
		return
	}
	a.serve(w, r, a.callers.byToken)
}

// Certificates returns the handler for callers that show a certificate, for a listener that asks for one in its handshake and
// checks it. An Authorization header counts for nothing there, and any host is right.
func (a *API) Certificates() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.serve(w, r, func(http.Header) (string, bool) {
			if r.TLS == nil {
				return "", false
			}
			return a.callers.byCertificate(r.TLS.VerifiedChains)
		})
	})
}

// originOf is the public URL that a request is for, and "" when it is for none.
func (a *API) originOf(r *http.Request) string {
	host := strings.ToLower(a.host(r))
	for _, origin := range a.origins {
		scheme, name, _ := strings.Cut(origin, "://")
		if host == name || host == name+map[string]string{"https": ":443", "http": ":80"}[scheme] {
			return origin
		}
	}
	return ""
}

// An operation is one method at one path.
type operation struct {
	method, path string // behind PathPrefix; {id} stands for one segment
	public       bool   // for anybody: it says nothing about any login
	serve        func(a *API, w http.ResponseWriter, r *http.Request, caller, id string) error
}

// operations are all that the API does for programs.
func operations() []operation {
	return []operation{
		{method: http.MethodPost, path: "logins", serve: (*API).start},
		{method: http.MethodGet, path: "logins/{id}", serve: (*API).login},
		{method: http.MethodDelete, path: "logins/{id}", serve: (*API).cancel},
		{method: http.MethodGet, path: "logins/{id}/events", serve: (*API).events},
		{method: http.MethodPost, path: "user-exists", serve: (*API).userExists},
		{method: http.MethodGet, path: "qr-logins", serve: (*API).qrLogin},
		{method: http.MethodGet, path: "openapi.json", public: true, serve: (*API).openAPI},
	}
}

// match returns the id in a path, and whether it is that of the operation.
func (o *operation) match(path string) (id string, ok bool) {
	before, after, has := strings.Cut(o.path, "{id}")
	if !has {
		return "", path == o.path
	}
	id, ok = strings.CutPrefix(path, before)
	if !ok {
		return "", false
	}
	id, ok = strings.CutSuffix(id, after)
	return id, ok && id != "" && !strings.Contains(id, "/")
}

// serve finds the operation and whether the caller may ask for it. The path is compared as it was sent: nothing in it needs to
// be escaped.
func (a *API) serve(w http.ResponseWriter, r *http.Request, who func(http.Header) (string, bool)) {
	if a.isCrossOrigin(r) {
		leaveBody(w, r)
		a.refuse(w, r, errCrossOrigin)
		return
	}
	path := strings.TrimPrefix(r.URL.EscapedPath(), PathPrefix)
	var allow []string
	for _, o := range operations() {
		id, ok := o.match(path)
		if !ok {
			continue
		}
		caller, known := "", o.public
		if known {
			leaveBody(w, r)
		} else if caller, known = a.authenticated(w, r, who); !known {
			return
		}
		if o.method == r.Method {
			if err := o.serve(a, w, r, caller, id); err != nil {
				a.refuse(w, r, err)
			}
			return
		}
		allow = append(allow, o.method)
	}
	if len(allow) > 0 {
		a.refuse(w, r, &refusal{status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Description: "use " + strings.Join(allow, " or "), allow: strings.Join(allow, ", ")})
		return
	}
	if _, known := a.authenticated(w, r, who); known {
		a.refuse(w, r, errNoPath)
	}
}

// authenticated returns the caller, or answers for itself when there is none. A wrong token and none at all get the same answer
// after the same work.
func (a *API) authenticated(w http.ResponseWriter, r *http.Request, who func(http.Header) (string, bool)) (caller string, ok bool) {
	if caller, ok = who(r.Header); ok {
		return caller, true
	}
	leaveBody(w, r)
	if wait := a.strikes.count(a.peer(r), a.now()); wait > 0 {
		a.refuse(w, r, tooMany("too many requests without the token of a caller came from this address", wait))
		return "", false
	}
	a.refuse(w, r, errUnauthorized)
	return "", false
}

// isCrossOrigin reports whether a page of another site has made a browser send the request. There is no CORS here, but a
// request can do its harm before its answer is withheld.
func (a *API) isCrossOrigin(r *http.Request) bool {
	if site := r.Header["Sec-Fetch-Site"]; len(site) > 0 && !slices.Equal(site, []string{"same-origin"}) && !slices.Equal(site, []string{"none"}) {
		return true
	}
	origin := r.Header["Origin"]
	return len(origin) > 0 && (len(origin) > 1 || origin[0] != a.originOf(r))
}
