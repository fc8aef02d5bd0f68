package merchant_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vippsauth/vippsauth/merchant"
	"github.com/vippsauth/vippsauth/vipps"
)

const thanks = "https://shop.example/thanks"

func browserLab(t testing.TB, op *provider) *lab {
	return newLab(t, op, func(c *merchant.Config) {
		c.RedirectURI, c.CheckReturnTo = callback, func(string) error { return nil }
	})
}

// A login ends in a browser: nobody polls for it, and the caller learns that it happened, and nothing of the person.
func TestLand(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		l := browserLab(t, op)
		s := l.beginWith("till", merchant.Request{Phone: kari, ReturnTo: thanks})
		if s.Flow != merchant.FlowBrowser {
			t.Errorf("flow %s", s.Flow)
		}
		if !l.Ping(op.of(kari).id) {
			t.Error("it is ours")
		}
		time.Sleep(time.Minute)
		if n := op.called("token"); n != 0 {
			t.Errorf("%d polls, and the token endpoint answers once", n)
		}
		login, to, err := l.Land(t.Context(), op.code(kari))
		if err != nil || to != thanks || login.User.Sub != "sub-"+kari {
			t.Fatalf("%q %v", to, err)
		}
		if got := l.state("till", s.ID); got.State != merchant.Delivered || got.Login != nil {
			t.Errorf("%s", got.State)
		}
		if _, err := l.Take("till", s.ID); !errors.Is(err, merchant.ErrNoResult) {
			t.Errorf("Take: %v", err)
		}
	})
}

// Attacks: a browser comes with a code of a login that wasn't started here, that is over, that ends in the app, or that
// somebody came with before. Nobody is logged in, and where nobody waits for a browser the provider isn't even asked.
func TestSec_A156_LandingsAreOursAndOnce(t *testing.T) {
	t.Parallel()
	t.Run("nobody waits", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			op := newProvider(t)
			l := browserLab(t, op)
			app := l.begin("till", kari)
			for range 100 {
				if _, _, err := l.Land(t.Context(), op.code(kari)); !errors.Is(err, merchant.ErrUnknown) {
					t.Fatal(err)
				}
			}
			if n := op.called("token"); n != 0 {
				t.Errorf("%d exchanges", n)
			}
			if got := l.state("till", app.ID); got.State != merchant.Pending {
				t.Errorf("%s", got.State)
			}
		})
	})
	t.Run("two at once", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			op := newProvider(t)
			l := browserLab(t, op)
			op.loose = true
			l.beginWith("till", merchant.Request{Phone: "4712345679", ReturnTo: thanks}) // so that somebody waits still
			l.beginWith("till", merchant.Request{Phone: kari, ReturnTo: thanks})
			query, id := op.code(kari), op.of(kari).id
			second := url.Values{"code": {"another-code"}}
			op.set(func() { op.codes["another-code"] = id })
			var won atomic.Int32
			var all sync.WaitGroup
			for i := range 40 {
				all.Go(func() {
					q := query
					if i%2 == 0 {
						q = second
					}
					if login, _, err := l.Land(t.Context(), q); err == nil && login != nil {
						won.Add(1)
					}
				})
			}
			all.Wait()
			if n := op.called("token"); won.Load() != 1 || n > 2 {
				t.Errorf("%d logins of %d exchanges of two codes", won.Load(), n)
			}
		})
	})
	t.Run("not ours", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			op := newProvider(t)
			l := browserLab(t, op)
			waits := l.beginWith("till", merchant.Request{Phone: "4712345679", ReturnTo: thanks})
			app := l.begin("till", kari)
			elsewhere := browserLab(t, op)
			elsewhere.beginWith("till", merchant.Request{Phone: "4712345670", ReturnTo: thanks})
			canceled := l.beginWith("till", merchant.Request{Phone: "4712345671", ReturnTo: thanks})
			if err := l.Cancel(t.Context(), "till", canceled.ID); err != nil {
				t.Fatal(err)
			}
			for _, tc := range []struct {
				name  string
				query url.Values
				code  string
			}{
				{"one that ends in the app", op.code(kari), vipps.CodeAuthReqID},
				{"one of another process", op.code("4712345670"), vipps.CodeAuthReqID},
				{"one that was canceled", op.code("4712345671"), vipps.CodeAuthReqID},
				{"a made-up code", url.Values{"code": {"abc"}}, "invalid_grant"},
				{"no code", url.Values{}, vipps.CodeMissingCode},
				{"two codes", url.Values{"code": {"a", "b"}}, vipps.CodeDuplicateParameter},
				{"an error", url.Values{"code": {""}, "error": {"access_denied"}}, "access_denied"},
				{"a code and another's state", url.Values{"code": op.code("4712345679")["code"], "state": {"x"}}, vipps.CodeStateMismatch},
			} {
				var e *vipps.Error
				if login, to, err := l.Land(t.Context(), tc.query); !errors.As(err, &e) || e.Code != tc.code || login != nil || to != "" {
					t.Errorf("%s: %q, %v", tc.name, to, err)
				}
			}
			if got := l.state("till", app.ID); got.State != merchant.Pending {
				t.Errorf("the app's: %s", got.State)
			}
			if got := l.state("till", waits.ID); got.State != merchant.Failed { // its code was spent with a wrong state
				t.Errorf("the browser's: %s", got.State)
			}
		})
	})
	t.Run("many", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			op := newProvider(t)
			l := browserLab(t, op)
			l.beginWith("till", merchant.Request{Phone: kari, ReturnTo: thanks})
			for i := range 2000 {
				_, _, _ = l.Land(t.Context(), url.Values{"code": {fmt.Sprintf("made-up-%d", i)}})
			}
			if n := op.called("token"); n > 600 {
				t.Errorf("%d made-up codes went to the provider", n)
			}
			time.Sleep(time.Minute)
			if _, _, err := l.Land(t.Context(), op.code(kari)); err != nil {
				t.Errorf("a minute later: %v", err)
			}
		})
	})
	t.Run("while the provider is away", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			op := newProvider(t)
			l := browserLab(t, op)
			l.beginWith("till", merchant.Request{Phone: kari, ReturnTo: thanks})
			query := op.code(kari)
			op.set(func() { op.away = true })
			if _, _, err := l.Land(t.Context(), query); !errors.Is(err, vipps.ErrUnavailable) {
				t.Errorf("away: %v", err)
			}
			op.set(func() { op.away = false })
			if _, _, err := l.Land(t.Context(), query); !errors.Is(err, merchant.ErrUnknown) {
				t.Errorf("a code that was sent is sent again: %v", err)
			}
		})
	})
	t.Run("while a restarted process can't reach the provider", func(t *testing.T) {
		t.Parallel()
		file := t.TempDir() + "/merchant_logins"
		synctest.Test(t, func(t *testing.T) {
			op := newProvider(t)
			l := newLab(t, op, func(c *merchant.Config) {
				c.RedirectURI, c.CheckReturnTo, c.File = callback, func(string) error { return nil }, file
			})
			l.beginWith("till", merchant.Request{Phone: kari, ReturnTo: thanks})
			query := op.code(kari)
			time.Sleep(time.Second)
			l.cancel()
			op.set(func() { op.away = true })
			l.cfg.Client = op.client(t)
			l.start()
			synctest.Wait()
			if _, _, err := l.Land(t.Context(), query); !errors.Is(err, vipps.ErrUnavailable) {
				t.Errorf("away: %v", err)
			}
			op.set(func() { op.away = false })
			time.Sleep(time.Minute)
			if _, _, err := l.Land(t.Context(), query); err != nil {
				t.Errorf("a code that was not sent: %v", err)
			}
		})
	})
	t.Run("late", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			op := newProvider(t)
			l := browserLab(t, op)
			r := merchant.Request{Phone: kari, ReturnTo: thanks, Expiry: time.Minute}
			l.beginWith("till", r)
			time.Sleep(90 * time.Second)
			if _, _, err := l.Land(t.Context(), op.code(kari)); err != nil {
				t.Errorf("who said yes in the last moment: %v", err)
			}
			s := l.beginWith("till", r)
			query := op.code(kari)
			time.Sleep(3 * time.Minute)
			if _, _, err := l.Land(t.Context(), query); !errors.Is(err, merchant.ErrUnknown) {
				t.Errorf("minutes later: %v", err)
			}
			if got := l.state("till", s.ID); got.State != merchant.Expired {
				t.Errorf("%s", got.State)
			}
		})
	})
}

// What somebody answered about consent is handed on before anybody gets the result, also when nobody waits for it any more,
// and the login goes on when that fails.
func TestConsentsComeFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		var heard atomic.Int32
		fails := atomic.Bool{}
		l := newLab(t, op, func(c *merchant.Config) {
			c.RedirectURI, c.CheckReturnTo = callback, func(string) error { return nil }
			c.Consented = func(ctx context.Context, sub string, c vipps.Consents) error {
				time.Sleep(2 * time.Second) // the result waits
				if len(c.Answers) != 1 || c.Answers[0].ID != "email" || sub[:4] != "sub-" || ctx.Err() != nil {
					t.Errorf("%v", c.Raw)
				}
				heard.Add(1)
				if fails.Load() {
					return errors.New("no room")
				}
				return nil
			}
		})
		s := l.begin("till", kari)
		op.says(kari, "yes")
		if got := l.until("till", s.ID); got.State != merchant.Approved || heard.Load() != 1 {
			t.Errorf("%s, heard %d times", got.State, heard.Load())
		}
		fails.Store(true)
		s = l.begin("till", "4712345679")
		op.says("4712345679", "yes")
		if got := l.until("till", s.ID); got.State != merchant.Approved || heard.Load() != 2 {
			t.Errorf("%s, heard %d times", got.State, heard.Load())
		}
		l.beginWith("till", merchant.Request{Phone: "4712345670", ReturnTo: thanks})
		if _, _, err := l.Land(t.Context(), op.code("4712345670")); err != nil || heard.Load() != 3 {
			t.Errorf("%v, heard %d times", err, heard.Load())
		}
		// Canceled while the answer is on its way.
		op.set(func() { op.latency = 3 * time.Second })
		s = l.begin("till", "4712345671")
		op.says("4712345671", "yes")
		time.Sleep(7 * time.Second)
		if err := l.Cancel(t.Context(), "till", s.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if got := l.state("till", s.ID); got.State != merchant.Canceled || heard.Load() != 4 {
			t.Errorf("%s, heard %d times", got.State, heard.Load())
		}
	})
}
