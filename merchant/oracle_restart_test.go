package merchant_test

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vippsauth/vippsauth/merchant"
)

// Attack: a caller whose logins wait over a restart looks at them at once. That of somebody without an account was declined by the clock
// meanwhile, that of somebody who said no is found out at the first poll: who is declined sooner than that is nobody at Vipps.
func TestSec_A145_NoOracleInTheFirstSecondsAfterARestart(t *testing.T) {
	t.Parallel()
	const nobody = "4712345672"
	file := filepath.Join(t.TempDir(), "merchant_logins")
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		l := newLab(t, op, func(c *merchant.Config) { c.File = file })
		synctest.Wait()
		known := l.begin("till", kari)
		op.begin = func(url.Values) *httptest.ResponseRecorder { return refuse("unknown_user_id") }
		unknown := l.begin("till", nobody)
		time.Sleep(time.Second)
		l.cancel()
		op.says(kari, "access_denied")
		time.Sleep(time.Minute)
		began := time.Now()
		l.start()
		var after [2]time.Duration
		var all sync.WaitGroup
		for i, id := range []string{known.ID, unknown.ID} {
			all.Go(func() {
				if got := l.until("till", id); got.State != merchant.Declined {
					t.Errorf("%s", got.State)
				}
				after[i] = time.Since(began)
			})
		}
		all.Wait()
		if after[0] < 4*time.Second || after[1] < after[0]-time.Second || after[1] > 16*time.Second {
			t.Errorf("%v for who said no, %v for nobody", after[0], after[1])
		}
	})
}

// Attack: a caller notes when logins are declined. Those of people who said no are, when they were asked about; those of nobody were at
// any time in between, which polls are never.
func TestSec_A145_NoOracleInTheTimeOfANo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		op.begin = func(form url.Values) *httptest.ResponseRecorder {
			if strings.HasSuffix(form.Get("login_hint"), "404") {
				return refuse("unknown_user_id")
			}
			return nil
		}
		l := newLab(t, op, nil)
		rounds := map[string]map[time.Duration]bool{"known": {}, "nobody": {}}
		for i := range 40 { // so many that chance hides nothing
			for who, phone := range map[string]string{"known": fmt.Sprintf("4712%03d678", i), "nobody": fmt.Sprintf("4712%03d404", i)} {
				s := l.begin("till", phone)
				if who == "known" {
					time.AfterFunc(time.Duration(i%12)*700*time.Millisecond, func() { op.says(phone, "access_denied") })
				}
				if got := l.until("till", s.ID); got.State != merchant.Declined {
					t.Fatalf("%s is %s", who, got.State)
				}
				took := time.Since(s.Created)
				rounds[who][took.Truncate(5*time.Second)] = true
				if took < 5*time.Second || took%(5*time.Second) > time.Second {
					t.Errorf("%s declined after %v", who, took)
				}
			}
		}
		if len(rounds["known"]) < 2 || len(rounds["nobody"]) < 2 {
			t.Errorf("%v", rounds)
		}
	})
}
