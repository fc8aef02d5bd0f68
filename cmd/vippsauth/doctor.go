package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vippsauth/vippsauth/internal/doctor"
)

// doctorCookieEnv holds the Cookie header of a session for doctor. It is no setting.
const doctorCookieEnv = envPrefix + "DOCTOR_COOKIE"

// doctorFlags are what doctor takes besides the settings.
type doctorFlags struct {
	url, echoPath, cookieFile, caFile, logInAs string
	askProvider, json                          bool
}

func (p *program) doctorCommand() *cobra.Command {
	var d doctorFlags
	cmd := &cobra.Command{
		Use:     "doctor [flags]",
		Short:   "Ask the running site, or Vipps, what is wrong, and say how to mend it",
		GroupID: groupAsk,
		Long: `With --url: ask the running site from outside, as a browser, a script and an attacker
would, and say what is wrong with the proxy in front of it: logins that can't work,
headers that can be spoofed, caches, clocks. It needs no settings, makes fewer than 60
requests, changes nothing, and goes nowhere else unless --ask-provider says so.

Without --url: take the settings as serve would, and ask Vipps whether they are right: a
made-up code tells right keys from wrong ones, and the authorize endpoint a redirect URI
that isn't registered. No secret is printed.

One line a finding: ok, note, warning or problem, what was seen, why it matters, and the
cure. Exit code 1 when there is a problem.`,
		Example: `  vippsauth doctor --url https://app.example.com/
  vippsauth doctor --url https://app.example.com/ --echo-path /whoami --cookie-file cookie.txt
  vippsauth doctor --config vippsauth.yaml`,
		Args: noArgs,
	}
	f := cmd.Flags()
	f.StringVar(&d.url, "url", "", "a page of the running site that needs a login; without it Vipps is asked")
	f.StringVar(&d.echoPath, "echo-path", "", "a path of the application that shows the request headers it gets: tells spoofed headers and spoilt names")
	f.StringVar(&d.cookieFile, "cookie-file", "", "a file with the Cookie header of somebody who is logged in (also "+doctorCookieEnv+")")
	f.StringVar(&d.caFile, "ca-file", "", "PEM certificates to trust besides the system's, for a site with an authority of its own")
	f.StringVar(&d.logInAs, "log-in-as", "", "where logins go to the emulator: log in as one of its people, as 4790000001")
	f.BoolVar(&d.askProvider, "ask-provider", false, "with --url: also ask the provider once, where the login leads")
	f.BoolVar(&d.json, "json", false, "print the findings as JSON")
	for name, kind := range map[string]string{"url": "url", "echo-path": "path", "cookie-file": "file", "ca-file": "file", "log-in-as": "phone"} {
		f.Lookup(name).Annotations = map[string][]string{kindAnnotation: {kind}}
	}
	sf := addSettings(cmd, nil)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.Flags().Changed("url") {
			return p.examineSite(cmd.Context(), &d)
		}
		if d.echoPath != "" || d.cookieFile != "" || d.caFile != "" || d.logInAs != "" || d.askProvider {
			return errors.New("--echo-path, --cookie-file, --ca-file, --log-in-as and --ask-provider go with --url")
		}
		c, rep := p.load(cmd, sf)
		return p.examineProvider(cmd.Context(), c, rep, d.json)
	}
	return cmd
}

// examineSite asks a running site.
func (p *program) examineSite(ctx context.Context, d *doctorFlags) error {
	u, err := url.Parse(d.url)
	if err != nil {
		return &failure{errors.New("--url: must be an absolute https URL, such as https://app.example.com/")}
	}
	site := doctor.Site{URL: u, Version: programVersion(), EchoPath: d.echoPath, LogInAs: d.logInAs, AskProvider: d.askProvider}
	if site.Cookie, err = p.doctorCookie(d.cookieFile); err != nil {
		return &failure{err}
	}
	if d.caFile != "" {
		if site.Roots, err = rootsWith(d.caFile); err != nil {
			return &failure{err}
		}
	}
	rep, err := site.Examine(ctx)
	if err != nil {
		return &failure{fmt.Errorf("--url: %w", err)}
	}
	return p.printReport(rep, d.json)
}

// doctorCookie reads the Cookie header from the file or the environment. It may be written with or without its name.
func (p *program) doctorCookie(file string) (string, error) {
	text := environment(p.environ)[doctorCookieEnv]
	if file != "" {
		b, err := readFile(file, maxValueFile)
		if err != nil {
			return "", fmt.Errorf("--cookie-file: cannot be read: %s", reasonOf(err))
		}
		text = string(b)
	}
	text = strings.TrimSpace(text)
	if name, value, ok := strings.Cut(text, ":"); ok && strings.EqualFold(name, "cookie") {
		text = strings.TrimSpace(value)
	}
	if hasControl(text) {
		return "", errors.New("--cookie-file: must hold the Cookie header alone, on one line")
	}
	return text, nil
}

func rootsWith(file string) (*x509.CertPool, error) {
	b, err := readFile(file, maxConfigFile)
	if err != nil {
		return nil, fmt.Errorf("--ca-file: cannot be read: %s", reasonOf(err))
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(b) {
		return nil, errors.New("--ca-file: holds no PEM certificate")
	}
	return roots, nil
}

// examineProvider asks the provider of the settings.
func (p *program) examineProvider(ctx context.Context, c *config, rep *report, asJSON bool) error {
	c.validate(rep)
	if len(rep.problems) > 0 {
		rep.print(p.stderr)
		return errReported
	}
	var found *doctor.Report
	for _, r := range rep.registrations {
		one := doctor.Provider{Client: r.Client, Name: c.providerName(), RedirectURIs: r.RedirectURIs}.Examine(ctx)
		if len(rep.registrations) > 1 {
			for i := range one.Findings {
				one.Findings[i].What = "client " + r.Client.ClientID() + ": " + one.Findings[i].What
			}
		}
		if found == nil {
			found = one
			continue
		}
		found.Findings = append(found.Findings, one.Findings...)
		found.Requests += one.Requests
	}
	if found != nil {
		found.Findings = append(found.Findings, c.notes(rep)...)
	}
	return p.printReport(found, asJSON)
}

// notes are what nobody at the provider can be asked about: what the settings do that may not be meant, and what Vipps is told by hand.
func (c *config) notes(rep *report) (notes []doctor.Finding) {
	for _, w := range rep.warnings {
		notes = append(notes, doctor.Finding{Level: doctor.Note, Check: "settings", What: w.setting + ": " + w.what, Cure: w.mend})
	}
	for check, lines := range map[string][]string{"webhooks": c.webhookAddresses(), "qr": c.qrAddresses(), "merchant": c.aboutMerchant()} {
		if len(lines) > 0 {
			notes = append(notes, doctor.Finding{Level: doctor.Note, Check: check, What: strings.Join(strings.Fields(strings.Join(lines, " ")), " ")})
		}
	}
	slices.SortStableFunc(notes, func(a, b doctor.Finding) int { return strings.Compare(a.Check, b.Check) })
	return notes
}

func (p *program) printReport(r *doctor.Report, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(p.stdout)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		if err := enc.Encode(r); err != nil {
			return &failure{err}
		}
	} else {
		r.Print(p.stdout)
	}
	if r.Count(doctor.Problem) > 0 {
		return errReported
	}
	return nil
}
