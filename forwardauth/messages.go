package forwardauth

import (
	"strings"

	"github.com/vippsauth/vippsauth/internal/pages"
)

// pageMessages is one language's half of the catalogue: every text of every page by its key. A text may hold
// the placeholders {brand}, {with}, {site}, {person}, {other} and {n}; nothing else in it is special, and it is never HTML.
// {with} is the text with.vipps or with.mobilepay: in Finnish the name itself is inflected ("MobilePaylla").
type pageMessages = pages.Texts

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
