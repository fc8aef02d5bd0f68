package integration_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extauthz "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	envoytype "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// meshEnvoy is the stand-in for an Envoy that a mesh or a gateway controller configures: two routes, no header taken out
// first, and this filter.
func meshEnvoy(t *testing.T, f *front, filter *extauthz.ExtAuthz, authz string) {
	t.Helper()
	s := &envoyStandIn{t: t, envoyConfig: parseEnvoy(t, example(t, "envoy/envoy-http.yaml", "localhost:8000", "localhost:"+f.port(),
		"port_value: 8080", "port_value: "+portOf(t, f.app.addr()), "port_value: 4190", "port_value: "+portOf(t, f.addr)))}
	s.early, s.filter = nil, filter
	s.hcm.LocalReplyConfig, s.hcm.CommonHttpProtocolOptions = nil, nil
	s.hcm.PathWithEscapedSlashesAction = hcm.HttpConnectionManager_KEEP_UNCHANGED
	s.hcm.NormalizePath = wrapperspb.Bool(true)
	s.hosts[0].Routes = s.hosts[0].GetRoutes()[1:] // nothing closes /_vipps/authz: it is not on the port that the route leads to
	s.clusters["authz"] = envoyCluster{addr: authz}
	if filter.GetGrpcService() != nil {
		conn, err := grpc.NewClient(authz, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		s.grpc = conn
	}
	validEnvoy(t, filter)
	serveOn(t, f.port(), s)
}

// behaves runs the list of behaviours but for those that a front end can't have.
func behaves(t *testing.T, f *front, d differs, except ...string) {
	t.Helper()
	for _, b := range behaviours(d) {
		if !slices.Contains(except, b.name) {
			t.Run(b.name, func(t *testing.T) { b.test(t, f) })
		}
	}
}

// istioHeaders turns a list of header names into what Istio makes of it: an asterisk at the end is a prefix (Istio's
// reference of MeshConfig.ExtensionProvider, includeRequestHeadersInCheck: exact, prefix and suffix matches).
func istioHeaders(t *testing.T, names []string) *matcher.ListStringMatcher {
	list := &matcher.ListStringMatcher{}
	for _, name := range names {
		if prefix, ok := strings.CutSuffix(name, "*"); ok {
			list.Patterns = append(list.Patterns, &matcher.StringMatcher{MatchPattern: &matcher.StringMatcher_Prefix{Prefix: prefix}})
			continue
		}
		if strings.Contains(name, "*") {
			t.Errorf("the stand-in doesn't know %s", name)
		}
		list.Patterns = append(list.Patterns, &matcher.StringMatcher{MatchPattern: &matcher.StringMatcher_Exact{Exact: name}})
	}
	return list
}

// Istio's provider becomes the filter that Istio makes of it (source: istio/istio pilot/pkg/security/authz/builder/extauthz.go,
// generateHTTPConfig). There is no page of ours while the service is away.
func TestIstioStandIn(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	authz := freeAddr(t)
	f.serve("--trusted-proxies=loopback", "--authz-listen="+authz)
	p := manifests(t, "istio/istio.yaml")["IstioOperator istio"].at(t, "spec", "meshConfig", "extensionProviders", 0, "envoyExtAuthzHttp").(manifest)
	timeout, err := time.ParseDuration(p.text(t, "timeout"))
	if err != nil || p.text(t, "statusOnError") != "503" {
		t.Fatal(p)
	}
	var added []*core.HeaderValue
	for name, value := range p.at(t, "includeAdditionalHeadersInCheck").(manifest) {
		if name == "x-forwarded-proto" && value == "https" {
			value = "http" // this test's site
		}
		added = append(added, &core.HeaderValue{Key: name, Value: fmt.Sprint(value)})
	}
	if p["headersToDownstreamOnDeny"] != nil {
		t.Error("a list would keep the rest of our answers from whom we refuse")
	}
	meshEnvoy(t, f, &extauthz.ExtAuthz{
		TransportApiVersion: core.ApiVersion_V3,
		StatusOnError:       &envoytype.HttpStatus{Code: envoytype.StatusCode_ServiceUnavailable},
		AllowedHeaders:      istioHeaders(t, p.list(t, "includeRequestHeadersInCheck")),
		Services: &extauthz.ExtAuthz_HttpService{HttpService: &extauthz.HttpService{
			PathPrefix: p.text(t, "pathPrefix"),
			ServerUri: &core.HttpUri{
				Uri: "http://" + p.text(t, "service"), Timeout: durationpb.New(timeout), HttpUpstreamType: &core.HttpUri_Cluster{Cluster: "authz"},
			},
			AuthorizationRequest:  &extauthz.AuthorizationRequest{HeadersToAdd: added},
			AuthorizationResponse: &extauthz.AuthorizationResponse{AllowedUpstreamHeaders: istioHeaders(t, p.list(t, "headersToUpstreamOnAllow"))},
		}},
	}, authz)
	behaves(t, f, differs{keepsCookies: true, bare: http.StatusServiceUnavailable, waits: timeout, believes: []int{200}, passesOn: []int{204, 206, 302, 304}})
}

// Gateway API's filter with GRPC, and Envoy Gateway's, both say no more than where to ask (source: envoyproxy/gateway
// internal/xds/translator/extauth.go, extAuthConfig): all headers are sent, joined where there are several of a name.
func TestGatewayStandIn(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	authz, grpc := freeAddr(t), freeAddr(t)
	f.serve("--trusted-proxies=loopback", "--authz-listen="+authz, "--grpc-listen="+grpc)
	meshEnvoy(t, f, &extauthz.ExtAuthz{
		TransportApiVersion: core.ApiVersion_V3,
		Services: &extauthz.ExtAuthz_GrpcService{GrpcService: &core.GrpcService{
			TargetSpecifier: &core.GrpcService_EnvoyGrpc_{EnvoyGrpc: &core.GrpcService_EnvoyGrpc{ClusterName: "authz"}},
			Timeout:         durationpb.New(10 * time.Second),
		}},
	}, grpc)
	behaves(t, f, differs{keepsCookies: true, bare: http.StatusForbidden, waits: 10 * time.Second, hurried: true})
}
