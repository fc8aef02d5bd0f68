package merchant_test

import (
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/merchant"
)

// Whatever the customer shares is shown in words: no JSON, no names of claims, nothing that says nothing of them.
func TestOperatorPageTellsInWords(t *testing.T) {
	t.Parallel()
	lab := newAPILab(t, func(cfg *merchant.Config, api *merchant.APIConfig, _ *httptest.Server) {
		cfg.Scopes = append(slices.Clone(cfg.Scopes), "delegatedConsents")
		api.Scopes = cfg.Scopes
	})
	path := lab.begin("op", "4790000009", "name", "phoneNumber", "address", "delegatedConsents")
	if err := lab.emu.Control().ConsentAnswers([]string{"email", "personal"}); err != nil {
		t.Fatal(err)
	}
	lab.approve("4790000009")
	until(t, "the approval", func() bool { return strings.Contains(lab.look("op", path).Body, "has approved") })
	got := lab.form("op", path+"/result", url.Values{}, "Accept-Language", "nb")
	for _, want := range []string{
		"<dt>Telefonnummer</dt><dd><bdi>&#43;4790000009</bdi>", "Eksempelveien 9\n8009 BODØ\nNO", "Eksempelkaia 1\n8010 BODØ\nNO", "2611 LILLEHAMMER",
		"</dt><dd><bdi>Ja</bdi>", "</dt><dd><bdi>Nei</bdi>",
	} {
		if !strings.Contains(got.Body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, never := range []string{"{&#34;", "[&#34;", "delegatedConsents", "other_addresses", "<dt>msn"} {
		if strings.Contains(got.Body, never) {
			t.Errorf("the page has %q", never)
		}
	}
	if yes, no := strings.Count(got.Body, "<bdi>Ja<"), strings.Count(got.Body, "<bdi>Nei<"); yes != 2 || no != 2 {
		t.Errorf("%d times yes, %d times no, want two of each: %s", yes, no, got.Body)
	}
}
