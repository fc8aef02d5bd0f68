package vipps_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vippsauth/vippsauth/vipps"
)

// wire carries requests to the provider without a socket, so that time in a synctest bubble passes at once. It takes its
// time for each answer, and notes when token requests came and were answered.
type wire struct {
	p     *ciba
	takes time.Duration
	down  bool // no answers to token requests

	mu              sync.Mutex
	asked, answered []time.Time
	flying, most    int
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	token := r.URL.Path == tokenPath
	w.note(func() {
		w.p.clock.mu.Lock()
		w.p.clock.t = time.Now()
		w.p.clock.mu.Unlock()
		if token {
			w.asked = append(w.asked, time.Now())
			w.flying++
			w.most = max(w.most, w.flying)
		}
	})
	select {
	case <-time.After(w.takes):
	case <-r.Context().Done():
	}
	down := false
	w.note(func() {
		if token {
			w.answered = append(w.answered, time.Now())
			w.flying--
			down = w.down
		}
	})
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if down {
		return nil, errors.New("no route to host")
	}
	rec := httptest.NewRecorder()
	w.p.ServeHTTP(rec, r)
	resp := rec.Result()
	body, _ := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

func (w *wire) note(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// gaps are from each answer to the next token request; the first is from since.
func (w *wire) gaps(since time.Time) []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []time.Duration
	for i, at := range w.asked {
		out = append(out, at.Sub(since))
		since = w.answered[i]
	}
	return out
}

// bubble runs f in a synctest bubble with a client whose provider is at the other end of the wire.
func bubble(t *testing.T, p *ciba, f func(t *testing.T, c *vipps.Client, w *wire)) {
	t.Helper()
	w := &wire{p: p}
	synctest.Test(t, func(t *testing.T) {
		cfg := p.config()
		cfg.Now, cfg.HTTPClient = time.Now, &http.Client{Transport: w}
		f(t, newClient(t, cfg), w)
	})
}

// waitFor starts a login and waits for its end. It returns what came of it, and when it was acknowledged.
func waitFor(t *testing.T, c *vipps.Client) (login *vipps.Login, since time.Time, err error) {
	t.Helper()
	p := startMerchant(t, c, vipps.MerchantLoginRequest{})
	since = time.Now()
	login, err = c.WaitMerchantLogin(t.Context(), p)
	return login, since, err
}

const second = time.Second

// Attack: a client that counts the interval from its question, or forgets it, asks more often than the provider allows, and
// is shut out with everybody who logs in through it. respects-interval-test: 31 seconds, and 5 where nothing is said.
func TestSec_A141_TheIntervalIsKept(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		interval any
		takes    time.Duration
		want     []time.Duration
	}{
		{31, 0, []time.Duration{31 * second, 31 * second, 31 * second, 31 * second}},
		{31, 8 * second, []time.Duration{31 * second, 31 * second, 31 * second, 31 * second}}, // from answer to question
		{nil, 0, []time.Duration{5 * second, 5 * second, 5 * second, 5 * second}},
		{1, 9 * second, []time.Duration{second, second, second, second}},
	} {
		p := newCIBA(t)
		p.ack = func(m map[string]any) { m["interval"] = tt.interval }
		p.script("authorization_pending", "authorization_pending", "authorization_pending")
		bubble(t, p, func(t *testing.T, c *vipps.Client, w *wire) {
			w.takes = tt.takes
			login, since, err := waitFor(t, c)
			if err != nil || login.User.Sub != testSub {
				t.Fatal(err)
			}
			if got := w.gaps(since); !slices.Equal(got, tt.want) || w.most != 1 {
				t.Errorf("interval %v: %v, %d at once", tt.interval, got, w.most)
			}
		})
	}
}

// slow-down-test: five seconds more after each slow_down, for the poll after it and for all that follow.
func TestSec_A142_SlowDownIsForGood(t *testing.T) {
	t.Parallel()
	p := newCIBA(t)
	p.script("slow_down", "authorization_pending", "authorization_pending", "slow_down", "slow_down", "authorization_pending")
	bubble(t, p, func(t *testing.T, c *vipps.Client, w *wire) {
		_, since, err := waitFor(t, c)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := w.gaps(since), []time.Duration{5 * second, 10 * second, 10 * second, 10 * second, 15 * second, 20 * second, 20 * second}; !slices.Equal(got, want) {
			t.Errorf("waited %v", got)
		}
	})
}

// Attack: a client that goes on asking after a no keeps a refused login alive until somebody taps yes by mistake.
// invalid-access-denied-test, invalid-expired-token-test and invalid-request-test, and every other code of the documents.
func TestSec_A143_A145_TerminalErrorsEndThePolls(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status int
		body   string
		is     error
		code   string
	}{
		{400, `{"error":"access_denied"}`, vipps.ErrDenied, "access_denied"},
		{403, `{"error":"access_denied"}`, vipps.ErrDenied, "access_denied"},
		{429, `{"error":"access_denied"}`, vipps.ErrDenied, "access_denied"},
		{400, `{"error":"expired_token"}`, vipps.ErrExpired, "expired_token"},
		{503, `{"error":"expired_token"}`, vipps.ErrExpired, "expired_token"},
		{400, `{"error":"unknown_user_id"}`, vipps.ErrNotEligible, "unknown_user_id"},
		{400, `{"error_code":"invalid_user"}`, vipps.ErrNotEligible, "invalid_user"},
		{400, `{"error":"invalid_request","error_code":"old_app"}`, vipps.ErrNotEligible, "old_app"},
		{200, `{"error_code":"old_app"}`, vipps.ErrNotEligible, "old_app"},
		{200, `{"error":"access_denied"}`, vipps.ErrDenied, "access_denied"},
		{400, `{"error":"invalid_request"}`, nil, "invalid_request"},
		{400, `{"error":"invalid_grant"}`, nil, "invalid_grant"},
		{401, `{"error":"invalid_client"}`, nil, "invalid_client"},
		{400, `{"error":"unauthorized_client"}`, nil, "unauthorized_client"},
		{400, `{"error":"unsupported_grant_type"}`, nil, "unsupported_grant_type"},
		{400, `{"error":"transaction_failed"}`, nil, "transaction_failed"},
		{400, `{"error":"something_new"}`, nil, "something_new"},
		{400, `{"error":"Authorization_Pending"}`, nil, "Authorization_Pending"},
		{400, `{"error":["authorization_pending"]}`, nil, vipps.CodeHTTP},
		{400, `{"error_code":400}`, nil, vipps.CodeHTTP},
		{400, `{"type":"about:blank","title":"Bad request","status":400,"detail":"authorization_pending"}`, nil, vipps.CodeHTTP},
		{403, `<html>`, nil, vipps.CodeHTTP},
		{302, ``, nil, vipps.CodeRedirect},
		{200, `{}`, nil, vipps.CodeInvalidResponse},
		{200, `{"access_token":"a","token_type":"Bearer"}`, nil, vipps.CodeMissingIDToken},
	} {
		p := newCIBA(t)
		p.script("authorization_pending")
		p.polls = append(p.polls, respond(tt.status, "application/json", tt.body))
		bubble(t, p, func(t *testing.T, c *vipps.Client, w *wire) {
			login, _, err := waitFor(t, c)
			refused(t, err, tt.code)
			for _, sentinel := range []error{vipps.ErrPending, vipps.ErrDenied, vipps.ErrExpired, vipps.ErrNotEligible} {
				if errors.Is(err, sentinel) != (tt.is != nil && errors.Is(sentinel, tt.is)) {
					t.Errorf("%d %s: it is %v: %t", tt.status, tt.body, sentinel, errors.Is(err, sentinel))
				}
			}
			time.Sleep(time.Hour)
			if login != nil || len(w.asked) != 2 || p.calls(userinfoPath) != 0 {
				t.Errorf("%d %s: %d polls", tt.status, tt.body, len(w.asked))
			}
		})
	}
}

// Unknown-user-id, id-token-hint and expired-hint tests: the start is refused, nothing is polled, nothing is sent a second
// time (it would ring a telephone), and the error says whether it is about the person.
func TestSec_A145_RefusedStarts(t *testing.T) {
	t.Parallel()
	eligible := "To log in with Vipps you need to have an active Vipps app on your phone and be at least 15 years old."
	for _, tt := range []struct {
		status int
		body   string
		code   string
		person bool
	}{
		{400, `{"error":"unknown_user_id","error_description":"` + eligible + `"}`, "unknown_user_id", true},
		{400, `{"error_code":"invalid_user"}`, "invalid_user", true},
		{400, string(readTestdata(t, "error-old-app.json")), "old_app", true},
		{400, `{"error":"invalid_request","error_code":"invalid_user"}`, "invalid_user", true},
		{200, `{"error_code":"old_app"}`, "old_app", true},
		{400, `{"error":"invalid_request","error_code":400}`, "invalid_request", false},
		{400, `{"error":"invalid_request","error_description":"login_hint.value : Invalid login_hint."}`, "invalid_request", false},
		{400, `{"error":"expired_login_hint_token"}`, "expired_login_hint_token", false},
		{403, `{"error":"access_denied"}`, "access_denied", false},
		{401, `{"error":"invalid_client"}`, "invalid_client", false},
		{400, `{"type":"about:blank","title":"Bad request","status":400,"extraDetails":[{"name":"login_hint","reason":"bad"}]}`, vipps.CodeHTTP, false},
		{502, `<html>Bad gateway`, vipps.CodeHTTP, false},
		{307, ``, vipps.CodeRedirect, false},
	} {
		p := newCIBA(t)
		p.handle(backchannelPath, respond(tt.status, "application/json", tt.body))
		c := p.client()
		pending, err := c.StartMerchantLogin(t.Context(), vipps.MerchantLoginRequest{Phone: msisdn})
		e := refused(t, err, tt.code)
		if pending != nil || e.Stage != vipps.StageBackchannel || errors.Is(err, vipps.ErrNotEligible) != tt.person || tt.person && len(e.Causes()) != 0 {
			t.Errorf("%s: %v, %v", tt.body, e, e.Causes())
		}
		if p.calls(backchannelPath) != 1 || p.calls(tokenPath) != 0 {
			t.Errorf("%s: %d starts, %d polls", tt.body, p.calls(backchannelPath), p.calls(tokenPath))
		}
	}
}

// Attack: the provider never answers the person's part, and a client without an end of its own asks for ever. The polls end
// with expires_in, whether the provider is silent, away, or asks for more time than there is.
func TestSec_A149_PollsEndWithTheExpiry(t *testing.T) {
	t.Parallel()
	pending := respond(400, "application/json", `{"error":"authorization_pending"}`)
	for name, tt := range map[string]struct {
		prepare  func(p *ciba, w *wire)
		polls    [2]int // between
		unavail  bool
		interval int
	}{
		"silent":          {func(p *ciba, _ *wire) { p.handle(tokenPath, pending) }, [2]int{23, 24}, false, 5},
		"silent and slow": {func(p *ciba, w *wire) { p.handle(tokenPath, pending); w.takes = 9 * second }, [2]int{7, 8}, false, 5},
		"away":            {func(_ *ciba, w *wire) { w.down = true }, [2]int{3, 5}, true, 5},
		"503":             {func(p *ciba, _ *wire) { p.handle(tokenPath, respond(503, "text/html", "<html>")) }, [2]int{3, 5}, true, 5},
		"longer interval": {func(p *ciba, _ *wire) { p.handle(tokenPath, pending) }, [2]int{0, 0}, false, 121},
		"Retry-After beyond it": {func(p *ciba, _ *wire) {
			p.handle(tokenPath, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After", "600")
				respond(429, "application/json", ``)(w, r)
			})
		}, [2]int{1, 1}, true, 5},
	} {
		p := newCIBA(t)
		p.ack = func(m map[string]any) { m["expires_in"], m["interval"] = 120, tt.interval }
		bubble(t, p, func(t *testing.T, c *vipps.Client, w *wire) {
			tt.prepare(p, w)
			pending := startMerchant(t, c, vipps.MerchantLoginRequest{})
			if left := time.Until(pending.Expires); left > 120*second || left < 120*second-w.takes {
				t.Errorf("%s: expires in %v", name, left)
			}
			login, err := c.WaitMerchantLogin(t.Context(), pending)
			if refused(t, err, "expired_token"); login != nil || !errors.Is(err, vipps.ErrExpired) || isUnavailable(err) != tt.unavail {
				t.Errorf("%s: %v", name, err)
			}
			time.Sleep(time.Hour)
			if n := len(w.asked); n < tt.polls[0] || n > tt.polls[1] || w.most > 1 {
				t.Errorf("%s: %d polls, %d at once", name, n, w.most)
			}
			for _, at := range w.asked {
				if at.After(pending.Expires) {
					t.Errorf("%s: a poll %v after the expiry", name, at.Sub(pending.Expires))
				}
			}
		})
	}
}

// A poll that comes late, from a program that slept or was restarted, is not made either; nor one for another client's
// login, or for one that ends in a browser, where a poll would use up what the browser needs.
func TestSec_A149_NoPollBeyondIt(t *testing.T) {
	t.Parallel()
	p := newCIBA(t)
	c := p.client()
	good := *startMerchant(t, c, vipps.MerchantLoginRequest{})
	for name, tt := range map[string]struct {
		change func(l *vipps.PendingMerchantLogin)
		code   string
	}{
		"expired":        {func(l *vipps.PendingMerchantLogin) { l.Expires = p.clock.Now().Add(-time.Millisecond) }, "expired_token"},
		"no expiry":      {func(l *vipps.PendingMerchantLogin) { l.Expires = time.Time{} }, "expired_token"},
		"issuer":         {func(l *vipps.PendingMerchantLogin) { l.Issuer += "x" }, vipps.CodePendingMismatch},
		"client":         {func(l *vipps.PendingMerchantLogin) { l.ClientID += "x" }, vipps.CodePendingMismatch},
		"no auth_req_id": {func(l *vipps.PendingMerchantLogin) { l.AuthReqID = "" }, vipps.CodePendingMismatch},
		"in a browser":   {func(l *vipps.PendingMerchantLogin) { l.RedirectURI = landingURI }, vipps.CodePendingMismatch},
	} {
		l := good
		tt.change(&l)
		_, err := c.PollMerchantLogin(t.Context(), &l)
		refused(t, err, tt.code)
		_, err = c.WaitMerchantLogin(t.Context(), &l)
		if e := refused(t, err, tt.code); p.calls(tokenPath) != 0 {
			t.Errorf("%s: polled, %v", name, e)
		}
	}
	_, err := c.PollMerchantLogin(t.Context(), nil)
	refused(t, err, vipps.CodePendingMismatch)
	_, err = c.WaitMerchantLogin(t.Context(), nil)
	refused(t, err, vipps.CodePendingMismatch)
}

// Attack: somebody sets the machine's clock back, or a leap is smeared, and logins never expire. The deadline has the
// monotonic clock in it from the first moment, and from the restart on for one that was kept as JSON.
func TestSec_A149_TheDeadlineIsMonotonic(t *testing.T) {
	t.Parallel()
	p := newCIBA(t)
	cfg := p.config()
	cfg.Now = time.Now
	pending := startMerchant(t, newClient(t, cfg), vipps.MerchantLoginRequest{})
	data, err := json.Marshal(pending)
	if err != nil {
		t.Fatal(err)
	}
	var kept vipps.PendingMerchantLogin
	if err := json.Unmarshal(data, &kept); err != nil {
		t.Fatal(err)
	}
	if kept.AuthReqID != pending.AuthReqID || kept.Interval != pending.Interval || !kept.Expires.Equal(pending.Expires) {
		t.Errorf("%s became something else", data)
	}
	for _, l := range []*vipps.PendingMerchantLogin{pending, &kept} {
		s := vipps.NewPolling(l, time.Now())
		next, _ := s.Next()
		s.Answered(&vipps.Error{Stage: vipps.StageToken, Code: "access_denied"}, time.Now())
		deadline, over := s.Next()
		if !over || !strings.Contains(next.String(), " m=") || !strings.Contains(deadline.String(), " m=") {
			t.Errorf("next %v, deadline %v", next, deadline)
		}
	}
	if !strings.Contains(pending.Expires.String(), " m=") {
		t.Errorf("expires %v", pending.Expires)
	}
}

// Whoever waited goes away: the polls end with them, between two or in the middle of one.
func TestSec_A149_ThePollsEndWithTheCaller(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]time.Duration{"between polls": 12 * second, "during one": 14500 * time.Millisecond, "before the first": second} {
		p := newCIBA(t)
		p.script("authorization_pending", "authorization_pending", "authorization_pending", "authorization_pending")
		bubble(t, p, func(t *testing.T, c *vipps.Client, w *wire) {
			w.takes = 2 * second // the first poll is answered after 7 seconds, the second after 14
			pending := startMerchant(t, c, vipps.MerchantLoginRequest{})
			if name == "during one" {
				after = 13 * second
			}
			ctx, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			begun := time.Now()
			_, err := c.WaitMerchantLogin(ctx, pending)
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != after {
				t.Errorf("%s: %v after %v", name, err, time.Since(begun))
			}
			n := len(w.asked)
			time.Sleep(time.Hour)
			if len(w.asked) != n {
				t.Errorf("%s: %d polls more", name, len(w.asked)-n)
			}
			ctx, cancel = context.WithCancel(t.Context())
			cancel()
			if _, err := c.WaitMerchantLogin(ctx, startMerchant(t, c, vipps.MerchantLoginRequest{})); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: canceled before: %v", name, err)
			}
		})
	}
}

// Attack: a provider under load asks to wait, in either form of Retry-After, and is asked all the same. Start and polls
// honour it; the start is not tried again on its own.
func TestSec_A154_RetryAfter(t *testing.T) {
	t.Parallel()
	limit := func(status int, after func() string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", after())
			respond(status, "application/json", `{"title":"Too many requests"}`)(w, r)
		}
	}
	for name, after := range map[string]func() string{
		"seconds": func() string { return "47" },
		"date":    func() string { return time.Now().Add(47 * second).UTC().Format(http.TimeFormat) },
	} {
		p := newCIBA(t)
		p.polls = []http.HandlerFunc{limit(429, after), limit(503, after), limit(429, func() string { return "later" }), limit(429, func() string { return "-8" }), respond(400, "application/json", `{"error":"authorization_pending"}`)}
		bubble(t, p, func(t *testing.T, c *vipps.Client, w *wire) {
			_, since, err := waitFor(t, c)
			if err != nil {
				t.Fatal(err)
			}
			// After two more in a row without a time that makes sense: 5 s, doubled thrice and four times; then as before.
			if got, want := w.gaps(since), []time.Duration{5 * second, 47 * second, 47 * second, 40 * second, 80 * second, 5 * second}; !slices.Equal(got, want) {
				t.Errorf("%s: waited %v", name, got)
			}
			p.handle(backchannelPath, limit(429, after))
			calls := p.calls(backchannelPath)
			_, err = c.StartMerchantLogin(t.Context(), vipps.MerchantLoginRequest{Phone: msisdn})
			if e := refused(t, err, vipps.CodeHTTP); e.RetryAfter != 47*second || !isUnavailable(err) || len(e.Causes()) != 1 || p.calls(backchannelPath) != calls+1 {
				t.Errorf("%s: start: %v after %v, %v", name, e, e.RetryAfter, e.Causes())
			}
		})
	}
	p := newCIBA(t)
	p.handle(backchannelPath, limit(429, func() string { return "99999999999" }))
	_, err := p.client().StartMerchantLogin(t.Context(), vipps.MerchantLoginRequest{Phone: msisdn})
	if e := refused(t, err, vipps.CodeHTTP); e.RetryAfter > time.Hour {
		t.Errorf("wait %v", e.RetryAfter)
	}
}

// The provider is away in mid-poll: the polls go on, further apart, and the login succeeds when it is back.
func TestMerchantLoginOutlivesAnOutage(t *testing.T) {
	t.Parallel()
	p := newCIBA(t)
	p.script("authorization_pending")
	p.polls = append(p.polls, respond(500, "text/html", "<html>"), respond(502, "application/json", `{"error":"server_error"}`), respond(400, "application/json", `{"error":"temporarily_unavailable"}`), respond(408, "text/plain", ""))
	p.script("authorization_pending")
	bubble(t, p, func(t *testing.T, c *vipps.Client, w *wire) {
		_, since, err := waitFor(t, c)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := w.gaps(since), []time.Duration{5 * second, 5 * second, 10 * second, 20 * second, 40 * second, 80 * second, 5 * second}; !slices.Equal(got, want) {
			t.Errorf("waited %v", got)
		}
	})
}

// Tokens are handed out once: what fails after that is the end, and no poll can mend it.
func TestFailureAfterTheTokens(t *testing.T) {
	t.Parallel()
	for _, path := range []string{userinfoPath, jwksPath} {
		p := newCIBA(t)
		p.handle(path, respond(503, "text/html", "<html>"))
		bubble(t, p, func(t *testing.T, c *vipps.Client, w *wire) {
			_, _, err := waitFor(t, c)
			if !isUnavailable(err) || errors.Is(err, vipps.ErrExpired) || len(w.asked) != 1 {
				t.Errorf("%v after %d polls", err, len(w.asked))
			}
		})
	}
}

// A partner's token is refused in mid-login: the next poll has another, and the login goes on. A second refusal is the end.
func TestPartnerTokenEndsInMidLogin(t *testing.T) {
	t.Parallel()
	refuse := respond(http.StatusUnauthorized, "application/json", `{"error":"invalid_client"}`)
	for _, refusals := range []int{1, 2} {
		p := newCIBA(t)
		p.handle("/accesstoken/get", respond(200, "application/json", `{"access_token":"`+partnerToken+`","token_type":"Bearer","expires_in":"3599"}`))
		p.token = func(c claims) { c["aud"], c["msn"] = merchantID, partnerMSN }
		p.script("authorization_pending")
		p.polls = append(p.polls, []http.HandlerFunc{refuse, refuse}[:refusals]...)
		w := &wire{p: p}
		synctest.Test(t, func(t *testing.T) {
			c := partnerClient(p.provider, func(cfg *vipps.Config) { cfg.Now, cfg.HTTPClient = time.Now, &http.Client{Transport: w} })
			login, _, err := waitFor(t, c)
			if refusals == 1 {
				if err != nil || login.User.Sub != testSub || len(w.asked) != 3 || p.calls("/accesstoken/get") != 2 {
					t.Errorf("%v: %d polls, %d tokens", err, len(w.asked), p.calls("/accesstoken/get"))
				}
				return
			}
			if refused(t, err, "invalid_client"); len(w.asked) != 3 {
				t.Errorf("%d polls", len(w.asked))
			}
		})
	}
}

// Polling alone, as those use it who poll for many.
func TestPolling(t *testing.T) {
	t.Parallel()
	now := newClock().Now()
	s := vipps.NewPolling(&vipps.PendingMerchantLogin{Expires: now.Add(time.Minute)}, now)
	if at, over := s.Next(); over || !at.Equal(now.Add(5*second)) {
		t.Errorf("first poll at %v, %t", at, over)
	}
	away := &vipps.Error{Stage: vipps.StageDiscovery, Code: vipps.CodeUnreachable}
	if s.Answered(away, now.Add(6*second)) {
		t.Error("over because the provider is away")
	}
	if s.Answered(&vipps.Error{Stage: vipps.StageToken, Code: vipps.CodeCanceled}, now.Add(7*second)) {
		t.Error("over because we were stopped")
	}
	if s.Answered(&vipps.Error{Stage: vipps.StageToken, Code: vipps.CodeTLS}, now.Add(8*second)) {
		t.Error("over because of a certificate")
	}
	if at, over := s.Next(); over || !at.Equal(now.Add(28*second)) {
		t.Errorf("next poll at %v, %t", at, over)
	}
	if s.Answered(&vipps.Error{Stage: vipps.StageToken, Code: "authorization_pending"}, now.Add(58*second)) {
		t.Error("over because pending")
	}
	if at, over := s.Next(); !over || !at.Equal(now.Add(time.Minute)) {
		t.Errorf("a poll at %v, %t, after the expiry", at, over)
	}
	for name, err := range map[string]error{"success": nil, "not ours": io.EOF, "userinfo": &vipps.Error{Stage: vipps.StageUserinfo, Status: 503}} {
		s := vipps.NewPolling(&vipps.PendingMerchantLogin{Expires: now.Add(time.Minute), Interval: second}, now)
		if !s.Answered(err, now) {
			t.Errorf("%s is not the end", name)
		}
		if _, over := s.Next(); !over {
			t.Errorf("a poll after %s", name)
		}
	}
	// What was kept, and tampered with, overflows nothing and lasts an hour at most.
	s = vipps.NewPolling(&vipps.PendingMerchantLogin{Expires: now.AddDate(500, 0, 0), Interval: 1<<63 - 1}, now)
	for range 100 {
		s.Answered(&vipps.Error{Stage: vipps.StageToken, Code: "slow_down", RetryAfter: 1<<63 - 1}, now)
	}
	if at, over := s.Next(); !over || !at.Equal(now.Add(time.Hour)) {
		t.Errorf("next %v, %t", at, over)
	}
	if _, over := vipps.NewPolling(&vipps.PendingMerchantLogin{}, now).Next(); !over {
		t.Error("a login without an expiry is polled")
	}
}
