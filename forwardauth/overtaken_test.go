package forwardauth_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// heldCode is a way to the provider on which the answer to the exchange of a code is held up until it is let.
type heldCode struct {
	http.RoundTripper

	hold      atomic.Bool // the next one
	held, let chan struct{}
}

func (h *heldCode) RoundTrip(r *http.Request) (*http.Response, error) {
	hold := strings.HasSuffix(r.URL.Path, "/oauth2/token") && h.hold.CompareAndSwap(true, false)
	w, err := h.RoundTripper.RoundTrip(r)
	if hold {
		h.held <- struct{}{}
		select {
		case <-h.let:
		case <-r.Context().Done(): // after ten seconds
		}
	}
	return w, err
}

// newHeldLab is newLab with such a way.
func newHeldLab(t *testing.T, change func(*forwardauth.Config)) (*lab, *heldCode) {
	t.Helper()
	held := &heldCode{RoundTripper: &http.Transport{DisableKeepAlives: true}, held: make(chan struct{}, 1), let: make(chan struct{})}
	return newLab(t, func(c *forwardauth.Config) {
		client, err := vipps.New(vipps.Config{
			Issuer: c.Client.Issuer(), ClientID: "shop", ClientSecret: "shop secret+/=", Scopes: c.Scopes, Now: c.Now, HTTPClient: &http.Client{Transport: held},
		})
		if err != nil {
			t.Fatal(err)
		}
		c.Client = client
		if change != nil {
			change(c)
		}
	}), held
}

// slowly brings a callback in a tab of its own, where the provider takes its time over the code, and lets the others in the
// browser go on meanwhile. Then the answer comes, with its cookies, later than everything else.
func (b *browser) slowly(held *heldCode, callback string, meanwhile func()) answer {
	b.t.Helper()
	tab := b.tab()
	held.hold.Store(true)
	answers := make(chan answer, 1)
	go func() { answers <- tab.send("GET", callback, navigation(), "") }()
	select {
	case <-held.held:
	case <-time.After(30 * time.Second):
		b.t.Fatal("the code isn't redeemed")
	}
	meanwhile()
	select {
	case <-answers:
		b.t.Fatal("the answer came too early")
	default:
	}
	close(held.let)
	a := <-answers
	b.store(b.lab.site.Listener.Addr().String(), a.Header["Set-Cookie"])
	return a
}

// Attack: one of her tabs is in the middle of a silent login, and Vipps takes its time over the code. She logs out in
// another tab, and walks away. Then the first tab is done: its request has not known of the logout. It logs her in again, or
// overwrites what the browser remembers of the logout, so that who sits down next is logged in as her by opening the site.
func TestSec_D35_LogoutWhileTheProviderThinks(t *testing.T) {
	t.Parallel()
	for _, confirm := range []string{forwardauth.ConfirmAfterLogout, forwardauth.ConfirmNever, forwardauth.ConfirmAlways} {
		for _, answers := range []string{"her", "with a fault"} {
			t.Run(confirm+", "+answers, func(t *testing.T) {
				t.Parallel()
				l, held := newHeldLab(t, func(c *forwardauth.Config) { c.ConfirmPerson = confirm })
				l.silent(emulator.NoDialogHit)
				b := l.browser()
				callback := b.begin("/tab1")
				if answers != "her" {
					if err := l.vipps.Control().FailNext(emulator.EndpointToken, 1, 400, `{"error":"invalid_grant"}`); err != nil {
						t.Fatal(err)
					}
				}
				a := b.slowly(held, callback, func() { b.post("/_vipps/logout", nil) })
				if b.cookie("vippsauth") != "" {
					t.Fatalf("logged in again, with %d to %s", a.StatusCode, a.Header.Get("Location"))
				}
				l.clock.advance(20 * time.Minute) // no miss is remembered any more
				if a := b.visit("/"); strings.Contains(a.text, "app: GET") || !strings.Contains(a.text, offersLogin) || b.passed("/oauth2/auth") != 0 {
					t.Errorf("who sits down next gets %d after %v\n%s", a.StatusCode, b.trail, a.text)
				}
			})
		}
	}
}

// Attack: the same with "Not me": the page that asks is answered while another tab's silent login is about to succeed.
func TestSec_D35_NotMeWhileTheProviderThinks(t *testing.T) {
	t.Parallel()
	l, held := newHeldLab(t, func(c *forwardauth.Config) { c.ConfirmPerson = forwardauth.ConfirmAlways })
	l.silent(emulator.NoDialogHit)
	b := l.browser()
	callback := b.begin("/tab1")
	token := tokenOf(b.visit("/tab2"))
	a := b.slowly(held, callback, func() { b.post("/_vipps/result", saying(token, "other")) })
	if a := b.follow(a, callback); b.cookie("vippsauth") != "" || strings.Contains(a.text, asksWho) || !strings.Contains(a.text, offersLogin) {
		t.Errorf("after not me: %d %v\n%s", a.StatusCode, b.trail, a.text)
	}
}

// Attack: a silent login of the person before is in the middle of it while Per logs in. It comes later, doesn't know of
// his session, and puts the other's in its place: he works on as somebody else without noticing.
func TestSec_D35_AnotherLogsInWhileTheProviderThinks(t *testing.T) {
	t.Parallel()
	l, held := newHeldLab(t, nil)
	l.silent(emulator.NoDialogHit)
	b := l.browser()
	callback := b.begin("/tab1")
	var per string
	a := b.slowly(held, callback, func() {
		l.silent("error:login_required")
		l.as(phonePer)
		b.visit("/tab2")
		per = b.cookie("vippsauth")
	})
	if per == "" || b.cookie("vippsauth") != per {
		t.Fatalf("Per's session is gone: %d to %s", a.StatusCode, a.Header.Get("Location"))
	}
	if a := b.follow(a, callback); a.StatusCode != http.StatusOK || !strings.Contains(a.text, "name=Per") {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}

// Attack: the same where Vipps refuses the code in the end. What the late answer knows of the browser is from before Per's
// login, and is not written over what it remembers since.
func TestSec_D35_AnotherLogsInBeforeAFault(t *testing.T) {
	t.Parallel()
	l, held := newHeldLab(t, nil)
	l.silent(emulator.NoDialogHit)
	b := l.browser()
	callback := b.begin("/tab1")
	if err := l.vipps.Control().FailNext(emulator.EndpointToken, 1, 400, `{"error":"invalid_grant"}`); err != nil {
		t.Fatal(err)
	}
	a := b.slowly(held, callback, func() {
		l.silent("error:login_required")
		l.as(phonePer)
		b.visit("/tab2")
	})
	if set := strings.Join(a.Header["Set-Cookie"], "\n"); strings.Contains(set, "vippsauth-hint=") || strings.Contains(set, "vippsauth=") {
		t.Errorf("the late answer sets %s", set)
	}
	if a := b.visit("/"); !strings.Contains(a.text, "name=Per") {
		t.Errorf("Per is gone: %d %s", a.StatusCode, a.text)
	}
}

// Two tabs of one person at the same time are no quarrel: both end at their pages.
func TestTwoTabsOfOnePersonWhileTheProviderThinks(t *testing.T) {
	t.Parallel()
	l, held := newHeldLab(t, nil)
	l.silent(emulator.NoDialogHit)
	b := l.browser()
	callback := b.begin("/tab1")
	a := b.slowly(held, callback, func() { b.visit("/tab2") })
	if a := b.follow(a, callback); !strings.Contains(a.text, "app: GET /tab1 auth=authenticated name=Åse") || b.passed("/oauth2/auth") != 0 {
		t.Errorf("%d %v %s", a.StatusCode, b.trail, a.text)
	}
}
