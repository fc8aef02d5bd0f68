package integration_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// Must show: an operator types a number and reads the code, the customer's phone shows the same one and approves, and the page
// changes without being loaded again. Whoever isn't an operator is kept out; so is, with a sidecar, the application.
func TestSec_A155_A156_OperatorsPageInChromium(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.env = []string{fmt.Sprintf("VIPPSAUTH_MERCHANT_CALLERS=till=sha256:%x", sha256.Sum256([]byte(callerToken)))}
	f.sidecar("--merchant-operators="+phonePer, "--scopes=openid name phoneNumber", "--merchant-scopes=openid name phoneNumber address")
	if err := f.vipps.Control().AutoApprove(""); err != nil { // the operator logs in by hand
		t.Fatal(err)
	}
	c := startChromium(t)
	page := f.origin + "/_vipps/merchant/"

	c.open(page)
	c.login(phonePer, false, false)
	c.sees("Log in with a phone number")
	if at := c.at(); at != page {
		t.Errorf("after the login the operator is at %s", at)
	}
	c.shoot("operator-form")
	c.do("typing a number", chromedp.SendKeys(chromedp.CSS("#phone"), "12\r"))
	c.sees("This is not a phone number")
	c.shoot("operator-fault")
	c.do("typing the customer's number", chromedp.Evaluate[chromedp.Void](`void (document.querySelector("#phone").value = "")`), chromedp.SendKeys(chromedp.CSS("#phone"), "+47 900 00 001"))
	c.press("Ask on the phone")
	c.sees("Read this code aloud")
	code := c.text(".code")
	c.shoot("operator-code")
	if strings.Contains(c.at(), "4790000001") || strings.Contains(c.at(), "90000001") {
		t.Errorf("the number is in the address: %s", c.at())
	}
	c.do("marking the page", chromedp.Evaluate[chromedp.Void](`void (window.neverLoadedAgain = true)`))

	phone := c.tab()
	phone.open(f.vipps.URL + "/_emulator/phone")
	phone.sees(code)
	phone.press("Approve")
	phone.sees("Approved.")
	c.comeBack()
	c.sees("The customer has approved")
	c.sees(nameAase)
	if !look(c, chromedp.Evaluate[bool](`window.neverLoadedAgain === true && document.querySelector("#code").hidden && !document.querySelector("#again").hidden`)) {
		t.Error("the page was loaded again, or still shows the code")
	}
	c.shoot("operator-result")
	c.do("loading the page again", chromedp.Reload())
	c.sees("has been shown")
	if strings.Contains(c.text("body"), nameAase) {
		t.Error("the result is shown twice")
	}
	c.press("Next customer")
	c.sees("Ask on the phone")
	c.do("typing another number", chromedp.SendKeys(chromedp.CSS("#phone"), "+47 900 00 003\r"))
	c.sees("Read this code aloud")
	c.press("Cancel")
	c.sees("Canceled")
	c.clean()

	if err := f.vipps.Control().AutoApprove(phoneAase); err != nil {
		t.Fatal(err)
	}
	if got := f.browser().open(page); got.StatusCode != http.StatusForbidden {
		t.Errorf("somebody who isn't an operator gets %d", got.StatusCode)
	}
	if f.app.hits() != 0 {
		t.Error("the application has seen something of it")
	}
}
