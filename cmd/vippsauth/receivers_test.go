package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/vippsauth/vippsauth/vipps"
)

const (
	hookSecret    = "090a478d-37ff-4e77-970e-d457aeb26a3a"
	revokedSecret = "b2f5ff47436671b6e533d8dc3614845d"
)

// receiving is a service with some settings, in front of an application that answers 418.
func receiving(t *testing.T, set func(c *config)) (s *service, h http.Handler) {
	t.Helper()
	c := newConfig()
	c.environment, c.publicURLs, c.trustedProxies = envEmulator, []string{"http://localhost:4190"}, []string{"loopback"}
	set(c)
	s = &service{log: zap.NewNop(), ops: newOps()}
	if err := s.build(c, "http://127.0.0.1:1/"); err != nil {
		t.Fatal(err)
	}
	if err := s.buildReceivers(c); err != nil {
		t.Fatal(err)
	}
	return s, s.received(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
}

func post(h http.Handler, target, body string, header map[string]string) int {
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
	for name, value := range header {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

// signedWith are the headers of a webhook to http://localhost:4190/hooks.
func signedWith(secret string, now time.Time, body string) map[string]string {
	date, sum := now.UTC().Format(http.TimeFormat), sha256.Sum256([]byte(body))
	content := base64.StdEncoding.EncodeToString(sum[:])
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("POST\n/hooks\n" + date + ";localhost:4190;" + content))
	return map[string]string{
		"Authorization": "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=" + base64.StdEncoding.EncodeToString(mac.Sum(nil)),
		"X-Ms-Date":     date, "X-Ms-Content-Sha256": content,
	}
}

// Attack: webhooks are sent to a service that nobody has told of any. It receives none until a secret says whose they are, and the one that nobody
// signs, none until a secret says where.
func TestSec_A170_ReceiversAreOff(t *testing.T) {
	t.Parallel()
	s, h := receiving(t, func(*config) {})
	if s.receiver != nil {
		t.Error("there is a receiver")
	}
	for _, target := range []string{"/_vipps/webhook", "/_vipps/consent-revoked/", "/_vipps/consent-revoked/" + revokedSecret} {
		if code := post(h, target, "{}", nil); code != http.StatusTeapot {
			t.Errorf("%s: %d", target, code)
		}
	}
	s.runReceiver(t.Context())(time.Now().Add(time.Minute))
	_, h = receiving(t, func(c *config) { c.webhookSecrets = []vipps.Secret{hookSecret} })
	if code := post(h, "/_vipps/consent-revoked/"+revokedSecret, "{}", nil); code != http.StatusTeapot {
		t.Errorf("withdrawals are received: %d", code)
	}
	_, h = receiving(t, func(c *config) { c.consentRevokedSecret = revokedSecret })
	if code := post(h, "/_vipps/webhook", "{}", nil); code != http.StatusTeapot {
		t.Errorf("webhooks are received: %d", code)
	}
}

// What is answered with 200 is done, also when the service stops at once: the sessions of whoever withdrew consent end.
func TestReceivers_EndSessions(t *testing.T) {
	t.Parallel()
	s, h := receiving(t, func(c *config) {
		c.webhookSecrets, c.consentRevokedSecret = []vipps.Secret{hookSecret}, revokedSecret
		c.registeredURL = "http://localhost:4190/hooks"
	})
	ctx, cancel := context.WithCancel(t.Context())
	stop := s.runReceiver(ctx)
	b64 := base64.RawURLEncoding.EncodeToString
	now := time.Now()
	body := b64([]byte(`{"alg":"none"}`)) + "." + b64(fmt.Appendf(nil, `{"iat":%d,"sub":"somebody","event":"CONSENT_REVOKED"}`, now.Unix()))
	if code := post(h, "/_vipps/consent-revoked/"+revokedSecret, body, nil); code != http.StatusOK {
		t.Errorf("a withdrawal: %d", code)
	}
	header := signedWith(hookSecret, now, `{"auth_req_id":"a"}`)
	if code := post(h, "/_vipps/webhook", `{"auth_req_id":"a"}`, header); code != http.StatusOK {
		t.Errorf("a ping: %d", code)
	}
	if code := post(h, "/_vipps/webhook", `{"auth_req_id":"b"}`, header); code != http.StatusUnauthorized {
		t.Errorf("a forged ping: %d", code)
	}
	cancel()
	stop(time.Now().Add(time.Minute))
	w := httptest.NewRecorder()
	s.ops.ready.Store(true)
	s.ops.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	for _, line := range []string{
		`vippsauth_webhooks_received_total{kind="consent_revoked",outcome="accepted"} 1`, `vippsauth_webhooks_received_total{kind="webhook",outcome="accepted"} 1`,
		`vippsauth_webhooks_received_total{kind="webhook",outcome="forged"} 1`, `vippsauth_webhook_pings_total{waited_for="no"} 1`, `vippsauth_webhooks_queued 0`,
		`vippsauth_webhook_revocations_failed_total 0`,
	} {
		if !strings.Contains(w.Body.String(), line+"\n") {
			t.Errorf("the metrics have no %s", line)
		}
	}
	if code := post(h, "/_vipps/consent-revoked/"+revokedSecret, body, nil); code != http.StatusOK { // sent before
		t.Errorf("the same again: %d", code)
	}
}
