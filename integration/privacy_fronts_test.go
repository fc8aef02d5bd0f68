package integration_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

const (
	phoneOfAll = "4790000002"
	allScopes  = "openid name phoneNumber email address birthDate gender nin accountNumbers"
	allHeaders = "default,X-Vipps-Nin=nin,X-Vipps-Birthdate=birthdate,X-Vipps-Address=address,X-Vipps-Other-Addresses=other_addresses,X-Vipps-Accounts=accounts,X-Vipps-Gender=gender"
)

// allOfThem is somebody of whom everything is known, in words that stand nowhere else.
func allOfThem() emulator.Person {
	home := emulator.Address{AddressType: "home", StreetAddress: "Prøvekanarivegen 77\nOppgang Æ", PostalCode: "0099-prøve", Region: "KANARIVIKA Ø", Country: "NO"}
	return emulator.Person{
		ID: "per", Phone: phoneOfAll, Name: "Kanarina Prøveåsen", GivenName: "Kanarina", FamilyName: "Prøveåsen", Birthdate: "1971-02-03",
		Email: "kanarina+prøve@example.com", EmailVerified: true, NIN: "03827110115", Gender: "canary-gender", Address: &home,
		OtherAddresses: []emulator.Address{{AddressType: "work", StreetAddress: "Kanarikaia 8", PostalCode: "0098-prøve", Region: "KANARINES", Country: "NO"}},
		Accounts:       []emulator.Account{{Name: "Kanarikonto", Number: "99990000778", Bank: "Kanaribanken"}},
	}
}

// privateFronts starts the site behind each real proxy with its shipped configuration, everything at debug level and every claim
// released, for a test that does what makes logs talk. What is found fails the test of that front: privacy.check.
func privateFronts(t *testing.T, run func(t *testing.T, f *front)) {
	flags := []string{"--headers=" + allHeaders}
	asked := func(start func(t *testing.T, f *front)) func(*testing.T, *front) {
		return func(t *testing.T, f *front) {
			f.serve(append(flags, "--trusted-proxies=loopback")...)
			start(t, f)
		}
	}
	for name, start := range map[string]func(t *testing.T, f *front){
		"nginx":   asked(func(t *testing.T, f *front) { startNginx(t, f) }),
		"haproxy": asked(func(t *testing.T, f *front) { startHAProxy(t, f) }),
		"caddy forward_auth": asked(func(t *testing.T, f *front) {
			startCaddy(t, f, "\tdebug\n", example(t, "caddy-forward-auth/Caddyfile", "http://localhost:8000 {", f.origin+" {\n\tlog",
				"127.0.0.1:4190", f.addr, "127.0.0.1:8080", f.app.addr(), "X-Vipps-Nin", "X-Vipps-Nin\nX-Vipps-Gender\nX-Vipps-Accounts\nX-Vipps-Other-Addresses"))
		}),
		"apache2": func(t *testing.T, f *front) {
			need(t, "apache2")
			f.serveApache(flags...)
			startApache(t, f, "")
		},
		"caddy module": func(t *testing.T, f *front) {
			// At debug Caddy logs its configuration too: secrets and people stand elsewhere, as they should.
			site := privateSite(t, f, "headers "+strings.ReplaceAll(allHeaders, ",", " "))
			startCaddy(t, f, "\tdebug\n", site)
		},
		"sidecar":         func(_ *testing.T, f *front) { f.sidecar(flags...) },
		"sidecar console": func(_ *testing.T, f *front) { f.sidecar(append(flags, "--log-format=console")...) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "nginx" || name == "haproxy" {
				need(t, name)
			}
			f := newFront(t)
			f.scopes = allScopes
			if err := f.vipps.Control().AddPerson(allOfThem()); err != nil {
				t.Fatal(err)
			}
			f.as(phoneOfAll)
			start(t, f)
			run(t, f)
		})
	}
}

// Everything that makes programs talk, with all claims of a person released and all logs at debug: a login, the pages, a refusal,
// an application that breaks off an answer, errors of the provider that quote the person, a callback while nobody is there to
// take it, and an application that is away. Nothing of the person and of the login stands in any log, metric, page, header to the
// browser, cookie or file.
func TestSec_E003_E007_E012_E020_E021_E022_E024_E025_B115_EveryFront(t *testing.T) {
	t.Parallel()
	privateFronts(t, func(t *testing.T, f *front) {
		b := f.browser()
		if a := b.open(f.origin + "/first?x=1"); a.StatusCode != http.StatusOK {
			t.Fatalf("%d at %v: %s", a.StatusCode, b.trail, a.words())
		}
		if got := f.app.last().Header.Get("X-Vipps-Nin"); got != allOfThem().NIN {
			t.Fatal("the app isn't told the nin, so that nothing is tested")
		}
		for _, path := range []string{"/_vipps/me", "/_vipps/logout", "/_vipps/login?rd=/x", "/_vipps/result?x=1", "/_vipps/none"} {
			b.open(f.origin + path)
		}
		f.app.handle("/breaks-off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "app: and so")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		})
		for range 2 {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.origin+"/breaks-off", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			r.Header = fetching()
			if w, err := b.client.Do(r); err == nil {
				_, _ = io.Copy(io.Discard, w.Body)
				_ = w.Body.Close()
			}
		}
		providerQuotes(t, f)
		f.as(phoneRolf) // who isn't on the list
		f.browser().open(f.origin + "/refused")
		f.as(phoneOfAll)

		late := f.browser()
		back := callbackOf(t, f, late)
		f.app.srv.CloseClientConnections()
		f.app.srv.Close()
		b.open(f.origin + "/away")
		b.send(http.MethodPost, f.origin+"/away", fetching(), strings.NewReader("x=1"))
		if f.service != nil {
			_ = f.service.cmd.Process.Signal(syscall.SIGQUIT) // Go's own dump of all that runs
			<-f.service.done
		} else if err := f.closeVipps(); err != nil {
			t.Fatal(err)
		}
		if name := t.Name(); !strings.Contains(name, "sidecar") {
			late.send(http.MethodGet, back, navigation(), nil)
			late.send(http.MethodGet, f.origin+"/_vipps/login?rd=%2F", navigation(), nil)
			b.send(http.MethodGet, f.origin+"/nobody-judges", navigation(), nil)
		}
	})
}

// callbackOf goes through a login up to the callback, and gives its address.
func callbackOf(t *testing.T, f *front, b *browser) string {
	t.Helper()
	a := b.send(http.MethodGet, f.origin+"/_vipps/login?rd=%2F", navigation(), nil)
	for range 10 {
		to, err := a.Location()
		if err != nil {
			t.Fatalf("%d at %s: %s", a.StatusCode, a.Request.URL, a.words())
		}
		if to.Path == "/_vipps/callback" && to.Query().Has("code") {
			return to.String()
		}
		a = b.send(http.MethodGet, to.String(), navigation(), nil)
	}
	t.Fatal("no callback with a code")
	return ""
}

// providerQuotes lets the provider fail with answers that say everything of the person, and of what was sent.
func providerQuotes(t *testing.T, f *front) {
	t.Helper()
	who := allOfThem()
	quoted := strings.Join([]string{who.Phone, who.Email, who.NIN, clientSecret}, " ")
	privacy.plant("provider's words", "<html>canary-error-body")
	for _, fails := range []struct {
		endpoint string
		status   int
		body     string
	}{
		{emulator.EndpointToken, 400, `{"error":"invalid_grant","error_description":"` + quoted + `"}`},
		{emulator.EndpointToken, 500, "<html>canary-error-body " + who.Name + " " + quoted},
		{emulator.EndpointToken, 200, `{"access_token":"` + who.NIN + `","id_token":"` + who.Name + `","token_type":"bearer"}`},
		{emulator.EndpointUserinfo, 401, `{"error":"` + who.NIN + `","error_description":"` + quoted + `"}`},
		{emulator.EndpointUserinfo, 200, `{"sub":"` + who.NIN + `","name":"` + who.Name + `"}`},
		{emulator.EndpointUserinfo, 200, `{"sub":` + who.NIN + `x"name":"` + who.Name + `"}`},
	} {
		if err := f.vipps.Control().FailNext(fails.endpoint, 1, fails.status, fails.body); err != nil {
			t.Fatal(err)
		}
		f.browser().open(f.origin + "/fails")
		if err := f.vipps.Control().FailNext(fails.endpoint, 0, 0, ""); err != nil {
			t.Fatal(err)
		}
	}
	for _, query := range []url.Values{
		{"error": {"access_denied"}, "error_description": {quoted}, "state": {"x"}}, {"error": {who.NIN}, "state": {"canary-state"}}, {"code": {"canary-code-of-somebody"}, "state": {"canary-state-of-somebody"}},
	} {
		f.browser().open(f.origin + "/_vipps/callback?" + query.Encode())
	}
}

// privateSite is moduleSite with secret and people in files, as its manual says.
func privateSite(t *testing.T, f *front, settings string) string {
	t.Helper()
	members, secret := write(t, "members.txt", phoneAase+"\n"+phoneOfAll+"\n"), write(t, "secret", clientSecret)
	return strings.NewReplacer(`"`+clientSecret+`"`, "{file."+secret+"}", "allow "+phoneAase+" 4790000002", "allow @"+members).Replace(moduleSite(f, settings))
}

// Caddy's admin API shows the configuration that it was given, and so secrets only where these were written into it; what it tells
// of the running program holds nobody. Attack: whoever reaches the admin API reads the client secret.
func TestSec_E012_E020_CaddyAdminAPI(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	admin := freeAddr(t)
	f.secrets.add("client secret", clientSecret)
	key := cookieKey(t)
	f.secrets.add("cookie key", key)
	file := write(t, "Caddyfile", caddyfile(t, "\tadmin "+admin+"\n\tmetrics\n", privateSite(t, f, "cookie_keys {env.KEYS}")))
	p := start(t, caddyProgram(t), command{name: "caddy", args: []string{"run", "--config", file, "--adapter", "caddyfile"}, env: []string{"KEYS=" + key}})
	p.answers(f.origin + "/_vipps/authz/")
	f.loggedIn()
	for _, path := range []string{"/config/", "/metrics", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1", "/debug/vars", "/reverse_proxy/upstreams"} {
		a := f.get("http://" + admin + path)
		if a.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
		privacy.feed("Caddy's admin API", t.Name()+" "+path, a.text)
	}
}
