package merchant_test

import (
	"crypto/rand"
	"fmt"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/merchant"
)

const many = 10_000

// heap is what is live.
func heap() uint64 {
	runtime.GC()
	runtime.GC() // what the first one has let go of
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// forgetful lets a provider keep nothing, so that what grows is ours.
func forgetful(op *provider) *provider {
	op.begin = func(url.Values) *httptest.ResponseRecorder {
		return answer(200, map[string]any{"auth_req_id": rand.Text() + "-", "expires_in": 600, "interval": 5})
	}
	return op
}

func fill(t testing.TB, logins *merchant.Logins) {
	t.Helper()
	for i := range many {
		if _, err := logins.Start(t.Context(), fmt.Sprintf("till-%d", i%10), merchant.Request{Phone: fmt.Sprintf("4790%06d", i)}); err != nil {
			t.Fatal(err)
		}
	}
}

// Ten thousand logins wait, and nobody is connected: README promises that this takes less than 100 MB. What it takes is a few
// percent of that, all limits included, so that the test's limit says when something has grown tenfold.
func TestTenThousandWait(t *testing.T) {
	op := forgetful(newProvider(t))
	logins, err := merchant.New(merchant.Config{Client: op.client(t), Keys: newKeys(t), CallerLimit: "100000/1m"})
	if err != nil {
		t.Fatal(err)
	}
	before := heap()
	fill(t, logins)
	grown := heap() - before
	t.Logf("%.1f MB, %d bytes each", float64(grown)/1e6, grown/many)
	if grown > 40e6 {
		t.Errorf("%.1f MB for %d logins", float64(grown)/1e6, many)
	}
	runtime.KeepAlive(logins)
}

// BenchmarkWaiting10000 lets ten thousand logins wait for some seconds, and says what each takes of the memory, how many polls a
// second they make (2,000 are due), and how many times as many as in the mean came in the busiest tenth of a second.
func BenchmarkWaiting10000(b *testing.B) {
	for b.Loop() {
		op := newProvider(b)
		op.polls = make([]time.Time, 0, 100_000)
		l := newLab(b, op, nil)
		before := heap()
		fill(b, l.Logins)
		b.ReportMetric(float64(heap()-before)/many, "B/login")
		time.Sleep(15 * time.Second)
		l.cancel()
		polls, _ := op.whenPolled()
		last := polls[len(polls)-1]
		polls = polls[slices.IndexFunc(polls, func(at time.Time) bool { return last.Sub(at) < 8*time.Second }):]
		most, mean := busiest(polls, 100*time.Millisecond)
		b.ReportMetric(float64(len(polls))/8, "polls/s")
		b.ReportMetric(most/mean, "herd")
		op.fair(b)
	}
}
