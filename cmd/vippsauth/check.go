package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/vippsauth/vippsauth/forwardauth"
)

func (p *program) checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "check [flags]",
		Short:   "Read the settings and say everything that is wrong with them",
		GroupID: groupAsk,
		Long: `Read the settings as serve would, and print everything that is wrong: file and line,
variable or flag, the setting, what is wrong and how to mend it; never the value. It
uses no network, and creates nothing. Exit code 1 when something is wrong.`,
		Example: `  vippsauth check --config vippsauth.yaml`,
		Args:    noArgs,
	}
	sf := addSettings(cmd, nil)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, rep := p.load(cmd, sf)
		c.validate(rep)
		rep.print(p.stderr)
		if len(rep.problems) > 0 {
			return errReported
		}
		fmt.Fprintln(p.stdout, "The settings are good.")
		c.printRegistration(p.stdout, rep.registrations)
		fmt.Fprintln(p.stdout, c.aboutLogout())
		for _, line := range c.aboutMerchant() {
			fmt.Fprintln(p.stdout, line)
		}
		rep.printSources(p.stdout)
		return nil
	}
	return cmd
}

// printSources lists the settings that are set, and where.
func (rep *report) printSources(w io.Writer) {
	var keys []string
	for _, s := range settingsTable() {
		keys = append(keys, s.key)
	}
	keys = slices.DeleteFunc(append(keys, policiesKey, sitesKey), func(key string) bool { return !rep.isSet(key) })
	width := len("merchant_operators") // the usual one
	for _, key := range keys {
		width = max(width, len(key))
	}
	for _, key := range keys {
		fmt.Fprintf(w, "%-*s from %s\n", width, key, rep.source(key))
	}
}

// providerName says which provider people log in with.
func (c *config) providerName() string {
	switch c.environment {
	case "":
		return "another provider (issuer)"
	case envEmulator:
		return "the emulator"
	default:
		return "Vipps MobilePay, environment " + c.environment
	}
}

// toRegister adds to what the engine wants registered the redirect URIs that Vipps is told of by hand.
func (c *config) toRegister(all []forwardauth.Registration) []forwardauth.Registration {
	all = slices.Clone(all)
	if uri := c.qrRedirectURI(); uri != "" && len(all) > 0 {
		all[0].RedirectURIs = append(slices.Clip(all[0].RedirectURIs), uri)
	}
	return all
}

// registration returns what has to be registered with the provider, as lines.
func (c *config) registration(all []forwardauth.Registration) []string {
	if c.environment == envEmulator {
		return []string{"Logins go to the emulator: nothing to register."}
	}
	lines := []string{"Redirect URIs to register with " + c.providerName() + ":"}
	for _, r := range c.toRegister(all) {
		if len(all) > 1 {
			lines = append(lines, "  for the client "+r.Client.ClientID()+":")
		}
		for _, u := range r.RedirectURIs {
			lines = append(lines, "  "+u)
		}
	}
	return lines
}

// printRegistration prints all that the provider has to know of us.
func (c *config) printRegistration(w io.Writer, all []forwardauth.Registration) {
	for _, line := range slices.Concat(c.registration(all), c.webhookAddresses(), c.qrAddresses()) {
		fmt.Fprintln(w, line)
	}
}
