package forwardauth

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	whatwg "github.com/nlnwa/whatwg-url/url"
	"golang.org/x/net/html"
)

// The judge of redirects (invariant I3) reads addresses as browsers do, by the URL Standard, and as Go does: an answer is
// safe if both say so. That it does read them so, Chromium says (integration/redirect_chromium_test.go).

// BrowserOrigin is the origin to which a browser at base goes that is sent to ref: "javascript:" and the like for a scheme
// that has none, and "" for what no browser follows.
func BrowserOrigin(base, ref string) string {
	u, err := whatwg.ParseRef(base, ref)
	if err != nil {
		return ""
	}
	return originOf(u)
}

func originOf(u *whatwg.Url) string {
	switch u.Protocol() {
	case "https:", "http:", "ws:", "wss:", "ftp:":
		return u.Protocol() + "//" + u.Host()
	}
	return u.Protocol()
}

// WaysOff are the addresses in an answer to a request for base that lead anywhere but to what is allowed: origins, and
// single pages of other origins, whose query is free. Every address counts that a browser or a program could follow.
func WaysOff(base string, h http.Header, body string, allowed ...string) (wrong []string) {
	refs := slices.Concat(h["Location"], h["Content-Location"], h["X-Vipps-Login-Url"], h["Sourcemap"])
	for _, name := range []string{"Refresh", "Link"} {
		wrong = append(wrong, h[name]...) // we have no use for them
	}
	if strings.HasPrefix(h.Get("Content-Type"), "application/json") {
		var answer struct {
			LoginURL string `json:"login_url"`
		}
		if json.Unmarshal([]byte(body), &answer) != nil {
			wrong = append(wrong, "a body that is no JSON")
		}
		refs = append(refs, answer.LoginURL)
	}
	if strings.HasPrefix(h.Get("Content-Type"), "text/html") {
		found, elements := pageRefs(body)
		refs, wrong = append(refs, found...), append(wrong, elements...)
	}
	for _, ref := range refs {
		if !stays(base, ref, allowed) {
			wrong = append(wrong, ref)
		}
	}
	return wrong
}

func stays(base, ref string, allowed []string) bool {
	if strings.ContainsFunc(ref, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return false
	}
	browsers, err := whatwg.ParseRef(base, ref)
	if err != nil {
		return false
	}
	from, err := url.Parse(base)
	if err != nil {
		return false
	}
	gos, err := from.Parse(ref)
	if err != nil || gos.User != nil || browsers.Username() != "" {
		return false
	}
	for _, place := range allowed {
		if origin, path, ok := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(place, "https://"), "http://"), "/"); ok {
			if gos.Host == origin && gos.Path == "/"+path && browsers.Host() == origin && browsers.Pathname() == "/"+path {
				return true
			}
			continue
		}
		if originOf(browsers) == place && gos.Scheme+"://"+gos.Host == place {
			return true
		}
	}
	return false
}

// pageRefs are the addresses in a page, those that its forms carry in rd among them, and what must not be in a page at all.
func pageRefs(body string) (refs, wrong []string) {
	tokens := html.NewTokenizer(strings.NewReader(body))
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			return refs, wrong
		case html.StartTagToken, html.SelfClosingTagToken:
			token := tokens.Token()
			attributes := map[string]string{}
			for _, a := range token.Attr {
				attributes[a.Key] = a.Val
				switch {
				case slices.Contains([]string{"href", "action", "src"}, a.Key):
					refs = append(refs, a.Val)
				case strings.HasPrefix(a.Key, "on"), slices.Contains([]string{"formaction", "srcset", "srcdoc", "ping", "data", "poster", "background", "manifest", "http-equiv", "style"}, a.Key):
					wrong = append(wrong, "<"+token.Data+" "+a.Key+">")
				}
			}
			if attributes["name"] == "rd" {
				refs = append(refs, attributes["value"])
			}
			if slices.Contains([]string{"script", "base", "iframe", "frame", "object", "embed", "link", "img", "svg", "math", "template"}, token.Data) {
				wrong = append(wrong, "<"+token.Data+">")
			}
		}
	}
}

// The judge of these tests must know the lines that defeat url.Parse alone.
func TestBrowserOrigin(t *testing.T) {
	t.Parallel()
	for ref, want := range map[string]string{
		"/a":                               "https://app.example",
		"a":                                "https://app.example",
		"//evil.example":                   "https://evil.example",
		`/\evil.example`:                   "https://evil.example",
		"/\t/evil.example":                 "https://evil.example",
		" //evil.example":                  "https://evil.example",
		"\x01//evil.example":               "https://evil.example",
		"http:///evil.example":             "http://evil.example",
		"https:evil.example":               "https://app.example",
		"https://app.example@evil.x/":      "https://evil.x",
		"https://app.example\u3002evil.x/": "https://app.example.evil.x",
		"//evil%E3%80%82example":           "https://evil.example",
		"https://0xcb007107/":              "https://203.0.113.7",
		"HTTPS://APP.EXAMPLE:443/":         "https://app.example",
		"https://app.example:8443/":        "https://app.example:8443",
		"https://app.example%40evil.x/":    "",
		"javascript:alert(1)":              "javascript:",
		"java\nscript:alert(1)":            "javascript:",
		"data:text/html,x":                 "data:",
		"/redirect?to=//evil.example":      "https://app.example",
		"/./\\evil.example":                "https://app.example",
		"https://evil.example\\@app.test":  "https://evil.example",
	} {
		if got := BrowserOrigin("https://app.example/start/x", ref); got != want {
			t.Errorf("BrowserOrigin(%q) = %q, want %q", ref, got, want)
		}
	}
}

// And it must see a way off wherever one is.
func TestWaysOff(t *testing.T) {
	t.Parallel()
	const site, provider = "https://app.example", "https://id.example/auth"
	for body, wrong := range map[string]int{
		`<a href="/x"><form action="/_vipps/login"><input name="rd" value="/a?b">`:      0,
		`<a href="https://id.example/auth?x=1">`:                                        0,
		`<a href="https://id.example/auth/x">`:                                          1,
		`<a href="//evil.example">`:                                                     1,
		`<a href="/&#9;/evil.example">`:                                                 1,
		`<form action="/\evil.example">`:                                                1,
		`<input name="rd" value="https://app.example@evil.example/">`:                   1,
		`<meta http-equiv="refresh" content="0; url=//evil.example">`:                   1,
		`<a href="javascript:alert(1)"><script>location="/x"</script>`:                  2,
		`<a href="http://app.example/"><a href="https://app.example:8443/"><base href>`: 3,
	} {
		if got := WaysOff(site+"/_vipps/login", http.Header{"Content-Type": {"text/html; charset=utf-8"}}, body, site, provider); len(got) != wrong {
			t.Errorf("%s: %q", body, got)
		}
	}
	for name, header := range map[string]http.Header{
		"Location": {"Location": {"//evil.example"}}, "Refresh": {"Refresh": {"0; url=/"}}, "two": {"Location": {"/a", `/\evil.example`}},
		"login URL": {"X-Vipps-Login-Url": {"https://app.example.evil.example/"}}, "JSON": {"Content-Type": {"application/json"}},
		"raw bytes": {"Location": {"/\xe6"}},
	} {
		if got := WaysOff(site+"/", header, `{"login_url":"//evil.example"}`, site); len(got) != 1 {
			t.Errorf("%s: %q", name, got)
		}
	}
}
