package forwardauth

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"
)

// pageSpecimen is one page as it may occur, with a name for sub-tests.
type pageSpecimen struct {
	name string
	page page
}

// pageSpecimens are all kinds of pages, each with all its variants.
func pageSpecimens() []pageSpecimen {
	base := page{
		SiteName: "Havnehagen borettslag", Contact: "styret@havnehagen.example", Reference: "K7QF-2M9P",
		ReturnTo: "/bod/7?side=2&vis=alt", Person: "Kari N.", Token: "t0ken",
	}
	var all []pageSpecimen
	add := func(name string, change func(*page)) {
		p := base
		change(&p)
		all = append(all, pageSpecimen{name, p})
	}
	for _, kind := range slices.Sorted(maps.Keys(pageStatus)) {
		if kind == pageError || kind == pageLoop {
			continue
		}
		add(string(kind), func(p *page) { p.Kind = kind })
		add(string(kind)+" bare", func(p *page) { *p = page{Kind: kind} })
	}
	for _, code := range append(slices.Sorted(maps.Keys(pageFaults)), "", "vendor_novelty") {
		add("error "+code, func(p *page) { p.Kind, p.Code = pageError, code })
	}
	for _, code := range []string{"invalid_scope", pageCodeInternal} {
		add("error bare "+code, func(p *page) { *p = page{Kind: pageError, Code: code} })
	}
	for _, cause := range append(slices.Clone(pageLoopCauses), "unknown", "") {
		add("loop "+cause, func(p *page) { p.Kind, p.Cause = pageLoop, cause })
	}
	for _, kind := range []pageKind{pageLogin, pageConfirm} {
		add(string(kind)+" after logout", func(p *page) { p.Kind, p.AfterLogout = kind, true })
	}
	for _, other := range []string{"", "Ola N."} {
		add("confirm landed over "+other, func(p *page) { p.Kind, p.Landed, p.Other, p.Instead = pageConfirm, true, other, "1nstead" })
		add("confirm over "+other, func(p *page) { p.Kind, p.Other, p.Instead = pageConfirm, other, "1nstead" })
	}
	add("confirm landed bare", func(p *page) { *p = page{Kind: pageConfirm, Landed: true} })
	add("confirm landed", func(p *page) { p.Kind, p.Landed = pageConfirm, true })
	add("refused ours", func(p *page) { p.Kind, p.Ours = pageRefused, true })
	add("refused ours bare", func(p *page) { *p = page{Kind: pageRefused, Ours: true} })
	add("too-many", func(p *page) { p.Kind, p.RetryAfter = pageTooMany, 30 })
	for _, seconds := range []int{5, 30, 120, 86400} {
		add(fmt.Sprint("unavailable ", seconds), func(p *page) { p.Kind, p.RetryAfter = pageUnavailable, seconds })
	}
	add("too-large header", func(p *page) { p.Kind, p.Status = pageTooLarge, http.StatusRequestHeaderFieldsTooLarge })
	add("logged-out not kept", func(p *page) { p.Kind, p.NotKept = pageLoggedOut, true })
	add("login mobilepay", func(p *page) { p.Kind, p.Market = pageLogin, "DK" })
	return all
}

// pageGet writes p to a client that asks for lang.
func pageGet(t *testing.T, p page, method, lang string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, "https://app.example/_vipps/result", nil)
	if lang != "" {
		r.Header.Set("Accept-Language", lang)
	}
	w := httptest.NewRecorder()
	p.write(w, r)
	return w.Result()
}

func pageBody(t *testing.T, res *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// pageNodes parses body and calls visit for every element.
func pageNodes(t *testing.T, body string, visit func(*html.Node)) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for node := range root.Descendants() {
		if node.Type == html.ElementNode {
			visit(node)
		}
	}
}

func pageAttr(node *html.Node, name string) string {
	for _, attr := range node.Attr {
		if attr.Key == name {
			return attr.Val
		}
	}
	return ""
}

func pageNodeText(node *html.Node) string {
	var text strings.Builder
	for child := range node.Descendants() {
		if child.Type == html.TextNode {
			text.WriteString(child.Data)
		}
	}
	return text.String()
}

func TestPageEveryKindInEveryLanguage(t *testing.T) {
	t.Parallel()
	for _, specimen := range pageSpecimens() {
		for lang := range pageAssets().Texts {
			t.Run(specimen.name+"/"+lang, func(t *testing.T) {
				t.Parallel()
				res := pageGet(t, specimen.page, http.MethodGet, lang)
				body := pageBody(t, res)
				count := map[string]int{}
				var title, heading string
				pageNodes(t, body, func(node *html.Node) {
					count[node.Data]++
					switch node.Data {
					case "html":
						if got := pageAttr(node, "lang"); got != lang {
							t.Errorf("lang = %q, want %q", got, lang)
						}
					case "title":
						title = pageNodeText(node)
					case "h1":
						heading = pageNodeText(node)
					}
				})
				if count["h1"] != 1 || count["title"] != 1 || count["main"] != 1 || heading == "" {
					t.Errorf("h1 %d, title %d, main %d, heading %q: want one of each", count["h1"], count["title"], count["main"], heading)
				}
				if site := specimen.page.SiteName; !strings.HasSuffix(title, site) || !strings.HasPrefix(title, heading) {
					t.Errorf("title = %q, want heading %q and site %q in it", title, heading, site)
				}
				if !strings.Contains(body, specimen.page.Reference) {
					t.Error("the reference is missing")
				}
				if got, want := res.StatusCode, specimen.page.status(); got != want {
					t.Errorf("status = %d, want %d", got, want)
				}
				for _, left := range []string{"{", "}", "<no value>", "ZgotmplZ"} {
					_, shown, _ := strings.Cut(body, "</style>")
					if strings.Contains(shown, left) {
						t.Errorf("the page holds %q", left)
					}
				}
			})
		}
	}
}

// Attack: a page of ours in somebody else's frame, so that a person clicks in it unawares; or one that tells the next site
// where the person was.
func TestSec_A100_E10_PageHeaders(t *testing.T) {
	t.Parallel()
	for _, specimen := range pageSpecimens() {
		t.Run(specimen.name, func(t *testing.T) {
			t.Parallel()
			res := pageGet(t, specimen.page, http.MethodGet, "nb")
			body := pageBody(t, res)
			referrer := "no-referrer"
			if strings.Contains(body, "<form") {
				referrer = "same-origin"
			}
			style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(body)
			if style == nil {
				t.Fatal("no style element")
			}
			sum := sha256.Sum256([]byte(style[1]))
			frame, ancestors := "DENY", "'none'"
			if specimen.page.Kind == pageResend || specimen.page.Kind == pageKept { // it answers frames of the site itself
				frame, ancestors = "SAMEORIGIN", "'self'"
			}
			want := map[string]string{
				"Content-Type":            "text/html; charset=utf-8",
				"Content-Language":        "nb",
				"Content-Length":          strconv.Itoa(len(body)),
				"Cache-Control":           "no-store",
				"Vary":                    pageVary,
				"Referrer-Policy":         referrer,
				"X-Frame-Options":         frame,
				"X-Content-Type-Options":  "nosniff",
				"Content-Security-Policy": "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; frame-ancestors " + ancestors,
			}
			got := map[string]string{}
			for name := range want {
				got[name] = strings.Join(res.Header.Values(name), " | ")
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
			if specimen.page.Kind != pageUnavailable && specimen.page.Kind != pageTooMany && res.Header.Get("Retry-After") != "" {
				t.Error("Retry-After on a page that isn't about waiting")
			}
		})
	}
}

func TestPageRetryAfter(t *testing.T) {
	t.Parallel()
	res := pageGet(t, page{Kind: pageUnavailable, RetryAfter: 30}, http.MethodGet, "en")
	if got := res.Header.Get("Retry-After"); got != "30" {
		t.Errorf("Retry-After = %q, want 30", got)
	}
	if body := pageBody(t, res); !strings.Contains(body, "in 30 seconds") {
		t.Error("the page doesn't say when to try again")
	}
}

func TestPageHeadHasNoBody(t *testing.T) {
	t.Parallel()
	full := pageGet(t, page{Kind: pageLogin}, http.MethodGet, "nb")
	res := pageGet(t, page{Kind: pageLogin}, http.MethodHead, "nb")
	if body := pageBody(t, res); body != "" {
		t.Errorf("HEAD was answered with %d bytes", len(body))
	}
	if diff := cmp.Diff(full.Header, res.Header); diff != "" {
		t.Errorf("headers of GET and HEAD differ:\n%s", diff)
	}
}

// A visitor plants markup in everything that may reach a page: the path asked for, a name at the provider, an error
// code. It must arrive as text, and never become an element, an attribute or a link with another scheme.
func TestSec_B030_B064_B101_PageEscapes(t *testing.T) {
	t.Parallel()
	hostile := []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `'><svg/onload=alert(1)>`,
		`</title></style><script>alert(1)</script>`, `{{.Token}}{site}{person}`, `javascript:alert(document.domain)//x`,
		`https://a.example/"onmouseover="alert(1)`, `a@b.example"onclick="x`, `<h1>Call +47 22 33 44 55</h1>`,
		"/\t/evil.example", "//evil.example", `/\evil.example`, "/x\"onfocus=alert(1) autofocus=\"", "data:text/html,<b>",
		"\u202egnp.exe\x00\xff\xfe", "tel:+4722334455;phone-context=<x>", "https://user:pw@evil.example/", "\r\nSet-Cookie: a=b",
	}
	for _, specimen := range pageSpecimens() {
		for i, value := range hostile {
			t.Run(fmt.Sprint(specimen.name, "/", i), func(t *testing.T) {
				t.Parallel()
				got, plain := pageShape(t, pageFilledWith(specimen.page, value)), pageShape(t, pageFilledWith(specimen.page, "x"))
				if diff := cmp.Diff(plain.elements, got.elements); diff != "" {
					t.Errorf("the value changed the page's elements (-plain +hostile):\n%s", diff)
				}
				for _, link := range got.links {
					if !pageLinkAllowed.MatchString(link) {
						t.Errorf("link %q", link)
					}
				}
			})
		}
	}
}

// pageLinkAllowed are a path on the site, an http(s) URL without user information, a mail address, a phone number.
var pageLinkAllowed = regexp.MustCompile(`^(/([^/\\\x00-\x1f]|$)|https?://[a-z.]+(/[^@]*)?$|mailto:[^?]+(\?subject=[^&]*)?$|tel:\+?[0-9]+$)`)

// pageFilledWith is p with value in every field; a code or cause that the page has words for stays.
func pageFilledWith(p page, value string) page {
	filled := page{
		Kind: p.Kind, Status: p.Status, AfterLogout: p.AfterLogout, RetryAfter: p.RetryAfter, Code: p.Code, Cause: p.Cause,
		SiteName: value, Contact: value, Market: value, Reference: value, ReturnTo: value, Person: value, Token: value, Other: value, Instead: value, Landed: p.Landed,
		LoginAction: value, LogoutAction: value, ResultAction: value, LoginURL: value,
	}
	if p.Code == "" {
		filled.Code = value
	}
	if p.Cause == "" {
		filled.Cause = value
	}
	return filled
}

type pageShapeOf struct {
	elements []string // names with their attributes' names, but for a contact's link
	links    []string // every href and action
}

func pageShape(t *testing.T, p page) pageShapeOf {
	t.Helper()
	var shape pageShapeOf
	allowed := strings.Fields("html head meta title style body header bdi main h1 p ol li div form input button a footer dl dt dd")
	pageNodes(t, pageBody(t, pageGet(t, p, http.MethodGet, "en")), func(node *html.Node) {
		if !slices.Contains(allowed, node.Data) {
			t.Errorf("element <%s>", node.Data)
		}
		name := node.Data
		for _, attr := range node.Attr {
			switch {
			case strings.HasPrefix(attr.Key, "on"), attr.Key == "style", attr.Key == "autofocus", attr.Key == "src":
				t.Errorf("attribute %s on <%s>", attr.Key, node.Data)
			case attr.Key == "href", attr.Key == "action":
				shape.links = append(shape.links, attr.Val)
			}
			name += " " + attr.Key
		}
		if node.Data == "a" && node.Parent.Data == "bdi" {
			return // a contact is a link or not, as its text has it
		}
		shape.elements = append(shape.elements, name)
	})
	return shape
}
