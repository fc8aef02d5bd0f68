package forwardauth

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/vippsauth/vippsauth/session"
)

// logout answers /_vipps/logout: a GET asks, a POST from our own page ends the session.
func (e *Engine) logout(w http.ResponseWriter, r *http.Request, s *site, o Original) {
	if r.Method == http.MethodPost {
		e.loggedOut(w, r, s)
		return
	}
	if !e.navigationOnly(w, r, s, o) {
		return
	}
	op, _ := e.session(s, r.Header, e.now())
	p := page{Kind: pageLogout}
	switch {
	case op != nil:
		p.Person = op.data.masked()
	case e.hint(s, r.Header).Logout == waitsForClick:
		e.page(w, r, s, page{Kind: pageLoggedOut, AfterLogout: true, NotKept: r.URL.RawQuery == notKeptMark})
		return
	}
	// Without a session the page asks as well: the app may still have one of its own, and Vipps may remember the browser.
	if rd := r.URL.Query()["rd"]; len(rd) == 1 {
		p.ReturnTo = s.returnTo(rd[0])
	}
	e.page(w, r, s, p)
}

// notKeptMark in the query of the logged-out page says that the end of the session isn't saved yet. Whoever sends a person
// to such an address shows them a sentence too careful, and nothing else.
const notKeptMark = "kept=not-yet"

// loggedOut ends the session, here and now: its cookie is cleared, and its value opens no more, wherever that could be
// saved. The app's own session goes with it, and the next login waits for a click.
func (e *Engine) loggedOut(w http.ResponseWriter, r *http.Request, s *site) {
	form, ok := e.ownForm(w, r, s)
	if !ok {
		return
	}
	now := e.now()
	kept := e.endSessions(s, r.Header, now)
	s.jar.Clear(w, r)
	e.clearAttempts(w, r, s)
	e.expireAppCookies(w)
	h := e.hint(s, r.Header)
	h = hint{Logout: waitsForClick, LoggedOutAt: now, MissUntil: h.MissUntil}
	rd, asked := form["rd"]
	if form.Get("then") == "login" {
		e.clickedLogin(w, r, s, s.returnToOf(form), "", h, now)
		return
	}
	e.remember(w, r, s, h, now)
	if !kept { // whatever rd shows, it would say less than there is to know
		redirect(w, r, s.origin+pathLogout+"?"+notKeptMark)
		return
	}
	if asked && len(rd) == 1 && rd[0] != "" {
		redirect(w, r, s.at(s.returnTo(rd[0])))
		return
	}
	redirect(w, r, s.origin+pathLogout)
}

// endSessions revokes every session that the request carries, however many cookies of the name there are, and reports
// whether that is kept.
func (e *Engine) endSessions(s *site, header http.Header, now time.Time) (kept bool) {
	values := s.jar.Values(header)
	if len(values) == 0 {
		for name, value := range session.Cookies(header) {
			if name == s.jar.CookieName() {
				values = append(values, value)
			}
		}
	}
	var savings []*saving
	again := false
	for _, value := range values {
		op, why := e.open(s, value, now)
		s.opened.remove(value)
		if op != nil {
			savings = append(savings, e.endSession(op.ref, op.data.Expires, now))
			e.metrics.logouts.Inc()
		}
		again = again || why == cookieRevoked
	}
	switch {
	case !allKept(savings):
		e.metrics.unsaved.Inc()
		return false
	case again: // a second click on "log out" is told what the first was
		return e.state.unsaved() == 0
	default:
		return true
	}
}

// expireAppCookies ends the app's own session, so that it never outlives the person.
func (e *Engine) expireAppCookies(w http.ResponseWriter) {
	for _, name := range e.cfg.AppCookies {
		w.Header().Add("Set-Cookie", name+"=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; SameSite=Lax"+secureFor(name))
	}
}

// secureFor returns the attributes without which a browser ignores a cookie of this name.
func secureFor(name string) string {
	if len(name) > 2 && name[:2] == "__" {
		return "; Secure"
	}
	return ""
}

// jsonClaim is a claim as JSON has it: the truth values of OpenID Connect Core section 5.1 are no text, and neither are
// addresses, accounts and consents, which a header has as JSON. Other claims stay text, whatever a person has written there.
func jsonClaim(c claimValue) any {
	switch c.Name {
	case "address", "other_addresses", "accounts", claimConsents:
		if json.Valid([]byte(c.Value)) {
			return json.RawMessage(c.Value)
		}
	}
	if strings.HasSuffix(c.Name, "_verified") {
		return c.Value == "true"
	}
	return c.Value
}

// meAnswer is the body of /_vipps/me.
type meAnswer struct {
	Sub       string         `json:"sub"`
	Claims    map[string]any `json:"claims"`
	AuthTime  time.Time      `json:"auth_time"`
	IssuedAt  time.Time      `json:"issued_at"`
	ExpiresAt time.Time      `json:"expires_at"`
}

// me answers /_vipps/me: the released claims of the session, to pages of the site itself.
func (e *Engine) me(w http.ResponseWriter, r *http.Request, s *site) {
	if typed := slices.Equal(r.Header["Sec-Fetch-Site"], []string{"none"}); !typed && !sameOriginPost(r, s.origin) {
		writeJSON(w, r, http.StatusForbidden, errorAnswer{Error: "cross_origin"})
		return
	}
	op, _ := e.session(s, r.Header, e.now())
	switch {
	case op == nil:
		e.loginRequired(w, r, s, Original{Header: r.Header})
	case !e.allowedSomewhere(op):
		writeJSON(w, r, http.StatusForbidden, errorAnswer{Error: "forbidden"})
	default:
		answer := meAnswer{
			Sub: op.data.Sub, Claims: map[string]any{},
			AuthTime: op.data.AuthTime, IssuedAt: op.data.Issued, ExpiresAt: time.Unix(op.until, 0).UTC(),
		}
		for _, c := range op.data.Claims {
			if e.released[c.Name] && c.Name != "nin" {
				answer.Claims[c.Name] = jsonClaim(c)
			}
		}
		writeJSON(w, r, http.StatusOK, answer)
	}
}
