package vipps_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps"
)

// A watched body remembers how much was asked of it at once, and calls back when it has ended.
type watched struct {
	body io.Reader
	most int
	end  func()
}

func (w *watched) Read(p []byte) (int, error) {
	w.most = max(w.most, len(p))
	n, err := w.body.Read(p)
	if err != nil && w.end != nil {
		w.end()
	}
	return n, err
}

// What is received as it comes is judged as what is there at once. Attack: strangers send long bodies to have them kept: no more than
// a kilobyte of one is, unless its headers are those of a delivery that is fresh.
func TestSec_A201_A204_A208_ReceivedAsVerified(t *testing.T) {
	t.Parallel()
	v := webhookVerifier(t, vectorURL, vectorTime(), vectorSecret)
	long := strings.Repeat("a", 32<<10)
	at := func(d time.Duration) string {
		return vectorTime().Add(d).Format("Mon, 02 Jan 2006 15:04:05 GMT")
	}
	change := func(f func(h *hook)) hook {
		h := sign(vectorSecret, vectorURL, vectorDate, long)
		f(&h)
		return h
	}
	for name, tt := range map[string]struct {
		hook
		kept bool
	}{
		"good":                       {change(func(*hook) {}), true},
		"another body of its length": {change(func(h *hook) { h.body = []byte(strings.Repeat("b", len(long))) }), true},
		"a query":                    {change(func(h *hook) { h.target += "?x=1" }), true},
		"PUT":                        {change(func(h *hook) { h.method = "PUT" }), true},
		"five minutes old":           {sign(vectorSecret, vectorURL, at(-5*time.Minute), long), true},
		"a second older":             {sign(vectorSecret, vectorURL, at(-5*time.Minute-time.Second), long), false},
		"from the future":            {sign(vectorSecret, vectorURL, at(time.Hour), long), false},
		"no date":                    {sign(vectorSecret, vectorURL, "now", long), false},
		"empty date":                 {sign(vectorSecret, vectorURL, "", long), false},
		"nobody's":                   {sign("a secret of nobody's", vectorURL, vectorDate, long), false},
		"for another address":        {sign(vectorSecret, "https://webhook.site/other", vectorDate, long), false},
		"no signature":               {change(func(h *hook) { h.authorization = nil }), false},
		"two signatures":             {change(func(h *hook) { h.authorization = append(h.authorization, h.authorization[0]) }), false},
		"no hash":                    {change(func(h *hook) { h.content = nil }), false},
		"hash of another body":       {change(func(h *hook) { h.content = []string{vectorHash} }), false},
	} {
		want, wantErr := v.Verify(tt.request(), tt.body)
		body := &watched{body: bytes.NewReader(tt.body)}
		got, err := v.Receive(tt.request(), body)
		if (body.most > 1<<10) != tt.kept {
			t.Errorf("%s: %d bytes are asked for at once", name, body.most)
		}
		if wantErr != nil {
			e, _ := errors.AsType[*vipps.Error](wantErr)
			refused(t, err, e.Code)
			continue
		}
		if err != nil || got.Digest != want.Digest || got.Fresh != want.Fresh || !got.Date.Equal(want.Date) {
			t.Errorf("%s: %v, and verified another", name, err)
			continue
		}
		if full := bytes.Equal(got.Body, tt.body); full != tt.kept || !full && got.Body != nil || got.Fresh && !full {
			t.Errorf("%s: a body of %d bytes", name, len(got.Body))
		}
	}
}

// A delivery from the future, whose time comes while its body does, wasn't kept: it has to be late rather than fresh and empty.
func TestSec_A204_FreshWhenItsBodyEnds(t *testing.T) {
	t.Parallel()
	now := vectorTime().Add(-5*time.Minute - time.Second)
	v, err := vipps.NewWebhookVerifier(vipps.WebhookConfig{URL: vectorURL, Secrets: []vipps.Secret{vectorSecret}, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	h := vector()
	d, err := v.Receive(h.request(), &watched{body: bytes.NewReader(h.body), end: func() { now = now.Add(2 * time.Second) }})
	if err != nil || d.Fresh || d.Body != nil {
		t.Errorf("%v, %v", d, err)
	}
	// And one that was fresh when its headers came is late when its body takes too long.
	now = vectorTime().Add(5 * time.Minute)
	d, err = v.Receive(h.request(), &watched{body: bytes.NewReader(h.body), end: func() { now = now.Add(2 * time.Second) }})
	if err != nil || d.Fresh {
		t.Errorf("%v, %v", d, err)
	}
}

// A body that breaks off is no forgery, nor a delivery.
func TestReceive_BrokenOff(t *testing.T) {
	t.Parallel()
	v := webhookVerifier(t, vectorURL, vectorTime(), vectorSecret)
	for _, h := range []hook{vector(), sign("a secret of nobody's", vectorURL, vectorDate, vectorBody)} {
		d, err := v.Receive(h.request(), io.MultiReader(bytes.NewReader(h.body), broken{}))
		if d != nil || !errors.Is(err, errBroken) {
			t.Errorf("%v, %v", d, err)
		}
	}
}

var errBroken = errors.New("broken off")

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errBroken }

// Attack: whoever knows one secret of several learns from the time of the answer which it is, or how many there are behind it. All are
// tried, whichever fits. What is compared is the least time of many, to which scheduling can only add.
func TestSec_A206_A203_EverySecretIsTried(t *testing.T) { // not in parallel: it measures time
	secrets := []vipps.Secret{vectorSecret}
	for range 49 {
		secrets = append(secrets, "090a478d-37ff-4e77-970e-d457aeb26a3a")
	}
	last := append(append([]vipps.Secret(nil), secrets[1:]...), secrets[0])
	h := vector()
	r := h.request()
	first, behind := webhookVerifier(t, vectorURL, vectorTime(), secrets...), webhookVerifier(t, vectorURL, vectorTime(), last...)
	took := func(v *vipps.WebhookVerifier) time.Duration {
		began := time.Now()
		if _, err := v.Verify(r, h.body); err != nil {
			t.Fatal(err)
		}
		return time.Since(began)
	}
	a, b := time.Hour, time.Hour
	for range 300 { // in turns, so that both meet the same machine
		a, b = min(a, took(first)), min(b, took(behind))
	}
	if b > 3*a || a > 3*b { // who stopped at the one that fits would take some twenty times as long for the last
		t.Errorf("the first secret takes %s, the last %s", a, b)
	}
}
