package forwardauth

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// personAnswers is how long after its start an access_denied is a person's "no", in answer to a dialog, and
// not the provider's to an attempt without one.
const personAnswers = 3 * time.Second

// callback answers the redirect from the provider. It renders nothing: it goes on to the page asked for, or to
// /_vipps/result, whose URL holds neither code nor state. Whatever goes wrong here, a session that is there
// stays as it is.
func (e *Engine) callback(w http.ResponseWriter, r *http.Request, s *site, o Original) {
	if !e.navigationOnly(w, r, s, o) {
		return
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err == nil {
		_, err = vipps.ParseCallback(query)
	}
	if err != nil {
		e.toResult(w, r, s, result{Kind: resultError, Code: codeBadCallback}, err)
		return
	}
	state := query.Get("state")
	id, suffix, ok := splitState(state)
	if !ok {
		e.toResult(w, r, s, result{Kind: resultError, Code: codeBadCallback}, errors.New("the state parameter is missing or not of our making"))
		return
	}
	name, value, ok := findAttempt(s, r.Header, id)
	if !ok {
		e.lostAttempt(w, r, s, suffix, o)
		return
	}
	var a attempt
	payload, err := s.pending.Open(value)
	if err == nil {
		err = a.read(payload)
	}
	if err != nil {
		e.clearNamed(w, r, s, name)
		e.unopenableAttempt(w, r, s, suffix)
		return
	}
	a.ReturnTo = s.returnTo(a.ReturnTo) // of a site that may share no more
	e.finishAttempt(w, r, s, name, &a, state, query)
}

// finishAttempt goes on with the attempt that this browser started. Its state is compared before anything
// else of the answer counts, and it works once.
func (e *Engine) finishAttempt(w http.ResponseWriter, r *http.Request, s *site, name string, a *attempt, state string, query url.Values) {
	now := e.now()
	pending, ok := a.pending(e, s, state)
	if !ok {
		e.toResult(w, r, s, result{Kind: resultError, Code: codeBadCallback}, errors.New("the state parameter does not match the attempt's"))
		return
	}
	e.clearNamed(w, r, s, name)
	expires := pending.Started.Add(attemptTTL)
	if now.After(expires) || now.Before(pending.Started.Add(-clockSkew)) {
		e.toResult(w, r, s, result{Kind: resultError, Code: codeLostState, ReturnTo: a.ReturnTo}, errors.New("the login attempt has expired"))
		return
	}
	if pending.ACRValues != e.client.ACRValues() && !e.asksFor(pending.ACRValues) { // a login that began before the setting was changed proves less, or something else
		e.toResult(w, r, s, result{Kind: resultError, Code: codeLostState, ReturnTo: a.ReturnTo}, errors.New("the login attempt began with other acr_values"))
		return
	}
	if !e.state.use(a.State, now, expires) {
		e.toResult(w, r, s, result{Kind: resultError, Code: codeUsedState, ReturnTo: a.ReturnTo}, errors.New("the login attempt was used before"))
		return
	}
	if pending.Silent {
		e.state.silentReturned()
	}
	answered := cmp.Or(query.Get("error"), query.Get("error_code"))
	if query.Has("code") && (query.Has("error") || answered != "") {
		e.toResult(w, r, s, result{Kind: resultError, Code: codeBadCallback, ReturnTo: a.ReturnTo}, errors.New("the callback has both code and error"))
		return
	}
	login, err := e.client.FinishLogin(e.finishing(r.Context()), pending, query)
	if err != nil {
		e.attemptFailed(w, r, s, a, answered, err, now)
		return
	}
	e.warnStale()
	e.consented(r.Context(), s, login)
	e.metrics.finished(a.Pending.Silent, outcomeSuccess)
	e.log.Info("login completed", zap.String("site", s.host), zap.String("flow", flow(a.Pending.Silent)))
	e.attemptSucceeded(w, r, s, a, login)
}

// attemptFailed tells a silent miss, which goes on, from a person's answer and from a fault, which are told.
func (e *Engine) attemptFailed(w http.ResponseWriter, r *http.Request, s *site, a *attempt, answered string, err error, now time.Time) {
	code := codeOf(err, answered)
	if a.Pending.Silent && !e.overtaken(a, byLogout, now) && !e.overtaken(a, byLogin, now) {
		h := e.hint(s, r.Header)
		h.SilentStarted, h.MissUntil = time.Time{}, now.Add(e.cfg.SilentRetry)
		e.remember(w, r, s, h, now)
	}
	if a.Pending.Silent && silentMiss(answered, err, now.Sub(a.Pending.Started)) {
		e.metrics.finished(true, outcomeMiss)
		e.silentMissed(w, r, s, a)
		return
	}
	e.metrics.finished(a.Pending.Silent, outcomeOf(code))
	if a.Mode.readsOn(a.Clicked) && !personAnswered(code) {
		e.logFailure(newReference(), s, code, err)
		e.readAnonymously(w, r, s, a.ReturnTo)
		return
	}
	res := result{Kind: resultError, Code: code, ReturnTo: a.ReturnTo}
	var ve *vipps.Error
	if errors.As(err, &ve) && ve.Temporary() {
		res.Kind, res.RetryAfter = resultUnavailable, retryAfter(ve)
	}
	e.toResult(w, r, s, res, err)
}

// silentMiss reports whether what the provider answered says no more than that nobody could be logged in without
// a dialog. Any error code may, but for those that only a person causes. A fault that we found in the answer
// ourselves, such as another issuer's name, is none.
func silentMiss(answered string, err error, elapsed time.Duration) bool {
	var ve *vipps.Error
	if !errors.As(err, &ve) || !providersOwn(ve, answered) {
		return false
	}
	if ve.Code == "access_denied" {
		return elapsed < personAnswers
	}
	return !personAnswered(ve.Code)
}

// personAnswered reports whether only a person, or their app, gives this answer.
func personAnswered(code string) bool {
	return code == "access_denied" || code == "wrong_challenge" || code == "outdated_app_version"
}

// providersOwn reports whether an error is the provider's answer in the callback, and not our verdict on it.
func providersOwn(ve *vipps.Error, answered string) bool {
	return ve.Stage == vipps.StageAuthorize && answered != "" && (ve.Code == answered || ve.Code == vipps.CodeUnknown)
}

// silentMissed goes on after a miss: the full login at once for a person who clicked, otherwise what
// without_session says.
func (e *Engine) silentMissed(w http.ResponseWriter, r *http.Request, s *site, a *attempt) {
	res := result{ReturnTo: a.ReturnTo, Round: a.Round, Clicked: a.Clicked, Mode: a.Mode}
	switch {
	case a.Clicked || a.Mode == modeLogin:
		res.Kind = resultFull
	case a.Mode == modePage:
		res.Kind = resultLogin
	default:
		redirect(w, r, s.at(a.ReturnTo))
		return
	}
	e.toResult(w, r, s, res, nil)
}

// lostAttempt is a callback without its cookie: another browser after the app, an old tab, a second use. With
// a live session the person just goes on; without, the login restarts once.
func (e *Engine) lostAttempt(w http.ResponseWriter, r *http.Request, s *site, suffix string, o Original) {
	var c carried
	known := c.open(s.states, suffix)
	rd := s.returnTo(c.ReturnTo)
	if op, _ := e.session(s, r.Header, e.now()); op != nil {
		redirect(w, r, s.at(rd))
		return
	}
	e.metrics.lost.Inc()
	if known && c.Silent {
		e.state.silentReturned()
	}
	switch {
	case known && c.Mode.readsOn(c.Clicked):
		e.readAnonymously(w, r, s, rd)
	case !known && e.startedElsewhere(s, suffix):
		e.toResult(w, r, s, result{Kind: resultLoop, Cause: causeOtherHost}, errors.New("the login began on another of our sites: its redirect URI leads to the wrong host"))
	case !known:
		e.toResult(w, r, s, result{Kind: resultError, Code: codeLostState}, errors.New("no cookie for this login attempt, and a state that our keys don't open"))
	case e.cfg.AppFlow != AppFlowOff && !c.Silent: // the app chose the browser: no bounce without a click
		e.toResult(w, r, s, result{Kind: resultElsewhere, ReturnTo: rd}, nil)
	case c.Round == 0:
		e.toResult(w, r, s, result{Kind: resultRestart, ReturnTo: rd, Round: 1, Clicked: c.Clicked, Mode: c.Mode}, nil)
	default:
		e.toResult(w, r, s, result{Kind: resultLoop, ReturnTo: rd, Cause: e.lostCause(s, r, o)}, errors.New("the login attempt's cookie was lost again"))
	}
}

// startedElsewhere reports whether a state is of another public_url.
func (e *Engine) startedElsewhere(s *site, suffix string) bool {
	for _, other := range e.list {
		var c carried
		if other != s && c.open(other.states, suffix) {
			return true
		}
	}
	return false
}

// unopenableAttempt is a callback whose cookie is there, but sealed with a key that is not ours.
func (e *Engine) unopenableAttempt(w http.ResponseWriter, r *http.Request, s *site, suffix string) {
	var c carried
	c.open(s.states, suffix)
	rd := s.returnTo(c.ReturnTo)
	if op, _ := e.session(s, r.Header, e.now()); op != nil {
		redirect(w, r, s.at(rd))
		return
	}
	e.toResult(w, r, s, result{Kind: resultLoop, ReturnTo: rd, Cause: causeOtherKey},
		errors.New("the login attempt's cookie was sealed with another key: every replica needs the same cookie_keys"))
}

// lostCause is the likeliest reason why a browser brings none of our cookies back.
func (e *Engine) lostCause(s *site, r *http.Request, o Original) loopCause {
	switch {
	case s.secure && o.Scheme == "http":
		return causeHTTP
	case sent(&s.hintJar, r.Header) || sent(&s.jar, r.Header):
		return causeUnknown
	default:
		return causeCookiesRefused
	}
}

func sent(jar *session.Jar, h http.Header) bool {
	_, found := jar.Get(h)
	return found != session.None
}

// attemptSucceeded makes the session, or first asks who continues. Nobody's click means nobody's wish: an attempt that
// no person made gives way to a logout since, and to another person's session.
func (e *Engine) attemptSucceeded(w http.ResponseWriter, r *http.Request, s *site, a *attempt, login *vipps.Login) {
	now := e.now()
	h := e.hint(s, r.Header)
	loggedOut := h.loggedOutSince(a.Pending.Started) || e.overtaken(a, byLogout, now)
	another := h.Logout != notLoggedOut || loggedOut
	if !a.Clicked && (h.Logout == waitsForClick || loggedOut) {
		redirect(w, r, s.at(a.ReturnTo))
		return
	}
	d := e.newSession(login, now, false)
	op, _ := e.session(s, r.Header, now)
	replaces := op != nil && op.data.Sub != d.Sub || e.overtaken(a, byLogin, now)
	if replaces {
		if a.Pending.Silent && !a.Clicked {
			redirect(w, r, s.at(a.ReturnTo))
			return
		}
		another = true
	}
	another = another || a.Pending.Silent && wasAnothers(s, r.Header, d.Sub)
	// A login for a policy may have begun over a session, by nothing but a link: that puts nobody in another's place.
	byLink := replaces && !a.Clicked && a.Pending.ACRValues != e.client.ACRValues()
	if a.Confirm || byLink || e.confirms(another) {
		e.askPerson(w, r, s, a, d, resultConfirm)
		return
	}
	// On a site that is read anonymously the app may send people to the login page by itself: that is a round as well.
	e.beginSession(w, r, s, d, a.ReturnTo, a.Clicked && a.Mode != modeAnonymous, now)
}

// wasAnothers reports whether the browser has a session of another person that is over: unused for too long, or ended from elsewhere.
// Whoever is there now is more likely that person than one whom the provider happens to remember.
func wasAnothers(s *site, header http.Header, sub string) bool {
	return slices.ContainsFunc(s.jar.Values(header), func(value string) bool {
		var old sessionData
		payload, err := s.sessions.Open(value)
		return err == nil && old.read(payload) == nil && old.Sub != sub
	})
}

// readsOn reports whether a login that nobody asked for may fail without a word: the page can be read by anybody.
func (m mode) readsOn(clicked bool) bool { return m == modeAnonymous && !clicked }

// readAnonymously goes on to the page asked for without a login. The page's address says so, since a browser that keeps
// no cookies can't be told in any other way not to try again.
func (e *Engine) readAnonymously(w http.ResponseWriter, r *http.Request, s *site, rd string) {
	separator := "?"
	if strings.Contains(rd, "?") {
		separator = "&"
	}
	redirect(w, r, s.at(rd)+separator+anonymousMark)
}

// newSession keeps of a login what headers, policy and /_vipps/me need.
func (e *Engine) newSession(login *vipps.Login, now time.Time, landed bool) *sessionData {
	d := &sessionData{
		ID: vipps.NewStateID()[:22], Sub: login.User.Sub,
		AuthTime: login.AuthTime, Issued: now, Expires: now.Add(e.cfg.SessionTTL),
	}
	if d.AuthTime.IsZero() {
		d.AuthTime = login.IssuedAt
	}
	if e.cfg.SessionIdle > 0 {
		d.IdleUntil = now.Add(e.cfg.SessionIdle)
	}
	for _, name := range e.claims {
		value, ok := claimOf(login, name, landed)
		if !ok || name == "email" && !login.User.EmailVerified && e.cfg.EmailUnverified == EmailUnverifiedDrop {
			continue
		}
		if verified := login.User.PhoneNumberVerified; name == "phone_number" && verified != nil && !*verified {
			// A number that anybody may have typed in is nobody's, and lists of people hold numbers.
			if e.limits.allow("phone", 1, now) {
				e.log.Warn("a phone number is left out: the provider says that it is not verified", zap.String("cure", "have the person verify it at the provider, or list their sub"))
			}
			continue
		}
		d.Claims = append(d.Claims, claimValue{Name: name, Value: value})
	}
	return d
}

// claimOf is a claim as a session keeps it. What the login was worth is of the ID token alone, and how it came here of a
// login that landed alone: no claim about a person speaks for either.
func claimOf(login *vipps.Login, name string, landed bool) (value string, ok bool) {
	switch {
	case name == claimACR:
		return login.ACR, login.ACR != ""
	case (name == claimQR || name == claimQRDescription) && !landed:
		return "", false
	}
	return login.User.Claim(name)
}

// beginSession replaces whatever session the browser had by a fresh one and goes on to the page asked for. The
// app's own cookies survive only if it is the same person's session that goes on.
func (e *Engine) beginSession(w http.ResponseWriter, r *http.Request, s *site, d *sessionData, rd string, clicked bool, now time.Time) {
	size, err := e.writeSession(w, r, s, d, now)
	if err != nil {
		e.logSessionTooBig(d, err)
		e.toResult(w, r, s, result{Kind: resultLoop, ReturnTo: rd, Cause: causeTooBig}, err)
		return
	}
	if samePerson := e.retireSession(s, r.Header, d.Sub, now); !samePerson {
		e.expireAppCookies(w)
	}
	e.overtake(s, r.Header, byLogin, now)
	h := e.hint(s, r.Header)
	h.succeeded(clicked, d.Expires, size, now)
	e.remember(w, r, s, h, now)
	e.metrics.sessions.Inc()
	redirect(w, r, s.at(rd))
}

// retireSession ends the sessions of other people that the request still carries, and reports whether those
// that it carries, expired or not, are all this person's. A session of the same person lives on to its end:
// requests of another tab may be on their way with it.
func (e *Engine) retireSession(s *site, header http.Header, sub string, now time.Time) (samePerson bool) {
	values := s.jar.Values(header)
	samePerson = len(values) > 0
	for _, value := range values {
		var old sessionData
		payload, err := s.sessions.Open(value)
		if err == nil {
			err = old.read(payload)
		}
		ref := refOf(e.client.Issuer(), &old)
		if err != nil || e.state.isRevoked(ref, now) {
			samePerson = false
			continue
		}
		if old.Sub != sub {
			samePerson = false
			e.endSession(ref, old.Expires, now)
			s.opened.remove(value)
		}
	}
	return samePerson
}
