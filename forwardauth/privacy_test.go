package forwardauth_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/vipps"
)

// asking lets a lab ask for these scopes, with these headers.
func asking(t *testing.T, scopes []string, headers ...string) func(*forwardauth.Config) {
	return func(c *forwardauth.Config) {
		client, err := vipps.New(vipps.Config{Issuer: c.Client.Issuer(), ClientID: "shop", ClientSecret: "shop secret+/=", Scopes: scopes, Now: c.Now})
		if err != nil {
			t.Fatal(err)
		}
		c.Client, c.Scopes, c.Headers = client, scopes, headers
	}
}

// identityOf are the names in a header that tell of a person.
func identityOf(h http.Header) []string {
	var names []string
	for name := range h {
		if strings.HasPrefix(name, "X-Vipps-") && name != "X-Vipps-Login-Url" || name == "Remote-User" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// What the application is told: the sub alone unless more is asked for, and birthdate, address, accounts and nin never but by name.
func TestSec_E001_UpstreamHeaders(t *testing.T) {
	t.Parallel()
	all := []string{"openid", "name", "phoneNumber", "email", "address", "birthDate", "gender", "nin", "accountNumbers"}
	base := []string{"X-Vipps-Auth", "X-Vipps-Sub"}
	for _, tt := range []struct {
		name            string
		scopes, headers []string
		want            []string
	}{
		{"as it comes", []string{"openid"}, nil, base},
		{"every scope", all, nil, []string{
			"X-Vipps-Auth", "X-Vipps-Email", "X-Vipps-Email-Verified", "X-Vipps-Family-Name", "X-Vipps-Given-Name", "X-Vipps-Name", "X-Vipps-Phone-Number", "X-Vipps-Sub",
		}},
		{"every scope, no header", all, []string{"Remote-User=sub"}, append([]string{"Remote-User"}, base...)},
		{"nin by name", all, []string{"X-Vipps-Nin=nin"}, []string{"X-Vipps-Auth", "X-Vipps-Nin", "X-Vipps-Sub"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, asking(t, tt.scopes, tt.headers...))
			l.loggedIn(phoneAase)
			if diff := cmp.Diff(tt.want, identityOf(l.last().Header)); diff != "" {
				t.Errorf("the app gets (-want +got):\n%s", diff)
			}
		})
	}
}

// Attack: a proxy copies headers of any answer to the browser, or to another person's request. With every status but 200, and on every
// page of ours, there is nothing to copy, and no other header tells of the person either.
func TestSec_E006_E007_IdentityWith200Only(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) {
		c.Headers, c.Allow = []string{"default", "Remote-User=phone_number"}, []string{phoneAase}
		c.Policies = []forwardauth.Policy{{Name: "nobody", Allow: []string{phonePer}}}
	})
	in := l.loggedIn(phoneAase)
	l.as(phonePer)
	refused := l.browser()
	refused.visit("/")
	seen := map[int]bool{}
	ask := func(b *browser, endpoint string, change func(http.Header)) {
		h := l.judged("/a")
		for name, values := range l.original("/a") {
			h[name] = values
		}
		if change != nil {
			change(h)
		}
		a := b.send("GET", endpoint, h, "")
		seen[a.StatusCode] = true
		if got := identityOf(a.Header); a.StatusCode != http.StatusOK && len(got) > 0 {
			t.Errorf("%s: %d with %v", endpoint, a.StatusCode, got)
		}
		for name := range a.Header {
			if strings.HasPrefix(name, "Access-Control-") || name == "Server-Timing" {
				t.Errorf("%s: %d with %s", endpoint, a.StatusCode, name)
			}
		}
		for _, person := range []string{"Ødegård", phoneAase, "aase@example.com"} {
			if a.StatusCode != http.StatusOK && strings.Contains(a.text, person) {
				t.Errorf("%s: %d tells of the person", endpoint, a.StatusCode)
			}
		}
	}
	endpoints := []string{
		"/_vipps/authz/forward-auth", "/_vipps/authz/auth-request", "/_vipps/authz/challenge", "/_vipps/authz/ext-authz/default/a", "/_vipps/authz/forward-auth/nobody",
		"/_vipps/authz/auth-request/nobody", "/_vipps/authz/ext-authz/nobody/a", "/_vipps/authz/forward-auth/unknown", "/_vipps/authz/none", "/_vipps/login?rd=/a", "/_vipps/logout",
		"/_vipps/callback?code=x&state=y", "/_vipps/result?x=1", "/_vipps/none",
	}
	for _, endpoint := range endpoints {
		for _, b := range []*browser{in, refused, l.browser()} {
			ask(b, endpoint, nil)
			ask(b, endpoint, func(h http.Header) { h.Set("Sec-Fetch-Mode", "cors"); h.Set("Sec-Fetch-Dest", "empty") })
			ask(b, endpoint, func(h http.Header) {
				h.Set("X-Forwarded-Host", "evil.example")
				h.Set("X-Original-Url", "http://evil.example/")
			})
			ask(b, endpoint, func(h http.Header) { h.Del("X-Forwarded-Uri"); h.Del("X-Original-Url") })
			ask(b, endpoint, func(h http.Header) { h.Set("X-Vipps-Nin", "evil") })
			ask(b, endpoint, func(h http.Header) { h.Set("Origin", "https://evil.example") })
		}
	}
	for _, status := range []int{200, 302, 401, 403, 404, 421} {
		if !seen[status] {
			t.Errorf("nothing was answered with %d", status)
		}
	}
}

// Attack: the page asked for says who somebody is (/patients/kari), and the provider, its logs and ours read it. It is in nothing that
// leaves the site in clear, and pages of ours tell nobody where they were.
func TestSec_E010_ReturnAddressStaysHere(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.as(phoneAase)
	const private = "/patients/kari-nordmann-4790000001"
	b := l.browser()
	a := b.visit(private)
	if a.StatusCode != http.StatusOK || l.last().URL.Path != private {
		t.Fatalf("%d at %v", a.StatusCode, b.trail)
	}
	asked := 0
	for _, at := range b.trail {
		if !strings.HasPrefix(at, l.vipps.URL) {
			continue
		}
		asked++
		u, err := url.Parse(at)
		if err != nil {
			t.Fatal(err)
		}
		state := u.Query().Get("state")
		for part := range strings.SplitSeq(state, ".") {
			if raw, err := base64.RawURLEncoding.DecodeString(part); err == nil {
				state += " " + string(raw)
			}
		}
		if text := at + " " + u.RawQuery + " " + state; strings.Contains(text, "kari") || strings.Contains(text, url.QueryEscape(private)) {
			t.Error("the provider learns the page asked for")
		}
	}
	if asked == 0 {
		t.Error("the provider was not asked")
	}
	for _, entry := range l.log.All() {
		for _, f := range entry.Context {
			if strings.Contains(entry.Message+f.String, "kari") {
				t.Errorf("%s, %s: the log has the page asked for", entry.Message, f.Key)
			}
		}
	}
	for _, path := range []string{"/_vipps/logout", "/_vipps/result?x=1", "/_vipps/none"} {
		if a := b.send("GET", path, navigation(), ""); !slices.Contains([]string{"no-referrer", "same-origin"}, a.Header.Get("Referrer-Policy")) {
			t.Errorf("%s: Referrer-Policy is %q", path, a.Header.Get("Referrer-Policy"))
		}
	}
}

// Attack: two people at one computer, and what the second has no claim for is the first one's. And what is told is never older than
// session_ttl.
func TestSec_E033_ClaimsOfOnePersonOnly(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) { c.Headers = []string{"default"} })
	b := l.loggedIn(phoneAase)
	if l.last().Header.Get("X-Vipps-Email") == "" {
		t.Fatal("the first has no e-mail address")
	}
	const withoutEmail = "4790000004"
	l.as(withoutEmail)
	cookie := b.cookie("vippsauth")
	a := b.visit("/_vipps/login?rd=/again") // a live session goes straight on
	if a.StatusCode != http.StatusOK || l.last().Header.Get("X-Vipps-Phone-Number") != phoneAase || b.cookie("vippsauth") != cookie {
		t.Fatalf("%d: %v", a.StatusCode, l.last().Header)
	}
	l.clock.advance(9 * 3600e9) // session_ttl is eight hours
	b.visit("/again")
	h := l.last().Header
	if h.Get("X-Vipps-Phone-Number") != withoutEmail || h.Get("X-Vipps-Email") != "" || strings.Contains(h.Get("X-Vipps-Name"), "Ødegård") {
		t.Errorf("the second person's request has %v", identityOf(h))
	}
}

// A person whom Vipps refuses for their age, or for anything else of theirs, sees a page that doesn't say why: the same for each reason.
func TestSec_E035_NeutralPageForTheRefused(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *forwardauth.Config) { c.Silent = forwardauth.SilentOff })
	telling := regexp.MustCompile(`(?i)\b(age|years?|old|14|15|alder|gammel|år|under|invalid_user|account_not_eligible)\b`)
	var first string
	for _, code := range []string{"invalid_user", "account_not_eligible", "user_refused"} {
		b := l.browser()
		to, err := b.send("GET", "/_vipps/login?rd=%2F", navigation(), "").Location()
		if err != nil {
			t.Fatal(err)
		}
		a := b.visit("/_vipps/callback?error=" + code + "&error_description=" + url.QueryEscape("The user is 14 years old") + "&state=" + url.QueryEscape(to.Query().Get("state")))
		text := regexp.MustCompile(`(?s)<style.*?</style>|<script.*?</script>|<svg.*?</svg>|<[^>]*>`).ReplaceAllString(a.text, " ")
		text = strings.Join(strings.Fields(regexp.MustCompile(`[A-Z0-9]{4}-[A-Z0-9]{4}`).ReplaceAllString(text, "REFERENCE")), " ")
		if word := telling.FindString(text); word != "" || a.StatusCode < 400 || len(text) < 50 {
			t.Errorf("%s: %d says %q: %s", code, a.StatusCode, word, text)
		}
		if first == "" {
			first = text
		}
		if diff := cmp.Diff(first, text); diff != "" {
			t.Errorf("%s has a page of its own:\n%s", code, diff)
		}
	}
}
