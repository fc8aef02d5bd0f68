//go:build linux

package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"runtime"
	"strings"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// compareEnvoy compares Envoy's two contracts with servers that do nothing but answer in them.
func compareEnvoy(l *lab, rounds, requests int) error {
	bare := target{name: "bare net/http handler, 202", process: l.bare, requests: [][]byte{l.envoyCheck(l.bareAddr, l.cookies[0])}, status: "202"}
	warm := target{name: "authz/ext-authz, warm session", process: l.service, requests: [][]byte{l.envoyCheck(l.serviceAddr, l.cookies[0])}, status: "200"}
	if err := compare(rounds, requests, []*target{&bare, &warm}, "at most 1.35"); err != nil {
		return err
	}
	question := l.envoyQuestion(l.cookies[0])
	bareRPC := target{name: "bare gRPC service, a constant OK", process: l.bareGRPC, rpc: &rpcTarget{addr: l.bareRPCAddr, question: question}}
	warmRPC := target{name: "ext_authz over gRPC, warm session", process: l.service, rpc: &rpcTarget{addr: l.rpcAddr, question: question, identity: true}}
	return compare(rounds, requests, []*target{&bareRPC, &warmRPC}, "no bar")
}

// envoyCheck is the question of Envoy's ext_authz over HTTP for this cookie.
func (l *lab) envoyCheck(addr, cookie string) []byte {
	return []byte("GET /_vipps/authz/ext-authz/default/orders?page=2 HTTP/1.1\r\nHost: " + l.serviceAddr + "\r\nX-Ratio-Addr: " + addr +
		"\r\nContent-Length: 0\r\nX-Forwarded-Proto: http\r\n" + browserHeaders(cookie))
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
	identity bool // the answer holds one
}

func (t *rpcTarget) client() (auth.AuthorizationClient, func(), error) {
	conn, err := grpc.NewClient(t.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, nil, err
	}
	return auth.NewAuthorizationClient(conn), func() { _ = conn.Close() }, nil
}

func (t *rpcTarget) see(name string) error {
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
	if answer.GetStatus().GetCode() != 0 || t.identity != names["X-Vipps-Sub"] {
		return fmt.Errorf("%s: %v", name, answer)
	}
	return nil
}

// stream asks n times, over one connection.
func (t *rpcTarget) stream(n int) error {
	client, end, err := t.client()
	if err != nil {
		return err
	}
	defer end()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for range n {
		answer, err := client.Check(ctx, t.question)
		if err != nil {
			return err
		}
		if answer.GetStatus().GetCode() != 0 {
			return fmt.Errorf("answered %v", answer)
		}
	}
	return nil
}

// bareAuthorization answers what it always answers, with two headers as vippsauth has for a session without more scopes.
type bareAuthorization struct {
	auth.UnimplementedAuthorizationServer
	answer *auth.CheckResponse
}

func (b *bareAuthorization) Check(context.Context, *auth.CheckRequest) (*auth.CheckResponse, error) {
	return b.answer, nil
}

func serveBareGRPC(addr string) {
	runtime.GOMAXPROCS(1)
	header := func(value string) *core.HeaderValueOption {
		return &core.HeaderValueOption{Header: &core.HeaderValue{Key: "X-Bare", Value: value}, AppendAction: core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD}
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	auth.RegisterAuthorizationServer(server, &bareAuthorization{answer: &auth.CheckResponse{
		Status: &status.Status{},
		HttpResponse: &auth.CheckResponse_OkResponse{OkResponse: &auth.OkHttpResponse{
			Headers: []*core.HeaderValueOption{header("authenticated"), header("11111111-2222-4333-8444-555555555555")},
		}},
	}})
	if err := server.Serve(ln); err != nil {
		log.Fatal(err)
	}
}
