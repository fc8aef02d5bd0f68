package forwardauth

import (
	"net/url"
	"strings"
	"testing"

	whatwg "github.com/nlnwa/whatwg-url/url"
)

// checkReturnTo holds what is promised of every accepted value.
func checkReturnTo(t *testing.T, raw, out string) {
	t.Helper()
	layers := 0
	if len(out) > 2048 || !strings.HasPrefix(out, "/") {
		t.Fatalf("cleanReturnTo(%q) = %q: no short path", raw, out)
	}
	for i := range len(out) {
		if out[i] <= ' ' || out[i] >= 0x7f || strings.ContainsRune(`\"<>#`, rune(out[i])) {
			t.Fatalf("cleanReturnTo(%q) = %q: byte %#x", raw, out, out[i])
		}
	}
	const site = "https://app.example"
	for _, base := range []string{site + "/start/x", site + "/"} {
		u, err := whatwg.ParseRef(base, out)
		if err != nil || originOf(u) != site || u.Username() != "" || u.Fragment() != "" {
			t.Fatalf("cleanReturnTo(%q) = %q: a browser goes to %q, %v", raw, out, u, err)
		}
		if again, err := whatwg.Parse(u.Href(false)); err != nil || again.Href(false) != u.Href(false) {
			t.Fatalf("cleanReturnTo(%q) = %q: a browser goes to %q, and then to %q", raw, out, u, again)
		}
		if absolute, err := whatwg.Parse(site + out); err != nil || absolute.Href(false) != u.Href(false) {
			t.Fatalf("cleanReturnTo(%q) = %q: a browser goes to %q, and with the origin in front to %q", raw, out, u, absolute)
		}
		checkReturnToPath(t, raw, u.Pathname())
	}
	ref, err := url.Parse(out)
	if err != nil {
		t.Fatalf("cleanReturnTo(%q) = %q: %v", raw, out, err)
	}
	base := &url.URL{Scheme: "https", Host: "app.example", Path: "/start/x"}
	if u := base.ResolveReference(ref); u.Scheme != "https" || u.Host != "app.example" || u.User != nil || u.Fragment != "" {
		t.Fatalf("cleanReturnTo(%q) = %q: resolves to %q", raw, out, u)
	}
	if strings.HasPrefix(base.ResolveReference(ref).Path, "//") {
		t.Fatalf("cleanReturnTo(%q) = %q: resolves to a path with two slashes", raw, out)
	}
	if again, ok := cleanReturnTo(out); !ok || again != out {
		t.Fatalf("cleanReturnTo(%q) = %q, which becomes %q, %t", raw, out, again, ok)
	}
	// More decodings, as by a proxy and an application that redirect to what they have decoded.
	for path, _, _ := strings.Cut(out, "?"); ; {
		if got := BrowserOrigin(site+"/start/x", path); got != site {
			t.Fatalf("cleanReturnTo(%q) = %q: decoded to %q, a browser goes to %q", raw, out, path, got)
		}
		checkReturnToPath(t, raw, path)
		once := decodeOnce(path)
		if once == path || layers == maxReturnToDecodings {
			return
		}
		path, layers = once, layers+1
	}
}

// checkReturnToPath: no path that is accepted begins with two slashes, or is one of our own endpoints.
func checkReturnToPath(t *testing.T, raw, path string) {
	t.Helper()
	if strings.HasPrefix(path, "//") {
		t.Fatalf("cleanReturnTo(%q) leads to %q", raw, path)
	}
	if lower := strings.ToLower(path); lower == "/_vipps" || strings.HasPrefix(lower, "/_vipps/") {
		t.Fatalf("cleanReturnTo(%q) leads to our own %q", raw, path)
	}
}

// A link to our login with a return URL of the attacker's makes us the redirect
// that a phishing mail needs.
func TestSec_C001_B001_HostileReturnURLs(t *testing.T) {
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

// Whatever is accepted leads, for a browser and for Go, to the site's own origin and to none of our endpoints, and is
// accepted again as it is.
func FuzzSec_C001_B001_CleanReturnTo(f *testing.F) {
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

// Where sites share their sessions, a login comes back to one of them and to nobody else, whatever it was asked.
func FuzzSec_C001_B002_B069_SharedReturnTo(f *testing.F) {
	s := shared(f, func(_, _ *Config) {}).siteOf("a.club.example")
	for _, line := range append(corpus(f, "testdata/hostile/redirect.txt"), corpus(f, "testdata/returnto/good.txt")...) {
		if len(line) < 3000 {
			f.Add(line)
			f.Add("https://b.club.example" + line)
			f.Add(strings.ReplaceAll(line, "app.example", "b.club.example"))
		}
	}
	f.Fuzz(func(t *testing.T, raw string) {
		out := s.returnTo(raw)
		to := s.at(out)
		u, err := whatwg.Parse(to)
		if err != nil || (originOf(u) != "https://a.club.example" && originOf(u) != "https://b.club.example") || u.Username() != "" {
			t.Fatalf("returnTo(%q) = %q: a browser goes to %q, %v", raw, out, u, err)
		}
		if again := s.returnTo(out); again != out {
			t.Fatalf("returnTo(%q) = %q, which becomes %q", raw, out, again)
		}
		if r, err := url.Parse(to); err != nil || r.Scheme+"://"+r.Host != originOf(u) || r.User != nil || r.Fragment != "" {
			t.Fatalf("returnTo(%q) = %q: Go reads %q, %v", raw, out, r, err)
		}
		checkReturnToPath(t, raw, u.Pathname())
	})
}
