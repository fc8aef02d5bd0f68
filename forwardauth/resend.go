package forwardauth

import (
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// A form that is posted after the session has ended is not passed on, and not kept here either: no memory of ours, no log
// and no cookie ever holds it. Where the body is at hand, the page that answers the POST holds the fields as hidden
// inputs, and the person sends them again with a click, once logged in. Where it isn't, or where anything below is in
// doubt, the page says how to send the form again with the browser's own means.
//
// Why that is no way around the app's protection against forged posts: only the fields of a post that a page of the site
// itself sent come into the page (firstPartyPost). A post that another site forges would otherwise come out of ours, as
// one of the site's own, and with a click.

const (
	maxKeptBody   = 64 << 10
	maxKeptFields = 500

	// maxKeptForms is how many are at hand at a time. Strangers can send theirs slowly, on many connections; whoever sends one more
	// meanwhile gets the page that keeps none.
	maxKeptForms = 64
)

// resendPage answers a form's POST or a frame without a session: nothing was sent, log in in a new tab. To the form of
// another site it says that a login is no help: browsers send no SameSite=Lax cookie along with one, nor with its reload.
func (e *Engine) resendPage(w http.ResponseWriter, r *http.Request, s *site, o Original) {
	if from := o.Header["Sec-Fetch-Site"]; o.Method == http.MethodPost && len(from) == 1 && from[0] == "cross-site" {
		e.page(w, r, s, page{Kind: pageForeign})
		return
	}
	e.page(w, r, s, page{Kind: pageResend, LoginURL: s.loginFrom(&o)})
}

// keptPage answers a form's POST without a session with a page that holds the form, if it can. The caller has limited the
// time that the body may take; o is what the browser asked for.
func (e *Engine) keptPage(w http.ResponseWriter, r *http.Request, s *site, o Original) bool {
	if o.Method != http.MethodPost || r.Method != http.MethodPost || !firstPartyPost(r, s.origin) {
		return false
	}
	action, ok := cleanReturnTo(o.Prefix + o.URI)
	if !ok || !plainForm(r.Header) || r.ContentLength > maxKeptBody {
		return false
	}
	select {
	case e.state.forms <- struct{}{}:
		defer func() { <-e.state.forms }()
	default:
		return false
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxKeptBody+1))
	if err != nil || len(body) > maxKeptBody {
		return false
	}
	fields, ok := formFields(string(body))
	if !ok {
		return false
	}
	login := s.loginFrom(&Original{Header: r.Header, Policy: o.Policy})
	if login == s.loginFor(action)+s.engine.policyQuery(o.Policy, "&") { // where this page sends the form again, and maybe nothing that can be opened
		login = s.loginFrom(&Original{Policy: o.Policy})
	}
	e.page(w, r, s, page{Kind: pageKept, LoginURL: login, ReturnTo: action, Fields: fields})
	return true
}

// firstPartyPost is sameOriginPost for a request that shall not pass when it doesn't say where it comes from.
func firstPartyPost(r *http.Request, origin string) bool {
	h := r.Header
	return (len(h["Sec-Fetch-Site"]) > 0 || len(h["Origin"]) > 0 || len(h["Referer"]) > 0) && sameOriginPost(r, origin)
}

// plainForm reports whether the body is what a form without files sends, and may be read without asking for it.
func plainForm(h http.Header) bool {
	types := h["Content-Type"]
	if len(types) != 1 || h["Content-Encoding"] != nil || h["Expect"] != nil {
		return false
	}
	mediaType, params, err := mime.ParseMediaType(types[0])
	if err != nil || mediaType != "application/x-www-form-urlencoded" {
		return false
	}
	charset, named := params["charset"]
	return len(params) == 0 || named && len(params) == 1 && strings.EqualFold(charset, "utf-8")
}

// formFields are the fields of an urlencoded body in their order. It returns false for a body that a browser would not
// send again, byte for byte, from hidden inputs that hold the fields.
func formFields(body string) ([]pageField, bool) {
	if body == "" {
		return nil, true // a form that is only a button
	}
	var fields []pageField
	var again strings.Builder
	for pair := range strings.SplitSeq(body, "&") {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || len(fields) == maxKeptFields {
			return nil, false
		}
		field, ok := formField(name, value)
		if !ok {
			return nil, false
		}
		if len(fields) > 0 {
			again.WriteByte('&')
		}
		writeFormPart(&again, field.Name)
		again.WriteByte('=')
		writeFormPart(&again, field.Value)
		fields = append(fields, field)
	}
	return fields, again.String() == body
}

func formField(name, value string) (pageField, bool) {
	name, nameErr := url.QueryUnescape(name)
	value, valueErr := url.QueryUnescape(value)
	if nameErr != nil || valueErr != nil || name == "" || !staysInHTML(name) || !staysInHTML(value) {
		return pageField{}, false
	}
	// The browser puts the name of the page's own encoding into a hidden field of this name (HTML, "constructing the
	// entry list").
	if strings.EqualFold(name, "_charset_") && value != "UTF-8" {
		return pageField{}, false
	}
	return pageField{Name: name, Value: value}, true
}

// staysInHTML reports whether a text comes out of an attribute of a page in UTF-8 as it went in, when a form sends it:
// no other encoding's bytes, no control characters, and every line end as forms send it, CR LF.
func staysInHTML(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\r':
			if i+1 == len(s) || s[i+1] != '\n' {
				return false
			}
		case c == '\n':
			if i == 0 || s[i-1] != '\r' {
				return false
			}
		case c < ' ' && c != '\t', c == 0x7f:
			return false
		}
	}
	return true
}

// writeFormPart writes a name or a value as browsers do (URL Standard, "application/x-www-form-urlencoded serializing").
func writeFormPart(b *strings.Builder, s string) {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		switch c := s[i]; {
		case c == ' ':
			b.WriteByte('+')
		case isLetter(c), isDigit(c), c == '*', c == '-', c == '.', c == '_':
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
}
