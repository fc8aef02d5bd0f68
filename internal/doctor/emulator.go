package doctor

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// cookies are those of one browser at one site.
type cookies map[string]string

// take does what an answer says of cookies.
func (c cookies) take(w *answer) {
	for _, set := range w.cookies() {
		if set.MaxAge < 0 || set.Value == "" {
			delete(c, set.Name)
			continue
		}
		c[set.Name] = set.Value
	}
}

// String is the value of Cookie.
func (c cookies) String() string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(c)) {
		pairs = append(pairs, name+"="+c[name])
	}
	return strings.Join(pairs, "; ")
}

// logIn logs in through the emulator, as a person in whose browser it remembers them, so that the rest can be looked at with
// a session. The real Vipps asks a person.
func (v *visit) logIn(ctx context.Context) {
	if v.site.LogInAs == "" || v.authorize == nil {
		return
	}
	const check, why = "emulator-login", "what somebody who is logged in gets was not looked at"
	there := &url.URL{Scheme: v.authorize.Scheme, Host: v.authorize.Host}
	if !isLoopback(there.Hostname()) {
		v.warn(check, "logins go to "+there.Host+", which is not the emulator", why, "log in yourself, and give --cookie-file")
		return
	}
	remembered := v.remembered(ctx, there)
	if remembered == "" {
		v.warn(check, "the emulator at "+there.Host+" knows nobody with that number, or is none", why, "name one of its people: its page "+there.String()+"/_emulator/ lists them")
		return
	}
	jar := cookies{}
	w := v.fullLogin(ctx, jar)
	if w == nil || w.location() == nil {
		v.problem(check, "the full login doesn't start", "nobody can log in", "look at vippsauth's log")
		return
	}
	to := w.location()
	if w = v.ask(ctx, check, ask{at: there, path: to.RequestURI(), header: navigation("Cookie: " + remembered)}); w == nil {
		return
	}
	if to = w.location(); to == nil || to.Path != pathCallback || !to.Query().Has("code") {
		v.warn(check, "the emulator gives no code: "+w.says(), why, "see its page "+there.String()+"/_emulator/ for what it was told to do")
		return
	}
	if w = v.ask(ctx, check, ask{at: v.pages, path: to.RequestURI(), header: navigation("Cookie: " + jar.String())}); w == nil {
		return
	}
	jar.take(w)
	if to = w.location(); to == nil || to.Path == pathResult {
		v.problem(check, "the login doesn't end in a session: "+w.says(), "nobody can log in", "vippsauth's log names the cause")
		return
	}
	v.ok(check, "a login through the emulator works from its beginning to its end")
	v.site.Cookie = jar.String()
}

// remembered gives the emulator's cookie of a browser in which the person is remembered, who has agreed to everything.
func (v *visit) remembered(ctx context.Context, there *url.URL) string {
	jar := cookies{}
	for _, verb := range []string{"remember", "consent"} {
		arguments := map[string]string{"phone": v.site.LogInAs}
		if verb == "consent" {
			arguments["client_id"] = v.authorize.Query().Get("client_id")
		}
		body, err := json.Marshal(arguments)
		if err != nil {
			return ""
		}
		w, err := v.send(ctx, ask{at: there, method: http.MethodPost, path: "/_emulator/" + verb, body: string(body), kind: "application/json"})
		if err != nil || w.status != http.StatusOK {
			return ""
		}
		jar.take(w)
	}
	return jar.String()
}

// fullLogin starts a login, and lets the silent attempt miss that may come first. What the answer sets goes into jar.
func (v *visit) fullLogin(ctx context.Context, jar cookies) *answer {
	w := v.startLogin(ctx)
	if w == nil || w.location() == nil {
		return w
	}
	jar.take(w)
	query := w.location().Query()
	if query.Get("requested_flow") != "no_dialog" {
		return w
	}
	miss := url.Values{"error": {"login_required"}, "state": {query.Get("state")}}
	w = v.ask(ctx, "emulator-login", ask{at: v.pages, path: pathCallback + "?" + miss.Encode(), header: navigation("Cookie: " + jar.String())})
	if w == nil || w.location() == nil {
		return w
	}
	jar.take(w)
	if w = v.pressButton(ctx, "Cookie: "+jar.String()); w != nil { // which leads to the full login while a miss is remembered
		jar.take(w)
	}
	return w
}
