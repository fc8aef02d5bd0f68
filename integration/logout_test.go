package integration_test

import (
	"html"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func logout(t *testing.T, f *front) {
	b := f.loggedIn()
	old := b.cookies(f.origin)
	page := b.open(f.origin + "/_vipps/logout")
	if page.StatusCode != http.StatusOK || !strings.Contains(page.text, "Log out?") {
		t.Fatalf("the logout page: %d %s", page.StatusCode, page.words())
	}
	out := b.press(page, "^Log out$")
	if out.StatusCode != http.StatusOK || !strings.Contains(out.text, "You are logged out") {
		t.Fatalf("after the button: %d at %v: %s", out.StatusCode, b.trail, out.words())
	}
	if a := b.send(http.MethodGet, f.origin+"/", fetching(), nil); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("after the logout: %d", a.StatusCode)
	}
	again := f.browser()
	u, err := url.Parse(f.origin)
	if err != nil {
		t.Fatal(err)
	}
	again.jar.SetCookies(u, old)
	if a := again.send(http.MethodGet, f.origin+"/", fetching(), nil); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("the old cookies, kept by somebody: %d", a.StatusCode)
	}
	waits := b.open(f.origin + "/after?x=1")
	if !strings.Contains(waits.text, "Someone logged out in this browser") || len(b.asked()) > 0 {
		t.Fatalf("the next visit doesn't wait for a click: %d at %v", waits.StatusCode, b.trail)
	}
	asks := b.press(waits, "^Log in")
	if !strings.Contains(asks.text, "Is this you?") {
		t.Fatalf("nobody is asked who goes on: %d at %v", asks.StatusCode, b.trail)
	}
	if q := b.asked(); len(q) != 1 || q[0].Has("requested_flow") {
		t.Errorf("after the logout the provider is asked silently: %v", q)
	}
	if a := b.press(asks, "^Continue as Åse Ø"); a.StatusCode != http.StatusOK || a.Request.URL.String() != f.origin+"/after?x=1" {
		t.Errorf("after \"Continue as\": %d at %s", a.StatusCode, a.Request.URL)
	}
}

// refused: a person who is logged in and not on the list gets a page that says who they are taken for.
func refused(t *testing.T, f *front) {
	f.as(phoneRolf)
	defer f.as(phoneAase)
	b, hits := f.browser(), f.app.hits()
	a := b.open(f.origin + "/members")
	text := html.UnescapeString(a.text) // behind Apache the pages are ASCII
	if a.StatusCode != http.StatusForbidden || !strings.Contains(text, "You don’t have access") || !strings.Contains(text, "Rolf R") ||
		!strings.Contains(text, "styret@example.com") {
		t.Fatalf("%d at %v: %s", a.StatusCode, b.trail, a.words())
	}
	if strings.Contains(text, phoneRolf) || strings.Contains(text, "Resirkulert") {
		t.Error("the page shows the whole name or number")
	}
	if a := b.send(http.MethodGet, f.origin+"/members", fetching(), nil); a.StatusCode != http.StatusForbidden || a.Header.Get("X-Vipps-Sub") != "" {
		t.Errorf("fetch: %d %v", a.StatusCode, a.Header)
	}
	if f.app.hits() != hits {
		t.Error("the app was asked")
	}
}
