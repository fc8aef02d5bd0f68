package integration_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// moduleBlock is the module's own block for the front's client.
func moduleBlock(f *front, matcher, settings string) string {
	return fmt.Sprintf(`vipps_auth %s {
		%s
		issuer %s
		client_id %s
		client_secret %q
		scopes %s
		allow %s 4790000002
		site_name Integration
		contact styret@example.com
	}`, matcher, settings, f.vipps.Issuer, clientID, clientSecret, f.asksFor(), phoneAase)
}

// A part of a site is protected, and on the rest nobody has an identity, whatever the client writes.
func TestSec_C010_B102_CaddyPartOfASite(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.checkLog(startCaddy(t, f, "", fmt.Sprintf("%s {\n\t@private {\n\t\tpath /private/* /admin*\n\t\tnot path /private/logo.png\n\t}\n\t%s\n\treverse_proxy %s\n}\n",
		f.origin, moduleBlock(f, "@private", ""), f.app.addr())))
	b := f.browser()
	if a := b.open(f.origin + "/private/1?x=%C3%A5"); a.StatusCode != http.StatusOK || f.app.last().Header.Get("X-Vipps-Name") != nameAase ||
		f.app.last().URI != "/private/1?x=%C3%A5" {
		t.Fatalf("the login ended with %d at %v", a.StatusCode, b.trail)
	}
	for _, who := range []*browser{b, f.browser()} {
		for _, path := range []string{"/", "/open", "/privateer", "/private/logo.png"} {
			h := with(fetching(), "X-Vipps-Sub", "evil", "x_vipps_name", "evil", "X.Vipps.Sub", "evil", "X-Vipps-Auth", "authenticated", "Connection", "X-Vipps-Auth")
			if a := who.send(http.MethodGet, f.origin+path, h, nil); a.StatusCode != http.StatusOK {
				t.Errorf("%s: %d", path, a.StatusCode)
			}
			got := f.app.last()
			for name, values := range got.Header {
				if text := strings.Join(values, " "); strings.Contains(text, "evil") ||
					strings.Contains(strings.ToLower(name), "vipps") && name != "X-Vipps-Auth" || strings.Contains(text, "vippsauth") {
					t.Errorf("%s arrives with %s", path, name)
				}
			}
			if auth := got.Header["X-Vipps-Auth"]; len(auth) != 1 || auth[0] != "anonymous" {
				t.Errorf("%s arrives with X-Vipps-Auth %q", path, auth)
			}
		}
	}
	// However the protected part is written.
	for _, path := range []string{
		"/private/x", "/PRIVATE/x", "//private/x", "/./private/x", "/open/../private/x", "/%70rivate/x", "/private%2Fx", "/private/../private/x", "/admin", "/ADMIN;x",
		"/private/logo.png/../x", "/%2e/private/x",
	} {
		hits := f.app.hits()
		if status := asWritten(t, f, path); status != http.StatusUnauthorized || f.app.hits() != hits {
			t.Errorf("%s without a session: %d", path, status)
		}
	}
}

// Two sites of one server, each with its own client, scopes, headers, list and name.
func TestCaddySeveralSites(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	boats, cabins := "http://boats.localhost:"+f.port(), "http://cabins.localhost:"+f.port()
	for id, site := range map[string]string{"boats-client": boats, "cabins-client": cabins} {
		if err := f.vipps.Control().AddClient(emulator.Client{ID: id, Secret: id + "-secret", Name: id, RedirectURIs: []string{site + "/_vipps/callback"}}); err != nil {
			t.Fatal(err)
		}
		f.secrets.add("client secret", id+"-secret")
	}
	f.checkLog(startCaddy(t, f, fmt.Sprintf("\tvipps_auth {\n\t\tissuer %s\n\t\tsession_ttl 1h\n\t}\n", f.vipps.Issuer), fmt.Sprintf(`
(login) {
	vipps_auth {args[1]} {
		client_id {args[0]}-client
		client_secret {args[0]}-client-secret
		site_name {args[0]}
		{block}
	}
	reverse_proxy %[1]s
}
%[2]s {
	import login boats * {
		scopes openid name phoneNumber
		allow %[4]s
	}
}
%[3]s {
	import login cabins /book/* {
		scopes openid email
		headers X-Vipps-Sub=sub Remote-User=sub X-Mail=email
		allow anyone
	}
}
%[5]s {
	respond "nothing to log in to"
}
`, f.app.addr(), boats, cabins, phoneAase, f.origin)))

	b := f.browser()
	for _, tt := range []struct {
		site, client, scope string
		has, hasNot         []string
	}{
		{boats, "boats-client", "openid name phoneNumber", []string{"X-Vipps-Name", "X-Vipps-Phone-Number"}, []string{"Remote-User", "X-Mail", "X-Vipps-Email"}},
		{cabins, "cabins-client", "openid email", []string{"Remote-User", "X-Mail"}, []string{"X-Vipps-Name", "X-Vipps-Phone-Number"}},
	} {
		// A session at the first site is none at the second, though Vipps would know the person.
		if a := b.open(tt.site + "/book/1"); a.StatusCode != http.StatusOK || len(b.asked()) == 0 {
			t.Fatalf("%s: %d at %v", tt.site, a.StatusCode, b.trail)
		}
		for _, q := range b.asked() {
			if q.Get("client_id") != tt.client || q.Get("scope") != tt.scope {
				t.Errorf("%s asks as %s for %q", tt.site, q.Get("client_id"), q.Get("scope"))
			}
		}
		got := f.app.last().Header
		for _, name := range tt.has {
			if got.Get(name) == "" {
				t.Errorf("%s: no %s", tt.site, name)
			}
		}
		for _, name := range tt.hasNot {
			if got.Get(name) != "" {
				t.Errorf("%s: %s is there", tt.site, name)
			}
		}
	}
	if a := b.send(http.MethodGet, cabins+"/", with(fetching(), "Remote-User", "evil", "remote_user", "evil"), nil); a.StatusCode != http.StatusOK ||
		len(folded(f.app.last().Header, "Remote-User")) > 0 {
		t.Errorf("the open part: %d, Remote-User %q", a.StatusCode, folded(f.app.last().Header, "Remote-User"))
	}
	// Attack: a session of one site, carried to another.
	for from, to := range map[string]string{boats: cabins, cabins: boats} {
		thief := f.browser()
		u, err := url.Parse(to)
		if err != nil {
			t.Fatal(err)
		}
		thief.jar.SetCookies(u, b.cookies(from))
		if a := thief.send(http.MethodGet, to+"/book/1", fetching(), nil); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("a session of %s opens %s: %d", from, to, a.StatusCode)
		}
	}
	f.as(phoneRolf)
	if a := f.browser().open(boats + "/"); a.StatusCode != http.StatusForbidden || !strings.Contains(a.text, "boats") {
		t.Errorf("Rolf at boats: %d %s", a.StatusCode, a.words())
	}
	if a := f.browser().open(cabins + "/book/1"); a.StatusCode != http.StatusOK {
		t.Errorf("Rolf at cabins: %d %s", a.StatusCode, a.words())
	}
	if a := f.browser().send(http.MethodGet, f.origin+"/_vipps/login", navigation(), nil); a.text != "nothing to log in to" {
		t.Errorf("the third site: %d %s", a.StatusCode, a.text)
	}
}

// The shape that the warning about a vipps_auth inside handle_path leads to: at the top of the site, with the matcher.
// The app has its prefix taken away, and the login comes back to the address that the person knows.
func TestCaddyHandlePath(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	other := startApp(t)
	startCaddy(t, f, "", fmt.Sprintf("%s {\n\t%s\n\thandle_path /app/* {\n\t\treverse_proxy %s\n\t}\n\thandle {\n\t\treverse_proxy %s\n\t}\n}\n",
		f.origin, moduleBlock(f, "/app/*", ""), f.app.addr(), other.addr()))
	b := f.browser()
	a := b.open(f.origin + "/app/b%C3%A5ter?havn=7")
	if a.StatusCode != http.StatusOK || a.Request.URL.RequestURI() != "/app/b%C3%A5ter?havn=7" ||
		f.app.last().URI != "/b%C3%A5ter?havn=7" || f.app.last().Header.Get("X-Vipps-Sub") == "" {
		t.Errorf("%d at %v, the app is asked for %s", a.StatusCode, b.trail, f.app.last().URI)
	}
	if a = b.send(http.MethodGet, f.origin+"/else", with(fetching(), "X-Vipps-Sub", "evil"), nil); a.StatusCode != http.StatusOK || other.last().Header.Get("X-Vipps-Sub") != "" {
		t.Errorf("beside it: %d %v", a.StatusCode, other.last().Header)
	}
	if a = f.browser().send(http.MethodGet, f.origin+"/app/api", with(fetching(), "Referer", f.origin+"/app/page"), nil); a.StatusCode != http.StatusUnauthorized ||
		!strings.Contains(a.text, url.QueryEscape("/app/page")) {
		t.Errorf("a script: %d %s", a.StatusCode, a.text)
	}
}

// In route the order is the one written. Headers taken away before the module stay away, and its own arrive.
func TestCaddyRoute(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.judge = startCaddy(t, f, "", fmt.Sprintf(`%s {
	route {
		request_header -X-Vipps-*
		rewrite /old/* /new{uri}
		%s
		request_header X-User {http.auth.user.id}
		reverse_proxy %s
	}
}
`, f.origin, moduleBlock(f, "", ""), f.app.addr()))
	f.checkLog(f.judge)
	b := f.loggedIn()
	if a := b.open(f.origin + "/old/1"); a.StatusCode != http.StatusOK || f.app.last().URI != "/new/old/1" ||
		f.app.last().Header.Get("X-User") != f.app.last().Header.Get("X-Vipps-Sub") {
		t.Errorf("%d, the app is asked for %s by %q", a.StatusCode, f.app.last().URI, f.app.last().Header.Get("X-User"))
	}
	conforms(t, f, differs{name: "Caddy module in route", inProcess: true})
}

// A certificate for any name below one domain, made when it is first asked for, and the names that people log in at.
func TestCaddyWildcardOnDemand(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.overTLS()
	f.tls = moduleTLS()
	one, two, none := "https://one.club.localhost:"+f.port(), "https://two.club.localhost:"+f.port(), "https://none.club.localhost:"+f.port()
	for _, site := range []string{one, two} {
		if err := f.vipps.Control().AddRedirectURI(clientID, site+"/_vipps/callback"); err != nil {
			t.Fatal(err)
		}
	}
	site := fmt.Sprintf("https://*.club.localhost:%s {\n\ttls internal {\n\t\ton_demand\n\t}\n\t%s\n\treverse_proxy %s\n}\n%s {\n\ttls internal\n\trespond ready\n}\n",
		f.port(), moduleBlock(f, "", "public_url "+one+" "+two), f.app.addr(), f.origin)
	f.checkLog(startCaddy(t, f, ownTLS+"\ton_demand_tls {\n\t\task http://"+f.app.addr()+"/may-have-a-certificate\n\t}\n", site))
	b := f.browser()
	for _, site := range []string{one, two} {
		if a := b.open(site + "/x"); a.StatusCode != http.StatusOK || a.Request.URL.String() != site+"/x" || len(b.asked()) == 0 {
			t.Errorf("%s: %d at %v", site, a.StatusCode, b.trail)
		}
	}
	hits := f.app.hits()
	a := b.send(http.MethodGet, none+"/x", navigation(), nil)
	if a.StatusCode != http.StatusMisdirectedRequest || a.Header.Get("Location") != "" {
		t.Errorf("a name that isn't among them: %d to %q", a.StatusCode, a.Header.Get("Location"))
	}
	for _, got := range f.app.since(hits) {
		if got.URI == "/x" { // others are Caddy's question whether the name may have a certificate
			t.Error("the app was asked by a name that isn't among them")
		}
	}
}

// The stock example with a part protected only, as its README says: nobody has an identity on the rest.
func TestSec_C010_B102_CaddyForwardAuthPartOfASite(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.serve("--trusted-proxies=loopback")
	startCaddy(t, f, "", example(t, "caddy-forward-auth/Caddyfile",
		"http://localhost:8000", f.origin, "127.0.0.1:4190", f.addr, "127.0.0.1:8080", f.app.addr(), "\t\troute {", fmt.Sprintf(`
		request_header -X-Vipps-*
		request_header -X-Forwarded-Prefix
		request_header Connection "(?i)x-vipps-[a-z-]*" ""
		reverse_proxy %s
		route /members/* {`, f.app.addr())))
	b := f.browser()
	if a := b.open(f.origin + "/members/1?x=1"); a.StatusCode != http.StatusOK || f.app.last().Header.Get("X-Vipps-Name") != nameAase || f.app.last().URI != "/members/1?x=1" {
		t.Fatalf("the login ended with %d at %v", a.StatusCode, b.trail)
	}
	for _, who := range []*browser{b, f.browser()} {
		for _, name := range []string{"X-Vipps-Sub", "x-vipps-auth", "x_vipps_sub", "X.Vipps.Sub", "X-Vipps_Sub", "X-Vipps-Else"} {
			if a := who.send(http.MethodGet, f.origin+"/open", with(fetching(), name, "evil"), nil); a.StatusCode != http.StatusOK {
				t.Errorf("%s: %d", name, a.StatusCode)
			}
			for key, values := range f.app.last().Header {
				if strings.Contains(strings.Join(values, " "), "evil") {
					t.Errorf("%s arrives as %s", name, key)
				}
			}
		}
	}
	for _, path := range []string{"/members/x", "//members/x", "/MEMBERS/x", "/%6dembers/x", "/open/../members/x"} {
		hits := f.app.hits()
		if status := asWritten(t, f, path); status != http.StatusUnauthorized || f.app.hits() != hits {
			t.Errorf("%s without a session: %d", path, status)
		}
	}
}
