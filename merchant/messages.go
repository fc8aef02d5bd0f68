package merchant

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/language"
)

// messages are the texts of the operator page in one language, by key. They may hold {brand}, {person} and {n}, and are never
// HTML.
type messages map[string]string

const fallbackLanguage = "en"

// readMessages reads web/messages_<language>.json, one file a language.
func readMessages(files fs.FS) (map[string]messages, error) {
	names, err := fs.Glob(files, "web/messages_*.json")
	if err != nil {
		return nil, fmt.Errorf("listing the texts: %w", err)
	}
	all := map[string]messages{}
	for _, name := range names {
		raw, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("reading the texts: %w", err)
		}
		var m messages
		if err := json.Unmarshal(raw, &m); err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		all[strings.TrimSuffix(strings.TrimPrefix(name, "web/messages_"), ".json")] = m
	}
	if all[fallbackLanguage] == nil {
		return nil, fmt.Errorf("no texts in %q", fallbackLanguage)
	}
	return all, nil
}

// languageOf is the language to answer in: the first of the browser's that there are texts in (RFC 9110, section 12.5.4), then
// the market's, then English, as on the other pages of this product.
func languageOf(have map[string]messages, accept []string, market string) string {
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
		base, confidence := tag.Base()
		if weights[i] <= 0 || confidence != language.Exact {
			continue
		}
		name := base.String()
		if name == "no" || name == "nn" {
			name = "nb"
		}
		if have[name] != nil {
			return name
		}
	}
	if name := map[string]string{"NO": "nb", "DK": "da", "SE": "sv", "FI": "fi"}[strings.ToUpper(market)]; have[name] != nil {
		return name
	}
	return fallbackLanguage
}

// pageText is the texts for one request.
type pageText struct {
	lang     string
	messages messages
	brand    string
}

func (a *API) text(r *http.Request) *pageText {
	lang := languageOf(a.assets.languages, r.Header.Values("Accept-Language"), a.market)
	return &pageText{lang: lang, messages: a.assets.languages[lang], brand: brandOf(a.market, lang)}
}

// brandOf is the name of the app that a market's people have, or, without a market, those who read the language: as on the
// other pages of this product.
func brandOf(market, lang string) string {
	market = strings.ToUpper(market)
	if market == "DK" || market == "FI" || market == "" && (lang == "da" || lang == "fi") {
		return "MobilePay"
	}
	return "Vipps"
}

func (t *pageText) say(key string) string { return t.fill(t.messages[key]) }

func (t *pageText) fill(message string) string {
	return strings.ReplaceAll(message, "{brand}", t.brand)
}

// filled are all texts with the brand in them.
func (t *pageText) filled() messages {
	m := maps.Clone(t.messages)
	for key, text := range m {
		m[key] = t.fill(text)
	}
	return m
}

// duration says how long to wait, as exactly as a person would.
func (t *pageText) duration(d time.Duration) string {
	const exact = 90
	n, key := max(2, seconds(d)), "time.seconds"
	if n > exact {
		n, key = (n+59)/60, "time.minutes"
	}
	return strings.ReplaceAll(t.messages[key], "{n}", strconv.Itoa(n))
}
