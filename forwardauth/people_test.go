package forwardauth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/forwardauth"
)

// newPeople is a lab with an operator page in front of it, for these people.
func newPeople(t *testing.T, allow []string, change func(*forwardauth.Config)) *lab {
	t.Helper()
	l := newLab(t, change)
	page, err := l.engine.ForPeople(allow, func(w http.ResponseWriter, r *http.Request, who forwardauth.Person) {
		fmt.Fprintf(w, "page: %s %s %s %s %s", r.Method, r.URL.Path, who.Sub, who.Name, who.PhoneNumber)
		if r.Header.Get("X-Vipps-Sub") != "" {
			t.Error("a header of the client's making reached the page")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	l.takeTurns(func(path string) http.Handler {
		if strings.HasPrefix(path, "/_vipps/merchant/") {
			return page
		}
		return l.one
	})
	return l
}

// Attack: anybody with a session, or none, uses the page with which logins can be pushed to people's phones; or a site that an
// operator visits does it in their name. Listed people get there, and come back there from the login.
func TestSec_A155_B132_PeoplesPage(t *testing.T) {
	t.Parallel()
	l := newPeople(t, []string{phoneAase}, func(c *forwardauth.Config) { c.Allow = []string{phonePer, phoneAase} })
	l.as(phoneAase)
	b := l.browser()
	a := b.visit("/_vipps/merchant/")
	if a.StatusCode != http.StatusOK || !strings.HasPrefix(a.text, "page: GET /_vipps/merchant/ ") || !strings.Contains(a.text, " Åse ") || !strings.HasSuffix(a.text, phoneAase) || a.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %s\n%s", a.StatusCode, a.text, strings.Join(b.trail, "\n"))
	}
	per := l.loggedIn(phonePer)
	script := http.Header{"Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}, "Sec-Fetch-Site": {"same-origin"}, "X-Vipps-Sub": {"x"}}
	with := func(site string) http.Header {
		h := script.Clone()
		h.Set("Sec-Fetch-Site", site)
		return h
	}
	frame := navigation()
	frame.Set("Sec-Fetch-Dest", "iframe")
	posted := navigation()
	posted.Set("Sec-Fetch-Site", "cross-site")
	for _, test := range []struct {
		name   string
		who    *browser
		method string
		header http.Header
		want   int
	}{
		{"Åse's script", b, "GET", script, 200},
		{"Åse's form", b, "POST", ownForm(), 200},
		{"Åse's delete", b, "DELETE", script, 200},
		{"another site's form", b, "POST", posted, 403},
		{"a sibling's form", b, "POST", with("same-site"), 403},
		{"another origin's form", b, "POST", http.Header{"Origin": {"https://evil.example"}}, 403},
		{"no origin", b, "POST", http.Header{"Origin": {"null"}}, 403},
		{"another site's delete", b, "DELETE", with("cross-site"), 403},
		{"a sibling's script", b, "GET", with("same-site"), 403},
		{"a frame", b, "GET", frame, 403},
		{"Per", per, "GET", navigation(), 403},
		{"Per's script", per, "GET", script, 403},
		{"Per's form", per, "POST", ownForm(), 403},
		{"a stranger's script", l.browser(), "GET", script, 401},
		{"a stranger's form", l.browser(), "POST", ownForm(), 401},
		{"curl", l.browser(), "GET", http.Header{}, 401},
		{"a stranger", l.browser(), "GET", navigation(), 302},
	} {
		a := test.who.send(test.method, "/_vipps/merchant/logins", test.header, "")
		if a.StatusCode != test.want || strings.HasPrefix(a.text, "page:") != (test.want == 200) {
			t.Errorf("%s: %d %s", test.name, a.StatusCode, a.text)
		}
	}
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "http://other.example/_vipps/merchant/", nil)
	r.Header.Set("Cookie", "vippsauth="+b.cookie("vippsauth"))
	if l.site.Config.Handler.ServeHTTP(w, r); w.Code != http.StatusMisdirectedRequest {
		t.Errorf("another host: %d", w.Code)
	}
	if a := b.visit("/_vipps/login?rd=/_vipps/merchant/logins"); strings.HasPrefix(a.text, "page:") {
		t.Errorf("a login leads to any path: %s", a.text)
	}
}

// Attack: an operator leaves, is taken off the list, and goes on with their session. The list holds at once, as allow does.
func TestSec_A155_PeopleTakenOffTheList(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "operators.txt")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(phoneAase + "\n" + phonePer + "\n")
	l := newPeople(t, []string{"@" + file}, nil)
	b := l.loggedIn(phonePer)
	if a := b.visit("/_vipps/merchant/"); !strings.HasPrefix(a.text, "page:") {
		t.Fatalf("%d %s", a.StatusCode, a.text)
	}
	write(phoneAase + "\n")
	l.clock.advance(3e9)
	b.visit("/_vipps/merchant/")
	l.clock.advance(3e9)
	if a := b.visit("/_vipps/merchant/"); a.StatusCode != http.StatusForbidden {
		t.Errorf("taken off the list: %d %s", a.StatusCode, a.text)
	}
	b.post("/_vipps/logout", nil)
	if a := b.visit("/_vipps/merchant/"); strings.HasPrefix(a.text, "page:") {
		t.Errorf("after the logout: %s", a.text)
	}
}

// Who may use the page need not be let into the app, also where sessions are renewed by way of the login.
func TestPeopleNeedNoAccessToTheApp(t *testing.T) {
	t.Parallel()
	l := newPeople(t, []string{phoneAase}, func(c *forwardauth.Config) {
		c.Allow, c.SessionIdle = []string{phonePer}, 20*60e9
	})
	l.as(phoneAase)
	b := l.browser()
	for range 3 {
		if a := b.visit("/_vipps/merchant/"); !strings.HasPrefix(a.text, "page:") {
			t.Fatalf("%d %s\n%s", a.StatusCode, a.text, strings.Join(b.trail, "\n"))
		}
		l.clock.advance(15 * 60e9)
	}
	if a := b.visit("/"); a.StatusCode != http.StatusForbidden {
		t.Errorf("the app: %d %s", a.StatusCode, a.text)
	}
}

// The page is of the sites of its own configuration, and sessions keep what it needs, also where no header does.
func TestPeopleOfOneSiteOnly(t *testing.T) {
	t.Parallel()
	l := newPeople(t, []string{phoneAase}, func(c *forwardauth.Config) {
		c.Headers = []string{"X-Mail=email"}
		other := *c
		other.PublicURLs = []string{"http://localhost:4199"}
		c.Sites = []forwardauth.Config{other}
	})
	l.as(phoneAase)
	b := l.browser()
	if a := b.visit("/_vipps/merchant/"); !strings.HasPrefix(a.text, "page:") || !strings.Contains(a.text, " Åse ") {
		t.Fatalf("%d %s", a.StatusCode, a.text)
	}
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "http://localhost:4199/_vipps/merchant/", nil)
	if l.site.Config.Handler.ServeHTTP(w, r); w.Code != http.StatusMisdirectedRequest {
		t.Errorf("another site: %d", w.Code)
	}
}

func TestForPeopleIsChecked(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) { c.Scopes = []string{"openid", "name"} })
	for _, allow := range [][]string{nil, {"anyone"}, {phoneAase, "anyone"}, {"@/nowhere"}, {"@"}, {phoneAase}} {
		if _, err := l.engine.ForPeople(allow, nil); err == nil || strings.Contains(err.Error(), phoneAase) {
			t.Errorf("%q: %v", allow, err)
		}
	}
	if _, err := l.engine.ForPeople([]string{"5f0c7e2a-0000-4000-8000-0000000001a0"}, nil); err != nil {
		t.Error(err)
	}
}
