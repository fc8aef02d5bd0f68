package forwardauth

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// The cause that the page and the log name is the likeliest by what the request shows.
func TestSec_D24_LostCause(t *testing.T) {
	t.Parallel()
	e := shared(t, func(_, _ *Config) {})
	s := e.siteOf("a.club.example")
	for name, tt := range map[string]struct {
		secure         bool
		scheme, cookie string
		want           loopCause
	}{
		"https, none":             {true, "https", "", causeCookiesRefused},
		"http, none":              {true, "http", "", causeHTTP},
		"http, hint":              {true, "http", s.hintJar.CookieName() + "=x", causeHTTP},
		"https, hint":             {true, "https", s.hintJar.CookieName() + "=x", causeUnknown},
		"https, session":          {true, "https", s.jar.CookieName() + "=x", causeUnknown},
		"https, another":          {true, "https", "other=x", causeCookiesRefused},
		"a site on http":          {false, "http", "", causeCookiesRefused},
		"a site on http, session": {false, "http", s.jar.CookieName() + "=x", causeUnknown},
	} {
		s.secure = tt.secure
		r := httptest.NewRequest(http.MethodGet, "/_vipps/callback", http.NoBody)
		r.Header.Set("Cookie", tt.cookie)
		if got := e.lostCause(s, r, Original{Scheme: tt.scheme}); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

// A login that began on one site and comes back on another says that the redirect URI is wrong. One that nobody here
// began doesn't.
func TestStartedElsewhere(t *testing.T) {
	t.Parallel()
	client, err := vipps.New(vipps.Config{Issuer: "http://127.0.0.1:1/", ClientID: "a", ClientSecret: "b"})
	if err != nil {
		t.Fatal(err)
	}
	key, err := session.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(Config{Client: client, Keys: session.Keys{key}, PublicURLs: []string{"https://one.example", "https://two.example"}})
	if err != nil {
		t.Fatal(err)
	}
	suffix, err := carried{ReturnTo: "/x"}.seal(e.siteOf("one.example").states)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		host, suffix string
		kind         resultKind
		cause        loopCause
	}{
		"the other site": {"two.example", suffix, resultLoop, causeOtherHost},
		"its own":        {"one.example", suffix, resultRestart, ""},
		"nobody's":       {"two.example", "1AAAA", resultError, ""},
	} {
		w := e.navigate(tt.host, "/_vipps/callback?code=x&state="+strings.Repeat("A", stateIDLength)+"."+url.QueryEscape(tt.suffix))
		_, token, _ := strings.Cut(w.Header().Get("Location"), "?t=")
		res, ok := e.openResult(e.siteOf(tt.host), token)
		if !ok || res.Kind != tt.kind || res.Cause != tt.cause {
			t.Errorf("%s: %d to %s: %+v", name, w.Code, w.Header().Get("Location"), res)
		}
	}
}

// A token that doesn't say when the person authenticated is taken at its own time.
func TestAuthTimeOfASession(t *testing.T) {
	t.Parallel()
	e := shared(t, func(_, _ *Config) {})
	now := time.Now()
	issued, authenticated := now.Add(-time.Second), now.Add(-time.Hour)
	for _, tt := range []struct{ authTime, want time.Time }{{time.Time{}, issued}, {authenticated, authenticated}} {
		d := e.newSession(&vipps.Login{IssuedAt: issued, AuthTime: tt.authTime}, now, false)
		if !d.AuthTime.Equal(tt.want) {
			t.Errorf("%s, want %s", d.AuthTime, tt.want)
		}
	}
}

// A session keeps the claims that the person has, and an address of theirs only if Vipps has verified it or the operator
// wants it anyway.
func TestClaimsOfASession(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		unverified string
		user       vipps.User
		want       []claimValue
	}{
		"verified":          {EmailUnverifiedDrop, vipps.User{Name: "Åse", Email: "a@a.example", EmailVerified: true}, []claimValue{{"name", "Åse"}, {"email", "a@a.example"}}},
		"unverified":        {EmailUnverifiedDrop, vipps.User{Name: "Åse", Email: "a@a.example"}, []claimValue{{"name", "Åse"}}},
		"unverified passes": {EmailUnverifiedPass, vipps.User{Name: "Åse", Email: "a@a.example"}, []claimValue{{"name", "Åse"}, {"email", "a@a.example"}}},
		"none":              {EmailUnverifiedPass, vipps.User{GivenName: "Åse", EmailVerified: true}, nil},
	} {
		e := shared(t, func(first, second *Config) {
			first.EmailUnverified, second.EmailUnverified = tt.unverified, tt.unverified
		})
		e.claims = []string{"name", "email"}
		d := e.newSession(&vipps.Login{User: tt.user}, time.Now(), false)
		if diff := cmp.Diff(tt.want, d.Claims, cmp.AllowUnexported(claimValue{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// An error is the provider's answer only if it came with the callback, and says what the callback says.
func TestProvidersOwn(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		stage          vipps.Stage
		code, answered string
		want           bool
	}{
		{vipps.StageAuthorize, "login_required", "login_required", true},
		{vipps.StageAuthorize, vipps.CodeUnknown, "what is this", true},
		{vipps.StageAuthorize, vipps.CodeIssuerMismatch, "login_required", false},
		{vipps.StageAuthorize, vipps.CodeUnknown, "", false},
		{vipps.StageIDToken, "login_required", "login_required", false},
		{vipps.StageIDToken, vipps.CodeUnknown, "what is this", false},
	} {
		if got := providersOwn(&vipps.Error{Stage: tt.stage, Code: tt.code}, tt.answered); got != tt.want {
			t.Errorf("%s %s for %q: %t", tt.stage, tt.code, tt.answered, got)
		}
	}
}
