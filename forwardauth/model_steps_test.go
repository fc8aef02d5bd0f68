package forwardauth_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

func (w *world) visit(b *modelBrowser, r *modelReplica) {
	s := w.sessionOf(b)
	out := w.send(b, r, "GET", "/", "", "")
	w.did("%s' browser asks for the page: %d", b.name, out.Code)
	if s = w.still(b, s); s == nil && b.cookies["vippsauth"] != "" {
		w.wrong("a session that nobody made")
	}
	w.judged("the browser's session", s, r, w.appSub != nil)
}

// still is the session that the request really had: none when the browser's cookie was over.
func (w *world) still(b *modelBrowser, s *modelSession) *modelSession {
	if s != nil && b.cookies["vippsauth"] != s.value {
		return nil
	}
	return s
}

// steal sends any session that there ever was from somewhere else.
func (w *world) steal(r *modelReplica) {
	if len(w.sessions) == 0 {
		return
	}
	s := w.sessions[w.random.IntN(len(w.sessions))]
	thief := &modelBrowser{name: "the thief", cookies: map[string]string{"vippsauth": s.value}, ends: map[string]time.Time{}}
	out := w.send(thief, r, "GET", "/", "", "")
	w.did("a copy of a session of %s asks for the page: %d", s.owner, out.Code)
	w.judged("a copy of a session", s, r, w.appSub != nil)
}

// began notes that an answer sends the browser to the provider.
func (w *world) began(b *modelBrowser, out *httptest.ResponseRecorder, clicked bool) {
	location := out.Header().Get("Location")
	if !strings.Contains(location, "/oauth2/auth?") {
		return
	}
	f := &flight{n: len(w.flights), browser: b, began: w.step, clicked: clicked, silent: strings.Contains(location, "requested_flow=no_dialog"), location: location}
	for _, line := range out.Header()["Set-Cookie"] {
		if name, value, _ := strings.Cut(line, "="); strings.HasPrefix(name, "vippsauth-login-") && value[0] != ';' {
			f.cookie = name
		}
	}
	w.flights = append(w.flights, f)
	w.did("    attempt %d begins, silent %t, clicked %t", f.n, f.silent, f.clicked)
	if b.waits {
		w.wrong("a login begins after a logout although nobody clicked")
	}
}

func (w *world) login(b *modelBrowser, r *modelReplica) {
	out := w.send(b, r, "GET", "/_vipps/login?rd=/", "", "")
	w.did("%s' browser opens the login: %d", b.name, out.Code)
	w.began(b, out, w.mode == forwardauth.WithoutSessionAnonymous) // nothing leads there but a wish
}

func (w *world) click(b *modelBrowser, r *modelReplica) {
	out := w.send(b, r, "POST", "/_vipps/login", "rd=/", "")
	w.did("%s' browser clicks: %d", b.name, out.Code)
	if strings.Contains(out.Header().Get("Location"), "/oauth2/auth?") {
		b.waits = false
	}
	w.began(b, out, true)
}

// whole is a login as most people have it, a step after the other.
func (w *world) whole(b *modelBrowser, r *modelReplica) {
	w.click(b, r)
	for range 2 { // a silent attempt, and the full one after it
		n := len(w.flights)
		if n == 0 || w.flights[n-1].callback != "" {
			return
		}
		f := w.flights[n-1]
		w.answerTo(f)
		w.bring(f, f.browser, r)
		if n := len(w.results); n > 0 && w.results[n-1].flight == f {
			if res := w.results[n-1]; res.waits {
				w.sayTo(res, f.browser, r, "continue")
			} else {
				w.open(res, f.browser, r)
			}
		}
		if len(w.flights) == n {
			return
		}
	}
}

// answer is the provider's, for somebody or for nobody.
func (w *world) answer() {
	if f := w.anyFlight(func(f *flight) bool { return f.callback == "" }); f != nil {
		w.answerTo(f)
	}
}

func (w *world) answerTo(f *flight) {
	person := f.browser.name
	if w.random.IntN(4) == 0 {
		person = map[string]string{"Åse": "Per", "Per": "Åse"}[person]
	}
	control := w.provider.Control()
	miss := w.random.IntN(4) == 0
	err := control.NoDialog(emulator.NoDialogHit)
	if err == nil && miss {
		if err = control.NoDialog("error:login_required"); err == nil {
			err = control.Deny("access_denied")
		}
	} else if err == nil {
		err = control.AutoApprove(modelPeople[person])
	}
	if err != nil {
		w.t.Fatal(err)
	}
	in := httptest.NewRequest("GET", f.location, http.NoBody)
	in.Header = navigation()
	out := httptest.NewRecorder()
	w.provider.ServeHTTP(out, in)
	back, err := url.Parse(out.Header().Get("Location"))
	if err != nil || back.Path != "/_vipps/callback" {
		w.t.Fatalf("the provider answers %d to %s", out.Code, back)
	}
	f.callback = back.RequestURI()
	if miss {
		w.stats["misses"]++
		w.did("the provider answers attempt %d: nobody", f.n)
		return
	}
	f.person = person
	w.did("the provider answers attempt %d: %s", f.n, person)
}

func (w *world) anyFlight(fits func(*flight) bool) *flight {
	var some []*flight
	for _, f := range w.flights {
		if fits(f) {
			some = append(some, f)
		}
	}
	if len(some) == 0 {
		return nil
	}
	return some[max(w.random.IntN(len(some)), w.random.IntN(len(some)))] // mostly a late one
}

// callback brings an answer back: mostly to the browser that began, sometimes to the other, sometimes again.
func (w *world) callback(r *modelReplica) {
	f := w.anyFlight(func(f *flight) bool { return f.callback != "" })
	if f == nil {
		return
	}
	b := f.browser
	if w.random.IntN(8) == 0 {
		b = w.browsers[w.random.IntN(2)]
	}
	w.bring(f, b, r)
}

func (w *world) bring(f *flight, b *modelBrowser, r *modelReplica) {
	calls, made := w.provider.Control().Calls()[emulator.EndpointToken], len(w.sessions)
	f.brought = true
	out := w.send(b, r, "GET", f.callback, "", f.person)
	w.did("%s' browser brings the answer to attempt %d to replica %d: %d", b.name, f.n, slices.Index(w.replicas[:], r), out.Code)
	if n := w.provider.Control().Calls()[emulator.EndpointToken] - calls; n > 1 || n > 0 && b != f.browser {
		w.wrong("%d codes were redeemed by one callback, in the browser that began: %t", n, b == f.browser)
	}
	if len(w.sessions) > made {
		w.oneOf(b, f)
		switch {
		case !f.clicked && f.began < b.loggedOut:
			w.wrong("an attempt that nobody clicked makes a session after a logout")
		case f.clicked && f.began < b.loggedOut && w.confirm != forwardauth.ConfirmNever:
			w.wrong("an attempt from before a logout makes a session without a question")
		case w.confirm == forwardauth.ConfirmAlways:
			w.wrong("nobody was asked")
		case b.waits && !(f.clicked && w.confirm == forwardauth.ConfirmNever):
			w.wrong("a session after a logout although nobody clicked")
		}
		b.waits = false
	} else if f.made > 0 {
		w.stats["replays"]++
	}
	if token := modelToken(out); token != "" {
		waits := strings.Contains(strings.Join(out.Header()["Set-Cookie"], "\n"), "vippsauth-login-") && w.asks(b, r, token)
		if waits {
			w.oneOf(b, f)
		}
		w.results = append(w.results, &modelResult{token: token, flight: f, step: w.step, at: w.now, waits: waits})
	}
	if b != f.browser {
		w.stats["lost"]++
	}
}

// oneOf counts what came of an attempt.
func (w *world) oneOf(b *modelBrowser, f *flight) {
	w.t.Helper()
	if f.made++; f.made > 1 || b != f.browser {
		w.wrong("attempt %d has made %d sessions, this one in the browser that began it: %t", f.n, f.made, b == f.browser)
	}
}

func modelToken(out *httptest.ResponseRecorder) string {
	u, err := url.Parse(out.Header().Get("Location"))
	if err != nil || u.Path != "/_vipps/result" {
		return ""
	}
	return u.Query().Get("t")
}

// asks looks whether the page of a result asks who continues. The look is a request as any other.
func (w *world) asks(b *modelBrowser, r *modelReplica, token string) bool {
	return strings.Contains(w.send(b, r, "GET", "/_vipps/result?t="+token, "", "").Body.String(), asksWho)
}

func (w *world) anyResult() *modelResult {
	if len(w.results) == 0 {
		return nil
	}
	n := len(w.results)
	return w.results[max(w.random.IntN(n), w.random.IntN(n))]
}

// mostly is a browser, and now and then any.
func (w *world) mostly(b *modelBrowser) *modelBrowser {
	if w.random.IntN(8) == 0 {
		return w.browsers[w.random.IntN(2)]
	}
	return b
}

// result opens the page that a callback led to, there or in the other browser, once or again.
func (w *world) result(r *modelReplica) {
	res := w.anyResult()
	if res == nil {
		return
	}
	b := w.mostly(res.flight.browser)
	w.open(res, b, r)
}

func (w *world) open(res *modelResult, b *modelBrowser, r *modelReplica) {
	out := w.send(b, r, "GET", "/_vipps/result?t="+res.token, "", "")
	w.did("%s' browser opens the result of attempt %d: %d", b.name, res.flight.n, out.Code)
	if res.landed && strings.Contains(out.Body.String(), asksWho) {
		res.instead = between(out.Body.String(), `name="instead" value="`, `"`)
		if b != res.flight.browser {
			w.wrong("a login that landed in one browser waits in the other")
		}
		if had := w.sessionOf(b); w.onTime(had) && w.live(had, r) && (had.owner != res.flight.person) != (res.instead != "") {
			w.wrong("the page doesn't say that %s is logged in", had.owner)
		}
	}
	w.began(b, out, res.flight.clicked)
}

// say answers "Continue as …", whether the page asks or not.
func (w *world) say(r *modelReplica) {
	res := w.anyResult()
	if res == nil {
		return
	}
	b := w.mostly(res.flight.browser)
	if res.landed && w.random.IntN(4) > 0 {
		w.open(res, b, w.replicas[w.random.IntN(2)])
	}
	choice := "continue"
	if w.random.IntN(4) == 0 {
		choice = "other"
	}
	w.sayTo(res, b, r, choice)
}

func (w *world) sayTo(res *modelResult, b *modelBrowser, r *modelReplica, choice string) {
	owner := ""
	if choice == "continue" && res.waits && b == res.flight.browser {
		owner = res.flight.person
	}
	had, made, waits := w.sessionOf(b), len(w.sessions), hasAttempt(b)
	form, wasLive := saying(res.token, choice), w.live(had, r)
	if res.landed && res.instead != "" {
		form.Set("instead", res.instead)
	}
	out := w.send(b, r, "POST", "/_vipps/result", form.Encode(), owner)
	w.did("%s' browser says %q to the result of attempt %d: %d", b.name, choice, res.flight.n, out.Code)
	switch {
	case len(w.sessions) > made:
		w.stats["confirmed"]++
		if res.step < b.loggedOut {
			w.wrong("a login that waited before a logout makes a session after it")
		}
		if end, ok := r.ends(res.flight.person); ok && !res.at.After(end) {
			w.wrong("a login that waited when all sessions of %s were ended makes one", res.flight.person)
		}
		if res.landed && wasLive && had.owner != res.flight.person && w.onTime(had) {
			w.replaced(res, had)
		}
		b.waits, res.waits = false, false
	case res.landed && choice == "continue" && strings.Contains(out.Header().Get("Location"), "/_vipps/result?t="):
		w.stats["not as said"]++
	case choice == "other" && out.Code == http.StatusSeeOther && waits && strings.Contains(out.Header().Get("Location"), "/_vipps/login") && !w.live(w.still(b, had), r):
		b.loggedOut, b.waits, b.outs = w.step, true, append(b.outs, modelOut{w.step, r})
	}
}

func hasAttempt(b *modelBrowser) bool {
	for name := range b.cookies {
		if strings.HasPrefix(name, "vippsauth-login-") {
			return true
		}
	}
	return false
}

func (w *world) logout(b *modelBrowser, r *modelReplica) {
	s, body := w.sessionOf(b), ""
	again := w.random.IntN(3) == 0
	if again {
		body = "then=login&rd=/"
	}
	gone := s != nil && b.ends["vippsauth"].After(w.now)
	out := w.send(b, r, "POST", "/_vipps/logout", body, "")
	w.did("%s' browser logs out, to log in as someone else %t: %d", b.name, again, out.Code)
	w.stats["logouts"]++
	if b.cookies["vippsauth"] != "" || out.Code != http.StatusSeeOther {
		w.wrong("the logout leaves the cookie, and answers %d", out.Code)
	}
	if gone && slices.Contains(keysAt(r.stage), s.key) {
		r.revoked[s.id] = true
	}
	b.loggedOut, b.waits, b.outs = w.step, !again, append(b.outs, modelOut{w.step, r})
	w.began(b, out, again)
}

// pass lets time go by.
func (w *world) pass() {
	d := time.Duration(1+w.random.IntN(1200)) * time.Second
	if w.random.IntN(8) == 0 {
		d = time.Duration(1+w.random.IntN(600)) * time.Minute
	}
	w.now = w.now.Add(d)
	w.did("%s pass", d)
}

// rotate brings one replica a step further in a rotation of keys, never more than one ahead of the other.
func (w *world) rotate(r *modelReplica) {
	other := w.replicas[1-slices.Index(w.replicas[:], r)]
	if r.stage > other.stage {
		r = other
	}
	r.stage++
	w.start(r)
	w.stats["rotations"]++
	w.did("replica %d has keys %v", slices.Index(w.replicas[:], r), keysAt(r.stage))
}

// restart is a process that begins anew: it has forgotten what was logged out.
func (w *world) restart(r *modelReplica) {
	r.state, r.revoked, r.began, r.ended = forwardauth.NewState(), map[string]bool{}, w.step, nil
	w.start(r)
	w.stats["restarts"]++
	w.did("replica %d is started again", slices.Index(w.replicas[:], r))
}
