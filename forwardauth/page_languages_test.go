package forwardauth

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// pageLanguagesSpoken are those of the countries that the provider serves, and English.
var pageLanguagesSpoken = []string{"da", "en", "fi", "nb", "sv"}

// pageSameOnPurpose are the texts that two languages share, by key.
var pageSameOnPurpose = map[string][]string{
	"label.reference": {"da en"},
	"label.contact":   {"da nb", "da sv", "nb sv"},
	"with.vipps":      {"da nb", "da sv", "nb sv"},
	"with.mobilepay":  {"da nb", "da sv", "nb sv"},
}

// A language that is added by copying a file: a text that stayed as it was would be read by nobody who could tell.
func TestPageLanguagesAreTranslated(t *testing.T) {
	t.Parallel()
	all := pageAssets().Texts
	if got := slices.Sorted(maps.Keys(all)); !slices.Equal(got, pageLanguagesSpoken) {
		t.Fatalf("languages are %q, want %q", got, pageLanguagesSpoken)
	}
	for i, a := range pageLanguagesSpoken {
		for _, b := range pageLanguagesSpoken[i+1:] {
			for key, text := range all[a] {
				if same, meant := text == all[b][key], slices.Contains(pageSameOnPurpose[key], a+" "+b); same != meant {
					t.Errorf("%s of %s and %s: %q and %q", key, a, b, text, all[b][key])
				}
			}
		}
	}
}

// Each language is written in its own letters and quotation marks, and what a text tells people to press is what stands on
// the button.
func TestPageLanguagesAreThemselves(t *testing.T) {
	t.Parallel()
	for lang, marks := range map[string]struct{ letters, open, end string }{
		"da": {"æøåé", "»", "«"}, "en": {"", "“", "”"}, "fi": {"äö", "”", "”"}, "nb": {"æøåé", "«", "»"}, "sv": {"åäö", "”", "”"},
	} {
		messages := pageAssets().Texts[lang]
		quoted := regexp.MustCompile(marks.open + "(.*?)" + marks.end)
		var buttons []string
		for key, text := range messages {
			if strings.HasPrefix(key, "button.") {
				buttons = append(buttons, text)
			}
		}
		for key, text := range messages {
			for _, c := range text {
				if c > unicode.MaxASCII && !strings.ContainsRune(marks.letters+marks.open+marks.end+"’→", unicode.ToLower(c)) {
					t.Errorf("%s: %s has %q, which the language doesn't use: %s", lang, key, c, text)
				}
			}
			if strings.ContainsAny(text, "\"'`") || strings.Contains(text, "  ") {
				t.Errorf("%s: %s is typed, not set: %s", lang, key, text)
			}
			for _, match := range quoted.FindAllStringSubmatch(text, -1) {
				if !slices.Contains(buttons, match[1]) {
					t.Errorf("%s: %s tells people to press %q, which no button says", lang, key, match[1])
				}
			}
		}
		for _, key := range []string{"confirm.afterlogout", "confirm.always", "confirm.landed", "resend.again"} {
			if !quoted.MatchString(messages[key]) {
				t.Errorf("%s: %s quotes no button: %s", lang, key, messages[key])
			}
		}
	}
}

// The button names the app as the provider's own button does: inflected in Finnish, and the app that people of the market
// have, or, where none is set, those who read the language.
func TestPageLoginButtonNamesTheApp(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ lang, market, want string }{
		{"nb", "NO", "Logg inn med Vipps"},
		{"sv", "SE", "Logga in med Vipps"},
		{"da", "DK", "Log ind med MobilePay"},
		{"fi", "FI", "Kirjaudu sisään MobilePaylla"},
		{"en", "NO", "Log in with Vipps"},
		{"en", "FI", "Log in with MobilePay"},
		{"sv", "FI", "Logga in med MobilePay"},
		{"fi", "SE", "Kirjaudu sisään Vippsillä"},
		{"da", "NO", "Log ind med Vipps"},
		{"nb", "DK", "Logg inn med MobilePay"},
		{"nb", "", "Logg inn med Vipps"},
		{"sv", "", "Logga in med Vipps"},
		{"en", "", "Log in with Vipps"},
		{"da", "", "Log ind med MobilePay"},
		{"fi", "", "Kirjaudu sisään MobilePaylla"},
	} {
		body := pageBody(t, pageGet(t, page{Kind: pageLogin, Market: tt.market}, http.MethodGet, tt.lang))
		theme := `<body class="vipps">`
		if strings.Contains(tt.want, "MobilePay") {
			theme = `<body class="mobilepay">`
		}
		if !strings.Contains(body, `class="button brand">`+tt.want+"</button>") || !strings.Contains(body, theme) {
			t.Errorf("%s in market %q: no button %q on %s", tt.lang, tt.market, tt.want, theme)
		}
		if strings.Contains(body, "MobilePay") && strings.Contains(body, "Vipps") {
			t.Errorf("%s in market %q: both brands on a page", tt.lang, tt.market)
		}
	}
}
