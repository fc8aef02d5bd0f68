package merchant_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vippsauth/vippsauth/merchant"
	"github.com/vippsauth/vippsauth/vipps"
)

const kari = "4712345678"

// The whole way of a login, from the start to the result.
func TestSec_A140_A152_Login(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		l := newLab(t, op, nil)
		s := l.beginWith("till", merchant.Request{Phone: "+47 123 45 678", Scopes: []string{"name"}, Expiry: 2 * time.Minute})
		if s.State != merchant.Pending || s.Flow != merchant.FlowApp || s.Expires.Sub(s.Created) != 2*time.Minute || s.Login != nil {
			t.Fatalf("started: %s %s %v", s.State, s.Flow, s.Expires.Sub(s.Created))
		}
		if a := op.of(kari); a == nil || a.message != s.Code {
			t.Fatalf("the code isn't the one in the app: %v, %q", a, s.Code)
		}
		if got := l.state("till", s.ID); got.ID != s.ID || got.State != merchant.Pending || got.Code != s.Code || got.Login != nil {
			t.Fatalf("in between: %s", got.State)
		}
		time.Sleep(7 * time.Second)
		op.says(kari, "yes")
		s = l.until("till", s.ID)
		if s.State != merchant.Approved || s.Login == nil || s.Login.User.Sub != "sub-"+kari {
			t.Fatalf("approved: %s, %q", s.State, s.Reason)
		}
		login, err := l.Take("till", s.ID)
		if err != nil || login.User.Name != "Kari Nordmann "+kari {
			t.Fatalf("taken: %v", err)
		}
		if s = l.state("till", s.ID); s.State != merchant.Delivered || s.Login != nil {
			t.Fatalf("after that: %s", s.State)
		}
	})
}

// How logins end that nobody says yes to: whatever the reason, nobody asks the provider about them any more.
func TestSec_A143_Ends(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		op     func(*provider)
		state  merchant.State
		reason string
		within time.Duration
	}{
		{"denied", func(p *provider) { p.says("", "access_denied") }, merchant.Declined, "", 12 * time.Second},
		{"expired there", func(p *provider) { p.says("", "expired_token") }, merchant.Expired, "", 12 * time.Second},
		{"expired here", func(*provider) {}, merchant.Expired, "", 61 * time.Second},
		{"account closed meanwhile", func(p *provider) { p.says("", "invalid_user") }, merchant.Declined, "", 12 * time.Second},
		{"refused", func(p *provider) { p.says("", "invalid_grant") }, merchant.Failed, merchant.ReasonRefused, 12 * time.Second},
		{"away", func(p *provider) { p.set(func() { p.away = true }) }, merchant.Failed, merchant.ReasonUnavailable, 61 * time.Second},
		{"a token of somebody else", func(p *provider) {
			p.set(func() {
				p.poll = func(a *asked) *httptest.ResponseRecorder {
					other := *a
					other.id = "another"
					return p.tokens(&other)
				}
			})
		}, merchant.Failed, merchant.ReasonInvalid, 12 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				op := newProvider(t)
				l := newLab(t, op, nil)
				s := l.beginWith("till", merchant.Request{Phone: kari, Expiry: time.Minute})
				began := time.Now()
				tc.op(op)
				s = l.until("till", s.ID)
				if s.State != tc.state || s.Reason != tc.reason || time.Since(began) > tc.within {
					t.Fatalf("%s %q after %v", s.State, s.Reason, time.Since(began))
				}
				if _, err := l.Take("till", s.ID); !errors.Is(err, merchant.ErrNoResult) {
					t.Errorf("something to take: %v", err)
				}
				polls := op.called("token")
				time.Sleep(5 * time.Minute)
				if n := op.called("token"); n != polls {
					t.Errorf("%d more polls", n-polls)
				}
			})
		})
	}
}

// The provider is away in between, and back before the person's time is over.
func TestProviderComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		l := newLab(t, op, nil)
		s := l.begin("till", kari)
		time.Sleep(8 * time.Second)
		op.set(func() { op.away = true })
		time.Sleep(4 * time.Minute)
		if s := l.state("till", s.ID); s.State != merchant.Pending {
			t.Fatalf("while it is away: %s", s.State)
		}
		op.set(func() { op.away = false })
		op.says(kari, "yes")
		if s := l.until("till", s.ID); s.State != merchant.Approved {
			t.Fatalf("afterwards: %s %s", s.State, s.Reason)
		}
	})
}

// Attack: somebody has an id that isn't theirs, of another till, made up, changed, or of another machine. All get the one
// answer, and the login goes on. Nor does an id hold what the provider calls the login.
func TestSec_A150_IDsAreTheCallersOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		l := newLab(t, op, nil)
		s := l.begin("till-1", kari)
		secret := op.of(kari).id
		elsewhere := newLab(t, op, nil).begin("till-1", "4712345679")
		changed := []byte(s.ID)
		changed[len(changed)/2] ^= 1
		for name, ask := range map[string]struct{ caller, id string }{
			"another caller's":       {"till-2", s.ID},
			"nobody's":               {"", s.ID},
			"a longer name":          {"till-11", s.ID},
			"another case":           {"Till-1", s.ID},
			"made up":                {"till-1", "1AAAA"},
			"empty":                  {"till-1", ""},
			"changed":                {"till-1", string(changed)},
			"cut":                    {"till-1", s.ID[:len(s.ID)-4]},
			"sealed by another key":  {"till-1", elsewhere.ID},
			"the provider's own":     {"till-1", secret},
			"long":                   {"till-1", strings.Repeat("1", 1<<20)},
			"another caller's twice": {"till-2", s.ID + s.ID},
		} {
			if got, err := l.Wait(t.Context(), ask.caller, ask.id, merchant.Pending); !errors.Is(err, merchant.ErrUnknown) || got != (merchant.Status{}) {
				t.Errorf("%s: Wait: %v", name, err)
			}
			if _, err := l.Take(ask.caller, ask.id); !errors.Is(err, merchant.ErrUnknown) {
				t.Errorf("%s: Take: %v", name, err)
			}
			if err := l.Cancel(t.Context(), ask.caller, ask.id); !errors.Is(err, merchant.ErrUnknown) {
				t.Errorf("%s: Cancel: %v", name, err)
			}
		}
		if strings.Contains(s.ID, secret) || strings.Contains(s.ID, kari) {
			t.Error("the id tells")
		}
		op.says(kari, "yes")
		if got := l.until("till-1", s.ID); got.State != merchant.Approved {
			t.Fatalf("the login is %s", got.State)
		}
		if _, err := l.Take("till-2", s.ID); !errors.Is(err, merchant.ErrUnknown) {
			t.Errorf("another's result: %v", err)
		}
		if _, err := l.Take("till-1", s.ID); err != nil {
			t.Errorf("its own: %v", err)
		}
		// An id without a journal, after a restart.
		l.cancel()
		l.start()
		if got := l.state("till-1", s.ID); got.State != merchant.Lost {
			t.Errorf("after a restart: %s", got.State)
		}
		if _, err := l.Take("till-1", s.ID); !errors.Is(err, merchant.ErrLost) {
			t.Errorf("Take after a restart: %v", err)
		}
		if err := l.Cancel(t.Context(), "till-1", s.ID); err != nil || l.state("till-1", s.ID).State != merchant.Lost {
			t.Errorf("Cancel after a restart: %v", err)
		}
		if err := l.Cancel(t.Context(), "till-2", s.ID); !errors.Is(err, merchant.ErrUnknown) {
			t.Errorf("another's Cancel after a restart: %v", err)
		}
		if _, err := l.Wait(t.Context(), "till-2", s.ID, ""); !errors.Is(err, merchant.ErrUnknown) {
			t.Errorf("another's after a restart: %v", err)
		}
		time.Sleep(time.Hour)
		if _, err := l.Wait(t.Context(), "till-1", s.ID, ""); !errors.Is(err, merchant.ErrUnknown) {
			t.Errorf("an hour later: %v", err)
		}
	})
}

// Attack: a result is collected twice, by a till and by whoever looks over its shoulder; or long after the person has left.
func TestSec_A156_ResultsAreGivenOnceAndSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		l := newLab(t, op, nil)
		s := l.begin("till", kari)
		if !s.Expires.Before(s.Created.Add(15*time.Minute + time.Second)) {
			t.Errorf("it lives for %v", s.Expires.Sub(s.Created))
		}
		op.says(kari, "yes")
		l.until("till", s.ID)
		var got atomic.Int32
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				switch login, err := l.Take("till", s.ID); {
				case err == nil && login != nil:
					got.Add(1)
				case !errors.Is(err, merchant.ErrNoResult):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got.Load() != 1 {
			t.Errorf("given %d times", got.Load())
		}
		if s := l.state("till", s.ID); s.Login != nil {
			t.Error("and still there")
		}

		// Nobody comes for this one.
		s = l.begin("till", "4712345670")
		op.says("4712345670", "yes")
		l.until("till", s.ID)
		time.Sleep(5*time.Minute + time.Second)
		if got := l.state("till", s.ID); got.State != merchant.Expired || got.Reason != merchant.ReasonNotTaken || got.Login != nil {
			t.Errorf("five minutes after: %s %q", got.State, got.Reason)
		}
		if _, err := l.Take("till", s.ID); !errors.Is(err, merchant.ErrNoResult) {
			t.Errorf("Take: %v", err)
		}
		time.Sleep(15 * time.Minute)
		if _, err := l.Wait(t.Context(), "till", s.ID, ""); !errors.Is(err, merchant.ErrUnknown) {
			t.Errorf("a quarter of an hour later: %v", err)
		}
	})
}

// A canceled login is asked about no more, and has no result; the next one for the same phone number takes its place.
func TestCancel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		l := newLab(t, op, nil)
		s := l.begin("till", kari)
		time.Sleep(time.Second)
		waits := make(chan merchant.Status, 1)
		go func() { waits <- l.until("till", s.ID) }()
		synctest.Wait()
		if err := l.Cancel(t.Context(), "till", s.ID); err != nil {
			t.Fatal(err)
		}
		if got := <-waits; got.State != merchant.Canceled || got.Reason != "" {
			t.Errorf("%s %q", got.State, got.Reason)
		}
		if err := l.Cancel(t.Context(), "till", s.ID); err != nil {
			t.Errorf("again: %v", err)
		}
		time.Sleep(time.Minute)
		if n := op.called("token"); n != 0 {
			t.Errorf("%d polls", n)
		}

		older := l.begin("till", "+47 12 34 56 78")
		others := l.begin("another till", kari)
		newer := l.begin("till", "004712345678")
		if got := l.state("till", older.ID); got.State != merchant.Canceled || got.Reason != merchant.ReasonReplaced {
			t.Errorf("the older one: %s %q", got.State, got.Reason)
		}
		for caller, id := range map[string]string{"till": newer.ID, "another till": others.ID} {
			if got := l.state(caller, id); got.State != merchant.Pending {
				t.Errorf("%s: %s", caller, got.State)
			}
		}

		// One that was approved, and whose caller doesn't want to know.
		op.says("", "yes")
		l.until("till", newer.ID)
		if err := l.Cancel(t.Context(), "till", newer.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Take("till", newer.ID); !errors.Is(err, merchant.ErrNoResult) {
			t.Error(err)
		}
	})
}

// Wait ends with its context and with Run, and says how far the login is.
func TestWaitEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		l := newLab(t, op, nil)
		s := l.begin("till", kari)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		if got, err := l.Wait(ctx, "till", s.ID, merchant.Pending); err != nil || got.State != merchant.Pending || time.Since(began) != 3*time.Second {
			t.Errorf("%v %v after %v", got, err, time.Since(began))
		}
		time.AfterFunc(2*time.Second, l.cancel)
		began = time.Now()
		if got := l.until("till", s.ID); got.State != merchant.Pending || time.Since(began) > 6*time.Second {
			t.Errorf("%v after %v", got, time.Since(began))
		}
	})
}

// What is wrong with a request is said with the field's name, before anything is counted or sent.
func TestFields(t *testing.T) {
	t.Parallel()
	op := newProvider(t)
	l := newLab(t, op, func(c *merchant.Config) {
		c.PhoneLimit = "1/10m"
		c.RedirectURI = callback
		c.CheckReturnTo = func(address string) error {
			if address != "https://shop.example/thanks" {
				return errors.New("must be a page of the shop")
			}
			return nil
		}
	})
	for _, tc := range []struct {
		r     merchant.Request
		field string
	}{
		{merchant.Request{}, "phone"},
		{merchant.Request{Phone: "12345"}, "phone"},
		{merchant.Request{Phone: "+47 12 34 56 78 9"}, "phone"},
		{merchant.Request{Phone: "4712345678&scope=nin"}, "phone"},
		{merchant.Request{Phone: "4712345678\r\nX: y"}, "phone"},
		{merchant.Request{Phone: "+1 212 555 0100"}, "phone"},
		{merchant.Request{Phone: kari, CustomerToken: "abc"}, "customer_token"},
		{merchant.Request{CustomerToken: "a b"}, "customer_token"},
		{merchant.Request{CustomerToken: strings.Repeat("a", 5000)}, "customer_token"},
		{merchant.Request{Phone: kari, Scopes: []string{"nin"}}, "scopes"},
		{merchant.Request{Phone: kari, Scopes: []string{"name nin"}}, "scopes"},
		{merchant.Request{Phone: kari, Expiry: 59 * time.Second}, "expiry"},
		{merchant.Request{Phone: kari, Expiry: 901 * time.Second}, "expiry"},
		{merchant.Request{Phone: kari, Expiry: 90*time.Second + 1}, "expiry"},
		{merchant.Request{Phone: kari, Expiry: -time.Minute}, "expiry"},
		{merchant.Request{Phone: kari, ReturnTo: "https://evil.example/"}, "return_to"},
		{merchant.Request{Phone: kari, ReturnTo: strings.Repeat("a", 5000)}, "return_to"},
	} {
		_, err := l.Start(t.Context(), "till", tc.r)
		var fault *vipps.ConfigError
		if !errors.As(err, &fault) || fault.Setting != tc.field || fault.Reason == "" || tc.r.Phone != "" && strings.Contains(err.Error(), tc.r.Phone) {
			t.Errorf("%s: %v", tc.field, err)
		}
	}
	if n := op.called("authentication"); n != 0 {
		t.Errorf("%d went to the provider", n)
	}
	if _, err := l.UserExists(t.Context(), "till", "123"); !errors.As(err, new(*vipps.ConfigError)) {
		t.Errorf("user-exists: %v", err)
	}
	l.beginWith("till", merchant.Request{Phone: kari, ReturnTo: "https://shop.example/thanks"})
	_, err := merchant.New(merchant.Config{PhoneLimit: "lots", CallerLimit: "1/0s", Scopes: []string{"a b"}})
	for _, setting := range []string{"client:", "cookie_keys:", "merchant_scopes:", "merchant_limit:", "merchant_caller_limit:"} {
		if err == nil || !strings.Contains(err.Error(), setting) {
			t.Errorf("%s isn't in %v", setting, err)
		}
	}
	// Without a page to come back to there is no login that ends in a browser.
	bare := newLab(t, op, nil)
	if _, err := bare.Start(t.Context(), "till", merchant.Request{Phone: kari, ReturnTo: "https://shop.example/thanks"}); !errors.As(err, new(*vipps.ConfigError)) {
		t.Errorf("return_to without a page: %v", err)
	}
}

// Attack: whoever may start logins finds out by them which phone numbers have an account. Both look the same, in what is
// said and in what it looks like, until one of them ends as if the person had said no.
func TestSec_A145_NoPhoneNumberOracle(t *testing.T) {
	t.Parallel()
	for _, flow := range []string{merchant.FlowApp, merchant.FlowBrowser} {
		for i, code := range []string{"unknown_user_id", "invalid_user", "old_app"} {
			t.Run(flow+" "+code, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { noOracle(t, flow, code, time.Duration(i)*2*time.Minute) })
			})
		}
	}
}

func noOracle(t *testing.T, flow, code string, expiry time.Duration) {
	op := newProvider(t)
	op.lifetime, op.stubborn = 420, true
	op.begin = func(form url.Values) *httptest.ResponseRecorder {
		if strings.HasSuffix(form["login_hint"][0], "404") {
			return refuse(code)
		}
		return nil
	}
	l := newLab(t, op, func(c *merchant.Config) {
		c.RedirectURI, c.CheckReturnTo = callback, func(string) error { return nil }
	})
	r := merchant.Request{Expiry: expiry}
	if flow == merchant.FlowBrowser {
		r.ReturnTo = "https://shop.example/thanks"
	}
	ends := map[time.Duration]bool{}
	for i := range 6 {
		r.Phone = fmt.Sprintf("4712%d45678", i)
		known := l.beginWith("till", r)
		r.Phone = fmt.Sprintf("4712%d45404", i)
		began := time.Now()
		unknown := l.beginWith("till", r)
		if len(known.ID) != len(unknown.ID) || len(known.Code) != len(unknown.Code) || known.Flow != unknown.Flow || known.State != unknown.State ||
			known.Expires.Sub(known.Created) != unknown.Expires.Sub(unknown.Created) || known.Reason != unknown.Reason {
			t.Fatalf("%+v\n%+v", known, unknown)
		}
		got := l.until("till", unknown.ID)
		took := time.Since(began)
		switch {
		case flow == merchant.FlowBrowser: // where a no isn't told either
			if got.State != merchant.Expired || took < 7*time.Minute {
				t.Fatalf("%s after %v", got.State, took)
			}
			if other := l.until("till", known.ID); other.State != got.State || other.Reason != got.Reason || time.Since(began) != took {
				t.Fatalf("%s %q after %v, and somebody with an account %s %q after %v", got.State, got.Reason, took, other.State, other.Reason, time.Since(began))
			}
			return
		case got.State != merchant.Declined || got.Reason != "" || took < 5*time.Second || took > 15*time.Second:
			t.Fatalf("%s %q after %v", got.State, got.Reason, took)
		}
		ends[took] = true
	}
	if len(ends) < 5 {
		t.Errorf("they end after the same times: %v", ends)
	}
}

// Attack: a provider, or who sits between, gives two logins one id, so that a till gets the person whom another one asked.
func TestSec_A150_OneIDForTwoLogins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		l := newLab(t, op, nil)
		first := l.begin("till-1", kari)
		id := op.of(kari).id
		op.begin = func(url.Values) *httptest.ResponseRecorder {
			return answer(200, map[string]any{"auth_req_id": id, "expires_in": 600, "interval": 5})
		}
		var refused *vipps.Error
		if s, err := l.Start(t.Context(), "till-2", merchant.Request{Phone: "4712345679"}); !errors.As(err, &refused) || refused.Code != vipps.CodeInvalidResponse || s != (merchant.Status{}) {
			t.Errorf("it is taken: %v, %v", s, err)
		}
		op.says(kari, "yes")
		if got := l.until("till-1", first.ID); got.State != merchant.Approved {
			t.Errorf("%s", got.State)
		}
		op.fair(t)
	})
}

// Logins and questions don't tell of people when somebody prints them.
func TestPrinting(t *testing.T) {
	t.Parallel()
	for _, v := range []any{
		merchant.Request{Phone: kari, CustomerToken: kari, ReturnTo: kari},
		merchant.Status{ID: kari, Code: kari, Login: &vipps.Login{User: vipps.User{Sub: kari}}},
		&merchant.Status{ID: kari},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, kari) || strings.Contains(text, fmt.Sprintf("%x", kari)) {
				t.Errorf("%s of %T tells: %s", verb, v, text)
			}
		}
	}
}
