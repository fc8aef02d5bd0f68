package emulator_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

const appCallback = "eksempelapp://callback?a=b"

// startApps serves an emulator whose "shop" has an app.
func startApps(t *testing.T) *emulator.Server {
	t.Helper()
	return start(t, func(cfg *emulator.Config) { cfg.Clients[0].AppURIs = []string{appCallback} })
}

// until clicks through the pages up to the confirmation in the app.
func confirmed(b *browser, authorize string) *page {
	b.t.Helper()
	return b.confirm(b.submit(b.get(authorize), "phone", "phone", aase))
}

func TestAppToApp(t *testing.T) {
	t.Parallel()
	s := startApps(t)
	b := newBrowser(t, s)
	p := confirmed(b, authorizeURL(s, "requested_flow", "app_to_app", "app_callback_uri", appCallback))
	if p.back == nil || !strings.HasPrefix(p.back.String(), appCallback+"&state="+state+"&resume_uri=http") {
		t.Fatalf("the app isn't opened: %v\n%s", p.back, p.texts)
	}
	resume := p.back.Query().Get("resume_uri")
	if p := newBrowser(t, s).get(resume); p.status != http.StatusForbidden {
		t.Errorf("in another browser: %d", p.status)
	}
	p = b.get(resume)
	if p.back != nil {
		t.Fatalf("no consent was asked for: %v", p.back)
	}
	p = b.submit(p, "consent")
	if p.back == nil || !strings.HasPrefix(p.back.String(), callback+"?code=") || p.back.Query().Get("state") != state {
		t.Fatalf("back to %v", p.back)
	}
	if a := token(t, s, p.back.Query().Get("code")); a.status != http.StatusOK {
		t.Errorf("token: %d %s", a.status, a.body)
	}
	p = b.get(resume)
	if p.status != http.StatusForbidden {
		t.Errorf("resuming what is over: %d", p.status)
	}
	// The second time no consent lacks: resume_uri leads straight back.
	p = confirmed(b, authorizeURL(s, "requested_flow", "app_to_app", "app_callback_uri", appCallback))
	if p = b.get(p.back.Query().Get("resume_uri")); p.back == nil || p.back.Query().Get("code") == "" {
		t.Errorf("with consent: %v", p.back)
	}
}

func TestAppToAppWithoutPages(t *testing.T) {
	t.Parallel()
	s := startApps(t)
	if err := s.Control().AutoApprove(aase); err != nil {
		t.Fatal(err)
	}
	b := newBrowser(t, s)
	p := b.get(authorizeURL(s, "requested_flow", "app_to_app", "app_callback_uri", appCallback))
	if p.back == nil || p.back.Scheme != "eksempelapp" {
		t.Fatalf("the app isn't opened: %v", p.back)
	}
	p = b.get(p.back.Query().Get("resume_uri"))
	if p.back == nil {
		t.Fatalf("not back: %s", p.texts)
	}
	id := claims(t, token(t, s, p.back.Query().Get("code")).json(t)["id_token"].(string))
	if id["auth_time"] != float64(newClock().Now().Unix()) {
		t.Errorf("auth_time %v", id["auth_time"])
	}
}

// What goes wrong on the phone is told to the app; what goes wrong before, to the redirect URI.
func TestAppToAppErrors(t *testing.T) {
	t.Parallel()
	s := startApps(t)
	good := []string{"requested_flow", "app_to_app", "app_callback_uri", appCallback}
	with := func(set ...string) string { return authorizeURL(s, append(append([]string{}, good...), set...)...) }
	for name, tc := range map[string]struct{ url, error string }{
		"no app_callback_uri":        {authorizeURL(s, "requested_flow", "app_to_app"), "invalid_request"},
		"an empty one":               {with("app_callback_uri", ""), "invalid_app_callback_uri"},
		"no scheme":                  {with("app_callback_uri", "callback"), "invalid_app_callback_uri"},
		"a scheme and nothing else":  {with("app_callback_uri", "eksempelapp://"), "invalid_app_callback_uri"},
		"a fragment":                 {with("app_callback_uri", appCallback+"#x"), "invalid_app_callback_uri"},
		"a script":                   {with("app_callback_uri", "javascript:alert(1)"), "invalid_app_callback_uri"},
		"not registered":             {with("app_callback_uri", "eksempelapp://other"), "app_callback_uri_not_registered"},
		"elsewhere":                  {with("app_callback_uri", "https://example.com/"), "app_callback_uri_not_registered"},
		"without the flow":           {authorizeURL(s, "app_callback_uri", appCallback), "invalid_request"},
		"with v2":                    {with("requested_flow", "app_to_app_v2"), "invalid_request"},
		"final_redirect_is_app=1":    {with("final_redirect_is_app", "1"), "invalid_request"},
		"v2 without PKCE":            {authorizeURL(s, "requested_flow", "app_to_app_v2", "code_challenge", "-", "code_challenge_method", "-"), "invalid_request"},
		"no_dialog with an app's":    {with("requested_flow", "no_dialog"), "invalid_request"},
		"the flow in another's case": {with("requested_flow", "App_To_App"), "invalid_request"},
	} {
		p := newBrowser(t, s).get(tc.url)
		if p.back == nil || !strings.HasPrefix(p.back.String(), callback+"?error="+tc.error+"&") || p.back.Query().Get("state") != state {
			t.Errorf("%s: %v", name, p.back)
		}
	}
	b := newBrowser(t, s)
	wrong := func() *page {
		p := b.submit(b.get(with()), "phone", "phone", aase)
		n := shownNumber(t, p)
		for _, button := range p.form(t, "challenge").buttons {
			if button.value != n {
				return b.submit(p, "challenge", "choice", button.value)
			}
		}
		return p
	}
	if p := wrong(); p.back == nil || p.back.String() != appCallback+"&state="+state+"&error=wrong_challenge" {
		t.Errorf("the wrong number: %v", p.back)
	}
	if err := s.Control().Break(emulator.BreakAppCallback, 1); err != nil {
		t.Fatal(err)
	}
	if p := wrong(); p.back == nil || p.back.String() != appCallback+"&state="+state+"?error=wrong_challenge" {
		t.Errorf("as the documents print it: %v", p.back)
	}
	if p := b.submit(b.get(with()), "cancel"); p.back == nil || !strings.HasPrefix(p.back.String(), callback+"?error=access_denied&") {
		t.Errorf("cancelled in the browser: %v", p.back)
	}
	if err := s.Control().Deny("unknown_error"); err != nil {
		t.Fatal(err)
	}
	if p := b.get(with()); p.back == nil || p.back.String() != appCallback+"&state="+state+"&error=unknown_error" {
		t.Errorf("denied: %v", p.back)
	}
}

// The simple flow of apps comes straight back to the redirect URI, which may be the app's.
func TestAppToAppV2(t *testing.T) {
	t.Parallel()
	s := startApps(t)
	b := newBrowser(t, s)
	p := confirmed(b, authorizeURL(s, "requested_flow", "app_to_app_v2", "redirect_uri", appCallback, "final_redirect_is_app", "true"))
	p = b.submit(p, "consent")
	if p.back == nil || !strings.HasPrefix(p.back.String(), appCallback+"&code=") {
		t.Fatalf("back to %v", p.back)
	}
	if a := token(t, s, p.back.Query().Get("code"), "redirect_uri", appCallback); a.status != http.StatusOK {
		t.Errorf("token: %d %s", a.status, a.body)
	}
	asked := s.Control().Log()[0].Asked
	if asked["requested_flow"] != "app_to_app_v2" || asked["final_redirect_is_app"] != "true" || asked["market"] != "NO" || asked["state"] != "" {
		t.Errorf("asked %v", asked)
	}
}

// The phone may open another browser than the one that the login began in: the page gives the address for either.
func TestAutomaticReturn(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	b := newBrowser(t, s)
	p := confirmed(b, authorizeURL(s, "requested_flow", "automatic_return_from_vipps_app"))
	p = b.submit(p, "consent")
	if p.back != nil {
		t.Fatalf("the browser went back by itself: %v", p.back)
	}
	_, rest, _ := strings.Cut(p.body, `readonly spellcheck="false">`)
	raw, _, ok := strings.Cut(rest, "<")
	back, err := url.Parse(strings.ReplaceAll(raw, "&amp;", "&"))
	if !ok || err != nil || back.Query().Get("state") != state || !strings.Contains(p.body, `href="`+raw+`"`) {
		t.Fatalf("no address on the page: %q\n%s", raw, p.body)
	}
	if again := b.get(p.url.String()); !strings.Contains(again.body, raw) {
		t.Error("another address after a reload")
	}
	if a := token(t, s, back.Query().Get("code")); a.status != http.StatusOK {
		t.Errorf("token: %d %s", a.status, a.body)
	}
	// Who is remembered isn't sent to the app, and so comes back where they were. So does everybody without pages.
	if err := s.Control().AutoApprove(aase); err != nil {
		t.Fatal(err)
	}
	if p := b.get(authorizeURL(s, "requested_flow", "automatic_return_from_vipps_app")); p.back == nil {
		t.Error("without pages: no redirect")
	}
}

func TestMarketIsTheBrand(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for market, want := range map[string]string{"NO": "Vipps NO", "SE": "Vipps SE", "DK": "MobilePay DK", "FI": "MobilePay FI", "-": ""} {
		p := newBrowser(t, s).get(authorizeURL(s, "market", market))
		_, rest, shown := strings.Cut(p.body, `<p class="brand">`)
		got, _, _ := strings.Cut(rest, "</p>")
		got = strings.NewReplacer("<span>", "", "</span>", "").Replace(got)
		if shown != (want != "") || shown && got != want {
			t.Errorf("market %s: brand %q", market, got)
		}
	}
}

func TestAppURIs(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for _, uri := range []string{
		"http://localhost/x", "https://example.com/", "ftp://example.com/", "javascript://x/%0aalert(1)", "data:text/html,x", "eksempelapp://", "callback",
		"WSS://example.com", "mailto:a@example.com", "file:///etc/passwd", "eksempelapp:/", "eksempelapp:x", "eksempelapp://u@x", "eksempelapp://x#y", "",
	} {
		if err := s.Control().AddClient(emulator.Client{ID: "x", Secret: "x", AppURIs: []string{uri}}); err == nil {
			t.Errorf("%q is taken", uri)
		}
	}
	if err := s.Control().AddClient(emulator.Client{ID: "x", Secret: "x", AppURIs: []string{"no.example.app://x/y?z", "eksempelapp:///x"}}); err != nil {
		t.Error(err)
	}
}
