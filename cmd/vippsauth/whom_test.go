package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A number on a command line is seen in the list of processes. From the variable, from standard input and, of a customer token, from a
// file, it is the same login; the variable was refused once, as a setting that nobody knows.
func TestWhoLogsInComesFromElsewhereToo(t *testing.T) {
	t.Parallel()
	emu := phonesThatAnswer(t)
	token := func() string {
		t.Helper()
		code, err := emu.Control().CustomerToken("4790000001")
		if err != nil {
			t.Fatal(err)
		}
		return code
	}
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		stdin string
		env   []string
		args  []string
		out   string
	}{
		"the variable":                                 {"", []string{"VIPPSAUTH_PHONE=4790000001"}, []string{"user-exists"}, "yes\n"},
		"a number on standard input":                   {"4790000001\nand what comes behind\n", nil, []string{"user-exists", "--phone", "-"}, "yes\n"},
		"a number without its line's end":              {"4790000001", nil, []string{"user-exists", "--phone=-"}, "yes\n"},
		"a number, for a login":                        {"90 00 00 01\r\n", nil, []string{"merchant-login", "--phone=-", "--market=NO", "--scopes=openid name"}, "name: Åse Ødegård\n"},
		"a token in a file":                            {"", nil, []string{"merchant-login", "--customer-token-file", file, "--scopes=openid name"}, "name: Åse Ødegård\n"},
		"a token on standard input":                    {token() + "\n", nil, []string{"merchant-login", "--customer-token-file=-", "--scopes=openid name"}, "name: Åse Ødegård\n"},
		"a token on standard input, said of the token": {token(), nil, []string{"merchant-login", "--customer-token=-", "--scopes=openid name"}, "name: Åse Ødegård\n"},
		"a flag before the variable":                   {"", []string{"VIPPSAUTH_PHONE=4799999999"}, []string{"user-exists", "--phone=4790000001"}, "yes\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			p := &program{environ: append(tt.env, "VIPPSAUTH_CLIENT_SECRET=not-a-secret"), stdin: strings.NewReader(tt.stdin), stdout: &stdout, stderr: &stderr}
			root := p.root()
			root.SetArgs(append([]string{tt.args[0], "--issuer=" + emu.Issuer, "--client-id=till"}, tt.args[1:]...))
			if err := root.ExecuteContext(t.Context()); err != nil || !strings.Contains(stdout.String(), tt.out) {
				t.Errorf("%v\n%s%s", err, stdout.String(), stderr.String())
			}
		})
	}
}

// Whoever should type a number and doesn't can still stop the command with one Ctrl-C.
func TestNobodyTypesTheNumber(t *testing.T) {
	t.Parallel()
	in, out := io.Pipe()
	defer out.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if text, err := firstLine(ctx, in); err == nil {
		t.Errorf("it read %q", text)
	}
}

// A line that is cut at a limit would name somebody else, or nobody.
func TestLongLineOnStandardInput(t *testing.T) {
	t.Parallel()
	for length, want := range map[int]error{0: errNothingCame, 1: nil, maxLineOfStdin: nil, maxLineOfStdin + 1: errLineTooLong, 1 << 20: errLineTooLong} {
		text := strings.Repeat("9", length)
		got, err := firstLine(t.Context(), strings.NewReader(text))
		if !errors.Is(err, want) || want == nil && (err != nil || got != text) || want != nil && got != "" {
			t.Errorf("%d bytes: %d of them, %v", length, len(got), err)
		}
	}
}
