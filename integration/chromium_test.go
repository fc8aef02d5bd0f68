package integration_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// chromium is a real browser with one tab.
type chromium struct {
	t      *testing.T
	ctx    context.Context // chromedp keeps the browser in it
	shots  string          // where screenshots go; empty: nowhere
	number int

	mu    sync.Mutex
	pages []string // every document asked for
	wrong []string // what the browser complained of
}

func startChromium(t *testing.T) *chromium {
	t.Helper()
	path := need(t, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
	c := &chromium{t: t, shots: os.Getenv("VIPPSAUTH_SCREENSHOTS")}
	flags := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU}
	for _, name := range []string{
		"disable-quic", "disable-background-networking", "disable-component-update", "disable-sync", "disable-dev-shm-usage", "disable-extensions",
		"disable-default-apps", "metrics-recording-only", "hide-scrollbars",
	} {
		flags = append(flags, chromedp.Flag(name, true))
	}
	flags = append(flags, chromedp.Flag("lang", "en-US"), chromedp.Env("HOME="+t.TempDir()))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
	t.Cleanup(cancel)
	ctx, endAllocator := chromedp.NewExecAllocator(ctx, flags...)
	t.Cleanup(endAllocator)
	ctx, endTab := chromedp.NewContext(ctx, chromedp.WithListener(c.listen))
	t.Cleanup(endTab)
	c.ctx = ctx
	// The first steps have no deadline of their own: the browser lives as long as their context.
	if err := chromedp.Do(ctx, protocol(audits.Enable, cdp.Empty{}), chromedp.EmulateViewport(1280, 900)); err != nil {
		t.Fatalf("starting Chromium: %v", err)
	}
	return c
}

// protocol is a command of Chromium's own as a step.
func protocol[P, R any](command cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, command, params)
		return err
	})
}

func (c *chromium) listen(event any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if e.Type == network.ResourceTypeDocument {
			c.pages = append(c.pages, e.Request.URL)
		}
	case *audits.EventIssueAdded:
		if d := e.Issue.Details; d != nil && d.ContentSecurityPolicyIssueDetails != nil {
			c.wrong = append(c.wrong, "Content-Security-Policy: "+d.ContentSecurityPolicyIssueDetails.ViolatedDirective)
		}
	case *runtime.EventExceptionThrown:
		c.wrong = append(c.wrong, "exception: "+e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			c.wrong = append(c.wrong, "console: "+string(e.Type))
		}
	}
}

const stepWithin = 30 * time.Second

// do runs steps and ends the test when one fails.
func (c *chromium) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, stepWithin)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		c.t.Fatalf("%s: %v\nat %s: %s", what, err, c.at(), tail(c.text("body"), 1500))
	}
}

// look gives what a page has now, and the zero value where it has none.
func look[T any](c *chromium, a chromedp.Action[T]) T {
	ctx, cancel := context.WithTimeout(c.ctx, 2*time.Second)
	defer cancel()
	v, _ := chromedp.Run(ctx, a) // a page that is just being left has nothing to show
	return v
}

func (c *chromium) at() string { return look(c, chromedp.Location()) }

func (c *chromium) text(selector string) string {
	return look(c, chromedp.Evaluate[string](fmt.Sprintf(`document.querySelector(%q)?.innerText ?? ""`, selector)))
}

func (c *chromium) open(address string) {
	c.t.Helper()
	c.do("opening "+address, chromedp.Navigate(address))
}

// click clicks an element, by CSS, when it is there to be seen.
func (c *chromium) click(selector string) {
	c.t.Helper()
	c.do("clicking "+selector, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// press clicks the button or link with a text.
func (c *chromium) press(text string) {
	c.t.Helper()
	path := fmt.Sprintf(`//*[self::button or self::a][contains(normalize-space(.), %q)]`, text)
	c.do("pressing "+text, chromedp.Click(chromedp.Search(path), chromedp.NodeVisible))
}

// waits until an element is there to be seen.
func (c *chromium) waits(selector string) {
	c.t.Helper()
	c.do("waiting for "+selector, chromedp.WaitVisible(chromedp.CSS(selector)))
}

// sees waits until the page's text has a passage.
func (c *chromium) sees(passage string) {
	c.t.Helper()
	for begin := time.Now(); !strings.Contains(c.text("body"), passage); time.Sleep(20 * time.Millisecond) {
		if time.Since(begin) > startsWithin {
			c.t.Fatalf("Chromium does not show %q, but %s: %s", passage, c.at(), tail(c.text("body"), 1500))
		}
	}
}

// asked gives the authorization requests among the documents asked for since the last call, and forgets them.
func (c *chromium) asked() []url.Values {
	c.mu.Lock()
	defer c.mu.Unlock()
	var asked []url.Values
	for _, page := range c.pages {
		if u, err := url.Parse(page); err == nil && u.Query().Has("redirect_uri") {
			asked = append(asked, u.Query())
		}
	}
	c.pages = nil
	return asked
}

// shoot keeps a picture of the page as a phone and as a desktop show it, where VIPPSAUTH_SCREENSHOTS names a folder.
func (c *chromium) shoot(name string) {
	c.t.Helper()
	if c.shots == "" {
		return
	}
	c.number++
	for _, size := range [][2]int64{{390, 844}, {1280, 900}} {
		c.do("resizing", chromedp.EmulateViewport(size[0], size[1]))
		png, err := chromedp.Run(c.ctx, chromedp.FullScreenshot(100))
		if err != nil {
			c.t.Fatalf("taking a picture: %v", err)
		}
		if err := os.MkdirAll(c.shots, 0o750); err != nil {
			c.t.Fatal(err)
		}
		file := filepath.Join(c.shots, fmt.Sprintf("%02d-%s-%d.png", c.number, name, size[0]))
		if err := os.WriteFile(file, png, 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
}

// language is what the browser asks pages to be in.
func (c *chromium) language(tag string) {
	c.t.Helper()
	c.do("setting the language", protocol(network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Accept-Language": tag}}))
}

// login goes through the emulator's pages as a person, who is found by pressing their name, or typed in. Consent is
// asked for once.
func (c *chromium) login(phone string, typed, consented bool) {
	c.t.Helper()
	c.waits("#phone")
	if !look(c, chromedp.Evaluate[bool](`document.querySelector("#remember").checked`)) {
		c.click("#remember")
	}
	c.shoot("emulator-landing")
	if typed {
		c.do("typing the number", chromedp.SendKeys(chromedp.CSS("#phone"), phone+"\r"))
	} else {
		c.click(fmt.Sprintf("button[name=person][value=%q]", phone))
	}
	c.waits(".challenge")
	c.shoot("emulator-challenge")
	c.click(fmt.Sprintf("button[name=choice][value=%q]", c.text(".challenge")))
	if consented {
		return
	}
	c.waits(`form[action="/vipps-login-idp/consent"] button`)
	c.shoot("emulator-consent")
	c.click(`form[action="/vipps-login-idp/consent"] button`)
}

// Must show: the demo in a real browser, with every click that a person makes and none that they needn't.
func TestChromiumThroughTheDemo(t *testing.T) {
	t.Parallel()
	c := startChromium(t)
	demo := start(t, vippsauthProgram(t), command{name: "vippsauth demo", args: []string{
		"demo", "--port", fmt.Sprint(freePort(t)), "--ops-port", fmt.Sprint(freePort(t)), "--emulator-port", fmt.Sprint(freePort(t)), "--app-port", fmt.Sprint(freePort(t)),
	}})
	demo.says("Ctrl-C stops everything")
	site := regexp.MustCompile(`Open  (http://localhost:[0-9]+)/`).FindStringSubmatch(demo.out.String())
	emulator := regexp.MustCompile(`(http://127\.0\.0\.1:[0-9]+)/_emulator/`).FindStringSubmatch(demo.out.String())
	if site == nil || emulator == nil {
		t.Fatalf("the demo says %s", demo.out.String())
	}
	origin := site[1]

	// The first visit: silent attempt, full login, greeted by name.
	c.open(origin + "/boats?harbour=7")
	c.login(phoneAase, false, false)
	c.sees("Hello, " + nameAase)
	sub := c.text("#sub")
	if asked := c.asked(); len(asked) != 2 || asked[0].Get("requested_flow") != "no_dialog" || asked[1].Has("requested_flow") {
		t.Errorf("asked for a login %d times: %v", len(asked), asked)
	}
	if !strings.HasPrefix(sub, "emulator-") || c.at() != origin+"/boats?harbour=7" {
		t.Errorf("sub %q at %s", sub, c.at())
	}
	c.shoot("app-greets")

	// The second: the session gone, the browser remembered. No click.
	c.press("Forget the session")
	eventually(t, "the second login is over", func() bool { return c.at() == origin+"/" && c.text("#sub") == sub })
	if asked := c.asked(); len(asked) != 1 || asked[0].Get("requested_flow") != "no_dialog" {
		t.Errorf("the second login asked %d times: %v", len(asked), asked)
	}

	// After a logout the next login waits for a click, and asks who goes on.
	c.click("#logout")
	c.sees("Log out?")
	c.shoot("logout")
	c.press("Log out")
	c.sees("You are logged out")
	c.shoot("logged-out")
	c.open(origin + "/boats?harbour=7")
	c.sees("Someone logged out in this browser")
	if asked := c.asked(); len(asked) != 0 {
		t.Errorf("a login started without a click: %v", asked)
	}
	c.shoot("login-after-logout")
	c.press("Log in with Vipps")
	c.sees("Is this you?")
	c.shoot("confirm")
	c.press("Continue as Åse Ø.")
	c.sees("Hello, " + nameAase)
	if asked := c.asked(); len(asked) != 1 || asked[0].Has("requested_flow") || c.at() != origin+"/boats?harbour=7" {
		t.Errorf("after the click asked for %v, at %s", asked, c.at())
	}

	// "Not me" leads back, and to the way out: somebody else, who isn't on the list.
	c.click("#logout")
	c.press("Log out")
	c.sees("You are logged out")
	c.press("Log in again")
	c.sees("Is this you?")
	c.press("Not me")
	c.sees("Log in with Vipps")
	c.shoot("login-after-not-me")
	forgetBrowsers(t, emulator[1])
	c.press("Log in with Vipps")
	c.login("90 00 00 05", true, false)
	c.sees("Is this you?")
	c.press("Continue as Rolf R.")
	c.sees("You don’t have access")
	c.shoot("refused")
	if text := c.text("body"); !strings.Contains(text, "Rolf R.") || !strings.Contains(text, "styret@example.com") || strings.Contains(text, "Resirkulert") {
		t.Errorf("the page says %s", text)
	}

	c.otherPages(origin, emulator[1])
	c.narrowPages(origin)
	c.complaints(origin)
}

func forgetBrowsers(t *testing.T, emulator string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, emulator+"/_emulator/forget-browsers", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	if w.StatusCode != http.StatusOK {
		t.Fatalf("forget-browsers: %d %s", w.StatusCode, readAll(t, w.Body))
	}
}

// words are what pages say in one language.
type words struct{ tag, notFound, badCallback, logOut, loggedOut, login, cancel, cancelled, nothingSent, confirm, refused string }

// otherPages opens the rest of our pages that a browser comes to, in both languages. It begins with Rolf, logged in.
func (c *chromium) otherPages(origin, emulator string) {
	c.t.Helper()
	for _, w := range []words{
		{"en", "There is no such page", "We didn’t understand the answer", "Log out?", "You are logged out", "Someone logged out", "Cancel", "You cancelled the login", "Nothing was sent", "Is this you?", "You don’t have access"},
		{"nb", "Siden finnes ikke", "Vi forsto ikke svaret", "Vil du logge ut?", "Du er logget ut", "Noen har logget ut", "Avbryt", "Du avbrøt innloggingen", "Ingenting ble sendt", "Er dette deg?", "Du har ikke tilgang"},
	} {
		c.language(w.tag)
		shows := func(path, passage, name string) {
			c.t.Helper()
			c.open(origin + path)
			c.sees(passage)
			c.shoot(name + "-" + w.tag)
		}
		shows("/_vipps/nothing-here", w.notFound, "not-found")
		shows("/_vipps/callback?code=x", w.badCallback, "bad-callback")
		shows("/_vipps/logout", w.logOut, "logout")
		c.click("form button")
		c.sees(w.loggedOut)
		c.shoot("logged-out-" + w.tag)
		shows("/", w.login, "login-after-logout")
		forgetBrowsers(c.t, emulator)
		c.click("form button")
		c.waits("#phone")
		c.press(w.cancel)
		c.sees(w.cancelled)
		c.shoot("cancelled-" + w.tag)
		c.do("posting a form", chromedp.Evaluate[chromedp.Void](`(() => {
			const f = document.createElement("form"); f.method = "post"; f.action = "/order"; document.body.append(f); f.submit();
		})()`))
		c.sees(w.nothingSent)
		c.shoot("resend-" + w.tag)
		c.open(origin + "/")
		c.login(phoneRolf, false, true)
		c.sees(w.confirm)
		c.shoot("confirm-" + w.tag)
		c.click("form button")
		c.sees(w.refused)
		c.shoot("refused-" + w.tag)
	}
}

// Bad days in a real browser: Vipps away, and a proxy that loses the session's cookie.
func TestSec_D24_ChromiumOnBadDays(t *testing.T) {
	t.Parallel()
	c := startChromium(t)

	away := newFront(t)
	away.vipps = nil
	away.sidecar("--issuer=http://"+freeAddr(t), "--allow=anyone")
	c.open(away.origin + "/page?x=1")
	c.sees("Vipps isn’t answering right now")
	c.shoot("unavailable")

	f := newFront(t)
	f.addr, f.ops = freeAddr(t), freeAddr(t)
	f.serve("--upstream=http://"+f.app.addr(), "--trusted-proxies=loopback")
	loses := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: f.addr})
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
		ModifyResponse: func(w *http.Response) error {
			w.Header["Set-Cookie"] = slices.DeleteFunc(w.Header["Set-Cookie"], func(line string) bool { return strings.HasPrefix(line, "vippsauth=") })
			return nil
		},
	}
	serveOn(t, f.port(), loses)
	c.asked()
	c.open(f.origin + "/page?x=1")
	c.sees("The login is going in circles")
	if asked := c.asked(); len(asked) > 6 {
		t.Errorf("asked %d times before the page", len(asked))
	}
	c.shoot("loop")
	c.complaints(f.origin)
}

// complaints: no page of ours breaks its own policy. To be sure that the browser would say so, one is broken at the end.
func (c *chromium) complaints(origin string) {
	c.t.Helper()
	c.clean()
	c.open(origin + "/_vipps/nothing-here")
	c.breakPolicy()
}

// clean says that the browser has complained of nothing so far.
func (c *chromium) clean() {
	c.t.Helper()
	c.mu.Lock()
	if len(c.wrong) > 0 {
		c.t.Errorf("Chromium complains: %q", c.wrong)
	}
	c.mu.Unlock()
}

// breakPolicy breaks the policy of the page that is open, which the browser has to complain of.
func (c *chromium) breakPolicy() {
	c.t.Helper()
	c.do("breaking the policy", chromedp.Evaluate[chromedp.Void](`(() => { const s = document.createElement("script"); s.textContent = "1"; document.body.append(s); })()`))
	eventually(c.t, "Chromium complains of a script of ours", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.wrong) > 0
	})
}
