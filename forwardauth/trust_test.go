package forwardauth

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps"
)

func TestSec_C060_TrustedPeers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		list    []string
		trusted []string
		others  []string
	}{
		{
			nil, nil,
			[]string{"127.0.0.1:1", "[::1]:1", "10.0.0.1:1", "@", "", "/run/x.sock", "garbage"},
		},
		{
			[]string{"loopback"},
			[]string{"127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:80", "127.0.0.1"},
			[]string{"128.0.0.1:1", "10.0.0.1:1", "@", "", "[::2]:1"},
		},
		{
			[]string{"private"},
			[]string{"10.1.2.3:1", "172.16.0.1:1", "172.31.255.255:1", "192.168.1.1:1", "[fd00::1]:1", "[::ffff:10.0.0.1]:1"},
			[]string{"172.32.0.1:1", "192.169.0.1:1", "127.0.0.1:1", "[fe80::1%eth0]:1", "[2001:db8::1]:1", "@"},
		},
		{
			[]string{" unix "},
			[]string{"@", "", "/run/proxy.sock", "@abstract"},
			[]string{"127.0.0.1:1", "unknown"},
		},
		{
			[]string{"203.0.113.7", "198.51.100.0/24", "2001:db8::/32", "fe80::/10", "::ffff:192.0.2.0/120", "::ffff:192.0.3.1"},
			[]string{"203.0.113.7:9", "198.51.100.200:9", "[2001:db8:1::1]:9", "[fe80::1%eth0]:9", "192.0.2.77:9", "[::ffff:192.0.2.77]:9", "192.0.3.1:9"},
			[]string{"203.0.113.8:9", "198.51.101.0:9", "[2001:db9::1]:9", "192.0.3.2:9", "a:1", "203.0.113.7:x", "203.0.113.7:80:80", "203.0.113.7, 10.0.0.1"},
		},
	} {
		trusted, problems := parseTrusted(test.list)
		if len(problems) > 0 {
			t.Fatalf("%q: %v", test.list, problems)
		}
		for _, peer := range test.trusted {
			if !trusted.peer(peer) {
				t.Errorf("%q: %q is not trusted", test.list, peer)
			}
		}
		for _, peer := range test.others {
			if trusted.peer(peer) {
				t.Errorf("%q: %q is trusted", test.list, peer)
			}
		}
	}
	if (*trust)(nil).peer("127.0.0.1:1") || (&trust{}).peer("@") {
		t.Error("the zero trust trusts somebody")
	}
}

func TestParseTrustedRefuses(t *testing.T) {
	t.Parallel()
	for entry, hint := range map[string]string{
		"0.0.0.0/0":      "every address",
		"::/0":           "every address",
		"::ffff:0:0/96":  "every address",
		"10.0.0.1/0":     "every address",
		"":               "empty",
		"public":         "must be",
		"app.example":    "must be",
		"10.0.0.0/33":    "must be",
		"10.0.0/8":       "must be",
		"10.0.0.1:80":    "must be",
		"172.18.0.1/16":  "bits set",
		"10.0.0.1 ,x":    "must be",
		"fe80::/10%eth0": "must be",
		"Loopback":       "must be",
	} {
		_, problems := parseTrusted([]string{"loopback", entry})
		var config *vipps.ConfigError
		if len(problems) != 1 || !errors.As(problems[0], &config) || config.Setting != "trusted_proxies" || !strings.Contains(config.Reason, hint) ||
			!strings.HasPrefix(config.Reason, "entry 2: ") {
			t.Errorf("%q: %v, want a problem with %q", entry, problems, hint)
		}
	}
}

func TestTrustPeerDoesNotAllocate(t *testing.T) {
	trusted, _ := parseTrusted([]string{"private", "loopback", "unix"})
	if n := testing.AllocsPerRun(100, func() {
		trusted.peer("203.0.113.7:443")
		trusted.peer("[2001:db8::1]:443")
		trusted.peer("@")
	}); n != 0 {
		t.Errorf("%.0f allocations", n)
	}
}

func FuzzTrustPeer(f *testing.F) {
	for _, seed := range []string{"127.0.0.1:1", "[::1]:2", "[fe80::1%eth0]:3", "@", "", "a", "::ffff:1.2.3.4"} {
		f.Add(seed, "10.0.0.0/8")
	}
	f.Fuzz(func(t *testing.T, peer, entry string) {
		(&trust{}).peer(peer)
		if trusted, problems := parseTrusted([]string{entry}); len(problems) == 0 {
			if trusted.peer(peer) && trusted.peer("192.0.2.1:1") && trusted.peer("203.0.113.1:1") && trusted.peer("8.8.8.8:1") && trusted.peer("250.0.0.1:1") {
				t.Fatalf("%q trusts everybody", entry)
			}
		}
	})
}

func BenchmarkTrustPeer(b *testing.B) {
	trusted, _ := parseTrusted([]string{"private", "loopback", "unix"})
	b.ReportAllocs()
	for b.Loop() {
		trusted.peer("127.0.0.1:54321")
	}
}

// Attack: where the site's socket is, a program gives its own end of the connection the name 127.0.0.1:1.
func TestSec_C060_NameOfASocket(t *testing.T) { // not parallel: the name is a path, relative to where we are
	t.Chdir(t.TempDir())
	for _, tt := range []struct {
		trusted, own string
		want         bool
	}{{"loopback", "127.0.0.1:1", false}, {"unix", "127.0.0.1:2", true}} {
		trusted, problems := parseTrusted([]string{tt.trusted})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		e := &Engine{trust: trusted}
		got := make(chan bool, 1)
		ln, err := net.Listen("unix", tt.trusted+".sock")
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- e.Trusts(r) })}
		go func() { _ = srv.Serve(ln) }() // ends with Close
		conn, err := net.DialUnix("unix", &net.UnixAddr{Name: tt.own, Net: "unix"}, &net.UnixAddr{Name: tt.trusted + ".sock", Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte("GET / HTTP/1.0\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		select {
		case trusts := <-got:
			if trusts != tt.want {
				t.Errorf("trusting %s: %t", tt.trusted, trusts)
			}
		case <-time.After(30 * time.Second):
			t.Error("no answer")
		}
		_, _ = conn.Close(), srv.Close()
	}
}
