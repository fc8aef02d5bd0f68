package merchant_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vippsauth/vippsauth/merchant"
	"github.com/vippsauth/vippsauth/vipps"
)

// fair says what a provider would complain of: polls before their time, or two at once for one login.
func (p *provider) fair(t testing.TB) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.logins {
		if a.early > 0 || a.overlap {
			t.Errorf("%d of %d polls came early, the closest after %v; two at once: %t", a.early, len(a.polls), a.gap, a.overlap)
			return
		}
	}
}

// Attack on the provider: a login that nobody answers is asked about for ever, by a program whose clock was set, or faster than
// allowed where the answers are slow. Polls end with the login, and each begins an interval after the answer to the one before.
func TestSec_A149_PollsEndAndDontOverlap(t *testing.T) {
	t.Parallel()
	for name, latency := range map[string]time.Duration{"fast answers": 0, "slow answers": 8 * time.Second, "no answers": 30 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				op := newProvider(t)
				op.latency = latency
				l := newLab(t, op, nil)
				s := l.beginWith("till", merchant.Request{Phone: kari, Expiry: 2 * time.Minute})
				pinged := op.of(kari).id
				if latency > 0 { // a ping while a poll is under way
					time.Sleep(7 * time.Second)
					if len(op.of(kari).polls) != 1 || !l.Ping(pinged) {
						t.Error("no poll is under way")
					}
				}
				end := l.until("till", s.ID)
				if end.State != merchant.Expired && (end.State != merchant.Failed || name != "no answers") {
					t.Errorf("it ends %s", end.State)
				}
				if late := time.Since(s.Expires); late > latency+time.Second {
					t.Errorf("%v late", late)
				}
				polls := op.of(kari).polls
				time.Sleep(time.Hour)
				if n := len(op.of(kari).polls); n != len(polls) || n < 2 || n > 24 {
					t.Errorf("%d polls in time, and %d later", len(polls), n-len(polls))
				}
				for _, at := range polls {
					if !at.Before(s.Expires) {
						t.Errorf("a poll %v after the end", at.Sub(s.Expires))
					}
				}
				if a := op.of(kari); a.overlap {
					t.Error("two polls at once")
				}
				if latency == 0 {
					op.fair(t)
				}
			})
		})
	}
	t.Run("whoever started it goes away", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			op := newProvider(t)
			op.latency = time.Second
			l := newLab(t, op, nil)
			s := l.begin("till", kari)
			time.Sleep(6 * time.Second)
			if err := l.Cancel(t.Context(), "till", s.ID); err != nil {
				t.Fatal(err)
			}
			polls := len(op.of(kari).polls)
			time.Sleep(time.Minute)
			if n := len(op.of(kari).polls); n != polls {
				t.Errorf("%d polls after that", n-polls)
			}
		})
	})
	t.Run("the process ends", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			op := newProvider(t)
			op.latency = 9 * time.Second
			l := newLab(t, op, nil)
			l.begin("till", kari)
			time.Sleep(6 * time.Second)
			began := time.Now()
			l.cancel()
			if took := time.Since(began); took > 4*time.Second {
				t.Errorf("Run took %v to end", took)
			}
		})
	})
}

// A person says yes while the process is ending: what the provider says once is still heard.
func TestLastWords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		op.latency = 2 * time.Second
		l := newLab(t, op, nil)
		s := l.begin("till", kari)
		op.says(kari, "yes")
		time.Sleep(6 * time.Second)
		l.cancel()
		if got := l.state("till", s.ID); got.State != merchant.Approved {
			t.Errorf("%s", got.State)
		}
	})
}

// Attack: a login's id is pinged over and over, by whoever has found it out. That makes one poll out of turn and no more;
// what isn't ours, or isn't pending, makes none.
func TestSec_A148_A149_PingsMakeOnePoll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		op.interval = 60
		l := newLab(t, op, nil)
		s := l.begin("till", kari)
		id := op.of(kari).id
		if l.Ping("made-up") || l.Ping(s.ID) || l.Ping("") {
			t.Error("somebody else's id is taken for one of ours")
		}
		time.Sleep(20 * time.Second)
		for range 1000 {
			if !l.Ping(id) {
				t.Fatal("it is ours")
			}
			time.Sleep(10 * time.Millisecond)
		}
		if n := len(op.of(kari).polls); n != 1 {
			t.Errorf("%d polls", n)
		}
		if gap := op.of(kari).polls[0].Sub(s.Created); gap > 21*time.Second {
			t.Errorf("it came %v after the start, and the ping after 20 s", gap)
		}
		time.Sleep(90 * time.Second)
		if polls := op.of(kari).polls; len(polls) != 2 || polls[1].Sub(polls[0]) < time.Minute {
			t.Errorf("the next one: %v", polls)
		}
		// What a ping is for.
		other := l.begin("till", "4712345679")
		time.Sleep(30 * time.Second)
		op.says("4712345679", "yes")
		l.Ping(op.of("4712345679").id)
		began := time.Now()
		if got := l.until("till", other.ID); got.State != merchant.Approved || time.Since(began) > time.Second {
			t.Errorf("%s after %v", got.State, time.Since(began))
		}
		if l.Ping(op.of("4712345679").id) {
			t.Error("it isn't pending any more")
		}
	})
}

// The provider says 429 to polls, in both forms of Retry-After, and is asked again no sooner.
func TestSec_A154_PollsKeepToRetryAfter(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]func() string{
		"seconds": func() string { return "40" },
		"a date":  func() string { return time.Now().Add(41 * time.Second).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				op := newProvider(t)
				op.poll = func(*asked) *httptest.ResponseRecorder { return tooManyNow(header()) }
				l := newLab(t, op, nil)
				s := l.beginWith("till", merchant.Request{Phone: kari, Expiry: 5 * time.Minute})
				time.Sleep(4 * time.Minute)
				polls := op.of(kari).polls
				if len(polls) < 2 || len(polls) > 6 {
					t.Errorf("%d polls", len(polls))
				}
				for i := 1; i < len(polls); i++ {
					if gap := polls[i].Sub(polls[i-1]); gap < 40*time.Second {
						t.Errorf("%v after the one before", gap)
					}
				}
				op.set(func() { op.poll = nil })
				op.says(kari, "yes")
				if got := l.until("till", s.ID); got.State != merchant.Approved {
					t.Errorf("afterwards: %s %s", got.State, got.Reason)
				}
			})
		})
	}
}

// Attack: somebody is sent message after message until they say yes to one. Starts are counted by phone number, in
// every spelling and by all callers together, and by caller; what the provider says to it is passed on.
func TestSec_A154_B037_LimitsArePerPersonAndCaller(t *testing.T) {
	t.Parallel()
	spellings := []string{"4712345678", "+4712345678", "004712345678", "+47 12 34 56 78", "+47-1234-5678", "12345678", " +47.12.34.56.78 ", "\uff0b\uff14\uff1712345678"}
	t.Run("A154_spellings", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			op := newProvider(t)
			l := newLab(t, op, func(c *merchant.Config) { c.PhoneLimit, c.Market = "3/10m", "NO" })
			for round := range 20 {
				for i, phone := range spellings {
					caller := fmt.Sprintf("till-%d", (round+i)%4)
					_, err := l.Start(t.Context(), caller, merchant.Request{Phone: phone})
					tooMany(t, err, "phone")
					_, err = l.UserExists(t.Context(), caller, phone)
					tooMany(t, err, "phone")
				}
			}
			if n := op.called("authentication") + op.called("user-exists"); n != 3 {
				t.Errorf("%d messages and questions", n)
			}
			if _, err := l.Start(t.Context(), "till-1", merchant.Request{Phone: "4712345679"}); err != nil {
				t.Errorf("somebody else: %v", err)
			}
		})
	})
	t.Run("A154_callers", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			op := newProvider(t)
			l := newLab(t, op, func(c *merchant.Config) { c.CallerLimit = "60/1m" })
			for i := range 200 {
				_, err := l.Start(t.Context(), "till", merchant.Request{Phone: fmt.Sprintf("4790%06d", i)})
				tooMany(t, err, "caller")
				if i%2 == 0 {
					_, err = l.UserExists(t.Context(), "till", fmt.Sprintf("4791%06d", i))
					tooMany(t, err, "caller")
				}
				_, err = l.Start(t.Context(), "till", merchant.Request{CustomerToken: fmt.Sprintf("token-%d", i)})
				tooMany(t, err, "caller")
			}
			if n := op.called("authentication") + op.called("user-exists"); n != 60 {
				t.Errorf("%d messages and questions", n)
			}
			l.begin("another till", kari)
			var limit *merchant.LimitError
			_, err := l.Start(t.Context(), "till", merchant.Request{Phone: kari})
			if !errors.As(err, &limit) || limit.RetryAfter <= 0 || limit.RetryAfter > 2*time.Second {
				t.Fatalf("RetryAfter: %v", err)
			}
			time.Sleep(limit.RetryAfter)
			if _, err := l.Start(t.Context(), "till", merchant.Request{Phone: kari}); err != nil {
				t.Errorf("after that: %v", err)
			}

			// RetryAfter is whole seconds, and long enough.
			seven := newLab(t, op, func(c *merchant.Config) { c.CallerLimit = "7/1m" })
			for range 20 {
				_, err := seven.Start(t.Context(), "till", merchant.Request{Phone: kari})
				if errors.As(err, &limit) {
					time.Sleep(limit.RetryAfter)
					if _, err := seven.Start(t.Context(), "till", merchant.Request{Phone: kari}); err != nil || limit.RetryAfter%time.Second != 0 {
						t.Fatalf("%v later: %v", limit.RetryAfter, err)
					}
				}
			}
		})
	})
	// caddy-security's issue 271: a try ended and begun again counted from nothing.
	t.Run("B037_startingAgainResetsNothing", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			op := newProvider(t)
			op.begin = func(form url.Values) *httptest.ResponseRecorder {
				switch op.calls["authentication"] % 3 {
				case 0:
					return refuse("unknown_user_id")
				case 1:
					return answer(503, map[string]any{})
				}
				return nil
			}
			l := newLab(t, op, func(c *merchant.Config) { c.PhoneLimit = "3/10m" })
			began := time.Now()
			for i := range 1000 {
				caller := fmt.Sprintf("till-%d", i%7)
				if s, err := l.Start(t.Context(), caller, merchant.Request{Phone: kari}); err == nil {
					if i%2 == 0 {
						op.says(kari, "yes")
					}
					time.Sleep(100 * time.Millisecond)
					if err := l.Cancel(t.Context(), caller, s.ID); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(900 * time.Millisecond)
			}
			most := 3 + int(time.Since(began)/(10*time.Minute/3)) + 1
			if n := op.called("authentication"); n > most || n < 3 {
				t.Errorf("%d messages in %v, at most %d", n, time.Since(began), most)
			}
		})
	})
	t.Run("A154_provider", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			op := newProvider(t)
			after := "77"
			op.begin = func(url.Values) *httptest.ResponseRecorder { return tooManyNow(after) }
			l := newLab(t, op, nil)
			var limit *merchant.LimitError
			if _, err := l.Start(t.Context(), "till", merchant.Request{Phone: kari}); !errors.As(err, &limit) || limit.RetryAfter != 77*time.Second || limit.Limit != "provider" {
				t.Errorf("%v", err)
			}
			after = ""
			if _, err := l.Start(t.Context(), "till", merchant.Request{Phone: kari}); !errors.As(err, &limit) || limit.RetryAfter != time.Minute {
				t.Errorf("without a time: %v", err)
			}
			op.begin = func(url.Values) *httptest.ResponseRecorder { return answer(503, map[string]any{}) }
			if _, err := l.Start(t.Context(), "till", merchant.Request{Phone: kari}); !errors.Is(err, vipps.ErrUnavailable) {
				t.Errorf("away: %v", err)
			}
			if exists, err := l.UserExists(t.Context(), "till", "4712345404"); err != nil || exists {
				t.Errorf("nobody: %t %v", exists, err)
			}
			if exists, err := l.UserExists(t.Context(), "till", kari); err != nil || !exists {
				t.Errorf("somebody: %t %v", exists, err)
			}
		})
	})
}

// tooMany fails for an error that isn't the limit's.
func tooMany(t *testing.T, err error, name string) {
	t.Helper()
	var limit *merchant.LimitError
	if err != nil && (!errors.As(err, &limit) || limit.Limit != name || limit.RetryAfter <= 0) {
		t.Fatalf("not the limit %s: %v", name, err)
	}
}

// Two thousand logins begin at once, and are restored at once: their polls don't come together.
func TestSec_D30_PollsAreSpread(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/merchant_logins"
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		l := newLab(t, op, func(c *merchant.Config) { c.File = file })
		for i := range 2000 {
			l.begin("till", fmt.Sprintf("4790%06d", i))
		}
		for _, when := range []string{"at first", "after a restart"} {
			op.set(func() { op.polls = nil })
			time.Sleep(20 * time.Second)
			polls, _ := op.whenPolled()
			if most, mean := busiest(polls, 100*time.Millisecond); most > 2.5*mean || mean < 30 {
				t.Errorf("%s: %.0f polls within a tenth of a second, %.1f in the mean", when, most, mean)
			}
			l.cancel()
			l.start()
		}
		op.fair(t)
	})
}

// Attack on the provider: a thousand logins begin at once, all of them are told to slow down, and the process dies while it
// asks. Each keeps to its own interval throughout, no two polls of one are under way at once, only so many of all,
// and after the restart all go on.
func TestSec_A141_A142_D30_AThousandLoginsAndARestart(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/merchant_logins"
	synctest.Test(t, func(t *testing.T) {
		const count = 1000
		op := newProvider(t)
		op.latency = 75 * time.Millisecond
		told := map[*asked]bool{}
		op.poll = func(a *asked) *httptest.ResponseRecorder {
			if told[a] {
				return nil
			}
			told[a] = true
			a.slow += 5
			return refuse("slow_down")
		}
		l := newLab(t, op, func(c *merchant.Config) { c.File = file })
		ids := make([]string, count)
		var all sync.WaitGroup
		for i := range count {
			all.Go(func() {
				s, err := l.Start(t.Context(), "till", merchant.Request{Phone: fmt.Sprintf("4790%06d", i)})
				if err != nil {
					t.Error(err)
				}
				ids[i] = s.ID
			})
		}
		all.Wait()
		time.Sleep(30 * time.Second)
		op.fair(t)
		op.set(func() {
			if n := len(told); n != count {
				t.Errorf("%d of %d were asked about in half a minute", n, count)
			}
		})
		if _, most := op.whenPolled(); most > 16 {
			t.Errorf("%d polls at the same time", most)
		}

		// It dies: nothing is written any more, and what is on its way is cut off.
		copied := copyOf(t, file)
		l.cancel()
		op.set(func() {
			for _, a := range op.logins {
				a.busy = false
			}
		})
		died := time.Now()
		l.cfg.File = copied
		l.start()
		time.Sleep(time.Minute)
		op.fair(t)
		for _, a := range op.all() {
			if n := len(a.polls); n < 4 || a.polls[n-1].Before(died) {
				t.Fatalf("a login wasn't asked about after the restart: %d polls", n)
			}
		}
		op.says("", "yes")
		for i, id := range ids {
			s := l.until("till", id)
			if want := fmt.Sprintf("sub-4790%06d", i); s.State != merchant.Approved || s.Login.User.Sub != want {
				t.Fatalf("%d: %s %s", i, s.State, s.Reason)
			}
			if _, err := l.Take("till", id); err != nil {
				t.Fatal(err)
			}
		}
		op.fair(t)
	})
}

// busiest counts polls in windows: of the busiest one, and in the mean.
func busiest(polls []time.Time, window time.Duration) (most, mean float64) {
	counts := map[int64]float64{}
	for _, at := range polls {
		n := at.UnixNano() / int64(window)
		counts[n]++
		most = max(most, counts[n])
	}
	span := polls[len(polls)-1].Sub(polls[0])
	return most, float64(len(polls)) / max(1, float64(span)/float64(window))
}
