package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// phonesThatAnswer is an emulator for the client "till", in which 4790000001 approves at once and 4790000002 declines.
func phonesThatAnswer(t *testing.T) *emulator.Server {
	t.Helper()
	emu, err := emulator.Start("127.0.0.1:0", emulator.Config{
		RSABits: 1024, Clients: []emulator.Client{{ID: "till", Secret: "not-a-secret", Name: "Butikken", AuthMethod: emulator.AuthBasic}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = emu.Close() })
	if err := emu.Control().MerchantInterval(time.Second); err != nil {
		t.Fatal(err)
	}
	for phone, answer := range map[string]string{"4790000001": "", "4790000002": "access_denied"} {
		if err := emu.Control().MerchantAuto(phone, 0, answer); err != nil {
			t.Fatal(err)
		}
	}
	return emu
}

// The two commands for phone numbers, with the emulator as the issuer: a number without a country code is the market's, answers are
// exit codes and one line, and what is wrong is said with its cure.
func TestPhoneCommands(t *testing.T) {
	t.Parallel()
	emu := phonesThatAnswer(t)
	for name, tt := range map[string]struct {
		args   []string // variables may stand in front
		code   int
		out    string // on standard output, a part
		errors string // on standard error, a part
	}{
		"exists":               {[]string{"user-exists", "--phone=4790000001"}, exitOK, "yes\n", ""},
		"of the market":        {[]string{"user-exists", "--market=NO", "--phone=90 00 00 01", "--json"}, exitOK, `{"exists":true}`, ""},
		"of no market":         {[]string{"user-exists", "--phone=90000001"}, exitError, "", "--phone: must be a phone number with its country code"},
		"exists not":           {[]string{"user-exists", "--phone=4799999999"}, exitOK, "no\n", ""},
		"nobody":               {[]string{"user-exists"}, exitError, "", "--phone: "},
		"a wrong client":       {[]string{"user-exists", "--phone=4790000001", "--client-auth=post"}, exitError, "", "likely cause: "},
		"approved":             {[]string{"merchant-login", "--market=NO", "--phone=90000001", "--scopes=openid name", "--json"}, exitOK, `"name":"Åse Ødegård"`, "Read it aloud"},
		"declined":             {[]string{"ciba", "--phone=4790000002", "--json"}, exitError, `"state":"declined"`, "the person declined"},
		"whom to log in":       {[]string{"merchant-login"}, exitError, "", "say who is to log in: --phone"},
		"from the environment": {[]string{"VIPPSAUTH_PHONE=4790000001", "user-exists"}, exitOK, "yes\n", ""},
		"a login from there":   {[]string{"VIPPSAUTH_PHONE=+47 900 00 002", "merchant-login", "--json"}, exitError, `"state":"declined"`, "the person declined"},
		"the flag goes first":  {[]string{"VIPPSAUTH_PHONE=4799999999", "user-exists", "--phone=4790000001"}, exitOK, "yes\n", ""},
		"of another country":   {[]string{"merchant-login", "--phone=+1 555 123 4567"}, exitError, "", "--phone: must begin with a country code of Vipps MobilePay: 45, "},
		"two people":           {[]string{"merchant-login", "--phone=4790000001", "--customer-token=k3Jd8s7Hq2"}, exitError, "", "give one of them"},
		"an expiry, no unit":   {[]string{"merchant-login", "--phone=4790000001", "--expires-in=60"}, exitUsage, "", "--expires-in has a value that can't be used; write it with its unit, as 90s or 5m"},
		"an expiry too short":  {[]string{"merchant-login", "--phone=4790000001", "--expires-in=5s"}, exitError, "", "--expires-in: must be whole seconds, 60 to 900"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			environ, args := []string{"VIPPSAUTH_CLIENT_SECRET=not-a-secret"}, slices.Clone(tt.args)
			for strings.HasPrefix(args[0], envPrefix) {
				environ, args = append(environ, args[0]), args[1:]
			}
			args = append([]string{args[0], "--issuer=" + emu.Issuer, "--client-id=till"}, args[1:]...)
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), args, environ, &stdout, &stderr)
			if code != tt.code || !strings.Contains(stdout.String(), tt.out) || !strings.Contains(stderr.String(), tt.errors) {
				t.Errorf("exit code %d, want %d\n%s%s", code, tt.code, stdout.String(), stderr.String())
			}
		})
	}
}
