package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/vippsauth/vippsauth/vipps"
)

// docs/metrics.md has every metric of a service with everything on, once, and no other.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	s, _ := receiving(t, func(c *config) {
		c.webhookSecrets, c.consentRevokedSecret = []vipps.Secret{hookSecret}, revokedSecret
		c.merchant.callers = []string{"kiosk=sha256:" + strings.Repeat("ab", 32)}
		c.qr.mode, c.qr.callers = "on", []string{"oKAz7q1O=kiosk"}
		c.scopes = []string{"openid", "delegatedConsents"}
		c.consentURL, c.consentSecret, c.consentDir = "https://app.example.com/", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", t.TempDir()
	})
	descs := make(chan *prometheus.Desc, 1000)
	s.ops.registry.Describe(descs)
	close(descs)
	var have []string
	for d := range descs {
		if name := regexp.MustCompile(`"(vippsauth_\w+)"`).FindStringSubmatch(d.String()); name != nil {
			have = append(have, name[1])
		}
	}
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, row := range regexp.MustCompile("(?m)^\\| \\**`(vippsauth_\\w+)`").FindAllStringSubmatch(string(text), -1) {
		told = append(told, row[1])
	}
	slices.Sort(have)
	slices.Sort(told)
	if !cmp.Equal(have, told) {
		t.Error(cmp.Diff(told, have))
	}
}
