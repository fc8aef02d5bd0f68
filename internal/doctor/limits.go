package doctor

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// bigCookies is how many bytes of cookies a site must take: a session of several cookies, and the attempts of some tabs.
const bigCookies = 8 << 10

// bigHeader asks with as many cookies as a browser may have.
func (v *visit) bigHeader(ctx context.Context) {
	if v.scripted == nil {
		return
	}
	w, err := v.send(ctx, ask{path: v.path, header: script("Cookie: doctor=" + strings.Repeat("x", bigCookies))})
	if err == nil && w.status == v.scripted.status {
		v.ok("header-size", fmt.Sprintf("%d KB of cookies pass", bigCookies>>10))
		return
	}
	what := "the connection breaks"
	if err == nil {
		what = w.says()
	}
	v.warn("header-size", fmt.Sprintf("a request with %d KB of cookies fails: %s", bigCookies>>10, what), "people with large sessions or several tabs see an error, and can't get rid of it themselves",
		"raise the proxy's limit for request headers to 32 KB (large_client_header_buffers 4 32k in nginx, tune.bufsize in HAProxy, LimitRequestFieldSize in Apache)")
}

// caching looks at every answer of ours for signs of a cache.
func (v *visit) caching(context.Context) {
	type named struct {
		what string
		w    *answer
	}
	var seen []string
	for _, a := range []named{{"the redirect to the login", v.nav}, {"the 401 for scripts", v.scripted}, {"the login", v.login}} {
		if a.w == nil || a.w.opens() || a.w.status >= 500 {
			continue
		}
		if age, err := strconv.Atoi(a.w.header.Get("Age")); err == nil && age > 0 || cacheHit(a.w.header) {
			v.problem("cache", a.what+" comes out of a cache", "people get answers that were made for others", "let no cache or CDN keep answers that have Cache-Control: no-store, and nothing under /_vipps/")
			return
		}
		if !a.w.noStore() && (a.w.refusal().Error != "" || a.w.location() != nil && a.w.location().Path == pathLogin || a.w == v.login) {
			seen = append(seen, a.what)
		}
	}
	switch {
	case len(seen) > 0:
		v.warn("cache", "Cache-Control: no-store is missing from "+strings.Join(seen, ", "), "a cache may give one person's answer to another", "let the proxy leave Cache-Control of vippsauth's answers alone")
	case v.login != nil:
		v.ok("cache", "no cache is in between, and none is invited")
	}
}

// cacheHit reports whether a CDN says that it has answered from its cache.
func cacheHit(h http.Header) bool {
	for _, name := range []string{"X-Cache", "X-Cache-Status", "Cf-Cache-Status", "X-Proxy-Cache", "X-Varnish-Cache"} {
		if strings.Contains(strings.ToUpper(h.Get(name)), "HIT") {
			return true
		}
	}
	return false
}

// clockOff is how far clocks may be apart. Tokens are taken with a minute to spare.
const clockOff = 30 * time.Second

// clock compares the site's clock with ours.
func (v *visit) clock(context.Context) {
	if v.login != nil {
		v.skew("clock", "the site's clock", v.login)
		return
	}
	if v.nav != nil {
		v.skew("clock", "the site's clock", v.nav)
	}
}

func (v *visit) skew(check, whose string, w *answer) {
	date, err := http.ParseTime(w.header.Get("Date"))
	if err != nil {
		v.note(check, "the answer has no Date: clocks can't be compared", "")
		return
	}
	// The answer came at w.at by the machine's clock; what v.site.Now adds to that is how far the clock is set off.
	skew := date.Sub(v.site.Now().Add(-time.Since(w.at)))
	if skew.Abs() < clockOff {
		v.ok(check, fmt.Sprintf("%s and this machine's are %d seconds apart", whose, int(skew.Abs().Seconds())))
		return
	}
	word := "ahead of"
	if skew < 0 {
		word = "behind"
	}
	v.warn(check, fmt.Sprintf("%s is %d seconds %s this machine's", whose, int(skew.Abs().Seconds()), word), "with a clock that is off, logins fail: tokens seem to have ended, or not to have begun",
		"synchronise both clocks (NTP); vippsauth doctor without --url tells which of them differs from Vipps'")
}
