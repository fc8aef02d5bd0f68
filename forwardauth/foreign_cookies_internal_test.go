package forwardauth

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/session"
)

// Attack: the session under a name that a page of plain http or a neighbouring host could have set, or that only some
// parsers take for ours.
func TestSec_C030_WeakerNames(t *testing.T) {
	t.Parallel()
	tg := newTarget(t, nil)
	value := tg.session(tg.data("aase"))
	for _, name := range []string{
		"vippsauth", "__Secure-vippsauth", "__host-vippsauth", "__HOST-VIPPSAUTH", "__host-VIPPSAUTH", "%5f%5fHost-vippsauth", "__Host%2Dvippsauth",
		"\xe2\x80\x80__Host-vippsauth", "\u00a0__Host-vippsauth", "__Host-vippsauth\u00a0", `"__Host-vippsauth"`, "__Host-vippsauth ", "__Host-vippsauth\x00",
		"__Host-vippsauth-login-0000000AAAAAAAAAAAA", "__Host-vippsauth-hint", "__Host-vippsauth.0", "__Host-vippsauth.1", "__Host-vippsauth-1",
		"x__Host-vippsauth", "=__Host-vippsauth", "$__Host-vippsauth", "\n__Host-vippsauth", "__Host-vippsauth[]", "Cookie: __Host-vippsauth",
	} {
		tg.isNobody(fmt.Sprintf("under the name %q", name), name+"="+value)
	}
	own := tg.jar + "=" + value
	for what, cookies := range map[string]string{
		"RFC 2965":            `$Version=1; ` + own + `; $Path="/"`,
		"after an odd name":   "\xe2\x80\x80__Host-vippsauth=evil; " + own,
		"after a weaker name": "vippsauth=" + tg.session(tg.data("per")) + "; " + own,
		"within quotes":       `a="b; ` + own + `; c"`, // browsers know no quotes: this is three cookies
	} {
		tg.is(what, "aase", cookies)
	}
	tg.isNobody("as the value of another", "a="+own)
	tg.isNobody("separated by a comma", "a=b, "+own)
}

// Attack: Cookie headers of any size and shape, with and without a session at their end. None costs much, none is an error.
func TestSec_C030_B106_HugeAndOddCookieHeaders(t *testing.T) {
	t.Parallel()
	tg := newTarget(t, nil)
	own := tg.jar + "=" + tg.session(tg.data("aase"))
	begun := time.Now()
	for what, cookies := range map[string]string{
		"16 KiB": "a=" + strings.Repeat("x", 16<<10), "64 KiB": "a=" + strings.Repeat("x", 64<<10), "1 MiB": "a=" + strings.Repeat("x", 1<<20),
		"5,000 tiny ones": strings.Repeat("a=b; ", 5000) + "c=d", "5,000 of other names": manyNames(5000), "5,000 attempts": manyAttempts(5000),
		"semicolons": strings.Repeat(";", 5000), "equal signs": "=;=;=", "nothing": "", "a name": "a", "NUL": "a=\x00", "DEL": "a=\x7f", "eight bits": "\xff\xfe=\xfd",
		"one semicolon": ";", "blanks": "; ;", "an empty name": "=x", "names without values": "a=;b", "quotes": `a="`, "a line end": "a=b\r\nX: y",
	} {
		tg.isNobody(what, cookies)
		tg.is(what+" before a session", "aase", cookies+"; "+own)
		tg.is(what+" after a session", "aase", own+"; "+cookies)
	}
	tg.isNobody("1 MiB of our own", tg.jar+"=1"+strings.Repeat("A", 1<<20))
	tg.isNobody("5,000 of our name", strings.Repeat(tg.jar+"=1AAAA; ", 4999)+tg.jar+"=1BBBB")
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("all of it took %s", took)
	}
}

func manyNames(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "n%d=v; ", i)
	}
	return b.String() + "z=z"
}

func manyAttempts(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "__Host-vippsauth-login-%07dAAAAAAAAAAAA=1AAAA; ", i)
	}
	return b.String() + "z=z"
}

// Attack: ten thousand foreign cookies. Where a cookie is decrypted before it is authenticated, one in some hundreds
// comes out as something, and the garbage goes into headers.
func TestSec_B085_TenThousandForeignCookies(t *testing.T) {
	t.Parallel()
	tg := newTarget(t, nil)
	foreign := newTarget(t, func(c *Config) { c.Keys = session.Keys{namedKey(t, "foreign")} })
	ask, nobody := tg.ways["forward-auth, navigation"], tg.nobody["forward-auth, navigation"]
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 10_000 {
		raw := make([]byte, 20+random.IntN(600))
		for k := range raw {
			raw[k] = byte(random.Uint32())
		}
		value := "1" + base64.RawURLEncoding.EncodeToString(raw)
		if i%4 == 0 {
			d := foreign.data(string(raw[:20]))
			value = foreign.session(d)
		}
		if got := noted(ask(tg.jar + "=" + value)); got.Status != nobody.Status || got.Header.Get("Location") != nobody.Header.Get("Location") || got.Body != nobody.Body || len(got.Header) != len(nobody.Header) {
			t.Fatalf("cookie %d: %+v", i, got)
		}
	}
}

// Attack: any token at all, wherever tokens are looked for by others. Nothing but our cookie is a session.
func TestSec_B083_TokensAreNoSession(t *testing.T) {
	t.Parallel()
	tg := newTarget(t, nil)
	value := tg.session(tg.data("aase"))
	protected := tg.engine.Protect(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { tg.hits++ }))
	for _, token := range []string{"x", value, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhYXNlIn0.", "shop+secret"} {
		for name, h := range map[string]http.Header{
			"bearer": {"Authorization": {"Bearer " + token}}, "basic": {"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte("aase:"+token))}},
			"vipps": {"X-Vipps-Authorization": {token}}, "access token": {"X-Access-Token": {token}}, "a cookie of another name": {"Cookie": {"access_token=" + token + "; id_token=" + token}},
			"Cookie2": {"Cookie2": {tg.jar + "=" + token}}, "Set-Cookie": {"Set-Cookie": {tg.jar + "=" + token}}, "the raw name": {tg.jar: {token}},
		} {
			for _, query := range []string{"", "?access_token=" + token, "?id_token=" + token, "?" + tg.jar + "=" + token, "?code=" + token + "&state=x", "?state=" + token} {
				r := httptest.NewRequest(http.MethodGet, "https://"+targetHost+"/x"+query, http.NoBody)
				r.Header = h.Clone()
				w := httptest.NewRecorder()
				if protected.ServeHTTP(w, r); w.Code != http.StatusUnauthorized && w.Code != http.StatusFound || tg.hits > 0 {
					t.Errorf("%s with %q: %d, %d requests to the app", name, query, w.Code, tg.hits)
				}
			}
		}
	}
}
