package forwardauth_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"

	"github.com/vippsauth/vippsauth/forwardauth"
)

// What the worlds lose, and what comes late in them.

// lose takes one cookie out of a browser, as a full jar, an extension or a person does.
func (w *world) lose(b *modelBrowser) {
	names := slices.Sorted(maps.Keys(b.cookies))
	if len(names) == 0 {
		return
	}
	name := names[w.random.IntN(len(names))]
	delete(b.cookies, name)
	delete(b.ends, name)
	w.stats["lost cookies"]++
	w.did("%s' browser loses %s", b.name, name)
	if name == "vippsauth-hint" { // nobody can know any more
		b.waits = false
	}
}

// end is an operator's doing: all sessions of one person are ended at one replica.
func (w *world) end(r *modelReplica) {
	if len(w.sessions) == 0 {
		return
	}
	one := w.sessions[w.random.IntN(len(w.sessions))]
	if err := r.engine.EndSessions(one.sub, w.now); err != nil {
		w.t.Fatal(err)
	}
	for _, s := range w.sessions {
		if s.owner == one.owner && !s.issued.After(w.now) {
			r.revoked[s.id] = true
		}
	}
	if r.ended == nil {
		r.ended = map[string]time.Time{}
	}
	r.ended[one.owner] = w.now
	w.stats["ended"]++
	w.did("all sessions of %s are ended at replica %d", one.owner, slices.Index(w.replicas[:], r))
	w.now = w.now.Add(time.Second) // sessions know the second in which they began
}

// ends is when all sessions of a person were last ended at a replica.
func (r *modelReplica) ends(person string) (time.Time, bool) {
	at, ok := r.ended[person]
	return at, ok
}

// late is a callback that was sent some steps ago, with the cookies of then, and that the provider has kept waiting. Its
// answer comes to the browser as it is now. Where a logout has come since, it was asked of the same process.
func (w *world) late(b *modelBrowser, r *modelReplica) {
	if len(b.past) == 0 {
		return
	}
	past := b.past[w.random.IntN(len(b.past))]
	f := w.anyFlight(func(f *flight) bool { return !f.brought && f.browser == b && past.cookies[f.cookie] != "" })
	if f == nil {
		return
	}
	if f.callback == "" {
		w.answerTo(f)
	}
	out := b.loggedOut >= past.step
	if out {
		first := b.outs[slices.IndexFunc(b.outs, func(o modelOut) bool { return o.step >= past.step })]
		if r = first.at; r.began >= past.step || !b.had(first.step, f.cookie) { // nobody could know
			return
		}
	}
	f.brought = true
	then := &modelBrowser{name: b.name, cookies: maps.Clone(past.cookies), ends: map[string]time.Time{}}
	made, had := len(w.sessions), w.sessionOf(b)
	answer := w.send(then, r, "GET", f.callback, "", f.person)
	w.did("the answer to attempt %d comes late to %s' browser, from replica %d with the cookies of step %d: %d", f.n, b.name, slices.Index(w.replicas[:], r), past.step, answer.Code)
	w.takeCookies(b, answer)
	if out {
		w.stats["overtaken"]++
	}
	if len(w.sessions) > made {
		f.made++
		switch asks := w.confirm != forwardauth.ConfirmNever; {
		case f.made > 1:
			w.wrong("attempt %d has made %d sessions", f.n, f.made)
		case out && !f.clicked:
			w.wrong("a late attempt that nobody clicked makes a session after a logout")
		case out && asks:
			w.wrong("a late attempt makes a session after a logout without a question")
		case w.confirm == forwardauth.ConfirmAlways:
			w.wrong("nobody was asked")
		case f.silent && !f.clicked && w.live(had, r) && had.owner != f.person && had.at == r && had.step >= past.step && r.began < had.step && b.had(had.step, f.cookie):
			w.wrong("a late silent attempt puts %s in the place of %s", f.person, had.owner)
		}
		b.waits = false
	}
	if token := modelToken(answer); token != "" {
		waits := strings.Contains(strings.Join(answer.Header()["Set-Cookie"], "\n"), "vippsauth-login-") && w.asks(b, r, token)
		if waits {
			f.made++
		}
		w.results = append(w.results, &modelResult{token: token, flight: f, step: w.step, at: w.now, waits: waits})
	}
}

// had is whether the browser sent a cookie along in the first request of a step.
func (b *modelBrowser) had(step int, name string) bool {
	i := slices.IndexFunc(b.past, func(p modelPast) bool { return p.step == step })
	return i >= 0 && b.past[i].cookies[name] != ""
}

func (w *world) takeCookies(b *modelBrowser, from *httptest.ResponseRecorder) {
	for _, line := range from.Header()["Set-Cookie"] {
		c, err := http.ParseSetCookie(line)
		if err != nil {
			w.t.Fatal(err)
		}
		delete(b.ends, c.Name)
		b.cookies[c.Name] = c.Value
		switch {
		case c.MaxAge < 0:
			delete(b.cookies, c.Name)
		case c.MaxAge > 0:
			b.ends[c.Name] = w.now.Add(time.Duration(c.MaxAge) * time.Second)
		}
	}
}
