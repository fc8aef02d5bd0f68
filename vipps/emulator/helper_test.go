package emulator_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/html"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	callback  = "http://localhost:1/_vipps/callback"
	verifier  = "RuzfVVEowM_e9wkyTjNCmCz4PKL4MOh2FACGhGRsAq4" // the documents' example
	state     = "8652682f-ba1d-4719-b1ec-8694ba97bde7"
	nonce     = "cd9f84ed-7f01-4e7c-9d9a-61b8f6a7a4a7"
	allScopes = "openid name phoneNumber email address birthDate gender nin"

	aase  = "4790000001"
	young = "4790000007"
)

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// clock is a clock that stands still until it is moved.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func newClock() *clock { return &clock{t: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)} }

// start serves an emulator with the clients "shop" (basic) and "other" (post, advanced).
func start(t *testing.T, change func(*emulator.Config)) *emulator.Server {
	t.Helper()
	cfg := emulator.Config{
		Now: newClock().Now,
		Clients: []emulator.Client{
			{ID: "shop", Secret: "testdzlJbUZaM1lqODlnUUtrUHI=", Name: "Eksempelbutikken", RedirectURIs: []string{callback, callback + "?a=b"}},
			{ID: "other", Secret: "s:p%c+l =", RedirectURIs: []string{callback}, AuthMethod: emulator.AuthPost, Advanced: true},
		},
	}
	if change != nil {
		change(&cfg)
	}
	s, err := emulator.Start("127.0.0.1:0", cfg)
	if err != nil {
		t.Fatalf("starting the emulator: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the emulator: %v", err)
		}
	})
	return s
}

// browser is a browser: cookies, redirects, forms. It stops where a redirect leaves the emulator.
type browser struct {
	t      *testing.T
	base   string
	client *http.Client
	lang   string
}

func newBrowser(t *testing.T, s *emulator.Server) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	b := &browser{t: t, base: s.URL, lang: "en"}
	b.client = &http.Client{Jar: jar, Transport: tr, Timeout: 20 * time.Second, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if !strings.HasPrefix(r.URL.String(), s.URL) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	return b
}

// page is an answer that a browser got, with its forms.
type page struct {
	status int
	header http.Header
	body   string
	url    *url.URL
	back   *url.URL // where it leaves to, when it does
	forms  []form
	texts  string
	meta   string // content of the meta refresh
}

type form struct {
	action  string
	values  url.Values // hidden and typed fields, ticked boxes
	boxes   map[string]bool
	buttons []button
}

type button struct{ name, value, text string }

func (b *browser) get(path string) *page {
	b.t.Helper()
	return b.do(http.MethodGet, path, nil, nil)
}

func (b *browser) do(method, path string, body url.Values, header http.Header) *page {
	b.t.Helper()
	if strings.HasPrefix(path, "/") {
		path = b.base + path
	}
	var rd io.Reader
	if body != nil {
		rd = strings.NewReader(body.Encode())
	}
	req, err := http.NewRequestWithContext(b.t.Context(), method, path, rd)
	if err != nil {
		b.t.Fatal(err)
	}
	if b.lang != "" {
		req.Header.Set("Accept-Language", b.lang)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", b.base)
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for k, v := range header {
		req.Header[k] = v
	}
	resp, err := b.client.Do(req)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	return readPage(b.t, resp)
}

func readPage(t *testing.T, resp *http.Response) *page {
	t.Helper()
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	p := &page{status: resp.StatusCode, header: resp.Header, body: string(raw), url: resp.Request.URL}
	if loc := resp.Header.Get("Location"); loc != "" {
		if p.back, err = url.Parse(loc); err != nil {
			t.Fatalf("Location %q: %v", loc, err)
		}
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		root, err := html.Parse(strings.NewReader(p.body))
		if err != nil {
			t.Fatal(err)
		}
		p.read(root, nil)
	}
	return p
}

func attr(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

func text(n *html.Node) string {
	if n.Type == html.TextNode {
		return n.Data
	}
	var s strings.Builder
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		s.WriteString(text(c))
	}
	return s.String()
}

func (p *page) read(n *html.Node, f *form) {
	if n.Type == html.TextNode {
		p.texts += n.Data
	}
	if n.Type == html.ElementNode {
		name, _ := attr(n, "name")
		value, _ := attr(n, "value")
		switch n.Data {
		case "form":
			action, _ := attr(n, "action")
			p.forms = append(p.forms, form{action: action, values: url.Values{}, boxes: map[string]bool{}})
			f = &p.forms[len(p.forms)-1]
		case "meta":
			if he, _ := attr(n, "http-equiv"); he == "refresh" {
				p.meta, _ = attr(n, "content")
			}
		case "button":
			f.buttons = append(f.buttons, button{name, value, strings.TrimSpace(text(n))})
		case "input":
			typ, _ := attr(n, "type")
			_, checked := attr(n, "checked")
			if typ == "checkbox" {
				f.boxes[name] = checked
			}
			if typ != "checkbox" || checked {
				f.values.Set(name, value)
			}
		}
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		p.read(c, f)
	}
}

// form finds the form that posts to an action's last segment.
func (p *page) form(t *testing.T, action string) form {
	t.Helper()
	for _, f := range p.forms {
		if strings.HasSuffix(f.action, "/"+action) {
			return f
		}
	}
	t.Fatalf("no form %q on the page of %s:\n%s", action, p.url, p.texts)
	return form{}
}

// submit posts a form with changes.
func (b *browser) submit(p *page, action string, set ...string) *page {
	b.t.Helper()
	f := p.form(b.t, action)
	v := url.Values{}
	for k := range f.values {
		v[k] = f.values[k]
	}
	for i := 0; i < len(set); i += 2 {
		v.Set(set[i], set[i+1])
	}
	return b.do(http.MethodPost, f.action, v, nil)
}

// login clicks through all pages as a person; remember ticks the box.
func (b *browser) login(authorize, phone string, remember bool) *page {
	b.t.Helper()
	p := b.get(authorize)
	set := []string{"phone", phone}
	if remember {
		set = append(set, "remember", "on")
	}
	p = b.submit(p, "phone", set...)
	p = b.confirm(p)
	if p.back == nil {
		p = b.submit(p, "consent")
	}
	return p
}

// confirm chooses the number that the page shows.
func (b *browser) confirm(p *page) *page {
	b.t.Helper()
	return b.submit(p, "challenge", "choice", shownNumber(b.t, p))
}

func shownNumber(t *testing.T, p *page) string {
	t.Helper()
	_, rest, ok := strings.Cut(p.body, `<p class="challenge">`)
	number, _, ok2 := strings.Cut(rest, "<")
	if !ok || !ok2 {
		t.Fatalf("no number on the page:\n%s", p.texts)
	}
	return number
}

// authorizeURL is a good authorize request of "shop", with changes: name, value, …; a value "-" leaves the parameter out.
func authorizeURL(s *emulator.Server, set ...string) string {
	q := url.Values{
		"client_id": {"shop"}, "response_type": {"code"}, "scope": {allScopes}, "state": {state}, "nonce": {nonce},
		"redirect_uri": {callback}, "code_challenge": {challenge()}, "code_challenge_method": {"S256"}, "market": {"NO"},
	}
	for i := 0; i < len(set); i += 2 {
		if set[i+1] == "-" {
			q.Del(set[i])
		} else {
			q.Set(set[i], set[i+1])
		}
	}
	return s.Issuer + "oauth2/auth?" + q.Encode()
}

// code logs aase in without pages and gives the code.
func code(t *testing.T, s *emulator.Server, set ...string) string {
	t.Helper()
	if err := s.Control().AutoApprove(aase); err != nil {
		t.Fatal(err)
	}
	p := newBrowser(t, s).get(authorizeURL(s, set...))
	if p.back == nil || p.back.Query().Get("code") == "" {
		t.Fatalf("no code: %d %v\n%s", p.status, p.back, p.texts)
	}
	return p.back.Query().Get("code")
}

// answer is an answer of the API.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) json(t *testing.T) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(a.body), &m); err != nil {
		t.Fatalf("no JSON: %v\n%s", err, a.body)
	}
	return m
}

func call(t *testing.T, method, url, body string, header http.Header) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	if h := header.Get("Host"); h != "" {
		req.Host = h
		req.Header.Del("Host")
	}
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr, Timeout: 20 * time.Second}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(raw)}
}

// token sends a good token request for a code, with changes as in authorizeURL.
func token(t *testing.T, s *emulator.Server, code string, set ...string) answer {
	t.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
	for i := 0; i < len(set); i += 2 {
		if set[i+1] == "-" {
			form.Del(set[i])
		} else {
			form.Set(set[i], set[i+1])
		}
	}
	return call(t, http.MethodPost, s.Issuer+"oauth2/token", form.Encode(), http.Header{
		"Content-Type":  {"application/x-www-form-urlencoded"},
		"Authorization": {basic("shop", "testdzlJbUZaM1lqODlnUUtrUHI=")},
	})
}

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
}

func userinfo(t *testing.T, s *emulator.Server, access string) answer {
	t.Helper()
	return call(t, http.MethodGet, s.URL+"/vipps-userinfo-api/userinfo", "", http.Header{"Authorization": {"Bearer " + access}})
}

// claims decodes the payload of a JWT without judging it.
func claims(t *testing.T, jwt string) map[string]any {
	t.Helper()
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWT: %q", jwt)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	return answer{body: string(raw)}.json(t)
}
