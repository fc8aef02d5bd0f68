package integration_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A wire2 speaks HTTP/2 frame by frame: names, values and pseudo-headers are what a test says.
type wire2 struct {
	addr string
	tls  *tls.Config // nil: without TLS, with prior knowledge

	conn   net.Conn
	frames *http2.Framer
	block  bytes.Buffer
	encode *hpack.Encoder
	stream uint32
}

const window = 1 << 30 // nobody waits for us to read

func (w *wire2) dial(t testing.TB) {
	t.Helper()
	w.close()
	conn, err := net.DialTimeout("tcp", w.addr, wireWaits)
	if err != nil {
		t.Fatal(err)
	}
	if w.tls != nil {
		cfg := w.tls.Clone()
		cfg.ServerName, cfg.NextProtos = "localhost", []string{"h2"}
		conn = tls.Client(conn, cfg)
	}
	w.conn = conn
	_ = conn.SetDeadline(time.Now().Add(wireWaits))
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	w.frames = http2.NewFramer(conn, conn)
	w.frames.AllowIllegalWrites = true
	w.frames.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	w.block.Reset()
	w.encode, w.stream = hpack.NewEncoder(&w.block), 1
	w.must(t, w.frames.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}, http2.Setting{ID: http2.SettingEnablePush, Val: 0}))
	w.must(t, w.frames.WriteWindowUpdate(0, window))
}

func (w *wire2) must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *wire2) close() {
	if w.conn != nil {
		_ = w.conn.Close()
		w.conn = nil
	}
}

// request2 is a request as HTTP/2 has it.
type request2 struct {
	fields  [][2]string
	body    string
	trailer [][2]string
}

// ask sends a request on a stream of its own and reads the answer. A stream or connection that is reset gives a status of 0.
func (w *wire2) ask(t testing.TB, r request2) reply {
	t.Helper()
	for again := range 2 {
		fresh := w.conn == nil || w.stream > 10000
		if fresh {
			w.dial(t)
		}
		_ = w.conn.SetDeadline(time.Now().Add(wireWaits))
		id := w.stream
		w.stream += 2
		err := w.write(id, r)
		var a reply
		if err == nil {
			a, err = w.read(id)
		}
		if err == nil {
			return a
		}
		w.close()
		if timeout(err) {
			t.Errorf("no answer in time to %.200q", r.fields)
		}
		if fresh || again > 0 || timeout(err) {
			break
		}
	}
	return reply{}
}

// headers packs fields into a block.
func (w *wire2) headers(fields [][2]string) []byte {
	w.block.Reset()
	for _, f := range fields {
		_ = w.encode.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}) // into memory
	}
	return bytes.Clone(w.block.Bytes())
}

// write sends a request, its header in as many frames as it takes.
func (w *wire2) write(id uint32, r request2) error {
	ends := r.body == "" && r.trailer == nil
	if err := w.writeBlock(id, w.headers(r.fields), ends); err != nil || ends {
		return err
	}
	if err := w.frames.WriteData(id, r.trailer == nil, []byte(r.body)); err != nil || r.trailer == nil {
		return err
	}
	return w.writeBlock(id, w.headers(r.trailer), true)
}

func (w *wire2) writeBlock(id uint32, block []byte, ends bool) error {
	const most = 16 << 10
	first := block[:min(len(block), most)]
	block = block[len(first):]
	err := w.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndStream: ends, EndHeaders: len(block) == 0})
	for err == nil && len(block) > 0 {
		part := block[:min(len(block), most)]
		block = block[len(part):]
		err = w.frames.WriteContinuation(id, len(block) == 0, part)
	}
	return err
}

// read reads until a stream has ended.
func (w *wire2) read(id uint32) (reply, error) {
	a := reply{header: http.Header{}}
	for {
		f, err := w.frames.ReadFrame()
		if err != nil {
			return a, err
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = w.frames.WriteSettingsAck()
			}
		case *http2.PingFrame:
			_ = w.frames.WritePing(true, f.Data)
		case *http2.GoAwayFrame:
			if f.LastStreamID < id || f.ErrCode != http2.ErrCodeNo {
				return reply{}, fmt.Errorf("the connection is given up: %s", f.ErrCode)
			}
		case *http2.RSTStreamFrame:
			if f.StreamID == id && (a.status == 0 || f.ErrCode != http2.ErrCodeNo) {
				return reply{}, nil
			} else if f.StreamID == id {
				return a, nil
			}
		case *http2.MetaHeadersFrame:
			if f.StreamID != id {
				continue
			}
			a.add(f)
			if f.StreamEnded() {
				return a, nil
			}
		case *http2.DataFrame:
			if f.StreamID != id {
				continue
			}
			a.body += string(f.Data())
			if f.StreamEnded() {
				return a, nil
			}
		}
	}
}

func (a *reply) add(f *http2.MetaHeadersFrame) {
	if status, err := strconv.Atoi(f.PseudoValue("status")); err == nil {
		if status < 200 {
			return
		}
		a.status = status
	}
	for _, field := range f.RegularFields() {
		name := http.CanonicalHeaderKey(field.Name)
		a.header[name] = append(a.header[name], field.Value)
	}
}

// asHTTP2 makes of the bytes of a shot what they say over HTTP/2: with every name in lower case, and a second time with
// names in our namespace as they were written.
func asHTTP2(s shot) (requests []request2) {
	head, body, _ := strings.Cut(s.bytes, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	start := strings.SplitN(lines[0], " ", 2)
	if len(start) < 2 {
		return nil
	}
	target := start[1]
	if end := strings.LastIndex(target, " HTTP/"); end >= 0 {
		target = target[:end]
	}
	var r, written request2
	authority, differs := "", false
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		if strings.EqualFold(name, "Host") && authority == "" {
			authority = value
			continue
		}
		lower := [2]string{strings.ToLower(name), value}
		r.fields = append(r.fields, lower)
		if strings.HasPrefix(foldedName(name), "x_vipps_") && name != lower[0] {
			differs, lower[0] = true, name
		}
		written.fields = append(written.fields, lower)
	}
	pseudo := [][2]string{{":method", start[0]}, {":scheme", "https"}, {":authority", authority}, {":path", target}}
	if strings.Contains(s.bytes, "Trailer: ") && body != "" {
		r.trailer = [][2]string{{"x-checksum", "1"}, {"x-vipps-sub", "evil"}, {"x_vipps_sub", "evil"}}
	}
	if body = strings.TrimSuffix(body, "\r\n\r\n"); body != "" {
		r.body, written.body = body, body
	}
	r.fields = append(pseudo, r.fields...)
	if written.fields = append(pseudo, written.fields...); differs {
		return []request2{r, written}
	}
	return []request2{r}
}
