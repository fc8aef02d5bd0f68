package forwardauth

import (
	"cmp"
	"crypto/sha256"
	"math"
	"slices"
	"sync"
	"time"
)

const (
	maxRevoked        = 100_000 // sessions
	maxRevokedPersons = 100_000
)

// digest stands for a session or a person where nobody needs to know which. Session ids are random, and so a digest
// tells nothing of them; whoever knows a sub can find its digest.
type digest [16]byte

func digestOf(what, first, second string) digest {
	var buf [512]byte
	b := append(buf[:0], what...)
	b = append(b, 0)
	b = append(b, first...)
	b = append(b, 0)
	b = append(b, second...)
	sum := sha256.Sum256(b)
	return digest(sum[:])
}

func sessionDigest(id string) digest { return digestOf("vippsauth session", id, "") }

// personDigest stands for a person at one provider.
func personDigest(issuer, sub string) digest { return digestOf("vippsauth person", issuer, sub) }

// sessionRef is what has to be known of a session to see whether it was ended. Times are Unix seconds throughout.
type sessionRef struct {
	id, person digest
	issued     int64
}

func refOf(issuer string, d *sessionData) sessionRef {
	return sessionRef{sessionDigest(d.ID), personDigest(issuer, d.Sub), d.Issued.Unix()}
}

type endedSession struct {
	person        digest
	issued, until int64
}

// notBefore ends the sessions issued before a moment. It is worth keeping until none of those can be left.
type notBefore struct {
	before, until int64
	// sure is before, or sooner where that was yet to come when it was heard of: either our clock was slow, or that of whoever
	// wrote it was fast. Until our own clock comes there only sessions issued before sure are ended, since nobody is to be kept
	// out for years; from then on all that were issued before before.
	sure int64
}

// heard is the not-before that a record says.
func (r record) heard(now int64) notBefore {
	return notBefore{before: r.at, until: r.until, sure: min(r.at, now+int64(clockSkew/time.Second)+1)}
}

func (n *notBefore) ends(issued, now int64) bool {
	return now < n.until && (issued < n.sure || issued < n.before && n.before <= now)
}

// covers reports whether n says all of a session's end already, from now on and whatever our clock does.
func (n *notBefore) covers(issued, until int64) bool { return issued < n.sure && until <= n.until }

// includes reports whether n ends all that other ends.
func (n *notBefore) includes(other notBefore) bool {
	return other.before <= n.before && other.until <= n.until && other.sure <= n.sure
}

// extend makes n end what other ends too, and reports whether it didn't before. What is from the future is news once, and
// not whenever it is read again.
func (n *notBefore) extend(other notBefore) bool {
	if other.before <= n.before && other.until <= n.until && (other.sure <= n.sure || other.sure < other.before) {
		return false
	}
	n.before, n.until, n.sure = max(n.before, other.before), max(n.until, other.until), max(n.sure, other.sure)
	return true
}

// revocations are the sessions that were ended before their time: by themselves, all of a person, or all that there
// were. It is bounded, and forgets nothing before its time: what is too much is widened, from a session to its person
// and from a person to everybody. So an ended session never opens again, and at worst others end with it.
type revocations struct {
	maxSessions, maxPersons int

	mu        sync.RWMutex
	sessions  map[digest]endedSession
	persons   map[digest]notBefore
	everybody notBefore
	sweep     int64
}

// widened counts what had to be widened to stay within bounds.
type widened struct {
	sessions, persons int  // so many sessions became not-befores of so many persons
	folded            int  // so many persons became one not-before
	everybody         bool // which is for everybody
}

func newRevocations(maxSessions, maxPersons int) *revocations {
	return &revocations{
		maxSessions: maxSessions, maxPersons: maxPersons,
		sessions: map[digest]endedSession{}, persons: map[digest]notBefore{},
	}
}

// ended reports whether a session was ended.
func (rs *revocations) ended(ref sessionRef, now int64) bool {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	if s, ok := rs.sessions[ref.id]; ok && now < s.until {
		return true
	}
	p := rs.persons[ref.person]
	return rs.everybody.ends(ref.issued, now) || p.ends(ref.issued, now)
}

// coveredLocked reports whether a session of a person needs no entry of its own.
func (rs *revocations) coveredLocked(person digest, issued, until int64) bool {
	p := rs.persons[person]
	return rs.everybody.covers(issued, until) || p.covers(issued, until)
}

// add takes a record in, and reports whether it says anything new. What is over is nothing new.
func (rs *revocations) add(r record, now int64) (fresh bool, w widened) {
	if r.until <= now {
		return false, w
	}
	heard := r.heard(now)
	rs.mu.Lock()
	defer rs.mu.Unlock()
	switch r.kind {
	case endsSession:
		old, known := rs.sessions[r.session]
		if known && old.until >= r.until || rs.coveredLocked(r.person, r.at, r.until) {
			return false, w
		}
		rs.sessions[r.session] = endedSession{r.person, max(r.at, old.issued), r.until}
	case endsPerson:
		n := rs.persons[r.person]
		if rs.everybody.includes(heard) || !n.extend(heard) {
			return false, w
		}
		rs.persons[r.person] = n
	case endsEverybody:
		if !rs.everybody.extend(heard) {
			return false, w
		}
	}
	if len(rs.sessions) > rs.maxSessions || len(rs.persons) > rs.maxPersons || now >= rs.sweep {
		w = rs.tidyLocked(now)
	}
	return true, w
}

// tidyLocked forgets what is over or said twice, and widens what is too much.
func (rs *revocations) tidyLocked(now int64) (w widened) {
	rs.sweep = now + 60
	for person, n := range rs.persons {
		if n.until <= now || rs.everybody.includes(n) {
			delete(rs.persons, person)
		}
	}
	for id, s := range rs.sessions {
		if s.until <= now || rs.coveredLocked(s.person, s.issued, s.until) {
			delete(rs.sessions, id)
		}
	}
	if len(rs.sessions) > rs.maxSessions {
		w.sessions, w.persons = rs.widenSessionsLocked(now)
	}
	if len(rs.persons) > rs.maxPersons {
		w.folded, w.everybody = rs.widenPersonsLocked(), true
	}
	return w
}

// widenSessionsLocked makes room: the sessions of those persons with the most of them, and among equals of those whose last
// one is the oldest, become a not-before each. Whoever fills the list with their own sessions widens only their own.
func (rs *revocations) widenSessionsLocked(now int64) (sessions, persons int) {
	type crowd struct {
		person digest
		count  int
		all    notBefore
	}
	of := map[digest]*crowd{}
	for _, s := range rs.sessions {
		c := of[s.person]
		if c == nil {
			c = &crowd{person: s.person}
			of[s.person] = c
		}
		c.count++
		c.all.extend(record{at: s.issued + 1, until: s.until}.heard(now))
	}
	crowds := make([]*crowd, 0, len(of))
	for _, c := range of {
		crowds = append(crowds, c)
	}
	slices.SortFunc(crowds, func(a, b *crowd) int {
		return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.all.before, b.all.before))
	})
	wide := map[digest]bool{}
	for _, c := range crowds {
		if len(rs.sessions)-sessions <= rs.maxSessions-rs.maxSessions/10 {
			break
		}
		sessions += c.count
		wide[c.person] = true
		n := rs.persons[c.person]
		n.extend(c.all)
		rs.persons[c.person] = n
	}
	for id, s := range rs.sessions {
		if wide[s.person] {
			delete(rs.sessions, id)
		}
	}
	return sessions, len(wide)
}

// widenPersonsLocked makes one not-before for everybody of the quarter of the persons whose own are the oldest.
func (rs *revocations) widenPersonsLocked() (folded int) {
	befores := make([]int64, 0, len(rs.persons))
	for _, n := range rs.persons {
		befores = append(befores, n.before)
	}
	slices.Sort(befores)
	limit := befores[len(befores)/4]
	for person, n := range rs.persons {
		if n.before <= limit {
			rs.everybody.extend(n)
			delete(rs.persons, person)
			folded++
		}
	}
	return folded
}

// records gives all that holds, the widest first: what reads them in this order keeps nothing twice.
func (rs *revocations) records(now int64) []record {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	all := make([]record, 0, 1+len(rs.persons)+len(rs.sessions))
	if n := rs.everybody; now < n.until {
		all = append(all, record{kind: endsEverybody, at: n.before, until: n.until})
	}
	for person, n := range rs.persons {
		if now < n.until {
			all = append(all, record{kind: endsPerson, person: person, at: n.before, until: n.until})
		}
	}
	for id, s := range rs.sessions {
		if now < s.until {
			all = append(all, record{kind: endsSession, session: id, person: s.person, at: s.issued, until: s.until})
		}
	}
	return all
}

// has reports whether all that a record says holds already.
func (rs *revocations) has(r record) bool {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	wide := func(n notBefore) bool { return n.before >= r.at && n.until >= r.until }
	switch r.kind {
	case endsSession:
		s, ok := rs.sessions[r.session]
		return ok && s.until >= r.until || rs.coveredLocked(r.person, r.at, r.until)
	case endsPerson:
		return wide(rs.everybody) || wide(rs.persons[r.person])
	default:
		return wide(rs.everybody)
	}
}

// notBeforeOf is the first whole second at or after a moment: sessions know the second in which they began, and one that
// began in the moment's own second counts as begun before.
func notBeforeOf(t time.Time) int64 {
	sec := t.Unix()
	if t.Nanosecond() > 0 && sec < math.MaxInt64 {
		sec++
	}
	return sec
}

func (rs *revocations) len() int {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	return len(rs.sessions) + len(rs.persons)
}
