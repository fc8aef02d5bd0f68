package integration_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/vipps"
)

// landing starts a login by phone that ends in a browser, has the person approve it, and returns where their phone goes then.
func (f *front) landing(phone, scopes, returnTo string) (link string) {
	f.t.Helper()
	body := strings.NewReader(fmt.Sprintf(`{"phone":"+%s","scopes":%q,"return_to":%q}`, phone, scopes, returnTo))
	r, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, f.origin+"/_vipps/merchant/logins", body)
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+callerToken)
	r.Header.Set("Content-Type", "application/json")
	w, err := f.transport().RoundTrip(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = w.Body.Close() }()
	text, _ := io.ReadAll(w.Body)
	var begun struct{ Code string }
	if err := json.Unmarshal(text, &begun); err != nil || w.StatusCode != http.StatusCreated {
		f.t.Fatalf("starting a login: %d %s", w.StatusCode, text)
	}
	logins := f.vipps.Control().MerchantLogins()
	last := logins[len(logins)-1]
	if err := f.vipps.Control().MerchantApprove(last.AuthReqID); err != nil || last.Code != begun.Code {
		f.t.Fatalf("approving %q: %v", last.Code, err)
	}
	logins = f.vipps.Control().MerchantLogins()
	return logins[len(logins)-1].Link
}

// withLanding is a site whose till starts logins.
func withLanding(t *testing.T) *front {
	t.Helper()
	f := newFront(t)
	f.secrets.add("token of a caller", callerToken)
	if err := f.vipps.Control().AddRedirectURI(clientID, f.origin+"/_vipps/callback/merchant"); err != nil {
		t.Fatal(err)
	}
	f.scopes = "openid name phoneNumber " + vipps.ScopeDelegatedConsents
	f.env = []string{fmt.Sprintf("VIPPSAUTH_MERCHANT_CALLERS=till=sha256:%x", sha256.Sum256([]byte(callerToken)))}
	f.sidecar()
	return f
}

// Attack, in Chromium: the address at which a login by phone ends is opened where somebody else is logged in. It says who is, and who
// would be; nobody changes before the click. Then the person is in the protected app, at the page that the merchant chose, and what they
// answered to consents with them.
func TestSec_A151_ChromiumLandsLoggedIn(t *testing.T) {
	t.Parallel()
	f := withLanding(t)
	c := startChromium(t)
	f.as(phonePer)
	c.open(f.origin + "/first")
	c.sees("app: GET /first auth=authenticated name=Per")

	link := f.landing(phoneAase, "openid name phoneNumber", f.origin+"/receipt?no=7")
	c.open(link)
	c.sees("Continue as Åse")
	c.shoot("landing-over-another")
	if text := c.text("body"); !strings.Contains(text, "has approved a login") || !strings.Contains(text, "is logged in here now") || strings.Contains(c.at(), "code=") {
		t.Errorf("at %s: %s", c.at(), text)
	}
	c.press("Not me")
	c.sees("app: GET /receipt?no=7 auth=authenticated name=Per")

	c.open(f.landing(phoneAase, "openid name phoneNumber delegatedConsents", f.origin+"/receipt?no=8"))
	c.press("Continue as Åse")
	c.sees("app: GET /receipt?no=8 auth=authenticated name=" + nameAase)
	if h := f.app.last().Header; h.Get("X-Vipps-Name") != nameAase || h.Get("X-Vipps-Consents") == "" {
		t.Errorf("the app sees %q, consents %q", h.Get("X-Vipps-Name"), h.Get("X-Vipps-Consents"))
	}
	c.open(link) // used up
	c.sees("This login isn’t waiting any more")
	c.clean()
}
