package merchant_test

import (
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vippsauth/vippsauth/merchant"
)

// Attack: an instance takes over the logins of another, of a provider that is asked every twenty seconds. Whoever is declined before anybody could have been
// asked about is nobody at Vipps: what is clipped to a time of its own tells.
func TestSec_A145_NoOracleWhereLoginsAreTakenOver(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "merchant_logins")
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		op.interval = 20
		op.begin = func(form url.Values) *httptest.ResponseRecorder {
			if strings.HasSuffix(form.Get("login_hint"), "404") {
				return refuse("unknown_user_id")
			}
			return nil
		}
		l := newLab(t, op, func(c *merchant.Config) { c.File = file })
		synctest.Wait()
		nobody := l.begin("till", "4712345404")
		time.Sleep(time.Second)
		stop := l.cancel
		l.start()
		l.begin("till", kari) // which tells it how often the provider may be asked
		stop()
		began := time.Now()
		time.Sleep(time.Second)
		if got := l.until("till", nobody.ID); got.State != merchant.Declined || time.Since(began) < 20*time.Second {
			t.Errorf("%s after %v", got.State, time.Since(began))
		}
	})
}
