package forwardauth

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/vippsauth/vippsauth/vipps"
)

const (
	// allowLookEvery is how often the files of allow are looked at, at most.
	allowLookEvery = time.Second
	// allowSettle is how long a changed file has to be left alone before it is
	// read: an editor may be in the middle of writing it.
	allowSettle = time.Second
	// maxAllowFile bounds one file, in bytes.
	maxAllowFile = 32 << 20
	maxSub       = 255
)

// policy is the setting allow: who may pass once logged in. The zero value and
// nil let nobody pass. It is safe for concurrent use; deciding takes no lock
// and does not allocate.
type policy struct {
	set     atomic.Pointer[allowSet]
	trouble atomic.Pointer[error]

	// Without files nothing below is used after parseAllow.
	own    allowSet // what the setting lists itself
	files  []*allowFile
	market string
	now    func() time.Time
	next   atomic.Int64 // Unix nanoseconds of the next look at the files
	looks  sync.Mutex
}

// allowSet is immutable once it is in policy.set.
type allowSet struct {
	version uint64
	anyone  bool
	subs    map[string]struct{}
	phones  map[string]struct{}
}

func newAllowSet() allowSet {
	return allowSet{subs: map[string]struct{}{}, phones: map[string]struct{}{}}
}

// parseAllow reads the setting allow: the word anyone alone, or phone numbers,
// subs and @files of them. National phone numbers get the country code of the
// market. It reads the files; one that cannot be used is a problem. Later
// changes of them are noticed by themselves, and a file that has gone or turned
// bad leaves the set as it was. now is the clock; nil is time.Now.
func parseAllow(list []string, market string, now func() time.Time) (*policy, []error) {
	if now == nil {
		now = time.Now
	}
	p := &policy{own: newAllowSet(), market: market, now: now}
	var problems []error
	for i, entry := range list {
		reason := ""
		switch entry = strings.TrimSpace(entry); {
		case entry == "anyone":
			if p.own.anyone = true; len(list) > 1 {
				reason = "anyone must stand alone"
			}
		case strings.HasPrefix(entry, "@"):
			reason = p.addFile(entry[1:])
		default:
			reason = p.own.add(entry, market)
		}
		if reason != "" {
			problems = append(problems, &vipps.ConfigError{
				Setting: "allow", Reason: fmt.Sprintf("entry %d: %s", i+1, reason),
			})
		}
	}
	if len(problems) > 0 {
		return &policy{}, problems
	}
	p.publish()
	p.next.Store(now().Add(allowLookEvery).UnixNano())
	return p, nil
}

// addFile reads a file for the first time and says what is wrong with it.
func (p *policy) addFile(path string) string {
	if path == "" {
		return "a file's name must follow the @"
	}
	f := &allowFile{path: path}
	err := f.load(p.market)
	if errors.Is(err, fs.ErrNotExist) {
		if whole, absErr := filepath.Abs(path); absErr == nil {
			path = whole // a name without a / in front depends on the working directory
		}
		return "there is no file " + path + "; make it, with a phone number or sub a line, or name another"
	}
	if err != nil {
		return "cannot use the file: " + err.Error()
	}
	if f.empty() {
		return "the file has no entries, so that nobody could pass"
	}
	if p.now().Sub(f.info.ModTime()) < allowSettle {
		f.info = nil // a change in the same moment would look the same
	}
	p.files = append(p.files, f)
	return ""
}

// add reads one phone number or sub into the set and says what is wrong with it.
func (s *allowSet) add(entry, market string) string {
	if phone, ok := vipps.NormalizePhone(entry, market); ok {
		s.phones[phone] = struct{}{}
		return ""
	}
	if reason := notASub(entry); reason != "" {
		return reason
	}
	s.subs[entry] = struct{}{}
	return ""
}

// likePhone says whether somebody meant a phone number: a few digits, and what people write between them.
func likePhone(entry string) bool {
	digits := 0
	for _, r := range entry {
		switch {
		case unicode.IsDigit(r):
			digits++
		case !strings.ContainsRune("+\uff0b \u00a0\u2009\u202f-‐‑–.()/", r):
			return false
		}
	}
	return 0 < digits && digits <= 20
}

// notASub says why an entry that is no phone number is no sub either, or "".
// The provider's subs are opaque; what is refused is what people write by
// mistake.
func notASub(entry string) string {
	switch strings.ToLower(entry) {
	case "":
		return "is empty"
	case "anyone", "anybody", "everyone", "everybody", "all", "any", "*", "none", "nobody":
		return "must be the word anyone, alone in the setting, or phone numbers and subs"
	}
	for _, scheme := range [...]string{"tel:", "sms:", "urn:msisdn:", "urn:mobilenumber:"} {
		if len(entry) >= len(scheme) && strings.EqualFold(entry[:len(scheme)], scheme) {
			return "is not a phone number or a sub; write the number alone, as +47 and eight digits"
		}
	}
	if likePhone(entry) {
		return "is not a whole phone number; write it with its country code, as +47 and eight digits"
	}
	if strings.Contains(entry, "@") {
		return "is not a phone number or a sub; people are not known by e-mail address here"
	}
	if ext := strings.ToLower(filepath.Ext(entry)); ext == ".txt" || ext == ".csv" || ext == ".list" {
		return "is the name of a file, and not a phone number or a sub; the setting takes it with an @ in front, as @members.txt"
	}
	letter := false
	for i := range len(entry) {
		c := entry[i]
		if c <= ' ' || c >= 0x7f {
			return "is not a phone number or a sub"
		}
		letter = letter || isLetter(c) || c == '-'
	}
	if !letter || len(entry) > maxSub {
		return "is not a phone number or a sub"
	}
	return ""
}

// allows reports whether the person with this sub and this phone number (digits
// with country code; empty when unknown) may pass.
func (p *policy) allows(sub, phone string) bool {
	s := p.current()
	if s == nil || sub == "" {
		return false
	}
	if s.anyone {
		return true
	}
	if _, ok := s.subs[sub]; ok {
		return true
	}
	_, ok := s.phones[phone]
	return ok
}

// version changes whenever the set of people does. It is 0 for the zero policy.
func (p *policy) version() uint64 {
	if s := p.current(); s != nil {
		return s.version
	}
	return 0
}

// needsPhone reports whether a decision may depend on the phone number.
func (p *policy) needsPhone() bool {
	if p == nil {
		return false
	}
	return len(p.files) > 0 || len(p.own.phones) > 0
}

// listsPhones reports whether anybody is listed by phone number now.
func (p *policy) listsPhones() bool {
	s := p.current()
	return s != nil && len(s.phones) > 0
}

// fileError returns what is wrong with a file of allow since it was last good,
// or nil. It stays the same value while the trouble is the same, so that it can
// be logged once. It never holds an entry.
func (p *policy) fileError() error {
	if p == nil {
		return nil
	}
	if err := p.trouble.Load(); err != nil {
		return *err
	}
	return nil
}

// current returns the set in force, after a look at the files when one is due.
// Whoever comes while another looks goes on with the set as it is.
func (p *policy) current() *allowSet {
	if p == nil {
		return nil
	}
	if len(p.files) > 0 {
		if now := p.now(); now.UnixNano() >= p.next.Load() && p.looks.TryLock() {
			p.look(now)
			p.next.Store(now.Add(allowLookEvery).UnixNano())
			p.looks.Unlock()
		}
	}
	return p.set.Load()
}

// look reads the files that have changed. looks is held.
func (p *policy) look(now time.Time) {
	changed := false
	var errs []error
	for _, f := range p.files {
		loaded, err := f.refresh(now, p.market)
		changed = changed || loaded
		if err != nil {
			errs = append(errs, fmt.Errorf("allow: %w", err))
		}
	}
	if changed {
		p.publish()
	}
	err := errors.Join(errs...)
	old := p.fileError()
	switch {
	case err == nil:
		p.trouble.Store(nil)
	case old == nil || old.Error() != err.Error():
		p.trouble.Store(&err)
	}
}

// publish puts the union of the setting and its files in force, with a new
// version if it differs from what is.
func (p *policy) publish() {
	next := newAllowSet()
	next.anyone = p.own.anyone
	maps.Copy(next.subs, p.own.subs)
	maps.Copy(next.phones, p.own.phones)
	for _, f := range p.files {
		maps.Copy(next.subs, f.set.subs)
		maps.Copy(next.phones, f.set.phones)
	}
	next.version = 1
	if old := p.set.Load(); old != nil {
		if maps.Equal(old.subs, next.subs) && maps.Equal(old.phones, next.phones) {
			return
		}
		next.version = old.version + 1
	}
	p.set.Store(&next)
}

// allowFile is one file of allow with the last good set in it.
type allowFile struct {
	path string
	info os.FileInfo // of what was read last; nil to read again in any case
	seen os.FileInfo // of a change that has not settled yet
	err  error       // of the last try
	set  allowSet
}

// refresh loads the file again if it has changed and settled. It reports
// whether there is a new set.
func (f *allowFile) refresh(now time.Time, market string) (bool, error) {
	info, err := os.Stat(f.path)
	if err != nil {
		// The path is the operator's own, and os.Stat's error names it.
		f.info, f.seen, f.err = nil, nil, err
		return false, err
	}
	if sameFile(info, f.info) {
		f.seen = nil
		return false, f.err
	}
	if !sameFile(info, f.seen) && now.Sub(info.ModTime()) < allowSettle {
		f.seen = info
		return false, f.err
	}
	f.seen = nil
	if f.err = f.load(market); f.err != nil {
		return false, f.err
	}
	if f.empty() {
		f.err = fmt.Errorf("%s has no entries any more, and lets nobody pass", f.path)
	}
	return true, f.err
}

func (f *allowFile) empty() bool { return len(f.set.subs)+len(f.set.phones) == 0 }

// sameFile reports whether two looks found the same state of the same file.
func sameFile(a, b os.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// load reads the file. On error the set stays as it was.
func (f *allowFile) load(market string) error {
	f.info = nil
	info, err := os.Stat(f.path) // before opening: a pipe would block
	if err != nil {
		return err //nolint:wrapcheck // names the path already
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", f.path)
	}
	if info.Size() > maxAllowFile {
		return fmt.Errorf("%s is larger than %d bytes", f.path, maxAllowFile)
	}
	file, err := os.Open(f.path)
	if err != nil {
		return err //nolint:wrapcheck // names the path already
	}
	defer func() { _ = file.Close() }() // it was only read
	set, err := parseAllowFile(io.LimitReader(file, maxAllowFile), market)
	f.info = info
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	f.set = set
	return nil
}

// parseAllowFile reads phone numbers and subs, one a line. What follows a # is
// a comment. Its errors name the line, never what is in it.
func parseAllowFile(r io.Reader, market string) (allowSet, error) {
	set := newAllowSet()
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := lines.Bytes()
		if n == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		entry, _, _ := strings.Cut(string(line), "#")
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		if reason := set.add(entry, market); reason != "" {
			return allowSet{}, fmt.Errorf("line %d %s", n, reason)
		}
	}
	if err := lines.Err(); err != nil {
		return allowSet{}, fmt.Errorf("reading: %w", err)
	}
	return set, nil
}
