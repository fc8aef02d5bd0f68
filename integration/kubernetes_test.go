package integration_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// A manifest is one document of a Kubernetes file.
type manifest map[string]any

// manifests reads the files of examples/ and gives what is in them by kind and name.
func manifests(t *testing.T, files ...string) map[string]manifest {
	t.Helper()
	all := map[string]manifest{}
	for _, file := range files {
		for dec := yaml.NewDecoder(strings.NewReader(example(t, file))); ; {
			var m manifest
			err := dec.Decode(&m)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("examples/%s: %v", file, err)
			}
			all[fmt.Sprint(m.at(t, "kind"))+" "+fmt.Sprint(m.at(t, "metadata", "name"))] = m
		}
	}
	return all
}

// at follows keys and indices, and fails where one leads nowhere.
func (m manifest) at(t *testing.T, path ...any) any {
	t.Helper()
	var v any = map[string]any(m)
	for _, step := range path {
		switch in := v.(type) {
		case map[string]any:
			v = in[fmt.Sprint(step)]
		case manifest:
			v = in[fmt.Sprint(step)]
		case []any:
			if i, ok := step.(int); ok && i < len(in) {
				v = in[i]
			} else {
				v = nil
			}
		default:
			v = nil
		}
		if v == nil {
			t.Fatalf("there is no %v", path)
		}
	}
	return v
}

func (m manifest) text(t *testing.T, path ...any) string { return fmt.Sprint(m.at(t, path...)) }

func (m manifest) list(t *testing.T, path ...any) (items []string) {
	t.Helper()
	in, ok := m.at(t, path...).([]any)
	if !ok {
		t.Fatalf("%v is no list", path)
	}
	for _, item := range in {
		items = append(items, fmt.Sprint(item))
	}
	return items
}

// container is vippsauth's of a Deployment: the first.
func (m manifest) container(t *testing.T) manifest {
	t.Helper()
	c, ok := m.at(t, "spec", "template", "spec", "containers", 0).(manifest)
	if !ok || c["name"] != "vippsauth" {
		t.Fatalf("the first container is %v", c["name"])
	}
	return c
}

func (m manifest) ports(t *testing.T) map[string]string {
	t.Helper()
	ports := map[string]string{}
	for i := range m.list(t, "ports") {
		ports[m.text(t, "ports", i, "name")] = m.text(t, "ports", i, "containerPort")
	}
	return ports
}

// environ is the container's environment; secrets get a value that fits.
func (m manifest) environ(t *testing.T) map[string]string {
	t.Helper()
	env := map[string]string{}
	secrets := map[string]string{"client-id": "id", "client-secret": "a secret", "cookie-keys": cookieKey(t)}
	for i := range m.list(t, "env") {
		e, ok := m.at(t, "env", i).(manifest)
		if !ok {
			t.Fatal("env")
		}
		if value, plain := e["value"]; plain {
			env[e.text(t, "name")] = fmt.Sprint(value)
			continue
		}
		env[e.text(t, "name")] = secrets[e.text(t, "valueFrom", "secretKeyRef", "key")]
	}
	return env
}

// Both Deployments hold settings that vippsauth accepts, and run as the image is built: no root, nothing to write to.
func TestKubernetesDeployments(t *testing.T) {
	t.Parallel()
	for file, name := range map[string]string{"kubernetes/vippsauth.yaml": "vippsauth", "kubernetes/sidecar.yaml": "application"} {
		all := manifests(t, file)
		d := all["Deployment "+name]
		c := d.container(t)
		if pod := d.text(t, "spec", "template", "spec", "securityContext", "runAsNonRoot"); pod != "true" || d.text(t, "spec", "template", "spec", "automountServiceAccountToken") != "false" {
			t.Errorf("%s: runAsNonRoot %s", file, pod)
		}
		if c.text(t, "securityContext", "readOnlyRootFilesystem") != "true" || c.text(t, "securityContext", "allowPrivilegeEscalation") != "false" ||
			c.text(t, "securityContext", "capabilities", "drop", 0) != "ALL" || c.text(t, "resources", "limits", "memory") == "" || c.text(t, "args", 0) != "serve" {
			t.Errorf("%s: %v", file, c)
		}
		ports, env := c.ports(t), c.environ(t)
		for port, variable := range map[string]string{"http": "LISTEN", "ops": "OPS_LISTEN", "authz": "AUTHZ_LISTEN", "grpc": "GRPC_LISTEN"} {
			if listens, there := env["VIPPSAUTH_"+variable]; there != (ports[port] != "") || there && listens != ":"+ports[port] {
				t.Errorf("%s: port %s is %s, and VIPPSAUTH_%s is %s", file, port, ports[port], variable, listens)
			}
		}
		for probe, path := range map[string]string{"readinessProbe": "/readyz", "livenessProbe": "/healthz"} {
			if c.text(t, probe, "httpGet", "path") != path || c.text(t, probe, "httpGet", "port") != "ops" {
				t.Errorf("%s: %s: %v", file, probe, c[probe])
			}
		}
		var settings []string
		for variable, value := range env {
			settings = append(settings, variable+"="+value)
		}
		check := start(t, vippsauthProgram(t), command{name: "vippsauth check", args: []string{"check"}, env: settings})
		<-check.done
		if code := check.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("%s: vippsauth check says %d: %s", file, code, check.out.String())
		}
		for kind, service := range all { // each Service leads to a port that is there
			if !strings.HasPrefix(kind, "Service ") {
				continue
			}
			for i := range service.list(t, "spec", "ports") {
				target := service.text(t, "spec", "ports", i, "targetPort")
				if ports[target] == "" || name == "vippsauth" && service.text(t, "spec", "ports", i, "port") != ports[target] {
					t.Errorf("%s: %s leads to %s", file, kind, target)
				}
				if kind == "Service vippsauth" && target != "http" {
					t.Errorf("%s: what browsers reach leads to %s", file, target)
				}
			}
		}
	}
	sidecar := manifests(t, "kubernetes/sidecar.yaml")
	if to := sidecar["Service application"].text(t, "spec", "ports", 0, "targetPort"); to != "http" {
		t.Errorf("the sidecar's Service leads past vippsauth, to %s", to)
	}
}

// authzOf is where a file's ingress asks: a Service of vippsauth.yaml and the port in it of this name.
func authzOf(t *testing.T, port string) (host, number string) {
	t.Helper()
	s := manifests(t, "kubernetes/vippsauth.yaml")["Service vippsauth-authz"]
	for i := range s.list(t, "spec", "ports") {
		if s.text(t, "spec", "ports", i, "name") == port {
			return "vippsauth-authz.app.svc.cluster.local", s.text(t, "spec", "ports", i, "port")
		}
	}
	t.Fatalf("no port %s", port)
	return "", ""
}

// Traefik's manifest says what the file for the file provider says, which the stand-in runs.
func TestKubernetesTraefik(t *testing.T) {
	t.Parallel()
	all := manifests(t, "kubernetes/traefik.yaml")
	host, port := authzOf(t, "authz")
	text, err := yaml.Marshal(map[string]any{"http": map[string]any{"middlewares": map[string]any{"vipps": all["Middleware vipps"]["spec"]}}})
	if err != nil {
		t.Fatal(err)
	}
	got, want := *parseTraefik(t, string(text)).HTTP.Middlewares["vipps"].ForwardAuth, *parseTraefik(t, example(t, "traefik/dynamic.yaml")).HTTP.Middlewares["vipps"].ForwardAuth
	if got.Address != "http://"+host+":"+port+"/_vipps/authz/forward-auth" {
		t.Errorf("asks at %s", got.Address)
	}
	if !slices.Equal(got.AuthResponseHeaders, want.AuthResponseHeaders) || got.AuthResponseHeadersRegex != want.AuthResponseHeadersRegex {
		t.Errorf("%+v, and dynamic.yaml has %+v", got, want)
	}
	route := all["IngressRoute application"]
	own, app := route.at(t, "spec", "routes", 0).(manifest), route.at(t, "spec", "routes", 1).(manifest)
	if !strings.Contains(own.text(t, "match"), "PathPrefix(`/_vipps/`)") || own["middlewares"] != nil || own.text(t, "services", 0, "name") != "vippsauth" || own.text(t, "services", 0, "port") != "4190" || own["priority"] != 1000 {
		t.Errorf("the route to our pages: %v", own)
	}
	if app.text(t, "middlewares", 0, "name") != "vipps" || app.text(t, "services", 0, "name") != "application" {
		t.Errorf("the route to the application: %v", app)
	}
}

// What the other ingresses' manifests say agrees with vippsauth.yaml, and with what the service answers.
func TestKubernetesIngresses(t *testing.T) {
	t.Parallel()
	names := identityHeaders(t)
	host, authz := authzOf(t, "authz")
	_, grpc := authzOf(t, "grpc")

	nginx := manifests(t, "kubernetes/ingress-nginx.yaml")
	annotations := func(name string) map[string]string {
		found := map[string]string{}
		for key, value := range nginx["Ingress "+name].at(t, "metadata", "annotations").(manifest) {
			found[strings.TrimPrefix(key, "nginx.ingress.kubernetes.io/")] = fmt.Sprint(value)
		}
		return found
	}
	if a := annotations("application"); a["auth-url"] != "http://"+host+":"+authz+"/_vipps/authz/auth-request" || !sameNames(strings.Split(a["auth-response-headers"], ","), names) {
		t.Errorf("ingress-nginx: %v", a)
	}
	for key := range annotations("application") {
		if strings.HasSuffix(key, "snippet") || key == "auth-keepalive" || key == "auth-cache-key" {
			t.Errorf("ingress-nginx: %s", key)
		}
	}
	if a := annotations("vippsauth"); a["auth-url"] != "" || a["enable-global-auth"] != "false" {
		t.Errorf("ingress-nginx: %v", a)
	}
	backend := []any{"spec", "rules", 0, "http", "paths", 0}
	if own := nginx["Ingress vippsauth"]; own.text(t, append(backend, "path")...) != "/_vipps/" || own.text(t, append(backend, "backend", "service", "port", "number")...) != "4190" {
		t.Errorf("ingress-nginx: %v", own)
	}

	istio := manifests(t, "istio/istio.yaml")
	provider := istio["IstioOperator istio"].at(t, "spec", "meshConfig", "extensionProviders", 0).(manifest)
	http := provider.at(t, "envoyExtAuthzHttp").(manifest)
	if http.text(t, "service") != host || http.text(t, "port") != authz || http.text(t, "pathPrefix") != "/_vipps/authz/ext-authz/default" || http["failOpen"] != false {
		t.Errorf("Istio: %v", http)
	}
	if !sameNames(http.list(t, "headersToUpstreamOnAllow"), names) {
		t.Errorf("Istio lists %v", http.list(t, "headersToUpstreamOnAllow"))
	}
	if p := istio["AuthorizationPolicy vippsauth"]; p.text(t, "spec", "action") != "CUSTOM" || p.text(t, "spec", "provider", "name") != provider.text(t, "name") {
		t.Errorf("Istio: %v", p)
	}

	filter := manifests(t, "gateway-api/httproute.yaml")["HTTPRoute application"].at(t, "spec", "rules", 1, "filters", 0, "externalAuth").(manifest)
	if settings, ok := filter.at(t, "grpc").(manifest); !ok || len(settings) > 0 { // which has to be there with GRPC; its one key is a list of headers
		t.Errorf("HTTPRoute: %v", filter)
	}
	if filter.text(t, "protocol") != "GRPC" || filter.text(t, "backendRef", "name") != "vippsauth-authz" || filter.text(t, "backendRef", "port") != grpc {
		t.Errorf("HTTPRoute: %v", filter)
	}
	eg := manifests(t, "gateway-api/envoy-gateway.yaml")
	policy := eg["SecurityPolicy vippsauth"]
	if policy.text(t, "spec", "extAuth", "grpc", "backendRefs", 0, "port") != grpc || policy.at(t, "spec", "extAuth").(manifest)["failOpen"] != false ||
		eg["HTTPRoute "+policy.text(t, "spec", "targetRefs", 0, "name")].text(t, "spec", "rules", 0, "backendRefs", 0, "name") != "application" {
		t.Errorf("Envoy Gateway: %v", policy)
	}
	for file, route := range map[string]manifest{"httproute": manifests(t, "gateway-api/httproute.yaml")["HTTPRoute application"], "envoy-gateway": eg["HTTPRoute vippsauth"]} {
		own := route.at(t, "spec", "rules", 0).(manifest)
		if own.text(t, "matches", 0, "path", "value") != "/_vipps" || own["filters"] != nil || own.text(t, "backendRefs", 0, "port") != "4190" {
			t.Errorf("%s: %v", file, own)
		}
	}
}

// sameNames compares header names, whatever their order and case.
func sameNames(got, want []string) bool {
	lower := func(names []string) []string {
		set := map[string]bool{}
		for _, name := range names {
			set[strings.ToLower(strings.TrimSpace(name))] = true
		}
		return slices.Sorted(maps.Keys(set))
	}
	return slices.Equal(lower(got), lower(want))
}

// urlOf parses what has to be a URL.
func urlOf(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
