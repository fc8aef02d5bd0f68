// Command testsummary runs go test commands and says what came of them: a line a package, the whole output of what
// failed, each skipped test with its reason, and the counts.
//
//	testsummary [-checks FILE -page FILE] [-strict] [-must 'nginx=integration\.TestNginx']... -- go test -json ./... [-- go -C tools test -json ./...]
//
// With -strict, or when CI or VIPPSAUTH_TEST_ALL=1 is in the environment, a skipped test fails the run, and so does a
// -must of which nothing ran: a machine on which the real nginx was never started is not to look green.
// With -checks it also says which numbered checks were tested, by the ids in the tests' names, and writes the page that
// shows it.
// The last line is always "N passed, N failed, N skipped". A test with sub-tests counts as its sub-tests.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
)

func main() {
	os.Exit(run(os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

func run(args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	s := newSummary(stdout)
	flags := flag.NewFlagSet("testsummary", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&s.strict, "strict", getenv("CI") != "" || getenv("VIPPSAUTH_TEST_ALL") == "1", "a skipped test is a failure")
	flags.StringVar(&s.trim, "trim", "github.com/vippsauth/vippsauth/", "prefix left out of package names")
	flags.Func("must", "NAME=REGEXP: list the tests whose 'package.Test' matches under NAME; may be repeated", func(v string) error {
		name, expr, ok := strings.Cut(v, "=")
		re, err := regexp.Compile(expr)
		if !ok || err != nil {
			return errors.Join(errors.New("want NAME=REGEXP"), err)
		}
		s.musts = append(s.musts, &must{name: name, re: re})
		return nil
	})
	checksFile := flags.String("checks", "", "file of numbered checks: each must be carried by a test's name or have a reason why not")
	page := flags.String("page", "", "write what came of the checks to this Markdown file")
	modulesFile := flags.String("modules", "", "file of the OpenID Foundation's test modules, by the checks' ids")
	modulesPage := flags.String("modules-page", "", "write what came of the modules to this Markdown file")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	var modules []oidfModule
	if *checksFile != "" {
		var err error
		if s.checks, err = readChecks(*checksFile); err == nil && *modulesFile != "" {
			modules, err = readModules(*modulesFile, s.checks)
		}
		if err != nil {
			fmt.Fprintln(stderr, "testsummary:", err)
			return 2
		}
	}
	commands := split(flags.Args())
	if len(commands) == 0 {
		fmt.Fprintln(stderr, "testsummary: no command after --")
		return 2
	}
	for _, command := range commands {
		if err := s.runCommand(command, stderr); err != nil {
			s.problems = append(s.problems, fmt.Sprintf("%s: %v", strings.Join(command, " "), err))
		}
	}
	if s.checks != nil {
		s.problems = append(s.problems, s.checks.problems()...)
		fmt.Fprintf(stdout, "\n%s\n", s.checks.count())
		for path, text := range map[string]string{*page: s.checks.markdown(), *modulesPage: s.checks.conformance(modules)} {
			if path == "" {
				continue
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil { //nolint:gosec // a page of documentation
				s.problems = append(s.problems, err.Error())
			}
		}
	}
	return s.report()
}

// split cuts the arguments into commands at each "--".
func split(args []string) [][]string {
	var commands [][]string
	var command []string
	for _, a := range append(args, "--") {
		if a != "--" {
			command = append(command, a)
		} else if command != nil {
			commands, command = append(commands, command), nil
		}
	}
	return commands
}

// runCommand feeds the command's output to the summary. That tests failed is known from their events, so an exit status
// is an error of its own only where nothing has failed.
func (s *summary) runCommand(command []string, stderr io.Writer) error {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	before := s.failed
	packages := s.packages
	s.read(out)
	if err := cmd.Wait(); err != nil && s.failed == before {
		return err
	}
	if s.packages == packages {
		return errors.New("no package was tested")
	}
	return nil
}

// read takes one go test's output. Lines that aren't events are the go command's own words, and are shown.
func (s *summary) read(r io.Reader) {
	br := bufio.NewReader(r)
	for {
		line, err := br.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) == nil && e.Action != "" {
				s.take(e)
			} else {
				fmt.Fprintf(s.w, "%s\n", strings.TrimRight(string(line), "\n"))
			}
		}
		if err != nil {
			return
		}
	}
}
