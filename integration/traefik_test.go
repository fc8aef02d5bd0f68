package integration_test

import (
	"cmp"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// traefikConfig is what the stand-in reads of examples/traefik/dynamic.yaml. Unknown keys of it are errors.
type traefikConfig struct {
	HTTP struct {
		Routers map[string]struct {
			Rule        string   `yaml:"rule"`
			EntryPoints []string `yaml:"entryPoints"`
			Middlewares []string `yaml:"middlewares"`
			Priority    int      `yaml:"priority"`
			Service     string   `yaml:"service"`
		} `yaml:"routers"`
		Middlewares map[string]struct {
			ForwardAuth *forwardAuthConfig `yaml:"forwardAuth"`
		} `yaml:"middlewares"`
		Services map[string]struct {
			LoadBalancer struct {
				Servers []struct {
					URL string `yaml:"url"`
				} `yaml:"servers"`
			} `yaml:"loadBalancer"`
		} `yaml:"services"`
	} `yaml:"http"`
}

type forwardAuthConfig struct {
	Address                  string   `yaml:"address"`
	AuthResponseHeaders      []string `yaml:"authResponseHeaders"`
	AuthResponseHeadersRegex string   `yaml:"authResponseHeadersRegex"`
}

func parseTraefik(t *testing.T, text string) traefikConfig {
	t.Helper()
	var c traefikConfig
	dec := yaml.NewDecoder(strings.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil {
		t.Fatal(err)
	}
	return c
}

// traefikStandIn does what Traefik's documentation and source say that its entry point, router and ForwardAuth do. A
// whole Traefik can't be had as a Go module, nor from Debian. Files are those of github.com/traefik/traefik/v3; pages are
// those of doc.traefik.io/traefik/v3.0.
type traefikStandIn struct {
	t      *testing.T
	config traefikConfig
	auth   http.Client
}

// traefikTimeout is how long ForwardAuth waits for an answer (pkg/middlewares/auth/forward.go, NewForward).
const traefikTimeout = 30 * time.Second

// traefikOwns are the headers that an entry point takes from nobody whom it doesn't trust
// (pkg/middlewares/forwardedheaders/forwarded_header.go, XHeadersSet; "Forwarded Headers" of routing/entrypoints).
var traefikOwns = []string{
	"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Method", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Proto",
	"X-Forwarded-Server", "X-Forwarded-Tls-Client-Cert", "X-Forwarded-Tls-Client-Cert-Info", "X-Forwarded-Uri", "X-Real-Ip",
}

// hopByHop is what ForwardAuth takes from its question, and from answers that go to the client
// (pkg/middlewares/auth/forward.go, hopHeaders).
var hopByHop = []string{
	"Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

func (s *traefikStandIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.entryPoint(r)
	for _, name := range s.byPriority() {
		router := s.config.HTTP.Routers[name]
		if !matches(router.Rule, r) {
			continue
		}
		for _, m := range router.Middlewares {
			if !s.forwardAuth(s.config.HTTP.Middlewares[m].ForwardAuth, w, r) {
				return
			}
		}
		s.proxy(router.Service).ServeHTTP(w, r)
		return
	}
	http.NotFound(w, r)
}

// entryPoint takes out what clients say of themselves, and what they name in Connection, before any middleware
// (pkg/middlewares/forwardedheaders/forwarded_header.go: ServeHTTP, removeConnectionHeaders, rewrite, where a websocket's
// handshake becomes ws).
func (s *traefikStandIn) entryPoint(r *http.Request) {
	upgrade := ""
	for _, line := range r.Header["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			name = strings.TrimSpace(name)
			if strings.EqualFold(name, "upgrade") {
				upgrade = r.Header.Get("Upgrade")
			}
			r.Header.Del(name)
		}
	}
	r.Header.Del("Connection")
	if upgrade != "" {
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", upgrade)
	}
	for _, name := range traefikOwns {
		r.Header.Del(name)
	}
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	proto := "http"
	if upgrade != "" {
		proto = "ws"
	}
	r.Header.Set("X-Real-Ip", host)
	r.Header.Set("X-Forwarded-Proto", proto)
	r.Header.Set("X-Forwarded-Host", r.Host)
	r.Header.Set("X-Forwarded-Port", r.URL.Port())
	r.Header.Set("X-Forwarded-Server", "stand-in")
}

// byPriority sorts routers as "Priority" of routing/routers says: by priority, which is the length of the rule by default.
func (s *traefikStandIn) byPriority() []string {
	routers := s.config.HTTP.Routers
	return slices.SortedFunc(maps.Keys(routers), func(a, b string) int {
		weight := func(name string) int { return cmp.Or(routers[name].Priority, len(routers[name].Rule)) }
		return weight(b) - weight(a)
	})
}

var rulePart = regexp.MustCompile("(Host|PathPrefix)\\(`([^`]+)`\\)")

// matches knows the two matchers that the example uses, joined by && ("Rule" of routing/routers). Host ignores the port.
func matches(rule string, r *http.Request) bool {
	for _, part := range rulePart.FindAllStringSubmatch(rule, -1) {
		host, _, _ := strings.Cut(r.Host, ":")
		if part[1] == "Host" && host != part[2] || part[1] == "PathPrefix" && !strings.HasPrefix(r.URL.Path, part[2]) {
			return false
		}
	}
	return true
}

// forwardAuth asks the fixed address with a GET, and lets the request pass on any 2xx, with the listed headers
// replaced. Any other answer goes to the client as a whole; without a whole answer it is 500, with nothing in it
// (pkg/middlewares/auth/forward.go: ServeHTTP, writeHeader).
func (s *traefikStandIn) forwardAuth(c *forwardAuthConfig, w http.ResponseWriter, r *http.Request) bool {
	q, err := http.NewRequestWithContext(r.Context(), http.MethodGet, c.Address, http.NoBody)
	if err != nil {
		s.t.Error(err)
		return false
	}
	q.Header = r.Header.Clone()
	for _, name := range hopByHop {
		q.Header.Del(name)
	}
	q.Header.Set("X-Forwarded-Method", r.Method)
	q.Header.Set("X-Forwarded-Uri", r.RequestURI)
	q.Header.Set("X-Forwarded-For", r.Header.Get("X-Real-Ip"))
	answer, err := s.auth.Do(q)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return false
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return false
	}
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		for _, name := range hopByHop {
			answer.Header.Del(name)
		}
		maps.Copy(w.Header(), answer.Header)
		if to, err := answer.Location(); err == nil { // a relative one becomes one of the service's own address
			w.Header().Set("Location", to.String())
		}
		w.WriteHeader(answer.StatusCode)
		_, _ = w.Write(body)
		return false
	}
	c.replace(r.Header, answer.Header)
	return true
}

// replace deletes the listed headers from the request and sets those that the answer has (the end of ServeHTTP there;
// "authResponseHeaders" and "authResponseHeadersRegex" of middlewares/http/forwardauth).
func (c *forwardAuthConfig) replace(request, answer http.Header) {
	for _, name := range c.AuthResponseHeaders {
		name = http.CanonicalHeaderKey(name)
		delete(request, name)
		if values := answer[name]; len(values) > 0 {
			request[name] = values
		}
	}
	if c.AuthResponseHeadersRegex == "" {
		return
	}
	pattern := regexp.MustCompile(c.AuthResponseHeadersRegex)
	maps.DeleteFunc(request, func(name string, _ []string) bool { return pattern.MatchString(name) })
	for name, values := range answer {
		if pattern.MatchString(name) {
			request[name] = values
		}
	}
}

func (s *traefikStandIn) proxy(service string) http.Handler {
	to, err := url.Parse(s.config.HTTP.Services[service].LoadBalancer.Servers[0].URL)
	if err != nil {
		s.t.Error(err)
	}
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host, r.Out.URL.RawQuery = r.In.Host, r.In.URL.RawQuery
		for _, name := range traefikOwns {
			r.Out.Header[name] = r.In.Header[name]
		}
		r.Out.Header.Set("X-Forwarded-For", r.In.Header.Get("X-Real-Ip"))
	}}
}

// startTraefikStandIn runs examples/traefik/dynamic.yaml in the stand-in.
func startTraefikStandIn(t *testing.T, f *front, authz string, timeout time.Duration) traefikConfig {
	t.Helper()
	s := &traefikStandIn{t: t, config: parseTraefik(t, example(t, "traefik/dynamic.yaml",
		"127.0.0.1:4193", authz, "127.0.0.1:4190", f.addr, "127.0.0.1:8080", f.app.addr()))}
	s.run(f, timeout)
	return s.config
}

// run serves the site. ForwardAuth's client doesn't follow redirects (pkg/middlewares/auth/forward.go, NewForward).
func (s *traefikStandIn) run(f *front, timeout time.Duration) {
	s.auth = http.Client{
		Timeout:       timeout,
		Transport:     &http.Transport{DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	serveOn(s.t, f.port(), s)
}

func TestSec_B043_TraefikStandIn(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	authz := freeAddr(t)
	f.serve("--trusted-proxies=loopback", "--authz-listen="+authz)
	config := startTraefikStandIn(t, f, authz, 3*time.Second)

	t.Run("the example lists every header that the service sends", func(t *testing.T) {
		b := f.loggedIn()
		h := with(fetching(), "X-Forwarded-Method", "GET", "X-Forwarded-Proto", "http", "X-Forwarded-Host", strings.TrimPrefix(f.origin, "http://"), "X-Forwarded-Uri", "/")
		for _, c := range b.cookies(f.origin) {
			h = with(h, "Cookie", c.String())
		}
		a := f.browser().send(http.MethodGet, "http://"+authz+"/_vipps/authz/forward-auth", h, nil)
		if a.StatusCode != http.StatusOK || a.text != "" {
			t.Fatalf("%d %q", a.StatusCode, a.text)
		}
		listed := config.HTTP.Middlewares["vipps"].ForwardAuth.AuthResponseHeaders
		n := 0
		for name := range a.Header {
			if strings.HasPrefix(name, "X-Vipps-") {
				n++
				if !slices.Contains(listed, name) {
					t.Errorf("examples/traefik/dynamic.yaml doesn't list %s", name)
				}
			}
		}
		if n < 8 {
			t.Errorf("the service sends %d headers: %v", n, a.Header)
		}
	})
	conforms(t, f, differs{
		name:         "Traefik (stand-in; its own bare 500 while the service is away; takes another server's answers for the service's; would wait 30 s)",
		keepsCookies: true, bare: http.StatusInternalServerError, waits: 3 * time.Second, believes: []int{200, 204, 206}, passesOn: []int{302, 304, 502, 503},
	})
}
