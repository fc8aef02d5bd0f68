// Package pages is what the pages that people see have in common, whichever package shows them: how they look, in which language
// they speak, and what they call the app.
package pages

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"strings"

	"golang.org/x/text/language"
)

//go:embed style.css
var look string

// Assets are what the pages of one package are made of. Nobody changes them.
type Assets struct {
	Texts     map[string]Texts   // by language
	Layout    *template.Template // page.html
	Style     template.CSS       // the common one, and then the package's own
	StyleHash string             // the SHA-256 of Style, as a Content-Security-Policy has it
}

// Texts are those of one language, by key. They are never HTML.
type Texts map[string]string

// Load reads web/page.html, web/messages_<language>.json, one file a language, and web/style.css where there is one. Adding a
// language is adding a file.
func Load(files fs.FS) (*Assets, error) {
	texts, err := readTexts(files)
	if err != nil {
		return nil, err
	}
	layout, err := template.ParseFS(files, "web/page.html")
	if err != nil {
		return nil, fmt.Errorf("parsing the page: %w", err)
	}
	own, err := fs.ReadFile(files, "web/style.css")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the style: %w", err)
	}
	style := look + string(own)
	sum := sha256.Sum256([]byte(style))
	return &Assets{
		Texts: texts, Layout: layout,
		Style:     template.CSS(style), //nolint:gosec // our own files, byte for byte, since the policy holds their hash
		StyleHash: base64.StdEncoding.EncodeToString(sum[:]),
	}, nil
}

// readTexts reads the texts of every language.
func readTexts(files fs.FS) (map[string]Texts, error) {
	names, err := fs.Glob(files, "web/messages_*.json")
	if err != nil {
		return nil, fmt.Errorf("listing the message catalogue: %w", err)
	}
	all := make(map[string]Texts, len(names))
	for _, name := range names {
		raw, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("reading the message catalogue: %w", err)
		}
		var texts Texts
		if err := json.Unmarshal(raw, &texts); err != nil {
			return nil, fmt.Errorf("parsing %s: %w", name, err)
		}
		all[strings.TrimSuffix(strings.TrimPrefix(name, "web/messages_"), ".json")] = texts
	}
	if all[Fallback] == nil {
		return nil, fmt.Errorf("the message catalogue lacks %q", Fallback)
	}
	return all, nil
}

// Fallback is spoken where neither the browser nor the market names a language that we have.
const Fallback = "en"

// languageAlias says which of our languages stands in for one that has no catalogue of its own: "no" is the
// macro-language that browsers still send, and readers of nynorsk are better served by bokmål than by English.
// An entry has no effect once a catalogue of that very name exists.
var languageAlias = map[string]string{"no": "nb", "nn": "nb"}

// languageOfMarket is the language of a market. In Finland it is that of most people: those who read Swedish have
// a browser that says so.
var languageOfMarket = map[string]string{"NO": "nb", "DK": "da", "SE": "sv", "FI": "fi"}

// Language chooses a language of the catalogue: the first of the browser's Accept-Language that we have
// (RFC 9110 section 12.5.4), then the market's, then English. A language that we lack never counts as a near
// relative: an Icelander who also reads English gets English and not Danish, although matchers by language distance
// would say otherwise. The header is the client's: beyond 512 bytes it isn't read, and one that doesn't parse
// counts as none.
func Language(have map[string]Texts, accept []string, market string) string {
	const readAtMost = 512
	header := strings.Join(accept, ",")
	if len(header) > readAtMost {
		header = header[:readAtMost]
		header = header[:max(strings.LastIndexByte(header, ','), 0)]
	}
	tags, weights, err := language.ParseAcceptLanguage(header)
	if err != nil {
		tags = nil
	}
	for i, tag := range tags {
		if weights[i] <= 0 {
			continue // "q=0" says: not this one
		}
		base, confidence := tag.Base()
		if confidence != language.Exact {
			continue // "und" and "*" name no language
		}
		name := base.String()
		if have[name] == nil {
			name = languageAlias[name]
		}
		if have[name] != nil {
			return name
		}
	}
	if name := languageOfMarket[strings.ToUpper(market)]; have[name] != nil {
		return name
	}
	return Fallback
}

// Brand is the brand that people of a market know; all colours, texts and menus follow from it. Where no market
// is set, the language stands for it: who reads Danish or Finnish has MobilePay on the phone.
// On 2027-01-12 MobilePay takes the name Vipps: this is the one place to change.
func Brand(market, lang string) string {
	switch strings.ToUpper(market) {
	case "DK", "FI":
		return "MobilePay"
	case "NO", "SE":
		return "Vipps"
	}
	if lang == "da" || lang == "fi" {
		return "MobilePay"
	}
	return "Vipps"
}
