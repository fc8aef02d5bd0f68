package merchant_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vippsauth/vippsauth/merchant"
	"github.com/vippsauth/vippsauth/session"
)

// Attack: somebody who can make the service restart, or finds it restarting over and over, has one person's phone ring after each start. What was
// started for a number is counted on over a restart, for as long as the limit says, in whatever spelling it is given; other numbers are as
// free as before. The file holds a hash, with a key that is sealed.
func TestSec_A154_B037_LimitsOutliveARestart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "merchant_logins")
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		l := newLab(t, op, func(c *merchant.Config) { c.File, c.PhoneLimit = file, "3/10m" })
		synctest.Wait()
		rings := 0
		var waits time.Duration
		for range 8 { // a crash loop of twenty seconds a round
			var limited *merchant.LimitError
			switch _, err := l.Start(t.Context(), "till", merchant.Request{Phone: []string{kari, "+" + kari, "00" + kari}[rings%3]}); {
			case err == nil:
				rings++
			case !errors.As(err, &limited) || limited.Limit != "phone":
				t.Fatal(err)
			default:
				waits = limited.RetryAfter
			}
			text := textOf(t, file)
			if strings.Contains(text, kari) || strings.Contains(text, kari[2:]) {
				t.Fatal("the file tells the number")
			}
			time.Sleep(10 * time.Second)
			l.cancel()
			time.Sleep(10 * time.Second)
			l.start()
			synctest.Wait()
		}
		if rings != 3 || waits < time.Minute || waits > 200*time.Second {
			t.Errorf("the phone rang %d times in three minutes; to be tried again in %v", rings, waits)
		}
		l.begin("till", "4712345671")
		time.Sleep(waits)
		l.cancel()
		l.start()
		l.begin("till", kari)
		// Without the keys the counts can't be known, which keeps nobody from starting, and neither does a clock that was wrong then.
		l.cancel()
		key, err := session.NewKey()
		if err != nil {
			t.Fatal(err)
		}
		l.cfg.File, l.cfg.Keys = copyOf(t, file), session.Keys{key}
		l.start()
		synctest.Wait()
		l.begin("till", kari)
	})
}

// What a file says of counts is a limit's whole time at most, though a clock was years ahead when it was written; lines that are torn, or
// of another release, are none.
func TestJournalCountsFromAWrongClock(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "merchant_logins")
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		var ahead atomic.Int64
		l := newLab(t, op, func(c *merchant.Config) {
			c.File, c.PhoneLimit = file, "1/10m"
			c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		})
		ahead.Store(int64(5 * 365 * 24 * time.Hour))
		l.cancel()
		l.start()
		synctest.Wait()
		l.begin("till", kari)
		l.cancel()
		ahead.Store(0)
		if err := os.WriteFile(file, []byte(textOf(t, file)+"c1 99999999999 AAAAAAAAAAAAAAAAAAAAAA 00000000\nc2 x\ns1 \nc1 1"), 0o600); err != nil {
			t.Fatal(err)
		}
		l.start()
		synctest.Wait()
		var limited *merchant.LimitError
		if _, err := l.Start(t.Context(), "till", merchant.Request{Phone: kari}); !errors.As(err, &limited) || limited.RetryAfter > 10*time.Minute {
			t.Fatalf("%v", err)
		}
		time.Sleep(limited.RetryAfter)
		l.begin("till", kari)
	})
}
