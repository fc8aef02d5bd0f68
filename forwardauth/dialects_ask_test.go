package forwardauth_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// A question is a request to be judged, with what a proxy says of it. Every part is a list of lines: none for one that is
// missing, two for one that is doubled.
type question struct {
	method, scheme, host, uri []string
	cookie                    []string
	client                    [][2]string // more lines of the client's header
	policy                    []string    // none: the default one
	secret                    []string
	query                     string              // beside the question
	front                     string              // the Host under which we are asked
	spell                     func(string) string // how the names of the dialect's own headers are written
	beside                    bool                // with spell: these are beside the right ones, and say something else
}

func plainQuestion() question {
	return question{
		method: []string{"GET"}, scheme: []string{"https"}, host: []string{hostileHost}, uri: []string{"/a?b=c"}, cookie: []string{"$session"},
		secret: []string{hostileSecret}, front: "127.0.0.1:4190",
		client: [][2]string{{"Accept", "text/html"}, {"Sec-Fetch-Mode", "navigate"}, {"Sec-Fetch-Dest", "document"}},
	}
}

// A reply is an answer in the words of HTTP, with the identity under the names of its headers in every dialect. A status of
// 0 says that the connection was closed without one.
type reply struct {
	status int
	header http.Header
	body   string
}

// A dialect is how a proxy asks.
type dialect struct {
	name string
	own  []string // the headers that it reads
	ask  func(l *dialectLab, q question, trusted bool) (reply, error)
}

func dialects() []dialect {
	forwarded := []string{"X-Forwarded-Method", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Uri"}
	original := []string{"X-Original-Method", "X-Original-URL"}
	return []dialect{
		{"forward-auth", append(forwarded, "X-Forwarded-Prefix"), askForwardAuth},
		{"auth-request", original, askOriginal("auth-request")},
		{"challenge", original, askOriginal("challenge")},
		{"ext-authz", []string{"X-Forwarded-Proto"}, askExtAuthz},
		{"grpc", nil, askGRPC(true)},
		{"grpc-headers", nil, askGRPC(false)},
		{"fastcgi", nil, askFastCGI},
	}
}

func askForwardAuth(l *dialectLab, q question, trusted bool) (reply, error) {
	var lines [][2]string
	for name, values := range map[string][]string{
		"X-Forwarded-Method": q.method, "X-Forwarded-Proto": q.scheme, "X-Forwarded-Host": q.host, "X-Forwarded-Uri": q.uri,
	} {
		lines = append(lines, q.ownLines(name, values)...)
	}
	return l.http(q, trusted, "GET", "/_vipps/authz/forward-auth"+q.policySegment()+q.query, []string{q.front}, lines)
}

func askOriginal(endpoint string) func(*dialectLab, question, bool) (reply, error) {
	return func(l *dialectLab, q question, trusted bool) (reply, error) {
		lines := append(q.ownLines("X-Original-Method", q.method), q.ownLines("X-Original-URL", q.absolute())...)
		return l.http(q, trusted, "GET", "/_vipps/authz/"+endpoint+q.policySegment()+q.query, []string{q.front}, lines)
	}
}

func askExtAuthz(l *dialectLab, q question, trusted bool) (reply, error) {
	policy := "default"
	if len(q.policy) > 0 {
		policy = q.policy[0]
	}
	target := "/_vipps/authz/ext-authz/" + policy + strings.Join(q.uri, "")
	return l.http(q, trusted, strings.Join(q.method, ""), target, q.host, q.ownLines("X-Forwarded-Proto", q.scheme))
}

// ownLines are the lines of one of the dialect's own headers, and aliases of them.
func (q question) ownLines(name string, values []string) (lines [][2]string) {
	written := name
	if q.spell != nil {
		written = q.spell(name)
	}
	if q.beside {
		lines = append(lines, [2]string{written, "evil"})
		written = name
	}
	for _, value := range values {
		lines = append(lines, [2]string{written, value})
	}
	return lines
}

// absolute are the URLs of scheme, host and URI, as many as the longest of them has lines.
func (q question) absolute() (urls []string) {
	at := func(values []string, i int) string {
		if len(values) == 0 {
			return ""
		}
		return values[min(i, len(values)-1)]
	}
	for i := range max(len(q.scheme), len(q.host), len(q.uri)) {
		urls = append(urls, at(q.scheme, i)+"://"+at(q.host, i)+at(q.uri, i))
	}
	return urls
}

func (q question) policySegment() string {
	if len(q.policy) == 0 {
		return ""
	}
	return "/" + q.policy[0]
}

// http asks byte by byte over a connection of its own, as no client of Go's would.
func (l *dialectLab) http(q question, trusted bool, method, target string, hosts []string, lines [][2]string) (reply, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nConnection: close\r\n", method, target)
	for _, host := range hosts {
		fmt.Fprintf(&b, "Host: %s\r\n", host)
	}
	for _, secret := range q.secret {
		lines = append(lines, [2]string{"X-Vipps-Proxy-Secret", secret})
	}
	for _, cookie := range q.cookie {
		lines = append(lines, [2]string{"Cookie", cookie})
	}
	for _, line := range append(lines, q.client...) {
		fmt.Fprintf(&b, "%s: %s\r\n", line[0], line[1])
	}
	return l.bytes(b.String()+"\r\n", method, trusted)
}

// bytes sends a request as it stands and reads one answer.
func (l *dialectLab) bytes(request, method string, trusted bool) (reply, error) {
	conn, err := net.Dial("tcp", l.addr("http", trusted))
	if err != nil {
		return reply{}, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, sent := io.WriteString(conn, request)
	if method != http.MethodHead {
		method = http.MethodGet
	}
	a, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			return reply{}, fmt.Errorf("no answer in time: %w", errors.Join(err, sent))
		}
		return reply{}, nil // closed
	}
	body, err := io.ReadAll(a.Body)
	return reply{a.StatusCode, a.Header, string(body)}, errors.Join(err, a.Body.Close())
}

// rawMessage is protobuf that is sent as it stands: the library's own would refuse to write what is no UTF-8.
type rawMessage []byte

func (rawMessage) Name() string                  { return "proto" }
func (rawMessage) Marshal(v any) ([]byte, error) { return v.(rawMessage), nil }
func (rawMessage) Unmarshal(data []byte, v any) error {
	return proto.Unmarshal(data, v.(*auth.CheckResponse))
}

func field(b []byte, number protowire.Number, value string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), value)
}

// askGRPC asks with every line of the header as it came (encode_raw_headers), or with lines of one name joined.
func askGRPC(raw bool) func(*dialectLab, question, bool) (reply, error) {
	return func(l *dialectLab, q question, trusted bool) (reply, error) {
		// The numbers are those of envoy/service/auth/v3/attribute_context.proto.
		var r, headers []byte
		for number, values := range map[protowire.Number][]string{2: q.method, 4: q.uri, 5: q.host, 6: q.scheme} {
			for _, value := range values {
				r = field(r, number, value)
			}
		}
		joined := map[string]string{}
		for _, line := range append(q.cookieLines(), q.client...) {
			name := strings.ToLower(line[0])
			headers = field(headers, 1, string(field(field(nil, 1, name), 3, line[1])))
			if before, ok := joined[name]; ok {
				line[1] = before + "," + line[1]
			}
			joined[name] = line[1]
		}
		if raw {
			r = field(r, 13, string(headers))
		}
		for name, value := range joined {
			if !raw {
				r = field(r, 3, string(field(field(nil, 1, name), 2, value)))
			}
		}
		attributes := field(nil, 4, string(field(nil, 2, string(field(r, 7, strings.TrimPrefix(q.query, "?"))))))
		for _, policy := range q.policy {
			attributes = field(attributes, 10, string(field(field(nil, 1, "policy"), 2, policy)))
		}
		ctx := metadata.NewOutgoingContext(l.t.Context(), metadata.MD{"x-vipps-proxy-secret": q.secret})
		var a auth.CheckResponse
		conn := l.grpcConn(trusted)
		if err := conn.Invoke(ctx, "/envoy.service.auth.v3.Authorization/Check", rawMessage(field(nil, 1, string(attributes))), &a, grpc.ForceCodec(rawMessage{})); err != nil {
			return reply{}, fmt.Errorf("an error, which failure_mode_allow would let pass: %w", err)
		}
		return fromCheckResponse(&a)
	}
}

func fromCheckResponse(a *auth.CheckResponse) (reply, error) {
	got := reply{header: http.Header{}}
	if ok := a.GetOkResponse(); ok != nil {
		got.status = http.StatusOK
		for _, h := range ok.GetHeaders() {
			got.header.Add(h.GetHeader().GetKey(), h.GetHeader().GetValue())
		}
		for _, name := range ok.GetHeadersToRemove() {
			got.header.Add(name, "")
		}
		got.header.Del("X-Vipps-Proxy-Secret")
		got.header.Set("Cache-Control", "no-store") // an answer that allows has none to give
		return got, nil
	}
	no := a.GetDeniedResponse()
	if no == nil || a.GetStatus().GetCode() == 0 {
		return got, fmt.Errorf("neither allowed nor denied: %v", a)
	}
	got.status, got.body = int(no.GetStatus().GetCode()), no.GetBody()
	for _, h := range no.GetHeaders() {
		got.header.Add(h.GetHeader().GetKey(), h.GetHeader().GetValue())
	}
	return got, nil
}

func (q question) cookieLines() (lines [][2]string) {
	for _, cookie := range q.cookie {
		lines = append(lines, [2]string{"Cookie", cookie})
	}
	return lines
}

// askFastCGI asks as Apache's mod_authnz_fcgi does: a variable for each header, lines of one name joined with a comma.
func askFastCGI(l *dialectLab, q question, trusted bool) (reply, error) {
	pairs := [][2]string{{"GATEWAY_INTERFACE", "CGI/1.1"}, {"FCGI_ROLE", "AUTHORIZER"}, {"REMOTE_ADDR", "203.0.113.7"}, {"QUERY_STRING", strings.TrimPrefix(q.query, "?")}}
	for name, values := range map[string][]string{
		"REQUEST_METHOD": q.method, "REQUEST_SCHEME": q.scheme, "HTTP_HOST": q.host, "REQUEST_URI": q.uri, "HTTP_X_VIPPS_PROXY_SECRET": q.secret, "VIPPS_POLICY": q.policy,
	} {
		for _, value := range values {
			pairs = append(pairs, [2]string{name, value})
		}
	}
	joined := map[string]string{}
	for _, line := range append(q.cookieLines(), q.client...) {
		name := "HTTP_" + strings.ToUpper(strings.ReplaceAll(line[0], "-", "_"))
		if before, ok := joined[name]; ok {
			line[1] = before + ", " + line[1]
		}
		joined[name] = line[1]
	}
	for name, value := range joined {
		pairs = append(pairs, [2]string{name, value})
	}
	var stream []byte
	for _, pair := range pairs {
		for _, part := range pair {
			stream = binary.BigEndian.AppendUint32(stream, uint32(len(part))|1<<31)
		}
		stream = append(append(stream, pair[0]...), pair[1]...)
	}
	return l.fastCGI(stream, trusted)
}

func fastCGIRecord(kind byte, content []byte) []byte {
	return append([]byte{1, kind, 0, 1, byte(len(content) >> 8), byte(len(content)), 0, 0}, content...)
}

// fastCGI sends variables over a connection of its own and reads the answer.
func (l *dialectLab) fastCGI(stream []byte, trusted bool) (reply, error) {
	conn, err := net.Dial("tcp", l.addr("fastcgi", trusted))
	if err != nil {
		return reply{}, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	request := fastCGIRecord(1, []byte{0, 2, 0, 0, 0, 0, 0, 0})
	for len(stream) > 0 {
		n := min(len(stream), 0xffff)
		request = append(request, fastCGIRecord(4, stream[:n])...)
		stream = stream[n:]
	}
	if _, err := conn.Write(append(request, fastCGIRecord(4, nil)...)); err != nil {
		return reply{}, err
	}
	var out bytes.Buffer
	for head := make([]byte, 8); ; {
		if _, err := io.ReadFull(conn, head); err != nil {
			return reply{}, err
		}
		content := make([]byte, int(head[4])<<8|int(head[5])+int(head[6]))
		if _, err := io.ReadFull(conn, content); err != nil {
			return reply{}, err
		}
		if head[1] == 3 {
			break
		}
		out.Write(content[:len(content)-int(head[6])])
	}
	in := textproto.NewReader(bufio.NewReader(&out))
	fields, err := in.ReadMIMEHeader()
	if err != nil {
		return reply{}, err
	}
	body, err := io.ReadAll(in.R)
	if err != nil {
		return reply{}, err
	}
	got := reply{header: http.Header{}, body: string(body)}
	for name, values := range fields {
		if variable, ok := strings.CutPrefix(strings.ToUpper(name), "VARIABLE-VIPPS_"); ok {
			name = http.CanonicalHeaderKey("X-Vipps-" + strings.ReplaceAll(variable, "_", "-"))
		}
		got.header[name] = values
	}
	status, _, _ := strings.Cut(got.header.Get("Status"), " ")
	got.header.Del("Status")
	if got.status, err = strconv.Atoi(status); err == nil && got.status == http.StatusOK {
		got.header.Set("Cache-Control", "no-store") // an answer that allows has variables only
	}
	return got, err
}
