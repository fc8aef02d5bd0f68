package vippsauth_test

import (
	"strings"
	"testing"
)

// The operators' page is to look like our other pages, whose package it may not import: so it has their style once more, and this
// holds the two together.
func TestPagesLookAlike(t *testing.T) {
	t.Parallel()
	const begin = "* { box-sizing"
	pages, operators := page(t, "forwardauth/web/style.css"), page(t, "merchant/web/style.css")
	_, shared, ok := strings.Cut(pages, begin)
	if !ok || len(shared) < 1000 {
		t.Fatalf("the style of the pages has no part that begins with %q", begin)
	}
	if !strings.Contains(operators, begin+strings.TrimSpace(shared)) {
		t.Error("merchant/web/style.css differs from forwardauth/web/style.css in what is common: change both")
	}
	for line := range strings.Lines(pages[:strings.Index(pages, begin)]) {
		if color := strings.TrimSpace(line); strings.HasPrefix(color, "--") && strings.Contains(operators, strings.SplitN(color, ":", 2)[0]+":") && !strings.Contains(operators, color) {
			t.Errorf("merchant/web/style.css has another %s", color)
		}
	}
}
