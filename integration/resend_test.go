package integration_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// orderForm is a page of an app from before login: every kind of field that a form without files has.
const orderForm = `<!DOCTYPE html><html lang="nb"><meta charset="%s"><title>Bestilling</title><h1>Bestilling</h1>
<form id="order" method="post" action="/order?steg=2"%s>
<input name="navn" id="navn"><input name="valg" value="b"><input name="valg" value="a"><input type="checkbox" name="valg" value="c" checked>
<textarea name="tekst" id="tekst"></textarea><input type="hidden" name="action" value="/elsewhere"><input name="tom" value="">
<input name="tegn" value="&quot;&lt;/form&gt;&amp;amp; {{.}} +%%20~*"><select name="år"><option>2026</option></select>
<button name="submit" value="Send inn">Send inn</button></form>`

const filledIn = "navn=%C3%86rlig+%C3%98deg%C3%A5rd+%E2%82%AC&valg=b&valg=a&valg=c&tekst=F%C3%B8rste+linje%0D%0A%0D%0A++tredje&action=%2Felsewhere&tom=" +
	"&tegn=%22%3C%2Fform%3E%26amp%3B+%7B%7B.%7D%7D+%2B%2520%7E*&%C3%A5r=2026&submit=Send+inn"

// inNewTab presses a link that opens a tab, and gives that tab.
func (c *chromium) inNewTab(press string) *chromium {
	c.t.Helper()
	opened := chromedp.WaitNewTarget(c.ctx, func(info *target.Info) bool { return info.URL != "" })
	c.press(press)
	return c.tab(chromedp.WithTargetID(<-opened))
}

// tab is another tab of the same browser, by default a new one.
func (c *chromium) tab(which ...chromedp.ContextOption) *chromium {
	c.t.Helper()
	ctx, end := chromedp.NewContext(c.ctx, append(which, chromedp.WithListener(c.listen))...)
	c.t.Cleanup(end)
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1280, 900)); err != nil { // the tab is attached to for as long as this context lives
		c.t.Fatal(err)
	}
	return &chromium{t: c.t, ctx: ctx, shots: c.shots}
}

// comeBack shows this tab again.
func (c *chromium) comeBack() {
	c.t.Helper()
	c.do("coming back to the tab", protocol(page.BringToFront, cdp.Empty{}))
}

// fillIn opens the form and writes into it.
func (c *chromium) fillIn(origin string) {
	c.t.Helper()
	c.open(origin + "/form")
	c.sees("Bestilling")
	c.do("filling in the form",
		chromedp.SendKeys(chromedp.CSS("#navn"), "Ærlig Ødegård €"),
		chromedp.Evaluate[chromedp.Void](`document.querySelector("#tekst").value = "Første linje\n\n  tredje"`))
}

// deleteCookies drops every cookie that the browser has, as a clock or an operator's new key would end the session.
func (c *chromium) deleteCookies() {
	c.t.Helper()
	c.do("deleting cookies", protocol(network.ClearBrowserCookies, cdp.Empty{}))
}

// Must show: a form that is posted after the session has ended is not lost. The app gets it once, as it was, from a person
// who is logged in.
func TestChromiumSendsAFormAgain(t *testing.T) {
	t.Parallel()
	for _, site := range sites {
		t.Run(site.name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t)
			f.secrets.add("form", "Ærlig Ødegård")
			f.secrets.add("form", "tredje")
			f.app.handle("/form", func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				fmt.Fprintf(w, orderForm, "utf-8", "")
			})
			site.start(t, f)
			c := startChromium(t)
			for _, w := range []struct{ tag, title, newTab, again string }{
				{"en", "Nothing was sent", "Log in in a new tab", "Send again"},
				{"nb", "Ingenting ble sendt", "Logg inn i en ny fane", "Send på nytt"},
			} {
				c.language(w.tag)
				c.fillIn(f.origin)
				hits := f.app.hits()
				if w.tag == "en" {
					c.deleteCookies()
				} else { // somebody presses Log out in another tab
					other := c.tab()
					other.open(f.origin + "/_vipps/logout")
					other.press("Log out")
					other.sees("You are logged out")
					c.comeBack()
				}
				c.click("#order button")
				c.sees(w.title)
				c.shoot("kept-" + w.tag)
				// Too early: the same page, and nothing is lost.
				c.do("marking the page", chromedp.Evaluate[chromedp.Void](`document.body.id = "before"`))
				c.press(w.again)
				eventually(t, "the page comes again", func() bool {
					return c.text("#before") == "" && strings.Contains(c.text("body"), w.title) && look(c, chromedp.Evaluate[string](`document.readyState`)) == "complete"
				})

				tab := c.inNewTab(w.newTab) // in the language of the browser itself
				if w.tag == "nb" {
					tab.sees("Someone logged out")
					tab.press("Log in with Vipps")
					tab.press("Continue as")
				}
				tab.sees("app: GET / auth=authenticated") // the form's own page isn't known any more
				if got := f.app.postsSince(hits); len(got) > 0 {
					t.Errorf("sent before the person sends it: %+v", got)
				}
				hits = f.app.hits()
				c.comeBack()
				c.press(w.again)
				c.sees("app: POST /order?steg=2 auth=authenticated name=" + nameAase)
				got := f.app.postsSince(hits)
				if len(got) != 1 {
					t.Fatalf("the app got the form %d times", len(got))
				}
				if got[0].URI != "/order?steg=2" || got[0].Body != filledIn || got[0].Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
					t.Errorf("%s with %s\n got %s\nwant %s", got[0].URI, got[0].Header.Get("Content-Type"), got[0].Body, filledIn)
				}
				if got[0].Header.Get("Origin") != f.origin || got[0].Header.Get("Sec-Fetch-Site") != "same-origin" {
					t.Errorf("the app is told that it comes from %q, %q", got[0].Header.Get("Origin"), got[0].Header.Get("Sec-Fetch-Site"))
				}
			}
			c.complaints(f.origin)
		})
	}
}

// Attack: a page elsewhere posts a form to the site, while its victim has no session. Our page must not hold it. The same for
// a form in another encoding, whose bytes the page couldn't give back: a reload sends it again.
func TestSec_C052_ChromiumDoesNotKeepFormsOfOthers(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.app.handle("/form", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=iso-8859-1")
		fmt.Fprintf(w, orderForm, "iso-8859-1", "")
	})
	f.sidecar()
	evil := newFront(t)
	serveOn(t, evil.port(), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		// 127.0.0.1 and localhost are different sites.
		_, _ = io.WriteString(w, `<form method="post" action="`+f.origin+`/pay"><input name="to" value="evil"><button>Win a boat</button></form>`)
	}))
	c := startChromium(t)
	c.open("http://127.0.0.1:" + evil.port() + "/")
	c.press("Win a boat")
	c.sees("The form came from another site")
	c.shoot("foreign-en")
	if html := look(c, chromedp.Evaluate[string](`document.documentElement.outerHTML`)); strings.Contains(html, "<form") || strings.Contains(html, "evil") {
		t.Errorf("the page of a forged form: %s", html)
	}
	// With a session, neither the form nor its reload brings the cookie: the app never gets it.
	c.open(f.origin + "/")
	c.sees("auth=authenticated")
	hits := f.app.hits()
	c.language("nb")
	c.open("http://127.0.0.1:" + evil.port() + "/")
	c.press("Win a boat")
	c.sees("Skjemaet kom fra et annet nettsted")
	c.shoot("foreign-nb")
	c.do("reloading", chromedp.Reload())
	c.sees("Skjemaet kom fra et annet nettsted")
	c.language("en")
	if got := f.app.postsSince(hits); len(got) > 0 {
		t.Errorf("the app got a forged form: %+v", got)
	}

	c.fillIn(f.origin)
	c.deleteCookies()
	c.click("#order button")
	c.sees("Nothing was sent")
	if c.text("form") != "" {
		t.Error("a form in latin-1 is kept")
	}
	tab := c.inNewTab("Log in in a new tab")
	eventually(t, "the login in the new tab is over", func() bool { return tab.text("#order") != "" })
	hits = f.app.hits()
	c.comeBack()
	c.do("reloading", chromedp.Reload())
	c.sees("app: POST /order?steg=2 auth=authenticated")
	if got := f.app.postsSince(hits); len(got) != 1 || !strings.HasPrefix(got[0].Body, "navn=%C6rlig+%D8deg%E5rd") {
		t.Errorf("the app got %d requests: %+v", len(got), got)
	}
	c.complaints(f.origin)
}

// A fragment never reaches a server, and browsers carry it through redirects by themselves: a deep link keeps it where the
// login is redirects only. It is lost where a page is in between, ours or the provider's.
func TestChromiumFragments(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	if err := f.vipps.Control().AutoApprove(""); err != nil {
		t.Fatal(err)
	}
	f.sidecar()
	c := startChromium(t)
	const deep = "/docs?id=7#avsnitt-%C3%A5"
	c.open(f.origin + deep)
	c.login(phoneAase, false, false)
	c.sees("auth=authenticated")
	if at := c.at(); at != f.origin+"/docs?id=7" {
		t.Errorf("after a login with pages: at %s", at)
	}

	c.do("ending the session", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, network.DeleteCookies, network.DeleteCookiesParams{Name: "vippsauth", URL: f.origin})
		return err
	}))
	c.asked()
	c.open("about:blank")
	c.open(f.origin + deep)
	c.sees("auth=authenticated")
	if asked := c.asked(); len(asked) != 1 || asked[0].Get("requested_flow") != "no_dialog" || c.at() != f.origin+deep {
		t.Errorf("after a silent login (%d): at %s", len(asked), c.at())
	}
}
