package integration_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// twin is a browser with the cookies that another one has now, as somebody has who copied them, or a second tab that is as fast.
func (b *browser) twin(f *front) *browser {
	f.t.Helper()
	other := f.browser()
	jar, err := cookiejar.New(nil)
	if err != nil {
		f.t.Fatal(err)
	}
	u, _ := url.Parse(f.origin)
	jar.SetCookies(u, b.cookies(f.origin))
	other.jar, other.client.Jar = jar, jar
	return other
}

func (f *front) isIn(b *browser) int {
	return b.send(http.MethodGet, f.origin+"/_vipps/me", fetching(), nil).StatusCode
}

// Attack: the address at which a login by phone ends is opened in eight browsers at once; its page is answered by six tabs at once; the
// process is killed between the page and the click, and the cookies from before the click are used once more after that. One browser
// gets the page, one click counts, and the end of that session is the end of every copy of it.
func TestSec_A151_D30_OneLandingOneSession(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.secrets.add("token of a caller", callerToken)
	if err := f.vipps.Control().AddRedirectURI(clientID, f.origin+"/_vipps/callback/merchant"); err != nil {
		t.Fatal(err)
	}
	key := cookieKey(t)
	f.secrets.add("cookie key", key)
	f.env = []string{fmt.Sprintf("VIPPSAUTH_MERCHANT_CALLERS=till=sha256:%x", sha256.Sum256([]byte(callerToken))), "VIPPSAUTH_COOKIE_KEYS=" + key}
	dir := t.TempDir()
	begin := func() {
		f.sidecar("--merchant-file="+filepath.Join(dir, "merchant_logins"), "--revocations-file="+filepath.Join(dir, "ended"))
	}
	begin()
	atOnce := func(n int, do func(i int)) {
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() { do(i) })
		}
		all.Wait()
	}

	link := f.landing(phoneAase, "openid name phoneNumber", f.origin+"/receipt")
	browsers, pages := make([]*browser, 8), make([]answer, 8)
	for i := range browsers {
		browsers[i] = f.browser()
	}
	atOnce(len(browsers), func(i int) { pages[i] = browsers[i].open(link) })
	asked := -1
	for i, page := range pages {
		if status := f.isIn(browsers[i]); status != http.StatusUnauthorized {
			t.Errorf("browser %d is logged in by the link: %d", i, status)
		}
		if strings.Contains(page.text, "Continue as") {
			if asked >= 0 {
				t.Error("two browsers are asked")
			}
			asked = i
		}
	}
	if asked < 0 {
		t.Fatal("no browser is asked")
	}

	copied := browsers[asked].twin(f)
	tabs := make([]*browser, 6)
	for i := range tabs {
		tabs[i] = browsers[asked].twin(f)
	}
	atOnce(len(tabs), func(i int) { tabs[i].press(pages[asked], "^Continue as") })
	var in *browser
	for _, tab := range tabs {
		if f.isIn(tab) == http.StatusOK {
			if in != nil {
				t.Error("two clicks count")
			}
			in = tab
		}
	}
	if in == nil {
		t.Fatal("no click counts")
	}

	f.service.kill()
	begin()
	copied.press(pages[asked], "^Continue as") // which this process has never seen used
	if status := f.isIn(in); status != http.StatusOK {
		t.Fatalf("after the restart: %d", status)
	}
	in.press(in.open(f.origin+"/_vipps/logout"), "^Log out")
	for name, b := range map[string]*browser{"who logged out": in, "a copy": copied} {
		if status := f.isIn(b); status != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, status)
		}
	}
	again := browsers[asked].twin(f)
	again.press(pages[asked], "^Continue as")
	if status := f.isIn(again); status != http.StatusUnauthorized {
		t.Errorf("what waited before the logout makes a session: %d", status)
	}

	// Per is logged in when the page is shown, and Åse, or nobody, when the click comes, after a power cut.
	f.as(phonePer)
	per := f.loggedIn()
	page := per.open(f.landing(phoneAase, "openid name phoneNumber", f.origin+"/receipt"))
	if !strings.Contains(page.text, "is logged in here now") {
		t.Errorf("nobody says who is logged in: %s", page.words())
	}
	f.service.kill()
	begin()
	other := per.twin(f)
	other.press(other.open(f.origin+"/_vipps/logout"), "^Log out")
	other.press(page, "^Continue as")
	if status := f.isIn(other); status != http.StatusUnauthorized {
		t.Errorf("a click after the logout: %d", status)
	}
}
