package session_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/session"
)

func TestCodec_RoundTrip(t *testing.T) {
	t.Parallel()
	when := time.Date(2026, 11, 21, 12, 30, 15, 987, time.FixedZone("CET", 3600))
	texts := []string{"", "a", "Åse Ødegård", "\x00\xff", strings.Repeat("x", 300)}
	ints := []int64{0, 1, -1, 63, -64, 64, math.MaxInt64, math.MinInt64}

	b := session.AppendVersion(nil, 7)
	b = session.AppendCount(b, len(texts))
	for _, s := range texts {
		b = session.AppendText(b, s)
	}
	for _, n := range ints {
		b = session.AppendInt(b, n)
	}
	b = session.AppendBool(session.AppendBool(b, true), false)
	b = session.AppendTime(session.AppendTime(b, when), time.Time{})
	b = session.AppendCount(b, -1)

	r := session.NewReader(b)
	if v := r.Version(); v != 7 {
		t.Errorf("version %d", v)
	}
	var gotTexts []string
	for range r.Count(5) {
		gotTexts = append(gotTexts, r.Text())
	}
	var gotInts []int64
	for range ints {
		gotInts = append(gotInts, r.Int())
	}
	if diff := cmp.Diff(texts, gotTexts); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(ints, gotInts); diff != "" {
		t.Error(diff)
	}
	if !r.Bool() || r.Bool() {
		t.Error("truth values")
	}
	if got := r.Time(); !got.Equal(when.Truncate(time.Second)) || got.Location() != time.UTC {
		t.Errorf("time %v", got)
	}
	if got := r.Time(); !got.IsZero() {
		t.Errorf("zero time %v", got)
	}
	if r.Err() != nil {
		t.Error("an error before the end")
	}
	if n := r.Count(0); n != 0 {
		t.Errorf("count %d", n)
	}
	if err := r.Done(); err != nil {
		t.Error(err)
	}
}

func TestSec_C034_ReaderMalformed(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		payload []byte
		read    func(r *session.Reader)
	}{
		{"no version", nil, func(r *session.Reader) { r.Version() }},
		{"no text", nil, func(r *session.Reader) { r.Text() }},
		{"text longer than the rest", []byte{3, 'a', 'b'}, func(r *session.Reader) { r.Text() }},
		{"huge text", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 'a'}, func(r *session.Reader) { r.Text() }},
		{"length above 64 bits", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2}, func(r *session.Reader) { r.Int() }},
		{"length without end", []byte{0x80, 0x80}, func(r *session.Reader) { r.Text() }},
		{"length not shortest", []byte{0x81, 0x00, 'a'}, func(r *session.Reader) { r.Text() }},
		{"truth value 2", []byte{2}, func(r *session.Reader) { r.Bool() }},
		{"negative time", session.AppendInt(nil, -1), func(r *session.Reader) { r.Time() }},
		{"year 10000", session.AppendInt(nil, 253402300800), func(r *session.Reader) { r.Time() }},
		{"count above limit", []byte{3, 0, 0, 0}, func(r *session.Reader) { r.Count(2) }},
		{"count above the rest", []byte{3, 0, 0}, func(r *session.Reader) { r.Count(100) }},
		{"count, negative limit", []byte{0}, func(r *session.Reader) { r.Count(-1) }},
		{"something left", []byte{1, 2}, func(r *session.Reader) { r.Version() }},
		{"too big", make([]byte, session.MaxSealed+1), func(*session.Reader) {}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := session.NewReader(tt.payload)
			tt.read(r)
			if err := r.Done(); !errors.Is(err, session.ErrPayload) {
				t.Fatalf("got error %v", err)
			}
			if r.Version() != 0 || r.Text() != "" || r.Int() != 0 || r.Bool() || !r.Time().IsZero() || r.Count(9) != 0 || r.Err() == nil {
				t.Error("the error does not stick")
			}
		})
	}
}

func TestSec_C034_ReaderAllocations(t *testing.T) {
	var b []byte
	for range 20 {
		b = session.AppendText(b, "a claim of some length, like an address")
	}
	if n := testing.AllocsPerRun(100, func() {
		r := session.NewReader(b)
		for range 20 {
			if r.Text() == "" {
				t.Fatal("empty")
			}
		}
		if r.Done() != nil {
			t.Fatal("malformed")
		}
	}); n > 2 {
		t.Errorf("%v allocations, more than 2", n)
	}
}
