package integration_test

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// sidecar makes the service the site itself.
func (f *front) sidecar(flags ...string) {
	f.t.Helper()
	f.addr, f.ops = "127.0.0.1:"+f.port(), freeAddr(f.t)
	f.serve(append([]string{"--upstream=http://" + f.app.addr()}, flags...)...)
}

func TestSidecar(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.sidecar()
	conforms(t, f, differs{name: "sidecar", inProcess: true})
}

// The example as a newcomer runs it: only its addresses are this test's.
func TestSidecarExample(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.ops = freeAddr(t)
	dir := t.TempDir()
	config := write(t, "vippsauth.yaml", example(t, "sidecar/vippsauth.yaml",
		"localhost:4190", "localhost:"+f.port(), "127.0.0.1:4190", "127.0.0.1:"+f.port(), "127.0.0.1:4191", f.ops, "127.0.0.1:4192", freeAddr(t),
		"127.0.0.1:8080", f.app.addr()))
	check := start(t, vippsauthProgram(t), command{name: "vippsauth check", args: []string{"check", "--config", config}, dir: dir})
	<-check.done
	if code := check.cmd.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("vippsauth check says %d: %s", code, check.out.String())
	}
	f.service = start(t, vippsauthProgram(t), command{name: "vippsauth serve", args: []string{"serve", "--config", config}, dir: dir})
	f.checkLog(f.service)
	f.service.answers("http://" + f.ops + "/readyz")
	b := f.browser()
	page := b.press(b.open(f.origin+"/x?y=1"), nameAase)
	page = b.press(b.chooseNumber(page), "^(Allow|Tillat)")
	if page.StatusCode != http.StatusOK || f.app.last().URI != "/x?y=1" || f.app.last().Header.Get("X-Vipps-Name") != nameAase {
		t.Errorf("%d at %v: %s", page.StatusCode, b.trail, page.words())
	}
}

// otherProvider is a front whose provider is another vendor's, on loopback.
func otherProvider(t *testing.T) *front {
	t.Helper()
	f := &front{t: t, origin: fmt.Sprintf("http://localhost:%d", freePort(t)), app: startApp(t), secrets: newSecrets()}
	addr := freeAddr(t)
	p := start(t, otherProviderProgram(t), command{name: "otherop", args: []string{
		"-addr", addr, "-client-id", clientID, "-client-secret", clientSecret, "-redirect-uri", f.origin + "/_vipps/callback",
	}})
	p.says("http://" + addr)
	f.secrets.add("phone number", "4700000101")
	f.secrets.add("e-mail address", "ase@example.test")
	f.sidecar("--issuer=http://"+addr, "--allow=anyone")
	return f
}

// The whole path against a provider that nobody here has written.
func TestSidecarAnotherVendorsProvider(t *testing.T) {
	t.Parallel()
	f := otherProvider(t)
	b := f.browser()
	page := b.open(f.origin + "/b%C3%A5ter?havn=%C3%85lesund")
	if b.trail[1].Path != "/_vipps/login" {
		t.Errorf("the first redirect goes to %s", b.trail[1])
	}
	asked := b.asked()
	if len(asked) != 2 {
		t.Fatalf("asked the provider %d times, by %v", len(asked), b.trail)
	}
	for i, q := range asked {
		flow := []string{"no_dialog", ""}[i]
		if q.Get("requested_flow") != flow || q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != 43 ||
			len(q.Get("state")) < 43 || len(q.Get("nonce")) < 43 || q.Get("response_type") != "code" || q.Get("redirect_uri") != f.origin+"/_vipps/callback" {
			t.Errorf("authorization request %d: %v", i, q)
		}
	}
	if asked[0].Get("state") == asked[1].Get("state") || asked[0].Get("nonce") == asked[1].Get("nonce") || asked[0].Get("code_challenge") == asked[1].Get("code_challenge") {
		t.Error("the second attempt reuses the first one's values")
	}
	if page = b.press(page, nameAase); page.StatusCode != http.StatusOK || page.Request.URL.RequestURI() != "/b%C3%A5ter?havn=%C3%85lesund" {
		t.Fatalf("the login ended with %d at %v: %s", page.StatusCode, b.trail, page.text)
	}
	got := f.app.last().Header
	for name, want := range map[string]string{
		"X-Vipps-Sub": "2f6f5c1e-ase", "X-Vipps-Name": nameAase, "X-Vipps-Given-Name": "Åse", "X-Vipps-Phone-Number": "4700000101",
		"X-Vipps-Email": "ase@example.test", "X-Vipps-Auth": "authenticated",
	} {
		if !slices.Equal(got[name], []string{want}) {
			t.Errorf("the app gets %s: %q, want %q", name, got[name], want)
		}
	}
	t.Run("cookies", func(t *testing.T) { cookieAttributes(t, b, false) })
	t.Run("silent hit", func(t *testing.T) {
		if b.forget(f.origin, "^vippsauth$") != 1 {
			t.Fatal("no session cookie")
		}
		page := b.open(f.origin + "/again")
		if q := b.asked(); page.StatusCode != http.StatusOK || page.Request.URL.Path != "/again" || len(q) != 1 || q[0].Get("requested_flow") != "no_dialog" {
			t.Errorf("%d at %v", page.StatusCode, b.trail)
		}
	})
	t.Run("a person's no", func(t *testing.T) {
		b := f.browser()
		no := b.press(b.open(f.origin+"/"), "^Cancel$")
		if !strings.Contains(no.text, "You cancelled the login") || strings.Contains(no.Request.URL.RawQuery, "access_denied") {
			t.Errorf("%d at %v: %s", no.StatusCode, b.trail, no.words())
		}
	})
	t.Run("scripts get 401", func(t *testing.T) { scriptsGet401(t, f) })
	t.Run("C010_spoofed identity headers", func(t *testing.T) { spoofedIdentity(t, f) })
	t.Run("B078_identity headers named in Connection", func(t *testing.T) { spoofedConnection(t, f) })
	t.Run("logout", func(t *testing.T) { logout(t, f) })
}

// cookieAttributes looks at every cookie of ours that was set: attributes as promised, and nothing to read in them.
func cookieAttributes(t *testing.T, b *browser, secure bool) {
	t.Helper()
	ours := regexp.MustCompile(`^(__Host-)?vippsauth(-login-[A-Za-z0-9_-]+|-hint|\.[1-4])?=([^;]*)((?:; [^;]+)*)$`)
	seen := map[string]bool{}
	for _, line := range b.made {
		m := ours.FindStringSubmatch(line)
		if m == nil {
			if strings.Contains(line, "vippsauth") && !strings.HasPrefix(line, "vipps-emulator") {
				t.Errorf("a cookie by another name: %.60s", line)
			}
			continue
		}
		seen[m[1]+strings.TrimRight(m[2][:min(len(m[2]), 7)], "0123456789")] = true
		attributes := strings.Split(strings.TrimPrefix(m[4], "; "), "; ")
		for _, want := range []string{"Path=/", "HttpOnly", "SameSite=Lax"} {
			if !slices.Contains(attributes, want) {
				t.Errorf("%.40s has %v and not %s", line, attributes, want)
			}
		}
		if slices.Contains(attributes, "Secure") != secure || (m[1] == "__Host-") != secure {
			t.Errorf("%.40s has %v; https is %t", line, attributes, secure)
		}
		if strings.Contains(m[4], "Domain") {
			t.Errorf("%.40s has a Domain", line)
		}
		opaque(t, m[3])
	}
	for _, kind := range []string{"", "-login-", "-hint"} {
		if prefix := map[bool]string{true: "__Host-"}[secure]; !seen[prefix+kind] {
			t.Errorf("no cookie %svippsauth%s was set: %v", prefix, kind, seen)
		}
	}
}

// opaque looks for what a person is in a cookie, as it is and decoded, twice over.
func opaque(t *testing.T, value string) {
	t.Helper()
	forms := []string{value}
	for _, from := range []int{0, 1} {
		if len(value) <= from {
			continue
		}
		if once, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(value[from:], "=")); err == nil {
			forms = append(forms, string(once))
			for part := range strings.SplitSeq(string(once), "|") {
				if twice, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(part, "=")); err == nil {
					forms = append(forms, string(twice))
				}
			}
		}
	}
	for _, form := range forms {
		for _, plain := range []string{"Åse", "2f6f5c1e", phoneAase, "4700000101", "emulator-", "http://", "https://", "nonce"} {
			if strings.Contains(form, plain) {
				t.Errorf("a cookie holds %q for anybody to read", plain)
			}
		}
	}
}

// Behind something that ends TLS: cookies with the __Host- prefix, and https in every address.
func TestSidecarBehindTLS(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.overTLS()
	f.addr, f.ops = freeAddr(t), freeAddr(t)
	f.serve("--upstream=http://"+f.app.addr(), "--trusted-proxies=loopback")
	front := unstarted(t, f.port(), &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: f.addr})
		r.Out.Host = r.In.Host
		r.SetXForwarded()
	}})
	own := certificateFor(t, 90)
	pair, err := tls.LoadX509KeyPair(own.cert, own.key)
	if err != nil {
		t.Fatal(err)
	}
	front.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	front.StartTLS()
	t.Cleanup(front.Close)
	f.tls = own.trusted

	firstLogin(t, f)
	b := f.loggedIn()
	cookieAttributes(t, b, true)
	if proto := f.app.last().Header.Get("X-Forwarded-Proto"); proto != "https" {
		t.Errorf("the app is told %q", proto)
	}
	out := b.press(b.open(f.origin+"/_vipps/logout"), "^Log out$")
	if !strings.Contains(out.text, "You are logged out") || len(b.cookies(f.origin)) == 0 {
		t.Errorf("%d at %v", out.StatusCode, b.trail)
	}
	for _, c := range b.cookies(f.origin) {
		if c.Name == "__Host-vippsauth" {
			t.Error("the session's cookie is still there")
		}
	}
}

// Event streams come through as they are written, and a large upload takes no memory.
func TestSec_D21_SidecarStreams(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.sidecar()
	b := f.loggedIn()
	t.Run("events", func(t *testing.T) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.origin+"/events", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = with(fetching(), "Accept", "text/event-stream")
		begin := time.Now()
		w, err := b.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Body.Close()
		line, err := bufio.NewReader(w.Body).ReadString('\n')
		if err != nil || line != "data: first\n" {
			t.Errorf("%d %q %v", w.StatusCode, line, err)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("the first event took %s: the stream is held back", took)
		}
	})
	t.Run("upload", func(t *testing.T) {
		const size = 50 << 20
		before := memory(t, f.service, "VmHWM")
		a := b.send(http.MethodPost, f.origin+"/upload", with(fetching(), "Content-Type", "application/octet-stream"), io.LimitReader(zeros{}, size))
		if got := f.app.last(); a.StatusCode != http.StatusOK || got.Length != size {
			t.Errorf("%d, the app got %d bytes", a.StatusCode, got.Length)
		}
		if grown := memory(t, f.service, "VmHWM") - before; grown > 20<<20 {
			t.Errorf("the service's memory grew by %d MiB", grown>>20)
		}
	})
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

// memory is what a process uses, see memoryOf.
func memory(t *testing.T, p *process, field string) int {
	t.Helper()
	n, err := memoryOf(p, field)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("no /proc/PID/status here: memory is measured on Linux only")
	}
	if err != nil {
		t.Fatalf("reading the process's memory: %v", err)
	}
	return n
}

// memoryOf is what a process uses, in bytes: by VmRSS now, by VmHWM at the most so far (proc_pid_status(5)).
func memoryOf(p *process, field string) (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, line, ok := strings.Cut(string(b), "\n"+field+":")
	if !ok {
		return 0, errors.New("there is no " + field)
	}
	number, _, _ := strings.Cut(strings.TrimSpace(line), " kB")
	kb, err := strconv.Atoi(number)
	return kb << 10, err
}
