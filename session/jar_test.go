package session_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/session"
)

const secureAttributes = "; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax"

func secureJar() *session.Jar { return &session.Jar{Name: "vippsauth", Secure: true} }

// sealedForm is n characters in the form of a sealed text (n-1 where no base64
// has that length), different for each seed, and without a repetition that
// would hide exchanged chunks.
func sealedForm(n int, seed string) string {
	var b strings.Builder
	b.WriteString("1" + seed)
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%x-", i)
	}
	if (n-1)%4 == 1 {
		n--
	}
	return b.String()[:n-1] + "A"
}

func set(t testing.TB, j *session.Jar, r *http.Request, value string) []string {
	t.Helper()
	w := httptest.NewRecorder()
	if err := j.Set(w, r, value, time.Hour); err != nil {
		t.Fatal(err)
	}
	return w.Header()["Set-Cookie"]
}

// send makes the header of a request that carries what lines set.
func send(lines ...string) http.Header {
	var pairs []string
	for _, line := range lines {
		pair, _, _ := strings.Cut(line, ";")
		if !strings.Contains(line, "Max-Age=0") {
			pairs = append(pairs, pair)
		}
	}
	return http.Header{"Cookie": {strings.Join(pairs, "; ")}}
}

func wantGet(t *testing.T, j *session.Jar, h http.Header, value string, found session.Found) {
	t.Helper()
	got, f := j.Get(h)
	if got != value || f != found {
		t.Errorf("Get gives %.60q (%d bytes), %v; want %.60q (%d bytes), %v\nfrom %.300q",
			got, len(got), f, value, len(value), found, h["Cookie"])
	}
	switch n := len(j.Values(h)); found {
	case session.One:
		if n != 1 || j.Values(h)[0] != value {
			t.Errorf("Get gives one, Values %d", n)
		}
	case session.Conflict:
		if n < 2 {
			t.Errorf("Get gives a conflict, Values %d", n)
		}
	default:
		if n != 0 {
			t.Errorf("Get gives %v, Values %d", found, n)
		}
	}
}

func TestJar_SetAttributes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		jar    session.Jar
		maxAge time.Duration
		want   string
	}{
		{"https", session.Jar{Name: "vippsauth", Secure: true}, time.Hour, "__Host-vippsauth=1AAAA" + secureAttributes},
		{
			"shared by a domain",
			session.Jar{Name: "vippsauth", Secure: true, Domain: "club.example"},
			time.Hour,
			"__Secure-vippsauth=1AAAA; Path=/; Domain=club.example; Max-Age=3600; HttpOnly; Secure; SameSite=Lax",
		},
		{"loopback", session.Jar{Name: "vippsauth"}, time.Hour, "vippsauth=1AAAA; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax"},
		{"with the browser", session.Jar{Name: "vippsauth", Secure: true}, -1, "__Host-vippsauth=1AAAA; Path=/; HttpOnly; Secure; SameSite=Lax"},
		{"less than a second", session.Jar{Name: "a"}, time.Millisecond, "a=1AAAA; Path=/; Max-Age=1; HttpOnly; SameSite=Lax"},
		{"the longest", session.Jar{Name: "a"}, 1<<63 - 1, "a=1AAAA; Path=/; Max-Age=9223372037; HttpOnly; SameSite=Lax"},
		{"over at once", session.Jar{Name: "a"}, 0, "a=1AAAA; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"},
	}
	for _, tt := range tests {
		w := httptest.NewRecorder()
		if err := tt.jar.Set(w, nil, "1AAAA", tt.maxAge); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{tt.want}, w.Header()["Set-Cookie"]); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

func TestSec_C032_C033_WriterRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		jar   session.Jar
		value string
		want  string
	}{
		{"empty value", session.Jar{Name: "a"}, "", "not a sealed text"},
		{"foreign value", session.Jar{Name: "a"}, "x; Domain=evil.example", "not a sealed text"},
		{"chunk form", session.Jar{Name: "a"}, "22AAAA", "not a sealed text"},
		{"no name", session.Jar{}, "1AAAA", "not a cookie name"},
		{"bad name", session.Jar{Name: "a b"}, "1AAAA", "not a cookie name"},
		{"bad name", session.Jar{Name: "a=1; x"}, "1AAAA", "not a cookie name"},
		{
			"five cookies are not enough",
			session.Jar{Name: "vippsauth", Secure: true},
			sealedForm(21000, ""),
			"cookie __Host-vippsauth: the value has 21000 bytes, above 20090, the most that fits in 5 cookies",
		},
		{
			"one cookie is not enough",
			session.Jar{Name: "vippsauth-login-x", Secure: true, MaxChunks: 1},
			sealedForm(4097, ""),
			"the value has 4097 bytes, above 4014, the most that fits in 1 cookies",
		},
		{"a name too long", session.Jar{Name: strings.Repeat("n", 5000)}, "1AAAA", "above 0"},
	}
	for _, tt := range tests {
		w := httptest.NewRecorder()
		err := tt.jar.Set(w, nil, tt.value, time.Hour)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got error %v, want one with %q", tt.name, err, tt.want)
		}
		if len(w.Header()) > 0 {
			t.Errorf("%s: set all the same", tt.name)
		}
	}
}

// TestSec_B112_C033_ChunkSizes: mod_auth_openidc wrote an empty chunk when the
// length was an exact multiple, and more chunks than its reader took.
func TestSec_B112_C033_ChunkSizes(t *testing.T) {
	t.Parallel()
	for _, j := range []*session.Jar{secureJar(), {Name: "vippsauth"}, {Name: "x", Secure: true, MaxChunks: 3}} {
		most := j.MaxChunks
		if most == 0 {
			most = session.MaxChunks
		}
		attributes := strings.TrimPrefix(set(t, j, nil, "1AAAA")[0], j.CookieName()+"=1AAAA")
		single := session.MaxCookieBytes - len(j.CookieName()) - 1 - len(attributes)
		size := single - len(".1") - len("2n")
		var lengths []int
		for k := 1; k <= most; k++ {
			for d := -3; d <= 3; d++ {
				lengths = append(lengths, k*size+d)
			}
		}
		lengths = append(lengths, single-1, single, single+1)
		for _, n := range lengths {
			if (n-1)%4 == 1 {
				continue // not a length of base64
			}
			value := sealedForm(n, "")
			w := httptest.NewRecorder()
			err := j.Set(w, nil, value, time.Hour)
			if tooBig := n > size*most; (err != nil) != tooBig {
				t.Fatalf("%s: %d bytes in up to %d chunks of %d: %v", j.Name, n, most, size, err)
			}
			if err != nil {
				continue
			}
			lines := w.Header()["Set-Cookie"]
			if want := (n + size - 1) / size; len(lines) != want && (n > single || len(lines) != 1) {
				t.Errorf("%s: %d bytes in %d cookies, want %d", j.Name, n, len(lines), want)
			}
			for _, line := range lines {
				if pair, _, _ := strings.Cut(line, ";"); strings.HasSuffix(pair, "=") || len(line) > session.MaxCookieBytes {
					t.Errorf("%s: %d bytes: a cookie of %d: %.40q", j.Name, n, len(line), line)
				}
			}
			wantGet(t, j, send(lines...), value, session.One)
		}
	}
}

// TestSec_B107_C030_C032_ChunkCounts: mod_auth_openidc (CVE-2024-24814) looped as often as
// a cookie told it to.
func TestSec_B107_C030_C032_ChunkCounts(t *testing.T) {
	t.Parallel()
	j := secureJar()
	const name = "__Host-vippsauth"
	for _, value := range []string{
		"2", "22", "20A", "21A", "26A", "29A", "299999999A", "2-1A", "2 2A", "22A", "23AAAA", "24AAAA", "25AAAA",
		"3AAAA", "0AAAA", "AAAA", "", `"1AAAA"`, "1",
		"1" + strings.Repeat("A", 5000), "1" + strings.Repeat("A", 1<<20),
	} {
		wantGet(t, j, http.Header{"Cookie": {name + "=" + value}}, "", session.Broken)
	}
	for _, value := range []string{"1AAAA=", "1AAAA%3d", "1A A", "1AAAA\x00", "1AAAA\x7f", "1AAAA\xc3\xa5", "1AAAAA", "1AAAA~1AAAA"} {
		wantGet(t, j, http.Header{"Cookie": {name + "=" + value}}, value, session.One)
		if _, err := newBox(t, "a").Open(value); !errors.Is(err, session.ErrSealed) {
			t.Errorf("%q opens: %v", value, err)
		}
	}
	for _, cookie := range []string{
		name + ".1=1AAAA", name + ".5=1AAAA", name + ".0=1AAAA", name + ".01=1AAAA", name + ".-1=1AAAA", name + "_0=1AAAA",
		name + ".99999=1AAAA", name + ".=1AAAA", name + "x=1AAAA", "vippsauth=1AAAA", "__Secure-vippsauth=1AAAA",
		"__host-vippsauth=1AAAA", "__HOST-VIPPSAUTH=1AAAA", "%5f%5fHost-vippsauth=1AAAA", "\xe2\x80\x80" + name + "=1AAAA",
		name + " =1AAAA", "=" + name + "=1AAAA", name, "x" + name + "=1AAAA", "\n" + name + "=1AAAA", "", ";;;;;", "=", "; ; =;a;=b",
		strings.Repeat("a=b; ", 5000),
	} {
		wantGet(t, j, http.Header{"Cookie": {cookie}}, "", session.None)
	}
	wantGet(t, j, nil, "", session.None)
	wantGet(t, j, http.Header{"Cookie": nil}, "", session.None)
}

func TestSec_B112_ChunksMissingSwappedMixed(t *testing.T) {
	t.Parallel()
	j := secureJar()
	box := newBox(t, "a")
	one := set(t, j, nil, seal(t, box, string(noise(6000, "one"))))
	two := set(t, j, nil, seal(t, box, string(noise(6000, "two"))))
	if len(one) != 3 || len(two) != 3 {
		t.Fatalf("%d and %d cookies", len(one), len(two))
	}
	for i := range one {
		var lines []string
		lines = append(append(lines, one[:i]...), one[i+1:]...)
		want := session.Broken
		if i == 0 {
			want = session.None
		}
		wantGet(t, j, send(lines...), "", want)
	}
	opens := func(lines ...string) bool {
		value, found := j.Get(send(lines...))
		_, err := box.Open(value)
		return found == session.One && err == nil
	}
	if !opens(one[2], one[0], one[1]) || !opens(append(one, one...)...) || !opens(append(one, "__Host-vippsauth.4=AAAA")...) {
		t.Error("another order, the same twice or one too many does harm")
	}
	swapped := strings.NewReplacer("vippsauth.1=", "vippsauth.2=", "vippsauth.2=", "vippsauth.1=")
	if opens(one[0], swapped.Replace(one[1]), swapped.Replace(one[2])) {
		t.Error("swapped chunks open")
	}
	if opens(one[0], two[1], one[2]) || opens(two[0], one[1], one[2]) {
		t.Error("chunks of two sessions open")
	}
}

// TestSec_C032_B112_GrowShrinkGrow uses a real cookie jar, over TLS: what is cleared
// must be gone, and what stays must be what was set last.
func TestSec_C032_B112_GrowShrinkGrow(t *testing.T) {
	t.Parallel()
	j := secureJar()
	var next, got string
	var found session.Found
	var carried int
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, found = j.Get(r.Header)
		carried = len(r.Cookies())
		switch r.URL.Path {
		case "/set":
			if err := j.Set(w, r, next, time.Hour); err != nil {
				t.Error(err)
			}
		case "/clear":
			j.Clear(w, r)
		}
	}))
	defer server.Close()
	client := server.Client()
	client.Jar, _ = cookiejar.New(nil)
	visit := func(path string) {
		t.Helper()
		resp, err := client.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	for i, n := range []int{100, 20000, 9001, 6000, 100, 17000, 4100, 3000, 20080} {
		next = sealedForm(n, fmt.Sprint("x", i))
		visit("/set")
		visit("/")
		if want := (len(next) + 4017) / 4018; got != next || found != session.One || carried != want {
			t.Fatalf("%d bytes: found %v, %d bytes in %d cookies, want %d", n, found, len(got), carried, want)
		}
	}
	visit("/clear")
	visit("/")
	if found != session.None || carried != 0 {
		t.Errorf("after clearing: %v, %d cookies", found, carried)
	}
}

func TestJar_SetClearsStaleChunks(t *testing.T) {
	t.Parallel()
	j := secureJar()
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.Header["Cookie"] = []string{
		"__Host-vippsauth=22A; __Host-vippsauth.1=A; __Host-vippsauth.3=A; __Host-vippsauth.3=A",
		"other=1; __Host-vippsauth.5=A; vippsauth.4=A; __Host-vippsauth.4",
	}
	const gone = "=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"
	want := []string{"__Host-vippsauth=1AAAA" + secureAttributes, "__Host-vippsauth.1" + gone, "__Host-vippsauth.3" + gone}
	if diff := cmp.Diff(want, set(t, j, r, "1AAAA")); diff != "" {
		t.Error(diff)
	}
	w := httptest.NewRecorder()
	j.Clear(w, r)
	want[0] = "__Host-vippsauth" + gone
	if diff := cmp.Diff(want, w.Header()["Set-Cookie"]); diff != "" {
		t.Error(diff)
	}
	w = httptest.NewRecorder()
	new(session.Jar).Clear(w, r)
	if len(w.Header()) != 0 {
		t.Errorf("a jar without a name clears %v", w.Header())
	}
}

// TestJar_OneAnswerSetsANameOnce: clearing and setting in one answer, in any
// order, leaves the last word.
func TestJar_OneAnswerSetsANameOnce(t *testing.T) {
	t.Parallel()
	j := secureJar()
	w := httptest.NewRecorder()
	w.Header().Add("Set-Cookie", "app=1; Path=/")
	w.Header().Add("Set-Cookie", "__Host-vippsauth-login-x=1; Path=/; Secure")
	j.Clear(w, nil)
	if err := j.Set(w, nil, sealedForm(9000, ""), time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := j.Set(w, nil, "1AAAA", time.Hour); err != nil {
		t.Fatal(err)
	}
	want := []string{"app=1; Path=/", "__Host-vippsauth-login-x=1; Path=/; Secure", "__Host-vippsauth=1AAAA" + secureAttributes}
	if diff := cmp.Diff(want, w.Header()["Set-Cookie"]); diff != "" {
		t.Error(diff)
	}
}

func TestJar_Owns(t *testing.T) {
	t.Parallel()
	j := secureJar()
	for name, want := range map[string]bool{
		"__Host-vippsauth": true, "__Host-vippsauth.1": true, "__Host-vippsauth.4": true,
		"__Host-vippsauth.0": false, "__Host-vippsauth.5": false, "__Host-vippsauth.11": false,
		"__Host-vippsauth-1": false, "__Host-vippsauth-hint": false, "__Secure-vippsauth": false, "vippsauth": false, "__host-vippsauth": false, "": false,
	} {
		if got := j.Owns(name); got != want {
			t.Errorf("Owns(%q) = %v", name, got)
		}
	}
	if new(session.Jar).Owns("") || new(session.Jar).Owns(".1") {
		t.Error("a jar without a name owns cookies")
	}
}

func TestFound_String(t *testing.T) {
	t.Parallel()
	got := fmt.Sprint(session.None, session.One, session.Conflict, session.Broken, session.Found(9))
	if got != "none one conflict broken Found(9)" {
		t.Error(got)
	}
}

func TestJar_GetAllocatesNothing(t *testing.T) {
	j := secureJar()
	h := http.Header{"Cookie": {"a=1; theme=dark; __Host-vippsauth=" + sealedForm(2801, "") + "; z=2"}}
	if n := testing.AllocsPerRun(100, func() {
		if _, found := j.Get(h); found != session.One {
			t.Fatal(found)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
