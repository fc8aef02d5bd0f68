package merchant_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vippsauth/vippsauth/merchant"
	"github.com/vippsauth/vippsauth/vipps"
)

// Attack on the provider: its answers are slow, and a program that counts from its questions asks more often than it may. The interval is
// from each answer to the next question, the first one too, also where the provider names none.
func TestSec_A141_TheIntervalBeginsAtTheAnswer(t *testing.T) {
	t.Parallel()
	for name, interval := range map[string]any{"31 seconds": 31, "none": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				op := newProvider(t)
				op.latency = 4 * time.Second
				want := 5 * time.Second
				if n, ok := interval.(int); ok {
					op.interval, want = n, time.Duration(n)*time.Second
				} else {
					op.unnamed = true
				}
				l := newLab(t, op, nil)
				s := l.beginWith("till", merchant.Request{Phone: kari, Expiry: 5 * time.Minute})
				l.until("till", s.ID)
				a := op.of(kari)
				if a.gap < want || a.gap > want+want/2 || a.early != 0 || len(a.polls) < 5 {
					t.Errorf("%d polls, %d of them early, the closest %v after an answer", len(a.polls), a.early, a.gap)
				}
			})
		})
	}
}

// Attack: whoever may start logins starts a second one for a number. For somebody with an account it replaces the first; so it must for
// somebody without, or that tells them apart. So must what is canceled, and what is started by another caller.
func TestSec_A145_NoOracleInASecondStart(t *testing.T) {
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
		type look struct {
			state  merchant.State
			reason string
		}
		seen := map[string][]look{}
		for _, phone := range []string{kari, "4712345404"} {
			first, others := l.begin("till", phone), l.begin("another till", phone)
			second := l.begin("till", phone)
			for _, id := range []string{first.ID, second.ID} {
				got := l.state("till", id)
				seen[phone] = append(seen[phone], look{got.State, got.Reason})
			}
			if err := l.Cancel(t.Context(), "till", second.ID); err != nil {
				t.Fatal(err)
			}
			canceled, beside := l.state("till", second.ID), l.state("another till", others.ID)
			seen[phone] = append(seen[phone], look{canceled.State, canceled.Reason}, look{beside.State, beside.Reason})
		}
		want := []look{{merchant.Canceled, merchant.ReasonReplaced}, {merchant.Pending, ""}, {merchant.Canceled, ""}, {merchant.Pending, ""}}
		for phone, got := range seen {
			for i := range want {
				if got[i] != want[i] {
					t.Errorf("%s: number %d is %v, want %v", phone[5:], i+1, got[i], want[i])
				}
			}
		}
	})
}

// Attack: the machine's clock is set back, and a login that nobody answered lives on. Its end has the monotonic clock in it, from the start,
// and from the restart on for one that was kept.
func TestSec_A149_TheEndIsMonotonic(t *testing.T) {
	t.Parallel()
	op := newProvider(t)
	l := newLab(t, op, func(c *merchant.Config) { // by the real clock: that of a bubble has no other
		c.File, c.RedirectURI, c.CheckReturnTo = t.TempDir()+"/merchant_logins", callback, func(string) error { return nil }
	})
	for _, r := range []merchant.Request{{Phone: kari}, {Phone: "4712345679", ReturnTo: thanks}} {
		s := l.beginWith("till", r)
		if !strings.Contains(s.Expires.String(), " m=") {
			t.Errorf("%s: it ends at %v", s.Flow, s.Expires)
		}
		l.cancel()
		l.start()
		if got := l.state("till", s.ID); got.State != merchant.Pending || !strings.Contains(got.Expires.String(), " m=") {
			t.Errorf("%s, after a restart: %s, it ends at %v", s.Flow, got.State, got.Expires)
		}
	}
}

// Attack on the provider: more logins wait than can be asked about while its answers are slow. Whoever expires or is given up before a worker
// gets to them is not asked about any more.
func TestSec_A149_D30_NoPollForWhoWaitedTooLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const count = 300
		op := newProvider(t)
		op.latency = 8 * time.Second
		l := newLab(t, op, nil)
		ids := make([]string, count)
		for i := range ids {
			ids[i] = l.beginWith("till", merchant.Request{Phone: fmt.Sprintf("4790%06d", i), Expiry: time.Minute}).ID
		}
		time.Sleep(20 * time.Second)
		for _, id := range ids[count/2:] {
			if err := l.Cancel(t.Context(), "till", id); err != nil {
				t.Fatal(err)
			}
		}
		canceled := time.Now()
		time.Sleep(10 * time.Minute)
		late, given := 0, 0
		for _, a := range op.all() {
			for _, at := range a.polls {
				if !at.Before(a.begun.Add(time.Minute)) {
					late++
				}
				if at.After(canceled) && a.phone >= fmt.Sprintf("4790%06d", count/2) {
					given++
				}
			}
		}
		if late+given > 0 {
			t.Errorf("%d polls after the end, %d of logins that were given up", late, given)
		}
		if _, most := op.whenPolled(); most != 16 {
			t.Errorf("%d polls at the same time: nobody had to wait", most)
		}
		for _, id := range ids[:count/2] {
			if got := l.state("till", id); got.State != merchant.Expired {
				t.Fatalf("who expired is %s", got.State)
			}
		}
	})
}

// Attack: a ping comes just after the provider has answered, over and over for new logins. The poll that it is worth comes a second after the
// provider's last word, and not at once.
func TestSec_A148_PingsLeaveTheProviderASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		l := newLab(t, op, nil)
		for i, after := range []time.Duration{0, 400 * time.Millisecond} {
			phone := fmt.Sprintf("471234567%d", i)
			l.begin("till", phone)
			time.Sleep(after)
			if !l.Ping(op.of(phone).id) {
				t.Fatal("it is ours")
			}
			time.Sleep(3 * time.Second)
			if a := op.of(phone); len(a.polls) != 1 || a.gap < time.Second || a.gap > 1500*time.Millisecond {
				t.Errorf("a ping after %v: %d polls, %v after the start", after, len(a.polls), a.gap)
			}
		}
	})
}

// Attack: a code is kept until the login that it is of is over, and is brought in the moment in which nobody has noticed that yet.
func TestSec_A151_A156_ALateBrowserThatNobodyHasNoticed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		l := browserLab(t, op)
		s := l.beginWith("till", merchant.Request{Phone: kari, ReturnTo: thanks, Expiry: time.Minute})
		query := op.code(kari)
		l.cancel() // what looks at the time
		time.Sleep(2*time.Minute + time.Second)
		var failed *vipps.Error
		if login, to, err := l.Land(t.Context(), query); !errors.As(err, &failed) || failed.Code != vipps.CodeAuthReqID || login != nil || to != "" {
			t.Errorf("a minute and a second after the end: %q, %v", to, err)
		}
		if got := l.state("till", s.ID); got.State == merchant.Delivered {
			t.Errorf("%s", got.State)
		}
	})
}

// Attack: whoever runs the handler for certificates behind a listener that asks for one and doesn't check it, or asks for none, lets everybody in
// who writes a caller's name into a certificate of their own. Only a chain that the handshake has checked counts, and no header does.
func TestSec_A155_CertificatesThatNobodyChecked(t *testing.T) {
	t.Parallel()
	lab := newAPILab(t)
	named := func(name string) *x509.Certificate { return &x509.Certificate{Subject: pkix.Name{CommonName: name}} }
	handler := lab.api.Certificates()
	for name, row := range map[string]struct {
		state *tls.ConnectionState
		want  int
	}{
		"no TLS":          {nil, http.StatusUnauthorized},
		"no certificate":  {&tls.ConnectionState{}, http.StatusUnauthorized},
		"unchecked":       {&tls.ConnectionState{PeerCertificates: []*x509.Certificate{named("till.example.com")}}, http.StatusUnauthorized},
		"an empty chain":  {&tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{}}}, http.StatusUnauthorized},
		"its authority's": {&tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{named("x"), named("till.example.com")}}}, http.StatusUnauthorized},
		"no name":         {&tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{named("")}}}, http.StatusUnauthorized},
		"the caller's":    {&tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{{named("till.example.com"), named("x")}}}, http.StatusNotFound},
	} {
		r := lab.request("GET", "logins/x", tillToken, "")
		r.Header.Set("X-Client-Cert-Cn", "till.example.com")
		r.TLS, r.RemoteAddr = row.state, "192.0.2.1:1"
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != row.want {
			t.Errorf("%s: %d, want %d", name, w.Code, row.want)
		}
	}
}

// Attack: nobody has set any limits, and one caller rings somebody's telephone, or everybody's, all day. There are limits by default: three starts
// for a number within ten minutes, by all callers together, and sixty a minute of one caller.
func TestSec_A154_B037_LimitsByDefault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		l := newLab(t, op, func(c *merchant.Config) { c.PhoneLimit, c.CallerLimit = "", "" })
		for i := range 10 {
			_, err := l.Start(t.Context(), fmt.Sprintf("till-%d", i), merchant.Request{Phone: kari})
			if tooMany(t, err, "phone"); (err == nil) != (i < 3) {
				t.Errorf("start %d for a number: %v", i+1, err)
			}
		}
		for i := range 70 {
			_, err := l.Start(t.Context(), "till", merchant.Request{Phone: fmt.Sprintf("4790%06d", i)})
			if tooMany(t, err, "caller"); (err == nil) != (i < 60) {
				t.Errorf("start %d of a caller: %v", i+1, err)
			}
		}
		if n := op.called("authentication"); n != 63 {
			t.Errorf("%d messages", n)
		}
	})
}
