package main

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// An output is what a command has written so far.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// A visitor is a person with a browser that has no scripts: it keeps cookies, follows redirects and refreshes, and
// presses buttons.
type visitor struct {
	t      *testing.T
	client *http.Client
	at     *url.URL
	doc    *html.Node
	text   string
}

func newVisitor(t *testing.T) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{DisableKeepAlives: true}
	return &visitor{t: t, client: &http.Client{Jar: jar, Transport: tr, Timeout: 15 * time.Second}}
}

func (v *visitor) open(target string) {
	v.t.Helper()
	v.send(http.MethodGet, target, nil)
}

// send navigates as a browser does, and goes on where the page says so by itself.
func (v *visitor) send(method, target string, form url.Values) {
	v.t.Helper()
	var body io.Reader = http.NoBody
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(v.t.Context(), method, target, body)
	if err != nil {
		v.t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Accept": "text/html", "Accept-Language": "en", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "same-origin",
	} {
		req.Header.Set(name, value)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", req.URL.Scheme+"://"+req.URL.Host)
	}
	res, err := v.client.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	v.at, v.text = res.Request.URL, string(b)
	if v.doc, err = html.Parse(strings.NewReader(v.text)); err != nil {
		v.t.Fatal(err)
	}
	for n := range v.doc.Descendants() {
		if n.Data == "meta" && attribute(n, "http-equiv") == "refresh" {
			_, to, _ := strings.Cut(attribute(n, "content"), "url=")
			v.open(v.resolve(to))
			return
		}
	}
}

func (v *visitor) resolve(ref string) string {
	u, err := v.at.Parse(ref)
	if err != nil {
		v.t.Fatal(err)
	}
	return u.String()
}

// press presses the first button or link whose text matches, with what the form around it holds and set besides.
func (v *visitor) press(pattern string, set ...string) {
	v.t.Helper()
	re := regexp.MustCompile(pattern)
	for n := range v.doc.Descendants() {
		if n.Type != html.ElementNode || n.Data != "button" && n.Data != "a" || !re.MatchString(textOf(n)) {
			continue
		}
		if n.Data == "a" {
			v.open(v.resolve(attribute(n, "href")))
			return
		}
		form := url.Values{}
		f := n.Parent
		for f.Data != "form" {
			f = f.Parent
		}
		for in := range f.Descendants() {
			if in.Data == "input" && (attribute(in, "type") != "checkbox" || has(in, "checked")) {
				form.Set(attribute(in, "name"), attribute(in, "value"))
			}
		}
		if name := attribute(n, "name"); name != "" {
			form.Set(name, attribute(n, "value"))
		}
		for i := 0; i+1 < len(set); i += 2 {
			form.Set(set[i], set[i+1])
		}
		v.send(http.MethodPost, v.resolve(attribute(f, "action")), form)
		return
	}
	v.t.Fatalf("nothing to press that says %q at %s:\n%s", pattern, v.at, v.text)
}

func (v *visitor) sees(parts ...string) {
	v.t.Helper()
	for _, p := range parts {
		if !regexp.MustCompile(p).MatchString(v.text) {
			v.t.Fatalf("no %q at %s:\n%s", p, v.at, v.text)
		}
	}
}

// confirmNumber presses, on the phone, the number that the page shows.
func (v *visitor) confirmNumber() {
	v.t.Helper()
	for n := range v.doc.Descendants() {
		if n.Data == "p" && attribute(n, "class") == "challenge" {
			v.press("^" + textOf(n) + "$")
			return
		}
	}
	v.t.Fatalf("no number at %s:\n%s", v.at, v.text)
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}

func textOf(n *html.Node) string {
	var s strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			s.WriteString(c.Data)
		}
	}
	return strings.TrimSpace(s.String())
}

// TestDemo clicks through what the demo tells to click.
func TestDemo(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var stdout, stderr output
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"demo", "--port=0", "--ops-port=0", "--emulator-port=0", "--app-port=0"}, nil, &stdout, &stderr)
	}()
	var site string
	for deadline := time.Now().Add(15 * time.Second); site == ""; time.Sleep(5 * time.Millisecond) {
		if m := regexp.MustCompile(`Open  (\S+)`).FindStringSubmatch(stdout.String()); m != nil {
			site = m[1]
		}
		if time.Now().After(deadline) {
			t.Fatalf("the demo doesn't start:\n%s\n%s", stdout.String(), stderr.String())
		}
	}

	v := newVisitor(t)
	// Case 1: the first login, silent attempt included, ends at the page asked for, with the name.
	v.open(site + "boats?harbour=7")
	v.press("^Next$", "phone", "90 00 00 01")
	v.confirmNumber()
	v.press("Allow")
	v.sees("Hello, <strong id=\"name\">Åse Ødegård</strong>", `id="sub">emulator-`, `/boats\?harbour=7`, "X-Vipps-Phone-Number</td><td>4790000001")
	if v.at.Path != "/boats" {
		t.Errorf("at %s", v.at)
	}

	// Case 2: the session gone and the browser remembered: back without a click.
	v.press("Forget the session")
	v.sees("Hello, <strong id=\"name\">Åse Ødegård</strong>")

	// Case 3: after a logout the login waits for a click, and asks who goes on.
	v.press("^Log out$")
	v.press("(?i)^log out")
	v.open(site)
	if strings.Contains(v.text, "Hello") {
		t.Fatalf("logged in without a click at %s", v.at)
	}
	v.press("(?i)^log in|^continue")
	v.sees("Åse")
	if strings.Contains(v.text, "Hello") {
		t.Fatalf("nobody was asked who goes on; at %s", v.at)
	}
	v.press("(?i)continue as")
	v.sees("Hello, <strong id=\"name\">Åse Ødegård</strong>")

	// Case 4: another browser, and a person whom allow doesn't list.
	v = newVisitor(t)
	v.open(site)
	v.press("^Next$", "phone", "90 00 00 05")
	v.confirmNumber()
	v.press("Allow")
	v.sees("styret@example.com")
	if strings.Contains(v.text, "Hello") || strings.Contains(v.text, "4790000005") {
		t.Fatalf("not refused, or the number is shown:\n%s", v.text)
	}

	cancel()
	if code := <-done; code != exitOK {
		t.Errorf("exit code %d:\n%s", code, stderr.String())
	}
	for _, secret := range []string{"4790000001", "4790000005", "90000001", "Ødegård"} {
		if strings.Contains(stderr.String(), secret) {
			t.Errorf("the log shows %q:\n%s", secret, stderr.String())
		}
	}
}
