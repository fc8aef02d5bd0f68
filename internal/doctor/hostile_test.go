package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// A header without an end is given up.
func TestEndlessHeader(t *testing.T) {
	t.Parallel()
	const all = 64 << 20
	written := make(chan int, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		n, line := 0, "HTTP/1.1 200 OK\r\n"
		for n < all && err == nil {
			_, err = fmt.Fprint(conn, line)
			n += len(line)
			line = fmt.Sprintf("X-%d: %s\r\n", n, strings.Repeat("x", 8000))
		}
		written <- n
	}))
	defer srv.Close()
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	a := asker{target: u, dial: dialer()}
	if _, err := a.send(t.Context(), ask{path: "/"}); err == nil {
		t.Error("there is an answer")
	}
	if n := <-written; n >= all {
		t.Errorf("%d MB were read", n>>20)
	}
}

// What a site says can't write to the terminal of whoever asks, as JSON neither.
func TestNothingForTheTerminal(t *testing.T) {
	t.Parallel()
	const evil = "\x1b]0;evil\a\u009b31m\u202eevil\u2066\u200b\u2028\x7f\x00"
	var f findings
	f.add(Problem, "check", "what "+evil, "why "+evil, "cure "+evil)
	r := Report{About: "https://example.com/", Findings: f.list}
	var text bytes.Buffer
	r.Print(&text)
	asJSON, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{text.String(), string(asJSON)} {
		if strings.ContainsAny(strings.ReplaceAll(out, "\n", ""), "\x1b\a\u009b\u202e\u2066\u200b\u2028\x7f\x00") || strings.Contains(out, `\u00`) {
			t.Errorf("%q", out)
		}
	}
}

// A login that is said to be made elsewhere doesn't take the operator's session there.
func TestCookieStaysAtTheSite(t *testing.T) {
	t.Parallel()
	var leaked bool
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		leaked = leaked || strings.Contains(r.Header.Get("Cookie"), "secret-session")
	}))
	defer other.Close()
	elsewhere := strings.Replace(other.URL, "127.0.0.1", "localhost", 1)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == pathMe {
			fmt.Fprint(w, `{"sub":"s"}`)
			return
		}
		w.Header().Set("Location", elsewhere+pathLogin+"?redirect_uri="+url.QueryEscape(elsewhere)+"&rd="+url.QueryEscape("http://"+r.Host+r.URL.Query().Get("rd")))
		w.WriteHeader(http.StatusFound)
	}))
	defer site.Close()
	u, err := url.Parse(site.URL)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s := Site{URL: u, Cookie: "vippsauth=secret-session", EchoPath: "/echo"}
	if _, err := s.Examine(ctx); err != nil {
		t.Fatal(err)
	}
	if leaked {
		t.Error("the operator's session went to another host")
	}
}
