package main

import (
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/zap"
)

// B-139: what Go's own library had to mend is not undone here. The Go that builds is new enough, the proxy is one of those
// that rewrite (with a Director, a client's Connection header takes away what was set last), no page runs a script, and a
// query reaches the application as it was sent, whatever each of the two takes it for.
func TestSec_B139_GoStandardLibrary(t *testing.T) {
	t.Parallel()
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	said := regexp.MustCompile(`(?m)^go (\S+)$`).FindStringSubmatch(string(mod))
	for what, version := range map[string]string{"go.mod": "go" + append(said, "", "")[1], "this build": runtime.Version()} {
		if !atLeast(version, 1, 26, 6) {
			t.Errorf("%s has %s, older than go1.26.6", what, version)
		}
	}
	upstream := &url.URL{Scheme: "http", Host: "127.0.0.1:1"}
	proxy, ok := newSidecar(&config{upstream: upstream}, zap.NewNop(), nil).(*httputil.ReverseProxy)
	if !ok || proxy.Rewrite == nil { // and so has no Director: one of them alone works
		t.Error("the sidecar is no proxy with Rewrite")
	}
	pages := 0
	err = filepath.WalkDir("../../forwardauth", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".html") {
			return err
		}
		text, err := os.ReadFile(path)
		pages++
		if regexp.MustCompile(`(?i)<script|\son[a-z]+\s*=\s*["']|javascript:`).Match(text) {
			t.Errorf("%s holds a script", path)
		}
		return err
	})
	if err != nil || pages == 0 {
		t.Errorf("%d pages: %v", pages, err)
	}
}

func atLeast(version string, want ...int) bool {
	parts := strings.Split(strings.TrimPrefix(version, "go"), ".")
	var got []int
	for _, part := range parts {
		n, err := strconv.Atoi(strings.TrimFunc(part, func(r rune) bool { return r < '0' || r > '9' }))
		if err != nil {
			return false
		}
		got = append(got, n)
	}
	return slices.Compare(got, want) >= 0
}

func TestSec_B139_QueriesArriveAsSent(t *testing.T) {
	t.Parallel()
	got := make(chan *http.Request, 1)
	srv := sidecarTo(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r }))
	for _, query := range []string{
		"a=1;b=2", "a=1&a=2", "a=%zz", "a=%", "%", "a=1%26b=2", "a;b;c", "&&&", "=", "a=b=c", "a[]=1", "a=1#", "a=%00", "a=\\", "a=\"'<>", "?", "??a",
		"a=1&b=2;c=3&%zz=1", strings.Repeat("a=1&", 2000), "_vipps=anonymous;a", "_vipps=anonymous&a", "rd=//evil.example", "state=x&code=y",
	} {
		res := raw(t, srv, fmt.Sprintf("GET /p?%s HTTP/1.1\r\nHost: app.example.com\r\nConnection: close\r\n\r\n", query))
		if res.StatusCode != http.StatusOK {
			t.Errorf("%.40q: %d", query, res.StatusCode)
			continue
		}
		if r := <-got; r.RequestURI != "/p?"+query {
			t.Errorf("sent %.40q, the application got %.60q", query, r.RequestURI)
		}
	}
}

// What the client names in Connection is taken from the client's headers, and from nothing that we set.
func TestSec_B139_ConnectionTakesNothingOfOurs(t *testing.T) {
	t.Parallel()
	got := make(chan http.Header, 1)
	srv := sidecarTo(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header }))
	for _, connection := range []string{"X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto", "close, X-Forwarded-Proto", "x-forwarded-for,host,x-forwarded-host,x-forwarded-proto"} {
		raw(t, srv, "GET / HTTP/1.1\r\nHost: app.example.com\r\nConnection: "+connection+"\r\n\r\n")
		h := <-got
		if h.Get("X-Forwarded-Proto") != "https" || h.Get("X-Forwarded-Host") != "app.example.com" || h.Get("X-Forwarded-For") != "127.0.0.1" {
			t.Errorf("Connection: %s leaves %v", connection, h)
		}
	}
}
