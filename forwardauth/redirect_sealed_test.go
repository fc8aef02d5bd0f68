package forwardauth

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// sealer makes what only the engine can make, with return URLs that it wouldn't put into it today: as a version before may
// have done, or a configuration that has been narrowed since.
type sealer struct {
	*Engine
	site *site
}

func newSealer(t *testing.T) *sealer {
	t.Helper()
	v, err := emulator.Start("127.0.0.1:0", emulator.Config{Spinner: -1, Clients: []emulator.Client{{ID: "shop", Secret: "secret", RedirectURIs: []string{"https://app.localhost/_vipps/callback"}}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	client, err := vipps.New(vipps.Config{Issuer: v.Issuer, ClientID: "shop", ClientSecret: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	key, err := session.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(Config{Client: client, Keys: session.Keys{key}, PublicURLs: []string{"https://app.localhost"}})
	if err != nil {
		t.Fatal(err)
	}
	return &sealer{Engine: e, site: e.siteOf("app.localhost")}
}

func (s *sealer) seal(t *testing.T, box *session.Box, payload []byte) string {
	t.Helper()
	sealed, err := box.Seal(payload)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// attempt is the cookie of a login that comes back to rd, and its state.
func (s *sealer) attempt(t *testing.T, rd string, change func(*attempt)) (cookie, state string) {
	t.Helper()
	id := vipps.NewStateID()
	a := attempt{State: hashState(id), ReturnTo: rd, Pending: vipps.PendingLogin{Nonce: "n", Verifier: "v", Started: time.Now()}}
	change(&a)
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	if err := s.saveAttempt(w, r, s.site, id, a.payload(), s.site.pending); err != nil {
		t.Fatal(err)
	}
	cookie, _, _ = strings.Cut(w.Header().Get("Set-Cookie"), ";")
	return cookie, id
}

// carries is a state without its cookie.
func (s *sealer) carries(t *testing.T, c carried) string {
	t.Helper()
	suffix, err := c.seal(s.site.states)
	if err != nil {
		t.Fatal(err)
	}
	return vipps.NewStateID() + "." + suffix
}

func (s *sealer) result(t *testing.T, res result) string {
	t.Helper()
	res.Made = time.Now()
	return pathResult + "?t=" + s.seal(t, s.site.results, res.payload())
}

// A sealed return URL is asked for again when it is used. Each way in which one travels is driven with every line: in the
// attempt's cookie, in the state parameter, in the result page's token.
func TestSec_C001_C004_B034_SealedReturnURLs(t *testing.T) {
	t.Parallel()
	s := newSealer(t)
	live := s.sessionOf(t, "app.localhost", "somebody")
	lines := append(corpus(t, "testdata/hostile/redirect.txt"), "https://other.localhost/x", "https://app.localhost.evil.example/x", "https://app.localhost@evil.example/")
	ways := s.sealedWays(t, live)
	for i, line := range lines {
		if len(line) > 1500 { // which no cookie of ours holds
			continue
		}
		for name, way := range ways {
			if way.costs && i%12 != 0 {
				continue
			}
			s.follow(t, name+": "+line, way.ask(line), "/", way.marked)
		}
	}
	for name, way := range ways { // and each of them does bring back somebody who may come back
		s.follow(t, name, way.ask("/x?y=1"), "/x?y=1", way.marked)
	}
}

// sealedWay asks with a sealed line; marked: the page's address says that it is read anonymously; costs: a login.
type sealedWay struct {
	ask           func(line string) *http.Request
	marked, costs bool
}

func (s *sealer) sealedWays(t *testing.T, live string) map[string]sealedWay {
	get := func(target string, cookies ...string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, target, http.NoBody)
		r.Host = "app.localhost"
		r.Header = http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Cookie": {strings.Join(cookies, "; ")}}
		return r
	}
	callback := func(change func(*attempt), query string, cookies ...string) func(string) *http.Request {
		return func(line string) *http.Request {
			cookie, state := s.attempt(t, line, change)
			return get(pathCallback+"?state="+state+"&"+query, append(cookies, cookie)...)
		}
	}
	silent := func(m mode) func(*attempt) {
		return func(a *attempt) { a.Pending.Silent, a.Mode = true, m }
	}
	state := func(c carried, cookies ...string) func(string) *http.Request {
		return func(line string) *http.Request {
			c.ReturnTo = line
			return get(pathCallback+"?code=x&state="+s.carries(t, c), cookies...)
		}
	}
	token := func(res result, cookies ...string) func(string) *http.Request {
		return func(line string) *http.Request {
			res.ReturnTo = line
			return get(s.result(t, res), cookies...)
		}
	}
	ways := map[string]sealedWay{
		"a silent miss, read anonymously": {ask: callback(silent(modeAnonymous), "error=interaction_required")},
		"a silent miss, login follows":    {ask: callback(silent(modeLogin), "error=interaction_required"), costs: true},
		"a silent miss, page follows":     {ask: callback(silent(modePage), "error=interaction_required")},
		"a fault, read anonymously":       {ask: callback(func(a *attempt) { a.Mode = modeAnonymous }, "error=server_error"), marked: true},
		"a person's no":                   {ask: callback(func(*attempt) {}, "error=access_denied")},
		"a code that isn't one":           {ask: callback(func(*attempt) {}, "code=x")},
		"code and error":                  {ask: callback(func(*attempt) {}, "code=x&error=y")},
		"an expired attempt":              {ask: callback(func(a *attempt) { a.Pending.Started = time.Now().Add(-time.Hour) }, "code=x")},
		"a lost attempt with a session":   {ask: state(carried{}, live)},
		"a lost attempt":                  {ask: state(carried{}), costs: true},
		"a lost attempt, again":           {ask: state(carried{Round: 1})},
		"a lost anonymous attempt":        {ask: state(carried{Mode: modeAnonymous}), marked: true},
		"a result's restart, live":        {ask: token(result{Kind: resultRestart}, live)},
		"a result's login, live":          {ask: token(result{Kind: resultLogin}, live)},
		"a result's confirmation, live":   {ask: token(result{Kind: resultConfirm, ID: vipps.NewStateID()}, live)},
		"a result's confirmation, lost":   {ask: token(result{Kind: resultConfirm, ID: vipps.NewStateID()})},
		"a result's loop":                 {ask: token(result{Kind: resultLoop, Cause: causeUnknown})},
		"a result's \"Vipps is away\"":    {ask: token(result{Kind: resultUnavailable})},
		"a result's error":                {ask: token(result{Kind: resultError, Code: "access_denied"})},
	}
	ways["a confirmation's answer, live"] = sealedWay{ask: func(line string) *http.Request {
		target := s.result(t, result{Kind: resultConfirm, ID: vipps.NewStateID(), ReturnTo: line})
		form := "choice=continue&token=" + url.QueryEscape(strings.TrimPrefix(target, pathResult+"?t="))
		r := httptest.NewRequest(http.MethodPost, pathResult, strings.NewReader(form))
		r.Host = "app.localhost"
		r.Header = http.Header{"Sec-Fetch-Site": {"same-origin"}, "Content-Type": {"application/x-www-form-urlencoded"}, "Cookie": {live}}
		return r
	}}
	return ways
}

var (
	sealedField = regexp.MustCompile(`name="rd" value="([^"]*)"`)
	sealedLink  = regexp.MustCompile(`<a class="button [a-z]+" href="([^"]*)"`)
)

// follow goes on within the site until there is a page, or a redirect to the app or to the provider. What it ends in has to
// lead to want.
func (s *sealer) follow(t *testing.T, what string, r *http.Request, want string, marked bool) {
	t.Helper()
	if marked {
		separator := "?"
		if strings.Contains(want, "?") {
			separator = "&"
		}
		want += separator + anonymousMark
	}
	for range 5 {
		w := httptest.NewRecorder()
		s.ForwardAuth().ServeHTTP(w, r)
		to := w.Header().Get("Location")
		for _, wrong := range WaysOff("https://app.localhost"+r.URL.RequestURI(), w.Header(), w.Body.String(), "https://app.localhost", s.client.Issuer()+"oauth2/auth") {
			t.Errorf("%.120q: I3: %.200q", what, wrong)
		}
		if next, ok := strings.CutPrefix(to, "https://app.localhost"); ok && strings.HasPrefix(next, pathResult) {
			cookies := r.Header["Cookie"]
			r = httptest.NewRequest(http.MethodGet, next, http.NoBody)
			r.Host = "app.localhost"
			r.Header = http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Cookie": cookies}
			continue
		}
		if strings.HasPrefix(to, s.client.Issuer()) {
			_, suffix, _ := splitState(mustQuery(t, to).Get("state"))
			var c carried
			if !c.open(s.site.states, suffix) || c.ReturnTo != want {
				t.Errorf("%.120q: the next login comes back to %.200q, want %q", what, c.ReturnTo, want)
			}
			return
		}
		if to != "" {
			if to != "https://app.localhost"+want {
				t.Errorf("%.120q: %d to %.200q, want %q", what, w.Code, to, want)
			}
			return
		}
		var kept []string
		for _, m := range append(sealedField.FindAllStringSubmatch(w.Body.String(), -1), sealedLink.FindAllStringSubmatch(w.Body.String(), -1)...) {
			kept = append(kept, html.UnescapeString(m[1]))
		}
		if len(kept) == 0 || kept[0] != want {
			t.Errorf("%.120q: the page leads to %.200q, want %q", what, kept, want)
		}
		return
	}
	t.Errorf("%.120q: no end", what)
}

func mustQuery(t *testing.T, address string) url.Values {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

// Attack: a return URL under a seal that isn't ours, or is ours for something else: another key's, another site's, another
// purpose's, a bit turned, or none at all. It says nothing.
func TestSec_B070_A098_ForeignSeals(t *testing.T) {
	t.Parallel()
	s, other := newSealer(t), newSealer(t)
	live := s.sessionOf(t, "app.localhost", "somebody")
	c := carried{ReturnTo: "/elsewhere"}
	state := s.carries(t, c)
	ask := func(state string) string {
		w := s.navigate("app.localhost", pathCallback+"?code=x&state="+state, live)
		return w.Header().Get("Location")
	}
	if got := ask(state); got != "https://app.localhost/elsewhere" {
		t.Fatalf("an untouched state leads to %q", got)
	}
	if _, suffix, _ := strings.Cut(state, "."); strings.Contains(suffix, "elsewhere") || len(state) > maxState {
		t.Errorf("the state says where it leads: %s", state)
	}
	foreign := map[string]string{"another key's": other.carries(t, c), "none": vipps.NewStateID() + "./elsewhere", "no seal": vipps.NewStateID() + ".L2Vsc2V3aGVyZQ"}
	for purpose, box := range map[string]*session.Box{"session": s.site.sessions, "login": s.site.pending, "confirm": s.site.confirms, "hint": s.site.hints, "result": s.site.results} {
		sealed, err := c.seal(box)
		if err != nil {
			t.Fatal(err)
		}
		foreign["that of a "+purpose] = vipps.NewStateID() + "." + sealed
	}
	for i := stateIDLength + 1; i < len(state); i++ {
		turned := []byte(state)
		if turned[i] = 'A'; state[i] == 'A' {
			turned[i] = 'B'
		}
		foreign["a turned character "+string(rune('0'+i%10))+"/"+state[i:]] = string(turned)
		foreign["cut at "+state[i:]] = state[:i]
	}
	for name, state := range foreign {
		if got := ask(state); got != "https://app.localhost/" && !strings.HasPrefix(got, "https://app.localhost"+pathResult) {
			t.Errorf("%s: leads to %q", name, got)
		}
	}
	if w := s.navigate("app.localhost", other.result(t, result{Kind: resultRestart, ReturnTo: "/elsewhere"}), live); w.Code != http.StatusBadRequest || strings.Contains(w.Body.String(), "elsewhere") {
		t.Errorf("a result of another key's: %d %s", w.Code, w.Header().Get("Location"))
	}
}
