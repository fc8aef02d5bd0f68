package integration_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	bootstrap "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	extauthz "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	early "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
	upstreams "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// envoyConfig is what the stand-in needs of a bootstrap file.
type envoyConfig struct {
	hcm      *hcm.HttpConnectionManager
	filter   *extauthz.ExtAuthz
	early    []*early.HeaderMutation
	hosts    []*route.VirtualHost
	clusters map[string]envoyCluster
}

type envoyCluster struct {
	addr  string
	http2 bool
}

// parseEnvoy reads a bootstrap file as Envoy does: into its own types, where a name that isn't one of theirs is an error,
// and with the rules that they carry for their values.
func parseEnvoy(t *testing.T, text string) *envoyConfig {
	t.Helper()
	var tree any
	if err := yaml.Unmarshal([]byte(text), &tree); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	var b bootstrap.Bootstrap
	if err := protojson.Unmarshal(asJSON, &b); err != nil {
		t.Fatal(err)
	}
	validEnvoy(t, &b)
	if b.GetAdmin() != nil {
		t.Error("the example opens Envoy's administration to everybody on the machine")
	}
	c := &envoyConfig{clusters: map[string]envoyCluster{}}
	for _, cluster := range b.GetStaticResources().GetClusters() {
		at := cluster.GetLoadAssignment().GetEndpoints()[0].GetLbEndpoints()[0].GetEndpoint().GetAddress().GetSocketAddress()
		e := envoyCluster{addr: at.GetAddress() + ":" + jsonOf(t, at.GetPortValue())}
		if options := cluster.GetTypedExtensionProtocolOptions()["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]; options != nil {
			e.http2 = unpack[*upstreams.HttpProtocolOptions](t, options).GetExplicitHttpConfig().GetHttp2ProtocolOptions() != nil
		}
		c.clusters[cluster.GetName()] = e
	}
	c.readListener(t, b.GetStaticResources().GetListeners()[0])
	return c
}

func (c *envoyConfig) readListener(t *testing.T, l *listener.Listener) {
	t.Helper()
	c.hcm = unpack[*hcm.HttpConnectionManager](t, l.GetFilterChains()[0].GetFilters()[0].GetTypedConfig())
	filters := c.hcm.GetHttpFilters()
	if len(filters) != 2 || filters[0].GetName() != extAuthzFilter {
		t.Fatalf("HTTP filters: %v", filters)
	}
	c.filter = unpack[*extauthz.ExtAuthz](t, filters[0].GetTypedConfig())
	c.hosts = c.hcm.GetRouteConfig().GetVirtualHosts()
	for _, extension := range c.hcm.GetEarlyHeaderMutationExtensions() {
		c.early = append(c.early, unpack[*early.HeaderMutation](t, extension.GetTypedConfig()))
	}
	// What the stand-in doesn't do must not be in a file that it stands in for.
	knows(t, c.hcm, "stat_prefix", "use_remote_address", "request_headers_timeout", "http2_protocol_options", "upgrade_configs", "normalize_path", "merge_slashes",
		"path_with_escaped_slashes_action", "common_http_protocol_options", "early_header_mutation_extensions", "access_log", "local_reply_config", "route_config", "http_filters")
	knows(t, c.filter, "transport_api_version", "failure_mode_allow", "status_on_error", "encode_raw_headers", "allowed_headers", "http_service", "grpc_service")
	knows(t, c.filter.GetHttpService(), "server_uri", "path_prefix", "authorization_request", "authorization_response")
	knows(t, c.filter.GetHttpService().GetAuthorizationRequest(), "headers_to_add")
	knows(t, c.filter.GetHttpService().GetAuthorizationResponse(), "allowed_upstream_headers", "allowed_client_headers", "allowed_client_headers_on_success")
	knows(t, c.filter.GetGrpcService(), "envoy_grpc", "timeout", "initial_metadata")
	for _, h := range c.hosts {
		knows(t, h, "name", "domains", "routes")
		for _, r := range h.GetRoutes() {
			knows(t, r, "match", "route", "direct_response", "typed_per_filter_config", "request_headers_to_add")
			knows(t, r.GetMatch(), "prefix", "path")
			knows(t, r.GetRoute(), "cluster", "timeout")
		}
	}
}

// knows fails for a field of m that is set and not among the names.
func knows(t *testing.T, m proto.Message, names ...string) {
	t.Helper()
	m.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		if !slices.Contains(names, string(field.Name())) {
			t.Errorf("the stand-in doesn't know %s", field.FullName())
		}
		return true
	})
}

// validEnvoy holds a message and all that is packed in it against the rules of its type.
func validEnvoy(t *testing.T, m proto.Message) {
	t.Helper()
	if v, ok := m.(interface{ ValidateAll() error }); ok {
		if err := v.ValidateAll(); err != nil {
			t.Error(err)
		}
	}
	var walk func(protoreflect.Message)
	walk = func(m protoreflect.Message) {
		if packed, ok := m.Interface().(*anypb.Any); ok {
			inner, err := packed.UnmarshalNew()
			if err != nil {
				t.Error(err)
				return
			}
			validEnvoy(t, inner)
			return
		}
		m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
			switch {
			case field.IsMap():
				v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
					if inner, ok := v.Interface().(protoreflect.Message); ok {
						walk(inner)
					}
					return true
				})
			case field.IsList() && field.Message() != nil:
				for i := range v.List().Len() {
					walk(v.List().Get(i).Message())
				}
			case field.Message() != nil:
				walk(v.Message())
			}
			return true
		})
	}
	walk(m.ProtoReflect())
}

func unpack[M proto.Message](t *testing.T, packed *anypb.Any) M {
	t.Helper()
	m, err := packed.UnmarshalNew()
	if err != nil {
		t.Fatal(err)
	}
	typed, ok := m.(M)
	if !ok {
		t.Fatalf("it is a %T", m)
	}
	return typed
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The examples fail closed, and a name that Envoy doesn't know must not pass unseen.
func TestSec_B087_EnvoyExamples(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"envoy/envoy-http.yaml", "envoy/envoy-grpc.yaml"} {
		c := parseEnvoy(t, example(t, file))
		if c.filter.GetFailureModeAllow() || c.filter.GetStatusOnError().GetCode() != 503 || !c.filter.GetEncodeRawHeaders() {
			t.Errorf("%s: %v", file, c.filter)
		}
		broken := strings.Replace(example(t, file), "failure_mode_allow:", "failure_mode_alow:", 1)
		var tree any
		if err := yaml.Unmarshal([]byte(broken), &tree); err != nil {
			t.Fatal(err)
		}
		if err := protojson.Unmarshal([]byte(jsonOf(t, tree)), &bootstrap.Bootstrap{}); err == nil || !strings.Contains(err.Error(), "failure_mode_alow") {
			t.Errorf("%s: a misspelt field: %v", file, err)
		}
	}
}

// envoyUpstreamHeaders are the headers that envoy-http.yaml lets the service set.
func envoyUpstreamHeaders(t *testing.T) (names []string) {
	t.Helper()
	c := parseEnvoy(t, example(t, "envoy/envoy-http.yaml"))
	for _, m := range c.filter.GetHttpService().GetAuthorizationResponse().GetAllowedUpstreamHeaders().GetPatterns() {
		names = append(names, http.CanonicalHeaderKey(m.GetExact()))
	}
	return names
}
