package forwardauth

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxForm bounds the bodies of our own forms, in bytes.
const maxForm = 16 << 10

// login answers /_vipps/login: with a live session on to the page asked for, otherwise a login, silent first,
// or the page that waits for a click. A POST is a person's click.
func (e *Engine) login(w http.ResponseWriter, r *http.Request, s *site, o Original) {
	if r.Method == http.MethodPost {
		e.loginClicked(w, r, s)
		return
	}
	if !e.navigationOnly(w, r, s, o) {
		return
	}
	query := r.URL.Query()
	rd, now := s.returnToOf(query), e.now()
	policy := policyOf(query)
	op, why := e.session(s, r.Header, now)
	up := e.mustStepUp(op, policy, rd)
	if op != nil && !up {
		if !e.refuses(op, rd) && !e.renewalDue(op, now) && e.goesRound(w, r, s, rd, now) {
			return
		}
		e.loginDone(w, r, s, op, rd, now)
		return
	}
	if why == cookieConflict {
		s.jar.Clear(w, r)
	}
	m, asked := e.modeOf(query)
	if s.auth != "" {
		if asked {
			m = modeLogin
		}
		redirect(w, r, s.elsewhere(rd, m, policy))
		return
	}
	h := e.hint(s, r.Header)
	if up && h.passed(rd, now) {
		e.remember(w, r, s, h, now)
		e.stopLoop(w, r, s, rd, causeNotSeen, h.SessionSize)
		return
	}
	if h.rounds(why, now) >= loopRounds {
		e.loopPage(w, r, s, rd, h, why, o)
		return
	}
	e.nextLogin(w, r, s, start{returnTo: rd, clicked: asked, mode: m, acr: e.stepUps[policy]}, h, now)
}

// goesRound stops a browser that the login page sends on with a live session and that keeps coming back.
func (e *Engine) goesRound(w http.ResponseWriter, r *http.Request, s *site, rd string, now time.Time) bool {
	h := e.hint(s, r.Header)
	round := h.passed(rd, now)
	e.remember(w, r, s, h, now)
	if round {
		e.stopLoop(w, r, s, rd, causeNotSeen, h.SessionSize)
	}
	return round
}

// nextLogin does what comes next for a person without a session who did not click just now.
func (e *Engine) nextLogin(w http.ResponseWriter, r *http.Request, s *site, st start, h hint, now time.Time) {
	switch {
	case h.Logout == waitsForClick:
		e.loginPageFor(w, r, s, st, true)
	case h.Logout == clickedSince:
		e.startLogin(w, r, s, st, h)
	case st.acr == "" && e.silentDue(h, now): // one that proves more asks the person
		st.silent = true
		e.startLogin(w, r, s, st, h)
	case st.mode == modePage:
		e.loginPageFor(w, r, s, st, false)
	case st.mode.readsOn(st.clicked):
		e.readAnonymously(w, r, s, st.returnTo)
	default:
		e.startLogin(w, r, s, st, h)
	}
}

// loginClicked starts the login that a person asked for with a button of ours.
func (e *Engine) loginClicked(w http.ResponseWriter, r *http.Request, s *site) {
	form, ok := e.ownForm(w, r, s)
	if !ok {
		return
	}
	rd, now := s.returnToOf(form), e.now()
	policy := policyOf(form)
	if op, _ := e.session(s, r.Header, now); op != nil && !e.mustStepUp(op, policy, rd) {
		e.loginDone(w, r, s, op, rd, now)
		return
	}
	e.clickedLogin(w, r, s, rd, policy, e.hint(s, r.Header), now)
}

// clickedLogin starts a login for a person who clicked: silent first only where nothing is remembered against
// it, and with the full login to follow.
func (e *Engine) clickedLogin(w http.ResponseWriter, r *http.Request, s *site, rd, policy string, h hint, now time.Time) {
	st := start{returnTo: rd, clicked: true, mode: e.rules[0].mode, acr: e.stepUps[policy]}
	st.silent = st.acr == "" && e.silentDue(h, now)
	if h.Logout != notLoggedOut {
		h.Logout = clickedSince
		if h.LoggedOutAt.After(now) { // by the clock of another replica
			h.LoggedOutAt = now
		}
	}
	h.Successes, h.FirstSuccess, h.foreign = 0, time.Time{}, nil
	if s.auth != "" { // the click is in the hint, which that site shares
		e.remember(w, r, s, h, now)
		redirect(w, r, s.elsewhere(rd, modeLogin, policy))
		return
	}
	e.startLogin(w, r, s, st, h)
}

// refuses reports whether a person who is logged in may not go on to a page. Who may at another site is for that one to say.
func (e *Engine) refuses(op *opened, rd string) bool {
	if rd == pathPeople && e.listed(op) {
		return false
	}
	return strings.HasPrefix(rd, "/") && !e.allowedSomewhere(op)
}

// loginDone goes on with a live session, renewed where it has an idle limit.
func (e *Engine) loginDone(w http.ResponseWriter, r *http.Request, s *site, op *opened, rd string, now time.Time) {
	if e.refuses(op, rd) {
		e.forbidPage(w, r, s, op, page{ReturnTo: rd})
		return
	}
	if e.cfg.SessionIdle > 0 {
		d := op.data
		d.IdleUntil = now.Add(e.cfg.SessionIdle)
		if _, err := e.writeSession(w, r, s, &d, now); err != nil {
			e.logCookieError("session", err)
		}
	}
	redirect(w, r, s.at(rd))
}

// writeSession seals a session into its cookie and returns the size of its value, in bytes.
func (e *Engine) writeSession(w http.ResponseWriter, r *http.Request, s *site, d *sessionData, now time.Time) (int, error) {
	sealed, err := s.sessions.Seal(d.payload())
	if err != nil {
		return 0, err
	}
	maxAge := time.Duration(-1)
	if e.cfg.SessionPersist == PersistOn {
		maxAge = d.Expires.Sub(now)
	}
	return len(sealed), s.jar.Set(w, r, sealed, maxAge)
}

// ownForm reads a form of ours. It answers for itself, and returns false, when the request is not the person's
// own: from another origin, too large, or malformed.
func (e *Engine) ownForm(w http.ResponseWriter, r *http.Request, s *site) (url.Values, bool) {
	if !sameOriginPost(r, s.origin) {
		e.metrics.refused("cross_origin_form")
		e.page(w, r, s, page{Kind: pageError, Status: http.StatusForbidden, Code: codeBadForm})
		return nil, false
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		e.tooLargeOrBad(w, r, s, err)
		return nil, false
	}
	return r.PostForm, true
}
