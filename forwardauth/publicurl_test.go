package forwardauth

import (
	"net/url"
	"strings"
	"testing"
)

func TestParsePublicURL(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		in, origin, host string
		loopback         bool
	}{
		{"https://app.example", "https://app.example", "app.example", false},
		{"https://app.example/", "https://app.example", "app.example", false},
		{"HTTPS://APP.Example:443", "https://app.example", "app.example", false},
		{"https://app.example:8443", "https://app.example:8443", "app.example:8443", false},
		{"https://app.example:80", "https://app.example:80", "app.example:80", false},
		{"https://xn--bj-yja.example", "https://xn--bj-yja.example", "xn--bj-yja.example", false},
		{"https://203.0.113.7", "https://203.0.113.7", "203.0.113.7", false},
		{"https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443", "[2001:db8::1]:8443", false},
		{"https://intranet", "https://intranet", "intranet", false},
		{"https://3com.example.4you", "https://3com.example.4you", "3com.example.4you", false},
		{"https://app.0xzz", "https://app.0xzz", "app.0xzz", false}, // no number to a browser, and so no address
		{"http://localhost", "http://localhost", "localhost", true},
		{"http://localhost:80", "http://localhost", "localhost", true},
		{"http://LOCALHOST:4190/", "http://localhost:4190", "localhost:4190", true},
		{"http://app.localhost:4190", "http://app.localhost:4190", "app.localhost:4190", true},
		{"http://127.0.0.1:4190", "http://127.0.0.1:4190", "127.0.0.1:4190", true},
		{"http://127.1.2.3", "http://127.1.2.3", "127.1.2.3", true},
		{"http://[::1]", "http://[::1]", "[::1]", true},
		{"http://[::1]:4190", "http://[::1]:4190", "[::1]:4190", true},
		{"https://localhost", "https://localhost", "localhost", true},
	} {
		origin, host, loopback, err := parsePublicURL(test.in)
		if err != nil || origin != test.origin || host != test.host || loopback != test.loopback {
			t.Errorf("parsePublicURL(%q) = %q, %q, %t, %v", test.in, origin, host, loopback, err)
		}
		if got := BrowserOrigin(test.in, "/"); got != origin {
			t.Errorf("parsePublicURL(%q) = %q, and a browser says %q", test.in, origin, got)
		}
	}
}

func TestParsePublicURLRefuses(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"", "app.example", "//app.example", "ftp://app.example", "https:app.example", "javascript://app.example",
		"https://", "https:///", "https://app.example/path", "https://app.example//", `https://app.example\x`,
		"https://app.example?x", "https://app.example/?", "https://app.example#", "https://app.example/#x",
		"https://user@app.example", "https://user:pass@app.example", "https://*.example", "https://app.example,https://b.example",
		"https://bjørn.example", "https://app..example", "https://.example", "https://app.example.", "https://app.example:",
		"https://app.example:0", "https://app.example:0443", "https://app.example:65536", "https://app.example:x", "https://app .example",
		" https://app.example", "https://app.example\n", "https://[::1", "https://::1", "https://[fe80::1%25eth0]", "https://[::ffff:127.0.0.1]",
		"https://[0:0:0:0:0:0:0:1]", "https://127.1", "https://0x7f000001", "https://1.2.3.4.5", "https://999.1.1.1", "https://0177.0.0.1", "https://1.2.3.0x4",
		"http://app.example", "http://localhost.example", "http://notlocalhost", "http://127.0.0.1.example", "http://128.0.0.1", "http://[::2]",
		"https://" + strings.Repeat("a", 256),
	} {
		if origin, host, _, err := parsePublicURL(in); err == nil || origin != "" || host != "" {
			t.Errorf("parsePublicURL(%q) = %q, %q, %v", in, origin, host, err)
		}
	}
	_, _, _, err := parsePublicURL("https://someone:hunter2@app.example")
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error holds the value: %v", err)
	}
}

// Whoever writes a public URL that can't be one is told what is wrong with it.
func TestParsePublicURLSaysWhy(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"app.example":                   "must start with https://",
		"https":                         "must start with https://",
		"ftp://app.example":             "must start with https://",
		"https://":                      "has no host",
		"https://app.example,b.example": "one origin an entry",
		"https://app.example/x":         "without a path",
		`https://app.example\x`:         "without a path",
		"https://app.example?x":         "without query or fragment",
		"https://app.example#x":         "without query or fragment",
		"https://someone@app.example":   "user name or password",
		"https://*.example":             "wildcards",
		"https://bjørn.example":         "xn--",
		"https://app..example":          "no valid host and port",
		"https://127.1":                 "write in another way",
		"https://[::ffff:127.0.0.1]":    "write in another way",
		"https://app.example.":          "without a dot at its end",
		"http://app.example":            "loopback hosts only",
	} {
		if _, _, _, err := parsePublicURL(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("parsePublicURL(%q): %v, want %q", in, err, want)
		}
	}
}

func TestSec_C055_NormalizeHost(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ host, scheme, want string }{
		{"app.example", "https", "app.example"},
		{"APP.Example:443", "https", "app.example"},
		{"app.example:443", "http", "app.example:443"},
		{"app.example:80", "http", "app.example"},
		{"app.example:80", "https", "app.example:80"},
		{"app.example.", "https", "app.example."},
		{"a_b.example", "https", "a_b.example"},
		{"[::1]", "http", "[::1]"},
		{"[::1]:80", "http", "[::1]"},
		{"[2001:DB8::1]:8443", "https", "[2001:db8::1]:8443"},
		{"", "https", ""},
		{":443", "https", ""},
		{"app.example:", "https", ""},
		{"app.example:99999", "https", ""},
		{"app.example:00443", "https", ""},
		{"app.example:443:443", "https", ""},
		{"app.example@evil.example", "https", ""},
		{"app.example/evil", "https", ""},
		{"app.example,evil.example", "https", ""},
		{"app.example evil.example", "https", ""},
		{"app.example\x00", "https", ""},
		{"åpp.example", "https", ""},
		{"::1", "https", ""},
		{"[::1]x", "https", ""},
		{"[::1]x443", "https", ""},
		{"[::1%25eth0]", "https", ""},
		{"[127.0.0.1]", "https", ""},
		{"[", "https", ""},
		{"app..example", "https", ""},
		{".", "https", ""},
		{strings.Repeat("a", 256), "https", ""},
	} {
		if got := normalizeHost(test.host, test.scheme); got != test.want {
			t.Errorf("normalizeHost(%q, %s) = %q, want %q", test.host, test.scheme, got, test.want)
		}
	}
}

func FuzzNormalizeHost(f *testing.F) {
	for _, seed := range []string{"app.example", "APP.EXAMPLE:443", "[::1]:80", "a@b", "a:b:c", "[::", "é", "."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, h string) {
		for _, scheme := range []string{"http", "https"} {
			got := normalizeHost(h, scheme)
			if got == "" {
				continue
			}
			if again := normalizeHost(got, scheme); again != got {
				t.Fatalf("normalizeHost(%q) = %q, which becomes %q", h, got, again)
			}
			u, err := url.Parse(scheme + "://" + got + "/")
			if err != nil || u.Host != got || u.User != nil || u.Path != "/" || strings.ToLower(got) != got {
				t.Fatalf("normalizeHost(%q) = %q, parsed as %v, %v", h, got, u, err)
			}
		}
	})
}

func FuzzParsePublicURL(f *testing.F) {
	for _, seed := range []string{"https://app.example", "http://localhost:4190/", "http://[::1]", "https://*.example", "https://a@b", "https://127.1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		origin, host, loopback, err := parsePublicURL(s)
		if err != nil {
			return
		}
		u, parseErr := url.Parse(origin)
		if parseErr != nil || u.Host != host || u.Scheme+"://"+host != origin || u.User != nil || u.Path != "" {
			t.Fatalf("parsePublicURL(%q) = %q, %q: %v", s, origin, host, parseErr)
		}
		if got := BrowserOrigin(origin, "/"); got != "" && got != origin { // it is "" for an xn-- that stands for nothing
			t.Fatalf("parsePublicURL(%q) = %q, and a browser says %q", s, origin, got)
		}
		if u.Scheme == "http" && !loopback {
			t.Fatalf("parsePublicURL(%q) allows http on %q", s, host)
		}
		if o, h, l, err := parsePublicURL(origin); err != nil || o != origin || h != host || l != loopback {
			t.Fatalf("parsePublicURL(%q) = %q, which is read as %q, %v", s, origin, o, err)
		}
	})
}
