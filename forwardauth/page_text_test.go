package forwardauth

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/internal/pages"
)

func TestPageMessages(t *testing.T) {
	t.Parallel()
	placeholder := regexp.MustCompile(`\{[^}]*\}?`)
	placeholders := func(messages pageMessages) map[string][]string {
		all := map[string][]string{}
		for key, message := range messages {
			found := placeholder.FindAllString(message, -1)
			slices.Sort(found)
			all[key] = slices.Compact(found)
		}
		return all
	}
	all := pageAssets().Texts
	want := placeholders(all[pages.Fallback])
	for lang, messages := range all {
		if diff := cmp.Diff(want, placeholders(messages)); diff != "" {
			t.Errorf("%s: keys or placeholders differ from %s (-%s +%s):\n%s", lang, pages.Fallback, pages.Fallback, lang, diff)
		}
		for key, message := range messages {
			if message == "" || message != strings.TrimSpace(message) {
				t.Errorf("%s: %s = %q", lang, key, message)
			}
			for _, name := range placeholder.FindAllString(message, -1) {
				if !slices.Contains([]string{"{brand}", "{with}", "{site}", "{person}", "{other}", "{n}"}, name) {
					t.Errorf("%s: %s has the unknown placeholder %s", lang, key, name)
				}
			}
		}
		pageMessagesOnce(t, lang)
	}
}

// pageMessagesOnce reports keys that a catalogue file has twice: the parser would keep the second in silence.
func pageMessagesOnce(t *testing.T, lang string) {
	t.Helper()
	raw, err := pageFiles.ReadFile("web/messages_" + lang + ".json")
	if err != nil {
		t.Fatal(err)
	}
	decoder, seen := json.NewDecoder(bytes.NewReader(raw)), map[string]bool{}
	for i := 0; ; i++ {
		token, err := decoder.Token()
		if err == io.EOF {
			return
		}
		if key, ok := token.(string); ok && i%2 == 1 { // token 0 is the brace
			if seen[key] {
				t.Errorf("%s: %s is there twice", lang, key)
			}
			seen[key] = true
		}
	}
}

// Every key is on some page, and no page asks for a key that isn't there: the pages are made in a language whose
// messages are their own keys.
func TestPageMessagesAreUsed(t *testing.T) {
	t.Parallel()
	have := slices.Sorted(maps.Keys(pageAssets().Texts[pages.Fallback]))
	marked := pageMessages{}
	for _, key := range have {
		marked[key] = "⟦" + key + "⟧"
		if strings.Contains(pageAssets().Texts[pages.Fallback][key], "{with}") {
			marked[key] += "{with}"
		}
	}
	used := map[string]bool{}
	for _, specimen := range pageSpecimens() {
		var body bytes.Buffer
		view := specimen.page.view("en", marked)
		if err := pageAssets().Layout.ExecuteTemplate(&body, "page.html", view); err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`⟦([^⟧]*)⟧`).FindAllStringSubmatch(body.String(), -1) {
			used[match[1]] = true
		}
		for _, key := range pageBareKeys(view) {
			t.Errorf("%s: no message %q", specimen.name, key)
		}
	}
	used["site.unnamed"] = used["site.unnamed"] || pageUsesUnnamed(t)
	if diff := cmp.Diff(have, slices.Sorted(maps.Keys(used))); diff != "" {
		t.Errorf("keys in the catalogue and on the pages (-catalogue +pages):\n%s", diff)
	}
}

// pageBareKeys are the texts of a page made of marked messages that are not marked: keys without a message.
func pageBareKeys(view *pageView) []string {
	texts := append([][]pageSpan{view.Operator, view.Remember}, slices.Concat(view.Text, view.Steps, view.Hints)...)
	var bare []string
	for _, text := range texts {
		for _, span := range text {
			if span.Text != "" && !strings.HasPrefix(span.Text, "⟦") {
				bare = append(bare, span.Text)
			}
		}
	}
	for _, text := range []string{view.Heading, view.AppPath, view.ContactName, view.RefName, view.OperatorName} {
		if text != "" && !strings.HasPrefix(text, "⟦") {
			bare = append(bare, text)
		}
	}
	for _, action := range view.Actions {
		if !strings.HasPrefix(action.Label, "⟦") {
			bare = append(bare, action.Label)
		}
	}
	return bare
}

// pageUsesUnnamed reports whether a page of a site without a name says "this site".
func pageUsesUnnamed(t *testing.T) bool {
	t.Helper()
	return strings.Contains(pageBody(t, pageGet(t, page{Kind: pageLogin}, http.MethodGet, "en")), "this site")
}

func TestPageTextValues(t *testing.T) {
	t.Parallel()
	tests := []struct{ message, person, want string }{
		{"Du er {person}.", "Kari N.", "Du er Kari N."},
		{"Du er {person}.", "Kari", "Du er Kari."},
		{"Du er {person}, og", "Kari N.", "Du er Kari N., og"},
		{"{person}", "{site}{person}{n}", "{site}{person}{n}"},
		{"{brand} {n} {novelty}x{", "", "Vipps 3 x"},
		{"", "Kari", ""},
	}
	for _, test := range tests {
		text := pageText{messages: pageMessages{"key": test.message}, brand: "Vipps", n: "3", person: test.person}
		if got := text.plain("key"); got != test.want {
			t.Errorf("%q with %q: got %q, want %q", test.message, test.person, got, test.want)
		}
	}
}

func TestPagePickLanguage(t *testing.T) {
	t.Parallel()
	tests := []struct{ accept, market, want string }{
		{"nb", "", "nb"},
		{"nb-NO,nb;q=0.9,no;q=0.8,nn;q=0.7,en-US;q=0.6,en;q=0.5", "", "nb"},
		{"nn-NO,nn;q=0.9,en;q=0.5", "", "nb"},
		{"no", "", "nb"},
		{"no-NO", "DK", "nb"},
		{"en", "NO", "en"},
		{"en-GB,en;q=0.9,nb;q=0.8", "NO", "en"},
		{"en;q=0.5,nb;q=0.9", "", "nb"},
		{"nb;q=0,en", "NO", "en"},
		{"da", "DK", "da"},
		{"da,nb;q=0.1", "DK", "da"},
		{"da-DK,da;q=0.9,en;q=0.8", "NO", "da"},
		{"sv", "SE", "sv"},
		{"sv-FI,sv;q=0.9,fi;q=0.8", "FI", "sv"},
		{"fi", "", "fi"},
		{"sv", "NO", "sv"},
		{"is,en;q=0.9,da;q=0.8", "DK", "en"}, // no near relative
		{"fo", "DK", "da"},
		{"de", "SE", "sv"},
		{"", "FI", "fi"},
		{"se-NO", "NO", "nb"}, // Northern Sami isn't Swedish, although SE is Sweden
		{"de,fr", "NO", "nb"},
		{"de,fr", "", "en"},
		{"", "NO", "nb"},
		{"", "no", "nb"},
		{"", "", "en"},
		{"*", "NO", "nb"},
		{"*", "", "en"},
		{"und", "NO", "nb"},
		{"!!,nb", "", "en"}, // doesn't parse
		{"\"><script>", "NO", "nb"},
		{strings.Repeat("xx-", 4000), "", "en"},
		{strings.Repeat("de,", 300) + "nb", "", "en"}, // beyond what is read
		{strings.Repeat("a", 600), "NO", "nb"},
	}
	for _, test := range tests {
		if got := pages.Language(pageAssets().Texts, []string{test.accept}, test.market); got != test.want {
			t.Errorf("pages.Language(%.40q, %q) = %q, want %q", test.accept, test.market, got, test.want)
		}
	}
	more := map[string]pageMessages{"en": {"a": "b"}, "nb": {"a": "b"}, "nn": {"a": "b"}, "is": {"a": "b"}}
	for accept, want := range map[string]string{"nn": "nn", "no": "nb", "is-IS": "is"} {
		if got := pages.Language(more, []string{accept}, ""); got != want {
			t.Errorf("with more languages: %s → %s, want %s", accept, got, want)
		}
	}
}

// Text and buttons reach 4.5:1, edges and focus rings 3:1 (WCAG 2.2, success criteria 1.4.3 and 1.4.11), both in
// light and in dark.
func TestPageContrast(t *testing.T) {
	t.Parallel()
	light, dark, found := strings.Cut(string(pageAssets().Style), "prefers-color-scheme: dark")
	if !found {
		t.Fatal("no dark colours")
	}
	colours := map[string]string{}
	for _, theme := range []struct{ name, css string }{{"light", light}, {"dark", dark}} {
		name := theme.name
		for _, match := range regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6});`).FindAllStringSubmatch(theme.css, -1) {
			colours[match[1]] = match[2] // dark ones replace light ones
		}
		for _, pair := range []struct {
			front, back string
			least       float64
		}{
			{"text", "card", 7},
			{"text", "ground", 7},
			{"soft", "card", 4.5},
			{"soft", "ground", 4.5},
			{"link", "card", 4.5},
			{"link", "ground", 4.5},
			{"on-main", "main", 7},
			{"on-vipps", "vipps", 4.5},
			{"on-mobilepay", "mobilepay", 4.5},
			{"edge", "card", 3},
			{"main", "card", 3},
			{"mobilepay", "card", 3},
			{"vipps", "card", 3},
		} {
			a, b := pageLuminance(t, colours[pair.front]), pageLuminance(t, colours[pair.back])
			if ratio := (math.Max(a, b) + 0.05) / (math.Min(a, b) + 0.05); ratio < pair.least {
				t.Errorf("%s: %s on %s is %.2f:1, want %g:1", name, pair.front, pair.back, ratio, pair.least)
			}
		}
	}
}

// pageLuminance is WCAG's relative luminance of #rrggbb.
func pageLuminance(t *testing.T, colour string) float64 {
	t.Helper()
	value, err := strconv.ParseUint(strings.TrimPrefix(colour, "#"), 16, 32)
	if err != nil || len(colour) != 7 {
		t.Fatalf("colour %q", colour)
	}
	channel := func(shift uint) float64 {
		c := float64(value>>shift&0xff) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*channel(16) + 0.7152*channel(8) + 0.0722*channel(0)
}
