package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vippsauth/vippsauth/vipps"
)

// stillWaiting is how often merchant-login says so.
const stillWaiting = 30 * time.Second

// merchantLoginFlags are what merchant-login takes besides the settings.
type merchantLoginFlags struct {
	whom

	expiresIn              time.Duration
	legacyHint, asJSONLine bool
}

func (p *program) merchantLoginCommand() *cobra.Command {
	var m merchantLoginFlags
	cmd := &cobra.Command{
		Use:     "merchant-login --phone NUMBER [flags]",
		Aliases: []string{"ciba"},
		Short:   "Log a person in who stands at the till or is on the telephone",
		GroupID: groupPhone,
		Long: `Send a person a login in their Vipps or MobilePay app, by their phone number, and print
who it is when they have approved it. The code that is printed first is shown in the app
too: read it aloud, so that the person approves the login that is yours.

With environment emulator it asks the one that serve or "vippsauth emulator" runs. Vipps
allows this in shops, on the telephone and on devices, never on a web page, and each login
costs what your agreement says.

A number or a token on the command line is seen in the list of processes, and stays in the
history of the shell. With "--phone -" the number comes on standard input; with
--customer-token-file the token comes from a file, or with - on standard input.

Progress goes to standard error. Standard output gets the claims, or with --json a line
for each state: "pending" with the code, then "approved" with the claims, or "declined",
"expired", "failed" or, by Ctrl-C, "canceled". Exit code 0 means approved.`,
		Example: `  vippsauth merchant-login --phone 4712345678 --scopes "openid name" --config vippsauth.yaml
  VIPPSAUTH_CLIENT_SECRET_FILE=client-secret vippsauth merchant-login --phone - \
    --environment test --client-id 0000-example --scopes "openid name"
  scan-code | vippsauth merchant-login --customer-token-file - --json --config vippsauth.yaml`,
		Args: noArgs,
	}
	f := cmd.Flags()
	f.StringVar(&m.phone, "phone", "", phoneUsage)
	f.StringVar(&m.token, "customer-token", "", "in place of a number: what a till got from the code in the person's app; - reads it from standard input")
	f.StringVar(&m.tokenFile, "customer-token-file", "", "a file that holds it; - is standard input")
	f.DurationVar(&m.expiresIn, "expires-in", 0, "how long the person has to answer, 1m to 15m (Vipps' default is about 10m)")
	f.BoolVar(&m.legacyHint, "legacy-hint", false, "name the number as older agreements want it (Norwegian numbers only)")
	f.BoolVar(&m.asJSONLine, "json", false, "print each state as a line of JSON")
	for name, kind := range map[string]string{"phone": "number", "customer-token": "token", "customer-token-file": "file"} {
		f.Lookup(name).Annotations = map[string][]string{kindAnnotation: {kind}}
	}
	sf := addSettings(cmd, nil)
	helpOnly(cmd, clientHelpKeys()...)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, market, err := p.clientAlone(cmd, sf)
		if err != nil {
			return err
		}
		if err := m.resolve(cmd.Context(), p); err != nil {
			return &failure{err}
		}
		m.phone = ofMarket(m.phone, market)
		return p.merchantLogin(cmd.Context(), client, &m)
	}
	return cmd
}

const phoneUsage = "the person's number, with its country code unless market says it; - reads it from standard input (also the variable " + phoneEnv + ")"

// ofMarket gives a number that has no country code the one of the market, as the merchant API does.
func ofMarket(phone, market string) string {
	if msisdn, ok := vipps.NormalizePhone(phone, market); ok {
		return "+" + msisdn
	}
	return phone
}

// clientHelpKeys are the settings of what asks Vipps and nothing else.
func clientHelpKeys() []string {
	return []string{
		"environment", "issuer", "client_id", "client_secret", "client_auth", "scopes", "market", "system_name", "system_version",
		"emulator_listen", "msn", "subscription_key",
	}
}

// clientAlone is the client of the settings and its market; nothing else of them is looked at.
func (p *program) clientAlone(cmd *cobra.Command, sf *settingsFlags) (client *vipps.Client, market string, err error) {
	c, rep := p.load(cmd, sf)
	if !rep.incomplete {
		c.checkProvider(rep)
	}
	if len(rep.problems) == 0 {
		if client, err = vipps.New(c.vippsConfig(c.expectedIssuer())); err == nil {
			return client, c.market, nil
		}
		rep.addErrors(err)
	}
	rep.print(p.stderr)
	return nil, "", errReported
}

// merchantLogin starts a login and waits for its end.
func (p *program) merchantLogin(ctx context.Context, client *vipps.Client, m *merchantLoginFlags) error {
	pending, err := client.StartMerchantLogin(ctx, vipps.MerchantLoginRequest{
		Phone: m.phone, CustomerToken: m.token, LegacyHint: m.legacyHint, Expiry: m.expiresIn,
	})
	if err != nil {
		return p.merchantLoginEnded(m, err)
	}
	if m.asJSONLine {
		p.jsonLine(map[string]any{"state": "pending", "code": pending.BindingMessage, "expires_at": pending.Expires.UTC().Format(time.RFC3339)})
	}
	fmt.Fprintf(p.stderr, "Code: %s\nRead it aloud: the app shows the same. Waiting until %s; Ctrl-C stops waiting.\n",
		pending.BindingMessage, pending.Expires.Format("15:04:05"))
	type end struct {
		login *vipps.Login
		err   error
	}
	ended := make(chan end, 1)
	go func() {
		login, err := client.WaitMerchantLogin(ctx, pending)
		ended <- end{login, err}
	}()
	tick := time.NewTicker(stillWaiting)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			fmt.Fprintf(p.stderr, "Still waiting, code %s, %s left.\n", pending.BindingMessage, time.Until(pending.Expires).Round(time.Second))
		case e := <-ended:
			if e.err != nil {
				return p.merchantLoginEnded(m, e.err)
			}
			return p.printLogin(e.login, m.asJSONLine)
		}
	}
}

// merchantLoginEnded says why nobody logged in.
func (p *program) merchantLoginEnded(m *merchantLoginFlags, err error) error {
	state, why := "failed", err.Error()
	var config *vipps.ConfigError
	switch {
	case errors.As(err, &config):
		return &failure{fmt.Errorf("--%s: %s", strings.ReplaceAll(flagOfField(config.Setting), "_", "-"), config.Reason)}
	case errors.Is(err, context.Canceled):
		state, why = "canceled", "stopped waiting. The app shows the login until it expires"
	case errors.Is(err, vipps.ErrDenied):
		state, why = "declined", "the person declined"
	case errors.Is(err, vipps.ErrExpired):
		state, why = "expired", "the person did not answer in time"
	case errors.Is(err, vipps.ErrNotEligible):
		state, why = "declined", "this person can't log in like this: no Vipps or MobilePay app, one that is too old, or not 15 years old"
	}
	if m.asJSONLine {
		p.jsonLine(map[string]any{"state": state, "error_description": oneLine(why)})
	}
	var failed *vipps.Error
	if state == "failed" && errors.As(err, &failed) {
		for _, cause := range failed.Causes() {
			why += "\n  likely cause: " + cause
		}
	}
	fmt.Fprintln(p.stderr, "vippsauth: "+why)
	return errReported
}

// flagOfField is the flag behind a field of a request.
func flagOfField(field string) string {
	if field == "expiry" {
		return "expires-in"
	}
	return field
}

// printLogin prints who logged in.
func (p *program) printLogin(login *vipps.Login, asJSON bool) error {
	if asJSON {
		out := map[string]any{"state": "approved", "sub": login.User.Sub, "claims": login.User.Claims}
		if !login.AuthTime.IsZero() {
			out["auth_time"] = login.AuthTime.UTC().Format(time.RFC3339)
		}
		p.jsonLine(out)
		return nil
	}
	fmt.Fprintf(p.stdout, "sub: %s\n", printable(login.User.Sub))
	for _, name := range slices.Sorted(maps.Keys(login.User.Claims)) {
		if value, ok := login.User.Claim(name); ok && name != "sub" {
			fmt.Fprintf(p.stdout, "%s: %s\n", printable(name), printable(value))
		}
	}
	return nil
}

// printable keeps a provider's text from steering the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || 0x7f <= r && r < 0xa0 || r == 0x2028 || r == 0x2029 || 0x202a <= r && r <= 0x202e || 0x2066 <= r && r <= 0x2069 {
			return ' '
		}
		return r
	}, s)
}

func (p *program) jsonLine(v any) { writeJSONLine(p.stdout, v) }

func writeJSONLine(w io.Writer, v any) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // what can't be written to standard output can't be told either
}

func (p *program) userExistsCommand() *cobra.Command {
	var phone string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "user-exists --phone NUMBER [flags]",
		Short:   "Ask whether a phone number can log in with merchant-login",
		GroupID: groupPhone,
		Long: `Ask Vipps whether somebody with this number could log in with merchant-login. Nobody is
notified. Ask only about people who gave you their number for this: that somebody is a
customer of Vipps is personal data.

Exit code 0 means that the answer is on standard output: "yes" or "no", or with --json
{"exists":true} or {"exists":false}.`,
		Example: `  vippsauth user-exists --phone 4712345678 --config vippsauth.yaml
  VIPPSAUTH_CLIENT_SECRET_FILE=client-secret vippsauth user-exists --phone - \
    --environment test --client-id 0000-example`,
		Args: noArgs,
	}
	f := cmd.Flags()
	f.StringVar(&phone, "phone", "", phoneUsage)
	f.Lookup("phone").Annotations = map[string][]string{kindAnnotation: {"number"}}
	f.BoolVar(&asJSON, "json", false, "print the answer as JSON")
	sf := addSettings(cmd, nil)
	helpOnly(cmd, clientHelpKeys()...)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, market, err := p.clientAlone(cmd, sf)
		if err != nil {
			return err
		}
		if phone, err = p.phoneOf(cmd.Context(), phone); err != nil {
			return &failure{err}
		}
		exists, err := client.UserExists(cmd.Context(), ofMarket(phone, market))
		var config *vipps.ConfigError
		switch {
		case errors.As(err, &config):
			return &failure{fmt.Errorf("--%s: %s", strings.ReplaceAll(config.Setting, "_", "-"), config.Reason)}
		case err != nil:
			return providerFailed(err)
		case asJSON:
			p.jsonLine(map[string]bool{"exists": exists})
		default:
			fmt.Fprintln(p.stdout, map[bool]string{true: "yes", false: "no"}[exists])
		}
		return nil
	}
	return cmd
}
