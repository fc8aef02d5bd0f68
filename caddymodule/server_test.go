package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// There is one Caddy in a process, so tests that run it don't run in parallel with each other.

// server is a running Caddy with a directory of its own for storage and logs.
type server struct {
	t    *testing.T
	dir  string
	head string // of the global options
}

func newServer(t *testing.T) *server {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a Caddy")
	}
	s := &server{t: t, dir: t.TempDir()}
	s.head = fmt.Sprintf(`
		admin off
		persist_config off
		storage file_system %s/storage
		skip_install_trust
		grace_period 2s
		log {
			output file %s/caddy.log
			level INFO
		}`, s.dir, s.dir)
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping Caddy: %v", err)
		}
	})
	return s
}

// load puts sites into the running Caddy, or starts it with them. options go into the global block.
func (s *server) load(options, sites string) {
	s.t.Helper()
	if err := s.tryLoad(options, sites); err != nil {
		s.t.Fatalf("loading: %v", err)
	}
}

func (s *server) tryLoad(options, sites string) error {
	s.t.Helper()
	config, failure := adapt(s.t, "{"+s.head+"\n"+options+"\n}\n"+sites)
	if failure != "" {
		return fmt.Errorf("adapting: %s", failure)
	}
	if err := caddy.Load(config, true); err != nil {
		return err
	}
	oneListenerEach(s.t, sites)
	return nil
}

// oneListenerEach waits until the configuration before has let go of the ports that are named in a new one. Caddy opens each port anew and
// closes the old one in the background; who is waiting there then is cut off.
func oneListenerEach(t *testing.T, sites string) {
	t.Helper()
	for _, m := range regexp.MustCompile(`:(\d{5})\b`).FindAllStringSubmatch(sites, -1) {
		port, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			n := 0
			for table, anybody := range map[string]string{"tcp": "00000000", "tcp6": strings.Repeat("0", 32)} { // Linux only: elsewhere nothing is waited for
				text, _ := os.ReadFile("/proc/net/" + table)
				n += bytes.Count(text, fmt.Appendf(nil, ":%04X %s:0000 0A ", port, anybody))
			}
			if n <= 1 {
				break
			}
		}
	}
}

func (s *server) logs() string {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, "caddy.log"))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(data)
}

// freePort is a port that was free a moment ago, below those that the system gives to outgoing connections.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 15000 + rand.IntN(5000)
		ln, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			continue
		}
		_ = ln.Close()
		return port
	}
	t.Fatal("no free port")
	return 0
}

// seen is what an upstream received.
type seen struct {
	Method, URI string
	Header      http.Header
}

// upstream is an application that knows nothing of login and answers with the request that it got.
func upstream(t *testing.T) string {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(seen{r.Method, r.RequestURI, r.Header})
	}))
	t.Cleanup(app.Close)
	return strings.TrimPrefix(app.URL, "http://")
}

// provider is an emulator that answers every login at once as Åse.
func provider(t testing.TB, sites ...string) *emulator.Server {
	t.Helper()
	var uris []string
	for _, site := range sites {
		uris = append(uris, site+"/_vipps/callback")
	}
	emu, err := emulator.Start("127.0.0.1:0", emulator.Config{
		Spinner: -1,
		Clients: []emulator.Client{{ID: "shop", Secret: "shop-secret", Name: "Shop", RedirectURIs: uris}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = emu.Close() })
	if err := emu.Control().AutoApprove(phoneOfAase); err != nil {
		t.Fatal(err)
	}
	return emu
}

const phoneOfAase = "4790000001"

// browser keeps cookies and asks as a browser does when it navigates.
type browser struct {
	t      *testing.T
	client *http.Client
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{t, &http.Client{Jar: jar, Transport: transport, Timeout: 15 * time.Second, CheckRedirect: func(req *http.Request, _ []*http.Request) error {
		if req.Response.Header.Get("Referrer-Policy") == "no-referrer" {
			req.Header.Del("Referer") // which Go's client sends all the same
		}
		return nil
	}}}
}

// answer is a response with its body read.
type answer struct {
	*http.Response
	body string
}

func (a answer) seen(t *testing.T) seen {
	t.Helper()
	var s seen
	if err := json.Unmarshal([]byte(a.body), &s); err != nil {
		t.Fatalf("no answer of the application: %d %s\n%s", a.StatusCode, a.Request.URL, a.body)
	}
	return s
}

func (b *browser) do(req *http.Request) answer {
	b.t.Helper()
	resp, err := b.client.Do(req)
	if errors.Is(err, io.EOF) && req.Method == http.MethodGet {
		resp, err = b.client.Do(req) // as browsers do: a server that was just replaced closes what it hasn't read from
	}
	if err != nil {
		b.t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return answer{resp, string(body)}
}

func (b *browser) navigation(address string) *http.Request {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	req.Header.Set("Sec-Fetch-Dest", "document")
	req.Header.Set("Accept", "text/html")
	return req
}

// open navigates, through every redirect.
func (b *browser) open(address string) answer {
	b.t.Helper()
	return b.do(b.navigation(address))
}

// once navigates and follows no redirect.
func (b *browser) once(address string) answer {
	b.t.Helper()
	return b.withoutRedirects().open(address)
}

func (b *browser) withoutRedirects() *browser {
	client := *b.client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{b.t, &client}
}

// fetch asks as a script does.
func (b *browser) fetch(address string) answer {
	b.t.Helper()
	req := b.navigation(address)
	req.Header.Set("Sec-Fetch-Mode", "cors")
	req.Header.Set("Sec-Fetch-Dest", "empty")
	req.Header.Set("Accept", "*/*")
	return b.withoutRedirects().do(req)
}

// logout sends the form of the logout page.
func (b *browser) logout(site string) answer {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, site+"/_vipps/logout", strings.NewReader(""))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", site)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	return b.withoutRedirects().do(req)
}

func (b *browser) cookies(address string) []*http.Cookie {
	b.t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.client.Jar.Cookies(u)
}

// control tells an emulator that Caddy started what to do.
func control(t *testing.T, addr, verb, arguments string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+"/_emulator/"+verb, bytes.NewBufferString(arguments))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %s", verb, resp.StatusCode, body)
	}
}

// settings of the client that provider knows.
func clientSettings(emu *emulator.Server) string {
	return fmt.Sprintf("issuer %s\nclient_id shop\nclient_secret shop-secret\nscopes openid name phoneNumber email\nsilent off\n", emu.Issuer)
}
