package merchant_test

import (
	"path/filepath"
	"testing"
	"testing/synctest"

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
			if err := l.Cancel("till", s.ID); err != nil {
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
