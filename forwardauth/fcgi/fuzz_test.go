package fcgi

import (
	"bytes"
	"errors"
	"io"
	"log"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// FuzzParams: what is read is what was written, and nothing is read beyond its end.
func FuzzParams(f *testing.F) {
	f.Add(appendParam(appendParam(nil, "REQUEST_METHOD", "GET"), "REQUEST_URI", "/"))
	f.Add([]byte{0x80, 0, 0, 1, 0x80, 0, 0, 0, 'A'})
	f.Fuzz(func(t *testing.T, b []byte) {
		params, err := parseParams(b)
		if err != nil {
			if params != nil {
				t.Fatal("a part was read")
			}
			return
		}
		var again []byte
		for _, p := range params {
			again = appendParam(again, p.Name, p.Value)
		}
		if len(again) > len(b) {
			t.Fatalf("%d bytes were read of %d", len(again), len(b))
		}
		back, err := parseParams(again)
		if diff := cmp.Diff(params, back); err != nil || diff != "" {
			t.Fatal(err, diff)
		}
	})
}

// FuzzConnection: whatever a peer sends, the server ends, answers in whole records, and asks only about whole requests.
func FuzzConnection(f *testing.F) {
	f.Add(append(beginRecord(1, 2, 0), paramsRecords(1, "A", "1")...))
	f.Add(append(beginRecord(1, 2, 1), append(paramsRecords(1), beginRecord(2, 1, 0)...)...))
	f.Add(appendRecord(nil, typeGetValues, 0, appendParam(nil, "FCGI_MAX_CONNS", "")))
	f.Fuzz(func(t *testing.T, sent []byte) {
		asked := 0
		s := &Server{Handler: func(r *Request) *Answer { asked++; return echo(r) }, Timeout: time.Second, ErrorLog: log.New(io.Discard, "", 0)}
		peer := &recordedConn{in: bytes.NewReader(sent)}
		if s.listens(nil); !s.opened(peer) {
			t.Fatal("the server is closed")
		}
		s.serve(peer)
		ends := 0
		for in := (reader{in: &peer.out}); ; {
			rec, err := in.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("the answer is no series of records: %v", err)
			}
			if rec.kind == typeEndRequest {
				ends++
			}
		}
		if asked > ends {
			t.Fatalf("asked %d times, and ended %d requests", asked, ends)
		}
	})
}

// recordedConn is a connection whose peer has sent everything at once.
type recordedConn struct {
	net.Conn
	in  *bytes.Reader
	out bytes.Buffer
}

func (c *recordedConn) Read(b []byte) (int, error)       { return c.in.Read(b) }
func (c *recordedConn) Write(b []byte) (int, error)      { return c.out.Write(b) }
func (c *recordedConn) Close() error                     { return nil }
func (c *recordedConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *recordedConn) SetDeadline(time.Time) error      { return nil }
func (c *recordedConn) SetWriteDeadline(time.Time) error { return nil }
