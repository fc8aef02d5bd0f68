package vipps_test

import (
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/vipps"
)

// B-063: one person has one number, however it is written.
func TestSec_B063_NormalizePhone(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ in, market, want string }{
		{"+4741234567", "", "4741234567"},
		{"+47 412 34 567", "", "4741234567"},
		{"0047 41 23 45 67", "", "4741234567"},
		{"4741234567", "", "4741234567"},
		{"47 412-34-567", "DK", "4741234567"},
		{"412 34 567", "NO", "4741234567"},
		{" 41234567\t", "NO", "4741234567"},
		{"(+47) 41234567", "", "4741234567"},
		{"((+47) 41234567", "", ""},
		{"4(+7) 41234567", "", ""}, // the plus sign comes first
		{"+(47) 41234567", "", "4741234567"},
		{"\uff0b\uff14\uff1741234567", "", "4741234567"},
		{"412\u00a034\u202f567", "NO", "4741234567"},
		{"47 12 34 56", "NO", "4747123456"}, // eight digits are a whole number
		{"20 12 34 56", "DK", "4520123456"},
		{"+45 20123456", "NO", "4520123456"},
		{"4520123456", "NO", "4520123456"},
		{"070-123 45 67", "SE", "46701234567"},
		{"+46 (0)70 123 45 67", "", "46701234567"},
		{"+46 070 123 45 67", "", "46701234567"},
		{"46701234567", "SE", "46701234567"},
		{"040 123 4567", "FI", "358401234567"},
		{"+358 40 1234567", "", "358401234567"},
		{"00358401234567", "SE", "358401234567"},
		{"+298 212345", "", "298212345"},
		{"+299 212345", "", "299212345"},
		{"+1 202 555 0143", "", "12025550143"},
		{"+49.30.1234567", "", "49301234567"},
		{"+123456789012345", "", "123456789012345"},
		{"+\uff14\uff17\uff10\uff19 00 00 00 00", "", ""},
		{"+\uff14\uff17 9\uff10\uff19 00 000", "", "4790900000"},

		{"", "NO", ""},
		{"+", "NO", ""},
		{"00", "NO", ""},
		{"41234567", "", ""},    // whose country?
		{"41234567", "SE", ""},  // no trunk zero
		{"4123456", "NO", ""},   // too short
		{"412345678", "NO", ""}, // too long
		{"01234567", "NO", ""},  // no such number
		{"+47 4123456", "", ""}, // too short for Norway
		{"+47 041234567", "", ""},
		{"12025550143", "NO", ""}, // foreign without a plus sign
		{"+0123456789", "", ""},
		{"+46 0 0012345678", "", ""},
		{"+1234567", "", ""},
		{"+1234567890123456", "", ""},
		{"++4741234567", "", ""},
		{"+47 41234567 x", "", ""},
		{"41234567,41234568", "NO", ""},
		{"f350ef33-22e2-47d0-9f47-0123456789ab", "NO", ""},
		{strings.Repeat("1", 1000), "NO", ""},
		{"\uff14", "NO", ""},
	} {
		got, ok := vipps.NormalizePhone(test.in, test.market)
		if ok != (test.want != "") || got != test.want {
			t.Errorf("vipps.NormalizePhone(%q, %q) = %q, %t; want %q", test.in, test.market, got, ok, test.want)
		}
	}
}

func FuzzNormalizePhone(f *testing.F) {
	for _, seed := range []string{"+47 412 34 567", "0047", "41234567", "(0)", "+46 (0)70", "\uff0b\uff14", "358"} {
		for _, market := range []string{"", "NO", "SE"} {
			f.Add(seed, market)
		}
	}
	f.Fuzz(func(t *testing.T, s, market string) {
		got, ok := vipps.NormalizePhone(s, market)
		if !ok {
			if got != "" {
				t.Fatalf("NormalizePhone(%q, %q) refuses it and returns %q", s, market, got)
			}
			return
		}
		if len(got) < 8 || len(got) > 15 || strings.Trim(got, "0123456789") != "" || got[0] == '0' {
			t.Fatalf("vipps.NormalizePhone(%q, %q) = %q", s, market, got)
		}
		if again, ok := vipps.NormalizePhone("+"+got, market); !ok || again != got {
			t.Fatalf("vipps.NormalizePhone(%q, %q) = %q, which becomes %q, %t", s, market, got, again, ok)
		}
	})
}
