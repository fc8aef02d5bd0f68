package caddymodule_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// Attack (CVE-2024-21492): a copy of a logged-out cookie is shown after a reload, after another storage was configured, and
// after a restart. It opens nothing, and others stay logged in.
func TestSec_A132_B038_LogoutOutlivesCaddy(t *testing.T) {
	s := newServer(t)
	site := fmt.Sprintf("http://localhost:%d", freePort(t))
	emu := provider(t, site)
	sites := fmt.Sprintf("%s {\n vipps_auth {\n %s\n }\n reverse_proxy %s\n}", site, clientSettings(emu), upstream(t))
	s.load("", sites)
	b, gone := newBrowser(t), newBrowser(t)
	b.open(site + "/").seen(t)
	gone.open(site + "/").seen(t)
	stolen := gone.cookies(site)
	if a := gone.logout(site); a.StatusCode != http.StatusSeeOther || strings.Contains(a.Header.Get("Location"), "kept=") {
		t.Fatalf("the logout: %d to %s", a.StatusCode, a.Header.Get("Location"))
	}
	check := func(when string) {
		t.Helper()
		req := b.navigation(site + "/")
		for _, c := range stolen {
			req.AddCookie(c)
		}
		if a := newBrowser(t).withoutRedirects().do(req); a.StatusCode != http.StatusFound {
			t.Errorf("%s the copy gets %d", when, a.StatusCode)
		}
		if a := b.once(site + "/"); a.StatusCode != http.StatusOK {
			t.Errorf("%s somebody else gets %d", when, a.StatusCode)
		}
	}
	check("at once")
	s.load("", strings.Replace(sites, "vipps_auth {", "vipps_auth {\n site_name Other", 1))
	check("after a reload")
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	s.load("", sites)
	settled(t, site)
	check("after a restart")
	text, err := os.ReadFile(filepath.Join(s.dir, "storage/vippsauth/revoked_sessions.txt"))
	if err != nil || strings.Count(string(text), "\nv1 ") != 1 {
		t.Errorf("%v, the storage holds %s", err, text)
	}
}

// settled waits until five connections in a row are answered: those that the kernel gave to a listener which has just been closed
// are reset.
func settled(t *testing.T, site string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for answered, tries := 0, 0; answered < 5; tries++ {
		if tries == 500 {
			t.Fatal("the site does not answer")
		}
		resp, err := client.Get(site + "/_vipps/me")
		if err != nil {
			answered = 0
			time.Sleep(10 * time.Millisecond)
			continue
		}
		_ = resp.Body.Close()
		answered++
	}
}

// Attack (CVE-2020-15223): the storage can't be written. The page says so, the log too, and the session is ended here.
func TestSec_B138_StorageAwayAtLogout(t *testing.T) {
	s := newServer(t)
	site := fmt.Sprintf("http://localhost:%d", freePort(t))
	emu := provider(t, site)
	s.load("", fmt.Sprintf("%s {\n vipps_auth {\n %s\n }\n reverse_proxy %s\n}", site, clientSettings(emu), upstream(t)))
	b := newBrowser(t)
	b.open(site + "/").seen(t)
	stolen := b.cookies(site)
	locks := filepath.Join(s.dir, "storage/locks")
	if err := os.RemoveAll(locks); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(locks, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a := b.logout(site)
	if page := b.once(a.Header.Get("Location")); !strings.Contains(page.body, "could not save that") && !strings.Contains(page.body, "fikk ikke lagret") {
		t.Errorf("%s says %s", a.Header.Get("Location"), page.body)
	}
	req := b.navigation(site + "/")
	for _, c := range stolen {
		req.AddCookie(c)
	}
	if a := newBrowser(t).withoutRedirects().do(req); a.StatusCode != http.StatusFound {
		t.Errorf("the copy gets %d", a.StatusCode)
	}
	if log := s.logs(); !strings.Contains(log, "logouts could not be saved") || !strings.Contains(log, "see that Caddy's storage") {
		t.Errorf("the log:\n%s", log)
	}
}
