package emulator

import (
	"net/http"
	"strings"
	"time"
)

// Modes of Control.NoDialog. Beside them "error:<code>" answers every silent attempt with that error.
const (
	NoDialogReal         = "real"          // as documented: a code for a remembered browser with consent, else interaction_required
	NoDialogHit          = "hit"           // always a code: for the remembered person, else AutoApprove's, else the first one
	NoDialogMiss         = "miss"          // always interaction_required
	NoDialogIgnored      = "ignored"       // the parameter does nothing: the full pages are shown
	NoDialogNeverReturns = "never-returns" // the error page, and the client hears nothing
)

// startLogin goes on with an authorize request that passed every check: at once where nobody has to be asked, else to the pages.
func (e *Emulator) startLogin(w http.ResponseWriter, r *http.Request, req *request) {
	bid := e.browserID(w, r)
	e.mu.Lock()
	silent := req.silent && e.state.noDialog != NoDialogIgnored
	deny, auto, force := e.state.deny, e.state.auto, e.state.remember
	rem, _ := e.state.browsers.get(bid)
	remembered := rem.person
	e.mu.Unlock()

	switch {
	case silent && e.cfg.Spinner < 0:
		e.finishSilent(w, r, req, bid)
	case silent:
		e.toPages(w, req, bid, stepSpinner, "")
	case deny != "":
		e.refuseInApp(w, r, req, deny)
	case auto != "":
		e.approve(w, r, req, bid, auto, force)
	case remembered != "" && req.acr != "":
		e.toPages(w, req, bid, stepChallenge, remembered)
	case remembered != "":
		e.continueRemembered(w, req, bid, rem.authTime, remembered)
	default:
		e.toPages(w, req, bid, stepLanding, "")
	}
}

// approve is AutoApprove at work: what a person would have clicked.
func (e *Emulator) approve(w http.ResponseWriter, r *http.Request, req *request, bid, personID string, remember bool) {
	e.mu.Lock()
	now := e.nowLocked()
	req.answers = newAnswers(e.state.lacking(req, personID), e.state.ticksByItself, false, now)
	e.state.consent(req.clientID, personID, req.scopes)
	if remember {
		e.state.browsers.put(bid, browser{person: personID, authTime: now})
	}
	var code string
	if req.flow != flowAppToApp {
		code = e.state.issue(req, personID, now, now)
	}
	e.mu.Unlock()
	if remember {
		e.setCookie(w, bid, true)
	}
	if code == "" {
		e.approvedInApp(w, r, req, bid, personID)
		return
	}
	e.redirectCode(w, req, code)
}

// continueRemembered is the direct login of a remembered browser: only a consent that lacks is asked for.
func (e *Emulator) continueRemembered(w http.ResponseWriter, req *request, bid string, authTime time.Time, personID string) {
	e.mu.Lock()
	lack := e.state.lacking(req, personID)
	var code string
	if len(lack) == 0 {
		code = e.state.issue(req, personID, authTime, e.nowLocked())
	}
	e.mu.Unlock()
	if code == "" {
		e.toPages(w, req, bid, stepConsent, personID)
		return
	}
	e.redirectCode(w, req, code)
}

// finishSilent answers a no_dialog attempt: a code if the browser is remembered and every consent is there, an error otherwise.
func (e *Emulator) finishSilent(w http.ResponseWriter, r *http.Request, req *request, bid string) {
	e.mu.Lock()
	mode := e.state.noDialog
	b, _ := e.state.browsers.get(bid)
	var person string
	authTime := e.nowLocked()
	if b.person != "" {
		person, authTime = b.person, b.authTime
	}
	if mode == NoDialogHit && person == "" {
		person = e.state.anyone()
	}
	hit := person != "" && (mode == NoDialogHit || (mode == NoDialogReal && req.acr == "" && len(e.state.lacking(req, person)) == 0))
	var code string
	if hit {
		code = e.state.issue(req, person, authTime, e.nowLocked())
	}
	e.mu.Unlock()

	forced, isError := strings.CutPrefix(mode, "error:")
	switch {
	case hit:
		e.redirectCode(w, req, code)
	case isError:
		e.redirectError(w, r, req, forced, describe(forced))
	case mode == NoDialogNeverReturns:
		e.errorPage(w, r, http.StatusBadRequest, "server_error", describe("server_error"))
	default:
		e.redirectError(w, r, req, "interaction_required", descInteraction)
	}
}

// anyone is who is logged in by a forced hit in a browser that nobody is remembered in.
func (s *state) anyone() string {
	if s.auto != "" {
		return s.auto
	}
	if len(s.people) > 0 {
		return s.people[0].ID
	}
	return ""
}

// toPages makes an attempt and sends the browser to its first page.
func (e *Emulator) toPages(w http.ResponseWriter, req *request, bid string, first step, personID string) {
	redirect(w, pathPages+"index.html?tabId="+e.newAttempt(req, bid, first, personID).id)
}

func (e *Emulator) newAttempt(req *request, bid string, first step, personID string) *attempt {
	a := &attempt{id: newUUID(), csrf: newOpaque(), browser: bid, req: *req, step: first, person: personID}
	if first == stepChallenge {
		a.newNumbers()
	}
	e.mu.Lock()
	a.created, a.remember = e.nowLocked(), e.state.remember
	if b, ok := e.state.browsers.get(bid); ok {
		a.authTime = b.authTime
	}
	if first == stepResume { // just confirmed
		a.authTime = a.created
	}
	e.state.attempts.put(a.id, a)
	e.mu.Unlock()
	return a
}

// descServerError is the engine's, where the API answers and not a redirect.
const descServerError = "The authorization server encountered an unexpected condition that prevented it from fulfilling the request."

// describe is the description that goes with an error code on a redirect, from Vipps' table where it has one, else from the engine's.
func describe(code string) string {
	switch code {
	case "access_denied":
		return descCancelled
	case "interaction_required":
		return descInteraction
	case "login_required":
		return "User must log in with interaction"
	case "consent_required":
		return "The Authorization Server requires End-User consent."
	case "server_error":
		return "Something went wrong, please try again"
	case "temporarily_unavailable":
		return "The authorization server is currently unable to handle the request due to a temporary overloading or maintenance of the server."
	case "wrong_challenge":
		return "The user selected the wrong challenge"
	case "outdated_app_version":
		return "The user's Vipps or MobilePay app version is too old and needs to be updated"
	case "unknown_reject_reason":
		return "Something went wrong. Reject reason is unknown."
	case "invalid_app_callback_uri":
		return "The app callback URI is not on a valid format"
	case "app_callback_uri_not_registered":
		return "The app callback URI is not registered as a redirect URI"
	}
	return "The emulator was told to answer this"
}

// browserID is the browser that sent r; one without a cookie that we know gets a fresh one.
func (e *Emulator) browserID(w http.ResponseWriter, r *http.Request) string {
	if id, ok := e.knownBrowser(r); ok {
		return id
	}
	id := newOpaque()
	e.mu.Lock()
	e.state.browsers.put(id, browser{})
	e.mu.Unlock()
	e.setCookie(w, id, false)
	return id
}

func (e *Emulator) knownBrowser(r *http.Request) (string, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range r.CookiesNamed(e.cookieName) {
		if _, ok := e.state.browsers.get(c.Value); ok {
			return c.Value, true
		}
	}
	return "", false
}

func (e *Emulator) setCookie(w http.ResponseWriter, id string, persistent bool) {
	http.SetCookie(w, e.cookie(id, persistent))
}

// cookie is the browser's cookie; Secure only where the base URL is https.
func (e *Emulator) cookie(id string, persistent bool) *http.Cookie {
	c := &http.Cookie{
		Name: e.cookieName, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: e.base.Scheme == "https",
	}
	if persistent {
		c.MaxAge = 365 * 24 * 3600 // how long Vipps remembers a browser is documented nowhere
	}
	return c
}
