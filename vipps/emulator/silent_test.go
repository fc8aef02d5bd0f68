package emulator_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// The table of no_dialog: what the documents say, and each way it may go since they are silent.
func TestNoDialog(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		mode              string
		remember, consent bool
		code, pages       bool
		failure, text     string
		never             bool
	}{
		"hit":                         {mode: "real", remember: true, consent: true, code: true},
		"not remembered":              {mode: "real", consent: true, failure: "interaction_required", text: "User interaction is required"},
		"consent lacks":               {mode: "real", remember: true, failure: "interaction_required", text: "User interaction is required"},
		"neither":                     {mode: "real", failure: "interaction_required", text: "User interaction is required"},
		"forced hit":                  {mode: "hit", code: true},
		"forced miss":                 {mode: "miss", remember: true, consent: true, failure: "interaction_required", text: "User interaction is required"},
		"login_required":              {mode: "error:login_required", remember: true, consent: true, failure: "login_required", text: "User must log in with interaction"},
		"consent_required":            {mode: "error:consent_required", failure: "consent_required", text: "The Authorization Server requires End-User consent."},
		"server_error":                {mode: "error:server_error", failure: "server_error", text: "Something went wrong, please try again"},
		"access_denied":               {mode: "error:access_denied", failure: "access_denied", text: "User cancelled the login"},
		"something of tomorrow":       {mode: "error:brand_new", failure: "brand_new", text: "The emulator was told to answer this"},
		"ignored":                     {mode: "ignored", pages: true},
		"ignored in a known browser":  {mode: "ignored", remember: true, consent: true, code: true},
		"never returns":               {mode: "never-returns", remember: true, consent: true, never: true},
		"never returns to a stranger": {mode: "never-returns", never: true},
	} {
		for _, spinner := range []time.Duration{-1, 500 * time.Millisecond, 0, 3 * time.Second} {
			t.Run(name+" "+spinner.String(), func(t *testing.T) {
				t.Parallel()
				s := start(t, func(c *emulator.Config) { c.Spinner = spinner; c.RSABits = 1024 })
				b := newBrowser(t, s)
				if tc.remember {
					cookie, err := s.Control().Remember(aase)
					if err != nil {
						t.Fatal(err)
					}
					u := cookieURL(t, s)
					b.client.Jar.SetCookies(u, []*http.Cookie{cookie})
				}
				if tc.consent {
					if err := s.Control().Consent("shop", aase); err != nil {
						t.Fatal(err)
					}
				}
				if err := s.Control().NoDialog(tc.mode); err != nil {
					t.Fatal(err)
				}
				p := b.get(authorizeURL(s, "requested_flow", "no_dialog"))
				if spinner >= 0 && tc.mode != "ignored" {
					p = waitOut(t, b, p, map[time.Duration]string{500 * time.Millisecond: "0", 0: "1", 3 * time.Second: "3"}[spinner])
				}
				switch {
				case tc.pages:
					p.form(t, "phone")
				case tc.never:
					if p.back != nil || p.status != 400 || !strings.Contains(p.texts, "Oops, something went wrong") {
						t.Errorf("want the error page, got %d %v", p.status, p.back)
					}
				case tc.code:
					if p.back == nil || p.back.Query().Get("code") == "" || p.back.Query().Get("state") != state {
						t.Fatalf("want a code, got %v", p.back)
					}
					checkSilentSub(t, s, p.back.Query().Get("code"))
				default:
					want := callback + "?error=" + tc.failure + "&error_description=" + url.QueryEscape(tc.text) + "&state=" + state
					if got := p.header.Get("Location"); p.status != http.StatusFound || got != want {
						t.Errorf("Location = %s\n    want   %s", got, want)
					}
				}
			})
		}
	}
}

// waitOut is what a browser does with the spinner page.
func waitOut(t *testing.T, b *browser, p *page, seconds string) *page {
	t.Helper()
	wait, target, ok := strings.Cut(p.meta, ";url=")
	if p.status != 200 || !ok || wait != seconds || !strings.Contains(p.body, `class="spinner"`) {
		t.Fatalf("want the spinner page for %s s, got %d with refresh %q", seconds, p.status, p.meta)
	}
	return b.get(target)
}

func checkSilentSub(t *testing.T, s *emulator.Server, code string) {
	t.Helper()
	a := token(t, s, code)
	if sub, _ := claims(t, a.json(t)["id_token"].(string))["sub"].(string); !strings.HasPrefix(sub, "emulator-") {
		t.Errorf("sub = %q", sub)
	}
}

func TestSpinnerBelongsToOneBrowserAndIsUsedOnce(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	b := newBrowser(t, s)
	_, target, _ := strings.Cut(b.get(authorizeURL(s, "requested_flow", "no_dialog")).meta, ";url=")
	if p := newBrowser(t, s).get(target); p.status != http.StatusForbidden {
		t.Errorf("another browser: %d", p.status)
	}
	if p := b.get(target); p.back == nil {
		t.Errorf("the browser itself: %d", p.status)
	}
	if p := b.get(target); p.status != http.StatusForbidden {
		t.Errorf("a second time: %d", p.status)
	}
}
