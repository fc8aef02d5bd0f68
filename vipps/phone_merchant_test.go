package vipps_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/vipps"
)

// Vipps names five country codes when it refuses a number; a number of any other is refused here, with the rule, and nothing is sent. Numbers
// of each market go out as digits with the country code, however they were typed.
func TestMerchantNumbersOfEachMarket(t *testing.T) {
	t.Parallel()
	for typed, hint := range map[string]string{
		"+47 909 00 123": "urn:msisdn:4790900123", "+45 20 12 34 56": "urn:msisdn:4520123456", "46701234567": "urn:msisdn:46701234567",
		"+46 8 123 45 67": "urn:msisdn:4681234567", "+358 40 123 4567": "urn:msisdn:358401234567", "00358 (0)50 123456": "urn:msisdn:35850123456",
		"+299 21 23 45": "urn:msisdn:299212345",
		// No number of a market without its code may pass as one of another market.
		"90900123": "", "20123456": "", "45 20 12 34": "", "46 12 34 56": "", "35 81 23 45": "", "29 91 23 45": "", "0701234567": "",
		// Other countries.
		"+298 212345": "", "298212345": "", "+49 30 1234567": "", "+354 555 1234": "", "+1 202 555 0143": "",
	} {
		form, err := vipps.MerchantLoginRequest{Phone: typed, BindingMessage: "4MZ-CQ3"}.Form()
		if got := form.Get("login_hint"); got != hint {
			t.Errorf("%s: sent as %q, want %q; %v", typed, got, hint, err)
		}
		var ce *vipps.ConfigError
		if hint == "" && (!errors.As(err, &ce) || ce.Setting != "phone" || strings.Contains(err.Error(), typed)) {
			t.Errorf("%s: error is %v", typed, err)
		}
	}
}
