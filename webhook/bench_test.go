package webhook_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/webhook"
)

// BenchmarkWebhook sends pings over loopback, one after the other, and fails when half of them take more than ten milliseconds.
func BenchmarkWebhook(b *testing.B) {
	l := newLab(b)
	srv := httptest.NewServer(l.handler)
	defer srv.Close()
	client := &http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	var times []time.Duration
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		if i%30_000 == 0 {
			l.pass(20 * time.Minute) // so that those of before are forgotten
		}
		d := l.good("login-" + strconv.Itoa(i))
		req, err := http.NewRequest(d.method, srv.URL+webhook.Path, bytes.NewReader([]byte(d.body)))
		if err != nil {
			b.Fatal(err)
		}
		req.Header = d.header
		b.StartTimer()
		began := time.Now()
		res, err := client.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		times = append(times, time.Since(began))
		if res.StatusCode != http.StatusOK {
			b.Fatalf("status %d", res.StatusCode)
		}
	}
	slices.Sort(times)
	median := times[len(times)/2]
	b.ReportMetric(float64(median.Microseconds())/1000, "median-ms")
	if median > 10*time.Millisecond {
		b.Errorf("the median is %s", median)
	}
}
