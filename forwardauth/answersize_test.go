package forwardauth_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// Attack: a proxy reads our answer into a buffer, or all of it into memory, and somebody's profile, or whoever answers in
// place of Vipps, decides how long it is. An answer that lets pass has no body; a value has 4 KiB at most, and of all of them
// together what a session can hold, beyond which nobody is logged in; a refusal of a program is less than 1 KiB, and of a
// person a page of a few.
func TestSec_B045_AnswersAreBounded(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"utf-8", "percent", "base64url", "ascii"} {
		l := newLab(t, func(c *forwardauth.Config) {
			c.HeaderEncoding, c.Allow = encoding, []string{"+47 90 00 00 01", "+47 99 00 00 01"}
		})
		usual, _ := measured(t, l, l.loggedIn(phoneAase))
		if usual > 2<<10 {
			t.Errorf("%s: the headers of somebody usual have %d bytes", encoding, usual)
		}
		const phone = "4799000001"
		if err := l.vipps.Control().AddPerson(emulator.Person{
			ID: "long", Phone: phone, Name: strings.Repeat("Å", 1000), GivenName: strings.Repeat("Å", 1000), FamilyName: strings.Repeat("Ø", 1000), Email: strings.Repeat("a", 60) + "@example.com", EmailVerified: true,
		}); err != nil {
			t.Fatal(err)
		}
		large, longest := measured(t, l, l.loggedIn(phone))
		if large < 4<<10 || large > 16<<10 || longest > 4096 {
			t.Errorf("%s: the headers of somebody with a long name have %d bytes, and the longest %d", encoding, large, longest)
		}
		// Somebody with 20 KB of names and addresses gets no session, and a page that says why.
		if err := l.vipps.Control().Break(emulator.BreakHugeProfile, 1); err != nil {
			t.Fatal(err)
		}
		l.as(phone)
		b := l.browser()
		if a := b.visit("/"); a.StatusCode != http.StatusBadRequest || b.cookie("vippsauth") != "" {
			t.Errorf("%s: 20 KB of names: %d", encoding, a.StatusCode)
		}
		l.as(phonePer)
		for name, tt := range map[string]struct {
			b     *browser
			h     http.Header
			bound int
		}{
			"nobody, a script": {l.browser(), http.Header{"Sec-Fetch-Mode": {"cors"}}, 1 << 10},
			"nobody, a visit":  {l.browser(), navigation(), 1 << 10},
			"not on the list":  {refusedBrowser(l), navigation(), 8 << 10},
		} {
			for _, path := range []string{"forward-auth", "auth-request"} {
				h := l.judged("/" + strings.Repeat("a", 2000))
				for header, values := range tt.h {
					h[header] = values
				}
				a := tt.b.send("GET", "/_vipps/authz/"+path, h, "")
				if a.StatusCode < 300 || len(a.text) > tt.bound || len(a.Header["Location"]) > 0 && len(a.Header.Get("Location")) > 8<<10 {
					t.Errorf("%s, %s at %s: %d with a body of %d bytes", encoding, name, path, a.StatusCode, len(a.text))
				}
			}
		}
	}
}

// refusedBrowser is one of a person who may not pass.
func refusedBrowser(l *lab) *browser {
	b := l.browser()
	b.visit("/")
	return b
}

// measured gives the size of the headers of an answer that lets pass, and that of the longest value.
func measured(t *testing.T, l *lab, b *browser) (all, longest int) {
	t.Helper()
	a := b.send("GET", "/_vipps/authz/forward-auth", l.judged("/"), "")
	if a.StatusCode != http.StatusOK || a.text != "" {
		t.Fatalf("%d with a body of %d bytes", a.StatusCode, len(a.text))
	}
	for name, values := range a.Header {
		for _, value := range values {
			all += len(name) + len(": \r\n") + len(value)
			longest = max(longest, len(value))
		}
	}
	return all, longest
}
