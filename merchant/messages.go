package merchant

import (
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vippsauth/vippsauth/internal/pages"
)

// messages are the texts of the operator page in one language, by key. They may hold {brand}, {person} and {n}, and are never
// HTML.
type messages = pages.Texts

// pageText is the texts for one request.
type pageText struct {
	lang     string
	messages messages
	brand    string
}

func (a *API) text(r *http.Request) *pageText {
	lang := pages.Language(a.assets.Texts, r.Header.Values("Accept-Language"), a.market)
	return &pageText{lang: lang, messages: a.assets.Texts[lang], brand: pages.Brand(a.market, lang)}
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
