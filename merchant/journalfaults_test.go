package merchant_test

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/vippsauth/vippsauth/internal/ondisk"
	"github.com/vippsauth/vippsauth/merchant"
	"github.com/vippsauth/vippsauth/session"
)

// Fault: a service restarts over and over. Each start wrote the counts anew, a moment after it had read them, and rounded them up to the next
// second again: with a restart each second what was taken from a number never came back.
func TestCountsComeBackInACrashLoop(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "merchant_logins")
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		var moments atomic.Int64
		l := newLab(t, op, func(c *merchant.Config) {
			c.File, c.PhoneLimit = file, "1/10m"
			c.Now = func() time.Time { return time.Now().Add(time.Duration(moments.Add(1)) * time.Microsecond) } // as with a real clock, no two looks are the same
		})
		synctest.Wait()
		l.begin("till", kari)
		for range 60 {
			time.Sleep(10 * time.Second)
			l.cancel()
			l.start()
			synctest.Wait()
		}
		time.Sleep(2 * time.Second)
		l.begin("till", kari)
	})
}

// Fault: a clock was a year ahead when a login began, and was set right before a restart. Nobody's login stays for a year: it
// takes room of its caller's, and would tell who has an account.
func TestALoginIsNoLongerThanItsOwnTime(t *testing.T) {
	t.Parallel()
	for name, unknown := range map[string]bool{"somebody": false, "nobody": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "merchant_logins")
			synctest.Test(t, func(t *testing.T) {
				op := newProvider(t)
				if unknown {
					op.begin = func(url.Values) *httptest.ResponseRecorder { return refuse("unknown_user_id") }
				}
				var ahead atomic.Int64
				l := newLab(t, op, func(c *merchant.Config) {
					c.File, c.Now = file, func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
				})
				ahead.Store(int64(365 * 24 * time.Hour))
				l.cancel()
				l.start()
				synctest.Wait()
				s := l.begin("till", kari)
				time.Sleep(time.Second)
				l.cancel()
				ahead.Store(0)
				for range 2 {
					l.start()
					synctest.Wait()
					time.Sleep(time.Second)
					l.cancel()
				}
				l.start()
				synctest.Wait()
				if got := l.state("till", s.ID); got.State != merchant.Pending || time.Until(got.Expires) > 15*time.Minute {
					t.Errorf("%s until %v from now", got.State, time.Until(got.Expires))
				}
				time.Sleep(12 * time.Minute)
				if got := l.state("till", s.ID); got.State == merchant.Pending {
					t.Errorf("it still waits, until %v from now", time.Until(got.Expires))
				}
			})
		})
	}
}

// Fault: the key was changed while many logins were under way. Their lines are kept, and made the file look as if most of it were over: it was
// written anew, all of it, for each login that began and each five seconds.
func TestJournalOfAnotherKeyIsNotWrittenOverAndOver(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "merchant_logins")
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		l := newLab(t, op, func(c *merchant.Config) { c.File = file })
		synctest.Wait()
		var all []string
		for i := range 1100 {
			all = append(all, l.begin("till", fmt.Sprintf("4712%06d", 340000+i)).ID)
		}
		time.Sleep(time.Second)
		l.cancel()
		before := l.cfg.Keys
		l.cfg.Keys = session.Keys{newKey(t)}
		l.start()
		time.Sleep(time.Second)
		then := infoOf(t, file)
		l.begin("till", kari)
		time.Sleep(11 * time.Second)
		if !os.SameFile(then, infoOf(t, file)) {
			t.Error("the file is written anew")
		}
		l.cancel()
		l.cfg.Keys = append(l.cfg.Keys, before...)
		l.start()
		synctest.Wait()
		for _, id := range all {
			if got := l.state("till", id); got.State != merchant.Pending {
				t.Fatalf("%s", got.State)
			}
		}
	})
}

// Fault: a process is killed while it writes its journal anew, again and again. Each time a file is left beside it, with all that was under
// way: the next start takes them away, but not what is another's, or is being written.
func TestUnfinishedJournalsGo(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there are no such locks")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "merchant_logins")
	left, others := []string{file + ".1.new", file + ".3141592653.new"}, []string{file + ".new", file + ".x.new", file + ".1.old", file + ".2.new", filepath.Join(dir, "other.1.new")}
	for _, name := range slices.Concat(left, others) {
		if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	written, err := os.Open(file + ".2.new")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = written.Close() }()
	if busy, err := ondisk.TryLock(written); busy || err != nil {
		t.Fatal(busy, err)
	}
	synctest.Test(t, func(t *testing.T) {
		newLab(t, newProvider(t), func(c *merchant.Config) { c.File = file })
		time.Sleep(time.Second)
		for _, name := range left {
			if _, err := os.Stat(name); err == nil {
				t.Errorf("%s is still there", filepath.Base(name))
			}
		}
		for _, name := range others {
			if _, err := os.Stat(name); err != nil {
				t.Errorf("%s is gone", filepath.Base(name))
			}
		}
	})
}

// Fault: the file is removed under a process while another waits for it, as when two instances overlap and somebody tidies up. The one that waits
// makes a new file, and both wrote theirs over the other's every few seconds. One has it; the other says so, and has it again afterwards.
func TestTwoProcessesDoNotFightForAJournal(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there are no such locks")
	}
	file := filepath.Join(t.TempDir(), "merchant_logins")
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		core, logs := observer.New(zap.DebugLevel)
		l := newLab(t, op, func(c *merchant.Config) { c.File, c.Logger = file, zap.New(core) })
		synctest.Wait()
		mine, stopFirst := l.begin("till", kari), l.cancel
		l.start()
		time.Sleep(time.Second)
		before := logs.FilterMessageSnippet("another process").Len()
		time.Sleep(30 * time.Millisecond) // between two looks of either
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		time.Sleep(110 * time.Millisecond)
		l.begin("till", "4712345679")
		time.Sleep(time.Second)
		taken := infoOf(t, file)
		for range 30 {
			time.Sleep(time.Second)
			if !os.SameFile(taken, infoOf(t, file)) {
				t.Fatal("the first takes it away again")
			}
		}
		if logs.FilterMessageSnippet("another process").Len() == before {
			t.Error("nobody was told")
		}
		l.cancel()
		time.Sleep(10 * time.Second)
		stopFirst()
		l.start()
		synctest.Wait()
		if got := l.state("till", mine.ID); got.State != merchant.Pending {
			t.Errorf("the first, once it has the file again: %s", got.State)
		}
	})
}

func infoOf(t *testing.T, path string) os.FileInfo {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info
}
