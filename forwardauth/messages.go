package forwardauth

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/text/language"
)

// pageMessages is one language's half of the catalogue: every text of every page by its key. A text may hold
// the placeholders {brand}, {with}, {site}, {person}, {other} and {n}; nothing else in it is special, and it is never HTML.
// {with} is the text with.vipps or with.mobilepay: in Finnish the name itself is inflected ("MobilePaylla").
type pageMessages map[string]string

// pageLanguageFallback is spoken where neither the browser nor the market names a language that we have.
const pageLanguageFallback = "en"

// pageLanguageAlias says which of our languages stands in for one that has no catalogue of its own: "no" is the
// macro-language that browsers still send, and readers of nynorsk are better served by bokmål than by English.
// An entry has no effect once a catalogue of that very name exists.
var pageLanguageAlias = map[string]string{"no": "nb", "nn": "nb"}

// pageLanguageOfMarket is the language of a market. In Finland it is that of most people: those who read Swedish have
// a browser that says so.
var pageLanguageOfMarket = map[string]string{"NO": "nb", "DK": "da", "SE": "sv", "FI": "fi"}

// loadPageMessages reads web/messages_<language>.json, one file a language. Adding a language is adding a file:
// the tests compare its keys and placeholders with those of the others.
func loadPageMessages(files fs.FS) (map[string]pageMessages, error) {
	names, err := fs.Glob(files, "web/messages_*.json")
	if err != nil {
		return nil, fmt.Errorf("listing the message catalogue: %w", err)
	}
	all := make(map[string]pageMessages, len(names))
	for _, name := range names {
		raw, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("reading the message catalogue: %w", err)
		}
		var messages pageMessages
		if err := json.Unmarshal(raw, &messages); err != nil {
			return nil, fmt.Errorf("parsing %s: %w", name, err)
		}
		lang := strings.TrimSuffix(strings.TrimPrefix(name, "web/messages_"), ".json")
		all[lang] = messages
	}
	if all[pageLanguageFallback] == nil {
		return nil, fmt.Errorf("the message catalogue lacks %q", pageLanguageFallback)
	}
	return all, nil
}

// pickPageLanguage chooses a language of the catalogue: the first of the browser's Accept-Language that we have
// (RFC 9110 section 12.5.4), then the market's, then English. A language that we lack never counts as a near
// relative: an Icelander who also reads English gets English and not Danish, although matchers by language distance
// would say otherwise. The header is the client's: beyond 512 bytes it isn't read, and one that doesn't parse
// counts as none.
func pickPageLanguage(have map[string]pageMessages, acceptLanguage, market string) string {
	const readAtMost = 512
	if len(acceptLanguage) > readAtMost {
		acceptLanguage = acceptLanguage[:readAtMost]
		acceptLanguage = acceptLanguage[:max(strings.LastIndexByte(acceptLanguage, ','), 0)]
	}
	tags, weights, err := language.ParseAcceptLanguage(acceptLanguage)
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
			name = pageLanguageAlias[name]
		}
		if have[name] != nil {
			return name
		}
	}
	if name := pageLanguageOfMarket[strings.ToUpper(market)]; have[name] != nil {
		return name
	}
	return pageLanguageFallback
}

// pageSpan is a piece of a message: our own words, or a value put into them. A value is shown in an element of
// its own (bdi), so that a name written from right to left, or one that holds odd characters, can't turn the
// sentence around it.
type pageSpan struct {
	Text  string
	Value string // "" for our own words, else "site" or "person"
}

// pageText puts values into the messages of one language.
type pageText struct {
	messages      pageMessages
	brand, site   string
	person, other string
	n             string
}

// spans returns the message with its values. A value is put in once and never looked at again, so a person who is
// called "{site}" stays that. A key that no catalogue has is shown as itself; the tests see to it that there is none.
func (t pageText) spans(key string) []pageSpan {
	message, ok := t.messages[key]
	if !ok {
		return []pageSpan{{Text: key}}
	}
	var spans []pageSpan
	var words strings.Builder
	for message != "" {
		before, rest, found := strings.Cut(message, "{")
		words.WriteString(before)
		if !found {
			break
		}
		name, after, _ := strings.Cut(rest, "}")
		message = after
		switch name {
		case "brand":
			words.WriteString(t.brand)
		case "with":
			words.WriteString(t.messages["with."+strings.ToLower(t.brand)])
		case "n":
			words.WriteString(t.n)
		case "site", "person", "other":
			value, kind := t.site, "site"
			if name != "site" {
				value, kind = t.person, "person"
			}
			if name == "other" {
				value = t.other
			}
			spans = append(spans, pageSpan{Text: words.String()}, pageSpan{Text: value, Value: kind})
			words.Reset()
			if strings.HasSuffix(value, ".") {
				message = strings.TrimPrefix(message, ".") // "… as Kari N." has its full stop
			}
		}
	}
	return append(spans, pageSpan{Text: words.String()})
}

// plain is spans for places that hold text only: a title, a button.
func (t pageText) plain(key string) string {
	var all strings.Builder
	for _, span := range t.spans(key) {
		all.WriteString(span.Text)
	}
	return all.String()
}
