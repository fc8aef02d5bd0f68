package fcgi

import (
	"bytes"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// What no web server sends ends the connection, and the handler isn't asked.
func TestServerRefusesRecords(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	addr := started(t, &Server{Timeout: time.Minute, Handler: func(*Request) *Answer { asked.Add(1); return &Answer{Status: 200} }})
	for name, send := range map[string][]byte{
		"HTTP":                 []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"version 0":            {0, 1, 0, 1, 0, 0, 0, 0},
		"another version":      bytes.Join([][]byte{{2}, beginRecord(1, 2, 0)[1:], paramsRecords(1)}, nil),
		"a short beginning":    appendRecord(nil, typeBeginRequest, 1, []byte{0, 2, 0}),
		"a long beginning":     appendRecord(nil, typeBeginRequest, 1, make([]byte, 9)),
		"our own answer":       appendEnd(nil, 1, requestComplete),
		"an unknown type":      appendRecord(beginRecord(1, 2, 0), 77, 1, nil),
		"a second beginning":   append(beginRecord(1, 2, 0), beginRecord(1, 2, 0)...),
		"variables for ever":   append(beginRecord(1, 2, 0), bytes.Repeat(appendRecord(nil, typeParams, 1, make([]byte, maxContent)), 18)...),
		"many tiny records":    append(beginRecord(1, 2, 0), bytes.Repeat(appendRecord(nil, typeStdin, 1, nil), maxParamsLength+1)...),
		"cut within a record":  nil,
		"cut within variables": beginRecord(1, 2, 0),
	} {
		t.Run(name, func(t *testing.T) {
			a := dial(t, addr)
			_, _ = a.conn.Write(send) // the server may have gone before the end
			if strings.HasPrefix(name, "cut") {
				_, _ = a.conn.Write([]byte{1, 4, 0})
				_ = a.conn.(*net.TCPConn).CloseWrite()
			}
			a.ended()
		})
	}
	if asked.Load() != 0 {
		t.Error("the handler was asked")
	}
}

// Variables beyond the limits are refused with an answer, and never judged in part.
func TestSec_C070_ServerLimits(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	addr := started(t, &Server{Handler: func(*Request) *Answer { asked.Add(1); return &Answer{Status: 200} }})
	var many []string
	for range maxParams + 1 {
		many = append(many, "A", "1")
	}
	for name, tt := range map[string]struct {
		stream []byte
		want   string
	}{
		"too large":      {paramsRecords(1, "A", strings.Repeat("x", maxParamsLength)), "Status: 431 "},
		"too many":       {paramsRecords(1, many...), "Status: 400 "},
		"a length alone": {append(appendRecord(nil, typeParams, 1, []byte{5}), paramsRecords(1)...), "Status: 400 "},
		"a short value":  {append(appendRecord(nil, typeParams, 1, []byte{1, 9, 'A', '1'}), paramsRecords(1)...), "Status: 400 "},
		"4 GB":           {append(appendRecord(nil, typeParams, 1, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 'A'}), paramsRecords(1)...), "Status: 400 "},
	} {
		t.Run(name, func(t *testing.T) {
			a := dial(t, addr)
			a.send(beginRecord(1, 2, 0), tt.stream)
			if got, _ := a.answer(1); !strings.HasPrefix(got, tt.want) || !strings.Contains(got, "\r\n\r\n<!DOCTYPE html>") {
				t.Errorf("%q", got)
			}
		})
	}
	if asked.Load() != 0 {
		t.Error("the handler was asked")
	}
}
