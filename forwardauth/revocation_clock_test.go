package forwardauth

import (
	"bytes"
	"slices"
	"testing"
	"time"
)

// Attack: wait for a power cut. A small computer without a clock of its own boots in 1970, or an hour ago, and is set right when
// the network is there. What was ended before is read with that clock, and stays ended when the clock is right again: in
// memory, and in a file or a storage that was tidied meanwhile.
func TestSec_A132_BootWithASlowClock(t *testing.T) {
	t.Parallel()
	now := stateEpoch
	loggedOut, single := sessionOf("Åse", 0, 0)
	ofPerson, _ := sessionOf("Per", 0, 0)
	ofAnybody, _ := sessionOf("Kari", 0, -60)
	written := []record{
		single,
		personRecord(testIssuer, "Per", now.Add(time.Minute)),
		{kind: endsEverybody, at: now.Add(-30 * time.Minute).Unix(), until: lastOf(now)},
	}
	kept := formatRecords(written)
	for name, boot := range map[string]time.Time{"1970": time.Unix(30, 0), "an hour ago": now.Add(-time.Hour), "yesterday": now.AddDate(0, 0, -1)} {
		// The lines are read in both orders, twice, and once after they were written anew by that clock.
		merged := MergeRevocations(kept, formatRecords(written[:1]), boot)
		back := slices.Clone(written)
		slices.Reverse(back)
		for _, lines := range [][]byte{kept, formatRecords(back), slices.Concat(kept, kept), merged} {
			rs := newRevocations(10, 10)
			readInto(rs, lines, boot.Unix())
			rs.tidyLocked(boot.Unix()) // nobody else has it
			for who, ref := range map[string]sessionRef{"a logged-out session": loggedOut, "a person's": ofPerson, "anybody's": ofAnybody} {
				if !rs.ended(ref, now.Add(2*time.Minute).Unix()) {
					t.Errorf("booted in %s: %s opens again when the clock is right", name, who)
				}
			}
		}
	}
}

// A revocation by a clock that is years ahead ends what there is when it is first heard of. It ends nothing more when it is read
// again, and does not stand in the way of one by a clock that is right.
func TestSec_A132_RevokedByAFastClock(t *testing.T) {
	t.Parallel()
	rs := newRevocations(10, 10)
	now := stateEpoch
	wrong := formatRecords([]record{personRecord(testIssuer, "Åse", now.AddDate(30, 0, 0))})
	readInto(rs, wrong, now.Unix())
	next, own := sessionOf("Åse", 1, 10)
	now = now.Add(20 * time.Minute)
	readInto(rs, wrong, now.Unix())
	if rs.ended(next, now.Unix()) {
		t.Error("a session begun since is ended when the record is read again")
	}
	if rs.add(own, now.Unix()); !rs.ended(next, now.Unix()) {
		t.Error("a logout has no effect")
	}
	another, _ := sessionOf("Åse", 2, 15)
	if rs.add(personRecord(testIssuer, "Åse", now), now.Unix()); !rs.ended(another, now.Unix()) {
		t.Error("the end of all of a person's sessions has no effect")
	}
}

func readInto(rs *revocations, lines []byte, now int64) {
	for line := range bytes.Lines(lines) {
		if r, kind := parseRecord(line); kind == lineRecord {
			rs.add(r, now)
		}
	}
}
