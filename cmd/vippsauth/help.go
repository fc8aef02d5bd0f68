package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Annotations of the flags of settings.
const (
	groupAnnotation   = "vippsauth_group"
	defaultAnnotation = "vippsauth_default"
	kindAnnotation    = "vippsauth_kind" // what stands for the value

	allAnnotation  = "vippsauth_all"  // of a command: it takes every setting
	usesAnnotation = "vippsauth_uses" // of a command: the settings that it uses, where it takes every one
)

// helpOnly lets the help of a command list those settings alone that it uses. It takes all the same, as serve does.
func helpOnly(cmd *cobra.Command, keys ...string) {
	cmd.Annotations[usesAnnotation] = strings.Join(keys, " ")
	for _, s := range settingsTable() {
		if f := cmd.Flags().Lookup(s.flagName()); f != nil && !s.secret && !slices.Contains(keys, s.key) {
			f.Hidden = true
		}
	}
}

// uses says whether the help of cmd is to list a setting.
func uses(cmd *cobra.Command, key string) bool {
	keys, some := cmd.Annotations[usesAnnotation]
	return !some || slices.Contains(strings.Fields(keys), key)
}

// help prints what a command is, and then how it is used.
func help(cmd *cobra.Command, _ []string) {
	w := cmd.OutOrStdout()
	about := cmd.Long
	if about == "" {
		about = cmd.Short
	}
	fmt.Fprintf(w, "%s\n\n", strings.TrimSpace(about))
	writeUsage(w, cmd)
}

func usage(cmd *cobra.Command) error {
	writeUsage(cmd.OutOrStderr(), cmd)
	return nil
}

func writeUsage(w io.Writer, cmd *cobra.Command) {
	fmt.Fprintf(w, "Usage:\n  %s\n", useLine(cmd))
	if cmd.HasExample() {
		fmt.Fprintf(w, "\nExamples:\n%s\n", cmd.Example)
	}
	for _, g := range cmd.Groups() {
		fmt.Fprintf(w, "\n%s\n", g.Title)
		for _, c := range cmd.Commands() {
			if c.GroupID == g.ID && (c.IsAvailableCommand() || c.Name() == "help") {
				fmt.Fprintf(w, "  %-14s  %s\n", c.Name(), c.Short)
			}
		}
	}
	if !cmd.HasAvailableSubCommands() {
		writeFlags(w, cmd)
		return
	}
	fmt.Fprintf(w, "\n\"%s COMMAND --help\" says more about a command.\n", cmd.CommandPath())
}

func useLine(cmd *cobra.Command) string {
	if cmd.HasAvailableSubCommands() {
		return cmd.CommandPath() + " COMMAND [flags]"
	}
	return cmd.UseLine()
}

// writeFlags lists the flags of cmd: its own first, then those of the settings by group.
func writeFlags(w io.Writer, cmd *cobra.Command) {
	groups := map[string][]*pflag.Flag{}
	cmd.Flags().SortFlags = false
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		g := ""
		if a := f.Annotations[groupAnnotation]; len(a) > 0 {
			g = a[0]
		}
		if !f.Hidden {
			groups[g] = append(groups[g], f)
		}
	})
	fmt.Fprintln(w, "\nFlags:")
	for _, f := range groups[""] {
		writeFlag(w, f)
	}
	if len(groups) == 1 {
		return
	}
	all := cmd.Annotations[allAnnotation] != ""
	writeSettingsIntro(w, cmd, all)
	var titles []string
	for _, s := range settingsTable() {
		if !slices.Contains(titles, s.group) && len(groups[s.group]) > 0 {
			titles = append(titles, s.group)
		}
	}
	for _, title := range titles {
		if all {
			fmt.Fprintf(w, "\n%s:\n", title)
		}
		for _, f := range groups[title] {
			writeFlag(w, f)
		}
		for _, s := range settingsTable() {
			if s.group == title && s.secret && all && uses(cmd, s.key) {
				fmt.Fprintf(w, "  %-25s  %s (secret: no flag)\n", s.key, s.usage())
			}
		}
	}
}

// writeSettingsIntro says where settings can be given.
func writeSettingsIntro(w io.Writer, cmd *cobra.Command, all bool) {
	if all {
		fmt.Fprint(w, `
Settings: each is a flag, a variable (VIPPSAUTH_CLIENT_ID, or VIPPSAUTH_CLIENT_ID_FILE
for a file that holds the value) and a key of the YAML file (client_id; client_secret_file
and the like for a file that holds a secret). Flag beats variable beats file. Lists: commas,
or the flag more than once. Durations: 90s, 15m, 8h, 2d.
`)
		if cmd.Annotations[usesAnnotation] != "" {
			fmt.Fprintln(w, "The other settings may be there, as in the file that serve reads, and are not used:\nvippsauth serve --help lists them all.")
		}
		return
	}
	for _, s := range settingsTable() {
		if cmd.Flags().Lookup(s.flagName()) != nil {
			fmt.Fprintf(w, "\nSetting, also the variable %s and the key %s of the YAML file:\n", s.envName(), s.key)
		}
	}
}

func writeFlag(w io.Writer, f *pflag.Flag) {
	name, kind := "--"+f.Name, f.Value.Type()
	if a := f.Annotations[kindAnnotation]; len(a) > 0 {
		kind = a[0]
	}
	if kind != "bool" {
		name += " " + strings.ToUpper(kind)
	}
	def := f.DefValue
	if a := f.Annotations[defaultAnnotation]; len(a) > 0 {
		def = a[0]
	}
	text := f.Usage
	if def != "" && def != "false" && def != "[]" && def != "0s" {
		text += " (default " + def + ")"
	}
	fmt.Fprintf(w, "  %-25s  %s\n", name, text)
}

// usage is what the setting is and which values it takes, for --help.
func (s *setting) usage() string {
	text := s.doc
	if s.values != "text" {
		text += ": " + s.values
	}
	return strings.ReplaceAll(text, "`", "")
}

// settingsMarkdown renders the settings as README's table.
func settingsMarkdown(w io.Writer) {
	fmt.Fprintln(w, "| Key | What it is | Values | Default |")
	fmt.Fprintln(w, "|---|---|---|---|")
	for _, s := range settingsTable() {
		doc, def := s.doc, s.note
		if s.secret {
			doc += " (secret: no flag)"
		}
		if s.def != "" {
			def = "`" + s.def + "`"
			if s.note != "" {
				def += "; " + s.note
			}
		}
		fmt.Fprintf(w, "| `%s` | %s | %s | %s |\n", s.key, cell(doc), cell(s.values), cell(def))
	}
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

func (p *program) settingsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:    "settings",
		Short:  "Print the table of settings",
		Hidden: true,
		Args:   noArgs,
		RunE: func(*cobra.Command, []string) error {
			settingsMarkdown(p.stdout)
			return nil
		},
	}
	cmd.Flags().Bool("markdown", true, "as the table that README has")
	return cmd
}
