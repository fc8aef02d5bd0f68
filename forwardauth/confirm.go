package forwardauth

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"time"

	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// confirmation is a finished login that waits for "Continue as …". It is no session: nothing but the answer
// of the browser that holds it makes it one.
type confirmation struct {
	Session sessionData
	Clicked bool
	Made    time.Time
}

func (c *confirmation) payload() []byte {
	b := session.AppendVersion(nil, attemptVersion)
	b = session.AppendText(b, string(c.Session.payload()))
	b = session.AppendBool(b, c.Clicked)
	return appendMoment(b, c.Made)
}

func (c *confirmation) read(payload []byte) error {
	r := session.NewReader(payload)
	if r.Version() != attemptVersion {
		return session.ErrPayload
	}
	data := r.Text()
	c.Clicked = r.Bool()
	c.Made = readMoment(r)
	if err := r.Done(); err != nil {
		return err
	}
	return c.Session.read([]byte(data))
}

// askPerson keeps a finished login in the attempt's cookie and goes on to the page that asks who continues.
func (e *Engine) askPerson(w http.ResponseWriter, r *http.Request, s *site, a *attempt, d *sessionData, kind resultKind) {
	id := vipps.NewStateID()
	c := confirmation{Session: *d, Clicked: a.Clicked, Made: d.Issued}
	if err := e.saveAttempt(w, r, s, id, c.payload(), s.confirms); err != nil {
		e.logSessionTooBig(d, err)
		e.toResult(w, r, s, result{Kind: resultLoop, ReturnTo: a.ReturnTo, Cause: causeTooBig}, err)
		return
	}
	e.toResult(w, r, s, result{Kind: kind, ID: id, ReturnTo: a.ReturnTo}, nil)
}

// findConfirmation opens the login that waits under this id in this browser.
func (e *Engine) findConfirmation(s *site, header http.Header, id string) (name string, c confirmation, ok bool) {
	if len(id) != stateIDLength {
		return "", c, false
	}
	name, value, found := findAttempt(s, header, id)
	if !found {
		return "", c, false
	}
	payload, err := s.confirms.Open(value)
	if err != nil || c.read(payload) != nil {
		return name, confirmation{}, false
	}
	age := e.now().Sub(c.Made)
	h := e.hint(s, header)
	ended := e.state.isRevoked(refOf(e.client.Issuer(), &c.Session), e.now())
	return name, c, age < resultTTL && age > -clockSkew && !ended && !h.loggedOutSince(c.Made)
}

func (e *Engine) confirmPage(w http.ResponseWriter, r *http.Request, s *site, res result, token string) {
	now := e.now()
	name, c, ok := e.findConfirmation(s, r.Header, res.ID)
	landed := res.Kind == resultLanded
	op, _ := e.session(s, r.Header, now)
	if op != nil && (!ok || !landed && op.data.Sub == c.Session.Sub) {
		if name != "" {
			e.clearNamed(w, r, s, name)
		}
		e.loginDone(w, r, s, op, res.ReturnTo, now)
		return
	}
	if !ok {
		e.page(w, r, s, page{Kind: pageError, Status: http.StatusBadRequest, Code: codeLostState, ReturnTo: res.ReturnTo})
		return
	}
	p := page{
		Kind: pageConfirm, Person: c.Session.masked(), Token: token, ReturnTo: res.ReturnTo,
		AfterLogout: e.hint(s, r.Header).Logout != notLoggedOut, Landed: landed,
	}
	if p.Instead = insteadOf(op, &c, res.ID); p.Instead != "" {
		p.Other = op.data.masked()
	}
	e.page(w, r, s, p)
}

// insteadOf says, in a form that tells nobody else who it is, which person's session a login would replace: "" for none.
func insteadOf(op *opened, c *confirmation, id string) string {
	if op == nil || op.data.Sub == c.Session.Sub {
		return ""
	}
	sum := sha256.Sum256([]byte(id + "\x00" + op.data.Sub))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// hasChanged reports whether somebody else is logged in by now than the page has said that a login from elsewhere would
// replace. Nobody has agreed to that.
func (e *Engine) hasChanged(s *site, header http.Header, form url.Values, c *confirmation, id string, now time.Time) bool {
	op, _ := e.session(s, header, now)
	instead := insteadOf(op, c, id)
	return instead != "" && form.Get("instead") != instead
}

// personAnswered makes the session of whoever says "that's me", and none for anybody else.
func (e *Engine) personAnswered(w http.ResponseWriter, r *http.Request, s *site) {
	form, ok := e.ownForm(w, r, s)
	if !ok {
		return
	}
	now := e.now()
	res, ok := e.openResult(s, form.Get("token"))
	var name string
	var c confirmation
	if ok && (res.Kind == resultConfirm || res.Kind == resultLanded) {
		name, c, ok = e.findConfirmation(s, r.Header, res.ID)
	}
	rd := s.returnTo(res.ReturnTo)
	if !ok || name == "" {
		if op, _ := e.session(s, r.Header, now); op != nil {
			e.loginDone(w, r, s, op, rd, now)
			return
		}
		e.page(w, r, s, page{Kind: pageError, Status: http.StatusBadRequest, Code: codeLostState, ReturnTo: rd})
		return
	}
	if res.Kind == resultLanded && form.Get("choice") == "continue" && e.hasChanged(s, r.Header, form, &c, res.ID, now) {
		redirect(w, r, s.origin+pathResult+"?t="+url.QueryEscape(form.Get("token"))) // which says who it is
		return
	}
	e.clearNamed(w, r, s, name)
	if !e.state.use(res.ID, now, now.Add(resultTTL+clockSkew)) {
		e.page(w, r, s, page{Kind: pageError, Status: http.StatusBadRequest, Code: codeUsedState, ReturnTo: rd})
		return
	}
	if form.Get("choice") != "continue" {
		e.clearAttempts(w, r, s)
		e.metrics.notMe.Inc()
		if op, _ := e.session(s, r.Header, now); op != nil { // somebody else is logged in, and stays so
			e.loginDone(w, r, s, op, rd, now)
			return
		}
		h := e.hint(s, r.Header)
		h.Logout, h.LoggedOutAt = waitsForClick, now
		e.remember(w, r, s, h, now)
		redirect(w, r, s.loginFor(rd))
		return
	}
	d := c.Session // with its ID: a logout ends what waited here as well, wherever there is a copy of it
	d.Issued, d.Expires = now, now.Add(e.cfg.SessionTTL)
	if e.cfg.SessionIdle > 0 {
		d.IdleUntil = now.Add(e.cfg.SessionIdle)
	}
	e.beginSession(w, r, s, &d, rd, true, now)
}
