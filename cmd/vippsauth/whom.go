package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
)

const (
	// phoneEnv holds the number for merchant-login and user-exists, for those who want it in no list of processes. It is no setting.
	phoneEnv = envPrefix + "PHONE"

	// fromStdin in place of a value or a file says that it comes on standard input: what stands on a command line is seen in
	// the list of processes, and stays in the history of the shell.
	fromStdin = "-"

	maxLineOfStdin = 4 << 10
)

// whom is who is to log in, as the command line names them.
type whom struct {
	phone, token, tokenFile string
}

// resolve reads what isn't on the command line itself. Afterwards either phone or token is set.
func (w *whom) resolve(ctx context.Context, p *program) (err error) {
	given := 0
	for _, v := range []string{w.phone, w.token, w.tokenFile} {
		if v != "" {
			given++
		}
	}
	switch {
	case given > 1:
		return errors.New("--phone and --customer-token may mean two people; give one of them")
	case w.tokenFile != "":
		w.token, err = p.secretOf(ctx, "--customer-token-file", w.tokenFile)
	case w.token == fromStdin:
		w.token, err = p.secretOf(ctx, "--customer-token", fromStdin)
	case w.token == "":
		w.phone, err = p.phoneOf(ctx, w.phone)
	}
	if err == nil && w.phone == "" && w.token == "" {
		err = errors.New("say who is to log in: --phone 4712345678, or --customer-token")
	}
	return err
}

// phoneOf is the number of --phone or of the variable; empty where there is none.
func (p *program) phoneOf(ctx context.Context, given string) (string, error) {
	switch given {
	case "":
		return environment(p.environ)[phoneEnv], nil
	case fromStdin:
		return p.secretOf(ctx, "--phone", fromStdin)
	default:
		return given, nil
	}
}

// secretOf reads the one line of a file, or the first of standard input. Its errors hold nothing of either.
func (p *program) secretOf(ctx context.Context, flag, path string) (text string, err error) {
	if path == fromStdin {
		if text, err = firstLine(ctx, p.stdin); err != nil {
			return "", errors.New(flag + ": " + err.Error())
		}
	} else {
		b, err := readFile(path, maxValueFile)
		if err != nil {
			return "", errors.New(flag + ": cannot be read: " + reasonOf(err))
		}
		text = string(b)
	}
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return "", errors.New(flag + ": is empty")
	case hasControl(text):
		return "", errors.New(flag + ": must be one line, without control characters")
	}
	return text, nil
}

var (
	errNothingCame = errors.New("nothing came on standard input")
	errLineTooLong = errors.New("is longer than 4 KiB")
)

// firstLine reads a line, and waits for nothing behind it. Whoever should write it may never do so.
func firstLine(ctx context.Context, in io.Reader) (string, error) {
	type line struct {
		text string
		err  error
	}
	read := make(chan line, 1)
	go func() {
		text, err := bufio.NewReader(io.LimitReader(in, maxLineOfStdin+1)).ReadString('\n')
		switch {
		case len(text) > maxLineOfStdin: // cut, it would be another's number or token, or nobody's
			text, err = "", errLineTooLong
		case text != "":
			err = nil // the last line may lack its end
		case err != nil:
			err = errNothingCame
		}
		read <- line{text, err}
	}()
	select {
	case l := <-read:
		return l.text, l.err
	case <-ctx.Done():
		return "", errNothingCame
	}
}
