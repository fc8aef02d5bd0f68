package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/session"
)

const (
	noRevocationsFile     = "none"
	revocationsFileSuffix = ".revoked" // of cookie_keys_file
	revokeTimeout         = 10 * time.Second
)

// revocationsPath is the file in which ended sessions are kept; empty when there is none.
func (c *config) revocationsPath() string {
	switch {
	case c.revocationsFile == noRevocationsFile:
		return ""
	case c.revocationsFile != "":
		return c.revocationsFile
	case c.cookieKeysFile != "":
		return c.cookieKeysFile + revocationsFileSuffix
	default:
		return ""
	}
}

// aboutLogout says how far a logout reaches.
func (c *config) aboutLogout() string {
	path := c.revocationsPath()
	var reason string
	switch {
	case path != "":
		err := mayKeepIn(path)
		if err == nil {
			return "Logout holds over a restart: ended sessions are kept in " + path + ". Replicas have to share this file; at one without it a copy of a logged-out cookie works until it expires."
		}
		reason = path + " cannot be written (" + reasonOf(err) + ")"
	case c.revocationsFile == noRevocationsFile:
		reason = "revocations_file is none"
	case len(c.cookieKeys) > 0:
		reason = "cookie_keys are given without a file, and revocations_file is not set"
	default:
		return "A restart ends all sessions: the cookie key is made at each start."
	}
	return "Logout does not survive a restart, and reaches one replica only: " + reason + ". After a restart, and at other replicas, a copy of a logged-out cookie works until it expires."
}

// checkRevocations looks at where ended sessions are kept.
func (c *config) checkRevocations(rep *report) {
	path := c.revocationsPath()
	const key = "revocations_file"
	if path == "" || rep.has(key) || rep.has("cookie_keys_file") {
		return
	}
	at := rep.source(key)
	if !rep.isSet(key) {
		at = rep.source("cookie_keys_file")
	}
	if _, err := session.ParseKey(path); err == nil { // not shown: it is a secret in the wrong place
		rep.add(problem{at, key, "holds a cookie key, not the path of a file", "a key belongs in cookie_keys"})
		return
	}
	if c.cookieKeysFile != "" && filepath.Clean(path) == filepath.Clean(c.cookieKeysFile) {
		rep.add(problem{at, key, "is the file of cookie_keys_file", "name another: what is written there would spoil the keys"})
		return
	}
	if err := mayKeepIn(path); err != nil {
		rep.warn(problem{at, key, "cannot be written, so that logouts end with the process: " + reasonOf(err), "let the user that runs vippsauth write to " + path + " and its directory, or name another file in revocations_file (none: not at all)"})
	}
}

// mayKeepIn returns why ended sessions can't be kept in a file, as far as can be told without making or changing it.
func mayKeepIn(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		dir := filepath.Dir(path)
		if _, err := os.Stat(dir); err != nil {
			return err
		}
		return mayCreateIn(dir)
	case err != nil:
		return err
	case info.IsDir():
		return errors.New("it is a directory")
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	if err := file.Close(); err != nil { // nothing was written
		return err
	}
	return mayCreateIn(filepath.Dir(path))
}

func (p *program) revokeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "revoke (--sub SUB | --everyone) [flags]",
		Short:   "End all sessions of a person, or of everybody",
		GroupID: groupMore,
		Long: `End the sessions that began before now: of the person with this sub, as the application
sees it in X-Vipps-Sub, or of everybody. It writes to the file of ended sessions
(revocations_file) that serve with the same settings keeps; a running one sees it
within seconds. No network. Whoever may still log in can do so again: take people out
of allow first.`,
		Example: `  vippsauth revoke --sub 6f1c0a3e-… --config vippsauth.yaml
  vippsauth revoke --everyone --config vippsauth.yaml`,
		Args: noArgs,
	}
	sf := addSettings(cmd, nil)
	sub := cmd.Flags().String("sub", "", "whose sessions to end")
	everyone := cmd.Flags().Bool("everyone", false, "end everybody's")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if (*sub == "") == !*everyone {
			return errors.New("say whose sessions to end, with either --sub or --everyone")
		}
		if !*everyone && !couldBeSub(*sub) {
			return errors.New("no person has such a sub: it must be as in X-Vipps-Sub, byte for byte, without quotes, blanks around it or line ends; nobody's sessions were ended")
		}
		c, rep := p.load(cmd, sf)
		c.validate(rep)
		if len(rep.problems) > 0 {
			rep.print(p.stderr)
			return errReported
		}
		return failed(p.revoke(cmd, c, *sub))
	}
	return cmd
}

// couldBeSub reports whether a provider's sub may be so. What is not byte for byte a person's ends nothing, and must not look as if
// it had: a blank or a quote from a shell or a spreadsheet is easily overlooked.
func couldBeSub(sub string) bool {
	const longest = 255 // OpenID Connect Core, section 2
	usable := !strings.ContainsFunc(sub, func(r rune) bool { return r < ' ' || r > '~' || r == ',' })
	return usable && len(sub) <= longest && strings.Trim(sub, " \"'`") == sub
}

// revoke appends to the file of ended sessions, for one person or, without a sub, everybody.
func (p *program) revoke(cmd *cobra.Command, c *config, sub string) error {
	path := c.revocationsPath()
	if path == "" {
		return errors.New("these settings keep ended sessions in no file: set revocations_file, for serve too")
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("%s, which serve makes when it starts: %s; are these its settings?", path, reasonOf(err))
	}
	now := time.Now()
	lines := forwardauth.RevokeEverybody(now)
	whose := "everybody"
	if sub != "" {
		clients, err := c.clients(c.expectedIssuer())
		if err != nil {
			return err
		}
		lines, whose = nil, "this sub"
		for _, client := range clients { // several sites may say the same, which is no harm
			lines = append(lines, forwardauth.RevokePerson(client.Issuer(), sub, now)...)
		}
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), revokeTimeout)
	defer cancel()
	if err := forwardauth.NewRevocationFile(path).Save(ctx, lines); err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "The sessions of %s that began before now are ended: written to %s, which a running serve reads within seconds.\n", whose, path)
	return nil
}
