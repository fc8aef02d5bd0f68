package rate_test

import (
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/internal/rate"
)

func TestParse(t *testing.T) {
	t.Parallel()
	const example = "600/10m"
	for text, want := range map[string]rate.Limit{
		"off": {}, "60/1m": {60, time.Minute}, "1/1s": {1, time.Second}, "600/10m": {600, 10 * time.Minute}, "1000000/24h": {1_000_000, 24 * time.Hour},
	} {
		if got, err := rate.Parse(text, example); err != nil || got != want {
			t.Errorf("%q: %v %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "60", "/", "60/", "/1m", "0/1m", "-1/1m", "+5/1m", "60/0s", "60/-1m", "60/25h", "60/1m/1m", "1000001/1m", "1.5/1m", " 60/1m", "60 / 1m", "60/1", "Off", "none",
		"99999999999999999999/1m", "60/1ms", "60/1d",
	} {
		const want = "must be a number of logins and a time, such as " + example + ", or off: at most 1000000, in 1s to 24h"
		if got, err := rate.Parse(text, example); err == nil || err.Error() != want || got != (rate.Limit{}) {
			t.Errorf("%q is read as %v: %v", text, got, err)
		}
	}
}

func TestBucket(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var b rate.Bucket
	take := func() time.Duration { return b.Take(rate.Limit{Count: 2, Period: 2 * time.Minute}, now) }
	if a, b, c := take(), take(), take(); a != 0 || b != 0 || c != time.Minute {
		t.Errorf("%s, %s, %s", a, b, c)
	}
	now = now.Add(30 * time.Second)
	if a, b := take(), take(); a != 30*time.Second || b != 30*time.Second { // what was refused makes nobody wait longer
		t.Errorf("half a minute later: %s, %s", a, b)
	}
	now = now.Add(30 * time.Second)
	if a, b := take(), take(); a != 0 || b != time.Minute {
		t.Errorf("a minute later: %s, %s", a, b)
	}
	now = now.Add(-24 * time.Hour) // the clock is turned back
	if a := take(); a != time.Minute {
		t.Errorf("a day before: %s", a)
	}
	now = now.Add(time.Minute)
	if a := take(); a != 0 {
		t.Errorf("and a minute later, when one has come back: %s", a)
	}
}

// Each kind of line has a minute of its own, and a clock that is turned back silences none.
func TestLines(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var l rate.Lines
	for i, step := range []struct {
		kind string
		at   time.Duration
		want bool
	}{
		{"disk", 0, true},
		{"disk", 0, false},
		{"provider", 30 * time.Second, true},
		{"disk", 59 * time.Second, false},
		{"disk", 60 * time.Second, true},
		{"provider", 89 * time.Second, false},
		{"provider", 90 * time.Second, true},
		{"disk", 119 * time.Second, false},
		{"disk", -time.Hour, true},
		{"disk", -time.Hour + time.Second, false},
	} {
		if got := l.May(step.kind, began.Add(step.at)); got != step.want {
			t.Errorf("%d: %s at %s: %t", i, step.kind, step.at, got)
		}
	}
}
