package vipps_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/vippsauth/vippsauth/vipps"
)

// settings returns the settings that an error of New names.
func settings(err error) []string {
	var out []string
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return nil
	}
	for _, e := range joined.Unwrap() {
		var ce *vipps.ConfigError
		if errors.As(e, &ce) {
			out = append(out, ce.Setting)
		}
	}
	return out
}

func TestNewNamesEveryFaultAtOnce(t *testing.T) {
	t.Parallel()
	_, err := vipps.New(vipps.Config{
		ClientAuth: "auto", Market: "no", Scopes: []string{"openid name"}, ACRValues: "a\nb",
		SystemName: strings.Repeat("x", 31), SystemVersion: "1\r\n", Leeway: -1, MaxTokenAge: -1,
	})
	want := []string{
		"issuer", "client_id", "client_secret", "client_auth", "scopes", "market", "acr_values",
		"system_name", "system_version", "leeway", "max_token_age",
	}
	if got := settings(err); !slices.Equal(got, want) {
		t.Errorf("settings are %v, want %v", got, want)
	}
}

func TestNewNeverRepeatsTheValue(t *testing.T) {
	t.Parallel()
	_, err := vipps.New(vipps.Config{Issuer: "http://hunter2.example/?hunter2", ClientID: "hunter2 ", ClientSecret: "hunter2\n"})
	if got := settings(err); !slices.Equal(got, []string{"issuer", "client_id", "client_secret"}) {
		t.Errorf("settings are %v", got)
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error is %q", err)
	}
}

func TestIssuers(t *testing.T) {
	t.Parallel()
	for issuer, ok := range map[string]bool{
		"https://api.vipps.no/access-management-1.0/access/": true,
		"https://op.example":             true,
		"http://localhost:8080/r":        true,
		"http://127.0.0.1:8080/":         true,
		"http://[::1]:8080/":             true,
		"http://op.example/":             false,
		"http://localhost.evil.example/": false,
		"http://127.0.0.1.evil.example/": false,
		"https://op.example/?a":          false,
		"https://op.example/?":           false,
		"https://op.example/#":           false,
		"https://a:b@op.example/":        false,
		"op.example":                     false,
		"https:op.example":               false,
		"https:///path":                  false,
		"ftp://op.example/":              false,
		"https://op.example/%zz":         false,
	} {
		_, err := vipps.New(vipps.Config{Issuer: issuer, ClientID: "c", ClientSecret: "secret"})
		if (err == nil) != ok {
			t.Errorf("%s: %v", issuer, err)
		}
	}
}

func TestParseClientAuth(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]vipps.ClientAuth{
		"basic": vipps.ClientAuthBasic, "client_secret_basic": vipps.ClientAuthBasic, "basic-raw": vipps.ClientAuthBasicRaw,
		"post": vipps.ClientAuthPost, "client_secret_post": vipps.ClientAuthPost, "": "", "none": "", "Basic": "",
	} {
		got, err := vipps.ParseClientAuth(s)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
}

func TestSecretHidesItself(t *testing.T) {
	t.Parallel()
	const value = "hunter2"
	s := vipps.Secret(value)
	if s.Reveal() != value {
		t.Error("Reveal gives something else")
	}
	type holder struct {
		S vipps.Secret
		P *vipps.Secret
	}
	h := holder{s, &s}
	var out []string
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10.3s"} {
		out = append(out, fmt.Sprintf(format, s), fmt.Sprintf(format, h), fmt.Sprintf(format, []vipps.Secret{s}), fmt.Sprintf(format, map[vipps.Secret]vipps.Secret{s: s}))
	}
	asJSON, err := json.Marshal(map[string]any{"h": h, "s": s})
	if err != nil {
		t.Fatal(err)
	}
	asXML, err := xml.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", s, "holder", h)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", s, "holder", h)
	out = append(out, string(asJSON), string(asXML), log.String(), fmt.Sprint(s, h), s.String(), s.GoString())
	for _, text := range out {
		if strings.Contains(text, value) || strings.Contains(strings.ToLower(text), "68756e74657232") {
			t.Errorf("shown in %q", text)
		}
	}
}
