package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/vippsauth/vippsauth/session"
)

func (p *program) keygenCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "keygen",
		Short:   "Print a fresh cookie key",
		GroupID: groupMore,
		Long: `Print a fresh key for cookie_keys: 32 random bytes in base64. It is a secret.

To rotate, put a new key in front of the old one: the first seals, all open. Take the
old one out when session_ttl has passed.`,
		Example: `  vippsauth keygen > cookie-keys && chmod 600 cookie-keys
  vippsauth serve --cookie-keys-file cookie-keys ...`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			key, err := session.NewKey()
			if err != nil {
				return &failure{err}
			}
			fmt.Fprintln(p.stdout, key.Encode())
			return nil
		},
	}
}
