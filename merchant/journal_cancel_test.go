package merchant_test

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vippsauth/vippsauth/merchant"
)

// Attack: a till cancels a login, since the wrong person was asked, and is told that it is over; then the power fails. After the
// restart the login must not wait for that person's yes again, and for their browser least of all.
func TestSec_A150_D30_CanceledIsCanceledOverAPowerCut(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "merchant_logins")
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		l := newLab(t, op, func(c *merchant.Config) {
			c.File, c.RedirectURI, c.CheckReturnTo = file, callback, func(string) error { return nil }
		})
		synctest.Wait()
		for i := range 20 {
			r := merchant.Request{Phone: kari}
			if i%2 == 0 {
				r.ReturnTo = "https://shop.example/thanks"
			}
			s := l.beginWith("till", r)
			if err := l.Cancel(t.Context(), "till", s.ID); err != nil {
				t.Fatal(err)
			}
			onDisk := copyOf(t, file) // as a power cut leaves it
			after := newLab(t, op, func(c *merchant.Config) {
				c.Keys, c.File, c.RedirectURI, c.CheckReturnTo = l.cfg.Keys, onDisk, callback, func(string) error { return nil }
			})
			synctest.Wait()
			if got := after.state("till", s.ID); got.State != merchant.Lost {
				t.Fatalf("login %d was canceled, and is %s after the restart", i, got.State)
			}
			after.cancel()
		}
	})
}

// Attack: a service is replaced, and the process that leaves holds the journal for a while yet. Who cancels at the new one is told that
// it is over. When the journal is read at last, the login must not be there again.
func TestSec_A150_D30_CanceledBeforeTheJournalIsRead(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "merchant_logins")
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		old := newLab(t, op, func(c *merchant.Config) { c.File = file })
		synctest.Wait()
		canceled, other := old.begin("till", kari), old.begin("till", "4712345672")
		time.Sleep(time.Second)
		l := newLab(t, op, func(c *merchant.Config) { c.Keys, c.File = old.cfg.Keys, file })
		if err := l.Cancel(t.Context(), "till", canceled.ID); err != nil {
			t.Fatal(err)
		}
		if got := l.state("till", other.ID); got.State != merchant.Lost {
			t.Fatalf("the journal is read already: %s", got.State)
		}
		old.cancel()
		time.Sleep(time.Second)
		if got := l.state("till", other.ID); got.State != merchant.Pending {
			t.Fatalf("the journal isn't read: %s", got.State)
		}
		if got := l.state("till", canceled.ID); got.State != merchant.Lost {
			t.Errorf("it was canceled, and is %s", got.State)
		}
	})
}
