package forwardauth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// The stories of this file are about the address that the provider sends people back to, which anybody can open with
// anything.

func (l *lab) tokenCalls() int { return l.vipps.Control().Calls()[emulator.EndpointToken] }

// query takes a callback apart.
func query(t testing.TB, callback string) url.Values {
	t.Helper()
	u, err := url.Parse(callback)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

// attemptOf is the only cookie of a login attempt in the browser.
func (b *browser) attemptOf() (name, value string) {
	b.t.Helper()
	for cookie, v := range b.own() {
		if strings.HasPrefix(cookie, "vippsauth-login-") {
			if name != "" {
				b.t.Fatal("several attempts")
			}
			name, value = cookie, v
		}
	}
	if name == "" {
		b.t.Fatal("no attempt")
	}
	return name, value
}

// Attack: everything that can be done to the parameters. Only the code that belongs to the state counts, and whatever else
// is there changes nothing; what is ambiguous is refused before anything is sent to the provider.
func TestSec_C040_B084_B113_Pollution(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.silent(emulator.NoDialogHit)
	const login, refused, asked = "logged in", "refused", "refused by the provider"
	// Only an answer that is this attempt's, and says one thing, ends the attempt: the others leave it to the one that comes.
	ends := map[string]bool{"empty error": true, "brackets": true, "code and error": true, "another iss": true, "no code": true, "empty code": true}
	for name, tt := range map[string]struct {
		change func(code, state string) string
		want   string
	}{
		"tokens beside": {func(c, s string) string {
			return "code=" + c + "&state=" + s + "&id_token=eyJhbGciOiJub25lIn0.e30.&access_token=x"
		}, login},
		"session_state":   {func(c, s string) string { return "code=" + c + "&state=" + s + "&session_state='-alert(1)-'" }, login},
		"capitals beside": {func(c, s string) string { return "CODE=evil&STATE=evil&code=" + c + "&state=" + s }, login},
		"brackets beside": {func(c, s string) string { return "code[]=evil&code=" + c + "&state[]=evil&state=" + s }, login},
		"empty error":     {func(c, s string) string { return "code=" + c + "&state=" + s + "&error=" }, refused},
		"capitals":        {func(c, s string) string { return "CODE=" + c + "&STATE=" + s }, refused},
		"brackets":        {func(c, s string) string { return "code[]=" + c + "&state=" + s }, refused},
		"a second, empty": {func(c, s string) string { return "code=" + c + "&state=" + s + "&code=" }, refused},
		"a second state":  {func(c, s string) string { return "state=" + s + "&state=" + s + "&code=" + c }, refused},
		"a second error":  {func(_, s string) string { return "error=access_denied&error=x&state=" + s }, refused},
		"code and error":  {func(c, s string) string { return "code=" + c + "&state=" + s + "&error=access_denied" }, refused},
		"two iss": {func(c, s string) string {
			return "code=" + c + "&state=" + s + "&iss=" + url.QueryEscape(l.vipps.Issuer) + "&iss=x"
		}, refused},
		"another iss":        {func(c, s string) string { return "code=" + c + "&state=" + s + "&iss=https://evil.example" }, refused},
		"semicolon":          {func(c, s string) string { return "code=" + c + ";state=" + s }, refused},
		"state in the code":  {func(c, s string) string { return "code=" + c + "%26state%3D" + s }, refused},
		"more in the code":   {func(c, s string) string { return "code=" + c + "%26state%3DT&state=" + s }, asked},
		"NUL":                {func(c, s string) string { return "code=%00" + c + "&state=" + s }, refused},
		"line end":           {func(c, s string) string { return "code=" + c + "%0d%0aX:%20y&state=" + s }, refused},
		"64 KiB":             {func(_, s string) string { return "code=" + strings.Repeat("c", 64<<10) + "&state=" + s }, refused},
		"no code":            {func(_, s string) string { return "state=" + s }, refused},
		"empty code":         {func(_, s string) string { return "code=&state=" + s }, refused},
		"no state":           {func(c, _ string) string { return "code=" + c }, refused},
		"state without =":    {func(c, _ string) string { return "code=" + c + "&state" }, refused},
		"a bad escape":       {func(c, s string) string { return "code=" + c + "&state=" + s + "&x=%zz" }, refused},
		"10,001 parameters":  {func(c, s string) string { return "code=" + c + "&state=" + s + strings.Repeat("&a", 10_001) }, refused},
		"state with a blank": {func(c, s string) string { return "code=" + c + "&state=" + s + "+" }, refused},
		"blank before":       {func(c, s string) string { return "code=" + c + "&state=%20" + s }, refused},
		"other case":         {func(c, s string) string { return "code=" + c + "&state=" + otherCase(s) }, refused},
		"state cut":          {func(c, s string) string { return "code=" + c + "&state=" + s[:43] }, refused},
		"state with more":    {func(c, s string) string { return "code=" + c + "&state=" + s + "A" }, refused},
		"a line end behind":  {func(c, s string) string { return "code=" + c + "&state=" + s + "%0a" }, refused},
		"another suffix":     {func(c, s string) string { return "code=" + c + "&state=" + s[:43] + ".1AAAA" }, refused},
		"huge description": {func(_, s string) string {
			return "error=%3Cscript%3E&error_uri=javascript:alert(1)&error_description=" + strings.Repeat("%3Cb%3E", 10_000) + "&state=" + s[:42] + "%"
		}, refused},
	} {
		b := l.browser()
		q := query(t, b.begin("/wanted"))
		before := l.tokenCalls()
		// Straight to the handler: this is about the callback, not about how long a line net/http reads.
		r := httptest.NewRequest("GET", l.site.URL+"/_vipps/callback", http.NoBody)
		r.URL.RawQuery = tt.change(q.Get("code"), q.Get("state"))
		r.Header = navigation()
		cookie, value := b.attemptOf()
		r.Header.Set("Cookie", cookie+"="+value)
		w := httptest.NewRecorder()
		l.one.ServeHTTP(w, r)
		set := strings.Join(w.Header()["Set-Cookie"], "\n")
		got := refused
		switch calls := l.tokenCalls() - before; {
		case strings.Contains(set, "vippsauth=1") && calls == 1:
			got = login
		case strings.Contains(set, "vippsauth=1"):
			got = fmt.Sprintf("logged in after %d calls", calls)
		case calls > 0:
			got = asked
		}
		if got != tt.want || w.Code != http.StatusSeeOther || strings.Contains(w.Header().Get("Location"), q.Get("code")) {
			t.Errorf("%s: %s, want %s: %d to %s", name, got, tt.want, w.Code, w.Header().Get("Location"))
		}
		if ended := strings.Contains(set, "vippsauth-login-"); got == refused && ended != ends[name] {
			t.Errorf("%s: the attempt is over: %t", name, ended)
		}
		if got != login { // the page says so, and offers another try
			a := b.visit(w.Header().Get("Location"))
			if a.StatusCode != 400 && a.StatusCode != 502 && a.StatusCode != 200 || strings.Contains(a.text, "<script") || strings.Contains(a.text, "javascript:") {
				t.Errorf("%s: the page: %d %s", name, a.StatusCode, a.text)
			}
		}
	}
}

// otherCase changes the case of the last letter among the first 43 characters.
func otherCase(s string) string {
	b := []byte(s)
	for i := 42; i >= 0; i-- {
		if c := b[i] | 0x20; 'a' <= c && c <= 'z' {
			b[i] ^= 0x20
			return string(b)
		}
	}
	return s
}

// Attack: link scanners, prefetchers, forms and scripts at the callback. Whatever asks in another way than a browser that
// was sent there burns nothing, and the person who comes after it is logged in.
func TestSec_C040_C043_B108_OtherRequestsBurnNothing(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.silent(emulator.NoDialogHit)
	b := l.browser()
	callback := b.begin("/wanted")
	q, calls := query(t, callback), l.tokenCalls()
	form := ownForm()
	typed := func(contentType string) http.Header {
		h := ownForm()
		h.Set("Content-Type", contentType)
		return h
	}
	nav := navigation()
	for name, a := range map[string]answer{
		"HEAD":              b.send("HEAD", callback, nav, ""),
		"POST":              b.send("POST", callback, form, ""),
		"POST of another":   b.send("POST", callback, form, "code=evil&state=evil"),
		"POST of the query": b.send("POST", "/_vipps/callback", form, q.Encode()),
		"multipart":         b.send("POST", "/_vipps/callback", typed("multipart/form-data; boundary=x"), "--x\r\nContent-Disposition: form-data; name=\"code\"\r\n\r\nx\r\n--x--\r\n"),
		"JSON":              b.send("POST", callback, typed("application/json"), `{"code":"x","state":"y"}`),
		"no type":           b.send("POST", callback, http.Header{"Content-Type": {""}}, ""),
		"a type of garbage": b.send("POST", callback, typed("\xff;;="), "x"),
		"PUT":               b.send("PUT", callback, form, ""),
		"OPTIONS":           b.send("OPTIONS", callback, nav, ""),
		"PROPFIND":          b.send("PROPFIND", callback, nav, ""),
		"an image":          b.send("GET", callback, http.Header{"Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"image"}}, ""),
		"a frame":           b.send("GET", callback, http.Header{"Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"iframe"}, "Accept": {"text/html"}}, ""),
		"a fetch":           b.send("GET", callback, http.Header{"Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}}, ""),
		"capitals":          b.send("GET", strings.Replace(callback, "/callback", "/Callback", 1), nav, ""),
		"another prefix":    b.send("GET", strings.Replace(callback, "/_vipps/", "/_VIPPS/", 1), http.Header{"Sec-Fetch-Mode": {"cors"}}, ""),
		"a slash more":      b.send("GET", strings.Replace(callback, "/callback", "/callback/", 1), nav, ""),
		"encoded":           b.send("GET", strings.Replace(callback, "/callback", "/c%61llback", 1), nav, ""),
		"dots":              b.send("GET", strings.Replace(callback, "/callback", "/x/../callback", 1), nav, ""),
	} {
		if a.StatusCode < 400 || a.StatusCode >= 500 || strings.Contains(strings.Join(a.Header["Set-Cookie"], "\n"), "vippsauth=1") {
			t.Errorf("%s: %d %v", name, a.StatusCode, a.Header["Set-Cookie"])
		}
	}
	for _, host := range []string{"evil.example", "127.0.0.1", "127.0.0.1:1", "localhost:" + l.site.URL[strings.LastIndexByte(l.site.URL, ':')+1:], ""} {
		r := httptest.NewRequest("GET", callback, http.NoBody)
		r.Host, r.Header = host, navigation()
		name, value := b.attemptOf()
		r.Header.Set("Cookie", name+"="+value)
		w := httptest.NewRecorder()
		if l.one.ServeHTTP(w, r); w.Code != http.StatusMisdirectedRequest || len(w.Header()["Set-Cookie"]) > 0 {
			t.Errorf("at host %q: %d %v", host, w.Code, w.Header())
		}
	}
	if n := l.tokenCalls() - calls; n != 0 {
		t.Errorf("the provider was asked %d times", n)
	}
	if a := b.visit(callback); !strings.Contains(a.text, "app: GET /wanted auth=authenticated") {
		t.Errorf("after all that: %d %s", a.StatusCode, a.text)
	}
}

// Attack: the same callback a second time: by the browser itself, by a copy of it that has the attempt's cookie still,
// and at another time. The first session stays what it was, and the provider is asked once.
func TestSec_A094_C041_SecondUse(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.silent(emulator.NoDialogHit)
	b := l.browser()
	callback := b.begin("/")
	copied := b.tab()
	calls := l.tokenCalls()
	b.visit(callback)
	value := b.cookie("vippsauth")
	if value == "" {
		t.Fatal("no session")
	}
	for _, later := range []time.Duration{0, time.Minute, 28 * time.Minute, time.Hour} {
		l.clock.advance(later)
		if a := b.visit(callback); b.cookie("vippsauth") != value || !strings.Contains(a.text, "auth=authenticated") || b.passed("/oauth2/auth") != 0 {
			t.Errorf("%s later, the browser itself: %d %s", later, a.StatusCode, a.text)
		}
		thief := copied.tab()
		a := thief.visit(callback)
		if thief.cookie("vippsauth") != "" || a.StatusCode != http.StatusBadRequest && !strings.Contains(a.text, "app:") || l.tokenCalls() != calls+1 && later < time.Hour {
			t.Errorf("%s later, a copy: %d, session %q, %d calls", later, a.StatusCode, thief.cookie("vippsauth"), l.tokenCalls()-calls)
		}
		if later == time.Hour {
			break
		}
	}
	if !l.opens(value) {
		t.Error("the first session was ended by it")
	}
}

// Attack: somebody lures a person to the callback with his own code and state (login CSRF, session swapping), or brings
// their code to his own login (code injection), or puts an attempt's cookie under the name of another. Nobody is logged in
// as anybody but whoever answered at the provider, in the browser that began.
func TestSec_A091_A121_C042_CrossSession(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.silent(emulator.NoDialogHit)
	begin := func(phone string) (*browser, string) {
		l.as(phone)
		b := l.browser()
		return b, b.begin("/")
	}
	unchanged := func(what string, b *browser, callback string, calls int) {
		t.Helper()
		before, asked := b.cookie("vippsauth"), l.tokenCalls()
		a := b.send("GET", callback, navigation(), "")
		if b.cookie("vippsauth") != before || l.tokenCalls()-asked != calls || a.StatusCode != http.StatusSeeOther {
			t.Errorf("%s: %d, session changed %t, %d calls, want %d", what, a.StatusCode, b.cookie("vippsauth") != before, l.tokenCalls()-asked, calls)
		}
		if res := b.send("GET", a.Header.Get("Location"), navigation(), ""); strings.Contains(res.text, "app:") && before == "" {
			t.Errorf("%s: reaches the app", what)
		}
	}
	attacker, his := begin(phonePer)
	victim, hers := begin(phoneAase)
	hisName, _ := attacker.attemptOf()
	_, herValue := victim.attemptOf()
	swapped := func(code, state string) string {
		return "/_vipps/callback?" + url.Values{"code": {query(t, code).Get("code")}, "state": {query(t, state).Get("state")}}.Encode()
	}
	unchanged("his callback in her browser", victim, his, 0)
	unchanged("her callback in his browser", attacker, hers, 0)
	unchanged("his state with her code in her browser", victim, swapped(hers, his), 0)
	unchanged("in a browser that began nothing", l.browser(), hers, 0)
	unchanged("in his browser, logged in elsewhere", func() *browser { b := l.loggedIn(phonePer); return b }(), hers, 0)

	// Her attempt's cookie under the name of his, and the other way round.
	renamed := l.browser()
	renamed.setCookie(hisName, herValue)
	unchanged("her cookie under his name", renamed, his, 0)
	// His session, her hint, under the name of an attempt.
	for _, other := range []string{l.loggedIn(phonePer).cookie("vippsauth"), query(t, his).Get("state")[44:], "1AAAA", "x"} {
		renamed := l.browser()
		renamed.setCookie(hisName, other)
		unchanged("another thing under the attempt's name", renamed, his, 0)
	}

	// Her code with his state: PKCE tells the provider that the code isn't his. It is asked once, and the attempt is over.
	unchanged("her code with his state in his browser", attacker, swapped(hers, his), 1)
	unchanged("his own code after that", attacker, his, 0)
	// Her own login goes on as if nothing had been.
	if a := victim.visit(hers); !strings.Contains(a.text, "app: GET / auth=authenticated name=Åse") {
		t.Errorf("her own callback after all that: %d %s", a.StatusCode, a.text)
	}
	// A result's token, which is sealed too, is no state.
	token := query(t, l.browser().send("GET", "/_vipps/callback?code=x", navigation(), "").Header.Get("Location")).Get("t")
	unchanged("the token of a result as the state", victim, "/_vipps/callback?code=x&state="+token, 0)
	unchanged("the same behind an id", victim, "/_vipps/callback?code=x&state="+strings.Repeat("A", 43)+"."+token[:min(len(token), 400)], 0)
}

// Attack: "?error=login_required", in an image or a link, to force full dialogs upon people, to log them out, or to spend
// their attempt. An error counts only behind the state of the browser's own attempt.
func TestSec_A125_ErrorsOnlyBehindTheState(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.silent(emulator.NoDialogHit)
	live, pending := l.loggedIn(phoneAase), l.browser()
	callback := pending.begin("/p")
	strange := query(t, l.browser().begin("/q")).Get("state")
	value := live.cookie("vippsauth")
	for _, code := range []string{"login_required", "access_denied", "server_error", "wrong_challenge", "never_seen"} {
		for _, state := range []string{"", "&state=", "&state=x", "&state=" + strings.Repeat("A", 43), "&state=" + otherEnd(query(t, callback).Get("state")), "&state=" + strange} {
			target := "/_vipps/callback?error=" + code + state
			if a := live.visit(target); live.cookie("vippsauth") != value || live.passed("/oauth2/auth") != 0 || !l.opens(value) {
				t.Errorf("%s, logged in: %d %v", target, a.StatusCode, live.trail)
			}
			a := pending.send("GET", target, navigation(), "")
			if strings.Contains(a.Header.Get("Location"), "/oauth2/auth") || len(a.Header["Set-Cookie"]) > 0 {
				t.Errorf("%s, on the way: %d to %s, sets %v", target, a.StatusCode, a.Header.Get("Location"), a.Header["Set-Cookie"])
			}
		}
	}
	if a := pending.visit(callback); !strings.Contains(a.text, "app: GET /p auth=authenticated") {
		t.Errorf("the attempt was spent: %d %s", a.StatusCode, a.text)
	}
}
