package forwardauth

import (
	"time"
)

// EndSessions ends all sessions of a person that began before a moment, at every site of the engines that were made together,
// and whatever their provider calls so. A session knows the second in which it began, so those of the moment's own second end
// too. Logins that wait for "Continue as …" end with them; one that begins later is not held up.
//
// It returns [ErrNotKept] where a [RevocationKeeper] could not save that yet: the sessions are ended in this process, and
// the attempts to save it go on.
func (e *Engine) EndSessions(sub string, before time.Time) error {
	now := e.now()
	var savings []*saving
	seen := map[string]bool{}
	for _, other := range e.all {
		issuer := other.client.Issuer()
		if seen[issuer] {
			continue
		}
		seen[issuer] = true
		b, w := e.state.revoke(personRecord(issuer, sub, before), now)
		logWidened(e.log, w)
		savings = append(savings, b)
	}
	if !allKept(savings) {
		e.metrics.unsaved.Inc()
		return ErrNotKept
	}
	return nil
}

// RevokePerson is the line for a [RevocationStore] that ends all sessions of a person at a provider that began before a
// moment: for a program beside the one that serves. See [Engine.EndSessions].
func RevokePerson(issuer, sub string, before time.Time) []byte {
	return personRecord(issuer, sub, before).append(nil)
}

// RevokeEverybody is the line that ends all sessions of everybody that began before a moment.
func RevokeEverybody(before time.Time) []byte {
	return record{kind: endsEverybody, at: notBeforeOf(before), until: lastOf(before)}.append(nil)
}

func personRecord(issuer, sub string, before time.Time) record {
	return record{kind: endsPerson, person: personDigest(issuer, sub), at: notBeforeOf(before), until: lastOf(before)}
}

// lastOf is when no session that began before a moment can be left, however long sessions have ever lasted.
func lastOf(before time.Time) int64 { return before.Add(maxSessionTTL+clockSkew).Unix() + 1 }

// endSession ends one session until it would have expired anyway.
func (e *Engine) endSession(ref sessionRef, expires, now time.Time) *saving {
	b, w := e.state.revoke(record{
		kind: endsSession, session: ref.id, person: ref.person, at: ref.issued, until: expires.Add(clockSkew).Unix(),
	}, now)
	logWidened(e.log, w)
	return b
}

// allKept waits for all of them, no longer than for one.
func allKept(savings []*saving) bool {
	all, until := true, time.Now().Add(saveTimeout)
	for _, b := range savings {
		all = b.kept(until) && all
	}
	return all
}
