package integration_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// site is a front that the app's own traffic goes through.
type site struct {
	name  string
	start func(*testing.T, *front) *process
}

// sites are the fronts in which this is a matter of our code: everywhere else a proxy of others carries the traffic.
var sites = []site{
	{"sidecar", func(_ *testing.T, f *front) *process { f.sidecar(); return f.service }},
	{"Caddy module", func(t *testing.T, f *front) *process { return startCaddy(t, f, "", moduleSite(f, "")) }},
}

// overHTTP2 is the module with Caddy's own TLS.
var overHTTP2 = site{"Caddy module, HTTP 2", func(t *testing.T, f *front) *process {
	f.overTLS()
	f.tls = moduleTLS()
	return startCaddy(t, f, ownTLS, strings.Replace(moduleSite(f, ""), "log\n", "log\n\ttls internal\n", 1))
}}

// Everything that an app does still works, for somebody who is logged in.
func TestSec_D21_Passthrough(t *testing.T) {
	t.Parallel()
	for _, s := range append(slices.Clone(sites), overHTTP2) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t)
			f.checkLog(s.start(t, f))
			b := f.loggedIn()
			t.Run("server-sent events", func(t *testing.T) { streams(t, f, b) })
			t.Run("early hints", func(t *testing.T) { earlyHints(t, f, b) })
			t.Run("request trailers", func(t *testing.T) { requestTrailers(t, f, b) })
			t.Run("response trailers", func(t *testing.T) { responseTrailers(t, f, b) })
			t.Run("answers without a body", func(t *testing.T) { withoutBody(t, f, b) })
			t.Run("unknown length", func(t *testing.T) { unknownLength(t, f, b) })
			t.Run("methods of others", func(t *testing.T) { otherMethods(t, f, b) })
			t.Run("ranges", func(t *testing.T) { ranges(t, f, b) })
			t.Run("repeated headers", func(t *testing.T) { repeatedHeaders(t, f, b) })
			t.Run("cookies of the app", func(t *testing.T) { appCookies(t, f, b) })
			t.Run("refusals without reading", func(t *testing.T) { refusesWithoutReading(t, f, b) })
			t.Run("slow upload", func(t *testing.T) { slowUpload(t, f, b) })
		})
	}
}

// ask sends a request of a script and returns the answer with its body still to be read.
func (b *browser) ask(t *testing.T, ctx context.Context, method, target string, h http.Header, body io.Reader) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = h
	if names := h["Trailer"]; names != nil {
		delete(h, "Trailer")
		r.Trailer = http.Header{}
		for _, name := range names {
			r.Trailer[name] = nil
		}
	}
	w, err := b.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Body.Close() })
	return w
}

// streams: each event arrives when the app sends it, and the next one only then.
func streams(t *testing.T, f *front, b *browser) {
	next := make(chan string)
	f.app.handle("/stream", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-cache")
		for {
			select {
			case event, more := <-next:
				if !more {
					return
				}
				fmt.Fprintf(w, "data: %s\n\n", event)
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				return
			}
		}
	})
	// A client that takes compressed answers must not make a proxy collect them.
	go func() { next <- "1" }()
	w := b.ask(t, t.Context(), http.MethodGet, f.origin+"/stream", with(fetching(), "Accept-Encoding", "gzip, deflate, br"), nil)
	lines := bufio.NewReader(w.Body)
	for i := range 5 {
		line, err := lines.ReadString('\n')
		if err != nil || line != fmt.Sprintf("data: %d\n", i+1) {
			t.Fatalf("event %d: %q %v", i+1, line, err)
		}
		if _, err := lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		if i < 4 {
			next <- fmt.Sprint(i + 2) // sent only now that the one before has arrived
		}
	}
	close(next)
	if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
		t.Errorf("then %q %v", rest, err)
	}
}

// earlyHints: a 103 of the app (RFC 8297) arrives before its answer.
func earlyHints(t *testing.T, f *front, b *browser) {
	hinted := make(chan struct{})
	f.app.handle("/hints", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload; as=style")
		w.WriteHeader(http.StatusEarlyHints)
		select {
		case <-hinted:
		case <-time.After(5 * time.Second):
		}
		w.Header().Set("X-Last", "yes")
		_, _ = io.WriteString(w, "done")
	})
	var once sync.Once
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		if code == http.StatusEarlyHints && h.Get("Link") == "</style.css>; rel=preload; as=style" {
			once.Do(func() { close(hinted) })
		}
		return nil
	}})
	w := b.ask(t, ctx, http.MethodGet, f.origin+"/hints", fetching(), nil)
	select {
	case <-hinted:
	default:
		t.Error("no hints came")
	}
	if w.StatusCode != http.StatusOK || w.Header.Get("X-Last") != "yes" || len(w.Header["Link"]) != 1 {
		t.Errorf("%d %v", w.StatusCode, w.Header)
	}
}

// requestTrailers: the app's own arrive. Identity in a trailer doesn't.
func requestTrailers(t *testing.T, f *front, b *browser) {
	got := make(chan http.Header, 1)
	f.app.handle("/trailed", func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		got <- r.Trailer
	})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.origin+"/trailed", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = fetching()
	r.Trailer = http.Header{"X-Checksum": nil, "X-Vipps-Sub": nil}
	r.ContentLength = -1
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader("body"), atEnd(func() {
		r.Trailer["X-Checksum"], r.Trailer["X-Vipps-Sub"] = []string{"abc"}, []string{"evil"}
	})))
	w, err := b.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Body.Close()
	if trailer := <-got; trailer.Get("X-Checksum") != "abc" || trailer["X-Vipps-Sub"] != nil {
		t.Errorf("the app got %v", trailer)
	}
}

// atEnd is a reader with nothing to read that calls a function.
type atEnd func()

func (end atEnd) Read([]byte) (int, error) { end(); return 0, io.EOF }

func responseTrailers(t *testing.T, f *front, b *browser) {
	f.app.handle("/trails", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-Announced")
		_, _ = io.WriteString(w, "body")
		_ = http.NewResponseController(w).Flush()
		w.Header().Set("X-Announced", "1")
		w.Header().Set(http.TrailerPrefix+"X-Surprise", "2")
	})
	w := b.ask(t, t.Context(), http.MethodGet, f.origin+"/trails", with(fetching(), "TE", "trailers"), nil)
	if body := readAll(t, w.Body); body != "body" || w.Trailer.Get("X-Announced") != "1" || w.Trailer.Get("X-Surprise") != "2" {
		t.Errorf("%q with the trailers %v", body, w.Trailer)
	}
}

// withoutBody: HEAD says how long the answer would be, 204 and 304 have none.
func withoutBody(t *testing.T, f *front, b *browser) {
	f.app.handle("/long", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "123456789")
		w.Header().Set("ETag", `W/"1"`)
	})
	f.app.handle("/none", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	f.app.handle("/same", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"abc"`)
		w.WriteHeader(http.StatusNotModified)
	})
	for _, tt := range []struct {
		method, path string
		status       int
		length       int64
		etag         string
	}{{http.MethodHead, "/long", 200, 123456789, `W/"1"`}, {http.MethodGet, "/none", 204, 0, ""}, {http.MethodGet, "/same", 304, 0, `"abc"`}, {http.MethodDelete, "/none", 204, 0, ""}} {
		a := b.send(tt.method, f.origin+tt.path, fetching(), nil)
		if a.StatusCode != tt.status || a.text != "" || a.ContentLength > tt.length || tt.length > 0 && a.ContentLength != tt.length || a.Header.Get("Etag") != tt.etag || a.Header.Get("Transfer-Encoding") != "" {
			t.Errorf("%s %s: %d, length %d, %v", tt.method, tt.path, a.StatusCode, a.ContentLength, a.Header)
		}
	}
}

// unknownLength: bodies whose length nobody knows beforehand go both ways, at once.
func unknownLength(t *testing.T, f *front, b *browser) {
	f.app.handle("/echo", func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != -1 {
			http.Error(w, fmt.Sprint("length ", r.ContentLength), http.StatusBadRequest)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		for _, part := range strings.SplitAfter(string(body), ".") {
			_, _ = io.WriteString(w, part)
			_ = http.NewResponseController(w).Flush()
		}
	})
	in, out := io.Pipe()
	go func() {
		for range 10 {
			_, _ = io.WriteString(out, strings.Repeat("blåbær ", 1000)+".")
		}
		_ = out.Close()
	}()
	w := b.ask(t, t.Context(), http.MethodPost, f.origin+"/echo", fetching(), in)
	if body := readAll(t, w.Body); w.StatusCode != http.StatusOK || body != strings.Repeat(strings.Repeat("blåbær ", 1000)+".", 10) || w.ContentLength != -1 {
		t.Errorf("%d, length %d, %d bytes", w.StatusCode, w.ContentLength, len(body))
	}
}

func otherMethods(t *testing.T, f *front, b *browser) {
	for _, method := range []string{"PATCH", "PROPFIND", "REPORT", "MKCOL", "LOCK", "M-SEARCH", "QUERY", "X-MINE"} {
		a := b.send(method, f.origin+"/dav/å?x", with(fetching(), "Depth", "1"), strings.NewReader("<propfind/>"))
		if got := f.app.last(); a.StatusCode != http.StatusOK || got.Method != method || got.Body != "<propfind/>" || got.Header.Get("Depth") != "1" || got.URI != "/dav/%C3%A5?x" {
			t.Errorf("%s: %d, the app got %s %s %q", method, a.StatusCode, got.Method, got.URI, got.Body)
		}
		hits := f.app.hits()
		if a := f.browser().send(method, f.origin+"/dav", fetching(), strings.NewReader("<propfind/>")); a.StatusCode != http.StatusUnauthorized || f.app.hits() != hits {
			t.Errorf("%s without a session: %d", method, a.StatusCode)
		}
	}
}

func ranges(t *testing.T, f *front, b *browser) {
	first := b.send(http.MethodGet, f.origin+"/ranged", fetching(), nil)
	for name, tt := range map[string]struct {
		header http.Header
		status int
		text   string
	}{
		"the end":    {with(fetching(), "Range", "bytes=-3"), 206, "789"},
		"two":        {with(fetching(), "Range", "bytes=0-1,4-5"), 206, "45"},
		"beyond":     {with(fetching(), "Range", "bytes=10-"), 416, ""},
		"still so":   {with(fetching(), "Range", "bytes=0-0", "If-Range", first.Header.Get("Last-Modified")), 206, "0"},
		"not so any": {with(fetching(), "Range", "bytes=0-0", "If-Range", "Thu, 01 Jan 1970 00:00:00 GMT"), 200, "0123456789"},
	} {
		if a := b.send(http.MethodGet, f.origin+"/ranged", tt.header, nil); a.StatusCode != tt.status || !strings.Contains(a.text, tt.text) {
			t.Errorf("%s: %d %q", name, a.StatusCode, a.text)
		}
	}
	if first.Header.Get("Accept-Ranges") != "bytes" {
		t.Errorf("%v", first.Header)
	}
}

// repeatedHeaders: several lines of one name stay several, in their order, whatever the case in which they came.
func repeatedHeaders(t *testing.T, f *front, b *browser) {
	want := []string{"b", "a, c", "", "\"q\"; x=1", "\xe6\xf8\xe5"}
	f.app.handle("/headers", func(w http.ResponseWriter, r *http.Request) {
		w.Header()["X-Answer"] = r.Header["X-Asked"]
		w.Header()["x-lower"] = []string{"1", "2"}
	})
	h := fetching()
	h["x-asked"] = want
	a := b.send(http.MethodGet, f.origin+"/headers", h, nil)
	if got := a.Header["X-Answer"]; !slices.Equal(got, want) || !slices.Equal(a.Header["X-Lower"], []string{"1", "2"}) {
		t.Errorf("%d: %q became %q; %q", a.StatusCode, want, got, a.Header["X-Lower"])
	}
}

// oddCookies are what apps set and browsers send back all the same.
var oddCookies = []string{
	`quoted="a, b c\"d"`, "sp aced=1 2", "empty=", "lang=nb-NO;no", "json={\"a\":[1,2]}", "a=b=c==", "dup=1", "dup=2", "\xe6=\xf8\xe5", "utf=blåbær", "$Version=1", "__Secure-x=1",
	"VippsAuth=mine", "vippsauth2=mine", "Vippsauth-login=mine",
}

// appCookies: the app's own cookies arrive byte for byte, in both directions. Ours don't reach it.
func appCookies(t *testing.T, f *front, b *browser) {
	lines := make([]string, 0, len(oddCookies))
	for _, c := range oddCookies {
		lines = append(lines, c+"; Path=/odd; expires=Thu, 01 Jan 2037 00:00:00 GMT; SameSite=Strict; Custom=\"x\"")
	}
	f.app.handle("/cookies-both-ways", func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Set-Cookie"] = lines
		w.Header()["X-Got"] = r.Header["Cookie"]
	})
	sent := strings.Join(oddCookies, "; ")
	want := sent
	if f.tls != nil { // HTTP/2 cuts the header at each semicolon and puts it together anew (RFC 9113, section 8.2.3)
		want = strings.ReplaceAll(sent, "NO;no", "NO; no")
	}
	own := make([]string, 0, 2)
	for _, c := range b.cookies(f.origin) {
		own = append(own, c.Name+"="+c.Value)
	}
	for name, cookie := range map[string]string{
		"ours first":   strings.Join(own, "; ") + "; " + sent,
		"ours last":    sent + "; " + strings.Join(own, "; "),
		"ours between": strings.Join(append(append(slices.Clone(oddCookies[:3]), own...), oddCookies[3:]...), "; "),
	} {
		a := f.browser().send(http.MethodGet, f.origin+"/cookies-both-ways", with(fetching(), "Cookie", cookie), nil)
		if got := strings.Join(a.Header["X-Got"], " | "); a.StatusCode != http.StatusOK || got != want {
			t.Errorf("%s: %d, the app got\n%q, not\n%q", name, a.StatusCode, got, want)
		}
		if !slices.Equal(a.Header["Set-Cookie"], lines) {
			t.Errorf("%s: the browser got\n%q, not\n%q", name, a.Header["Set-Cookie"], lines)
		}
	}
}
