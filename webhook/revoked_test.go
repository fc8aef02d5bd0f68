package webhook_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/webhook"
)

// logged is all that was logged.
func logged(l *lab) string {
	var b strings.Builder
	for _, e := range l.logs.All() {
		fields := e.ContextMap()
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			fmt.Fprintf(&b, "%s=%v ", name, fields[name])
		}
		fmt.Fprintf(&b, "%s: %s\n", e.Level, e.Message)
	}
	return b.String()
}

// The literal of Vipps' documents ends the sessions that began before it was issued, and a minute later, for clocks that differ.
func TestConsentRevoked(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	d := revoked(revokedURL, "", l.clock())
	d.body = "eyJhbGciOiJub25lIiwidHlwIjogIkpXVCJ9Cg.eyJleHAiOjE1OTI1NzE3ODgsImlhdCI6MTU5MjU3MTQ4OCwibmJmIjoxNTkyNTcxNDg4LCJzdWIiOiJjOWQxMDQ0NC1kOTkyLTQ4NTAtYWM2MC05ZDM1MDIwOTUwMDgiLCJldmVudCI6IkNPTlNFTlRfUkVWT0tFRCJ9"
	l.want("the literal", d, http.StatusOK)
	_, ended := l.effects()
	if got := ended[sub]; len(ended) != 1 || len(got) != 1 || !got[0].Equal(time.Unix(1592571488+60, 0)) {
		t.Errorf("%v", ended)
	}
}

// Attack: nobody signs these, so whoever knows the address can send what they like. All they get is that sessions of before now end, a few
// at a time; without the secret, or where none is configured, nothing.
func TestSec_A170_ConsentRevokedCanDoNothingElse(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	now := l.clock()
	for _, guess := range []string{"", pathSecret[:31], pathSecret + "0", strings.ToUpper(pathSecret)} {
		l.want("at a guessed address", revoked(webhook.ConsentRevokedPath+guess, "of-a-guess", now), http.StatusUnauthorized)
	}
	l.want("from the year 2100", revoked(revokedURL, "future", time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)), http.StatusOK)
	l.want("from an hour ago", revoked(revokedURL, "past", now.Add(-time.Hour)), http.StatusOK)
	l.want("again", revoked(revokedURL, "past", now.Add(-time.Hour)), http.StatusOK)
	var limited int
	for i := range 10_000 {
		w := l.send(revoked(revokedURL, fmt.Sprintf("victim-%d", i), now))
		switch w.Code {
		case http.StatusOK:
		case http.StatusTooManyRequests:
			limited++
			if w.Header().Get("Retry-After") == "" {
				t.Fatal("no Retry-After")
			}
		default:
			t.Fatalf("status %d", w.Code)
		}
	}
	if limited != 10_000-98 {
		t.Errorf("%d of 10,000 are put off", limited)
	}
	l.pass(10 * time.Second)
	l.want("ten seconds later", revoked(revokedURL, "victim-9000", now), http.StatusOK)
	l.want("at once", revoked(revokedURL, "victim-9001", now), http.StatusTooManyRequests)
	_, ended := l.effects()
	if len(ended) != 101 || !ended["future"][0].Equal(now) || !ended["past"][0].Equal(now.Add(-59*time.Minute)) || len(ended["past"]) != 1 {
		t.Errorf("%d people, future %v, past %v", len(ended), ended["future"], ended["past"])
	}
	if text := logged(l); strings.Contains(text, "victim") || !strings.Contains(text, "too many came at once") || strings.Count(text, "\n") > 3 {
		t.Errorf("%s", text)
	}
	// As it comes it is off.
	off := newLab(t, func(_ *lab, cfg *webhook.Config) { cfg.ConsentRevokedSecret, cfg.EndSessions = "", nil })
	for _, target := range []string{webhook.ConsentRevokedPath, revokedURL} {
		off.want(target, revoked(target, sub, now), http.StatusTeapot)
	}
}

// Attack: the answer or its time tells whether somebody is known here. What would know them is asked after the answer: here it doesn't come
// back at all, and everybody is answered alike.
func TestSec_A172_KnownAndUnknownAlike(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(it *lab, cfg *webhook.Config) {
		it.hold = make(chan struct{})
		end := cfg.EndSessions
		cfg.EndSessions = func(sub string, before time.Time) error {
			if sub == "known" {
				return end(sub, before) // takes as long as the disk
			}
			return errors.New("nobody")
		}
	})
	var known, unknown string
	fast := func(f func() string) string {
		got := make(chan string, 1)
		go func() { got <- f() }()
		select {
		case text := <-got:
			return text
		case <-time.After(30 * time.Second):
			l.let()
			t.Fatal("the answer waits for the effect")
			return ""
		}
	}
	for range 10 {
		l.pass(time.Second)
		known = fast(func() string { return whole(l.send(revoked(revokedURL, "known", l.clock()))) })
		unknown = fast(func() string { return whole(l.send(revoked(revokedURL, "unknown", l.clock()))) })
		if known != unknown || !strings.HasPrefix(known, "200\n") {
			t.Fatalf("%q and %q", known, unknown)
		}
	}
	l.let()
	if _, ended := l.effects(); len(ended["known"]) != 10 {
		t.Errorf("%v", ended)
	}
}

// Too many at once are put off rather than lost, and one that was put off isn't taken for sent before.
func TestConsentRevoked_PutOff(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(l *lab, _ *webhook.Config) { l.hold = make(chan struct{}) })
	put := ""
	for i := range 400 {
		l.pass(10 * time.Second)
		at := fmt.Sprintf("person-%d", i)
		if w := l.send(revoked(revokedURL, at, l.clock().Truncate(time.Hour))); w.Code == http.StatusServiceUnavailable {
			if w.Header().Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			put = at
			break
		}
	}
	if put == "" {
		t.Fatal("none is put off")
	}
	l.let()
	for deadline := time.Now().Add(30 * time.Second); l.send(revoked(revokedURL, put, l.clock().Truncate(time.Hour))).Code != http.StatusOK; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("still put off")
		}
	}
	if _, ended := l.effects(); len(ended[put]) != 1 || len(ended) < 256 {
		t.Errorf("%v of %d", ended[put], len(ended))
	}
}

// The operator is told why, once a minute a reason, with what to look at; and never what was sent.
func TestReceiver_SaysWhy(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	now := l.clock()
	body := `{"auth_req_id":"ours"}`
	wrong := l.good("ours")
	wrong.body += " "
	bare := l.good("ours")
	bare.header.Del("Authorization")
	for range 50 {
		l.send(bare)
		l.send(wrong)
		l.send(signed("190a478d-37ff-4e77-970e-d457aeb26a3a", registered, now, body))
		l.send(signed(secret, "https://other.example/_vipps/webhook", now, body))
		l.send(signed(secret, registered, now.Add(-372*time.Second), body))
		l.send(signed(secret, registered, now.Add(372*time.Second), body))
		l.send(signed(secret, registered, now, `{"name":"epayments.payment.captured.v1"}`))
		l.send(signed(secret, registered, now, `{"auth_req_id":7}`))
		l.send(revoked(webhook.ConsentRevokedPath+"guess", sub, now))
	}
	for _, e := range l.logs.All() {
		if e.Level != zapcore.WarnLevel {
			t.Errorf("%v", e)
		}
	}
	text := logged(l)
	for _, part := range []string{
		"code=invalid_authorization", "a proxy in front drops Authorization", "code=content_mismatch", "The body is not the one that was signed", "code=invalid_signature", "add the secret of each registration",
		"code=url_mismatch", "set webhook_url to the URL that is registered", "signed 372 seconds ago", "it is about something else", "cure=register this address for login.merchant-initiated.ping.v1 only",
		"code=", "the address doesn't end in consent_revoked_secret", "a consent-revoked webhook was refused",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("nothing says %q in\n%s", part, text)
		}
	}
	for _, part := range []string{"ours", sub, secret[:20], other, pathSecret, "guess", ".example", "captured"} {
		if strings.Contains(text, part) {
			t.Errorf("%q is in\n%s", part, text)
		}
	}
	if n := strings.Count(text, "\n"); n != 8 {
		t.Errorf("%d lines:\n%s", n, text)
	}
	l.pass(time.Minute)
	l.send(signedAs(secret, registered, "now", body))
	if !strings.Contains(logged(l), "its x-ms-date is no date") {
		t.Errorf("nothing is said of a date that is none: %s", logged(l))
	}
	l.pass(time.Minute)
	l.send(bare)
	if n := strings.Count(logged(l), "\n"); n != 10 {
		t.Errorf("%d lines after two minutes", n)
	}
}

// A secret that can be guessed, or that stands for more than one address, is none: it is all that keeps others from ending sessions.
func TestSec_A170_SecretsThatAreNone(t *testing.T) {
	t.Parallel()
	for _, secret := range []vipps.Secret{"short", "b2f5ff47436671b6e533d8dc3614845/", "b2f5ff47436671b6e533d8dc3614845\n", vipps.Secret(strings.Repeat("a", 257))} {
		_, err := webhook.New(webhook.Config{ConsentRevokedSecret: secret, EndSessions: func(string, time.Time) error { return nil }})
		var ce *vipps.ConfigError
		if !errors.As(err, &ce) || ce.Setting != "consent_revoked_secret" || strings.Contains(err.Error(), secret.Reveal()) {
			t.Errorf("%v", err)
		}
	}
	if _, err := webhook.New(webhook.Config{ConsentRevokedSecret: pathSecret}); err == nil {
		t.Error("no EndSessions is no fault")
	}
	r, err := webhook.New(webhook.Config{})
	if err != nil || r.Receives() {
		t.Errorf("%v, receives %v", err, r.Receives())
	}
}

// Sessions that couldn't be ended for good are an error for the operator, and nothing else.
func TestConsentRevoked_NotKept(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(_ *lab, cfg *webhook.Config) {
		cfg.EndSessions = func(string, time.Time) error { return errors.New("the disk is full") }
	})
	l.want("one", revoked(revokedURL, sub, l.clock()), http.StatusOK)
	l.effects()
	if text := logged(l); !strings.Contains(text, "the disk is full") || !strings.Contains(text, "vippsauth revoke") || strings.Contains(text, sub) {
		t.Errorf("%s", text)
	}
}

// With nothing but what is needed: no logger, no metrics, the real clock, and nobody who waits for pings. What isn't configured isn't
// received.
func TestReceiver_Bare(t *testing.T) {
	t.Parallel()
	verifier, err := vipps.NewWebhookVerifier(vipps.WebhookConfig{URL: registered, Secrets: []vipps.Secret{secret}})
	if err != nil {
		t.Fatal(err)
	}
	bare := func(l *lab, cfg *webhook.Config) {
		*cfg = webhook.Config{Verifier: verifier}
	}
	l := newLab(t, bare)
	l.want("a ping", signed(secret, registered, time.Now(), `{"auth_req_id":"ours"}`), http.StatusOK)
	l.want("a forgery", signed(other, registered, time.Now(), `{"auth_req_id":"ours"}`), http.StatusUnauthorized)
	l.want("a withdrawal", revoked(revokedURL, sub, time.Now()), http.StatusTeapot)
	l.effects()
	nobody := newLab(t, func(_ *lab, cfg *webhook.Config) { cfg.Ping = nil })
	nobody.want("a ping for nobody", nobody.good("ours"), http.StatusOK)
	nobody.effects()
	if text := logged(nobody); text != "" {
		t.Errorf("%s", text)
	}
	only := newLab(t, func(l *lab, cfg *webhook.Config) {
		*cfg = webhook.Config{ConsentRevokedSecret: pathSecret, EndSessions: l.endSessions}
	})
	only.want("a ping", only.good("ours"), http.StatusTeapot)
	only.want("a withdrawal", revoked(revokedURL, sub, time.Now()), http.StatusOK)
	if _, ended := only.effects(); len(ended) != 1 {
		t.Errorf("%v", ended)
	}
	for _, cfg := range []webhook.Config{{Verifier: verifier}, {ConsentRevokedSecret: pathSecret, EndSessions: l.endSessions}} {
		if r, err := webhook.New(cfg); err != nil || !r.Receives() {
			t.Errorf("%v", err)
		}
	}
}
