package forwardauth_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
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
	mode     string
	keys     []session.Key
	replicas [2]*modelReplica
	browsers [2]*modelBrowser
	appSub   []string // what the app has seen of the last request

	sessions []*modelSession
	flights  []*flight
	results  []*modelResult
	codes    map[string]string // of logins that land, to whose they are
	stats    map[string]int
}

type modelReplica struct {
	stage   int // of the rotation, see keysAt
	state   *forwardauth.State
	engine  *forwardauth.Engine
	handler http.Handler
	began   int             // the step in which the process did
	revoked map[string]bool // ids of sessions that were ended here
	ended   map[string]time.Time
}

type modelBrowser struct {
	name      string
	cookies   map[string]string
	ends      map[string]time.Time
	loggedOut int  // the step of the last logout, or "not me"
	waits     bool // nobody has clicked since
	outs      []modelOut
	past      []modelPast // what it had before each of its last steps
}

// A modelOut is a logout, or "not me".
type modelOut struct {
	step int
	at   *modelReplica
}

type modelPast struct {
	step    int
	cookies map[string]string
}

type modelSession struct {
	value, id, sub, owner string
	at                    *modelReplica // that made it
	step                  int
	key                   int
	issued, expires       time.Time
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
	brought  bool
	cookie   string
}

// A modelResult is the page that a callback has led to.
type modelResult struct {
	token  string
	flight *flight
	step   int
	at     time.Time
	waits  bool // a login waits in it for "Continue as …"

	landed  bool   // the login began in no browser
	instead string // of the page that was last seen
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
	for _, what := range []string{"sessions", "confirmed", "logouts", "passes", "refusals", "lost", "replays", "rotations", "restarts", "misses", "overtaken", "ended", "lost cookies", "landed", "replaced"} {
		if *modelSeeds >= 100 && w.stats[what] < int(*modelSeeds)/10 {
			t.Errorf("only %d %s: these worlds show nothing", w.stats[what], what)
		}
	}
}

// play lives through one world.
func (w *world) play(seed uint64) {
	w.seed, w.random = seed, rand.New(rand.NewPCG(seed, 54))
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
	w.mode = []string{forwardauth.WithoutSessionLogin, forwardauth.WithoutSessionPage, forwardauth.WithoutSessionAnonymous}[w.random.IntN(3)]
	w.confirm = []string{forwardauth.ConfirmAfterLogout, forwardauth.ConfirmAlways, forwardauth.ConfirmNever}[w.random.IntN(3)]
	w.config = forwardauth.Config{
		Client: client, PublicURLs: []string{"http://" + modelHost}, Scopes: []string{"openid", "name"}, Emulator: true,
		Now: func() time.Time { return w.now }, ConfirmPerson: w.confirm, SessionTTL: modelTTL, WithoutSession: w.mode,
		Landings: []forwardauth.Landing{{Path: landingPath, Finish: w.landing}},
	}
	for i := range w.replicas {
		w.replicas[i] = &modelReplica{state: forwardauth.NewState(), revoked: map[string]bool{}}
		w.start(w.replicas[i])
	}
	w.codes = map[string]string{}
	for i, name := range []string{"Åse", "Per"} {
		w.browsers[i] = &modelBrowser{name: name, cookies: map[string]string{}, ends: map[string]time.Time{}, loggedOut: -1}
	}
	for w.step = 0; w.step < modelSteps && !w.t.Failed(); w.step++ {
		w.now = w.now.Add(10 * time.Millisecond)
		w.next()
	}
	if w.t.Failed() {
		w.t.Logf("world %d, confirm_person %s, without_session %s:\n%s", seed, w.confirm, w.mode, strings.Join(w.trail, "\n"))
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
	r.engine = engine
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
	switch n := w.random.IntN(114); {
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
	case n < 91:
		w.steal(r)
	case n < 92:
		w.lose(b)
	case n < 93:
		w.end(r)
	case n < 97:
		w.pass()
	case n < 99:
		w.rotate(r)
	case n < 100:
		w.restart(r)
	case n < 108:
		w.late(b, r)
	default:
		w.land(b, r)
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
	b.past = append(b.past[max(0, len(b.past)-7):], modelPast{w.step, maps.Clone(b.cookies)})
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
		if c.Name == "vippsauth" {
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
	s := &modelSession{value: value, owner: owner, at: r, step: w.step, key: keysAt(r.stage)[0], issued: w.now, expires: w.now.Add(modelTTL)}
	cfg := w.config
	cfg.Keys = session.Keys{w.keys[s.key]}
	engine, err := forwardauth.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	s.id, s.sub, _ = engine.SessionOf(value)
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
