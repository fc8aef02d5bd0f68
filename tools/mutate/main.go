// Command mutate drops each check of a Go file once and runs the package's tests: a drop that no test notices survives,
// and is printed.
//
//	mutate [-root DIR] [-first REGEXP] [-known FILE] [-only REGEXP] file.go...
//
// What is dropped: the condition of each if that guards a return, each operand of && and ||, each case of a switch over
// conditions, and each call that stands alone. The tree is not changed: the go command overlays one file at a time.
// -known lists drops that change nothing that could be seen, each with the reason; a known one that a test does notice
// is printed too, since its line is out of date.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

type runner struct {
	root, first, dir string
	timeout          time.Duration
	known            map[string]string // key of a mutant → why it changes nothing
	used             map[string]bool
}

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	flags.SetOutput(stderr)
	r := &runner{known: map[string]string{}, used: map[string]bool{}}
	flags.StringVar(&r.root, "root", ".", "folder of the module")
	flags.StringVar(&r.first, "first", "", "tests to run before all of them, since they notice most")
	flags.DurationVar(&r.timeout, "timeout", 2*time.Minute, "what one run of the tests may take")
	workers := flags.Int("workers", 2, "mutants that are tested at a time")
	known := flags.String("known", "", "file of drops that change nothing: file, function, what is dropped, why; parted by tabs")
	only := flags.String("only", "", "only mutants whose line in the table matches")
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
	var all []*mutant
	for _, file := range flags.Args() {
		found, err := mutantsOf(filepath.Join(r.root, file), file)
		if err != nil {
			fmt.Fprintln(stderr, "mutate:", err)
			return 2
		}
		for _, m := range found {
			if wanted.MatchString(m.key()) {
				all = append(all, m)
			}
		}
	}
	r.runAll(all, *workers, stdout)
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

func (r *runner) runAll(all []*mutant, workers int, w io.Writer) {
	queue := make(chan *mutant)
	var wait sync.WaitGroup
	var mu sync.Mutex
	done := 0
	for range workers {
		wait.Go(func() {
			for m := range queue {
				m.result = r.test(m)
				mu.Lock()
				done++
				if m.result != killed {
					fmt.Fprintf(w, "%d/%d %s: %s\n", done, len(all), m.result, m.key())
				}
				mu.Unlock()
			}
		})
	}
	for _, m := range all {
		queue <- m
	}
	close(queue)
	wait.Wait()
}

type result string

const (
	killed      result = "killed"
	survived    result = "SURVIVED"
	unbuildable result = "does not build"
)

// test runs the tests of a mutant's package with the mutant in place of its file.
func (r *runner) test(m *mutant) result {
	if r.first != "" {
		if got := r.goTest(m, "-run", r.first); got != survived {
			return got
		}
	}
	return r.goTest(m)
}

func (r *runner) goTest(m *mutant, more ...string) result {
	f, err := os.CreateTemp(r.dir, "mutant*.go")
	if err != nil {
		return unbuildable
	}
	defer os.Remove(f.Name())
	defer f.Close()
	original, err := filepath.Abs(filepath.Join(r.root, m.file))
	if err != nil {
		return unbuildable
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {original: f.Name()}})
	if err != nil {
		return unbuildable
	}
	config := f.Name() + ".json"
	defer os.Remove(config)
	if _, err = f.WriteString(m.text); err == nil {
		err = os.WriteFile(config, overlay, 0o600)
	}
	if err != nil {
		return unbuildable
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.timeout)
	defer cancel()
	args := append([]string{"test", "-overlay", config, "-vet=off", "-count=1", "-failfast"}, more...)
	cmd := exec.CommandContext(ctx, "go", append(args, "./"+filepath.Dir(m.file))...)
	cmd.Dir = r.root
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		return survived
	case strings.Contains(string(out), "[build failed]") || strings.Contains(string(out), "[setup failed]"):
		return unbuildable
	case errors.As(err, new(*exec.ExitError)) || ctx.Err() != nil:
		return killed
	default:
		return unbuildable
	}
}

// report prints the table and returns the exit status: a survivor that isn't known is 1.
func (r *runner) report(all []*mutant, complete bool, w io.Writer) int {
	status := 0
	type tally struct{ killed, known, survived, unbuildable int }
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
		case m.result == unbuildable:
			c.unbuildable++
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
		if complete && !r.used[key] {
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
