package forwardauth

import (
	"html"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// Every page there is, in every language, arrives whole behind Apache, says the same, and is ASCII.
func TestFastCGIPagesFit(t *testing.T) {
	t.Parallel()
	largest, which := 0, ""
	for _, specimen := range pageSpecimens() {
		for _, lang := range slices.Sorted(maps.Keys(pageAssets().Texts)) {
			w := &recorded{header: http.Header{}}
			r := httptest.NewRequest(http.MethodGet, "https://app.example/", http.NoBody)
			r.Header.Set("Accept-Language", lang)
			specimen.page.write(w, r)
			before := w.body.String()
			a := w.forApache()
			if len(a.Body) > largest {
				largest, which = len(a.Body), specimen.name+" "+lang
			}
			if len(a.Body) > maxFastCGIBody || !isASCII(string(a.Body)) || a.Header.Get("Content-Length") != "" {
				t.Errorf("%s %s: %d bytes", specimen.name, lang, len(a.Body))
			}
			if html.UnescapeString(string(a.Body)) != html.UnescapeString(before) {
				t.Errorf("%s %s says something else", specimen.name, lang)
			}
		}
	}
	t.Logf("the largest is %s, %d bytes of %d", which, largest, maxFastCGIBody)
	if largest > maxFastCGIBody*9/10 {
		t.Errorf("%s takes %d of %d bytes: a long site_name or contact would cost the pages their style", which, largest, maxFastCGIBody)
	}
}

// The longest names and contacts fit too. A page that didn't would lose its style first, and never its end.
func TestFastCGILongPages(t *testing.T) {
	t.Parallel()
	for _, specimen := range pageSpecimens() {
		w := &recorded{header: http.Header{}}
		p := pageFilledWith(specimen.page, strings.Repeat("å", 4000))
		p.write(w, httptest.NewRequest(http.MethodGet, "https://app.example/", http.NoBody))
		if body := string(w.forApache().Body); len(body) > maxFastCGIBody || !strings.HasPrefix(body, "<!DOCTYPE html>") || !strings.HasSuffix(body, ">\n") {
			t.Errorf("%s: %d bytes %.200s", specimen.name, len(body), body)
		}
	}
	style := "<style>" + strings.Repeat("x", 4000) + "</style>"
	for _, tt := range []struct{ page, want string }{
		{"<p>" + style + strings.Repeat("x", 4000), "<p>" + style + strings.Repeat("x", 4000)},
		{"<p>" + style + strings.Repeat("x", 5000), "<p>" + strings.Repeat("x", 5000)},
		{"<p>" + style + strings.Repeat("x", 9000), "<!DOCTYPE html><title>403</title><p>403 Forbidden</p>\n"},
		{"<p><style>" + strings.Repeat("x", 9000), "<!DOCTYPE html><title>403</title><p>403 Forbidden</p>\n"},
	} {
		if got := fitted(tt.page, http.StatusForbidden); got != tt.want {
			t.Errorf("%.20s… of %d bytes becomes %.60s… of %d", tt.page, len(tt.page), got, len(got))
		}
	}
}

// A body that isn't a page of ours never becomes an address that Apache would go to (ap_custom_response).
func TestFastCGIBodies(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ kind, body, want string }{
		{"application/json", `{"a":"\u003cb\u003e æ 😀"}`, `{"a":"\u003cb\u003e \u00e6 \ud83d\ude00"}`},
		{"text/plain", "/etc/passwd", "<!DOCTYPE html><title>403</title><p>403 Forbidden</p>\n"},
		{"text/plain", "http://evil.example/", "<!DOCTYPE html><title>403</title><p>403 Forbidden</p>\n"},
		{"text/html", "<p>å😀</p>", "<p>&#229;&#128512;</p>"},
		{"", "", ""},
	} {
		w := &recorded{header: http.Header{"Content-Type": {tt.kind}}, status: http.StatusForbidden}
		w.body.WriteString(tt.body)
		if got := string(w.forApache().Body); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.body, got, tt.want)
		}
	}
}

func TestVariableName(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"X-Vipps-Sub": "VIPPS_SUB", "X-Vipps-Phone-Number": "VIPPS_PHONE_NUMBER", "x-vipps-auth": "VIPPS_AUTH", "Remote-User": "VIPPS_REMOTE_USER",
		"Path": "VIPPS_PATH", "X-Forwarded-User": "VIPPS_X_FORWARDED_USER", "X-Vipps-": "VIPPS_X_VIPPS_",
	} {
		if got := variableName(header); got != want {
			t.Errorf("%s becomes %s, want %s", header, got, want)
		}
	}
}
