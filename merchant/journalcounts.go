package merchant

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"strconv"
	"sync"
	"time"

	"github.com/vippsauth/vippsauth/session"
)

// How what was started for phone numbers is written, so that a restart doesn't begin to count anew:
//
//	c1 <until> <key> <sum>      so much was started for a number that all of it has come back at that time
//	s1 <sealed> <sum>           the secret with which numbers were hashed
//
// Until and sum are those of the other lines, and the last for a key counts. A key is a keyed hash: without our keys it says nothing.
const (
	countVersion  = "c1"
	secretVersion = "s1"

	sealedSecret = 1 // of what is sealed
)

// counts is how a journal hashes phone numbers. Before the file was read, and where its secret can't be opened, that is with one of
// this process.
type counts struct {
	mu     sync.Mutex
	secret [32]byte
}

func newCounts() *counts {
	c := &counts{}
	_, _ = rand.Read(c.secret[:]) // never fails: the program would end
	return c
}

func (c *counts) get() [32]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.secret
}

// open takes over the secret of a file, and reports whether it could.
func (c *counts) open(sealed string, box *session.Box) bool {
	payload, err := box.Open(sealed)
	if err != nil {
		return false
	}
	r := session.NewReader(payload)
	version, text := r.Version(), r.Text()
	if r.Done() != nil || version != sealedSecret || len(text) != len(c.secret) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	copy(c.secret[:], text)
	return true
}

// appendTo appends the line of the secret.
func (c *counts) appendTo(b []byte, box *session.Box) ([]byte, error) {
	secret := c.get()
	sealed, err := box.Seal(session.AppendText(session.AppendVersion(nil, sealedSecret), string(secret[:])))
	if err != nil {
		return b, err
	}
	start := len(b)
	b = append(append(b, secretVersion+" "...), sealed...)
	return append(append(append(b, ' '), sumOf(b[start:])...), '\n'), nil
}

func appendCount(b []byte, key digest, until int64) []byte {
	start := len(b)
	b = strconv.AppendInt(append(b, countVersion+" "...), until, 10)
	b = base64.RawURLEncoding.AppendEncode(append(b, ' '), key[:])
	return append(append(append(b, ' '), sumOf(b[start:])...), '\n')
}

// take takes in a line of ours, and reports whether it was one.
func (c *content) take(text []byte, now time.Time) bool {
	body := bytes.TrimSuffix(text, []byte("\n"))
	last := bytes.LastIndexByte(body, ' ')
	if last < 0 || sumOf(body[:last]) != string(body[last+1:]) {
		return false
	}
	fields := bytes.Split(body[:last], []byte(" "))
	switch {
	case len(fields) == 2 && string(fields[0]) == secretVersion:
		c.secret = string(fields[1])
		return true
	case len(fields) != 3 || string(fields[0]) != countVersion:
		return false
	}
	until, err := strconv.ParseInt(string(fields[1]), 10, 64)
	key, keyErr := base64.RawURLEncoding.Strict().DecodeString(string(fields[2]))
	var d digest
	if err != nil || keyErr != nil || len(key) != len(d) {
		return false
	}
	copy(d[:], key)
	if until <= now.Unix() {
		delete(c.counts, d)
	} else if _, known := c.counts[d]; known || len(c.counts) < maxBuckets {
		c.counts[d] = until
	}
	return true
}

// digest hashes a phone number so that it is the same after a restart.
func (j *journal) digest(kind string, texts ...string) digest {
	secret := j.counts.get()
	return digestWith(secret[:], kind, texts...)
}

// count keeps that something was started for a number; when it is written it is known how much.
func (j *journal) count(key digest) {
	if j != nil {
		_ = j.put(record{key: idKey(key), counted: true}) // whoever waits does so for the login that comes behind it
	}
}

// appendCounted appends a count as it is now; one that has come back meanwhile needs no line.
func (l *Logins) appendCounted(b []byte, key digest) []byte {
	now := l.now()
	if left := l.limits.left(key, now.Sub(l.began)); left > 0 {
		return appendCount(b, key, fullAt(now, left))
	}
	return b
}

// fullAt is when something will have come back, rounded up to whole seconds. What has just been read from a file stays as it was there: the
// clock and the one that counts differ by a little, which may not add a second at each restart.
func fullAt(now time.Time, left time.Duration) int64 {
	const little = 100 * time.Millisecond
	return now.Add(left + time.Second - little).Unix()
}

// restoreCounts takes in what was started before a restart. Nothing of it holds longer than its limit says, whatever the clock said then.
func (l *Logins) restoreCounts(counts map[digest]int64) {
	now := l.now()
	for key, until := range counts {
		l.limits.restore(key, now.Sub(l.began), min(time.Unix(until, 0).Sub(now), l.cfg.phoneLimit.Period))
	}
}

// left is how long until all that was taken from a bucket has come back.
func (l *limiter) left(key digest, now time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buckets[key].full - now
}

// restore has a bucket full again no sooner than after some time.
func (l *limiter) restore(key digest, now, left time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if left > 0 && len(l.buckets) < maxBuckets {
		l.buckets[key] = level{full: max(l.buckets[key].full, now+left), kept: true}
	}
}

// kept are the buckets that a journal keeps, by how long until they are full.
func (l *limiter) kept(now time.Duration) map[digest]time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := map[digest]time.Duration{}
	for key, b := range l.buckets {
		if b.kept && b.full > now {
			all[key] = b.full - now
		}
	}
	return all
}
