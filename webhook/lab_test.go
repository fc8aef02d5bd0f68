package webhook_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/webhook"
)

const (
	secret     = "A0+AeKBRG2KRGvnNwJpQlb6IJFk48CKXCIcrLoHncVJKDILsQSxS6NWCccwWm6r6FhGKhiHTBsG2wo/xU6FY/A=="
	other      = "090a478d-37ff-4e77-970e-d457aeb26a3a"
	registered = "https://app.example/_vipps/webhook"
	pathSecret = "b2f5ff47436671b6e533d8dc3614845d"
	revokedURL = webhook.ConsentRevokedPath + pathSecret
	sub        = "c9d10444-d992-4850-ac60-9d3502095008"
)

// A lab is a receiver whose effects are written down.
type lab struct {
	t       testing.TB
	handler http.Handler

	receiver *webhook.Receiver

	metrics *prometheus.Registry
	logs    *observer.ObservedLogs
	stop    func() // waits for the queues

	mu      sync.Mutex
	now     time.Time
	pinged  []string
	ended   map[string][]time.Time
	nexts   int           // requests that were left to next
	hold    chan struct{} // what every effect waits for, until let; nil: nothing
	let     func()
	pending map[string]bool
}

// newLab starts a receiver of everything; change may alter its configuration.
func newLab(t testing.TB, change ...func(l *lab, cfg *webhook.Config)) *lab {
	t.Helper()
	l := &lab{
		t: t, metrics: prometheus.NewRegistry(), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), ended: map[string][]time.Time{},
		pending: map[string]bool{"ours": true},
	}
	core, logs := observer.New(zapcore.DebugLevel)
	l.logs = logs
	verifier, err := vipps.NewWebhookVerifier(vipps.WebhookConfig{URL: registered, Secrets: []vipps.Secret{other, secret}, Now: l.clock})
	if err != nil {
		t.Fatal(err)
	}
	cfg := webhook.Config{
		Verifier: verifier, Ping: l.ping, ConsentRevokedSecret: pathSecret, EndSessions: l.endSessions,
		Logger: zap.New(core), Metrics: l.metrics, Now: l.clock,
	}
	for _, f := range change {
		f(l, &cfg)
	}
	l.let = sync.OnceFunc(func() { close(l.hold) })
	r, err := webhook.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l.receiver = r
	if l.hold != nil {
		r.KeepFor(time.Millisecond) // nothing comes before the test lets it
	}
	l.handler = r.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		l.mu.Lock()
		l.nexts++
		l.mu.Unlock()
		w.WriteHeader(http.StatusTeapot)
	}))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.Run(ctx)
	}()
	l.stop = func() {
		if l.hold != nil {
			l.let() // also where a test has failed before
		}
		cancel()
		<-done
	}
	t.Cleanup(l.stop)
	return l
}

func (l *lab) clock() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now
}

func (l *lab) pass(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = l.now.Add(d)
}

func (l *lab) ping(id string) bool {
	if l.hold != nil {
		<-l.hold
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pinged = append(l.pinged, id)
	return l.pending[id]
}

func (l *lab) endSessions(sub string, before time.Time) error {
	if l.hold != nil {
		<-l.hold
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended[sub] = append(l.ended[sub], before)
	return nil
}

// effects are what has happened, once the queues are empty. Nothing is received afterwards.
func (l *lab) effects() (pinged []string, ended map[string][]time.Time) {
	l.t.Helper()
	l.stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pinged, l.ended
}

// A delivery is a request as it comes.
type delivery struct {
	method, target, host string
	header               http.Header
	body                 string
}

// signed is a delivery as Vipps makes it, for an address and at a moment.
func signed(secret, address string, at time.Time, body string) delivery {
	return signedAs(secret, address, at.UTC().Format(http.TimeFormat), body)
}

func signedAs(secret, address, date, body string) delivery {
	u, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256([]byte(body))
	content := base64.StdEncoding.EncodeToString(sum[:])
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("POST\n" + u.RequestURI() + "\n" + date + ";" + u.Host + ";" + content))
	return delivery{
		method: "POST", target: u.RequestURI(), host: u.Host, body: body,
		header: http.Header{
			"Authorization":       {"HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=" + base64.StdEncoding.EncodeToString(mac.Sum(nil))},
			"X-Ms-Date":           {date},
			"X-Ms-Content-Sha256": {content},
			"Content-Type":        {"application/json"},
		},
	}
}

// good is a ping about a login of ours, signed now.
func (l *lab) good(id string) delivery {
	return signed(secret, registered, l.clock(), `{"auth_req_id":"`+id+`"}`)
}

// send delivers, and returns the answer.
func (l *lab) send(d delivery) *httptest.ResponseRecorder {
	r := httptest.NewRequest(d.method, d.target, strings.NewReader(d.body))
	r.Host = d.host
	for name, values := range d.header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	l.handler.ServeHTTP(w, r)
	return w
}

func (l *lab) want(what string, d delivery, status int) {
	l.t.Helper()
	if got := l.send(d).Code; got != status {
		l.t.Errorf("%s: status %d, want %d", what, got, status)
	}
}

// revoked is a consent-revoked webhook as Vipps makes it.
func revoked(target, sub string, at time.Time) delivery {
	b64 := base64.RawURLEncoding.EncodeToString
	payload := fmt.Sprintf(`{"exp":%d,"iat":%d,"nbf":%d,"sub":%q,"event":"CONSENT_REVOKED"}`, at.Unix()+300, at.Unix(), at.Unix(), sub)
	return delivery{
		method: "POST", target: target, host: "app.example", header: http.Header{"Content-Type": {"text/plain"}},
		body: b64([]byte(`{"alg":"none","typ": "JWT"}`+"\n")) + "." + b64([]byte(payload)),
	}
}

// whole is an answer without its date, to compare it with another.
func whole(w *httptest.ResponseRecorder) string {
	var b bytes.Buffer
	fmt.Fprintln(&b, w.Code)
	_ = w.Header().WriteSubset(&b, map[string]bool{"Date": true})
	b.Write(w.Body.Bytes())
	return b.String()
}

// counted is how often something was received with an outcome.
func (l *lab) counted(kind, outcome string) float64 {
	l.t.Helper()
	families, err := l.metrics.Gather()
	if err != nil {
		l.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "vippsauth_webhooks_received_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, p := range m.GetLabel() {
				labels[p.GetName()] = p.GetValue()
			}
			if labels["kind"] == kind && labels["outcome"] == outcome {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}
