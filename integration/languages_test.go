package integration_test

import (
	"fmt"
	"strings"

	"github.com/chromedp/chromedp"
)

// narrowPages opens pages that a browser comes to while somebody is logged in who may not pass, in the languages that
// otherPages leaves out, on the narrowest of phones: each says what it is in that language, and nothing stands out of it,
// however long the words are.
func (c *chromium) narrowPages(origin string) {
	c.t.Helper()
	const width = 320
	for _, w := range []struct{ tag, notFound, badCallback, logOut, refused string }{
		{"da", "Siden findes ikke", "Vi forstod ikke svaret", "Vil du logge ud?", "Du har ikke adgang"},
		{"sv", "Sidan finns inte", "Vi förstod inte svaret", "Vill du logga ut?", "Du har inte åtkomst"},
		{"fi", "Sivua ei löydy", "Emme ymmärtäneet vastausta", "Haluatko kirjautua ulos?", "Sinulla ei ole pääsyä"},
	} {
		c.language(w.tag)
		for _, page := range []struct{ name, path, heading string }{
			{"not-found", "/_vipps/nothing-here", w.notFound},
			{"bad-callback", "/_vipps/callback?code=x", w.badCallback},
			{"refused", "/", w.refused},
			{"logout", "/_vipps/logout", w.logOut},
		} {
			c.do("resizing", chromedp.EmulateViewport(width, 640))
			c.open(origin + page.path)
			c.sees(page.heading)
			if lang := look(c, chromedp.Evaluate[string](`document.documentElement.lang`)); lang != w.tag {
				c.t.Errorf("%s is in %q, want %q", page.path, lang, w.tag)
			}
			wide := look(c, chromedp.Evaluate[string](fmt.Sprintf(`[...document.querySelectorAll("*")].filter(
				(e) => e.scrollWidth > Math.max(e.clientWidth, %[1]d) || e.getBoundingClientRect().right > %[1]d || e.matches("a, button, h1") && e.clientWidth > 0 && e.scrollWidth > e.clientWidth,
			).map((e) => e.localName + "." + e.className + " " + e.innerText).join("\n") || "fits"`, width)))
			if wide != "fits" {
				c.t.Errorf("%s in %s is wider than %d pixels: %s", page.path, w.tag, width, tail(strings.TrimSpace(wide), 500))
			}
			c.shoot(page.name + "-" + w.tag)
		}
	}
}
