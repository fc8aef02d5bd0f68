package webhook_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/webhook"
)

// Attack: key ids that are lines of a log, and forged callbacks without end, to write the log or to fill it. It says what was refused and why, of each
// kind once a minute, and nothing of what was sent.
func TestSec_A183_C080_ForgedQRCallbacksInTheLog(t *testing.T) {
	t.Parallel()
	p := newQRProvider(t)
	l := newQRLab(t, p.config())
	encode := base64.RawURLEncoding.EncodeToString
	signed := "." + encode([]byte(`{"auth_req_id":"injected"}`)) + "." + encode(make([]byte, 64))
	for range 20 {
		for header, status := range map[string]int{
			`{"alg":"ES256","kid":"injected\nlevel=error msg=injected"}`:        http.StatusUnauthorized,
			`{"alg":"ES256","kid":"injected\u001b[2J"}`:                         http.StatusUnauthorized,
			`{"alg":"injected","kid":"one"}`:                                    http.StatusUnauthorized,
			`{"alg":"ES256","kid":"` + strings.Repeat("injected", 2<<10) + `"}`: http.StatusRequestEntityTooLarge,
		} {
			if got, _ := l.tryPost(encode([]byte(header)) + signed); got != status && got != 0 {
				t.Errorf("%.50s: %d", header, got)
			}
		}
	}
	l.quiet("injected", "\n", "\x1b", "eyJ")
	said := map[string]int{}
	for _, e := range l.logs.All() {
		said[e.Message+" "+fmt.Sprint(e.ContextMap()["error"])]++
		if e.ContextMap()["cure"] == nil {
			t.Errorf("no cure: %s", e.Message)
		}
	}
	for text, n := range said {
		if n > 2 { // a minute may have passed
			t.Errorf("%d times: %s", n, text)
		}
	}
	for _, part := range []string{
		"a QR callback was refused: nobody knows who sent it", vipps.CodeUnknownKey, vipps.CodeAlgorithm, "it is longer than 8 KiB",
	} {
		if !strings.Contains(fmt.Sprint(said), part) {
			t.Errorf("nothing says %q: %v", part, said)
		}
	}
}

// Attack: a rightly signed callback for a login that the provider doesn't know, or that is somebody else's. The exchange fails, nobody is
// logged in, and it isn't tried again.
func TestSec_C080_QRLoginsThatFail(t *testing.T) {
	t.Parallel()
	p := newQRProvider(t)
	at, sub := p.srv.URL, qrSub
	p.token = func(w http.ResponseWriter, r *http.Request) {
		switch r.FormValue("auth_req_id") {
		case "unknown":
			w.WriteHeader(http.StatusBadRequest)
			p.write(w, map[string]any{"error": "invalid_grant"})
		default: // another login's ID token
			p.write(w, map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": p.sign(map[string]any{
				"iss": at + "/", "aud": qrClient, "sub": sub, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(), "qr_id": "code", "auth_req_id": "another",
			})})
		}
	}
	l := newQRLab(t, p.config())
	const failed = "a QR login failed: the person has to scan the code again"
	for i, id := range []string{"unknown", "mine"} {
		if status, _ := l.post(p.callback(id, "")); status != http.StatusOK {
			t.Errorf("%s: %d", id, status)
		}
		for deadline := time.Now().Add(30 * time.Second); l.logs.FilterMessage(failed).Len() <= i && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		}
		if n := l.logs.FilterMessage(failed).Len(); n != i+1 {
			t.Fatalf("%s: %d failures are logged", id, n)
		}
	}
	if status, _ := l.post(p.callback("unknown", "again")); status != http.StatusOK {
		t.Errorf("again: %d", status)
	}
	l.stop()
	if n := p.tokens.Load(); n != 2 || len(l.logins) != 0 {
		t.Errorf("%d exchanges, %d logins", n, len(l.logins))
	}
	l.quiet(qrSub, "unknown", "eyJ")
}

// A receiver with nothing but what it needs.
func TestQR_Bare(t *testing.T) {
	t.Parallel()
	p := newQRProvider(t)
	client, err := vipps.New(p.config())
	if err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]webhook.QRConfig{"no login": {Client: client}, "no client": {Login: takes}} {
		if q, err := webhook.NewQR(cfg); err == nil || q != nil {
			t.Error(name)
		}
	}
	q, err := webhook.NewQR(webhook.QRConfig{Client: client, Login: takes})
	if err != nil {
		t.Fatal(err)
	}
	for body, status := range map[string]int{"x": http.StatusUnauthorized, p.callback("login", ""): http.StatusOK} {
		w := httptest.NewRecorder()
		q.Handler(http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest(http.MethodPost, webhook.QRPath, strings.NewReader(body)))
		if w.Code != status {
			t.Errorf("%.10q: %d", body, w.Code)
		}
	}
}

func takes(context.Context, *vipps.Login) error { return nil }
