package outbox_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/vippsauth/vippsauth/outbox"
	"github.com/vippsauth/vippsauth/vipps"
)

// Attack: one person's answers make the receiver stumble, which then says 500 or hangs up, each time. Nobody else's may wait for that,
// neither those that were there before nor those that come later.
func TestAnEventThatBreaksItsReceiverHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	for name, stumble := range map[string]func() int{
		"500":     func() int { return http.StatusInternalServerError },
		"429":     func() int { return http.StatusTooManyRequests },
		"hang up": func() int { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rc, dir := newReceiver(t), t.TempDir()
			rc.status = func(_ int, body string) int {
				if strings.Contains(body, "odd") {
					return stumble()
				}
				return http.StatusOK
			}
			o := open(t, outbox.Config{URL: rc.url, Dir: dir, Secret: rc.secret, Keys: newKeys(t)})
			put := func(data string) {
				if err := o.Put(t.Context(), "consents.given", data); err != nil {
					t.Error(err)
				}
			}
			put("odd")
			put("a")
			put("b")
			run(t, o)
			eventually(t, "delivery of those before", func() bool { return len(rc.taken()) == 2 })
			tried := rc.attempts()
			eventually(t, "another attempt at the odd one", func() bool { return rc.attempts() > tried })
			put("c")
			began := time.Now()
			eventually(t, "delivery of one that comes later", func() bool { return len(rc.taken()) == 3 })
			if took := time.Since(began); took > 15*time.Second { // the odd one is tried again after thirty
				t.Errorf("it took %v", took)
			}
			eventually(t, "nothing but the odd one is kept", func() bool { return len(files(t, dir)) == 1 && o.Waiting() == 1 })
		})
	}
}

// Attack: the receiver refuses all that comes, as where its secret is another, and thousands wait. It is asked at a pace, as one that is away
// is, and not about each of them at once; when it takes them again none is lost.
func TestAReceiverThatRefusesEverythingIsNotFlooded(t *testing.T) {
	t.Parallel()
	const many = 300
	rc, dir := newReceiver(t), t.TempDir()
	var mended atomic.Bool
	rc.status = func(int, string) int {
		if mended.Load() {
			return http.StatusOK
		}
		return http.StatusUnauthorized
	}
	core, logs := observer.New(zap.WarnLevel)
	o := open(t, outbox.Config{URL: rc.url, Dir: dir, Secret: rc.secret, Keys: newKeys(t), Logger: zap.New(core)})
	for i := range many {
		if err := o.Put(t.Context(), "consents.given", i); err != nil {
			t.Fatal(err)
		}
	}
	run(t, o)
	eventually(t, "the log says that it is the receiver", func() bool {
		return logs.FilterMessageSnippet("the receiver of events is away").Len() > 0
	})
	eventually(t, "another attempt, a second later", func() bool { return rc.attempts() > 11 })
	if n := rc.attempts(); n > 20 { // five of these would be half a minute of pauses
		t.Errorf("%d attempts", n)
	}
	mended.Store(true)
	eventually(t, "delivery of all", func() bool { return len(rc.taken()) == many })
}

// Attack: every other person's answers are refused. Those are nobody's fault but theirs, however many: the receiver takes what comes between,
// and nobody waits for a pause.
func TestRefusalsWithDeliveriesBetweenAreNoPause(t *testing.T) {
	t.Parallel()
	const many = 40
	rc := newReceiver(t)
	rc.status = func(_ int, body string) int {
		if strings.Contains(body, "odd") {
			return http.StatusUnprocessableEntity
		}
		return http.StatusOK
	}
	core, logs := observer.New(zap.WarnLevel)
	o := open(t, outbox.Config{URL: rc.url, Dir: t.TempDir(), Secret: rc.secret, Keys: newKeys(t), Logger: zap.New(core)})
	for range many {
		for _, data := range []string{"odd", "even"} {
			if err := o.Put(t.Context(), "consents.given", data); err != nil {
				t.Fatal(err)
			}
		}
	}
	run(t, o)
	eventually(t, "delivery of what is taken", func() bool { return len(rc.taken()) == many })
	if n := logs.FilterMessageSnippet("the receiver of events is away").Len(); n != 0 {
		t.Errorf("%d pauses", n)
	}
}

// Attack: events are put while the directory is looked at. None is overlooked until the next look, a minute later, and none is taken up twice:
// what stood in the queue without being known would be asked for over and over, at full speed, and nothing else sent.
func TestPutWhileLooking(t *testing.T) {
	t.Parallel()
	rc := newReceiver(t)
	o := open(t, outbox.Config{URL: rc.url, Dir: t.TempDir(), Secret: rc.secret, Keys: newKeys(t)})
	stop := make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if err := o.Look(); err != nil {
					t.Error(err)
				}
			}
		}
	})
	const many = 300
	for i := range many {
		if err := o.Put(t.Context(), "consents.given", i); err != nil {
			t.Error(err)
		}
		if known, queued := o.Waiting(), o.Queued(); known != i+1 || queued != i+1 {
			t.Errorf("of %d events %d are known, and %d stand in the queue", i+1, known, queued)
			break
		}
	}
	close(stop)
	looking.Wait()
}

// Attack: the process dies between the writing and the renaming of an event, again and again. What is left is sealed, and of a person: it
// doesn't stay for ever.
func TestUnfinishedFilesGo(t *testing.T) {
	t.Parallel()
	rc, dir := newReceiver(t), t.TempDir()
	old, fresh, others := filepath.Join(dir, "1-old.event.new"), filepath.Join(dir, "2-fresh.event.new"), filepath.Join(dir, "3.new")
	for _, name := range []string{old, fresh, others} {
		if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	then := time.Now().Add(-25 * time.Hour)
	for _, name := range []string{old, others} {
		if err := os.Chtimes(name, then, then); err != nil {
			t.Fatal(err)
		}
	}
	open(t, outbox.Config{URL: rc.url, Dir: dir, Secret: rc.secret, Keys: newKeys(t)})
	if got := fmt.Sprint(files(t, dir)); got != fmt.Sprint([]string{fresh, others}) {
		t.Errorf("left are %s", got)
	}
}

// Attack: the directory can be read and not written to, which nobody noticed until the first answers to consents were lost, that come only
// once. It stops the start.
func TestADirectoryThatCannotBeWrittenTo(t *testing.T) {
	t.Parallel()
	const readOnly = "/sys/kernel" // for root, too
	if _, err := os.Stat(readOnly); err != nil {
		t.Skip(err)
	}
	rc := newReceiver(t)
	_, err := outbox.New(outbox.Config{URL: rc.url, Dir: readOnly, Secret: rc.secret, Keys: newKeys(t)})
	if ce, ok := errors.AsType[*vipps.ConfigError](err); !ok || ce.Setting != "consent_dir" || strings.Contains(err.Error(), readOnly) {
		t.Errorf("%v", err)
	}
}
