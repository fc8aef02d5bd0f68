package merchant_test

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vippsauth/vippsauth/merchant"
)

// A service that stops asks the provider no more, though requests under way still start logins: those are kept, and go on after the restart as
// the others do. A poll under way is heard for some seconds, and then cut off.
func TestEndPolls(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "merchant_logins")
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		op.latency = time.Minute
		l := newLab(t, op, func(c *merchant.Config) { c.File = file })
		synctest.Wait()
		before := l.begin("till", kari)
		time.Sleep(6 * time.Second) // the first poll is under way
		began := time.Now()
		l.EndPolls()
		l.EndPolls()
		op.set(func() { op.latency = 0 })
		during := l.begin("till", "4712345671")
		time.Sleep(time.Minute)
		if n := len(op.of(kari).polls) + len(op.of("4712345671").polls); n != 1 {
			t.Errorf("%d polls, of which one was under way", n)
		}
		l.cancel()
		if took := time.Since(began); took > time.Minute+time.Second {
			t.Errorf("the end took %s more", took-time.Minute)
		}
		l.start()
		op.says(kari, "yes")
		op.says("4712345671", "yes")
		for _, s := range []merchant.Status{before, during} {
			if got := l.until("till", s.ID); got.State != merchant.Approved {
				t.Errorf("%s after the restart", got.State)
			}
		}
	})
}
