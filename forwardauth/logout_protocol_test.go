package forwardauth_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// The modules oidcc-client-test-rp-init-logout, -no-state and -other-state of the OpenID Foundation's client tests are about a
// logout that goes round by the provider. Vipps has no end_session_endpoint, and ours doesn't go anywhere: the session is
// gone with the answer, and an address to come back to, with whatever state, is a page like others and ends nothing.
func TestSec_A130_LogoutStaysHere(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	for name, query := range map[string]string{
		"A130_oidcc-client-test-rp-init-logout":             "?state=af0ifjsldkj",
		"A130_oidcc-client-test-rp-init-logout-no-state":    "",
		"A130_oidcc-client-test-rp-init-logout-other-state": "?state=other&state=more&id_token_hint=x&post_logout_redirect_uri=https%3A%2F%2Fevil.example%2F",
	} {
		t.Run(name, func(t *testing.T) {
			b, next := l.loggedIn(phoneAase), l.loggedIn(phoneAase)
			old := b.cookie("vippsauth")
			a := b.click("/_vipps/logout"+query, nil)
			if a.StatusCode != http.StatusOK || l.opens(old) {
				t.Errorf("ends with %d, and the session is still good: %t", a.StatusCode, l.opens(old))
			}
			for _, step := range b.trail {
				if u, err := url.Parse(step); err != nil || u.Host != l.site.Listener.Addr().String() {
					t.Errorf("the logout goes by %s", step)
				}
			}
			if a := next.visit("/_vipps/logout" + query); a.StatusCode != http.StatusOK || !l.opens(next.cookie("vippsauth")) {
				t.Errorf("coming back ends a session: %d", a.StatusCode)
			}
		})
	}
}

// logoutTokens are what a provider with back-channel logout would send, forged and not. None of it can be more than garbage here.
var logoutTokens = map[string]string{
	"A133_oidcc-client-test-rp-backchannel-rpinitlogout":             "eyJhbGciOiJSUzI1NiJ9.e30.c2ln",
	"A133_oidcc-client-test-rp-backchannel-rpinitlogout-alg-none":    "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.",
	"A133_oidcc-client-test-rp-backchannel-rpinitlogout-no-event":    "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln",
	"A133_oidcc-client-test-rp-backchannel-rpinitlogout-with-nonce":  "eyJhbGciOiJSUzI1NiJ9.eyJub25jZSI6IngifQ.c2ln",
	"A133_oidcc-client-test-rp-backchannel-rpinitlogout-wrong-alg":   "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln",
	"A133_oidcc-client-test-rp-backchannel-rpinitlogout-wrong-aud":   "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.c2ln",
	"A133_oidcc-client-test-rp-backchannel-rpinitlogout-wrong-event": "eyJhbGciOiJSUzI1NiJ9.eyJldmVudHMiOnt9fQ.c2ln",
	"A133_oidcc-client-test-rp-backchannel-rpinitlogout-wrong-iss":   "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln",
}

// There is no back-channel logout: what looks like one is 404 where it would be, is no logout where ours is, and ends nobody's
// session, the sender's least of all.
func TestSec_A133_NoBackChannelLogout(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	b := l.loggedIn(phoneAase)
	session := b.cookie("vippsauth")
	provider := l.browser()
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	for name, token := range logoutTokens {
		t.Run(name, func(t *testing.T) {
			body := url.Values{"logout_token": {token}}.Encode()
			for _, path := range []string{"backchannel-logout", "backchannel_logout", "logout/backchannel", "logout/", "bclogout"} {
				if a := provider.send("POST", "/_vipps/"+path, form, body); a.StatusCode != http.StatusNotFound || len(a.Header["Set-Cookie"]) != 0 {
					t.Errorf("%s: %d, sets %q", path, a.StatusCode, a.Header["Set-Cookie"])
				}
			}
			provider.send("POST", "/_vipps/logout", form, body)
			provider.send("POST", "/_vipps/logout?"+body, nil, "")
			if !l.opens(session) {
				t.Error("the session is ended")
			}
		})
	}
}

// There is no front-channel logout: a frame of the provider's page, or of anybody's, that names an issuer and a session ends
// none, even in the browser that has it.
func TestSec_A134_NoFrontChannelLogout(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	b := l.loggedIn(phoneAase)
	query := "?" + url.Values{"iss": {l.vipps.Issuer}, "sid": {"08a5019c-17e1-4977-8f42-65a12843ea02"}}.Encode()
	for _, path := range []string{"/_vipps/frontchannel-logout", "/_vipps/logout/frontchannel", "/_vipps/logout"} {
		for _, dest := range []string{"iframe", "image", "document", "empty"} {
			h := http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {dest}, "Sec-Fetch-Site": {"cross-site"}, "Accept": {"text/html"}}
			a := b.send("GET", path+query, h, "")
			if own := path == "/_vipps/logout"; !own && a.StatusCode != http.StatusNotFound || strings.Contains(strings.Join(a.Header["Set-Cookie"], ""), "Max-Age=0") {
				t.Errorf("%s in a %s: %d, sets %q", path, dest, a.StatusCode, a.Header["Set-Cookie"])
			}
			if !l.opens(b.cookie("vippsauth")) {
				t.Fatalf("%s in a %s ends the session", path, dest)
			}
		}
	}
}
