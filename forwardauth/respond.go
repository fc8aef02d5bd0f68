package forwardauth

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

const (
	headerLoginURL  = "X-Vipps-Login-Url"
	headerRequestID = "X-Request-Id"
)

// neverCache marks an answer as ours alone to give: it depends on who asks. Whatever stands around us may change headers in
// place, so each answer gets slices of its own.
func neverCache(h http.Header) {
	own := []string{"no-store", pageVary}
	h["Cache-Control"], h["Vary"] = own[0:1:1], own[1:2:2]
}

// redirect goes on with a GET: 302 in answer to a GET, 303 to anything else and from the callback, never with a body to
// replay.
func redirect(w http.ResponseWriter, r *http.Request, location string) {
	h := w.Header()
	neverCache(h)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Location", location)
	if get := r.Method == http.MethodGet || r.Method == http.MethodHead; get && !strings.HasPrefix(r.URL.Path, pathCallback) { // landings are callbacks too
		w.WriteHeader(http.StatusFound)
		return
	}
	w.WriteHeader(http.StatusSeeOther)
}

// errorAnswer is the body of every refusal in JSON.
type errorAnswer struct {
	Error    string `json:"error"`
	LoginURL string `json:"login_url,omitempty"`
	Code     string `json:"code,omitempty"` // for clients of the Connect protocol
	Message  string `json:"message,omitempty"`
}

func writeJSON(w http.ResponseWriter, r *http.Request, status int, body any) {
	h := w.Header()
	neverCache(h)
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	text, err := json.Marshal(body)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"internal"}`)
	}
	h.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(text) // the client went away: nobody is left to tell
	}
}

// page fills in what every page of a site shows and writes it. s is nil where the host is none of ours.
func (e *Engine) page(w http.ResponseWriter, r *http.Request, s *site, p page) {
	p.SiteName, p.Contact, p.Market = e.cfg.SiteName, e.cfg.Contact, e.cfg.Market
	if s != nil {
		p.Origins = s.shared
		if p.SiteName == "" {
			p.SiteName = s.host
		}
	}
	if p.Reference == "" && p.Kind == pageError && e.limits.allow("page "+p.Code, manyMessages, e.now()) {
		p.Reference = newReference() // a reference is one that the log has
		e.log.Info("request refused with a page", zap.String("reference", p.Reference), zap.String("code", p.Code), zap.Int("status", p.Status))
	}
	neverCache(w.Header())
	if p.Reference != "" {
		w.Header().Set(headerRequestID, p.Reference)
	}
	p.write(w, r)
}

func (e *Engine) loginPage(w http.ResponseWriter, r *http.Request, s *site, rd string, afterLogout bool) {
	e.loginPageFor(w, r, s, start{returnTo: rd}, afterLogout)
}

// loginPageFor is loginPage for a login that is to prove what a policy asks for.
func (e *Engine) loginPageFor(w http.ResponseWriter, r *http.Request, s *site, st start, afterLogout bool) {
	e.page(w, r, s, page{Kind: pageLogin, ReturnTo: st.returnTo, AfterLogout: afterLogout, Policy: e.policyOfACR(st.acr)})
}

// forbidPage tells a person who is logged in that they may not pass, who we take them for, and whom to ask.
func (e *Engine) forbidPage(w http.ResponseWriter, r *http.Request, s *site, op *opened, p page) {
	p.Kind, p.Person, p.Reference = pageRefused, op.data.masked(), newReference()
	e.log.Info("refused by policy", zap.String("reference", p.Reference), zap.String("site", s.host))
	e.page(w, r, s, p)
}

// loopPage stops a login that goes round and names the likely cause.
func (e *Engine) loopPage(w http.ResponseWriter, r *http.Request, s *site, rd string, h hint, why noSession, o Original) {
	cause := causeUnknown
	switch {
	case why == cookieUnopenable:
		cause = causeOtherKey
	case why == cookieFromFuture, why == cookieExpired:
		cause = causeClock
	case s.secure && o.Scheme == "http":
		cause = causeHTTP
	case h.SessionSize > 3000:
		cause = causeTooBig
	case !h.FirstSuccess.IsZero():
		cause = causeNotSeen // the hint comes back, and the session doesn't
	}
	e.stopLoop(w, r, s, rd, cause, h.SessionSize)
}

// stopLoop shows the page that ends a loop and tells the operator.
func (e *Engine) stopLoop(w http.ResponseWriter, r *http.Request, s *site, rd string, cause loopCause, size int64) {
	reference := newReference()
	e.metrics.loop(cause)
	e.log.Error("login loop stopped: sessions are made but do not come back",
		zap.String("reference", reference), zap.String("site", s.host), zap.String("likely_cause", string(cause)),
		zap.Int64("session_cookie_bytes", size))
	e.page(w, r, s, page{Kind: pageLoop, Cause: string(cause), ReturnTo: rd, Reference: reference})
}

// AppUnavailable answers for the app behind the site when it doesn't answer itself: a page for a navigation, JSON for
// anything else, with status 502 or 504. The log gets err, and the reference that the page shows.
func (e *Engine) AppUnavailable(w http.ResponseWriter, r *http.Request, status int, err error) {
	o := e.browserRequest(r)
	e = e.of(o.Host)
	reference := newReference()
	e.metrics.refused("app_unavailable")
	e.log.Error("the application doesn't answer", zap.String("reference", reference), zap.String("method", r.Method), zap.Int("status", status), zap.Error(err))
	if classify(&o) == kindOther {
		w.Header().Set(headerRequestID, reference)
		writeJSON(w, r, status, errorAnswer{Error: "app_unavailable"})
		return
	}
	e.page(w, r, e.siteOf(o.Host), page{Kind: pageAppAway, Status: status, Reference: reference, ReturnTo: returnToFromURI(o.URI)})
}

// loginFrom is where a login starts that comes back to the page that sent a request, if that is one of the site's.
func (s *site) loginFrom(o *Original) string {
	if rd := refererPath(o.Header.Get("Referer"), s.origin); rd != "" {
		return s.loginFor(rd) + s.engine.policyQuery(o.Policy, "&")
	}
	return s.origin + pathLogin + s.engine.policyQuery(o.Policy, "?")
}

// loginRequired answers a request that is no navigation: 401 with where a login would start, and nothing set.
func (e *Engine) loginRequired(w http.ResponseWriter, r *http.Request, s *site, o Original) {
	login := s.loginFrom(&o)
	w.Header().Set(headerLoginURL, login)
	if o.Header["Sec-Fetch-Mode"] == nil && o.Header["Sec-Fetch-Site"] == nil {
		w.Header().Set("WWW-Authenticate", `Vipps realm="`+s.host+`"`)
	}
	refuseProgram(w, r, o.Header, http.StatusUnauthorized, errorAnswer{Error: "login_required", LoginURL: login}, rpcUnauthenticated)
}

// refererPath is the path of a same-origin Referer, and "" for any other.
func refererPath(referer, origin string) string {
	rest, ok := strings.CutPrefix(referer, origin)
	if !ok || !strings.HasPrefix(rest, "/") {
		return ""
	}
	rest, _, _ = strings.Cut(rest, "#")
	rd, ok := cleanReturnTo(rest)
	if !ok {
		return ""
	}
	return rd
}

// navigationOnly lets navigations through to the pages that start or end a login; a request that is none gets
// the 401 that it would get anywhere, and no state is made for it.
func (e *Engine) navigationOnly(w http.ResponseWriter, r *http.Request, s *site, o Original) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		e.methodNotAllowed(w, r, s, "GET")
		return false
	}
	if accept := r.Header["Accept"]; r.Header["Sec-Fetch-Mode"] == nil && r.Header["X-Requested-With"] == nil && !isPrefetch(r.Header) &&
		(len(accept) == 0 || len(accept) == 1 && accept[0] == "*/*") {
		return true // curl, which has followed a redirect here
	}
	switch classify(&Original{Method: r.Method, Scheme: o.Scheme, Host: o.Host, URI: o.URI, Header: r.Header}) {
	case kindNavigation:
		return true
	case kindPageOtherWay:
		e.resendPage(w, r, s, Original{Method: r.Method, Header: r.Header})
	default:
		e.loginRequired(w, r, s, Original{Header: r.Header})
	}
	return false
}

func (e *Engine) methodNotAllowed(w http.ResponseWriter, r *http.Request, s *site, allow string) {
	w.Header().Set("Allow", allow)
	e.page(w, r, s, page{Kind: pageError, Status: http.StatusMethodNotAllowed, Code: codeBadForm})
}

func (e *Engine) tooLargeOrBad(w http.ResponseWriter, r *http.Request, s *site, err error) {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		e.page(w, r, s, page{Kind: pageTooLarge, Status: http.StatusRequestEntityTooLarge})
		return
	}
	e.page(w, r, s, page{Kind: pageError, Status: http.StatusBadRequest, Code: codeBadForm})
}

const referenceAlphabet = "23456789ABCDEFGHJKMNPQRSTVWXYZ"

// newReference is what an error page and its log line share: short enough to be read out on the phone.
func newReference() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program first
	for i, v := range b {
		b[i] = referenceAlphabet[int(v)%len(referenceAlphabet)]
	}
	return string(b[:4]) + "-" + string(b[4:])
}

func (e *Engine) logCookieError(which string, err error) {
	e.log.Error("a cookie could not be written", zap.String("cookie", which), zap.Error(err))
}

// logSessionTooBig names the claim that makes a session too big for a browser, and not its value.
func (e *Engine) logSessionTooBig(d *sessionData, err error) {
	var claim string
	size := 0
	for _, c := range d.Claims {
		if len(c.Value) > size {
			claim, size = c.Name, len(c.Value)
		}
	}
	e.log.Error("the session is too big for a cookie: list fewer headers", zap.String("largest_claim", claim), zap.Int("bytes", size), zap.Error(err))
}

// logLimiter lets so many messages of a kind through in a minute, so that nobody fills the log from outside. Kinds are
// ours, and each has its own count, so that one doesn't silence another.
type logLimiter struct {
	mu    sync.Mutex
	since time.Time
	said  map[string]int
	under map[string]string // the references of what allowOnce has let through
}

// manyMessages is the most a minute of what a client can bring about in many ways.
const manyMessages = 20

func (l *logLimiter) allow(kind string, most int, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if age := now.Sub(l.since); l.said == nil || age >= time.Minute || age < 0 {
		l.since, l.said, l.under = now, make(map[string]int), make(map[string]string)
	}
	l.said[kind]++
	return l.said[kind] <= most
}

// allowOnce lets a message about one thing, such as a peer, through once a minute, and about so many of them.
func (l *logLimiter) allowOnce(kind, about string, now time.Time) bool {
	key := kind + "\x00" + about // no kind has a NUL
	l.mu.Lock()
	told := l.said[key] > 0 && now.Sub(l.since) < time.Minute
	l.mu.Unlock()
	return !told && l.allow(kind, manyMessages, now) && l.allow(key, 1, now)
}

// reference is what the page about one thing shares with the log's line about it, in which logged is to write it. Who
// loads the page again within the minute gets the same; what the log has no line of has none.
func (l *logLimiter) reference(kind, about string, now time.Time, logged func(reference string)) string {
	key := kind + "\x00" + about
	if l.allowOnce(kind, about, now) {
		reference := newReference()
		logged(reference)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.under[key] = reference
		return reference
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.under[key]
}
