package forwardauth_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// After a logout the session is gone, its cookie opens nothing any more, the next login waits for a click, and a
// page asks who continues, since Vipps may still remember the person before.
func TestLogout(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) { c.AppCookies = []string{"PHPSESSID"} })
	b := l.loggedIn(phoneAase)
	l.silent(emulator.NoDialogHit) // Vipps would say who it is without a click
	old := b.cookie("vippsauth")

	if a := b.visit("/_vipps/logout"); !strings.Contains(a.text, `method="post"`) || b.cookie("vippsauth") != old {
		t.Fatalf("asking first: %d %s", a.StatusCode, a.text)
	}
	b.setCookie("PHPSESSID", "aase's")
	a := b.post("/_vipps/logout", nil)
	if a.StatusCode != http.StatusSeeOther || b.cookie("vippsauth") != "" {
		t.Fatalf("logging out: %d, cookie %q", a.StatusCode, b.cookie("vippsauth"))
	}
	if b.cookie("PHPSESSID") != "" {
		t.Error("the app's own session outlives the person")
	}
	thief := l.browser()
	thief.setCookie("vippsauth", old)
	if a := thief.send("GET", "/", http.Header{}, ""); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("A-132: the cookie of the ended session still gets %d", a.StatusCode)
	}

	for range 2 {
		if a := b.visit("/p"); a.StatusCode != 200 || b.passed("/oauth2/auth") != 0 || !strings.Contains(a.text, `action="/_vipps/login"`) {
			t.Fatalf("the next visit does not wait for a click: %d\n%s", a.StatusCode, strings.Join(b.trail, "\n"))
		}
	}
	a = b.click("/_vipps/login", url.Values{"rd": {"/p"}})
	if b.asked(0).Has("requested_flow") {
		t.Error("the login after a logout is silent")
	}
	if b.cookie("vippsauth") != "" || !strings.Contains(a.text, "Åse Ø.") {
		t.Fatalf("no page asks who continues: %s", a.text)
	}
	token := between(a.text, `name="token" value="`, `"`)

	if a := b.click("/_vipps/result", url.Values{"token": {token}, "choice": {"continue"}}); !strings.Contains(a.text, "app: GET /p auth=authenticated name=Åse") {
		t.Fatalf("continuing ends with %d %s", a.StatusCode, a.text)
	}
	if a := b.post("/_vipps/result", url.Values{"token": {token}, "choice": {"continue"}}); len(a.Header["Set-Cookie"]) != 0 {
		t.Errorf("the same answer again sets %v", a.Header["Set-Cookie"])
	}
}

// "Not me" makes no session and leads back to the page that waits for a click.
func TestNotMe(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) { c.ConfirmPerson = forwardauth.ConfirmAlways })
	l.as(phoneAase)
	b := l.browser()
	a := b.visit("/p")
	token := between(a.text, `name="token" value="`, `"`)
	if token == "" {
		t.Fatalf("confirm_person always asks nobody: %s", a.text)
	}
	other := l.browser()
	if a := other.post("/_vipps/result", url.Values{"token": {token}, "choice": {"continue"}}); other.cookie("vippsauth") != "" {
		t.Errorf("another browser with the token gets a session: %d", a.StatusCode)
	}
	a = b.click("/_vipps/result", url.Values{"token": {token}, "choice": {"other"}})
	if b.cookie("vippsauth") != "" || !strings.Contains(a.text, `action="/_vipps/login"`) {
		t.Errorf("ends with %d %s", a.StatusCode, a.text)
	}
}

// A program that says nothing of where a form came from is no browser that another site could use, since the cookies are
// SameSite=Lax: it may log out.
func TestLogoutByAProgram(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	b := l.loggedIn(phoneAase)
	a := b.send("POST", "/_vipps/logout", nil, "")
	if a.StatusCode != http.StatusSeeOther || b.cookie("vippsauth") != "" {
		t.Errorf("got %d, cookie %q", a.StatusCode, b.cookie("vippsauth"))
	}
}

// Nobody else's page can log a person out, in, or say that they are who they are not.
func TestSec_A131_B039_ForeignForms(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	b := l.loggedIn(phoneAase)
	for _, path := range []string{"/_vipps/logout", "/_vipps/login", "/_vipps/result"} {
		for name, h := range map[string]http.Header{
			"cross-site":  {"Sec-Fetch-Site": {"cross-site"}, "Origin": {l.site.URL}},
			"same-site":   {"Sec-Fetch-Site": {"same-site"}},
			"origin":      {"Origin": {"https://evil.example"}},
			"null origin": {"Origin": {"null"}},
			"referer":     {"Referer": {"https://evil.example/" + l.site.URL}},
		} {
			h.Set("Content-Type", "application/x-www-form-urlencoded")
			a := b.send("POST", path, h, "choice=continue&then=login")
			if a.StatusCode != http.StatusForbidden || len(a.Header["Set-Cookie"]) != 0 {
				t.Errorf("%s from %s: %d, sets %v", path, name, a.StatusCode, a.Header["Set-Cookie"])
			}
		}
	}
	if a := b.send("GET", "/_vipps/logout", http.Header{"Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"image"}}, ""); a.StatusCode != 401 || b.cookie("vippsauth") == "" {
		t.Errorf("an image of the logout page: %d", a.StatusCode)
	}
}

// An app's own logout link leads to our logout page, so that its session never outlives the person.
func TestLogoutPaths(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) { c.LogoutPaths = []string{"/logout.php"} })
	b := l.loggedIn(phoneAase)
	hits := l.hits()
	if a := b.visit("/logout.php?x=1"); b.passed("/_vipps/logout") != 1 || a.StatusCode != 200 || l.hits() != hits {
		t.Errorf("ends with %d after %v", a.StatusCode, b.trail)
	}
}

// When another person logs in, the app's own cookies of the person before are expired; for the same person, whose
// session cookie still says so after the session's idle end, they stay. Once the browser has dropped that cookie nobody
// can tell whose they were, and they go.
func TestAppCookiesOfAnotherPerson(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) {
		c.AppCookies, c.SessionIdle, c.SessionTTL = []string{"PHPSESSID"}, time.Hour, 4*time.Hour
	})
	b := l.loggedIn(phoneAase)
	b.setCookie("PHPSESSID", "hers")
	l.clock.advance(2 * time.Hour)
	if a := b.visit("/"); b.passed("/_vipps/callback") == 0 || !strings.Contains(a.text, "name=Åse") || b.cookie("PHPSESSID") == "" {
		t.Errorf("the same person's app session is gone after a login: %s", a.text)
	}
	l.clock.advance(2 * time.Hour)
	l.as(phonePer)
	if a := b.visit("/"); !strings.Contains(a.text, "name=Per") || b.cookie("PHPSESSID") != "" {
		t.Errorf("%s; the app still has %q", a.text, b.cookie("PHPSESSID"))
	}
	b.setCookie("PHPSESSID", "his")
	l.clock.advance(5 * time.Hour)
	if b.cookie("vippsauth") != "" {
		t.Fatal("the browser keeps a session cookie past its Max-Age")
	}
	if a := b.visit("/"); !strings.Contains(a.text, "name=Per") || b.cookie("PHPSESSID") != "" {
		t.Errorf("without the cookie of the session before: %s; the app still has %q", a.text, b.cookie("PHPSESSID"))
	}
}

// Who is not listed is told so: who we take them for, and how to log in as someone else. The list is read anew when
// it changes.
func TestSec_B010_Allow(t *testing.T) {
	t.Parallel()
	members := filepath.Join(t.TempDir(), "members.txt")
	write := func(text string, age time.Duration) {
		if err := os.WriteFile(members, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(-age)
		if err := os.Chtimes(members, at, at); err != nil {
			t.Fatal(err)
		}
	}
	write("# board\n+47 900 00 001\n", 2*time.Hour)
	l := newLab(t, func(c *forwardauth.Config) {
		c.Allow, c.Contact, c.SiteName = []string{"@" + members}, "post@club.example", "The club"
	})
	aase := l.loggedIn(phoneAase)
	l.as(phonePer)
	ola := l.browser()
	hits := l.hits()
	a := ola.visit("/minutes")
	if a.StatusCode != http.StatusForbidden || l.hits() != hits {
		t.Fatalf("got %d %s", a.StatusCode, a.text)
	}
	for _, want := range []string{"Per Uten A.", "post@club.example", "The club", `name="then" value="login"`, `value="/minutes"`} {
		if !strings.Contains(a.text, want) {
			t.Errorf("the page lacks %q:\n%s", want, a.text)
		}
	}
	if a := ola.send("GET", "/minutes", http.Header{"Sec-Fetch-Mode": {"cors"}}, ""); a.StatusCode != 403 || !strings.Contains(a.Header.Get("Content-Type"), "json") {
		t.Errorf("fetch gets %d %s", a.StatusCode, a.text)
	}
	// Someone else, on the same machine.
	l.as(phoneAase)
	a = ola.click("/_vipps/logout", url.Values{"then": {"login"}, "rd": {"/minutes"}})
	token := between(a.text, `name="token" value="`, `"`)
	if a = ola.click("/_vipps/result", url.Values{"token": {token}, "choice": {"continue"}}); !strings.Contains(a.text, "app: GET /minutes auth=authenticated name=Åse") {
		t.Errorf("as someone else: %d %s", a.StatusCode, a.text)
	}
	write("nobody-at-all\n", time.Hour)
	l.clock.advance(5 * time.Second)
	if a := aase.visit("/"); a.StatusCode != http.StatusForbidden {
		t.Errorf("taken off the list, she still gets %d", a.StatusCode)
	}
}

// /_vipps/me tells the site's own pages who is logged in, and nobody else's.
func TestMe(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	b := l.loggedIn(phoneAase)
	a := b.send("GET", "/_vipps/me", http.Header{"Sec-Fetch-Site": {"same-origin"}, "Sec-Fetch-Mode": {"cors"}}, "")
	var me struct {
		Sub       string         `json:"sub"`
		Claims    map[string]any `json:"claims"`
		AuthTime  time.Time      `json:"auth_time"`
		IssuedAt  time.Time      `json:"issued_at"`
		ExpiresAt time.Time      `json:"expires_at"`
	}
	if err := json.Unmarshal([]byte(a.text), &me); err != nil || a.StatusCode != 200 {
		t.Fatalf("%d %s %v", a.StatusCode, a.text, err)
	}
	if me.Sub == "" || me.Claims["name"] != "Åse Ødegård" || me.Claims["phone_number"] != phoneAase || !me.ExpiresAt.After(me.IssuedAt) || me.AuthTime.IsZero() {
		t.Errorf("%+v", me)
	}
	// Another site's script has the person's browser ask. Browsers before Sec-Fetch-Site say it with Origin or Referer only.
	own := l.site.URL
	for name, tt := range map[string]struct {
		header http.Header
		status int
	}{
		"cross-site":         {http.Header{"Sec-Fetch-Site": {"cross-site"}}, 403},
		"same-site":          {http.Header{"Sec-Fetch-Site": {"same-site"}, "Origin": {own}}, 403},
		"said twice":         {http.Header{"Sec-Fetch-Site": {"same-origin", "cross-site"}}, 403},
		"another origin":     {http.Header{"Origin": {"https://evil.example"}}, 403},
		"a sandboxed frame":  {http.Header{"Origin": {"null"}}, 403},
		"another's page":     {http.Header{"Referer": {"https://evil.example/"}}, 403},
		"the address bar":    {http.Header{"Sec-Fetch-Site": {"none"}}, 200},
		"its own page":       {http.Header{"Referer": {own + "/x"}}, 200},
		"its own origin":     {http.Header{"Origin": {own}}, 200},
		"none says anything": {nil, 200},
	} {
		if a := b.send("GET", "/_vipps/me", tt.header, ""); a.StatusCode != tt.status || strings.Contains(a.text, me.Sub) != (tt.status == 200) {
			t.Errorf("%s: %d %s, want %d", name, a.StatusCode, a.text, tt.status)
		}
	}
	if a := l.browser().send("GET", "/_vipps/me", nil, ""); a.StatusCode != 401 || !strings.Contains(a.text, "login_required") {
		t.Errorf("without a session: %d %s", a.StatusCode, a.text)
	}
}

// session_idle ends an unused session; a used one is renewed by one redirect when half of the time is gone.
func TestSessionIdle(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) { c.SessionIdle = time.Hour })
	b := l.loggedIn(phoneAase)
	first := b.cookie("vippsauth")
	l.clock.advance(20 * time.Minute)
	if b.visit("/"); len(b.trail) != 1 {
		t.Errorf("renewed too soon: %v", b.trail)
	}
	l.clock.advance(20 * time.Minute)
	if a := b.visit("/x"); !strings.Contains(a.text, "GET /x") || b.passed("/_vipps/login") != 1 || b.passed("/oauth2/auth") != 0 || b.cookie("vippsauth") == first {
		t.Errorf("not renewed: %v", b.trail)
	}
	l.clock.advance(61 * time.Minute)
	if a := b.send("GET", "/", nil, ""); a.StatusCode != 401 {
		t.Errorf("after an idle hour: %d", a.StatusCode)
	}
}

func between(s, before, after string) string {
	_, rest, ok := strings.Cut(s, before)
	if !ok {
		return ""
	}
	found, _, _ := strings.Cut(rest, after)
	return found
}
