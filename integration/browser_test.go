package integration_test

import (
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// browser is a person's browser without scripts: it keeps cookies, says what it is doing, and takes redirects one at a
// time, so that each can be looked at.
type browser struct {
	t      testing.TB
	jar    http.CookieJar
	client *http.Client
	trail  []*url.URL // of the last visit: every address it came by
	made   []string   // every Set-Cookie line so far
	secret *secrets   // what of all this no log may hold
	site   func(*url.URL) bool
}

func (f *front) browser() *browser {
	f.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		f.t.Fatal(err)
	}
	tr := f.transport()
	b := &browser{t: f.t, jar: jar, secret: f.secrets, site: f.isSite}
	b.client = &http.Client{
		Jar: jar, Transport: tr, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return b
}

// answer is a response, read to its end.
type answer struct {
	*http.Response
	text string
}

// words are what a person reads of a page, for messages.
func (a answer) words() string {
	doc, err := html.Parse(strings.NewReader(a.text))
	if err != nil {
		return a.text
	}
	if body := find(doc, func(n *html.Node) bool { return n.Data == "main" || n.Data == "body" }); body != nil {
		return tail(strings.Join(strings.Fields(textOf(body)), " "), 600)
	}
	return tail(a.text, 600)
}

// What browsers say when a person opens a page, and when a script asks for something.
func navigation() http.Header {
	return http.Header{
		"Accept": {"text/html,*/*;q=0.8"}, "Accept-Language": {"en"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"},
		"Sec-Fetch-Site": {"none"},
	}
}

func fetching() http.Header {
	return http.Header{"Accept": {"*/*"}, "Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}, "Sec-Fetch-Site": {"same-origin"}}
}

// with is h with other values for some names.
func with(h http.Header, pairs ...string) http.Header {
	h = maps.Clone(h)
	for i := 0; i < len(pairs); i += 2 {
		h[pairs[i]] = append(slices.Clone(h[pairs[i]]), pairs[i+1])
	}
	return h
}

// send sends one request, with header names as they are written, and follows nothing.
func (b *browser) send(method, target string, h http.Header, body io.Reader) answer {
	b.t.Helper()
	if body == nil {
		body = http.NoBody
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, target, body)
	if err != nil {
		b.t.Fatal(err)
	}
	maps.Copy(r.Header, h)
	w, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer w.Body.Close()
	a := answer{w, readAll(b.t, w.Body)}
	b.note(r.URL, w)
	if b.site != nil && b.site(r.URL) {
		privacy.answer(b.t.Name(), w, a.text)
	}
	return a
}

// note keeps what has passed: the cookies as they were set, and what must stay out of logs.
func (b *browser) note(u *url.URL, w *http.Response) {
	b.made = append(b.made, w.Header["Set-Cookie"]...)
	for _, c := range w.Cookies() {
		b.secret.add("cookie "+c.Name, c.Value)
	}
	addresses := []*url.URL{u}
	if to, err := w.Location(); err == nil {
		addresses = append(addresses, to)
	}
	for _, a := range addresses {
		for _, name := range []string{"code", "state", "nonce"} {
			b.secret.add(name, a.Query().Get(name))
		}
	}
}

// open navigates to an address and goes where redirects lead.
func (b *browser) open(target string) answer {
	b.t.Helper()
	return b.follow(b.send(http.MethodGet, target, navigation(), nil))
}

func (b *browser) follow(a answer) answer {
	b.t.Helper()
	b.trail = []*url.URL{a.Request.URL}
	for range 30 {
		to, err := a.Location()
		if refresh := metaRefresh.FindStringSubmatch(a.text); refresh != nil && a.StatusCode == http.StatusOK {
			to, err = a.Request.URL.Parse(html.UnescapeString(refresh[1]))
		} else if a.StatusCode < 300 || a.StatusCode > 399 {
			return a
		}
		if err != nil {
			b.t.Fatal(err)
		}
		b.trail = append(b.trail, to)
		a = b.send(http.MethodGet, to.String(), navigation(), nil)
	}
	b.t.Fatalf("more than 30 redirects: %v", b.trail)
	return a
}

// metaRefresh is how the emulator's spinner goes on, without a script.
var metaRefresh = regexp.MustCompile(`<meta http-equiv="refresh" content="[0-9]+; ?url=([^"]+)"`)

// chooseNumber answers the number challenge: the button with the number that the page shows.
func (b *browser) chooseNumber(page answer) answer {
	b.t.Helper()
	shown := regexp.MustCompile(`class="challenge">([0-9]+)<`).FindStringSubmatch(page.text)
	if shown == nil {
		b.t.Fatalf("%s shows no number: %s", page.Request.URL, page.words())
	}
	return b.press(page, "^"+shown[1]+"$")
}

// press does what a click on the first button or link does whose text matches; a form goes with further values.
func (b *browser) press(page answer, pattern string, set ...string) answer {
	b.t.Helper()
	doc, err := html.Parse(strings.NewReader(page.text))
	if err != nil {
		b.t.Fatal(err)
	}
	button := find(doc, func(n *html.Node) bool {
		return (n.Data == "button" || n.Data == "a") && regexp.MustCompile(pattern).MatchString(textOf(n))
	})
	if button == nil {
		b.t.Fatalf("%d at %v has no button %q: %s", page.StatusCode, b.trail, pattern, page.words())
	}
	if button.Data == "a" {
		to, err := page.Request.URL.Parse(attribute(button, "href"))
		if err != nil {
			b.t.Fatal(err)
		}
		return b.open(to.String())
	}
	form := button
	for form.Data != "form" {
		form = form.Parent
	}
	values := url.Values{}
	for in := range form.Descendants() {
		if in.Data == "input" && attribute(in, "name") != "" {
			values.Set(attribute(in, "name"), attribute(in, "value"))
		}
	}
	if name := attribute(button, "name"); name != "" {
		values.Set(name, attribute(button, "value"))
	}
	for i := 0; i < len(set); i += 2 {
		values.Set(set[i], set[i+1])
	}
	to, err := page.Request.URL.Parse(attribute(form, "action"))
	if err != nil {
		b.t.Fatal(err)
	}
	return b.follow(b.post(to.String(), values))
}

// post sends a form as a page of the same site does.
func (b *browser) post(target string, form url.Values) answer {
	b.t.Helper()
	h := navigation()
	h.Set("Sec-Fetch-Site", "same-origin")
	h.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.send(http.MethodPost, target, h, strings.NewReader(form.Encode()))
}

func find(doc *html.Node, is func(*html.Node) bool) *html.Node {
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode && is(n) {
			return n
		}
	}
	return nil
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func textOf(n *html.Node) string {
	var text strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			text.WriteString(d.Data)
		}
	}
	return strings.TrimSpace(text.String())
}

// asked gives the authorization requests of the last visit: those with a redirect_uri.
func (b *browser) asked() []url.Values {
	var asked []url.Values
	for _, u := range b.trail {
		if q := u.Query(); q.Has("redirect_uri") {
			asked = append(asked, q)
		}
	}
	return asked
}

// cookies gives what this browser sends to a site.
func (b *browser) cookies(origin string) []*http.Cookie {
	u, err := url.Parse(origin)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.jar.Cookies(u)
}

// forget drops the cookies of a site whose names match.
func (b *browser) forget(origin, pattern string) int {
	u, err := url.Parse(origin)
	if err != nil {
		b.t.Fatal(err)
	}
	n := 0
	for _, c := range b.jar.Cookies(u) {
		if regexp.MustCompile(pattern).MatchString(c.Name) {
			c.MaxAge, c.Path, c.Secure, n = -1, "/", u.Scheme == "https", n+1
			b.jar.SetCookies(u, []*http.Cookie{c})
		}
	}
	return n
}
