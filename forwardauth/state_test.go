package forwardauth

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

var stateEpoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Attack: logins and logouts by the million fill the memory. The set stays within its bound, and forgets first what would
// be forgotten soonest anyway: a revocation that holds for hours is not pushed out by states that hold for minutes.
func TestExpiringSetIsBounded(t *testing.T) {
	t.Parallel()
	const limit = 1000
	s := &expiringSet{max: limit}
	for i := range 100 {
		s.add("long "+strconv.Itoa(i), stateEpoch, stateEpoch.Add(8*time.Hour))
	}
	for i := range 20 * limit {
		now := stateEpoch.Add(time.Duration(i) * time.Millisecond)
		if !s.add("short "+strconv.Itoa(i), now, now.Add(30*time.Minute)) {
			t.Fatalf("the %dth is not new", i)
		}
		if len(s.until) > limit {
			t.Fatalf("%d entries, %d are the most", len(s.until), limit)
		}
	}
	now := stateEpoch.Add(20 * limit * time.Millisecond)
	for i := range 100 {
		if !s.has("long "+strconv.Itoa(i), now) {
			t.Fatalf("what holds longest was forgotten")
		}
	}
	if !s.has("short "+strconv.Itoa(20*limit-1), now) {
		t.Error("the last one was forgotten")
	}
	// All at one time: still bounded, still quick.
	same := &expiringSet{max: limit}
	for i := range 5 * limit {
		same.add(strconv.Itoa(i), stateEpoch, stateEpoch.Add(time.Hour))
	}
	if len(same.until) > limit {
		t.Errorf("%d entries of one time", len(same.until))
	}
}

// An entry is new once, holds until the latest of the times named for it, and is new again after that. A later name for a
// shorter time takes nothing back.
func TestExpiringSetExtends(t *testing.T) {
	t.Parallel()
	s := &expiringSet{max: 10}
	at := func(minutes int) time.Time { return stateEpoch.Add(time.Duration(minutes) * time.Minute) }
	if !s.add("x", at(0), at(10)) || s.add("x", at(1), at(5)) {
		t.Error("the first is new, and the second is not")
	}
	if !s.has("x", at(9)) || s.has("x", at(10)) {
		t.Error("a shorter time took something back, or an entry outlives its end")
	}
	if s.add("x", at(2), at(30)) || !s.has("x", at(29)) || s.has("x", at(30)) {
		t.Error("a longer time doesn't extend it")
	}
	if !s.add("x", at(30), at(40)) {
		t.Error("it is not new after its end")
	}
	if s.add("y", at(31), at(32)); len(s.until) != 2 {
		t.Errorf("%d entries", len(s.until))
	}
	if s.add("z", at(60), at(70)); len(s.until) != 1 {
		t.Errorf("what is over stays: %d entries", len(s.until))
	}
}

// Fifty callbacks with one state, at once: one of them is the first.
func TestStateIsUsedOnce(t *testing.T) {
	t.Parallel()
	s := NewState()
	var mu sync.Mutex
	var wg sync.WaitGroup
	first := 0
	ended := sessionRef{id: sessionDigest("session"), issued: stateEpoch.Unix()}
	for range 50 {
		wg.Go(func() {
			if s.use("state", stateEpoch, stateEpoch.Add(time.Minute)) {
				mu.Lock()
				first++
				mu.Unlock()
			}
			s.revoke(record{kind: endsSession, session: ended.id, at: ended.issued, until: stateEpoch.Add(time.Hour).Unix()}, stateEpoch)
			s.isRevoked(ended, stateEpoch)
		})
	}
	wg.Wait()
	if first != 1 || !s.isRevoked(ended, stateEpoch.Add(59*time.Minute)) || s.isRevoked(ended, stateEpoch.Add(time.Hour)) {
		t.Errorf("used %d times", first)
	}
}

// Ten attempts that vanish pause silent login; one that came back in between begins the count anew, and attempts of the
// last ten seconds may still come back.
func TestSilentPause(t *testing.T) {
	t.Parallel()
	s := NewState()
	for range silentVanishedAt {
		if s.silentStarted(stateEpoch) {
			t.Fatal("pauses too soon")
		}
	}
	if s.silentStarted(stateEpoch.Add(silentGrace - time.Second)) {
		t.Error("pauses while the last attempt may still come back")
	}
	s.silentReturned()
	if s.silentStarted(stateEpoch.Add(silentGrace)) || s.silentOff(stateEpoch.Add(silentGrace)) {
		t.Error("pauses although one came back")
	}
	for range silentVanishedAt {
		s.silentStarted(stateEpoch.Add(time.Minute))
	}
	if later := stateEpoch.Add(2 * time.Minute); !s.silentStarted(later) || !s.silentOff(later.Add(silentPause-1)) || s.silentOff(later.Add(silentPause)) {
		t.Error("doesn't pause, or not for an hour")
	}
}

// A waiting login is as old as its own cookie says, and not as the address that names it: the address could be the newer.
func TestConfirmationAge(t *testing.T) {
	t.Parallel()
	key, err := session.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	client, err := vipps.New(vipps.Config{Issuer: "http://127.0.0.1:1/", ClientID: "shop", ClientSecret: "shop secret"})
	if err != nil {
		t.Fatal(err)
	}
	now := stateEpoch
	e, err := New(Config{Client: client, Keys: session.Keys{key}, PublicURLs: []string{"http://localhost:4190"}, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	s := e.list[0]
	for age, want := range map[time.Duration]bool{
		0: true, resultTTL - time.Second: true, resultTTL: false, time.Hour: false, -clockSkew / 2: true, -clockSkew - time.Second: false,
	} {
		c := confirmation{Session: sessionData{ID: "id", Sub: "sub"}, Made: now.Add(-age)}
		id := vipps.NewStateID()
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
		if err := e.saveAttempt(w, r, s, id, c.payload(), s.confirms); err != nil {
			t.Fatal(err)
		}
		set, err := http.ParseSetCookie(w.Header().Get("Set-Cookie"))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, ok := e.findConfirmation(s, http.Header{"Cookie": {set.Name + "=" + set.Value}}, id); ok != want {
			t.Errorf("%s old: good %t", age, ok)
		}
	}
}
