package integration_test

import (
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// traefikLabels reads the labels of examples/traefik/compose.yaml as Traefik does: each is a path into the dynamic
// configuration, whatever the case of its letters (github.com/traefik/paerser, which Traefik uses: lists are split at
// commas), and a service with a port is at the address of its container ("Docker" of routing/providers).
func traefikLabels(t *testing.T) traefikConfig {
	t.Helper()
	tree := map[string]any{}
	for name, s := range readCompose(t, "traefik").Services {
		if len(s.Labels) > 0 && s.Labels["traefik.enable"] != "true" {
			t.Errorf("%s has labels, and isn't enabled", name)
		}
		for label, value := range s.Labels {
			path, ok := strings.CutPrefix(label, "traefik.http.")
			if !ok {
				continue
			}
			var leaf any = value
			steps := strings.Split("http."+path, ".")
			switch last := steps[len(steps)-1]; last {
			case "entrypoints", "middlewares", "authresponseheaders":
				leaf = strings.Split(value, ",")
			case "priority":
				n, err := strconv.Atoi(value)
				if err != nil {
					t.Error(err)
				}
				leaf = n
			case "port": // loadbalancer.server.port
				steps = append(steps[:len(steps)-2], "servers")
				leaf = []map[string]string{{"url": "http://" + net.JoinHostPort(name, value)}}
			}
			plant(t, tree, steps, leaf)
		}
	}
	b, err := yaml.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return parseTraefik(t, string(b))
}

// traefikWords are the words of the dynamic configuration that have capitals in files.
var traefikWords = map[string]string{
	"entrypoints": "entryPoints", "forwardauth": "forwardAuth", "authresponseheaders": "authResponseHeaders",
	"authresponseheadersregex": "authResponseHeadersRegex", "loadbalancer": "loadBalancer",
}

func plant(t *testing.T, tree map[string]any, steps []string, leaf any) {
	t.Helper()
	for i, step := range steps {
		if word := traefikWords[step]; word != "" {
			step = word
		}
		if i == len(steps)-1 {
			if _, twice := tree[step]; twice {
				t.Errorf("two labels say %s", strings.Join(steps, "."))
			}
			tree[step] = leaf
			return
		}
		next, ok := tree[step].(map[string]any)
		if !ok {
			next = map[string]any{}
			tree[step] = next
		}
		tree = next
	}
}

// The labels say what the file says, but for the names of containers.
func TestTraefikLabelsEqualTheFile(t *testing.T) {
	t.Parallel()
	file := parseTraefik(t, example(t, "traefik/dynamic.yaml",
		"127.0.0.1:4193", "vippsauth:4193", "127.0.0.1:4190", "vippsauth:4190", "127.0.0.1:8080", "application:8080"))
	if diff := cmp.Diff(file, traefikLabels(t)); diff != "" {
		t.Errorf("dynamic.yaml and the labels of compose.yaml differ:\n%s", diff)
	}
}

// startTraefikLabels runs the labels in the stand-in.
func startTraefikLabels(t *testing.T, f *front, authz string) {
	t.Helper()
	b, err := yaml.Marshal(traefikLabels(t).HTTP)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("vippsauth:4193", authz, "vippsauth:4190", f.addr, "application:8080", f.app.addr()).Replace(string(b))
	s := &traefikStandIn{t: t}
	if err := yaml.Unmarshal([]byte(text), &s.config.HTTP); err != nil {
		t.Fatal(err)
	}
	s.run(f, traefikTimeout)
}
