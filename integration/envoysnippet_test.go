package integration_test

import (
	"os"
	"strings"
	"testing"

	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
)

// For sites on https the printed file ends TLS, with a certificate for each, and is still one that Envoy's own types take.
func TestSnippetEnvoyHTTPS(t *testing.T) {
	t.Parallel()
	out := t.TempDir() + "/envoy.yaml"
	p := start(t, vippsauthProgram(t), command{name: "vippsauth snippet", args: []string{
		"snippet", "envoy", "--public-url=https://a.example.com,https://b.example.com:8443", "--trusted-proxies=loopback", "--output", out,
	}})
	<-p.done
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatalf("%v: %s", err, p.out.String())
	}
	parseEnvoy(t, string(text))
	for _, want := range []string{"transport_sockets.tls.v3.DownstreamTlsContext", "/etc/ssl/a.example.com.crt", "/etc/ssl/b.example.com.key"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is missing", want)
		}
	}
}
