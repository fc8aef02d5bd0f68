//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const connections = 8

// target is one thing to measure: requests that a server answers, by itself or for a proxy.
type target struct {
	name     string
	process  *process // whose CPU time counts; nil: nobody's
	requests [][]byte
	rpc      *rpcTarget // in place of requests
	status   string
	identity bool // the answer says who it is: in a header, or in the app's page

	cpu     []time.Duration // of one request, by round
	rate    []float64       // requests a second, by round
	latency []time.Duration // of every request
}

// forget drops what was measured.
func (t *target) forget() { t.cpu, t.rate, t.latency = nil, nil, nil }

// see asks once and looks at the answer, so that nothing is measured that isn't there.
func (t *target) see() error {
	if t.rpc != nil {
		return t.rpc.see(t.name, t.identity)
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
	if got := answer.Header.Get("X-Vipps-Sub") != "" || bytes.Contains(body, []byte("X-Vipps-Sub")); got != t.identity {
		return fmt.Errorf("%s: X-Vipps-Sub in the answer: %v, want %v: %.200s", t.name, got, t.identity, body)
	}
	return nil
}

func addrOf(request []byte) string {
	_, rest, _ := bytes.Cut(request, []byte("X-Ratio-Addr: "))
	addr, _, _ := bytes.Cut(rest, []byte("\r\n"))
	return string(addr)
}

// load sends n requests over some connections and notes what they cost.
func (t *target) load(n int) error {
	before, err := t.process.cpu()
	if err != nil {
		return err
	}
	latencies, errs := [connections][]time.Duration{}, make(chan error, connections)
	begun := time.Now()
	for c := range connections {
		go func() {
			var err error
			latencies[c], err = t.stream(c, n/connections)
			errs <- err
		}()
	}
	var failed error
	for range connections {
		failed = errors.Join(failed, <-errs)
	}
	took := time.Since(begun)
	if failed != nil {
		return fmt.Errorf("%s: %w", t.name, failed)
	}
	after, err := t.process.cpu()
	if err != nil {
		return err
	}
	n = n / connections * connections
	t.cpu, t.rate = append(t.cpu, (after-before)/time.Duration(n)), append(t.rate, float64(n)/took.Seconds())
	for _, l := range latencies {
		t.latency = append(t.latency, l...)
	}
	return nil
}

// stream asks n times, one after the other, and says how long each took.
func (t *target) stream(first, n int) ([]time.Duration, error) {
	if t.rpc != nil {
		return t.rpc.stream(n)
	}
	conn, err := net.Dial("tcp", addrOf(t.requests[0]))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		return nil, err
	}
	r := bufio.NewReader(conn)
	want := []byte("HTTP/1.1 " + t.status)
	latency := make([]time.Duration, 0, n)
	for i := range n {
		asked := time.Now()
		if _, err := conn.Write(t.requests[(first+i*connections)%len(t.requests)]); err != nil {
			return nil, err
		}
		if err := readAnswer(r, want); err != nil {
			return nil, err
		}
		latency = append(latency, time.Since(asked))
	}
	return latency, nil
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

// cpu is the time that all threads of the process have run, to the nanosecond where the kernel counts it.
func (p *process) cpu() (time.Duration, error) {
	if p == nil {
		return 0, nil
	}
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
