package forwardauth

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/internal/rate"
)

// The bucket holds its number at once, gives back one at a time, and says when; a clock that is turned back or a limit that
// was changed locks nobody out for longer than one of them takes.
func TestLoginLimitTakes(t *testing.T) {
	t.Parallel()
	limit := rate.Limit{Count: 6, Period: time.Minute}
	now := stateEpoch
	var l loginLimiter
	client := netip.MustParseAddr("203.0.113.7")
	take := func() (string, time.Duration) { return l.take(client, limit, rate.Limit{}, now) }
	for i := range 6 {
		if at, wait := take(); at != limitNone || wait != 0 {
			t.Fatalf("the %dth is refused: %s %s", i+1, at, wait)
		}
	}
	for range 100 { // which don't make it worse
		if at, wait := take(); at != limitClient || wait != 10*time.Second {
			t.Fatalf("the one too many: %q %s", at, wait)
		}
	}
	now = now.Add(9 * time.Second)
	if at, wait := take(); at != limitClient || wait != time.Second {
		t.Errorf("a second too early: %q %s", at, wait)
	}
	now = now.Add(time.Second)
	if at, _ := take(); at != limitNone {
		t.Error("the one that came back is refused")
	}
	if at, _ := take(); at != limitClient {
		t.Error("two came back at once")
	}
	now = now.Add(-time.Hour)
	if at, wait := take(); at != limitClient || wait > 10*time.Second {
		t.Errorf("the clock was turned back: %q %s", at, wait)
	}
	limit = rate.Limit{Count: 2, Period: 2 * time.Second}
	if at, wait := take(); at != limitClient || wait > time.Second {
		t.Errorf("the limit was changed: %q %s", at, wait)
	}
	now = now.Add(3 * time.Hour)
	if at, _ := take(); at != limitNone {
		t.Error("still refused after three hours")
	}
}

// All clients share the total, and one that may not start any more takes nothing of it.
func TestLoginLimitTotal(t *testing.T) {
	t.Parallel()
	each, all := rate.Limit{Count: 2, Period: time.Minute}, rate.Limit{Count: 5, Period: time.Minute}
	var l loginLimiter
	take := func(client string) string {
		addr, _ := netip.ParseAddr(client) // "" is nobody
		limit, _ := l.take(addr, each, all, stateEpoch)
		return limit
	}
	for _, step := range []struct{ client, want string }{
		{"203.0.113.1", ""},
		{"203.0.113.1", ""},
		{"203.0.113.1", limitClient},
		{"203.0.113.1", limitClient},
		{"203.0.113.1", limitClient},
		{"203.0.113.2", ""},
		{"", ""},
		{"", ""},
		{"", limitTotal},
		{"203.0.113.2", limitTotal},
		{"203.0.113.3", limitTotal},
		{"203.0.113.1", limitClient},
	} {
		if got := take(step.client); got != step.want {
			t.Errorf("%q: %q, want %q", step.client, got, step.want)
		}
	}
	// What the total refused was not counted for the client either.
	if limit, _ := l.take(netip.MustParseAddr("203.0.113.3"), each, rate.Limit{}, stateEpoch); limit != limitNone {
		t.Error("a client pays for what the total refused")
	}
}

// Attack: logins from a million addresses, to fill the memory, or to push out the bucket of an address that is at its end.
func TestSec_C073_LimiterIsBounded(t *testing.T) {
	limit := rate.Limit{Count: 5, Period: time.Hour}
	var l loginLimiter
	exhausted := netip.MustParseAddr("203.0.113.7")
	for range 5 {
		l.take(exhausted, limit, rate.Limit{}, stateEpoch)
	}
	before := heapInUse()
	for i := range 1_000_000 {
		l.take(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), limit, rate.Limit{}, stateEpoch)
	}
	if grown := heapInUse() - before; grown > 1<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	if len(l.clients) != limitSets*limitWays {
		t.Errorf("%d clients are kept", len(l.clients))
	}
	if at, _ := l.take(exhausted, limit, rate.Limit{}, stateEpoch); at != limitClient {
		t.Error("others have pushed out a client that was at its end")
	}
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// The day begins in an office of two hundred people behind one address: each browser makes a silent attempt and a full one
// within the same minute, by the limits that are there without any setting.
func TestLoginLimitDefaultsFitAnOffice(t *testing.T) {
	t.Parallel()
	each, all, errs := (&Config{}).parseLimits()
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	var l loginLimiter
	office := netip.MustParseAddr("203.0.113.7")
	for i := range 2 * 200 {
		if limit, _ := l.take(office, each, all, stateEpoch.Add(time.Duration(i)*time.Minute/400)); limit != limitNone {
			t.Fatalf("the %dth attempt is refused by %s", i+1, limit)
		}
	}
}

// Attack: B-066, B-032: an X-Forwarded-For of a client's own making, to be counted as somebody else each time. What a proxy
// that isn't trusted says doesn't count; of a trusted one the last address counts that is no trusted proxy's; and what is no
// address counts for the peer. Nothing of it is ever an identity.
func TestSec_B032_B066_C063_ClientOf(t *testing.T) {
	t.Parallel()
	trust, errs := parseTrusted([]string{"192.0.2.0/24", "2001:db8:f::/48", "unix"})
	if errs != nil {
		t.Fatal(errs)
	}
	e := &Engine{trust: trust}
	many := strings.Repeat("192.0.2.9, ", 999) + "192.0.2.9"
	for name, tt := range map[string]struct {
		peer  string
		lines []string
		want  string // "" is nobody
	}{
		"no proxy":                     {"203.0.113.7:5", nil, "203.0.113.7"},
		"no proxy, and a header":       {"203.0.113.7:5", []string{"1.3.3.4"}, "203.0.113.7"},
		"no proxy, over IPv6":          {"[2001:db8:a:b:1:2:3:4]:5", nil, "2001:db8:a:b::"},
		"its neighbour":                {"[2001:db8:a:b:ffff::9]:5", []string{"1.3.3.4"}, "2001:db8:a:b::"},
		"IPv4 in IPv6":                 {"[::ffff:203.0.113.7]:5", nil, "203.0.113.7"},
		"with a zone":                  {"[fe80::1%eth0]:5", nil, "fe80::"},
		"a proxy":                      {"192.0.2.1:5", []string{"203.0.113.7"}, "203.0.113.7"},
		"a proxy over IPv6":            {"[2001:db8:f::1]:5", []string{"2001:db8:1:2::3"}, "2001:db8:1:2::"},
		"the client made one up":       {"192.0.2.1:5", []string{"1.3.3.4, 203.0.113.7"}, "203.0.113.7"},
		"in a line of its own":         {"192.0.2.1:5", []string{"1.3.3.4", "203.0.113.7"}, "203.0.113.7"},
		"a chain":                      {"192.0.2.1:5", []string{"1.3.3.4, 203.0.113.7, 192.0.2.3,192.0.2.2"}, "203.0.113.7"},
		"a chain in lines":             {"192.0.2.1:5", []string{"1.3.3.4,203.0.113.7", "192.0.2.2"}, "203.0.113.7"},
		"all of them proxies":          {"192.0.2.1:5", []string{"192.0.2.3, 192.0.2.2"}, "192.0.2.3"},
		"mapped":                       {"192.0.2.1:5", []string{"::ffff:1.2.3.4"}, "1.2.3.4"},
		"with a port":                  {"192.0.2.1:5", []string{"1.2.3.4:80"}, "1.2.3.4"},
		"IPv6 with a port":             {"192.0.2.1:5", []string{"[2001:db8:1:2::3]:443"}, "2001:db8:1:2::"},
		"blanks":                       {"192.0.2.1:5", []string{" \t203.0.113.7 \t"}, "203.0.113.7"},
		"garbage":                      {"192.0.2.1:5", []string{"a"}, "192.0.2.1"},
		"unknown":                      {"192.0.2.1:5", []string{"unknown"}, "192.0.2.1"},
		"garbage before a proxy":       {"192.0.2.1:5", []string{"_hidden, 192.0.2.2"}, "192.0.2.1"},
		"an empty end":                 {"192.0.2.1:5", []string{"203.0.113.7,"}, "192.0.2.1"},
		"leading zeros":                {"192.0.2.1:5", []string{"203.0.113.007"}, "192.0.2.1"},
		"a number":                     {"192.0.2.1:5", []string{"3405803783"}, "192.0.2.1"},
		"a thousand":                   {"192.0.2.1:5", []string{many}, "192.0.2.1"},
		"a thousand behind the client": {"192.0.2.1:5", []string{many + ", 203.0.113.7"}, "203.0.113.7"},
		"nothing said":                 {"192.0.2.1:5", nil, ""},
		"nothing but blanks":           {"192.0.2.1:5", []string{" , "}, ""},
		"a socket":                     {"@", []string{"203.0.113.7"}, "203.0.113.7"},
		"a socket that says nothing":   {"@", nil, ""},
		"a socket that says garbage":   {"@", []string{"a"}, "::"},
	} {
		r := httptest.NewRequest("GET", "/_vipps/login", nil)
		r.RemoteAddr = tt.peer
		if tt.lines != nil {
			r.Header["X-Forwarded-For"] = tt.lines
		}
		got := ""
		if addr := e.clientOf(r); addr.IsValid() {
			got = addr.String()
		}
		if got != tt.want {
			t.Errorf("%s: counted as %q, want %q", name, got, tt.want)
		}
	}
}

// What a front end knows of the client comes before what r says; where it knows that nobody knows, nobody is counted.
func TestClientOfTheFrontEnd(t *testing.T) {
	t.Parallel()
	e := &Engine{trust: &trust{}}
	for known, want := range map[string]string{
		"203.0.113.7": "203.0.113.7", "2001:db8:a:b:1::2": "2001:db8:a:b::", "": "192.0.2.1", "garbage": "192.0.2.1", ClientUnknown: "invalid IP",
	} {
		r := httptest.NewRequest(http.MethodGet, "/_vipps/login", nil)
		r.RemoteAddr = "192.0.2.1:5"
		r = (&Original{ClientIP: known}).withClient(r)
		if got := e.clientOf(r).String(); got != want {
			t.Errorf("%q: %s, want %s", known, got, want)
		}
	}
}

// X-Forwarded-For is anybody's to write: reading it never panics, and never gives an address that isn't in it.
func FuzzSec_B066_ForwardedFor(f *testing.F) {
	for _, seed := range []string{"", ",", "a", "1.2.3.4", "1.2.3.4, 192.0.2.1", "::ffff:1.2.3.4", "1.2.3.4:80", "[::1]:80", "fe80::1%eth0", "unknown, 192.0.2.1", "\t, \t"} {
		f.Add(seed, seed)
	}
	trusted := netip.MustParsePrefix("192.0.2.0/24")
	f.Fuzz(func(t *testing.T, one, two string) {
		addr, said := forwardedClient([]string{one, two}, trusted.Contains)
		if addr.IsValid() && !said {
			t.Error("an address that nobody said")
		}
		if !addr.IsValid() {
			return
		}
		for entry := range strings.SplitSeq(one+","+two, ",") {
			if in, ok := parseClient(strings.Trim(entry, " \t")); ok && in == addr {
				return
			}
		}
		t.Errorf("%q, %q: %s", one, two, addr)
	})
}
