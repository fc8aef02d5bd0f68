package main

import (
	"bytes"
	"html"
	"strings"
	"testing"
)

// What a proxy says while vippsauth is away has the language of the market below the English, in every proxy that says it,
// and is plain ASCII there.
func TestSnippetsSpeakTheMarketsLanguage(t *testing.T) {
	t.Parallel()
	for market, want := range map[string]string{
		"": `<p lang="nb">Innlogging er ikke tilgjengelig akkurat nå.`, "NO": `<p lang="nb">Innlogging er ikke tilgjengelig akkurat nå.`,
		"DK": `<p lang="da">Login er ikke tilgængeligt lige nu.`, "SE": `<p lang="sv">Inloggningen är inte tillgänglig just nu.`,
		"FI": `<p lang="fi">Kirjautuminen ei ole juuri nyt käytettävissä.`,
	} {
		for _, name := range []string{"nginx", "caddy-forward-auth", "haproxy", "envoy"} {
			var out, errs bytes.Buffer
			args := []string{"snippet", name, "--public-url", "https://app.example.com", "--trusted-proxies", "loopback"}
			if market != "" {
				args = append(args, "--market", market)
			}
			code := run(t.Context(), args, nil, &out, &errs)
			page := out.String()
			if code != exitOK || !strings.Contains(html.UnescapeString(page), want) || strings.Count(page, `<p lang="`) > 2 {
				t.Errorf("%s, market %q: %d %s", name, market, code, errs.String())
			}
			for line := range strings.Lines(page) {
				if strings.Contains(line, `<p lang="`) && strings.ContainsFunc(line, func(c rune) bool { return c > 126 }) {
					t.Errorf("%s, market %q: beyond ASCII: %s", name, market, line)
				}
			}
		}
	}
}
