package merchant_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/merchant"
)

// A text that stayed English in another language is one that nobody translated.
func TestOperatorTextsAreTranslated(t *testing.T) {
	t.Parallel()
	all, err := merchant.OperatorTexts()
	if err != nil {
		t.Fatal(err)
	}
	onPurpose := map[string]string{"claim.email": "da", "scope.email": "da"}
	for lang, texts := range all {
		for key, text := range texts {
			if lang != "en" && text == all["en"][key] && onPurpose[key] != lang {
				t.Errorf("%s: %s is English: %s", lang, key, text)
			}
		}
	}
}

// The app has the name that people of the market know it by, or, where no market is set, those who read the language.
func TestOperatorBrand(t *testing.T) {
	t.Parallel()
	for market, brands := range map[string]map[string]string{
		"":   {"da": "MobilePay", "fi": "MobilePay", "nb": "Vipps", "sv": "Vipps", "en": "Vipps", "": "Vipps"},
		"NO": {"da": "Vipps", "fi": "Vipps", "en": "Vipps"},
		"FI": {"sv": "MobilePay", "en": "MobilePay", "": "MobilePay"},
	} {
		lab := newAPILab(t, func(_ *merchant.Config, api *merchant.APIConfig, _ *httptest.Server) { api.Market = market })
		for lang, want := range brands {
			other := map[string]string{"Vipps": "MobilePay", "MobilePay": "Vipps"}[want]
			if got := lab.look("op", "", "Accept-Language", lang); !strings.Contains(got.Body, want) || strings.Contains(got.Body, other) {
				t.Errorf("market %q, language %q: not (only) %s", market, lang, want)
			}
		}
	}
}
