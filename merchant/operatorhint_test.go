package merchant_test

import (
	"html"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/merchant"
)

// With a market eight digits are enough, and the page must not ask the staff to type more.
func TestTheOperatorPageAsksForWhatIsNeeded(t *testing.T) {
	t.Parallel()
	for market, want := range map[string]string{"": "With the country code, such as +47 and eight digits.", "NO": "Foreign numbers with the country code, such as +45."} {
		lab := newAPILab(t, func(cfg *merchant.Config, api *merchant.APIConfig, _ *httptest.Server) {
			cfg.Market, api.Market = market, market
		})
		got := lab.look("op", "", "Accept-Language", "en")
		if !strings.Contains(html.UnescapeString(got.Body), `id="phone-hint">`+want+"<") {
			t.Errorf("%q: the hint isn't %q: %s", market, want, got.Body)
		}
	}
}
