package session

import (
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// MaxCookieBytes is the most that name, value and attributes of one cookie
	// have together. Browsers keep 4096 bytes at least (RFC 6265 section 6.1),
	// and some count a little differently.
	MaxCookieBytes = 4093

	// MaxChunks is the most cookies that one value is spread over.
	MaxChunks = 5

	maxCandidates = 4

	hostPrefix    = "__Host-"
	domainPrefix  = "__Secure-" // __Host- rules out a Domain
	formatChunked = "2"
	chunkHeadLen  = len(formatChunked) + 1 // the format and the digit that counts
)

// Found tells what [Jar.Get] found. The zero value is None.
type Found int

const (
	// None: the request carries no such cookie.
	None Found = iota
	// One: there is one value. It may still be garbage: [Box.Open] tells.
	One
	// Conflict: there are several different values, and [Jar.Values] has them.
	// A neighbouring subdomain may have planted one (cookie tossing).
	Conflict
	// Broken: there are cookies of that name, but no value can be put together:
	// a chunk is missing, the form is not ours, or there are too many values.
	// It is no session, and worth a Clear.
	Broken
)

// String returns the name of f in lower case, for logs.
func (f Found) String() string {
	switch f {
	case None:
		return "none"
	case One:
		return "one"
	case Conflict:
		return "conflict"
	case Broken:
		return "broken"
	}
	return "Found(" + strconv.Itoa(int(f)) + ")"
}

// Jar sets, reads and clears one cookie that holds sealed text, spread over
// several cookies when it is too long for one. Its attributes are always
// Path=/, HttpOnly and SameSite=Lax. Do not change a Jar that is in use; apart
// from that it is safe for concurrent use.
//
// A text that fits stands in the cookie as it is. A longer one is cut into 2 to
// 5 parts: the cookie itself holds '2', the number of cookies in all as one
// digit, and the first part; the cookies NAME.1 to NAME.4 hold the others.
type Jar struct {
	// Name is the cookie's name without a prefix: an RFC 9110 token. Required.
	Name string
	// Secure adds the attribute Secure and puts __Host- in front of the name, or
	// __Secure- where there is a Domain; cookies without that prefix are then not
	// read. False, the zero value, is for plain http on loopback only.
	Secure bool
	// Domain shares the cookie with every host of this domain, any of which can
	// then also set it. Empty, the zero value, keeps it to the host that sets it.
	Domain string
	// MaxChunks is the most cookies that the value is spread over, 1 to 5.
	// Zero: 5. Values above 5 count as 5.
	MaxChunks int
}

// CookieName returns the name of the (first) cookie, with its prefix.
func (j *Jar) CookieName() string {
	return j.prefix() + j.Name
}

// prefix is what browsers hold the attributes of the cookie to (RFC 6265bis
// section 4.1.3).
func (j *Jar) prefix() string {
	switch {
	case !j.Secure:
		return ""
	case j.Domain != "":
		return domainPrefix
	}
	return hostPrefix
}

// Owns tells whether the cookie of that name belongs to this Jar: its own name
// or one of the four chunk names, whatever MaxChunks is. Case matters.
func (j *Jar) Owns(name string) bool { return j.index(name) >= 0 }

// index is 0 for the cookie itself, 1 to 4 for a chunk, -1 for all else.
func (j *Jar) index(name string) int {
	name, ok := strings.CutPrefix(name, j.prefix())
	if !ok || j.Name == "" || !strings.HasPrefix(name, j.Name) {
		return -1
	}
	rest := name[len(j.Name):]
	if rest == "" {
		return 0
	}
	if len(rest) == 2 && rest[0] == '.' && '1' <= rest[1] && rest[1] < '0'+MaxChunks {
		return int(rest[1] - '0')
	}
	return -1
}

func (j *Jar) chunkName(i int) string {
	if i == 0 {
		return j.CookieName()
	}
	return j.CookieName() + "." + strconv.Itoa(i)
}

func (j *Jar) maxChunks() int {
	if j.MaxChunks <= 0 || j.MaxChunks > MaxChunks {
		return MaxChunks
	}
	return j.MaxChunks
}

// attributes are those of a cookie that is set or cleared, the same for both:
// with others a browser would take it for another cookie.
func (j *Jar) attributes(maxAge time.Duration) string {
	s := "; Path=/"
	if j.Domain != "" {
		s += "; Domain=" + j.Domain
	}
	if maxAge >= 0 {
		seconds := int64(maxAge / time.Second)
		if maxAge%time.Second > 0 {
			seconds++
		}
		s += "; Max-Age=" + strconv.FormatInt(seconds, 10)
	}
	s += "; HttpOnly"
	if j.Secure {
		s += "; Secure"
	}
	return s + "; SameSite=Lax"
}

// Separator may join several sealed texts in the value of one cookie.
const Separator = "~"

// Set puts a sealed text, or several joined by [Separator], into the answer's cookies. maxAge is how long the
// browser keeps it, rounded up to seconds; below zero it goes when the browser
// is closed, and zero ends it at once. The end that counts is the one inside
// the payload.
//
// Chunks that r carries and the new value does not use are cleared, and what
// this answer set for the Jar before is replaced. r may be nil: then nothing is
// cleared. Nothing is set when the text is not a sealed one, or too long for
// MaxChunks cookies. A value of several cookies makes a long Cookie line in
// every request: proxies have limits of their own, often 8 KiB.
func (j *Jar) Set(w http.ResponseWriter, r *http.Request, value string, maxAge time.Duration) error {
	parts, err := j.split(value, maxAge)
	if err != nil {
		return err
	}
	j.dropPending(w.Header())
	attributes := j.attributes(maxAge)
	for i, part := range parts {
		w.Header().Add("Set-Cookie", j.chunkName(i)+"="+part+attributes)
	}
	j.expire(w, r, len(parts))
	return nil
}

// split cuts the value into what each cookie holds.
func (j *Jar) split(value string, maxAge time.Duration) ([]string, error) {
	if !isToken(j.Name) {
		return nil, fmt.Errorf("session: %q is not a cookie name", j.Name)
	}
	for part := range strings.SplitSeq(value, Separator) {
		if !isSealed(part) {
			return nil, errors.New("session: setting a cookie: the value is not a sealed text")
		}
	}
	attributes := len(j.attributes(maxAge))
	if len(j.CookieName())+len("=")+len(value)+attributes <= MaxCookieBytes {
		return []string{value}, nil
	}
	size := MaxCookieBytes - len(j.chunkName(1)) - len("=") - attributes - chunkHeadLen
	most := j.maxChunks()
	if most == 1 || size <= 0 || len(value) > size*most || len(value) > MaxSealed {
		limit := MaxCookieBytes - len(j.CookieName()) - len("=") - attributes
		if most > 1 {
			limit = max(limit, min(size*most, MaxSealed))
		}
		return nil, fmt.Errorf("session: setting cookie %s: the value has %d bytes, above %d, the most that fits in %d cookies",
			j.CookieName(), len(value), max(limit, 0), most)
	}
	parts := slices.Collect(chunks(value, size))
	parts[0] = formatChunked + strconv.Itoa(len(parts)) + parts[0]
	return parts, nil
}

// chunks yields value in pieces of size bytes; the last may be shorter, and
// none is empty.
func chunks(value string, size int) iter.Seq[string] {
	return func(yield func(string) bool) {
		for len(value) > size {
			if !yield(value[:size]) {
				return
			}
			value = value[size:]
		}
		yield(value)
	}
}

// Clear ends the cookie in the browser, and every chunk of it that r carries.
// What this answer set for the Jar before is taken back. r may be nil.
func (j *Jar) Clear(w http.ResponseWriter, r *http.Request) {
	if !isToken(j.Name) {
		return
	}
	j.dropPending(w.Header())
	w.Header().Add("Set-Cookie", j.CookieName()+"="+j.attributes(0))
	j.expire(w, r, 1)
}

// expire clears the chunks from the given index on that the request carries.
func (j *Jar) expire(w http.ResponseWriter, r *http.Request, from int) {
	if r == nil {
		return
	}
	var carried [MaxChunks]bool
	s := newScanner(r.Header)
	for name, _, ok := s.next(); ok; name, _, ok = s.next() {
		if i := j.index(name); i >= from {
			carried[i] = true
		}
	}
	for i, yes := range carried {
		if yes {
			w.Header().Add("Set-Cookie", j.chunkName(i)+"="+j.attributes(0))
		}
	}
}

// dropPending takes back what the answer sets for this Jar so far: one answer
// must not set one name twice (RFC 6265 section 4.1.1).
func (j *Jar) dropPending(h http.Header) {
	lines := h["Set-Cookie"]
	if len(lines) == 0 {
		return
	}
	kept := make([]string, 0, len(lines))
	for _, line := range lines {
		if name, _, _ := strings.Cut(line, "="); !j.Owns(name) {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		h.Del("Set-Cookie")
		return
	}
	h["Set-Cookie"] = kept
}

// isToken tells whether s is an RFC 9110 token, as cookie names are.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if base64Value(c) < 0 && !strings.ContainsRune("!#$%&'*+.^`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}
