package forwardauth

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"
)

func TestFormFields(t *testing.T) {
	t.Parallel()
	for body, want := range map[string][]pageField{
		"":                         nil,
		"a=1":                      {{"a", "1"}},
		"a=&a=&b=":                 {{"a", ""}, {"a", ""}, {"b", ""}},
		"b=2&a=1&b=1&submit=Send":  {{"b", "2"}, {"a", "1"}, {"b", "1"}, {"submit", "Send"}},
		"n=%C3%86%C3%98%C3%85+%2B": {{"n", "ÆØÅ +"}},
		"t=one%0D%0A%09two%0D%0A":  {{"t", "one\r\n\ttwo\r\n"}},
		"x%5B%5D=%3C%2Fscript%3E":  {{"x[]", "</script>"}},
		"s=*-._%7E%27":             {{"s", "*-._~'"}},
		"_charset_=UTF-8":          {{"_charset_", "UTF-8"}},
		"e=%F0%9F%9B%B6%E2%80%AE":  {{"e", "\U0001f6f6\u202e"}},
	} {
		got, ok := formFields(body)
		if !ok {
			t.Errorf("%q is not kept", body)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", body, diff)
		}
	}
}

// What would not be sent again byte for byte is not offered to be.
func TestFormFieldsThatAreNotKept(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"no equals sign":        "a",
		"empty pair":            "a=1&&b=2",
		"trailing ampersand":    "a=1&",
		"no name":               "=1",
		"latin-1":               "n=%E6%F8%E5",
		"overlong UTF-8":        "n=%C0%AF",
		"broken escape":         "n=%zz",
		"cut escape":            "n=%4",
		"unescaped text":        "n=æ",
		"escaped for nothing":   "n=%61",
		"lower-case escape":     "n=%c3%a6",
		"space as an escape":    "n=a%20b",
		"NUL":                   "n=%00",
		"control":               "n=%1B",
		"lone LF":               "n=a%0Ab",
		"lone CR":               "n=a%0D",
		"LF CR":                 "n=%0A%0D",
		"raw line end":          "a=1\r\n",
		"lone LF in a name":     "n%0A=1",
		"another charset named": "_charset_=windows-1252&n=1",
		"plain text":            "hello, world",
		"json":                  `{"a":"b=c"}`,
		"too many fields":       strings.TrimSuffix(strings.Repeat("a=1&", maxKeptFields+1), "&"),
	} {
		if fields, ok := formFields(body); ok {
			t.Errorf("%s: kept as %q", name, fields)
		}
	}
	if fields, ok := formFields(strings.TrimSuffix(strings.Repeat("a=1&", maxKeptFields), "&")); !ok || len(fields) != maxKeptFields {
		t.Errorf("%d fields are kept as %d", maxKeptFields, len(fields))
	}
}

func TestPlainForm(t *testing.T) {
	t.Parallel()
	for contentType, want := range map[string]bool{
		"application/x-www-form-urlencoded": true, "Application/X-WWW-Form-Urlencoded; charset=UTF-8": true,
		"application/x-www-form-urlencoded; charset=iso-8859-1": false, "application/x-www-form-urlencoded; boundary=x": false,
		"multipart/form-data; boundary=x": false, "text/plain": false, "application/json": false, "": false, "garbage;;": false,
	} {
		if got := plainForm(http.Header{"Content-Type": {contentType}}); got != want {
			t.Errorf("%q: %t", contentType, got)
		}
	}
	form := []string{"application/x-www-form-urlencoded"}
	for name, h := range map[string]http.Header{
		"none": {}, "doubled": {"Content-Type": {form[0], form[0]}}, "compressed": {"Content-Type": form, "Content-Encoding": {"gzip"}},
		"waits to be asked": {"Content-Type": form, "Expect": {"100-continue"}},
	} {
		if plainForm(h) {
			t.Errorf("%s: a plain form", name)
		}
	}
}

// Whatever is kept comes out of the page as it went in: the page is parsed as a browser does, and its fields are written as
// a browser writes them. And no field becomes anything but the value of a hidden input.
func FuzzSec_B105_KeptForm(f *testing.F) {
	for _, body := range []string{
		"", "a=1&a=2", "n=%C3%85se&t=one%0D%0Atwo", "x=%3C%2Fscript%3E%3Cscript%3Ealert%281%29%3C%2Fscript%3E", "%22%3E%3Cimg+src%3Dx%3E=%22%27%3E",
		"a=%26amp%3B%26%2334%3B", "a=%E2%80%AE%EF%BF%BD%EF%BB%BF", "_charset_=UTF-8", "submit=&action=%2F%2Fevil.example&method=get", "a=%7B%7B.%7D%7D%60",
		"a=%C2%85%C2%A0%E2%80%A8", "a=%0D%0A%0D%0A",
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		if len(body) > 4096 {
			t.Skip("long ones show nothing more")
		}
		fields, ok := formFields(body)
		if !ok {
			return
		}
		p := page{Kind: pageKept, ReturnTo: "/order", Fields: fields}
		var again strings.Builder
		elements := map[string]int{}
		pageNodes(t, pageBody(t, pageGet(t, p, http.MethodGet, "en")), func(node *html.Node) {
			elements[node.Data]++
			if node.Data != "input" {
				return
			}
			if pageAttr(node, "type") != "hidden" || len(node.Attr) != 3 {
				t.Errorf("an input with %v", node.Attr)
			}
			if again.Len() > 0 {
				again.WriteByte('&')
			}
			writeFormPart(&again, sentValue(pageAttr(node, "name")))
			again.WriteByte('=')
			writeFormPart(&again, sentValue(pageAttr(node, "value")))
		})
		if again.String() != body {
			t.Errorf("%q is sent again as %q", body, again.String())
		}
		if elements["form"] != 1 || elements["button"] != 1 || elements["input"] != len(fields) || elements["script"]+elements["img"] > 0 {
			t.Errorf("the page of %q has %v", body, elements)
		}
	})
}

// sentValue is what a form sends of a hidden input's value (HTML, "converting an entry list to a list of name-value pairs").
func sentValue(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\n", "\r\n")
}

func TestFirstPartyPost(t *testing.T) {
	t.Parallel()
	const origin = "https://app.example"
	for i, test := range []struct {
		header http.Header
		want   bool
	}{
		{http.Header{}, false},
		{http.Header{"Sec-Fetch-Site": {"same-origin"}}, true},
		{http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {"null"}}, true}, // the app's pages say no-referrer
		{http.Header{"Sec-Fetch-Site": {"same-site"}, "Origin": {origin}}, false},
		{http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {origin}, "Referer": {origin + "/"}}, false},
		{http.Header{"Sec-Fetch-Site": {"none"}}, false},
		{http.Header{"Sec-Fetch-Site": {"same-origin", "same-origin"}}, false},
		{http.Header{"Origin": {origin}}, true},
		{http.Header{"Origin": {"null"}, "Referer": {origin + "/"}}, false},
		{http.Header{"Origin": {"https://evil.example"}}, false},
		{http.Header{"Referer": {origin + "/form"}}, true},
		{http.Header{"Referer": {origin + ".evil.example/form"}}, false},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			if got := firstPartyPost(&http.Request{Header: test.header}, origin); got != test.want {
				t.Errorf("%v: %t", test.header, got)
			}
		})
	}
}
