package forwardauth

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// go test ./forwardauth -run D17 -golden.write testdata/cookies/NEW.txt writes the cookies of this version, before a release
// that changes a format. The files that are there stay as they are, for ever.
var goldenWrite = flag.String("golden.write", "", "writes what this version seals to a new file")

var goldenTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const goldenState = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"

func goldenSession() sessionData {
	return sessionData{
		ID: "ABCDEFGHIJKLMNOPQRSTUV", Sub: "c06c4afe-d9e1-4c5d-939a-177d752a0944", AuthTime: goldenTime.Add(-time.Minute),
		Issued: goldenTime, Expires: goldenTime.Add(8 * time.Hour), IdleUntil: goldenTime.Add(time.Hour),
		Claims: []claimValue{{"name", "Åse Ødegård"}, {"phone_number", "4790000001"}, {"email", ""}},
	}
}

// golden is one of each thing that we seal: what it is sealed with, its payload, and how what was read of one is told.
func golden(s *site) map[string]struct {
	box  *session.Box
	want any
	text func() []byte
	read func([]byte) (any, error)
} {
	d := goldenSession()
	h := hint{
		MissUntil: goldenTime.Add(15 * time.Minute), SilentStarted: goldenTime, Logout: clickedSince, LoggedOutAt: goldenTime.Add(7 * time.Millisecond).Local(),
		Successes: 2, FirstSuccess: goldenTime, SessionUntil: goldenTime.Add(time.Hour), SessionSize: 700, Passes: 1, Passed: goldenTime, Page: "AAAABBBB",
	}
	a := attempt{
		Pending: vipps.PendingLogin{Nonce: "nonce", Verifier: "verifier", ACRValues: "urn:a urn:b", Silent: true, Started: goldenTime.Local()},
		State:   hashState(goldenState), ReturnTo: "/orders?page=2", Clicked: true, Confirm: true, Round: 1, Mode: modePage,
	}
	c := confirmation{Session: d, Clicked: true, Made: goldenTime.Local()}
	st := carried{ReturnTo: "/orders?page=2", Round: 1, Clicked: true, Silent: true, Mode: modePage}
	res := result{
		Kind: resultLoop, Code: "server_error", Cause: causeOtherKey, ReturnTo: "/orders", Reference: "ABCD-EFGH", ID: goldenState,
		Round: 1, RetryAfter: 30, Clicked: true, Mode: modePage, Made: goldenTime,
	}
	type thing = struct {
		box  *session.Box
		want any
		text func() []byte
		read func([]byte) (any, error)
	}
	return map[string]thing{
		"session": {s.sessions, d, func() []byte { return d.payload() }, func(b []byte) (any, error) { var v sessionData; err := v.read(b); return v, err }},
		"hint":    {s.hints, h, func() []byte { return h.payload() }, func(b []byte) (any, error) { var v hint; err := v.read(b); return v, err }},
		"attempt": {s.pending, a, func() []byte { return a.payload() }, func(b []byte) (any, error) { var v attempt; err := v.read(b); return v, err }},
		"confirm": {s.confirms, c, func() []byte { return c.payload() }, func(b []byte) (any, error) { var v confirmation; err := v.read(b); return v, err }},
		"result":  {s.results, res, func() []byte { return res.payload() }, func(b []byte) (any, error) { var v result; err := v.read(b); return v, err }},
		"state": {s.states, st, nil, func(b []byte) (any, error) {
			var v carried
			text, err := s.states.Seal(b) // its reader opens it itself
			if err == nil && !v.open(s.states, text) {
				err = session.ErrPayload
			}
			return v, err
		}},
	}
}

func goldenTarget(t *testing.T) *target {
	return newTarget(t, func(c *Config) { c.Keys = session.Keys{namedKey(t, "golden")} })
}

// D-17: what earlier versions have sealed opens and says what it said then. An update that breaks this logs everybody out,
// and one that reads it otherwise is worse.
func TestSec_D17_GoldenCookies(t *testing.T) {
	t.Parallel()
	tg := goldenTarget(t)
	things := golden(tg.site)
	if *goldenWrite != "" {
		writeGolden(t, tg.site, *goldenWrite)
	}
	files, err := filepath.Glob("testdata/cookies/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden cookies", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		seen := 0
		for line := range strings.Lines(string(text)) {
			purpose, sealed, ok := strings.Cut(strings.TrimSpace(line), " ")
			if !ok || purpose == "#" {
				continue
			}
			thing := things[purpose]
			seen++
			payload, err := thing.box.Open(sealed)
			if err != nil {
				t.Errorf("%s: %s doesn't open: %v", file, purpose, err)
				continue
			}
			got, err := thing.read(payload)
			if err != nil || !reflect.DeepEqual(got, thing.want) {
				t.Errorf("%s: %s is read as %+v, %v\nwant %+v", file, purpose, got, err, thing.want)
			}
			if purpose == "session" { // and it still is one
				tg.is(file, goldenSession().Sub, tg.jar+"="+sealed)
			}
		}
		if seen != len(things) {
			t.Errorf("%s has %d things of %d", file, seen, len(things))
		}
	}
}

func writeGolden(t *testing.T, s *site, path string) {
	t.Helper()
	out := "# Sealed with the key that the test names golden: synthetic, and never to be changed.\n"
	for _, purpose := range []string{"session", "hint", "attempt", "confirm", "state", "result"} {
		thing := golden(s)[purpose]
		var sealed string
		var err error
		if purpose == "state" {
			sealed, err = thing.want.(carried).seal(s.states)
		} else {
			sealed, err = thing.box.Seal(thing.text())
		}
		if err != nil {
			t.Fatal(err)
		}
		out += purpose + " " + sealed + "\n"
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(out); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// D-17, the way back: a version that is rolled back meets what a later one has sealed. Each thing of a later form is as if it
// were not there: nobody is anybody, nothing breaks, and the page that comes of it lets the person begin anew.
func TestSec_D17_ThingsOfALaterVersion(t *testing.T) {
	t.Parallel()
	tg := goldenTarget(t)
	later := map[string]string{}
	for purpose, thing := range golden(tg.site) {
		var payload []byte
		if purpose == "state" {
			sealed, err := thing.want.(carried).seal(tg.site.states)
			if err != nil {
				t.Fatal(err)
			}
			if payload, err = tg.site.states.Open(sealed); err != nil {
				t.Fatal(err)
			}
		} else {
			payload = thing.text()
		}
		for _, bent := range [][]byte{append([]byte{payload[0] + 1}, payload[1:]...), append(payload, 0), {0}, {255}} {
			if v, err := thing.read(bent); err == nil {
				t.Errorf("a %s of a later version is read as %+v", purpose, v)
			}
		}
		later[purpose] = sealedIn(t, thing.box, append([]byte{payload[0] + 1}, payload[1:]...))
	}
	attemptCookie := hostPrefix + tg.site.attemptName() + timePrefix(goldenTime) + goldenState[:attemptIDLength]
	for name, tt := range map[string]struct {
		target, cookies string
		want            int
	}{
		"attempt and state": {pathCallback + "?code=x&state=" + goldenState + "." + later["state"], attemptCookie + "=" + later["attempt"], http.StatusSeeOther},
		"attempt":           {pathCallback + "?code=x&state=" + goldenState, attemptCookie + "=" + later["attempt"], http.StatusSeeOther},
		"state":             {pathCallback + "?code=x&state=" + goldenState + "." + later["state"], "a=b", http.StatusSeeOther},
		"result":            {pathResult + "?t=" + later["result"], "a=b", http.StatusBadRequest},
		"hint and session":  {pathLogout, tg.jar + "=" + later["session"] + "; " + tg.site.hintJar.CookieName() + "=" + later["hint"], http.StatusOK},
	} {
		w := tg.engine.navigate(targetHost, tt.target, tt.cookies)
		if w.Code != tt.want || strings.Contains(strings.Join(w.Header()["Set-Cookie"], "\n"), tg.jar+"=1") {
			t.Errorf("%s: %d to %s, sets %v", name, w.Code, w.Header().Get("Location"), w.Header()["Set-Cookie"])
		}
		if cleared := strings.Contains(strings.Join(w.Header()["Set-Cookie"], "\n"), attemptCookie+"=;"); cleared != strings.HasPrefix(name, "attempt") {
			t.Errorf("%s: the attempt that nobody can read is cleared: %t", name, cleared)
		}
		if w.Code == http.StatusSeeOther {
			page := tg.engine.navigate(targetHost, strings.TrimPrefix(w.Header().Get("Location"), "https://"+targetHost), tt.cookies)
			if page.Code != http.StatusBadRequest || !strings.Contains(page.Body.String(), pathLogin) {
				t.Errorf("%s: the page is %d %s", name, page.Code, page.Body)
			}
		}
	}
	tg.isNobody("a session of a later version", tg.jar+"="+later["session"])
}

// B-048: no key of a cache or a set is put together so that parts can shift, or means something else in another one.
func TestSec_B048_KeysThatShift(t *testing.T) {
	t.Parallel()
	now := goldenTime
	var l logLimiter
	for i, pair := range [][2]string{{"host", "of x"}, {"host of", "x"}, {"hos", "t of x"}, {"host of x", ""}, {"", "host of x"}} {
		if !l.allowOnce(pair[0], pair[1], now) {
			t.Errorf("%d: %q is silenced by another", i, pair)
		}
		if l.allowOnce(pair[0], pair[1], now) {
			t.Errorf("%d: %q is said twice", i, pair)
		}
	}
	s := NewState()
	ref := func(id string) sessionRef {
		return sessionRef{sessionDigest(id), personDigest("issuer", "sub"), now.Unix()}
	}
	if !s.use("id", now, now.Add(time.Hour)) || s.isRevoked(ref("id"), now) {
		t.Error("a state that was used ends the session of the same id")
	}
	ended := ref("other")
	s.revoke(record{kind: endsSession, session: ended.id, person: ended.person, at: ended.issued, until: now.Add(time.Hour).Unix()}, now)
	if !s.isRevoked(ended, now) || s.isRevoked(ref("othe"), now) || personDigest("issuer", "sub") == personDigest("issuers", "ub") {
		t.Error("who is ended is told by parts that shift")
	}
	if !s.use("other", now, now.Add(time.Hour)) {
		t.Error("a session that was ended uses up the state of the same id")
	}
	var c openedCache
	a, b := &opened{}, &opened{}
	c.put("1ab.c", a)
	c.put("1a.bc", b)
	if c.get("1ab.c") != a || c.get("1a.bc") != b || c.get("1abc") != nil || c.get("1ab") != nil {
		t.Error("the cache answers for another value")
	}
	bound := map[string]string{}
	for _, cfg := range []Config{
		{CookieDomain: "a.example", Client: clientWith(t, "")},
		{CookieDomain: "a.example", Client: clientWith(t, "urn:b")},
		{CookieDomain: "a.example", Client: clientWith(t, "urn:b unverified")},
		{CookieDomain: "a.example", Client: clientWith(t, "unverified")},
		{CookieDomain: "a.example", Client: clientWith(t, "urn:b"), EmailUnverified: EmailUnverifiedPass},
		{CookieDomain: "a.example", Client: clientWith(t, ""), EmailUnverified: EmailUnverifiedPass},
	} {
		key, what := cfg.worth(), fmt.Sprintf("%q %s", cfg.Client.ACRValues(), cfg.EmailUnverified)
		if other, ok := bound[key]; ok {
			t.Errorf("%s shares its sessions with %s", what, other)
		}
		bound[key] = what
	}
	// A session that one site's cache knows is nobody at another one that doesn't share it.
	first, second := newTarget(t, nil), newTarget(t, func(c *Config) { c.PublicURLs = []string{"https://" + targetHost, "https://" + targetHost + ":8443"} })
	value := first.session(first.data("aase"))
	first.is("warm", "aase", first.jar+"="+value)
	second.is("at the same site", "aase", first.jar+"="+value)
	other := second.engine.list[1]
	if op, _ := second.engine.session(other, http.Header{"Cookie": {other.jar.CookieName() + "=" + value}}, now); op != nil {
		t.Error("another site takes it")
	}
}
