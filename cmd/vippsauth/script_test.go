package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// port is a script command: "port NAME..." puts a free loopback port into each variable.
func port(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: port NAME...")
	}
	for _, name := range args { // all stay open until all are chosen, so that they differ
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		defer ln.Close()
		ts.Setenv(name, strconv.Itoa(ln.Addr().(*net.TCPAddr).Port))
	}
}

// usageError is a script command: "usage vippsauth ARG..." runs the command, wants exit code 2 and nothing on standard
// output, and that "mustnotshow", which stands for a secret, isn't shown.
func usageError(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: usage vippsauth ARG...")
	}
	err := ts.Exec(args[0], args[1:]...)
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != exitUsage {
		ts.Fatalf("%v: want exit code %d", err, exitUsage)
	}
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("standard output: %s", out)
	}
	if strings.Contains(ts.ReadFile("stderr"), secretMarker) {
		ts.Fatalf("a value is shown")
	}
}

const scriptPatience = 20 * time.Second

// await is a script command: "await URL [STATUS]" asks until the answer has the status, 200 if none is given.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 || len(args) > 2 {
		ts.Fatalf("usage: await URL [STATUS]")
	}
	want := http.StatusOK
	if len(args) == 2 {
		var err error
		want, err = strconv.Atoi(args[1])
		ts.Check(err)
	}
	var last string
	for deadline := time.Now().Add(scriptPatience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		status, _, err := fetch(args[0], nil)
		if err == nil && status == want {
			return
		}
		last = strconv.Itoa(status)
		if err != nil {
			last = err.Error()
		}
	}
	ts.Fatalf("%s did not answer %d in time; last: %s", args[0], want, last)
}

// get is a script command: "get URL STATUS PATTERN [Header:value]..." asks once, and compares status and body or headers.
func get(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: get URL STATUS PATTERN [Header:value]...")
	}
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	status, text, err := fetch(args[0], args[3:])
	ts.Check(err)
	if status != want || !regexp.MustCompile(args[2]).MatchString(text) {
		ts.Fatalf("%s: status %d, want %d with %s; got\n%s", args[0], status, want, args[2], text)
	}
}

// fetch returns the status of an answer, and its headers and body as text. It follows no redirect. "unix:SOCKET:/path" is a
// path asked for over a Unix socket.
func fetch(url string, headers []string) (int, string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	tr := &http.Transport{DisableKeepAlives: true}
	if rest, ok := strings.CutPrefix(url, "unix:"); ok {
		socket, path, _ := strings.Cut(rest, ":")
		url = "http://localhost" + path
		tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, "", err
	}
	for _, h := range headers {
		if m := regexp.MustCompile(`^([^:]+):(.*)$`).FindStringSubmatch(h); m != nil {
			req.Header.Set(m[1], m[2])
		}
	}
	res, err := tr.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return 0, "", err
	}
	var head []byte
	for name, values := range res.Header {
		for _, v := range values {
			head = append(head, name+": "+v+"\n"...)
		}
	}
	return res.StatusCode, string(head) + string(body), nil
}
