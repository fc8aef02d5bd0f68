//go:build linux

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const connections = 8

// target is one thing to measure: requests that one server process answers.
type target struct {
	name     string
	process  *process
	requests [][]byte
	rpc      *rpcTarget // in place of requests
	status   string
	samples  []time.Duration
}

// see asks once and looks at the answer, so that nothing is measured that isn't there.
func (t *target) see() error {
	if t.rpc != nil {
		return t.rpc.see(t.name)
	}
	conn, err := net.Dial("tcp", addrOf(t.requests[0]))
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write(t.requests[0]); err != nil {
		return err
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<16))
	if strconv.Itoa(answer.StatusCode) != t.status {
		return fmt.Errorf("%s: status %d, want %s: %.200s", t.name, answer.StatusCode, t.status, body)
	}
	if strings.Contains(t.name, "authz/") && answer.Header.Get("X-Vipps-Sub") == "" {
		return fmt.Errorf("%s: no X-Vipps-Sub in the answer", t.name)
	}
	if strings.Contains(t.name, "vipps_auth") && !bytes.Contains(body, []byte("X-Vipps-Sub")) {
		return fmt.Errorf("%s: the app saw no X-Vipps-Sub: %.200s", t.name, body)
	}
	return nil
}

func addrOf(request []byte) string {
	_, rest, _ := bytes.Cut(request, []byte("X-Ratio-Addr: "))
	addr, _, _ := bytes.Cut(rest, []byte("\r\n"))
	return string(addr)
}

// load sends n requests over some connections and returns the CPU time that the server spent on each.
func (t *target) load(n int) (time.Duration, error) {
	before, err := t.process.cpu()
	if err != nil {
		return 0, err
	}
	errs := make(chan error, connections)
	for c := range connections {
		go func() { errs <- t.stream(c, n/connections) }()
	}
	var failed error
	for range connections {
		failed = errors.Join(failed, <-errs)
	}
	if failed != nil {
		return 0, fmt.Errorf("%s: %w", t.name, failed)
	}
	after, err := t.process.cpu()
	if err != nil {
		return 0, err
	}
	return (after - before) / time.Duration(n/connections*connections), nil
}

func (t *target) stream(first, n int) error {
	if t.rpc != nil {
		return t.rpc.stream(n)
	}
	conn, err := net.Dial("tcp", addrOf(t.requests[0]))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		return err
	}
	r := bufio.NewReader(conn)
	want := []byte("HTTP/1.1 " + t.status)
	for i := range n {
		if _, err := conn.Write(t.requests[(first+i*connections)%len(t.requests)]); err != nil {
			return err
		}
		if err := readAnswer(r, want); err != nil {
			return err
		}
	}
	return nil
}

func readAnswer(r *bufio.Reader, want []byte) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, want) {
		return fmt.Errorf("answered %q", line)
	}
	length := 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if name, value, ok := bytes.Cut(line, []byte(":")); ok && textproto.CanonicalMIMEHeaderKey(string(name)) == "Content-Length" {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	_, err = r.Discard(length)
	return err
}

func median[T cmp.Ordered](values []T) T {
	values = slices.Clone(values)
	slices.Sort(values)
	return values[len(values)/2]
}

func quartiles(values []float64) string {
	values = slices.Clone(values)
	slices.Sort(values)
	return fmt.Sprintf("%.2f to %.2f", values[len(values)/4], values[len(values)*3/4])
}

// cpu is the time that all threads of the process have run, to the nanosecond where the kernel counts it.
func (p *process) cpu() (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.cmd.Process.Pid))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("%s: no /proc to read CPU time from", p.name)
	}
	var total time.Duration
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return 0, err
		}
		ns, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
		if err != nil {
			return 0, err
		}
		total += time.Duration(ns)
	}
	return total, nil
}
