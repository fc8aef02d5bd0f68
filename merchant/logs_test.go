package merchant_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/vippsauth/vippsauth/merchant"
)

// Whatever goes wrong, the log says that it does, seldom, and not with whom.
func TestSec_A150_LogsTellNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		core, logs := observer.New(zap.DebugLevel)
		registry := prometheus.NewRegistry()
		l := newLab(t, op, func(c *merchant.Config) {
			c.Logger, c.Metrics, c.PhoneLimit = zap.New(core), registry, "3/10m"
			c.RedirectURI, c.CheckReturnTo = callback, func(string) error { return nil }
		})
		var secrets []string
		for i, code := range []string{"server_error", "invalid_request", "access_denied", "invalid_user", "odd_4712345670"} {
			phone := fmt.Sprintf("471234567%d", i)
			op.set(func() {
				op.poll = func(a *asked) *httptest.ResponseRecorder {
					return answer(400, map[string]any{"error": code, "error_description": "user " + a.phone + " of " + a.id})
				}
			})
			s := l.begin("till-of-"+phone, phone)
			secrets = append(secrets, phone, phone[2:], op.of(phone).id, s.ID, s.Code)
			l.until("till-of-"+phone, s.ID)
		}
		l.beginWith("till", merchant.Request{Phone: kari, ReturnTo: thanks})
		query := op.code(kari)
		secrets = append(secrets, kari, "code-of-", "sub-")
		query.Set("state", "x")
		if _, _, err := l.Land(t.Context(), query); err == nil {
			t.Error("a wrong state lands")
		}
		for range 1000 {
			_, err := l.Start(t.Context(), "till", merchant.Request{Phone: kari})
			if err != nil && !errors.As(err, new(*merchant.LimitError)) {
				t.Fatal(err)
			}
		}
		if n := logs.FilterMessageSnippet("too many").Len(); n != 1 {
			t.Errorf("%d lines about the limit", n)
		}
		if logs.FilterMessageSnippet("failed").Len() == 0 || logs.FilterMessageSnippet("could not be asked").Len() == 0 || logs.Len() > 20 {
			t.Errorf("%d lines", logs.Len())
		}
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprint(families)
		for _, want := range []string{"vippsauth_merchant_logins_total", "vippsauth_merchant_logins_pending", "vippsauth_merchant_limited_total", "vippsauth_merchant_polls_total"} {
			if !strings.Contains(text, want) {
				t.Errorf("no metric %s", want)
			}
		}
		for _, entry := range logs.All() {
			text += entry.Message + fmt.Sprint(entry.ContextMap())
		}
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("the log or a metric holds %q", secret)
			}
		}
		time.Sleep(time.Second)
	})
}

// The first key seals and all open: after a change of keys ids and the journal are good still.
func TestKeysChange(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/merchant_logins"
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		l := newLab(t, op, func(c *merchant.Config) { c.File = file })
		synctest.Wait()
		s := l.begin("till", kari)
		time.Sleep(time.Second)
		for range 2 {
			l.cancel()
			l.cfg.Keys = append(newKeys(t), l.cfg.Keys...)
			l.start()
			if got := l.state("till", s.ID); got.State != merchant.Pending {
				t.Fatalf("%s", got.State)
			}
		}
	})
}
