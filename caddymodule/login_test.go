package caddymodule_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The whole path with the module's own emulator: redirect, login, identity, cookies, logs.
func TestLoginWithTheModulesEmulator(t *testing.T) {
	s := newServer(t)
	emulatorAddr := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	site := fmt.Sprintf("http://localhost:%d", freePort(t))
	s.load("", fmt.Sprintf(`%s {
		log
		vipps_auth {
			environment emulator
			emulator_listen %s
			scopes openid name phoneNumber email
			silent off
		}
		reverse_proxy %s {
			header_up X-From-Placeholder "{http.auth.user.id} {http.auth.user.given_name} {http.auth.user.nothing}."
		}
	}`, site, emulatorAddr, upstream(t)))

	b := newBrowser(t)
	first := b.once(site + "/boats?harbour=7")
	want := site + "/_vipps/login?rd=%2Fboats%3Fharbour%3D7"
	if got := first.Header.Get("Location"); first.StatusCode != http.StatusFound || got != want {
		t.Fatalf("a navigation without a session: %d to %q, want 302 to %q", first.StatusCode, got, want)
	}
	control(t, emulatorAddr, "auto-approve", `{"phone":"4790000001"}`)

	a := b.open(site + "/boats?harbour=7")
	got := a.seen(t)
	if got.URI != "/boats?harbour=7" {
		t.Errorf("came back to %s", got.URI)
	}
	sub := got.Header.Get("X-Vipps-Sub")
	if !strings.HasPrefix(sub, "emulator-") {
		t.Errorf("X-Vipps-Sub is %q", sub)
	}
	for name, want := range map[string]string{
		"X-Vipps-Auth": "authenticated", "X-Vipps-Name": "Åse Ødegård", "X-Vipps-Phone-Number": phoneOfAase,
		"X-From-Placeholder": sub + " Åse .",
	} {
		if values := got.Header[name]; len(values) != 1 || values[0] != want {
			t.Errorf("%s is %q, want %q", name, values, want)
		}
	}

	t.Run("our cookies stay here", func(t *testing.T) {
		req := b.navigation(site + "/")
		req.AddCookie(&http.Cookie{Name: "PHPSESSID", Value: "theirs"})
		if cookie := b.do(req).seen(t).Header.Get("Cookie"); cookie != "PHPSESSID=theirs" {
			t.Errorf("the application gets the cookies %q", cookie)
		}
	})
	t.Run("access log", func(t *testing.T) {
		log := s.logs()
		if !strings.Contains(log, `"user_id":"`+sub+`"`) {
			t.Error("the access log doesn't name the user")
		}
		if !strings.Contains(log, "/boats") {
			t.Error("the access log is not written")
		}
		for _, secret := range []string{"code=", "state=", "nonce=", "/_vipps/callback?", "Åse", phoneOfAase} {
			if strings.Contains(log, secret) {
				t.Errorf("the log holds %q (E-20)", secret)
			}
		}
	})
	t.Run("the key is in the storage", func(t *testing.T) {
		data, err := os.ReadFile(filepath.Join(s.dir, "storage/vippsauth/cookie_keys.txt"))
		if err != nil {
			t.Fatal(err)
		}
		key := regexp.MustCompile(`(?m)^[A-Za-z0-9+/]{43}=$`).Find(data)
		if key == nil {
			t.Fatal("there is no key in the storage")
		}
		if strings.Contains(s.logs(), string(key)) {
			t.Error("the key is in the log")
		}
	})
	t.Run("logout", func(t *testing.T) {
		old := b.cookies(site)
		b.logout(site)
		if a := b.fetch(site + "/"); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("after the logout: %d", a.StatusCode)
		}
		req := b.navigation(site + "/")
		for _, c := range old {
			req.AddCookie(c)
		}
		if a := newBrowser(t).withoutRedirects().do(req); a.StatusCode != http.StatusFound {
			t.Errorf("the old cookie after the logout: %d", a.StatusCode)
		}
	})
}

// Attack: a client sends identity headers of its own, in every spelling that an application might fold into
// ours, or has the proxy drop ours as hop-by-hop.
func TestSec_B007_B022_B078_B079_SpoofedHeaders(t *testing.T) {
	s := newServer(t)
	site := fmt.Sprintf("http://localhost:%d", freePort(t))
	emu := provider(t, site)
	s.load("servers {\n expected_underscore_headers x_* \n}", fmt.Sprintf(`%s {
		vipps_auth /in/* {
			%s
			headers default Remote-User=sub
		}
		reverse_proxy %s
	}`, site, clientSettings(emu), upstream(t)))
	b := newBrowser(t)
	sub := b.open(site + "/in/").seen(t).Header.Get("X-Vipps-Sub")
	if sub == "" {
		t.Fatal("no login")
	}
	spoof := func(req *http.Request) {
		for _, name := range []string{
			"X-Vipps-Sub", "x_vipps_sub", "X.Vipps.Sub", "X-Vipps_Sub", "X_VIPPS_SUB", "X-Vipps!Sub", "X-Vipps~Sub", "X-Vipps'Sub",
			"X-Vipps-Nin", "X_Vipps_Nin", "X-Vipps-Anything", "Remote-User", "remote_user", "X-Vipps-Auth",
		} {
			req.Header[name] = []string{"evil"}
		}
	}
	for _, path := range []string{"/in/", "/out/"} {
		t.Run(path, func(t *testing.T) {
			req := b.navigation(site + path)
			spoof(req)
			got := b.do(req).seen(t)
			for name, values := range got.Header {
				if strings.Contains(strings.Join(values, ","), "evil") {
					t.Errorf("%s arrives as %q", name, values)
				}
			}
			want := []string{"anonymous", ""}
			if path == "/in/" {
				want = []string{"authenticated", sub}
			}
			if auth, gotSub := got.Header.Get("X-Vipps-Auth"), got.Header.Get("X-Vipps-Sub"); auth != want[0] || gotSub != want[1] {
				t.Errorf("X-Vipps-Auth %q, X-Vipps-Sub %q, want %q", auth, gotSub, want)
			}
			if path == "/out/" && len(got.Header["X-Vipps-Name"])+len(got.Header["Remote-User"]) > 0 {
				t.Error("an unprotected request has an identity")
			}
		})
	}
	t.Run("Connection", func(t *testing.T) {
		req := b.navigation(site + "/in/")
		req.Header["Connection"] = []string{"close, X-Vipps-Sub", "x-vipps-auth, remote-user"}
		got := b.do(req).seen(t)
		if got.Header.Get("X-Vipps-Sub") != sub || got.Header.Get("X-Vipps-Auth") != "authenticated" || got.Header.Get("Remote-User") != sub {
			t.Errorf("Connection took identity headers away: %v", got.Header)
		}
	})
}

// Attack: the person's name at the provider is written like a placeholder.
func TestSec_B026_ClaimsAreNotExpanded(t *testing.T) {
	s := newServer(t)
	t.Setenv("VIPPSAUTH_TEST_CANARY", "canary")
	site := fmt.Sprintf("http://localhost:%d", freePort(t))
	emu := provider(t, site)
	person := emuPerson("{env.VIPPSAUTH_TEST_CANARY}")
	if err := emu.Control().AddPerson(person); err != nil {
		t.Fatal(err)
	}
	if err := emu.Control().AutoApprove(person.Phone); err != nil {
		t.Fatal(err)
	}
	s.load("", fmt.Sprintf(`%s {
		vipps_auth {
			%s
			site_name "Shop of {env.VIPPSAUTH_TEST_CANARY}"
		}
		reverse_proxy %s {
			header_up X-Copy "{http.auth.user.name}"
			header_up X-Copy-Of-Header "{http.request.header.X-Vipps-Name}"
		}
	}`, site, clientSettings(emu), upstream(t)))
	b := newBrowser(t)
	got := b.open(site + "/").seen(t)
	for _, name := range []string{"X-Vipps-Name", "X-Copy", "X-Copy-Of-Header"} {
		if value := got.Header.Get(name); value != person.Name {
			t.Errorf("%s is %q", name, value)
		}
	}
	for _, uri := range []string{"/{env.VIPPSAUTH_TEST_CANARY}", "/x?y={env.VIPPSAUTH_TEST_CANARY}&z={http.request.header.Cookie}", "/%7Benv.VIPPSAUTH_TEST_CANARY%7D"} {
		if got := b.open(site + uri).seen(t); got.URI != uri && strings.ReplaceAll(strings.ReplaceAll(got.URI, "%7B", "{"), "%7D", "}") != strings.ReplaceAll(strings.ReplaceAll(uri, "%7B", "{"), "%7D", "}") || strings.Contains(got.URI, "canary") {
			t.Errorf("%s arrives as %s", uri, got.URI)
		}
		stranger := newBrowser(t).withoutRedirects().open(site + uri)
		if to := stranger.Header.Get("Location"); stranger.StatusCode != http.StatusFound || strings.Contains(to, "canary") || strings.Contains(stranger.body, "canary") {
			t.Errorf("%s sends a stranger to %s", uri, to)
		}
	}
	if page := b.open(site + "/_vipps/logout"); !strings.Contains(page.body, "Shop of canary") {
		t.Error("site_name is not expanded")
	}
}

func TestSec_C021_B024_Matcher(t *testing.T) {
	s := newServer(t)
	site := fmt.Sprintf("http://localhost:%d", freePort(t))
	emu := provider(t, site)
	s.load("", fmt.Sprintf(`%s {
		@inside {
			not path /public/* /favicon.ico
		}
		vipps_auth @inside {
			%s
		}
		rewrite /start /public/start
		rewrite /public/old /account
		@front path /front/*
		rewrite @front /public/index?was={path}
		reverse_proxy %s
	}`, site, clientSettings(emu), upstream(t)))
	tests := []struct {
		name, path string
		want       int
	}{
		{"public", "/public/a", 200},
		{"public file", "/favicon.ico", 200},
		{"protected", "/account", 401},
		{"B024_encoded slash", "/public/..%2faccount", 401},
		{"B024_dots", "/public/%2e%2e/account", 401},
		{"B004_fragment", "/account%23/public/", 401},
		{"B003_query", "/account?/public/", 401},
		{"rewritten into public", "/start", 401},
		{"rewritten out of public", "/public/old", 401},
		{"front controller", "/front/x", 401},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBrowser(t)
			if a := b.fetch(site + tt.path); a.StatusCode != tt.want {
				t.Errorf("%s: %d, want %d", tt.path, a.StatusCode, tt.want)
			}
		})
	}
	t.Run("401 says where", func(t *testing.T) {
		a := newBrowser(t).fetch(site + "/account")
		if want := site + "/_vipps/login"; a.Header.Get("X-Vipps-Login-Url") != want || !strings.Contains(a.body, "login_required") {
			t.Errorf("%v %s", a.Header, a.body)
		}
	})
}

// Endpoints and return addresses go by what the browser asked for.
func TestOriginalURI(t *testing.T) {
	s := newServer(t)
	site := fmt.Sprintf("http://localhost:%d", freePort(t))
	emu := provider(t, site)
	s.load("", fmt.Sprintf(`%s {
		vipps_auth {
			%s
		}
		method POST
		rewrite * /index.php?was={path}
		reverse_proxy %s
	}`, site, clientSettings(emu), upstream(t)))
	b := newBrowser(t)
	a := b.open(site + "/boats?harbour=7")
	if got := a.seen(t); got.URI != "/index.php?was=%2Fboats" || got.Header.Get("X-Vipps-Sub") == "" {
		t.Errorf("the application gets %s %v", got.URI, got.Header)
	}
	if got := a.Request.URL.RequestURI(); got != "/boats?harbour=7" {
		t.Errorf("the browser came back to %s", got)
	}
}
