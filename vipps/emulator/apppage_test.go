package emulator_test

import (
	"net/http"
	"strings"
	"testing"
)

// Whoever tries app_to_app at a desk has no app that takes the address: the browser stayed on the page with the numbers, as if nothing
// had happened. A person's browser is told what would open, and how the login goes on; a program still gets the redirect.
func TestAPersonSeesWhichAppOpens(t *testing.T) {
	t.Parallel()
	s := startApps(t)
	b := newBrowser(t, s)
	if err := s.Control().AutoApprove(aase); err != nil {
		t.Fatal(err)
	}
	authorize := authorizeURL(s, "requested_flow", "app_to_app", "app_callback_uri", appCallback)
	p := b.do(http.MethodGet, authorize, nil, http.Header{"Sec-Fetch-Mode": {"navigate"}})
	if p.status != http.StatusOK || p.back != nil || !strings.Contains(p.texts, appCallback+"&state="+state+"&resume_uri=http") {
		t.Fatalf("%d to %v: %s", p.status, p.back, p.texts)
	}
	_, resume, _ := strings.Cut(p.body, `id="resume" href="`)
	resume, _, _ = strings.Cut(resume, `"`)
	if p = b.get(resume); p.back == nil || !strings.HasPrefix(p.back.String(), callback+"?code=") {
		t.Errorf("going on leads to %v: %s", p.back, p.texts)
	}
	if err := s.Control().Deny("access_denied"); err != nil {
		t.Fatal(err)
	}
	p = b.do(http.MethodGet, authorize, nil, http.Header{"Sec-Fetch-Mode": {"navigate"}})
	if p.status != http.StatusOK || !strings.Contains(p.texts, "error=access_denied") || strings.Contains(p.body, `id="resume"`) {
		t.Errorf("a no: %d %s", p.status, p.texts)
	}
	if p = b.get(authorize); p.back == nil || p.back.Scheme != "eksempelapp" {
		t.Errorf("a program is sent to %v", p.back)
	}
}
