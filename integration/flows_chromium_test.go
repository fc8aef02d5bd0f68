package integration_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// Where Vipps sends browsers back to at the end of logins that they did not begin.
const (
	merchantLanding = "/_vipps/merchant/callback"
	qrLanding       = "/_vipps/qr/callback"
	qrReceiver      = "/_vipps/qr"
)

const (
	phoneIda = "4790000003" // a customer
	nameIda  = "Ida Ubekreftet"

	otherToken = "other-token-0123456789-0123456789-01234567"
)

// window opens another tab, or another browser, which has no cookie of the first.
func (c *chromium) window(otherBrowser bool) *chromium {
	c.t.Helper()
	w := &chromium{t: c.t, shots: c.shots, number: c.number + 100}
	options := []chromedp.ContextOption{chromedp.WithListener(w.listen)}
	if otherBrowser {
		options = append(options, chromedp.WithNewBrowserContext())
	}
	ctx, end := chromedp.NewContext(c.ctx, options...)
	c.t.Cleanup(end)
	w.ctx = ctx
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(1280, 900)); err != nil {
		c.t.Fatalf("opening a window: %v", err)
	}
	return w
}

// fits says that a page is no wider than a small phone, and takes a picture.
func (c *chromium) fits(name string) {
	c.t.Helper()
	c.do("resizing", chromedp.EmulateViewport(360, 740))
	if width := look(c, chromedp.Evaluate[int](`document.documentElement.scrollWidth`)); width > 360 {
		c.t.Errorf("%s at %s is %d pixels wide on a phone that has 360", name, c.at(), width)
	}
	c.shoot(name)
	c.do("resizing", chromedp.EmulateViewport(1280, 900))
}

// marked remembers this page, so that stays can tell it from one that was loaded again.
func (c *chromium) marked() {
	c.t.Helper()
	c.do("marking the page", chromedp.Evaluate[chromedp.Void](`void (window.neverLoadedAgain = true)`))
	c.asked()
}

func (c *chromium) stays() {
	c.t.Helper()
	if !look(c, chromedp.Evaluate[bool](`window.neverLoadedAgain === true`)) {
		c.t.Errorf("the page at %s was loaded again", c.at())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pages) > 0 {
		c.t.Errorf("the browser has loaded %d pages", len(c.pages))
	}
}

// fetches asks for an address as a script of the page that is open, and gives the status and what came.
func (c *chromium) fetches(method, address, form string) string {
	c.t.Helper()
	init := fmt.Sprintf(`{method: %q, redirect: "manual", headers: {"Accept": "*/*"}`, method)
	if form != "" {
		init += fmt.Sprintf(`, body: new URLSearchParams(%q)`, form)
	}
	script := fmt.Sprintf(`fetch(%q, %s}).then(async (a) => a.status + " " + await a.text())`, address, init)
	ctx, cancel := context.WithTimeout(c.ctx, stepWithin)
	defer cancel()
	got, err := chromedp.Run(ctx, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, address, err)
	}
	return got
}

// customer lets the site's people log in at the emulator's pages, and gives where these are.
func (f *front) customers() (emulator string) {
	f.t.Helper()
	f.as("")
	for _, phone := range []string{phonePer, phoneIda} {
		f.secrets.add("phone number", phone)
	}
	f.secrets.add("name", nameIda)
	return f.vipps.URL
}

// calledBy makes two programs callers of the merchant API. It comes before the service starts.
func (f *front) calledBy() {
	f.t.Helper()
	for _, path := range []string{merchantLanding, qrLanding} {
		if err := f.vipps.Control().AddRedirectURI(clientID, f.origin+path); err != nil {
			f.t.Fatal(err)
		}
	}
	f.secrets.add("token of a caller", callerToken)
	f.secrets.add("token of a caller", otherToken)
	f.env = append(f.env, fmt.Sprintf("VIPPSAUTH_MERCHANT_CALLERS=till=sha256:%x,other=sha256:%x", sha256.Sum256([]byte(callerToken)), sha256.Sum256([]byte(otherToken))))
}

// calls asks the merchant API as a program does, and reads the answer into out.
func (f *front) calls(token, method, path, body string, out any) (status int) {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), method, f.origin+"/_vipps/merchant/"+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header = http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}
	client := http.Client{Timeout: stepWithin, Transport: &http.Transport{DisableKeepAlives: true, DialContext: toLoopback}}
	w, err := client.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer w.Body.Close()
	text, err := io.ReadAll(io.LimitReader(w.Body, 1<<20))
	if err == nil && out != nil && w.StatusCode < 300 && len(text) > 0 {
		err = json.Unmarshal(text, out)
	}
	if err != nil {
		f.t.Fatalf("%s %s: %d, %v", method, path, w.StatusCode, err)
	}
	return w.StatusCode
}

// subOf is who somebody is to this site.
func (f *front) subOf(phone string) string {
	f.t.Helper()
	sub, err := f.vipps.Control().Subject(clientID, phone)
	if err != nil {
		f.t.Fatal(err)
	}
	return sub
}

// Must show: an operator types a number, reads a code aloud, and sees the customer approve, on a page that is never loaded again.
// Attacks: somebody else, an operator too, wants to see or end that login; a person of the site who is no operator starts one; a
// page of another site does, in the operator's own browser.
func TestSec_A150_A155_A156_ChromiumOperatorPage(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	emulator := f.customers()
	f.sidecar("--allow="+phoneRolf, "--merchant-operators="+phoneAase+","+phonePer)
	operators := f.origin + "/_vipps/merchant/"
	c := startChromium(t)

	c.open(operators)
	c.login(phoneAase, true, false)
	c.sees("Log in with a phone number")
	c.fits("operator-form")
	c.do("typing", chromedp.SendKeys(chromedp.CSS("#phone"), "+47 90 00 00 03"))
	c.press("Ask on the phone")
	c.waits("p.code")
	login, code := c.at(), c.text("p.code")
	c.fits("operator-waits")
	c.marked()

	phone := c.window(false)
	phone.open(emulator + "/_emulator/phone?phone=" + phoneIda)
	if shown := phone.text("article.push .code"); shown != code || len(code) < 5 {
		t.Errorf("the phone shows %q, the operator %q", shown, code)
	}
	phone.fits("phone-asks")

	per := c.window(true)
	per.open(operators)
	per.login(phonePer, true, false)
	per.sees("Log in with a phone number")
	rolf := c.window(true)
	rolf.open(operators)
	rolf.login(phoneRolf, true, false)
	rolf.sees("You don’t have access")
	rolf.fits("no-operator")
	seesNothing := func() {
		t.Helper()
		per.open(login)
		per.sees("There is no such login")
		rolf.open(login)
		rolf.sees("You don’t have access")
		for _, w := range []*chromium{per, rolf} {
			if text := w.text("body"); strings.Contains(text, code) || strings.Contains(text, nameIda) {
				t.Errorf("somebody else sees %s", text)
			}
			w.open(f.origin + "/of-the-app") // whose scripts have the person's cookies
			for _, path := range []string{"/events", "/cancel", "/result"} {
				method, want := http.MethodPost, "404 "
				if path == "/events" {
					method = http.MethodGet
				}
				if w == rolf {
					want = "403 "
				}
				if got := w.fetches(method, login+path, ""); !strings.HasPrefix(got, want) || strings.Contains(got, nameIda) {
					t.Errorf("%s: %s", path, got)
				}
			}
		}
	}
	seesNothing()
	per.open(login)
	per.fits("operator-unknown")
	rolf.open(f.origin + "/of-the-app")
	if got := rolf.fetches(http.MethodPost, operators, "phone="+phoneIda); !strings.HasPrefix(got, "403 ") {
		t.Errorf("no operator, and %s", got)
	}
	elsewhere := c.window(false)
	elsewhere.open("http://" + f.app.addr() + "/of-another-site")
	elsewhere.do("posting a form", chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`(() => {
		const f = document.createElement("form"), i = document.createElement("input");
		f.method = "post"; f.action = %q; i.name = "phone"; i.value = %q; f.append(i); document.body.append(f); f.submit();
	})()`, operators, phoneIda)))
	eventually(t, "the other site's form is answered", func() bool { return strings.HasPrefix(elsewhere.at(), f.origin) })
	if all := f.vipps.Control().MerchantLogins(); len(all) != 1 || all[0].State != "waiting" || all[0].Code != code {
		t.Errorf("%d logins: %+v", len(all), all)
	}

	phone.press("Approve")
	phone.sees("Approved.")
	c.sees("The customer has approved")
	c.sees(nameIda)
	c.stays()
	if sub := f.subOf(phoneIda); !strings.Contains(c.text("#claims"), sub) || c.at() != login || look(c, chromedp.Evaluate[bool](`document.querySelector("p.code").checkVisibility()`)) {
		t.Errorf("at %s: %s", c.at(), c.text("main"))
	}
	c.fits("operator-approved")
	seesNothing()
	c.open(login)
	c.sees("The answer has been shown")
	if text := c.text("body"); strings.Contains(text, nameIda) || strings.Contains(text, code) {
		t.Errorf("it is shown twice: %s", text)
	}
	c.fits("operator-shown")
	c.clean()
}

// merchantLogin is a login as the API shows it.
type merchantLogin struct{ ID, State, Code, Flow string }

// approvesOn opens the page of somebody's phone in a browser, approves the login that shows a code there, and gives where the phone goes on.
func (c *chromium) approvesOn(emulator, phone, code string) (link string) {
	c.t.Helper()
	c.open(emulator + "/_emulator/phone?phone=" + phone)
	c.sees(code)
	c.press("Approve")
	c.sees("Approved.")
	item := fmt.Sprintf(`[...document.querySelectorAll("#over li")].find((li) => li.textContent.includes(%q)).querySelector("a.go").href`, code)
	return look(c, chromedp.Evaluate[string](item))
}

// Must show: a till starts a login that ends in the customer's browser, who is on the page that the till chose, logged in, after one
// click. Attacks: the link is opened in a browser where somebody else is logged in, whose session must stay, and their person; it is
// opened again, here and elsewhere; another program asks about the login.
func TestSec_A150_A151_A156_ChromiumMerchantLoginInABrowser(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	emulator := f.customers()
	f.calledBy()
	f.app.echoes = true
	f.sidecar("--allow=" + phoneRolf)
	aase, rolfsSub := f.subOf(phoneAase), f.subOf(phoneRolf)
	const target = "/boats?harbour=7"
	begin := func() (l merchantLogin) {
		t.Helper()
		body := fmt.Sprintf(`{"phone": "+47 90 00 00 01", "return_to": %q}`, f.origin+target)
		if status := f.calls(callerToken, http.MethodPost, "logins", body, &l); status != http.StatusCreated || l.Flow != "browser" {
			t.Fatalf("%d %+v", status, l)
		}
		return l
	}
	sentTokens := func() int { return f.vipps.Control().Calls()["token"] }

	login := begin()
	c := startChromium(t)
	link := c.approvesOn(emulator, phoneAase, login.Code)
	c.fits("phone-approved")
	if u, err := url.Parse(link); err != nil || u.Path != merchantLanding || u.Query().Has("state") || u.Query().Get("code") == "" {
		t.Fatalf("the phone goes on at %s", link)
	}
	c.do("following the link", chromedp.Click(chromedp.CSS("#over a.go"), chromedp.NodeVisible))
	c.sees("Continue as Åse Ø.")
	c.fits("landing")
	if strings.Contains(c.at(), "code=") || f.app.hits() > 0 {
		t.Errorf("before the click the browser is at %s, and the app was asked %d times", c.at(), f.app.hits())
	}
	before := c.window(false)
	before.open(f.origin + "/_vipps/me")
	if text := before.text("body"); strings.Contains(text, aase) {
		t.Errorf("logged in without the click: %s", text)
	}
	c.press("Continue as")
	c.sees("X-Vipps-Sub: " + aase)
	if c.at() != f.origin+target {
		t.Errorf("the browser is at %s", c.at())
	}
	var now merchantLogin
	if status := f.calls(callerToken, http.MethodGet, "logins/"+login.ID+"?wait=20", "", &now); status != http.StatusOK || now.State != "delivered" {
		t.Errorf("the till is told %d %+v", status, now)
	}
	if status := f.calls(otherToken, http.MethodGet, "logins/"+login.ID, "", nil); status != http.StatusNotFound {
		t.Errorf("another caller gets %d", status)
	}

	sent, stranger := sentTokens(), c.window(true)
	for _, w := range []*chromium{c, stranger} {
		w.open(link)
		w.sees("We lost the thread")
	}
	stranger.fits("landing-again")
	stranger.open(f.origin + "/_vipps/me")
	if text := stranger.text("body"); strings.Contains(text, aase) || sentTokens() != sent {
		t.Errorf("the second time: %s, and %d more token requests", text, sentTokens()-sent)
	}
	c.open(f.origin + "/still-there")
	c.sees("X-Vipps-Sub: " + aase)

	// Somebody sends Rolf the link of a login that they have approved themselves.
	rolf := c.window(true)
	rolf.open(f.origin + "/")
	rolf.login(phoneRolf, false, false)
	rolf.sees("X-Vipps-Sub: " + rolfsSub)
	login = begin()
	link = c.approvesOn(emulator, phoneAase, login.Code)
	rolf.open(link)
	rolf.sees("Rolf R. is logged in in this browser. If you continue, Rolf R. is logged out here.")
	rolf.fits("landing-replaces")
	beside := rolf.window(false)
	beside.open(f.origin + "/mine")
	beside.sees("X-Vipps-Sub: " + rolfsSub)
	rolf.press("Not me")
	eventually(t, "the answer to the question", func() bool { return !strings.Contains(rolf.text("body"), "Is this you?") && rolf.text("body") != "" })
	beside.open(link)
	beside.sees("We lost the thread")
	beside.open(f.origin + "/still-mine")
	beside.sees("X-Vipps-Sub: " + rolfsSub)
	for _, r := range f.app.since(0) {
		if own := strings.HasSuffix(r.URI, "mine"); own && r.Header.Get("X-Vipps-Sub") != rolfsSub {
			t.Errorf("%s is asked for by %s", r.URI, r.Header.Get("X-Vipps-Sub"))
		}
	}
	c.clean()
	rolf.clean()
}
