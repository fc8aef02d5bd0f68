// Command mutate drops each check of a Go file once and runs the package's tests: a drop that no test notices survives,
// and is printed.
//
//	mutate [-root DIR] [-known FILE] [-only REGEXP] [-v] file.go...
//
// What is dropped: the condition of each if that guards a return, each operand of && and ||, each case of a switch over
// conditions, and each call that stands alone. The tree is not changed: the go command overlays the files. A package's
// tests are compiled once, with a switch at each check; those that reach a check are asked, the quick ones first.
// -known lists drops that change nothing that could be seen, each with the reason; a known one that a test does notice
// is printed too, since its line is out of date.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

type runner struct {
	root, dir string
	known     map[string]string // key of a mutant → why it changes nothing
	used      map[string]bool
}

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	flags.SetOutput(stderr)
	r := &runner{known: map[string]string{}, used: map[string]bool{}}
	flags.StringVar(&r.root, "root", ".", "folder of the module")
	workers := flags.Int("workers", 2, "mutants that are tested at a time")
	known := flags.String("known", "", "file of drops that change nothing: file, function, what is dropped, why; parted by tabs")
	only := flags.String("only", "", "only mutants whose line in the table matches")
	verbose := flags.Bool("v", false, "print what test noticed each")
	if err := flags.Parse(args); err != nil || flags.NArg() == 0 {
		fmt.Fprintln(stderr, "mutate: name the files")
		return 2
	}
	wanted, err := regexp.Compile(*only)
	if err == nil && *known != "" {
		err = r.readKnown(*known)
	}
	if err == nil {
		r.dir, err = os.MkdirTemp("", "mutate")
	}
	if err != nil {
		fmt.Fprintln(stderr, "mutate:", err)
		return 2
	}
	defer os.RemoveAll(r.dir)
	all, suites, err := r.build(flags.Args(), wanted, *workers)
	if err != nil {
		fmt.Fprintln(stderr, "mutate:", err)
		return 2
	}
	for _, s := range suites {
		s.runAll(*workers, *verbose, stdout)
	}
	return r.report(all, *only == "", stdout)
}

// readKnown reads what is known to change nothing.
func (r *runner) readKnown(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if line := lines.Text(); line != "" && line[0] != '#' {
			at := strings.LastIndexByte(line, '\t')
			if at < 0 || strings.Count(line, "\t") != 3 {
				return fmt.Errorf("%s: want file, function, what is dropped and why, parted by tabs: %q", path, line)
			}
			r.known[line[:at]] = line[at+1:]
		}
	}
	return nil
}

// report prints the table and returns the exit status: a survivor that isn't known is 1.
func (r *runner) report(all []*mutant, complete bool, w io.Writer) int {
	status := 0
	type tally struct{ killed, known, survived int }
	counts, order := map[string]*tally{}, []string{}
	fmt.Fprintln(w)
	for _, m := range all {
		c := counts[m.file]
		if c == nil {
			c = &tally{}
			counts[m.file], order = c, append(order, m.file)
		}
		why, isKnown := r.known[m.key()]
		r.used[m.key()] = r.used[m.key()] || isKnown
		switch {
		case m.result == killed:
			c.killed++
			if isKnown {
				fmt.Fprintf(w, "a test notices what is known to change nothing: %s\n", m.key())
				status = 1
			}
		case isKnown:
			c.known++
			fmt.Fprintf(w, "equivalent: %s: %s\n", m.key(), why)
		default:
			c.survived++
			status = 1
			fmt.Fprintf(w, "SURVIVED: %s:%d %s\n", m.file, m.line, m.key())
		}
	}
	for key := range r.known {
		file, _, _ := strings.Cut(key, "\t")
		if complete && counts[file] != nil && !r.used[key] {
			fmt.Fprintf(w, "there is no such drop any more: %s\n", key)
			status = 1
		}
	}
	fmt.Fprintf(w, "\n%-34s %8s %8s %11s %9s\n", "file", "dropped", "noticed", "equivalent", "survived")
	for _, file := range order {
		c := counts[file]
		fmt.Fprintf(w, "%-34s %8d %8d %11d %9d\n", file, c.killed+c.known+c.survived, c.killed, c.known, c.survived)
	}
	return status
}
