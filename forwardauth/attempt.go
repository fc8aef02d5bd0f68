package forwardauth

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// Names of our cookies, without the __Host- prefix that they carry on https.
const (
	cookieName = "vippsauth"
	hintSuffix = "-hint"
	attemptMid = "-login-"
)

const (
	attemptVersion  = 1
	attemptTTL      = 30 * time.Minute
	maxAttempts     = 5
	maxAttemptBytes = 6500 // of their cookies together: with the session they fit the 8 KB that many a proxy reads
	maxListed       = 24   // attempts that are looked at in one request, the oldest first as browsers send them: all work is bounded by it
	maxNamesakes    = 4    // cookies that are looked at as the attempt of one state
	maxState        = 512
	maxStateSealed  = maxState - stateIDLength - 1
	maxStateReturn  = 180 // a longer return path stays in the cookie alone
	stateIDLength   = 43
	attemptIDLength = 12 // of the state's id, in the name of the cookie
	attemptTimeLen  = 7  // base 36 seconds, in front of it: the oldest attempts are pruned by name
)

// attempt is one login on its way. It is sealed in a cookie of its own, so that several tabs all finish.
//
// What its seal is bound to (issuer, client, site) is not in it, and of the state only a hash: five attempts must fit a
// proxy's buffer for the Cookie header beside the session.
type attempt struct {
	Pending  vipps.PendingLogin
	State    string // the SHA-256 of Pending.State
	ReturnTo string
	Clicked  bool // a person asked for it
	Confirm  bool // before the session exists a page asks who continues
	Round    int64
	Mode     mode // what follows when a silent attempt misses
}

func (a *attempt) payload() []byte {
	p := &a.Pending
	b := session.AppendVersion(nil, attemptVersion)
	for _, s := range []string{a.State, p.Nonce, p.Verifier, p.ACRValues, a.ReturnTo} {
		b = session.AppendText(b, s)
	}
	b = session.AppendBool(b, p.Silent)
	b = session.AppendBool(b, a.Clicked)
	b = session.AppendBool(b, a.Confirm)
	b = appendMoment(b, p.Started)
	b = session.AppendInt(b, a.Round)
	return session.AppendInt(b, int64(a.Mode))
}

func (a *attempt) read(payload []byte) error {
	r := session.NewReader(payload)
	if r.Version() != attemptVersion {
		return session.ErrPayload
	}
	p := &a.Pending
	for _, s := range []*string{&a.State, &p.Nonce, &p.Verifier, &p.ACRValues, &a.ReturnTo} {
		*s = r.Text()
	}
	p.Silent = r.Bool()
	a.Clicked = r.Bool()
	a.Confirm = r.Bool()
	p.Started = readMoment(r)
	a.Round = r.Int()
	a.Mode = mode(r.Int())
	return r.Done()
}

// pending is the login to finish, with the state that the callback brought, if that is the attempt's.
func (a *attempt) pending(e *Engine, s *site, state string) (*vipps.PendingLogin, bool) {
	if subtle.ConstantTimeCompare([]byte(hashState(state)), []byte(a.State)) != 1 {
		return nil, false
	}
	p := a.Pending
	p.Issuer, p.ClientID, p.RedirectURI, p.State = e.client.Issuer(), e.client.Party(), s.redirectURI, state
	return &p, true
}

func hashState(state string) string {
	sum := sha256.Sum256([]byte(state))
	return string(sum[:])
}

// carried is what the state parameter carries besides its id, sealed: enough to go on when the cookie of the
// attempt is lost, because the person came back in another browser or from an old tab.
type carried struct {
	ReturnTo string
	Round    int64
	Clicked  bool
	Silent   bool
	Mode     mode
}

// seal returns the text for the state parameter.
func (c carried) seal(box *session.Box) (string, error) {
	if len(c.ReturnTo) > maxStateReturn {
		c.ReturnTo = "/"
	}
	b := session.AppendVersion(nil, attemptVersion)
	b = session.AppendText(b, c.ReturnTo)
	b = session.AppendInt(b, c.Round)
	b = session.AppendBool(b, c.Clicked)
	b = session.AppendBool(b, c.Silent)
	b = session.AppendInt(b, int64(c.Mode))
	return box.Seal(b)
}

func (c *carried) open(box *session.Box, text string) bool {
	if text == "" || len(text) > maxStateSealed {
		return false
	}
	payload, err := box.Open(text)
	if err != nil {
		return false
	}
	r := session.NewReader(payload)
	if r.Version() != attemptVersion {
		return false
	}
	c.ReturnTo = r.Text()
	c.Round = r.Int()
	c.Clicked = r.Bool()
	c.Silent = r.Bool()
	c.Mode = mode(r.Int())
	return r.Done() == nil
}

// start describes a login to start.
type start struct {
	returnTo string
	silent   bool
	clicked  bool
	round    int64
	mode     mode
	acr      string // what a policy asks for; empty: what all logins must prove
}

// confirms reports whether a page asks who continues, given that somebody logged out before or another is logged in.
func (e *Engine) confirms(another bool) bool {
	return e.cfg.ConfirmPerson == ConfirmAlways || another && e.cfg.ConfirmPerson == ConfirmAfterLogout
}

// startLogin makes the attempt's cookie and sends the browser to the provider.
func (e *Engine) startLogin(w http.ResponseWriter, r *http.Request, s *site, st start, h hint) {
	if !e.mayStart(w, r, s, st, h) {
		return
	}
	now := e.now()
	id := vipps.NewStateID()
	suffix, err := carried{ReturnTo: st.returnTo, Round: st.round, Clicked: st.clicked, Silent: st.silent, Mode: st.mode}.seal(s.states)
	if err != nil {
		e.fail(w, r, s, failure{code: codeInternal, returnTo: st.returnTo, err: err})
		return
	}
	request := vipps.LoginRequest{RedirectURI: s.redirectURI, Silent: st.silent, ID: id, StateSuffix: suffix, ACRValues: st.acr}
	e.cfg.addAppFlow(&request)
	pending, location, err := e.client.BeginLogin(r.Context(), request)
	if err != nil {
		if st.mode.readsOn(st.clicked) {
			e.logFailure(newReference(), s, codeOf(err, ""), err)
			e.notNow(w, r, s, st, h, now)
			return
		}
		e.fail(w, r, s, failure{code: codeOf(err, ""), returnTo: st.returnTo, err: err})
		return
	}
	e.warnStale()
	now = e.now() // what the provider's metadata took is not the person's time
	pending.Started = now
	a := attempt{Pending: *pending, State: hashState(pending.State), ReturnTo: st.returnTo, Clicked: st.clicked, Confirm: e.confirms(h.Logout != notLoggedOut), Round: st.round, Mode: st.mode}
	if err := e.saveAttempt(w, r, s, id, a.payload(), s.pending); err != nil {
		e.fail(w, r, s, failure{code: codeInternal, returnTo: st.returnTo, err: err})
		return
	}
	if st.silent {
		h.SilentStarted = now
		// Only those that say that they navigate count, as browsers do. A script that says so too can make everybody's
		// login take one more click for an hour, and no more than that.
		if r.Header["Sec-Fetch-Mode"] != nil && e.state.silentStarted(now) {
			e.metrics.silentPaused.Inc()
			e.log.Error("silent login pauses for an hour: none of the last attempts came back from the provider",
				zap.Int("attempts", silentVanishedAt))
		}
	}
	e.remember(w, r, s, h, now)
	e.metrics.started(st.silent)
	redirect(w, r, location)
}

// attemptJar is the cookie of the attempt with this state id.
func attemptJar(s *site, id string, now time.Time) session.Jar {
	return namedJar(s, s.attemptName()+timePrefix(now)+id[:attemptIDLength])
}

func timePrefix(t time.Time) string {
	text := strconv.FormatInt(max(0, t.Unix()), 36)
	return strings.Repeat("0", max(0, attemptTimeLen-len(text))) + text
}

func (s *site) attemptName() string { return s.cookie + attemptMid }

func namedJar(s *site, name string) session.Jar { return session.Jar{Name: name, Secure: s.secure} }

// saveAttempt seals a payload in a cookie of its own and prunes the oldest of those that are there, by number and by
// size.
func (e *Engine) saveAttempt(w http.ResponseWriter, r *http.Request, s *site, id string, payload []byte, box *session.Box) error {
	sealed, err := box.Seal(payload)
	if err != nil {
		return err
	}
	names := attemptCookies(s, r.Header)
	slices.Sort(names) // the time in the name makes this the order of age; what isn't ours to read goes first
	size := len(sealed)
	for _, name := range names {
		size += attemptSize(s, r.Header, name)
	}
	for len(names) > 0 && (len(names) >= maxAttempts || size > maxAttemptBytes) {
		size -= attemptSize(s, r.Header, names[0])
		for _, by := range []overtaking{byLogout, byLogin} { // of which this attempt will not be told any more
			e.overtakeOne(s, r.Header, names[0], by, e.now())
		}
		e.clearNamed(w, r, s, names[0])
		names = names[1:]
	}
	jar := attemptJar(s, id, e.now())
	return jar.Set(w, r, sealed, attemptTTL)
}

func attemptSize(s *site, h http.Header, name string) int {
	jar := namedJar(s, name)
	value, _ := jar.Get(h)
	return len(name) + len(value)
}

func (e *Engine) clearNamed(w http.ResponseWriter, r *http.Request, s *site, name string) {
	jar := namedJar(s, name)
	jar.Clear(w, r)
}

// overtaking is what happened in a browser while a login was on its way.
type overtaking string

const (
	byLogout overtaking = "out "
	byLogin  overtaking = "in "
)

// overtake notes which logins are on their way in this browser while somebody logs out or in. The callback of one may be
// waiting for the provider just now: it knows the cookies from before only, and must not put a person or a memory in the
// place of what has come since.
func (e *Engine) overtake(s *site, header http.Header, by overtaking, now time.Time) {
	for _, name := range attemptCookies(s, header) {
		e.overtakeOne(s, header, name, by, now)
	}
}

func (e *Engine) overtakeOne(s *site, header http.Header, name string, by overtaking, now time.Time) {
	jar := namedJar(s, name)
	value, _ := jar.Get(header)
	var a attempt
	if payload, err := s.pending.Open(value); err == nil && a.read(payload) == nil {
		e.state.overtaken.add(string(by)+a.State, now, now.Add(attemptTTL))
	}
}

// overtaken reports whether that has happened to an attempt, in this process.
func (e *Engine) overtaken(a *attempt, by overtaking, now time.Time) bool {
	return e.state.overtaken.has(string(by)+a.State, now)
}

// clearAttempts forgets every login that is on its way in this browser.
func (e *Engine) clearAttempts(w http.ResponseWriter, r *http.Request, s *site) {
	e.overtake(s, r.Header, byLogout, e.now())
	for _, name := range attemptCookies(s, r.Header) {
		e.clearNamed(w, r, s, name)
	}
}

// attemptCookies returns the names, without prefix, of the first maxListed attempts that the browser sent. A login clears
// those that are too many, so an honest browser has a handful.
func attemptCookies(s *site, h http.Header) []string {
	prefix := attemptPrefix(s)
	var names []string
	for name := range session.Cookies(h) {
		name, _, _ = strings.Cut(name, ".") // a chunk is its cookie's
		if strings.HasPrefix(name, prefix) && isToken(name) && !slices.Contains(names, name) {
			if names = append(names, name); len(names) == maxListed {
				break
			}
		}
	}
	for i := range names {
		names[i] = strings.TrimPrefix(names[i], hostPrefix)
	}
	return names
}

// attemptPrefix is what the names of all attempts begin with.
func attemptPrefix(s *site) string {
	if s.secure {
		return hostPrefix + s.attemptName()
	}
	return s.attemptName()
}

// What cookies on https begin with: those of one host, and those of a shared domain.
const (
	hostPrefix   = "__Host-"
	domainPrefix = "__Secure-"
)

// findAttempt returns the name and the value of the cookie of the attempt with this state id.
func findAttempt(s *site, h http.Header, id string) (name, value string, ok bool) {
	prefix := attemptPrefix(s)
	var seen []string
	for name := range session.Cookies(h) {
		if len(name) != len(prefix)+attemptTimeLen+attemptIDLength || !strings.HasSuffix(name, id[:attemptIDLength]) ||
			!strings.HasPrefix(name, prefix) || !isToken(name) || slices.Contains(seen, name) {
			continue
		}
		seen = append(seen, name)
		bare := strings.TrimPrefix(name, hostPrefix)
		jar := namedJar(s, bare)
		if value, found := jar.Get(h); found == session.One {
			return bare, value, true
		}
		if len(seen) == maxNamesakes {
			break
		}
	}
	return "", "", false
}

// ownCookie reports whether a cookie of this name is ours. None of them reaches the app.
func ownCookie(name string) bool {
	name = strings.TrimPrefix(strings.TrimPrefix(name, hostPrefix), domainPrefix)
	return name == cookieName || strings.HasPrefix(name, cookieName+".") || strings.HasPrefix(name, cookieName+"-")
}

// splitState checks the form of a state of ours and returns its parts.
func splitState(state string) (id, suffix string, ok bool) {
	if len(state) > maxState {
		return "", "", false
	}
	id, suffix, _ = strings.Cut(state, ".")
	if len(id) != stateIDLength || strings.ContainsFunc(state, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
	}) {
		return "", "", false
	}
	return id, suffix, true
}
