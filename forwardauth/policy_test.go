package forwardauth

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps"
)

const testSub = "f350ef33-22e2-47d0-9f47-0123456789ab"

// policyClock is a clock that the test moves.
type policyClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *policyClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *policyClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// newPolicy fails the test on problems.
func newPolicy(t *testing.T, now func() time.Time, market string, list ...string) *policy {
	t.Helper()
	p, problems := parseAllow(list, market, now)
	if len(problems) > 0 {
		t.Fatalf("%q: %v", list, problems)
	}
	return p
}

func TestPolicyAllows(t *testing.T) {
	t.Parallel()
	mixed := newPolicy(t, nil, "NO", "412 34 567", " "+testSub+" ", "+45 20 12 34 56", "emulator-kari")
	anyone := newPolicy(t, nil, "", "anyone")
	for _, test := range []struct {
		name       string
		policy     *policy
		sub, phone string
		want       bool
	}{
		{"anyone", anyone, "x", "", true},
		{"anyone without a sub", anyone, "", "4741234567", false},
		{"phone", mixed, "other", "4741234567", true},
		{"Danish phone", mixed, "other", "4520123456", true},
		{"sub", mixed, testSub, "", true},
		{"emulator's sub", mixed, "emulator-kari", "", true},
		{"longest sub", newPolicy(t, nil, "", strings.Repeat("a", 255)), strings.Repeat("a", 255), "", true},
		{"sub in another case", mixed, strings.ToUpper(testSub), "", false},
		{"neither", mixed, "other", "4700000000", false},
		{"nothing", mixed, "", "", false},
		{"phone without a sub", mixed, "", "4741234567", false},
		{"phone as sub", mixed, "4741234567", "", false},
		{"sub as phone", mixed, "other", testSub, false},
		{"number without its country", mixed, "other", "41234567", false},
		{"zero policy", &policy{}, testSub, "4741234567", false},
		{"nil policy", nil, testSub, "4741234567", false},
		{"empty list", newPolicy(t, nil, ""), testSub, "4741234567", false},
	} {
		if got := test.policy.allows(test.sub, test.phone); got != test.want {
			t.Errorf("%s: %t", test.name, got)
		}
	}
	if !mixed.needsPhone() || anyone.needsPhone() || (*policy)(nil).needsPhone() || (&policy{}).needsPhone() ||
		newPolicy(t, nil, "", testSub).needsPhone() {
		t.Error("needsPhone is wrong")
	}
	if mixed.version() != 1 || (&policy{}).version() != 0 || (*policy)(nil).version() != 0 || (*policy)(nil).fileError() != nil {
		t.Error("versions are wrong")
	}
}

func TestSec_B008_ParseAllowRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return "@" + path
	}
	for _, test := range []struct {
		list []string
		hint string
	}{
		{[]string{""}, "empty"},
		{[]string{testSub, "anyone"}, "alone"},
		{[]string{"anyone", "4741234567"}, "alone"},
		{[]string{"Anyone"}, "the word anyone"},
		{[]string{"*"}, "the word anyone"},
		{[]string{"everyone"}, "the word anyone"},
		{[]string{"41234567"}, "country code"},
		{[]string{"+47 1234"}, "country code"},
		{[]string{"kari@app.example"}, "e-mail"},
		{[]string{"Kari Nordmann"}, "not a phone number or a sub"},
		{[]string{"tel:+4741234567"}, "write the number alone"}, // as a sub it would be nobody's
		{[]string{"URN:MSISDN:4741234567"}, "write the number alone"},
		{[]string{"kåre"}, "not a phone number or a sub"},
		{[]string{"a\x7fb"}, "not a phone number or a sub"},
		{[]string{"12_34"}, "not a phone number or a sub"},
		{[]string{"a\x00b"}, "not a phone number or a sub"},
		{[]string{strings.Repeat("a", 256)}, "not a phone number or a sub"},
		{[]string{"@"}, "name must follow"},
		{[]string{"@" + filepath.Join(dir, "missing")}, "there is no file "},
		{[]string{"@" + dir}, "not a regular file"},
		{[]string{file("empty", "")}, "no entries"},
		{[]string{file("comments", "# nobody\n\n  # yet\n")}, "no entries"},
		{[]string{file("bad", "+47 41234567\n\nnot a sub\n")}, "line 3"},
		{[]string{file("anyone", "anyone\n")}, "line 1"},
		{[]string{file("nested", "@other.txt\n")}, "line 1"},
		{[]string{file("binary", "\x00\x01\x02")}, "line 1"},
		{[]string{file("long", strings.Repeat("a", 1<<17))}, "reading"},
	} {
		p, problems := parseAllow(test.list, "", nil)
		var config *vipps.ConfigError
		if len(problems) != 1 || !errors.As(problems[0], &config) || config.Setting != "allow" || !strings.Contains(config.Reason, test.hint) {
			t.Errorf("%.60q: %v, want a problem with %q", test.list, problems, test.hint)
		}
		if p.allows("not a sub", "4741234567") || p.allows(testSub, "") {
			t.Errorf("%.60q: a policy with problems lets somebody pass", test.list)
		}
	}
	if _, problems := parseAllow([]string{"41234567", "a@b"}, "", nil); len(problems) != 2 {
		t.Errorf("problems are %v, want both", problems)
	} else if text := errors.Join(problems...).Error(); strings.Contains(text, "41234567") || strings.Contains(text, "a@b") {
		t.Errorf("a problem holds the value: %s", text)
	}
}

// membersFile is a file of allow with a clock: changes count a second later.
type membersFile struct {
	t     *testing.T
	path  string
	clock *policyClock
}

func newMembersFile(t *testing.T, content string) *membersFile {
	t.Helper()
	f := &membersFile{t: t, path: filepath.Join(t.TempDir(), "members.txt"), clock: &policyClock{now: time.Now()}}
	f.write(content)
	return f
}

// write replaces the content, with the clock's time on it.
func (f *membersFile) write(content string) {
	f.t.Helper()
	if err := os.WriteFile(f.path, []byte(content), 0o600); err != nil {
		f.t.Fatal(err)
	}
	now := f.clock.Now()
	if err := os.Chtimes(f.path, now, now); err != nil {
		f.t.Fatal(err)
	}
}

func TestPolicyFile(t *testing.T) {
	t.Parallel()
	f := newMembersFile(t, "\ufeff# the choir\r\n\r\n412 34 567 # Kari\r\n  +45 20123456\r\n"+testSub+"\n")
	p := newPolicy(t, f.clock.Now, "NO", "@"+f.path, "99887766")
	for _, phone := range []string{"4741234567", "4520123456", "4799887766"} {
		if !p.allows("x", phone) {
			t.Errorf("%s may not pass", phone)
		}
	}
	if !p.allows(testSub, "") || p.allows("x", "4799999999") || !p.needsPhone() || p.version() != 1 {
		t.Error("the file is read wrongly")
	}

	f.clock.advance(2 * time.Second)
	f.write("+47 99999999\n")
	f.clock.advance(1500 * time.Millisecond)
	if p.allows("x", "4741234567") || !p.allows("x", "4799999999") || !p.allows("x", "4799887766") {
		t.Error("the change is not seen")
	}
	if p.version() != 2 {
		t.Errorf("version is %d, want 2", p.version())
	}

	f.clock.advance(2 * time.Second)
	f.write("# the same\n4799999999\n")
	f.clock.advance(2 * time.Second)
	if !p.allows("x", "4799999999") || p.version() != 2 {
		t.Errorf("version is %d after a change that changes nothing", p.version())
	}
}

// The version alone brings a change in: decisions are cached by it.
func TestPolicyVersionLooks(t *testing.T) {
	t.Parallel()
	f := newMembersFile(t, "4741234567\n")
	p := newPolicy(t, f.clock.Now, "", "@"+f.path)
	f.write("4799999999\n")
	f.clock.advance(time.Minute)
	if p.version() != 2 {
		t.Error("the version doesn't change by itself")
	}
}

func TestPolicyFileLooksOnceASecond(t *testing.T) {
	t.Parallel()
	f := newMembersFile(t, "4741234567\n")
	f.clock.advance(time.Minute)
	p := newPolicy(t, f.clock.Now, "", "@"+f.path)
	f.write("4799999999\n")
	old := f.clock.Now().Add(-10 * time.Second) // settled long ago
	if err := os.Chtimes(f.path, old, old); err != nil {
		t.Fatal(err)
	}
	f.clock.advance(900 * time.Millisecond)
	if !p.allows("x", "4741234567") {
		t.Error("the file was read before a second had passed")
	}
	f.clock.advance(100 * time.Millisecond)
	if p.allows("x", "4741234567") {
		t.Error("the file was not read after a second")
	}
}

// An editor truncates first and writes then: half a file is nobody's list.
func TestPolicyFileSettles(t *testing.T) {
	t.Parallel()
	f := newMembersFile(t, "4741234567\n")
	f.clock.advance(time.Minute)
	p := newPolicy(t, f.clock.Now, "", "@"+f.path)
	f.clock.advance(time.Second)
	f.write("")
	if !p.allows("x", "4741234567") {
		t.Error("a file being written was read")
	}
	f.clock.advance(500 * time.Millisecond)
	f.write("4741234567\n4799999999\n")
	f.clock.advance(500 * time.Millisecond)
	if !p.allows("x", "4741234567") || p.allows("x", "4799999999") {
		t.Error("the change was read before it settled")
	}
	f.clock.advance(time.Second)
	if !p.allows("x", "4799999999") {
		t.Error("the settled change is not seen")
	}
}

// A time stamp from the future settles too: by the second look at it.
func TestPolicyFileFromTheFuture(t *testing.T) {
	t.Parallel()
	f := newMembersFile(t, "4741234567\n")
	p := newPolicy(t, f.clock.Now, "", "@"+f.path)
	f.write("4799999999\n")
	future := f.clock.Now().Add(time.Hour)
	if err := os.Chtimes(f.path, future, future); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		f.clock.advance(time.Second)
		p.version()
	}
	if !p.allows("x", "4799999999") {
		t.Error("the change is not seen")
	}
}

func TestSec_B025_PolicyFileTurnsBad(t *testing.T) {
	t.Parallel()
	f := newMembersFile(t, "4741234567\n")
	p := newPolicy(t, f.clock.Now, "", "@"+f.path)
	if p.fileError() != nil {
		t.Errorf("a good file has the error %v", p.fileError())
	}
	look := func() error {
		f.clock.advance(2 * time.Second)
		p.allows("x", "")
		return p.fileError()
	}
	if err := os.Remove(f.path); err != nil {
		t.Fatal(err)
	}
	gone := look()
	if !errors.Is(gone, os.ErrNotExist) || !p.allows("x", "4741234567") {
		t.Errorf("without its file: %v, %t", gone, p.allows("x", "4741234567"))
	}
	if again := look(); again == nil || again.Error() != gone.Error() {
		t.Errorf("the error changed from %v to %v", gone, again)
	}

	f.write("4741234567\nKari Nordmann\n")
	bad := look()
	if bad == nil || !strings.Contains(bad.Error(), "line 2") || strings.Contains(bad.Error(), "Kari") || !p.allows("x", "4741234567") {
		t.Errorf("with a bad file: %v, %t", bad, p.allows("x", "4741234567"))
	}
	if look() == nil {
		t.Error("the error is forgotten while the file is bad")
	}

	f.write("4799999999\n")
	if err := look(); err != nil || p.allows("x", "4741234567") || !p.allows("x", "4799999999") {
		t.Errorf("with a mended file: %v", err)
	}

	f.write("# closed\n")
	if err := look(); err == nil || p.allows("x", "4799999999") {
		t.Errorf("with a file that lets nobody pass: %v, %t", err, p.allows("x", "4799999999"))
	}
}

func TestPolicyConcurrently(t *testing.T) {
	t.Parallel()
	f := newMembersFile(t, "4741234567\n")
	p := newPolicy(t, f.clock.Now, "", "@"+f.path, testSub)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				if !p.allows(testSub, "") || p.allows("x", "4700000000") || p.version() == 0 {
					t.Error("a decision changed for somebody whom no file concerns")
					return
				}
				_ = p.fileError()
			}
		})
	}
	for i := range 50 {
		f.write([]string{"4741234567\n", "4799999999\n", "bad file", ""}[i%4])
		f.clock.advance(1100 * time.Millisecond)
	}
	wg.Wait()
}

func TestPolicyDoesNotAllocate(t *testing.T) {
	f := newMembersFile(t, "4741234567\n"+testSub+"\n")
	p := newPolicy(t, f.clock.Now, "", "@"+f.path)
	if n := testing.AllocsPerRun(100, func() {
		p.allows("other", "4741234567")
		p.allows(testSub, "")
		p.version()
	}); n != 0 {
		t.Errorf("%.0f allocations", n)
	}
}

func FuzzParseAllowFile(f *testing.F) {
	f.Add("+47 412 34 567\n# c\n\n"+testSub+"\r\n", "NO")
	f.Add("anyone\n", "")
	f.Add("\ufeff41234567#x", "DK")
	f.Fuzz(func(t *testing.T, content, market string) {
		set, err := parseAllowFile(strings.NewReader(content), market)
		if err != nil {
			if set.anyone || set.subs != nil || set.phones != nil {
				t.Fatalf("%q: a set beside the error %v", content, err)
			}
			return
		}
		if set.anyone {
			t.Fatalf("%q allows anyone", content)
		}
		for sub := range set.subs {
			if sub == "" || strings.TrimSpace(sub) != sub || len(sub) > 255 {
				t.Fatalf("%q holds the sub %q", content, sub)
			}
		}
		for phone := range set.phones {
			if phone == "" || strings.Trim(phone, "0123456789") != "" {
				t.Fatalf("%q holds the number %q", content, phone)
			}
		}
	})
}

func BenchmarkPolicyAllows(b *testing.B) {
	p, _ := parseAllow([]string{"4741234567", testSub}, "", nil)
	b.ReportAllocs()
	for b.Loop() {
		p.allows(testSub, "4741234567")
	}
}
