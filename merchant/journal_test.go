package merchant_test

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/vippsauth/vippsauth/merchant"
	"github.com/vippsauth/vippsauth/session"
)

func copyOf(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "copy")
	if err := os.WriteFile(other, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return other
}

func textOf(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A login goes on after a restart: its caller finds it, and gets its result; one that was over is lost. The file is the
// owner's alone and holds neither the person's number nor what the provider calls the login.
func TestJournal(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "merchant_logins")
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		l := newLab(t, op, func(c *merchant.Config) {
			c.File, c.RedirectURI, c.CheckReturnTo = file, callback, func(string) error { return nil }
		})
		synctest.Wait()
		s := l.begin("till", kari)
		browser := l.beginWith("till", merchant.Request{Phone: "4712345671", ReturnTo: "https://shop.example/thanks"})
		over := l.begin("till", "4712345672")
		if err := l.Cancel(t.Context(), "till", over.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		text := textOf(t, file)
		for _, a := range op.all() {
			if strings.Contains(text, a.id) || strings.Contains(text, a.phone) || strings.Contains(text, a.phone[2:]) {
				t.Error("the file tells")
			}
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v %v", info.Mode(), err)
		}
		l.cancel()
		time.Sleep(time.Minute)
		l.start()
		got := l.state("till", s.ID)
		if got.State != merchant.Pending || got.Code != s.Code || got.Created.Unix() != s.Created.Unix() || got.Expires.Sub(s.Expires).Abs() > time.Second {
			t.Fatalf("%s, %v instead of %v", got.State, got.Expires, s.Expires)
		}
		if got := l.state("till", over.ID); got.State != merchant.Lost {
			t.Errorf("what was over is %s", got.State)
		}
		op.says(kari, "yes")
		if got := l.until("till", s.ID); got.State != merchant.Approved {
			t.Fatalf("%s %s", got.State, got.Reason)
		}
		login, to, err := l.Land(t.Context(), op.code("4712345671"))
		if err != nil || to != "https://shop.example/thanks" || login.User.Sub != "sub-4712345671" {
			t.Errorf("%q %v", to, err)
		}
		if got := l.state("till", browser.ID); got.State != merchant.Delivered || got.Login != nil {
			t.Errorf("the browser's: %s", got.State)
		}
		op.fair(t)
		l.cancel()
		l.start()
		if got := l.state("till", s.ID); got.State != merchant.Lost {
			t.Errorf("a result after a restart: %s", got.State)
		}
	})
}

// Somebody without an account is no easier to tell after a restart.
func TestSec_A145_NoOracleAfterARestart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "merchant_logins")
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		op.begin = func(url.Values) *httptest.ResponseRecorder { return refuse("unknown_user_id") }
		l := newLab(t, op, func(c *merchant.Config) { c.File = file })
		synctest.Wait() // or it would be kept with all that there is when the file is first written
		s := l.begin("till", kari)
		time.Sleep(time.Second)
		l.cancel()
		l.start()
		if got := l.state("till", s.ID); got.State != merchant.Pending {
			t.Fatalf("%s", got.State)
		}
		if got := l.until("till", s.ID); got.State != merchant.Declined || time.Since(s.Created) > 16*time.Second {
			t.Errorf("%s after %v", got.State, time.Since(s.Created))
		}
	})
}

// What befalls a file: a crash in the middle of a line, rubbish, lines in a row that are too long, another key. What is
// whole is used, and what another key sealed is still there when that key comes back.
func TestJournalDamage(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		damage func(text string) string
		other  bool // key
		state  merchant.State
	}{
		"torn tail": {func(s string) string { return s + "v1 99999999999 + AAAA" }, false, merchant.Pending},
		"rubbish": {func(s string) string {
			return "\x00\xff\n\n# x\nv1 - -\nv9 1 + x y z\n" + s + strings.Repeat("x", 1<<20) + "\n"
		}, false, merchant.Pending},
		"twice":      {func(s string) string { return s + s }, false, merchant.Pending},
		"no end":     {func(s string) string { return strings.TrimSuffix(s, "\n") }, false, merchant.Pending},
		"cut":        {func(s string) string { return s[:len(s)-20] }, false, merchant.Lost},
		"one bit":    {func(s string) string { return s[:len(s)-200] + string(s[len(s)-200]^1) + s[len(s)-199:] }, false, merchant.Lost},
		"empty":      {func(string) string { return "" }, false, merchant.Lost},
		"other keys": {func(s string) string { return s }, true, merchant.Lost},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "merchant_logins")
			synctest.Test(t, func(t *testing.T) {
				op := newProvider(t)
				core, logs := observer.New(zap.DebugLevel)
				l := newLab(t, op, func(c *merchant.Config) { c.File, c.Logger = file, zap.New(core) })
				synctest.Wait()
				s := l.begin("till", kari)
				time.Sleep(time.Second)
				l.cancel()
				if err := os.WriteFile(file, []byte(tc.damage(textOf(t, file))), 0o600); err != nil {
					t.Fatal(err)
				}
				keys := l.cfg.Keys
				if tc.other {
					l.cfg.Keys = session.Keys{newKey(t)}
					l.start()
					time.Sleep(time.Second)
					if logs.FilterMessageSnippet("no key of ours").Len() != 1 {
						t.Error("nobody was told")
					}
					l.begin("till", "4712345679")
					time.Sleep(10 * time.Second)
					l.cancel()
					l.cfg.Keys, tc.state = keys, merchant.Pending
				}
				l.start()
				if got := l.state("till", s.ID); got.State != tc.state {
					t.Errorf("%s", got.State)
				}
			})
		})
	}
}

// Two processes with one journal: the second waits for it, works meanwhile, and then takes over what the first one left.
func TestJournalIsOneProcess(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "merchant_logins")
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		core, logs := observer.New(zap.DebugLevel)
		l := newLab(t, op, func(c *merchant.Config) { c.File, c.Logger = file, zap.New(core) })
		synctest.Wait()
		first := l.begin("till", kari)
		time.Sleep(time.Second)
		stop := l.cancel
		l.start()
		second := l.begin("till", "4712345679")
		time.Sleep(10 * time.Second)
		if logs.FilterMessageSnippet("another process").Len() != 1 {
			t.Error("nobody was told")
		}
		if got := l.state("till", first.ID); got.State != merchant.Lost {
			t.Errorf("meanwhile: %s", got.State)
		}
		stop()
		time.Sleep(time.Second)
		for _, id := range []string{first.ID, second.ID} {
			if got := l.state("till", id); got.State != merchant.Pending {
				t.Errorf("taken over: %s", got.State)
			}
		}
		time.Sleep(time.Minute)
		op.fair(t)
		l.cancel()
		l.start()
		if got := l.state("till", second.ID); got.State != merchant.Pending {
			t.Errorf("what began before: %s", got.State)
		}
	})
}

// The file is taken away, or its directory can't be written: logins go on, somebody is told, and it is written anew as soon as
// that works.
func TestJournalTrouble(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "sub", "merchant_logins")
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		core, logs := observer.New(zap.DebugLevel)
		l := newLab(t, op, func(c *merchant.Config) { c.File, c.Logger = file, zap.New(core) })
		s := l.begin("till", kari)
		time.Sleep(time.Second)
		if logs.FilterMessageSnippet("can't be read").Len() != 1 {
			t.Error("nobody was told")
		}
		if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if !strings.Contains(textOf(t, file), " + ") {
			t.Error("it isn't written")
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		other := l.begin("till", "4712345679")
		if n := strings.Count(textOf(t, file), " + "); n != 2 {
			t.Errorf("%d are in the new file", n)
		}
		l.cancel()
		l.start()
		for _, id := range []string{s.ID, other.ID} {
			if got := l.state("till", id); got.State != merchant.Pending {
				t.Errorf("%s", got.State)
			}
		}
		for _, entry := range logs.All() {
			if text := entry.Message + fieldsOf(entry.ContextMap()); strings.Contains(text, kari) || strings.Contains(text, "till") {
				t.Errorf("the log tells: %s", text)
			}
		}
	})
}

// A journal of a busy till doesn't grow for ever.
func TestJournalStaysSmall(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "merchant_logins")
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		l := newLab(t, op, func(c *merchant.Config) { c.File = file })
		synctest.Wait()
		stays := l.begin("another till", kari)
		for range 2000 {
			s := l.begin("till", kari)
			if err := l.Cancel(t.Context(), "till", s.ID); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		if n := bytes.Count([]byte(textOf(t, file)), []byte(" ")); n > 10*1100 {
			t.Errorf("%d words", n)
		}
		l.cancel()
		l.start()
		if got := l.state("another till", stays.ID); got.State != merchant.Pending {
			t.Errorf("%s", got.State)
		}
	})
}

func fieldsOf(m map[string]any) string { return fmt.Sprint(m) }
