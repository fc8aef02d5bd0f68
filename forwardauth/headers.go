package forwardauth

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/vippsauth/vippsauth/vipps"
)

const (
	headerAuth      = "X-Vipps-Auth"
	headerSub       = "X-Vipps-Sub"
	headerAssertion = "X-Vipps-Assertion"

	// maxHeaderValue bounds one identity header, in bytes after encoding.
	maxHeaderValue = 4096
)

// HeaderNames returns the names of the headers that tell the application who somebody is, in canonical form and in the
// order in which they are configured: those of all policies and of all sites, two of which may have the same application.
// A proxy has to take each of them from us, at every site, or clients could write it themselves.
func (e *Engine) HeaderNames() []string { return slices.Clone(e.names) }

// headerSpec is one identity header: which claim it carries, and how.
type headerSpec struct {
	Name     string // canonical
	Claim    string // empty for X-Vipps-Auth alone
	Encoding encoding
}

// encoding is how a claim becomes a header value. The zero value is UTF-8.
type encoding uint8

const (
	encodingUTF8      encoding = iota // the bytes as they are
	encodingPercent                   // RFC 3986, unreserved characters kept
	encodingBase64URL                 // RFC 4648 section 5, without padding
	encodingLatin1                    // ISO 8859-1 bytes
	encodingASCII                     // transliterated: Åse becomes Aase
)

// parseEncoding reads an encoding by its name in the settings.
func parseEncoding(name string) (encoding, bool) {
	switch name {
	case "utf-8":
		return encodingUTF8, true
	case "percent":
		return encodingPercent, true
	case "base64url":
		return encodingBase64URL, true
	case "latin1":
		return encodingLatin1, true
	case "ascii":
		return encodingASCII, true
	}
	return encodingUTF8, false
}

// parseHeaders reads the settings headers and header_encoding. An empty list is
// the default set, an empty encoding is utf-8. X-Vipps-Auth, which carries no
// claim, and X-Vipps-Sub always come first. A pair in the list replaces the
// default header of the same name. It does not check that a claim exists, or
// that its scope is requested.
func parseHeaders(list []string, defaultEncoding string, scopes []string) ([]headerSpec, []error) {
	var problems []error
	base := encodingUTF8
	if defaultEncoding != "" {
		var ok bool
		if base, ok = parseEncoding(defaultEncoding); !ok {
			problems = append(problems, &vipps.ConfigError{
				Setting: "header_encoding", Reason: "must be utf-8, percent, base64url, latin1 or ascii",
			})
		}
	}
	specs := []headerSpec{{Name: headerAuth}, {Name: headerSub, Claim: "sub", Encoding: base}}
	if len(list) == 0 {
		return append(specs, defaultHeaders(scopes, base)...), problems
	}
	var listed []headerSpec
	withDefault := false
	for i, entry := range list {
		entry = strings.TrimSpace(entry)
		if entry == "default" {
			withDefault = true
			continue
		}
		spec, reason := parseHeaderPair(entry, base)
		if reason == "" && slices.ContainsFunc(listed, func(l headerSpec) bool { return fold(l.Name) == fold(spec.Name) }) {
			reason = "this header is listed twice"
		}
		if reason != "" {
			problems = append(problems, headersProblem(i, reason))
			continue
		}
		listed = append(listed, spec)
	}
	if withDefault {
		specs = append(specs, defaultHeaders(scopes, base)...)
	}
	return mergeHeaders(specs, listed), problems
}

func headersProblem(index int, reason string) error {
	return &vipps.ConfigError{Setting: "headers", Reason: fmt.Sprintf("entry %d: %s", index+1, reason)}
}

// mergeHeaders puts the listed headers over the default ones.
func mergeHeaders(specs, listed []headerSpec) []headerSpec {
	for _, l := range listed {
		at := slices.IndexFunc(specs, func(s headerSpec) bool { return s.Name == l.Name })
		if at >= 0 {
			specs[at] = l
		} else {
			specs = append(specs, l)
		}
	}
	return specs
}

// defaultHeaders are the headers that come with the requested scopes.
func defaultHeaders(scopes []string, enc encoding) []headerSpec {
	var specs []headerSpec
	has := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(scopes, n) })
	}
	add := func(name, claim string) {
		specs = append(specs, headerSpec{Name: name, Claim: claim, Encoding: enc})
	}
	if has("name", "profile") {
		add("X-Vipps-Name", "name")
		add("X-Vipps-Given-Name", "given_name")
		add("X-Vipps-Family-Name", "family_name")
	}
	if has("email") {
		add("X-Vipps-Email", "email")
		add("X-Vipps-Email-Verified", "email_verified")
	}
	if has("phoneNumber", "phone") {
		add("X-Vipps-Phone-Number", "phone_number")
	}
	if has(vipps.ScopeDelegatedConsents, vipps.ScopeCustomFlow) {
		add("X-Vipps-Consents", claimConsents)
	}
	return specs
}

// parseHeaderPair reads "Header=claim" or "Header=claim;encoding".
func parseHeaderPair(entry string, base encoding) (headerSpec, string) {
	name, claim, ok := strings.Cut(entry, "=")
	if !ok {
		return headerSpec{}, "must be default, or Header=claim, as in Remote-User=sub"
	}
	name, claim = strings.TrimSpace(name), strings.TrimSpace(claim)
	enc := base
	if c, word, has := strings.Cut(claim, ";"); has {
		claim = strings.TrimSpace(c)
		if enc, ok = parseEncoding(strings.TrimSpace(word)); !ok {
			return headerSpec{}, "the encoding after the semicolon must be utf-8, percent, base64url, latin1 or ascii"
		}
	}
	if !validHeaderName(name) {
		return headerSpec{}, "a header's name has only letters, digits and hyphens, and starts with a letter"
	}
	if !validClaimName(claim) {
		return headerSpec{}, "the claim's name is missing or has characters that no claim has"
	}
	name = http.CanonicalHeaderKey(name)
	if reason := reservedHeader(name, claim); reason != "" {
		return headerSpec{}, reason
	}
	return headerSpec{Name: name, Claim: claim, Encoding: enc}, ""
}

// validHeaderName is narrower than a token (RFC 9110, section 5.1): names with
// other punctuation are dropped by some servers and confused by others.
func validHeaderName(name string) bool {
	return name != "" && len(name) <= 64 && isLetter(name[0]) && hyphenated(name)
}

func validClaimName(claim string) bool {
	if claim == "" || len(claim) > 128 {
		return false
	}
	for i := range len(claim) {
		if c := claim[i]; !isLetter(c) && !isDigit(c) && !strings.ContainsRune("_-.:/", rune(c)) {
			return false
		}
	}
	return true
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func isDigit(c byte) bool  { return '0' <= c && c <= '9' }

// reservedHeader says why a canonical name cannot carry a claim, or "".
func reservedHeader(name, claim string) string {
	switch name {
	case headerSub:
		if claim != "sub" {
			return "X-Vipps-Sub always carries the claim sub"
		}
		return ""
	case headerAuth, "X-Vipps-Login-Url", "X-Vipps-Proxy-Secret":
		return "this header has a meaning of its own and carries no claim"
	case headerAssertion:
		return "this header is reserved for a signed assertion"
	case "Authorization":
		return "Authorization belongs to the application's own clients; use another header, as Remote-User"
	case "Host", "Cookie", "Cookie2", "Connection", "Keep-Alive", "Te", "Trailer", "Upgrade", "Via", "Expect",
		"Accept", "Age", "Alt-Svc", "Cache-Control", "Clear-Site-Data", "Date", "Etag", "Expires", "Forwarded", "Last-Modified", "Link",
		"Location", "Max-Forwards", "Origin", "Pragma", "Purpose", "Range", "Referer", "Refresh", "Retry-After", "Server", "Status", "Strict-Transport-Security",
		"User-Agent", "Vary", "Warning", "Www-Authenticate", "X-Http-Method", "X-Http-Method-Override", "X-Method-Override", "X-Moz", "X-Purpose",
		"X-Real-Ip", "X-Request-Id", "X-Requested-With", "X-Rewrite-Url", "X-Accel-Redirect", "X-Sendfile", "X-Frame-Options":
		return "this header steers HTTP itself and carries no claim"
	case "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username":
		return ""
	}
	for _, family := range [...]string{
		"Accept-", "Access-Control-", "Content-", "If-", "Proxy-", "Sec-", "Set-Cookie", "Transfer-",
		"X-Accel-", "X-Content-", "X-Forwarded-", "X-Original-",
	} {
		if strings.HasPrefix(name, family) {
			return "headers of the family " + family + "… steer HTTP itself and carry no claim"
		}
	}
	return ""
}

// encodeValue makes a claim's text a header value: on one line, without control
// or direction-changing characters, trimmed, and no longer than maxHeaderValue
// bytes, cut at a character's border. Every encoding but base64url and percent
// leaves a value of plain printable ASCII as it is.
func encodeValue(enc encoding, value string) string {
	if !plainASCII(value) {
		value = singleLine(value)
	}
	switch enc {
	case encodingPercent:
		return percentEncode(value)
	case encodingBase64URL:
		return base64.RawURLEncoding.EncodeToString([]byte(cut(value, maxHeaderValue/4*3)))
	case encodingLatin1:
		return transliterate(value, true)
	case encodingASCII:
		return transliterate(value, false)
	default:
		return cut(value, maxHeaderValue)
	}
}

// plainASCII reports a value that singleLine would return as it is.
func plainASCII(value string) bool {
	for i := range len(value) {
		if value[i] < ' ' || value[i] >= 0x7f {
			return false
		}
	}
	return value == "" || value[0] != ' ' && value[len(value)-1] != ' '
}

// singleLine replaces line breaks and tabs by a space, drops other control
// characters, line separators and direction marks, and mends invalid UTF-8.
func singleLine(value string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return ' '
		case r < ' ' || r >= 0x7f && r <= 0x9f, // C0, DEL, C1 with U+0085
			r == '\u2028' || r == '\u2029',
			r == '\u061c' || r == '\u200e' || r == '\u200f', // direction marks
			r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069',
			r == '\ufeff':
			return -1
		}
		return r
	}, strings.ToValidUTF8(value, "\ufffd")))
}

// cut shortens s to at most limit bytes, at a rune's border, without the blank
// that the cut may have bared.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return strings.TrimRight(s[:limit], " ")
}

// percentEncode escapes all but the unreserved characters of RFC 3986.
func percentEncode(value string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i, r := range value {
		size := utf8.RuneLen(r)
		if b.Len()+3*size > maxHeaderValue {
			out := b.String()
			for strings.HasSuffix(out, "%20") {
				out = out[:len(out)-3]
			}
			return out
		}
		for j := i; j < i+size; j++ {
			c := value[j]
			if isLetter(c) || isDigit(c) || c == '-' || c == '.' || c == '_' || c == '~' {
				b.WriteByte(c)
			} else {
				b.Write([]byte{'%', hex[c>>4], hex[c&15]})
			}
		}
	}
	return b.String()
}

// transliterate writes value in ISO 8859-1 or in ASCII. Letters that have no
// place there lose their marks, or become a question mark.
func transliterate(value string, latin1 bool) string {
	if plainASCII(value) {
		return cut(value, maxHeaderValue)
	}
	value = norm.NFC.String(value)
	if isJSON(value) {
		value = plainQuotes().Replace(value)
	}
	var b strings.Builder
	for _, r := range value {
		var piece string
		switch {
		case r < 0x80:
			piece = string(r)
		case latin1 && r >= 0xa0 && r <= 0xff:
			piece = string([]byte{byte(r)})
		default:
			piece = asciiOf(r)
		}
		if b.Len()+len(piece) > maxHeaderValue {
			break
		}
		b.WriteString(piece)
	}
	return strings.Trim(b.String(), " ")
}

// asciiOf is the ASCII spelling of a character beyond ASCII: the Nordic and
// German one for their letters, the bare letter for other marked ones.
func asciiOf(r rune) string {
	if spelled, ok := asciiLetter(r); ok {
		return spelled
	}
	switch r {
	case '‘', '’', '´':
		return "'"
	case '“', '”', '«', '»':
		return `"`
	case '‐', '‑', '–', '—':
		return "-"
	case '…':
		return "..."
	}
	if unicode.Is(unicode.Zs, r) {
		return " "
	}
	if unicode.In(r, unicode.Mn, unicode.Cf) { // marks without a composed form, joiners
		return ""
	}
	if decomposed := norm.NFD.String(string(r)); decomposed[0] < utf8.RuneSelf {
		return decomposed[:1]
	}
	return "?"
}

// asciiLetter spells the letters that do not just lose a mark.
func asciiLetter(r rune) (string, bool) {
	const letters = "Å=Aa å=aa Æ=Ae æ=ae Ä=Ae ä=ae Ø=Oe ø=oe Ö=Oe ö=oe Ü=Ue ü=ue ß=ss ẞ=SS Œ=Oe œ=oe " +
		"Þ=Th þ=th Ð=D ð=d Đ=D đ=d Ł=L ł=l Ŋ=N ŋ=n Ŧ=T ŧ=t ı=i "
	_, after, found := strings.Cut(letters, string(r)+"=")
	if !found {
		return "", false
	}
	spelled, _, _ := strings.Cut(after, " ")
	return spelled, true
}
