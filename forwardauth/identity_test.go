package forwardauth

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func testStripper() *stripper {
	return newStripper([]headerSpec{{Name: headerAuth}, {Name: headerSub, Claim: "sub"}, {Name: "Remote-User", Claim: "sub"}})
}

// Spellings of X-Vipps-Sub and Remote-User that some server takes for them.
var aliasNames = []string{
	"X-Vipps-Sub", "x-vipps-sub", "X-VIPPS-SUB", "X_Vipps_Sub", "X-Vipps_Sub", "x_vipps-sub",
	"X.Vipps.Sub", "X-Vipps.Sub", "X_Vipps.Sub", "X-Vipps~Sub", "X-Vipps!Sub", "X-Vipps'Sub",
	"X-Vipps\xc2\xadSub", "X-Vipps-", "X-Vipps-New-Future-Header", "X-Vipps-Assertion", "X-Vipps-Proxy-Secret",
	" X-Vipps-Sub", "X-Vipps-Sub\t", "X Vipps Sub", "x|vipps|nin", "x\x00vipps\x00nin",
	"Remote-User", "remote-user", "REMOTE_USER", "Remote.User", " remote-user ",
}

var otherNames = []string{
	"", "X", "X-", "X-Vipps", "X-Vippsauth", "XX-Vipps-Sub", "A-X-Vipps-Sub", "-X-Vipps-Sub", "X--Vipps-Sub",
	"Cookie", "Accept", "X-Forwarded-For", "X-Real-Ip", "Remote-Users", "Remote-Use", "Remote-Addr", "Y-Vipps-Sub",
}

// C2 lists the names that reach a PHP or WSGI application as HTTP_X_VIPPS_SUB.
func TestSec_B007_AliasesAreOurs(t *testing.T) {
	t.Parallel()
	s := testStripper()
	for _, name := range aliasNames {
		if !s.ours(name) {
			t.Errorf("ours(%q) = false", name)
		}
	}
	for _, name := range otherNames {
		if s.ours(name) {
			t.Errorf("ours(%q) = true", name)
		}
	}
	if (&stripper{}).ours("Remote-User") || !(&stripper{}).ours("x_vipps_sub") {
		t.Error("the zero stripper knows the prefix, and nothing else")
	}
}

func TestSec_C010_Strip(t *testing.T) {
	t.Parallel()
	h := http.Header{}
	for _, name := range aliasNames {
		h[name] = []string{"evil", "evil2"}
	}
	want := http.Header{}
	for _, name := range otherNames {
		h[name] = []string{"kept"}
		want[name] = []string{"kept"}
	}
	s := testStripper()
	if !s.strip(h) {
		t.Error("strip reports nothing found")
	}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Error(diff)
	}
	if s.strip(h) || s.strip(nil) {
		t.Error("strip reports a header of ours where there is none")
	}
	for _, name := range aliasNames {
		h[name] = []string{"evil", "evil2"}
	}
	s.clean(h)
	if diff := cmp.Diff(want, h); diff != "" {
		t.Errorf("clean: %s", diff)
	}
}

func TestSec_B078_CleanConnection(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		in   []string
		want []string // nil: the header is gone
	}{
		{"nothing of ours", []string{"keep-alive,Upgrade", " close "}, []string{"keep-alive,Upgrade", " close "}},
		{"one token", []string{"X-Vipps-Sub"}, nil},
		{"any case", []string{"close, X-VIPPS-SUB, x-vipps-nin"}, []string{"close"}},
		{"several lines", []string{"close", "X-Vipps-Sub", "x-vipps-nin ,\tUpgrade"}, []string{"close", "Upgrade"}},
		{"aliases", []string{"x_vipps_sub,X.Vipps.Nin,Te"}, []string{"Te"}},
		{"configured header", []string{"Upgrade, remote-user"}, []string{"Upgrade"}},
		{"empty tokens", []string{",, X-Vipps-Sub,,"}, nil},
	} {
		h := http.Header{"Connection": test.in, "X-Vipps-Sub": {"ours"}}
		before := append([]string(nil), test.in...)
		testStripper().cleanLines(h, "Connection", h["Connection"])
		if diff := cmp.Diff(test.want, h["Connection"]); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
		if h.Get("X-Vipps-Sub") != "ours" {
			t.Errorf("%s: the identity header is gone", test.name)
		}
		if diff := cmp.Diff(before, test.in); diff != "" {
			t.Errorf("%s: the caller's slice was written to: %s", test.name, diff)
		}
	}
	odd := http.Header{"connection": {"x-vipps-sub"}}
	if testStripper().clean(odd); len(odd) != 0 {
		t.Errorf("a key in lower case was overlooked: %v", odd)
	}
}

// A proxy that honours Connection deletes what it names, our headers included.
func TestSec_B078_IdentitySurvivesAReverseProxy(t *testing.T) {
	t.Parallel()
	got := make(chan http.Header, 1)
	app := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header }))
	defer app.Close()
	target, err := url.Parse(app.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	s := testStripper()
	r := httptest.NewRequest(http.MethodGet, "http://app.example/", nil)
	r.Header["Connection"] = []string{"close, X-Vipps-Sub", "x-vipps-auth"}
	r.Header["x_vipps_sub"] = []string{"evil"}
	s.clean(r.Header)
	r.Header["X-Vipps-Sub"] = []string{"someone"}
	r.Header["X-Vipps-Auth"] = []string{"authenticated"}
	proxy.ServeHTTP(httptest.NewRecorder(), r)
	h := <-got
	if h.Get("X-Vipps-Sub") != "someone" || h.Get("X-Vipps-Auth") != "authenticated" || h["X_vipps_sub"] != nil {
		t.Errorf("the application got %v", h)
	}
}

// In forward-auth a proxy overwrites what it is told to: the canonical spelling of a configured header. Anything else in
// our namespace, another spelling or a header that isn't configured, would reach the app as the client sent it.
func TestHasAlias(t *testing.T) {
	t.Parallel()
	s := testStripper()
	for _, name := range aliasNames {
		overwritten := slices.ContainsFunc(append([]string{headerProxySecret}, s.configured...), func(own string) bool { return strings.EqualFold(own, name) })
		got, has := s.hasAlias(http.Header{name: {"x"}, "Accept": {"*/*"}})
		if has == overwritten || has && got != name {
			t.Errorf("hasAlias(%q) = %q, %t", name, got, has)
		}
	}
	for _, name := range append([]string{"X-Vipps-Sub", "x-vipps-auth", "X-Vipps-Proxy-Secret"}, otherNames...) {
		if _, has := s.hasAlias(http.Header{name: {"x"}}); has {
			t.Errorf("hasAlias(%q) = true", name)
		}
	}
	for _, name := range []string{"X-Vipps-Nin", "X-Vipps-" + strings.Repeat("A", 200)} {
		if _, has := s.hasAlias(http.Header{name: {"x"}}); !has {
			t.Errorf("hasAlias(%q) = false: nobody overwrites it", name)
		}
	}
}

// Trailers are merged into r.Trailer when the body has been read, announced or
// not.
func TestSec_C011_Trailers(t *testing.T) {
	t.Parallel()
	trailers := make(chan http.Header, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		testStripper().cleanTrailer(r)
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != "hello" {
			t.Errorf("body %q, %v", body, err)
		}
		trailers <- r.Trailer
	}))
	defer server.Close()
	for _, announced := range []string{"", "Trailer: X-Vipps-Sub, Checksum\r\n"} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: app.example\r\nTransfer-Encoding: chunked\r\n"+announced+
			"\r\n5\r\nhello\r\n0\r\nX-Vipps-Sub: evil\r\nx_vipps_nin: evil\r\nChecksum: 1\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		got := <-trailers
		for name := range got {
			if testStripper().ours(name) {
				t.Errorf("announced %q: trailers are %v", announced, got)
			}
		}
		if got.Get("Checksum") != "1" {
			t.Errorf("announced %q: the application's own trailer is gone: %v", announced, got)
		}
	}
}

func TestCleanTrailerLeavesOtherBodiesAlone(t *testing.T) {
	t.Parallel()
	for _, body := range []io.Reader{nil, strings.NewReader("known length")} {
		r := httptest.NewRequest(http.MethodPost, "/", body)
		before := r.Body
		r.Trailer = http.Header{"X-Vipps-Sub": nil, "Other": nil}
		testStripper().cleanTrailer(r)
		if r.Body != before {
			t.Error("the body was wrapped")
		}
		if diff := cmp.Diff(http.Header{"Other": nil}, r.Trailer); diff != "" {
			t.Error(diff)
		}
	}
}

func TestFold(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "X-Vipps-Sub": "x-vipps-sub", " X_Vipps.Sub\t": "x-vipps-sub", "Åse1": "--se1", "A b": "a-b",
	} {
		if got := fold(in); got != want {
			t.Errorf("fold(%q) = %q, want %q", in, got, want)
		}
	}
}

// D-52: whatever folds into the namespace is stripped, and nothing else.
func FuzzSec_D052_Strip(f *testing.F) {
	for _, names := range [][]string{aliasNames, otherNames} {
		for _, name := range names {
			f.Add(name)
		}
	}
	f.Fuzz(func(t *testing.T, name string) {
		s := testStripper()
		folded := fold(name)
		want := strings.HasPrefix(folded, "x-vipps-") || folded == "remote-user"
		if got := s.ours(name); got != want {
			t.Fatalf("ours(%q) = %t, folded %q", name, got, folded)
		}
		h := http.Header{name: {"evil"}}
		if had := s.strip(h); had != want || (len(h) == 0) != want {
			t.Fatalf("strip of %q: %t, %v", name, had, h)
		}
		h = http.Header{name: {"evil"}}
		if s.clean(h); (len(h) == 0) != want {
			t.Fatalf("clean of %q: %v", name, h)
		}
		if fold(folded) != folded && strings.Trim(folded, "-") == folded {
			t.Fatalf("fold(%q) = %q is not stable", name, folded)
		}
	})
}

func FuzzCleanConnection(f *testing.F) {
	for _, line := range []string{"close", "X-Vipps-Sub", "close, x_vipps_nin", " , ,", "keep-alive,Upgrade,REMOTE.USER\t"} {
		f.Add(line, "close")
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		s := testStripper()
		h := http.Header{"Connection": {first, second}}
		s.clean(h)
		var kept []string
		for _, line := range h["Connection"] {
			if s.names(line) {
				t.Fatalf("%q is left of %q and %q", line, first, second)
			}
			kept = append(kept, connectionTokens(line)...)
		}
		var want []string
		for _, token := range append(connectionTokens(first), connectionTokens(second)...) {
			if !s.ours(token) {
				want = append(want, token)
			}
		}
		if diff := cmp.Diff(want, kept); diff != "" {
			t.Fatalf("%q, %q: %s", first, second, diff)
		}
	})
}

func connectionTokens(line string) []string {
	var tokens []string
	for token := range strings.SplitSeq(line, ",") {
		if token = strings.Trim(token, " \t"); token != "" {
			tokens = append(tokens, token)
		}
	}
	return tokens
}

func BenchmarkStrip(b *testing.B) {
	s := testStripper()
	h := http.Header{}
	for _, name := range []string{
		"Accept", "Accept-Encoding", "Accept-Language", "Cache-Control", "Connection", "Cookie", "Priority", "Referer", "Sec-Ch-Ua",
		"Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-User", "Upgrade-Insecure-Requests", "User-Agent", "X-Forwarded-For",
	} {
		h[name] = []string{"x"}
	}
	b.ReportAllocs()
	for b.Loop() {
		s.clean(h)
	}
}

func TestStripDoesNotAllocate(t *testing.T) {
	s := testStripper()
	h := http.Header{"Accept": {"*/*"}, "Connection": {"keep-alive, Upgrade"}, "X-Forwarded-For": {"192.0.2.1"}, "Cookie": {"a=b"}}
	allocs := testing.AllocsPerRun(100, func() {
		s.clean(h)
		s.hasAlias(h)
	})
	if allocs != 0 {
		t.Errorf("%.0f allocations", allocs)
	}
}
