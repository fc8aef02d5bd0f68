package forwardauth

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Attack: a return URL that a check has missed comes to a page as it stands, in any of the places that a page makes links,
// forms and fields of. The page makes none that leads away, whatever a check before it has said.
func TestSec_C005_PagesLeadNowhereElse(t *testing.T) {
	t.Parallel()
	const site, neighbour = "https://app.example", "https://b.app.example"
	lines := append(corpus(t, "testdata/hostile/redirect.txt"), corpus(t, "testdata/returnto/good.txt")...)
	for _, prefix := range []string{neighbour, neighbour + "/", neighbour + "@", neighbour + ".", neighbour + ":", neighbour + `\`} {
		lines = append(lines, prefix, prefix+"evil.example/", prefix+"/evil.example", prefix+`\evil.example`)
	}
	seen := map[pageKind]bool{}
	for _, specimen := range pageSpecimens() {
		if seen[specimen.page.Kind] && specimen.page.Kind != pageError {
			continue // variants differ in words
		}
		seen[specimen.page.Kind] = true
		every := 1
		if specimen.page.Kind == pageError {
			every = 40
		}
		for i, line := range lines {
			if i%every != 0 || len(line) > 4096 {
				continue
			}
			p := specimen.page
			p.ReturnTo, p.LoginAction, p.LogoutAction, p.ResultAction = line, line, line, line
			if i%2 == 0 {
				p.Origins = []string{site, neighbour}
			}
			p.Contact, p.Token, p.SiteName, p.Code = "", line, line, "x"
			r := httptest.NewRequest(http.MethodGet, "/_vipps/result", http.NoBody)
			w := httptest.NewRecorder()
			p.write(w, r)
			allowed := append([]string{site}, p.Origins...)
			for _, wrong := range pageWaysOff(site+"/_vipps/result", w, allowed) {
				t.Errorf("%s, %.80q: %.200q", specimen.name, line, wrong)
			}
		}
	}
	if len(seen) != len(pageStatus) {
		t.Errorf("%d kinds of pages of %d", len(seen), len(pageStatus))
	}
}

// pageWaysOff is WaysOff for a page whose paths may be in any spelling that browsers write anew.
func pageWaysOff(base string, w *httptest.ResponseRecorder, allowed []string) (wrong []string) {
	refs, elements := pageRefs(w.Body.String())
	for _, ref := range refs {
		if got := BrowserOrigin(base, ref); !strings.Contains(" "+strings.Join(allowed, " ")+" ", " "+got+" ") {
			wrong = append(wrong, ref)
		}
	}
	wrong = append(wrong, WaysOff(base, w.Header(), "", allowed...)...)
	return append(wrong, elements...)
}

// Attack: a visitor's markup where a page shows something of a request, so that it leads away.
func TestSec_C005_B064_MarkupMakesNoLink(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		`"><a href="//evil.example">`, `'><meta http-equiv=refresh content="0;url=//evil.example">`, `<base href="https://evil.example/">`, `</title><script>location="//evil.example"</script>`,
		`" formaction="//evil.example`, `/" autofocus onfocus="location='//evil.example'`, `javascript:location='//evil.example'`, "/\"\tping=\"//evil.example", `/x" target="_blank`,
	} {
		for _, specimen := range pageSpecimens() {
			filled := pageFilledWith(specimen.page, value)
			filled.Contact, filled.LoginURL = "", ""
			filled.Fields = []pageField{{value, value}, {"rd", "/" + strings.TrimLeft(value, "/")}}
			w := httptest.NewRecorder()
			filled.write(w, httptest.NewRequest(http.MethodGet, "/_vipps/result", http.NoBody))
			for _, wrong := range pageWaysOff("https://app.example/_vipps/result", w, []string{"https://app.example"}) {
				t.Errorf("%s, %q: %q", specimen.name, value, wrong)
			}
		}
	}
}
