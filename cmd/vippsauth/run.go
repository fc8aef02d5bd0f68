package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Exit codes. A command line that can't be understood is a usage error; everything else that fails is an error.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// A failure is an error of a command, as opposed to a command line that makes no sense.
type failure struct {
	err error // nil: everything has been said
}

func (f *failure) Error() string {
	if f.err == nil {
		return "failed"
	}
	return f.err.Error()
}

func (f *failure) Unwrap() error { return f.err }

// errReported ends a command that has said what is wrong.
var errReported = &failure{}

// A program is one run of the command: what it was given, and where it writes.
type program struct {
	environ        []string
	stdin          io.Reader
	stdout, stderr io.Writer
}

// run executes the command line and returns the exit code. It ends when ctx does.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	p := &program{environ: environ, stdin: os.Stdin, stdout: stdout, stderr: stderr}
	root := p.root() //nolint:contextcheck // the commands get ctx when they run
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if f, ok := errors.AsType[*failure](err); ok {
		for _, e := range flatten(f.err) {
			fmt.Fprintln(stderr, "vippsauth:", oneLine(e.Error()))
		}
		return exitError
	}
	fmt.Fprintf(stderr, "vippsauth: %s\nRun 'vippsauth --help' for how it is used.\n", err)
	return exitUsage
}

const (
	groupStart = "start"
	groupAsk   = "ask"
	groupPhone = "phone"
	groupMore  = "more"
)

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:     "vippsauth",
		Version: programVersion(),
		Short:   "Vipps MobilePay Login in front of applications that know nothing of login",
		Long: `vippsauth puts Vipps MobilePay Login in front of web applications that know nothing
of login: behind nginx, HAProxy, Apache, Traefik, Envoy or Caddy, or as a proxy of its
own. The application gets to know the person in request headers.`,
		Example: `  vippsauth demo                                   see it work, with nothing to set up
  vippsauth check --config vippsauth.yaml          what is wrong with these settings?
  vippsauth serve --config vippsauth.yaml          run it
  vippsauth snippet nginx --config vippsauth.yaml  what does the proxy in front need?
  vippsauth doctor --url https://app.example.com/  what is wrong with the running site?`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetUsageFunc(usage)
	root.SetHelpFunc(help)
	root.SetFlagErrorFunc(flagError)
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddGroup(&cobra.Group{ID: groupStart, Title: "Run it:"}, &cobra.Group{ID: groupAsk, Title: "Look at it:"}, &cobra.Group{ID: groupPhone, Title: "Log in by phone number:"}, &cobra.Group{ID: groupMore, Title: "And:"})
	root.SetHelpCommandGroupID(groupMore)
	root.AddCommand(p.demoCommand(), p.serveCommand(), p.emulatorCommand(), p.checkCommand(), p.doctorCommand(), p.snippetCommand(), p.healthcheckCommand(),
		p.keygenCommand(), p.merchantLoginCommand(), p.userExistsCommand(), p.revokeCommand(), p.webhooksCommand(), p.versionCommand(), p.settingsCommand())
	return root
}

func unknownCommand(cmd *cobra.Command, name string) error {
	var names []string
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			names = append(names, c.Name())
		}
	}
	if best := closest(name, names); best != "" {
		return fmt.Errorf("unknown command; did you mean %s?", best)
	}
	return errors.New("unknown command")
}

// noArgs refuses arguments without showing them: what stands there may have been meant for a flag.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no arguments; settings are written --name value", cmd.Name())
	}
	return nil
}

// flagError says what is wrong with a flag without showing what was given to it.
func flagError(cmd *cobra.Command, err error) error {
	if errors.Is(err, pflag.ErrHelp) {
		return err
	}
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		return errors.New("unknown short flag; flags are written with two dashes, as --config")
	case errors.As(err, &unknown):
		return unknownFlag(cmd, unknown.GetSpecifiedName())
	case errors.As(err, &missing):
		return fmt.Errorf("--%s needs a value", missing.GetSpecifiedName())
	}
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		hint := ""
		if invalid.GetFlag().Value.Type() == "duration" {
			hint = "; write it with its unit, as 90s or 5m"
		}
		return fmt.Errorf("--%s has a value that can't be used%s", invalid.GetFlag().Name, hint)
	}
	return errors.New("a flag can't be understood; flags are written --name value")
}

func unknownFlag(cmd *cobra.Command, name string) error {
	for _, s := range settingsTable() {
		if s.secret && name == s.flagName() {
			return fmt.Errorf("%s is a secret, and secrets have no flags: anybody on the machine can read a command line; %s", s.key, howToSet(s.key))
		}
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
	if best := closest("--"+name, names); best != "" {
		return fmt.Errorf("unknown flag; did you mean %s?", best)
	}
	return fmt.Errorf("unknown flag; see vippsauth %s --help", cmd.Name())
}

// A settingFlag collects what is given with the flag of a setting. It parses nothing: that is done for every source alike.
type settingFlag struct{ given []string }

func (f *settingFlag) Set(v string) error { f.given = append(f.given, v); return nil }
func (f *settingFlag) Type() string       { return "value" }
func (f *settingFlag) String() string     { return strings.Join(f.given, ",") }

// A settingsFlags is --config and the flags of the settings on a command.
type settingsFlags struct {
	configFile string
	flags      map[string]*settingFlag
}

// addSettings gives cmd --config and the flags of the settings that keep keeps; nil keeps all.
func addSettings(cmd *cobra.Command, keep func(*setting) bool) *settingsFlags {
	sf := &settingsFlags{flags: map[string]*settingFlag{}}
	cmd.Flags().StringVar(&sf.configFile, "config", "", "the YAML file with the settings (also VIPPSAUTH_CONFIG)")
	cmd.Flags().Lookup("config").Annotations = map[string][]string{kindAnnotation: {"file"}}
	if keep == nil {
		cmd.Annotations = map[string]string{allAnnotation: "yes"}
	}
	for _, s := range settingsTable() {
		if s.secret || keep != nil && !keep(&s) {
			continue
		}
		f := &settingFlag{}
		sf.flags[s.key] = f
		cmd.Flags().Var(f, s.flagName(), s.usage())
		flag := cmd.Flags().Lookup(s.flagName())
		flag.Annotations = map[string][]string{groupAnnotation: {s.group}, defaultAnnotation: {s.def}}
	}
	return sf
}

// load reads the settings that the command was started with.
func (p *program) load(cmd *cobra.Command, sf *settingsFlags) (*config, *report) {
	src := sources{environ: p.environ, configFile: sf.configFile, flags: map[string][]string{}}
	for key, f := range sf.flags {
		if len(f.given) > 0 {
			src.flags[key] = f.given
		}
	}
	c, rep := load(src)
	if cmd.Flags().Changed("config") && sf.configFile == "" {
		rep.add(problem{source: "--config", what: "is empty", mend: "name the configuration file"})
		rep.incomplete = true
	}
	return c, rep
}
