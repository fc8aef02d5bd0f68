package integration_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// apacheModules are those that examples/apache asks for, and what Debian's Apache always has.
const apacheModules = "mpm_event access_compat alias auth_basic authn_core authn_file authz_core authz_host authz_user autoindex filter deflate dir env mime " +
	"negotiation reqtimeout setenvif status headers proxy proxy_http authnz_fcgi asis lua"

// startApache runs examples/apache/vippsauth.conf in front of a site, as a user would who has nothing but that folder: only
// the addresses and the places of files are this test's, and what change says. The service has been started by serveApache.
func startApache(t *testing.T, f *front, modules string, change ...string) *process {
	t.Helper()
	apache := need(t, "apache2")
	dir := readable(t)
	put := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	lua := put("vippsauth.lua", example(t, "apache/vippsauth.lua"))
	away, log := put("login-away.asis", example(t, "apache/login-away.asis")), filepath.Join(dir, "access.log")
	text := example(t, "apache/vippsauth.conf", append(change,
		"127.0.0.1:4190", f.addr, "127.0.0.1:4195", f.fcgi, "http://127.0.0.1:8080/", f.app.srv.URL+"/", "127.0.0.1:8000", "127.0.0.1:"+f.port(),
		"/var/log/apache2/access.log", log, "/etc/apache2/login-away.asis", away, "/etc/apache2/vippsauth.lua", lua)...)
	if strings.Contains(text, "\tDocumentRoot ") { // 3b in place of 3a, as the file says
		before, rest, _ := strings.Cut(text, "\t# 3a.")
		_, after, _ := strings.Cut(rest, "\t# 3b.")
		text = before + "\t# 3b." + after
	}
	main := fmt.Sprintf("ServerRoot %[1]s\nDefaultRuntimeDir %[1]s\nPidFile %[1]s/pid\nErrorLog /dev/stderr\nServerName localhost\nTypesConfig /dev/null\n", dir)
	main += "StartServers 2\nMinSpareThreads 25\nMaxSpareThreads 75\nUser nobody\nGroup nogroup\n<Directory />\n\tRequire all denied\n</Directory>\n"
	for _, name := range strings.Fields(apacheModules + " " + modules) {
		main += fmt.Sprintf("LoadModule %[1]s_module /usr/lib/apache2/modules/mod_%[1]s.so\n", name)
	}
	path := put("apache2.conf", main+"Include "+put("site.conf", text)+"\n")
	p := start(t, apache, command{name: "apache2", args: []string{"-D", "FOREGROUND", "-f", path}})
	p.answers(f.origin + "/_vipps/authz/")
	t.Cleanup(func() { // E-20
		p.end()
		text, err := os.ReadFile(log)
		if err != nil || len(text) == 0 || strings.Contains(string(text), "/_vipps/callback") {
			t.Errorf("Apache's access log: %d bytes, %v", len(text), err)
		}
		if found := f.secrets.in(string(text)); len(found) > 0 {
			t.Errorf("Apache's access log holds %v", found)
		}
	})
	return p
}

// readable is a folder that Apache can read, whose workers are nobody's where a test runs as root.
func readable(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// serveApache starts the service with an address for Apache.
func (f *front) serveApache(flags ...string) {
	f.t.Helper()
	if f.fcgi == "" {
		f.fcgi = freeAddr(f.t)
	}
	f.serve(append([]string{"--trusted-proxies=loopback", "--fcgi-listen=" + f.fcgi}, flags...)...)
}

func TestSec_D25_Apache(t *testing.T) {
	t.Parallel()
	need(t, "apache2")
	f := newFront(t)
	f.serveApache()
	startApache(t, f, "")
	t.Run("refusals", func(t *testing.T) { apacheRefusals(t, f) })
	conforms(t, f, differs{
		name:        "Apache (waits 30 s for a service that hangs; shows another FastCGI server's refusals)",
		fillsBodies: true, waits: 30 * time.Second, passesOn: []int{204, 206, 302, 304, 502, 503},
	})
}

// apacheRefusals: Apache passes our answers on with their headers, in a form that it does no harm to.
func apacheRefusals(t *testing.T, f *front) {
	b := f.browser()
	a := b.send(http.MethodGet, f.origin+"/api", fetching(), nil)
	if a.StatusCode != http.StatusUnauthorized || a.Header.Get("Content-Type") != "application/json" || a.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("a script: %d %v", a.StatusCode, a.Header)
	}
	norwegian := navigation()
	norwegian.Set("Accept-Language", "nb")
	a = b.send(http.MethodPost, f.origin+"/order", norwegian, nil)
	if a.StatusCode != http.StatusUnauthorized || a.Header.Get("Content-Language") != "nb" || !strings.Contains(a.text, "</html>") {
		t.Errorf("a form: %d %v %s", a.StatusCode, a.Header, tail(a.text, 100))
	}
	for i := range len(a.text) {
		if a.text[i] >= 0x80 {
			t.Fatal("the page isn't ASCII")
		}
	}
	if a = b.send(http.MethodHead, f.origin+"/a?b", navigation(), nil); a.StatusCode != http.StatusFound || a.Header.Get("Location") == "" || a.text != "" {
		t.Errorf("HEAD: %d %v", a.StatusCode, a.Header)
	}
	if a = b.send(http.MethodHead, f.origin+"/a?b", fetching(), nil); a.StatusCode != http.StatusUnauthorized || a.text != "" {
		t.Errorf("HEAD of a script: %d %v", a.StatusCode, a.Header)
	}
	for _, host := range []string{"evil.example", "localhost", "localhost:1"} {
		hits := f.app.hits()
		for _, path := range []string{"/", "/_vipps/login"} {
			if status := raw(t, f, "GET "+path+" HTTP/1.1\r\nHost: "+host+"\r\nAccept: text/html\r\nConnection: close\r\n\r\n"); status != http.StatusMisdirectedRequest {
				t.Errorf("Host: %s: %d", host, status)
			}
		}
		if f.app.hits() != hits {
			t.Errorf("Host: %s gets to the app", host)
		}
	}
	headers := " HTTP/1.1\r\nHost: localhost:" + f.port() + "\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Uri: /\r\nConnection: close\r\n\r\n"
	for _, path := range []string{"%61uthz/forward-auth", "authz%2fforward-auth", "/authz/forward-auth", "./authz/forward-auth", "x/../authz/forward-auth", "x/%2e%2e/authz/forward-auth", "authz;x/forward-auth", "authz"} {
		if status := raw(t, f, "GET /_vipps/"+path+headers); status != http.StatusNotFound && status != http.StatusBadRequest {
			t.Errorf("/_vipps/%s is open to browsers: %d", path, status)
		}
	}
	hits := f.app.hits()
	for _, line := range []string{"OPTIONS *", "GET http://localhost:" + f.port() + "/x", "GET http://evil.example/x", "CONNECT localhost:" + f.port(), "TRACE /x"} {
		if status := raw(t, f, line+headers); f.app.hits() != hits || status == http.StatusOK && line != "OPTIONS *" {
			t.Errorf("%s: %d", line, status)
		}
	}
	in := f.loggedIn()
	hits = f.app.hits()
	jar := "theirs=" + strings.Repeat("x", 16_000) // more than mod_authnz_fcgi would pass on
	if a = in.send(http.MethodGet, f.origin+"/", with(fetching(), "Cookie", jar), nil); a.StatusCode != http.StatusBadRequest || f.app.hits() != hits {
		t.Errorf("a jar beyond the limit: %d", a.StatusCode)
	}
	h := fetching()
	for i := range 15 {
		h.Set(fmt.Sprintf("X-Big-%d", i), strings.Repeat("x", 8000))
	}
	if a = in.send(http.MethodGet, f.origin+"/", h, nil); a.StatusCode != http.StatusRequestHeaderFieldsTooLarge || f.app.hits() != hits {
		t.Errorf("120 kB of headers: %d", a.StatusCode)
	}
}

// A site that may be read by anybody: REMOTE_USER needs a name for nobody then, which the example's comment gives.
func TestAnonymousBehindApache(t *testing.T) {
	t.Parallel()
	need(t, "apache2")
	f := newFront(t)
	f.serveApache("--without-session=anonymous")
	startApache(t, f, "", `"%{reqenv:VIPPS_SUB}"`, `"%{reqenv:VIPPS_SUB}" DefaultUser anonymous`)
	anonymous(t, f)
}

// Without that name Apache doesn't pass anonymous requests on.
func TestApacheAnonymousWithoutName(t *testing.T) {
	t.Parallel()
	need(t, "apache2")
	f := newFront(t)
	f.serveApache("--without-session=anonymous")
	startApache(t, f, "")
	if a := f.browser().send(http.MethodGet, f.origin+"/", fetching(), nil); a.StatusCode != http.StatusInternalServerError || f.app.hits() != 0 {
		t.Errorf("%d", a.StatusCode)
	}
}

// In public Apache speaks HTTP/2 over TLS, where our cookies have other names.
func TestApacheHTTP2(t *testing.T) {
	t.Parallel()
	need(t, "apache2")
	f := newFront(t)
	f.overTLS()
	own := certificateFor(t, 90)
	f.tls = own.trusted
	f.serveApache()
	startApache(t, f, "ssl socache_shmcb http2", "Define VIPPS_SCHEME http", "Define VIPPS_SCHEME https",
		"\tServerName localhost", "\tServerName localhost\n\tProtocols h2 http/1.1\n\tSSLEngine on\n\tSSLCertificateFile "+own.pair)
	firstLogin(t, f)
	b := f.loggedIn()
	if a := b.send(http.MethodGet, f.origin+"/", fetching(), nil); a.ProtoMajor != 2 || f.app.last().Header.Get("X-Forwarded-Proto") != "https" {
		t.Errorf("this was HTTP/%d, %v", a.ProtoMajor, f.app.last().Header)
	}
	cookieAttributes(t, b, true)
	forms(t, f)
	spoofedIdentity(t, f)
	spoofedForwarded(t, f)
	scriptsGet401(t, f)
	cookiesForApp(t, f, true)
	refused(t, f)
	logout(t, f)
}

// Apache says its secret where the example says to, and the app never learns it.
func TestApacheProxySecret(t *testing.T) {
	t.Parallel()
	need(t, "apache2")
	const secret = "correct horse battery staple"
	settings := write(t, "vippsauth.yaml", "proxy_secret: "+secret+"\n")
	line := func(secret string) []string {
		return []string{"\tRequestHeader unset X-Vipps-Proxy-Secret early", "\tRequestHeader set X-Vipps-Proxy-Secret \"" + secret + "\" early"}
	}
	for name, tt := range map[string]struct {
		change []string
		works  bool
	}{"right": {line(secret), true}, "wrong": {line("wrong"), false}, "none": {nil, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t)
			f.secrets.add("proxy secret", secret)
			f.serveApache("--config=" + settings)
			startApache(t, f, "", tt.change...)
			if !tt.works {
				for _, sent := range []string{secret, "wrong"} {
					a := f.browser().send(http.MethodGet, f.origin+"/", with(navigation(), "X-Vipps-Proxy-Secret", sent), nil)
					if a.StatusCode != http.StatusForbidden || f.app.hits() != 0 {
						t.Errorf("%d %s", a.StatusCode, a.text)
					}
				}
				return
			}
			b := f.loggedIn()
			if a := b.send(http.MethodGet, f.origin+"/", with(fetching(), "X-Vipps-Proxy-Secret", "wrong"), nil); a.StatusCode != http.StatusOK {
				t.Errorf("%d %s", a.StatusCode, a.text)
			}
			for _, got := range f.app.since(0) {
				if got.Header["X-Vipps-Proxy-Secret"] != nil {
					t.Error("the app gets the proxy's secret")
				}
			}
		})
	}
}

// A part of the site asks for a policy, which no client can choose.
func TestSec_C021_ApachePolicy(t *testing.T) {
	t.Parallel()
	need(t, "apache2")
	f := newFront(t)
	f.serveApache("--config=" + write(t, "vippsauth.yaml", "policies:\n  board:\n    allow: \""+phonePer+"\"\n"))
	startApache(t, f, "", "#AllowEncodedSlashes", "AllowEncodedSlashes", "#<Location \"/board\">", "<Location \"/board\">", "#\tSetEnvIf", "\tSetEnvIf", "#</Location>", "</Location>")
	b := f.loggedIn()
	hits := f.app.hits()
	for _, path := range []string{"/board", "/board/", "/board/x?VIPPS_POLICY=default", "//board/x", "/x/../board/x", "/b%6fard/"} {
		h := with(fetching(), "Vipps-Policy", "default", "VIPPS_POLICY", "default")
		if a := b.send(http.MethodGet, f.origin+path, h, nil); a.StatusCode != http.StatusForbidden || f.app.hits() != hits {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
	}
	for _, path := range []string{"/board%2fx", "/x%2f../board/", "/x%2F..%2Fboard/x"} { // what Apache doesn't take for that part
		if a := b.send(http.MethodGet, f.origin+path, fetching(), nil); a.StatusCode != http.StatusNotFound || f.app.hits() != hits {
			t.Errorf("%s: %d", path, a.StatusCode)
		}
	}
	if a := b.send(http.MethodGet, f.origin+"/", with(fetching(), "VIPPS_POLICY", "board"), nil); a.StatusCode != http.StatusOK {
		t.Errorf("the rest of the site: %d", a.StatusCode)
	}
	f.as(phonePer)
	if a := f.browser().open(f.origin + "/board/"); a.StatusCode != http.StatusOK || f.app.last().URI != "/board/" {
		t.Errorf("who is on the board: %d", a.StatusCode)
	}
}

// A header of the operator's own, with its three lines, is the app's and nobody else's; and a part that everybody may see
// gets no identity header of a client, whatever its name.
func TestApacheOwnHeaderAndOpenPart(t *testing.T) {
	t.Parallel()
	need(t, "apache2")
	f := newFront(t)
	f.serveApache("--headers=default,Remote-User=sub")
	startApache(t, f, "", "\tRequestHeader unset X-Vipps-Nin early\n", "\tRequestHeader unset X-Vipps-Nin early\n\tRequestHeader unset Remote-User early\n\tRequestHeader unset Remote_User early\n"+
		"\tRequestHeader edit* Connection \"(?i)(^|[, \\t])Remote-User(?=$|[, \\t])\" \"$1none\" early\n",
		"\t\tRequestHeader unset X-Vipps-Proxy-Secret\n", "\t\tRequestHeader set Remote-User \"%{VIPPS_REMOTE_USER}e\" \"expr=-n reqenv('VIPPS_REMOTE_USER')\"\n\t\tRequestHeader unset X-Vipps-Proxy-Secret\n",
		"\t# 4. ", "\t<Location \"/open/\">\n\t\tAuthType None\n\t\tRequire all granted\n\t</Location>\n\t# 4. ")
	b := f.loggedIn()
	sub := f.app.last().Header.Get("X-Vipps-Sub")
	for _, line := range []string{"Remote-User", "close, remote-user", "Remote-User,Remote-User", "a,REMOTE-USER\t, Remote-User"} {
		raw(t, f, asking(f, "GET /", cookiesOf(f))+"Connection: "+line+"\r\n\r\n")
		if got := f.app.last().Header["Remote-User"]; len(got) != 1 || got[0] != sub {
			t.Errorf("with Connection: %s Remote-User is %q", line, got)
		}
	}
	for _, name := range []string{"Remote-User", "remote_user", "REMOTE_USER", "X-Vipps-Sub", "X_Vipps_Sub", "X-Vipps-Gender", "X.Vipps.Gender", "X-Vipps-Proxy-Secret", "Accept-Charset"} {
		for _, path := range []string{"/", "/open/"} {
			hits := f.app.hits()
			a := b.send(http.MethodGet, f.origin+path, with(fetching(), name, "evil"), nil)
			for _, got := range f.app.since(hits) {
				for key, values := range got.Header {
					if values[0] == "evil" && key != "Accept-Charset" {
						t.Errorf("%s: %s arrives as %s", path, name, key)
					}
				}
				if users := folded(got.Header, "Remote-User"); path == "/" && (len(users) != 1 || users[0] != sub) || path == "/open/" && len(users) != 0 {
					t.Errorf("%s with %s: Remote-User is %q", path, name, users)
				}
			}
			if refused := strings.Contains(name, "Gender"); a.StatusCode != http.StatusOK && !refused || refused && a.StatusCode != http.StatusForbidden {
				t.Errorf("%s with %s: %d", path, name, a.StatusCode)
			}
		}
	}
}
