package forwardauth

import (
	"html/template"
	"net/mail"
	"net/url"
	"strings"
	"unicode"
)

// pageContact is whom to ask. Without Link it is text only.
type pageContact struct {
	Text string
	Link template.URL
}

// parsePageContact makes a link of an e-mail address, an https URL or a phone number, and of nothing else: what
// isn't plainly one of them is shown as it was written. Mail gets the reference as its subject.
func parsePageContact(contact, reference string) pageContact {
	contact = strings.TrimSpace(pageClean(contact))
	c := pageContact{Text: contact}
	switch {
	case isPageMail(contact):
		link := "mailto:" + url.PathEscape(contact)
		if reference != "" {
			link += "?subject=" + url.PathEscape(reference)
		}
		c.Link = template.URL(link) //nolint:gosec // every character but letters, digits and -_.~$&+=:@ is percent-encoded
	case strings.HasPrefix(contact, "https://"):
		if link := pageWebAddress(contact, ""); link != "" {
			c.Link = template.URL(link) //nolint:gosec // https, with a host, as net/url writes it
		}
	default:
		if number := pagePhone(contact); number != "" {
			c.Link = template.URL("tel:" + number) //nolint:gosec // digits and one plus
		}
	}
	return c
}

// isPageMail reports whether s is a bare address (RFC 5322 addr-spec) with a domain.
func isPageMail(s string) bool {
	at := strings.LastIndexByte(s, '@')
	if at < 1 || strings.ContainsAny(s, " <>\"(),;:?&") {
		return false
	}
	address, err := mail.ParseAddress(s)
	return err == nil && address.Address == s && address.Name == "" && !strings.Contains(s[at:], "[")
}

// pagePhone returns the digits of a phone number as people write it, with its plus; "" for anything else.
func pagePhone(s string) string {
	var digits strings.Builder
	for i, c := range s {
		switch {
		case c >= '0' && c <= '9', c == '+' && i == 0:
			digits.WriteRune(c)
		case strings.ContainsRune(" -.()/\u00a0\u202f", c):
		default:
			return ""
		}
	}
	number := digits.String()
	if n := len(strings.TrimPrefix(number, "+")); n < 5 || n > 15 { // short numbers; ITU-T E.164
		return ""
	}
	return number
}

// pagePath returns path when it is one on this site, and fallback otherwise. Browsers take "//host" and "/\host"
// for another host, and drop tabs and line breaks first, so no control character passes. This guards the links
// that we write; it doesn't say that a path makes a good place to return to.
func pagePath(path, fallback string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.HasPrefix(path, `/\`) {
		return fallback
	}
	if strings.ContainsFunc(path, unicode.IsControl) {
		return fallback
	}
	return path
}

// pageWebAddress returns address when it is a path on this site or an http(s) URL with a host and without user
// information, and fallback otherwise.
func pageWebAddress(address, fallback string) string {
	if path := pagePath(address, ""); path != "" {
		return path
	}
	if strings.ContainsFunc(address, unicode.IsControl) || strings.Contains(address, `\`) {
		return fallback
	}
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil {
		return fallback
	}
	return u.String()
}

// pageClean makes a value fit to be shown: valid UTF-8, no control characters, none that change the direction of
// the text around it, and not longer than a line or three. Escaping is the template's work.
func pageClean(s string) string {
	const atMost = 200 // runes
	if len(s) > 4*atMost {
		s = s[:4*atMost]
	}
	runes := 0
	return strings.Map(func(c rune) rune {
		if runes >= atMost || c == unicode.ReplacementChar || unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) {
			return -1
		}
		runes++
		return c
	}, s)
}
