package forwardauth_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// go test ./forwardauth -run D54 -model.seeds 20000 asks for more worlds; -model.seed 17 plays one again.
var (
	modelSeeds = flag.Uint64("model.seeds", 150, "worlds of TestSec_D54")
	modelSeed  = flag.Uint64("model.seed", 0, "plays this world alone, 0: all of them")
)

const (
	modelHost  = "127.0.0.1:4193"
	modelSteps = 80
	modelTTL   = 8 * time.Hour
)

// A world is two people, two browsers, two replicas behind one address and a provider, and what must be true of them.
// Each step is one request, or time that passes, or an operator's doing, chosen at random from a seed.
type world struct {
	t      *testing.T
	seed   uint64
	random *rand.Rand
	trail  []string
	step   int
	now    time.Time

	provider *emulator.Emulator
	config   forwardauth.Config
	confirm  string
	keys     []session.Key
	replicas [2]*modelReplica
	browsers [2]*modelBrowser
	appSub   []string // what the app has seen of the last request

	sessions []*modelSession
	flights  []*flight
	results  []*modelResult
	stats    map[string]int
}

type modelReplica struct {
	stage   int // of the rotation, see keysAt
	state   *forwardauth.State
	handler http.Handler
	revoked map[string]bool // ids of sessions that were ended here
}

type modelBrowser struct {
	name      string
	cookies   map[string]string
	ends      map[string]time.Time
	loggedOut int  // the step of the last logout, or "not me"
	waits     bool // nobody has clicked since
	hintKey   int  // that seals what the browser remembers
}

type modelSession struct {
	value, id, owner string
	key              int
	expires          time.Time
}

// A flight is one attempt to log in.
type flight struct {
	n        int
	browser  *modelBrowser
	began    int // the step
	clicked  bool
	silent   bool
	location string // where the provider is asked
	callback string // its answer
	person   string // who answered
	made     int    // sessions and confirmations that came of it: one at most, ever
}

// A modelResult is the page that a callback has led to.
type modelResult struct {
	token  string
	flight *flight
	step   int
	waits  bool // a login waits in it for "Continue as …"
}

var modelPeople = map[string]string{"Åse": phoneAase, "Per": phonePer}

// D-54: random interleavings of all that browsers, people, time and operators do. The app is told of nobody but the one who
// answered at the provider for the very session that the cookie is; a session that was ended passes nowhere in that process,
// and every other one does; one attempt makes one session, in the browser that began it; and after a logout nobody is
// logged in without a click.
func TestSec_D54_A123_A132_RandomWorlds(t *testing.T) {
	t.Parallel()
	w := &world{t: t, stats: map[string]int{}}
	provider, err := emulator.New(emulator.Config{
		BaseURL: "http://127.0.0.1:4192", Spinner: -1, Now: func() time.Time { return w.now },
		Clients: []emulator.Client{{ID: "shop", Secret: "shop secret", RedirectURIs: []string{"http://" + modelHost + "/_vipps/callback"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.provider = provider
	if *modelSeed != 0 {
		w.play(*modelSeed)
		t.Log(strings.Join(w.trail, "\n"))
		return
	}
	begun := time.Now()
	for seed := uint64(1); seed <= *modelSeeds && !t.Failed(); seed++ {
		w.play(seed)
	}
	t.Logf("%d worlds in %s: %v", *modelSeeds, time.Since(begun).Round(time.Millisecond), w.stats)
	for _, what := range []string{"sessions", "confirmed", "logouts", "passes", "refusals", "lost", "replays", "rotations", "restarts", "misses"} {
		if *modelSeeds >= 100 && w.stats[what] < int(*modelSeeds)/10 { //nolint:gosec // a small number
			t.Errorf("only %d %s: these worlds show nothing", w.stats[what], what)
		}
	}
}

// play lives through one world.
func (w *world) play(seed uint64) {
	w.seed, w.random = seed, rand.New(rand.NewPCG(seed, 54)) //nolint:gosec // to be played again
	w.trail, w.sessions, w.flights, w.results, w.keys = nil, nil, nil, nil, nil
	w.now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	w.provider.Control().Reset()
	client, err := vipps.New(vipps.Config{
		Issuer: w.provider.Issuer(), ClientID: "shop", ClientSecret: "shop secret", Scopes: []string{"openid", "name"},
		Now: func() time.Time { return w.now }, HTTPClient: &http.Client{Transport: inProcess{w.provider}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.confirm = []string{forwardauth.ConfirmAfterLogout, forwardauth.ConfirmAlways, forwardauth.ConfirmNever}[w.random.IntN(3)]
	w.config = forwardauth.Config{
		Client: client, PublicURLs: []string{"http://" + modelHost}, Scopes: []string{"openid", "name"}, Emulator: true,
		Now: func() time.Time { return w.now }, ConfirmPerson: w.confirm, SessionTTL: modelTTL,
	}
	for i := range w.replicas {
		w.replicas[i] = &modelReplica{state: forwardauth.NewState(), revoked: map[string]bool{}}
		w.start(w.replicas[i])
	}
	for i, name := range []string{"Åse", "Per"} {
		w.browsers[i] = &modelBrowser{name: name, cookies: map[string]string{}, ends: map[string]time.Time{}, loggedOut: -1}
	}
	for w.step = 0; w.step < modelSteps && !w.t.Failed(); w.step++ {
		w.now = w.now.Add(10 * time.Millisecond)
		w.next()
	}
	if w.t.Failed() {
		w.t.Logf("world %d, confirm_person %s:\n%s", seed, w.confirm, strings.Join(w.trail, "\n"))
	}
}

func (w *world) did(format string, values ...any) {
	w.trail = append(w.trail, fmt.Sprintf("%3d %s  ", w.step, w.now.Format("02T15:04:05.00"))+fmt.Sprintf(format, values...))
}

func (w *world) wrong(format string, values ...any) {
	w.t.Helper()
	w.did("WRONG: "+format, values...)
	w.t.Errorf("world %d, step %d: "+format, append([]any{w.seed, w.step}, values...)...)
}

// keysAt are the numbers of a replica's keys: the next one is added behind, then put in front, then the old one goes.
func keysAt(stage int) []int {
	switch a := stage / 3; stage % 3 {
	case 1:
		return []int{a, a + 1}
	case 2:
		return []int{a + 1, a}
	default:
		return []int{a}
	}
}

// start makes the engine of a replica anew, with the keys of its stage.
func (w *world) start(r *modelReplica) {
	cfg := w.config
	cfg.State = r.state
	for _, n := range keysAt(r.stage) {
		for len(w.keys) <= n {
			key, err := session.NewKey()
			if err != nil {
				w.t.Fatal(err)
			}
			w.keys = append(w.keys, key)
		}
		cfg.Keys = append(cfg.Keys, w.keys[n])
	}
	engine, err := forwardauth.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	r.handler = engine.Protect(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { w.appSub = r.Header["X-Vipps-Name"] }))
}

// inProcess is the way to the provider without a network.
type inProcess struct{ handler http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	in := httptest.NewRequest(r.Method, r.URL.String(), r.Body)
	in.Header = r.Header
	rec := httptest.NewRecorder()
	p.handler.ServeHTTP(rec, in)
	return rec.Result(), nil
}

// next is one step.
func (w *world) next() {
	b, r := w.browsers[w.random.IntN(2)], w.replicas[w.random.IntN(2)]
	switch n := w.random.IntN(100); {
	case n < 10:
		w.visit(b, r)
	case n < 24:
		w.login(b, r)
	case n < 30:
		w.click(b, r)
	case n < 38:
		w.whole(b, r)
	case n < 50:
		w.answer()
	case n < 66:
		w.callback(r)
	case n < 74:
		w.result(r)
	case n < 82:
		w.say(r)
	case n < 86:
		w.logout(b, r)
	case n < 93:
		w.steal(r)
	case n < 97:
		w.pass()
	case n < 99:
		w.rotate(r)
	default:
		w.restart(r)
	}
}

// send sends a browser's request to a replica, keeps its cookies, and holds every answer to what is true of all.
// made is whom a session in this answer would have to be of: "" for none.
func (w *world) send(b *modelBrowser, r *modelReplica, method, target, body, made string) *httptest.ResponseRecorder {
	w.t.Helper()
	in := httptest.NewRequest(method, "http://"+modelHost+target, strings.NewReader(body))
	in.Header = navigation()
	if method == http.MethodPost {
		in.Header = ownForm()
	}
	var pairs []string
	for name, value := range b.cookies {
		if end, ok := b.ends[name]; ok && !w.now.Before(end) {
			delete(b.cookies, name)
			continue
		}
		pairs = append(pairs, name+"="+value)
	}
	slices.Sort(pairs)
	in.Header.Set("Cookie", strings.Join(pairs, "; "))
	before := w.sessionOf(b)
	w.appSub = nil
	out := httptest.NewRecorder()
	r.handler.ServeHTTP(out, in)
	if out.Code >= 500 && out.Code != http.StatusBadGateway {
		w.wrong("%s %.40s answers %d", method, target, out.Code)
	}
	for _, line := range out.Header()["Set-Cookie"] {
		c, err := http.ParseSetCookie(line)
		if err != nil {
			w.t.Fatal(err)
		}
		delete(b.ends, c.Name)
		b.cookies[c.Name] = c.Value
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
			continue
		}
		if c.MaxAge > 0 {
			b.ends[c.Name] = w.now.Add(time.Duration(c.MaxAge) * time.Second)
		}
		switch c.Name {
		case "vippsauth-hint":
			b.hintKey = keysAt(r.stage)[0]
		case "vippsauth":
			w.made(r, before, c.Value, made)
		}
	}
	return out
}

// made notes a session, and that the one of another person that the browser had before is over.
func (w *world) made(r *modelReplica, before *modelSession, value, owner string) {
	w.t.Helper()
	if owner == "" {
		w.wrong("a session out of nothing")
		return
	}
	w.stats["sessions"]++
	s := &modelSession{value: value, owner: owner, key: keysAt(r.stage)[0], expires: w.now.Add(modelTTL)}
	cfg := w.config
	cfg.Keys = session.Keys{w.keys[s.key]}
	engine, err := forwardauth.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	s.id, _, _ = engine.SessionOf(value)
	for _, other := range w.sessions {
		if other.id == s.id || s.id == "" {
			w.wrong("session id %q is used again", s.id)
		}
	}
	w.sessions = append(w.sessions, s)
	if before != nil && before.owner != owner && slices.Contains(keysAt(r.stage), before.key) {
		r.revoked[before.id] = true
	}
}

func (w *world) sessionOf(b *modelBrowser) *modelSession {
	for _, s := range w.sessions {
		if s.value == b.cookies["vippsauth"] {
			return s
		}
	}
	return nil
}

// live is whether a session must pass at a replica.
func (w *world) live(s *modelSession, r *modelReplica) bool {
	return s != nil && w.now.Before(s.expires) && slices.Contains(keysAt(r.stage), s.key) && !r.revoked[s.id]
}

// onTime is whether a session is not just at its end, which counts in whole seconds.
func (w *world) onTime(s *modelSession) bool {
	return s == nil || w.now.Sub(s.expires).Abs() > 2*time.Second
}

// judged holds what a request to the app came to against the session that it had.
func (w *world) judged(what string, s *modelSession, r *modelReplica, passed bool) {
	w.t.Helper()
	switch live := w.live(s, r); {
	case !w.onTime(s):
	case passed != live:
		w.wrong("%s passes %t, and must %t", what, passed, live)
	case passed && (len(w.appSub) != 1 || !strings.HasPrefix(w.appSub[0], s.owner+" ")):
		w.wrong("%s of %s is %q to the app", what, s.owner, w.appSub)
	case passed:
		w.stats["passes"]++
	default:
		w.stats["refusals"]++
	}
}

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
	w.flights = append(w.flights, f)
	w.did("    attempt %d begins, silent %t, clicked %t", f.n, f.silent, f.clicked)
	if b.waits {
		w.wrong("a login begins after a logout although nobody clicked")
	}
}

func (w *world) login(b *modelBrowser, r *modelReplica) {
	out := w.send(b, r, "GET", "/_vipps/login?rd=/", "", "")
	w.did("%s' browser opens the login: %d", b.name, out.Code)
	w.began(b, out, false)
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
		w.results = append(w.results, &modelResult{token: token, flight: f, step: w.step, waits: waits})
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

// result opens the page that a callback led to, there or in the other browser, once or again.
func (w *world) result(r *modelReplica) {
	res := w.anyResult()
	if res == nil {
		return
	}
	b := res.flight.browser
	if w.random.IntN(8) == 0 {
		b = w.browsers[w.random.IntN(2)]
	}
	w.open(res, b, r)
}

func (w *world) open(res *modelResult, b *modelBrowser, r *modelReplica) {
	out := w.send(b, r, "GET", "/_vipps/result?t="+res.token, "", "")
	w.did("%s' browser opens the result of attempt %d: %d", b.name, res.flight.n, out.Code)
	w.began(b, out, res.flight.clicked)
}

// say answers "Continue as …", whether the page asks or not.
func (w *world) say(r *modelReplica) {
	res := w.anyResult()
	if res == nil {
		return
	}
	b := res.flight.browser
	if w.random.IntN(8) == 0 {
		b = w.browsers[w.random.IntN(2)]
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
	out := w.send(b, r, "POST", "/_vipps/result", saying(res.token, choice).Encode(), owner)
	w.did("%s' browser says %q to the result of attempt %d: %d", b.name, choice, res.flight.n, out.Code)
	switch {
	case len(w.sessions) > made:
		w.stats["confirmed"]++
		if res.step < b.loggedOut {
			w.wrong("a login that waited before a logout makes a session after it")
		}
		b.waits, res.waits = false, false
	case choice == "other" && out.Code == http.StatusSeeOther && waits && strings.Contains(out.Header().Get("Location"), "/_vipps/login") && !w.live(w.still(b, had), r):
		b.loggedOut, b.waits = w.step, true
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
	b.loggedOut, b.waits = w.step, !again
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
	for _, b := range w.browsers { // what was remembered with a key that has gone is forgotten
		for _, some := range w.replicas {
			if !slices.Contains(keysAt(some.stage), b.hintKey) && (b.waits || b.loggedOut >= 0) {
				b.waits, b.loggedOut = false, -1
			}
		}
	}
}

// restart is a process that begins anew: it has forgotten what was logged out.
func (w *world) restart(r *modelReplica) {
	r.state, r.revoked = forwardauth.NewState(), map[string]bool{}
	w.start(r)
	w.stats["restarts"]++
	w.did("replica %d is started again", slices.Index(w.replicas[:], r))
}
