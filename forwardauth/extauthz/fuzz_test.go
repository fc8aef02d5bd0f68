package extauthz

import (
	"context"
	"net"
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
)

// trusted is the context of a call from a trusted peer.
func trusted() context.Context {
	return peer.NewContext(context.Background(), &peer.Peer{Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}})
}

// bare is a service whose engine knows nobody's session and never gets as far as the provider.
func bare(tb testing.TB) *authorization {
	tb.Helper()
	client, err := vipps.New(vipps.Config{Issuer: "https://op.example/", ClientID: "shop", ClientSecret: "shop secret"})
	if err != nil {
		tb.Fatal(err)
	}
	key, err := session.NewKey()
	if err != nil {
		tb.Fatal(err)
	}
	engine, err := forwardauth.New(forwardauth.Config{
		Client: client, Keys: session.Keys{key}, PublicURLs: []string{"https://app.example"}, TrustedProxies: []string{"loopback"},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return &authorization{engine: engine, log: zap.NewNop()}
}

// FuzzCheck: whatever bytes come as a question, there is an answer, and without a session it is a denial that can be sent.
func FuzzCheck(f *testing.F) {
	a, c := bare(f), newCodec()
	for _, r := range []*auth.AttributeContext_HttpRequest{
		{},
		{Method: "GET", Host: "app.example", Scheme: "https", Path: "/a?b", Headers: map[string]string{"accept": "text/html", "x_vipps_sub": "evil"}},
		{Method: "OPTIONS", Host: "APP.example:443", Scheme: "wss", Path: "*"},
		{Method: "GET", Host: "app.example", Scheme: "https", Path: "//evil.example/%2e%2e#x", HeaderMap: &core.HeaderMap{Headers: []*core.HeaderValue{
			{Key: "cookie", RawValue: []byte("__Host-vippsauth=\xff")}, {Key: "cookie", Value: "a=b"}, {Key: "X.Vipps.Sub", Value: "evil"}, {Key: ":path", Value: "/public"},
		}}},
	} {
		q, err := proto.Marshal(&auth.CheckRequest{Attributes: &auth.AttributeContext{Request: &auth.AttributeContext_Request{Http: r}}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(q)
	}
	f.Add([]byte("\xff\xff"))
	f.Fuzz(func(t *testing.T, message []byte) {
		answer := a.check(trusted(), func(q any) error { return c.Unmarshal(mem.BufferSlice{mem.SliceBuffer(message)}, q) })
		if answer.GetStatus().GetCode() == 0 || answer.GetDeniedResponse().GetStatus().GetCode() < 300 || answer.GetErrorResponse() != nil {
			t.Errorf("%v", answer)
		}
		if _, err := proto.Marshal(answer); err != nil {
			t.Error(err)
		}
	})
}

// What goes wrong here is a denial too, and ends nothing else.
func TestSec_B087_PanicIsADenial(t *testing.T) {
	t.Parallel()
	a := bare(t)
	a.engine = nil
	if answer := a.check(trusted(), func(any) error { return nil }); answer.GetDeniedResponse().GetStatus().GetCode() != 403 || answer.GetStatus().GetCode() == 0 {
		t.Errorf("%v", answer)
	}
	a = bare(t)
	if answer := a.check(trusted(), func(any) error { panic("reading") }); answer.GetDeniedResponse().GetStatus().GetCode() != 403 {
		t.Errorf("%v", answer)
	}
	if answer := a.check(context.Background(), func(any) error { return nil }); answer.GetDeniedResponse().GetStatus().GetCode() != 403 {
		t.Errorf("a peer that nobody knows: %v", answer)
	}
}

// A program on this machine may give its end of a Unix socket any name, as that of a trusted address.
func TestSec_C060_NameOfASocket(t *testing.T) {
	t.Parallel()
	ctx := peer.NewContext(t.Context(), &peer.Peer{Addr: &net.UnixAddr{Name: "127.0.0.1:1", Net: "unix"}})
	a := bare(t)
	if who := question(ctx); a.engine.Trusts(who) {
		t.Errorf("%s is trusted", who.RemoteAddr)
	}
}
