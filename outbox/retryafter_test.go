package outbox_test

import (
	"net/http"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/vippsauth/vippsauth/outbox"
)

// Whoever has just mended the receiver reads in the log when the next attempt is. It said one second, then two, and the only event that
// waited came after five, then after thirty.
func TestTheLogSaysWhenTheNextAttemptIs(t *testing.T) {
	t.Parallel()
	rc := newReceiver(t)
	rc.status = func(int, string) int { return http.StatusInternalServerError }
	core, logged := observer.New(zapcore.WarnLevel)
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	o := open(t, outbox.Config{
		URL: rc.url, Secret: rc.secret, Dir: t.TempDir(), Keys: newKeys(t), Logger: zap.New(core), Now: func() time.Time { return now },
	})
	if err := o.Put(t.Context(), "consents.given", map[string]string{"sub": "s"}); err != nil {
		t.Fatal(err)
	}
	run(t, o)
	eventually(t, "a warning", func() bool { return logged.Len() > 0 })
	if after := logged.All()[0].ContextMap()["retry_after"]; after != 5*time.Second {
		t.Errorf("the next attempt is said to be in %v", after)
	}
}
