//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// envoy compares a check as Envoy's ext_authz asks it over HTTP with a bare handler that is asked the same.
func (b *bench) envoy() error {
	return b.compare("Envoy's contract, HTTP", 1.35, b.requests,
		&target{name: "bare handler, 202", process: b.bare, requests: [][]byte{b.envoyCheck(b.bareAddr)}, status: "202"},
		&target{name: "vippsauth, warm session", process: b.service, requests: [][]byte{b.envoyCheck(b.serviceAddr)}, status: "200", identity: true})
}

// grpc does the same over gRPC. net/http isn't in it: the bare service is a gRPC server.
func (b *bench) grpc() error {
	addr := free()
	bare, err := b.again("bare gRPC service", addr, "-serve", addr, "-as", "grpc")
	if err != nil {
		return err
	}
	question := b.envoyQuestion(b.cookie)
	return b.compare("Envoy's contract, gRPC", 0, b.requests/2,
		&target{name: "bare gRPC service, a constant OK", process: bare, rpc: &rpcTarget{addr, question}},
		&target{name: "vippsauth, warm session", process: b.service, rpc: &rpcTarget{b.rpcAddr, question}, identity: true})
}

// envoyCheck is the question of Envoy's ext_authz over HTTP.
func (l *lab) envoyCheck(addr string) []byte {
	return []byte("GET /_vipps/authz/ext-authz/default/orders?page=2 HTTP/1.1\r\nHost: " + l.serviceAddr + "\r\nX-Ratio-Addr: " + addr +
		"\r\nContent-Length: 0\r\nX-Forwarded-Proto: http\r\n" + browserHeaders(l.cookie))
}

// envoyQuestion is the same over gRPC, with encode_raw_headers.
func (l *lab) envoyQuestion(cookie string) *auth.CheckRequest {
	r := &auth.AttributeContext_HttpRequest{
		Method: "GET", Path: "/orders?page=2", Host: l.serviceAddr, Scheme: "http", Protocol: "HTTP/1.1", HeaderMap: &core.HeaderMap{},
	}
	for _, name := range []string{":method", ":path", ":authority", ":scheme"} {
		r.HeaderMap.Headers = append(r.HeaderMap.Headers, &core.HeaderValue{Key: name, RawValue: []byte("x")})
	}
	for line := range strings.SplitSeq(strings.TrimSpace(browserHeaders(cookie)), "\r\n") {
		name, value, _ := strings.Cut(line, ": ")
		r.HeaderMap.Headers = append(r.HeaderMap.Headers, &core.HeaderValue{Key: strings.ToLower(name), RawValue: []byte(value)})
	}
	return &auth.CheckRequest{Attributes: &auth.AttributeContext{
		Request:           &auth.AttributeContext_Request{Http: r},
		ContextExtensions: map[string]string{"policy": "default"},
	}}
}

// rpcTarget is a gRPC service to ask one thing.
type rpcTarget struct {
	addr     string
	question *auth.CheckRequest
}

func (t *rpcTarget) client() (auth.AuthorizationClient, func(), error) {
	conn, err := grpc.NewClient(t.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, nil, err
	}
	return auth.NewAuthorizationClient(conn), func() { _ = conn.Close() }, nil
}

func (t *rpcTarget) see(name string, identity bool) error {
	client, end, err := t.client()
	if err != nil {
		return err
	}
	defer end()
	answer, err := client.Check(context.Background(), t.question)
	if err != nil {
		return err
	}
	names := map[string]bool{}
	for _, h := range answer.GetOkResponse().GetHeaders() {
		names[h.GetHeader().GetKey()] = true
	}
	if answer.GetStatus().GetCode() != 0 || identity != names["X-Vipps-Sub"] {
		return fmt.Errorf("%s: %v", name, answer)
	}
	return nil
}

// stream asks n times, over one connection.
func (t *rpcTarget) stream(n int) ([]time.Duration, error) {
	client, end, err := t.client()
	if err != nil {
		return nil, err
	}
	defer end()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	latency := make([]time.Duration, 0, n)
	for range n {
		asked := time.Now()
		answer, err := client.Check(ctx, t.question)
		if err != nil {
			return nil, err
		}
		if answer.GetStatus().GetCode() != 0 {
			return nil, fmt.Errorf("answered %v", answer)
		}
		latency = append(latency, time.Since(asked))
	}
	return latency, nil
}

// bareAuthorization answers what it always answers, with two headers as vippsauth has for a session without more scopes.
type bareAuthorization struct {
	auth.UnimplementedAuthorizationServer
	answer *auth.CheckResponse
}

func (b *bareAuthorization) Check(context.Context, *auth.CheckRequest) (*auth.CheckResponse, error) {
	return b.answer, nil
}

func serveBareGRPC(ln net.Listener) error {
	header := func(value string) *core.HeaderValueOption {
		return &core.HeaderValueOption{Header: &core.HeaderValue{Key: "X-Bare", Value: value}, AppendAction: core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD}
	}
	server := grpc.NewServer()
	auth.RegisterAuthorizationServer(server, &bareAuthorization{answer: &auth.CheckResponse{
		Status: &status.Status{},
		HttpResponse: &auth.CheckResponse_OkResponse{OkResponse: &auth.OkHttpResponse{
			Headers: []*core.HeaderValueOption{header("authenticated"), header("11111111-2222-4333-8444-555555555555")},
		}},
	}})
	return server.Serve(ln)
}
