package doctor

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"
)

// me is what /_vipps/me says of the session at hand.
type me struct {
	Sub    string         `json:"sub"`
	Claims map[string]any `json:"claims"`
}

// session looks at whether the session that was given works: at vippsauth's own pages, and for the check.
func (v *visit) session(ctx context.Context) {
	if v.site.Cookie == "" {
		v.note("session", "what somebody who is logged in gets was not looked at", "log in, copy the Cookie header of a request from the browser's tools into a file, and name it in --cookie-file")
		return
	}
	w := v.ask(ctx, "session", ask{path: pathMe, header: script("Cookie: " + v.site.Cookie)})
	if w == nil {
		return
	}
	switch {
	case w.status == http.StatusForbidden:
		v.note("session", "the person whose session was given is not let in, so what others get was not looked at", "give the session of somebody whom allow lists")
		return
	case w.status != http.StatusOK:
		v.problem("session", "the session that was given is not live: "+pathMe+" answers "+w.says(), "it has ended, it is another site's, its key is no longer among cookie_keys, or its cookie doesn't get to vippsauth", "log in again, and copy the whole Cookie header of a request to "+v.origin)
		return
	}
	v.live = true
	if w = v.ask(ctx, "session", ask{path: v.path, header: navigation("Cookie: " + v.site.Cookie)}); w != nil {
		v.sessionGets(w)
	}
}

// sessionGets judges what a session that is live at our own pages gets where the proxy asks.
func (v *visit) sessionGets(w *answer) {
	to := w.location()
	switch {
	case to != nil && strings.HasSuffix(to.Path, pathLogin), w.status == http.StatusForbidden && w.ownPage():
		v.problem("session", "the session is live at "+pathMe+", and yet the page isn't shown: "+w.says(), "logins go round: the cookie doesn't get to where the page is judged",
			"let the proxy pass Cookie on in what it asks vippsauth")
	case w.status >= 500:
		v.problem("session", "with a session the page is "+w.says(), "people who are logged in see an error",
			"look at the proxy's log, whether the application runs where the proxy looks for it, and whether the proxy reads X-Vipps-Auth of vippsauth's answer")
	case w.refusal().ofProxy():
		v.note("session", "the session is live at "+pathMe+"; what it gets at the page can't be told before the rest is mended", "")
	case w.status >= 400:
		v.note("session", "the session works, and the application answers "+w.says(), "")
	default:
		v.ok("session", "the session works: the page is "+w.says())
	}
}

// echo asks the application what it gets.
func (v *visit) echo(ctx context.Context, lines ...string) *answer {
	if v.site.Cookie != "" && v.live {
		lines = append(lines, "Cookie: "+v.site.Cookie)
	}
	return v.ask(ctx, "app-headers", ask{path: v.site.EchoPath, header: script(lines...)})
}

// appHeaders looks at what of a client's own headers arrives at the application, if that says what it gets.
func (v *visit) appHeaders(ctx context.Context) {
	if v.site.EchoPath == "" {
		v.note("app-headers", "what the application gets can't be seen from outside", "where the application has a page that shows the request's headers, name its path in --echo-path")
		return
	}
	const canary = "vippsauth-doctor-canary"
	w := v.echo(ctx, "X-Doctor-Canary: "+canary)
	if w == nil {
		return
	}
	if !strings.Contains(w.body, canary) {
		v.warn("app-headers", v.site.EchoPath+" doesn't show the headers that the application gets: "+w.says(), "this could not be looked at", "name a path that does; if it needs a login, give --cookie-file too")
		return
	}
	sub := ""
	if v.live {
		sub = v.mine(ctx).Sub
	}
	seen := sub != "" && strings.Contains(w.body, sub)
	for _, line := range spoofs(marker) {
		w := v.echo(ctx, line)
		switch {
		case w == nil:
			return
		case strings.Contains(w.body, marker) || strings.HasPrefix(line, "X-Vipps-Auth") && !v.live && w.opens() && strings.Contains(w.body, "authenticated"):
			v.problem("app-headers", "the application gets a client's own header "+short(line), "anybody can be anybody",
				"take every header whose name begins with X-Vipps- out of what clients send, on every path that leads to the application, public ones too, and other spellings with it (underscores_in_headers off in nginx)")
			return
		case strings.HasPrefix(line, "Connection") && seen && w.opens() && !strings.Contains(w.body, sub):
			v.problem("app-headers", "with \""+line+"\" the application doesn't learn who is there", "it may take a person who is logged in for nobody, or for its own administrator",
				"take names of identity headers out of Connection, or let the proxy set them after it has handled Connection")
			return
		}
	}
	if sub != "" && !seen {
		v.problem("app-headers", "the application doesn't get X-Vipps-Sub of the person who is logged in", "it doesn't know who is there", "let the proxy copy vippsauth's answer's headers to the application's request (auth_request_set, authResponseHeaders, copy_headers)")
		return
	}
	v.ok("app-headers", "identity headers of a client's own don't get to the application at "+v.site.EchoPath)
}

// mine asks who the session is.
func (v *visit) mine(ctx context.Context) me {
	var m me
	w := v.ask(ctx, "session", ask{path: pathMe, header: script("Cookie: " + v.site.Cookie)})
	if w == nil || w.status != http.StatusOK || json.Unmarshal([]byte(w.body), &m) != nil {
		return me{}
	}
	return m
}

// name compares the name that the application gets with the one in the session.
func (v *visit) name(ctx context.Context) {
	if v.site.EchoPath == "" || !v.live {
		return
	}
	name, _ := v.mine(ctx).Claims["name"].(string)
	switch {
	case name == "":
		v.note("name", "the session has no name: the scope is not asked for", "")
		return
	case isASCII(name):
		v.note("name", "this person's name has no letter that could be spoilt", "log in as somebody whose name has æ, ø, å, ä or ö")
		return
	}
	w := v.echo(ctx)
	if w == nil || w.status >= 400 { // what appHeaders speaks of
		return
	}
	v.judgeName(spelling(name, w.text()))
}

func (v *visit) judgeName(how string) {
	const wrong = "people's names are spoilt in the application"
	switch how {
	case "utf-8":
		v.ok("name", "the application shows the name as it is")
	case "mojibake":
		v.problem("name", "the name arrives as mojibake (Ã¥ for å): the application, or the page, takes UTF-8 for Latin-1", wrong, "set header_encoding to latin1 where the application is in Latin-1; or read the header as UTF-8 there; or set it to percent, and decode it")
	case "latin1":
		v.warn("name", "the name is in Latin-1 on the application's page", "where the page says that it is UTF-8, it shows �", "if header_encoding is latin1 and the application wants that, all is well; otherwise set it to utf-8")
	case "percent":
		v.warn("name", "the name arrives percent-encoded (%C3%A5), and the application doesn't decode it", wrong, "decode it in the application, or set header_encoding to what it reads")
	case "base64url":
		v.warn("name", "the name arrives in base64url, and the application doesn't decode it", wrong, "decode it in the application, or set header_encoding to what it reads")
	case "ascii":
		v.note("name", "the name arrives without its special letters (Åse → Aase or Ase), as header_encoding ascii sends it", "")
	case "dropped":
		v.problem("name", "the letters that aren't ASCII are lost or replaced on the way", wrong, "set header_encoding to percent or base64url, and decode it in the application; or look for a proxy that cleans headers")
	default:
		v.problem("name", "the application doesn't show the name that the session has", wrong, "let the proxy copy X-Vipps-Name to the application's request; set header_encoding to percent if it drops headers that aren't ASCII")
	}
}

// charset finds what a page says of its own encoding, in its header or near its beginning.
var charset = regexp.MustCompile(`(?i)charset\s*=\s*["']?([a-z0-9_-]+)`)

// text is the page as a browser reads it: one that says that it is in Latin-1 is turned into UTF-8. (Browsers take Latin-1 for
// Windows-1252, which has the same letters.)
func (w *answer) text() string {
	said := charset.FindStringSubmatch(w.header.Get("Content-Type"))
	if said == nil {
		said = charset.FindStringSubmatch(w.body[:min(len(w.body), 1024)])
	}
	if said == nil {
		return w.body
	}
	switch strings.ToLower(said[1]) {
	case "iso-8859-1", "iso-8859-15", "latin1", "windows-1252", "cp1252":
		return mojibake(w.body)
	}
	return w.body
}

// spelling finds a name in a page, and says how it is written there.
func spelling(name, page string) string {
	for _, p := range []string{page, html.UnescapeString(page), unescapeJSON(page)} {
		switch {
		case strings.Contains(p, name):
			return "utf-8"
		case strings.Contains(p, mojibake(name)), strings.Contains(p, mojibake1252(name)):
			return "mojibake"
		case strings.Contains(p, latin1(name)):
			return "latin1"
		}
	}
	lower := strings.ToLower(page)
	switch {
	case strings.Contains(lower, strings.ToLower(url.PathEscape(name))), strings.Contains(lower, strings.ToLower(url.QueryEscape(name))):
		return "percent"
	case strings.Contains(page, base64.RawURLEncoding.EncodeToString([]byte(name))):
		return "base64url"
	}
	// What is left between the letters that got lost.
	rest := strings.FieldsFunc(name, func(r rune) bool { return r >= utf8.RuneSelf })
	at := 0
	for _, part := range rest {
		i := strings.Index(page[at:], part)
		if i < 0 || at > 0 && i > 8 {
			return ""
		}
		at += i + len(part)
	}
	for _, folded := range []*strings.Replacer{
		strings.NewReplacer("Å", "Aa", "å", "aa", "Ø", "Oe", "ø", "oe", "Æ", "Ae", "æ", "ae", "Ä", "Ae", "ä", "ae", "Ö", "Oe", "ö", "oe"),
		strings.NewReplacer("Å", "A", "å", "a", "Ø", "O", "ø", "o", "Æ", "AE", "æ", "ae", "Ä", "A", "ä", "a", "Ö", "O", "ö", "o"),
	} {
		if strings.Contains(page, folded.Replace(name)) {
			return "ascii"
		}
	}
	return "dropped"
}

// mojibake is UTF-8 that was read as Latin-1, and written as UTF-8 again.
func mojibake(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

// windows1252 is where Windows-1252 differs from Latin-1 in what the UTF-8 of Nordic letters has.
var windows1252 = map[byte]rune{0x85: '…', 0x86: '†', 0x98: '˜', 0x84: '„', 0x96: '–', 0x89: '‰', 0x9c: 'œ'}

func mojibake1252(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if r, ok := windows1252[s[i]]; ok {
			b.WriteRune(r)
			continue
		}
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

// latin1 is the name in ISO 8859-1; letters beyond it become question marks.
func latin1(s string) string {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if r > 0xff {
			r = '?'
		}
		b = append(b, byte(r))
	}
	return string(b)
}

// unescapeJSON undoes \u00e5, whatever surrounds it.
func unescapeJSON(s string) string {
	var out string
	if json.Unmarshal([]byte(`"`+strings.NewReplacer(`"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`, `\"`, `\"`).Replace(s)+`"`), &out) != nil {
		return s
	}
	return out
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}
