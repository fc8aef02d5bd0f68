package forwardauth_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/html"

	"github.com/vippsauth/vippsauth/forwardauth"
)

func postedForm(more ...string) http.Header {
	h := navigation()
	h.Set("Sec-Fetch-Site", "same-origin")
	h.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(more); i += 2 {
		h.Set(more[i], more[i+1])
	}
	return h
}

// keptForm is the form that a page holds to be sent again: where it goes, and its fields in order.
func keptForm(t *testing.T, a answer) (action string, fields [][2]string) {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(a.text))
	if err != nil {
		t.Fatal(err)
	}
	for n := range doc.Descendants() {
		values := map[string]string{}
		for _, attribute := range n.Attr {
			values[attribute.Key] = attribute.Val
		}
		switch n.Data {
		case "form":
			action = values["action"]
		case "input":
			fields = append(fields, [2]string{values["name"], values["value"]})
		}
	}
	return action, fields
}

// A form of the site's own that is posted without a session comes back in the page, and nowhere else.
func TestSec_B105_PostedFormIsKeptInThePage(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	b := l.browser()
	body := "navn=%C3%85se+%C3%98deg%C3%A5rd&valg=b&valg=a&tekst=linje+1%0D%0A%22%3C%2Ftextarea%3E%22&tom=&submit=Send"
	a := b.send(http.MethodPost, "/order/7?step=2&step=3", postedForm("Referer", l.site.URL+"/order/7"), body)
	action, fields := keptForm(t, a)
	want := [][2]string{
		{"navn", "Åse Ødegård"},
		{"valg", "b"},
		{"valg", "a"},
		{"tekst", "linje 1\n\"</textarea>\""},
		{"tom", ""},
		{"submit", "Send"},
	}
	if diff := cmp.Diff(want, fields); diff != "" || action != "/order/7?step=2&step=3" {
		t.Errorf("to %q: %s", action, diff)
	}
	if a.StatusCode != http.StatusUnauthorized || a.Header.Get("Cache-Control") != "no-store" || len(a.Header["Set-Cookie"]) > 0 || len(b.own()) > 0 {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
	// The form's own page is where the login in the new tab ends, and the POST that follows says where it comes from.
	if !strings.Contains(a.text, l.site.URL+"/_vipps/login?rd=%2Forder%2F7\"") || a.Header.Get("Referrer-Policy") != "same-origin" {
		t.Errorf("%s: %s", a.Header.Get("Referrer-Policy"), a.text)
	}
	if l.hits() != 0 {
		t.Error("the app got it")
	}
	for _, entry := range l.log.All() {
		if line := fmt.Sprint(entry.Message, entry.ContextMap()); strings.Contains(line, "linje") || strings.Contains(line, "navn") || strings.Contains(line, "degård") {
			t.Errorf("the log has the form: %s", line)
		}
	}

	// Without a session the same page again, with one the app gets it.
	if _, again := keptForm(t, b.send(http.MethodPost, "/order/7?step=2&step=3", postedForm(), body)); cmp.Diff(fields, again) != "" {
		t.Errorf("sent again without a session: %v", again)
	}
	if a := l.loggedIn(phoneAase).send(http.MethodPost, "/order/7?step=2&step=3", postedForm(), body); a.StatusCode != http.StatusOK {
		t.Errorf("with a session: %d", a.StatusCode)
	}
}

// Attack: another site posts a forged form while its victim has no session, and hopes that our page turns it into one of
// the site's own. And whatever can't be sent again as it was gets the page that says how to.
func TestSec_C052_FormsThatAreNotKept(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	b := l.browser()
	const body = "pay=all&to=evil"
	without := func(name string) http.Header {
		h := postedForm()
		h.Del(name)
		return h
	}
	for name, test := range map[string]struct {
		header http.Header
		path   string
		body   string
	}{
		"cross-site":            {header: postedForm("Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")},
		"cross-site, lying":     {header: postedForm("Sec-Fetch-Site", "cross-site", "Origin", l.site.URL, "Referer", l.site.URL+"/")},
		"a sibling subdomain":   {header: postedForm("Sec-Fetch-Site", "same-site")},
		"from nowhere":          {header: postedForm("Sec-Fetch-Site", "none")},
		"doesn't say":           {header: without("Sec-Fetch-Site")},
		"another Origin":        {header: func() http.Header { h := without("Sec-Fetch-Site"); h.Set("Origin", "null"); return h }()},
		"files":                 {header: postedForm("Content-Type", "multipart/form-data; boundary=x"), body: "--x\r\nContent-Disposition: form-data; name=\"pay\"\r\n\r\nall\r\n--x--\r\n"},
		"plain text":            {header: postedForm("Content-Type", "text/plain")},
		"no type":               {header: without("Content-Type")},
		"latin-1":               {header: postedForm(), body: "pay=%E6%F8%E5"},
		"too large":             {header: postedForm(), body: "pay=" + strings.Repeat("x", 64<<10)},
		"too many fields":       {header: postedForm(), body: strings.Repeat("pay=1&", 501) + "z=1"},
		"an address not for us": {header: postedForm(), path: "/%5Cevil.example/pay"},
		"a very long address":   {header: postedForm(), path: "/pay?" + strings.Repeat("x", 3000)},
		"is no form":            {header: postedForm(), body: `{"pay":"all"}`},
	} {
		t.Run(name, func(t *testing.T) {
			if test.body == "" {
				test.body = body
			}
			if test.path == "" {
				test.path = "/pay"
			}
			a := b.send(http.MethodPost, test.path, test.header, test.body)
			if a.StatusCode != http.StatusUnauthorized || !strings.Contains(a.text, "Nothing was sent") || strings.Contains(a.text, "<form") || strings.Contains(a.text, "pay=") || strings.Contains(a.text, `"pay"`) {
				t.Errorf("%d %s", a.StatusCode, a.text)
			}
		})
	}
	// A login doesn't help the form of another site, and no page of ours says so.
	asked := l.judged("/pay")
	asked.Set("X-Forwarded-Method", "POST")
	asked.Set("Sec-Fetch-Site", "cross-site")
	for _, a := range []answer{
		b.send(http.MethodPost, "/pay", postedForm("Sec-Fetch-Site", "cross-site"), body), b.send(http.MethodGet, "/_vipps/authz/forward-auth", asked, ""),
	} {
		if a.StatusCode != http.StatusUnauthorized || !strings.Contains(a.text, "came from another site") || strings.Contains(a.text, "/_vipps/login") {
			t.Errorf("%d %s", a.StatusCode, a.text)
		}
	}
	for _, method := range []string{http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if a := b.send(method, "/pay", postedForm(), body); strings.Contains(a.text, "<form") {
			t.Errorf("%s: %d %s", method, a.StatusCode, a.text)
		}
	}
	// A script's POST gets what scripts get.
	if a := b.send(http.MethodPost, "/pay", postedForm("Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"), body); a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("a fetch: %d %s", a.StatusCode, a.text)
	}
	// Where a proxy asks, there is no body.
	asked.Set("Sec-Fetch-Site", "same-origin")
	asked.Set("Content-Type", "application/x-www-form-urlencoded")
	if a := b.send(http.MethodPost, "/_vipps/authz/forward-auth", asked, body); a.StatusCode != http.StatusUnauthorized || strings.Contains(a.text, "<form") {
		t.Errorf("forward-auth: %d %s", a.StatusCode, a.text)
	}
	if l.hits() != 0 {
		t.Error("the app was asked")
	}
}

// A form that is only a button, and one whose length nobody said, are kept too.
func TestSec_B108_EmptyAndChunkedForms(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) { c.SiteName = "The club" })
	head := "POST /x HTTP/1.1\r\nHost: " + l.site.Listener.Addr().String() + "\r\nAccept-Language: en\r\nConnection: close\r\n" +
		"Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\n"
	for name, rest := range map[string]string{
		"empty": "Content-Length: 0\r\n\r\n", "no length": "\r\n", "chunked": "Transfer-Encoding: chunked\r\n\r\n3\r\na=1\r\n0\r\n\r\n",
	} {
		w, body := rawAnswer(t, l, head+rest, 3*time.Second)
		if w.StatusCode != http.StatusUnauthorized || !strings.Contains(body, "Send again") || strings.Contains(body, `name="a" value="1"`) != (name == "chunked") {
			t.Errorf("%s: %d %s", name, w.StatusCode, body)
		}
	}
	// A long one is not cut off: half a form is worse than none.
	long := strings.Repeat("x", 64<<10)
	if w, body := rawAnswer(t, l, head+"Transfer-Encoding: chunked\r\n\r\n10002\r\na="+long+"\r\n0\r\n\r\n", 3*time.Second); w.StatusCode != http.StatusUnauthorized || strings.Contains(body, "<form") {
		t.Errorf("a long one: %d, %d bytes", w.StatusCode, len(body))
	}
	// Attack: a thousand forms that never end. Each is answered within the time that a refused body has.
	begun := time.Now()
	w, body := rawAnswer(t, l, head+"Content-Length: 1000\r\n\r\na=", 12*time.Second)
	if took := time.Since(begun); w.StatusCode != http.StatusUnauthorized || strings.Contains(body, "<form") || took > 10*time.Second {
		t.Errorf("%d after %s: %s", w.StatusCode, took, body)
	}
}

// rawAnswer sends bytes as they are and reads the whole answer.
func rawAnswer(t *testing.T, l *lab, request string, patience time.Duration) (*http.Response, string) {
	t.Helper()
	w, body, err := l.rawBody(request, patience)
	if err != nil {
		t.Fatal(err)
	}
	return w, body
}

// Frames of the site itself keep their form as well, in a page that no other site can frame.
func TestKeptFormInAFrame(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	a := l.browser().send(http.MethodPost, "/x", postedForm("Sec-Fetch-Dest", "iframe"), "a=1")
	if _, fields := keptForm(t, a); len(fields) != 1 || !strings.Contains(a.Header.Get("Content-Security-Policy"), "frame-ancestors 'self'") {
		t.Errorf("%d %v %s", a.StatusCode, a.Header, a.text)
	}
}
