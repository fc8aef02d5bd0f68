package integration_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What searches everything can find each value in each form, in the middle of something else, cut short, and nothing else.
func TestSec_E025_TheScanFindsWhatIsPlanted(t *testing.T) {
	t.Parallel()
	values := map[string]string{
		"name": "Kånnikke Prøvesen <&>", "phone number": "4799912345", "national identity number": "17858510023", "address": "Prøveveien 7\n0001 Oslo",
		"e-mail address": "proeve+kari@example.com", "secret": `integration "secret"+/=:`, "token": strings.Repeat("abcDEF0123-_", 20),
	}
	writes := map[string]func(string) string{
		"plain": func(s string) string { return s },
		"query": url.QueryEscape, "path": url.PathEscape, "query twice": func(s string) string { return url.QueryEscape(url.QueryEscape(s)) },
		"query in lower case": func(s string) string { return lowerHex(url.QueryEscape(s)) },
		"every byte":          everyByte("%%%02x"), "every byte twice": func(s string) string { return url.QueryEscape(everyByte("%%%02X")(s)) },
		"hex": func(s string) string { return hex.EncodeToString([]byte(s)) }, "HEX": func(s string) string { return fmt.Sprintf("%X", s) },
		"%q": func(s string) string { return fmt.Sprintf("%q", s) }, "%+q": func(s string) string { return fmt.Sprintf("%+q", s) },
		"HTML": html.EscapeString, "JSON": func(s string) string { b, _ := json.Marshal(s); return string(b) },
		"nginx": func(s string) string { return notASCII(s, `\x%02X`) }, "Latin-1": latin1,
		"cut short": func(s string) string { return s[:min(len(s), 30)] + "…" },
	}
	for i := range 3 {
		before := strings.Repeat("x", i)
		writes[fmt.Sprintf("base64 behind %d", i)] = func(s string) string { return base64.StdEncoding.EncodeToString([]byte(before + s + "yz")) }
		writes[fmt.Sprintf("base64url behind %d", i)] = func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(before + s)) }
	}
	s := newScanner()
	for kind, value := range values {
		s.add(kind, value)
	}
	kindsIn := func(text string) []string {
		seen := map[string]bool{}
		s.in(text, func(_ int, n needle) { seen[n.kind] = true })
		return slices.Sorted(maps.Keys(seen))
	}
	for form, write := range writes {
		for kind, value := range values {
			text := "2026-01-02T03:04:05Z info {\"a\":\"" + write(value) + "\"}\n"
			if diff := cmp.Diff([]string{kind}, kindsIn(text)); diff != "" {
				t.Errorf("%s as %s (-want +got):\n%s", kind, form, diff)
			}
			if got := kindsIn("kari@example.co 479991234 1785851002 " + strings.Repeat("abcDEF0123-", 3)); len(got) != 0 {
				t.Errorf("found in nothing: %q", got)
			}
		}
	}
}

// The detector of national identity numbers knows a valid one among others; the digits here are put together from the rule, and the
// valid ones are made up on the spot: none stands in this repository.
func TestSec_E026_NationalNumbersAreRecognized(t *testing.T) {
	t.Parallel()
	valid, synthetic := numberOf("010203"), numberOf("018203")
	for text, want := range map[string]int{
		valid: 1, "nin=" + valid + "&": 1, `"` + valid + `"`: 1, valid + " " + valid: 2, "." + valid: 1,
		synthetic: 0, valid + "0": 0, "1" + valid: 0, valid[:10] + string('0'+(valid[10]-'0'+1)%10): 0, "0." + valid: 0, numberOf("321203"): 0,
		"%20" + valid: 1, "%3D" + valid: 1, "%C3" + valid: 1, `\n` + valid: 1, "_" + valid + "_": 1, // escaped
		"e" + valid: 0, valid + "f": 0, os.TempDir() + "/TestX_" + valid + "/001": 0, os.TempDir() + "/TestX/" + valid: 1, "/TestX_" + valid: 1,
	} {
		n := 0
		realNumbers(text, func(int) { n++ })
		if n != want {
			t.Errorf("%d found, want %d", n, want)
		}
	}
}

// numberOf adds an individual number and check digits to a date.
func numberOf(date string) string {
	for i := range 500 {
		for checks := range 100 {
			s := fmt.Sprintf("%s%03d%02d", date, 499-i, checks)
			if validChecks(s) {
				return s
			}
		}
	}
	return ""
}

// validChecks is the rule of both check digits, whatever the date.
func validChecks(s string) bool {
	a, b := 0, 0
	for i, w := range []int{3, 7, 6, 1, 8, 9, 4, 5, 2, 1, 0} {
		a += w * int(s[i]-'0')
		b += []int{5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1}[i] * int(s[i]-'0')
	}
	return a%11 == 0 && b%11 == 0
}
