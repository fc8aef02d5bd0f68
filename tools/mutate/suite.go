package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// suite is the compiled tests of one package, with the mutants of its files.
type suite struct {
	folder  string
	text    string // of one of its files
	binary  string
	mutants []*mutant
	tests   []*test // the quick ones first
}

// test is one test, and what it reaches.
type test struct {
	name    string
	takes   time.Duration
	reaches map[int]bool
}

type result string

const (
	killed   result = "killed"
	survived result = "SURVIVED"
)

// build finds the mutants of the files and compiles the tests of their packages.
func (r *runner) build(files []string, wanted *regexp.Regexp, workers int) ([]*mutant, []*suite, error) {
	var all []*mutant
	var suites []*suite
	texts := map[string]string{} // the files as they are overlaid
	for _, file := range files {
		path, err := filepath.Abs(filepath.Join(r.root, file))
		if err != nil {
			return nil, nil, err
		}
		text, found, err := mutantsOf(path, file)
		if err != nil {
			return nil, nil, err
		}
		found = slices.DeleteFunc(found, func(m *mutant) bool { return !wanted.MatchString(m.key()) })
		for i, m := range found {
			m.number = len(all) + i + 1
		}
		all = append(all, found...)
		texts[path] = switched(text, found)
		folder := filepath.Dir(path)
		at := slices.IndexFunc(suites, func(s *suite) bool { return s.folder == folder })
		if at < 0 {
			at = len(suites)
			suites = append(suites, &suite{folder: folder, text: text})
		}
		suites[at].mutants = append(suites[at].mutants, found...)
	}
	for _, s := range suites {
		name := regexp.MustCompile(`(?m)^package (\w+)`).FindStringSubmatch(s.text)
		texts[filepath.Join(s.folder, "mutate_switch.go")] = fmt.Sprintf(theSwitch, name[1], len(all)+1)
	}
	overlay, err := r.overlay(texts)
	for i, s := range suites {
		if err == nil {
			err = s.compile(overlay, filepath.Join(r.dir, fmt.Sprintf("%d.test", i)))
		}
		if err == nil {
			err = s.measure(workers)
		}
	}
	return all, suites, err
}

// overlay writes the files and returns what tells the go command of them.
func (r *runner) overlay(texts map[string]string) (string, error) {
	replace := map[string]string{}
	for path, text := range texts {
		replace[path] = filepath.Join(r.dir, fmt.Sprintf("%d.go", len(replace)))
		if err := os.WriteFile(replace[path], []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	config, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(r.dir, "overlay.json")
	return path, os.WriteFile(path, config, 0o600)
}

func (s *suite) compile(overlay, binary string) error {
	s.binary = binary
	cmd := exec.Command("go", "test", "-c", "-overlay", overlay, "-vet=off", "-o", binary, ".")
	cmd.Dir = s.folder
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s with all its switches: %w\n%s", s.folder, err, out)
	}
	return nil
}

// measure runs each test by itself with nothing dropped. All must pass.
func (s *suite) measure(workers int) error {
	list, err := s.run(10*time.Second, nil, "-test.list", ".")
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", s.folder, err, list)
	}
	for name := range strings.Lines(list) {
		if name = strings.TrimSpace(name); !strings.HasPrefix(name, "Benchmark") {
			s.tests = append(s.tests, &test{name: name, reaches: map[int]bool{}})
		}
	}
	errs := make(chan error, len(s.tests))
	each(s.tests, workers, func(t *test) { errs <- s.measureOne(t) })
	for range s.tests {
		if err := <-errs; err != nil {
			return err
		}
	}
	slices.SortStableFunc(s.tests, func(a, b *test) int { return int(a.takes - b.takes) })
	return nil
}

func (s *suite) measureOne(t *test) error {
	reached := s.binary + "." + t.name
	if err := os.WriteFile(reached, nil, 0o600); err != nil {
		return err
	}
	began := time.Now()
	if out, err := s.run(5*time.Minute, []string{reachVariable + "=" + reached}, "-test.run", "^"+t.name+"$"); err != nil {
		return fmt.Errorf("%s: %s fails with nothing dropped: %w\n%s", s.folder, t.name, err, out)
	}
	t.takes = time.Since(began)
	text, err := os.ReadFile(reached)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		number, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			return err
		}
		t.reaches[number] = true
	}
	return nil
}

func (s *suite) run(timeout time.Duration, env []string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.binary, args...)
	cmd.Dir = s.folder
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if regexp.MustCompile(`(?m)^PASS$`).Match(out) {
		return string(out), nil // what a TestMain says afterwards is of all the tests, and these are not all
	}
	return string(out), err
}

// test asks the tests that reach a mutant whether they notice: one quick one, then more and more at a time.
func (s *suite) test(m *mutant) {
	m.result = survived
	var names []string
	var takes, limit time.Duration
	for _, t := range append(slices.Clone(s.tests), nil) { // nil: there are no more
		if t != nil && !t.reaches[m.number] {
			continue
		}
		if t != nil {
			names, takes = append(names, t.name), takes+t.takes
		}
		if len(names) > 0 && (t == nil || takes > limit) {
			s.ask(m, names, 20*time.Second+10*takes)
			names, takes, limit = nil, 0, 2*limit+100*time.Millisecond
		}
		if m.result == killed {
			return
		}
	}
}

// ask runs some tests with a mutant. One that fails must fail again by itself, and pass with nothing dropped: on a busy
// machine a test may fail for another reason.
func (s *suite) ask(m *mutant, names []string, timeout time.Duration) {
	dropped, nothing := []string{dropVariable + "=" + strconv.Itoa(m.number)}, []string{dropVariable + "=0"}
	for len(names) > 0 {
		out, err := s.run(timeout, dropped, "-test.failfast", "-test.parallel=4", "-test.run", "^("+strings.Join(names, "|")+")$")
		if err == nil {
			return
		}
		found := regexp.MustCompile(`--- FAIL: (\w+)`).FindStringSubmatch(out)
		if found == nil {
			m.result, m.by = killed, err.Error()
			return
		}
		_, again := s.run(timeout, dropped, "-test.run", "^"+found[1]+"$")
		_, without := s.run(timeout, nothing, "-test.run", "^"+found[1]+"$")
		if again != nil && without == nil {
			m.result, m.by = killed, found[1]
			return
		}
		names = slices.DeleteFunc(names, func(name string) bool { return name == found[1] })
	}
}

func (s *suite) runAll(workers int, verbose bool, w io.Writer) {
	var mu sync.Mutex
	done := 0
	each(s.mutants, workers, func(m *mutant) {
		s.test(m)
		mu.Lock()
		defer mu.Unlock()
		done++
		if verbose || m.result != killed {
			fmt.Fprintf(w, "%d/%d %s: %s\t%s\n", done, len(s.mutants), m.result, m.key(), m.by)
		}
	})
}

// each does something to each, some at a time.
func each[T any](all []T, workers int, do func(T)) {
	queue := make(chan T)
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			for one := range queue {
				do(one)
			}
		})
	}
	for _, one := range all {
		queue <- one
	}
	close(queue)
	wait.Wait()
}
