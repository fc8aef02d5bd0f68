package merchant_test

import (
	"errors"
	"net/http/httptest"
	"net/url"
	"testing"
	"testing/synctest"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/vippsauth/vippsauth/merchant"
)

// Fault: Vipps says 429. The line in the log said that there are too many, and had an empty cure.
func TestLimitsInTheLogHaveACure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		op := newProvider(t)
		op.begin = func(url.Values) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			w.WriteHeader(429)
			return w
		}
		core, logs := observer.New(zap.DebugLevel)
		l := newLab(t, op, func(c *merchant.Config) { c.Logger = zap.New(core) })
		var limited *merchant.LimitError
		if _, err := l.Start(t.Context(), "till", merchant.Request{Phone: kari}); !errors.As(err, &limited) || limited.Limit != "provider" {
			t.Fatalf("%v", err)
		}
		lines := logs.FilterMessageSnippet("there are too many").All()
		if len(lines) != 1 || lines[0].ContextMap()["cure"] == "" {
			t.Errorf("%v", lines)
		}
	})
}
