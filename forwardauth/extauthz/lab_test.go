package extauthz_test

import (
	"context"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/protobuf/proto"

	"github.com/vippsauth/vippsauth/forwardauth"
	"github.com/vippsauth/vippsauth/forwardauth/extauthz"
	"github.com/vippsauth/vippsauth/session"
	"github.com/vippsauth/vippsauth/vipps"
	"github.com/vippsauth/vippsauth/vipps/emulator"
)

// lab is an engine with a site, the emulator behind it, the gRPC server in front, and a connection to that.
type lab struct {
	t      *testing.T
	site   *httptest.Server
	server *extauthz.Server
	conn   *grpc.ClientConn
	log    *observer.ObservedLogs
	cookie string // of somebody who has logged in
}

func newLab(t *testing.T, change func(*forwardauth.Config)) *lab {
	t.Helper()
	l := &lab{t: t, site: httptest.NewUnstartedServer(nil)}
	origin := "http://" + l.site.Listener.Addr().String()
	v, err := emulator.Start("127.0.0.1:0", emulator.Config{
		Spinner: -1, Clients: []emulator.Client{{ID: "shop", Secret: "shop secret", RedirectURIs: []string{origin + "/_vipps/callback"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.Close() })
	if err := v.Control().AutoApprove("4790000001"); err != nil {
		t.Fatal(err)
	}
	scopes := []string{"openid", "name", "phoneNumber", "email"}
	client, err := vipps.New(vipps.Config{Issuer: v.Issuer, ClientID: "shop", ClientSecret: "shop secret", Scopes: scopes})
	if err != nil {
		t.Fatal(err)
	}
	key, err := session.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	observed, logs := observer.New(zap.DebugLevel)
	l.log = logs
	cfg := forwardauth.Config{
		Client: client, Keys: session.Keys{key}, PublicURLs: []string{origin}, Scopes: scopes, Logger: zap.New(observed), TrustedProxies: []string{"loopback"}, Emulator: true,
	}
	if change != nil {
		change(&cfg)
	}
	engine, err := forwardauth.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l.site.Config.Handler = engine.Protect(http.NotFoundHandler())
	l.site.Start()
	t.Cleanup(l.site.Close)
	l.server = extauthz.New(engine, zap.New(observed))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- l.server.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := l.server.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	if l.conn, err = grpc.NewClient(ln.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.conn.Close() })
	l.logIn()
	return l
}

// logIn follows a login to its end and keeps the session's cookie.
func (l *lab) logIn() {
	l.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		l.t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, Timeout: 10 * time.Second}
	r, err := http.NewRequestWithContext(l.t.Context(), http.MethodGet, l.site.URL+"/", http.NoBody)
	if err != nil {
		l.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	w, err := browser.Do(r)
	if err != nil {
		l.t.Fatal(err)
	}
	_ = w.Body.Close()
	u, err := url.Parse(l.site.URL)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, c := range jar.Cookies(u) {
		if c.Name == "vippsauth" {
			l.cookie = c.Name + "=" + c.Value
		}
	}
	if l.cookie == "" {
		l.t.Fatalf("no session at %s", w.Request.URL)
	}
}

// asked is a question of Envoy's with encode_raw_headers about a request for path, with header fields as pairs.
func (l *lab) asked(method, path string, fields ...string) *auth.CheckRequest {
	r := &auth.AttributeContext_HttpRequest{
		Method: method, Path: path, Host: l.site.Listener.Addr().String(), Scheme: "http", Protocol: "HTTP/1.1", HeaderMap: &core.HeaderMap{},
	}
	for _, pair := range [][2]string{{":path", path}, {":method", method}, {":authority", r.Host}, {":scheme", "http"}} {
		fields = append(fields, pair[0], pair[1])
	}
	for i := 0; i < len(fields); i += 2 {
		r.HeaderMap.Headers = append(r.HeaderMap.Headers, &core.HeaderValue{Key: fields[i], RawValue: []byte(fields[i+1])})
	}
	return about(r)
}

func about(r *auth.AttributeContext_HttpRequest) *auth.CheckRequest {
	return &auth.CheckRequest{Attributes: &auth.AttributeContext{Request: &auth.AttributeContext_Request{Http: r}}}
}

func (l *lab) check(q *auth.CheckRequest) *auth.CheckResponse {
	l.t.Helper()
	a, err := auth.NewAuthorizationClient(l.conn).Check(l.t.Context(), q)
	if err != nil {
		l.t.Fatalf("an error, which failure_mode_allow would let pass: %v", err)
	}
	return a
}

// lines are the values of a header in the order in which Envoy gets them.
func lines(headers []*core.HeaderValueOption, name string) (values []string) {
	for _, h := range headers {
		if http.CanonicalHeaderKey(h.GetHeader().GetKey()) == name {
			values = append(values, h.GetHeader().GetValue())
		}
	}
	return values
}

// grpcForce sends and reads messages with this codec.
func grpcForce(codec encoding.Codec) grpc.CallOption { return grpc.ForceCodec(codec) }

func decode(t *testing.T, message []byte) *auth.CheckResponse {
	t.Helper()
	var a auth.CheckResponse
	if err := proto.Unmarshal(message, &a); err != nil {
		t.Fatal(err)
	}
	return &a
}
