package forwardauth

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func forwardedHeaders(method, proto, host, uri string) http.Header {
	return http.Header{
		"X-Forwarded-Method": {method}, "X-Forwarded-Proto": {proto}, "X-Forwarded-Host": {host}, "X-Forwarded-Uri": {uri},
	}
}

func originalHeaders(method, absolute string) http.Header {
	return http.Header{"X-Original-Method": {method}, "X-Original-Url": {absolute}}
}

func TestFromForwardAuth(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		in   http.Header
		want Original
	}{
		{forwardedHeaders("GET", "https", "app.example", "/"), Original{Method: "GET", Scheme: "https", Host: "app.example", URI: "/"}},
		{forwardedHeaders("POST", "http", "localhost:4190", "/a?b=c,d&e=%zz"), Original{Method: "POST", Scheme: "http", Host: "localhost:4190", URI: "/a?b=c,d&e=%zz"}},
		{forwardedHeaders("PATCH", "https", "app.example", "/"), Original{Method: "PATCH", Scheme: "https", Host: "app.example", URI: "/"}},
		{forwardedHeaders("GET", "wss", "APP.example:443", "/ws"), Original{Method: "GET", Scheme: "https", Host: "app.example", URI: "/ws"}},
		{forwardedHeaders("GET", "ws", "app.example:80", "/ws"), Original{Method: "GET", Scheme: "http", Host: "app.example", URI: "/ws"}},
		{forwardedHeaders("VERSION-CONTROL", "https", "[::1]:8443", "//evil.example/x"), Original{Method: "VERSION-CONTROL", Scheme: "https", Host: "[::1]:8443", URI: "//evil.example/x"}},
		{forwardedHeaders("GET", "https", "app.example", "/søk?q=æ\\"), Original{Method: "GET", Scheme: "https", Host: "app.example", URI: "/søk?q=æ\\"}},
		{forwardedHeaders("GET", "https", "app.example", "/"+strings.Repeat("a", 16383)), Original{Method: "GET", Scheme: "https", Host: "app.example", URI: "/" + strings.Repeat("a", 16383)}},
	} {
		got, err := fromForwardAuth(test.in)
		if err != nil {
			t.Errorf("%v: %v", test.in, err)
			continue
		}
		if diff := cmp.Diff(test.in, got.Header); diff != "" {
			t.Error(diff)
		}
		got.Header = nil
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Error(diff)
		}
	}
}

var (
	badMethods = []string{"get", "Get", "GET ", " GET", "GET,POST", "GET, POST", "G\u00c9T", "GET\t/", "-GET", strings.Repeat("A", 21), "GET\x00", "1GET"}
	badProtos  = []string{"HTTPS", "https,http", "https, http", "javascript", "evil_protocol", "HTTPS%0d%0aX:y", "https\r\nX: y", " https", "https:", "ftp"}
	badHosts   = []string{"a@app.example", "app.example, evil.example", "app.example,evil.example", "app.example/x", "app.example\r\nX: y", " app.example", "app.example:99999", "[::1", "æ.example", strings.Repeat("a", 256)}
	badURIs    = []string{
		"admin", "*", "?x", "http://[::1", "http://app.example/", ":", "%", "/%", "/%zz", "/%2", "/a b", "/public, /admin", "/\xff\xfe", "/a\x00", "/a\x7f", "/a\t", "/a\r\nX: y",
		"/public#/../admin", "/a?b#c", " /", "\\admin", "/" + strings.Repeat("a", 16384),
	}
)

// The request that a decision is about is never guessed: what a client can make
// a proxy drop, double or garble ends in 401 (CVE-2021-32637, CVE-2024-45410).
func TestSec_B060_ForwardAuthRefuses(t *testing.T) {
	t.Parallel()
	good := forwardedHeaders("GET", "https", "app.example", "/a")
	refused := func(name string, h http.Header) {
		t.Helper()
		got, err := fromForwardAuth(h)
		var bad *originalError
		if !errors.As(err, &bad) || bad.Header != name {
			t.Errorf("%v: %v, want an error about %s", h, err, name)
		}
		if diff := cmp.Diff(Original{}, got); diff != "" {
			t.Errorf("%v: %s", h, diff)
		}
	}
	for name, bad := range map[string][]string{
		"X-Forwarded-Method": badMethods, "X-Forwarded-Proto": badProtos, "X-Forwarded-Host": badHosts, "X-Forwarded-Uri": badURIs,
	} {
		values := [][]string{nil, {}, {""}, {good[name][0], good[name][0]}, {good[name][0], ""}}
		for _, value := range bad {
			values = append(values, []string{value})
		}
		for _, value := range values {
			h := maps.Clone(good)
			h[name] = value
			refused(name, h)
		}
		// B-042: the alias is neither a substitute nor an addition.
		h := maps.Clone(good)
		alias := strings.ReplaceAll(name, "-", "_")
		h[alias] = h[name]
		if _, err := fromForwardAuth(h); err != nil {
			t.Errorf("an alias beside %s: %v", name, err)
		}
		delete(h, name)
		refused(name, h)
	}
	if _, err := fromForwardAuth(nil); err == nil {
		t.Error("no headers are accepted")
	}
	if _, err := fromForwardAuth(originalHeaders("GET", "https://app.example/a")); err == nil {
		t.Error("the headers of another dialect are accepted")
	}
}

func TestSec_B041_ForwardedPrefix(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		values []string
		want   string
	}{
		{nil, ""},
		{[]string{"/strip"}, "/strip"},
		{[]string{"/strip/"}, "/strip"},
		{[]string{"/a/b"}, "/a/b"},
		{[]string{"/"}, ""},
		{[]string{"/å"}, "/%C3%A5"},
		{[]string{""}, ""},
		{[]string{"strip"}, ""},
		{[]string{"//evil.example"}, ""},
		{[]string{`/\evil.example`}, ""},
		{[]string{"https://evil.example"}, ""},
		{[]string{"/a?b"}, ""},
		{[]string{"/a#b"}, ""},
		{[]string{"/_vipps"}, ""},
		{[]string{"/a, /b"}, ""},
		{[]string{"/a,/b"}, ""},
		{[]string{"/a", "/b"}, ""},
		{[]string{"/" + strings.Repeat("a", 1024)}, ""},
	} {
		h := forwardedHeaders("GET", "https", "app.example", "/x?y")
		if test.values != nil {
			h["X-Forwarded-Prefix"] = test.values
		}
		got, err := fromForwardAuth(h)
		if err != nil || got.Prefix != test.want || got.URI != "/x?y" {
			t.Errorf("%q: %+v, %v; want prefix %q", test.values, got, err, test.want)
		}
		if to := returnToFromURI(got.Prefix + got.URI); to != test.want+"/x?y" {
			t.Errorf("%q: returns to %q", test.values, to)
		}
	}
}

func TestFromAuthRequest(t *testing.T) {
	t.Parallel()
	for absolute, want := range map[string]Original{
		"https://app.example/":             {Method: "GET", Scheme: "https", Host: "app.example", URI: "/"},
		"http://APP.example:80/a?b=http:/": {Method: "GET", Scheme: "http", Host: "app.example", URI: "/a?b=http:/"},
		"https://[::1]:8443//evil":         {Method: "GET", Scheme: "https", Host: "[::1]:8443", URI: "//evil"},
		"https://app.example/søk://":       {Method: "GET", Scheme: "https", Host: "app.example", URI: "/søk://"},
	} {
		h := originalHeaders("GET", absolute)
		h["X-Forwarded-Method"], h["X-Forwarded-Uri"], h["X-Forwarded-Host"] = []string{"POST"}, []string{"/public"}, []string{"evil.example"}
		h["X-Original-Uri"] = []string{"/public"}
		got, err := fromAuthRequest(h)
		got.Header = nil
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%q: %v %s", absolute, err, diff)
		}
	}
}

func TestSec_B060_AuthRequestRefuses(t *testing.T) {
	t.Parallel()
	absolutes := []string{
		"", "/a", "http://[::1", ":", "%", "//", "//app.example/", "https:/app.example/", "https://", "https:///a", "https://app.example", "https://app.example?x",
		"https://app.example?x=/y", "https://app.example#/a", "https://app.example*", "ftp://app.example/", "HTTPS://app.example/", "wss://app.example/",
		"javascript://app.example/", "https://user@app.example/", "https://app.example@evil.example/", "https://a, https://b/", "https://app.example:0/",
		"https://app.example/a, https://app.example/b", `https://app.example\/a`, "\xff\xfe", "https://\xff\xfe/", "x https://app.example/",
	}
	for _, uri := range badURIs {
		if strings.HasPrefix(uri, "/") {
			absolutes = append(absolutes, "https://app.example"+uri)
		}
	}
	for _, absolute := range absolutes {
		got, err := fromAuthRequest(originalHeaders("GET", absolute))
		var bad *originalError
		if !errors.As(err, &bad) || bad.Header != "X-Original-Url" || got.URI != "" || got.Method != "" {
			t.Errorf("%.80q: %+v, %v", absolute, got, err)
		}
	}
	for _, method := range append([]string{""}, badMethods...) {
		if _, err := fromAuthRequest(originalHeaders(method, "https://app.example/")); err == nil {
			t.Errorf("method %q is accepted", method)
		}
	}
	two := originalHeaders("GET", "https://app.example/")
	two["X-Original-Url"] = append(two["X-Original-Url"], "https://app.example/public")
	for _, h := range []http.Header{nil, two, forwardedHeaders("GET", "https", "app.example", "/")} {
		if _, err := fromAuthRequest(h); err == nil {
			t.Errorf("%v is accepted", h)
		}
	}
}

func TestFromRequest(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		method, target, host string
		want                 Original
	}{
		{"GET", "/a%2Fb?x=%20", "App.example:443", Original{Method: "GET", Scheme: "https", Host: "app.example", URI: "/a%2Fb?x=%20"}},
		{"GET", "//evil.example/x", "app.example", Original{Method: "GET", Scheme: "https", Host: "app.example", URI: "//evil.example/x"}},
		{"GET", "http://evil.example/p?q", "evil.example", Original{Method: "GET", Scheme: "https", Host: "evil.example", URI: "/p?q"}},
		{"OPTIONS", "*", "app.example", Original{Method: "OPTIONS", Scheme: "https", Host: "app.example", URI: "*"}},
		{"CONNECT", "app.example:443", "app.example:443", Original{Method: "CONNECT", Scheme: "https", Host: "app.example", URI: "app.example:443"}},
		{"GET", "/", "a@b", Original{Method: "GET", Scheme: "https", URI: "/"}},
	} {
		u, err := url.ParseRequestURI(test.target)
		if err != nil {
			u = &url.URL{Path: test.target}
		}
		r := &http.Request{Method: test.method, RequestURI: test.target, URL: u, Host: test.host, Header: http.Header{"A": {"b"}}}
		got := fromRequest(r, "https")
		if got.Header["A"] == nil {
			t.Error("the header is not the request's")
		}
		got.Header = nil
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Error(diff)
		}
	}
	rewritten := httptest.NewRequest(http.MethodGet, "/original?x", nil)
	rewritten.URL.Path = "/rewritten"
	if got := fromRequest(rewritten, "http"); got.URI != "/original?x" {
		t.Errorf("after a rewrite the URI is %q", got.URI)
	}
	made, err := http.NewRequest(http.MethodGet, "https://app.example/made?x", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := fromRequest(made, "https"); got.URI != "/made?x" || got.Host != "app.example" {
		t.Errorf("a request made by hand is %+v", got)
	}
}

func TestClassify(t *testing.T) {
	t.Parallel()
	navigate := func(more ...string) http.Header {
		h := http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Accept": {"text/html,*/*"}}
		for i := 0; i < len(more); i += 2 {
			h[more[i]] = []string{more[i+1]}
		}
		return h
	}
	html := http.Header{"Accept": {"text/html,application/xhtml+xml,*/*;q=0.8"}}
	for _, test := range []struct {
		name   string
		method string
		header http.Header
		want   requestKind
	}{
		{"navigation", "GET", navigate(), kindNavigation},
		{"navigation by HEAD", "HEAD", navigate(), kindNavigation},
		{"navigation of an app that says XMLHttpRequest", "GET", navigate("X-Requested-With", "XMLHttpRequest"), kindNavigation},
		{"older browser", "GET", html, kindNavigation},
		{"older browser, HEAD", "HEAD", html, kindNavigation},
		{"older browser, several lines", "GET", http.Header{"Accept": {"image/png", "Text/HTML ;q=0.9"}}, kindNavigation},

		{"form", "POST", navigate(), kindPageOtherWay},
		{"frame", "GET", navigate("Sec-Fetch-Dest", "iframe"), kindPageOtherWay},
		{"object", "GET", navigate("Sec-Fetch-Dest", "object"), kindPageOtherWay},
		{"navigate without destination", "GET", http.Header{"Sec-Fetch-Mode": {"navigate"}, "Accept": {"text/html"}}, kindPageOtherWay},
		{"two destinations", "GET", http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document", "document"}}, kindPageOtherWay},
		{"prefetch", "GET", navigate("Sec-Purpose", "prefetch"), kindPageOtherWay},
		{"prerender", "GET", navigate("Sec-Purpose", "prefetch;prerender"), kindPageOtherWay},
		{"old prefetch", "GET", navigate("Purpose", "Prefetch"), kindPageOtherWay},
		{"preview", "GET", navigate("X-Purpose", "preview"), kindPageOtherWay},
		{"lower-case method", "get", navigate(), kindPageOtherWay},

		{"old Firefox prefetch", "GET", http.Header{"Accept": {"text/html"}, "X-Moz": {"prefetch"}}, kindOther},
		{"fetch", "GET", http.Header{"Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}, "Accept": {"text/html"}}, kindOther},
		{"image", "GET", http.Header{"Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"image"}}, kindOther},
		{"websocket", "GET", http.Header{"Sec-Fetch-Mode": {"websocket"}, "Sec-Fetch-Dest": {"websocket"}, "Upgrade": {"websocket"}}, kindOther},
		{"document without mode", "GET", http.Header{"Sec-Fetch-Dest": {"document"}, "Accept": {"text/html"}}, kindOther},
		{"two modes", "GET", http.Header{"Sec-Fetch-Mode": {"navigate", "navigate"}, "Sec-Fetch-Dest": {"document"}}, kindOther},
		{"older browser, form", "POST", html, kindOther},
		{"older browser, script", "GET", http.Header{"Accept": {"text/html"}, "X-Requested-With": {"XMLHttpRequest"}}, kindOther},
		{"preflight", "OPTIONS", http.Header{"Sec-Fetch-Mode": {"cors"}, "Access-Control-Request-Method": {"DELETE"}}, kindOther},
		{"curl", "GET", http.Header{"Accept": {"*/*"}}, kindOther},
		{"almost html", "GET", http.Header{"Accept": {"text/htmlx, x/text/html"}}, kindOther},
		{"nothing", "GET", nil, kindOther},
	} {
		if got := classify(&Original{Method: test.method, Header: test.header}); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
	if classify(&Original{}) != kindOther {
		t.Error("the zero request is not of the kind that gets 401")
	}
}

func TestSec_B132_SameOriginPost(t *testing.T) {
	t.Parallel()
	const origin = "https://app.example"
	for _, test := range []struct {
		name   string
		header http.Header
		want   bool
	}{
		{"fetch metadata", http.Header{"Sec-Fetch-Site": {"same-origin"}}, true},
		{"opaque origin, but same-origin", http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {"null"}}, true},
		{"origin", http.Header{"Origin": {origin}}, true},
		{"referer", http.Header{"Referer": {origin + "/_vipps/logout?x"}}, true},
		{"referer, origin only", http.Header{"Referer": {origin}}, true},

		{"none of the three, so no browser's form from elsewhere", http.Header{}, true},
		{"cross-site", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {origin}, "Referer": {origin + "/"}}, false},
		{"same-site", http.Header{"Sec-Fetch-Site": {"same-site"}, "Origin": {origin}}, false},
		{"none", http.Header{"Sec-Fetch-Site": {"none"}, "Origin": {origin}}, false},
		{"two sites", http.Header{"Sec-Fetch-Site": {"same-origin", "same-origin"}}, false},
		{"empty site", http.Header{"Sec-Fetch-Site": {""}, "Origin": {origin}}, false},
		{"null origin", http.Header{"Origin": {"null"}, "Referer": {origin + "/"}}, false},
		{"empty origin", http.Header{"Origin": {""}, "Referer": {origin + "/"}}, false},
		{"other origin", http.Header{"Origin": {"https://evil.example"}}, false},
		{"other scheme", http.Header{"Origin": {"http://app.example"}}, false},
		{"other port", http.Header{"Origin": {origin + ":8443"}}, false},
		{"two origins", http.Header{"Origin": {origin, "https://evil.example"}}, false},
		{"referer that begins like it", http.Header{"Referer": {origin + ".evil.example/"}}, false},
		{"referer with user", http.Header{"Referer": {origin + "@evil.example/"}}, false},
		{"referer on another port", http.Header{"Referer": {origin + ":8443/"}}, false},
		{"two referers", http.Header{"Referer": {origin + "/", origin + "/"}}, false},
	} {
		if got := sameOriginPost(&http.Request{Header: test.header}, origin); got != test.want {
			t.Errorf("%s: %t", test.name, got)
		}
	}
	for _, name := range []string{"Origin", "Referer"} {
		if sameOriginPost(&http.Request{Header: http.Header{name: {""}}}, "") {
			t.Errorf("an empty %s is the empty origin's", name)
		}
	}
}

func FuzzFromForwardAuth(f *testing.F) {
	f.Add("GET", "https", "app.example", "/a?b", "/p")
	f.Add("get", "https,http", "a@b", "//x", "//evil.example")
	for _, uri := range badURIs {
		f.Add("GET", "wss", "APP.example:443", uri, "")
	}
	f.Fuzz(func(t *testing.T, method, proto, host, uri, prefix string) {
		h := forwardedHeaders(method, proto, host, uri)
		h["X-Forwarded-Prefix"] = []string{prefix}
		o, err := fromForwardAuth(h)
		if err != nil {
			return
		}
		checkOriginal(t, o)
		checkReturnTo(t, o.Prefix+o.URI, returnToFromURI(o.Prefix+o.URI))
	})
}

func FuzzFromAuthRequest(f *testing.F) {
	for _, seed := range []string{"https://app.example/a?b", "http://[::1]:80/", "https://a@b/", "https://app.example", "//", "\xff\xfe", "http://[::1"} {
		f.Add("GET", seed)
	}
	f.Fuzz(func(t *testing.T, method, absolute string) {
		o, err := fromAuthRequest(originalHeaders(method, absolute))
		if err != nil {
			return
		}
		checkOriginal(t, o)
		if !strings.HasSuffix(absolute, o.URI) || !strings.HasPrefix(absolute, o.Scheme+"://") {
			t.Fatalf("%q became %+v", absolute, o)
		}
	})
}

func checkOriginal(t *testing.T, o Original) {
	t.Helper()
	if o.Method == "" || strings.ToUpper(o.Method) != o.Method || o.Scheme != "http" && o.Scheme != "https" ||
		o.Host == "" || normalizeHost(o.Host, o.Scheme) != o.Host || !strings.HasPrefix(o.URI, "/") {
		t.Fatalf("%+v", o)
	}
	u, err := url.Parse(o.Scheme + "://" + o.Host + o.URI)
	if err != nil || u.Host != o.Host || u.User != nil || u.Fragment != "" {
		t.Fatalf("%+v is parsed as %v, %v", o, u, err)
	}
}

func BenchmarkFromForwardAuth(b *testing.B) {
	h := forwardedHeaders("GET", "https", "app.example", "/path/to/page.php?id=17&lang=nb")
	h["Accept"], h["Cookie"], h["User-Agent"] = []string{"*/*"}, []string{"a=b"}, []string{"x"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := fromForwardAuth(h); err != nil {
			b.Fatal(err)
		}
	}
}

func TestOriginalsDoNotAllocate(t *testing.T) {
	forwarded := forwardedHeaders("GET", "https", "app.example:443", "/søk?id=17")
	original := originalHeaders("GET", "https://app.example/søk?id=17")
	r := httptest.NewRequest(http.MethodGet, "/a?b", nil)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := fromForwardAuth(forwarded); err != nil {
			t.Error(err)
		}
		o, err := fromAuthRequest(original)
		if err != nil {
			t.Error(err)
		}
		classify(&o)
		fromRequest(r, "https")
	}); n != 0 {
		t.Errorf("%.0f allocations", n)
	}
}
