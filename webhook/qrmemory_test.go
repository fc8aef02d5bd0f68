package webhook_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Attack: a callback is sent again at the end of its time, and one that names the same login and was signed for later: each is still good for
// whoever only looks at its signature and its times. What was redeemed is remembered for longer than that.
func TestSec_A161_RememberedForLongerThanTheyAreGood(t *testing.T) {
	t.Parallel()
	p := newQRProvider(t)
	now := time.Now()
	var ahead atomic.Int64
	cfg := p.config()
	cfg.Now = func() time.Time { return now.Add(time.Duration(ahead.Load())) }
	l := newQRLab(t, cfg)
	made := func(authReqID, salt string, iat time.Time) string {
		return p.sign(map[string]any{"aud": qrClient, "auth_req_id": authReqID, "iss": p.srv.URL + "/", "exp": iat.Add(5 * time.Minute).Unix(), "iat": iat.Unix(), "salt": salt})
	}
	want := func(what, body string, logins bool) {
		t.Helper()
		before := p.tokens.Load()
		if status, text := l.post(body); status != http.StatusOK || text != "" {
			t.Errorf("%s: %d %q", what, status, text)
		}
		// Logins are made in the order in which they come: after this one there is none of before.
		after := made("after-"+strings.ReplaceAll(what, " ", "-"), "", cfg.Now())
		if status, _ := l.post(after); status != http.StatusOK {
			t.Fatalf("after %s: %d", what, status)
		}
		n := int32(1)
		if logins {
			n = 2
		}
		for range n {
			if l.next(30*time.Second) == nil {
				t.Fatalf("%s: a login is missing", what)
			}
		}
		if got := p.tokens.Load() - before; got != n {
			t.Errorf("%s: %d exchanges", what, got-1)
		}
	}
	early := made("early", "a", now.Add(50*time.Second)) // our clock is behind
	want("one", made("one", "a", now), true)
	want("one of a minute ahead", early, true)
	ahead.Store(int64(5*time.Minute - time.Second))
	want("one, at the end of its time", made("one", "a", now), false)
	want("one, as another text", made("one", "b", cfg.Now()), false)
	ahead.Store(int64(5*time.Minute + 45*time.Second))
	want("one of a minute ahead, at the end of its time", early, false)
	want("one of a minute ahead, as another text", made("early", "b", cfg.Now()), false)
}

// Attack: strangers name ever new keys while the provider's can't be had, so that each of their callbacks makes another request of ours. There
// is a pause between two, which grows.
func TestSec_A162_UnknownKeysWhileTheProviderIsAway(t *testing.T) {
	t.Parallel()
	p := newQRProvider(t)
	now := time.Now()
	var ahead atomic.Int64
	cfg := p.config()
	cfg.Now = func() time.Time { return now.Add(time.Duration(ahead.Load())) }
	l := newQRLab(t, cfg)
	if status, _ := l.post(p.callback("first", "")); status != http.StatusOK || l.next(30*time.Second) == nil {
		t.Fatal("the first callback has no effect")
	}
	p.away.Store(true)
	before := p.keys.Load()
	for i := range 600 { // ten a second, for a minute
		ahead.Add(int64(100 * time.Millisecond))
		if status, _ := l.post(forgedJWS(fmt.Sprint("away-", i))); status != http.StatusUnauthorized {
			t.Fatalf("number %d: %d", i, status)
		}
	}
	if n := p.keys.Load() - before; n < 1 || n > 8 {
		t.Errorf("the keys were asked for %d times in a minute", n)
	}
}
