package forwardauth

import (
	"bytes"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const testIssuer = "https://issuer.example/"

// session is the nth of somebody, begun so many minutes after stateEpoch.
func sessionOf(sub string, n, minute int) (sessionRef, record) {
	id := sub + " " + strconv.Itoa(n)
	ref := sessionRef{sessionDigest(id), personDigest(testIssuer, sub), stateEpoch.Add(time.Duration(minute) * time.Minute).Unix()}
	return ref, record{kind: endsSession, session: ref.id, person: ref.person, at: ref.issued, until: ref.issued + int64(8*time.Hour/time.Second)}
}

// Attack: somebody whose cookie was stolen logs out, and the thief logs in and out with an account of their own until the list
// of ended sessions is full, so that the stolen one is forgotten and opens again. None is ever forgotten before its time, and
// whoever fills the list ends nothing but their own sessions.
func TestSec_A132_OverflowEndsMoreNeverLess(t *testing.T) {
	t.Parallel()
	const limit = 1000
	rs := newRevocations(limit, limit)
	now := stateEpoch.Unix()
	stolen, r := sessionOf("Åse", 0, 0)
	rs.add(r, now)
	var w widened
	refs := []sessionRef{stolen}
	for i := range 5 * limit {
		ref, r := sessionOf("thief", i, i%100)
		_, more := rs.add(r, now+6000)
		w.add(more)
		refs = append(refs, ref)
		if len(rs.sessions) > limit || len(rs.persons) > limit {
			t.Fatalf("%d sessions and %d persons, %d are the most", len(rs.sessions), len(rs.persons), limit)
		}
	}
	for i, ref := range refs {
		if !rs.ended(ref, now+6000) {
			t.Fatalf("the %dth ended session is open again", i)
		}
	}
	if w.sessions == 0 || w.persons == 0 || w.everybody {
		t.Errorf("widened %+v", w)
	}
	for minute, want := range map[int]bool{0: false, 50: false, 200: false} {
		if other, _ := sessionOf("Åse", 1, minute); rs.ended(other, now+6000) != want {
			t.Errorf("her other session of minute %d is ended by somebody else's logouts", minute)
		}
	}
	if later, _ := sessionOf("thief", -1, 101); rs.ended(later, now+6000) {
		t.Error("a session that began after the flood is ended by it")
	}
	if _, was := rs.persons[stolen.person]; was {
		t.Error("her one session was widened, not those of whom there are most")
	}
}

// Attack: the same with as many accounts as it takes. Then everybody's sessions of before are ended, and no ended one opens.
func TestSec_A132_PersonsOverflowEndsEverybody(t *testing.T) {
	t.Parallel()
	const limit = 200
	rs := newRevocations(limit, limit)
	now := stateEpoch.Unix()
	var refs []sessionRef
	var w widened
	for i := range 10 * limit {
		ref, r := sessionOf("person "+strconv.Itoa(i), 0, i/100)
		refs = append(refs, ref)
		_, more := rs.add(r, now+6000)
		w.add(more)
		if len(rs.sessions) > limit || len(rs.persons) > limit {
			t.Fatalf("%d sessions and %d persons, %d are the most", len(rs.sessions), len(rs.persons), limit)
		}
	}
	for i, ref := range refs {
		if !rs.ended(ref, now+6000) {
			t.Fatalf("the %dth ended session is open again", i)
		}
	}
	if !w.everybody || w.folded == 0 {
		t.Errorf("widened %+v", w)
	}
	if old, _ := sessionOf("bystander", 0, 0); !rs.ended(old, now+6000) {
		t.Error("not everybody's")
	}
	if young, _ := sessionOf("bystander", 1, 30); rs.ended(young, now+6000) {
		t.Error("sessions that began after all of them are ended too")
	}
	if last, r := sessionOf("bystander", 2, 10*limit/100); rs.ended(sessionRef{last.id, last.person, refs[0].issued}, r.until) {
		t.Error("it outlives all the sessions that it can be about")
	}
}

// An entry lives until its cookie has expired, and not longer; the same again is nothing new.
func TestRevocationsAreForgottenInTime(t *testing.T) {
	t.Parallel()
	rs := newRevocations(10, 10)
	now := stateEpoch.Unix()
	ref, r := sessionOf("Åse", 0, 0)
	if fresh, _ := rs.add(r, now); !fresh {
		t.Error("the first is nothing new")
	}
	if fresh, _ := rs.add(r, now); fresh {
		t.Error("the second is")
	}
	if !rs.ended(ref, r.until-1) || rs.ended(ref, r.until) {
		t.Error("not until its end")
	}
	_, other := sessionOf("Per", 0, 9*60)
	if rs.add(other, r.until); len(rs.sessions) != 1 {
		t.Errorf("%d entries", len(rs.sessions))
	}
	if fresh, _ := rs.add(r, r.until); fresh {
		t.Error("what is over is something new")
	}
}

// A person's not-before ends what began before, and in its own second, and nobody else's. A clock that is years ahead, at
// another replica, keeps nobody out but for a minute.
func TestSec_E30_NotBefore(t *testing.T) {
	t.Parallel()
	rs := newRevocations(10, 10)
	now := stateEpoch
	rs.add(personRecord(testIssuer, "Åse", now.Add(time.Minute+time.Millisecond)), now.Unix())
	for minute, want := range map[int]bool{0: true, 1: true, 2: false} {
		ref, _ := sessionOf("Åse", 0, minute)
		if rs.ended(ref, now.Unix()) != want || !want && rs.ended(ref, now.Add(365*24*time.Hour).Unix()) {
			t.Errorf("minute %d: ended %t", minute, !want)
		}
	}
	if ref, _ := sessionOf("Per", 0, 0); rs.ended(ref, now.Unix()) {
		t.Error("somebody else's session ended")
	}
	if ref := (sessionRef{sessionDigest("x"), personDigest("https://other.example/", "Åse"), now.Unix()}); rs.ended(ref, now.Unix()) {
		t.Error("somebody of the same name at another provider")
	}
	rs.add(record{kind: endsEverybody, at: now.AddDate(30, 0, 0).Unix(), until: now.AddDate(31, 0, 0).Unix()}, now.Unix())
	if ref, _ := sessionOf("Per", 0, 0); !rs.ended(ref, now.Unix()) {
		t.Error("everybody's not-before ends nothing")
	}
	if ref, _ := sessionOf("Per", 0, 2); rs.ended(ref, now.Unix()) {
		t.Error("a clock that is wrong keeps people out for years")
	}
}

// A not-before that is forgotten before a session's cookie expires doesn't stand for it.
func TestSec_A132_ShortNotBefore(t *testing.T) {
	t.Parallel()
	rs := newRevocations(10, 10)
	now := stateEpoch.Unix()
	ref, r := sessionOf("Åse", 0, 0)
	rs.add(record{kind: endsPerson, person: ref.person, at: now + 60, until: now + 3600}, now)
	rs.add(r, now)
	for _, at := range []int64{now, now + 3599, now + 3600, r.until - 1} {
		_, other := sessionOf("Per", int(at), 0)
		if rs.add(other, at); !rs.ended(ref, at) { // which also tidies
			t.Errorf("open again after %ds", at-now)
		}
	}
}

// What is written is read again, and a line that is not wholly ours is none.
func TestRecordLines(t *testing.T) {
	t.Parallel()
	_, s := sessionOf("Åse", 0, 0)
	for _, want := range []record{s, personRecord(testIssuer, "Åse", stateEpoch), {kind: endsEverybody, at: 5, until: 7}} {
		line := want.append(nil)
		got, kind := parseRecord(line)
		if kind != lineRecord || got != want {
			t.Errorf("%s is read as %+v", line, got)
		}
		for i := range line[:len(line)-1] {
			if _, kind := parseRecord(line[:i]); kind == lineRecord || kind == lineForeign {
				t.Errorf("torn after %d bytes it still is a line: %q", i, line[:i])
			}
			spoilt := bytes.Clone(line)
			spoilt[i] ^= 0x04
			if _, kind := parseRecord(spoilt); kind == lineRecord || kind == lineForeign {
				t.Errorf("spoilt at %d it still is a line: %q", i, spoilt)
			}
		}
	}
}

// sealed is a line of any content with its sum.
func sealed(text string) string {
	return fmt.Sprintf("%s %s\n", text, sumOf([]byte(text)))
}

// A file from the future: what a newer version wrote is passed on until it is over, and changes nothing here.
func TestMergePassesOnWhatIsNewer(t *testing.T) {
	t.Parallel()
	until := stateEpoch.Add(time.Hour).Unix()
	newer := sealed(fmt.Sprintf("v2 %d x something-new", until))
	newKind := sealed(fmt.Sprintf("v1 %d z else 12", until))
	over := sealed(fmt.Sprintf("v2 %d x old", stateEpoch.Unix()))
	_, r := sessionOf("Åse", 0, 0)
	own := string(r.append(nil))
	merged := string(MergeRevocations([]byte(newer+"garbage\n"+over+own), []byte(newKind+own+newer), stateEpoch))
	want := revocationsHeader + own + newKind + newer
	if diff := cmp.Diff(want, merged); diff != "" {
		t.Error(diff)
	}
	if again := string(MergeRevocations([]byte(merged), nil, stateEpoch)); again != merged {
		t.Errorf("not the same again: %s", again)
	}
}

// Several sessions in one request's cookies hold up the logout's answer no longer than one does.
func TestLogoutOfSeveralWaitsOnce(t *testing.T) {
	t.Parallel()
	stuck := func() *saving { return &saving{done: make(chan struct{})} }
	begin := time.Now()
	if allKept([]*saving{stuck(), stuck(), stuck(), nil}) || time.Since(begin) > 2*saveTimeout {
		t.Errorf("after %s", time.Since(begin))
	}
}
