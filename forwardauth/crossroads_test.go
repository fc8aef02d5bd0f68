package forwardauth_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/internal/hostile"
)

const (
	crossHost    = "app.localhost" // the emulator takes no other
	crossSite    = "https://" + crossHost
	crossSession = "__Host-vippsauth"
)

// crossroads is a site that is asked byte by byte, in every way in which somebody could be sent away
// from it: by browsers, where the engine wraps an app ("protect") and where it is a service beside a proxy ("service"),
// each as a trusted peer and as one that isn't ("… far").
type crossroads struct {
	*lab
	addrs   map[string]string
	wires   map[string]*wire
	session string // Åse's, as a Cookie
	log     *observer.ObservedLogs
}

func newCrossroads(t *testing.T, change func(*forwardauth.Config)) *crossroads {
	t.Helper()
	x := &crossroads{addrs: map[string]string{}, wires: map[string]*wire{}}
	core, logs := observer.New(zap.DebugLevel)
	x.log = logs
	x.lab = newLab(t, func(c *forwardauth.Config) {
		c.PublicURLs, c.Emulator, c.TrustedProxies = []string{crossSite}, false, []string{"127.0.0.1"}
		c.LogoutPaths, c.Logger = []string{"/logout.php"}, zap.New(core)
		if change != nil {
			change(c)
		}
	})
	for _, origin := range append(slices.Clone(x.config.PublicURLs), x.config.AuthURL) {
		if origin == "" {
			continue
		}
		if err := x.vipps.Control().AddRedirectURI("shop", origin+"/_vipps/callback"); err != nil {
			t.Fatal(err)
		}
	}
	x.serve("protect", x.engine.Protect(http.HandlerFunc(x.app)))
	x.serve("service", x.engine.ForwardAuth())
	return x
}

// serve serves with the limits of cmd/vippsauth (service.go).
func (x *crossroads) serve(name string, h http.Handler) {
	x.t.Helper()
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 64 << 10, DisableGeneralOptionsHandler: true}
	for _, far := range []bool{false, true} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			x.t.Fatal(err)
		}
		key := name
		if far {
			key, ln = name+" far", elsewhere{ln}
		}
		if w := x.wires[key]; w != nil {
			w.close()
		}
		x.addrs[key] = ln.Addr().String()
		x.wires[key] = &wire{addr: x.addrs[key]}
		x.t.Cleanup(func() { x.wires[key].close() })
		go func() { _ = server.Serve(ln) }()
	}
	x.t.Cleanup(func() { _ = server.Close() })
}

// wire is a connection that stays open from one request to the next, where the server lets it.
type wire struct {
	addr string
	conn net.Conn
	in   *bufio.Reader
}

func (w *wire) close() {
	if w.conn != nil {
		_ = w.conn.Close()
		w.conn = nil
	}
}

// ask sends bytes as they stand and reads one answer; a status of 0 says that there was none.
func (w *wire) ask(request string) (reply, error) {
	fresh := w.conn == nil
	if fresh {
		conn, err := net.Dial("tcp", w.addr)
		if err != nil {
			return reply{}, err
		}
		w.conn, w.in = conn, bufio.NewReader(conn)
	}
	_ = w.conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = io.WriteString(w.conn, request) // a server that has read enough answers and closes
	a, err := http.ReadResponse(w.in, nil)
	if err != nil {
		w.close()
		if fresh {
			return reply{}, nil
		}
		return w.ask(request)
	}
	body, err := io.ReadAll(a.Body)
	if err != nil || a.Close || a.StatusCode == http.StatusBadRequest || len(request) > 16<<10 {
		w.close() // what the server hasn't read would be the next request
	}
	return reply{a.StatusCode, a.Header, string(body)}, err
}

// crossRequest is a request of a browser that navigates, with more lines; a line of its own takes the place of a default.
func crossRequest(method, target, body string, lines ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", method, target)
	defaults := []string{"Host: " + crossHost, "Accept: text/html", "Accept-Language: en", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: same-origin"}
	if body != "" || method == http.MethodPost {
		defaults = append(defaults, "Content-Type: application/x-www-form-urlencoded", fmt.Sprint("Content-Length: ", len(body)))
	}
	for _, line := range defaults {
		name, _, _ := strings.Cut(line, ":")
		if !slices.ContainsFunc(lines, func(own string) bool { return strings.HasPrefix(own, name+":") }) {
			lines = append(lines, line)
		}
	}
	for _, line := range lines {
		if !strings.HasSuffix(line, ":") || line == "Host:" {
			b.WriteString(line + "\r\n")
		}
	}
	return b.String() + "\r\n" + body
}

// provider is the one page of another origin to which we send browsers.
func (x *crossroads) provider() string { return x.vipps.Issuer + "oauth2/auth" }

// ask asks and holds the answer against I3, I4 and A-096, whatever was asked.
func (x *crossroads) ask(t *testing.T, what, over, request string) reply {
	t.Helper()
	a, err := x.wires[over].ask(request)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return a
	}
	for _, wrong := range forwardauth.WaysOff(crossSite+"/_vipps/login", a.header, a.body, crossSite, x.provider()) {
		t.Errorf("%s: I3: a way off the site to %.200q", what, wrong)
	}
	if a.status >= 500 {
		t.Errorf("%s: I4: %d", what, a.status)
	}
	if len(a.header["Location"]) > 0 && a.status != http.StatusFound && a.status != http.StatusSeeOther {
		t.Errorf("%s: A-096: %d redirects", what, a.status)
	}
	if strings.HasPrefix(request, "POST") && a.status == http.StatusFound {
		t.Errorf("%s: A-096: a POST is redirected by %d", what, a.status)
	}
	if a.status != 0 && a.status != http.StatusBadRequest && a.status != http.StatusRequestHeaderFieldsTooLarge && !strings.HasPrefix(a.body, "app:") && a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: I7: %d may be stored", what, a.status)
	}
	return a
}

// person follows redirects through the site and the provider, with the cookies that they set.
type person struct {
	x       *crossroads
	over    string
	cookies map[string]string // of all our sites: their names differ, or they share
	trail   []string
}

func (x *crossroads) person() *person {
	return &person{x: x, over: "protect", cookies: map[string]string{}}
}

// atProvider is the provider's own answer.
func atProvider(t *testing.T, to string) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, to, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	w, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Body.Close()
	return reply{status: w.StatusCode, header: w.Header}
}

// open asks for a target as it stands and follows where it leads.
func (p *person) open(t *testing.T, host, target string) reply {
	t.Helper()
	p.trail = []string{"https://" + host + target}
	a := p.ask(t, host, target)
	for range 20 {
		to := a.header.Get("Location")
		if to == "" {
			return a
		}
		p.trail = append(p.trail, to)
		u, err := url.Parse(to)
		if err != nil {
			t.Fatalf("%v in %q", err, p.trail)
		}
		if strings.HasPrefix(to, p.x.vipps.Issuer) {
			a = atProvider(t, to)
			continue
		}
		a = p.ask(t, u.Host, strings.TrimPrefix(to, u.Scheme+"://"+u.Host))
	}
	t.Fatalf("no end: %q", p.trail)
	return reply{}
}

func (p *person) ask(t *testing.T, host, target string) reply {
	t.Helper()
	lines := []string{"Host: " + host}
	if len(p.cookies) > 0 {
		lines = append(lines, "Cookie: "+p.cookieLine())
	}
	a, err := p.x.wires[p.over].ask(crossRequest(http.MethodGet, target, "", lines...))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		if c.MaxAge < 0 {
			delete(p.cookies, c.Name)
		} else {
			p.cookies[c.Name] = c.Value
		}
	}
	return a
}

func (p *person) cookieLine() string {
	var pairs []string
	for _, name := range sortedNames(p.cookies) {
		pairs = append(pairs, name+"="+p.cookies[name])
	}
	return strings.Join(pairs, "; ")
}

// at is where the person has landed.
func (p *person) at() string { return p.trail[len(p.trail)-1] }

// logIn keeps a session for requests that need one.
func (x *crossroads) logIn(t *testing.T) {
	t.Helper()
	x.as(phoneAase)
	p := x.person()
	if a := p.open(t, crossHost, "/"); a.status != http.StatusOK || p.cookies[crossSession] == "" {
		t.Fatalf("the login ends with %d at %q", a.status, p.trail)
	}
	x.session = crossSession + "=" + p.cookies[crossSession]
}

// returnURL is a line of the corpora: what somebody asks to come back to, and what may become of it.
type returnURL struct{ line, want string }

// returnURLs are all lines: hostile ones, which lead to the site's root, and odd ones that are paths of the site. Where they
// name the site they name this one.
func returnURLs(t *testing.T) (all []returnURL) {
	t.Helper()
	for file, good := range map[string]bool{"testdata/hostile/redirect.txt": false, "testdata/returnto/good.txt": true} {
		lines, err := hostile.Lines(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			line = strings.NewReplacer("app.example", crossHost, "APP.EXAMPLE", strings.ToUpper(crossHost)).Replace(line)
			one := returnURL{line, "/"}
			if good {
				raw, want, differs := strings.Cut(line, "=>")
				one = returnURL{raw, raw}
				if differs {
					one = returnURL{strings.TrimRight(raw, " "), strings.TrimSpace(want)}
				}
			}
			all = append(all, one)
		}
	}
	slices.SortFunc(all, func(a, b returnURL) int { return strings.Compare(a.line, b.line) })
	if len(all) < 700 {
		t.Fatalf("%d lines", len(all))
	}
	return all
}
