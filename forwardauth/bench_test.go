package forwardauth_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/vippsauth/vippsauth/forwardauth"
)

// warmQuestion is a judged request of somebody who has logged in.
func warmQuestion(tb testing.TB, l *lab, b *browser) forwardauth.Original {
	tb.Helper()
	return forwardauth.Original{
		Method: "GET", Scheme: "http", Host: l.site.Listener.Addr().String(), URI: "/orders?page=2",
		Header: http.Header{
			"Cookie": {"vippsauth=" + b.cookie("vippsauth")}, "Accept": {"text/html"}, "User-Agent": {"Mozilla/5.0"},
			"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"},
		},
	}
}

// TestSec_D57_DecideAllocations holds the promise: at most 4 allocations with a warm session, at most 25 to open a
// cookie never seen before.
func TestSec_D57_DecideAllocations(t *testing.T) {
	l := newLab(t, nil)
	b := l.loggedIn(phoneAase)
	o := warmQuestion(t, l, b)
	if d := l.engine.Decide(o); !d.Authenticated() || d.Sub() == "" {
		t.Fatalf("decided %v", d.Verdict)
	}
	if n := testing.AllocsPerRun(1000, func() { l.engine.Decide(o) }); n > 4 {
		t.Errorf("warm: %v allocations, want at most 4", n)
	}
	if n := testing.AllocsPerRun(200, func() {
		l.engine.ForgetOpened()
		l.engine.Decide(o)
	}); n > 25 {
		t.Errorf("cold: %v allocations, want at most 25", n)
	}
}

func BenchmarkDecide(b *testing.B) {
	l := newLab(b, nil)
	o := warmQuestion(b, l, l.loggedIn(phoneAase))
	b.Run("warm", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if d := l.engine.Decide(o); !d.Authenticated() {
				b.Fatal(d.Verdict)
			}
		}
	})
	b.Run("warm on all cores", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if d := l.engine.Decide(o); !d.Authenticated() {
					b.Error(d.Verdict)
				}
			}
		})
	})
	b.Run("cold", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			l.engine.ForgetOpened()
			if d := l.engine.Decide(o); !d.Authenticated() {
				b.Fatal(d.Verdict)
			}
		}
	})
}

// sink is a ResponseWriter whose header map is fresh for each request, as net/http's is.
type sink struct{ header http.Header }

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }
func (s *sink) WriteHeader(int)             {}

// BenchmarkForwardAuth is the whole handler of an allowed check, without net/http around it.
func BenchmarkForwardAuth(b *testing.B) {
	l := newLab(b, nil)
	header := l.judged("/orders?page=2")
	header["Cookie"] = []string{"vippsauth=" + l.loggedIn(phoneAase).cookie("vippsauth")}
	r := &http.Request{Method: "GET", URL: &url.URL{Path: "/_vipps/authz/forward-auth"}, Host: "auth", RemoteAddr: "127.0.0.1:40000", Header: header}
	handler := l.engine.ForwardAuth()
	b.ReportAllocs()
	for b.Loop() {
		w := sink{header: make(http.Header)}
		handler.ServeHTTP(&w, r)
		if len(w.header["X-Vipps-Sub"]) != 1 {
			b.Fatal(w.header)
		}
	}
}
