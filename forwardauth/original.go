package forwardauth

import (
	"net/http"
	"strings"
	"unicode/utf8"
)

const (
	maxMethod = 20
	maxURI    = 16 << 10
	maxPrefix = 1024
)

// Original is the request being judged: the one that a browser sent to the
// site, as opposed to the one that a proxy may have made of it to ask us.
//
// Values that come from a proxy's headers are well-formed, but the host is not
// yet known to be one of ours, and the path is as the client wrote it.
type Original struct {
	// Method is the request's method, in its own spelling.
	Method string
	// Scheme is http or https; the ws and wss of a proxy count as these.
	Scheme string
	// Host is the host in lower case, with its port unless that is the
	// scheme's default. It is empty when the request named none that could be.
	Host string
	// URI is the path and query, undecoded. It starts with a slash, but for
	// requests without a path, such as OPTIONS *.
	URI string
	// Prefix is what a proxy took off the path before URI, such as /app. It
	// counts in return URLs only. Empty means nothing.
	Prefix string
	// Policy names the policy that the proxy asks for. Empty means the default one.
	Policy string
	// ClientIP is the address of the client, where the front end knows it
	// better than the request's RemoteAddr. Login limits count by it, and
	// nothing else. Empty means that it is not known better, and
	// ClientUnknown that nobody knows it.
	ClientIP string
	// Header holds the request's header fields. It is not a copy.
	Header http.Header
}

// originalError says which of a dialect's headers cannot be used. It never
// holds the header's value.
type originalError struct {
	Header  string // canonical name
	Problem string
}

func (e *originalError) Error() string { return e.Header + " is " + e.Problem }

// fromForwardAuth recovers the judged request from X-Forwarded-Method, -Proto,
// -Host and -Uri, as Traefik, Caddy and HAProxy send them, and reads nothing
// else but the optional X-Forwarded-Prefix. The caller has checked that the
// peer is trusted.
func fromForwardAuth(h http.Header) (Original, error) {
	method, err := only(h, "X-Forwarded-Method")
	if err != nil {
		return Original{}, err
	}
	proto, err := only(h, "X-Forwarded-Proto")
	if err != nil {
		return Original{}, err
	}
	host, err := only(h, "X-Forwarded-Host")
	if err != nil {
		return Original{}, err
	}
	uri, err := only(h, "X-Forwarded-Uri")
	if err != nil {
		return Original{}, err
	}
	o := Original{Method: method, Scheme: proto, Host: host, URI: uri, Prefix: forwardedPrefix(h), Header: h}
	return o.checkedAs("X-Forwarded-Method", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Uri")
}

// checked returns o with its scheme and host as they are compared, or an error when one of its parts is not what a
// request has.
func (o Original) checked() (Original, error) {
	return o.checkedAs("method", "scheme", "host", "path")
}

// checkedAs is checked, with the names of the parts for its error. It works in place.
func (o *Original) checkedAs(method, scheme, host, uri string) (Original, error) {
	o.Scheme = webScheme(o.Scheme)
	switch {
	case !validMethod(o.Method):
		return Original{}, malformed(method)
	case o.Scheme == "":
		return Original{}, malformed(scheme)
	case !validURI(o.URI):
		return Original{}, malformed(uri)
	}
	if o.Host = normalizeHost(o.Host, o.Scheme); o.Host == "" {
		return Original{}, malformed(host)
	}
	return *o, nil
}

// fromAuthRequest recovers the judged request from X-Original-Method and the
// absolute X-Original-URL, as our nginx configuration sends them, and reads
// nothing else. The caller has checked that the peer is trusted.
func fromAuthRequest(h http.Header) (Original, error) {
	method, err := only(h, "X-Original-Method")
	if err != nil {
		return Original{}, err
	}
	absolute, err := only(h, "X-Original-Url")
	if err != nil {
		return Original{}, err
	}
	scheme, rest, _ := strings.Cut(absolute, "://")
	slash := strings.IndexByte(rest, '/')
	if scheme != "http" && scheme != "https" || slash <= 0 {
		return Original{}, malformed("X-Original-Url")
	}
	o := Original{Method: method, Scheme: scheme, Host: rest[:slash], URI: rest[slash:], Header: h}
	return o.checkedAs("X-Original-Method", "X-Original-Url", "X-Original-Url", "X-Original-Url")
}

// fromExtAuthz recovers the judged request from the question itself, as Envoy
// sends it: its own method, host and query, what is behind our prefix and the
// policy of its path, byte by byte, and X-Forwarded-Proto. It reads nothing else.
// The caller has checked that the peer is trusted.
func fromExtAuthz(r *http.Request) (Original, error) {
	rest, ok := strings.CutPrefix(r.RequestURI, pathAuthz+dialectExtAuthz+"/")
	end := strings.IndexAny(rest, "/?")
	if !ok || end < 0 {
		return Original{}, malformed("path")
	}
	proto, err := only(r.Header, "X-Forwarded-Proto")
	if err != nil {
		return Original{}, err
	}
	o := Original{Method: r.Method, Scheme: proto, Host: r.Host, URI: rest[end:], Policy: rest[:end], Header: r.Header}
	if o.Policy == "" {
		o.Policy = noPolicy // it is mandatory here
	}
	return o.checkedAs("method", "X-Forwarded-Proto", "Host", "path")
}

// fromRequest is the judged request where it is at hand itself: in a Go
// program, the sidecar and the Caddy module. It uses what the client asked for,
// before any rewrite. Host is empty when r names none that could be.
func fromRequest(r *http.Request, scheme string) Original {
	o := Original{
		Method: r.Method,
		Scheme: scheme,
		Host:   normalizeHost(r.Host, scheme),
		URI:    r.RequestURI,
		Header: r.Header,
	}
	// An absolute target (RFC 9112, section 3.2.2), or a request made by hand.
	if !strings.HasPrefix(o.URI, "/") && o.URI != "*" && r.URL != nil && r.Method != http.MethodConnect {
		o.URI = r.URL.RequestURI()
	}
	return o
}

// only returns the value of a header that must be there once and not be empty.
// The name is in canonical form.
func only(h http.Header, name string) (string, error) {
	values := h[name]
	switch {
	case len(values) == 0:
		return "", &originalError{name, "missing"}
	case len(values) > 1:
		return "", &originalError{name, "doubled"}
	case values[0] == "":
		return "", &originalError{name, "empty"}
	}
	return values[0], nil
}

func malformed(name string) error { return &originalError{name, "malformed"} }

// webScheme maps a forwarded protocol to http or https, and others to "".
func webScheme(proto string) string {
	switch proto {
	case "https", "wss":
		return "https"
	case "http", "ws":
		return "http"
	}
	return ""
}

// validMethod accepts upper-case methods. Methods are case-sensitive (RFC 9110,
// section 9.1), so "get" is not GET, and nobody's method.
func validMethod(method string) bool {
	if method == "" || len(method) > maxMethod || method[0] == '-' {
		return false
	}
	for i := range len(method) {
		if c := method[i]; c != '-' && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// validURI accepts an absolute path with an optional query. Beyond RFC 3986 it
// lets UTF-8 through unescaped, which nginx passes on as clients send it, and a
// stray percent sign in the query, which browsers send too.
func validURI(uri string) bool {
	if uri == "" || uri[0] != '/' || len(uri) > maxURI {
		return false
	}
	inQuery, wide := false, false
	for i := range len(uri) {
		switch c := uri[i]; {
		case c <= ' ', c == 0x7f, c == '#':
			return false
		case c == '?':
			inQuery = true
		case c == '%' && !inQuery && !isEscape(uri, i):
			return false
		case c >= utf8.RuneSelf:
			wide = true
		}
	}
	return !wide || utf8.ValidString(uri)
}

// forwardedPrefix reads X-Forwarded-Prefix. It decides nothing but where the
// browser comes back to, so one that cannot be used counts as absent.
func forwardedPrefix(h http.Header) string {
	values := h["X-Forwarded-Prefix"]
	if len(values) != 1 || len(values[0]) > maxPrefix || strings.ContainsAny(values[0], "?,") {
		return ""
	}
	clean, ok := cleanReturnTo(values[0])
	if !ok {
		return ""
	}
	return strings.TrimSuffix(clean, "/")
}

// requestKind is what the answer to a request without a session looks like.
type requestKind uint8

const (
	// kindOther is everything that no person waits for in a tab: fetch, images,
	// preflights, websockets, command-line clients. It gets 401 as JSON.
	kindOther requestKind = iota
	// kindPageOtherWay is a page that cannot be asked for again by a redirect,
	// such as a form's POST or a frame. It gets 401 as a page.
	kindPageOtherWay
	// kindNavigation is a page being opened. It is sent to the login.
	kindNavigation
)

// classify tells the three kinds of request apart by what browsers say of them
// (Fetch Metadata), and by Accept for clients that say nothing.
func classify(o *Original) requestKind {
	modes, dests := o.Header["Sec-Fetch-Mode"], o.Header["Sec-Fetch-Dest"]
	loads := (o.Method == http.MethodGet || o.Method == http.MethodHead) && !isPrefetch(o.Header)
	if len(modes) == 0 && len(dests) == 0 {
		if loads && len(o.Header["X-Requested-With"]) == 0 && acceptsHTML(o.Header["Accept"]) {
			return kindNavigation
		}
		return kindOther
	}
	if len(modes) != 1 || modes[0] != "navigate" {
		return kindOther
	}
	if loads && len(dests) == 1 && dests[0] == "document" {
		return kindNavigation
	}
	return kindPageOtherWay
}

// isPrefetch reports a request that no person has made yet.
func isPrefetch(h http.Header) bool {
	for _, name := range [...]string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"} {
		for _, value := range h[name] {
			value = strings.ToLower(value)
			if strings.Contains(value, "prefetch") || strings.Contains(value, "prerender") || strings.Contains(value, "preview") {
				return true
			}
		}
	}
	return false
}

// acceptsHTML reports whether text/html itself is in an Accept header.
func acceptsHTML(values []string) bool {
	for _, rest := range values {
		for more := true; more; {
			var item string
			item, rest, more = strings.Cut(rest, ",")
			item, _, _ = strings.Cut(item, ";")
			if strings.EqualFold(trimBlanks(item), "text/html") {
				return true
			}
		}
	}
	return false
}

// sameOriginPost reports whether a form on our own pages sent r, by
// Sec-Fetch-Site where the browser sends it, else by Origin, else by Referer.
// A request with none of the three comes from no browser that would send a form
// of another site with our cookies, which are SameSite=Lax: it passes, as in
// http.CrossOriginProtection. origin is in the form of a browser's: lower case,
// no default port.
func sameOriginPost(r *http.Request, origin string) bool {
	if sites := r.Header["Sec-Fetch-Site"]; len(sites) > 0 {
		return len(sites) == 1 && sites[0] == "same-origin"
	}
	if origins := r.Header["Origin"]; len(origins) > 0 {
		return len(origins) == 1 && origin != "" && origins[0] == origin
	}
	referers := r.Header["Referer"]
	if len(referers) == 0 {
		return true
	}
	if len(referers) != 1 || origin == "" {
		return false
	}
	rest, ok := strings.CutPrefix(referers[0], origin)
	return ok && (rest == "" || rest[0] == '/' || rest[0] == '?')
}
