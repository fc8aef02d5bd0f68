package integration_test

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
)

// startEnvoyStandIn runs a file of examples/envoy/ in the stand-in.
func startEnvoyStandIn(t *testing.T, f *front, file string, replace ...string) *envoyStandIn {
	t.Helper()
	replace = append(replace, "localhost:8000", "localhost:"+f.port(), "port_value: 8080", "port_value: "+portOf(t, f.app.addr()),
		"port_value: 4190", "port_value: "+portOf(t, f.addr))
	s := &envoyStandIn{t: t, envoyConfig: parseEnvoy(t, example(t, file, replace...))}
	if service := s.filter.GetGrpcService(); service != nil {
		cluster := s.clusters[service.GetEnvoyGrpc().GetClusterName()]
		if !cluster.http2 {
			t.Error("the cluster of a gRPC service needs http2_protocol_options")
		}
		conn, err := grpc.NewClient(cluster.addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithConnectParams(grpc.ConnectParams{
			// Envoy connects when it has something to ask and no connection (source: common/conn_pool/conn_pool_base.cc, newStreamImpl).
			Backoff: backoff.Config{BaseDelay: time.Millisecond, Multiplier: 1, MaxDelay: time.Millisecond}, MinConnectTimeout: time.Second,
		}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		s.grpc = conn
	}
	serveOn(t, f.port(), s)
	return s
}

func portOf(t *testing.T, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestEnvoyHTTPStandIn(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	f.serve("--trusted-proxies=loopback")
	startEnvoyStandIn(t, f, "envoy/envoy-http.yaml")
	t.Run("what the app gets", func(t *testing.T) { envoyApp(t, f) })
	conforms(t, f, differs{
		name:         "Envoy ext_authz over HTTP (stand-in; takes another server's answers for the service's)",
		keepsCookies: true, waits: 2 * time.Second, believes: []int{200}, passesOn: []int{204, 206, 302, 304},
	})
}

func TestEnvoyGRPCStandIn(t *testing.T) {
	t.Parallel()
	f := newFront(t)
	addr := freeAddr(t)
	f.serve("--trusted-proxies=loopback", "--grpc-listen="+addr)
	startEnvoyStandIn(t, f, "envoy/envoy-grpc.yaml", "port_value: 4194", "port_value: "+portOf(t, addr))
	t.Run("what the app gets", func(t *testing.T) { envoyApp(t, f) })
	conforms(t, f, differs{name: "Envoy ext_authz over gRPC (stand-in)", keepsCookies: true, waits: 2 * time.Second})
}

// envoyApp: a claim that nobody has is no header, the proxy's own headers stay outside, and paths are one.
func envoyApp(t *testing.T, f *front) {
	b := f.loggedIn()
	a := b.send(http.MethodGet, f.origin+"/a//b/./c/../d?x=//", with(fetching(), "X-Vipps-Proxy-Secret", "evil", "X-Vipps-Birthdate", "evil"), nil)
	got := f.app.last()
	if a.StatusCode != http.StatusOK || got.URI != "/a/b/d?x=//" {
		t.Errorf("%d, and the app is asked for %s", a.StatusCode, got.URI)
	}
	for name, values := range got.Header {
		if strings.HasPrefix(name, "X-Vipps-") && (len(values) != 1 || values[0] == "" || values[0] == "evil") || strings.HasPrefix(name, "X-Envoy") {
			t.Errorf("the app gets %s: %q", name, values)
		}
	}
}

// With the proxy's secret, and with one that isn't the service's.
func TestEnvoyProxySecret(t *testing.T) {
	t.Parallel()
	const secret = "a secret between the two"
	for _, file := range []string{"envoy/envoy-http.yaml", "envoy/envoy-grpc.yaml"} {
		for sent, want := range map[string]int{secret: http.StatusOK, "another": http.StatusForbidden} {
			f := newFront(t)
			addr := freeAddr(t)
			f.env = append(f.env, "VIPPSAUTH_PROXY_SECRET="+secret)
			f.secrets.add("proxy secret", secret)
			f.serve("--trusted-proxies=loopback", "--grpc-listen="+addr)
			replace := []string{`x-vipps-proxy-secret, value: ""`, `x-vipps-proxy-secret, value: "` + sent + `"`}
			if strings.Contains(file, "grpc") {
				replace = append(replace, "port_value: 4194", "port_value: "+portOf(t, addr))
			}
			startEnvoyStandIn(t, f, file, replace...)
			if want != http.StatusOK {
				if a := f.browser().open(f.origin + "/"); a.StatusCode != want || f.app.hits() > 0 {
					t.Errorf("%s, another secret: %d", file, a.StatusCode)
				}
				continue
			}
			f.loggedIn()
		}
	}
}
