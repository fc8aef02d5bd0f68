package emulator

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// servePages serves what a person sees: GET shows the page that the attempt is at, POST takes a step.
func (e *Emulator) servePages(w http.ResponseWriter, r *http.Request) {
	action := strings.TrimPrefix(r.URL.Path, pathPages)
	method := http.MethodPost
	switch action {
	case "index.html", "silent", "style.css":
		method = http.MethodGet
	case "phone", "challenge", "consent", "cancel":
	default:
		http.NotFound(w, r)
		return
	}
	if r.Method != method {
		w.Header().Set("Allow", method)
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	if action == "style.css" {
		serveStyle(w)
		return
	}
	form, ok := pageForm(w, r)
	if !ok {
		e.lostPage(w, r)
		return
	}
	a, ok := e.attempt(r, form.Get("tabId"))
	if !ok || (method == http.MethodPost && !same(form.Get("csrf"), a.csrf)) {
		e.lostPage(w, r)
		return
	}
	switch action {
	case "index.html":
		if a.step == stepResume {
			e.stepResumed(w, r, &a)
			return
		}
		e.showAttempt(w, r, &a)
	case "cancel":
		e.end(a.id)
		e.redirectError(w, r, &a.req, "access_denied", descCancelled)
	case "silent":
		e.stepSilent(w, r, &a)
	case "phone":
		e.stepPhone(w, r, &a, form)
	case "challenge":
		e.stepNumber(w, r, &a, form)
	case "consent":
		e.stepConsent(w, r, &a, form)
	}
}

// pageForm gives the parameters: of the body for a POST that doesn't come from another site, of the query for a GET.
func pageForm(w http.ResponseWriter, r *http.Request) (url.Values, bool) {
	if r.Method == http.MethodGet {
		q, err := url.ParseQuery(r.URL.RawQuery)
		return q, err == nil
	}
	if !sameOrigin(r) {
		return nil, false
	}
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	if err := r.ParseForm(); err != nil {
		return nil, false
	}
	return r.PostForm, true
}

// attempt gives a copy of an attempt that is under way in the browser that asks.
func (e *Emulator) attempt(r *http.Request, id string) (attempt, bool) {
	bid, known := e.knownBrowser(r)
	e.mu.Lock()
	defer e.mu.Unlock()
	a, ok := e.state.attempts.get(id)
	if !ok || !known || a.browser != bid {
		return attempt{}, false
	}
	if e.nowLocked().Sub(a.created) > attemptTTL {
		e.state.attempts.delete(id)
		return attempt{}, false
	}
	return *a, true
}

// end finishes an attempt, and says whether it was still there: two clicks on one button give one answer.
func (e *Emulator) end(id string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, ok := e.state.attempts.get(id)
	e.state.attempts.delete(id)
	return ok
}

// show goes to the page that the attempt is at, by GET, so that a reload sends nothing twice.
func show(w http.ResponseWriter, a *attempt) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", pathPages+"index.html?tabId="+a.id)
	w.WriteHeader(http.StatusSeeOther)
}

func (e *Emulator) stepSilent(w http.ResponseWriter, r *http.Request, a *attempt) {
	switch {
	case a.step != stepSpinner:
		show(w, a)
	case !e.end(a.id):
		e.lostPage(w, r)
	default:
		e.finishSilent(w, r, &a.req, a.browser)
	}
}

// stepPhone takes the phone number, typed or from a person's button. Who can't log in sees the page again; Vipps documents no
// redirect for that.
func (e *Emulator) stepPhone(w http.ResponseWriter, _ *http.Request, a *attempt, form url.Values) {
	typed := form.Get("phone")
	if form.Has("person") {
		typed = form.Get("person")
	}
	if len(typed) > 40 {
		typed = typed[:40]
	}
	e.mu.Lock()
	live, ok := e.state.attempts.get(a.id)
	if ok && live.step == stepLanding {
		p := e.state.personByPhone(normalPhone(typed))
		live.typed, live.remember, live.refused = typed, form.Has("remember"), ""
		switch {
		case p == nil:
			live.refused = "unknown"
		case !p.oldEnough(e.nowLocked()):
			live.refused = "young"
		default:
			live.person, live.step = p.ID, stepChallenge
			live.newNumbers()
		}
	}
	e.mu.Unlock()
	show(w, a)
}

// stepNumber takes the number chosen on the phone. The right one is the confirmation in the app; a wrong one ends the login.
func (e *Emulator) stepNumber(w http.ResponseWriter, r *http.Request, a *attempt, form url.Values) {
	if a.step != stepChallenge {
		show(w, a)
		return
	}
	if form.Get("choice") != strconv.Itoa(a.number) {
		if !e.end(a.id) {
			e.lostPage(w, r)
			return
		}
		e.refuseInApp(w, r, &a.req, "wrong_challenge")
		return
	}
	e.mu.Lock()
	now := e.nowLocked()
	if live, ok := e.state.attempts.get(a.id); ok {
		live.authTime, live.step = now, stepConsent
		if a.req.flow == flowAppToApp {
			live.step = stepResume
		}
	}
	if a.remember {
		e.state.browsers.put(a.browser, browser{person: a.person, authTime: now})
	}
	lack := e.state.lacking(&a.req, a.person)
	e.mu.Unlock()
	if a.remember {
		e.setCookie(w, a.browser, true)
	}
	a.authTime = now
	switch {
	case a.req.flow == flowAppToApp:
		e.toApp(w, r, a)
	case len(lack) > 0:
		show(w, a)
	default:
		e.finish(w, r, a)
	}
}

// stepConsent stores the consent: to all that was asked for. Where the merchant has boxes, the required ones must be ticked.
func (e *Emulator) stepConsent(w http.ResponseWriter, r *http.Request, a *attempt, form url.Values) {
	if a.step != stepConsent {
		show(w, a)
		return
	}
	norsk := textsFor(r.Header.Get("Accept-Language")).Lang == "nb"
	e.mu.Lock()
	a.req.answers = newAnswers(e.state.lacking(&a.req, a.person), ticksOf(form), norsk, e.nowLocked())
	if !a.req.answers.complete() {
		if live, ok := e.state.attempts.get(a.id); ok {
			live.refused = "incomplete"
		}
		e.mu.Unlock()
		show(w, a)
		return
	}
	e.state.consent(a.req.clientID, a.person, a.req.scopes)
	e.mu.Unlock()
	e.finish(w, r, a)
}

// finish ends an attempt with a code.
func (e *Emulator) finish(w http.ResponseWriter, r *http.Request, a *attempt) {
	if a.req.flow == flowAutomaticReturn {
		e.stepReturned(w, a)
		return
	}
	if !e.end(a.id) {
		e.lostPage(w, r)
		return
	}
	e.mu.Lock()
	code := e.state.issue(&a.req, a.person, a.authTime, e.nowLocked())
	e.mu.Unlock()
	e.redirectCode(w, &a.req, code)
}
