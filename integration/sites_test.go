package integration_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// family is one instance with three sites: two hosts of a domain that share their sessions and log in at a third one, and
// a site that was told nothing of the kind, with a client, scopes and an app of its own.
type family struct {
	*front
	a, b, login, other string
	otherApp           *app
}

const phonePer = "4790000002"

func newFamily(t *testing.T) *family {
	t.Helper()
	f := newFront(t)
	at := func(host string) string { return "http://" + host + ":" + f.port() }
	fam := &family{front: f, a: at("a.club.localhost"), b: at("b.club.localhost"), login: at("login.club.localhost"), other: at("other.localhost"), otherApp: startApp(t)}
	if err := f.vipps.Control().AddRedirectURI(clientID, fam.login+"/_vipps/callback"); err != nil {
		t.Fatal(err)
	}
	if err := f.vipps.Control().AddClient(emulator.Client{ID: "other-shop", Secret: "other secret", Name: "Other", RedirectURIs: []string{fam.other + "/_vipps/callback"}}); err != nil {
		t.Fatal(err)
	}
	f.secrets.add("other client secret", "other secret")
	config := write(t, "vippsauth.yaml", fmt.Sprintf(`
issuer: %[1]s
client_id: %[2]s
scopes: openid name phoneNumber
public_url: [%[3]s, %[4]s]
cookie_domain: club.localhost
auth_url: %[5]s
allow: [%[6]s, %[7]s]
upstream: http://%[8]s
listen: 127.0.0.1:%[9]s
ops_listen: %[10]s
log_level: debug
sites:
  %[4]s:
    allow: %[6]s
    site_name: The board
    headers: [default, Remote-User=phone_number]
  %[11]s:
    cookie_domain: none
    auth_url: none
    client_id: other-shop
    client_secret: other secret
    scopes: openid name
    allow: anyone
    site_name: Somewhere else
    upstream: http://%[12]s
`, f.vipps.Issuer, clientID, fam.a, fam.b, fam.login, phoneAase, phonePer, f.app.addr(), f.port(), f.opsAddr(), fam.other, fam.otherApp.addr()))
	f.service = start(t, vippsauthProgram(t), command{
		name: "vippsauth serve", args: []string{"serve", "--config", config},
		env: []string{"VIPPSAUTH_CLIENT_SECRET=" + clientSecret, "VIPPSAUTH_COOKIE_KEYS=" + cookieKey(t)},
	})
	f.checkLog(f.service)
	f.service.answers("http://" + f.ops + "/readyz")
	return fam
}

// opsAddr chooses where the internal listener is.
func (f *front) opsAddr() string {
	f.ops = freeAddr(f.t)
	return f.ops
}

// Two people, three sites, one instance: whoever is logged in at one site of the domain is at the other, as the same
// person, and at a site that wasn't told to share nobody is.
func TestSitesTwoPeopleThreeSites(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	aase, per := f.browser(), f.browser()

	a := aase.open(f.a + "/boats?x=1")
	if a.StatusCode != http.StatusOK || a.Request.URL.String() != f.a+"/boats?x=1" || f.app.last().Header.Get("X-Vipps-Name") != nameAase {
		t.Fatalf("the first login: %d at %v: %s", a.StatusCode, aase.trail, a.words())
	}
	for _, q := range aase.asked() {
		if q.Get("redirect_uri") != f.login+"/_vipps/callback" {
			t.Errorf("the provider is asked to come back to %s", q.Get("redirect_uri"))
		}
	}
	if to := aase.trail[1].String(); to != f.a+"/_vipps/login?rd="+url.QueryEscape("/boats?x=1") {
		t.Errorf("the first redirect goes to %s", to)
	}
	sub := f.app.last().Header.Get("X-Vipps-Sub")

	if a = aase.open(f.b + "/minutes"); a.StatusCode != http.StatusOK || len(aase.trail) != 1 || f.app.last().Header.Get("X-Vipps-Sub") != sub {
		t.Errorf("the neighbour: %d at %v", a.StatusCode, aase.trail)
	}
	if got := f.app.last().Header.Get("Remote-User"); got != phoneAase {
		t.Errorf("the neighbour's own header is %q", got)
	}

	f.as(phonePer)
	if a = per.open(f.a + "/"); a.StatusCode != http.StatusOK || f.app.last().Header.Get("X-Vipps-Phone-Number") != phonePer {
		t.Errorf("the second person: %d at %v", a.StatusCode, per.trail)
	}
	if a = per.open(f.b + "/minutes"); a.StatusCode != http.StatusForbidden || !strings.Contains(a.text, "The board") {
		t.Errorf("the second person, where only the first may go: %d %s", a.StatusCode, a.words())
	}
	if a = aase.open(f.a + "/"); a.StatusCode != http.StatusOK || f.app.last().Header.Get("X-Vipps-Sub") != sub {
		t.Errorf("the first person meanwhile is %q", f.app.last().Header.Get("X-Vipps-Sub"))
	}

	// The third site asks for itself, with its own client, and its app gets what that client asked for.
	hits := f.otherApp.hits()
	if a = per.send(http.MethodGet, f.other+"/", fetching(), nil); a.StatusCode != http.StatusUnauthorized || f.otherApp.hits() != hits {
		t.Errorf("the third site, with the sessions of the others: %d", a.StatusCode)
	}
	if a = per.open(f.other + "/shop"); a.StatusCode != http.StatusOK || a.Request.URL.String() != f.other+"/shop" {
		t.Fatalf("a login at the third site: %d at %v", a.StatusCode, per.trail)
	}
	for _, q := range per.asked() {
		if q.Get("client_id") != "other-shop" || q.Get("scope") != "openid name" || q.Get("redirect_uri") != f.other+"/_vipps/callback" {
			t.Errorf("the third site asks with %v", q)
		}
	}
	if got := f.otherApp.last().Header; got.Get("X-Vipps-Name") == "" || got.Get("X-Vipps-Phone-Number") != "" {
		t.Errorf("the third app gets %v", got)
	}
	f.crossesNothing(t, aase, per)
	f.logoutHere(t, aase, per)
}

// Attack: cookies of one site are sent to another one, by hand.
func (f *family) crossesNothing(t *testing.T, aase, per *browser) {
	send := func(from *browser, of, to string) int {
		var pairs []string
		for _, c := range from.cookies(of) {
			pairs = append(pairs, c.Name+"="+c.Value, "__Secure-"+c.Name+"="+c.Value, "__Host-"+c.Name+"="+c.Value)
		}
		if len(pairs) == 0 {
			t.Fatalf("no cookies of %s", of)
		}
		return f.browser().send(http.MethodGet, to+"/", with(fetching(), "Cookie", strings.Join(pairs, "; ")), nil).StatusCode
	}
	for _, tt := range []struct {
		who    *browser
		of, to string
		want   int
	}{
		{aase, f.a, f.b, 200},
		{aase, f.b, f.a, 200},
		{per, f.other, f.other, 200},
		{aase, f.a, f.other, 401},
		{aase, f.b, f.other, 401},
		{per, f.other, f.a, 401},
		{per, f.other, f.b, 401},
		{per, f.other, f.login, 401},
	} {
		if got := send(tt.who, tt.of, tt.to); got != tt.want {
			t.Errorf("cookies of %s at %s: %d, want %d", tt.of, tt.to, got, tt.want)
		}
	}
	// Attack: a link to the common login that comes back to a site that doesn't share it, or to nobody's.
	for _, rd := range []string{f.other + "/", "https://evil.example/", f.a + ".evil.example/", f.a + "@evil.example/", "//evil.example/", f.a + "//evil.example", "http://evil.club.localhost/"} {
		h := navigation()
		for _, c := range aase.cookies(f.a) {
			if c.Name == "vippsauth" { // the session, and nothing by which a browser that comes again and again is known
				h.Set("Cookie", c.Name+"="+c.Value)
			}
		}
		a := f.browser().send(http.MethodGet, f.login+"/_vipps/login?rd="+url.QueryEscape(rd), h, nil)
		if to := a.Header.Get("Location"); a.StatusCode != http.StatusFound || to != f.login+"/" {
			t.Errorf("rd=%s leads to %q", rd, to)
		}
	}
	if a := aase.send(http.MethodGet, f.login+"/_vipps/login?rd="+url.QueryEscape(f.b+"/x?y=1"), navigation(), nil); a.Header.Get("Location") != f.b+"/x?y=1" {
		t.Errorf("a neighbour's page leads to %q", a.Header.Get("Location"))
	}
}

// A logout at one site of the domain is one at all of them, and none at the third site; the next login waits for a click.
func (f *family) logoutHere(t *testing.T, aase, per *browser) {
	f.as(phoneAase)
	aase.open(f.other + "/")
	old := aase.cookies(f.a)
	aase.press(aase.open(f.b+"/_vipps/logout"), "^Log out$")
	for _, origin := range []string{f.a, f.b} {
		if a := aase.send(http.MethodGet, origin+"/", fetching(), nil); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s after the logout: %d", origin, a.StatusCode)
		}
	}
	again := f.browser()
	u, err := url.Parse(f.a)
	if err != nil {
		t.Fatal(err)
	}
	again.jar.SetCookies(u, old)
	if a := again.send(http.MethodGet, f.a+"/", fetching(), nil); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("the old cookie at the neighbour: %d", a.StatusCode)
	}
	if a := aase.send(http.MethodGet, f.other+"/", fetching(), nil); a.StatusCode != http.StatusOK {
		t.Errorf("the third site after the logout: %d", a.StatusCode)
	}
	if a := per.send(http.MethodGet, f.a+"/", fetching(), nil); a.StatusCode != http.StatusOK {
		t.Errorf("the other person after the logout: %d", a.StatusCode)
	}
	// Attack: links that choose how the next visit to a login is meant, or that an app redirects to by itself.
	for _, query := range []string{"", "?mode=login", "?mode=page", "?mode=anonymous", "?auto=1", "?mode=login&auto=1&rd=" + url.QueryEscape(f.b+"/")} {
		for _, origin := range []string{f.a, f.b, f.login} {
			if a := aase.open(origin + "/_vipps/login" + query); len(aase.asked()) > 0 || !strings.Contains(a.text, "Someone logged out in this browser") {
				t.Errorf("a link to %s/_vipps/login%s passes the wait for a click: %d at %v", origin, query, a.StatusCode, aase.trail)
			}
		}
	}
	waits := aase.open(f.a + "/after")
	if !strings.Contains(waits.text, "Someone logged out in this browser") || waits.Request.URL.Host != strings.TrimPrefix(f.login, "http://") {
		t.Fatalf("the next visit: %d at %v", waits.StatusCode, aase.trail)
	}
	asks := aase.press(waits, "^Log in")
	if a := aase.press(asks, "^Continue as Åse Ø"); a.StatusCode != http.StatusOK || a.Request.URL.String() != f.a+"/after" {
		t.Errorf("the login after it: %d at %v", a.StatusCode, aase.trail)
	}
}
