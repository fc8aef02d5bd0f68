package forwardauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/vipps"
)

const saidYes = `{"language":"EN","timeOfConsent":"2026-01-17T09:31:00Z","consents":[{"id":"email","accepted":true,"required":false,"textDisplayedToUser":"Offers by <e-mail>"},{"id":"sms","accepted":false,"required":false}]}`

// told is what somebody heard of consents.
type told struct {
	mu   sync.Mutex
	subs []string
	last vipps.Consents
	fail error
	in   func() // while it is told
}

func (c *told) take(ctx context.Context, sub string, answers vipps.Consents) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.subs, c.last = append(c.subs, sub), answers
	if c.in != nil {
		c.in()
	}
	return errors.Join(c.fail, ctx.Err())
}

func (c *told) heard() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string{}, c.subs...)
}

func olaAnswered(raw string) *vipps.Login {
	login := ola()
	login.User.Claims = map[string]json.RawMessage{"delegatedConsents": json.RawMessage(raw)}
	return login
}

// The answers reach whoever is told of them once for each login, before anybody has its session, whoever goes on; and the
// app and its scripts as JSON, without the texts.
func TestConsents(t *testing.T) {
	t.Parallel()
	c := &told{}
	l, ends := newLanding(t, func(cfg *forwardauth.Config) {
		cfg.Scopes = append(cfg.Scopes, vipps.ScopeDelegatedConsents)
		cfg.Consented = c.take
	})
	b := l.browser()
	page := b.visit(ends.put("c1", landed{login: olaAnswered(saidYes), to: "/x"}))
	if diff := cmp.Diff([]string{ola().User.Sub}, c.heard()); diff != "" || b.cookie("vippsauth") != "" {
		t.Fatalf("before there is a session: %s", diff)
	}
	if c.last.Answers[0].Text != "Offers by <e-mail>" || c.last.Time.IsZero() || len(c.last.Answers) != 2 {
		t.Errorf("told %#v", c.last.Answers)
	}
	b.click("/_vipps/result", answering(page, "continue"))
	const want = `{"time":"2026-01-17T09:31:00Z","answers":[{"id":"email","accepted":true,"required":false},{"id":"sms","accepted":false,"required":false}]}`
	if got := l.last().Header["X-Vipps-Consents"]; len(got) != 1 || got[0] != want {
		t.Errorf("the app gets %q", got)
	}
	me := b.send("GET", "/_vipps/me", http.Header{}, "")
	var answer struct {
		Claims struct{ Consents json.RawMessage }
	}
	if err := json.Unmarshal([]byte(me.text), &answer); err != nil || string(answer.Claims.Consents) != want {
		t.Errorf("/_vipps/me: %v %s", err, me.text)
	}
	b.visit("/again")
	b.click("/_vipps/result", answering(page, "continue"))
	if len(c.heard()) != 1 {
		t.Errorf("heard %d times", len(c.heard()))
	}
	stranger := l.browser()
	page = stranger.visit(ends.put("c2", landed{login: olaAnswered(saidYes), to: "/x"}))
	stranger.click("/_vipps/result", answering(page, "other"))
	if len(c.heard()) != 2 {
		t.Errorf("not me, and heard %d times", len(c.heard()))
	}
	for _, nothing := range []string{`null`, `"x"`, `[]`} {
		l.browser().visit(ends.put("c3", landed{login: olaAnswered(nothing), to: "/x"}))
	}
	if len(c.heard()) != 2 {
		t.Errorf("no answers, and heard %d times", len(c.heard()))
	}
}

// Whoever can't take the answers holds nobody up, and the operator hears of it, without the person.
func TestConsentsThatNobodyTakes(t *testing.T) {
	t.Parallel()
	c := &told{fail: errors.New("the disk is full")}
	l, ends := newLanding(t, func(cfg *forwardauth.Config) { cfg.Consented = c.take })
	b := l.browser()
	page := b.visit(ends.put("c1", landed{login: olaAnswered(saidYes), to: "/x"}))
	if a := b.click("/_vipps/result", answering(page, "continue")); !strings.Contains(a.text, "app: GET /x") {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	lines := l.log.FilterMessageSnippet("consents").All()
	if len(lines) != 1 || lines[0].ContextMap()["error"] != "the disk is full" || strings.Contains(lines[0].Message, "Ola") {
		t.Errorf("%v", lines)
	}
}

// A browser that goes away while its code is redeemed takes no answer with it: Vipps gives them once.
func TestConsentsOutliveTheBrowser(t *testing.T) {
	t.Parallel()
	c := &told{}
	l, ends := newLanding(t, func(cfg *forwardauth.Config) {
		withConsents(t, cfg, vipps.ScopeDelegatedConsents, c)
		cfg.Silent = forwardauth.SilentOff
	})
	ctx, cancel := context.WithCancel(t.Context())
	ends.hook = cancel
	gone := func(target string, cookies map[string]string) {
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
		r.Header = navigation()
		for name, value := range cookies {
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
		l.one.ServeHTTP(httptest.NewRecorder(), r)
	}
	gone(l.site.URL+ends.put("c1", landed{login: olaAnswered(saidYes), to: "/x"}), nil)
	if len(c.heard()) != 1 {
		t.Errorf("a landing: heard %v", c.heard())
	}
	l.as(phoneAase)
	b := l.browser()
	callback := b.onTheWay(b.send("POST", "/_vipps/login", ownForm(), "rd=%2F"))
	gone(callback, b.own()) // it has gone already
	if len(c.heard()) != 2 || len(l.log.FilterMessageSnippet("consents").All()) != 0 {
		t.Errorf("a browser's login: heard %v, log %v", c.heard(), l.log.FilterMessageSnippet("consents").All())
	}
}

// Of a landing that tells by itself nobody hears twice.
func TestConsentsOfALandingThatTells(t *testing.T) {
	t.Parallel()
	c := &told{}
	l, ends := newLanding(t, func(cfg *forwardauth.Config) { cfg.Landings[0].TellsConsents = true; cfg.Consented = c.take })
	l.browser().visit(ends.put("c1", landed{login: olaAnswered(saidYes), to: "/x"}))
	if len(c.heard()) != 0 {
		t.Errorf("heard %v", c.heard())
	}
}

// withConsents lets browsers' logins ask for consents.
func withConsents(t *testing.T, cfg *forwardauth.Config, scope string, c *told) {
	t.Helper()
	cfg.Scopes = append(cfg.Scopes, scope)
	client, err := vipps.New(vipps.Config{Issuer: cfg.Client.Issuer(), ClientID: "shop", ClientSecret: "shop secret+/=", Scopes: cfg.Scopes})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Client, cfg.Consented = client, c.take
}

// A browser's own login tells as well, and a header for consents comes with either scope.
func TestConsentsOfABrowsersLogin(t *testing.T) {
	t.Parallel()
	for _, scope := range []string{vipps.ScopeDelegatedConsents, vipps.ScopeCustomFlow} {
		c := &told{}
		l := newLab(t, func(cfg *forwardauth.Config) { withConsents(t, cfg, scope, c) })
		b := l.loggedIn(phoneAase)
		if n := len(c.heard()); n != 1 {
			t.Errorf("%s: heard %d times", scope, n)
		}
		h := http.Header{"X-Vipps-Consents": {`{"answers":[]}`}}
		b.send("GET", "/x", h, "")
		if got := l.last().Header.Get("X-Vipps-Consents"); got == h.Get("X-Vipps-Consents") {
			t.Errorf("%s: the client's own consents reach the app", scope)
		}
	}
}
