package forwardauth_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/forwardauth/fcgi"
	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// newSteps is a lab whose app below /strong is under a policy that asks for confirmation in the app, and below /till under one that asks
// for a QR code.
func newSteps(t *testing.T, change func(*forwardauth.Config)) *lab {
	t.Helper()
	l := newLabAt(t, func(c *emulator.Client) { c.Advanced = true }, func(c *forwardauth.Config) {
		c.Policies = []forwardauth.Policy{{Name: "strong", ACRValues: emulator.ACRAppAuth}, {Name: "till", QRs: []string{"oKAz7q1O"}}}
		if change != nil {
			change(c)
		}
	})
	l.withPolicies()
	return l
}

// withPolicies puts the app's parts under the policies whose names begin their paths.
func (l *lab) withPolicies() {
	l.takeTurns(func(path string) http.Handler {
		name, _, _ := strings.Cut(path[1:], "/")
		if name != "strong" && name != "till" {
			return l.one
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			o := forwardauth.Original{Method: r.Method, Scheme: "http", Host: r.Host, URI: r.RequestURI, Header: r.Header, Policy: name}
			_ = l.engine.Serve(w, r, o, true, func(w http.ResponseWriter, r *http.Request, _ forwardauth.Decision) error {
				l.app(w, r)
				return nil
			})
		})
	})
}

// Attack: whoever sits down at a browser that Vipps remembers opens what asks for confirmation in the app, with the session of an
// ordinary login, or with a login that nobody was asked for. Everybody who asks us hears the same.
func TestSec_B010_AWeakSessionMustProveMore(t *testing.T) {
	t.Parallel()
	l := newSteps(t, nil)
	b := l.loggedIn(phoneAase)
	l.silent(emulator.NoDialogHit)
	hits := l.hits()
	script := b.send("GET", "/strong/x", http.Header{"Sec-Fetch-Mode": {"cors"}, "Referer": {l.site.URL + "/strong/"}}, "")
	if login := script.Header.Get("X-Vipps-Login-Url"); script.StatusCode != http.StatusUnauthorized || !strings.HasSuffix(login, "/_vipps/login?rd=%2Fstrong%2F&policy=strong") || !strings.Contains(script.text, "login_required") {
		t.Errorf("a script: %d %q %s", script.StatusCode, login, script.text)
	}
	if a := b.send("POST", "/strong/x", ownForm(), "a=b"); a.StatusCode != http.StatusUnauthorized || l.hits() != hits {
		t.Errorf("a form: %d", a.StatusCode)
	}
	form := ownForm()
	form.Set("Referer", l.site.URL+"/strong/x")
	if a := b.send("POST", "/strong/x", form, "a=b"); !strings.Contains(a.text, `name="a" value="b"`) || !strings.Contains(a.text, `href="`+l.site.URL+`/_vipps/login?policy=strong"`) {
		t.Errorf("the form is kept, and the login comes back to no place that takes forms only: %d %s", a.StatusCode, a.text)
	}
	l.everyDialect(b, "strong", func(dialect string, w *httptest.ResponseRecorder) {
		if location := w.Header().Get("Location"); w.Code != http.StatusFound || location != l.site.URL+"/_vipps/login?rd=%2Fstrong%2Fx&policy=strong" {
			t.Errorf("%s: %d %q", dialect, w.Code, location)
		}
	})
	if a := b.send("GET", "/", navigation(), ""); a.StatusCode != http.StatusOK {
		t.Errorf("elsewhere: %d", a.StatusCode)
	}
	weak := b.cookie("vippsauth")
	a := b.visit("/strong/x?y=1")
	if !strings.Contains(a.text, "app: GET /strong/x?y=1 auth=authenticated name=Åse") || b.passed("/oauth2/auth") != 1 || b.passed("/_vipps/login") != 1 || b.asked(0).Get("acr_values") != emulator.ACRAppAuth || b.asked(0).Has("requested_flow") {
		t.Fatalf("proving more: %d %s\n%s", a.StatusCode, a.text, strings.Join(b.trail, "\n"))
	}
	l.everyDialect(b, "strong", func(dialect string, w *httptest.ResponseRecorder) {
		if w.Code != http.StatusOK {
			t.Errorf("with the proof, %s: %d", dialect, w.Code)
		}
	})
	if a := b.visit("/strong/z"); !strings.Contains(a.text, "app:") || len(b.trail) != 1 {
		t.Errorf("once proved: %d %v", a.StatusCode, b.trail)
	}
	thief := l.browser() // the session of before proves no more than it did
	thief.setCookie("vippsauth", weak)
	if a := thief.send("GET", "/strong/x", http.Header{}, ""); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("the weaker session: %d", a.StatusCode)
	}
	fresh := l.browser() // without any session it is one login, and not a silent one
	if a := fresh.visit("/strong/x"); !strings.Contains(a.text, "app:") || fresh.passed("/oauth2/auth") != 1 || fresh.asked(0).Has("requested_flow") {
		t.Errorf("a fresh browser: %d %s", a.StatusCode, strings.Join(fresh.trail, "\n"))
	}
}

// everyDialect asks about a navigation to /strong/x in every way that there is.
func (l *lab) everyDialect(b *browser, policy string, judge func(dialect string, w *httptest.ResponseRecorder)) {
	l.t.Helper()
	host, header := l.site.Listener.Addr().String(), navigation()
	header.Set("Cookie", "vippsauth="+b.cookie("vippsauth"))
	authz := l.engine.ForwardAuth()
	ask := func(path string, more map[string]string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "http://"+host+"/_vipps/authz/"+path, nil)
		r.RemoteAddr, r.RequestURI = "127.0.0.1:40000", r.URL.RequestURI()
		for name, values := range header {
			r.Header[name] = values
		}
		for name, value := range more {
			r.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		authz.ServeHTTP(w, r)
		return w
	}
	judge("forward-auth", ask("forward-auth/"+policy, map[string]string{"X-Forwarded-Method": "GET", "X-Forwarded-Proto": "http", "X-Forwarded-Host": host, "X-Forwarded-Uri": "/strong/x"}))
	nginx := map[string]string{"X-Original-Method": "GET", "X-Original-Url": "http://" + host + "/strong/x"}
	if w := ask("auth-request/"+policy, nginx); w.Code == http.StatusUnauthorized {
		judge("challenge", ask("challenge/"+policy, nginx))
	} else {
		judge("auth-request", w)
	}
	judge("ext-authz", ask("ext-authz/"+policy+"/strong/x", map[string]string{"X-Forwarded-Proto": "http"}))
	w := httptest.NewRecorder()
	l.engine.Judge(w, forwardauth.Original{Method: "GET", Scheme: "http", Host: host, URI: "/strong/x", Header: header, Policy: policy}, "127.0.0.1:1")
	judge("gRPC", w)
	q := &fcgi.Request{RemoteAddr: "127.0.0.1:1", Params: []fcgi.Param{
		{Name: "REQUEST_METHOD", Value: "GET"}, {Name: "REQUEST_SCHEME", Value: "http"}, {Name: "HTTP_HOST", Value: host}, {Name: "REQUEST_URI", Value: "/strong/x"}, {Name: "VIPPS_POLICY", Value: policy},
	}}
	for name, values := range header {
		q.Params = append(q.Params, fcgi.Param{Name: "HTTP_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")), Value: values[0]})
	}
	answer := l.engine.FastCGI(q)
	w = httptest.NewRecorder()
	for name, values := range answer.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Status)
	judge("FastCGI", w)
}

// Attack: a second person confirms in their app, and the first one's browser goes on in their name, unasked.
func TestSec_B010_AnotherPersonProvesMore(t *testing.T) {
	t.Parallel()
	l := newSteps(t, nil)
	b := l.loggedIn(phoneAase)
	before := b.cookie("vippsauth")
	l.as(phonePer)
	a := b.visit("/strong/x")
	if !strings.Contains(a.text, asksWho) || !strings.Contains(a.text, "Per") || !strings.Contains(a.text, "Åse") || b.cookie("vippsauth") != before {
		t.Fatalf("%d %s", a.StatusCode, a.text)
	}
	if a := b.click("/_vipps/result", saying(tokenOf(a), "continue")); !strings.Contains(a.text, "app: GET /strong/x auth=authenticated name=Per") || l.opens(before) {
		t.Errorf("Per continues: %d %s", a.StatusCode, a.text)
	}
}

// Attack, or a tariff without it: the provider never confirms. That ends on a page which says so, and changes no session; neither a
// browser that keeps no new cookie goes round.
func TestSec_B010_D24_AProofThatNeverComesIsNoLoop(t *testing.T) {
	t.Parallel()
	for _, fault := range []string{emulator.BreakMissingACR, emulator.BreakWrongACR} {
		l := newSteps(t, nil)
		b := l.loggedIn(phoneAase)
		before, hits := b.cookie("vippsauth"), l.hits()
		if err := l.vipps.Control().Break(fault, 1); err != nil {
			t.Fatal(err)
		}
		a := b.visit("/strong/x")
		if a.StatusCode != http.StatusBadGateway || !strings.Contains(a.text, "confirm in the") || !strings.Contains(a.text, "advanced plan") || b.passed("/oauth2/auth") != 1 || l.hits() != hits || b.cookie("vippsauth") != before {
			t.Errorf("%s: %d %s\n%s", fault, a.StatusCode, a.text, strings.Join(b.trail, "\n"))
		}
	}
	l := newSteps(t, nil)
	b := l.loggedIn(phoneAase)
	weak := b.cookie("vippsauth")
	for range 10 {
		b.setCookie("vippsauth", weak)
		a := b.send("GET", "/strong/x", navigation(), "")
		a = b.send("GET", a.Header.Get("Location"), navigation(), "")
		if a.StatusCode == http.StatusBadRequest {
			if !strings.Contains(a.text, "going in circles") {
				t.Error(a.text)
			}
			return
		}
		b.send("GET", b.onTheWay(a), navigation(), "")
	}
	t.Error("a browser that keeps its old session goes round for ever")
}

// Attack: the same by a browser that loses the cookie of each attempt, and whose session goes on meanwhile.
func TestSec_B010_D24_AProofWhoseAttemptIsLostIsNoLoop(t *testing.T) {
	t.Parallel()
	l := newSteps(t, nil)
	b := l.loggedIn(phoneAase)
	for range 10 {
		a := b.send("GET", "/strong/x", navigation(), "")
		a = b.send("GET", a.Header.Get("Location"), navigation(), "")
		if a.StatusCode == http.StatusBadRequest {
			if !strings.Contains(a.text, "going in circles") {
				t.Error(a.text)
			}
			return
		}
		callback := b.onTheWay(a)
		for name := range b.own() {
			if strings.HasPrefix(name, "vippsauth-login-") {
				b.setCookie(name, "")
			}
		}
		if a := b.send("GET", callback, navigation(), ""); a.Header.Get("Location") != l.site.URL+"/strong/x" {
			t.Fatalf("the callback leads to %q", a.Header.Get("Location"))
		}
	}
	t.Error("it goes round for ever")
}

// Attack: names of policies that don't exist, doubled ones, and those that another site may put into a link: nobody gets in by one, and
// a login that began for less does not count for more.
func TestSec_B010_PolicyNamesOfStrangers(t *testing.T) {
	t.Parallel()
	l := newSteps(t, nil)
	b := l.loggedIn(phoneAase)
	for _, query := range []string{"policy=nope", "policy=default", "policy=", "policy=till", "policy=strong&policy=strong", "policy=strong%00", "policy=STRONG", "policy=%3Cscript%3E"} {
		if a := b.visit("/_vipps/login?rd=/p&" + query); !strings.Contains(a.text, "app: GET /p") || b.passed("/oauth2/auth") != 0 {
			t.Errorf("%s: %d %s", query, a.StatusCode, a.text)
		}
		l.clock.advance(11e9)
	}
	for _, who := range []*browser{b, l.browser()} { // a click asks for no less
		a := who.send("POST", "/_vipps/login", ownForm(), "rd=%2Fstrong%2Fx&policy=strong")
		if u, err := a.Location(); err != nil || u.Query().Get("acr_values") != emulator.ACRAppAuth || u.Query().Has("requested_flow") {
			t.Errorf("a click: %d %v", a.StatusCode, u)
		}
	}
	page := newSteps(t, func(c *forwardauth.Config) {
		c.WithoutSession, c.Silent = forwardauth.WithoutSessionPage, forwardauth.SilentOff
	})
	stranger := page.browser()
	if a := stranger.visit("/strong/x"); !strings.Contains(a.text, `name="policy" value="strong"`) {
		t.Errorf("the page with the button: %d %s", a.StatusCode, a.text)
	}
	page.as(phoneAase)
	if a := stranger.click("/_vipps/login", map[string][]string{"rd": {"/strong/x"}, "policy": {"strong"}}); !strings.Contains(a.text, "app: GET /strong/x") || stranger.passed("/oauth2/auth") != 1 {
		t.Errorf("its button: %d %s\n%s", a.StatusCode, a.text, strings.Join(stranger.trail, "\n"))
	}
}

// Only who came by the policy's QR code passes: a person's own claims, or a browser's login, don't speak for that.
func TestSec_B010_OnlyLoginsByTheseQRCodesPass(t *testing.T) {
	t.Parallel()
	ends := &landings{codes: map[string]landed{}}
	l := newSteps(t, func(c *forwardauth.Config) {
		c.Landings = []forwardauth.Landing{{Path: landingPath, Finish: ends.finish}}
		c.Headers = []string{"default", "X-Till=qr_id"}
	})
	b := l.loggedIn(phoneAase)
	if a := b.visit("/till/x"); a.StatusCode != http.StatusForbidden {
		t.Errorf("an ordinary login: %d %s", a.StatusCode, a.text)
	}
	for id, want := range map[string]int{`"oKAz7q1O"`: 200, `"other"`: 403, `["oKAz7q1O"]`: 403, `"oKAz7q1O "`: 403, `null`: 403} {
		login := ola()
		login.User.Claims = map[string]json.RawMessage{"qr_id": json.RawMessage(id)}
		b := l.browser()
		a := b.click("/_vipps/result", answering(b.visit(ends.put("c", landed{login: login, to: "/till/x"})), "continue"))
		if a.StatusCode != want {
			t.Errorf("%s: %d %s", id, a.StatusCode, a.text)
		}
		if want == 200 && l.last().Header.Get("X-Till") != "oKAz7q1O" {
			t.Errorf("the app was told %q", l.last().Header)
		}
	}
}

func TestProofsAreChecked(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	client, err := vipps.New(vipps.Config{Issuer: l.config.Client.Issuer(), ClientID: "shop", ClientSecret: "shop secret+/=", Scopes: l.config.Scopes, ACRValues: "urn:a urn:b"})
	if err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*forwardauth.Config){
		"printable": func(c *forwardauth.Config) { c.Policies = []forwardauth.Policy{{Name: "p", ACRValues: "urn:å"}} },
		"512": func(c *forwardauth.Config) {
			c.Policies = []forwardauth.Policy{{Name: "p", ACRValues: strings.Repeat("a", 600)}}
		},
		"anonymous": func(c *forwardauth.Config) {
			c.Policies = []forwardauth.Policy{{Name: "p", ACRValues: "urn:a", WithoutSession: "anonymous"}}
		},
		"QR codes": func(c *forwardauth.Config) { c.Policies = []forwardauth.Policy{{Name: "p", QRs: []string{""}}} },
		"must be of th": func(c *forwardauth.Config) {
			c.Client, c.Policies = client, []forwardauth.Policy{{Name: "p", ACRValues: "urn:a urn:c"}}
		},
	} {
		cfg := l.config
		change(&cfg)
		if _, err := forwardauth.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	cfg := l.config
	cfg.PublicURLs, cfg.CookieDomain, cfg.Emulator = []string{"https://a.example.com"}, "example.com", false
	cfg.Policies = []forwardauth.Policy{{Name: "p", ACRValues: "urn:a"}}
	other := cfg
	other.PublicURLs, other.Policies = []string{"https://b.example.com"}, []forwardauth.Policy{{Name: "p", ACRValues: "urn:b"}}
	cfg.Sites = []forwardauth.Config{other}
	if _, err := forwardauth.New(cfg); err == nil || !strings.Contains(err.Error(), "same acr_values in its policy p") {
		t.Errorf("two policies of one name: %v", err)
	}
	cfg = l.config
	cfg.Client, cfg.Policies = client, []forwardauth.Policy{{Name: "p", ACRValues: " urn:a "}, {Name: "q", ACRValues: "urn:a urn:b"}}
	if _, err := forwardauth.New(cfg); err != nil {
		t.Error(err)
	}
}
