package integration_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A judge holds hostile requests against the ten invariants that hold for each of them, whatever it is:
//
//	I1 the app gets an identity only from a session, whole, and that of its owner
//	I2 the app is asked for nobody without a session
//	I3 redirects go to the site or the provider
//	I4 no 5xx, no panic, nothing left behind
//	I5 no secrets in logs
//	I6 cookies have their attributes
//	I7 what we answer is never stored or framed
//	I8 what proxies ask is answered with 2xx only for a session
//	I9 a failed request ends no session
//	I10 twice the same request, twice the same answer
//
// I5 is looked at when the processes have ended, see checkLog, and the rest of I4 in leaks.
type judge struct {
	visitor
	app    *app
	direct bool // the standalone service: it has no app behind it, and proxies ask it
	trusts bool // it trusts us as a proxy

	people   map[string]http.Header // the identity of each person as the app gets it, by phone number
	subs     map[string]string
	bare     []int // statuses that the server in front gives of itself, without a page of ours
	excuses  []excuse
	caddy    bool
	together bool // several answers are to the same request, in other words
	trailers bool // it passes a request's trailers on as they are, which SECURITY.md says of it
}

// An excuse is a status above 499 that a server in front gives of its own accord, and which requests get it. Nothing has
// reached the app then.
type excuse struct {
	status int
	when   *regexp.Regexp
}

// goExcuses: net/http refuses a Transfer-Encoding and a version that it doesn't know.
func goExcuses(more ...excuse) []excuse {
	return append(more,
		excuse{http.StatusNotImplemented, regexp.MustCompile(`(?i)transfer-encoding`)},
		excuse{http.StatusHTTPVersionNotSupported, regexp.MustCompile(`HTT`)},
	)
}

var (
	// headerNoGoReads: net/http says 400 to a proxy that passes such a header on, of which the proxy makes 503.
	headerNoGoReads = regexp.MustCompile(`[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]`)
	// targetNoHAProxyReads: it has no host that HAProxy could replace.
	targetNoHAProxyReads = regexp.MustCompile(`^GET (http|file):///`)
	// bodyNoCaddyReads: of a body that is none, Caddy says that the application doesn't answer.
	bodyNoCaddyReads = regexp.MustCompile(`chunked\r\n\r\n(5;a=\n|F{17}|-1)`)
	// lengthNoCaddyReads: the same, of a body in HTTP/2 that has another length than it says, and of a method that is no word.
	lengthNoCaddyReads = regexp.MustCompile(`\r\nContent-Length: |^GÉT `)
)

func (j *judge) excused(s shot, a reply) bool {
	return slices.ContainsFunc(j.excuses, func(e excuse) bool { return e.status == a.status && e.when.MatchString(s.bytes) })
}

// identity are the headers in our namespace, for the most careless reader.
func identity(h http.Header) http.Header {
	own := http.Header{}
	for name, values := range h {
		if strings.HasPrefix(foldedName(strings.Trim(name, " \t")), "x_vipps_") {
			own[name] = values
		}
	}
	return own
}

var ourCookie = regexp.MustCompile(`^(__Host-|__Secure-)?vippsauth([.-].*)?$`)

// shot judges the answers to one request and what the app got of it.
func (j *judge) shot(t testing.TB, s shot, answers []reply, hits []seen) {
	t.Helper()
	for i, got := range hits {
		j.hit(t, s, got)
		if i >= max(len(answers), 1) && !j.together { // over HTTP/2 it may have been sent again
			t.Errorf("%s: the app got %d requests for %d answers, at last %s", s.where, len(hits), len(answers), hits[len(hits)-1].URI)
			break
		}
	}
	for i, a := range answers {
		asked := s
		if i > 0 && !j.together { // whatever stood behind it has no session
			asked.who, asked.two, asked.must, asked.where = "", false, false, s.where+", then"
		}
		j.answer(t, asked, a, len(hits) > 0)
	}
	if len(answers) > 0 {
		j.passes(t, s, answers[0], hits)
	}
}

// hit judges a request that the app got: I1 and I2.
func (j *judge) hit(t testing.TB, s shot, got seen) {
	t.Helper()
	if s.who == "" {
		t.Errorf("I2: %s: the app is asked for %s without a session", s.where, got.URI)
		return
	}
	want := j.people[s.who]
	if own := identity(got.Header); !maps.EqualFunc(own, want, slices.Equal) {
		t.Errorf("I1: %s: the app gets %v, want %v", s.where, own, want)
	}
	if own := identity(got.Trailer); len(own) > 0 && !j.trailers {
		t.Errorf("I1: %s: the app gets the trailers %v", s.where, own)
	}
	if len(got.Header["Upgrade"]) > 1 || !strings.EqualFold(got.Header.Get("Upgrade"), "websocket") && got.Header.Get("Upgrade") != "" {
		t.Errorf("I1: %s: the app gets Upgrade %q", s.where, got.Header["Upgrade"])
	}
	for _, line := range got.Header["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			name, _, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
			if ourCookie.MatchString(name) {
				t.Errorf("I1: %s: the app gets our cookie %s", s.where, name)
			}
		}
	}
}

// passes judges whether the right requests pass: I8, and its converse where the line says so.
func (j *judge) passes(t testing.TB, s shot, a reply, hits []seen) {
	t.Helper()
	asked, _, _ := strings.Cut(s.target, "?")
	passed := len(hits) > 0
	if j.direct {
		passed = isAuthz(s.where) && a.status >= 200 && a.status < 300
	}
	if passed && !j.direct && a.status == http.StatusNotFound {
		return
	}
	if j.together && a.status == 0 && (s.alone || len(s.bytes) > 16<<10) {
		return // HTTP/2 has no such header, or no such long one
	}
	must := s.must && (j.direct && j.trusts && isAuthz(asked) && asked != "/_vipps/authz/challenge" || !j.direct && !strings.HasPrefix(asked, "/_vipps/"))
	if must && !passed && !slices.Contains([]int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusRequestHeaderFieldsTooLarge}, a.status) {
		t.Errorf("I8: %s: a live session gets %d: %.80s", s.where, a.status, a.body)
	}
	if asked == "/_vipps/me" && a.status == http.StatusOK && !j.nowhere(s, a) {
		var me struct{ Sub string }
		if err := json.Unmarshal([]byte(a.body), &me); err != nil || s.who == "" || me.Sub != j.subs[s.who] {
			t.Errorf("I8: %s: %v %.80s", s.where, err, a.body)
		}
	}
}

// answer judges what came back.
func (j *judge) answer(t testing.TB, s shot, a reply, appAnswered bool) {
	t.Helper()
	if a.status == 0 || !appAnswered && j.nowhere(s, a) {
		return
	}
	if a.status >= 500 && (appAnswered || !j.excused(s, a)) {
		t.Errorf("I4: %s: %d %.100s", s.where, a.status, a.body)
	}
	j.decision(t, s, a, appAnswered)
	j.cookies(t, s, a)
	j.redirect(t, s, a)
	if !appAnswered {
		j.caching(t, s, a)
	}
	if a.header["Access-Control-Allow-Origin"] != nil || a.header["Access-Control-Allow-Credentials"] != nil {
		t.Errorf("C-050: %s: %v", s.where, a.header)
	}
	for _, harm := range []string{`"https://evil`, `"//evil`, `"/\evil`, `"javascript:`, `'javascript:`, "<script>alert", "<svg/onload", "<img src=x"} {
		if strings.Contains(a.body, harm) && !appAnswered {
			t.Errorf("I3: %s: the answer has %s", s.where, harm)
		}
	}
}

// nowhere reports Caddy's own answer for a host that it has no site for, and for none.
func (j *judge) nowhere(s shot, a reply) bool {
	h := a.header
	return a.status == http.StatusOK && h["Content-Type"] == nil && h["Cache-Control"] == nil && len(identity(h)) == 0 && h["Set-Cookie"] == nil && a.body == "" &&
		j.caddy && (h.Get("Server") == "Caddy" || strings.HasPrefix(s.bytes, "OPTIONS * "))
}

// decision is I8 for the answers to what proxies ask.
func (j *judge) decision(t testing.TB, s shot, a reply, appAnswered bool) {
	t.Helper()
	own := identity(a.header)
	delete(own, "X-Vipps-Login-Url")
	if len(own) == 0 && (!isAuthz(s.target) || a.status >= 300 || appAnswered) {
		return
	}
	if s.who == "" || !j.direct || !j.trusts || a.status != http.StatusOK || !maps.EqualFunc(own, j.people[s.who], slices.Equal) {
		t.Errorf("I8: %s: %d with %v", s.where, a.status, own)
	}
}

var cookieAttributesOver = map[string]*regexp.Regexp{
	"http":  regexp.MustCompile(`^vippsauth(-login-[A-Za-z0-9_-]+|-hint|\.[1-4])?=[^;]*; Path=/(; Expires=[^;]+)?(; Max-Age=[0-9]+)?; HttpOnly; SameSite=Lax$`),
	"https": regexp.MustCompile(`^__Host-vippsauth(-login-[A-Za-z0-9_-]+|-hint|\.[1-4])?=[^;]*; Path=/(; Expires=[^;]+)?(; Max-Age=[0-9]+)?; HttpOnly; Secure; SameSite=Lax$`),
}

// cookies is I6 and I9.
func (j *judge) cookies(t testing.TB, s shot, a reply) {
	t.Helper()
	scheme, _, _ := strings.Cut(j.origin, ":")
	for _, line := range a.header["Set-Cookie"] {
		if !cookieAttributesOver[scheme].MatchString(line) {
			t.Errorf("I6: %s: a cookie is set with %s", s.where, regexp.MustCompile(`=[^;]*;`).ReplaceAllString(line, "=…;"))
		}
	}
	if len(a.setCookies(j.name)) > 0 && !s.two { // two people at once are nobody, and both go
		t.Errorf("I9: %s: %d sets the session's cookie", s.where, a.status)
	}
}

// redirect is I3.
func (j *judge) redirect(t testing.TB, s shot, a reply) {
	t.Helper()
	for _, name := range []string{"Location", "Refresh", "X-Vipps-Login-Url", "Content-Location", "Link"} {
		for _, to := range a.header[name] {
			if len(to) > 1 && to[0] == '/' && to[1] != '/' && to[1] != '\\' { // the site's own
				to = j.origin + to
			}
			u, err := url.Parse(to)
			if err != nil || u.Scheme+"://"+u.Host != j.origin && !strings.HasPrefix(to, j.provider) || u.User != nil || strings.ContainsAny(to, "\\\r\n\t") {
				t.Errorf("I3: %s: %s is %.200q", s.where, name, to)
			}
		}
	}
}

// caching is I7, for everything that isn't a server's own refusal to read a request.
func (j *judge) caching(t testing.TB, s shot, a reply) {
	t.Helper()
	h := a.header
	if h["Content-Security-Policy"] == nil && h["Vary"] == nil && (slices.Contains(j.bare, a.status) || j.excused(s, a)) {
		return
	}
	if h.Get("Cache-Control") != "no-store" {
		t.Errorf("I7: %s: %d may be kept: %q %.30q", s.where, a.status, h["Cache-Control"], a.body)
	}
	framed := "'none'"
	if a.status == http.StatusUnauthorized && h.Get("X-Frame-Options") == "SAMEORIGIN" { // in place of the site's own frame
		framed = "'self'"
	}
	page := strings.HasPrefix(h.Get("Content-Type"), "text/html") && h.Get("Retry-After") == ""
	if page && (!slices.Contains([]string{"no-referrer", "same-origin"}, h.Get("Referrer-Policy")) || framed == "'none'" && h.Get("X-Frame-Options") != "DENY" ||
		!strings.HasSuffix(h.Get("Content-Security-Policy"), "frame-ancestors "+framed) || h.Get("X-Content-Type-Options") != "nosniff") {
		t.Errorf("I7: %s: %d is a page with %q", s.where, a.status, h["Content-Security-Policy"])
	}
	if (a.status == http.StatusFound || a.status == http.StatusUnauthorized) && h.Get("Vary") != "" && !strings.Contains(h.Get("Vary"), "Cookie") {
		t.Errorf("C-056: %s: %d has Vary %q", s.where, a.status, h.Get("Vary"))
	}
}

// same is I10.
func (j *judge) same(t testing.TB, s shot, first, second []reply) {
	t.Helper()
	say := func(answers []reply) (said []string) {
		for _, a := range answers {
			to, _, _ := strings.Cut(a.header.Get("Location"), "?")
			said = append(said, http.StatusText(a.status)+" "+to)
		}
		return said
	}
	if s.alone && min(len(first), len(second)) == 0 {
		return // whoever waits for the rest of it may wait longer than we do
	}
	for i := range min(len(first), len(second)) {
		if j.together && min(first[i].status, second[i].status) == 0 {
			return // a stream that is reset, as it has to be, may have been answered before
		}
	}
	if a, b := say(first), say(second); !s.once && !slices.Equal(a, b) {
		t.Errorf("I10: %s: first %q, then %q", s.where, a, b)
	}
}
