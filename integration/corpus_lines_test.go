package integration_test

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vippsauth/vippsauth/internal/hostile"
)

// A hostileLine is one input of forwardauth/testdata/hostile, not yet filled in.
type hostileLine struct {
	file   string
	number int
	ids    string // of the checks that it belongs to, as C010_B007
	text   string
}

// A tally knows by id which checks have failed, and which were made.
type tally struct {
	mu     sync.Mutex
	failed map[string]bool
}

func newTally() *tally { return &tally{failed: map[string]bool{}} }

// A lineT is a test that says which line of the corpus failed it.
type lineT struct {
	testing.TB
	line hostileLine
	to   *tally
}

// of notes that the ids of a line were looked at.
func (c *tally) of(t testing.TB, l hostileLine) lineT {
	c.note(l, false)
	return lineT{t, l, c}
}

func (c *tally) note(l hostileLine, failed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := range strings.SplitSeq(l.ids, "_") {
		c.failed[id] = c.failed[id] || failed
	}
}

// Errorf says it of the line.
func (t lineT) Errorf(format string, args ...any) {
	t.Helper()
	t.to.note(t.line, true)
	t.TB.Errorf("%s:%d: %s: %.100s", t.line.file, t.line.number, fmt.Sprintf(format, args...), t.line.text)
}

// report is a sub-test for each id: what the lines that carry it came to, everywhere.
func (c *tally) report(t *testing.T) {
	for _, id := range slices.Sorted(maps.Keys(c.failed)) {
		t.Run(id+"_everywhere", func(t *testing.T) {
			if c.failed[id] {
				t.Error("see above")
			}
		})
	}
}

var idColumn = regexp.MustCompile(`^((?:[A-E][0-9]{2,3} )+)\| ?`)

// hostileFiles are driven in this order. A file that nobody drives fails the test.
var hostileFiles = []string{"headers.txt", "cookies.txt", "callbacks.txt", "forwarded.txt", "paths.txt", "redirect.txt", "methods.txt"}

func hostileLines(t *testing.T) (lines []hostileLine) {
	t.Helper()
	const dir = "../forwardauth/testdata/hostile"
	all, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		if !slices.Contains(append([]string{"hosts.txt"}, hostileFiles...), filepath.Base(path)) { // those have tests of their own
			t.Errorf("nobody drives %s", path)
		}
	}
	for _, file := range hostileFiles {
		data, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		before := len(lines)
		for i, text := range strings.Split(string(data), "\n") {
			if text == "" || text == "#" || strings.HasPrefix(text, "# ") {
				continue
			}
			l := hostileLine{file: file, number: i + 1, text: text}
			if m := idColumn.FindString(text); m != "" {
				l.text = text[len(m):]
				l.ids = strings.ReplaceAll(strings.TrimSpace(strings.TrimRight(m, "| ")), " ", "_")
			}
			if file == "redirect.txt" && l.ids == "" {
				l.ids = "C001"
			}
			lines = append(lines, l)
		}
		if len(lines) == before {
			t.Errorf("%s has no inputs", file)
		}
	}
	return lines
}

// A visitor says what a line is filled in with.
type visitor struct {
	host, origin, provider string
	name, otherName        string            // of the session's cookie, and that of the other scheme
	values                 map[string]string // live values of that cookie, by phone number
}

// fill is the line's bytes. Without a session its values are of the right form and nobody's.
func (v visitor) fill(l hostileLine, session bool, more ...string) string {
	aase, per := v.values[phoneAase], v.values[phonePer]
	if !session {
		aase, per = turned(aase), turned(per)
	}
	text := strings.NewReplacer(append([]string{
		"{name}", v.name, "{other-name}", v.otherName, "{session}", aase, "{other-session}", per, "{host}", v.host, "{origin}", v.origin, "{provider}", v.provider,
	}, more...)...).Replace(l.text)
	if l.file != "redirect.txt" { // whose syntax has no such
		text = strings.NewReplacer(`\r`, "\r", `\n`, "\n", `\t`, "\t").Replace(text)
	}
	return hostile.Unescape(text)
}

// turned is a value in which every letter is another one.
func turned(value string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return 'a' + (r-'a'+13)%26
		case 'A' <= r && r <= 'Z':
			return 'A' + (r-'A'+13)%26
		}
		return r
	}, value)
}

// whose is the person whose session a Cookie header holds: an independent reading of it, in which cookies count only under
// their exact name, with a value that was given out, whatever else is there. Two people are nobody.
func (v visitor) whose(cookie string) (phone string, two bool) {
	cookie = regexp.MustCompile(`\r\n[ \t]+`).ReplaceAllString(cookie, " ") // a folded line (RFC 9112, section 5.2)
	for _, header := range strings.Split(cookie, "\r\nCookie: ") {
		for _, pair := range strings.Split(header, ";") {
			name, value, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
			for p, live := range v.values {
				if name != v.name || value != live {
					continue
				}
				if phone != "" && phone != p {
					return "", true
				}
				phone = p
			}
		}
	}
	return phone, false
}

// endpoints are all that we have, and two of the app's pages.
var endpoints = []string{
	"/", "/protected/x?y=1", "/_vipps/login?rd=%2Fx", "/_vipps/callback", "/_vipps/result", "/_vipps/logout", "/_vipps/me", "/_vipps/callback/merchant?code=made-up",
	"/_vipps/authz/forward-auth", "/_vipps/authz/auth-request", "/_vipps/authz/challenge", "/_vipps/authz/ext-authz/default/x?y=1",
}

// A shot is one hostile request.
type shot struct {
	where  string // for messages
	method string
	bytes  string
	lines  []string // of the header, where it is well-formed enough to go over HTTP/2
	target string   // likewise

	who   string // the phone number of the person whose session it carries, "" for nobody
	must  bool   // it has to pass then
	two   bool   // it carries the sessions of two people
	alone bool   // on a connection of its own, with a second request behind it
	once  bool   // a second time the answer may be another one
}

const navigating = "Accept: text/html,*/*;q=0.8\r\nAccept-Language: en\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Site: none\r\n"

// isAuthz reports whether a path is one that proxies ask.
func isAuthz(path string) bool { return strings.HasPrefix(path, "/_vipps/authz/") }

// question are the lines with which a proxy asks about a request.
func (v visitor) question(uri string) []string {
	scheme, _, _ := strings.Cut(v.origin, ":")
	return []string{
		"X-Forwarded-Method: GET", "X-Forwarded-Proto: " + scheme, "X-Forwarded-Host: " + v.host, "X-Forwarded-Uri: " + uri,
		"X-Original-Method: GET", "X-Original-URL: " + v.origin + uri,
	}
}

// shots are all requests that a line makes.
func (v visitor) shots(l hostileLine, session bool, state func() (cookie, state string)) []shot {
	switch l.file {
	case "headers.txt":
		return v.headerShots(l, session, false)
	case "forwarded.txt":
		return append(v.headerShots(l, session, false), v.headerShots(l, session, true)...)
	case "cookies.txt":
		return v.cookieShots(l, session)
	case "callbacks.txt":
		return v.callbackShots(l, session, state)
	case "paths.txt":
		return v.pathShots(l, session)
	case "redirect.txt":
		return v.redirectShots(l, session)
	default:
		return v.wholeShots(l, session)
	}
}

// get is a GET of a person who opens a page, with these lines behind the usual ones.
func (v visitor) get(target, cookie string, who string, lines ...string) shot {
	s := shot{where: target, method: "GET", target: target, who: who}
	if cookie != "" {
		s.lines = append(s.lines, "Cookie: "+cookie)
	}
	s.lines = append(s.lines, strings.Split(strings.TrimSuffix(navigating, "\r\n"), "\r\n")...)
	if isAuthz(target) {
		s.lines = append(s.lines, v.question("/x?y=1")...)
	}
	s.lines = append(s.lines, lines...)
	return v.write(s)
}

// write puts a shot into bytes.
func (v visitor) write(s shot) shot {
	s.bytes = s.method + " " + s.target + " HTTP/1.1\r\nHost: " + v.host + "\r\n" + strings.Join(s.lines, "\r\n") + "\r\n\r\n"
	return s
}

// own is the cookie of a request with or without a session.
func (v visitor) own(session bool) (cookie, who string) {
	if !session {
		return "", ""
	}
	return v.name + "=" + v.values[phoneAase], phoneAase
}

var needsItsOwn = regexp.MustCompile(`(?i)transfer-encoding|content-length|upgrade|expect|connection|[\x00\n\r][^\n]|^[^:]*$`)

// headerShots sends lines to every endpoint, beside the usual ones or in their place.
func (v visitor) headerShots(l hostileLine, session, instead bool) (shots []shot) {
	text := v.fill(l, session)
	cookie, who := v.own(session)
	for _, where := range endpoints {
		if instead && !isAuthz(where) {
			continue
		}
		s := v.get(where, cookie, who)
		if instead {
			name, _, _ := strings.Cut(text, ":")
			s.lines = slices.DeleteFunc(s.lines, func(line string) bool {
				own, _, _ := strings.Cut(line, ":")
				return strings.EqualFold(own, name)
			})
			s.where += ", in place of the proxy's"
		}
		s.lines = append(s.lines, text)
		s.alone = needsItsOwn.MatchString(text)
		shots = append(shots, v.write(s))
		if isAuthz(where) || instead || l.file != "headers.txt" || strings.HasPrefix(where, "/_vipps/") {
			continue
		}
		for _, method := range []string{"HEAD", "OPTIONS"} {
			other := s
			other.method, other.where = method, method+" "+where
			shots = append(shots, v.write(other))
		}
	}
	return shots
}

// cookieShots sends a Cookie header to every endpoint.
func (v visitor) cookieShots(l hostileLine, session bool) (shots []shot) {
	text := v.fill(l, session)
	who, two := v.whose(text)
	for _, where := range endpoints {
		s := v.get(where, text, who)
		s.two, s.must, s.alone = two, who != "", strings.ContainsAny(text, "\x00\r\n")
		shots = append(shots, s)
	}
	return shots
}

// callbackShots come back from the provider, with the cookie of a login that is under way.
func (v visitor) callbackShots(l hostileLine, session bool, state func() (cookie, state string)) []shot {
	cookie, who := v.own(session)
	var attempt, value string
	if strings.Contains(l.text, "{state}") {
		attempt, value = state()
		cookie = strings.TrimPrefix(cookie+"; "+attempt, "; ")
	}
	s := v.get("/_vipps/callback"+v.fill(l, session, "{state}", value), cookie, who)
	s.once = value != ""
	return []shot{s}
}

// pathShots asks for a path, puts it behind every endpoint, and asks about it as proxies do.
func (v visitor) pathShots(l hostileLine, session bool) (shots []shot) {
	text := v.fill(l, session)
	cookie, who := v.own(session)
	if head, more, _ := strings.Cut(text, "\r\n"); strings.Contains(head, " HTTP/1.1") {
		s := shot{where: head, method: "GET", who: who, alone: true, bytes: head + "\r\n"}
		if !strings.Contains(more, "Host: ") {
			s.bytes += "Host: " + v.host + "\r\n"
		}
		if cookie != "" {
			s.bytes += "Cookie: " + cookie + "\r\n"
		}
		s.bytes += navigating + strings.TrimPrefix(more+"\r\n", "\r\n") + "\r\n"
		return []shot{s}
	}
	odd := strings.ContainsAny(text, " \x00\r\n")
	add := func(s shot) {
		s.alone = odd
		shots = append(shots, s)
	}
	add(v.get(text, cookie, who))
	for _, where := range []string{"/_vipps/login", "/_vipps/callback", "/_vipps/result", "/_vipps/logout", "/_vipps/me", "/_vipps/authz/forward-auth", "/_vipps/authz/auth-request", "/_vipps/authz/challenge", "/_vipps/authz/ext-authz/default"} {
		add(v.get(where+text, cookie, who))
	}
	for i, where := range []string{"forward-auth", "auth-request", "challenge"} {
		s := v.get("/_vipps/authz/"+where, cookie, who)
		about := v.question(text)
		s.lines = append(slices.DeleteFunc(s.lines, func(line string) bool {
			return strings.HasPrefix(line, "X-Forwarded-Uri:") || strings.HasPrefix(line, "X-Original-URL:")
		}), about[3], about[5])
		s.where = fmt.Sprintf("%s about it (%d)", where, i)
		add(v.write(s))
	}
	return shots
}

// redirectShots has a login, a logout and a question come back to an address.
func (v visitor) redirectShots(l hostileLine, session bool) (shots []shot) {
	text := v.fill(l, session)
	cookie, who := v.own(session)
	for _, where := range []string{"/_vipps/login?rd=", "/_vipps/logout?rd=", "/_vipps/result?rd=", "/_vipps/callback?rd="} {
		shots = append(shots, v.get(where+url.QueryEscape(text), cookie, who))
	}
	if strings.ContainsAny(text, "\x00\r\n") {
		return shots
	}
	s := v.get("/_vipps/authz/forward-auth", cookie, who, "X-Forwarded-Prefix: "+text)
	s.where += " with it as a prefix"
	return append(shots, s, v.get("/protected", cookie, who, "Referer: "+text))
}

// wholeShots sends whole requests, to each endpoint that they leave open.
func (v visitor) wholeShots(l hostileLine, session bool) (shots []shot) {
	cookie, who := v.own(session)
	if cookie != "" {
		cookie = "Cookie: " + cookie + "\r\n"
	}
	for _, where := range endpoints {
		nav := navigating
		if strings.Contains(l.text, "Sec-Fetch-Site: ") {
			nav = strings.Replace(nav, "Sec-Fetch-Site: none\r\n", "", 1)
		}
		text := v.fill(l, session, "{path}", where, "{cookie}", cookie, "{nav}", nav)
		end := "\r\n\r\n"
		if strings.Contains(text, "\r\n\r\n") || strings.HasSuffix(text, "\r\n") {
			end = "\r\n"
		}
		method, _, _ := strings.Cut(text, " ")
		shots = append(shots, shot{where: where, method: method, bytes: text + end, who: who, alone: true})
		if !strings.Contains(l.text, "{path}") {
			break
		}
	}
	return shots
}
