package doctor_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/internal/doctor"
	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

const callback = "http://localhost:1/_vipps/callback"

// The provider's answers, and what they say of the settings.
func TestProvider(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*vipps.Config)
		bring  func(*emulator.Control) error
		uri    string
		level  doctor.Level
		check  string
		words  []string
	}{
		{name: "all right", level: doctor.OK, check: "keys"},
		{name: "redirect URI registered", level: doctor.OK, check: "redirect-uri", words: []string{callback}},
		{name: "wrong secret", change: func(c *vipps.Config) { c.ClientSecret = "guessed wrong" }, level: doctor.Problem, check: "keys", words: []string{"invalid_client", "other environment"}},
		{name: "redirect URI not registered", uri: callback + "/", level: doctor.Problem, check: "redirect-uri", words: []string{callback + "/", "byte for byte"}},
		{name: "too many calls", bring: func(c *emulator.Control) error { return c.FailNext(emulator.EndpointToken, 1, 429, "") }, level: doctor.Warning, check: "keys", words: []string{"slow down"}},
		{name: "a gateway's page", bring: func(c *emulator.Control) error {
			return c.FailNext(emulator.EndpointToken, 1, http.StatusBadGateway, "")
		}, level: doctor.Warning, check: "keys", words: []string{"502"}},
		{name: "discovery fails", bring: func(c *emulator.Control) error { return c.FailNext(emulator.EndpointDiscovery, 1, 503, "") }, level: doctor.Problem, check: "discovery", words: []string{"status.vippsmobilepay.com"}},
		{name: "another issuer", bring: func(c *emulator.Control) error { return c.Break(emulator.BreakDiscoveryWrongIssuer, 1) }, level: doctor.Problem, check: "discovery", words: []string{"slash"}},
		{name: "clock behind", change: func(c *vipps.Config) { c.Now = func() time.Time { return time.Now().Add(-5 * time.Minute) } }, level: doctor.Problem, check: "clock", words: []string{"behind", "NTP"}},
		{name: "clock ahead", change: func(c *vipps.Config) { c.Now = func() time.Time { return time.Now().Add(5 * time.Minute) } }, level: doctor.Problem, check: "clock", words: []string{"ahead of"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v, err := emulator.Start("127.0.0.1:0", emulator.Config{
				Clients: []emulator.Client{{ID: "shop", Secret: "a real secret", RedirectURIs: []string{callback}}},
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = v.Close() })
			cfg := vipps.Config{Issuer: v.Issuer, ClientID: "shop", ClientSecret: "a real secret"}
			if tt.change != nil {
				tt.change(&cfg)
			}
			client, err := vipps.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if tt.bring != nil {
				if err := tt.bring(v.Control()); err != nil {
					t.Fatal(err)
				}
			}
			uri := tt.uri
			if uri == "" {
				uri = callback
			}
			r := doctor.Provider{Client: client, RedirectURIs: []string{uri}}.Examine(t.Context())
			wants(t, r, tt.level, tt.check, tt.words...)
			var text strings.Builder
			r.Print(&text)
			if strings.Contains(text.String(), "a real secret") || strings.Contains(text.String(), "guessed wrong") {
				t.Errorf("a secret is printed: %s", text.String())
			}
			if problems := r.Count(doctor.Problem); problems > 1 || tt.level != doctor.Problem && problems > 0 {
				t.Errorf("%s", text.String())
			}
		})
	}
}
