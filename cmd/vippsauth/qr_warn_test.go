package main

import (
	"slices"
	"strings"
	"testing"
)

// What depends on QR logins while they are off is told; while they are on, their two claims are like any other.
func TestQR_WarnsOfWhatIsOff(t *testing.T) {
	t.Parallel()
	const top = "environment: test\nclient_id: a\nclient_secret: s\ntrusted_proxies: loopback\n" +
		"headers: [default, X-Vipps-Qr-Id=qr_id]\nqr_ids: [one]\npolicies:\n  till: {qr_ids: [oKAz7q1O]}\n" +
		"sites:\n  https://a.example: {}\n  https://b.example: {headers: [default, X-Vipps-Qr-Id=qr_id]}\n"
	warnings := func(yaml string) (all []string) {
		c, rep := load(sources{configFile: write(t, "c.yaml", yaml)})
		c.validate(rep)
		for _, w := range rep.warnings {
			if strings.Contains(w.what, "QR") || strings.Contains(w.what, "claim") {
				all = append(all, w.setting)
			}
		}
		return all
	}
	if got, want := warnings(top), []string{"headers", "sites: https://b.example: headers", "qr_ids", "policies: till: qr_ids"}; !slices.Equal(got, want) {
		t.Errorf("warnings of %q, want %q", got, want)
	}
	if got := warnings(top + "qr: on\n"); len(got) > 0 {
		t.Errorf("QR logins are on: warnings of %q", got)
	}
}
