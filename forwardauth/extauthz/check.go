package extauthz

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/vippsauth/vippsauth/forwardauth"
)

const (
	serviceName = "envoy.service.auth.v3.Authorization"

	// policyExtension is the key of a route's context_extensions that names the policy. A client can't write there.
	policyExtension = "policy"
	// noPolicy is the name that no policy has, for a route that names one and leaves it empty.
	noPolicy = "/"

	headerAuth        = "X-Vipps-Auth"
	headerProxySecret = "X-Vipps-Proxy-Secret" //nolint:gosec // a header's name
)

// description is the service as Envoy calls it. It is written here and not taken from the generated code so that a
// question that can't be read is answered too (see codec): Envoy would take gRPC's own answer for an error.
var description = grpc.ServiceDesc{
	ServiceName: serviceName,
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "Check",
		Handler: func(srv any, ctx context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			a, ok := srv.(*authorization)
			if !ok { // only New registers it
				return denial(http.StatusForbidden), nil
			}
			return a.check(ctx, read), nil
		},
	}},
	Metadata: "envoy/service/auth/v3/external_auth.proto",
}

// authorization answers Envoy's questions.
type authorization struct {
	engine *forwardauth.Engine
	log    *zap.Logger
}

// check answers one question, always.
func (a *authorization) check(ctx context.Context, read func(any) error) (answer *auth.CheckResponse) {
	defer func() {
		if cause := recover(); cause != nil { // unlike net/http, gRPC would let it end the program
			a.log.Error("a question of Envoy's could not be answered", zap.Any("panic", cause), zap.Stack("stack"))
			answer = denial(http.StatusForbidden)
		}
	}()
	who := question(ctx)
	w := &recorder{header: http.Header{}, status: http.StatusOK}
	if !a.engine.Trusts(who) {
		a.engine.ForwardAuth().ServeHTTP(w, who) // which refuses it, counts it, and logs how to trust the peer
		return w.denied()
	}
	var q asked
	err := read(&q)
	if err == nil {
		err = q.err
	}
	if err != nil {
		a.engine.Unreadable(w, err, who.RemoteAddr)
		return w.denied()
	}
	a.engine.Judge(w, original(q.GetAttributes()), who.RemoteAddr)
	if w.status != http.StatusOK || len(w.header[headerAuth]) != 1 { // which is on every answer that allows
		return w.denied()
	}
	ok, name := w.allowed()
	if name != "" {
		a.log.Error("an identity header is no UTF-8, which gRPC can't carry", zap.String("header", name), zap.String("cure", "set header_encoding to utf-8, percent, base64url or ascii"))
		return denial(http.StatusForbidden)
	}
	return ok
}

// question is what the engine has to know of who asks: the peer, and the secret in the call's metadata.
func question(ctx context.Context) *http.Request {
	r := &http.Request{Method: http.MethodPost, URL: &url.URL{Path: "/_vipps/authz/ext-authz"}, Header: http.Header{}, RemoteAddr: "unknown"}
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		r.RemoteAddr = p.Addr.String()
		if p.Addr.Network() == "unix" {
			r.RemoteAddr = "@"
		}
	}
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		if secrets := md[strings.ToLower(headerProxySecret)]; len(secrets) > 0 {
			r.Header[headerProxySecret] = secrets
		}
	}
	return r
}

// original is the judged request. What is missing or malformed in it, the engine refuses.
func original(attributes *auth.AttributeContext) forwardauth.Original {
	r := attributes.GetRequest().GetHttp()
	policy, named := attributes.GetContextExtensions()[policyExtension]
	if named && policy == "" {
		policy = noPolicy
	}
	return forwardauth.Original{
		Method: r.GetMethod(),
		Scheme: r.GetScheme(),
		Host:   r.GetHost(),
		URI:    r.GetPath(),
		Policy: policy,
		Header: fields(r),
	}
}

// fields are the judged request's header fields: from header_map, where encode_raw_headers is set, which keeps every line,
// and from headers, where Envoy has joined lines of one name with commas. What we read of those are single values, which
// a comma spoils: the worst that a doubled line does is that its session isn't found.
func fields(r *auth.AttributeContext_HttpRequest) http.Header {
	raw := r.GetHeaderMap().GetHeaders()
	h := make(http.Header, len(raw)+len(r.GetHeaders()))
	for _, field := range raw {
		value := field.GetValue()
		if bytes := field.GetRawValue(); len(bytes) > 0 {
			value = string(bytes)
		}
		if name := field.GetKey(); !strings.HasPrefix(name, ":") {
			name = http.CanonicalHeaderKey(name)
			h[name] = append(h[name], value)
		}
	}
	for name, value := range r.GetHeaders() {
		if strings.HasPrefix(name, ":") {
			continue
		}
		name = http.CanonicalHeaderKey(name)
		if _, there := h[name]; !there {
			h[name] = []string{value}
		}
	}
	return h
}
