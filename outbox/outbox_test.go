package outbox_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/outbox"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// receiver is the program that is told. It verifies what it gets as a receiver should.
type receiver struct {
	t      *testing.T
	secret vipps.Secret
	url    string

	mu     sync.Mutex
	status func(attempt int, body string) int
	tries  int
	ids    []string // of what was taken
	bodies []string
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	rc := &receiver{t: t, secret: outbox.NewSecret(), status: func(int, string) int { return http.StatusNoContent }}
	srv := httptest.NewServer(rc)
	t.Cleanup(srv.Close)
	rc.url = srv.URL + "/events"
	return rc
}

func (rc *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	key, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(rc.secret.Reveal(), "whsec_"))
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp"), body)
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); r.Header.Get("Webhook-Signature") != want {
		rc.t.Errorf("the signature is %q", r.Header.Get("Webhook-Signature"))
	}
	rc.mu.Lock()
	defer rc.mu.Unlock()
	rc.tries++
	status := rc.status(rc.tries, string(body))
	if status/100 == 2 {
		rc.ids = append(rc.ids, r.Header.Get("Webhook-Id"))
		rc.bodies = append(rc.bodies, string(body))
	}
	if status/100 == 3 {
		w.Header().Set("Location", "/elsewhere")
	}
	w.WriteHeader(status)
}

func (rc *receiver) taken() []string {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	return slices.Clone(rc.bodies)
}

func (rc *receiver) attempts() int {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	return rc.tries
}

func newKeys(t *testing.T) session.Keys {
	t.Helper()
	key, err := session.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return session.Keys{key}
}

func open(t *testing.T, cfg outbox.Config) *outbox.Outbox {
	t.Helper()
	o, err := outbox.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// run delivers until stop is called, or the test ends.
func run(t *testing.T, o *outbox.Outbox) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		o.Run(ctx)
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 1500 {
		if ok() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s did not come about in half a minute", what)
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// The whole of it: an event is sent signed, once, and is gone from the disk; meanwhile nothing of it can be read there.
func TestDelivers(t *testing.T) {
	t.Parallel()
	rc, dir := newReceiver(t), filepath.Join(t.TempDir(), "events")
	o := open(t, outbox.Config{URL: rc.url, Dir: dir, Secret: rc.secret, Keys: newKeys(t)})
	if err := o.Put(t.Context(), "consents.given", map[string]string{"sub": "person-1"}); err != nil {
		t.Fatal(err)
	}
	kept := files(t, dir)
	if len(kept) != 1 {
		t.Fatalf("%d files are kept", len(kept))
	}
	if text, _ := os.ReadFile(kept[0]); strings.Contains(string(text), "person-1") {
		t.Error("the disk shows who it is")
	}
	if info, _ := os.Stat(kept[0]); info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v", info.Mode())
	}
	run(t, o)
	eventually(t, "delivery", func() bool { return len(rc.taken()) == 1 && o.Waiting() == 0 })
	var got struct {
		Type      string
		Timestamp time.Time
		Data      map[string]string
	}
	if err := json.Unmarshal([]byte(rc.taken()[0]), &got); err != nil || got.Type != "consents.given" || got.Data["sub"] != "person-1" || got.Timestamp.IsZero() {
		t.Errorf("it is %s", rc.taken()[0])
	}
	if left := files(t, dir); len(left) != 0 {
		t.Errorf("%v is left", left)
	}
}

// The receiver is down, the process is killed, and another one with a further key in front takes over: nothing is lost, and the id
// is the same at every attempt.
func TestKeepsOverARestart(t *testing.T) {
	t.Parallel()
	rc, dir, keys := newReceiver(t), t.TempDir(), newKeys(t)
	rc.status = func(attempt int, _ string) int {
		if attempt < 3 {
			return http.StatusBadGateway
		}
		return http.StatusOK
	}
	cfg := outbox.Config{URL: rc.url, Dir: dir, Secret: rc.secret, Keys: keys}
	first := open(t, cfg)
	for i := range 3 {
		if err := first.Put(t.Context(), "consents.given", i); err != nil {
			t.Fatal(err)
		}
	}
	stop := run(t, first)
	eventually(t, "an attempt", func() bool { return rc.attempts() > 0 })
	stop()
	cfg.Keys = slices.Concat(newKeys(t), keys)
	second := open(t, cfg)
	if got := second.Waiting(); got != 3 {
		t.Errorf("%d wait after the restart", got)
	}
	run(t, second)
	eventually(t, "delivery of all", func() bool { return len(rc.taken()) == 3 && second.Waiting() == 0 })
	rc.mu.Lock()
	defer rc.mu.Unlock()
	if slices.Sort(rc.ids); len(slices.Compact(rc.ids)) != 3 {
		t.Errorf("the ids are %v", rc.ids)
	}
}

// One event that its receiver refuses does not hold up the others, and is kept.
func TestARefusedEventIsKept(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusBadRequest, http.StatusGone, http.StatusFound} {
		rc, dir := newReceiver(t), t.TempDir()
		rc.status = func(_ int, body string) int {
			if strings.Contains(body, "odd") {
				return status
			}
			return http.StatusOK
		}
		o := open(t, outbox.Config{URL: rc.url, Dir: dir, Secret: rc.secret, Keys: newKeys(t)})
		for _, data := range []string{"odd", "a", "b"} {
			if err := o.Put(t.Context(), "consents.given", data); err != nil {
				t.Fatal(err)
			}
		}
		run(t, o)
		eventually(t, "delivery of the others", func() bool { return len(rc.taken()) == 2 && o.Waiting() == 1 })
		if len(files(t, dir)) != 1 {
			t.Errorf("%d: the refused one is not on the disk", status)
		}
	}
}

// What stands in the directory and is not a whole event of ours is neither sent nor removed, and stops nothing: a torn write, another
// installation's event, a file that somebody put into the place of another.
func TestStrangersInTheDirectory(t *testing.T) {
	t.Parallel()
	rc, dir, keys := newReceiver(t), t.TempDir(), newKeys(t)
	other := open(t, outbox.Config{URL: rc.url, Dir: dir, Secret: rc.secret, Keys: newKeys(t)})
	mine := open(t, outbox.Config{URL: rc.url, Dir: dir, Secret: rc.secret, Keys: keys})
	for _, o := range []*outbox.Outbox{other, mine} {
		if err := o.Put(t.Context(), "consents.given", strings.Repeat("x", 40_000)); err != nil {
			t.Fatal(err)
		}
	}
	whole := files(t, dir)[1]
	text, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	for name, content := range map[string]string{
		"00000000000000000001-torn.event":    string(text[:len(text)/2]),
		"00000000000000000002-short.event":   lines[0],
		"00000000000000000003-swapped.event": string(text),
		"00000000000000000004-empty.event":   "",
		"00000000000000000005-x.event.new":   string(text),
		"notes.txt":                          "hello",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := len(files(t, dir))
	o := open(t, outbox.Config{URL: rc.url, Dir: dir, Secret: rc.secret, Keys: keys})
	run(t, o)
	eventually(t, "delivery of the whole one", func() bool { return len(rc.taken()) == 1 })
	eventually(t, "its removal", func() bool { return len(files(t, dir)) == before-1 })
	if got := rc.attempts(); got != 1 {
		t.Errorf("%d attempts were made", got)
	}
}

// An event that could not be written is not kept, and the caller knows.
func TestPutFails(t *testing.T) {
	t.Parallel()
	rc, dir := newReceiver(t), filepath.Join(t.TempDir(), "events")
	o := open(t, outbox.Config{URL: rc.url, Dir: dir, Secret: rc.secret, Keys: newKeys(t)})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := o.Put(t.Context(), "consents.given", 1); err == nil || o.Waiting() != 0 {
		t.Errorf("error %v, %d wait", err, o.Waiting())
	}
	if err := o.Put(t.Context(), "consents.given", strings.Repeat("x", 2<<20)); err == nil {
		t.Error("an event of 2 MiB is kept")
	}
}

func TestConfigFaults(t *testing.T) {
	t.Parallel()
	good := outbox.Config{URL: "https://app.example/events", Dir: t.TempDir(), Secret: outbox.NewSecret(), Keys: newKeys(t)}
	for name, change := range map[string]struct {
		setting string
		to      func(*outbox.Config)
	}{
		"no url":         {"consent_url", func(c *outbox.Config) { c.URL = "" }},
		"plain http":     {"consent_url", func(c *outbox.Config) { c.URL = "http://app.example.com/events" }},
		"a user":         {"consent_url", func(c *outbox.Config) { c.URL = "https://me:secret@app.example/" }},
		"another scheme": {"consent_url", func(c *outbox.Config) { c.URL = "ftp://app.example/" }},
		"no directory":   {"consent_dir", func(c *outbox.Config) { c.Dir = "" }},
		"a file":         {"consent_dir", func(c *outbox.Config) { c.Dir = os.Args[0] }},
		"short secret":   {"consent_secret", func(c *outbox.Config) { c.Secret = "whsec_c2hvcnQ=" }},
		"bare secret":    {"consent_secret", func(c *outbox.Config) { c.Secret = "correct horse battery staple" }},
	} {
		cfg := good
		change.to(&cfg)
		_, err := outbox.New(cfg)
		ce, ok := errors.AsType[*vipps.ConfigError](err)
		if !ok || ce.Setting != change.setting || strings.Contains(err.Error(), "secret@") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, url := range []string{"http://localhost:8080/", "http://app:8080/", "http://10.1.2.3/", "http://[::1]:1/", "http://app.internal/", "https://app.example/?x=1"} {
		cfg := good
		cfg.URL = url
		if err := cfg.Check(); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	key, err := session.NewKey()
	if err != nil {
		b.Fatal(err)
	}
	o, err := outbox.New(outbox.Config{URL: "http://localhost/", Dir: b.TempDir(), Secret: outbox.NewSecret(), Keys: session.Keys{key}})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := o.Put(b.Context(), "consents.given", "x"); err != nil {
			b.Fatal(err)
		}
	}
}
