package merchant

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/internal/rate"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// Attack: somebody fills the memory, or makes room for themselves in the counts by filling them. What there is of buckets is
// kept; a fresh one is refused while all are in use, and has room again when others are full.
func TestSec_A154_CountsAreBounded(t *testing.T) {
	t.Parallel()
	l := newLimiter()
	three := rate.Limit{Count: 3, Period: 10 * time.Minute}
	of := func(n int) bucket {
		b := bucket{name: limitPhone, limit: three}
		binary.BigEndian.PutUint64(b.key[:], uint64(n)+1)
		return b
	}
	for range 3 {
		if err := l.take(0, of(0)); err != nil {
			t.Fatal(err)
		}
	}
	refused := 0
	for n := range maxBuckets + 1000 {
		if l.take(0, of(n+1)) != nil {
			refused++
		}
	}
	if refused < 1000 || len(l.buckets) > maxBuckets {
		t.Errorf("%d buckets, %d refused", len(l.buckets), refused)
	}
	if l.take(0, of(0)) == nil {
		t.Error("the first number was forgotten")
	}
	if err := l.take(11*time.Minute, of(maxBuckets+5000)); err != nil {
		t.Errorf("when the others are full again: %v", err)
	}
}

// No more logins are known than fit, nor of one caller. Those that ended make room, and those under way don't.
func TestLoginsAreBounded(t *testing.T) {
	t.Parallel()
	client, err := vipps.New(vipps.Config{Issuer: "http://127.0.0.1:1/", ClientID: "c", ClientSecret: "not-a-secret"})
	if err != nil {
		t.Fatal(err)
	}
	key, err := session.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	l, err := New(Config{Client: client, Keys: session.Keys{key}, CallerLimit: rate.Off})
	if err != nil {
		t.Fatal(err)
	}
	full := func(caller string) bool {
		_, err := l.Start(t.Context(), caller, Request{CustomerToken: "abc" + caller})
		limit, ok := errors.AsType[*LimitError](err)
		return ok && limit.Limit == limitWaiting
	}
	now := l.now()
	put := func(caller string) *entry {
		e := &entry{key: newKey(), caller: caller, created: now, expires: now.Add(time.Hour)}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.add(e, now)
		return e
	}
	for range maxCallerLogins {
		put("till-1")
	}
	if !full("till-1") || full("till-2") {
		t.Error("a caller's own limit")
	}
	var first, last *entry
	for i := range maxLogins - maxCallerLogins {
		last = put("till-2")
		if i == 0 {
			first = last
		}
	}
	if !full("till-3") {
		t.Error("all together")
	}
	l.mu.Lock()
	l.end(first, Canceled, "")
	l.end(last, Canceled, "")
	l.mu.Unlock()
	if full("till-3") {
		t.Error("those that ended make no room")
	}
	if l.logins[first.key] != nil || l.logins[last.key] == nil || len(l.logins) != maxLogins-1 {
		t.Errorf("another went than the one that ended first; %d are left", len(l.logins))
	}
	if l.starting != 0 || l.callers["till-3"] != 0 || l.pendings != maxLogins-2 {
		t.Errorf("counts: %d starting, %d of till-3, %d pending", l.starting, l.callers["till-3"], l.pendings)
	}
	if _, err := l.ids.open("till-1", strings.Repeat("1", 1<<20)); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
}
