//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/html"
)

const (
	sessionCookie = "vippsauth"
	ourPages      = "/_vipps/"
	patience      = 40 * time.Second // longer than anybody's deadline
)

// browser is a person's browser without scripts. It takes redirects one at a time, and gives up on some requests halfway.
type browser struct {
	stage  *stage
	report *report
	origin *url.URL
	jar    *cookiejar.Jar
	client *http.Client
	tr     *http.Transport

	mu       sync.Mutex
	trail    []string
	owner    int
	sessions int       // that it was given
	given    time.Time // when it asked for the last of them
}

// page is an answer, read to its end.
type page struct {
	status int
	url    *url.URL
	header http.Header
	text   string
}

// newBrowser makes the browser of the computer with a number. Each computer has an address of its own.
func newBrowser(s *stage, r *report, number int) (*browser, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	origin, err := url.Parse(s.origin)
	if err != nil {
		return nil, err
	}
	d := &net.Dialer{Timeout: 10 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(number/250), byte(number%250+1))}}
	tr := &http.Transport{
		MaxIdleConnsPerHost: 4, IdleConnTimeout: 20 * time.Second, DisableCompression: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			return d.DialContext(ctx, network, "127.0.0.1:"+port)
		},
	}
	b := &browser{stage: s, report: r, origin: origin, jar: jar, tr: tr, owner: -1}
	b.client = &http.Client{Jar: jar, Transport: tr, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return b, nil
}

// What browsers say when a person opens a page, and when a script asks for something.
func navigation() http.Header {
	return http.Header{
		"Accept": {"text/html,*/*;q=0.8"}, "Accept-Language": {"en"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Site": {"same-origin"},
	}
}

func fetching() http.Header {
	return http.Header{"Accept": {"*/*"}, "Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}, "Sec-Fetch-Site": {"same-origin"}}
}

var errGaveUp = errors.New("the person gave up")

// ask sends one request and follows nothing. One in thirty is given up on after some milliseconds.
func (b *browser) ask(ctx context.Context, method, target string, h http.Header, form url.Values) (*page, error) {
	asking, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	if rand.IntN(30) == 0 {
		defer time.AfterFunc(time.Duration(rand.ExpFloat64()*float64(4*time.Millisecond)), func() { giveUp(errGaveUp) }).Stop()
	}
	var body io.Reader = http.NoBody
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(asking, method, target, body)
	if err != nil {
		return nil, err
	}
	maps.Copy(r.Header, h)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	ours := r.URL.Host == b.origin.Host
	if ours {
		b.mu.Lock()
		r.Header.Set(headerOwner, strconv.Itoa(b.owner))
		b.mu.Unlock()
		b.report.count(&b.report.requests)
	}
	begin := time.Now()
	w, err := b.client.Do(r)
	if err != nil {
		return nil, b.lost(r, context.Cause(asking), err)
	}
	defer w.Body.Close()
	if ours {
		b.noteSession(w, begin)
	}
	text, err := io.ReadAll(w.Body)
	b.note("%s %s: %d%s", method, where(r.URL), w.StatusCode, to(w))
	if err != nil {
		return nil, b.lost(r, context.Cause(asking), err)
	}
	if ours {
		b.report.answered(w.StatusCode)
	}
	return &page{w.StatusCode, r.URL, w.Header, string(text)}, nil
}

// lost counts a request without an answer.
func (b *browser) lost(r *http.Request, cause, err error) error {
	if errors.Is(cause, errGaveUp) {
		b.note("%s %s: given up", r.Method, where(r.URL))
		b.report.count(&b.report.givenUp)
		return errGaveUp
	}
	b.note("%s %s: no answer", r.Method, where(r.URL))
	b.report.count(&b.report.cut)
	return err
}

// noteSession sees to it that a new session is known of, whatever comes after it.
func (b *browser) noteSession(w *http.Response, asked time.Time) {
	for _, c := range w.Cookies() {
		if c.Name == sessionCookie && c.Value != "" && c.MaxAge >= 0 {
			b.mu.Lock()
			b.sessions, b.given = b.sessions+1, asked
			b.mu.Unlock()
		}
	}
}

func (b *browser) session() (number int, given time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sessions, b.given
}

// belongsTo says who sits here now.
func (b *browser) belongsTo(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.owner = n
}

// note keeps the last steps, without a value of any parameter.
func (b *browser) note(format string, args ...any) {
	const most = 40
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trail = append(b.trail, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
	b.trail = b.trail[max(0, len(b.trail)-most):]
}

func (b *browser) steps() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.trail...)
}

func where(u *url.URL) string {
	var names []string
	for name := range u.Query() {
		names = append(names, name)
	}
	if len(names) == 0 {
		return u.Host + u.Path
	}
	return u.Host + u.Path + "?" + strings.Join(names, "&")
}

func to(w *http.Response) string {
	if u, err := w.Location(); err == nil {
		return " → " + where(u)
	}
	return ""
}

// follow goes where redirects lead.
func (b *browser) follow(ctx context.Context, p *page, err error) (*page, error) {
	for range 25 {
		if err != nil || p.status < 300 || p.status > 399 {
			return p, err
		}
		u, bad := p.url.Parse(p.header.Get("Location"))
		if bad != nil {
			return nil, bad
		}
		p, err = b.ask(ctx, http.MethodGet, u.String(), navigation(), nil)
	}
	return nil, errors.New("more than 25 redirects")
}

// act is a form or a link of a page.
type act struct {
	method, target string
	form           url.Values
	id             string // of the form's own page, or the path that it leads to
}

// do does what a click does.
func (b *browser) do(ctx context.Context, a act) (*page, error) {
	p, err := b.ask(ctx, a.method, a.target, navigation(), a.form)
	return b.follow(ctx, p, err)
}

// acts are the forms and the buttons that are links of a page, in their order. A form with several buttons is there once
// for each.
func (p *page) acts() []act {
	doc, err := html.Parse(strings.NewReader(p.text))
	if err != nil {
		return nil
	}
	var all []act
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch {
		case n.Data == "form":
			all = append(all, p.formActs(n)...)
		case n.Data == "a" && strings.Contains(attribute(n, "class"), "button"):
			if u, err := p.url.Parse(attribute(n, "href")); err == nil {
				all = append(all, act{method: http.MethodGet, target: u.String(), id: u.Path})
			}
		}
	}
	return all
}

func (p *page) formActs(form *html.Node) []act {
	u, err := p.url.Parse(attribute(form, "action"))
	if err != nil {
		return nil
	}
	values := url.Values{}
	var buttons []*html.Node
	for n := range form.Descendants() {
		switch {
		case n.Type != html.ElementNode:
		case n.Data == "button":
			buttons = append(buttons, n)
		case n.Data == "input" && attribute(n, "name") != "" && (attribute(n, "type") != "checkbox" || has(n, "checked")):
			values.Set(attribute(n, "name"), attribute(n, "value"))
		}
	}
	var all []act
	for _, button := range buttons {
		v := maps.Clone(values)
		if name := attribute(button, "name"); name != "" {
			v.Set(name, attribute(button, "value"))
		}
		all = append(all, act{method: http.MethodPost, target: u.String(), form: v, id: u.Path})
	}
	return all
}

func has(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// cookies gives what the browser would send to the site.
func (b *browser) cookies() []*http.Cookie { return b.jar.Cookies(b.origin) }

// forgetProvider is a person who removes the browser in the app: the provider remembers nobody here any more.
func (b *browser) forgetProvider() {
	u := &url.URL{Scheme: "http", Host: b.stage.provider.addr(), Path: "/"}
	for _, c := range b.jar.Cookies(u) {
		b.jar.SetCookies(u, []*http.Cookie{{Name: c.Name, Path: "/", MaxAge: -1}})
	}
}
