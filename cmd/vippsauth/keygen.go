package main

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vippsauth/vippsauth/merchant"
	"github.com/vippsauth/vippsauth/outbox"
	"github.com/vippsauth/vippsauth/session"
)

func (p *program) keygenCommand() *cobra.Command {
	var token, events bool
	cmd := &cobra.Command{
		Use:     "keygen [--token | --events]",
		Short:   "Print a fresh cookie key, the token of a caller, or a secret for events",
		GroupID: groupMore,
		Long: `Print a fresh key for cookie_keys: 32 random bytes in base64. It is a secret.

To rotate, put a new key in front of the old one: the first seals, all open. Take the
old one out when session_ttl has passed.

With --token, print a fresh token for a program that starts logins with a phone number,
and below it the entry for merchant_callers, which holds only its hash. Give the token
to the program, and put the entry into the settings with a name of your choice. To
rotate, list a second entry with the same name, and take the first one out later.

With --events, print a fresh secret for consent_secret, as Standard Webhooks writes them.`,
		Example: `  vippsauth keygen > cookie-keys && chmod 600 cookie-keys
  vippsauth serve --cookie-keys-file cookie-keys ...

  vippsauth keygen --token`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if token {
				var b [32]byte
				_, _ = rand.Read(b[:]) // never fails: the program would end
				text := base64.RawURLEncoding.EncodeToString(b[:])
				fmt.Fprintf(p.stdout, "%s\ncaller=%s\n", text, merchant.HashToken(text))
				return nil
			}
			if events {
				fmt.Fprintln(p.stdout, outbox.NewSecret().Reveal())
				return nil
			}
			key, err := session.NewKey()
			if err != nil {
				return &failure{err}
			}
			fmt.Fprintln(p.stdout, key.Encode())
			return nil
		},
	}
	cmd.Flags().BoolVar(&token, "token", false, "print a caller's token and its entry for merchant_callers")
	cmd.Flags().BoolVar(&events, "events", false, "print a secret that signs events in place of a cookie key")
	cmd.MarkFlagsMutuallyExclusive("token", "events")
	return cmd
}
