package integration_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// What Vipps knows of a site, for logins that no browser of the site's began.
const (
	merchantLanding = "/_vipps/callback/merchant"
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

// customers has people log in at the emulator's pages, and gives where these are.
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
// page of a neighbour does, in the operator's own browser.
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
	rolf.sees("you are not on the list of people who may use this page")
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
	_, port, _ := strings.Cut(f.app.addr(), ":")
	elsewhere.open("http://localhost:" + port + "/of-a-neighbour") // to which browsers send the same cookies
	elsewhere.do("posting a form", chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`(() => {
		const f = document.createElement("form"), i = document.createElement("input");
		f.method = "post"; f.action = %q; i.name = "phone"; i.value = %q; f.append(i); document.body.append(f); f.submit();
	})()`, operators, phoneIda)))
	eventually(t, "the neighbour's form is answered", func() bool { return strings.HasPrefix(elsewhere.at(), f.origin) })
	if all := f.vipps.Control().MerchantLogins(); len(all) != 1 || all[0].State != "waiting" || all[0].Code != code {
		t.Errorf("%d logins: %+v", len(all), all)
	}

	phone.press("Approve")
	phone.sees("Approved.")
	c.sees("The customer has approved")
	c.sees(nameIda)
	c.stays()
	details := strings.Fields(c.text("#claims"))
	if !slices.Contains(details, f.subOf(phoneIda)) || !slices.Contains(details, "+"+phoneIda) || slices.Contains(details, "msn") || c.at() != login || look(c, chromedp.Evaluate[bool](`document.querySelector("p.code").checkVisibility()`)) {
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

// phoneLogin is a login as the API shows it.
type phoneLogin struct{ ID, State, Code, Flow string }

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
	begin := func() (l phoneLogin) {
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
	var now phoneLogin
	if status := f.calls(callerToken, http.MethodGet, "logins/"+login.ID+"?wait=20", "", &now); status != http.StatusOK || now.State != "delivered" {
		t.Errorf("the till is told %d %+v", status, now)
	}
	if status := f.calls(otherToken, http.MethodGet, "logins/"+login.ID, "", nil); status != http.StatusNotFound {
		t.Errorf("another caller gets %d", status)
	}

	sent, stranger := sentTokens(), c.window(true)
	for _, w := range []*chromium{c, stranger} {
		w.open(link)
		w.sees("This login isn’t waiting any more")
	}
	stranger.fits("landing-again")
	stranger.open(f.origin + qrLanding + strings.TrimPrefix(link, f.origin+merchantLanding)) // QR logins are off
	stranger.sees("There is no such page")
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
	rolf.sees("Rolf R. is logged in here now.")
	rolf.fits("landing-replaces")
	beside := rolf.window(false)
	beside.open(f.origin + "/mine")
	beside.sees("X-Vipps-Sub: " + rolfsSub)
	rolf.press("Not me")
	eventually(t, "the answer to the question", func() bool { return !strings.Contains(rolf.text("body"), "Is this you?") && rolf.text("body") != "" })
	beside.open(link)
	beside.sees("This login isn’t waiting any more")
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

// scans has somebody scan a code at the emulator's page of QR codes.
func (c *chromium) scans(emulator, id, phone string) {
	c.t.Helper()
	c.open(emulator + "/_emulator/qr?id=" + id)
	c.do("choosing who scans", chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`void (document.querySelector("select[name=phone]").value = %q)`, phone)))
	c.press("Scan and approve")
}

// qrLogin is what a caller gets of the codes that are theirs.
type qrLogin struct {
	ID          string `json:"qr_id"`
	Description string `json:"qr_description"`
	Result      struct {
		Sub    string
		Claims map[string]any
	}
}

// Must show: login by QR code, both ways. A code of the till's: who scans it is told to the till and to nobody else. A code that ends in
// the phone's browser: that browser is asked, and after the click the app knows who it is and which code it was. Attacks: a browser that
// happens to be there, or another program, is given the till's login; a code without state comes to the ordinary callback.
func TestSec_A165_A166_ChromiumQRLogins(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	emulatorURL := f.customers()
	f.calledBy()
	f.app.echoes = true
	f.sidecar("--qr=on", "--qr-callers=oKAz7q1O=till", "--headers=default,X-Shop-Code=qr_id,X-Shop-Place=qr_description")
	control := f.vipps.Control()
	for _, code := range []emulator.QRCode{
		{ID: "oKAz7q1O", Description: "Till 1", ClientID: clientID, CallbackURI: f.origin + qrReceiver},
		{ID: "nobodys", Description: "An old sticker", ClientID: clientID, CallbackURI: f.origin + qrReceiver},
		{ID: "door", Description: "The back door", ClientID: clientID, RedirectURI: f.origin + qrLanding},
	} {
		if err := control.AddQR(code); err != nil {
			t.Fatal(err)
		}
	}
	c := startChromium(t)
	c.open(emulatorURL + "/_emulator/qr")
	c.sees("The back door")
	c.fits("qr-codes")

	// The till's own.
	waiting := make(chan qrLogin, 1)
	waits := func(token, query string) (l qrLogin, status int) {
		status = f.calls(token, http.MethodGet, "qr-logins"+query, "", &l)
		return l, status
	}
	go func() {
		defer close(waiting)
		for began := time.Now(); time.Since(began) < 2*time.Minute; {
			if l, status := waits(callerToken, "?wait=25"); status != http.StatusNoContent {
				waiting <- l
				return
			}
		}
	}()
	bystander := c.window(true)
	bystander.open(f.origin + "/")
	bystander.waits("#phone") // it wants to log in, and waits for the person
	c.scans(emulatorURL, "nobodys", phoneIda)
	c.sees("The callback is under way.")
	c.scans(emulatorURL, "oKAz7q1O", phoneAase)
	c.sees("The callback is under way.")
	if l := <-waiting; l.ID != "oKAz7q1O" || l.Description != "Till 1" || l.Result.Sub != f.subOf(phoneAase) || l.Result.Claims["name"] != nameAase {
		t.Errorf("the till gets %+v", l)
	}
	eventually(t, "the other code's login has reached nobody", func() bool { return f.metric(`vippsauth_qr_logins_total{outcome="undelivered"}`) == 1 })
	for _, token := range []string{callerToken, otherToken} {
		if l, status := waits(token, ""); status != http.StatusNoContent {
			t.Errorf("later, a caller gets %d %+v", status, l)
		}
	}
	bystander.open(f.origin + "/")
	bystander.waits("#phone") // as before
	if f.app.hits() > 0 {
		t.Errorf("somebody who is not logged in has come to the app %d times", f.app.hits())
	}

	// One that ends in a browser.
	c.scans(emulatorURL, "door", phoneAase)
	c.sees("Continue as Åse Ø.")
	if strings.Contains(c.at(), "code=") || f.app.hits() > 0 {
		t.Errorf("before the click the browser is at %s, and the app was asked %d times", c.at(), f.app.hits())
	}
	c.fits("qr-landing")
	c.press("Continue as")
	c.sees("X-Vipps-Sub: " + f.subOf(phoneAase))
	if h := f.app.last().Header; h.Get("X-Shop-Code") != "door" || h.Get("X-Shop-Place") != "The back door" || c.at() != f.origin+"/" {
		t.Errorf("at %s, code %q, place %q", c.at(), h.Get("X-Shop-Code"), h.Get("X-Shop-Place"))
	}
	link, err := control.ScanQR("door", phoneAase, true)
	if err != nil {
		t.Fatal(err)
	}
	sent := control.Calls()["token"]
	bystander.open(strings.Replace(link, qrLanding, "/_vipps/callback", 1))
	bystander.sees("We didn’t understand the answer")
	if sent != control.Calls()["token"] {
		t.Error("the ordinary callback has sent a code that came without state to the provider")
	}
	c.clean()
}

// consentsEvent is an event as a receiver gets it.
type consentsEvent struct {
	Type string
	Data struct {
		Sub     string
		Answers []answered
	}
}

type answered struct {
	ID       string `json:"id"`
	Accepted bool   `json:"accepted"`
	Required bool   `json:"required"`
}

// receives starts a receiver of events, which checks their signatures.
func receives(t *testing.T, secret string) (address string, events chan consentsEvent) {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	events = make(chan consentsEvent, 20)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%s.%s", r.Header.Get("Webhook-Id"), r.Header.Get("Webhook-Timestamp"), body)
		var e consentsEvent
		if err == nil {
			err = json.Unmarshal(body, &e)
		}
		if r.Method != http.MethodPost || err != nil || r.Header.Get("Webhook-Signature") != "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
			t.Errorf("the receiver gets a %s that is not signed, or no event: %v", r.Method, err)
		}
		events <- e
	}))
	t.Cleanup(srv.Close)
	return srv.URL + "/consents", events
}

// Must show: what a person ticks is what the application gets, in a header, at /_vipps/me and as an event, once; in the browser as on the phone.
func TestChromiumConsentAnswers(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	emulatorURL := f.customers()
	f.calledBy()
	keygen := start(t, vippsauthProgram(t), command{name: "vippsauth keygen", tells: true, args: []string{"keygen", "--events"}})
	<-keygen.done
	secret := strings.TrimSpace(keygen.out.String())
	f.secrets.add("secret of events", secret)
	f.env = append(f.env, "VIPPSAUTH_CONSENT_SECRET="+secret)
	address, events := receives(t, secret)
	f.scopes = "openid name phoneNumber delegatedConsents"
	f.sidecar("--allow="+phoneRolf, "--consent-url="+address, "--consent-dir="+filepath.Join(t.TempDir(), "events"))
	c := startChromium(t)

	c.open(f.origin + "/club")
	c.click(fmt.Sprintf("button[name=person][value=%q]", phoneAase))
	c.waits(".challenge")
	c.click(fmt.Sprintf("button[name=choice][value=%q]", c.text(".challenge")))
	c.sees("Receive offers by text message")
	c.fits("consents")
	c.press("Allow") // the browser says that the first box has to be ticked
	if f.app.hits() > 0 {
		t.Error("a person who has not ticked what is required is logged in")
	}
	c.ticks("email", "personal")
	c.press("Allow")
	c.sees("app: GET /club auth=authenticated")
	want := []answered{{"email", true, true}, {"sms", false, false}, {"digital", false, false}, {"personal", true, false}}

	type answers struct {
		Time    time.Time
		Answers []answered
	}
	header := f.app.last().Header["X-Vipps-Consents"]
	var got answers
	if len(header) != 1 || json.Unmarshal([]byte(header[0]), &got) != nil || !slices.Equal(got.Answers, want) || time.Since(got.Time).Abs() > time.Minute {
		t.Errorf("the application gets %q", header)
	}
	c.open(f.origin + "/_vipps/me")
	var me struct {
		Sub    string
		Claims struct{ Consents answers }
	}
	if text := c.text("body"); json.Unmarshal([]byte(text), &me) != nil || me.Sub != f.subOf(phoneAase) || !reflect.DeepEqual(me.Claims.Consents, got) {
		t.Errorf("/_vipps/me has %s", text)
	}
	if e := <-events; e.Type != "consents.given" || e.Data.Sub != f.subOf(phoneAase) || !slices.Equal(e.Data.Answers, want) {
		t.Errorf("the receiver gets %+v", e)
	}

	// The same on a phone.
	var login struct {
		phoneLogin
		Result struct{ Sub string }
	}
	f.calls(callerToken, http.MethodPost, "logins", `{"phone": "4790000003", "scopes": "openid delegatedConsents"}`, &login)
	c.open(emulatorURL + "/_emulator/phone?phone=" + phoneIda)
	c.sees(login.Code)
	c.ticks("email", "sms")
	c.fits("phone-consents")
	c.press("Approve")
	c.sees("Approved.")
	f.calls(callerToken, http.MethodGet, "logins/"+login.ID+"?wait=20", "", &login)
	want = []answered{{"email", true, true}, {"sms", true, false}, {"digital", false, false}, {"personal", false, false}}
	if e := <-events; login.State != "approved" || e.Data.Sub != login.Result.Sub || e.Data.Sub != f.subOf(phoneIda) || !slices.Equal(e.Data.Answers, want) {
		t.Errorf("of a login on the phone (%s) the receiver gets %+v", login.State, e)
	}
	c.open(f.origin + "/again")
	if n := len(events); n > 0 {
		t.Errorf("%d more events", n)
	}
	c.clean()
}

// ticks ticks boxes of the emulator's.
func (c *chromium) ticks(ids ...string) {
	c.t.Helper()
	for _, id := range ids {
		c.click(fmt.Sprintf("input[name=consent-%s]", id))
	}
}
