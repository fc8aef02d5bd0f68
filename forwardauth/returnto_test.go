package forwardauth

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// browserOrigin is what a browser on https://app.example/start/x makes of a
// reference, as far as it concerns the origin (WHATWG URL, basic parser): outer
// C0 and blanks are trimmed, tabs and line breaks anywhere dropped, and
// backslashes are slashes. It returns "" for other schemes and opaque paths.
func browserOrigin(ref string) string {
	const base = "https://app.example"
	ref = strings.TrimFunc(ref, func(r rune) bool { return r <= ' ' })
	ref = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(ref)
	if i := strings.IndexByte(ref, ':'); i > 0 && regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*$`).MatchString(ref[:i]) {
		scheme := strings.ToLower(ref[:i])
		special := scheme == "https" || scheme == "http" || scheme == "ftp" || scheme == "ws" || scheme == "wss"
		if !special {
			return ""
		}
		return scheme + "://" + browserAuthority(strings.TrimLeft(ref[i+1:], `/\`))
	}
	if len(ref) >= 2 && strings.ContainsRune(`/\`, rune(ref[0])) && strings.ContainsRune(`/\`, rune(ref[1])) {
		return "https://" + browserAuthority(strings.TrimLeft(ref, `/\`))
	}
	return base
}

func browserAuthority(rest string) string {
	if i := strings.IndexAny(rest, `/\?#`); i >= 0 {
		rest = rest[:i]
	}
	return rest[strings.LastIndexByte(rest, '@')+1:]
}

// checkReturnTo holds what is promised of every accepted value.
func checkReturnTo(t *testing.T, raw, out string) {
	t.Helper()
	if len(out) > 2048 || !strings.HasPrefix(out, "/") {
		t.Fatalf("cleanReturnTo(%q) = %q: no short path", raw, out)
	}
	for i := range len(out) {
		if out[i] <= ' ' || out[i] >= 0x7f || strings.ContainsRune(`\"<>#`, rune(out[i])) {
			t.Fatalf("cleanReturnTo(%q) = %q: byte %#x", raw, out, out[i])
		}
	}
	if got := browserOrigin(out); got != "https://app.example" {
		t.Fatalf("cleanReturnTo(%q) = %q: a browser goes to %q", raw, out, got)
	}
	ref, err := url.Parse(out)
	if err != nil {
		t.Fatalf("cleanReturnTo(%q) = %q: %v", raw, out, err)
	}
	base := &url.URL{Scheme: "https", Host: "app.example", Path: "/start/x"}
	if u := base.ResolveReference(ref); u.Scheme != "https" || u.Host != "app.example" || u.User != nil {
		t.Fatalf("cleanReturnTo(%q) = %q: resolves to %q", raw, out, u)
	}
	if strings.HasPrefix(base.ResolveReference(ref).Path, "//") {
		t.Fatalf("cleanReturnTo(%q) = %q: resolves to a path with two slashes", raw, out)
	}
	if again, ok := cleanReturnTo(out); !ok || again != out {
		t.Fatalf("cleanReturnTo(%q) = %q, which becomes %q, %t", raw, out, again, ok)
	}
	// One more decoding, as by a proxy that redirects what it has decoded.
	if path, _, _ := strings.Cut(out, "?"); true {
		once, err := url.PathUnescape(path)
		if err != nil {
			t.Fatalf("cleanReturnTo(%q) = %q: %v", raw, out, err)
		}
		if got := browserOrigin(once); got != "https://app.example" {
			t.Fatalf("cleanReturnTo(%q) = %q: decoded once, a browser goes to %q", raw, out, got)
		}
		if lower := strings.ToLower(once); lower == "/_vipps" || strings.HasPrefix(lower, "/_vipps/") {
			t.Fatalf("cleanReturnTo(%q) = %q: one of our own endpoints", raw, out)
		}
	}
}

// A link to our login with a return URL of the attacker's makes us the redirect
// that a phishing mail needs.
func TestSec_C001_HostileReturnURLs(t *testing.T) {
	t.Parallel()
	for _, raw := range corpus(t, "testdata/hostile/redirect.txt") {
		if out, ok := cleanReturnTo(raw); ok || out != "" {
			t.Errorf("cleanReturnTo(%.80q) = %.80q, %t; want it refused", raw, out, ok)
		}
		if got := returnToFromURI(raw); got != "/" {
			t.Errorf("returnToFromURI(%.80q) = %.80q, want /", raw, got)
		}
	}
}

func TestCleanReturnToKeepsOrdinaryPaths(t *testing.T) {
	t.Parallel()
	for _, line := range corpus(t, "testdata/returnto/good.txt") {
		raw, want, differs := strings.Cut(line, "=>")
		if raw = strings.TrimRight(raw, " "); !differs {
			want = raw
		}
		want = strings.TrimSpace(want)
		out, ok := cleanReturnTo(raw)
		if !ok || out != want {
			t.Errorf("cleanReturnTo(%q) = %q, %t; want %q", raw, out, ok, want)
			continue
		}
		checkReturnTo(t, raw, out)
		if got := returnToFromURI(raw); got != want {
			t.Errorf("returnToFromURI(%q) = %q, want %q", raw, got, want)
		}
	}
}

func TestCleanReturnToLength(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		raw string
		ok  bool
	}{
		{"/" + strings.Repeat("a", 2047), true},
		{"/" + strings.Repeat("a", 2048), false},
		{"/?" + strings.Repeat("a", 2046), true},
		{"/" + strings.Repeat("ø", 341), true}, // six bytes each, escaped
		{"/" + strings.Repeat("ø", 342), false},
		{"", false},
	} {
		if _, ok := cleanReturnTo(test.raw); ok != test.ok {
			t.Errorf("cleanReturnTo of %d bytes = %t, want %t", len(test.raw), ok, test.ok)
		}
	}
}

// The oracle of these tests must know the lines that defeat url.Parse alone.
func TestBrowserOrigin(t *testing.T) {
	t.Parallel()
	for ref, want := range map[string]string{
		"/a":                              "https://app.example",
		"a":                               "https://app.example",
		"//evil.example":                  "https://evil.example",
		`/\evil.example`:                  "https://evil.example",
		"/\t/evil.example":                "https://evil.example",
		" //evil.example":                 "https://evil.example",
		"\x01//evil.example":              "https://evil.example",
		"http:///evil.example":            "http://evil.example",
		"https://app.example@evil.x/":     "https://evil.x",
		"javascript:alert(1)":             "",
		"/redirect?to=//evil.example":     "https://app.example",
		"/./\\evil.example":               "https://app.example",
		"https://evil.example\\@app.test": "https://evil.example",
	} {
		if got := browserOrigin(ref); got != want {
			t.Errorf("browserOrigin(%q) = %q, want %q", ref, got, want)
		}
	}
}

func FuzzCleanReturnTo(f *testing.F) {
	for _, path := range []string{"testdata/hostile/redirect.txt", "testdata/returnto/good.txt"} {
		for _, line := range corpus(f, path) {
			if len(line) < 3000 {
				f.Add(line)
			}
		}
	}
	f.Fuzz(func(t *testing.T, raw string) {
		out, ok := cleanReturnTo(raw)
		if !ok {
			if out != "" || returnToFromURI(raw) != "/" {
				t.Fatalf("refused %q, but returned %q", raw, out)
			}
			return
		}
		checkReturnTo(t, raw, out)
	})
}
