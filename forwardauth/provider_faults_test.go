package forwardauth_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/vippsauth/vippsauth/vipps"
)

// D-05: whatever an endpoint answers that it should not, the person gets a page that says when to try again, the fault
// is logged once, and it is never taken for a "no": no second attempt, with a dialog, follows the silent one.
func TestSec_D05_BadAnswers(t *testing.T) {
	t.Parallel()
	status := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			_, _ = w.Write([]byte(body))
		}
	}
	slow := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(http.StatusTooManyRequests)
	}
	for name, tt := range map[string]struct {
		h    http.HandlerFunc
		away bool // to be told as passing
	}{
		"500":                    {status(500, `{"error":"login_required"}`), true},
		"502 HTML":               {status(502, "<html>Bad gateway</html>"), true},
		"503 interaction":        {status(503, `{"error":"interaction_required"}`), true},
		"429":                    {slow, true},
		"hangs up":               {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true},
		"400 login_required":     {status(400, `{"error":"login_required"}`), false},
		"HTML":                   {status(200, "<html>Log in to the network</html>"), false},
		"empty":                  {status(200, ""), false},
		"cut JSON":               {status(200, `{"issuer":`), false},
		"null":                   {status(200, "null"), false},
		"array":                  {status(200, "[]"), false},
		"login_required and 200": {status(200, `{"error":"login_required"}`), false},
		"204":                    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, false},
	} {
		for _, endpoint := range []string{epDiscovery, epToken, epKeys, epUserinfo} {
			t.Run(name+" "+endpoint, func(t *testing.T) {
				t.Parallel()
				p := newProvider(t)
				p.handlers[endpoint] = tt.h
				r := newRP(t, p, nil)
				a := r.refused("vipps: " + map[string]string{epDiscovery: "discovery", epToken: "token", epKeys: "keys", epUserinfo: "userinfo"}[endpoint])
				retry := a.Header.Get("Retry-After")
				switch {
				case tt.away && (a.StatusCode != http.StatusServiceUnavailable || retry == ""):
					t.Errorf("the page: %d, Retry-After %q", a.StatusCode, retry)
				case !tt.away && a.StatusCode != http.StatusBadGateway:
					t.Errorf("the page: %d", a.StatusCode)
				case name == "429" && retry != "120":
					t.Errorf("Retry-After %q, the provider said 120", retry)
				}
				if got := p.counted(); got.authorize > 1 || got.token > 1 {
					t.Errorf("called %+v", got)
				}
			})
		}
	}
}

// D-08: keys that come, go and are missing for a while, at every moment of a login.
func TestSec_D08_KeyRotations(t *testing.T) {
	t.Parallel()
	one, two := opKey{"public:one", jose.RS256, opRSA[0]()}, opKey{"public:two", jose.RS256, opRSA[1]()}
	start := func(t *testing.T) *rp {
		r := newRP(t, newProvider(t), nil)
		r.op.now = r.clock.now
		r.accepted()
		return r
	}
	t.Run("announced before it signs", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		r.op.change(func() { r.op.keys = []opKey{one, two} })
		r.accepted()
		r.want(calls{1, 2, 2, 1, 2})
		r.op.change(func() { r.op.keys = []opKey{two, one} })
		r.accepted()
		r.want(calls{1, 3, 3, 2, 3})
	})
	t.Run("published after it signs", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		r.op.change(func() { r.op.sign = two.sign })
		r.log.TakeAll()
		b := r.browser()
		if a := b.visit("/"); a.StatusCode != http.StatusBadGateway || b.cookie("vippsauth") != "" {
			t.Errorf("a token by a key that nobody knows yet: %d", a.StatusCode)
		}
		r.want(calls{1, 2, 2, 2, 1})
		r.op.change(func() { r.op.keys = []opKey{two} })
		r.clock.advance(31 * time.Second)
		r.accepted()
		r.want(calls{1, 3, 3, 3, 2})
	})
	t.Run("unknown keys cost one fetch in 30 seconds", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		r.op.change(func() { r.op.sign = two.sign })
		for range 5 {
			r.browser().visit("/")
		}
		r.want(calls{1, 6, 6, 2, 1})
		r.op.change(func() { r.op.sign = nil })
		r.accepted()
		r.want(calls{1, 7, 7, 2, 2})
	})
	t.Run("empty for a while", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		r.op.change(func() { r.op.jwks = func() any { return obj{"keys": []any{}} } })
		r.clock.advance(2 * time.Hour)
		r.accepted()
		r.op.change(func() { r.op.jwks, r.op.keys = nil, []opKey{two} })
		r.clock.advance(2 * time.Second)
		r.accepted()
	})
	t.Run("a key that was taken out verifies nothing any more", func(t *testing.T) {
		t.Parallel()
		r := start(t)
		r.op.change(func() { r.op.keys = []opKey{two} })
		r.clock.advance(61 * time.Minute) // the hour that the set may be used is over
		r.op.change(func() { r.op.sign = one.sign })
		b := r.browser()
		if a := b.visit("/"); a.StatusCode != http.StatusBadGateway || b.cookie("vippsauth") != "" {
			t.Errorf("a token by the old key: %d", a.StatusCode)
		}
	})
}

// D-09: metadata is read anew when it has expired. Endpoints that move are followed; an issuer that changes is not, and
// the operator is told that what is in use is old.
func TestSec_D09_MetadataChanges(t *testing.T) {
	t.Parallel()
	t.Run("endpoints move", func(t *testing.T) {
		t.Parallel()
		r := newRP(t, newProvider(t), nil)
		r.op.now = r.clock.now
		r.accepted()
		old := r.op.url(epToken)
		r.op.change(func() {
			for path, endpoint := range r.op.paths {
				if endpoint == epToken {
					delete(r.op.paths, path)
				}
			}
			r.op.paths["/moved/token"] = epToken
		})
		r.clock.advance(2 * time.Hour)
		r.accepted()
		r.want(calls{2, 2, 2, 2, 2})
		if r.op.url(epToken) == old {
			t.Error("the endpoint did not move")
		}
	})
	t.Run("the issuer changes", func(t *testing.T) {
		t.Parallel()
		r := newRP(t, newProvider(t), nil)
		r.op.now = r.clock.now
		r.accepted()
		r.op.change(func() {
			r.op.metadata = func(m obj) {
				m["issuer"] = "https://evil.example/"
				for _, name := range []string{"authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"} {
					m[name] = "http://127.0.0.1:1/" + name
				}
			}
		})
		r.clock.advance(25 * time.Hour)
		for range 3 {
			r.accepted() // with what was read before
		}
		told := r.log.FilterMessage("the provider's metadata or keys can't be renewed: older ones are in use").All()
		if len(told) != 1 || !strings.Contains(text(told[0].ContextMap()), "issuer_mismatch") {
			t.Errorf("the operator was told %d times: %v", len(told), told)
		}
	})
}

func text(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// D-10: the provider's clock and ours differ. A minute is tolerated, both ways; beyond, the page and the log say that
// it is the clock, and by how much.
func TestSec_D10_ClocksThatDiffer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		ahead time.Duration // the provider's clock before ours
		code  string
		says  string
	}{
		{30 * time.Second, "", ""},
		{-30 * time.Second, "", ""},
		{55 * time.Second, "", ""},
		{-55 * time.Second, "", ""},
		{2 * time.Minute, vipps.CodeIssuedInFuture, "clock is behind"},
		{10 * time.Minute, vipps.CodeIssuedInFuture, "clock is behind"},
		{-2 * time.Minute, vipps.CodeExpired, "clock is ahead"}, // of tokens that live for a minute
		{-12 * time.Minute, vipps.CodeExpired, "clock is ahead"},
	} {
		t.Run(tt.ahead.String(), func(t *testing.T) {
			t.Parallel()
			p := newProvider(t)
			p.now = func() time.Time { return time.Now().Add(tt.ahead) }
			p.claims = func(c obj) { c["exp"] = p.now().Add(time.Minute).Unix() - 3 }
			r := newRP(t, p, nil)
			if tt.code == "" {
				r.accepted()
				return
			}
			a := r.refused(tt.code)
			if a.StatusCode != http.StatusBadGateway || !strings.Contains(a.text, "The clocks disagree") {
				t.Errorf("the page does not say that it is the clock: %d", a.StatusCode)
			}
			if causes := text(r.faults()[0]["likely_causes"]); !strings.Contains(causes, tt.says) || !strings.Contains(causes, "NTP") {
				t.Errorf("the log names %s", causes)
			}
		})
	}
}

// D-10: our own clock jumps. Small jumps and an hour forward end nobody's session but those that were over; an hour back
// hides sessions that would be from the future, ends none, and they are there again once the clock is right.
func TestSec_D10_OurClockJumps(t *testing.T) {
	t.Parallel()
	r := newRP(t, newProvider(t), nil)
	r.op.now = r.clock.now
	people := make([]*browser, 20)
	for i := range people {
		people[i] = r.accepted()
	}
	alive := func() (n int) {
		r.engine.ForgetOpened()
		for _, b := range people {
			a := b.send("GET", "/_vipps/authz/auth-request", r.original("/page"), "")
			if a.StatusCode == http.StatusOK {
				n++
			}
			for _, line := range a.Header["Set-Cookie"] {
				if strings.HasPrefix(line, "vippsauth=") {
					t.Fatalf("a session's cookie was changed: %s", line)
				}
			}
		}
		return n
	}
	for _, jump := range []struct {
		by   time.Duration
		want int
	}{
		{30 * time.Second, 20},
		{-60 * time.Second, 20},
		{30 * time.Second, 20},
		{2 * time.Minute, 20},
		{-2 * time.Minute, 20},
		{time.Hour, 20},
		{-2 * time.Hour, 0}, // now an hour behind
		{time.Hour, 20},
		{10 * time.Minute, 20},
		{-5 * time.Minute, 20},
		{-4 * time.Minute, 20},
	} {
		r.clock.advance(jump.by)
		if got := alive(); got != jump.want {
			t.Errorf("after %v: %d sessions, want %d", jump.by, got, jump.want)
		}
	}
}
