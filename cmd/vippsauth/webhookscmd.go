package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/vippsauth/vippsauth/vipps"
)

const groupHooks = "hooks"

// webhooksFlags are what the commands about webhooks take besides the settings.
type webhooksFlags struct {
	site, url, secretFile string
	events                []string
	json                  bool
}

func (p *program) webhooksCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "webhooks",
		Short:   "List, register and delete webhooks at Vipps",
		GroupID: groupMore,
		Long: `List, register and delete what Vipps MobilePay sends to this service by itself: a ping when
somebody has approved a login that was started from their phone number, so that it needn't
be asked for. It needs client_id, client_secret, subscription_key and, if there are several
sales units, msn, all of which stand beside each other in the portal.`,
		Example: `  vippsauth webhooks register --config vippsauth.yaml
  vippsauth webhooks list --config vippsauth.yaml
  vippsauth webhooks delete 497f6eca-6276-4993-bfeb-53cbbbba6f08 --config vippsauth.yaml`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	cmd.AddGroup(&cobra.Group{ID: groupHooks, Title: "Commands:"})
	cmd.AddCommand(p.webhooksListCommand(), p.webhooksRegisterCommand(), p.webhooksDeleteCommand())
	return cmd
}

// webhooksSettings gives a command the flags that all of them have.
func webhooksSettings(cmd *cobra.Command, h *webhooksFlags) *settingsFlags {
	f := cmd.Flags()
	f.BoolVar(&h.json, "json", false, "print JSON")
	f.StringVar(&h.site, "site", "", "the site whose client to ask as, where sites have their own: one of the public URLs")
	f.Lookup("site").Annotations = map[string][]string{kindAnnotation: {"url"}}
	sf := addSettings(cmd, nil)
	helpOnly(cmd, append(clientHelpKeys(), "public_url", "webhook_url")...)
	return sf
}

func (p *program) webhooksListCommand() *cobra.Command {
	var h webhooksFlags
	cmd := &cobra.Command{
		Use:     "list [flags]",
		Short:   "List the webhooks of the sales unit",
		GroupID: groupHooks,
		Long:    "List the webhooks that are registered for the sales unit: id, events and URL. Their secrets are told only when they are registered.",
		Args:    noArgs,
	}
	sf := webhooksSettings(cmd, &h)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, c, err := p.webhooksClient(cmd, sf, &h)
		if err != nil {
			return err
		}
		return p.listWebhooks(cmd.Context(), client, c.webhookURL(), &h)
	}
	return cmd
}

func (p *program) webhooksRegisterCommand() *cobra.Command {
	var h webhooksFlags
	cmd := &cobra.Command{
		Use:     "register [flags]",
		Short:   "Register this service's webhook, and print its secret",
		GroupID: groupHooks,
		Long: `Register the address at which this service receives webhooks (webhook_url), and print the
secret that they are signed with. It is told this once: put it into webhook_secrets.

To replace one: register again, put the new secret beside the old one, restart serve, and
delete the old registration. A registration too many is no harm; Vipps takes 25.`,
		Args: noArgs,
	}
	cmd.Flags().StringVar(&h.url, "url", "", "another address than webhook_url")
	cmd.Flags().StringVar(&h.secretFile, "secret-file", "", "write the secret to this new file, for "+envPrefix+"WEBHOOK_SECRETS_FILE, and don't print it")
	cmd.Flags().StringSliceVar(&h.events, "events", nil, "other events than "+vipps.EventMerchantLoginPing)
	for name, kind := range map[string]string{"url": "url", "secret-file": "file", "events": "names"} {
		cmd.Flags().Lookup(name).Annotations = map[string][]string{kindAnnotation: {kind}}
	}
	sf := webhooksSettings(cmd, &h)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, c, err := p.webhooksClient(cmd, sf, &h)
		if err != nil {
			return err
		}
		if h.url == "" {
			h.url = c.webhookURL()
		}
		if h.url == "" {
			return &failure{errors.New("which address? set webhook_url or public_url, or give --url")}
		}
		return p.registerWebhook(cmd.Context(), client, &h)
	}
	return cmd
}

func (p *program) webhooksDeleteCommand() *cobra.Command {
	var h webhooksFlags
	cmd := &cobra.Command{
		Use:     "delete ID [flags]",
		Short:   "Delete a webhook",
		GroupID: groupHooks,
		Long:    "Delete the webhook with this id, which vippsauth webhooks list shows. Nothing is sent there any more.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("webhooks delete takes the id of one webhook; vippsauth webhooks list shows them")
			}
			return nil
		},
	}
	sf := webhooksSettings(cmd, &h)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		client, _, err := p.webhooksClient(cmd, sf, &h)
		if err != nil {
			return err
		}
		if err := client.DeleteWebhook(cmd.Context(), args[0]); err != nil {
			return webhooksFailed(err)
		}
		if h.json {
			p.jsonLine(map[string]any{"id": args[0], "deleted": true})
			return nil
		}
		fmt.Fprintf(p.stdout, "Deleted %s. Take its secret out of webhook_secrets.\n", args[0])
		return nil
	}
	return cmd
}

// webhooksClient is the client of the settings, or that of one of the sites; of the rest nothing is looked at.
func (p *program) webhooksClient(cmd *cobra.Command, sf *settingsFlags, h *webhooksFlags) (*vipps.Client, *config, error) {
	c, rep := p.load(cmd, sf)
	// The file may name one with the secret that is yet to come.
	rep.problems = slices.DeleteFunc(rep.problems, func(p problem) bool { return p.setting == "webhook_secrets" })
	if !rep.incomplete {
		c.checkProvider(rep)
	}
	of := c.all()[0]
	if h.site != "" {
		of = nil
		for _, sc := range c.all() {
			for _, u := range sc.publicURLs {
				if sameOrigin(u, h.site) {
					of = sc
				}
			}
		}
		if of == nil && len(rep.problems) == 0 {
			return nil, nil, &failure{errors.New("--site: is none of the public URLs")}
		}
	}
	if len(rep.problems) == 0 {
		client, err := vipps.New(of.vippsConfig(c.expectedIssuer()))
		if err == nil {
			return client, c, nil
		}
		rep.addErrors(of.named(err))
	}
	rep.print(p.stderr)
	return nil, nil, errReported
}

func (p *program) listWebhooks(ctx context.Context, client *vipps.Client, ours string, h *webhooksFlags) error {
	all, err := client.Webhooks(ctx)
	if err != nil {
		return webhooksFailed(err)
	}
	if h.json {
		list := []map[string]any{}
		for _, w := range all {
			list = append(list, map[string]any{"id": w.ID, "url": w.URL, "events": w.Events})
		}
		p.jsonLine(map[string]any{"webhooks": list})
		return nil
	}
	if len(all) == 0 {
		fmt.Fprintln(p.stdout, "No webhooks are registered for this sales unit.")
		return nil
	}
	tab := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "ID\tEVENTS\tURL")
	for _, w := range all {
		note := ""
		if w.URL == ours {
			note = "  (webhook_url)"
		}
		fmt.Fprintf(tab, "%s\t%s\t%s%s\n", w.ID, strings.Join(w.Events, ","), w.URL, note)
	}
	return failed(tab.Flush())
}

// registerWebhook makes the file for the secret first: afterwards it can't be had again.
func (p *program) registerWebhook(ctx context.Context, client *vipps.Client, h *webhooksFlags) error {
	var file *os.File
	if h.secretFile != "" {
		var err error
		if file, err = os.OpenFile(h.secretFile, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
			reason := reasonOf(err)
			if errors.Is(err, fs.ErrExist) {
				reason = "there is one already; name another, or remove it if its registration is gone"
			}
			return &failure{errors.New("--secret-file: cannot be created: " + reason)}
		}
		defer func() { _ = file.Close() }() // closed below where it counts
	}
	w, err := client.RegisterWebhook(ctx, h.url, h.events...)
	if err != nil {
		if file != nil {
			_ = os.Remove(h.secretFile) // empty, and ours
		}
		return webhooksFailed(err)
	}
	saved := ""
	if file != nil {
		_, err := fmt.Fprintln(file, w.Secret.Reveal())
		if err = errors.Join(err, file.Close()); err != nil {
			return &failure{fmt.Errorf("webhook %s is registered, but its secret could not be written to the file (%s): delete it, and register again", w.ID, reasonOf(err))}
		}
		saved = h.secretFile
	}
	p.printRegistered(w, saved, h.json)
	return nil
}

func (p *program) printRegistered(w *vipps.Webhook, saved string, asJSON bool) {
	if asJSON {
		out := map[string]any{"id": w.ID, "url": w.URL, "events": w.Events}
		if saved == "" {
			out["secret"] = w.Secret.Reveal()
		} else {
			out["secret_file"] = saved
		}
		p.jsonLine(out)
		return
	}
	fmt.Fprintf(p.stdout, "Registered %s\n  id:     %s\n  events: %s\n", w.URL, w.ID, strings.Join(w.Events, ", "))
	if saved != "" {
		fmt.Fprintf(p.stdout, "  secret: in %s\n\nIt is told this once. Let webhook_secrets_file name the file, and restart serve.\n", saved)
		return
	}
	fmt.Fprintf(p.stdout, "  secret: %s\n\nThe secret is told this once. Add it to webhook_secrets, and restart serve.\n", w.Secret.Reveal())
}

// webhooksFailed says what went wrong, and what to look at.
func webhooksFailed(err error) error {
	if ce, ok := errors.AsType[*vipps.ConfigError](err); ok {
		where := map[string]string{"id": "webhooks delete", "events": "--events", "webhook_url": "webhook_url (or --url)"}[ce.Setting]
		if where == "" {
			where = ce.Setting
		}
		text := where + ": " + ce.Reason
		if ce.Setting == "subscription_key" {
			text += "; " + howToSet(ce.Setting)
		}
		return &failure{errors.New(text)}
	}
	return providerFailed(err)
}

// providerFailed says what went wrong at the provider, and what to look at.
func providerFailed(err error) error {
	errs := []error{err}
	if e, ok := errors.AsType[*vipps.Error](err); ok {
		causes := e.Causes()
		if e.Stage == vipps.StageWebhooks && e.Status == http.StatusNotFound {
			causes = []string{"There is no such webhook for this sales unit: vippsauth webhooks list shows those that there are."}
		}
		for _, cause := range causes {
			errs = append(errs, errors.New("  likely cause: "+cause))
		}
	}
	return &failure{errors.Join(errs...)}
}
