package forwardauth

import (
	"encoding/base64"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// target is an engine on https whose cookies are attacked, every way in which a request can be judged, and what each of
// them answers to nobody.
type target struct {
	t      *testing.T
	engine *Engine
	site   *site
	jar    string // the name of the session cookie
	clock  time.Time
	hits   int
	seen   http.Header // of the last request that reached the app
	ways   map[string]func(cookies ...string) *httptest.ResponseRecorder
	nobody map[string]answered
}

type answered struct {
	Status int
	Header http.Header
	Body   string
}

const targetHost = "app.example"

func newTarget(t *testing.T, change func(*Config)) *target {
	t.Helper()
	client, err := vipps.New(vipps.Config{Issuer: "https://op.example/", ClientID: "shop", ClientSecret: "shop secret"})
	if err != nil {
		t.Fatal(err)
	}
	tg := &target{t: t, clock: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	cfg := Config{
		Client: client, Keys: session.Keys{namedKey(t, "current")}, PublicURLs: []string{"https://" + targetHost},
		TrustedProxies: []string{"loopback"}, Now: func() time.Time { return tg.clock },
	}
	if change != nil {
		change(&cfg)
	}
	if tg.engine, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	tg.site = tg.engine.list[0]
	tg.jar = tg.site.jar.CookieName()
	tg.ways = tg.everyWay()
	tg.nobody = map[string]answered{}
	for way, ask := range tg.ways {
		tg.nobody[way] = noted(ask())
	}
	return tg
}

// namedKey is a key that depends on the name alone.
func namedKey(t testing.TB, name string) session.Key {
	t.Helper()
	raw := make([]byte, 32)
	var seed [32]byte
	copy(seed[:], name)
	_, _ = rand.NewChaCha8(seed).Read(raw)
	key, err := session.ParseKey(base64.StdEncoding.EncodeToString(raw))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func noted(w *httptest.ResponseRecorder) answered {
	return answered{Status: w.Code, Header: w.Header().Clone(), Body: w.Body.String()}
}

func (tg *target) everyWay() map[string]func(cookies ...string) *httptest.ResponseRecorder {
	protected := tg.engine.Protect(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		tg.hits++
		tg.seen = r.Header.Clone()
	}))
	authz := tg.engine.ForwardAuth()
	navigates := http.Header{"Accept": {"text/html"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}}
	fetches := http.Header{"Accept": {"*/*"}, "Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}}
	ask := func(h http.Handler, path string, kind http.Header) func(...string) *httptest.ResponseRecorder {
		return func(cookies ...string) *httptest.ResponseRecorder {
			r := httptest.NewRequest(http.MethodGet, "https://"+targetHost+path, http.NoBody)
			r.RemoteAddr, r.RequestURI = "127.0.0.1:1", path
			r.Header = http.Header{
				"X-Original-Method": {"GET"}, "X-Original-Url": {"https://" + targetHost + "/x"},
				"X-Forwarded-Method": {"GET"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {targetHost}, "X-Forwarded-Uri": {"/x"},
			}
			maps.Copy(r.Header, kind)
			if len(cookies) > 0 {
				r.Header["Cookie"] = cookies
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w
		}
	}
	return map[string]func(...string) *httptest.ResponseRecorder{
		"sidecar, navigation":      ask(protected, "/x", navigates),
		"sidecar, fetch":           ask(protected, "/x", fetches),
		"forward-auth, navigation": ask(authz, pathAuthz+"forward-auth", navigates),
		"forward-auth, fetch":      ask(authz, pathAuthz+"forward-auth", fetches),
		"auth-request":             ask(authz, pathAuthz+"auth-request", navigates),
		"challenge":                ask(authz, pathAuthz+"challenge", navigates),
		"ext-authz":                ask(authz, pathAuthz+"ext-authz/default/x", navigates),
		"me":                       ask(authz, pathMe, fetches),
	}
}

// isNobody holds every way to what it answers without a cookie: status, headers and body, and no request to the app.
func (tg *target) isNobody(what string, cookies ...string) {
	tg.t.Helper()
	for way, ask := range tg.ways {
		hits := tg.hits
		got := noted(ask(cookies...))
		if diff := cmp.Diff(tg.nobody[way], got); diff != "" || got.Status == http.StatusOK || tg.hits != hits {
			tg.t.Errorf("%s: %s differs from the answer to nobody, %d requests to the app: %s", what, way, tg.hits-hits, diff)
		}
	}
}

// is holds every way to letting this person pass.
func (tg *target) is(what, sub string, cookies ...string) {
	tg.t.Helper()
	for way, ask := range tg.ways {
		tg.seen = nil
		w := ask(cookies...)
		var got []string
		switch {
		case way == "challenge": // asked after a refusal only
			continue
		case way == "me":
			if strings.Contains(w.Body.String(), `"sub":"`+sub+`"`) {
				got = []string{sub}
			}
		case strings.HasPrefix(way, "sidecar"):
			got = tg.seen["X-Vipps-Sub"]
		default:
			got = w.Header()["X-Vipps-Sub"]
		}
		if w.Code != http.StatusOK || !slices.Equal(got, []string{sub}) {
			tg.t.Errorf("%s: %s answers %d for %q, want %s", what, way, w.Code, got, sub)
		}
	}
}

// data is a session of this person that has just begun.
func (tg *target) data(sub string) sessionData {
	return sessionData{
		ID: "id of " + sub, Sub: sub, AuthTime: tg.clock, Issued: tg.clock, Expires: tg.clock.Add(time.Hour),
		Claims: []claimValue{{"phone_number", "4790000001"}, {"name", "Åse Ødegård"}},
	}
}

func sealedIn(t testing.TB, box *session.Box, payload []byte) string {
	t.Helper()
	text, err := box.Seal(payload)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (tg *target) session(d sessionData) string {
	return sealedIn(tg.t, tg.site.sessions, d.payload())
}

// Attack: a cookie that was changed anywhere, cut anywhere, or wrapped in what some parser takes off. Whoever tries learns
// nothing: the answer is the one to nobody, byte for byte, wherever it is asked.
func TestSec_C030_B065_ChangedCookies(t *testing.T) {
	t.Parallel()
	tg := newTarget(t, nil)
	value := tg.session(tg.data("aase"))
	tg.is("as it was set", "aase", tg.jar+"="+value)
	for i := range len(value) {
		for _, c := range []byte{'A', value[i] ^ 1} {
			if c != value[i] {
				tg.isNobody(fmt.Sprintf("byte %d is %q", i, c), tg.jar+"="+value[:i]+string(rune(c))+value[i+1:])
			}
		}
		tg.isNobody(fmt.Sprintf("cut to %d bytes", i), tg.jar+"="+value[:i])
	}
	for _, other := range []string{
		"", "=", "AAAA", "1", "1AAAA", "22AAAA", value + "=", value + "%3d", value + "%3D", `"` + value + `"`, "'" + value + "'", value + " x",
		value + value, value + "~" + value, "~" + value, value + ",", " 1" + value, value + "\x00", "\x00" + value, value + "\x7f", value + "\xff",
		strings.ToUpper(value), strings.ToLower(value), "s:" + value, "j:{}", "1" + base64.StdEncoding.EncodeToString([]byte(value)), "%31" + value[1:],
		"1\r\nSet-Cookie: x=y", "1%0d%0aX-Vipps-Sub:%20admin", "__proto__", "%n%s%x", "../../etc/passwd", "null", "true", "{}", "[]",
		"eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJzdWIiOiJhYXNlIn0.c2lnbmF0dXJl", "1eyJhbGciOiJub25lIn0.eyJzdWIiOiJhYXNlIn0.", "shop secret",
	} {
		tg.isNobody(fmt.Sprintf("%.30q", other), tg.jar+"="+other)
	}
}

// Attack: a value that we did seal, but for something else: another purpose, site, client, issuer or key; a session that
// is over, or is to begin; a payload of another form.
func TestSec_C030_B074_B077_B081_B103_B130_ValuesOfOthers(t *testing.T) {
	t.Parallel()
	tg := newTarget(t, nil)
	now, d := tg.clock, tg.data("aase")
	payload := d.payload()
	others := map[string]string{}
	for purpose, box := range map[string]*session.Box{
		"attempt": tg.site.pending, "hint": tg.site.hints, "confirmation": tg.site.confirms, "state": tg.site.states, "result": tg.site.results,
	} {
		others["a session sealed as "+purpose] = sealedIn(t, box, payload)
	}
	for name, change := range map[string]func(*Config){
		"another client": func(c *Config) { c.Client = otherClient(t, "https://op.example/", "other") },
		"staging":        func(c *Config) { c.Client = otherClient(t, "https://staging.op.example/", "shop") },
		"another site":   func(c *Config) { c.PublicURLs = []string{"https://other.example"} },
		"another port":   func(c *Config) { c.PublicURLs = []string{"https://" + targetHost + ":8443"} },
		"another key":    func(c *Config) { c.Keys = session.Keys{namedKey(t, "rotated out")} },
	} {
		others[name] = newTarget(t, change).session(d)
	}
	for name, change := range map[string]func(*sessionData){
		"a second past its end":      func(d *sessionData) { d.Issued, d.Expires = now.Add(-time.Hour), now.Add(-time.Second) },
		"at its end":                 func(d *sessionData) { d.Issued, d.Expires = now.Add(-time.Hour), now },
		"idle too long":              func(d *sessionData) { d.IdleUntil = now.Add(-time.Second) },
		"older than session_ttl":     func(d *sessionData) { d.Issued, d.Expires = now.Add(-9*time.Hour), now.Add(time.Hour) },
		"from ten minutes ahead":     func(d *sessionData) { d.Issued, d.Expires = now.Add(10*time.Minute), now.Add(time.Hour) },
		"from ten years ahead":       func(d *sessionData) { d.Issued, d.Expires = now.AddDate(10, 0, 0), now.AddDate(11, 0, 0) },
		"of nobody":                  func(d *sessionData) { d.Sub = "" },
		"that no logout could end":   func(d *sessionData) { d.ID = "" },
		"without an end":             func(d *sessionData) { d.Expires = time.Time{} },
		"with more claims than read": func(d *sessionData) { d.Claims = make([]claimValue, maxClaims+1) },
	} {
		bent := d
		change(&bent)
		others["a session "+name] = tg.session(bent)
	}
	for name, bent := range map[string][]byte{
		"of a version to come": append([]byte{sessionVersion + 1}, payload[1:]...),
		"of version 0":         append([]byte{0}, payload[1:]...),
		"with a byte more":     append(slices.Clone(payload), 0),
		"cut":                  payload[:len(payload)-1],
		"of a hint":            (&hint{Logout: waitsForClick}).payload(),
		"of an attempt":        (&attempt{ReturnTo: "/"}).payload(),
		"of noise":             []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01 noise"),
	} {
		others["a payload "+name] = sealedIn(t, tg.site.sessions, bent)
	}
	for name, value := range others {
		tg.isNobody(name, tg.jar+"="+value)
		tg.isNobody(name+", again", tg.jar+"="+value)
	}
	if n := tg.site.opened.sizes(t); n != 0 { // B-103: what is no session is no key of anything either
		t.Errorf("%d of them are kept", n)
	}
}

func otherClient(t *testing.T, issuer, id string) *vipps.Client {
	t.Helper()
	c, err := vipps.New(vipps.Config{Issuer: issuer, ClientID: id, ClientSecret: "shop secret"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Attack: two cookies of the name, one of them planted from a neighbouring host. Garbage beside the session doesn't end
// it; two people are nobody, in one header or two, in whichever order.
func TestSec_C031_C030_TwoCookiesOfTheName(t *testing.T) {
	t.Parallel()
	tg := newTarget(t, nil)
	aase, per := tg.jar+"="+tg.session(tg.data("aase")), tg.jar+"="+tg.session(tg.data("per"))
	again := tg.jar + "=" + tg.session(tg.data("aase"))
	expired := tg.data("per")
	expired.Expires = tg.clock.Add(-time.Second)
	old := tg.jar + "=" + tg.session(expired)
	for _, garbage := range []string{tg.jar + "=1AAAA", tg.jar + "=", tg.jar, tg.jar + `="x"`, old} {
		for _, lines := range [][]string{{aase + "; " + garbage}, {garbage + "; " + aase}, {aase, garbage}, {garbage, aase}, {garbage, aase, garbage}} {
			tg.is("beside "+garbage[:min(len(garbage), 30)], "aase", lines...)
		}
	}
	tg.is("twice, sealed anew", "aase", aase+"; "+again)
	for _, lines := range [][]string{{aase + "; " + per}, {per + "; " + aase}, {aase, per}, {per, aase}, {aase + "; " + again, per}, {old + "; " + aase + "; " + per}} {
		tg.isNobody("two people", lines...)
	}
	// Of two sessions of one person the one counts that lives longer, in whichever order.
	shorter := tg.data("aase")
	shorter.Expires = tg.clock.Add(10 * time.Minute)
	values := []string{tg.session(tg.data("aase")), tg.session(shorter)}
	for range 2 {
		slices.Reverse(values)
		if op, _ := tg.engine.openOneOf(tg.site, values, tg.clock); op == nil || op.until != tg.clock.Add(time.Hour).Unix() {
			t.Errorf("the shorter one counts: %v", op)
		}
	}
	for i := range 8 { // more than are looked at: none counts, rather than the first few
		lines := []string{per}
		for j := range i {
			lines = append(lines, fmt.Sprintf("%s=1%s", tg.jar, strings.Repeat(string(rune('A'+j)), 4)))
		}
		tg.isNobody(fmt.Sprintf("two people with %d others between them", i), strings.Join(append(lines, aase), "; "))
	}
}

// Attack: a session of several cookies with one missing, another's, in another place, one too many, or a count that is none.
func TestSec_C030_B107_B112_Chunks(t *testing.T) {
	t.Parallel()
	tg := newTarget(t, nil)
	long := func(sub string) []string {
		d := tg.data(sub)
		for i := range 3 {
			d.Claims = append(d.Claims, claimValue{fmt.Sprint("claim", i), strings.Repeat(sub+" lives far away. ", 100)})
		}
		w := httptest.NewRecorder()
		if err := tg.site.jar.Set(w, nil, tg.session(d), time.Hour); err != nil {
			t.Fatal(err)
		}
		var pairs []string
		for _, line := range w.Header()["Set-Cookie"] {
			pair, _, _ := strings.Cut(line, ";")
			pairs = append(pairs, pair)
		}
		return pairs
	}
	aase, per := long("aase"), long("per")
	if len(aase) != 3 || len(per) != 3 {
		t.Fatalf("%d and %d cookies", len(aase), len(per))
	}
	join := func(pairs ...string) string { return strings.Join(pairs, "; ") }
	value := func(pair string) string { _, v, _ := strings.Cut(pair, "="); return v }
	name := func(i int) string { n, _, _ := strings.Cut(aase[i], "="); return n }
	tg.is("whole", "aase", join(aase...))
	tg.is("in another order", "aase", join(aase[2], aase[0], aase[1]))
	tg.is("twice", "aase", join(aase...), join(aase...))
	for _, extra := range []string{".3=AAAA", ".4=AAAA", ".00=AAAA", ".-1=AAAA", ".99999=AAAA", "_2=AAAA", ".0=2", ".count=99999999"} {
		tg.is("with "+extra, "aase", join(aase...)+"; "+tg.jar+extra)
	}
	for what, cookies := range map[string]string{
		"the first missing":   join(aase[1], aase[2]),
		"the middle missing":  join(aase[0], aase[2]),
		"the last missing":    join(aase[0], aase[1]),
		"the first alone":     aase[0],
		"swapped":             join(aase[0], name(1)+"="+value(aase[2]), name(2)+"="+value(aase[1])),
		"the head of another": join(per[0], aase[1], aase[2]),
		"a part of another":   join(aase[0], per[1], aase[2]),
		"the end of another":  join(aase[0], aase[1], per[2]),
		"two people":          join(append(aase, per...)...),
		"a count too low":     join(name(0)+"=22"+value(aase[0])[2:], aase[1], aase[2]),
		"a count too high":    join(name(0)+"=24"+value(aase[0])[2:], aase[1], aase[2]),
		"a count of nine":     join(name(0)+"=29"+value(aase[0])[2:], aase[1], aase[2]),
		"a huge count":        join(name(0)+"=299999999"+value(aase[0])[2:], aase[1], aase[2]),
		"a cut part":          join(aase[0], aase[1][:len(aase[1])-1], aase[2]),
		"an empty part":       join(aase[0], name(1)+"=", aase[2]),
		"underscores":         join(aase[0], tg.jar+"_1="+value(aase[1]), tg.jar+"_2="+value(aase[2])),
		"all in one cookie":   name(0) + "=1" + value(aase[0])[3:] + value(aase[1]) + value(aase[2]),
	} {
		tg.isNobody(what, cookies)
	}
}
