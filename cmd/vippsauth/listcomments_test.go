package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Attack: secrets of webhooks have leaked. The operator writes a # before their line, which held two, and sleeps well. The second
// of them must not count any more, nor the first with the # in front, which whoever knows it guesses.
func TestSec_A206_SecretsThatWereTakenOutDoNotCount(t *testing.T) {
	t.Parallel()
	const leaked, other, fresh = "leaked-AAAAAAAAAAAAAAAA", "leaked-BBBBBBBBBBBBBBBB", "fresh-CCCCCCCCCCCCCCCCC"
	for content, want := range map[string][]string{
		"# leaked in November, of the old shop\n" + fresh + "\n": {fresh},
		"#" + leaked + "," + other + "\n" + fresh + "\n":         {fresh},
		fresh + "\r\n  # " + leaked + "\r\n":                     {fresh},
		"#" + leaked + "\n":                                      nil, // which says so, and doesn't receive without a secret
	} {
		c, rep := load(sources{environ: []string{"VIPPSAUTH_WEBHOOK_SECRETS_FILE=" + write(t, "secrets", content)}})
		var got []string
		for _, secret := range c.webhookSecrets {
			got = append(got, secret.Reveal())
		}
		if diff := cmp.Diff(want, got); diff != "" || (len(rep.problems) == 0) != (want != nil) {
			t.Errorf("%d bytes: %v %s", len(content), rep.problems, diff)
		}
	}
}
