package integration_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// diagnosis is what `vippsauth doctor --json` prints.
type diagnosis struct {
	Findings []struct{ Level, Check, What, Why, Cure string }
	Requests int
	exit     int
	text     string
}

// doctor runs `vippsauth doctor` against the site, from outside, with more flags.
func (f *front) doctor(flags ...string) diagnosis {
	f.t.Helper()
	return f.doctorAt("/boats?harbour=7", nil, flags...)
}

func (f *front) doctorAt(path string, env []string, flags ...string) diagnosis {
	f.t.Helper()
	p := start(f.t, vippsauthProgram(f.t), command{
		name: "vippsauth doctor", env: env,
		args: append([]string{"doctor", "--json", "--url", f.origin + path}, flags...),
	})
	<-p.done
	d := diagnosis{exit: p.cmd.ProcessState.ExitCode(), text: p.out.String()}
	if err := json.Unmarshal([]byte(d.text), &d); err != nil {
		f.t.Fatalf("doctor says %s: %v", d.text, err)
	}
	if d.Requests >= 60 {
		f.t.Errorf("doctor made %d requests", d.Requests)
	}
	return d
}

// healthy wants nothing but ok and notes.
func (d *diagnosis) healthy(t *testing.T) {
	t.Helper()
	for _, finding := range d.Findings {
		if finding.Level == "problem" || finding.Level == "warning" {
			t.Errorf("doctor finds a %s where there is none: %s: %s", finding.Level, finding.Check, finding.What)
		}
	}
	if d.exit != 0 || len(d.Findings) < 12 {
		t.Errorf("exit code %d: %s", d.exit, d.text)
	}
}

// finds wants a finding of this level by this check, whose line has all of the words, with its cure; nothing else may be a problem
// but what the same breakage brings about.
func (d *diagnosis) finds(t *testing.T, level, check string, words ...string) {
	t.Helper()
	for _, f := range d.Findings {
		line := strings.Join([]string{f.What, f.Why, f.Cure}, " ")
		if f.Level == level && f.Check == check && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			if f.Cure == "" || f.Why == "" {
				t.Errorf("%s: %s has no cure", f.Check, f.What)
			}
			if wantExit := 1; level == "problem" && d.exit != wantExit {
				t.Errorf("exit code %d", d.exit)
			}
			return
		}
	}
	t.Errorf("doctor doesn't find the %s of %s with %q: %s", level, check, words, d.text)
}

// says wants a finding that asks for nothing.
func (d *diagnosis) says(t *testing.T, level, check string, words ...string) {
	t.Helper()
	for _, f := range d.Findings {
		if f.Level == level && f.Check == check && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(f.What, w) }) {
			return
		}
	}
	t.Errorf("doctor doesn't say %s of %s with %q: %s", level, check, words, d.text)
}

// doctorIsContent: a front end as it is shipped gives the doctor nothing to say, with a session or without.
func doctorIsContent(t *testing.T, f *front) {
	site := *f
	site.t = t
	flags := []string{"--ask-provider", "--log-in-as", phoneAase}
	if f.tls != nil {
		flags = append(flags, "--ca-file", site.authority())
	}
	d := site.doctor(flags...)
	d.healthy(t)
	d.says(t, "ok", "emulator-login")
	d.says(t, "ok", "session")
}

// It asks, and gets through to nobody's application.
func TestDoctorNginx(t *testing.T) {
	t.Parallel()
	need(t, "nginx")
	f := newFront(t)
	f.serve("--trusted-proxies=loopback")
	startNginx(t, f)
	hits := f.app.hits()
	d := f.doctor("--ask-provider")
	d.healthy(t)
	if f.app.hits() != hits {
		t.Error("doctor got through to the app")
	}
}

// Over https: cookies with their prefix, HTTP/2, and a certificate of an authority of one's own.
func TestDoctorCaddyModuleHTTPS(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.overTLS()
	own := certificateFor(t, 90)
	f.tls = own.trusted
	site := strings.Replace(moduleSite(f, ""), "log\n", "log\n\ttls "+own.cert+" "+own.key+"\n", 1)
	startCaddy(t, f, ownTLS, site)
	d := f.doctor("--ask-provider", "--ca-file", own.cert)
	d.healthy(t)
	d.says(t, "ok", "http2", "same answer")
	d.says(t, "ok", "cookie")
	d = f.doctor()
	d.finds(t, "problem", "tls", "certificate", "--ca-file")
}

// nginx with TLS, and a certificate that nobody has renewed.
func TestDoctorNginxHTTPS(t *testing.T) {
	t.Parallel()
	need(t, "nginx")
	f := newFront(t)
	f.overTLS()
	own := certificateFor(t, 6)
	f.tls = own.trusted
	f.serve("--trusted-proxies=loopback")
	listen := "listen 127.0.0.1:" + f.port()
	startNginx(t, f, listen+";", listen+" ssl http2; ssl_certificate "+own.cert+"; ssl_certificate_key "+own.key+";", "set $vipps_scheme http;", "set $vipps_scheme https;")
	f.loggedIn()
	d := f.doctor("--ca-file", own.cert)
	d.finds(t, "warning", "tls", "ends in 5 days")
	d.says(t, "ok", "http2")
	d.says(t, "ok", "cookies-back")
	if d.exit != 0 {
		t.Errorf("exit code %d: %s", d.exit, d.text)
	}
}

// Lines of the Caddyfile that people leave out or add, each with its finding.
func TestDoctorCaddyForwardAuthBroken(t *testing.T) {
	t.Parallel()
	const authz = "respond @authz 404\n"
	for _, tt := range []struct {
		name, options, from, to string
		check                   string
		words                   []string
	}{
		{"everybody is trusted", "\tservers {\n\t\ttrusted_proxies static 0.0.0.0/0 ::/0\n\t}\n", "bind 127.0.0.1", "bind 127.0.0.1", "forwarded-headers", []string{"X-Forwarded-Host", "trusted_proxies"}},
		{"the prefix is the client's", "", "request_header -X-Forwarded-Prefix", "", "forwarded-headers", []string{"X-Forwarded-Prefix"}},
		{"authz isn't closed", "", authz, "", "authz", []string{"open to browsers"}},
		{"Connection takes headers away", "", `request_header Connection "(?i)x-vipps-[a-z-]*" ""`, "", "app-headers", []string{"Connection: close, X-Vipps-Sub", "doesn't learn"}},
		{"headers aren't copied", "", "copy_headers {\n\t\t\t\t\tX-Vipps-Auth\n\t\t\t\t\tX-Vipps-Sub\n", "copy_headers {\n\t\t\t\t\tX-Vipps-Auth\n", "app-headers", []string{"copy_headers"}},
		{"pages are asked about", "", "handle /_vipps/* {", "handle /_vippz/* {", "login", []string{"needs a login"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t)
			f.app.echoes = true
			f.serve("--trusted-proxies=loopback")
			startCaddy(t, f, tt.options, example(t, "caddy-forward-auth/Caddyfile",
				tt.from, tt.to, "http://localhost:8000", f.origin, "127.0.0.1:4190", f.addr, "127.0.0.1:8080", f.app.addr()))
			d := f.doctor("--log-in-as", phoneAase, "--echo-path=/whoami")
			d.finds(t, "problem", tt.check, tt.words...)
		})
	}
}

// The provider doesn't know where its logins are to come back to.
func TestDoctorRedirectURINotRegistered(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.origin = "http://127.0.0.1:" + f.port()
	f.sidecar()
	d := f.doctor("--ask-provider")
	d.finds(t, "problem", "provider", f.origin+"/_vipps/callback", "portal")
}

// The service is down: whatever the proxy shows then, the cause is named.
func TestDoctorServiceDown(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.serve("--trusted-proxies=loopback")
	startCaddyForwardAuth(t, f)
	f.service.end()
	d := f.doctor()
	d.finds(t, "problem", "navigation", "no answer from vippsauth")
	d.finds(t, "problem", "login")
	d.finds(t, "problem", "callback")
}

// The provider is away: the login page says so, and so does the doctor.
func TestDoctorProviderAway(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	if err := f.closeVipps(); err != nil {
		t.Fatal(err)
	}
	f.sidecar()
	d := f.doctor()
	d.finds(t, "problem", "login", "can't reach Vipps", "without --url")
}

// A site that anybody may read has nothing wrong with it for that.
func TestDoctorAnonymousSite(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.sidecar("--without-session=anonymous")
	d := f.doctor()
	d.healthy(t)
	d.says(t, "ok", "script", "can be read")
}

// Nor has one that asks for a click first.
func TestDoctorLoginPage(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.sidecar("--without-session=page", "--silent=off")
	d := f.doctor("--ask-provider")
	d.healthy(t)
	d.says(t, "ok", "cookies-back")
	d.says(t, "ok", "provider")
}

// Another vendor's provider, asked by the site's login and by its settings, right and wrong ones.
func TestDoctorAnotherVendorsProvider(t *testing.T) {
	t.Parallel()
	f := otherProvider(t)
	d := f.doctor("--ask-provider")
	for _, finding := range d.Findings {
		if finding.Level == "problem" || finding.Level == "warning" {
			t.Errorf("%+v", finding)
		}
	}
	issuer := "http://" + regexp.MustCompile(`a login starts, at ([0-9.:]+),`).FindStringSubmatch(d.text)[1]
	for _, tt := range []struct {
		secret, site, check, level string
	}{
		{clientSecret, f.origin, "keys", "ok"},
		{"of another client", f.origin, "keys", "problem"},
		{clientSecret, "http://localhost:1", "redirect-uri", "problem"},
	} {
		p := start(t, vippsauthProgram(t), command{
			name: "vippsauth doctor", args: []string{"doctor", "--json", "--issuer", issuer, "--client-id", clientID, "--public-url", tt.site, "--upstream", "http://127.0.0.1:1"},
			env: []string{"VIPPSAUTH_CLIENT_SECRET=" + tt.secret, "VIPPSAUTH_COOKIE_KEYS=" + cookieKey(t)},
		})
		<-p.done
		got := diagnosis{text: p.out.String()}
		if err := json.Unmarshal([]byte(got.text), &got); err != nil {
			t.Fatalf("%s: %v", got.text, err)
		}
		got.says(t, tt.level, tt.check)
		if strings.Contains(got.text, tt.secret) {
			t.Error("the secret is printed")
		}
	}
}

// Logins that are made at another host of the domain are looked at there.
func TestDoctorAuthURL(t *testing.T) {
	t.Parallel()
	f := newFamily(t)
	f.origin = f.a
	d := f.doctor("--ask-provider")
	d.healthy(t)
	d.says(t, "note", "login", f.login)
	d.says(t, "ok", "login", f.login+"/_vipps/callback")
	d.says(t, "ok", "cookies-back")
	f.origin = f.other
	d = f.doctor("--ask-provider")
	d.healthy(t)
	d.says(t, "ok", "provider", f.other+"/_vipps/callback")
}

// Where logins go to the emulator, the doctor logs in by itself, in each way of logging in, and sees what the app gets.
func TestDoctorLogsIn(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{nil, {"--silent=off"}, {"--without-session=page"}, {"--without-session=page", "--silent=off"}, {"--without-session=anonymous"}} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			t.Parallel()
			f := newFront(t)
			f.app.echoes = true
			if err := f.vipps.Control().AutoApprove(""); err != nil { // its pages wait for somebody
				t.Fatal(err)
			}
			f.sidecar(flags...)
			d := f.doctor("--log-in-as", phoneAase, "--echo-path=/whoami")
			d.healthy(t)
			d.says(t, "ok", "emulator-login")
			d.says(t, "ok", "session")
			d.says(t, "ok", "app-headers")
			d.says(t, "ok", "name")
			d = f.doctor("--log-in-as", "4799999999")
			d.finds(t, "warning", "emulator-login", "knows nobody")
			if found := f.secrets.in(d.text); len(found) > 0 {
				t.Errorf("what doctor says holds %v", found)
			}
		})
	}
}
